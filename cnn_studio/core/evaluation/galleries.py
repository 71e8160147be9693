"""Which images are worth looking at, picked from what a model said of them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cnn_studio.core.evaluation.measured import Measured


def most_wrong(measured: Measured, most: int = 24, label: int | None = None) -> NDArray[np.intp]:
    """Positions of the images that the model was surest of and wrong about, the surest first.

    Equally sure ones: those whose true class it thought least likely come first.

    Args:
        measured: the model's answers.
        most: how many at most.
        label: only images of this true class.
    """
    found = np.flatnonzero(~measured.right & _of(measured, label))
    truth = measured.probabilities[found, measured.labels[found]]
    return found[np.lexsort((found, truth, -measured.confidence[found]))][:most]


def least_sure(measured: Measured, most: int = 24, label: int | None = None) -> NDArray[np.intp]:
    """Positions of the images whose most likely class has the lowest probability, the lowest first."""
    found = np.flatnonzero(_of(measured, label))
    return found[np.argsort(measured.confidence[found], kind="stable")][:most]


def most_typical(measured: Measured, most: int = 24, label: int | None = None) -> NDArray[np.intp]:
    """Positions of the images that the model was surest of and right about: the best of each class, then the next.

    Within a class the surest come first; equally sure ones in the order they were measured.
    """
    found = np.flatnonzero(measured.right & _of(measured, label))
    if not len(found):
        return found
    found = found[np.lexsort((found, -measured.confidence[found], measured.labels[found]))]
    labels = measured.labels[found]
    starts = np.flatnonzero(np.diff(labels, prepend=labels[0] - 1))
    place = np.arange(len(found)) - np.repeat(starts, np.diff(starts, append=len(found)))
    return found[np.lexsort((labels, place))][:most]


def _of(measured: Measured, label: int | None) -> NDArray[np.bool_]:
    if label is None:
        return np.ones(len(measured.labels), np.bool_)
    return np.asarray(measured.labels == label)
