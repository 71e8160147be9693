"""Results in sentences."""

from __future__ import annotations

from cnn_studio.core.evaluation.figures import Evaluation
from cnn_studio.core.percent import format_percent, format_percent_range
from cnn_studio.core.runs.trained import CrossValidation

CHOSE_EPOCH = "these images chose the epoch that was kept, so it flatters"
NO_TEST = (
    "No images were kept apart for a test, so there is no accuracy that chose nothing: --test 0.15 keeps some of them."
)


def accuracy_sentence(evaluation: Evaluation) -> str:
    """Accuracy with its interval, the number of images it rests on, what guessing would score, and what chose it."""
    interval = format_percent_range(evaluation.accuracy_low, evaluation.accuracy_high)
    text = (
        f"{evaluation.accuracy_text} {format_percent(evaluation.accuracy)} "
        f"({interval}, 95 % interval, {evaluation.images:,} images; guessing the largest class: "
        f"{format_percent(evaluation.guessing)}), loss {evaluation.loss:.4f}"
    )
    return f"{text}; {CHOSE_EPOCH}" if evaluation.chose_epoch else text


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
            f"mean test accuracy {format_percent(validated.accuracy)} "
            f"({format_percent_range(validated.accuracy_low, validated.accuracy_high)}, 95 % interval over "
            f"{len(validated.folds)} folds, standard deviation {100 * validated.deviation:.1f} points), "
            f"loss {validated.loss:.4f}"
        )
    return sentences
