"""The model that the window works with."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from cnn_studio.core.evaluation.model_facts import ModelFacts


@dataclass(frozen=True, slots=True)
class OpenedModel:
    """The model that dropped images are shown to: a file and what it says of itself.

    Attributes:
        path: the ``.keras`` file.
        facts: class names, image size; the class names are the user's where the file had none.
        title: what to call it: the data set it was trained on, or the file's name.
    """

    path: Path
    facts: ModelFacts
    title: str

    @property
    def class_count(self) -> int:
        """How many classes it tells apart."""
        return self.facts.class_count
