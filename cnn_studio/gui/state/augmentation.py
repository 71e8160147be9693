"""The window's previews of augmentation and what was measured of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QObject, Signal, Slot

from cnn_studio import tasks
from cnn_studio.core.experiment.experiment import Experiment
from cnn_studio.core.job.events import Event
from cnn_studio.core.runs import run as runs
from cnn_studio.core.runs.comparison import AugmentationTrial, TrialEnded
from cnn_studio.gui.jobs.job_thread import Failure, Job, JobKind

if TYPE_CHECKING:
    from cnn_studio.gui.state.session import Session

Submit = Callable[[JobKind, str, tasks.Job[Any, Any], Any], object]


class AugmentationSession(QObject):
    """Asks for previews, one at a time and always the latest wish, and keeps the last measurement of the cost."""

    previewed = Signal(object)
    """A ``tasks.Preview``."""

    preview_failed = Signal(str)
    """Why there is no preview, a sentence."""

    cost_changed = Signal()

    trials_changed = Signal()
    """A comparison began, one of its trainings is complete, or it has ended."""

    def __init__(self, session: Session, submit: Submit) -> None:
        super().__init__(session)
        self._session = session
        self._submit = submit
        self._wanted: tasks.PreviewRequest | None = None
        self._in_work = False
        self._cost: tasks.AugmentationCost | None = None
        self._measured: tuple[Any, ...] = ()
        self.trials: list[AugmentationTrial] = []
        session.job_reported.connect(self._on_reported)
        session.job_ended.connect(self._on_ended)

    # -- preview ------------------------------------------------------------------------------------------------

    def want_preview(self, picture: Path, partners: tuple[Path, ...], seed: int) -> None:
        """Show this picture with the experiment's augmentation as soon as the thread is free.

        While one preview is being made only the latest wish waits, so a slider in motion fills no queue.
        """
        self._wanted = tasks.PreviewRequest(picture, partners, self._session.experiment, seed)
        self._begin()

    def _begin(self) -> None:
        if self._wanted is None or self._in_work:
            return
        request, self._wanted = self._wanted, None
        self._in_work = True
        self._submit(JobKind.PREVIEW, "Preview of the augmentation", tasks.preview_augmentation, request)

    # -- cost ---------------------------------------------------------------------------------------------------

    def measure(self) -> None:
        """Time training with and without the experiment's augmentation."""
        request = tasks.CostRequest(self._session.experiment, self._class_count())
        self._submit(JobKind.MEASURE, "Measuring what augmentation costs", tasks.measure_augmentation, request)

    def cost(self) -> tasks.AugmentationCost | None:
        """What was measured of the present settings; None when nothing was, or they have changed since."""
        return self._cost if self._measured == self._costly(self._session.experiment) else None

    def _class_count(self) -> int:
        dataset = self._session.dataset
        return max(2, len(dataset.class_names)) if dataset else 10

    @staticmethod
    def _costly(experiment: Experiment) -> tuple[Any, ...]:
        """The settings that the cost depends on."""
        augmentation = experiment.augmentation.model_copy(update={"views": 0})
        return experiment.architecture, experiment.image, experiment.training.batch_size, augmentation

    # -- which of it helps ----------------------------------------------------------------------------------------

    def compare(self, epochs: int) -> None:
        """Train with none, each and all of the chosen kinds, as runs among the others."""
        dataset = self._session.dataset
        assert dataset is not None
        self.trials = []
        first = runs.new_run_folder(self._session.runs_dir, dataset.name, "augmentation")
        request = tasks.CompareRequest(dataset, self._session.experiment, epochs, first.parent, f"{first.name} ")
        title = f"Comparing augmentations on {dataset.name}"
        self._submit(JobKind.COMPARE, title, tasks.compare_augmentations, request)
        self.trials_changed.emit()

    @Slot(object, object)
    def _on_reported(self, job: Job, event: Event) -> None:
        if job.kind is JobKind.COMPARE and isinstance(event, TrialEnded):
            self.trials.append(event.trial)
            self.trials_changed.emit()

    @Slot(object)
    def _on_ended(self, job: Job) -> None:
        if job.kind is JobKind.COMPARE:
            self._session.runs_changed.emit()
            self.trials_changed.emit()

    # -- what jobs end with -------------------------------------------------------------------------------------

    def take(self, job: Job, result: Any) -> None:
        """Take a job's result."""
        if job.kind is JobKind.PREVIEW:
            self._in_work = False
            self.previewed.emit(result)
            self._begin()
        else:
            self._cost = result
            self._measured = self._costly(job.request.experiment)
            self.cost_changed.emit()

    def take_failed_preview(self, failure: Failure | None) -> None:
        """Go on after a preview that could not be made; None for one that was cancelled."""
        self._in_work = False
        if failure is not None:
            self.preview_failed.emit(f"{failure.message} {failure.hint}".strip())
        self._begin()
