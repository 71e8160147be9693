"""``cnn-studio train``."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from cnn_studio import tasks
from cnn_studio.cli.console import Face
from cnn_studio.cli.options import Sets, asked_for, choices_of, option
from cnn_studio.cli.wording import NO_TEST, accuracy_sentence, cross_validation_sentences
from cnn_studio.core.advice.augmentation import AUGMENTATION_PRESETS
from cnn_studio.core.advice.preflight import refuse, remarks
from cnn_studio.core.data.groups import useless_rule
from cnn_studio.core.data.image_file import Split
from cnn_studio.core.data.split_file import read_split, with_split
from cnn_studio.core.data.walk import passed_over_text
from cnn_studio.core.errors import ExperimentError
from cnn_studio.core.evaluation.figures import Evaluation
from cnn_studio.core.experiment.architectures import ARCHITECTURE_PRESETS, DEFAULT_ARCHITECTURE
from cnn_studio.core.experiment.backbones import BACKBONES
from cnn_studio.core.experiment.settings import Colour
from cnn_studio.core.job.events import DeviceKind, Message
from cnn_studio.core.runs.run import refuse_used
from cnn_studio.core.runs.trained import ENDED_TEXT, CrossValidation, TrainedModel


def train(
    folder: Annotated[Path, typer.Argument(help="Holds one sub-folder of images per class.")],
    out: Annotated[Path, typer.Option(help="New folder for the run: settings, figures, model.")],
    preset: Annotated[
        str | None, typer.Option(help="A whole experiment by name; `cnn-studio presets` lists them.")
    ] = None,
    architecture: Annotated[
        str | None,
        typer.Option(
            help=f"From scratch: {', '.join(ARCHITECTURE_PRESETS)} ({DEFAULT_ARCHITECTURE} when not given). "
            f"Pre-trained: {', '.join(BACKBONES)}."
        ),
    ] = None,
    transfer: Annotated[str | None, option("architecture.transfer")] = None,
    unfreeze: Annotated[
        str | None,
        option("architecture.unfreeze_from", note="Asks for fine-tuning; “everything” is one too.", metavar="BLOCK"),
    ] = None,
    fine_tuning_epochs: Annotated[int | None, option("architecture.fine_tuning.epochs")] = None,
    fine_tuning_rate: Annotated[float | None, option("architecture.fine_tuning.learning_rate")] = None,
    augment: Annotated[
        str | None,
        typer.Option(
            metavar="KINDS",
            help="How training images are changed: kinds with their strengths (flip_horizontal,rotation=10,zoom=0.1), "
            f"or {', '.join(AUGMENTATION_PRESETS)}, recommended; `cnn-studio augmentations` lists all.",
        ),
    ] = None,
    image_size: Annotated[int | None, typer.Option(help="Side of the images in pixels; chosen from the data.")] = None,
    grey: Annotated[bool | None, typer.Option("--grey/--rgb", help="Grey or colour; chosen from the data.")] = None,
    epochs: Annotated[int | None, option("training.epochs")] = None,
    batch_size: Annotated[int | None, option("training.batch_size")] = None,
    optimizer: Annotated[str | None, option("training.optimizer")] = None,
    learning_rate: Annotated[float | None, option("training.learning_rate")] = None,
    validation: Annotated[float | None, option("split.validation")] = None,
    test: Annotated[float | None, option("split.test")] = None,
    seed: Annotated[int | None, typer.Option(help="Of the split, the initial weights and the order.")] = None,
    patience: Annotated[int | None, option("training.patience", note="0 never ends early.")] = None,
    class_weights: Annotated[str | None, option("training.class_weights")] = None,
    precision: Annotated[str | None, option("training.precision")] = None,
    fit: Annotated[str | None, option("image.fit")] = None,
    group_by: Annotated[str | None, option("split.group_pattern", metavar="REGEX")] = None,
    similar_together: Annotated[
        bool | None, option("split.keep_similar_together", "--similar-together/--similar-apart")
    ] = None,
    split_file: Annotated[
        Path | None, typer.Option(help="Use this split: a CSV of path and split, such as a run's manifest.csv.")
    ] = None,
    folds: Annotated[
        int | None, typer.Option(min=2, help="Cross-validate: train this often, each time tested on another part.")
    ] = None,
    experiment: Annotated[Path | None, typer.Option(help="A settings file saved by the window or a run.")] = None,
    sets: Sets = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="One JSON object per line on standard output, nothing else.")
    ] = False,
) -> int:
    """Train a network on a folder and keep it as a run. Ctrl-C stops and keeps the best model so far."""
    face = Face(as_json=as_json)
    options = {
        "architecture.name": architecture,
        "architecture.transfer": transfer,
        "architecture.unfreeze_from": unfreeze,
        "architecture.fine_tuning.epochs": fine_tuning_epochs,
        "architecture.fine_tuning.learning_rate": fine_tuning_rate,
        "training.epochs": epochs,
        "training.batch_size": batch_size,
        "training.optimizer": optimizer,
        "training.learning_rate": learning_rate,
        "training.early_stopping": None if patience is None else patience > 0,
        "training.patience": patience or None,
        "training.class_weights": class_weights,
        "training.seed": seed,
        "training.precision": precision,
        "split.seed": seed,
        "split.validation": validation,
        "split.test": test,
        "split.group_pattern": group_by,
        "split.keep_similar_together": similar_together,
        "image.height": image_size,
        "image.width": image_size,
        "image.fit": fit,
        "image.colour": None if grey is None else (Colour.GREY if grey else Colour.RGB),
    }
    asked = asked_for(options, sets)
    if patience == 0 and "training.patience" in asked:
        raise ExperimentError(
            "--patience 0 never ends early, and --set training.patience says when to.",
            hint="Leave out one of them.",
            field="training.patience",
        )
    choices = choices_of(asked, experiment=experiment, preset=preset, architecture=architecture, augment=augment)
    # What is wrong with the options, or missing here, is told before a folder of 100,000 images is read.
    refuse(choices.check())
    refuse_used(out)
    table = _table_of_split(split_file, folds)
    with face.working():
        found = tasks.scan(folder, face.context)
        if passed_over := passed_over_text(dict(found.passed_over)):
            face.report(Message(passed_over))
        if table:
            found, notes = with_split(found, table)
            for note in notes:
                face.report(Message(note))
        settings, notes = choices.on_data(found, lambda: tasks.start_runtime(None, face.context).kind is DeviceKind.GPU)
        for note in filter(None, (*notes, *remarks(settings), useless_rule(found.files, settings.split))):
            face.report(Message(note))
        if folds:
            validated = tasks.cross_validate(tasks.CrossValidateRequest(found, settings, out, folds), face.context)
            return tell_cross_validated(face, validated)
        trained = tasks.train(tasks.TrainRequest(found, settings, out), face.context)
    if as_json:
        face.print_json(finished_event(trained))
    else:
        _tell_trained(face, trained)
    return 0


def _table_of_split(split_file: Path | None, folds: int | None) -> dict[str, Split] | None:
    if split_file and folds:
        raise ExperimentError(
            "--split-file and --folds both say which images to test on.", hint="Leave out one of them."
        )
    return read_split(split_file) if split_file else None


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
        "cautions": [asdict(caution) for caution in trained.cautions],
    }


def tell_cross_validated(face: Face, validated: CrossValidation) -> int:
    """Print the end of ``train --folds``; gives the exit status."""
    if face.as_json:
        face.print_json(
            {
                "event": "cross_validated",
                "folds": [finished_event(trained) for trained in validated.folds],
                "asked": validated.asked,
                "accuracy": validated.accuracy,
                "accuracy_low": validated.accuracy_low,
                "accuracy_high": validated.accuracy_high,
                "deviation": validated.deviation,
                "loss": validated.loss,
            }
        )
    for sentence in cross_validation_sentences(validated):
        face.say(sentence)
    return 0


def evaluation_values(evaluation: Evaluation) -> dict[str, Any]:
    """An evaluation as a JSON-ready object."""
    return evaluation.values()


def _tell_trained(face: Face, trained: TrainedModel) -> None:
    how = ENDED_TEXT[trained.ended]
    epochs = "1 epoch" if trained.epochs == 1 else f"{trained.epochs} epochs"
    face.say(f"{epochs} in {trained.seconds:.0f} s on {trained.device}: {how}.")
    if trained.best_epoch:
        face.say(f"Kept: the model of epoch {trained.best_epoch}, which had the lowest validation loss.")
    for evaluation in (trained.validation, trained.test):
        if evaluation:
            face.say(accuracy_sentence(evaluation))
    for caution in trained.cautions:
        face.say(f"! {caution.text}")
    if trained.test is None:
        face.say(NO_TEST)
    face.say(f"Model: {trained.model}")
