"""Training a network on a data set and keeping it as a run; recovering one that was interrupted."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from cnn_studio.core.advice.preflight import refuse
from cnn_studio.core.advice.suggestions import suggest_experiment
from cnn_studio.core.atomic_file import csv_text, write_bytes, write_text
from cnn_studio.core.data import dataset as datasets
from cnn_studio.core.data.cautions import cautions_of
from cnn_studio.core.data.dataset import Dataset
from cnn_studio.core.data.decisions import apply_decisions
from cnn_studio.core.data.events import FilesLeftOut
from cnn_studio.core.data.image_file import Split
from cnn_studio.core.data.split import SplitAssignment, split_dataset, why_not_trainable
from cnn_studio.core.errors import CnnStudioError, ModelFileError, StorageError
from cnn_studio.core.evaluation.figures import Evaluation
from cnn_studio.core.evaluation.model_facts import ModelFacts
from cnn_studio.core.experiment.augmentation import NO_AUGMENTATION
from cnn_studio.core.experiment.experiment import Experiment, with_values
from cnn_studio.core.experiment.settings import BackboneArchitecture
from cnn_studio.core.job.events import EpochEnded, Event, Message, TrainingStageStarted
from cnn_studio.core.job.jobs import JobCancelled, JobContext, Report
from cnn_studio.core.runs import run as runs
from cnn_studio.core.runs.run import Run, RunStatus
from cnn_studio.core.runs.trained import TrainedModel
from cnn_studio.core.runs.training_lock import held
from cnn_studio.core.weights.weights import find_weights
from cnn_studio.tasks.measuring import Answers

if TYPE_CHECKING:
    import keras

    from cnn_studio.core.experiment.layer_plan import PlannedLayer
    from cnn_studio.core.store.prepared import PreparedImages
    from cnn_studio.ml.features import RowSource
    from cnn_studio.ml.split_batches import SplitBatches
    from cnn_studio.ml.stages import StageNetwork
    from cnn_studio.ml.train import TrainingHistory


@dataclass(frozen=True, slots=True)
class TrainRequest:
    """Train ``experiment`` on ``dataset`` and keep the result in the new folder ``run``.

    The experiment's decisions are applied to the data set here.
    """

    dataset: Dataset
    experiment: Experiment
    run: Path


def train(request: TrainRequest, context: JobContext) -> TrainedModel:
    """Prepare the images, train, evaluate the best model and keep it, all in a new run folder.

    On *stop* the best model so far is evaluated and kept; on *cancel* the run folder is removed. When the folder cannot
    take the trained network, the whole run goes to the first folder of ``context.elsewhere`` that can.

    Raises:
        DatasetError: the data set cannot be trained on; says why.
        ExperimentError: the settings cannot work on it.
        WeightsError: a backbone's pre-trained weights are not on this machine, or are damaged.
        TrainingError: training could not go on; the run folder keeps the best weights if there are any.
        StorageError: the run folder exists already, or the disk is full before there is a network, or everywhere.
        JobCancelled: the user cancelled.
    """
    from cnn_studio.core.experiment.layer_plan import plan_layers

    experiment = request.experiment
    scanned, notes = apply_decisions(request.dataset, experiment.decisions)
    for note in notes:
        context.report(Message(note))
    refuse(experiment, scanned, thorough=False)  # the weights are checked below
    cautions = cautions_of(scanned, experiment.split, experiment.image)
    for caution in cautions:
        context.report(caution)
    layers = plan_layers(experiment.architecture, experiment.image, len(scanned.class_names))
    weights_file = _weights_file(experiment, context.report)
    started = time.monotonic()
    _refuse_what_does_not_fit(layers, experiment, context.report)
    dataset, prepared = _prepare(scanned, experiment, context)
    assignment = split_dataset(dataset, experiment.split)
    with held(request.run):
        run = runs.create_run(request.run, dataset, assignment, experiment)
        try:
            material = _Material(dataset, prepared, assignment, weights_file)
            return replace(_train_in(run, material, experiment, started, context), cautions=cautions)
        except JobCancelled:
            runs.discard_run(run)
            raise
        except Exception as error:
            if run.checkpoint.exists():
                with suppress(StorageError):  # then it counts as interrupted; what went wrong is raised below
                    runs.fail_run(run, error)
            else:
                runs.discard_run(run)
            raise


def _refuse_what_does_not_fit(layers: tuple[PlannedLayer, ...], experiment: Experiment, report: Report) -> None:
    """Tell before minutes of preparation what memory cannot hold; the same is checked again of the network itself."""
    from cnn_studio.ml import memory, runtime

    image = experiment.image
    memory.check_parameters(layers, image.height, image.width)
    runtime.start(report)
    if not runtime.computes_on_gpu() and not isinstance(experiment.architecture, BackboneArchitecture):
        parameters = sum(layer.parameters for layer in layers)
        shapes = [layer.output_shape for layer in layers]
        memory.check_batch(shapes, parameters, experiment.training.batch_size, (image.height, image.width))


def _weights_file(experiment: Experiment, report: Report) -> Path | None:
    """The backbone's pre-trained weights on this machine; None for a network trained from scratch."""
    if not isinstance(experiment.architecture, BackboneArchitecture):
        return None
    checked = find_weights(experiment.architecture.name)
    if checked.note:
        report(Message(checked.note))
    return checked.path


@dataclass(frozen=True, slots=True)
class _Material:
    """What a run starts from: ``prepared.rows`` and ``assignment.splits`` are aligned with ``dataset.files``.

    ``weights_file`` holds a backbone's pre-trained weights; None for a network trained from scratch.
    """

    dataset: Dataset
    prepared: PreparedImages
    assignment: SplitAssignment
    weights_file: Path | None


def _prepare(dataset: Dataset, experiment: Experiment, context: JobContext) -> tuple[Dataset, PreparedImages]:
    """Decode every image once; what cannot be read any more is taken out of the data set, and that is reported."""
    from cnn_studio.core.store.prepared import prepare_images

    image = experiment.image
    prepared = prepare_images(dataset, image.height, image.width, context, fit=image.fit)
    if prepared.issues:
        context.report(FilesLeftOut(prepared.issues))
        dataset = datasets.without_files(dataset, prepared.issues)
        prepared = replace(prepared, rows=prepared.rows[prepared.rows >= 0])
        if reason := why_not_trainable(dataset, experiment.split):
            raise reason
    return dataset, prepared


def _train_in(
    run: Run, material: _Material, experiment: Experiment, started: float, context: JobContext
) -> TrainedModel:
    from cnn_studio.ml import runtime

    device = runtime.start(context.report)
    # Only now: importing these imports TensorFlow, which listens to what start() sets up.
    from cnn_studio.core.evaluation.measured_file import measured_path, write_measured
    from cnn_studio.ml.evaluate import measure_model
    from cnn_studio.ml.features import RowSource
    from cnn_studio.ml.in_memory import weights_file
    from cnn_studio.ml.model_file import save_model
    from cnn_studio.ml.split_batches import SplitBatches

    context.cancel.raise_if_cancelled()
    dataset = material.dataset
    batches = SplitBatches(dataset, material.assignment, experiment.training)
    images = RowSource(material.prepared.pixels, material.prepared.rows, material.prepared.path.parent.name)
    keep = _HistoryKeeper(run, context.report)
    model, network, history = _fitted(material, experiment, run, batches, images, context.reporting_to(keep))

    facts = _facts(run, experiment)
    measured = {}
    for split in (Split.VALIDATION, Split.TEST):
        if places := material.assignment.indices(split):
            said = measure_model(network.model, batches.to_measure(network.source, split), context)
            paths = tuple(dataset.files[place].path for place in places)
            answers = Answers(paths, batches.labels(split), said)
            measured[split] = answers.scored(facts, run.model, dataset.root, split)
    validation = measured[Split.VALIDATION].evaluation
    test = measured[Split.TEST].evaluation if Split.TEST in measured else None
    metrics = _metrics(history, validation, test)
    facts = replace(facts, metrics=metrics)
    context.cancel.raise_if_cancelled()

    def keep_in(place: Run) -> None:
        try:
            save_model(model, place.model, facts)
        except StorageError:
            if not _removed(place.checkpoint):  # as large: without it there may be room
                raise
            save_model(model, place.model, facts)
        _removed(place.checkpoint)
        runs.finish_run(place, metrics, history.ended)

    try:
        keep_in(run)
    except StorageError as error:
        try:
            run = _kept_elsewhere(run, material, experiment, keep_in, error, context)
        except StorageError:
            with suppress(StorageError):
                write_bytes(run.checkpoint, weights_file(model).getbuffer())  # as it was
            raise
        keep.write_to(run)
    try:
        for split, one in measured.items():
            write_measured(one, measured_path(run.model, split))
    except StorageError as error:  # the model is safe, and can be measured again
        context.report(Message(f"{error} The figures of each image were not kept."))
    return TrainedModel(
        run=run.folder,
        model=run.model,
        facts=facts,
        metrics={name: metrics[name] for name in ("accuracy", "loss", "val_accuracy", "val_loss") if name in metrics},
        validation=validation,
        test=test,
        epochs=len(history.epochs),
        best_epoch=history.best_epoch,
        ended=history.ended,
        seconds=time.monotonic() - started,
        device=device.name,
    )


def _removed(file: Path) -> bool:
    """Remove a file; whether it was there and is gone."""
    try:
        file.unlink()
    except OSError:
        return False
    return True


def _kept_elsewhere(
    run: Run,
    material: _Material,
    experiment: Experiment,
    keep_in: Callable[[Run], None],
    error: StorageError,
    context: JobContext,
) -> Run:
    """Make the run anew, with its network, in another folder, since its own could not take it; then remove its own.

    Raises:
        StorageError: no other folder could take it.
        JobCancelled: the user would rather discard it.
    """
    why = error.message
    while (parent := context.elsewhere(error)) is not None:
        folder = runs.free_folder(parent / run.folder.name)
        try:
            with held(folder):
                made = runs.create_run(folder, material.dataset, material.assignment, experiment)
                moved = replace(made, created=run.created)
                try:
                    keep_in(moved)
                except BaseException:
                    runs.discard_run(moved)
                    raise
        except StorageError as another:
            error = another
            continue
        runs.discard_run(run)
        context.report(Message(f"{why} The run, with its network, is kept in {folder} instead."))
        return moved
    raise error


def _fitted(
    material: _Material,
    experiment: Experiment,
    run: Run,
    batches: SplitBatches,
    images: RowSource,
    context: JobContext,
) -> tuple[keras.Model, StageNetwork, TrainingHistory]:
    """Build and train the network; it comes back computing with 32 bits on one device, whatever it was trained with.

    Returns:
        The whole network with the best weights, a network that answers as it does with the rows it takes, and how
        training went.
    """
    from cnn_studio.ml import runtime
    from cnn_studio.ml.acceleration import accelerated, with_precision
    from cnn_studio.ml.build import build_model
    from cnn_studio.ml.features import Views
    from cnn_studio.ml.stages import StageImages, StageNetwork, fit_in_stages
    from cnn_studio.ml.train import fit_model

    dataset, settings, architecture = material.dataset, experiment.training, experiment.architecture
    build = partial(build_model, architecture, experiment.image, len(dataset.class_names), settings.seed)
    augmentation = experiment.augmentation
    acceleration = with_precision(runtime.acceleration(), settings.precision)
    with accelerated(acceleration):
        model = build(weights_file=material.weights_file)
        feed = partial(batches.to_fit, multiple=acceleration.devices)
        if isinstance(architecture, BackboneArchitecture):
            ahead = augmentation.is_on and augmentation.views > 0
            training = tuple(material.assignment.indices(Split.TRAIN))
            staged = StageImages(
                images,
                dataset.files,
                feed,
                views=Views(augmentation, settings.seed, training) if ahead else None,
                live=NO_AUGMENTATION if ahead else augmentation,
            )
            history, network = fit_in_stages(model, architecture, settings, staged, run.checkpoint, context)
        else:
            context.cancel.mark_something_to_keep()
            history = fit_model(model, settings, *feed(images), run.checkpoint, context, augmentation)
            network = StageNetwork(model, images)
    if not acceleration.is_plain:
        plain = build()
        plain.set_weights(model.get_weights())
        model, network = plain, StageNetwork(plain, images)
    return model, network, history


def _facts(run: Run, experiment: Experiment) -> ModelFacts:
    """What the model file of a run is to say of itself, before it has been measured."""
    from cnn_studio.ml import runtime

    return ModelFacts(
        class_names=run.class_names,
        height=experiment.image.height,
        width=experiment.image.width,
        fit=experiment.image.fit,
        architecture=experiment.architecture.name,
        metrics={},
        data_name=run.data_name,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        versions=runtime.versions(),
    )


def _metrics(history: TrainingHistory, validation: Evaluation, test: Evaluation | None) -> dict[str, float]:
    """The kept model's figures: training as recorded in its epoch, validation and test as evaluated."""
    metrics = {
        "val_accuracy": validation.accuracy,
        "val_accuracy_low": validation.accuracy_low,
        "val_accuracy_high": validation.accuracy_high,
        "val_loss": validation.loss,
    }
    if best := history.best:
        metrics |= {"accuracy": best.accuracy, "loss": best.loss}
    if test:
        metrics |= {
            "test_accuracy": test.accuracy,
            "test_accuracy_low": test.accuracy_low,
            "test_accuracy_high": test.accuracy_high,
            "test_loss": test.loss,
        }
    return metrics


class _HistoryKeeper:
    """A ``Report`` that passes everything on and writes ``history.csv`` anew at each epoch's end: a crash keeps it."""

    def __init__(self, run: Run, report: Report) -> None:
        self._run = run
        self._report = report
        self._rows: list[tuple[object, ...]] = []
        self._stage: tuple[str, ...] = ()
        self._told = False

    def __call__(self, event: Event) -> None:
        if isinstance(event, TrainingStageStarted):
            self._stage = (event.name,)
        if isinstance(event, EpochEnded):
            figures = (event.epoch, event.loss, event.accuracy, event.val_loss, event.val_accuracy)
            self._rows.append((*figures, round(event.seconds, 3), *self._stage))
            self.write_to(self._run)
        self._report(event)

    def write_to(self, run: Run) -> None:
        """Write what there is so far; where that cannot be it is told once, and is no reason to end a training."""
        header = ["epoch", "loss", "accuracy", "val_loss", "val_accuracy", "seconds"] + ["stage"] * len(self._stage)
        try:
            write_text(run.history, csv_text(header, self._rows))
        except StorageError as error:
            if not self._told:
                self._told = True
                self._report(Message(f"{error.message} Training goes on without it."))


def recover(folder: Path, context: JobContext) -> ModelFacts:
    """Make the model file of a run that was interrupted, from the best weights it had written.

    Raises:
        CnnStudioError: the folder is no run, it is being trained, or it ended before its first epoch did.
    """
    run = runs.read_run(folder)
    with held(folder):
        return _recovered(run, context)


def _recovered(run: Run, context: JobContext) -> ModelFacts:
    if run.status is RunStatus.FINISHED and not run.checkpoint.exists():
        raise CnnStudioError(
            f"The run in {run.folder.name} was finished, but its model is gone: {run.model.name} is not in its folder.",
            hint="Put it back, or train the run again with the same settings.",
            path=run.folder,
        )
    if not run.checkpoint.exists():
        raise CnnStudioError(
            f"The run in {run.folder.name} ended before its first epoch was complete, so it has no model.",
            hint="Train it again with the same settings.",
            path=run.folder,
        )
    from cnn_studio.ml import runtime

    runtime.start(context.report)
    from cnn_studio.ml.build import build_model
    from cnn_studio.ml.model_file import save_model

    experiment = run.experiment()
    model = build_model(experiment.architecture, experiment.image, len(run.class_names), experiment.training.seed)
    try:
        model.load_weights(run.checkpoint)
    except (OSError, ValueError, KeyError) as error:
        raise ModelFileError(
            f"The weights in {run.checkpoint} are damaged.", hint="Train the run again.", path=run.checkpoint
        ) from error
    facts = _facts(run, experiment)
    save_model(model, run.model, facts)
    return facts


def demo_experiment(dataset: Dataset) -> Experiment:
    """Settings with which a scratch CNN learns the sample data set in about a minute on two CPU cores."""
    suggested = suggest_experiment(dataset)
    return with_values(suggested, {"image.height": 64, "image.width": 64, "training.epochs": 12})
