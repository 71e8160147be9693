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
        chance: how likely it lies in the wrong class, 0–1: the rest is the network's own mistake.
    """

    path: str
    given: str
    suggested: str
    given_probability: float
    suggested_probability: float
    chance: float = 0.0


@dataclass(frozen=True, slots=True)
class LabelReview:
    """Likely label errors, to be looked at: the network may be wrong too.

    Attributes:
        doubts: the likeliest errors first.
        images: how many were judged.
        method: how, a sentence.
    """

    doubts: tuple[LabelDoubt, ...]
    images: int
    method: str

    @property
    def expected(self) -> int:
        """How many of the doubts are to be expected to be errors."""
        return round(sum(doubt.chance for doubt in self.doubts))

    @property
    def expected_text(self) -> str:
        """The same in words, to go on with after the number of doubts: "about 40 of them are expected to be"."""
        if not self.expected:
            return "none of them is expected to be; the network's own mistakes look like this too"
        be = "is" if self.expected == 1 else "are"
        return f"about {self.expected:,} of them {be} expected to be, the likeliest first"


def label_review_csv(review: LabelReview) -> str:
    """Likely label errors as CSV text: path, class, suggested class, the probability (0–1) of each, and the chance
    (0–1) that it is an error.
    """
    rows = (
        (
            doubt.path,
            doubt.given,
            doubt.suggested,
            f"{doubt.given_probability:.6f}",
            f"{doubt.suggested_probability:.6f}",
            f"{doubt.chance:.6f}",
        )
        for doubt in review.doubts
    )
    return csv_text(("path", "class", "suggested", "class_probability", "suggested_probability", "chance"), rows)
