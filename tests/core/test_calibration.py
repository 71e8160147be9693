import math

import numpy as np
import pytest
from scipy.optimize import minimize_scalar
from scipy.special import softmax
from scipy.stats import binom, binomtest, chi2
from sklearn.metrics import log_loss

from cnn_studio.core.evaluation.calibration import (
    answers_needed,
    at_threshold,
    choose_threshold,
    coverage_curve,
    fit_temperature,
    lower_bound,
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
    fitted = fit_temperature(np.log(sharpened.astype(np.float32)), labels)
    assert fitted.value == pytest.approx(true_temperature, rel=0.05)
    assert fitted.low < true_temperature < fitted.high


@pytest.mark.parametrize("strength", [1e-4, 0.3, 1.0, 40.0, 1e5])
def test_the_temperature_is_the_least_loss_whatever_the_scale(strength):
    """Against scikit-learn's log loss, searched by scipy; the interval ends where chi-squared says of that loss."""
    rng = np.random.default_rng(8)
    logits = rng.normal(0, 1, (300, 4))
    labels = np.where(rng.random(300) < 0.7, logits.argmax(1), rng.integers(0, 4, 300))
    fitted = fit_temperature(strength * logits, labels)

    def loss(temperature):
        return log_loss(labels, softmax(strength * logits / temperature, axis=1), labels=range(4))

    found = minimize_scalar(lambda x: loss(strength * math.exp(x)), bounds=(-4, 4), method="bounded")
    assert fitted.value == pytest.approx(strength * math.exp(found.x), rel=1e-3)
    for end in (fitted.low, fitted.high):
        assert 2 * 300 * (loss(end) - loss(fitted.value)) == pytest.approx(chi2.ppf(0.95, 1), rel=1e-3)


def test_a_temperature_that_is_not_determined_is_not_given():
    logits = np.random.default_rng(1).normal(0, 2, (40, 3))
    assert fit_temperature(logits, logits.argmax(1)) is None  # all right: the surer the better
    assert fit_temperature(logits, logits.argmin(1)) is None  # all wrong: the less sure the better
    assert fit_temperature(logits[:0], np.zeros(0, int)) is None
    few = fit_temperature(np.array([[1.0, 0.0], [1.0, 0.0], [0.5, 0.0]]), np.array([0, 0, 1]))
    assert few.high == math.inf  # three pictures do not tell it from guessing


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
def test_the_threshold_chosen_is_shown_to_be_good_enough_and_no_lower_one_is(answers, wanted):
    confidence, right = answers
    chosen = choose_threshold(confidence, right, wanted)
    sure = confidence.astype(float)

    def bound(threshold):
        kept = right[sure >= threshold]
        # Two-sided with 90 % is one-sided with 95 %.
        return binomtest(int(kept.sum()), len(kept)).proportion_ci(0.9, method="exact").low

    assert bound(chosen) >= wanted
    assert all(bound(lower) < wanted for lower in np.unique(sure[sure < chosen - 0.1]))


@pytest.mark.parametrize(("right", "count"), [(59, 59), (58, 59), (1, 1), (0, 4), (990, 1000)])
def test_the_lower_bound_is_scipys(right, count):
    expected = binomtest(right, count).proportion_ci(0.9, method="exact").low
    assert lower_bound(right, count) == pytest.approx(expected, abs=1e-9)


def test_how_many_answers_prove_an_accuracy():
    assert [answers_needed(0.95), answers_needed(0.95, 1), answers_needed(0.9)] == [59, 93, 29]
    assert answers_needed(1.0) == math.inf


def test_no_threshold_is_needed_or_none_helps():
    sure = np.linspace(0.5, 1, 59)
    assert choose_threshold(sure, np.ones(59, bool), 0.95) == 0
    assert choose_threshold(sure[1:], np.ones(58, bool), 0.95) is None  # 58 of 58 do not show it
    assert choose_threshold(sure, sure < 0.9, 0.95) is None


WORLDS = {
    "rises": lambda sure: 0.6 + 0.395 * sure,
    "good": lambda sure: 0.5 + 0.49 * sure**0.3,
    "in two steps": lambda sure: np.where(sure > 0.5, 0.985, 0.7),
    "always just short": lambda sure: np.full_like(sure, 0.949),
}


@pytest.mark.parametrize("images", [100, 300, 1000])
@pytest.mark.parametrize("world", WORLDS)
def test_a_chosen_threshold_seldom_falls_short_of_its_accuracy(world, images):
    """What is promised holds of the pictures to come, in 19 of 20 calibrations at least; before, in fewer than half."""
    chance, rng, rounds = WORLDS[world], np.random.default_rng(images), 400
    everything = np.linspace(0, 1, 20_001)
    short = chosen = 0
    for _ in range(rounds):
        sure = rng.random(images)
        threshold = choose_threshold(sure, rng.random(images) < chance(sure), 0.95)
        if threshold is not None:
            chosen += 1
            short += chance(everything[everything >= threshold]).mean() < 0.95
    assert short <= binom.ppf(0.999, rounds, 0.05)
    if world == "in two steps" and images >= 300:
        assert chosen > 0.5 * rounds  # and it is not for want of choosing any


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
