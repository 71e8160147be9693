"""The most likely classes of one picture, each with a bar; one of them can be chosen."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from PySide6.QtCore import QAbstractListModel, QModelIndex, QObject, QRect, QSize, Qt, Signal, Slot
from PySide6.QtGui import QFontMetrics, QPainter
from PySide6.QtWidgets import QStyledItemDelegate, QStyleOptionViewItem, QWidget

from cnn_studio.core.percent import format_percent
from cnn_studio.gui.look import theme
from cnn_studio.gui.widgets.class_chart import paint_bar
from cnn_studio.gui.widgets.tile_view import Index, TileView, draw_text, one_line, paint_tile

_ROOT = QModelIndex()
Ranked = Sequence[tuple[str, float]]


class _RankedModel(QAbstractListModel):
    def __init__(self, parent: QObject) -> None:
        super().__init__(parent)
        self.ranked: Ranked = ()

    def set_ranked(self, ranked: Ranked) -> None:
        self.beginResetModel()
        self.ranked = ranked
        self.endResetModel()

    def rowCount(self, parent: Index = _ROOT) -> int:
        return 0 if parent.isValid() else len(self.ranked)

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        if not index.isValid():
            return None
        name, probability = self.ranked[index.row()]
        match role:
            case Qt.ItemDataRole.DisplayRole | Qt.ItemDataRole.AccessibleTextRole | Qt.ItemDataRole.ToolTipRole:
                return f"{one_line(name)}: {format_percent(probability)}"
            case Qt.ItemDataRole.UserRole:
                return name, probability
        return None


class RankedBars(TileView):
    """Class names with their probabilities, most likely first."""

    class_chosen = Signal(str)
    """The name of the class that became current."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(QSize(160, 10), stretch=True, columns=1, parent=parent)
        self._ranked = _RankedModel(self)
        self.setModel(self._ranked)
        self.setItemDelegate(_RankedDelegate(self))
        self.setAccessibleName("Probabilities of the classes")
        line = QFontMetrics(self.font()).height()
        self.set_tile_size(QSize(160, line + theme.SPACE_2 + theme.SPACE_HALF))
        self.selectionModel().currentChanged.connect(self._on_current)

    def set_ranked(self, ranked: Ranked) -> None:
        """Show these (class name, probability 0–1); the first is chosen."""
        self._ranked.set_ranked(ranked)
        self.verticalScrollBar().setValue(0)
        if ranked:
            self.setCurrentIndex(self._ranked.index(0, 0))

    def chosen(self) -> str:
        """Name of the chosen class; "" when there is none."""
        row = self.currentIndex().row()
        return self._ranked.ranked[row][0] if row >= 0 else ""

    def choose(self, name: str) -> None:
        """Choose a class by its name."""
        row = [each for each, _ in self._ranked.ranked].index(name)
        self.setCurrentIndex(self._ranked.index(row, 0))

    @Slot(QModelIndex)
    def _on_current(self, current: QModelIndex) -> None:
        if current.isValid():
            self.class_chosen.emit(self._ranked.ranked[current.row()][0])


class _RankedDelegate(QStyledItemDelegate):
    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: Index) -> None:
        """Paint one line: the name and its percentage, and the bar below them."""
        colour = theme.colours()
        name, probability = index.data(Qt.ItemDataRole.UserRole)
        rect: QRect = option.rect.adjusted(0, 1, 0, -1)
        paint_tile(painter, option, rect)
        inner = rect.adjusted(theme.SPACE, 2, -theme.SPACE, -2)
        painter.setFont(option.font)
        line = painter.fontMetrics().height()
        share = format_percent(probability)
        width = painter.fontMetrics().horizontalAdvance(share) + 2
        draw_text(painter, QRect(inner.left(), inner.top(), inner.width() - width - 4, line), name, colour.text)
        number = QRect(inner.right() - width, inner.top(), width + 1, line)
        draw_text(painter, number, share, colour.text, Qt.AlignmentFlag.AlignTrailing | Qt.AlignmentFlag.AlignVCenter)
        bar = QRect(inner.left(), inner.top() + line, inner.width(), inner.bottom() - inner.top() - line)
        paint_bar(painter, bar, probability, colour=colour.accent if index.row() == 0 else colour.outline)
