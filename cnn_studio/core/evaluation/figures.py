"""How good a model is on a set of images, in figures."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ClassScore:
    """Precision, recall and F1 (0–1) of one class, with the number of its images (support).

    Without images of it (support 0) recall and F1 are 0 and mean nothing.
    """

    name: str
    precision: float
    recall: float
    f1: float
    support: int


@dataclass(frozen=True, slots=True)
class Evaluation:
    """How good a model is on a set of images it was not trained on.

    Attributes:
        split: which images: "validation", "test" or the name of a folder.
        images: how many.
        accuracy: fraction right, 0–1.
        accuracy_low, accuracy_high: its 95 % Wilson interval.
        loss: mean cross-entropy in nats.
        classes: scores per class, in label order.
        confusion: ``confusion[true][predicted]`` = number of images.
        macro: the mean of the classes' scores, each counting the same; classes that neither occur nor were answered
            are left out. None without images.
        weighted: the mean of the classes' scores, each counting as often as it has images. None without images.
        top_k: (k, accuracy 0–1 when the true class need only be among the k most likely), for k = 3 and 5 where there
            are more classes.
    """

    split: str
    images: int
    accuracy: float
    accuracy_low: float
    accuracy_high: float
    loss: float
    classes: tuple[ClassScore, ...] = ()
    confusion: tuple[tuple[int, ...], ...] = ()
    macro: ClassScore | None = None
    weighted: ClassScore | None = None
    top_k: tuple[tuple[int, float], ...] = ()
