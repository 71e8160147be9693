"""Model: choose an architecture, change it, and see its layers."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import Slot
from PySide6.QtGui import QShowEvent
from PySide6.QtWidgets import (
    QCheckBox,
    QFileDialog,
    QHBoxLayout,
    QLabel,
    QLayout,
    QMenu,
    QPushButton,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from cnn_studio.core.advice.preflight import too_small
from cnn_studio.core.advice.presets import EXPERIMENT_PRESETS, RECOMMENDED
from cnn_studio.core.experiment.architectures import ARCHITECTURE_PRESETS, BACKBONE_PRESETS
from cnn_studio.core.experiment.layer_plan import ImpossibleArchitectureError, plan_layers
from cnn_studio.core.experiment.settings import ScratchArchitecture
from cnn_studio.core.experiment.table import ALL_SETTINGS
from cnn_studio.gui.dialogs.save_file import save_file
from cnn_studio.gui.look import theme
from cnn_studio.gui.pages.model.backbone_fields import BackboneFields
from cnn_studio.gui.pages.navigation import Navigation, Page
from cnn_studio.gui.pages.settings_form import SettingsForm
from cnn_studio.gui.state.session import Session
from cnn_studio.gui.widgets.fields import DropDown, FieldRow
from cnn_studio.gui.widgets.fit_preview import FitPreview
from cnn_studio.gui.widgets.layer_table import LayerTable
from cnn_studio.gui.widgets.paragraph import paragraph
from cnn_studio.gui.widgets.settings_column import SettingsColumn, group

CLASSES_WITHOUT_DATA = 10
_SAMPLES = {
    1: "One of your pictures, as the network sees it.",
    2: "Your widest and your tallest picture, as the network sees them.",
    3: "Your widest, your tallest and a middling picture, as the network sees them.",
}


class ModelPage(QWidget):
    """Settings of the architecture on the left, its layers on the right, which follow."""

    def __init__(self, session: Session, navigation: Navigation) -> None:
        super().__init__()
        self._session = session
        self._project = session.project
        self.form = SettingsForm(session.project, self)
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(2 * theme.SPACE)
        layout.addWidget(self._build_settings())
        layout.addWidget(self._build_layers(navigation), 1)
        session.project.experiment_changed.connect(self.refresh)
        session.project.dataset_opened.connect(self.refresh)
        session.project.dataset_altered.connect(self.refresh)
        session.data.view_changed.connect(self._show_preview)
        self.form.refresh()
        self.refresh()

    def _build_settings(self) -> QWidget:
        self.preset = DropDown()
        for name, preset in ARCHITECTURE_PRESETS.items():
            self.preset.addItem(preset.title, name)
        self.preset.insertSeparator(self.preset.count())
        for name, preset in BACKBONE_PRESETS.items():
            self.preset.addItem(f"{preset.title}, pre-trained", name)
        self.start_from = QToolButton()
        self.start_from.setText("Start from a preset")
        self.start_from.setToolTip(
            "Whole experiments: those of courses and tutorials, and the one that suits your data."
        )
        self.start_from.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        self._preset_menu = QMenu(self.start_from)
        self._preset_menu.aboutToShow.connect(self._fill_preset_menu)
        self.start_from.setMenu(self._preset_menu)
        self.preset.activated.connect(lambda _: self._project.choose_architecture(self.preset.currentData()))
        self.summary = QLabel()
        theme.set_muted(self.summary)

        setting = self.form.setting
        rows: list[QWidget | QLayout] = [
            FieldRow("Architecture", self.preset),
            paragraph(self.summary),
            setting(
                "image.height",
                title="Image size",
                help_text="Every image is brought to this height and width.",
                also=("image.width",),
            ),
            setting("image.colour"),
            setting("image.fit"),
            self._build_preview(),
        ]
        self.backbone = BackboneFields(self._session.queue, self._project, self._session.weights, self.form)
        self.advanced_button = QCheckBox("Change the architecture")
        self.advanced = self._build_advanced()
        self.advanced.setVisible(False)
        self.advanced_button.toggled.connect(self._show_kind)
        self.open_button = QPushButton("Open settings…")
        self.open_button.setToolTip("Take every setting from a .toml file, saved here or by a run.")
        self.open_button.clicked.connect(self._choose_experiment)
        self.save_button = QPushButton("Save settings…")
        self.save_button.setToolTip("Save every setting to a .toml file, for `cnn-studio train --experiment`.")
        self.save_button.clicked.connect(self._choose_target)
        files = QHBoxLayout()
        files.addWidget(self.open_button)
        files.addWidget(self.save_button)

        column = SettingsColumn("Model", "Every image is brought to this height and width.")
        column.head.addWidget(self.start_from)
        column.add(*rows, self.backbone, self.advanced_button, self.advanced)
        column.foot.addLayout(files)
        column.finish()
        return column

    def _build_preview(self) -> QWidget:
        self.preview = FitPreview()
        self.preview_text = QLabel()
        theme.set_text_size(self.preview_text, theme.TextSize.SMALL)
        theme.set_muted(self.preview_text)
        self.preview_box = QWidget()
        column = QVBoxLayout(self.preview_box)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(theme.SPACE_HALF)
        column.addWidget(self.preview)
        column.addLayout(paragraph(self.preview_text))
        return self.preview_box

    @Slot()
    def _show_preview(self) -> None:
        view = self._session.data.view
        self.preview_box.setVisible(view is not None and bool(view.samples))
        if view is not None and view.samples:
            self.preview_text.setText(_SAMPLES[len(view.samples)])
            paths = [view.used.path_of(file) for file in view.samples]
            self.preview.show_pictures(paths, self._project.experiment.image)

    def _build_advanced(self) -> QWidget:
        names = [each.name for each in ALL_SETTINGS if each.kind == "scratch" and each.advanced]
        return group(*(self.form.setting(name, kind="scratch") for name in names))

    def _build_layers(self, navigation: Navigation) -> QWidget:
        self.layers = LayerTable()
        self.next_button = QPushButton("Go on to training")
        theme.accent_button(self.next_button)
        self.next_button.clicked.connect(lambda: navigation.show_page(Page.TRAIN))
        self.note = QLabel()
        self.note.setWordWrap(True)
        theme.set_muted(self.note)
        foot = QHBoxLayout()
        foot.addWidget(self.note, 1)
        foot.addWidget(self.next_button)
        right = QWidget()
        column = QVBoxLayout(right)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(theme.SPACE)
        column.addWidget(self.layers, 1)
        column.addLayout(foot)
        return right

    def showEvent(self, event: QShowEvent) -> None:
        """Look again: a file of weights may have come by another way."""
        super().showEvent(event)
        self.refresh()

    @Slot()
    def refresh(self) -> None:
        """Show the experiment's architecture and its layers."""
        experiment, dataset = self._project.experiment, self._project.dataset
        name = experiment.architecture.name
        preset = ARCHITECTURE_PRESETS.get(name) or BACKBONE_PRESETS.get(name)
        self._show_kind()
        self._show_preview()
        self.backbone.refresh()
        self.preset.setCurrentIndex(self.preset.findData(experiment.architecture.name))
        changed = preset is not None and preset.architecture != experiment.architecture
        self.summary.setText((preset.summary if preset else "") + (" Some settings are changed." if changed else ""))
        classes = len(dataset.class_names) if dataset else CLASSES_WITHOUT_DATA
        until = "" if dataset else f"With {classes} classes, until a folder of images is opened."
        self.note.setText(" ".join(filter(None, (until, too_small(experiment)))))
        try:
            self.layers.set_layers(plan_layers(experiment.architecture, experiment.image, max(2, classes)))
        except ImpossibleArchitectureError as error:
            self.layers.set_broken(error)

    @Slot()
    def _show_kind(self) -> None:
        """Show the settings of the present kind of architecture."""
        scratch = isinstance(self._project.experiment.architecture, ScratchArchitecture)
        self.backbone.setVisible(not scratch)
        self.advanced_button.setVisible(scratch)
        self.advanced.setVisible(scratch and self.advanced_button.isChecked())

    @Slot()
    def _fill_preset_menu(self) -> None:
        self._preset_menu.clear()
        recommended = self._preset_menu.addAction("Recommended for this data")
        recommended.setEnabled(self._project.dataset is not None)
        recommended.triggered.connect(lambda: self._choose_preset(RECOMMENDED))
        self._preset_menu.addSeparator()
        for preset in EXPERIMENT_PRESETS.values():
            action = self._preset_menu.addAction(preset.title)
            action.triggered.connect(lambda _=False, name=preset.name: self._choose_preset(name))

    def _choose_preset(self, name: str) -> None:
        said = self._project.choose_preset(name, on_gpu=self._session.runtime.on_gpu)
        self._session.notices.tell_info(said)

    @Slot()
    def _choose_experiment(self) -> None:
        name, _ = QFileDialog.getOpenFileName(self, "Open settings", "", "Settings (*.toml)")
        if name:
            self._project.open_experiment(Path(name))

    @Slot()
    def _choose_target(self) -> None:
        write = self._project.save_experiment
        save_file(self, self._session.notices, "Save settings", "experiment.toml", "Settings (*.toml)", write)
