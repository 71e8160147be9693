"""Trainings that are compared with each other."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

from cnn_studio.core.evaluation.figures import Evaluation
from cnn_studio.core.job.events import Event

if TYPE_CHECKING:
    pass


class Verdict(StrEnum):
    """Whether a kind of augmentation was worth having."""

    BETTER = "better"
    WORSE = "worse"
    UNCLEAR = "no clear difference"
    NOT_COMPARED = ""  # the trial without, which the others are compared with


@dataclass(frozen=True, slots=True)
class TrialStarted(Event):
    """One of several trainings that are compared begins; ``number`` counts from 1, ``title`` says which."""

    number: int
    total: int
    title: str


@dataclass(frozen=True, slots=True)
class TrialEnded(Event):
    """One of several trainings that are compared is complete."""

    trial: AugmentationTrial


@dataclass(frozen=True, slots=True)
class AugmentationTrial:
    """One training of a comparison: with one kind of augmentation, with none, or with all that were chosen.

    Attributes:
        name: the kind's name, "none" or "all".
        title: the same for a person.
        run: the run's folder.
        validation: how good the network became.
        training_accuracy: of the epoch that was kept, as it was trained, 0–1.
        difference, low, high: validation accuracy less that without augmentation, and its 95 % interval, from the
            same images, -1 to 1; all 0 for the trial without.
    """

    name: str
    title: str
    run: Path
    validation: Evaluation
    training_accuracy: float
    difference: float = 0.0
    low: float = 0.0
    high: float = 0.0

    @property
    def verdict(self) -> Verdict:
        """What the difference says."""
        if self.name == "none":
            return Verdict.NOT_COMPARED
        return Verdict.BETTER if self.low > 0 else Verdict.WORSE if self.high < 0 else Verdict.UNCLEAR


@dataclass(frozen=True, slots=True)
class AugmentationComparison:
    """Every trial that was completed, the one without augmentation first; ``ended`` is "completed" or "stopped"."""

    trials: tuple[AugmentationTrial, ...]
    ended: str
