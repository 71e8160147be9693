"""The interval of a difference counted on the same images."""

import numpy as np
import pytest
from scipy import stats

from cnn_studio.core.intervals import paired_difference


def test_against_the_mean_of_paired_differences():
    """With half an image added to each cell it is the normal interval of the mean of (1, 0, -1)."""
    draw = np.random.default_rng(0)
    for count in (40, 400, 4000):
        right, other = draw.random(count) < 0.8, draw.random(count) < 0.7
        difference, low, high = paired_difference(right.tolist(), other.tolist())
        assert difference == pytest.approx(right.mean() - other.mean())
        pairs = right.astype(float) - other.astype(float)
        # Half an image in each of four cells: two images, of which one half says +1 and one half -1.
        weights = np.concatenate([np.ones(count), [0.5, 0.5, 1.0]])
        values = np.concatenate([pairs, [1, -1, 0]])
        mean = np.average(values, weights=weights)
        deviation = np.sqrt(np.average((values - mean) ** 2, weights=weights))
        expected = stats.norm.interval(0.95, mean, deviation / np.sqrt(count + 2))
        np.testing.assert_allclose((low, high), expected, rtol=1e-9)


def test_it_covers_the_truth_as_often_as_it_says():
    draw = np.random.default_rng(1)
    inside = 0
    for _ in range(1000):
        both = draw.random(120)
        right, other = both < 0.85, (both < 0.8) ^ (draw.random(120) < 0.05)
        truth = 0.85 - (0.8 * 0.95 + 0.2 * 0.05)
        _, low, high = paired_difference(right.tolist(), other.tolist())
        inside += low <= truth <= high
    assert 0.93 <= inside / 1000 <= 0.98


def test_extremes():
    assert paired_difference([], []) == (0.0, -1.0, 1.0)
    same = paired_difference([True] * 50, [True] * 50)
    assert same[0] == 0
    assert same[1] < 0 < same[2]
    better = paired_difference([True] * 50, [False] * 50)
    assert better[0] == 1
    assert 0.8 < better[1] < better[2] <= 1
    with pytest.raises(ValueError, match="argument 2 is shorter"):
        paired_difference([True, False], [True])
