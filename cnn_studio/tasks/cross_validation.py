"""Training once for each fold, so that every image is tested by a network that was not trained on it."""

from __future__ import annotations

import math
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, stdev

from cnn_studio.core.atomic_file import csv_text, write_text
from cnn_studio.core.data.dataset import Dataset
from cnn_studio.core.data.decisions import apply_decisions
from cnn_studio.core.data.events import Caution
from cnn_studio.core.data.folds import fold_datasets
from cnn_studio.core.experiment.experiment import Experiment
from cnn_studio.core.job.events import Message
from cnn_studio.core.job.jobs import JobCancelled, JobContext
from cnn_studio.core.runs.run import refuse_used
from cnn_studio.core.runs.trained import CrossValidation, TrainedModel
from cnn_studio.tasks.training import TrainRequest, train


@dataclass(frozen=True, slots=True)
class CrossValidateRequest:
    """Train ``experiment`` once for each of ``folds`` parts of ``dataset``; runs go into the new folder ``out``."""

    dataset: Dataset
    experiment: Experiment
    out: Path
    folds: int = 5


def cross_validate(request: CrossValidateRequest, context: JobContext) -> CrossValidation:
    """Measure a recipe by cross-validation; each fold is kept as a run of its own, with ``folds.csv`` beside them.

    In each fold the held-out images are for testing, and validation images are taken from the rest. What must stay in
    one split stays in one fold. On *stop* the fold at work is kept as it is and no other begun; on *cancel* nothing is.

    Raises:
        DatasetError: a class has too few images for so many folds.
        StorageError: ``out`` is not new.
        CnnStudioError: as ``train``.
        JobCancelled: the user cancelled.
    """
    refuse_used(request.out)
    done: list[TrainedModel] = []
    try:
        for trained in train_folds(request.dataset, request.experiment, request.out, request.folds, context):
            done.append(trained)
            if context.cancel.stop_requested:
                break
    except JobCancelled:
        shutil.rmtree(request.out, ignore_errors=True)
        raise
    result = _summary(done, request.folds)
    header = ("fold", "images", "accuracy", "loss", "epochs", "run")
    rows = [
        (number, trained.test.images, trained.test.accuracy, trained.test.loss, trained.epochs, trained.run.name)
        for number, trained in enumerate(done, start=1)
        if trained.test
    ]
    write_text(request.out / "folds.csv", csv_text(header, rows))
    return result


def train_folds(
    dataset: Dataset, experiment: Experiment, out: Path, folds: int, context: JobContext
) -> Iterator[TrainedModel]:
    """Train on each fold in turn, in ``out / "fold 1"`` and so on."""
    once = context.telling_once(Message, Caution)  # what is said of the data set need not be said of each fold
    decided, _ = apply_decisions(dataset, experiment.decisions)
    for number, part in enumerate(fold_datasets(decided, experiment.split, folds), start=1):
        context.report(Message(f"Fold {number} of {folds}."))
        yield train(TrainRequest(part, experiment, out / f"fold {number}"), once)


def _summary(done: list[TrainedModel], asked: int) -> CrossValidation:
    tests = [trained.test for trained in done if trained.test]
    accuracies = [test.accuracy for test in tests]
    mean = fmean(accuracies)
    deviation, half = 0.0, 1.0
    if len(accuracies) > 1:
        from scipy.stats import t

        deviation = stdev(accuracies)
        half = float(t.ppf(0.975, len(accuracies) - 1)) * deviation / math.sqrt(len(accuracies))
    return CrossValidation(
        folds=tuple(done),
        asked=asked,
        accuracy=mean,
        accuracy_low=max(0.0, mean - half),
        accuracy_high=min(1.0, mean + half),
        deviation=deviation,
        loss=fmean(test.loss for test in tests),
    )
