"""From probabilities and the truth to figures."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cnn_studio.core.data.image_file import Split
from cnn_studio.core.evaluation.confusion import confusion_counts
from cnn_studio.core.evaluation.figures import ClassScore, Evaluation
from cnn_studio.core.evaluation.measured import cross_entropy, logits_of, mean_loss
from cnn_studio.core.intervals import wilson_interval

TOP = (3, 5)
"""The k of top-k accuracy, each where there are more classes."""


def score_probabilities(
    probabilities: NDArray[np.floating],
    labels: ArrayLike,
    class_names: Sequence[str],
    split: Split | None,
    folder: str = "",
    losses: NDArray[np.floating] | None = None,
) -> Evaluation:
    """Score probabilities against the truth. Imports scikit-learn, so it is for jobs.

    Args:
        probabilities: (n, classes), rows that sum to 1.
        labels: (n,) true labels.
        class_names: in label order.
        split: which images these are, see ``Evaluation``.
        folder: where they are of a folder, its name.
        losses: (n,) the loss of each image as Keras works it out; from ``probabilities`` if not given.

    Returns:
        Accuracy with its 95 % Wilson score interval, mean loss, scikit-learn's scores per class and their
        averages, top-k accuracy and the confusion matrix. Without images every figure is 0, the interval 0–1.
    """
    truth = np.asarray(labels, dtype=np.int64)
    count = len(truth)
    low, high = wilson_interval(0, 0)
    if count == 0:
        return Evaluation(split, 0, 0.0, low, high, 0.0, folder=folder)
    predicted = probabilities.argmax(axis=1)
    right = int((predicted == truth).sum())
    low, high = wilson_interval(right, count)
    return Evaluation(
        split=split,
        images=count,
        accuracy=right / count,
        accuracy_low=low,
        accuracy_high=high,
        loss=mean_loss(cross_entropy(logits_of(probabilities), truth) if losses is None else losses),
        classes=_class_scores(truth, predicted, class_names),
        confusion=tuple(tuple(map(int, row)) for row in confusion_counts(truth, predicted, len(class_names))),
        macro=_average(truth, predicted, "macro"),
        weighted=_average(truth, predicted, "weighted"),
        top_k=tuple((k, _top_accuracy(probabilities, truth, k)) for k in TOP if k < len(class_names)),
        folder=folder,
    )


def _class_scores(
    truth: NDArray[np.int64], predicted: NDArray[np.int64], class_names: Sequence[str]
) -> tuple[ClassScore, ...]:
    from sklearn.metrics import precision_recall_fscore_support

    # What cannot be divided is 0, silently: a class that nobody answered has no precision.
    scores = precision_recall_fscore_support(truth, predicted, labels=list(range(len(class_names))), zero_division=0)
    return tuple(
        ClassScore(name, float(precision), float(recall), float(f1), int(support))
        for name, precision, recall, f1, support in zip(class_names, *scores, strict=True)
    )


def _average(truth: NDArray[np.int64], predicted: NDArray[np.int64], kind: str) -> ClassScore:
    from sklearn.metrics import precision_recall_fscore_support

    precision, recall, f1, _ = precision_recall_fscore_support(truth, predicted, average=kind, zero_division=0)
    return ClassScore(f"{kind} average", float(precision), float(recall), float(f1), len(truth))


def _top_accuracy(probabilities: NDArray[np.floating], truth: NDArray[np.int64], k: int) -> float:
    """Of equally likely classes the first count as the likelier, as for ``argmax``."""
    best = np.argsort(-probabilities, axis=1, kind="stable")[:, :k]
    return float((best == truth[:, None]).any(axis=1).mean())
