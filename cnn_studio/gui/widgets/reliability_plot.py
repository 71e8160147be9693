"""The reliability diagram: when the model says 80 %, how often is it right?"""

from __future__ import annotations

import numpy as np
import pyqtgraph
from PySide6.QtCore import QEvent, Qt, Slot
from PySide6.QtGui import QBrush, QColor, QHelpEvent
from PySide6.QtWidgets import QToolTip, QWidget

from cnn_studio.core.evaluation.calibration import Reliability, ReliabilityBin
from cnn_studio.core.percent import format_percent
from cnn_studio.gui.look import theme
from cnn_studio.gui.look.wording import format_things
from cnn_studio.gui.widgets.pens import mixed, pen
from cnn_studio.gui.widgets.plain_plot import PlainPlot


class ReliabilityPlot(PlainPlot):
    """A bar for each range of confidence: as high as the model was right, with the gap to what it claimed."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__("how sure the model is (confidence)", parent)
        self._reliability: Reliability | None = None
        self._right = self.add(pyqtgraph.BarGraphItem(x0=[], x1=[], y0=[], height=[]), 1)
        self._gap = self.add(pyqtgraph.BarGraphItem(x0=[], x1=[], y0=[], height=[]), 2)
        self._honest = self.add(pyqtgraph.PlotDataItem([0, 1], [0, 1]), 3)
        self.setAccessibleName("Reliability diagram")
        self.restyle()

    def show_reliability(self, reliability: Reliability) -> None:
        """Show a diagram."""
        self._reliability = reliability
        filled = [part for part in reliability.bins if part.count]
        self.setAccessibleDescription("; ".join(bin_text(part) for part in filled))
        self._draw(filled)

    def bar_heights(self) -> list[float]:
        """Height of each bar drawn, 0–1: the accuracy of each range that holds images."""
        return [float(height) for height in self._right.opts["height"]]

    def _draw(self, filled: list[ReliabilityBin]) -> None:
        low = np.array([part.low for part in filled])
        high = np.array([part.high for part in filled])
        accuracy = np.array([part.accuracy for part in filled])
        confidence = np.array([part.confidence for part in filled])
        self._right.setOpts(x0=low, x1=high, y0=np.zeros(len(filled)), height=accuracy)
        lower, upper = np.minimum(accuracy, confidence), np.maximum(accuracy, confidence)
        self._gap.setOpts(x0=low, x1=high, y0=lower, height=upper - lower)

    @Slot()
    def restyle(self) -> None:
        """Take the theme's colours."""
        super().restyle()
        colour = theme.colours()
        self._right.setOpts(pen=pen(colour.surface), brush=QColor(mixed(colour.accent, colour.surface, 0.85)))
        self._gap.setOpts(
            pen=pen(colour.validation), brush=QBrush(QColor(colour.validation), Qt.BrushStyle.BDiagPattern)
        )
        self._honest.setPen(pen(colour.muted, 1, Qt.PenStyle.DashLine))

    def viewportEvent(self, event: QEvent) -> bool:
        """Say in words what is under the pointer."""
        if isinstance(event, QHelpEvent) and self._reliability is not None:
            x = self.x_at(event.pos())
            under = [part for part in self._reliability.bins if part.low <= x <= part.high and part.count]
            QToolTip.showText(event.globalPos(), bin_text(under[0]) if under else "", self)
            return True
        return bool(super().viewportEvent(event))


def bin_text(part: ReliabilityBin) -> str:
    """``60–67 % sure: 24 images, 79 % of them right``."""
    said = f"{100 * part.low:.0f}–{100 * part.high:.0f} % sure"
    return f"{said}: {format_things(part.count, 'image')}, {format_percent(part.accuracy)} of them right"
