"""How sure one may be: whether what a model calls 80 % is right 80 times out of 100, and what to do where it is not.

Reliability diagram, expected calibration error and temperature scaling are those of Guo, Pleiss, Sun and Weinberger,
"On Calibration of Modern Neural Networks" (ICML 2017).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cnn_studio.core.data.image_file import Split
from cnn_studio.core.evaluation.figures import images_text
from cnn_studio.core.evaluation.measured import Measured, log_loss, scaled
from cnn_studio.core.evaluation.model_facts import ModelFacts
from cnn_studio.core.intervals import wilson_interval

BINS = 15
"""Of equal width, as in the paper's tables."""

TEMPERATURES = (0.1, 10.0)
"""Between these a temperature is looked for. The paper's lie between 0.7 and 3.5."""


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


def fit_temperature(probabilities: NDArray[np.floating], labels: NDArray[np.integer]) -> float:
    """The temperature that, dividing the logits, gives the images' true classes the highest likelihood.

    Args:
        probabilities: (n, classes) of images the model was not trained on.
        labels: (n,) their true labels.

    Returns:
        Within ``TEMPERATURES``; above 1 where the model is surer than it should be.
    """
    from scipy.optimize import minimize_scalar

    # The search goes over log T, in which twice and half as much are equally far.
    found = minimize_scalar(
        lambda exponent: log_loss(scaled(probabilities, math.exp(exponent)), labels),
        bounds=tuple(math.log(end) for end in TEMPERATURES),
        method="bounded",
        options={"xatol": 1e-4},
    )
    return math.exp(float(found.x))


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
    """The threshold that leaves the most answers of which at least ``accuracy`` (0–1) are right.

    It lies half-way between the least sure answer it keeps and the surest it drops. Arguments as for ``reliability``.

    Returns:
        0 when all answers together are that good; None when no threshold makes them so.
    """
    curve = coverage_curve(confidence, right)
    good = np.flatnonzero(curve.accuracy >= accuracy)
    if not len(good):
        return None
    if good[0] == 0:
        return 0.0
    below = np.unique(np.asarray(confidence, np.float64))[good[0] - 1]
    return float((below + curve.thresholds[good[0]]) / 2)


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
        folder: name of the folder it was done on; "" for the images of the model's run.
    """

    facts: ModelFacts
    split: Split | None
    images: int
    before: CalibrationFigures
    after: CalibrationFigures
    coverage: Coverage | None
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
