"""A model's answers on images whose classes are known: the figures, and every image's probabilities.

What is worked out from them later (galleries, the images behind a cell of the confusion matrix, reliability diagrams)
needs no second pass over the images. Everything here is NumPy and quick, so the window may call it while it draws.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cnn_studio.core.data.image_file import Split
from cnn_studio.core.evaluation.figures import Evaluation

_SMALLEST = float(np.finfo(np.float32).tiny)
"""What a probability of 0 is taken for where its logarithm is needed: float32 tells nothing below apart."""

_NOT_KNOWN = np.zeros((0, 0), np.float32)


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
        logits: float32 (n, classes) what the softmax made ``probabilities`` of, which float32 rounds to 0 and 1 where
            the model is very sure; their logarithm if not given.
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
    logits: NDArray[np.float32] = field(default_factory=lambda: _NOT_KNOWN)

    def __post_init__(self) -> None:
        if self.logits is _NOT_KNOWN:
            object.__setattr__(self, "logits", logits_of(self.probabilities))
        if not len(self.paths) == len(self.labels) == len(self.probabilities) == len(self.logits):
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
        logits = np.asarray(self.logits * (self.temperature / temperature), np.float32)
        return replace(
            self,
            evaluation=replace(self.evaluation, loss=mean_loss(cross_entropy(logits, self.labels))),
            probabilities=softmax(logits),
            logits=logits,
            temperature=temperature,
        )


def logits_of(probabilities: NDArray[np.floating]) -> NDArray[np.float32]:
    """Logits for probabilities (n, classes) whose own are not known: the softmax of log(p) is p itself."""
    return np.asarray(np.log(np.maximum(np.asarray(probabilities, np.float32), _SMALLEST)), np.float32)


def softmax(logits: NDArray[np.floating]) -> NDArray[np.float32]:
    """Probabilities float32 (n, classes) from logits, rows that sum to 1."""
    return np.asarray(np.exp(log_softmax(logits)), np.float32)


def cross_entropy(logits: NDArray[np.floating], labels: NDArray[np.integer]) -> NDArray[np.float64]:
    """(n,) the cross-entropy of each image in nats, as Keras works it out from logits (n, classes): never clipped."""
    return np.asarray(-log_softmax(logits)[np.arange(len(labels)), labels])


def mean_loss(losses: NDArray[np.floating]) -> float:
    """The mean of the images' losses (n,); 0 without images."""
    return math.fsum(losses.tolist()) / len(losses) if len(losses) else 0.0


def log_softmax(logits: NDArray[np.floating]) -> NDArray[np.float64]:
    """The logarithms of the probabilities (n, classes), precise however small these are."""
    wide = np.asarray(logits, np.float64)
    wide = wide - wide.max(axis=1, keepdims=True, initial=-np.inf)
    return np.asarray(wide - np.log(np.exp(wide).sum(axis=1, keepdims=True)))
