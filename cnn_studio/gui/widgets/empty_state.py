"""What a page shows while it cannot work yet: why, and the step that is missing."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import Qt, Signal, Slot
from PySide6.QtWidgets import QHBoxLayout, QLabel, QPushButton, QVBoxLayout, QWidget

from cnn_studio.gui.look import theme
from cnn_studio.gui.widgets.paragraph import reading_width

_ICON_EDGE = 64
_TEXT_WIDTH = 460


class EmptyState(QWidget):
    """Icon, title, a sentence, and buttons, the first of them accented.

    Args:
        icon: name of an icon.
        title: a few words.
        sentence: why the page is empty and what to do.
        buttons: (key, text) each.
        parent: the widget it lies in.
    """

    triggered = Signal(str)
    """The key of the button that was pressed."""

    def __init__(
        self,
        icon: str,
        title: str,
        sentence: str,
        buttons: Sequence[tuple[str, str]] = (),
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self._icon_name = icon
        self._icon = QLabel()
        self._icon.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self._title = QLabel()
        theme.set_text_size(self._title, theme.TextSize.TITLE)
        self._sentence = QLabel()
        theme.set_muted(self._sentence)
        for label in (self._title, self._sentence):
            label.setAlignment(Qt.AlignmentFlag.AlignCenter)
            label.setWordWrap(True)
            label.setTextFormat(Qt.TextFormat.PlainText)
            label.setMinimumWidth(min(_TEXT_WIDTH, 240))
            label.setMaximumWidth(reading_width(label))
        self._row = QHBoxLayout()
        self._row.setSpacing(theme.SPACE)
        self.buttons: dict[str, QPushButton] = {}
        column = QVBoxLayout()
        column.setSpacing(theme.SPACE)
        column.addStretch(2)
        column.addWidget(self._icon)
        column.addSpacing(theme.SPACE)
        for label in (self._title, self._sentence):
            column.addLayout(_centred(label))
        column.addSpacing(theme.SPACE)
        column.addLayout(self._row)
        column.addStretch(3)
        layout = QHBoxLayout(self)
        layout.setContentsMargins(theme.SPACE_3, theme.SPACE_3, theme.SPACE_3, theme.SPACE_3)
        layout.addStretch(1)
        layout.addLayout(column, 4)
        layout.addStretch(1)
        self.set_texts(title, sentence)
        self.set_buttons(buttons)
        theme.theme().theme_changed.connect(self._style)
        self._style()

    def set_texts(self, title: str, sentence: str) -> None:
        """Say something else."""
        self._title.setText(title)
        self._sentence.setText(sentence)
        self._sentence.setVisible(bool(sentence))
        self.setAccessibleName(f"{title}. {sentence}")

    def set_buttons(self, buttons: Sequence[tuple[str, str]]) -> None:
        """Offer other steps."""
        while (item := self._row.takeAt(0)) is not None:
            if (old := item.widget()) is not None:
                old.hide()
                old.deleteLater()
        self.buttons = {}
        self._row.addStretch()
        for place, (key, text) in enumerate(buttons):
            button = QPushButton(text)
            button.setProperty("actionKey", key)
            theme.accent_button(button, accent=place == 0)
            button.clicked.connect(self._on_clicked)
            self._row.addWidget(button)
            self.buttons[key] = button
        self._row.addStretch()

    @Slot()
    def _style(self) -> None:
        ratio = self.devicePixelRatioF()
        self._icon.setPixmap(theme.icon_pixmap(self._icon_name, _ICON_EDGE, ratio, theme.colours().outline))

    @Slot()
    def _on_clicked(self) -> None:
        if (button := self.sender()) is not None:
            self.triggered.emit(str(button.property("actionKey")))


def _centred(label: QLabel) -> QHBoxLayout:
    """A layout puts what may not become as wide as it to the left, or anywhere; this keeps it in the middle."""
    row = QHBoxLayout()
    row.addStretch(1)
    row.addWidget(label, 1000)
    row.addStretch(1)
    return row
