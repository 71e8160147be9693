"""The one background thread: runs jobs one after the other and turns what they tell into signals.

Keras's TensorFlow backend is not thread-safe and keeps state per thread, so every job runs on this same thread and
waits its turn; nothing that was asked for is lost.
"""

from __future__ import annotations

import gc
import logging
import queue
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, Generic, TypeVar

from PySide6.QtCore import QObject, QThread, Signal

from cnn_studio.core.errors import CnnStudioError, StorageError
from cnn_studio.core.job.events import Event
from cnn_studio.core.job.jobs import CancelToken, JobCancelled, JobContext
from cnn_studio.core.system.logs import without_home

log = logging.getLogger(__name__)

Request = TypeVar("Request")
Result = TypeVar("Result")


class JobKind(StrEnum):
    """What a job is for; the window decides by it what to show and what *stop* can mean."""

    START = "start"
    SCAN = "scan"
    TRAIN = "train"
    PREDICT = "predict"
    OPEN_MODEL = "open_model"
    EXPORT = "export"
    RECOVER = "recover"
    EVALUATE = "evaluate"
    CALIBRATE = "calibrate"
    EXPLAIN = "explain"
    REPORT = "report"
    WEIGHTS = "weights"
    CLEAR_CACHE = "clear_cache"
    LABEL_ERRORS = "label_errors"
    PREVIEW = "preview"
    INPUT_RANGE = "input_range"
    MEASURE = "measure"
    COMPARE = "compare"


QUIET = frozenset({JobKind.PREVIEW, JobKind.INPUT_RANGE})
"""Jobs that come many times a second, or that a dialog waits for: the window neither announces nor counts them."""

_MAKES_MANY_OBJECTS = frozenset({JobKind.SCAN, JobKind.START})


@dataclass(frozen=True, slots=True, eq=False)
class Job(Generic[Request, Result]):
    """A job to run: ``function(request, context)``, and what to call it in front of a person."""

    kind: JobKind
    title: str
    function: Callable[[Request, JobContext], Result]
    request: Request
    token: CancelToken = field(default_factory=CancelToken)


AnyJob = Job[Any, Any]


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a job failed.

    Attributes:
        message, hint: what happened and what to do.
        details: traceback of what is a bug, for copying into a report; "" for what was foreseen.
        kind: of the job that failed; None where it was none.
    """

    message: str
    hint: str = ""
    details: str = ""
    kind: JobKind | None = None

    def __str__(self) -> str:
        """What happened and what to do, as one text."""
        return f"{self.message} {self.hint}".strip()


class PlaceQuestion:
    """Where to keep what could not be kept where it was meant to go; the job waits for the answer.

    Attributes:
        error: what was wrong with the place before.
    """

    def __init__(self, error: StorageError) -> None:
        self.error = error
        self._answers: queue.SimpleQueue[Path | None] = queue.SimpleQueue()

    def answer(self, folder: Path | None) -> None:
        """Name a folder; None for none."""
        self._answers.put(folder)

    def wait(self, token: CancelToken) -> Path | None:
        """The answer; raises ``JobCancelled`` when the job is cancelled before there is one."""
        while True:
            token.raise_if_cancelled()
            with suppress(queue.Empty):
                return self._answers.get(timeout=0.1)


class JobThread(QThread):
    """Runs submitted jobs in order until ``shut_down``.

    Each job ends in exactly one of ``succeeded``, ``failed`` and ``cancelled``, after its ``job_started``.
    """

    job_started = Signal(object)
    reported = Signal(object, object)
    succeeded = Signal(object, object)
    failed = Signal(object, object)
    cancelled = Signal(object)
    place_wanted = Signal(object)

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("jobs")
        self._jobs: queue.SimpleQueue[AnyJob | None] = queue.SimpleQueue()

    def submit(self, job: AnyJob) -> None:
        """Queue a job."""
        self._jobs.put(job)

    def shut_down(self) -> None:
        """Let the thread end after the job it is running; the owner waits for ``finished``."""
        self._jobs.put(None)

    def run(self) -> None:
        """The thread's loop (called by Qt)."""
        while (job := self._jobs.get()) is not None:
            self._run_job(job)

    def _run_job(self, job: AnyJob) -> None:
        def report(event: Event) -> None:
            self.reported.emit(job, event)

        def elsewhere(error: StorageError) -> Path | None:
            question = PlaceQuestion(error)
            self.place_wanted.emit(question)
            return question.wait(job.token)

        self.job_started.emit(job)
        try:
            job.token.raise_if_cancelled()
            with _collector_at_rest(job.kind in _MAKES_MANY_OBJECTS):
                result = job.function(job.request, JobContext(report, job.token, elsewhere))
        except JobCancelled:
            self.cancelled.emit(job)
        except CnnStudioError as error:
            log.warning("%s: %s", job.title, error)
            self.failed.emit(job, Failure(error.message, error.hint, kind=job.kind))
        except BaseException as error:
            log.exception("%s failed in a way nobody foresaw", job.title)
            self.failed.emit(
                job,
                Failure(
                    f"{job.title} ended with an error that should not happen ({type(error).__name__}).",
                    "What you had is unharmed. Please report it with the details.",
                    without_home(traceback.format_exc()),
                    job.kind,
                ),
            )
        else:
            self.succeeded.emit(job, result)


@contextmanager
def _collector_at_rest(wanted: bool) -> Iterator[None]:
    """Keep Python's collector of cyclic garbage from running, and from looking at what was made meanwhile ever again.

    It holds every thread for as long as there are objects: 60 to 140 ms at a time, again and again, while a list of
    100,000 files is made (measured), and the window would stand still. What a scan makes holds no cycles, so nothing is
    lost; the modules of TensorFlow and Keras stay until the end anyway, and there are half a million objects in them.
    """
    if not wanted or not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()
