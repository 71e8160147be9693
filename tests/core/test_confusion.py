import numpy as np
import pytest
from sklearn.metrics import confusion_matrix

from cnn_studio.core.evaluation.confusion import Confusion, confusion_counts, most_confused, row_shares


def test_counts_are_scikit_learns():
    rng = np.random.default_rng(0)
    labels, predicted = rng.integers(0, 7, 500), rng.integers(0, 8, 500)
    expected = confusion_matrix(labels, predicted, labels=range(9))
    np.testing.assert_array_equal(confusion_counts(labels, predicted, 9), expected)


def test_rows_add_up_to_one_where_the_class_has_images():
    shares = row_shares([[3, 1, 0], [0, 0, 0], [1, 0, 4]])
    np.testing.assert_allclose(shares, [[0.75, 0.25, 0], [0, 0, 0], [0.2, 0, 0.8]])


def test_the_most_confused_pairs_come_first():
    counts = [[70, 17, 3], [2, 50, 2], [0, 2, 8]]
    found = most_confused(counts)
    assert found[0] == Confusion(true=0, predicted=1, count=17, of=90)
    # Three pairs of two mistakes each: the larger part of its class first, then in order.
    assert [(pair.true, pair.predicted) for pair in found] == [(0, 1), (0, 2), (2, 1), (1, 0), (1, 2)]
    assert most_confused(counts, most=2) == found[:2]
    assert found[0].share == pytest.approx(17 / 90)


def test_nothing_confused_and_no_class_at_all():
    assert most_confused(np.diag([3, 4])) == ()
    assert most_confused(()) == ()


def test_pairs_in_words():
    names = ("tulips", "roses", "7")
    assert Confusion(0, 1, 17, 90).sentence(names) == "17 of 90 tulips were taken for roses"
    assert Confusion(2, 1, 1, 1200).sentence(names) == "1 of 1,200 images of “7” was taken for “roses”"
