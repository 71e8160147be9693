"""Looking for images in the wrong class by asking networks that did not learn from them."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Collection
from dataclasses import dataclass, replace
from pathlib import Path

from cnn_studio.core.data.dataset import Dataset
from cnn_studio.core.data.decisions import apply_decisions
from cnn_studio.core.data.image_file import Split
from cnn_studio.core.errors import DatasetError, ModelFileError
from cnn_studio.core.evaluation.label_review import LabelDoubt, LabelReview
from cnn_studio.core.experiment.experiment import Experiment
from cnn_studio.core.job.jobs import JobCancelled, JobContext, nowhere
from cnn_studio.core.runs import run as runs
from cnn_studio.core.text import composed
from cnn_studio.tasks.cross_validation import train_folds
from cnn_studio.tasks.loaded import load
from cnn_studio.tasks.measuring import Answers, ask_about


@dataclass(frozen=True, slots=True)
class LabelErrorRequest:
    """Look for label errors in ``dataset``, as the decisions of ``experiment`` leave it.

    Attributes:
        dataset: as scanned.
        experiment: its decisions count; without ``run``, it is what is trained.
        run: a finished run whose model is asked about the images it was not trained on, which takes seconds; None
            trains a network for each fold, so that every image is judged.
        folds: how many networks, without ``run``.
    """

    dataset: Dataset
    experiment: Experiment
    run: Path | None = None
    folds: int = 5


def find_label_errors(request: LabelErrorRequest, context: JobContext) -> LabelReview:
    """Rank the images that networks which never saw them confidently put into another class, and say how many errors
    are to be expected among them.

    Raises:
        DatasetError: a class has too few images for so many folds, or the run is of other images or classes.
        ModelFileError: the run has no model.
        CnnStudioError: as ``train``.
        JobCancelled: the user cancelled; *stop* ends it just so.
    """
    dataset, _ = apply_decisions(request.dataset, request.experiment.decisions)
    if request.run is not None:
        model, held_out = _held_out(dataset, request.run)
        judged = [_judge(model, held_out, context)]
        method = "Each was judged by the run's network, which was not trained on it: its validation and test images."
    else:
        with tempfile.TemporaryDirectory(prefix="cnn_studio-") as work:
            judged = _judge_by_folds(dataset, request, Path(work), context)
        method = (
            f"Each was judged by a network that was not trained on it, one of {request.folds} "
            f"({request.folds}-fold cross-validation)."
        )
    return _review(judged, dataset.class_names, method)


def _held_out(dataset: Dataset, folder: Path) -> tuple[Path, Dataset]:
    """A run's model, and the images of the data set that it was not trained on."""
    run = runs.read_run(folder)
    if not run.model.exists():
        raise ModelFileError(f"The run in {folder.name} has no model.", hint="Train it to its end.", path=folder)
    if tuple(map(composed, run.class_names)) != tuple(map(composed, dataset.class_names)):
        raise DatasetError(
            f"The run in {folder.name} knows other classes than {dataset.name} has.",
            hint="Choose a run that was trained on this folder.",
            path=folder,
        )
    kept = _only(dataset, {path for path, _, split in runs.read_manifest(run) if split is not Split.TRAIN})
    if not kept.files:
        raise DatasetError(
            f"None of the validation and test images of the run in {folder.name} is in {dataset.name}.",
            hint="Choose a run that was trained on this folder.",
            path=folder,
        )
    return run.model, kept


def _only(dataset: Dataset, paths: Collection[str]) -> Dataset:
    known = set(map(composed, paths))
    return replace(dataset, files=tuple(file for file in dataset.files if composed(file.path) in known))


def _judge_by_folds(dataset: Dataset, request: LabelErrorRequest, work: Path, context: JobContext) -> list[Answers]:
    judged = []
    passing = replace(context, elsewhere=nowhere)  # these networks are asked once and kept nowhere
    for trained in train_folds(dataset, request.experiment, work, request.folds, passing):
        if context.cancel.stop_requested:
            raise JobCancelled  # a review of some of the images would look like one of all
        manifest = runs.read_manifest(runs.read_run(trained.run))
        held_out = _only(dataset, {path for path, _, split in manifest if split is Split.TEST})
        judged.append(_judge(trained.model, held_out, context))
        shutil.rmtree(trained.run, ignore_errors=True)  # five large networks need not lie there at once
    return judged


def _judge(model_file: Path, dataset: Dataset, context: JobContext) -> Answers:
    """Ask a model about every image of a data set; those that cannot be read any more are told and passed over."""
    model, facts = load(model_file, context)
    return ask_about(model, facts, dataset, context)


def _review(judged: list[Answers], class_names: tuple[str, ...], method: str) -> LabelReview:
    import numpy as np

    from cnn_studio.core.evaluation.label_errors import chance_of_error, likely_label_errors

    paths = [path for one in judged for path in one.paths]
    labels = np.concatenate([one.labels for one in judged])
    probabilities = np.concatenate([one.said.probabilities for one in judged])
    chances = chance_of_error(labels, np.concatenate([one.said.logits for one in judged]))
    found = likely_label_errors(labels, probabilities)
    doubts = []
    for index in found[np.argsort(-chances[found], kind="stable")].tolist():
        given, suggested = int(labels[index]), int(probabilities[index].argmax())
        doubts.append(
            LabelDoubt(
                path=paths[index],
                given=class_names[given],
                suggested=class_names[suggested],
                given_probability=float(probabilities[index, given]),
                suggested_probability=float(probabilities[index, suggested]),
                chance=float(chances[index]),
            )
        )
    return LabelReview(tuple(doubts), len(paths), method)
