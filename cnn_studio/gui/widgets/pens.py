"""Pens and colours for plots: opaque, since pyqtgraph draws those many times faster."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtGui import QColor, QPen


def pen(colour: str, width: float = 1, style: Qt.PenStyle = Qt.PenStyle.SolidLine) -> QPen:
    """A pen of so many pixels."""
    made = QPen(QColor(colour))
    made.setWidthF(width)
    made.setCosmetic(True)
    made.setStyle(style)
    return made


def mixed(colour: str, with_colour: str, amount: float) -> str:
    """``amount`` (0–1) of one colour and the rest of another, as ``#rrggbb``: opaque pens are quick to draw."""
    one, other = QColor(colour), QColor(with_colour)
    parts = zip(one.getRgb()[:3], other.getRgb()[:3], strict=True)  # type: ignore[index]
    return QColor(*(round(a * amount + b * (1 - amount)) for a, b in parts)).name()
