"""Which part of a matrix is in view."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Window:
    """A square of ``span`` by ``span`` cells from ``left``, ``top`` on."""

    left: float
    top: float
    span: float

    def columns(self, count: int) -> range:
        """Columns in view, whole or in part, of so many."""
        return range(max(0, math.floor(self.left)), min(count, math.ceil(self.left + self.span)))

    def rows(self, count: int) -> range:
        """Rows in view, whole or in part, of so many."""
        return range(max(0, math.floor(self.top)), min(count, math.ceil(self.top + self.span)))

    def within(self, count: int) -> Window:
        """The nearest that shows nothing outside a matrix of so many classes."""
        most = max(0.0, count - self.span)
        return Window(min(max(self.left, 0.0), most), min(max(self.top, 0.0), most), self.span)

    def moved(self, right: float, down: float) -> Window:
        """So many cells further."""
        return Window(self.left + right, self.top + down, self.span)

    def with_span(self, span: float, x: float, y: float) -> Window:
        """Of another span; what is at ``x``, ``y`` (0–1 of the sides) stays there."""
        return Window(self.left + x * (self.span - span), self.top + y * (self.span - span), span)

    def with_cell(self, row: int, column: int) -> Window:
        """Moved as little as brings a cell wholly into view."""
        left = min(max(self.left, column + 1 - self.span), float(column))
        top = min(max(self.top, row + 1 - self.span), float(row))
        return Window(left, top, self.span)
