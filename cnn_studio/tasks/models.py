"""Using a model file: opening it, classifying images, exporting it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path

from cnn_studio.core.data.image_file import Split
from cnn_studio.core.errors import CnnStudioError, DatasetError
from cnn_studio.core.evaluation.input_range import InputRange
from cnn_studio.core.evaluation.model_facts import ModelFacts
from cnn_studio.core.evaluation.predictions import ImagesPredicted, Prediction
from cnn_studio.core.job.events import Message
from cnn_studio.core.job.jobs import JobContext
from cnn_studio.core.runs import run as runs
from cnn_studio.core.text import printable
from cnn_studio.tasks.loaded import load, named, tell_doubt


def open_model(path: Path, context: JobContext) -> ModelFacts:
    """Load a ``.keras`` file, so that what it says of itself is known and predictions start at once.

    Raises:
        ModelFileError: it is missing, damaged, no image classifier, or holds code of its own.
    """
    return load(path, context)[1]


@dataclass(frozen=True, slots=True)
class PredictRequest:
    """Classify images with a model file.

    Attributes:
        model: a ``.keras`` file.
        paths: image files, and folders whose images are all meant (with sub-folders).
        class_names: for a file that carries none; None takes the file's own, or "class 1", "class 2"…
        input_range: which values the network takes, for a file made elsewhere that does not say it.
    """

    model: Path
    paths: tuple[Path, ...]
    class_names: tuple[str, ...] | None = None
    input_range: InputRange | None = None


def predict(request: PredictRequest, context: JobContext) -> tuple[Prediction, ...]:
    """Classify images; each is reported as soon as it is known, a file that cannot be read as an error of its own.

    Raises:
        ModelFileError: the model cannot be used, or ``class_names`` are not as many as its outputs.
        DatasetError: there is no image among the paths.
    """
    model, facts = load(request.model, context, request.class_names, request.input_range)
    tell_doubt(facts, request.model, context.report)
    from cnn_studio.ml.predict import predict_files

    paths = image_paths(request.paths, context)
    results: list[Prediction] = []
    waiting: list[Prediction] = []
    last_report = 0.0
    for prediction in predict_files(model, named(facts), paths, context):
        waiting.append(prediction)
        # The first result at once, the rest in handfuls: a signal for each of 10,000 images would only cost time.
        if time.monotonic() - last_report > 0.1:
            context.report(ImagesPredicted(tuple(waiting)))
            results += waiting
            waiting = []
            last_report = time.monotonic()
    if waiting:
        context.report(ImagesPredicted(tuple(waiting)))
        results += waiting
    return tuple(results)


def image_paths(paths: Sequence[Path], context: JobContext) -> list[Path]:
    """Files as given; of folders every image, broken or not, found as a scan finds them. What is left is told.

    Raises:
        DatasetError: there is no image in the folders.
    """
    from cnn_studio.core.data.walk import FolderWalk, looks_like_image, passed_over_text

    found: list[Path] = []
    for path in paths:
        if not path.is_dir():
            found.append(path)
            continue
        walk, others = FolderWalk(path, context.cancel), 0
        for name, entry in walk.files_below(path, "", inside=False):
            if looks_like_image(entry):
                found.append(path / name)
            else:
                others += 1
        told = [f"{printable(issue.path)}: {issue.detail}" for issue in walk.issues]
        if others:
            told.append(f"{'1 file is' if others == 1 else f'{others:,} files are'} no image by name or content.")
        for text in filter(None, (*told, passed_over_text(walk.passed_over))):
            context.report(Message(f"{printable(path.name)}: {text}"))
    if not found:
        named = ", ".join(path.name for path in paths)
        raise DatasetError(f"There is no image in {named}.", hint="Choose image files or a folder that holds some.")
    return found


@dataclass(frozen=True, slots=True)
class ExportRequest:
    """Write a model file anew, for use outside.

    Attributes:
        model: a ``.keras`` file.
        target: the file to write; an existing one is replaced only when ``replace`` says so.
        replace: see there.
        class_names: for a file that carries none.
        input_range: which values the network takes, for a file made elsewhere that does not say it.
            What is written takes RGB 0–255 either way.
    """

    model: Path
    target: Path
    replace: bool = False
    class_names: tuple[str, ...] | None = None
    input_range: InputRange | None = None


def export(request: ExportRequest, context: JobContext) -> ModelFacts:
    """Write a ``.keras`` file that plain Keras loads, with a side-car JSON, after checking that it answers the same.

    It is checked on made pictures, and on images of the run where they can still be read.

    Raises:
        ModelFileError: the model cannot be read, or the written file answers differently.
        StorageError: the target exists, or cannot be written.
    """
    from cnn_studio.ml import runtime

    runtime.start(context.report)
    from cnn_studio.ml.export import export_model

    samples: list[Path] = []
    with suppress(CnnStudioError):  # no run, or its images are gone
        samples = [path for path, _ in held_out_images(request.model.parent, count=8)]
    return export_model(
        request.model,
        request.target,
        samples,
        context,
        replace=request.replace,
        class_names=request.class_names,
        input_range=request.input_range,
    )


def usage_snippet(facts: ModelFacts, file_name: str) -> str:
    """A short script that classifies a picture with the exported file and nothing of ours."""
    from cnn_studio.ml import export as ml_export

    return ml_export.usage_snippet(facts, file_name)


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
