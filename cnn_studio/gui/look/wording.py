"""Numbers, and texts of others, as people read them."""

from __future__ import annotations

import math
from collections.abc import Mapping

from cnn_studio.core.percent import format_percent, format_percent_within

_MINUTE = 60
_HOUR = 3600


def format_count(number: int) -> str:
    """A count with thousands separators: ``3,670``."""
    return f"{number:,}"


def format_things(number: int, singular: str, plural: str = "") -> str:
    """A count with its noun: ``1 image``, ``3,670 images``."""
    return f"{number:,} {singular if number == 1 else plural or singular + 's'}"


def accuracy_in(metrics: Mapping[str, float], split: str) -> str:
    """The accuracy of "val" or "test" among a model's figures, with its interval if that was kept; "" for none."""
    figures = [metrics[name] for end in ("", "_low", "_high") if (name := f"{split}_accuracy{end}") in metrics]
    if len(figures) == 3:
        return format_percent_within(*figures)
    return format_percent(figures[0]) if f"{split}_accuracy" in metrics else ""


def accuracy_told(metrics: Mapping[str, float]) -> str:
    """How good a model is by its own figures: "test accuracy 88 % (80–93 %)", without a test the validation's."""
    for split, name in (("test", "test accuracy"), ("val", "validation accuracy")):
        if accuracy := accuracy_in(metrics, split):
            return f"{name} {accuracy}"
    return ""


def format_duration(seconds: float) -> str:
    """A length of time in at most two units: ``8 s``, ``2 min``, ``2 min 30 s``, ``1 h 10 min``, ``3 days 4 h``."""
    whole = max(0, round(seconds))
    if whole < _MINUTE:
        return f"{whole} s"
    if whole < 10 * _MINUTE:
        return _two(whole, _MINUTE, "min", "s")
    minutes = round(seconds / _MINUTE)
    if minutes < 60:
        return f"{minutes} min"
    if minutes < 24 * 60:
        return _two(minutes, 60, "h", "min")
    hours = round(seconds / _HOUR)
    return _two(hours, 24, "day" if hours < 48 else "days", "h")


def format_time_left(seconds: float) -> str:
    """Time left, rounded as an estimate deserves: ``45 s left``, ``2 min left``, ``about 1 h 10 min left``."""
    if not math.isfinite(seconds):
        return ""
    if seconds < 57:
        return "a few seconds left" if seconds < 8 else f"{max(10, 5 * round(seconds / 5))} s left"
    minutes = max(1, round(seconds / _MINUTE))
    if minutes < 10:
        return f"{minutes} min left"
    if minutes < 58:
        return f"about {5 * round(minutes / 5)} min left"
    tens = 10 * round(minutes / 10)
    if tens < 24 * 60:
        return f"about {_two(max(tens, 60), 60, 'h', 'min')} left"
    hours = round(seconds / _HOUR)
    return f"about {_two(hours, 24, 'day' if hours < 48 else 'days', 'h')} left"


def format_rate(per_second: float, unit: str = "images") -> str:
    """A speed with two significant digits at least: ``71 images/s``, ``0.8 images/s``."""
    if not math.isfinite(per_second) or per_second <= 0:
        return ""
    number = f"{per_second:,.0f}" if per_second >= 10 else f"{per_second:.1f}"
    return f"{number} {unit}/s"


def format_size(number: int) -> str:
    """A number of bytes: ``812 bytes``, ``3.2 MB`` (powers of 1000, as file managers show)."""
    if number < 1000:
        return format_things(number, "byte")
    size = float(number)
    for unit in ("kB", "MB", "GB", "TB"):
        size /= 1000
        if size < 999.5 or unit == "TB":
            break
    return f"{size:.0f} {unit}" if size >= 10 else f"{size:.1f} {unit}"


def _two(amount: int, base: int, large: str, small: str) -> str:
    """``amount`` of the small unit as "1 h 10 min", leaving a zero small part out."""
    most, rest = divmod(amount, base)
    return f"{most} {large} {rest} {small}" if rest else f"{most} {large}"
