"""What the opened model says of the images it was shown."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from PySide6.QtCore import QObject, Signal, Slot

from cnn_studio import tasks
from cnn_studio.core.evaluation.predictions import ImagesPredicted, Prediction
from cnn_studio.core.job.events import Event
from cnn_studio.core.job.jobs import CancelToken
from cnn_studio.gui.jobs.job_queue import JobQueue
from cnn_studio.gui.jobs.job_thread import Job, JobKind
from cnn_studio.gui.state.models import Models
from cnn_studio.gui.state.notices import NO_MODEL, NoticeKind, Notices


class Predictions(QObject):
    """Classifies images, and keeps the answers until they are cleared.

    All answers are the opened model's: when that changes, the pictures stay and are answered anew.

    Attributes:
        found: a picture each, those not answered yet among them.
    """

    added = Signal(object)
    """The predictions that have come for new pictures, now the last of ``found``."""

    renewed = Signal(object)
    """{place in ``found``: the prediction there now}, of pictures that were there before."""

    def __init__(self, queue: JobQueue, notices: Notices, models: Models, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._queue = queue
        self._notices = notices
        self._models = models
        self._waiting: list[Path] = []
        self._unanswered: dict[Path, list[int]] = {}
        self.found: list[Prediction] = []
        queue.ended.connect(self._on_job_ended)
        models.changed.connect(self._answer_anew)

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
            job = Job(JobKind.PREDICT, title, tasks.predict, request)
            self._queue.submit(job, on_report=partial(self._on_report, job.token))

    @property
    def unanswered(self) -> list[Path]:
        """The pictures shown that the opened model has not said anything of yet."""
        return [prediction.path for prediction in self.found if not prediction.is_answered]

    def is_answering(self) -> bool:
        """Whether pictures are being classified, or wait for it."""
        return bool(self._waiting) or self._queue.is_busy_with(JobKind.PREDICT)

    @Slot()
    def answer_rest(self) -> None:
        """Classify the pictures that were left without an answer, since that was cancelled or failed."""
        if (rest := self.unanswered) and not self.is_answering():
            self.predict(rest)

    def clear(self) -> None:
        """Forget the answers, and want no more of them."""
        self._give_up()
        self.found.clear()
        self._unanswered.clear()

    def _give_up(self) -> list[Path]:
        """End what is being answered; returns which files and folders that was."""
        jobs = self._queue.of_kind(JobKind.PREDICT)
        wanted = [path for job in jobs for path in job.request.paths] + self._waiting
        self._waiting = []
        for job in jobs:
            self._queue.give_up(job)
        return wanted

    @Slot()
    def _answer_anew(self) -> None:
        """The model is another one, or answers otherwise: what was said is void."""
        wanted = self._give_up()
        again = set(wanted)
        pictures = [picture.path for picture in self.found if again.isdisjoint((picture.path, *picture.path.parents))]
        self.found[:] = [Prediction(picture.path) for picture in self.found]
        self._unanswered = {}
        for place, picture in enumerate(self.found):
            self._unanswered.setdefault(picture.path, []).append(place)
        if self._models.opened is not None and (pictures or wanted):
            self.predict(pictures + wanted)
        if self.found:
            self.renewed.emit(dict(enumerate(self.found)))

    def _on_report(self, token: CancelToken, event: Event) -> None:
        if not isinstance(event, ImagesPredicted) or token.cancel_requested:
            return
        renewed, added = {}, []
        for prediction in event.predictions:
            if places := self._unanswered.get(prediction.path):
                renewed[places.pop(0)] = prediction
            else:
                added.append(prediction)
        for place, prediction in renewed.items():
            self.found[place] = prediction
        self.found += added
        if renewed:
            self.renewed.emit(renewed)
        if added:
            self.added.emit(added)

    @Slot(object)
    def _on_job_ended(self, job: object) -> None:  # noqa: ARG002 -- any job's end may bring the model
        if self._waiting and not self._models.is_coming:
            waiting, self._waiting = self._waiting, []
            self.predict(waiting)
