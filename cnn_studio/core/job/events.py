"""What a job tells while it runs: small frozen records of plain numbers and strings.

They cross from the job's thread to the window, and to standard output as JSON lines, so nothing in them may be a
Keras, NumPy or Qt object.
"""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any


class Stage(StrEnum):
    """The part of a job that is running, in the order a training job goes through them."""

    START = "start"
    SCAN = "scan"
    COMPARE = "compare"
    PREPARE = "prepare"
    FEATURES = "features"
    TRAIN = "train"
    EVALUATE = "evaluate"
    PREDICT = "predict"
    CALIBRATE = "calibrate"
    EXPLAIN = "explain"
    REPORT = "report"
    EXPORT = "export"
    DOWNLOAD = "download"
    MEASURE = "measure"


STAGE_TEXT = {
    Stage.START: "Starting TensorFlow",
    Stage.SCAN: "Checking images",
    Stage.COMPARE: "Looking for pictures that are alike",
    Stage.PREPARE: "Preparing images",
    Stage.FEATURES: "Running the fixed part once",
    Stage.TRAIN: "Training",
    Stage.EVALUATE: "Evaluating",
    Stage.PREDICT: "Predicting",
    Stage.CALIBRATE: "Calibrating",
    Stage.EXPLAIN: "Finding out where it looks",
    Stage.REPORT: "Writing the report",
    Stage.EXPORT: "Exporting",
    Stage.DOWNLOAD: "Fetching weights",
    Stage.MEASURE: "Measuring speed",
}
"""What each stage is called in front of a person."""


@dataclass(frozen=True, slots=True)
class Event:
    """The root of everything a job reports."""


@dataclass(frozen=True, slots=True)
class StageStarted(Event):
    """A stage began; ``total`` is its number of steps (images, batches), 0 when not known."""

    stage: Stage
    total: int = 0


@dataclass(frozen=True, slots=True)
class Progress(Event):
    """``done`` of ``total`` units of a stage are finished; ``rate`` is units per second, 0.0 while not known."""

    stage: Stage
    done: int
    total: int
    unit: str = "images"
    rate: float = 0.0

    @property
    def seconds_left(self) -> float | None:
        """Time left at the present rate in seconds, or None while that is not known."""
        return (self.total - self.done) / self.rate if self.rate > 0 else None


@dataclass(frozen=True, slots=True)
class Message(Event):
    """One sentence worth telling: a fallback taken, a file left out, a limit reached."""

    text: str


class DeviceKind(StrEnum):
    """What can compute."""

    GPU = "gpu"
    CPU = "cpu"


@dataclass(frozen=True, slots=True)
class DeviceChosen(Event):
    """What computes: ``name`` is short, ``detail`` says why this one."""

    kind: DeviceKind
    name: str
    detail: str


@dataclass(frozen=True, slots=True)
class TrainingStarted(Event):
    """Sizes of the run that begins, so that faces can draw axes and estimate time.

    ``epochs`` are those of all training stages together, at most.
    """

    epochs: int
    steps_per_epoch: int
    train_images: int
    validation_images: int
    parameters: int


class TrainingStage(StrEnum):
    """A part of a training in stages."""

    HEAD = "head"
    FINE_TUNING = "fine_tuning"


@dataclass(frozen=True, slots=True)
class TrainingStageStarted(Event):
    """A part of a training in stages begins; a network trained from scratch has none. Epochs number on across them.

    ``text`` says it to a person, ``first_epoch`` counts from 1 and ``epochs`` is how many there are in this stage at
    most. ``trainable_parameters`` are those that change from now on.
    """

    name: TrainingStage
    text: str
    first_epoch: int
    epochs: int
    trainable_parameters: int


@dataclass(frozen=True, slots=True)
class BatchEnded(Event):
    """One training batch is done. ``step`` counts from 1 within ``epoch``, which counts from 1.

    ``loss`` and ``accuracy`` (0–1) are this batch's own, not running means.
    """

    epoch: int
    step: int
    loss: float
    accuracy: float
    images_per_second: float
    seconds_left: float


@dataclass(frozen=True, slots=True)
class EpochEnded(Event):
    """One epoch and its validation are done. Accuracies are 0–1; ``best`` marks the lowest validation loss so far."""

    epoch: int
    loss: float
    accuracy: float
    val_loss: float
    val_accuracy: float
    seconds: float
    best: bool


def event_name(event: Event) -> str:
    """The event's name in JSON: its class name in snake case (``BatchEnded`` → ``batch_ended``)."""
    return re.sub(r"(?<!^)(?=[A-Z])", "_", type(event).__name__).lower()


def event_as_dict(event: Event) -> dict[str, Any]:
    """The event as a JSON-ready object with its name under ``event``."""
    return {"event": event_name(event), **asdict(event)}
