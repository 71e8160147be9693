"""What a command prints: readable text with a progress bar, or JSON lines and nothing else."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TextIO

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from cnn_studio.core.data.events import FilesLeftOut, FolderListed
from cnn_studio.core.evaluation.predictions import ImagesPredicted
from cnn_studio.core.job import events
from cnn_studio.core.job.jobs import CancelToken
from cnn_studio.core.percent import format_percent
from cnn_studio.core.runs.comparison import TrialStarted
from cnn_studio.core.text import json_text, printable_lines


class Face:
    """Where a job's reports go.

    With ``as_json`` every event is one JSON object on a line of standard output. Without it, a progress bar with the
    time left runs on standard error and sentences are printed above it.
    """

    def __init__(self, *, as_json: bool) -> None:
        self.as_json = as_json
        self.token = CancelToken()
        self._console = Console(stderr=True, highlight=False, soft_wrap=True)
        self._progress: Progress | None = None
        self._bar: TaskID | None = None
        self._epochs = 0
        self._device = ""

    def print_json(self, values: dict[str, Any]) -> None:
        """Print one JSON object on a line of standard output."""
        sys.stdout.write(json_text(values) + "\n")
        sys.stdout.flush()

    def say(self, sentence: str = "") -> None:
        """Print a line for a person on standard output; nothing with ``as_json``."""
        if not self.as_json:
            sys.stdout.write(_for_terminal(sentence, sys.stdout) + "\n")
            sys.stdout.flush()

    def report(self, event: events.Event) -> None:
        """A job's ``Report``."""
        if self.as_json:
            if not isinstance(event, ImagesPredicted | FolderListed):
                self.print_json(events.event_as_dict(event))
            return
        self._show(event)

    def _show(self, event: events.Event) -> None:
        match event:
            case events.StageStarted(stage, total):
                self._show_bar(events.STAGE_TEXT[stage], 0, total)
            case events.Progress(stage, done, total):
                self._show_bar(events.STAGE_TEXT[stage], done, total)
            case events.TrainingStarted(epochs, steps, train, validation, parameters):
                self._epochs = epochs
                self._console.print(
                    f"{train:,} training and {validation:,} validation images, {parameters:,} parameters, "
                    f"{steps:,} steps an epoch"
                )
            case events.TrainingStageStarted(text=text, first_epoch=first, trainable_parameters=parameters):
                self._tell(f"{text} (from epoch {first}; {parameters:,} parameters change)")
            case events.EpochEnded():
                self._console.print(
                    f"epoch {event.epoch:>3} of {self._epochs}  loss {event.loss:.4f}  accuracy "
                    f"{format_percent(event.accuracy):>5}  validation loss {event.val_loss:.4f}  validation accuracy "
                    f"{format_percent(event.val_accuracy):>5}"
                    f"{'  best so far' if event.best else ''}"
                )
            case TrialStarted(number, total, title):
                self._tell(f"Training {number} of {total}: {title}")
            case events.Message(text):
                self._tell(text)
            case events.DeviceChosen(detail=detail):
                if detail != self._device:  # every job of a command says so
                    self._device = detail
                    self._tell(f"Device: {detail}")
            case FilesLeftOut(issues):
                for issue in issues:
                    self._tell(f"left out: {issue.path}: {issue.detail}")

    def _tell(self, text: str) -> None:
        """Print lines that may hold names of files and classes above the progress bar."""
        self._console.print(_for_terminal(text, sys.stderr), markup=False)

    def _show_bar(self, text: str, done: int, total: int) -> None:
        if self._progress is None:
            return
        if self._bar is None:
            self._bar = self._progress.add_task(text, total=total or None, completed=done)
        elif self._progress.tasks[0].description != text:
            self._progress.reset(self._bar, description=text, total=total or None, completed=done)
        else:
            self._progress.update(self._bar, total=total or None, completed=done)

    @contextmanager
    def working(self) -> Iterator[None]:
        """Show progress; Ctrl-C stops the job, keeping what was learnt if anything was, and a second one cancels it."""
        previous = signal.signal(signal.SIGINT, self._interrupted)
        try:
            if self.as_json or not self._console.is_terminal:
                yield
                return
            columns = (
                TextColumn("{task.description}"),
                BarColumn(),
                TextColumn("{task.completed:,.0f}"),
                TimeRemainingColumn(compact=True),
            )
            with Progress(*columns, console=self._console, transient=True) as self._progress:
                yield
        finally:
            self._progress = self._bar = None
            signal.signal(signal.SIGINT, previous)

    def _interrupted(self, number: int, frame: Any) -> None:  # noqa: ARG002 -- signal's shape
        if self.token.stop_requested:
            self.token.cancel()
        else:
            self.token.stop()
            sys.stderr.write("Stopping, and keeping what was done so far. Ctrl-C again discards it.\n")


def _for_terminal(text: str, stream: TextIO) -> str:
    """Text without anything that a terminal would obey, in letters that the stream can write."""
    encoding = stream.encoding or "utf-8"
    return printable_lines(text).encode(encoding, "backslashreplace").decode(encoding)


@contextmanager
def telling_failures(status: list[int]) -> Iterator[None]:
    """Turn failures into a sentence on standard error and an exit status, put into ``status``."""
    from cnn_studio.core.errors import CnnStudioError, ExperimentError
    from cnn_studio.core.job.jobs import JobCancelled

    try:
        yield
    except ExperimentError as error:
        sys.stderr.write(f"{_for_terminal(str(error), sys.stderr)}\n")
        status.append(2)
    except CnnStudioError as error:
        sys.stderr.write(f"{_for_terminal(str(error), sys.stderr)}\n")
        status.append(1)
    except BrokenPipeError:
        raise
    except OSError as error:  # of a path that nobody looked at before: a folder of somebody else, a name too long
        named = _for_terminal(str(error.filename or "A file"), sys.stderr)
        sys.stderr.write(f"{named} cannot be used: {error.strerror or error}.\n")
        status.append(1)
    except JobCancelled:
        sys.stderr.write("Cancelled; nothing was kept.\n")
        status.append(130)
