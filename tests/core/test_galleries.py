import numpy as np
import pytest

from cnn_studio.core.data.image_file import Split
from cnn_studio.core.evaluation.galleries import least_sure, most_typical, most_wrong
from cnn_studio.core.evaluation.scores import score_probabilities


@pytest.fixture
def measured(make_measured):
    #        truth, probabilities
    rows = [
        (0, (0.9, 0.1, 0.0)),  # 0 right
        (0, (0.05, 0.95, 0.0)),  # 1 wrong, very sure
        (1, (0.6, 0.4, 0.0)),  # 2 wrong
        (1, (0.1, 0.8, 0.1)),  # 3 right
        (1, (0.0, 1.0, 0.0)),  # 4 right, certain
        (2, (0.0, 0.95, 0.05)),  # 5 wrong, as sure as 1
        (2, (0.33, 0.33, 0.34)),  # 6 right, hardly
        (2, (0.1, 0.1, 0.8)),  # 7 right
        (0, (0.0, 0.95, 0.05)),  # 8 wrong, as sure as 1, and its class had nothing
    ]
    return make_measured([p for _, p in rows], [truth for truth, _ in rows])


def test_wrong_ones_the_surest_first_and_of_those_the_least_likely_truth(measured):
    assert most_wrong(measured).tolist() == [8, 1, 5, 2]
    assert most_wrong(measured, most=1).tolist() == [8]
    assert most_wrong(measured, label=2).tolist() == [5]


def test_least_sure_ones_right_or_wrong(measured):
    assert least_sure(measured, most=3).tolist() == [6, 2, 3]
    assert least_sure(measured, label=0).tolist() == [0, 1, 8]


def test_typical_ones_go_round_the_classes(measured):
    assert most_typical(measured).tolist() == [0, 4, 7, 3, 6]
    assert most_typical(measured, most=2).tolist() == [0, 4]
    assert most_typical(measured, label=1).tolist() == [4, 3]


def test_none_are_none(make_measured):
    empty = make_measured(np.zeros((0, 3)), [])
    assert most_wrong(empty).tolist() == least_sure(empty).tolist() == most_typical(empty).tolist() == []
    perfect = make_measured(np.eye(3), [0, 1, 2])
    assert most_wrong(perfect).tolist() == []
    hopeless = make_measured(np.eye(3), [1, 2, 0])
    assert most_typical(hopeless).tolist() == []


def test_they_agree_with_the_confusion_matrix(measured):
    evaluation = score_probabilities(measured.probabilities, measured.labels, measured.class_names, Split.TEST)
    for true in range(3):
        for predicted in range(3):
            assert len(measured.indices(true, predicted)) == evaluation.confusion[true][predicted]
    assert measured.indices(0, 1).tolist() == [1, 8]
