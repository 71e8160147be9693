"""A model's answers on images whose classes are known: the figures, and every image's probabilities.

What is worked out from them later (galleries, the images behind a cell of the confusion matrix, reliability diagrams)
needs no second pass over the images. Everything here is NumPy and quick, so the window may call it while it draws.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cnn_studio.core.data.image_file import Split
from cnn_studio.core.evaluation.figures import Evaluation

SMALLEST_PROBABILITY = float(np.finfo(np.float32).eps)
"""Probabilities are clipped here before the logarithm, as Keras's own cross-entropy nearly does (1e-7)."""


@dataclass(frozen=True, eq=False)  # arrays do not compare; no slots: it keeps what it has worked out
class Measured:
    """What a model said of each of n images, and how good that is.

    Attributes:
        evaluation: the figures; its ``split`` and ``folder`` say which images these are.
        class_names: in label order.
        model: the model file.
        root: the folder that ``paths`` are relative to.
        paths: n image files, with forward slashes.
        labels: int32 (n,) true labels.
        probabilities: float32 (n, classes) 0–1, the model's answers at ``temperature``.
        temperature: of the model, 1 where none was fitted.
        threshold: the probability (0–1) below which the model's answer counts as "not sure"; 0 for none.
    """

    evaluation: Evaluation
    class_names: tuple[str, ...]
    model: Path
    root: Path
    paths: tuple[str, ...]
    labels: NDArray[np.int32]
    probabilities: NDArray[np.float32]
    temperature: float = 1.0
    threshold: float = 0.0

    def __post_init__(self) -> None:
        if not len(self.paths) == len(self.labels) == len(self.probabilities):
            raise ValueError(
                f"{len(self.paths)} paths, {len(self.labels)} labels and {len(self.probabilities)} rows of "
                "probabilities do not go together"
            )

    @property
    def split(self) -> Split | None:
        """Which split these images are, of the model's run or of a folder; None for a whole folder."""
        return self.evaluation.split

    @cached_property
    def predicted(self) -> NDArray[np.int64]:
        """(n,) the most likely label of each image."""
        return np.asarray(self.probabilities.argmax(axis=1), np.int64)

    @cached_property
    def confidence(self) -> NDArray[np.float32]:
        """(n,) the probability of that label."""
        return np.asarray(self.probabilities.max(axis=1, initial=0.0), np.float32)

    @cached_property
    def right(self) -> NDArray[np.bool_]:
        """(n,) whether that label is the true one."""
        return np.asarray(self.predicted == self.labels)

    @cached_property
    def without_numbers(self) -> int:
        """For how many images the model answered with what is no number (NaN), as one whose training went astray."""
        return int((~np.isfinite(self.probabilities)).any(axis=1).sum())

    def path_of(self, index: int) -> Path:
        """Where an image is, or was when it was measured."""
        return self.root / self.paths[index]

    def ranked(self, index: int) -> tuple[tuple[str, float], ...]:
        """(class name, probability) of one image, most likely first."""
        order = np.argsort(-self.probabilities[index], kind="stable")
        return tuple((self.class_names[label], float(self.probabilities[index, label])) for label in order)

    def indices(self, true_label: int, predicted_label: int) -> NDArray[np.intp]:
        """The images in one cell of the confusion matrix, the surest first."""
        found = np.flatnonzero((self.labels == true_label) & (self.predicted == predicted_label))
        return found[np.argsort(-self.confidence[found], kind="stable")]

    def at_temperature(self, temperature: float) -> Measured:
        """The same as it would be after the model's logits are divided by another temperature.

        Accuracy and every other figure that depends on the order of classes alone stay as they are; the loss changes.
        """
        if temperature == self.temperature:
            return self
        probabilities = scaled(self.probabilities, temperature / self.temperature)
        evaluation = replace(self.evaluation, loss=log_loss(probabilities, self.labels))
        return replace(self, evaluation=evaluation, probabilities=probabilities, temperature=temperature)


def scaled(probabilities: NDArray[np.floating], temperature: float) -> NDArray[np.float32]:
    """What a softmax would have given, had its inputs been divided by ``temperature`` (Guo et al. 2017).

    The softmax of log(p) is p itself, so log(p) serves as the logits that are not there any more.

    Args:
        probabilities: (n, classes) 0–1.
        temperature: above 0; larger is less sure.

    Returns:
        float32 (n, classes), rows that sum to 1, with the same order of classes in each row.
    """
    logits = np.log(np.maximum(np.asarray(probabilities, np.float64), np.finfo(np.float64).tiny)) / temperature
    logits -= logits.max(axis=1, keepdims=True)
    raised = np.exp(logits)
    return np.asarray(raised / raised.sum(axis=1, keepdims=True), np.float32)


def log_loss(probabilities: NDArray[np.floating], labels: NDArray[np.integer]) -> float:
    """Mean cross-entropy in nats, probabilities clipped at ``SMALLEST_PROBABILITY``; 0 without images."""
    if not len(labels):
        return 0.0
    of_truth = np.clip(probabilities[np.arange(len(labels)), labels].astype(np.float64), SMALLEST_PROBABILITY, 1.0)
    return math.fsum(-np.log(of_truth)) / len(labels)
