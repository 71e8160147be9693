"""What waits for the one background thread and runs on it, and who is told how it ended."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from PySide6.QtCore import QObject, Signal, Slot

from cnn_studio.core.job.events import Event
from cnn_studio.gui.jobs.job_thread import QUIET, AnyJob, Failure, Job, JobKind, JobThread, Request, Result


@dataclass(frozen=True, slots=True)
class _Listener:
    """Whom a job's events and end concern beside the signals."""

    on_success: Callable[[Any], object] | None
    on_failure: Callable[[Failure], object] | None
    on_cancel: Callable[[], object] | None
    on_report: Callable[[Event], object] | None
    on_end: Callable[[], object] | None


class JobQueue(QObject):
    """Owns the job thread. All it tells, by signals and by the functions given with a job, it tells on the GUI thread.

    Quiet jobs run in their turn like the others, but are neither announced nor counted.
    """

    started = Signal(object)
    """The job that begins; not of quiet ones."""

    reported = Signal(object, object)
    """A job, and an event it has to tell."""

    failed = Signal(object)
    """A ``Failure`` that the user is to be told: of a job without ``on_failure``, or a bug."""

    ended = Signal(object)
    """The job that is over, when all it has led to is done; not of quiet ones."""

    waiting_changed = Signal()
    """Other jobs wait than before."""

    place_wanted = Signal(object)
    """A ``PlaceQuestion`` of the job that runs, which waits for the answer."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._listeners: dict[AnyJob, _Listener] = {}
        self._begun: AnyJob | None = None
        self._thread = JobThread(self)
        self._thread.job_started.connect(self._on_started)
        self._thread.reported.connect(self._on_reported)
        self._thread.succeeded.connect(self._on_succeeded)
        self._thread.failed.connect(self._on_failed)
        self._thread.cancelled.connect(self._on_cancelled)
        self._thread.place_wanted.connect(self.place_wanted)
        self._thread.start()

    def submit(
        self,
        job: Job[Request, Result],
        *,
        on_success: Callable[[Result], object] | None = None,
        on_failure: Callable[[Failure], object] | None = None,
        on_cancel: Callable[[], object] | None = None,
        on_report: Callable[[Event], object] | None = None,
        on_end: Callable[[], object] | None = None,
    ) -> Job[Request, Result]:
        """Run a job when its turn comes.

        Args:
            job: what to run.
            on_success: takes its result.
            on_failure: says why it failed, in place of ``failed``.
            on_cancel: it was cancelled.
            on_report: takes each event that it tells.
            on_end: it is over, in whichever way; called last.

        Returns:
            The job.
        """
        self._listeners[job] = _Listener(on_success, on_failure, on_cancel, on_report, on_end)
        self._thread.submit(job)
        self.waiting_changed.emit()
        return job

    @property
    def current(self) -> AnyJob | None:
        """The job that runs or is next to run."""
        return next(iter(self._announced()), None)

    @property
    def waiting(self) -> list[AnyJob]:
        """The jobs behind the current one, in their order."""
        return self._announced()[1:]

    def of_kind(self, *kinds: JobKind) -> list[AnyJob]:
        """The jobs of these kinds that run or wait, in their order."""
        return [job for job in self._listeners if job.kind in kinds]

    def is_busy_with(self, *kinds: JobKind) -> bool:
        """Whether a job of one of these kinds runs or waits."""
        return bool(self.of_kind(*kinds))

    @Slot()
    def stop(self) -> None:
        """End the current job early and keep what it has made."""
        if job := self.current:
            job.token.stop()

    @Slot()
    def cancel(self) -> None:
        """End the current job and discard what it has made."""
        if job := self.current:
            self.give_up(job)

    def give_up(self, job: AnyJob) -> None:
        """Cancel a job. One that still waits is over at once; one that runs ends when it looks at its token."""
        job.token.cancel()
        if job is not self._begun and job in self._listeners:
            self._on_cancelled(job)

    def close(self) -> None:
        """End every job and the thread; returns when the thread has ended."""
        for job in self._listeners:
            job.token.cancel()
        self._thread.shut_down()
        self._thread.wait()

    def _announced(self) -> list[AnyJob]:
        return [job for job in self._listeners if job.kind not in QUIET]

    # -- what the thread tells ----------------------------------------------------------------------------------

    # A job that was given up while it waited has no listener any more, and nobody is told what the thread makes of it.

    @Slot(object)
    def _on_started(self, job: AnyJob) -> None:
        if job not in self._listeners:
            return
        self._begun = job
        if job.kind not in QUIET:
            self.started.emit(job)

    @Slot(object, object)
    def _on_reported(self, job: AnyJob, event: Event) -> None:
        if (listener := self._listeners.get(job)) is None:
            return
        if listener.on_report:
            listener.on_report(event)
        self.reported.emit(job, event)

    @Slot(object, object)
    def _on_succeeded(self, job: AnyJob, result: Any) -> None:
        if (listener := self._listeners.pop(job, None)) is None:
            return
        if listener.on_success:
            listener.on_success(result)
        self._end(job, listener)

    @Slot(object, object)
    def _on_failed(self, job: AnyJob, failure: Failure) -> None:
        if (listener := self._listeners.pop(job, None)) is None:
            return
        if listener.on_failure:
            listener.on_failure(failure)
        if failure.details or not listener.on_failure:
            self.failed.emit(failure)
        self._end(job, listener)

    @Slot(object)
    def _on_cancelled(self, job: AnyJob) -> None:
        if (listener := self._listeners.pop(job, None)) is None:
            return
        if listener.on_cancel:
            listener.on_cancel()
        self._end(job, listener)

    def _end(self, job: AnyJob, listener: _Listener) -> None:
        if listener.on_end:
            listener.on_end()
        if job.kind not in QUIET:
            self.ended.emit(job)
            self.waiting_changed.emit()
