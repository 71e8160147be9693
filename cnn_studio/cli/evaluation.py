"""``cnn-studio evaluate``, ``calibrate`` and ``explain``: how good a model is, how sure, and where it looks."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cnn_studio import tasks
from cnn_studio.cli.console import Face
from cnn_studio.cli.models import AsJson, ClassNames, ModelPath, ValueRange, model_file, names_in
from cnn_studio.cli.wording import accuracy_sentence
from cnn_studio.core.atomic_file import write_text
from cnn_studio.core.data.image_file import Split
from cnn_studio.core.errors import DatasetError, ExperimentError
from cnn_studio.core.evaluation.figures import ClassScore, Evaluation
from cnn_studio.core.percent import format_percent, format_percent_range
from cnn_studio.core.runs import run as runs

if TYPE_CHECKING:
    from cnn_studio.core.evaluation.calibration import Calibrated
    from cnn_studio.core.evaluation.measured import Measured

_CONFUSED = 5  # pairs printed
_ENDINGS = {".png", ".jpg", ".jpeg", ".webp"}


def evaluate(
    model: ModelPath,
    folder: Annotated[
        Path | None, typer.Argument(help="Holds one sub-folder of images per class; not needed for a run.")
    ] = None,
    split: Annotated[
        Split | None,
        typer.Option(help="Which images of the run, or of a folder that comes divided; of a run, test is usual."),
    ] = None,
    html: Annotated[
        Path | None, typer.Option(help="Also write one page with figures, curves, matrix and pictures to this file.")
    ] = None,
    csv: Annotated[Path | None, typer.Option(help="Also write the scores per class to this CSV file.")] = None,
    images_csv: Annotated[Path | None, typer.Option(help="Also write a line per image to this CSV file.")] = None,
    class_names: ClassNames = None,
    input_range: ValueRange = None,
    as_json: AsJson = False,
) -> int:
    """Measure a model on images it was not trained on: a split of its run, or a folder."""
    from cnn_studio.core.evaluation.score_csv import measured_csv, scores_csv

    face = Face(as_json=as_json)
    with face.working():
        file = model_file(model, face)
        if folder is None and split is None:
            split = _usual_split(file)
        request = tasks.EvaluateRequest(file, folder, split, names_in(class_names), input_range)
        measured = tasks.evaluate(request, face.context)
        if csv:
            write_text(csv, scores_csv(measured.evaluation))
        if images_csv:
            write_text(images_csv, measured_csv(measured))
        if html:
            tasks.write_report(tasks.ReportRequest(measured, html, replace=True), face.context)
    if as_json:
        face.print_json({"event": "evaluated", **measured.evaluation.values(), **_sureness_values(measured)})
    else:
        _tell(face, measured)
        for written in filter(None, (csv, images_csv, html)):
            face.say(f"Written: {written}")
    return 0


def _usual_split(model: Path) -> Split:
    """The split of a run to be measured when none was asked for."""
    if run := runs.undamaged_run_of(model):
        runs.read_manifest(run)  # which says what is wrong with it
    splits = runs.measurable_splits(model)
    if not splits:
        raise DatasetError(
            f"There is nothing to measure {model.name} on: it does not lie in the folder of a run.",
            hint="Name a folder that holds one sub-folder of images per class.",
            path=model,
        )
    return Split.TEST if Split.TEST in splits else next(iter(splits))


def _sureness_values(measured: Measured) -> dict[str, Any]:
    from cnn_studio.core.evaluation.calibration import at_threshold, reliability

    values: dict[str, Any] = {
        "calibration_error": reliability(measured.confidence, measured.right).error,
        "temperature": measured.temperature,
        "threshold": measured.threshold,
    }
    if measured.threshold:
        found = at_threshold(measured.confidence, measured.right, measured.threshold)
        values |= {"coverage": found.coverage, "accuracy_of_answers": found.accuracy}
    return values


def _tell(face: Face, measured: Measured) -> None:
    from cnn_studio.core.evaluation.confusion import most_confused

    evaluation = measured.evaluation
    face.say(accuracy_sentence(evaluation))
    for k, accuracy in evaluation.top_k:
        face.say(f"true class among the {k} most likely (top-{k} accuracy): {format_percent(accuracy)}")
    _tell_scores(face, evaluation)
    pairs = most_confused(evaluation.confusion, _CONFUSED)
    for pair in pairs:
        face.say(f"{pair.sentence(measured.class_names)}.")
    values = _sureness_values(measured)
    face.say(
        f"Calibration error {100 * values['calibration_error']:.1f} points (how far its certainty is from how often it "
        f"is right; temperature {measured.temperature:.3g})"
    )
    if measured.threshold:
        face.say(
            f"Not sure below {format_percent(measured.threshold)}: answers {format_percent(values['coverage'])} of the "
            f"images, {format_percent(values['accuracy_of_answers'])} of the answers right."
        )


def _tell_scores(face: Face, evaluation: Evaluation) -> None:
    averages = [one for one in (evaluation.macro, evaluation.weighted) if one]
    width = max(len(score.name) for score in (*evaluation.classes, *averages))
    face.say(f"  {'class':<{width}}  precision  recall     F1  images")
    for score in evaluation.classes:
        face.say(f"  {score.name:<{width}}  {_score_text(score)}")
    for average in averages:
        face.say(f"  {average.name:<{width}}  {_score_text(average)}")


def _score_text(score: ClassScore) -> str:
    if not score.support:
        return "        –       –      –  no images"
    return f"{score.precision:9.3f}  {score.recall:6.3f}  {score.f1:5.3f}  {score.support:6,}"


def calibrate(
    model: ModelPath,
    folder: Annotated[
        Path | None,
        typer.Argument(help="Images it was not trained on, one sub-folder per class; of a run its validation images."),
    ] = None,
    temperature: Annotated[
        bool | None,
        typer.Option("--temperature/--no-temperature", help="Fit how sure the model is, or take that away again."),
    ] = None,
    threshold: Annotated[
        float | None, typer.Option(help="Answers less likely than this count as not sure; 0 for none.")
    ] = None,
    accuracy: Annotated[
        float | None,
        typer.Option(
            min=0.0,
            max=1.0,
            help="Choose the threshold so that at least this part of the answers is right, shown with 95 % confidence.",
        ),
    ] = None,
    class_names: ClassNames = None,
    input_range: ValueRange = None,
    as_json: AsJson = False,
) -> int:
    """Make a model as sure as it is right, and let it say that it does not know. Changes the model file."""
    if threshold is not None and accuracy is not None:
        raise ExperimentError(
            "--threshold and --accuracy both say when the model is not sure.", hint="Leave out one of them."
        )
    if temperature is None and threshold is None and accuracy is None:
        temperature = True
    wanted = {None: tasks.Temperature.KEEP, True: tasks.Temperature.FIT, False: tasks.Temperature.REMOVE}[temperature]
    face = Face(as_json=as_json)
    with face.working():
        file = model_file(model, face)
        names = names_in(class_names)
        request = tasks.CalibrateRequest(file, wanted, threshold, accuracy, folder, names, input_range)
        calibrated = tasks.calibrate(request, face.context)
    if as_json:
        face.print_json({"event": "calibrated", **asdict(calibrated)})
    else:
        _tell_calibrated(face, calibrated)
    return 0


def _tell_calibrated(face: Face, calibrated: Calibrated) -> None:
    before, after = calibrated.before, calibrated.after
    on = f"on {calibrated.images:,} {calibrated.images_text}"
    if after.temperature != 1.0:
        fitted = calibrated.fitted
        interval = f" ({fitted.low:.3g}–{fitted.high:.3g}, 95 % interval)" if fitted else ""
        face.say(
            f"Temperature {after.temperature:.3f}{interval}, fitted {on}: calibration error {100 * before.error:.1f} → "
            f"{100 * after.error:.1f} points, log loss {before.loss:.4f} → {after.loss:.4f}; accuracy stays "
            f"{format_percent(after.accuracy)}."
        )
    else:
        face.say(
            f"Temperature 1: the model is as sure as it was trained; calibration error {100 * after.error:.1f} points "
            f"{on}."
        )
    if calibrated.coverage is None:
        face.say("No threshold: it always answers.")
    else:
        found = calibrated.coverage
        face.say(
            f"Not sure below {100 * found.threshold:.1f} %: it answers {format_percent(found.coverage)} {on}, and "
            f"{format_percent(found.accuracy)} ({format_percent_range(found.low, found.high)}, 95 % interval) of the "
            "answers are right."
        )
    if calibrated.asked_accuracy is not None:
        face.say(
            f"Chosen by a lower bound: with 95 % confidence at least {format_percent(calibrated.asked_accuracy)} of "
            "its answers to new pictures like these are right."
        )


def explain(
    model: ModelPath,
    image: Annotated[Path, typer.Argument(help="An image file.")],
    out: Annotated[Path, typer.Option(help="The picture to write, with the heat map over it (.png).")],
    class_name: Annotated[
        str | None,
        typer.Option("--class", metavar="NAME", help="What to look for; the most likely class if not given."),
    ] = None,
    opacity: Annotated[float | None, typer.Option(min=0.0, max=1.0, help="Of the hottest place; 0.6 is usual.")] = None,
    class_names: ClassNames = None,
    input_range: ValueRange = None,
) -> int:
    """Show where a model looks on an image (Grad-CAM): hot places spoke for the class."""
    if out.suffix.lower() not in _ENDINGS:
        raise ExperimentError(f"{out.name} is no name for a picture.", hint="End it in .png.")
    face = Face(as_json=False)
    with face.working():
        file = model_file(model, face)
        request = tasks.ExplainRequest(file, image, class_name, names_in(class_names), input_range)
        found = tasks.explain(request, face.context)
        tasks.write_overlay(found, out, opacity)
    face.say(f"{image}: {found.class_name} {found.probability:.1%}; where it looked: {out}")
    if not found.heat.any():
        face.say(f"Nothing on the image speaks for {found.class_name}.")
    return 0
