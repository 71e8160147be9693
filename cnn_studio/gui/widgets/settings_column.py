"""The left side of a page: a title, settings that scroll when the window is low, and what always stays below them."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QFrame, QHBoxLayout, QLabel, QLayout, QScrollArea, QStyle, QVBoxLayout, QWidget

from cnn_studio.gui.look import theme


class SettingsColumn(QWidget):
    """Add rows to ``rows``, what stands beside the title to ``head``, and what stays below to ``foot``.

    Args:
        title: the page's.
        line: a text about as long as a line is to be; longer ones break.
    """

    def __init__(self, title: str, line: str) -> None:
        super().__init__()
        self._line = line
        heading = QLabel(title)
        theme.set_text_size(heading, theme.TextSize.TITLE)
        self.head = QHBoxLayout()
        self.head.addWidget(heading, 1)
        self.settings = QWidget()
        self.rows = QVBoxLayout(self.settings)
        self.rows.setContentsMargins(0, 0, theme.SPACE, 0)
        self.rows.setSpacing(theme.SPACE)
        area = QScrollArea()
        area.setWidget(self.settings)
        area.setWidgetResizable(True)
        area.setFrameShape(QFrame.Shape.NoFrame)
        area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.foot = QVBoxLayout()
        self.foot.setSpacing(theme.SPACE)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(theme.SPACE)
        column.addLayout(self.head)
        column.addWidget(area, 1)
        column.addLayout(self.foot)

    def add(self, *parts: QWidget | QLayout) -> None:
        """Add rows below those there are."""
        for part in parts:
            if isinstance(part, QWidget):
                self.rows.addWidget(part)
            else:
                self.rows.addLayout(part)

    def finish(self) -> None:
        """All rows are there: push them to the top, and be wide enough for the widest, hidden ones among them."""
        self.rows.addStretch(1)
        parts = self.settings.findChildren(QWidget)
        widest = max([self.fontMetrics().horizontalAdvance(self._line), *(p.minimumSizeHint().width() for p in parts)])
        scroll_bar = self.style().pixelMetric(QStyle.PixelMetric.PM_ScrollBarExtent, None, self)
        self.setFixedWidth(widest + theme.SPACE + scroll_bar)

    def set_training(self, training: bool) -> None:
        """While a network is trained its settings are not to be changed, and say so."""
        self.settings.setEnabled(not training)
        self.settings.setToolTip("Settings can be changed again when this training has ended." if training else "")


def group(*rows: QWidget) -> QWidget:
    """Rows that are shown and hidden together."""
    box = QWidget()
    column = QVBoxLayout(box)
    column.setContentsMargins(0, 0, 0, 0)
    column.setSpacing(theme.SPACE)
    for row in rows:
        column.addWidget(row)
    return box
