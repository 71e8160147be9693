"""Which pages there are, and what a page may ask of the window it is in."""

from __future__ import annotations

from enum import StrEnum
from typing import Protocol


class Page(StrEnum):
    """A page's key, in the order of the list on the left; its icon has the same name."""

    DATA = "data"
    MODEL = "model"
    AUGMENT = "augment"
    TRAIN = "train"
    EVALUATE = "evaluate"
    PREDICT = "predict"
    RUNS = "runs"
    HELP = "help"


PAGE_TITLES = {
    Page.DATA: "Data",
    Page.MODEL: "Model",
    Page.AUGMENT: "Augment",
    Page.TRAIN: "Train",
    Page.EVALUATE: "Evaluate",
    Page.PREDICT: "Predict",
    Page.RUNS: "Runs",
    Page.HELP: "Help",
}


class Navigation(Protocol):
    """Brings another page to the front."""

    def show_page(self, key: str) -> None:
        """Show the page of that key."""
