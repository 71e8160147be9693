"""Which values a network takes, and what is told where nothing says it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from cnn_studio.core.job.events import Event


class InputRange(StrEnum):
    """What becomes of RGB 0–255 before a network is given it."""

    BYTES = "0-255"
    UNIT = "0-1"
    SIGNED = "-1-1"
    CAFFE = "caffe"
    TORCH = "torch"


INPUT_RANGE_TEXT = {
    InputRange.BYTES: "0 to 255",
    InputRange.UNIT: "0 to 1",
    InputRange.SIGNED: "−1 to 1",
    InputRange.CAFFE: "caffe (BGR, less ImageNet's mean)",
    InputRange.TORCH: "torch (ImageNet's mean and deviation)",
}
"""Each range in front of a person."""


@dataclass(frozen=True, slots=True)
class RangeTrial:
    """How a network does when it is given one range of values.

    Attributes:
        input_range: the range.
        images: how many pictures of known classes it was shown.
        right: how many of them it named rightly.
        loss: mean cross-entropy in nats; infinite where an answer was no number.
        answers: of the pictures that an answer was wanted for: (most likely class, its probability 0–1).
    """

    input_range: InputRange
    images: int = 0
    right: int = 0
    loss: float = 0.0
    answers: tuple[tuple[str, float], ...] = ()


@dataclass(frozen=True, slots=True)
class InputRangeUnknown(Event):
    """Nothing says which values a network takes, so it was given RGB 0–255.

    ``model`` is its file's name, ``tried`` what came of each range on pictures of known classes, and ``fits_best`` the
    best of them; empty and None where there were none.
    """

    model: str
    tried: tuple[RangeTrial, ...] = ()
    fits_best: InputRange | None = None


def best_fit(trials: Sequence[RangeTrial]) -> InputRange | None:
    """The range that fits best on pictures of known classes: most named rightly, then most surely; None without any.

    Of those that fit alike it is the plainest.
    """
    known = [trial for trial in trials if trial.images]
    return max(known, key=lambda trial: (trial.right, -round(trial.loss, 2))).input_range if known else None
