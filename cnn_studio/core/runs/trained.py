"""The end of a training, and of one training for each fold."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from cnn_studio.core.data.events import Caution
from cnn_studio.core.evaluation.figures import Evaluation
from cnn_studio.core.evaluation.model_facts import ModelFacts


class Ended(StrEnum):
    """How a training that has a result came to its end; the value is what files and the command line hold."""

    COMPLETED = "completed"
    EARLY_STOPPING = "early_stopping"
    STOPPED = "stopped"  # by the user, who keeps what was learnt


ENDED_TEXT = {
    Ended.COMPLETED: "all epochs done",
    Ended.EARLY_STOPPING: "ended early, since the validation loss fell no further",
    Ended.STOPPED: "stopped by you",
}
"""The same in words, to go on with after a colon."""


@dataclass(frozen=True, slots=True)
class TrainedModel:
    """The end of a training job.

    Attributes:
        run: the run's folder.
        model: the best model's file inside it.
        facts: what the file says of itself.
        metrics: ``accuracy``, ``loss``, ``val_accuracy``, ``val_loss`` of the best epoch.
        validation: evaluation of the best model on the validation images.
        test: the same on the test images; None when there are none.
        epochs: how many were completed.
        best_epoch: which one the model is from, counted from 1; 0 when stopped before the first was complete.
        ended: how it came to its end.
        seconds: the whole job, wall clock.
        device: what computed, in a few words.
        cautions: what was said of the images before it began.
    """

    run: Path
    model: Path
    facts: ModelFacts
    metrics: dict[str, float]
    validation: Evaluation
    test: Evaluation | None
    epochs: int
    best_epoch: int
    ended: Ended
    seconds: float
    device: str
    cautions: tuple[Caution, ...] = ()


@dataclass(frozen=True, slots=True)
class CrossValidation:
    """How good a recipe is, measured on every image by a network that was not trained on it.

    Attributes:
        folds: one training each; its ``test`` is the evaluation on the images that were held out.
        asked: how many folds were asked for; there are fewer when the user stopped.
        accuracy: mean of the folds' test accuracies, 0–1.
        accuracy_low, accuracy_high: its 95 % interval by Student's t over the folds. The folds share training images,
            so that it is a guide and no guarantee (Bengio and Grandvalet 2004).
        deviation: standard deviation of the folds' test accuracies.
        loss: mean of the folds' test losses, in nats.
    """

    folds: tuple[TrainedModel, ...]
    asked: int
    accuracy: float
    accuracy_low: float
    accuracy_high: float
    deviation: float
    loss: float
