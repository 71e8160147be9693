"""The jobs, as plain functions ``job(request, report, cancel) -> result``: what the window and the command line call.

Nothing here knows of Qt, and what a job needs (Keras, TensorFlow, NumPy, Pillow) is imported inside the functions:
importing this module costs milliseconds, and the window's first paint does not wait for any of it.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import lru_cache
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cnn_studio.core import dataset as datasets
from cnn_studio.core import runs
from cnn_studio.core.atomic_file import csv_text, write_text
from cnn_studio.core.config import BackboneArchitecture, Experiment, with_values
from cnn_studio.core.dataset import Dataset, Split, SplitAssignment
from cnn_studio.core.errors import CnnStudioError, DatasetError, ModelFileError
from cnn_studio.core.events import EpochEnded, Event, FilesLeftOut, ImagesPredicted, Message, TrainingStageStarted
from cnn_studio.core.jobs import CancelToken, JobCancelled, Report
from cnn_studio.core.results import Evaluation, ModelFacts, Prediction, TrainedModel
from cnn_studio.core.runs import Run, RunStatus
from cnn_studio.core.weights import find_weights

if TYPE_CHECKING:
    import numpy as np

    from cnn_studio.core.layer_plan import PlannedLayer
    from cnn_studio.core.store import PreparedImages
    from cnn_studio.ml.runtime import Device
    from cnn_studio.ml.train import TrainingHistory

Job = Callable[[Any, Report, CancelToken], Any]


def start_runtime(request: None, report: Report, cancel: CancelToken) -> Device:  # noqa: ARG001 -- every job's shape
    """Load TensorFlow and find the device that computes, so that the first training does not wait for it."""
    from cnn_studio.ml import runtime

    return runtime.start(report)


def scan(folder: Path, report: Report, cancel: CancelToken) -> Dataset:
    """List a class-per-folder directory and check that every image can be read.

    Raises:
        DatasetError: the folder holds nothing that could be a data set.
    """
    from cnn_studio.core.scan import scan_folder

    found = scan_folder(folder, report, cancel)
    found.count()
    return found


def clear_cache(request: None, report: Report, cancel: CancelToken) -> int:  # noqa: ARG001 -- every job's shape
    """Delete prepared images and cached features, which are made again when needed; returns the bytes set free."""
    from cnn_studio.core.store import clear_store, store_size

    before = store_size()
    clear_store()
    return before - store_size()


@dataclass(frozen=True, slots=True)
class TrainRequest:
    """Train ``experiment`` on ``dataset`` and keep the result in the new folder ``run``."""

    dataset: Dataset
    experiment: Experiment
    run: Path


def train(request: TrainRequest, report: Report, cancel: CancelToken) -> TrainedModel:
    """Prepare the images, train, evaluate the best model and keep it, all in a new run folder.

    On *stop* the best model so far is evaluated and kept; on *cancel* the run folder is removed.

    Raises:
        DatasetError: the data set cannot be trained on; says why.
        ExperimentError: the settings cannot work on it.
        WeightsError: a backbone's pre-trained weights are not on this machine, or are damaged.
        TrainingError: training could not go on; the run folder keeps the best weights if there are any.
        StorageError: the run folder exists already or the disk is full.
        JobCancelled: the user cancelled.
    """
    from cnn_studio.core.layer_plan import plan_layers

    experiment = request.experiment
    if reason := datasets.why_not_trainable(request.dataset, experiment.split):
        raise reason
    layers = plan_layers(experiment.architecture, experiment.image, len(request.dataset.class_names))
    weights_file = _weights_file(experiment, report)
    started = time.monotonic()
    _refuse_what_does_not_fit(layers, experiment, report)
    dataset, prepared = _prepare(request.dataset, experiment, report, cancel)
    assignment = datasets.split_dataset(dataset, experiment.split)
    run = runs.create_run(request.run, dataset, assignment, experiment)
    try:
        return _train_in(
            run, _Material(dataset, prepared, assignment, weights_file), experiment, started, report, cancel
        )
    except JobCancelled:
        runs.discard_run(run)
        raise
    except Exception as error:
        if run.checkpoint.exists():
            runs.end_run(run, RunStatus.FAILED, {}, str(error))
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


def _prepare(
    dataset: Dataset, experiment: Experiment, report: Report, cancel: CancelToken
) -> tuple[Dataset, PreparedImages]:
    """Decode every image once; what cannot be read any more is taken out of the data set, and that is reported."""
    from cnn_studio.core.store import prepare_images

    image = experiment.image
    prepared = prepare_images(dataset, image.height, image.width, report, cancel)
    if prepared.issues:
        report(FilesLeftOut(prepared.issues))
        dataset = datasets.without_files(dataset, prepared.issues)
        prepared = replace(prepared, rows=prepared.rows[prepared.rows >= 0])
        if reason := datasets.why_not_trainable(dataset, experiment.split):
            raise reason
    return dataset, prepared


def _train_in(
    run: Run, material: _Material, experiment: Experiment, started: float, report: Report, cancel: CancelToken
) -> TrainedModel:
    from cnn_studio.ml import runtime

    device = runtime.start(report)
    # Only now: importing these imports TensorFlow, which listens to what start() sets up.
    from cnn_studio.ml.build import build_model
    from cnn_studio.ml.evaluate import evaluate_model
    from cnn_studio.ml.features import RowSource
    from cnn_studio.ml.model_file import save_model
    from cnn_studio.ml.split_batches import SplitBatches
    from cnn_studio.ml.stages import StageNetwork, fit_in_stages
    from cnn_studio.ml.train import fit_model

    cancel.raise_if_cancelled()
    dataset, settings, architecture = material.dataset, experiment.training, experiment.architecture
    batches = SplitBatches(dataset, material.assignment, settings)
    images = RowSource(material.prepared.open(), material.prepared.rows, material.prepared.path.parent.name)
    model = build_model(
        architecture,
        experiment.image,
        len(dataset.class_names),
        settings.seed,
        weights_file=material.weights_file,
    )
    keep = _HistoryKeeper(run, report)
    if isinstance(architecture, BackboneArchitecture):
        history, network = fit_in_stages(
            model, architecture, settings, images, dataset.files, batches.to_fit, run.checkpoint, keep, cancel
        )
    else:
        cancel.mark_something_to_keep()
        history = fit_model(model, settings, *batches.to_fit(images), run.checkpoint, keep, cancel)
        network = StageNetwork(model, images)

    def measure(split: Split) -> Evaluation:
        measured = batches.to_measure(network.source, split)
        labels = batches.labels(split)
        return evaluate_model(network.model, measured, labels, dataset.class_names, split, report, cancel)

    validation = measure(Split.VALIDATION)
    test = measure(Split.TEST) if Split.TEST in material.assignment.splits else None
    metrics = _metrics(history, validation, test)
    facts = ModelFacts(
        class_names=dataset.class_names,
        height=experiment.image.height,
        width=experiment.image.width,
        architecture=experiment.architecture.name,
        metrics=metrics,
        data_name=dataset.name,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        versions=runtime.versions(),
    )
    cancel.raise_if_cancelled()
    save_model(model, run.model, facts)
    runs.end_run(run, RunStatus.FINISHED, metrics, history.ended)
    run.checkpoint.unlink(missing_ok=True)
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

    def __call__(self, event: Event) -> None:
        if isinstance(event, TrainingStageStarted):
            self._stage = (event.name,)
        if isinstance(event, EpochEnded):
            figures = (event.epoch, event.loss, event.accuracy, event.val_loss, event.val_accuracy)
            self._rows.append((*figures, round(event.seconds, 3), *self._stage))
            header = ["epoch", "loss", "accuracy", "val_loss", "val_accuracy", "seconds"] + ["stage"] * len(self._stage)
            write_text(self._run.history, csv_text(header, self._rows))
        self._report(event)


def recover(folder: Path, report: Report, cancel: CancelToken) -> ModelFacts:  # noqa: ARG001 -- every job's shape
    """Make the model file of a run that was interrupted, from the best weights it had written.

    Raises:
        CnnStudioError: the folder is no run, or it ended before its first epoch did.
    """
    run = runs.read_run(folder)
    if not run.checkpoint.exists():
        raise CnnStudioError(
            f"The run in {folder.name} ended before its first epoch was complete, so it has no model.",
            hint="Train it again with the same settings.",
            path=folder,
        )
    from cnn_studio.ml import runtime

    runtime.start(report)
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
    facts = ModelFacts(
        class_names=run.class_names,
        height=experiment.image.height,
        width=experiment.image.width,
        architecture=experiment.architecture.name,
        metrics={},
        data_name=run.data_name,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        versions=runtime.versions(),
    )
    save_model(model, run.model, facts)
    return facts


@lru_cache(maxsize=1)
def _load_once(path: Path, modified_ns: int, size: int) -> tuple[Any, ModelFacts]:  # noqa: ARG001 -- the key: a changed file loads anew
    from cnn_studio.ml.model_file import class_count, load_model

    model, facts = load_model(path)
    return model, replace(facts, outputs=class_count(model))


def _load(path: Path, report: Report, class_names: tuple[str, ...] | None = None) -> tuple[Any, ModelFacts]:
    """The Keras model in ``path``, loaded once while the file stays the same, and its facts.

    Where the file carries no class names, ``class_names`` are taken.
    """
    from cnn_studio.ml import runtime
    from cnn_studio.ml.model_file import with_class_names

    runtime.start(report)
    try:
        status = path.stat()
    except OSError as error:
        raise ModelFileError(f"There is no model file {path}.", path=path) from error
    model, facts = _load_once(path.resolve(), status.st_mtime_ns, status.st_size)
    if class_names:
        facts = with_class_names(facts, class_names, facts.class_count)
    return model, facts


def _named(facts: ModelFacts) -> ModelFacts:
    """The facts with numbers for names where there are none."""
    return (
        facts
        if facts.class_names
        else replace(facts, class_names=tuple(f"class {number}" for number in range(1, facts.class_count + 1)))
    )


def open_model(path: Path, report: Report, cancel: CancelToken) -> ModelFacts:  # noqa: ARG001 -- every job's shape
    """Load a ``.keras`` file, so that what it says of itself is known and predictions start at once.

    Raises:
        ModelFileError: it is missing, damaged, no image classifier, or holds code of its own.
    """
    return _load(path, report)[1]


@dataclass(frozen=True, slots=True)
class PredictRequest:
    """Classify images with a model file.

    Attributes:
        model: a ``.keras`` file.
        paths: image files, and folders whose images are all meant (with sub-folders).
        class_names: for a file that carries none; None takes the file's own, or "class 1", "class 2"…
    """

    model: Path
    paths: tuple[Path, ...]
    class_names: tuple[str, ...] | None = None


def predict(request: PredictRequest, report: Report, cancel: CancelToken) -> tuple[Prediction, ...]:
    """Classify images; each is reported as soon as it is known, a file that cannot be read as an error of its own.

    Raises:
        ModelFileError: the model cannot be used, or ``class_names`` are not as many as its outputs.
        DatasetError: there is no image among the paths.
    """
    model, facts = _load(request.model, report, request.class_names)
    from cnn_studio.ml.predict import predict_files

    paths = image_paths(request.paths, cancel)
    results: list[Prediction] = []
    waiting: list[Prediction] = []
    last_report = 0.0
    for prediction in predict_files(model, _named(facts), paths, report, cancel):
        waiting.append(prediction)
        # The first result at once, the rest in handfuls: a signal for each of 10,000 images would only cost time.
        if time.monotonic() - last_report > 0.1:
            report(ImagesPredicted(tuple(waiting)))
            results += waiting
            waiting = []
            last_report = time.monotonic()
    if waiting:
        report(ImagesPredicted(tuple(waiting)))
        results += waiting
    return tuple(results)


def image_paths(paths: Sequence[Path], cancel: CancelToken) -> list[Path]:
    """Files as given; of folders every file that is an image by its content, sorted, sub-folders included.

    Raises:
        DatasetError: a path does not exist, or there is no image in the folders.
    """
    found: list[Path] = []
    for path in paths:
        if path.is_dir():
            for folder, subfolders, names in path.walk() if hasattr(path, "walk") else _walk(path):
                subfolders[:] = sorted(name for name in subfolders if not name.startswith((".", "__MACOSX")))
                for name in sorted(names):
                    cancel.raise_if_cancelled()
                    if not name.startswith(".") and _is_image(folder / name):
                        found.append(folder / name)
        else:
            found.append(path)
    if not found:
        names = ", ".join(path.name for path in paths)
        raise DatasetError(f"There is no image in {names}.", hint="Choose image files or a folder that holds some.")
    return found


def _walk(folder: Path) -> Any:
    """``Path.walk`` for Python 3.11."""
    import os

    for place, subfolders, names in os.walk(folder):
        yield Path(place), subfolders, names


def _is_image(path: Path) -> bool:
    from cnn_studio.core.images import ImageError, probe_image

    try:
        probe_image(path)
    except ImageError:
        return False
    return True


@dataclass(frozen=True, slots=True)
class EvaluateRequest:
    """Measure a model file on a class-per-folder directory; ``split`` picks one of its given splits, if it has any."""

    model: Path
    folder: Path
    class_names: tuple[str, ...] | None = None


def evaluate(request: EvaluateRequest, report: Report, cancel: CancelToken) -> Evaluation:
    """Measure a model on every image of a folder; classes are matched by name.

    A folder that comes divided (train/, val/, test/) is measured on its test images, else on its validation images,
    since those for training would flatter.

    Raises:
        DatasetError: the folder is no data set, or none of its classes is known to the model.
        ModelFileError: the model cannot be used.
    """
    import numpy as np

    from cnn_studio.core.scan import scan_folder
    from cnn_studio.core.store import prepare_images

    model, facts = _load(request.model, report, request.class_names)
    from cnn_studio.ml.evaluate import evaluate_model
    from cnn_studio.ml.pipeline import evaluation_batches

    facts = _named(facts)
    dataset, name = _measured_part(scan_folder(request.folder, report, cancel), report)
    label_of = {class_name: label for label, class_name in enumerate(facts.class_names)}
    unknown = Counter(
        dataset.class_names[file.label] for file in dataset.files if dataset.class_names[file.label] not in label_of
    )
    if len(unknown) == len({file.label for file in dataset.files}):
        raise DatasetError(
            f"None of the classes in {dataset.name} ({_some(dataset.class_names)}) is one that the model knows "
            f"({_some(facts.class_names)}).",
            hint="Name the sub-folders as the model's classes are named.",
            path=request.folder,
        )
    for class_name, count in unknown.items():
        report(Message(f"{count} images of {class_name} are not measured: the model knows no such class."))
    dataset = replace(
        dataset, files=tuple(file for file in dataset.files if dataset.class_names[file.label] in label_of)
    )
    prepared = prepare_images(dataset, facts.height, facts.width, report, cancel)
    if prepared.issues:
        report(FilesLeftOut(prepared.issues))
    readable = prepared.rows >= 0
    labels = np.asarray([label_of[dataset.class_names[file.label]] for file in dataset.files], dtype=np.int32)[readable]
    batches = evaluation_batches(prepared.open(), prepared.rows[readable], labels, 32)
    return evaluate_model(model, batches, labels, facts.class_names, name, report, cancel)


def _measured_part(dataset: Dataset, report: Report) -> tuple[Dataset, str]:
    """The images of a folder to measure on, and what to call them."""
    for split in (Split.TEST, Split.VALIDATION):
        if split in dataset.given_splits:
            report(Message(f"{dataset.name} comes divided: measured on its {split} images only."))
            return replace(dataset, files=tuple(f for f in dataset.files if f.given_split is split)), split.value
    return dataset, dataset.name


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")


@dataclass(frozen=True, slots=True)
class ExportRequest:
    """Write the model file ``model`` to ``target``; an existing file is replaced only when ``replace`` says so."""

    model: Path
    target: Path
    replace: bool = False
    class_names: tuple[str, ...] = ()


def export(request: ExportRequest, report: Report, cancel: CancelToken) -> ModelFacts:
    """Write a ``.keras`` file that plain Keras loads, with a side-car JSON, after checking that it answers the same.

    It is checked on images of the run where they can still be read, else on noise.

    Raises:
        ModelFileError: the model cannot be read, or the written file answers differently.
        StorageError: the target exists, or cannot be written.
    """
    from cnn_studio.ml import runtime

    runtime.start(report)
    from cnn_studio.ml.export import export_model
    from cnn_studio.ml.model_file import read_facts

    samples = _sample_images(request.model.parent, read_facts(request.model))
    names = request.class_names
    return export_model(
        request.model, request.target, samples, replace=request.replace, report=report, cancel=cancel, class_names=names
    )


def _sample_images(run_folder: Path, facts: ModelFacts) -> np.ndarray | None:
    """A few of a run's images, uint8 (n, height, width, 3), or None when there is no run or no image left."""
    import numpy as np

    from cnn_studio.core.images import ImageError, read_image

    try:
        pairs = held_out_images(run_folder, count=8)
    except CnnStudioError:
        return None
    images = []
    for path, _ in pairs:
        with suppress(ImageError):
            images.append(read_image(path, facts.height, facts.width))
    return np.stack(images) if images else None


def usage_snippet(facts: ModelFacts, file_name: str) -> str:
    """A short script that classifies a picture with the exported file and nothing of ours."""
    from cnn_studio.ml import export as ml_export

    return ml_export.usage_snippet(facts, file_name)


def demo_experiment(dataset: Dataset) -> Experiment:
    """Settings with which a scratch CNN learns the sample data set in about a minute on two CPU cores."""
    suggested = datasets.suggest_experiment(dataset)
    return with_values(suggested, {"image.height": 64, "image.width": 64, "training.epochs": 12})


def held_out_images(run_folder: Path, count: int) -> list[tuple[Path, str]]:
    """Some images of a run that it was not trained on, with their class: one of each class first.

    Args:
        run_folder: a run's folder.
        count: how many at most.
    """
    run = runs.read_run(run_folder)
    waiting: dict[str, list[Path]] = {}
    for path, class_name, split in runs.read_manifest(run):
        if split is Split.TEST:
            waiting.setdefault(class_name, []).append(Path(run.data_root) / path)
    rounds = zip_longest(*([(path, name) for path in found] for name, found in waiting.items()))
    return [pair for each_class in rounds for pair in each_class if pair][:count]
