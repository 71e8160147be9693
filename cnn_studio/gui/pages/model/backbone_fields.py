"""Settings of a pre-trained backbone: what is trained, its head, and where its weights are."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import Slot
from PySide6.QtWidgets import QCheckBox, QFileDialog, QFrame, QHBoxLayout, QLabel, QPushButton, QVBoxLayout, QWidget

from cnn_studio.core.experiment.backbones import EVERYTHING, find_backbone
from cnn_studio.core.experiment.settings import BackboneArchitecture
from cnn_studio.core.experiment.table import ALL_SETTINGS
from cnn_studio.core.weights.weights import megabytes, weights_folder
from cnn_studio.gui.jobs.job_queue import JobQueue
from cnn_studio.gui.jobs.job_thread import JobKind
from cnn_studio.gui.look import theme
from cnn_studio.gui.pages.settings_form import SettingsForm
from cnn_studio.gui.state.project import Project
from cnn_studio.gui.state.weights import Weights
from cnn_studio.gui.widgets.fields import ChoiceBox
from cnn_studio.gui.widgets.settings_column import group


class BackboneFields(QWidget):
    """The part of the model page that a pre-trained backbone needs."""

    def __init__(self, queue: JobQueue, project: Project, weights: Weights, form: SettingsForm) -> None:
        super().__init__()
        self._queue = queue
        self._project = project
        self._weights = weights
        self.depth_choice = ChoiceBox()
        self._depth_row = form.setting("architecture.unfreeze_from", kind="backbone", field=self.depth_choice)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(theme.SPACE)
        layout.addWidget(form.setting("architecture.transfer", kind="backbone"))
        layout.addWidget(self._depth_row)
        layout.addWidget(self._build_weights())
        self.head_button = QCheckBox("Change the head")
        self.head = self._build_head(form)
        self.head.setVisible(False)
        self.head_button.toggled.connect(self.head.setVisible)
        layout.addWidget(self.head_button)
        layout.addWidget(self.head)
        weights.changed.connect(self.refresh)
        queue.started.connect(self.refresh)
        queue.ended.connect(self.refresh)

    def _build_weights(self) -> QWidget:
        box = QFrame()
        theme.set_card(box)
        self.weights_text = QLabel()
        self.weights_text.setWordWrap(True)
        self.get_button = QPushButton("Download")
        self.get_button.clicked.connect(self._get)
        self.file_button = QPushButton("Use a file I have…")
        self.file_button.setToolTip("A .h5 file of weights without classifier (notop), as Keras publishes them.")
        self.file_button.clicked.connect(self._choose_file)
        buttons = QHBoxLayout()
        buttons.addWidget(self.get_button)
        buttons.addWidget(self.file_button)
        column = QVBoxLayout(box)
        column.addWidget(self.weights_text)
        column.addLayout(buttons)
        return box

    def _build_head(self, form: SettingsForm) -> QWidget:
        of_kind = [each for each in ALL_SETTINGS if (each.section, each.kind) == ("architecture", "backbone")]
        return group(*(form.setting(each.name, kind="backbone") for each in of_kind if each.advanced))

    @Slot()
    def refresh(self) -> None:
        """Show what suits the present backbone."""
        architecture = self._project.experiment.architecture
        if not isinstance(architecture, BackboneArchitecture):
            return
        backbone = find_backbone(architecture.name)
        depths = [(name if name != EVERYTHING else "Everything", name) for name in backbone.depths]
        self.depth_choice.set_choices(depths)
        self.depth_choice.set_value(architecture.unfreeze_from)
        self._depth_row.setVisible(architecture.trained_depth is not None)
        missing = self._weights.missing() is not None
        busy = self._queue.is_busy_with(JobKind.WEIGHTS)
        size = megabytes(backbone)
        self.weights_text.setText(
            f"{backbone.title} needs weights trained on ImageNet: {size}, kept in {weights_folder()}."
            if missing
            else f"The weights of {backbone.title} are on this machine."
        )
        self.get_button.setText(f"Download {size}")
        for button in (self.get_button, self.file_button):
            button.setVisible(missing)
            button.setEnabled(not busy)

    @Slot()
    def _get(self) -> None:
        self._weights.download(self._project.experiment.architecture.name)

    @Slot()
    def _choose_file(self) -> None:
        name, _ = QFileDialog.getOpenFileName(self, "Use a file of weights", "", "Weights (*.h5);;All files (*)")
        if name:
            self._weights.take_file(self._project.experiment.architecture.name, Path(name))
