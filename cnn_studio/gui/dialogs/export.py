"""Tells that the export is done, and how to use the file."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import Qt, QUrl, Slot
from PySide6.QtGui import QDesktopServices, QFontDatabase
from PySide6.QtWidgets import QApplication, QDialog, QDialogButtonBox, QLabel, QPlainTextEdit, QVBoxLayout, QWidget

from cnn_studio import tasks
from cnn_studio.core.evaluation.model_facts import ModelFacts
from cnn_studio.core.text import printable
from cnn_studio.gui.look import theme
from cnn_studio.gui.widgets.paragraph import breakable, paragraph


class ExportDialog(QDialog):
    """The file's place, that it was checked, and a script that uses it."""

    def __init__(self, target: Path, facts: ModelFacts, parent: QWidget) -> None:
        super().__init__(parent)
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.setWindowTitle("Model exported")
        self._target = target
        name, beside = (breakable(printable(path.name)) for path in (target, target.with_suffix(".json")))
        name, beside = (breakable(printable(path.name)) for path in (target, target.with_suffix(".json")))
        said = QLabel(
            f"“{name}” was written, loaded again with plain Keras and compared: it answers the same. “{beside}” beside "
            "it lists the class names and the image size for other programs. This script uses it, with nothing of ours "
            "installed:"
        )
        self.snippet = QPlainTextEdit(tasks.usage_snippet(facts, target.name))
        self.snippet.setReadOnly(True)
        self.snippet.setAccessibleName("Script that uses the exported model")
        self.snippet.setFont(QFontDatabase.systemFont(QFontDatabase.SystemFont.FixedFont))
        buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Close)
        buttons.addButton("Copy script", QDialogButtonBox.ButtonRole.ActionRole).clicked.connect(self._copy)
        buttons.addButton("Show folder", QDialogButtonBox.ButtonRole.ActionRole).clicked.connect(self._show_folder)
        buttons.rejected.connect(self.reject)
        layout = QVBoxLayout(self)
        layout.setSpacing(theme.SPACE)
        layout.addLayout(paragraph(said))
        layout.addWidget(self.snippet, 1)
        layout.addWidget(buttons)
        self.resize(720, 460)

    @Slot()
    def _copy(self) -> None:
        QApplication.clipboard().setText(self.snippet.toPlainText())

    @Slot()
    def _show_folder(self) -> None:
        QDesktopServices.openUrl(QUrl.fromLocalFile(str(self._target.parent)))
