"""Training the experiment on the data set, and what prevents it."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from PySide6.QtCore import QObject, Signal, Slot

from cnn_studio import tasks
from cnn_studio.core.advice.preflight import ObstacleKind, obstacles
from cnn_studio.core.data.dataset import Dataset
from cnn_studio.core.data.events import FilesLeftOut
from cnn_studio.core.errors import CnnStudioError, ExperimentError
from cnn_studio.core.experiment.architectures import architecture_title
from cnn_studio.core.experiment.table import SECTION_TEXT, SETTINGS, setting
from cnn_studio.core.job.events import Event
from cnn_studio.core.runs import run as runs
from cnn_studio.core.runs.run import Run
from cnn_studio.core.runs.trained import TrainedModel
from cnn_studio.gui.jobs.job_queue import JobQueue
from cnn_studio.gui.jobs.job_thread import Job, JobKind
from cnn_studio.gui.state.data import DataState
from cnn_studio.gui.state.models import Models
from cnn_studio.gui.state.notices import TRAINED, Notices
from cnn_studio.gui.state.project import Project


class Training(QObject):
    """Starts and ends trainings; what comes of one is the opened model.

    Attributes:
        last: what the latest finished training brought.
    """

    trained = Signal(object)
    """A ``TrainedModel``, when it is the opened model already."""

    discarded = Signal(object)
    """The folder of a run that is no more: cancelled or deleted."""

    def __init__(
        self,
        queue: JobQueue,
        notices: Notices,
        project: Project,
        data: DataState,
        models: Models,
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self._queue = queue
        self._notices = notices
        self._project = project
        self._data = data
        self._models = models
        self.last: TrainedModel | None = None

    def why_not_train(self) -> CnnStudioError | None:
        """The reason why training cannot start, or None when it can."""
        for name, problem in self._project.wrong.items():  # else what stood there before would be trained with
            kind = self._project.experiment.architecture.kind
            what = setting(name, kind).title if name in SETTINGS else SECTION_TEXT[name]
            return ExperimentError(f"{what}: {problem}", hint="Put this right before training.", field=name)
        found = obstacles(
            self._project.experiment, self._project.dataset, on_images=lambda *_: self._data.why_not_trainable()
        )
        first = next(found, None)
        if first is None:
            return None
        if first.kind is ObstacleKind.MISSING_WEIGHTS:  # its own hint is the command line's
            return CnnStudioError(first.error.message, hint="Get them on the Model page.")
        return first.error

    def train(self, run: Path | None = None) -> None:
        """Train the experiment on the data set, into ``run`` or a new folder among the runs."""
        if reason := self.why_not_train():
            self._notices.tell_error(reason, JobKind.TRAIN)
            return
        dataset, experiment = self._project.dataset, self._project.experiment
        assert dataset is not None
        title = architecture_title(experiment.architecture.name)
        folder = run or runs.new_run_folder(self._project.runs_dir, dataset.name, title)
        request = tasks.TrainRequest(dataset, experiment, folder)
        job = Job(JobKind.TRAIN, f"Training on {dataset.name}", tasks.train, request)
        self._notices.withdraw(TRAINED)
        self._queue.submit(
            job,
            on_success=self._take,
            on_cancel=partial(self._on_cancelled, job),
            on_report=partial(self._on_report, dataset),
        )

    @Slot()
    def stop(self) -> None:
        """End the training that runs or waits early, and keep what it has learnt."""
        for job in self._queue.of_kind(JobKind.TRAIN):
            job.token.stop()

    @Slot()
    def cancel(self) -> None:
        """End the training that runs or waits and discard it."""
        for job in self._queue.of_kind(JobKind.TRAIN):
            self._queue.give_up(job)

    def is_running(self) -> bool:
        """Whether a training runs or waits."""
        return self._queue.is_busy_with(JobKind.TRAIN)

    def folder(self) -> Path | None:
        """Folder of the run that is being trained or waits for it."""
        return next((job.request.run for job in self._queue.of_kind(JobKind.TRAIN)), None)

    def _on_report(self, dataset: Dataset, event: Event) -> None:
        if isinstance(event, FilesLeftOut):
            self._project.lose_files(dataset, event.issues)

    def _take(self, trained: TrainedModel) -> None:
        self.last = trained
        self._models.take(trained.model, trained.facts)
        self.trained.emit(trained)

    def delete(self, run: Run) -> None:
        """Delete a run with its model."""
        runs.discard_run(run)
        self._models.forget_in(run.folder)
        if self.last is not None and self.last.run == run.folder:
            self.last = None
        self._notices.withdraw(TRAINED)
        self.discarded.emit(run.folder)

    def _on_cancelled(self, job: Job[tasks.TrainRequest, TrainedModel]) -> None:
        self.discarded.emit(job.request.run)
        self._notices.tell_info(
            "Stopped before training had begun, so there was nothing to keep."
            if job.token.stop_requested
            else "Cancelled: the run was discarded. Your images and earlier runs are untouched.",
            JobKind.TRAIN,
        )
