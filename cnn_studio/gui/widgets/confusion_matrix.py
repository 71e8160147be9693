"""The confusion matrix as a picture: which class was taken for which, from two classes to hundreds."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QEvent, QObject, QPoint, QPointF, QRect, QSize, Qt, Signal, Slot
from PySide6.QtGui import (
    QColor,
    QFocusEvent,
    QFontMetrics,
    QHelpEvent,
    QKeyEvent,
    QMouseEvent,
    QPainter,
    QPaintEvent,
    QResizeEvent,
    QWheelEvent,
)
from PySide6.QtWidgets import (
    QSizePolicy,
    QToolTip,
    QWidget,
)

from cnn_studio.core.evaluation.confusion import row_shares
from cnn_studio.core.percent import format_percent
from cnn_studio.core.text import printable_lines
from cnn_studio.gui.look import theme
from cnn_studio.gui.widgets.matrix_colours import FAINTEST, FAINTEST_SPECK, cell_colours
from cnn_studio.gui.widgets.matrix_labels import fits_upright, longest, paint_columns, paint_rows
from cnn_studio.gui.widgets.matrix_picture import Cell, MatrixPicture
from cnn_studio.gui.widgets.matrix_window import Window
from cnn_studio.gui.widgets.tile_view import one_line

LARGEST_CELL = 112
"""Side of a cell at most, in device-independent pixels: two classes need no more."""

_LARGEST_ZOOM = 40
"""Pixels a cell is enlarged to at most, by wheel or keys, where it is smaller than that."""

_WHEEL_STEP = 1.25
_CLICK_SLIP = 4
_MOST_OF_WIDTH = 0.3
_MOST_OF_HEIGHT = 0.24
"""Names take so much of the width and of the height at most."""

_SPECK = 6
"""A cell smaller than this is a speck, in pixels."""

_TRUE, _PREDICTED = "True class ↓", "Predicted class →"

Counts = NDArray[np.int64]
"""(classes, classes): ``counts[true, predicted]`` images."""

_NOTHING: Counts = np.zeros((0, 0), np.int64)


def cell_text(names: Sequence[str], counts: Counts, true: int, predicted: int) -> str:
    """A cell in words: ``true tulip → predicted rose: 17 of 90 images (19 %)``."""
    total = int(counts[true].sum())
    name = one_line(names[true])
    if total == 0:
        return f"no images of {name}"
    count = int(counts[true, predicted])
    share = f"{count:,} of {total:,} images ({format_percent(count / total)})"
    if true == predicted:
        return f"{name}, rightly predicted: {share}"
    return f"true {name} → predicted {one_line(names[predicted])}: {share}"


class ConfusionMatrix(QWidget):
    """Rows are true classes, columns what was predicted; a click, or Enter, chooses a cell.

    The arrow keys move over the cells, ``+``, ``-`` and the wheel enlarge a part of it, dragging moves that part,
    Escape shows the whole again.
    """

    cell_chosen = Signal(int, int)
    """True and predicted label of the cell that was clicked."""

    pointed = Signal(str)
    """What is under the pointer or the keyboard's frame, in words; "" for nothing."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._names: tuple[str, ...] = ()
        self._counts = _NOTHING
        self._empty: list[bool] = []
        self._as_shares = False
        self._specks = False
        self._window = Window(0.0, 0.0, 1.0)
        self._current: Cell | None = None
        self._chosen: Cell | None = None
        self._pressed: QPointF | None = None
        self._window_pressed = self._window
        self._view = MatrixPicture(self)
        self._view.viewport().installEventFilter(self)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setAccessibleName("Confusion matrix")
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        theme.theme().theme_changed.connect(self._restyle)
        self._restyle()

    # -- what is shown --------------------------------------------------------------------------------------------

    def set_matrix(self, names: Sequence[str], counts: Counts) -> None:
        """Show counts[true, predicted] with the classes' names; nothing is chosen."""
        self._names, self._counts = tuple(names), counts
        self._empty = [int(total) == 0 for total in counts.sum(axis=1)]
        self._window = Window(0.0, 0.0, float(max(1, len(names))))
        self._chosen = self._current = None
        self._place()
        self._recolour()

    def set_as_shares(self, as_shares: bool) -> None:
        """Show each cell as a share of its row (its true class), or as a number of images."""
        self._as_shares = as_shares
        self._recolour()

    def chosen(self) -> Cell | None:
        """True and predicted label of the chosen cell."""
        return self._chosen

    def choose(self, true: int, predicted: int) -> None:
        """Choose a cell, as a click does."""
        self._chosen = self._current = (true, predicted)
        self._look_at(self._window.with_cell(true, predicted))
        self.cell_chosen.emit(true, predicted)

    def text_of(self, true: int, predicted: int) -> str:
        """A cell in words."""
        return cell_text(self._names, self._counts, true, predicted)

    def number_text(self, true: int, predicted: int) -> str:
        """What is written into a cell: its images, or their percentage of the row without the sign; "" for none."""
        count = int(self._counts[true, predicted])
        if not count:
            return ""
        if not self._as_shares:
            return f"{count:,}"
        return format_percent(count / int(self._counts[true].sum())).removesuffix(" %")

    def shown_part(self) -> Window:
        """Which part is in view, in cells."""
        return self._window

    def cell_size(self) -> float:
        """Side of a cell in device-independent pixels."""
        return self._view.cell_size()

    # -- layout ---------------------------------------------------------------------------------------------------

    def sizeHint(self) -> QSize:
        """Room for a readable matrix."""
        return QSize(560, 560)

    def minimumSizeHint(self) -> QSize:
        """Smaller is no longer readable."""
        return QSize(260, 260)

    def _place(self) -> None:
        """Make the matrix as large a square as the names leave room for."""
        count = max(1, len(self._names))
        metrics = QFontMetrics(theme.text_font(theme.TextSize.SMALL, bold=True))  # the marked name is bold
        longest_name = longest(self._names, metrics) + theme.SPACE_2
        title = metrics.height() + theme.SPACE_HALF
        least = longest((_TRUE, _PREDICTED), metrics) + theme.SPACE
        left = max(least, min(longest_name, int(self.width() * _MOST_OF_WIDTH)))
        room = QSize(self.width() - left - 1, self.height() - title)
        below = metrics.height() + theme.SPACE_HALF
        side = min(room.width(), room.height() - below, LARGEST_CELL * count)
        if not fits_upright(self._names, metrics, side / count):
            below = min(longest_name, int(self.height() * _MOST_OF_HEIGHT))
            side = min(room.width(), room.height() - below, LARGEST_CELL * count)
        side = max(side, 40)
        if side >= 3 * count:
            side -= side % count  # whole pixels for every cell, or some are visibly wider
        slack = max(0, (self.width() - left - side) // 2)
        self._view.setGeometry(left + slack, title, side, side)
        self._rows = QRect(slack, title, left, side)
        self._columns = QRect(left + slack, title + side, side, below)
        self._show_window()

    def _show_window(self) -> None:
        self._view.show_window(self._window)
        if self._specks != (self.cell_size() < _SPECK):
            self._recolour()
        self._show_frames()

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Fit the matrix anew."""
        super().resizeEvent(event)
        self._place()

    @Slot()
    def _restyle(self) -> None:
        self._view.restyle()
        self._recolour()

    def _recolour(self) -> None:
        values = row_shares(self._counts) if self._as_shares else self._counts
        self._specks = self.cell_size() < _SPECK
        colours = cell_colours(values, theme.colours(), FAINTEST_SPECK if self._specks else FAINTEST)
        widest = ">99" if self._as_shares else f"{int(self._counts.max(initial=0)):,}"
        self._view.show_cells(colours, self.number_text, widest)
        self.update()

    def paintEvent(self, event: QPaintEvent) -> None:  # noqa: ARG002 -- Qt's signature
        """Paint the names and what the two sides are."""
        if not self._names:
            return
        painter = QPainter(self)
        painter.setFont(theme.text_font(theme.TextSize.SMALL))
        row, column = self._current or (None, None)
        paint_rows(painter, self._names, self._empty, self._rows, self._window, row)
        never = [False] * len(self._names)
        paint_columns(painter, self._names, never, self._columns, self._window, column)
        painter.setPen(QColor(theme.colours().muted))
        line = painter.fontMetrics().height()
        corner = QRect(self._rows.left(), 0, self._rows.width() - theme.SPACE, line)
        painter.drawText(corner, int(Qt.AlignmentFlag.AlignRight), _TRUE)
        corner.moveTop(self._columns.top() + theme.SPACE_HALF)
        painter.drawText(corner, int(Qt.AlignmentFlag.AlignRight), _PREDICTED)
        painter.setBrush(Qt.BrushStyle.NoBrush)
        painter.setPen(QColor(theme.colours().accent if self.hasFocus() else theme.colours().border))
        painter.drawRect(self._view.geometry().adjusted(-1, -1, 0, 0))

    # -- cells ----------------------------------------------------------------------------------------------------

    def cell_at(self, position: QPointF) -> Cell | None:
        """The cell at a point of the picture, in its own pixels."""
        cell = self.cell_size()
        column = int(self._window.left + position.x() / cell)
        row = int(self._window.top + position.y() / cell)
        inside = self._view.rect().contains(position.toPoint())
        return (row, column) if inside and row < len(self._names) and column < len(self._names) else None

    def point_of(self, true: int, predicted: int) -> QPoint:
        """The middle of a cell, in the pixels of the picture (``picture()``)."""
        cell = self.cell_size()
        return QPoint(int((predicted + 0.5 - self._window.left) * cell), int((true + 0.5 - self._window.top) * cell))

    def picture(self) -> QWidget:
        """The widget that takes clicks."""
        viewport: QWidget = self._view.viewport()
        return viewport

    def _point_at(self, cell: Cell | None) -> None:
        if cell == self._current:
            return
        self._current = cell
        text = printable_lines(self.text_of(*cell)) if cell else ""
        self.setAccessibleDescription(text)
        self.pointed.emit(text)
        self._show_frames()

    def _show_frames(self) -> None:
        self._view.frame(self._chosen, self._current)
        self.update()

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """The picture's mouse: pointing, clicking, dragging, the wheel, and its tool tip."""
        match event:
            case QHelpEvent() if event.type() is QEvent.Type.ToolTip:
                cell = self.cell_at(QPointF(event.pos()))
                QToolTip.showText(event.globalPos(), printable_lines(self.text_of(*cell)) if cell else "", self)
                return True
            case QWheelEvent():
                factor = _WHEEL_STEP if event.angleDelta().y() > 0 else 1 / _WHEEL_STEP
                self._zoom(factor, event.position())
                return True
            case QMouseEvent():
                return self._on_mouse(event)
        if event.type() is QEvent.Type.Leave and not self.hasFocus():
            self._point_at(None)
        return super().eventFilter(watched, event)

    def _on_mouse(self, event: QMouseEvent) -> bool:
        position = event.position()
        match event.type():
            case QEvent.Type.MouseButtonPress if event.button() is Qt.MouseButton.LeftButton:
                self.setFocus(Qt.FocusReason.MouseFocusReason)
                self._pressed, self._window_pressed = position, self._window
            case QEvent.Type.MouseMove:
                if self._pressed is not None and event.buttons() & Qt.MouseButton.LeftButton:
                    moved = (position - self._pressed) / self.cell_size()
                    self._look_at(self._window_pressed.moved(-moved.x(), -moved.y()))
                self._point_at(self.cell_at(position))
            case QEvent.Type.MouseButtonRelease if self._pressed is not None:
                slipped = (position - self._pressed).manhattanLength()
                self._pressed = None
                if slipped <= _CLICK_SLIP and (cell := self.cell_at(position)):
                    self.choose(*cell)
            case _:
                pass
        return True

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Arrows move, Enter chooses, plus and minus enlarge and reduce, Escape shows everything."""
        row, column = self._current or self._chosen or (0, 0)
        last = len(self._names) - 1
        if last < 0:
            super().keyPressEvent(event)
            return
        middle = QPointF(self.point_of(row, column))
        match event.key():
            case Qt.Key.Key_Left:
                column -= 1
            case Qt.Key.Key_Right:
                column += 1
            case Qt.Key.Key_Up:
                row -= 1
            case Qt.Key.Key_Down:
                row += 1
            case Qt.Key.Key_Home:
                column = 0
            case Qt.Key.Key_End:
                column = last
            case Qt.Key.Key_Return | Qt.Key.Key_Enter | Qt.Key.Key_Space:
                self.choose(row, column)
                return
            case Qt.Key.Key_Plus | Qt.Key.Key_Equal:
                self._zoom(_WHEEL_STEP, middle)
                return
            case Qt.Key.Key_Minus:
                self._zoom(1 / _WHEEL_STEP, middle)
                return
            case Qt.Key.Key_Escape if self._window.span < last + 1:
                self._look_at(Window(0.0, 0.0, last + 1.0))
                return
            case _:
                super().keyPressEvent(event)
                return
        row, column = min(max(row, 0), last), min(max(column, 0), last)
        self._point_at((row, column))
        self._look_at(self._window.with_cell(row, column))

    def focusInEvent(self, event: QFocusEvent) -> None:
        """Frame a cell for the keyboard to start from."""
        super().focusInEvent(event)
        by_keyboard = event.reason() in {Qt.FocusReason.TabFocusReason, Qt.FocusReason.BacktabFocusReason}
        if self._current is None and self._names and by_keyboard:
            self._point_at(self._chosen or (0, 0))
        self.update()

    def focusOutEvent(self, event: QFocusEvent) -> None:
        """The frame goes with the keyboard."""
        super().focusOutEvent(event)
        self._point_at(None)
        self.update()

    # -- looking closer -------------------------------------------------------------------------------------------

    def _zoom(self, factor: float, at: QPointF) -> None:
        """Enlarge around a point of the picture."""
        side, whole = float(self._view.width()), float(max(1, len(self._names)))
        smallest = min(whole, side / max(_LARGEST_ZOOM, side / whole))
        span = min(max(self._window.span / factor, smallest), whole)
        self._look_at(self._window.with_span(span, at.x() / side, at.y() / side))

    def _look_at(self, window: Window) -> None:
        self._window = window.within(len(self._names))
        self._show_window()
