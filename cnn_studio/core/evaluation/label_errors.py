"""Likely label errors from probabilities that a network gives to images which it was not trained on.

Confident learning: Northcutt, Jiang and Chuang, *Confident Learning: Estimating Uncertainty in Dataset Labels*, Journal
of Artificial Intelligence Research 70 (2021). Here after the published formula; the authors' library, cleanlab, gives
the same images in the same order, which a test checks where it is installed.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_ROUNDING = 1e-6
"""A probability this much below a class's threshold still reaches it, as in cleanlab."""


def likely_label_errors(labels: NDArray[np.integer], probabilities: NDArray[np.floating]) -> NDArray[np.int64]:
    """Images that are confidently of another class than their label says, the most contradicted first.

    A class's threshold is the mean probability that the images labelled so are given for it. An image is confidently
    of a class when its probability reaches that class's threshold; of several such classes the most probable counts.
    It is a likely error when that class is not its label, and its label is not the most probable one either.

    Args:
        labels: (n,) as they stand in the data set.
        probabilities: (n, classes), rows that sum to 1, each from a network that has not learnt from that image.

    Returns:
        Positions, ordered by the probability of the label less the greatest of the others (normalised margin).
    """
    everyone = np.arange(len(labels))
    likely = probabilities.argmax(axis=1)
    confident = probabilities >= _thresholds(labels, probabilities) - _ROUNDING
    several = confident.sum(axis=1) > 1
    sure = np.where(several, likely, confident.argmax(axis=1))
    wrong = confident.any(axis=1) & (sure != labels) & (likely != labels)
    of_label = probabilities[everyone, labels]
    others = probabilities.copy()
    others[everyone, labels] = -1
    margin = of_label - others.max(axis=1)
    found = np.flatnonzero(wrong)
    return np.asarray(found[np.argsort(margin[found], kind="stable")], np.int64)


def _thresholds(labels: NDArray[np.integer], probabilities: NDArray[np.floating]) -> NDArray[np.float64]:
    """The mean probability of each class over the images labelled so (classes,); beyond 1 for one without images."""
    thresholds = np.full(probabilities.shape[1], 2.0)
    for label in np.unique(labels):
        thresholds[label] = probabilities[labels == label, label].mean()
    return thresholds
