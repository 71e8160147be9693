"""The drawings of the report page, as SVG: training curves, confusion matrix, reliability diagram, coverage curve.

Colours come from the page's style sheet, so that they follow light and dark. Names are escaped here.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

import numpy as np
from numpy.typing import NDArray

from cnn_studio.core.evaluation.calibration import CoverageCurve, Reliability
from cnn_studio.core.evaluation.confusion import Confusion
from cnn_studio.core.percent import format_percent

_WIDTH, _HEIGHT = 480, 320
_LEFT, _RIGHT, _TOP, _BOTTOM = 52, 20, 12, 44
_MOST_POINTS = 400  # more could not be told apart

_MATRIX_WIDTH = 1000
_NUMBERS_UP_TO = 20  # classes; beyond, a cell is too small for its number
_NAMES_UP_TO = 60
_NAME_LETTERS = 18
_LARGEST_CELL = 56.0


@dataclass(frozen=True, slots=True)
class Line:
    """A curve: ``name`` in the legend, ``kind`` "first" or "second" (its colour), points (x, y)."""

    name: str
    kind: str
    points: Sequence[tuple[float, float]]


def line_chart(lines: Sequence[Line], x_title: str, y_title: str, marks: Sequence[tuple[float, str]] = ()) -> str:
    """Curves over a common x, with a legend.

    Args:
        lines: at least one point in all; what is not finite is left out.
        x_title: below the x axis.
        y_title: above the drawing's left edge; "" for none.
        marks: (x, text) of vertical lines.
    """
    points = [point for line in lines for point in line.points if all(map(math.isfinite, point))]
    xs, ys = [x for x, _ in points], [y for _, y in points]
    chart = _Chart(*_widened(min(xs), max(xs), 0.0), *_widened(min(ys), max(ys), 0.05))
    parts = [chart.axes(x_title, y_title)]
    for x, text in marks:
        parts.append(chart.vertical(x, text))
    for number, line in enumerate(lines):
        finite = _thinned([point for point in line.points if all(map(math.isfinite, point))])
        path = " ".join(f"{chart.x(x):.1f},{chart.y(y):.1f}" for x, y in finite)
        parts.append(f'<polyline class="line {line.kind}" points="{path}"/>')
        if len(finite) == 1:
            (x, y) = finite[0]
            parts.append(f'<circle class="{line.kind}-fill" cx="{chart.x(x):.1f}" cy="{chart.y(y):.1f}" r="3"/>')
        if len(lines) == 1:  # the axes' titles say it
            continue
        left = _LEFT + 10 + 110 * number
        parts.append(f'<rect class="{line.kind}-fill" x="{left}" y="{_HEIGHT - 9}" width="14" height="3"/>')
        parts.append(f'<text x="{left + 20}" y="{_HEIGHT - 4}">{escape(line.name)}</text>')
    return _svg(_WIDTH, _HEIGHT, "".join(parts), y_title or x_title)


def reliability_diagram(found: Reliability) -> str:
    """Accuracy of each bin (the line on its bar) and the gap to what its confidence promised, in red."""
    chart = _Chart(0.0, 1.0, 0.0, 1.0)
    parts = [chart.axes("how sure it said it was (confidence)", "how often it was right (accuracy)", percent=True)]
    largest = max((one.count for one in found.bins), default=0)
    for one in found.bins:
        if not one.count:
            continue
        left, right = chart.x(one.low) + 1, chart.x(one.high) - 1
        low, high = sorted((one.accuracy, one.confidence))
        place = f'x="{left:.1f}" width="{right - left:.1f}"'
        said, good = format_percent(one.confidence), format_percent(one.accuracy)
        tip = f"{one.count:,} images said to be {said} sure on average, {good} of them right"
        opacity = 0.35 + 0.65 * one.count / largest
        parts.append(
            f"<g><title>{tip}</title>"
            f'<rect class="first-fill" fill-opacity="{opacity:.2f}" {place} y="{chart.y(low):.1f}" '
            f'height="{chart.y(0) - chart.y(low):.1f}"/>'
            f'<rect class="gap" {place} y="{chart.y(high):.1f}" height="{chart.y(low) - chart.y(high):.1f}"/>'
            f'<line class="line first" x1="{left:.1f}" x2="{right:.1f}" y1="{chart.y(one.accuracy):.1f}" '
            f'y2="{chart.y(one.accuracy):.1f}"/></g>'
        )
    start, end = f'x1="{chart.x(0):.1f}" y1="{chart.y(0):.1f}"', f'x2="{chart.x(1):.1f}" y2="{chart.y(1):.1f}"'
    parts.append(f'<line class="dashed" {start} {end}/>')
    return _svg(_WIDTH, _HEIGHT, "".join(parts), "Reliability diagram")


def coverage_chart(curve: CoverageCurve, threshold: float) -> str:
    """Accuracy over the part of the images that gets an answer, with a mark where the threshold is."""
    line = Line("answers that are right", "first", list(zip(curve.coverage, curve.accuracy, strict=True)))
    chosen = np.flatnonzero(curve.thresholds >= threshold)
    marks = [(float(curve.coverage[chosen[0]]), "threshold")] if threshold and len(chosen) else []
    return line_chart([line], "part of the images that gets an answer (coverage)", "accuracy of the answers", marks)


def matrix_drawing(counts: NDArray[np.int64], class_names: Sequence[str]) -> str:
    """The confusion matrix, from two classes to hundreds: true classes down, predicted ones across.

    A cell is the stronger, the larger the part of the true class that ended there: green on the diagonal, red beside
    it. Up to
    20 classes it holds its number; every cell says it in words when pointed at.
    """
    classes = len(class_names)
    named = classes <= _NAMES_UP_TO
    longest = max((min(len(name), _NAME_LETTERS) for name in class_names), default=0)
    margin = 24 + round(longest * 7.5) if named else 8
    side = min(_LARGEST_CELL, (_MATRIX_WIDTH - margin - 10) / max(classes, 1))
    extent = side * classes
    text_size = max(7.0, min(13.0, side * 0.8))
    parts = [f'<rect class="frame" x="{margin}" y="{margin}" width="{extent:.1f}" height="{extent:.1f}"/>']
    for true, predicted in zip(*np.nonzero(counts), strict=True):
        parts.append(_cell(counts, class_names, int(true), int(predicted), margin, side))
    if named:
        for label, name in enumerate(class_names):
            middle = margin + side * (label + 0.5)
            shown = escape(name if len(name) <= _NAME_LETTERS else name[: _NAME_LETTERS - 1] + "…")
            size = f'font-size="{text_size:.1f}"'
            parts.append(
                f'<text {size} x="{margin - 6}" y="{middle:.1f}" text-anchor="end" dominant-baseline="central">'
                f"<title>{escape(name)}</title>{shown}</text>"
                f'<text {size} transform="translate({middle:.1f} {margin - 6}) rotate(-60)" '
                f'dominant-baseline="central"><title>{escape(name)}</title>{shown}</text>'
            )
    parts.append(
        f'<text class="axis" x="{margin}" y="{margin + extent + 18:.1f}">down: true class · across: what it was taken '
        "for</text>"
    )
    width = max(margin + extent + round(longest * 4.0), 420)
    return _svg(round(width), round(margin + extent + 26), "".join(parts), "Confusion matrix", natural_size=True)


def _cell(
    counts: NDArray[np.int64], class_names: Sequence[str], true: int, predicted: int, margin: float, side: float
) -> str:
    count, of = int(counts[true, predicted]), int(counts[true].sum())
    share = count / of
    kind = "right" if true == predicted else "wrong"
    pair = Confusion(true, predicted, count, of)
    tip = f"{count:,} of {of:,} {class_names[true]} were recognised" if kind == "right" else pair.sentence(class_names)
    x, y = margin + predicted * side, margin + true * side
    gap = 1 if side > 8 else 0
    opacity = 0.1 + 0.6 * math.sqrt(share)
    text = ""
    if len(class_names) <= _NUMBERS_UP_TO:
        text = (
            f'<text x="{x + side / 2:.1f}" y="{y + side / 2:.1f}" text-anchor="middle" dominant-baseline="central" '
            f'font-size="{min(14.0, side * 0.36):.1f}">{count:,}</text>'
        )
    return (
        f'<g><title>{escape(tip)}</title><rect class="{kind}" fill-opacity="{opacity:.2f}" x="{x:.1f}" '
        f'y="{y:.1f}" width="{side - gap:.1f}" height="{side - gap:.1f}"/>{text}</g>'
    )


class _Chart:
    """Maps values to the drawing and draws axes."""

    def __init__(self, left: float, right: float, bottom: float, top: float) -> None:
        self._x = (left, right)
        self._y = (bottom, top)

    def x(self, value: float) -> float:
        start, end = self._x
        return _LEFT + (value - start) / (end - start) * (_WIDTH - _LEFT - _RIGHT)

    def y(self, value: float) -> float:
        start, end = self._y
        return _HEIGHT - _BOTTOM - (value - start) / (end - start) * (_HEIGHT - _TOP - _BOTTOM)

    def axes(self, x_title: str, y_title: str, *, percent: bool = False) -> str:
        parts = []
        for value in _ticks(*self._y):
            y = self.y(value)
            text = f"{100 * value:.0f} %" if percent else f"{value:g}"
            parts.append(
                f'<line class="grid" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>'
                f'<text class="axis" x="{_LEFT - 6}" y="{y:.1f}" text-anchor="end" dominant-baseline="central">'
                f"{text}</text>"
            )
        for value in _ticks(*self._x):
            text = f"{100 * value:.0f} %" if percent else f"{value:g}"
            parts.append(
                f'<text class="axis" x="{self.x(value):.1f}" y="{_HEIGHT - _BOTTOM + 14}" text-anchor="middle">'
                f"{text}</text>"
            )
        parts.append(
            f'<text class="axis" x="{_WIDTH - _RIGHT}" y="{_HEIGHT - 4}" text-anchor="end">{escape(x_title)}</text>'
        )
        if y_title:
            middle = (_TOP + _HEIGHT - _BOTTOM) / 2
            parts.append(
                f'<text class="axis" transform="translate(12 {middle:.0f}) rotate(-90)" text-anchor="middle">'
                f"{escape(y_title)}</text>"
            )
        return "".join(parts)

    def vertical(self, x: float, text: str) -> str:
        place = self.x(x)
        anchor, shift = ("end", -4) if place > _WIDTH / 2 else ("start", 4)
        return (
            f'<line class="dashed" x1="{place:.1f}" x2="{place:.1f}" y1="{_TOP}" y2="{_HEIGHT - _BOTTOM}"/>'
            f'<text class="axis" x="{place + shift:.1f}" y="{_TOP + 12}" text-anchor="{anchor}">{escape(text)}</text>'
        )


def _svg(width: int, height: int, content: str, label: str, *, natural_size: bool = False) -> str:
    style = f' style="max-width: {width}px"' if natural_size else ""
    return (
        f'<svg viewBox="0 0 {width} {height}" role="img" aria-label="{escape(label)}"{style} '
        f'xmlns="http://www.w3.org/2000/svg">{content}</svg>'
    )


def _widened(low: float, high: float, share: float) -> tuple[float, float]:
    """A range with some room, and never empty."""
    if low == high:
        return low - 0.5, high + 0.5
    return low - share * (high - low), high + share * (high - low)


def _ticks(low: float, high: float) -> list[float]:
    """Four to eight round numbers within a range."""
    step = 10 ** math.floor(math.log10((high - low) / 2))
    for more in (1, 2, 5, 10):
        if (high - low) / (step * more) <= 8:
            step *= more
            break
    first = math.ceil(low / step - 1e-9)
    return [round(number * step, 10) for number in range(first, math.floor(high / step + 1e-9) + 1)]


def _thinned(points: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """At most about 400 points, the first and last among them."""
    step = max(1, len(points) // _MOST_POINTS)
    return points[:-1:step] + points[-1:]
