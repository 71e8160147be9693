"""Images per class as bars."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from PySide6.QtCore import QAbstractListModel, QModelIndex, QObject, QRect, QSize, Qt, Signal, Slot
from PySide6.QtGui import QColor, QFontMetrics, QKeyEvent, QMouseEvent, QPainter
from PySide6.QtWidgets import QStyledItemDelegate, QStyleOptionViewItem, QWidget

from cnn_studio.core.percent import format_percent
from cnn_studio.core.text import printable_lines
from cnn_studio.gui.look import theme
from cnn_studio.gui.look.wording import format_count, format_things
from cnn_studio.gui.widgets.tile_view import Index, TileView, draw_text, one_line, paint_tile

_COUNT_ROLE = Qt.ItemDataRole.UserRole
_ROOT = QModelIndex()


class _ClassModel(QAbstractListModel):
    def __init__(self, parent: QObject) -> None:
        super().__init__(parent)
        self.counts: list[tuple[str, int]] = []

    def set_counts(self, counts: Sequence[tuple[str, int]]) -> None:
        if [name for name, _ in counts] == [name for name, _ in self.counts]:
            self.counts = list(counts)
            self.dataChanged.emit(self.index(0), self.index(len(counts) - 1))
            return
        self.beginResetModel()
        self.counts = list(counts)
        self.endResetModel()

    def rowCount(self, parent: Index = _ROOT) -> int:
        return 0 if parent.isValid() else len(self.counts)

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        if not index.isValid():
            return None
        name, count = self.counts[index.row()]
        match role:
            case Qt.ItemDataRole.DisplayRole:
                return one_line(name)
            case Qt.ItemDataRole.ToolTipRole | Qt.ItemDataRole.AccessibleTextRole:
                total = sum(count for _, count in self.counts)
                share = f" ({format_percent(count / total)} of all)" if total else ""
                text = f"{one_line(name)}: {format_things(count, 'image')}{share}"
                return text if role == Qt.ItemDataRole.AccessibleTextRole else printable_lines(text)
            case Qt.ItemDataRole.UserRole:
                return count
        return None


class ClassChart(TileView):
    """One bar per class with its name and number of images; choosing one filters what is shown elsewhere.

    A second click on the chosen class, or Escape, chooses none.
    """

    class_selected = Signal(int)
    """The label of the class chosen, or -1 when none is: all images are meant."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(QSize(200, 10), stretch=True, columns=1, parent=parent)
        self._classes = _ClassModel(self)
        self._delegate = _BarDelegate(self)
        self._pressed_on_chosen = False
        self.setModel(self._classes)
        self.setItemDelegate(self._delegate)
        self.setAccessibleName("Images per class")
        self.set_tile_size(QSize(200, QFontMetrics(self.font()).height() + theme.SPACE_2))
        self.selectionModel().selectionChanged.connect(self._on_selection)

    def set_counts(self, counts: Sequence[tuple[str, int]]) -> None:
        """Show classes with their numbers of images, in label order; with other classes than before, none is chosen."""
        had_choice = self.selected_class() >= 0
        self._classes.set_counts(counts)
        self._delegate.measure(counts, QFontMetrics(self.font()))
        self.updateGeometry()
        self.viewport().update()
        if had_choice and self.selected_class() < 0:
            self.class_selected.emit(-1)

    def counts(self) -> list[tuple[str, int]]:
        """What is shown."""
        return list(self._classes.counts)

    def selected_class(self) -> int:
        """The label chosen, or -1."""
        rows = self.selectionModel().selectedIndexes()
        return rows[0].row() if rows else -1

    def select_class(self, label: int) -> None:
        """Choose a class, or none with -1."""
        if label < 0:
            self.clearSelection()
        else:
            self.setCurrentIndex(self._classes.index(label, 0))

    def sizeHint(self) -> QSize:
        """Wide enough for a name and a bar, high enough for a few."""
        lines = min(max(self._classes.rowCount(), 3), 12)
        return QSize(280, lines * self.tile_size.height() + theme.SPACE_2)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Escape chooses none."""
        if event.key() == Qt.Key.Key_Escape and self.selected_class() >= 0:
            self.clearSelection()
            return
        super().keyPressEvent(event)

    def mousePressEvent(self, event: QMouseEvent) -> None:
        """A click on the chosen class is meant to undo the choice: remember it until the release."""
        index = self.indexAt(event.position().toPoint())
        self._pressed_on_chosen = index.isValid() and index.row() == self.selected_class()
        super().mousePressEvent(event)

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        """Undo the choice when the chosen class was clicked; a click beside the bars does so by itself."""
        super().mouseReleaseEvent(event)
        if self._pressed_on_chosen:
            self._pressed_on_chosen = False
            self.clearSelection()

    @Slot()
    def _on_selection(self) -> None:
        self.class_selected.emit(self.selected_class())


class _BarDelegate(QStyledItemDelegate):
    def __init__(self, parent: QObject) -> None:
        super().__init__(parent)
        self._most = 1
        self._count_width = 0
        self._name_width = 0

    def measure(self, counts: Sequence[tuple[str, int]], metrics: QFontMetrics) -> None:
        """Learn the widest count and name, so that bars start in one line and no count is cut."""
        self._most = max((count for _, count in counts), default=0) or 1
        self._count_width = metrics.horizontalAdvance(format_count(self._most))
        self._name_width = max((metrics.horizontalAdvance(one_line(name)) for name, _ in counts), default=0)

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: Index) -> None:
        """Paint name, bar and count in one line."""
        colour = theme.colours()
        rect: QRect = option.rect
        paint_tile(painter, option, rect.adjusted(0, 1, 0, -1))
        inner = rect.adjusted(theme.SPACE, 0, -theme.SPACE, 0)
        name_width = min(self._name_width + 2, max(48, inner.width() * 45 // 100))
        name = QRect(inner.left(), inner.top(), name_width, inner.height())
        number = QRect(inner.right() - self._count_width - 1, inner.top(), self._count_width + 2, inner.height())
        bar = QRect(name.right() + theme.SPACE, inner.top(), 0, inner.height())
        bar.setRight(number.left() - theme.SPACE)
        right_to_left = option.direction == Qt.LayoutDirection.RightToLeft
        if right_to_left:
            name, number, bar = (_mirrored(part, rect) for part in (name, number, bar))
        painter.setFont(option.font)
        draw_text(painter, name, str(index.data()), colour.text)
        count = int(index.data(_COUNT_ROLE))
        draw_text(
            painter,
            number,
            format_count(count),
            colour.text if count else colour.error,
            Qt.AlignmentFlag.AlignTrailing | Qt.AlignmentFlag.AlignVCenter,
        )
        paint_bar(painter, bar, count / self._most, right_to_left=right_to_left)


def paint_bar(
    painter: QPainter, room: QRect, fraction: float, *, colour: str = "", right_to_left: bool = False
) -> None:
    """Paint a horizontal bar of 0–1 of the room's width, 8 px high in its middle; any amount at all shows."""
    if room.width() <= 0:
        return
    thickness = theme.SPACE
    track = QRect(room.left(), room.center().y() - thickness // 2 + 1, room.width(), thickness)
    painter.setPen(Qt.PenStyle.NoPen)
    painter.setBrush(QColor(theme.colours().hover))
    painter.drawRoundedRect(track, 4, 4)
    if not fraction > 0:  # nor where it is no number
        return
    length = max(3, round(track.width() * min(fraction, 1.0)))
    bar = QRect(track.right() + 1 - length if right_to_left else track.left(), track.top(), length, thickness)
    radius = min(4.0, length / 2)
    painter.setBrush(QColor(colour or theme.colours().accent))
    painter.drawRoundedRect(bar, radius, radius)


def _mirrored(part: QRect, whole: QRect) -> QRect:
    return QRect(whole.left() + whole.right() - part.right(), part.top(), part.width(), part.height())
