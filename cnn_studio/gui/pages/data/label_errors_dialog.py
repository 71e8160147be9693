"""How to look for images in the wrong class: with a network there is, or with networks trained for it."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from PySide6.QtCore import Qt, Slot
from PySide6.QtWidgets import QDialogButtonBox, QLabel, QRadioButton, QVBoxLayout, QWidget

from cnn_studio.gui.look import theme
from cnn_studio.gui.state.label_errors import LabelErrors
from cnn_studio.gui.state.training import Training
from cnn_studio.gui.widgets.growing_dialog import GrowingDialog
from cnn_studio.gui.widgets.paragraph import paragraph

FOLDS = 5


class LabelErrorsDialog(GrowingDialog):
    """Asks which of the two ways; starts the job."""

    def __init__(self, label_errors: LabelErrors, training: Training, parent: QWidget) -> None:
        super().__init__(parent)
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self._label_errors = label_errors
        self._run = label_errors.latest_run()
        self.setWindowTitle("Find likely label errors")
        what = QLabel(
            "A network judges pictures that it has not learnt from. Where it is sure of another class than the "
            "folder's, one of the two is wrong: you decide which. Nothing is changed by itself."
        )
        self.with_run = QRadioButton("Ask the latest network trained on this folder")
        self.with_training = QRadioButton(f"Train {FOLDS} networks for it (cross-validation)")
        if self._run is not None:
            when = datetime.fromisoformat(self._run.created).astimezone().strftime("%Y-%m-%d %H:%M")
            about_run = f"That of {when}. It takes seconds, and judges its validation and test images only."
        else:
            about_run = "There is none yet: train one first."
        self.with_run.setEnabled(self._run is not None)
        reason = training.why_not_train()
        self.with_training.setEnabled(reason is None)
        about_training = (
            str(reason)
            if reason
            else f"Each with the present settings on another part of the images, so that every image is judged by one "
            f"that never saw it. It takes as long as {FOLDS - 1} trainings."
        )
        self.buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Cancel)
        self.start_button = self.buttons.addButton("Start", QDialogButtonBox.ButtonRole.AcceptRole)
        theme.accent_button(self.start_button)
        self.buttons.accepted.connect(self._start)
        self.buttons.rejected.connect(self.reject)
        layout = QVBoxLayout(self)
        layout.setSpacing(theme.SPACE)
        layout.addLayout(paragraph(what))
        for choice, about in ((self.with_run, about_run), (self.with_training, about_training)):
            layout.addSpacing(theme.SPACE)
            layout.addWidget(choice)
            layout.addLayout(paragraph(_explanation(about)))
            choice.setToolTip("" if choice.isEnabled() else about)
        layout.addStretch(1)
        layout.addWidget(self.buttons)
        (self.with_run if self.with_run.isEnabled() else self.with_training).setChecked(True)
        self.start_button.setEnabled(self.with_run.isEnabled() or self.with_training.isEnabled())
        self.resize(520, 0)

    @Slot()
    def _start(self) -> None:
        folder: Path | None = self._run.folder if self._run is not None and self.with_run.isChecked() else None
        self._label_errors.look(folder)
        self.accept()


def _explanation(text: str) -> QLabel:
    label = QLabel(text)
    label.setIndent(theme.SPACE_3)
    theme.set_muted(label)
    return label
