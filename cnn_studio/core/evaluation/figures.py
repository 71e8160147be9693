"""How good a model is on a set of images, in figures."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from cnn_studio.core.data.image_file import SPLIT_TEXT, Split


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
        split: which images: that split of the model's run, or of a folder that comes divided; None for a whole folder.
        images: how many.
        accuracy: fraction right, 0–1.
        accuracy_low, accuracy_high: its 95 % Wilson interval.
        loss: mean cross-entropy in nats: what Keras's ``evaluate`` gives for the file and these images, see
            ``ml.evaluate``.
        classes: scores per class, in label order.
        confusion: ``confusion[true][predicted]`` = number of images.
        macro: the mean of the classes' scores, each counting the same; classes that neither occur nor were answered
            are left out. None without images.
        weighted: the mean of the classes' scores, each counting as often as it has images. None without images.
        top_k: (k, accuracy 0–1 when the true class need only be among the k most likely), for k = 3 and 5 where there
            are more classes.
        folder: name of the folder that was measured; "" for the images of the model's run.
    """

    split: Split | None
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
    folder: str = ""

    @property
    def guessing(self) -> float:
        """What naming the largest class each time would score on these images, 0–1; 0 without images."""
        return max((score.support for score in self.classes), default=0) / self.images if self.images else 0.0

    @property
    def chose_epoch(self) -> bool:
        """Whether the model was chosen by these images: of all epochs the one that did best on them was kept."""
        return self.split == Split.VALIDATION and not self.folder

    def values(self) -> dict[str, Any]:
        """Everything as plain values, for JSON."""
        return {**asdict(self), "guessing": self.guessing, "chose_epoch": self.chose_epoch}

    @property
    def images_text(self) -> str:
        """Which images these are, in words; see ``images_text``."""
        return images_text(self.split, self.folder)

    @property
    def accuracy_text(self) -> str:
        """What accuracy this is, in words: "test accuracy", "accuracy on the folder flowers"."""
        of_split = f"{SPLIT_TEXT[self.split]} accuracy" if self.split else "accuracy"
        return f"{of_split} on the folder {self.folder}" if self.folder else of_split


def images_text(split: Split | None, folder: str) -> str:
    """Images in words: "test images", "images of the folder flowers", "test images of the folder flowers"."""
    of_split = f"{SPLIT_TEXT[split]} images" if split else "images"
    return f"{of_split} of the folder {folder}" if folder else of_split
