"""Running text that is read with ease: lines that are not too long, and long words that may break."""

from __future__ import annotations

import re

from PySide6.QtWidgets import QHBoxLayout, QLabel

READING_CHARACTERS = 72
"""A line of running text is at most about so long: from its end the eye must find the beginning of the next."""


_LONGEST_WORD = re.compile(r"\S{20}")


def breakable(text: str) -> str:
    """Text whose long words may break, such as names of classes and files, which have no spaces.

    For showing only: it holds characters of no width.
    """
    return _LONGEST_WORD.sub(lambda found: f"{found[0]}\N{ZERO WIDTH SPACE}", text)


def reading_width(label: QLabel) -> int:
    """The widest that a label of running text is to be, in device-independent pixels."""
    label.ensurePolished()
    return READING_CHARACTERS * label.fontMetrics().averageCharWidth()


def paragraph(label: QLabel) -> QHBoxLayout:
    """Let a label wrap, at the reading width at the latest; what a place is wider stays empty."""
    label.setWordWrap(True)
    label.setMaximumWidth(reading_width(label))
    row = QHBoxLayout()
    row.setSpacing(0)
    row.addWidget(label, 1000)
    row.addStretch(1)
    return row
