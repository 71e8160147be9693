"""Label errors that were planted are found, and those that cleanlab finds are the same."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import KFold, cross_val_predict

from cnn_studio.core.evaluation.label_errors import chance_of_error, likely_label_errors
from cnn_studio.core.evaluation.measured import softmax


def planted(seed: int, count: int = 900, classes: int = 4, sureness: float = 5.0, share: float = 0.08):
    """(labels, probabilities, truth): a network that is mostly right, and labels some of which are not."""
    random = np.random.default_rng(seed)
    truth = random.integers(0, classes, count)
    scores = random.normal(size=(count, classes))
    # One class is hard: its probabilities are low throughout.
    scores[np.arange(count), truth] += np.where(truth == 0, sureness / 2, sureness)
    probabilities = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    labels = truth.copy()
    flipped = random.random(count) < share
    labels[flipped] = (labels[flipped] + random.integers(1, classes, flipped.sum())) % classes
    return labels, probabilities, truth


@pytest.mark.parametrize("seed", range(4))
def test_planted_errors_are_found_first(seed):
    labels, probabilities, truth = planted(seed)
    wrong = set(np.flatnonzero(labels != truth).tolist())
    found = likely_label_errors(labels, probabilities).tolist()
    assert len(wrong & set(found)) > 0.7 * len(wrong)
    assert len(wrong & set(found[: len(wrong) // 2])) > 0.9 * (len(wrong) // 2)
    assert len(found) < 2 * len(wrong)


def test_by_hand():
    labels = np.array([0, 0, 0, 1, 1, 1])
    probabilities = np.array([[0.9, 0.1], [0.7, 0.3], [0.1, 0.9], [0.2, 0.8], [0.4, 0.6], [0.45, 0.55]])
    # Thresholds: (0.9 + 0.7 + 0.1) / 3 = 0.567 and (0.8 + 0.6 + 0.55) / 3 = 0.65. Only the third is wrong for sure.
    assert likely_label_errors(labels, probabilities).tolist() == [2]
    # The last would be of class 0 by more than half, but that class is not reached.
    probabilities[5] = [0.55, 0.45]
    assert likely_label_errors(labels, probabilities).tolist() == [2]


def test_the_most_contradicted_comes_first():
    labels, probabilities, _ = planted(1)
    found = likely_label_errors(labels, probabilities)
    margins = [probabilities[i, labels[i]] - np.delete(probabilities[i], labels[i]).max() for i in found]
    assert margins == sorted(margins)
    assert max(margins) < 0


def test_a_perfect_network_doubts_nothing_and_a_missing_class_is_no_trouble():
    labels = np.array([0, 2, 2, 0])
    assert likely_label_errors(labels, np.eye(3)[labels]).tolist() == []
    assert likely_label_errors(np.zeros(0, int), np.zeros((0, 3))).tolist() == []


def out_of_fold(seed, rate, *, count, classes, hardness):
    """(labels, logits, truth): scikit-learn's logistic regression, which learnt from other folds' wrong labels."""
    random = np.random.default_rng(seed)
    centres = random.normal(size=(classes, 20)) * hardness / np.sqrt(20)
    truth = random.integers(0, classes, count)
    points = centres[truth] + random.normal(size=(count, 20))
    labels = truth.copy()
    wrong = random.random(count) < rate
    labels[wrong] = (labels[wrong] + random.integers(1, classes, wrong.sum())) % classes
    folds = KFold(3, shuffle=True, random_state=seed)
    logits = cross_val_predict(LogisticRegression(), points, labels, cv=folds, method="predict_log_proba")
    return labels, logits, truth


WORLDS = {
    "easy": {"count": 1000, "classes": 4, "hardness": 5.0},
    "hard": {"count": 1000, "classes": 4, "hardness": 3.0},
    "two": {"count": 1000, "classes": 2, "hardness": 2.5},
    "few": {"count": 300, "classes": 5, "hardness": 4.0},
}


@pytest.mark.parametrize("world", WORLDS)
@pytest.mark.parametrize("rate", [0.0, 0.03, 0.1, 0.2])
def test_as_many_errors_are_expected_as_were_planted(world, rate):
    """Over five seeds, among those that are doubted and in all; what is doubted may be several times as many."""
    planted, doubted, expected_of_doubted, real_of_doubted, expected = [], [], [], [], []
    for seed in range(5):
        labels, logits, truth = out_of_fold(seed, rate, **WORLDS[world])
        found = likely_label_errors(labels, softmax(logits))
        chances = chance_of_error(labels, logits)
        assert ((chances >= 0) & (chances <= 1)).all()
        planted.append((labels != truth).sum())
        doubted.append(len(found))
        real_of_doubted.append((labels != truth)[found].sum())
        expected_of_doubted.append(chances[found].sum())
        expected.append(chances.sum())
    near = 3 + 0.15 * np.mean(real_of_doubted)
    assert np.mean(expected_of_doubted) == pytest.approx(np.mean(real_of_doubted), abs=near)
    assert np.mean(expected) == pytest.approx(np.mean(planted), abs=3 + 0.2 * np.mean(planted))
    if rate == 0 and world == "hard":
        assert np.mean(doubted) > 20  # all of them the network's own mistakes
        assert np.mean(expected_of_doubted) < 3


def test_the_chance_puts_errors_before_mistakes():
    labels, logits, truth = out_of_fold(2, 0.1, **WORLDS["hard"])
    chances = chance_of_error(labels, logits)
    assert roc_auc_score(labels != truth, chances) > 0.95
    sure = chances > 0.9
    assert (labels != truth)[sure].mean() > 0.85


def test_without_images_there_is_no_chance():
    assert chance_of_error(np.zeros(0, int), np.zeros((0, 3))).tolist() == []
    assert np.isfinite(chance_of_error(np.zeros(4, int), np.zeros((4, 3)))).all()


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize(("classes", "sureness", "share"), [(4, 3.0, 0.08), (2, 1.5, 0.2), (10, 2.0, 0.15)])
def test_the_same_as_cleanlab(seed, classes, sureness, share):
    cleanlab = pytest.importorskip("cleanlab.filter", reason="cleanlab is not installed")
    labels, probabilities, _ = planted(seed, 600, classes, sureness, share)
    theirs = cleanlab.find_label_issues(
        labels, probabilities, filter_by="confident_learning", return_indices_ranked_by="normalized_margin", n_jobs=1
    )
    assert likely_label_errors(labels, probabilities).tolist() == theirs.tolist()
