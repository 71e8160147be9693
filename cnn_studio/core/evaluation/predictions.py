"""What a model says of pictures, as text and as it is reported."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cnn_studio.core.atomic_file import csv_text
from cnn_studio.core.job.events import Event


@dataclass(frozen=True, slots=True)
class ImagesPredicted(Event):
    """Some more images have been classified, in the order they were given."""

    predictions: tuple[Prediction, ...]


@dataclass(frozen=True, slots=True)
class Prediction:
    """What a model says of one image, or why it could say nothing.

    Attributes:
        path: the image file.
        ranked: (class name, probability 0–1), most likely first; empty when ``error`` is set. Without either the image
            has not been looked at yet.
        error: why there is no answer (the image cannot be read, the answer is no number), a sentence; else empty.
        unsure: whether the most likely class is less likely than the model's threshold, so that the answer is rather
            "I don't know".
    """

    path: Path
    ranked: tuple[tuple[str, float], ...] = ()
    error: str = ""
    unsure: bool = False

    @property
    def is_answered(self) -> bool:
        """Whether the model has been asked, whatever came of it."""
        return bool(self.ranked or self.error)

    @property
    def label(self) -> str:
        """Name of the most likely class; "" when there is an error."""
        return self.ranked[0][0] if self.ranked else ""

    @property
    def probability(self) -> float:
        """Its probability, 0–1; 0.0 when there is an error."""
        return self.ranked[0][1] if self.ranked else 0.0

    @property
    def answer(self) -> str:
        """What to show: the most likely class, or "not sure (daisy 0.41)"; "" when there is an error."""
        return f"not sure ({self.label} {self.probability:.2f})" if self.unsure else self.label


def predictions_csv(predictions: Sequence[Prediction], model: Path) -> str:
    """Predictions as CSV text: path, class, probability, whether that is unsure, error, whose answer it is, then every
    class's probability.

    Probabilities are 0–1; "unsure" is empty or "not sure".

    Args:
        predictions: those of one model.
        model: its file.
    """
    names = sorted({name for prediction in predictions for name, _ in prediction.ranked})
    rows = []
    for prediction in predictions:
        by_name = dict(prediction.ranked)
        rows.append(
            (
                str(prediction.path),
                prediction.label,
                "" if prediction.error else f"{prediction.probability:.6f}",
                "not sure" if prediction.unsure else "",
                prediction.error,
                str(model),
                *(f"{by_name[name]:.6f}" if name in by_name else "" for name in names),
            )
        )
    return csv_text(("path", "class", "probability", "unsure", "error", "model", *names), rows)
