"""An item view of equal tiles whose layout is arithmetic: resizing costs the same with ten items and with 100,000.

``QListView`` asks the model about every item on each resize; with a model in Python that was 100–200 ms for 100,000
items (measured), a visible stutter. Here only tiles on screen are ever asked for.
"""

from __future__ import annotations

from PySide6.QtCore import (
    QAbstractItemModel,
    QEvent,
    QItemSelection,
    QItemSelectionModel,
    QModelIndex,
    QPersistentModelIndex,
    QPoint,
    QRect,
    QSize,
    Qt,
    Slot,
)
from PySide6.QtGui import QColor, QFontMetrics, QPainter, QPaintEvent, QPen, QRegion, QResizeEvent
from PySide6.QtWidgets import QAbstractItemView, QStyle, QStyleOptionViewItem, QWidget

from cnn_studio.gui.look import theme

Index = QModelIndex | QPersistentModelIndex
_ROOT = QModelIndex()


class TileView(QAbstractItemView):
    """Shows a list model as tiles, row after row, scrolling vertically by pixels.

    Args:
        tile: least width and exact height of a tile, in device-independent pixels.
        stretch: whether tiles grow to share the width; otherwise they keep theirs and the gaps grow.
        columns: at most so many side by side; 0 for as many as fit.
    """

    def __init__(self, tile: QSize, *, stretch: bool, columns: int = 0, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._tile = tile
        self._stretch = stretch
        self._most_columns = columns
        self._hovered = QPersistentModelIndex()
        self._anchor = QPersistentModelIndex()
        self.setMouseTracking(True)
        self.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setTextElideMode(Qt.TextElideMode.ElideRight)
        self.entered.connect(self._hover)
        self.viewportEntered.connect(self._hover_nothing)
        theme.theme().theme_changed.connect(self.viewport().update)

    # -- arithmetic ---------------------------------------------------------------------------------------------------

    @property
    def tile_size(self) -> QSize:
        """Least width and exact height of a tile, in device-independent pixels."""
        return self._tile

    def set_tile_size(self, tile: QSize) -> None:
        """Change the tiles' size."""
        self._tile = tile
        self.updateGeometries()
        self.viewport().update()

    def item_count(self) -> int:
        """How many items there are."""
        model = self.model()
        return model.rowCount(_ROOT) if model is not None else 0

    def columns(self) -> int:
        """How many tiles stand side by side."""
        fitting = max(1, self._usable_width() // self._tile.width())
        return min(fitting, self._most_columns) if self._most_columns else fitting

    def visible_rows(self) -> range:
        """Item numbers on screen, whole or in part."""
        columns = self.columns()
        height = max(1, self._tile.height())
        top = self.verticalOffset() - theme.SPACE_HALF
        first = max(0, top // height) * columns
        last = ((top + self.viewport().height()) // height + 1) * columns
        return range(first, max(first, min(last, self.item_count())))

    def _usable_width(self) -> int:
        # Counted as if the scroll bar were there, so that its coming and going moves nothing.
        bar = self.style().pixelMetric(QStyle.PixelMetric.PM_ScrollBarExtent, None, self)
        return max(1, self.maximumViewportSize().width() - bar - theme.SPACE)

    def _rect(self, row: int) -> QRect:
        columns = self.columns()
        line, column = divmod(row, columns)
        usable = self._usable_width()
        left = usable * column // columns
        cell = usable * (column + 1) // columns - left
        width = cell if self._stretch else min(cell, self._tile.width())
        x = theme.SPACE_HALF + left + (cell - width) // 2
        if self.isRightToLeft():
            x = self.viewport().width() - x - width
        y = theme.SPACE_HALF + line * self._tile.height() - self.verticalOffset()
        return QRect(x, y, width, self._tile.height())

    # -- what QAbstractItemView asks for ------------------------------------------------------------------------------

    def visualRect(self, index: Index) -> QRect:
        """Where an item is, in viewport coordinates."""
        return self._rect(index.row()) if index.isValid() else QRect()

    def indexAt(self, point: QPoint) -> QModelIndex:
        """The item at a point of the viewport."""
        line = (point.y() - theme.SPACE_HALF + self.verticalOffset()) // max(1, self._tile.height())
        if line < 0:
            return QModelIndex()
        columns = self.columns()
        for row in range(line * columns, min((line + 1) * columns, self.item_count())):
            if self._rect(row).contains(point):
                return self.model().index(row, 0)
        return QModelIndex()

    def scrollTo(
        self, index: Index, hint: QAbstractItemView.ScrollHint = QAbstractItemView.ScrollHint.EnsureVisible
    ) -> None:
        """Bring an item into view."""
        rect = self.visualRect(index)
        if rect.isNull():
            return
        height = self.viewport().height()
        bar = self.verticalScrollBar()
        if hint is QAbstractItemView.ScrollHint.PositionAtTop:
            bar.setValue(bar.value() + rect.top())
        elif hint is QAbstractItemView.ScrollHint.PositionAtCenter:
            bar.setValue(bar.value() + rect.center().y() - height // 2)
        elif rect.top() < 0 or rect.height() > height:
            bar.setValue(bar.value() + rect.top() - theme.SPACE_HALF)
        elif rect.bottom() >= height:
            bar.setValue(bar.value() + rect.bottom() - height + theme.SPACE_HALF)

    def moveCursor(
        self,
        action: QAbstractItemView.CursorAction,
        modifiers: Qt.KeyboardModifier,  # noqa: ARG002 -- Qt's signature
    ) -> QModelIndex:
        """The item a navigation key leads to."""
        count = self.item_count()
        if not count:
            return QModelIndex()
        if not self.currentIndex().isValid():
            return self.model().index(0, 0)
        row = self.currentIndex().row()
        columns = self.columns()
        page = max(1, self.viewport().height() // max(1, self._tile.height())) * columns
        move = QAbstractItemView.CursorAction
        sideways = -1 if self.isRightToLeft() else 1
        match action:
            case move.MoveLeft:
                row -= sideways
            case move.MoveRight:
                row += sideways
            case move.MovePrevious:
                row -= 1
            case move.MoveNext:
                row += 1
            case move.MoveUp:
                row = row - columns if row >= columns else row
            case move.MoveDown:
                row = row + columns if row + columns < count or row // columns < (count - 1) // columns else row
            case move.MovePageUp:
                row = row - page if row >= page else row % columns
            case move.MovePageDown:
                row += page
            case move.MoveHome:
                row = 0
            case move.MoveEnd:
                row = count - 1
        return self.model().index(min(max(row, 0), count - 1), 0)

    def horizontalOffset(self) -> int:
        """Always 0: it scrolls vertically."""
        return 0

    def verticalOffset(self) -> int:
        """Pixels scrolled."""
        return self.verticalScrollBar().value()

    def isIndexHidden(self, index: Index) -> bool:  # noqa: ARG002 -- Qt's signature
        """Nothing is hidden."""
        return False

    def setSelection(self, rect: QRect, command: QItemSelectionModel.SelectionFlag) -> None:
        """Select what a rectangle of the viewport touches; with Shift, what lies between in reading order."""
        model, current = self.model(), self.currentIndex()
        extends = bool(command & QItemSelectionModel.SelectionFlag.Current)
        dragged = self.state() is QAbstractItemView.State.DragSelectingState
        selection = QItemSelection()
        if extends and not dragged and self._anchor.isValid() and current.isValid():
            first, last = sorted((self._anchor.row(), current.row()))
            selection.select(model.index(first, 0), model.index(last, 0))
        else:
            for row in self._touched_by(rect.normalized()):
                selection.select(model.index(row, 0), model.index(row, 0))
        if not extends:
            self._anchor = QPersistentModelIndex(current)
        self.selectionModel().select(selection, command)

    def _touched_by(self, rect: QRect) -> list[int]:
        height = max(1, self._tile.height())
        offset = self.verticalOffset() - theme.SPACE_HALF
        columns = self.columns()
        first = max(0, (rect.top() + offset) // height) * columns
        last = min(((rect.bottom() + offset) // height + 1) * columns, self.item_count())
        return [row for row in range(first, last) if self._rect(row).intersects(rect)]

    def visualRegionForSelection(self, selection: QItemSelection) -> QRegion:
        """What has to be painted again when a selection changes: the part of it on screen."""
        region = QRegion()
        rows = self.visible_rows()
        for place in range(selection.size()):
            spread = selection.at(place)
            for row in range(max(spread.top(), rows.start), min(spread.bottom() + 1, rows.stop)):
                region += self._rect(row)
        return region

    def updateGeometries(self) -> None:
        """Fit the scroll bar to the number of items."""
        lines = -(-self.item_count() // self.columns())
        height = self.viewport().height()
        bar = self.verticalScrollBar()
        bar.setRange(0, max(0, lines * self._tile.height() + theme.SPACE - height))
        bar.setPageStep(height)
        bar.setSingleStep(max(8, min(self._tile.height() // 3, 48)))
        super().updateGeometries()

    def setModel(self, model: QAbstractItemModel | None) -> None:
        """Show a model; it must outlive the view or be its child."""
        super().setModel(model)
        if model is not None:
            for changed in (model.modelReset, model.rowsInserted, model.rowsRemoved, model.layoutChanged):
                changed.connect(self._on_rows_changed)
        self._on_rows_changed()

    @Slot()
    def _on_rows_changed(self) -> None:
        self.updateGeometries()
        self.viewport().update()

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Keep what is at the top at the top when the number of columns changes."""
        super().resizeEvent(event)
        self.updateGeometries()

    def scrollContentsBy(self, dx: int, dy: int) -> None:
        """Move the picture; only the strip that came into view is painted."""
        self.viewport().scroll(dx, dy)

    # -- painting -----------------------------------------------------------------------------------------------------

    def paintEvent(self, event: QPaintEvent) -> None:
        """Paint the tiles the event touches."""
        painter = QPainter(self.viewport())
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        option = QStyleOptionViewItem()
        self.initViewItemOption(option)
        state = QStyle.StateFlag
        base = option.state & ~(state.State_Selected | state.State_MouseOver | state.State_HasFocus)
        selected, current = self.selectionModel(), self.currentIndex()
        for row in self.visible_rows():
            rect = self._rect(row)
            if not event.rect().intersects(rect):
                continue
            index = self.model().index(row, 0)
            flags = base
            if selected.isSelected(index):
                flags |= state.State_Selected
            if self._hovered == index:
                flags |= state.State_MouseOver
            if self.hasFocus() and current == index:
                flags |= state.State_HasFocus
            option.rect = rect
            option.state = flags
            self.itemDelegate().paint(painter, option, index)

    @Slot(QModelIndex)
    def _hover(self, index: QModelIndex) -> None:
        before, self._hovered = self._hovered, QPersistentModelIndex(index)
        for changed in (before, index):
            if changed.isValid():
                self.viewport().update(self.visualRect(changed))

    @Slot()
    def _hover_nothing(self) -> None:
        self._hover(QModelIndex())

    def leaveEvent(self, event: QEvent) -> None:
        """Forget what the pointer was over."""
        self._hover_nothing()
        super().leaveEvent(event)


def paint_tile(painter: QPainter, option: QStyleOptionViewItem, rect: QRect) -> None:
    """Paint a tile's background as its state asks: selected, under the pointer, reached by the keyboard."""
    state: QStyle.StateFlag = option.state
    colour = theme.colours()
    if state & QStyle.StateFlag.State_Selected:
        fill = colour.accent_soft
    elif state & QStyle.StateFlag.State_MouseOver:
        fill = colour.hover
    else:
        fill = ""
    painter.setPen(Qt.PenStyle.NoPen)
    if fill:
        painter.setBrush(QColor(fill))
        painter.drawRoundedRect(rect, 6, 6)
    if state & QStyle.StateFlag.State_HasFocus:
        painter.setBrush(Qt.BrushStyle.NoBrush)
        painter.setPen(QPen(QColor(colour.accent), 2))
        painter.drawRoundedRect(rect.adjusted(1, 1, -1, -1), 6, 6)


def draw_text(
    painter: QPainter,
    rect: QRect,
    text: str,
    colour: str,
    align: Qt.AlignmentFlag = Qt.AlignmentFlag.AlignLeading | Qt.AlignmentFlag.AlignVCenter,
    mode: Qt.TextElideMode = Qt.TextElideMode.ElideRight,
) -> None:
    """One line of text in the painter's font, elided where it does not fit."""
    painter.setPen(QColor(colour))
    shown = QFontMetrics(painter.font()).elidedText(one_line(text), mode, rect.width())
    painter.drawText(rect, int(align | Qt.TextFlag.TextSingleLine), shown)


def one_line(text: str) -> str:
    """Text without line breaks and control characters: file names may hold any, and lone surrogates too."""
    return "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in text)
