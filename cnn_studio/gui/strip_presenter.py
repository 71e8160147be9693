"""Tells the progress strip what the jobs in the queue report."""

from __future__ import annotations

from functools import partial

from PySide6.QtCore import QObject, Slot

from cnn_studio.core.job import events
from cnn_studio.core.runs.comparison import TrialStarted
from cnn_studio.gui.jobs.job_queue import JobQueue
from cnn_studio.gui.jobs.job_thread import QUIET, AnyJob, JobKind
from cnn_studio.gui.widgets.progress_strip import ProgressStrip


class StripPresenter(QObject):
    """Shows the current job's stage, progress, rate and time left, and passes Stop and Cancel on."""

    def __init__(self, queue: JobQueue, strip: ProgressStrip) -> None:
        super().__init__(strip)
        self._queue = queue
        self._strip = strip
        self._epochs = 0
        self._steps = 0
        self._trial = ""
        self._can_stop = self._can_cancel = False
        queue.started.connect(self._on_started)
        queue.reported.connect(self._on_reported)
        queue.ended.connect(self._on_ended)
        queue.waiting_changed.connect(self._show_waiting)
        strip.stop_requested.connect(queue.stop)
        strip.cancel_requested.connect(queue.cancel)

    @Slot(object)
    def _on_started(self, job: AnyJob) -> None:
        self._can_stop = job.kind in {JobKind.TRAIN, JobKind.COMPARE}
        self._trial = ""
        self._can_cancel = job.kind is not JobKind.START
        self._set_stage(job.title)

    @Slot(object, object)
    def _on_reported(self, job: AnyJob, event: events.Event) -> None:
        if job.kind in QUIET:
            return
        strip = self._strip
        match event:
            case TrialStarted(number, total, title):
                self._trial = f"{number} of {total}: {title} · "
            case events.StageStarted(stage, total):
                self._set_stage(events.STAGE_TEXT[stage])
                strip.set_progress(0, total)
            case events.Progress(stage, done, total, unit, rate):
                strip.set_time_left(event.seconds_left)
                if stage is not events.Stage.TRAIN:
                    strip.set_progress(done, total)
                    strip.set_detail(f"{done:,} of {total:,} {unit}")
                    strip.set_rate(rate, unit)
            case events.TrainingStarted(epochs, steps):
                self._epochs, self._steps = epochs, steps
                self._set_stage(events.STAGE_TEXT[events.Stage.TRAIN])
            case events.BatchEnded():
                done = (event.epoch - 1) * self._steps + event.step
                strip.set_progress(done, self._epochs * self._steps)
                strip.set_detail(f"epoch {event.epoch} of {self._epochs} · step {event.step:,} of {self._steps:,}")
                strip.set_rate(event.images_per_second, "images")

    def _set_stage(self, text: str) -> None:
        self._strip.set_stage(self._trial + text, can_stop=self._can_stop, can_cancel=self._can_cancel)
        self._show_waiting()

    @Slot()
    def _show_waiting(self) -> None:
        give_up = self._queue.give_up
        self._strip.set_waiting([(job.title, partial(give_up, job)) for job in self._queue.waiting])

    @Slot(object)
    def _on_ended(self, job: AnyJob) -> None:  # noqa: ARG002 -- the signal's shape
        if self._queue.current is None:
            self._strip.idle()
