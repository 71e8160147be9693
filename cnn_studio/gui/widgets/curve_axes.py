"""The two pyqtgraph plots behind ``CurvePlot``: what is drawn where, with which pen, in which range."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from PySide6.QtCore import QEvent, QObject, QPoint, Qt
from PySide6.QtGui import QColor, QMouseEvent
from PySide6.QtWidgets import QWidget

from cnn_studio.gui.look import theme
from cnn_studio.gui.widgets.curve_data import CurveData, Floats, nice_range, thin
from cnn_studio.gui.widgets.pens import mixed, pen

_FEW_EPOCHS = 60
"""Up to so many epochs each is marked with a dot; more would only thicken the line."""

_AXIS_WIDTH = 48
_PANELS = ("loss", "accuracy")


class CurveAxes(QObject):
    """Loss and accuracy over epochs, x axes linked.

    Attributes:
        views: the two widgets, loss first.
    """

    def __init__(self) -> None:
        super().__init__()
        import pyqtgraph

        self._pg = pyqtgraph
        self._pointer: Callable[[float | None], None] = lambda _x: None
        self._panels = {what: _Panel(pyqtgraph, what) for what in _PANELS}
        self.views: tuple[QWidget, QWidget] = (self._panels["loss"].view, self._panels["accuracy"].view)
        self._panels["accuracy"].plot.setXLink(self._panels["loss"].plot)
        self._panels["accuracy"].plot.setLabel("bottom", "epoch")
        for panel in self._panels.values():
            panel.view.viewport().installEventFilter(self)

    def on_pointer(self, call: Callable[[float | None], None]) -> None:
        """Call with the epochs under the pointer as it moves, and with None when it leaves."""
        self._pointer = call

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Notice the pointer moving over a plot and leaving it; pyqtgraph's own signal loses the last of fast moves."""
        if event.type() is QEvent.Type.Leave:
            self._pointer(None)
        elif isinstance(event, QMouseEvent) and event.type() is QEvent.Type.MouseMove:
            panel = next(panel for panel in self._panels.values() if panel.view.viewport() is watched)
            self._pointer(panel.epochs_at(event.position().toPoint()))
        return False

    def set_cursor(self, x: float | None) -> None:
        """Show the line at which values are read."""
        for panel in self._panels.values():
            panel.cursor.setVisible(x is not None)
            if x is not None:
                panel.cursor.setValue(x)

    def forget_ranges(self) -> None:
        """Fit the next points afresh."""
        for panel in self._panels.values():
            panel.range = None

    def restyle(self) -> None:
        """Take the theme's colours."""
        for panel in self._panels.values():
            panel.restyle()

    def draw(self, data: CurveData) -> None:
        """Show the data."""
        for what, panel in self._panels.items():
            panel.draw(data, what)


class _Panel:
    """One of the two plots."""

    def __init__(self, pg: Any, what: str) -> None:
        self._pg = pg
        self.what = what
        self.range: tuple[float, float] | None = None
        self._stage_lines: list[Any] = []
        self.view = pg.PlotWidget()
        self.view.setFrameShape(self.view.Shape.NoFrame)
        self.plot = self.view.getPlotItem()
        self.plot.setMouseEnabled(False, False)
        self.plot.setMenuEnabled(False)
        self.plot.hideButtons()
        self.plot.disableAutoRange()
        self.plot.getAxis("left").setWidth(_AXIS_WIDTH)
        if what == "accuracy":
            self.plot.getAxis("left").tickStrings = _percents
        self.plot.getAxis("left").enableAutoSIPrefix(False)
        self.plot.getAxis("bottom").enableAutoSIPrefix(False)
        curves = (self._curve(level) for level in range(5))
        self.raw, self.training_epochs, self.validation_raw, self.smoothed, self.validation = curves
        self.best = self._line(10, label="")
        self.cursor = self._line(20)
        self.cursor.setVisible(False)

    def _curve(self, level: int) -> Any:
        curve = self._pg.PlotDataItem()
        curve.setZValue(level)
        # Points are thinned here; the range is set here: pyqtgraph has nothing to work out.
        self.plot.addItem(curve, ignoreBounds=True)
        return curve

    def _line(self, level: int, label: str | None = None) -> Any:
        options = {} if label is None else {"label": label, "labelOpts": {"position": 0.92, "anchors": _ANCHORS}}
        line = self._pg.InfiniteLine(angle=90, **options)
        line.setZValue(level)
        self.plot.addItem(line, ignoreBounds=True)
        return line

    def epochs_at(self, position: QPoint) -> float:
        """The x value under a point of the view's viewport."""
        return float(self.plot.vb.mapSceneToView(self.view.mapToScene(position)).x())

    def restyle(self) -> None:
        """Take the theme's colours."""
        colour = theme.colours()
        self.view.setBackground(colour.surface)
        font = theme.text_font(theme.TextSize.SMALL)
        for side in ("left", "bottom"):
            axis = self.plot.getAxis(side)
            axis.setPen(pen(colour.grid))
            axis.setTextPen(pen(colour.muted))
            axis.setTickFont(font)
            axis.setTickPen(pen(mixed(colour.grid, colour.surface, 0.6)))
            axis.label.setFont(font)
            # Major lines only and opaque: pyqtgraph's fading minor ones took four fifths of the time of a repaint.
            axis.setStyle(tickLength=0, maxTickLevel=0, hideOverlappingLabels=side == "left")
            axis.setGrid(255)
            axis.setZValue(-200)  # below the curves: an opaque grid would cut through them
        # Opaque, mixed with the background: a transparent pen costs several times as much to draw.
        self.raw.setPen(pen(mixed(colour.training, colour.surface, 0.35)))
        self.smoothed.setPen(pen(colour.training, 2))
        self.training_epochs.setPen(pen(colour.training, 1, Qt.PenStyle.DashLine))
        self.validation_raw.setPen(pen(mixed(colour.validation, colour.surface, 0.35)))
        self.validation.setPen(pen(colour.validation, 2))
        for curve, ink in ((self.training_epochs, colour.training), (self.validation_raw, colour.validation)):
            curve.setSymbolPen(pen(ink))
            curve.setSymbolBrush(QColor(colour.surface if curve is self.training_epochs else ink))
        self.best.setPen(pen(colour.good, 1, Qt.PenStyle.DashLine))
        self.best.label.setColor(QColor(colour.good))
        self.best.label.setFont(font)
        self.cursor.setPen(pen(colour.muted))
        for line in self._stage_lines:
            _style_stage(line)

    def draw(self, data: CurveData, what: str) -> None:
        """Show the data's curves and marks."""
        columns = max(200, self.view.width() // 2)
        batch_x, raw = data.batch(what)
        _, smoothed = data.batch_smoothed(what)
        _set(self.raw, *thin(batch_x, raw, columns))
        thinned = thin(batch_x, smoothed, columns)
        _set(self.smoothed, *thinned)
        few = "o" if data.epochs <= _FEW_EPOCHS else None
        for curve, (x, y) in (
            (self.training_epochs, data.epoch(f"training_{what}")),
            (self.validation_raw, data.epoch(f"validation_{what}")),
            (self.validation, data.epoch_smoothed(f"validation_{what}")),
        ):
            if curve is not self.validation:
                curve.setSymbol(few)
                curve.setSymbolSize(6)
            _set(curve, *thin(x, y, columns))
        self._draw_marks(data)
        self.plot.getAxis("bottom").setTicks([[(epoch, str(epoch)) for epoch in epoch_ticks(data.epochs)]])
        self.plot.setXRange(0, data.epochs, padding=0.02)
        low, high = _range(data, what, thinned[1])
        self.range = nice_range(low, high, now=self.range)
        self.plot.setYRange(*self.range, padding=0.045)

    def _draw_marks(self, data: CurveData) -> None:
        self.best.setVisible(data.best_epoch > 0)
        if data.best_epoch > 0:
            self.best.setValue(data.best_epoch)
            self.best.label.setFormat(f"best epoch {data.best_epoch}" if self.what == "loss" else "")
        if len(self._stage_lines) > len(data.stages):
            for line in self._stage_lines:
                self.plot.removeItem(line)
            self._stage_lines.clear()
        for x, label in data.stages[len(self._stage_lines) :]:
            line = self._line(5, label=label if self.what == "loss" else "")
            line.setValue(x)
            _style_stage(line)
            self._stage_lines.append(line)


_ANCHORS = [(0, 0), (1, 0)]
"""A line's label stands to its right, or to its left where it would leave the plot."""


def epoch_ticks(epochs: int) -> list[int]:
    """Epochs to name on an axis: 0, the last, and round ones between; about ten, none of them halves."""
    least = max(1.0, epochs / 10)
    unit = 10 ** math.floor(math.log10(least))
    step = next(factor * unit for factor in (1, 2, 5, 10) if factor * unit >= least)
    return [*range(0, epochs - step // 2, step), epochs]


def _percents(values: Sequence[float], scale: float, spacing: float) -> list[str]:  # noqa: ARG001 -- pyqtgraph's
    return [f"{round(100 * value, 6):g} %" for value in values]


def _style_stage(line: Any) -> None:
    colour = theme.colours()
    line.setPen(pen(colour.outline, 1, Qt.PenStyle.DotLine))
    line.label.setColor(QColor(colour.muted))
    line.label.setFont(theme.text_font(theme.TextSize.SMALL))


def _set(curve: Any, x: Floats, y: Floats) -> None:
    if not np.isfinite(y).any():
        x, y = x[:0], y[:0]
    # "finite" leaves gaps where a loss was not a number, instead of a line to nowhere.
    curve.setData(x, y, connect="all" if np.isfinite(y).all() else "finite")


def _range(data: CurveData, what: str, batches: Floats) -> tuple[float, float]:
    """What the y axis should hold, in the data's unit; ``batches`` is the moving average as it is drawn."""
    batches = _finite(batches)
    epochs = _finite(np.concatenate([data.epoch(f"training_{what}")[1], data.epoch(f"validation_{what}")[1]]))
    values = np.concatenate([batches, epochs])
    if what == "accuracy":
        low = float(values.min()) if len(values) else 0.0
        return (0.0 if low < 0.6 else low - 0.05, 1.0)
    if not len(values):
        return 0.0, 1.0
    # The first batches can have a loss many times what follows: the highest of them are let go. The end of an epoch
    # counts, unless it would flatten everything else.
    ordinary = float(np.quantile(batches if len(batches) else epochs, 0.97))
    highest = float(batches.max()) if len(batches) else ordinary
    high = highest if highest <= 2 * ordinary else 1.2 * ordinary
    if len(epochs):
        high = max(high, min(float(epochs.max()), 10 * ordinary))
    low = float(values.min())
    return (0.0 if low < 0.6 * high else low, max(high, low + 1e-3))


def _finite(values: Floats) -> Floats:
    return values[np.isfinite(values)]
