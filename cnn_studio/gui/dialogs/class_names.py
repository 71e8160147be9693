"""Asks for the class names of a model file that carries none."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import Qt, Slot
from PySide6.QtWidgets import QDialog, QDialogButtonBox, QLabel, QPlainTextEdit, QVBoxLayout, QWidget

from cnn_studio.core.evaluation.class_name_file import class_names_beside
from cnn_studio.core.text import printable
from cnn_studio.gui.look import theme
from cnn_studio.gui.state.models import Models
from cnn_studio.gui.widgets.paragraph import paragraph


class ClassNamesDialog(QDialog):
    """One name a line, in the order of the model's outputs.

    Offered are those of a list beside the file, else the data set's, ``known``, where they fit.
    """

    def __init__(self, models: Models, known: Sequence[str], parent: QWidget) -> None:
        super().__init__(parent)
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        assert models.opened is not None
        self._models = models
        self.count = models.opened.class_count
        self.setWindowTitle("Names of the classes")
        beside = class_names_beside(models.opened.path, self.count)
        explanation = QLabel(
            f"{printable(models.opened.path.name)} says how many classes it tells apart ({self.count}), but not their "
            "names. "
            + (
                f"These are the names in {printable(beside[0].name)} beside it."
                if beside
                else "Write one name a line, in the order the model was trained with (Keras sorts folders by name)."
            )
        )
        self.names = QPlainTextEdit()
        self.names.setAccessibleName("Class names, one a line")
        self.names.setTabChangesFocus(True)
        if beside:
            self.names.setPlainText("\n".join(beside[1]))
        elif len(known) == self.count:
            self.names.setPlainText("\n".join(sorted(known)))
        self.names.textChanged.connect(self._check)
        self.state = QLabel()
        theme.set_text_size(self.state, theme.TextSize.SMALL)
        self.buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Ok | QDialogButtonBox.StandardButton.Cancel)
        self.buttons.button(QDialogButtonBox.StandardButton.Ok).setText("Use these names")
        self.buttons.button(QDialogButtonBox.StandardButton.Cancel).setText("Number them")
        self.buttons.accepted.connect(self._accept)
        self.buttons.rejected.connect(self.reject)
        layout = QVBoxLayout(self)
        layout.setSpacing(theme.SPACE)
        layout.addLayout(paragraph(explanation))
        for widget in (self.names, self.state, self.buttons):
            layout.addWidget(widget)
        self.resize(460, 420)
        self._check()

    def _lines(self) -> list[str]:
        return [line.strip() for line in self.names.toPlainText().splitlines() if line.strip()]

    @Slot()
    def _check(self) -> None:
        lines = self._lines()
        repeated = len(set(lines)) < len(lines)
        self.buttons.button(QDialogButtonBox.StandardButton.Ok).setEnabled(len(lines) == self.count and not repeated)
        self.state.setText("A name stands there twice." if repeated else f"{len(lines)} of {self.count} names.")

    @Slot()
    def _accept(self) -> None:
        self._models.name_classes(self._lines())
        self.accept()
