"""Measuring a model on images whose classes are known."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from cnn_studio.core.data.dataset import Dataset
from cnn_studio.core.data.events import FilesLeftOut
from cnn_studio.core.data.image_file import SPLIT_TEXT, ImageFile, Split
from cnn_studio.core.errors import CnnStudioError, DatasetError, StorageError
from cnn_studio.core.evaluation.input_range import InputRange, InputRangeUnknown, best_fit
from cnn_studio.core.evaluation.model_facts import ModelFacts
from cnn_studio.core.image.issues import Issue, IssueKind
from cnn_studio.core.job.events import Message
from cnn_studio.core.job.jobs import JobContext, Report
from cnn_studio.core.runs import run as runs
from cnn_studio.core.runs.run import Run
from cnn_studio.core.text import name_matcher
from cnn_studio.tasks.input_range import try_on
from cnn_studio.tasks.loaded import load, named
from cnn_studio.tasks.measuring import ask_about

if TYPE_CHECKING:
    from cnn_studio.core.evaluation.measured import Measured


@dataclass(frozen=True, slots=True)
class EvaluateRequest:
    """Measure a model file on images whose classes are known.

    Attributes:
        model: a ``.keras`` file.
        folder: a data set: one sub-folder of images per class, named as the model's classes are.
        split: in place of ``folder``, the images of this split of the run that the model is of. With ``folder``, the
            split to be measured of a folder that comes divided.
        class_names: for a file that carries none.
        input_range: which values the network takes, for a file made elsewhere that does not say it.
    """

    model: Path
    folder: Path | None = None
    split: Split | None = None
    class_names: tuple[str, ...] | None = None
    input_range: InputRange | None = None


def evaluate(request: EvaluateRequest, context: JobContext) -> Measured:
    """Measure a model on every image of a folder, or on a split of its run; classes are matched by name.

    A folder that comes divided (train/, val/, test/) is measured on its test images, else on its validation images,
    since those for training would flatter. What was measured of a run's model is kept in the run.

    Raises:
        DatasetError: the folder is no data set, none of its classes is known to the model, or the run has no such
            images, or has them no more.
        ModelFileError: the model cannot be used.
        CnnStudioError: the run is damaged.
    """
    dataset, split = None, request.split
    if request.folder is None:
        # Told before TensorFlow is started.
        run, split = _run_and_split(request)
        dataset = _split_of_run(run, split, context.report)
    model, facts = load(request.model, context, request.class_names, request.input_range)
    facts = named(facts)
    if dataset is None:
        dataset, split = _folder(request, context)
    known = _known(dataset, facts, context.report)
    if facts.input_range is None:
        tried = try_on(model, facts, known, context)
        context.report(InputRangeUnknown(request.model.name, tried, best_fit(tried)))
    answers = ask_about(model, facts, known, context)
    folder = dataset.name if request.folder is not None else ""
    measured = answers.scored(facts, request.model, dataset.root, split, folder)
    if measured.without_numbers:
        context.report(
            Message(
                f"The model answered {measured.without_numbers:,} of {len(answers.paths):,} images with what is no "
                "number (NaN), so the figures mean nothing: its training has gone astray."
            )
        )
    if (images := request.folder or split) is not None and runs.run_of_model(request.model) is not None:
        _keep(measured, _kept_path(request.model, images), context.report)
    return measured


def _kept_path(model: Path, images: Split | Path) -> Path:
    from cnn_studio.core.evaluation.measured_file import measured_folder_path, measured_path

    return measured_folder_path(model, images) if isinstance(images, Path) else measured_path(model, images)


def _keep(measured: Measured, path: Path, report: Report) -> None:
    """Keep what was measured in the run; where that cannot be, it is told, and what was found is not lost for it."""
    from cnn_studio.core.evaluation.measured_file import write_measured

    try:
        write_measured(measured, path)
    except StorageError as error:
        report(Message(f"{error} What was measured is shown, but not kept."))


def saved_evaluation(model: Path, images: Split | Path) -> Measured | None:
    """What was measured before of a run's model, at its present temperature. Quick, and Keras is not imported.

    Args:
        model: the model file of a run.
        images: a split of the run, or the folder that was measured. What has been changed or moved there since shows
            only when it is measured again.

    Returns:
        None when nothing was kept, or what was kept cannot be read any more.
    """
    from cnn_studio.core.evaluation.measured_file import read_measured
    from cnn_studio.ml.model_file import read_facts

    path = _kept_path(model, images)
    if not path.exists() or runs.run_of_model(model) is None:
        return None
    try:
        facts = read_facts(model)
        return replace(read_measured(path, model).at_temperature(facts.temperature), threshold=facts.threshold)
    except CnnStudioError:
        return None


def _run_and_split(request: EvaluateRequest) -> tuple[Run, Split]:
    run = runs.undamaged_run_of(request.model)
    if run is None or request.split is None:
        raise DatasetError(
            f"{request.model.name} does not lie in the folder of a run, so there are no images of its own to measure "
            "it on.",
            hint="Name a folder that holds one sub-folder of images per class.",
            path=request.model,
        )
    return run, request.split


def _split_of_run(run: Run, split: Split, report: Report) -> Dataset:
    """A split's images as the run's manifest lists them; those that are gone are left out, and that is told."""
    root = Path(run.data_root)
    listed = [(path, class_name) for path, class_name, given in runs.read_manifest(run) if given is split]
    if not listed:
        others = " or ".join(SPLIT_TEXT[other] for other in runs.measurable_splits(run.model))
        raise DatasetError(
            f"The run {run.folder.name} has no {SPLIT_TEXT[split]} images.",
            hint=f"Measure it on its {others} images, or on a folder." if others else "Measure it on a folder.",
            path=run.folder,
        )
    files, gone = [], []
    label_of = {class_name: label for label, class_name in enumerate(run.class_names)}
    for path, class_name in listed:
        try:
            status = (root / path).stat()
        except OSError:
            gone.append(Issue(path, IssueKind.MISSING, "The file is no longer there."))
            continue
        # Size and time tell the store whether it has this picture; the picture's own size nobody asks for here.
        files.append(
            ImageFile(path, label_of[class_name], 0, 0, False, status.st_size, status.st_mtime_ns, given_split=split)
        )
    if not files:
        raise DatasetError(
            f"The {SPLIT_TEXT[split]} images of {run.folder.name} are no longer in {root}.",
            hint="Move them back, or measure the model on a folder.",
            path=root,
        )
    if gone:
        report(FilesLeftOut(tuple(gone)))
    return Dataset(root, run.class_names, tuple(files))


def _folder(request: EvaluateRequest, context: JobContext) -> tuple[Dataset, Split | None]:
    """The images of a folder to measure on, and which split of it they are."""
    from cnn_studio.core.data.scan import scan_folder
    from cnn_studio.core.data.walk import passed_over_text

    if request.folder is None:
        raise ValueError("neither a folder nor a split was asked for")
    dataset = scan_folder(request.folder, context)
    if passed_over := passed_over_text(dict(dataset.passed_over)):
        context.report(Message(passed_over))
    if request.split is None:
        return _measured_part(dataset, context.report)
    if request.split not in dataset.given_splits:
        given = ", ".join(sorted(dataset.given_splits)) or "none"
        raise DatasetError(
            f"{dataset.name} does not come with a {request.split} folder (it has {given}).",
            hint="Leave the split out to measure on all of its images.",
            path=request.folder,
        )
    return _only(dataset, request.split), request.split


def _measured_part(dataset: Dataset, report: Report) -> tuple[Dataset, Split | None]:
    for split in (Split.TEST, Split.VALIDATION):
        if split in dataset.given_splits:
            report(Message(f"{dataset.name} comes divided: measured on its {SPLIT_TEXT[split]} images only."))
            return _only(dataset, split), split
    return dataset, None


def _only(dataset: Dataset, split: Split) -> Dataset:
    return replace(dataset, files=tuple(file for file in dataset.files if file.given_split is split))


def _known(dataset: Dataset, facts: ModelFacts, report: Report) -> Dataset:
    """The data set with the model's labels, without the images of classes the model does not know."""
    match = name_matcher(facts.class_names)
    counts = Counter(dataset.class_names[file.label] for file in dataset.files)
    label_of = {
        name: facts.class_names.index(known)
        for name in counts
        if (known := match(name)) is not None and (known == name or known not in counts)
    }
    unknown = {name: count for name, count in counts.items() if name not in label_of}
    if len(unknown) == len(counts):
        raise DatasetError(
            f"None of the classes in {dataset.name} ({_some(dataset.class_names)}) is one that the model knows "
            f"({_some(facts.class_names)}).",
            hint="Name the sub-folders as the model's classes are named; for a model without names of its own, give "
            "them (on the command line with --class-names).",
            path=dataset.root,
        )
    for class_name, count in unknown.items():
        images = "1 image of {} is" if count == 1 else f"{count:,} images of {{}} are"
        report(Message(f"{images.format(class_name)} not measured: the model knows no such class."))
    if missing := [name for label, name in enumerate(facts.class_names) if label not in label_of.values()]:
        report(Message(f"There are no images of {_some(missing)} here, so nothing can be said of them."))
    files = tuple(
        replace(file, label=label_of[dataset.class_names[file.label]])
        for file in dataset.files
        if dataset.class_names[file.label] in label_of
    )
    return replace(dataset, class_names=facts.class_names, files=files)


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
