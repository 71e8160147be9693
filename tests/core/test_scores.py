import math

import numpy as np
import pytest
from sklearn.metrics import (
    accuracy_score,
    classification_report,
    f1_score,
    log_loss,
    precision_score,
    recall_score,
    top_k_accuracy_score,
)

from cnn_studio.core.data.image_file import Split
from cnn_studio.core.evaluation.scores import score_probabilities

NAMES = ("a", "b", "c")


def wilson(right, count, z=1.959963984540054):
    """The interval as Wilson (1927) writes it."""
    share = right / count
    centre = (share + z * z / (2 * count)) / (1 + z * z / count)
    half = z / (1 + z * z / count) * math.sqrt(share * (1 - share) / count + z * z / (4 * count * count))
    return centre - half, centre + half


def test_scores_are_scikit_learns_and_wilsons():
    rng = np.random.default_rng(4)
    probabilities = rng.dirichlet([1, 1, 1], 50)
    labels = rng.integers(0, 3, 50)
    found = score_probabilities(probabilities, labels, NAMES, Split.TEST)
    predicted = probabilities.argmax(1)
    assert (found.split, found.images) == ("test", 50)
    assert found.accuracy == accuracy_score(labels, predicted)
    assert found.loss == pytest.approx(log_loss(labels, probabilities, labels=[0, 1, 2]), rel=1e-6)
    low, high = wilson(int((predicted == labels).sum()), 50)
    assert (found.accuracy_low, found.accuracy_high) == pytest.approx((low, high))
    for field, score in (("precision", precision_score), ("recall", recall_score), ("f1", f1_score)):
        expected = score(labels, predicted, average=None, labels=[0, 1, 2])
        assert [getattr(one, field) for one in found.classes] == pytest.approx(expected.tolist())
    assert [one.name for one in found.classes] == list(NAMES)
    for true in range(3):
        for guess in range(3):
            assert found.confusion[true][guess] == int(((labels == true) & (predicted == guess)).sum())


def test_a_class_without_images_and_a_certain_error_are_no_trouble():
    probabilities = np.array([[1.0, 0.0, 0.0], [1.0, 0.0, 0.0]])
    found = score_probabilities(probabilities, [0, 1], NAMES, Split.TEST)
    assert found.classes[2].support == 0
    assert found.classes[2].recall == 0
    assert math.isfinite(found.loss)
    assert found.loss > 5


def test_all_right_is_not_surely_all_right():
    found = score_probabilities(np.eye(3), [0, 1, 2], NAMES, Split.TEST)
    assert found.accuracy == found.accuracy_high == 1
    assert found.accuracy_low == pytest.approx(wilson(3, 3)[0])


def test_no_image_at_all():
    found = score_probabilities(np.zeros((0, 3)), [], NAMES, Split.TEST)
    assert (found.images, found.accuracy, found.accuracy_low, found.accuracy_high) == (0, 0, 0, 1)


def test_averages_and_top_k_are_scikit_learns():
    rng = np.random.default_rng(7)
    probabilities = rng.dirichlet(np.ones(8), 300)
    labels = rng.integers(0, 6, 300)  # two classes never occur
    names = tuple("abcdefgh")
    found = score_probabilities(probabilities, labels, names, Split.TEST)
    predicted = probabilities.argmax(1)
    report = classification_report(labels, predicted, output_dict=True, zero_division=0)
    for average in (found.macro, found.weighted):
        expected = report[average.name.replace(" average", " avg")]
        assert [average.precision, average.recall, average.f1, average.support] == pytest.approx(
            [expected[key] for key in ("precision", "recall", "f1-score", "support")]
        )
    assert found.top_k == tuple(
        (k, pytest.approx(top_k_accuracy_score(labels, probabilities, k=k, labels=range(8)))) for k in (3, 5)
    )
    assert [score.support for score in found.classes[6:]] == [0, 0]


@pytest.mark.parametrize(("classes", "expected"), [(2, ()), (3, ()), (4, (3,)), (5, (3,)), (6, (3, 5))])
def test_top_k_only_where_it_means_something(classes, expected):
    found = score_probabilities(np.eye(classes), np.arange(classes), tuple("abcdef"[:classes]), Split.TEST)
    assert tuple(k for k, _ in found.top_k) == expected
