"""Which augmentation helps: the same short training with none, with each kind alone, and with all."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cnn_studio.core.data.dataset import Dataset
from cnn_studio.core.data.events import Caution
from cnn_studio.core.data.image_file import Split
from cnn_studio.core.errors import ExperimentError
from cnn_studio.core.experiment.augmentation import NO_AUGMENTATION, AugmentationSettings, describe
from cnn_studio.core.experiment.experiment import Experiment
from cnn_studio.core.intervals import paired_difference
from cnn_studio.core.job.events import Message
from cnn_studio.core.job.jobs import JobContext
from cnn_studio.core.runs.comparison import AugmentationComparison, AugmentationTrial, TrialEnded, TrialStarted
from cnn_studio.core.runs.trained import Ended
from cnn_studio.tasks.evaluation import saved_evaluation
from cnn_studio.tasks.training import TrainRequest, train

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

NONE, ALL = "none", "all"


@dataclass(frozen=True, slots=True)
class CompareRequest:
    """Try the kinds of ``experiment``'s augmentation one at a time.

    Attributes:
        dataset: what is trained on, with the same split each time.
        experiment: everything but the augmentation and the number of epochs stays as it is.
        epochs: of each training, at most.
        folder: where the runs go; each gets a folder of its own.
        prefix: what each folder's name begins with, before the trial's.
    """

    dataset: Dataset
    experiment: Experiment
    epochs: int
    folder: Path
    prefix: str = ""


def planned_trials(experiment: Experiment) -> list[tuple[str, str, AugmentationSettings]]:
    """(name, title, augmentation) of every training that a comparison makes.

    Raises:
        ExperimentError: there is nothing to compare.
    """
    chosen = experiment.augmentation
    if not chosen.is_on:
        raise ExperimentError(
            "No augmentation is switched on, so there is nothing to compare.",
            hint="Choose the kinds you want to try.",
            field="augmentation",
        )
    trials = [(NONE, "Without augmentation", NO_AUGMENTATION)]
    for kind in chosen.kinds:
        alone = chosen.only(kind.name)
        text = describe(alone)
        trials.append((kind.name, f"Only {text}", alone))
    if len(chosen.kinds) > 1:
        trials.append((ALL, "All of them", chosen))
    return trials


def compare_augmentations(request: CompareRequest, context: JobContext) -> AugmentationComparison:
    """Train once for each trial and compare validation accuracies, image by image, with that without augmentation.

    Every trial is a run of its own, with the same split, seed and initial weights. *Stop* ends the training that runs
    and leaves out the rest; that run is kept but not compared, since it had less time. *Cancel* discards it. Runs that
    were complete stay.

    Raises:
        ExperimentError: there is nothing to compare, or the settings cannot work.
        DatasetError, WeightsError, TrainingError, StorageError, JobCancelled: as ``train``.
    """
    trials = planned_trials(request.experiment)
    once = context.telling_once(Message, Caution)
    done: list[AugmentationTrial] = []
    without: NDArray[np.bool_] | None = None
    for number, (name, title, augmentation) in enumerate(trials, start=1):
        if context.cancel.stop_requested:
            return AugmentationComparison(tuple(done), Ended.STOPPED)
        context.report(TrialStarted(number, len(trials), title))
        training = request.experiment.training.model_copy(update={"epochs": request.epochs})
        experiment = request.experiment.model_copy(update={"augmentation": augmentation, "training": training})
        run = request.folder / f"{request.prefix}{name}"
        trained = train(TrainRequest(request.dataset, experiment, run), once)
        if trained.ended is Ended.STOPPED:
            return AugmentationComparison(tuple(done), Ended.STOPPED)
        measured = saved_evaluation(trained.model, Split.VALIDATION)
        right = measured.right if measured is not None else None
        if without is None:
            without = right
        difference = (0.0, 0.0, 0.0)
        if name != NONE and without is not None and right is not None:
            difference = paired_difference(right.tolist(), without.tolist())
        accuracy = trained.metrics.get("accuracy", 0.0)
        done.append(AugmentationTrial(name, title, trained.run, trained.validation, accuracy, *difference))
        context.report(TrialEnded(done[-1]))
    return AugmentationComparison(tuple(done), Ended.COMPLETED)
