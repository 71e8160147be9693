"""Previews of the experiment's augmentation, what it costs, and which of it helps."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

from PySide6.QtCore import QObject, Signal, Slot

from cnn_studio import tasks
from cnn_studio.core.experiment.experiment import Experiment
from cnn_studio.core.job.events import Event
from cnn_studio.core.runs import run as runs
from cnn_studio.core.runs.comparison import AugmentationTrial, TrialEnded
from cnn_studio.gui.jobs.job_queue import JobQueue
from cnn_studio.gui.jobs.job_thread import Failure, Job, JobKind
from cnn_studio.gui.state.project import Project


class AugmentationState(QObject):
    """Asks for previews, one at a time and always the latest wish, and keeps the last measurement of the cost.

    Attributes:
        trials: the trainings of the comparison that runs or was made last.
    """

    previewed = Signal(object)
    """A ``tasks.Preview``."""

    preview_failed = Signal(str)
    """Why there is no preview, a sentence."""

    cost_changed = Signal()

    trials_changed = Signal()
    """A comparison began, one of its trainings is complete, or it has ended."""

    def __init__(self, queue: JobQueue, project: Project, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._queue = queue
        self._project = project
        self._wanted: tasks.PreviewRequest | None = None
        self._cost: tasks.AugmentationCost | None = None
        self._measured: tuple[Any, ...] = ()
        self.trials: list[AugmentationTrial] = []

    # -- preview ------------------------------------------------------------------------------------------------

    def want_preview(self, picture: Path, partners: tuple[Path, ...], seed: int) -> None:
        """Show this picture with the experiment's augmentation as soon as the thread is free.

        While one preview is being made only the latest wish waits, so a slider in motion fills no queue.
        """
        self._wanted = tasks.PreviewRequest(picture, partners, self._project.experiment, seed)
        self._begin()

    def _begin(self) -> None:
        if self._wanted is None or self._queue.is_busy_with(JobKind.PREVIEW):
            return
        request, self._wanted = self._wanted, None
        job = Job(JobKind.PREVIEW, "Preview of the augmentation", tasks.preview_augmentation, request)
        self._queue.submit(
            job, on_success=self.previewed.emit, on_failure=self._tell_preview_failed, on_end=self._begin
        )

    def _tell_preview_failed(self, failure: Failure) -> None:
        self.preview_failed.emit(str(failure))

    # -- cost ---------------------------------------------------------------------------------------------------

    @Slot()
    def measure(self) -> None:
        """Time training with and without the experiment's augmentation."""
        dataset, experiment = self._project.dataset, self._project.experiment
        class_count = max(2, len(dataset.class_names)) if dataset else 10
        request = tasks.CostRequest(experiment, class_count)
        job = Job(JobKind.MEASURE, "Measuring what augmentation costs", tasks.measure_augmentation, request)
        self._queue.submit(job, on_success=partial(self._take_cost, experiment))

    def _take_cost(self, experiment: Experiment, cost: tasks.AugmentationCost) -> None:
        self._cost = cost
        self._measured = _costly(experiment)
        self.cost_changed.emit()

    def cost(self) -> tasks.AugmentationCost | None:
        """What was measured of the present settings; None when nothing was, or they have changed since."""
        return self._cost if self._measured == _costly(self._project.experiment) else None

    # -- which of it helps --------------------------------------------------------------------------------------

    def compare(self, epochs: int) -> None:
        """Train with none, each and all of the chosen kinds, as runs among the others."""
        dataset = self._project.dataset
        assert dataset is not None
        self.trials = []
        first = runs.new_run_folder(self._project.runs_dir, dataset.name, "augmentation")
        request = tasks.CompareRequest(dataset, self._project.experiment, epochs, first.parent, f"{first.name} ")
        job = Job(JobKind.COMPARE, f"Comparing augmentations on {dataset.name}", tasks.compare_augmentations, request)
        self._queue.submit(job, on_report=self._on_comparing, on_end=self.trials_changed.emit)
        self.trials_changed.emit()

    def _on_comparing(self, event: Event) -> None:
        if isinstance(event, TrialEnded):
            self.trials.append(event.trial)
            self.trials_changed.emit()


def _costly(experiment: Experiment) -> tuple[Any, ...]:
    """The settings that the cost depends on."""
    augmentation = experiment.augmentation.model_copy(update={"views": 0})
    return experiment.architecture, experiment.image, experiment.training.batch_size, augmentation
