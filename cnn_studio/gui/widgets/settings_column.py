"""The left side of a page: a title, settings that scroll when the window is low, and what always stays below them."""

from __future__ import annotations

from PySide6.QtCore import QEvent, QSize, Qt, Signal
from PySide6.QtWidgets import QFrame, QHBoxLayout, QLabel, QLayout, QScrollArea, QSizePolicy, QVBoxLayout, QWidget

from cnn_studio.gui.look import theme


class SettingsColumn(QWidget):
    """Add rows to ``rows``, what stands beside the title to ``head``, and what stays below to ``foot``.

    Args:
        title: the page's.
        line: a text about as long as a line is to be; longer ones break.
    """

    def __init__(self, title: str, line: str) -> None:
        super().__init__()
        self.setSizePolicy(QSizePolicy.Policy.Maximum, QSizePolicy.Policy.Preferred)
        heading = QLabel(title)
        theme.set_text_size(heading, theme.TextSize.TITLE)
        self.head = QHBoxLayout()
        self.head.addWidget(heading, 1)
        self._area = _FormArea(line)
        self.settings = self._area.form
        self.rows = QVBoxLayout(self.settings)
        self.rows.setContentsMargins(0, 0, theme.SPACE, 0)
        self.rows.setSpacing(theme.SPACE)
        self.foot = QVBoxLayout()
        self.foot.setSpacing(theme.SPACE)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(theme.SPACE)
        column.addLayout(self.head)
        column.addWidget(self._area, 1)
        column.addLayout(self.foot)

    def add(self, *parts: QWidget | QLayout) -> None:
        """Add rows below those there are."""
        for part in parts:
            if isinstance(part, QWidget):
                self.rows.addWidget(part)
            else:
                self.rows.addLayout(part)

    def finish(self) -> None:
        """All rows are there: push them to the top."""
        self.rows.addStretch(1)

    def set_training(self, training: bool) -> None:
        """While a network is trained its settings are not to be changed, and say so."""
        self.settings.setEnabled(not training)
        self.settings.setToolTip("Settings can be changed again when this training has ended." if training else "")


class _Form(QWidget):
    """Tells the area it scrolls in when its rows ask for other room."""

    changed = Signal()

    def event(self, event: QEvent) -> bool:
        """Pass on that the layout has changed."""
        handled = super().event(event)
        if event.type() is QEvent.Type.LayoutRequest:
            self.changed.emit()
        return handled


class _FormArea(QScrollArea):
    """Scrolls downwards only: it is as wide as its widest row, hidden ones among them, with room for the scroll bar."""

    def __init__(self, line: str) -> None:
        super().__init__()
        self._line = line
        self.form = _Form()
        self.form.changed.connect(self.updateGeometry)
        self.setWidget(self.form)
        self.setWidgetResizable(True)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)

    def sizeHint(self) -> QSize:
        """Room for every row, and for a line as long as it should be."""
        line = self.fontMetrics().horizontalAdvance(self._line)
        return QSize(self._width_around(max(line, self._widest_row())), super().sizeHint().height())

    def minimumSizeHint(self) -> QSize:
        """Room for every row."""
        return QSize(self._width_around(self._widest_row()), super().minimumSizeHint().height())

    def _widest_row(self) -> int:
        return max((row.minimumSizeHint().width() for row in self.form.findChildren(QWidget)), default=0)

    def _width_around(self, row: int) -> int:
        return row + theme.SPACE + self.verticalScrollBar().sizeHint().width()


def group(*rows: QWidget) -> QWidget:
    """Rows that are shown and hidden together."""
    box = QWidget()
    column = QVBoxLayout(box)
    column.setContentsMargins(0, 0, 0, 0)
    column.setSpacing(theme.SPACE)
    for row in rows:
        column.addWidget(row)
    return box
