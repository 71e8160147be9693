"""Likely label errors from probabilities that a network gives to images which it was not trained on.

Confident learning: Northcutt, Jiang and Chuang, *Confident Learning: Estimating Uncertainty in Dataset Labels*, Journal
of Artificial Intelligence Research 70 (2021). Here after the published formula; the authors' library, cleanlab, gives
the same images, which a test checks where it is installed. How many of them really are errors it does not say: a
network's own mistakes look the same one by one, but not all together, see ``chance_of_error``.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cnn_studio.core.evaluation.measured import log_softmax

_LOG_SCALES = (-5.0, 8.0)  # of 1 / T, logits of spread 1
_LOGIT_SHARES = (-12.0, 1.0)  # of wrong labels: none to three quarters
_STARTS = ((0.0, -4.0), (1.5, -2.0))
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


def chance_of_error(labels: NDArray[np.integer], logits: NDArray[np.floating]) -> NDArray[np.float64]:
    """How likely each image's label is wrong; summed, how many wrong labels there are to be expected.

    What the images' labels say of a network that never saw them is explained by two numbers together, those of the
    highest likelihood: how sure the network may be (a temperature), and the share of labels that were replaced by any
    other class. They are told apart since a network's own mistakes become rare where it is sure, and wrong labels do
    not. Then Bayes' rule gives the chance for each image. An error that the network makes too, such as a class that is
    taken for another throughout, cannot be seen so.

    Args:
        labels: (n,) as they stand in the data set.
        logits: (n, classes), each from a network that has not learnt from that image.

    Returns:
        (n,) 0–1.
    """
    from scipy.optimize import minimize
    from scipy.special import expit

    if not len(labels):
        return np.zeros(0)
    scores = np.asarray(logits, np.float64)
    scores = scores / max(float(scores.std()), 1e-12)
    everyone, others = np.arange(len(labels)), scores.shape[1] - 1

    def of_label(scale: float) -> NDArray[np.float64]:
        return np.asarray(np.exp(log_softmax(scores * np.exp(scale))[everyone, labels]))

    def unlikelihood(values: NDArray[np.float64]) -> float:
        right, share = of_label(values[0]), expit(values[1])
        return float(-np.log((1 - share) * right + share / others * (1 - right) + 1e-300).mean())

    tried = (
        minimize(unlikelihood, start, method="Nelder-Mead", bounds=[_LOG_SCALES, _LOGIT_SHARES]) for start in _STARTS
    )
    scale, logit = min(tried, key=lambda found: found.fun).x
    right, share = of_label(scale), expit(logit)
    wrong = share / others * (1 - right)
    return np.asarray(wrong / (wrong + (1 - share) * right + 1e-300))


def _thresholds(labels: NDArray[np.integer], probabilities: NDArray[np.floating]) -> NDArray[np.float64]:
    """The mean probability of each class over the images labelled so (classes,); beyond 1 for one without images."""
    thresholds = np.full(probabilities.shape[1], 2.0)
    for label in np.unique(labels):
        thresholds[label] = probabilities[labels == label, label].mean()
    return thresholds
