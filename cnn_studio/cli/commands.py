"""The commands and their options."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

import cnn_studio
from cnn_studio import tasks
from cnn_studio.cli.console import Face, telling_failures
from cnn_studio.cli.wording import accuracy_sentence
from cnn_studio.core import config, dataset, paths, runs
from cnn_studio.core.architectures import ARCHITECTURE_PRESETS, architecture_preset
from cnn_studio.core.atomic_file import write_text
from cnn_studio.core.errors import StorageError
from cnn_studio.core.jobs import ignore_reports
from cnn_studio.core.results import Evaluation, Prediction, TrainedModel, predictions_csv

OpenWindow = Callable[[Path | None, Path | None], int]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON object per line on standard output, nothing else.")]
ClassNames = Annotated[
    str | None, typer.Option(help="Names of the model's classes, with commas, for a file that carries none.")
]

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
    if not arguments[0].startswith("-") and arguments[0] not in {info.name for info in app.registered_commands}:
        sys.stderr.write(
            f"{arguments[0]!r} is neither a command nor a folder. `cnn-studio --help` lists the commands.\n"
        )
        return 2
    status: list[int] = []
    try:
        with telling_failures(status):
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


@app.command("scan")
def scan(
    folder: Annotated[Path, typer.Argument(help="Holds one sub-folder of images per class.")],
    as_json: AsJson = False,
) -> int:
    """List a folder's classes, its split and every file left out, with the reason."""
    face = Face(as_json=False)
    with face.working():
        found = tasks.scan(folder, ignore_reports if as_json else face.report, face.token)
    settings = config.SplitSettings()
    totals = {split.value: sum(n) for split, n in dataset.count_splits(found, settings).items()}
    problem = dataset.why_not_trainable(found, settings)
    if as_json:
        face.print_json(
            {
                "root": str(found.root),
                "classes": found.counts(),
                "images": len(found.files),
                "split": totals,
                "given_splits": sorted(found.given_splits),
                "issues": [asdict(issue) for issue in found.issues],
                "problem": str(problem) if problem else None,
            }
        )
        return 0
    face.say(f"{found.root}: {len(found.files):,} images, {len(found.class_names)} classes")
    width = max((len(name) for name in found.class_names), default=0)
    for name, count in found.counts().items():
        face.say(f"  {name:<{width}}  {count:>7,}")
    face.say("split: " + ", ".join(f"{name} {count:,}" for name, count in totals.items()))
    if found.issues:
        face.say(f"{len(found.issues)} left out:")
        for issue in found.issues:
            face.say(f"  {issue.path}: {issue.detail}")
    if problem:
        face.say(str(problem))
    return 0


@app.command("train")
def train(
    folder: Annotated[Path, typer.Argument(help="Holds one sub-folder of images per class.")],
    out: Annotated[Path, typer.Option(help="New folder for the run: settings, figures, model.")],
    architecture: Annotated[
        str | None, typer.Option(help=f"One of {', '.join(ARCHITECTURE_PRESETS)}; small_cnn when not given.")
    ] = None,
    image_size: Annotated[int | None, typer.Option(help="Side of the images in pixels; chosen from the data.")] = None,
    grey: Annotated[bool | None, typer.Option("--grey/--rgb", help="Grey or colour; chosen from the data.")] = None,
    epochs: Annotated[int | None, typer.Option(help="Passes over the training images, at most.")] = None,
    batch_size: Annotated[int | None, typer.Option(help="Images per step.")] = None,
    optimizer: Annotated[str | None, typer.Option(help="adam, sgd or rmsprop.")] = None,
    learning_rate: Annotated[float | None, typer.Option(help="The optimizer's step size.")] = None,
    validation: Annotated[float | None, typer.Option(help="Fraction of the images for validation.")] = None,
    test: Annotated[float | None, typer.Option(help="Fraction of the images for the final test.")] = None,
    seed: Annotated[int | None, typer.Option(help="Of the split, the initial weights and the order.")] = None,
    patience: Annotated[
        int | None, typer.Option(help="Epochs without a better validation loss before ending early; 0 never ends.")
    ] = None,
    class_weights: Annotated[str | None, typer.Option(help="none, or balanced: rare classes count for more.")] = None,
    experiment: Annotated[Path | None, typer.Option(help="A settings file saved by the window or a run.")] = None,
    as_json: AsJson = False,
) -> int:
    """Train a network on a folder and keep it as a run. Ctrl-C stops and keeps the best model so far."""
    face = Face(as_json=as_json)
    changes: dict[str, Any] = {
        "training.epochs": epochs,
        "training.batch_size": batch_size,
        "training.optimizer": optimizer,
        "training.learning_rate": learning_rate,
        "training.class_weights": class_weights,
        "training.seed": seed,
        "split.seed": seed,
        "split.validation": validation,
        "split.test": test,
        "image.height": image_size,
        "image.width": image_size,
        "image.colour": None if grey is None else ("grey" if grey else "rgb"),
    }
    if patience is not None:
        changes |= {"training.early_stopping": patience > 0} | ({"training.patience": patience} if patience else {})
    if optimizer in set(config.Optimizer) and learning_rate is None and experiment is None:
        changes["training.learning_rate"] = config.USUAL_LEARNING_RATE[config.Optimizer(optimizer)]
    changes = {name: value for name, value in changes.items() if value is not None}
    # What is wrong with the options is told before a folder of 100,000 images is read.
    start = config.read_experiment(experiment) if experiment else config.Experiment()
    if architecture:
        changes["architecture"] = architecture_preset(architecture).architecture.model_dump()
    config.with_values(start, changes)
    _refuse_used(out)
    with face.working():
        found = tasks.scan(folder, face.report, face.token)
        if experiment is None:
            start = dataset.suggest_experiment(found, architecture or "small_cnn")
        request = tasks.TrainRequest(found, config.with_values(start, changes), out)
        trained = tasks.train(request, face.report, face.token)
    if as_json:
        face.print_json(finished_event(trained))
    else:
        _tell_trained(face, trained)
    return 0


def _refuse_used(out: Path) -> None:
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise StorageError(
            f"{out} exists already and is not empty.", hint="Name a new folder; an earlier run is never overwritten."
        )


def finished_event(trained: TrainedModel) -> dict[str, Any]:
    """The last line of ``train --json``."""
    return {
        "event": "finished",
        "run": str(trained.run),
        "model": str(trained.model),
        "metrics": trained.metrics,
        "validation": evaluation_values(trained.validation),
        "test": evaluation_values(trained.test) if trained.test else None,
        "epochs": trained.epochs,
        "best_epoch": trained.best_epoch,
        "ended": trained.ended,
        "seconds": round(trained.seconds, 3),
        "device": trained.device,
    }


def evaluation_values(evaluation: Evaluation) -> dict[str, Any]:
    """An evaluation as a JSON-ready object."""
    return asdict(evaluation)


def _tell_trained(face: Face, trained: TrainedModel) -> None:
    how = {
        "completed": "all epochs done",
        "early_stopping": "ended early, since the validation loss fell no further",
        "stopped": "stopped by you",
    }[trained.ended]
    face.say(f"{trained.epochs} epochs in {trained.seconds:.0f} s on {trained.device}: {how}.")
    if trained.best_epoch:
        face.say(f"Kept: the model of epoch {trained.best_epoch}, which had the lowest validation loss.")
    for evaluation in (trained.validation, trained.test):
        if evaluation:
            face.say(accuracy_sentence(evaluation))
    face.say(f"Model: {trained.model}")


@app.command("evaluate")
def evaluate(
    model: Annotated[Path, typer.Argument(help="A .keras file, or the folder of a run.")],
    folder: Annotated[Path, typer.Argument(help="Holds one sub-folder of images per class.")],
    class_names: ClassNames = None,
    as_json: AsJson = False,
) -> int:
    """Measure a model on a folder of images it was not trained on."""
    face = Face(as_json=as_json)
    with face.working():
        file = _model_file(model, face)
        request = tasks.EvaluateRequest(file, folder, _names(class_names))
        evaluation = tasks.evaluate(request, face.report, face.token)
    if as_json:
        face.print_json({"event": "evaluated", **evaluation_values(evaluation)})
        return 0
    face.say(accuracy_sentence(evaluation))
    width = max(len(score.name) for score in evaluation.classes)
    face.say(f"  {'class':<{width}}  precision  recall     F1  images")
    for score in evaluation.classes:
        face.say(
            f"  {score.name:<{width}}  {score.precision:9.3f}  {score.recall:6.3f}  {score.f1:5.3f}  {score.support:6,}"
        )
    return 0


@app.command("predict")
def predict(
    model: Annotated[Path, typer.Argument(help="A .keras file, or the folder of a run.")],
    images: Annotated[list[Path], typer.Argument(metavar="PATH...", help="Images, and folders of images.")],
    top: Annotated[int, typer.Option(min=1, help="How many of the most likely classes to print.")] = 3,
    csv: Annotated[Path | None, typer.Option(help="Also write the results to this CSV file.")] = None,
    class_names: ClassNames = None,
    as_json: AsJson = False,
) -> int:
    """Say what is on images. A file that cannot be read gets a line of its own and stops nothing."""
    face = Face(as_json=False)
    with face.working():
        file = _model_file(model, face)
        request = tasks.PredictRequest(file, tuple(images), _names(class_names))
        predictions = tasks.predict(request, ignore_reports if as_json else face.report, face.token)
    for prediction in predictions:
        if as_json:
            face.print_json(prediction_values(prediction, top))
        elif prediction.error:
            face.say(f"{prediction.path}: {prediction.error}")
        else:
            ranked = ", ".join(f"{name} {probability:.1%}" for name, probability in prediction.ranked[:top])
            face.say(f"{prediction.path}: {ranked}")
    if csv:
        write_text(csv, predictions_csv(predictions))
    return 0 if any(not prediction.error for prediction in predictions) else 1


def prediction_values(prediction: Prediction, top: int) -> dict[str, Any]:
    """A prediction as a JSON-ready object."""
    if prediction.error:
        return {"path": str(prediction.path), "error": prediction.error}
    return {
        "path": str(prediction.path),
        "label": prediction.label,
        "probability": prediction.probability,
        "ranked": [list(pair) for pair in prediction.ranked[:top]],
    }


@app.command("export")
def export(
    run_folder: Annotated[Path, typer.Argument(metavar="RUN", help="The folder of a run, or a .keras file.")],
    target: Annotated[Path, typer.Argument(metavar="TARGET.keras", help="The file to write.")],
    replace: Annotated[bool, typer.Option("--replace", help="Replace an existing file without asking.")] = False,
) -> int:
    """Write a .keras file that plain Keras loads, checked by loading it again, and a JSON file beside it."""
    face = Face(as_json=False)
    if target.exists() and not replace and sys.stdin.isatty():
        replace = typer.confirm(f"{target} exists. Replace it?", abort=True)
    with face.working():
        file = _model_file(run_folder, face)
        tasks.export(tasks.ExportRequest(file, target, replace=replace), face.report, face.token)
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
    from cnn_studio.core.display import find_display_problem

    out = out or runs.new_run_folder(paths.data_dir() / "demos", "demo")
    _refuse_used(out)
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


def _model_file(path: Path, face: Face) -> Path:
    """The model file meant by a file or a run's folder; a run that was interrupted gets its model made."""
    if not path.is_dir():
        return path
    run = runs.read_run(path)
    if not run.model.exists():
        tasks.recover(path, face.report, face.token)
    return run.model


def _names(text: str | None) -> tuple[str, ...] | None:
    return tuple(name.strip() for name in text.split(",")) if text else None
