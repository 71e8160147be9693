"""Which classes are taken for which."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray


@dataclass(frozen=True, slots=True)
class Confusion:
    """``count`` of the ``of`` images of class ``true`` (a label) were taken for class ``predicted``."""

    true: int
    predicted: int
    count: int
    of: int

    @property
    def share(self) -> float:
        """Which part of the true class that is, 0–1."""
        return self.count / self.of if self.of else 0.0

    def sentence(self, class_names: Sequence[str]) -> str:
        """In words: "17 of 90 tulips were taken for roses"; of numbers: "3 of 31 images of “6” were taken for “4”"."""
        true, predicted = class_names[self.true], class_names[self.predicted]
        if not all(any(letter.isalpha() for letter in name) for name in (true, predicted)):
            true, predicted = f"images of “{true}”", f"“{predicted}”"
        were = "was" if self.count == 1 else "were"
        return f"{self.count:,} of {self.of:,} {true} {were} taken for {predicted}"


def confusion_counts(labels: ArrayLike, predicted: ArrayLike, classes: int) -> NDArray[np.int64]:
    """(classes, classes): ``[true, predicted]`` = number of images."""
    cells = np.asarray(labels, np.int64) * classes + np.asarray(predicted, np.int64)
    return np.bincount(cells, minlength=classes * classes).reshape(classes, classes)


def row_shares(counts: ArrayLike) -> NDArray[np.float64]:
    """Each row as fractions (0–1) of its class's images; a class without images has zeros."""
    table = np.asarray(counts, np.float64)
    return np.asarray(table / np.maximum(table.sum(axis=1, keepdims=True), 1.0))


def most_confused(counts: ArrayLike, most: int = 10) -> tuple[Confusion, ...]:
    """The pairs with the most mistakes, the largest number first; equal numbers by their share of the true class.

    Args:
        counts: (classes, classes), from ``confusion_counts`` or ``Evaluation.confusion``.
        most: how many pairs at most; pairs without a mistake are never among them.
    """
    table = np.asarray(counts, np.int64)
    if not table.size:
        return ()
    wrong = table.copy()
    np.fill_diagonal(wrong, 0)
    supports = table.sum(axis=1)
    true, predicted = np.nonzero(wrong)
    found = wrong[true, predicted]
    order = np.lexsort((predicted, true, -found / np.maximum(supports[true], 1), -found))[:most]
    return tuple(Confusion(int(true[i]), int(predicted[i]), int(found[i]), int(supports[true[i]])) for i in order)
