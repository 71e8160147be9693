"""Fractions as people read them: in per cent, never claiming more than is known."""

from __future__ import annotations

import math


def format_percent(fraction: float) -> str:
    """A fraction 0–1 as a whole percentage that never claims more than is known.

    ``100 %`` and ``0 %`` are only for exactly 1 and 0; close to them it says ``>99 %`` and ``<1 %``. A value that is
    not a number gives ``–``.
    """
    if not math.isfinite(fraction):
        return "–"
    if 0.0 < fraction < 0.01:
        return "<1 %"
    if 0.99 < fraction < 1.0:
        return ">99 %"
    return f"{fraction * 100:.0f} %"


def format_percent_within(value: float, low: float, high: float) -> str:
    """A fraction 0–1 in per cent with the interval it lies in: ``91 % (89–93 %)``.

    With more decimals where whole numbers would say nothing: ``99.7 % (99.6–99.8 %)``.
    """
    digits = _decimals_needed(low, high)
    shown = f"{100 * value:.{digits}f} %" if digits else format_percent(value)
    return f"{shown} ({format_percent_range(low, high)})"


def format_percent_range(low: float, high: float, between: str = "–") -> str:
    """An interval of fractions 0–1 in per cent: ``89–93 %``, ``99.6–99.7 %``."""
    digits = _decimals_needed(low, high)
    return f"{100 * low:.{digits}f}{between}{100 * high:.{digits}f} %"


def _decimals_needed(low: float, high: float) -> int:
    """Decimals of per cents, 0 to 2, with which two ends differ and neither claims to be a 0 or 1 that it is not."""
    for digits in range(2):
        ends = [round(100 * end, digits) for end in (low, high)]
        claims = any(shown in {0, 100} and shown != 100 * end for shown, end in zip(ends, (low, high), strict=True))
        if ends[0] != ends[1] and not claims:
            return digits
    return 2 if low != high else 0
