"""The cells of a confusion matrix: an image of a pixel per cell, numbers where there is room, frames."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pyqtgraph
from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtGui import QColor, QPainter, QPen
from PySide6.QtWidgets import QGraphicsItem, QGraphicsRectItem, QStyleOptionGraphicsItem, QWidget

from cnn_studio.gui.look import theme
from cnn_studio.gui.widgets.matrix_colours import Colours, takes_light_text
from cnn_studio.gui.widgets.matrix_window import Window

Cell = tuple[int, int]
"""True and predicted label."""

CellText = Callable[[int, int], str]
"""(true, predicted) -> what is written into the cell; "" for nothing."""

_LEAST_FRAME = 9
"""A frame around a smaller cell is drawn this large, in pixels, to be seen at all."""

_LARGE_CELL = 44
"""From this size on, in pixels, a cell has room for text of the usual size."""


class MatrixPicture(pyqtgraph.GraphicsView):  # type: ignore[misc]  # pyqtgraph has no types
    """Shows a part of the cells, as large as the widget, which is square."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setFrameShape(self.Shape.NoFrame)
        self.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self._box = pyqtgraph.ViewBox(enableMouse=False, enableMenu=False, invertY=True, defaultPadding=0)
        self._box.disableAutoRange()
        self.setCentralItem(self._box)
        self._window = Window(0.0, 0.0, 1.0)
        self._count = 0
        self._image = pyqtgraph.ImageItem(axisOrder="row-major")
        self._numbers = _Numbers(self._paint_numbers)
        self._light = np.zeros((0, 0), np.bool_)
        self._text_of: CellText = lambda _true, _predicted: ""
        self._widest = ""
        self._chosen, self._current = _Frame(2), _Frame(1)
        for item in (self._image, self._numbers, self._chosen, self._current):
            self._box.addItem(item, ignoreBounds=True)
        self.viewport().setMouseTracking(True)

    def cell_size(self) -> float:
        """Side of a cell in device-independent pixels."""
        return float(self.width() / self._window.span)

    def show_window(self, window: Window) -> None:
        """Show another part."""
        self._window = window
        self._box.setRange(QRectF(window.left, window.top, window.span, window.span), padding=0, disableAutoRange=True)
        self._numbers.update()

    def show_cells(self, colours: Colours, text_of: CellText, widest: str) -> None:
        """Show cells.

        Args:
            colours: uint8 (classes, classes, 3).
            text_of: what is written into each.
            widest: the longest of these texts: numbers are written where it fits, so that all or none are.
        """
        count = len(colours)
        self._light, self._text_of, self._widest = takes_light_text(colours), text_of, widest
        if count:
            self._image.setImage(colours, autoLevels=False, levels=None)
            self._image.setRect(QRectF(0, 0, count, count))
        self._count = count
        self._numbers.cover(count)

    def frame(self, chosen: Cell | None, current: Cell | None) -> None:
        """Draw frames around the chosen cell and the one pointed at."""
        wider = max(0.0, _LEAST_FRAME / self.cell_size() - 1) / 2
        self._chosen.surround(chosen, wider)
        self._current.surround(current, wider)

    def restyle(self) -> None:
        """Take the theme's colours."""
        colour = theme.colours()
        self.setBackground(colour.surface)
        self._chosen.set_colour(colour.text)
        self._current.set_colour(colour.text)

    def _paint_numbers(self, painter: QPainter) -> None:
        """Write the numbers into the cells in view, in pixels: text must not be stretched with the cells."""
        cell, window = self.cell_size(), self._window
        painter.setFont(theme.text_font(theme.TextSize.SMALL if cell < _LARGE_CELL else theme.TextSize.BODY))
        metrics = painter.fontMetrics()
        if cell < max(metrics.height(), metrics.horizontalAdvance(self._widest) + 4):
            return
        origin = painter.worldTransform().map(QPointF(window.left, window.top))
        painter.resetTransform()
        painter.translate(origin)
        white, black = QColor("#ffffff"), QColor("#000000")
        for row in window.rows(self._count):
            for column in window.columns(self._count):
                if text := self._text_of(row, column):
                    painter.setPen(white if self._light[row, column] else black)
                    place = QRectF((column - window.left) * cell, (row - window.top) * cell, cell, cell)
                    painter.drawText(place, int(Qt.AlignmentFlag.AlignCenter), text)


class _Numbers(QGraphicsItem):
    """The numbers of all cells in one item: an item for each of 40,000 cells would take seconds."""

    def __init__(self, paint: Callable[[QPainter], None]) -> None:
        super().__init__()
        self._paint = paint
        self._count = 0
        self.setZValue(5)

    def cover(self, count: int) -> None:
        """Be as large as so many classes."""
        self.prepareGeometryChange()
        self._count = count
        self.update()

    def boundingRect(self) -> QRectF:
        """All cells."""
        return QRectF(0, 0, self._count, self._count)

    def paint(
        self,
        painter: QPainter,
        option: QStyleOptionGraphicsItem,  # noqa: ARG002 -- Qt's signature
        widget: QWidget | None = None,  # noqa: ARG002
    ) -> None:
        """Paint them."""
        painter.save()
        self._paint(painter)
        painter.restore()


class _Frame(QGraphicsRectItem):
    def __init__(self, width: int) -> None:
        super().__init__()
        self._width = width
        self.setZValue(10 + width)
        self.setVisible(False)

    def set_colour(self, colour: str) -> None:
        """Be of a colour."""
        pen = QPen(QColor(colour), self._width)
        pen.setCosmetic(True)
        self.setPen(pen)

    def surround(self, cell: Cell | None, wider: float) -> None:
        """Frame a cell, at some distance in cells."""
        self.setVisible(cell is not None)
        if cell is not None:
            row, column = cell
            self.setRect(QRectF(column - wider, row - wider, 1 + 2 * wider, 1 + 2 * wider))
