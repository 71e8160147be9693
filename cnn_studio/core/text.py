"""Names and lists of them as text that can be shown, kept and sent."""

from __future__ import annotations

from collections.abc import Sequence


def printable(name: str) -> str:
    """The name with bytes that are no valid text written as escapes, so that it can be shown and sent as JSON."""
    return name.encode("utf-8", "backslashreplace").decode()


def listed(names: Sequence[str], most: int = 5) -> str:
    """Names in a sentence: “a”, “a and b”, “a, b, c, d, e and 3 more”."""
    shown = list(names[:most]) + ([f"{len(names) - most} more"] if len(names) > most else [])
    return shown[0] if len(shown) == 1 else f"{', '.join(shown[:-1])} and {shown[-1]}"
