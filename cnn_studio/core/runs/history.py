"""A run's figures of each epoch, read back."""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping
from dataclasses import dataclass

from cnn_studio.core.atomic_file import csv_rows
from cnn_studio.core.errors import CnnStudioError
from cnn_studio.core.runs.run import Run

_LAST_EPOCH = 1_000_000


@dataclass(frozen=True, slots=True)
class EpochFigures:
    """One epoch as ``history.csv`` holds it; what was not measured is NaN.

    Attributes:
        epoch: counted from 1.
        loss, val_loss: in nats.
        accuracy, val_accuracy: 0–1.
        stage: code of the training's stage, a ``TrainingStage``; "" where there was but one.
    """

    epoch: int
    loss: float
    accuracy: float
    val_loss: float
    val_accuracy: float
    stage: str = ""


def read_history(run: Run) -> tuple[EpochFigures, ...]:
    """The epochs of a run that are complete; empty before the first is.

    Raises:
        CnnStudioError: the file is damaged.
    """
    damaged = CnnStudioError("The curves of this run cannot be shown: its history.csv is damaged.", path=run.history)
    try:
        with run.history.open(encoding="utf-8", newline="") as file:
            epochs = tuple(_figures(row) for row in csv_rows(file))
    except FileNotFoundError:
        return ()
    except (OSError, ValueError, KeyError, TypeError, csv.Error) as error:
        raise damaged from error
    if not epochs:  # it is first written when there is one
        raise damaged
    return epochs


def best_epoch(epochs: tuple[EpochFigures, ...]) -> int:
    """The epoch with the lowest validation loss, which is the one that is kept; 0 where none was measured."""
    measured = [each for each in epochs if math.isfinite(each.val_loss)]
    return min(measured, key=lambda each: each.val_loss).epoch if measured else 0


def _figures(row: Mapping[str, str]) -> EpochFigures:
    epoch = int(row["epoch"])
    if not 1 <= epoch <= _LAST_EPOCH:
        raise ValueError(f"epoch {epoch}")
    loss, accuracy, val_loss, val_accuracy = (
        float(row[name] or "nan") for name in ("loss", "accuracy", "val_loss", "val_accuracy")
    )
    return EpochFigures(epoch, loss, accuracy, val_loss, val_accuracy, row.get("stage", ""))
