"""How sure one may be: whether what a model calls 80 % is right 80 times out of 100, and what to do where it is not.

Reliability diagram, expected calibration error and temperature scaling are those of Guo, Pleiss, Sun and Weinberger,
"On Calibration of Modern Neural Networks" (ICML 2017).
"""

from __future__ import annotations

import math
from bisect import bisect_left
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cnn_studio.core.data.image_file import Split
from cnn_studio.core.evaluation.figures import images_text
from cnn_studio.core.evaluation.measured import Measured, cross_entropy, log_softmax
from cnn_studio.core.evaluation.model_facts import ModelFacts
from cnn_studio.core.intervals import wilson_interval

BINS = 15
"""Of equal width, as in the paper's tables."""

RISK = 0.05
"""How often a threshold that is chosen for an accuracy may fall short of it."""

_MISTAKES = 10
_GROWTH = 1.1
_MOST_ANSWERS = 10_000_000
_HALF_DROP = 1.92072941  # half of the 95 % quantile of chi-squared with one degree of freedom


@dataclass(frozen=True, slots=True)
class ReliabilityBin:
    """The images whose confidence lies in (low, high]; the first bin also takes 0.

    Attributes:
        low, high: its ends, 0–1.
        count: how many images.
        confidence: their mean confidence, 0–1; 0 without images.
        accuracy: which part of them the model was right about, 0–1; 0 without images.
    """

    low: float
    high: float
    count: int
    confidence: float
    accuracy: float


@dataclass(frozen=True, slots=True)
class Reliability:
    """How confidence and accuracy go together.

    Attributes:
        bins: from 0 to 1, of equal width.
        error: the expected calibration error, 0–1: |accuracy − confidence| of each bin, averaged by its images.
    """

    bins: tuple[ReliabilityBin, ...]
    error: float


def reliability(confidence: ArrayLike, right: ArrayLike, bins: int = BINS) -> Reliability:
    """The reliability diagram of n answers and their expected calibration error.

    Args:
        confidence: (n,) probability of the most likely class, 0–1.
        right: (n,) whether it was the true one.
        bins: how many, of equal width.
    """
    sure, good = np.asarray(confidence, np.float64), np.asarray(right, np.float64)
    edges = np.linspace(0.0, 1.0, bins + 1)
    place = np.clip(np.searchsorted(edges, sure, side="left") - 1, 0, bins - 1)
    counts = np.bincount(place, minlength=bins)
    shared = np.maximum(counts, 1)
    means = np.bincount(place, sure, bins) / shared
    accuracies = np.bincount(place, good, bins) / shared
    error = float((counts * np.abs(accuracies - means)).sum() / max(len(sure), 1))
    return Reliability(
        tuple(
            ReliabilityBin(float(edges[i]), float(edges[i + 1]), int(counts[i]), float(means[i]), float(accuracies[i]))
            for i in range(bins)
        ),
        error,
    )


@dataclass(frozen=True, slots=True)
class FittedTemperature:
    """The likeliest temperature, and the ends of its 95 % likelihood-ratio interval; ``high`` may be infinite."""

    value: float
    low: float
    high: float


def fit_temperature(logits: NDArray[np.floating], labels: NDArray[np.integer]) -> FittedTemperature | None:
    """The temperature that, dividing the logits, gives the images' true classes the highest likelihood.

    The loss is convex in 1 / T, so there is one such temperature, however large or small, or none: the loss falls
    without end as T falls where the model is right about every image, and as T rises where what it says of the true
    classes is no better than an even guess.

    Args:
        logits: (n, classes) of images the model was not trained on.
        labels: (n,) their true labels.

    Returns:
        Above 1 where the model is surer than it should be; None when the images do not determine it.
    """
    from scipy.optimize import brentq

    if not len(labels):
        return None
    scores = np.asarray(logits, np.float64)
    scores = scores - scores.max(axis=1, keepdims=True)
    of_truth = scores[np.arange(len(labels)), labels]
    if not of_truth.any() or scores.mean() >= of_truth.mean():
        return None

    def slope(exponent: float) -> float:
        """Of the mean loss, along 1 / T = exp(exponent)."""
        return float((np.exp(log_softmax(scores * math.exp(exponent))) * scores).sum(axis=1).mean() - of_truth.mean())

    def worse(exponent: float) -> float:
        """How much less likely than at the best, less what the interval allows."""
        loss = cross_entropy(scores * math.exp(exponent), labels)
        return float((loss - least).sum()) - _HALF_DROP

    low = high = -math.log(scores.std())
    while slope(low) >= 0:
        low -= 2
    while slope(high) <= 0:
        high += 2
    best = brentq(slope, low, high, xtol=1e-6)
    least = cross_entropy(scores * math.exp(best), labels)
    high = best + 1
    while worse(high) < 0:
        high += 2
    even = len(labels) * math.log(scores.shape[1])  # the loss at an infinite temperature
    low = -math.inf
    if even - least.sum() > _HALF_DROP:
        low = best - 1
        while worse(low) < 0:
            low -= 2
        low = brentq(worse, low, best)
    return FittedTemperature(math.exp(-best), math.exp(-brentq(worse, best, high)), math.exp(-low))


@dataclass(frozen=True, slots=True)
class Coverage:
    """What a threshold does: the images it lets the model answer, and how good those answers are.

    Attributes:
        threshold: answers less likely than this count as "not sure".
        answered: images that get an answer.
        images: images in all.
        right: answered ones that are right.
        accuracy: right / answered, 0–1; 0 without answers.
        low, high: its 95 % Wilson interval.
    """

    threshold: float
    answered: int
    images: int
    right: int
    accuracy: float
    low: float
    high: float

    @property
    def coverage(self) -> float:
        """Which part of the images gets an answer, 0–1."""
        return self.answered / self.images if self.images else 0.0


@dataclass(frozen=True, eq=False)
class CoverageCurve:
    """What each possible threshold does, three arrays (m,): the threshold rises, the coverage falls.

    Attributes:
        thresholds: every confidence that occurs, and 0 first.
        coverage: which part of the images gets an answer, 0–1.
        accuracy: which part of the answers is right, 0–1.
    """

    thresholds: NDArray[np.float64]
    coverage: NDArray[np.float64]
    accuracy: NDArray[np.float64]


def coverage_curve(confidence: ArrayLike, right: ArrayLike) -> CoverageCurve:
    """The coverage–accuracy curve of n answers; arguments as for ``reliability``. Empty without answers."""
    sure, good = np.asarray(confidence, np.float64), np.asarray(right, np.float64)
    order = np.argsort(sure, kind="stable")
    sure, good = sure[order], good[order]
    first = np.flatnonzero(np.diff(sure, prepend=-1.0))  # where each confidence begins
    answered = len(sure) - first
    right_from = np.cumsum(good[::-1])[::-1][first]
    thresholds = sure[first]
    if len(thresholds):
        thresholds[0] = 0.0
    return CoverageCurve(thresholds, answered / max(len(sure), 1), right_from / answered)


def at_threshold(confidence: ArrayLike, right: ArrayLike, threshold: float) -> Coverage:
    """What one threshold does; the other arguments as for ``reliability``."""
    answered = np.asarray(confidence, np.float64) >= threshold
    good = int(np.asarray(right, np.bool_)[answered].sum())
    count = int(answered.sum())
    low, high = wilson_interval(good, count)
    return Coverage(threshold, count, len(answered), good, good / count if count else 0.0, low, high)


def choose_threshold(confidence: ArrayLike, right: ArrayLike, accuracy: float) -> float | None:
    """A threshold above which at least ``accuracy`` (0–1) of the answers are right, of new images too.

    That so many are right of those at hand proves little: the threshold was chosen for it. So ever lower thresholds
    are tested, from a strict one on, each by whether the one-sided 95 % Clopper-Pearson bound of its answers reaches
    ``accuracy``, until one does not (fixed-sequence testing, Angelopoulos et al., "Learn then Test", 2021). Which are
    tested, and where that begins, follows from the number of images alone, so that all the tests together are wrong
    with a probability of ``RISK`` at most.

    It lies half-way between the least sure answer it keeps and the surest it drops. Arguments as for ``reliability``.

    Returns:
        0 when all answers together are that good; None when these images show it of no threshold.
    """
    sure = np.asarray(confidence, np.float64)
    order = np.argsort(-sure, kind="stable")
    ranked, good = sure[order], np.cumsum(np.asarray(right, np.float64)[order])
    kept = None
    for count in _tested_counts(len(ranked), accuracy):
        answered = int(np.searchsorted(-ranked, -ranked[count - 1], side="right"))  # with all that are as sure
        if lower_bound(int(good[answered - 1]), answered) < accuracy:
            break
        kept = answered
    if kept is None:
        return None
    return 0.0 if kept == len(ranked) else float((ranked[kept - 1] + ranked[kept]) / 2)


def _tested_counts(images: int, accuracy: float) -> list[int]:
    """How many answers each threshold that is tested leaves, the strictest first.

    The first leaves a third at most, if that many can prove anything, and as few as allow some mistakes: of fewer
    images one mistake would end it.
    """
    for mistakes in range(_MISTAKES, -1, -1):
        first = answers_needed(accuracy, mistakes)
        if first <= (images / 3 if mistakes else images):
            steps = math.log(images / first) / math.log(_GROWTH)
            return sorted({min(images, round(first * _GROWTH**step)) for step in range(math.ceil(steps) + 1)})
    return []


@lru_cache
def answers_needed(accuracy: float, mistakes: int = 0) -> float:
    """The fewest answers that prove ``accuracy`` (0–1) with so many mistakes among them; infinite for 1."""
    counts = range(mistakes + 1, _MOST_ANSWERS)
    place = bisect_left(counts, accuracy, key=lambda count: lower_bound(count - mistakes, count))
    return counts[place] if place < len(counts) else math.inf


def lower_bound(right: int, count: int) -> float:
    """The one-sided 95 % lower bound of a fraction (Clopper and Pearson 1934); 0 when none is right."""
    from scipy.stats import beta

    return float(beta.ppf(RISK, right, count - right + 1)) if right else 0.0


def same_coverage(confidence: ArrayLike, threshold: float, new_confidence: ArrayLike) -> float:
    """The threshold that leaves as many answers among other confidences (n,) as ``threshold`` leaves among these."""
    dropped = int((np.asarray(confidence, np.float64) < threshold).sum())
    ranked = np.sort(np.asarray(new_confidence, np.float64))
    if dropped == 0:
        return min(threshold, float(ranked[0])) if len(ranked) else threshold
    if dropped == len(ranked):
        return float((ranked[-1] + 1.0) / 2)
    return float((ranked[dropped - 1] + ranked[dropped]) / 2)


@dataclass(frozen=True, slots=True)
class CalibrationFigures:
    """How sure and how good a model is on some images.

    Attributes:
        temperature: by which its logits are divided.
        error: expected calibration error, 0–1.
        loss: mean cross-entropy in nats.
        accuracy: fraction right, 0–1.
    """

    temperature: float
    error: float
    loss: float
    accuracy: float


@dataclass(frozen=True, slots=True)
class Calibrated:
    """The end of a calibration.

    Attributes:
        facts: what the model file says of itself now, with its temperature and threshold.
        split: which images it was done on, see ``Evaluation``.
        images: how many.
        before: at temperature 1.
        after: at the temperature the model has now.
        coverage: what the threshold does on these images; None without a threshold.
        fitted: the temperature that was fitted now, with its interval; None when none was.
        asked_accuracy: the part of the answers (0–1) that the threshold was chosen for now, see ``choose_threshold``;
            None when it was not.
        folder: name of the folder it was done on; "" for the images of the model's run.
    """

    facts: ModelFacts
    split: Split | None
    images: int
    before: CalibrationFigures
    after: CalibrationFigures
    coverage: Coverage | None
    fitted: FittedTemperature | None = None
    asked_accuracy: float | None = None
    folder: str = ""

    @property
    def images_text(self) -> str:
        """Which images it was done on, in words."""
        return images_text(self.split, self.folder)


def calibration_figures(measured: Measured) -> CalibrationFigures:
    """The figures of what was measured, at its temperature."""
    return CalibrationFigures(
        temperature=measured.temperature,
        error=reliability(measured.confidence, measured.right).error,
        loss=measured.evaluation.loss,
        accuracy=measured.evaluation.accuracy,
    )
