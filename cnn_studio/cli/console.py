"""What a command prints: readable text with a progress bar, or JSON lines and nothing else."""

from __future__ import annotations

import os
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TextIO

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from cnn_studio.cli.wording import event_lines
from cnn_studio.core import paths
from cnn_studio.core.data.events import FolderListed
from cnn_studio.core.errors import StorageError
from cnn_studio.core.evaluation.predictions import ImagesPredicted
from cnn_studio.core.job import events
from cnn_studio.core.job.jobs import CancelToken, JobCancelled, JobContext
from cnn_studio.core.percent import format_percent
from cnn_studio.core.text import json_text, printable, printable_lines


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
        self._interrupts = 0
        self._nobody_reads = False
        self._places = _other_places()

    @property
    def context(self) -> JobContext:
        """What a job is called with."""
        return JobContext(self.report, self.token, self._elsewhere)

    def _elsewhere(self, error: StorageError) -> Path | None:  # noqa: ARG002 -- the shape of ``Elsewhere``
        return next(self._places, None)

    def print_json(self, values: dict[str, Any]) -> None:
        """Print one JSON object on a line of standard output."""
        self._print(json_text(values))

    def say(self, sentence: str = "") -> None:
        """Print a line for a person on standard output; nothing with ``as_json``."""
        if not self.as_json:
            self._print(_for_terminal(sentence, sys.stdout))

    def _print(self, line: str) -> None:
        try:
            sys.stdout.write(line + "\n")
            sys.stdout.flush()
        except OSError:
            _write_to_nobody(sys.stdout)
            if not self._nobody_reads:  # else the job was stopped for it, and has an end to come to
                raise

    def report(self, event: events.Event) -> None:
        """A job's ``Report``. When nobody reads any more (``… | head``, a terminal that is closed), the job is stopped.

        That keeps what was learnt, and computes no further for nobody.
        """
        try:
            if not self.as_json:
                self._show(event)
            elif not isinstance(event, ImagesPredicted | FolderListed):
                self.print_json(events.event_as_dict(event))
        except OSError:
            self._nobody_reads = True
            self.token.stop()
            if not self.as_json:
                _write_to_nobody(sys.stderr)

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
                    f"{steps:,} {'step' if steps == 1 else 'steps'} an epoch"
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
            case events.DeviceChosen(detail=detail):
                if detail != self._device:  # every job of a command says so
                    self._device = detail
                    self._tell(f"Device: {detail}")
            case _:
                for line in event_lines(event):
                    self._tell(line)

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
        """Show progress, and stop the job, which keeps what was learnt if anything was, when asked to from outside.

        Asking is Ctrl-C, of which a second one cancels the job; a signal to end; and the end of the terminal.
        """
        asking = [getattr(signal, name, None) for name in ("SIGINT", "SIGTERM", "SIGHUP")]
        # What was ignored from the start, as under nohup, stays so.
        heard = [number for number in asking if number and signal.getsignal(number) is not signal.SIG_IGN]
        previous = {number: signal.signal(number, self._asked_to_end) for number in heard}
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
        except JobCancelled:
            if self._nobody_reads:
                raise BrokenPipeError from None
            raise
        finally:
            self._progress = self._bar = None
            for number, handler in previous.items():
                signal.signal(number, handler)

    def _asked_to_end(self, number: int, frame: Any) -> None:  # noqa: ARG002 -- signal's shape
        self._interrupts += number == signal.SIGINT
        if self._interrupts > 1:
            self.token.cancel()
        elif not self.token.stop_requested:
            self.token.stop()
            again = " Ctrl-C again discards it." if number == signal.SIGINT else ""
            try:
                sys.stderr.write(f"Stopping, and keeping what was done so far.{again}\n")
            except OSError:  # the terminal is gone
                self._nobody_reads = True
                _write_to_nobody(sys.stderr)


def _other_places() -> Iterator[Path]:
    """Folders for a run that its own cannot take: first where the window looks, last what a new start may empty."""
    places: list[Callable[[], Path]] = [
        lambda: paths.data_dir() / "runs",
        Path.home,
        Path.cwd,
        lambda: Path(tempfile.gettempdir()),
    ]
    for place in places:
        with suppress(OSError, RuntimeError):  # a home that nobody knows, a present folder that is gone
            yield place()


def _write_to_nobody(stream: TextIO) -> None:
    """Let what is written to a stream that has lost its reader vanish, so that the rest of the work can go on."""
    with suppress(OSError, ValueError):  # a stream that is no file, as in a test
        nobody = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nobody, stream.fileno())
        os.close(nobody)


def _for_terminal(text: str, stream: TextIO) -> str:
    """Text without anything that a terminal would obey, in letters that the stream can write."""
    encoding = stream.encoding or "utf-8"
    return printable_lines(text).encode(encoding, "backslashreplace").decode(encoding)


@contextmanager
def telling_failures(status: list[int], *, as_json: bool) -> Iterator[None]:
    """Turn failures into a sentence on standard error and an exit status, put into ``status``.

    With ``as_json`` standard output gets an object with the failure's code, the setting and the file, too.
    """
    from cnn_studio.core.errors import CnnStudioError, ExperimentError
    from cnn_studio.core.job.jobs import JobCancelled

    try:
        yield
    except CnnStudioError as error:
        if as_json:
            path = None if error.path is None else printable(str(error.path))
            said = {
                "code": error.code,
                "field": error.field,
                "path": path,
                "message": error.message,
                "hint": error.hint,
            }
            sys.stdout.write(json_text({"event": "failed", **said}) + "\n")
        sys.stderr.write(f"{_for_terminal(str(error), sys.stderr)}\n")
        status.append(2 if isinstance(error, ExperimentError) else 1)
    except BrokenPipeError:
        raise
    except OSError as error:  # of a path that nobody looked at before: a folder of somebody else, a name too long
        named = _for_terminal(str(error.filename or "A file"), sys.stderr)
        sys.stderr.write(f"{named} cannot be used: {error.strerror or error}.\n")
        status.append(1)
    except JobCancelled:
        sys.stderr.write("Cancelled; nothing was kept.\n")
        status.append(130)
