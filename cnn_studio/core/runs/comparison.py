"""Trainings that are compared with each other."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from cnn_studio.core.evaluation.figures import Evaluation
from cnn_studio.core.job.events import Event
from cnn_studio.core.runs.trained import Ended


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


class TrialVerdict(StrEnum):
    """What a trial says of its augmentation; the value is what the command line prints."""

    BETTER = "better"
    WORSE = "worse"
    UNCLEAR = "no clear difference"


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
    def verdict(self) -> TrialVerdict | None:
        """What the difference says; None for the trial without augmentation."""
        if self.name == "none":
            return None
        if self.low > 0:
            return TrialVerdict.BETTER
        return TrialVerdict.WORSE if self.high < 0 else TrialVerdict.UNCLEAR


@dataclass(frozen=True, slots=True)
class AugmentationComparison:
    """Every trial that was completed, the one without augmentation first; ``ended`` is never ``EARLY_STOPPING``."""

    trials: tuple[AugmentationTrial, ...]
    ended: Ended
