"""What a threshold costs and brings: how many images get an answer, and how many answers are right."""

from __future__ import annotations

import numpy as np
import pyqtgraph
from numpy.typing import ArrayLike, NDArray
from PySide6.QtCore import Signal, Slot
from PySide6.QtWidgets import QWidget

from cnn_studio.core.evaluation.calibration import coverage_curve
from cnn_studio.gui.look import theme
from cnn_studio.gui.widgets.pens import pen
from cnn_studio.gui.widgets.plain_plot import PlainPlot

Floats = NDArray[np.float64]

_POINTS = 501
"""More thresholds than a plot has pixels."""


class CoveragePlot(PlainPlot):
    """Coverage and accuracy over the threshold, with a line to drag to the one that is wanted."""

    threshold_dragged = Signal(float)
    """The line was moved by hand: 0–1."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__("an answer needs at least this probability (threshold)", parent)
        self._coverage = self.add(pyqtgraph.PlotDataItem(), 1)
        self._accuracy = self.add(pyqtgraph.PlotDataItem(), 2)
        self._line = self.add(pyqtgraph.InfiniteLine(0.0, angle=90, movable=True, bounds=(0.0, 1.0)), 3)
        self._line.addMarker("o", 0.5, 10.0)
        self._line.sigDragged.connect(self._on_dragged)
        self.setAccessibleName("Coverage and accuracy by threshold")
        self.restyle()

    def show_answers(self, confidence: ArrayLike, right: ArrayLike) -> None:
        """Show the curves of n answers.

        Args:
            confidence: (n,) probability of each answer, 0–1.
            right: (n,) whether it is right.
        """
        curve = coverage_curve(confidence, right)
        x = np.linspace(0.0, 1.0, _POINTS)
        if not len(curve.thresholds):
            self._coverage.setData([], [])
            self._accuracy.setData([], [])
            return
        # Both are steps: what holds at a threshold is what holds at the next confidence that occurs.
        place = np.searchsorted(curve.thresholds, x, side="left")
        place[x <= np.min(confidence)] = 0  # the first threshold stands for all up to the least sure answer
        answered = place < len(curve.thresholds)
        place = np.minimum(place, len(curve.thresholds) - 1)
        self._coverage.setData(x, np.where(answered, curve.coverage[place], 0.0))
        self._accuracy.setData(x[answered], curve.accuracy[place][answered])

    def set_threshold(self, threshold: float) -> None:
        """Put the line somewhere, 0–1."""
        self._line.setValue(threshold)

    def threshold(self) -> float:
        """Where the line is, 0–1."""
        return float(self._line.value())

    def curves(self) -> tuple[tuple[Floats, Floats], tuple[Floats, Floats]]:
        """The points drawn, x and y of the coverage, then of the accuracy."""
        return self._coverage.getData(), self._accuracy.getData()

    @Slot(object)
    def _on_dragged(self, line: object) -> None:  # noqa: ARG002 -- pyqtgraph's signal
        self.threshold_dragged.emit(self.threshold())

    @Slot()
    def restyle(self) -> None:
        """Take the theme's colours."""
        super().restyle()
        colour = theme.colours()
        self._coverage.setPen(pen(colour.validation, 2))
        self._accuracy.setPen(pen(colour.accent, 2))
        self._line.setPen(pen(colour.text, 2))
        self._line.setHoverPen(pen(colour.accent, 3))
