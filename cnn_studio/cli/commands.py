"""The commands and their options."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

import cnn_studio
from cnn_studio import tasks
from cnn_studio.cli.augmentation import augmentation_values, augmentations_text, compare
from cnn_studio.cli.console import Face, telling_failures
from cnn_studio.cli.data import label_errors, scan
from cnn_studio.cli.evaluation import calibrate, evaluate, explain
from cnn_studio.cli.models import AsJson, ClassNames, ModelPath, ValueRange, model_file, names_in
from cnn_studio.cli.options import settings_text, settings_values
from cnn_studio.cli.presets import preset_values, presets_text
from cnn_studio.cli.runs import runs as list_of_runs
from cnn_studio.cli.training import train
from cnn_studio.cli.weights import app as weights_app
from cnn_studio.core import paths
from cnn_studio.core.atomic_file import write_text
from cnn_studio.core.evaluation.class_name_file import ClassNamesFound
from cnn_studio.core.evaluation.input_range import InputRangeUnknown
from cnn_studio.core.evaluation.predictions import Prediction, predictions_csv
from cnn_studio.core.job.events import Event, event_name
from cnn_studio.core.job.jobs import JobContext
from cnn_studio.core.runs import run as runs
from cnn_studio.core.system.logs import apart_from_third_parties

OpenWindow = Callable[[Path | None, Path | None], int]

app = typer.Typer(
    name="cnn-studio",
    help="Train, try and export image classifiers from a folder of pictures.\n\n"
    "cnn-studio FOLDER opens the window on a folder that holds one sub-folder of images per class.",
    add_completion=False,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)


def run(arguments: Sequence[str], open_window: OpenWindow) -> int:
    """Run a command.

    Args:
        arguments: what follows the program's name.
        open_window: shows the window on a folder or with the demonstration, and returns the exit status.

    Returns:
        0, 1 for a failure told on stderr, 2 for wrong usage, 130 when cancelled with Ctrl-C.
    """
    known = {info.name for info in app.registered_commands} | {info.name for info in app.registered_groups}
    if not arguments[0].startswith("-") and arguments[0] not in known:
        sys.stderr.write(
            f"{arguments[0]!r} is neither a command nor a folder. `cnn-studio --help` lists the commands.\n"
        )
        return 2
    status: list[int] = []
    try:
        with apart_from_third_parties(), telling_failures(status, as_json="--json" in arguments):
            result = app(list(arguments), standalone_mode=False, obj=open_window, prog_name="cnn-studio")
            status.append(result if isinstance(result, int) else 0)
    except typer.Exit as ended:
        return int(ended.exit_code)
    except typer.Abort:
        sys.stderr.write("Cancelled.\n")
        return 130
    except BrokenPipeError:
        # The reader has gone (`… | head`): nothing to tell, and nobody to tell it to.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:
        if hasattr(error, "format_message") and hasattr(error, "exit_code"):  # click's own: wrong usage
            sys.stderr.write(f"{error.format_message()}\n`cnn-studio {arguments[0]} --help` lists the options.\n")
            return 2
        raise
    return status[-1]


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"cnn_studio {cnn_studio.__version__}")
        raise typer.Exit


@app.callback()
def _main(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    pass


app.command("scan")(scan)
app.command("train")(train)
app.command("label-errors")(label_errors)
app.command("runs")(list_of_runs)
app.add_typer(weights_app, name="weights")


@app.command("presets")
def presets(as_json: AsJson = False) -> int:
    """List the experiments that `train --preset NAME` knows."""
    face = Face(as_json=as_json)
    if as_json:
        face.print_json({"presets": preset_values()})
    else:
        face.say(presets_text())
    return 0


@app.command("augmentations")
def augmentations(as_json: AsJson = False) -> int:
    """List what `train --augment` takes: presets, kinds, strengths."""
    face = Face(as_json=as_json)
    if as_json:
        face.print_json(augmentation_values())
    else:
        face.say(augmentations_text())
    return 0


@app.command("settings")
def settings(as_json: AsJson = False) -> int:
    """List what `train --set NAME=VALUE` takes: every setting with its default and what it can be."""
    face = Face(as_json=as_json)
    if as_json:
        face.print_json({"settings": settings_values()})
    else:
        face.say(settings_text())
    return 0


app.command("compare-augmentations")(compare)
app.command("evaluate")(evaluate)
app.command("calibrate")(calibrate)
app.command("explain")(explain)


@app.command("predict")
def predict(
    model: ModelPath,
    images: Annotated[list[Path], typer.Argument(metavar="PATH...", help="Images, and folders of images.")],
    top: Annotated[int, typer.Option(min=1, help="How many of the most likely classes to print.")] = 3,
    csv: Annotated[Path | None, typer.Option(help="Also write the results to this CSV file.")] = None,
    class_names: ClassNames = None,
    input_range: ValueRange = None,
    as_json: AsJson = False,
) -> int:
    """Say what is on images. A file that cannot be read gets a line of its own and stops nothing."""
    face = Face(as_json=False)
    doubts: list[Event] = []

    def report(event: Event) -> None:
        if isinstance(event, InputRangeUnknown | ClassNamesFound):
            doubts.append(event)
        if not as_json or event in doubts:  # a doubt is told on standard error with --json too
            face.report(event)

    with face.working():
        file = model_file(model, face)
        request = tasks.PredictRequest(file, tuple(images), names_in(class_names), input_range)
        predictions = tasks.predict(request, JobContext(report, face.token))
    for prediction in predictions:
        if as_json:
            face.print_json(prediction_values(prediction, top, doubts))
        elif prediction.error:
            face.say(f"{prediction.path}: {prediction.error}")
        else:
            ranked = ", ".join(f"{name} {probability:.1%}" for name, probability in prediction.ranked[:top])
            unsure = "not sure; " if prediction.unsure else ""
            face.say(f"{prediction.path}: {unsure}{ranked}")
    if csv:
        write_text(csv, predictions_csv(predictions, file))
    return 0 if any(not prediction.error for prediction in predictions) else 1


def prediction_values(prediction: Prediction, top: int, doubts: Sequence[Event] = ()) -> dict[str, Any]:
    """A prediction as a JSON-ready object, with the codes of what is in doubt about the model."""
    if prediction.error:
        return {"path": str(prediction.path), "error": prediction.error}
    return {
        "path": str(prediction.path),
        "label": prediction.label,
        "probability": prediction.probability,
        "unsure": prediction.unsure,
        "ranked": [list(pair) for pair in prediction.ranked[:top]],
        **({"warnings": [event_name(event) for event in doubts]} if doubts else {}),
    }


@app.command("export")
def export(
    run_folder: Annotated[Path, typer.Argument(metavar="RUN", help="The folder of a run, or a .keras file.")],
    target: Annotated[Path, typer.Argument(metavar="TARGET.keras", help="The file to write.")],
    replace: Annotated[bool, typer.Option("--replace", help="Replace an existing file without asking.")] = False,
    class_names: ClassNames = None,
    input_range: ValueRange = None,
) -> int:
    """Write a .keras file that plain Keras loads, checked by loading it again, and a JSON file beside it.

    What is written takes RGB 0–255: what a network made elsewhere wants done to them becomes part of it.
    """
    face = Face(as_json=False)
    if target.exists() and not replace and sys.stdin.isatty():
        replace = typer.confirm(f"{target} exists. Replace it?", abort=True)
    with face.working():
        file = model_file(run_folder, face)
        request = tasks.ExportRequest(file, target, replace, names_in(class_names), input_range)
        tasks.export(request, face.context)
    face.say(f"{target}: written, loaded again and compared: it answers the same.")
    return 0


@app.command("demo")
def demo(
    context: typer.Context,
    no_window: Annotated[bool, typer.Option("--no-window", help="Run it on the command line.")] = False,
    out: Annotated[Path | None, typer.Option(help="New folder for the run and the exported model.")] = None,
) -> int:
    """The whole way on the sample data set: train, evaluate, predict a held-out image, export."""
    from cnn_studio.cli.demonstration import run_demonstration
    from cnn_studio.core.system.display import find_display_problem

    out = out or runs.new_run_folder(paths.data_dir() / "demos", "demo")
    runs.refuse_used(out)
    if not no_window:
        problem = find_display_problem()
        if problem is None:
            return int(context.obj(None, out))
        typer.echo(f"{problem.sentence} Running the demonstration without the window.")
    run_demonstration(out, Face(as_json=False))
    return 0


@app.command("doctor")
def doctor(as_json: AsJson = False) -> int:
    """Check this machine: versions, Qt's libraries, whether the device really computes, disk space, weights."""
    from cnn_studio.cli.checkup import checkup, checkup_text

    face = Face(as_json=as_json)
    found = checkup(face.token)
    if as_json:
        face.print_json(found)
    else:
        face.say(checkup_text(found))
    return 0 if found["device"]["computes"] else 1
