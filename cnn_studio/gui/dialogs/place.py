"""Asks for another folder when a trained network cannot be kept where it was meant to go."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import Qt, Slot
from PySide6.QtWidgets import QFileDialog, QMessageBox, QWidget

from cnn_studio.gui.jobs.job_thread import PlaceQuestion


class PlaceDialog(QMessageBox):
    """Says what went wrong; the network waits in memory until a folder is chosen or it is given up."""

    def __init__(self, question: PlaceQuestion, parent: QWidget) -> None:
        super().__init__(
            QMessageBox.Icon.Warning,
            "The network could not be saved",
            f"{question.error.message}\n\nThe trained network is still in memory. Choose a folder for it: another, or "
            "this one again when you have made room there.",
            parent=parent,
        )
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self._question = question
        self._window = parent
        self.choose = self.addButton("Choose a folder…", QMessageBox.ButtonRole.ActionRole)
        self.give_up = self.addButton("Give it up", QMessageBox.ButtonRole.DestructiveRole)
        self.setDefaultButton(self.choose)
        # A box closes with any of its buttons, also when no folder was chosen after all: then it asks again.
        self.choose.clicked.connect(self._choose)
        self.give_up.clicked.connect(lambda: question.answer(None))

    @Slot()
    def _choose(self) -> None:
        folder = QFileDialog.getExistingDirectory(self._window, "A folder for the trained network", str(Path.home()))
        if folder:
            self._question.answer(Path(folder))
        else:
            PlaceDialog(self._question, self._window).open()
