"""File names as text that can be shown, kept and sent."""

from __future__ import annotations


def printable(name: str) -> str:
    """The name with bytes that are no valid text written as escapes, so that it can be shown and sent as JSON."""
    return name.encode("utf-8", "backslashreplace").decode()
