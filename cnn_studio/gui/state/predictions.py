"""What the opened model says of the images it was shown."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from PySide6.QtCore import QObject, Signal, Slot

from cnn_studio import tasks
from cnn_studio.core.evaluation.predictions import ImagesPredicted, Prediction
from cnn_studio.core.job.events import Event
from cnn_studio.gui.jobs.job_queue import JobQueue
from cnn_studio.gui.jobs.job_thread import Job, JobKind
from cnn_studio.gui.state.models import Models
from cnn_studio.gui.state.notices import NO_MODEL, NoticeKind, Notices


class Predictions(QObject):
    """Classifies images, and keeps the answers until they are cleared."""

    added = Signal(object)
    """The predictions that have come."""

    def __init__(self, queue: JobQueue, notices: Notices, models: Models, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._queue = queue
        self._notices = notices
        self._models = models
        self._waiting: list[Path] = []
        self.found: list[Prediction] = []
        queue.ended.connect(self._on_job_ended)

    def predict(self, files: Sequence[Path]) -> None:
        """Classify images with the opened model; while another one is on its way, with that one when it is there."""
        if self._models.is_coming:
            self._waiting += files
        elif (model := self._models.opened) is None:
            self._notices.tell(
                NoticeKind.WARNING,
                "There is no model yet to classify images with. Train one, or open a file on the Predict page.",
                topic=NO_MODEL,
            )
        else:
            title = f"Classifying {files[0].name}" if len(files) == 1 else f"Classifying {len(files):,} items"
            facts = model.facts
            request = tasks.PredictRequest(model.path, tuple(files), facts.class_names or None, facts.input_range)
            self._queue.submit(Job(JobKind.PREDICT, title, tasks.predict, request), on_report=self._on_report)

    def clear(self) -> None:
        """Forget the answers."""
        self.found.clear()

    def _on_report(self, event: Event) -> None:
        if isinstance(event, ImagesPredicted):
            self.found += event.predictions
            self.added.emit(event.predictions)

    @Slot(object)
    def _on_job_ended(self, job: object) -> None:  # noqa: ARG002 -- any job's end may bring the model
        if self._waiting and not self._models.is_coming:
            waiting, self._waiting = self._waiting, []
            self.predict(waiting)
