"""What augmentation costs on this device: measured when asked for, told in images per second and in time."""

from __future__ import annotations

from PySide6.QtCore import Slot
from PySide6.QtWidgets import QFrame, QHBoxLayout, QLabel, QPushButton

from cnn_studio.core.data.dataset import Dataset
from cnn_studio.core.data.image_file import Split
from cnn_studio.core.data.split import count_splits
from cnn_studio.core.experiment.experiment import Experiment
from cnn_studio.gui.jobs.job_queue import JobQueue
from cnn_studio.gui.jobs.job_thread import JobKind
from cnn_studio.gui.look import theme
from cnn_studio.gui.look.wording import format_duration
from cnn_studio.gui.state.augmentation import AugmentationState
from cnn_studio.gui.state.project import Project
from cnn_studio.gui.widgets.paragraph import paragraph
from cnn_studio.tasks import AugmentationCost


class CostCard(QFrame):
    """A sentence and the button that measures."""

    def __init__(self, queue: JobQueue, project: Project, augmentation: AugmentationState) -> None:
        super().__init__()
        self._queue = queue
        self._project = project
        self._augmentation = augmentation
        theme.set_card(self)
        self.text = QLabel()
        self.button = QPushButton("Measure the cost")
        self.button.clicked.connect(augmentation.measure)
        layout = QHBoxLayout(self)
        layout.addLayout(paragraph(self.text), 1)
        layout.addWidget(self.button)
        for signal in (
            augmentation.cost_changed,
            project.experiment_changed,
            project.dataset_opened,
            project.dataset_altered,
            queue.started,
            queue.ended,
        ):
            signal.connect(self.refresh)
        self.refresh()

    @Slot()
    def refresh(self) -> None:
        """Show what is known."""
        experiment = self._project.experiment
        on = experiment.augmentation.is_on
        cost = self._augmentation.cost()
        if not on:
            text = "Nothing is changed, so it costs nothing."
        elif cost:
            text = cost_text(cost, experiment, self._project.dataset)
        else:
            text = "What this costs on your machine has not been measured yet; it takes a few seconds."
        self.text.setText(text)
        busy = self._queue.is_busy_with(JobKind.MEASURE)
        training = self._queue.is_busy_with(JobKind.TRAIN)
        self.button.setVisible(on)
        self.button.setEnabled(on and not busy and not training)
        self.button.setToolTip(
            "A training under way would spoil the measurement." if training else "Times a few training steps."
        )


def cost_text(cost: AugmentationCost, experiment: Experiment, dataset: Dataset | None) -> str:
    """The measured speed in words; with a data set, also how long that takes."""
    longer = cost.plain / cost.live
    both = f"{_rate(cost.plain)} images/s as they are, {_rate(cost.live)} with these changes on {cost.device}"
    images = sum(count_splits(dataset, experiment.split)[Split.TRAIN]) if dataset else 0
    if not cost.once:
        each = f", about {format_duration(images / cost.live)}" if images else ""
        return f"{both}: an epoch takes {longer:.2f} times as long{each}."
    if not images:
        return f"Live: {both}. Computed once: {_rate(cost.once)} images/s, then next to nothing in each epoch."
    views = experiment.augmentation.views or 4
    epochs = experiment.training.epochs
    return (
        f"Live: {both}; {epochs} epochs take about {format_duration(epochs * images / cost.live)}. "
        f"{views} views computed once take about {format_duration(views * images / cost.once)}, "
        "then an epoch takes a few seconds."
    )


def _rate(images_per_second: float) -> str:
    return f"{images_per_second:,.0f}" if images_per_second >= 10 else f"{images_per_second:.1f}"
