"""Images that may be in the wrong class, for a person to look at."""

from __future__ import annotations

from dataclasses import dataclass

from cnn_studio.core.atomic_file import csv_text


@dataclass(frozen=True, slots=True)
class LabelDoubt:
    """An image that a network which never saw it would put into another class than the one it is in.

    Attributes:
        path: relative to the data set's folder, with forward slashes.
        given: name of the class it is in.
        suggested: name of the class that the network thinks it is of.
        given_probability: what the network gives the class it is in, 0–1.
        suggested_probability: what it gives the other class, 0–1.
    """

    path: str
    given: str
    suggested: str
    given_probability: float
    suggested_probability: float


@dataclass(frozen=True, slots=True)
class LabelReview:
    """Likely label errors, to be looked at: the network may be wrong too.

    Attributes:
        doubts: the images most confidently contradicted first.
        images: how many were judged.
        method: how, a sentence.
    """

    doubts: tuple[LabelDoubt, ...]
    images: int
    method: str


def label_review_csv(review: LabelReview) -> str:
    """Likely label errors as CSV text: path, class, suggested class, and the probability (0–1) of each."""
    rows = (
        (
            doubt.path,
            doubt.given,
            doubt.suggested,
            f"{doubt.given_probability:.6f}",
            f"{doubt.suggested_probability:.6f}",
        )
        for doubt in review.doubts
    )
    return csv_text(("path", "class", "suggested", "class_probability", "suggested_probability"), rows)
