"""Results in sentences."""

from __future__ import annotations

from cnn_studio.core.results import Evaluation


def accuracy_sentence(evaluation: Evaluation) -> str:
    """Accuracy with its interval and the number of images it rests on."""
    return (
        f"{evaluation.split} accuracy {evaluation.accuracy:.3f} "
        f"({evaluation.accuracy_low:.3f}–{evaluation.accuracy_high:.3f}, 95 % interval, {evaluation.images:,} images), "
        f"loss {evaluation.loss:.4f}"
    )
