"""How good a model is on images it was not trained on."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence

import keras
import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import binomtest
from sklearn.metrics import confusion_matrix, precision_recall_fscore_support

from cnn_studio.core.events import Progress, Stage, StageStarted
from cnn_studio.core.jobs import CancelToken, Report
from cnn_studio.core.results import ClassScore, Evaluation
from cnn_studio.ml.pipeline import Batches

_SMALLEST = float(np.finfo(np.float32).eps)
"""Probabilities are clipped here before the logarithm, as Keras's own cross-entropy nearly does (1e-7)."""

_PROGRESS_EVERY = 0.1  # seconds


def evaluate_model(
    model: keras.Model,
    batches: Batches,
    labels: ArrayLike,
    class_names: Sequence[str],
    split_name: str,
    report: Report,
    cancel: CancelToken,
) -> Evaluation:
    """Let the model classify every image and score it.

    Args:
        model: takes uint8 images (batch, height, width, 3), gives probabilities (batch, classes).
        batches: from ``evaluation_batches``.
        labels: (n,) true labels in the order of ``batches``.
        class_names: in label order.
        split_name: what to call these images: "validation", "test", a folder's name.
        report: told ``StageStarted(EVALUATE)`` and ``Progress`` in images.
        cancel: *cancel* leaves within a batch; *stop* has no meaning here.

    Raises:
        JobCancelled: the user cancelled.
    """
    return score_probabilities(measure_model(model, batches, report, cancel), labels, class_names, split_name)


def measure_model(model: keras.Model, batches: Batches, report: Report, cancel: CancelToken) -> NDArray[np.float32]:
    """Let the model classify every image.

    Args:
        model: takes uint8 images (batch, height, width, 3), gives probabilities (batch, classes).
        batches: from ``evaluation_batches``.
        report: told ``StageStarted(EVALUATE)`` and ``Progress`` in images.
        cancel: *cancel* leaves within a batch; *stop* has no meaning here.

    Returns:
        Probabilities, float32 (n, classes), in the order of ``batches``.

    Raises:
        JobCancelled: the user cancelled.
    """
    report(StageStarted(Stage.EVALUATE, batches.images))
    began = last = time.perf_counter()
    parts = []
    done = 0
    for batch in batches:
        cancel.raise_if_cancelled()
        part = np.asarray(model.predict_on_batch(batch[0]), dtype=np.float32)
        parts.append(part)
        done += len(part)
        now = time.perf_counter()
        if now - last >= _PROGRESS_EVERY or done == batches.images:
            last = now
            report(Progress(Stage.EVALUATE, done, batches.images, rate=done / max(now - began, 1e-6)))
    cancel.raise_if_cancelled()
    return np.concatenate(parts) if parts else np.zeros((0, int(model.outputs[0].shape[-1])), np.float32)


def score_probabilities(
    probabilities: NDArray[np.floating], labels: ArrayLike, class_names: Sequence[str], split_name: str
) -> Evaluation:
    """Score probabilities against the truth.

    Args:
        probabilities: (n, classes), rows that sum to 1.
        labels: (n,) true labels.
        class_names: in label order.
        split_name: what to call these images.

    Returns:
        Accuracy with its 95 % Wilson score interval (Wilson 1927, the one that stays within 0–1 on few images),
        cross-entropy, scores per class, and the confusion matrix. Without images every figure is 0, the interval
        0–1.
    """
    truth = np.asarray(labels, dtype=np.int64)
    count = len(truth)
    if count == 0:
        return Evaluation(split_name, 0, 0.0, 0.0, 1.0, 0.0)
    predicted = probabilities.argmax(axis=1)
    right = int((predicted == truth).sum())
    interval = binomtest(right, count).proportion_ci(confidence_level=0.95, method="wilson")
    of_truth = np.clip(probabilities[np.arange(count), truth].astype(np.float64), _SMALLEST, 1.0)
    every_label = range(len(class_names))
    precision, recall, f1, support = precision_recall_fscore_support(
        truth, predicted, labels=list(every_label), zero_division=0
    )
    confusion = confusion_matrix(truth, predicted, labels=list(every_label))
    return Evaluation(
        split=split_name,
        images=count,
        accuracy=right / count,
        accuracy_low=float(interval.low),
        accuracy_high=float(interval.high),
        loss=math.fsum(-np.log(of_truth)) / count,
        classes=tuple(
            ClassScore(name, float(precision[i]), float(recall[i]), float(f1[i]), int(support[i]))
            for i, name in enumerate(class_names)
        ),
        confusion=tuple(tuple(int(n) for n in row) for row in confusion),
    )
