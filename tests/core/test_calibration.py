import math

import numpy as np
import pytest
from scipy.stats import binomtest

from cnn_studio.core.evaluation.calibration import (
    at_threshold,
    choose_threshold,
    coverage_curve,
    fit_temperature,
    reliability,
    same_coverage,
)
from cnn_studio.core.intervals import wilson_interval


@pytest.fixture
def answers():
    """(confidence, right) of 2,000 answers by a model that is surer than it should be, as float32, with ties."""
    rng = np.random.default_rng(5)
    confidence = np.round(rng.uniform(0.2, 1.0, 2000), 2).astype(np.float32)
    confidence[:50] = 1.0
    return confidence, rng.uniform(0, 1, 2000) < confidence**2


def error_by_hand(confidence, right, bins):
    """Guo et al. (2017), equation 3, with a loop: bin m takes ((m - 1) / M, m / M]."""
    total = 0.0
    for m in range(bins):
        inside = [i for i, c in enumerate(confidence) if m / bins < c <= (m + 1) / bins or (m == 0 and c == 0)]
        if inside:
            accuracy = sum(bool(right[i]) for i in inside) / len(inside)
            mean = sum(float(confidence[i]) for i in inside) / len(inside)
            total += len(inside) / len(confidence) * abs(accuracy - mean)
    return total


@pytest.mark.parametrize("bins", [1, 10, 15])
def test_the_calibration_error_is_that_of_a_loop(answers, bins):
    confidence, right = answers
    found = reliability(confidence, right, bins)
    assert found.error == pytest.approx(error_by_hand(confidence.astype(float), right, bins), abs=1e-9)
    assert sum(one.count for one in found.bins) == 2000
    assert [found.bins[0].low, found.bins[-1].high] == [0, 1]


def test_a_model_that_keeps_its_promises_has_no_error():
    confidence = np.repeat([0.25, 0.5, 0.75, 1.0], 4)
    right = np.array([1, 0, 0, 0, 1, 1, 0, 0, 1, 1, 1, 0, 1, 1, 1, 1], bool)
    assert reliability(confidence, right).error == pytest.approx(0)


def test_no_answers_at_all():
    assert reliability([], []).error == 0
    assert len(coverage_curve([], []).thresholds) == 0
    assert at_threshold([], [], 0.5).coverage == 0
    assert choose_threshold([], [], 0.9) is None


@pytest.mark.parametrize("true_temperature", [0.6, 1.0, 2.5])
def test_the_temperature_that_made_the_logits_too_large_is_found(true_temperature):
    rng = np.random.default_rng(3)
    logits = rng.normal(0, 2, (20_000, 5))
    honest = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    labels = np.array([rng.choice(5, p=row) for row in honest])
    sharpened = np.exp(logits * true_temperature)
    sharpened /= sharpened.sum(1, keepdims=True)
    assert fit_temperature(sharpened.astype(np.float32), labels) == pytest.approx(true_temperature, rel=0.05)


def test_the_curve_is_what_each_threshold_does(answers):
    confidence, right = answers
    curve = coverage_curve(confidence, right)
    assert curve.thresholds[0] == 0
    assert curve.coverage[0] == 1
    assert curve.accuracy[0] == pytest.approx(right.mean())
    assert (np.diff(curve.thresholds) > 0).all()
    assert (np.diff(curve.coverage) < 0).all()
    for i in range(0, len(curve.thresholds), 9):
        kept = confidence.astype(float) >= curve.thresholds[i]
        assert curve.coverage[i] == pytest.approx(kept.mean())
        assert curve.accuracy[i] == pytest.approx(right[kept].mean())


def test_what_a_threshold_does(answers):
    confidence, right = answers
    found = at_threshold(confidence, right, 0.8)
    kept = confidence.astype(float) >= 0.8
    assert (found.answered, found.images, found.right) == (kept.sum(), 2000, right[kept].sum())
    assert found.coverage == pytest.approx(kept.mean())
    assert found.accuracy == pytest.approx(right[kept].mean())
    assert found.low < found.accuracy < found.high
    nothing = at_threshold(confidence, right, 1.5)
    assert (nothing.answered, nothing.accuracy, nothing.low, nothing.high) == (0, 0, 0, 1)


@pytest.mark.parametrize("wanted", [0.6, 0.75, 0.9])
def test_the_threshold_chosen_keeps_as_many_answers_as_it_can(answers, wanted):
    confidence, right = answers
    chosen = choose_threshold(confidence, right, wanted)
    found = at_threshold(confidence, right, chosen)
    assert found.accuracy >= wanted
    sure = confidence.astype(float)
    for lower in np.unique(sure[sure < chosen]):
        assert right[sure >= lower].mean() < wanted


def test_no_threshold_is_needed_or_none_helps():
    assert choose_threshold([0.6, 0.9], [True, True], 0.99) == 0
    assert choose_threshold([0.6, 0.9], [True, False], 0.99) is None


def test_a_threshold_moves_along_with_the_confidences(answers):
    confidence, _ = answers
    new = confidence.astype(float) ** 2
    moved = same_coverage(confidence, 0.7, new)
    assert (new < moved).sum() == (confidence.astype(float) < 0.7).sum()
    assert (new >= same_coverage(confidence, 0.1, new)).all()
    assert same_coverage([0.2, 0.3], 0.5, [0.8, 0.9]) > 0.9  # nothing was answered, nothing is


@pytest.mark.parametrize(("right", "count"), [(0, 5), (5, 5), (1, 2), (17, 90), (9_990, 10_000)])
def test_the_interval_is_scipys(right, count):
    expected = binomtest(right, count).proportion_ci(confidence_level=0.95, method="wilson")
    assert wilson_interval(right, count) == pytest.approx((expected.low, expected.high), abs=1e-12)
    assert all(0 <= end <= 1 for end in wilson_interval(right, count))


def test_without_images_everything_is_possible():
    assert wilson_interval(0, 0) == (0, 1)
    assert not math.isnan(wilson_interval(0, 1)[1])
