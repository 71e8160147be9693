"""Results in sentences."""

from __future__ import annotations

from cnn_studio.core.evaluation.figures import Evaluation
from cnn_studio.core.runs.trained import CrossValidation


def accuracy_sentence(evaluation: Evaluation) -> str:
    """Accuracy with its interval and the number of images it rests on."""
    return (
        f"{evaluation.accuracy_text} {evaluation.accuracy:.3f} "
        f"({evaluation.accuracy_low:.3f}–{evaluation.accuracy_high:.3f}, 95 % interval, {evaluation.images:,} images), "
        f"loss {evaluation.loss:.4f}"
    )


def cross_validation_sentences(validated: CrossValidation) -> list[str]:
    """Each fold's test accuracy, and their mean with its interval."""
    sentences = [
        f"fold {number}: {accuracy_sentence(trained.test)}"
        for number, trained in enumerate(validated.folds, start=1)
        if trained.test
    ]
    if len(validated.folds) < validated.asked:
        sentences.append(f"Stopped after {len(validated.folds)} of {validated.asked} folds.")
    if len(validated.folds) > 1:
        sentences.append(
            f"mean test accuracy {validated.accuracy:.3f} "
            f"({validated.accuracy_low:.3f}–{validated.accuracy_high:.3f}, 95 % interval over "
            f"{len(validated.folds)} folds, standard deviation {validated.deviation:.3f}), loss {validated.loss:.4f}"
        )
    return sentences
