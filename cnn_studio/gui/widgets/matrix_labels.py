"""Class names along a matrix's two sides: as many as there is room for, upright or turned, shortened where too long."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from PySide6.QtCore import QPointF, QRect, QRectF, Qt
from PySide6.QtGui import QColor, QFont, QFontMetrics, QPainter

from cnn_studio.gui.look import theme
from cnn_studio.gui.widgets.matrix_window import Window
from cnn_studio.gui.widgets.tile_view import one_line

_GAP = theme.SPACE


def longest(names: Sequence[str], metrics: QFontMetrics) -> int:
    """Width of the longest name in pixels."""
    return max((metrics.horizontalAdvance(one_line(name)) for name in names), default=0)


def chosen_places(places: range, cell: float, line: int, marked: int | None) -> Iterator[int]:
    """The places that get a label when each takes ``line`` pixels and a cell has ``cell``: every one, or every so many.

    ``marked`` always gets one, and its neighbours give way to it.
    """
    step = max(1, math.ceil(line / cell)) if cell > 0 else 1
    for place in places:
        crowded = marked is not None and place != marked and abs(place - marked) * cell < line
        if place == marked or (place % step == 0 and not crowded):
            yield place


def paint_rows(
    painter: QPainter, names: Sequence[str], empty: Sequence[bool], room: QRect, window: Window, marked: int | None
) -> None:
    """Names of the rows, right-aligned in ``room``, which is as high as the matrix."""
    cell = room.height() / window.span
    line = painter.fontMetrics().height()
    for row in chosen_places(window.rows(len(names)), cell, line, marked):
        middle = room.top() + (row + 0.5 - window.top) * cell
        if not room.top() <= middle <= room.bottom() + 1:
            continue
        place = QRectF(room.left(), middle - line / 2, room.width() - _GAP, line)
        _paint(painter, place, names[row], Qt.AlignmentFlag.AlignRight, empty=empty[row], marked=row == marked)


def paint_columns(
    painter: QPainter, names: Sequence[str], empty: Sequence[bool], room: QRect, window: Window, marked: int | None
) -> None:
    """Names of the columns below the matrix: upright where each fits its cell, else turned to end at its cell."""
    cell = room.width() / window.span
    line = painter.fontMetrics().height()
    upright = fits_upright(names, painter.fontMetrics(), cell)
    for column in chosen_places(window.columns(len(names)), cell, 1 if upright else line, marked):
        middle = room.left() + (column + 0.5 - window.left) * cell
        if not room.left() <= middle <= room.right() + 1:
            continue
        is_marked = column == marked
        if upright:
            place = QRectF(middle - cell / 2, room.top() + theme.SPACE_HALF, cell, line)
            _paint(painter, place, names[column], Qt.AlignmentFlag.AlignHCenter, empty=empty[column], marked=is_marked)
            continue
        painter.save()
        painter.translate(QPointF(middle, room.top()))
        painter.rotate(-90)
        place = QRectF(-room.height(), -line / 2, room.height() - theme.SPACE_HALF, line)
        _paint(painter, place, names[column], Qt.AlignmentFlag.AlignRight, empty=empty[column], marked=is_marked)
        painter.restore()


def fits_upright(names: Sequence[str], metrics: QFontMetrics, cell: float) -> bool:
    """Whether every name can stand upright below its cell."""
    return longest(names, metrics) + _GAP <= cell


def _paint(painter: QPainter, place: QRectF, name: str, align: Qt.AlignmentFlag, *, empty: bool, marked: bool) -> None:
    colour = theme.colours()
    font = QFont(painter.font())
    font.setBold(marked)
    metrics = QFontMetrics(font)
    text = metrics.elidedText(one_line(name), Qt.TextElideMode.ElideRight, int(place.width()))
    before = painter.font()
    painter.setFont(font)
    painter.setPen(QColor(colour.disabled if empty and not marked else colour.text))
    painter.drawText(place, int(align | Qt.AlignmentFlag.AlignVCenter | Qt.TextFlag.TextSingleLine), text)
    painter.setFont(before)
