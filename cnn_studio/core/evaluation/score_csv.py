"""What was measured as CSV text."""

from __future__ import annotations

from cnn_studio.core.atomic_file import csv_text
from cnn_studio.core.evaluation.figures import Evaluation
from cnn_studio.core.evaluation.measured import Measured


def scores_csv(evaluation: Evaluation) -> str:
    """A line per class (precision, recall, F1 0–1, images), then the averages and the figures of all images.

    Recall and F1 of a class without images are left empty.
    """
    rows: list[tuple[object, ...]] = []
    for score in (*evaluation.classes, evaluation.macro, evaluation.weighted):
        if score is not None:
            known = score.support > 0
            recall, f1 = (f"{score.recall:.6f}", f"{score.f1:.6f}") if known else ("", "")
            rows.append((score.name, f"{score.precision:.6f}", recall, f1, score.support))
    figures = [
        ("accuracy", evaluation.accuracy),
        ("accuracy, 95 % interval from", evaluation.accuracy_low),
        ("accuracy, 95 % interval to", evaluation.accuracy_high),
        *((f"top-{k} accuracy", accuracy) for k, accuracy in evaluation.top_k),
        ("log loss", evaluation.loss),
    ]
    rows += [(name, "", "", f"{value:.6f}", evaluation.images) for name, value in figures]
    return csv_text(("class", "precision", "recall", "f1", "images"), rows)


def measured_csv(measured: Measured) -> str:
    """A line per image: path, its class, the class it was taken for, its probability, then that of every class."""
    names = measured.class_names
    rows = (
        (
            str(measured.path_of(index)),
            names[measured.labels[index]],
            names[measured.predicted[index]],
            f"{measured.confidence[index]:.6f}",
            *(f"{value:.6f}" for value in measured.probabilities[index]),
        )
        for index in range(len(measured.paths))
    )
    return csv_text(("path", "class", "predicted", "probability", *names), rows)
