"""A pyqtgraph plot of fractions that is looked at, not moved: in the theme's colours, both axes in per cent."""

from __future__ import annotations

from typing import Any

import pyqtgraph
from PySide6.QtCore import QPoint, QSize, Qt, Slot
from PySide6.QtWidgets import QWidget

from cnn_studio.gui.look import theme
from cnn_studio.gui.widgets.pens import mixed, pen

_TICKS = [(share / 100, f"{share} %") for share in range(0, 101, 20)]
_AXIS_WIDTH = 48


class PlainPlot(pyqtgraph.PlotWidget):  # type: ignore[misc]  # pyqtgraph has no types
    """Axes from 0 to 1; who draws on it gives its items their colours in ``restyle``.

    The widget it lies in calls that when the theme changes: Qt would still call a deleted one of pyqtgraph's.
    """

    def __init__(self, bottom: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setFrameShape(self.Shape.NoFrame)
        self.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.plot = self.getPlotItem()
        self.plot.setMouseEnabled(False, False)
        self.plot.setMenuEnabled(False)
        self.plot.hideButtons()
        self.plot.disableAutoRange()
        self.plot.setRange(xRange=(0, 1), yRange=(0, 1), padding=0.04)
        self.plot.setLabel("bottom", bottom)
        for side in ("left", "bottom"):
            self.plot.getAxis(side).setTicks([_TICKS])
        self.plot.getAxis("left").setWidth(_AXIS_WIDTH)
        self.setMinimumSize(QSize(200, 120))

    def sizeHint(self) -> QSize:
        """Room to read it."""
        return QSize(380, 260)

    @Slot()
    def restyle(self) -> None:
        """Take the theme's colours."""
        colour = theme.colours()
        self.setBackground(colour.surface)
        font = theme.text_font(theme.TextSize.SMALL)
        for side in ("left", "bottom"):
            axis = self.plot.getAxis(side)
            axis.setPen(pen(colour.grid))
            axis.setTextPen(pen(colour.muted))
            axis.setTickFont(font)
            axis.setTickPen(pen(mixed(colour.grid, colour.surface, 0.6)))
            axis.label.setFont(font)
            axis.setStyle(tickLength=0, maxTickLevel=0, hideOverlappingLabels=False)
            axis.setGrid(255)
            axis.setZValue(-200)

    def add(self, item: Any, level: float = 0) -> Any:
        """Put an item on the plot; it does not change the axes."""
        item.setZValue(level)
        self.plot.addItem(item, ignoreBounds=True)
        return item

    def x_at(self, position: QPoint) -> float:
        """The x value under a point of the viewport."""
        return float(self.plot.vb.mapSceneToView(self.mapToScene(position)).x())
