"""``cnn-studio augmentations``, what ``train --augment`` takes, and ``compare-augmentations``, which of it helps."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from cnn_studio import tasks
from cnn_studio.cli.console import Face
from cnn_studio.cli.options import Sets, asked_for, choices_of
from cnn_studio.core.advice.augmentation import AUGMENTATION_PRESETS, RECOMMENDED
from cnn_studio.core.advice.preflight import refuse
from cnn_studio.core.experiment.augmentation import AUGMENTATION_KINDS, Unit, augmentation_text
from cnn_studio.core.experiment.row import UNIT_TEXT
from cnn_studio.core.experiment.table import ALL_SETTINGS
from cnn_studio.core.job.events import DeviceKind
from cnn_studio.core.percent import format_percent_within
from cnn_studio.core.runs.comparison import AugmentationTrial
from cnn_studio.core.runs.run import refuse_used
from cnn_studio.core.runs.trained import Ended

USUAL_EPOCHS = 5  # of each training of a comparison


def augmentation_values() -> dict[str, Any]:
    """Kinds and presets as JSON-ready objects."""
    return {
        "kinds": [
            {
                "name": kind.name,
                "title": kind.title,
                "explanation": kind.explanation,
                "unit": kind.unit.value,
                "usual": kind.usual,
                "most": kind.most,
            }
            for kind in AUGMENTATION_KINDS.values()
        ],
        "presets": [
            {"name": preset.name, "title": preset.title, "augment": augmentation_text(preset.augmentation)}
            for preset in AUGMENTATION_PRESETS.values()
        ],
    }


def augmentations_text() -> str:
    """Kinds and presets for a person to read."""
    lines = ["Presets:", f"  {RECOMMENDED}\n      Chosen from the data, with the reason."]
    for preset in AUGMENTATION_PRESETS.values():
        lines.append(f"  {preset.name}\n      {preset.summary}")
        if text := augmentation_text(preset.augmentation):
            lines.append(f"      = {text}")
    lines.append("Kinds, with the usual strength; after a preset they change it:")
    for kind in AUGMENTATION_KINDS.values():
        usual = "" if kind.unit is Unit.SWITCH else f"={kind.usual:g}"
        unit = f" ({UNIT_TEXT[kind.unit]}, at most {kind.most:g})" if usual else ""
        lines.append(f"  {kind.name + usual:<21} {kind.title}: {kind.explanation}{unit}")
    lines.append("Besides:")
    for each in ALL_SETTINGS:
        if each.section == "augmentation" and each.key not in AUGMENTATION_KINDS:
            possible = f" One of {each.range_text}." if each.choices else ""
            lines.append(f"  {f'{each.key}={each.default}':<21} {each.title}: {each.help}{possible}")
    return "\n".join(lines)


def compare(
    folder: Annotated[Path, typer.Argument(help="Holds one sub-folder of images per class.")],
    out: Annotated[Path, typer.Option(help="New folder for the runs, one for each training.")],
    augment: Annotated[
        str, typer.Option(metavar="KINDS", help="What is tried, as `train --augment` takes it.")
    ] = RECOMMENDED,
    epochs: Annotated[
        int | None, typer.Option(min=1, help=f"Of each training, at most; {USUAL_EPOCHS} when not given.")
    ] = None,
    preset: Annotated[str | None, typer.Option(help="A whole experiment by name.")] = None,
    architecture: Annotated[str | None, typer.Option(help="As `train --architecture`.")] = None,
    image_size: Annotated[int | None, typer.Option(help="Side of the images in pixels.")] = None,
    seed: Annotated[int | None, typer.Option(help="Of the split, the initial weights and the order.")] = None,
    experiment: Annotated[Path | None, typer.Option(help="A settings file saved by the window or a run.")] = None,
    sets: Sets = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="One JSON object per line on standard output, nothing else.")
    ] = False,
) -> int:
    """Train with no augmentation, with each kind alone and with all, and say which helped. Ctrl-C ends it early."""
    face = Face(as_json=as_json)
    options = {
        "architecture.name": architecture,
        "image.height": image_size,
        "image.width": image_size,
        "training.epochs": epochs,
        "training.seed": seed,
        "split.seed": seed,
    }
    asked = asked_for(options, sets)
    epochs = asked.pop("training.epochs", USUAL_EPOCHS)
    choices = choices_of(asked, experiment=experiment, preset=preset, architecture=architecture, augment=augment)
    refuse(choices.check())
    refuse_used(out)
    with face.working():
        found = tasks.scan(folder, face.context)
        settings, _ = choices.on_data(found, lambda: tasks.start_runtime(None, face.context).kind is DeviceKind.GPU)
        request = tasks.CompareRequest(found, settings, epochs, out)
        comparison = tasks.compare_augmentations(request, face.context)
    if as_json:
        face.print_json(
            {"event": "compared", "ended": comparison.ended, "trials": list(map(_values, comparison.trials))}
        )
        return 0
    width = max((len(trial.title) for trial in comparison.trials), default=0)
    for trial in comparison.trials:
        face.say(f"  {trial.title:<{width}}  {trial_text(trial)}")
    if comparison.ended is Ended.STOPPED:
        face.say("Stopped by you before all were tried.")
    return 0


def trial_text(trial: AugmentationTrial) -> str:
    """A trial's figures in a line."""
    measured = trial.validation
    within = format_percent_within(measured.accuracy, measured.accuracy_low, measured.accuracy_high)
    text = f"validation accuracy {within}"
    if trial.verdict:
        difference, low, high = (f"{100 * value:+.1f}" for value in (trial.difference, trial.low, trial.high))
        text += f", {difference} points ({low} to {high}): {trial.verdict}"
    return text


def _values(trial: AugmentationTrial) -> dict[str, Any]:
    return {**asdict(trial), "run": str(trial.run), "verdict": trial.verdict or ""}
