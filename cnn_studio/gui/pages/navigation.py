"""What a page may ask of the window it is in."""

from __future__ import annotations

from typing import Protocol


class Navigation(Protocol):
    """Brings another page to the front."""

    def show_page(self, key: str) -> None:
        """Show the page data, model, augment, train, evaluate, predict, runs or help."""
