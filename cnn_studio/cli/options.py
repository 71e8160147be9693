"""Settings on the command line: options with their help from the table, ``--set`` for any, and a list of all."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Annotated, Any

import typer

from cnn_studio.core.advice.choices import Choices
from cnn_studio.core.errors import ExperimentError
from cnn_studio.core.experiment.architectures import ARCHITECTURE_PRESETS, BACKBONE_PRESETS, architecture_preset
from cnn_studio.core.experiment.row import UNIT_TEXT, Setting
from cnn_studio.core.experiment.table import ALL_SETTINGS, KIND_TEXT, SECTION_TEXT, parse_settings, setting

Sets = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="NAME=VALUE",
        help="Any setting: training.schedule=cosine, architecture.blocks=[[32,32],[64,64]]. Can be given several "
        "times and changes what a preset or a file says; `cnn-studio settings` lists all.",
    ),
]

_NAME = "architecture.name"
_OF_BACKBONES = {
    "transfer": "architecture.transfer",
    "unfreeze": "architecture.unfreeze_from",
    "fine_tuning_epochs": "architecture.fine_tuning.epochs",
    "fine_tuning_rate": "architecture.fine_tuning.learning_rate",
}
"""What ``Choices`` has names of its own for, since one of them may follow from another."""


def option(name: str, *flags: str, note: str = "", metavar: str | None = None) -> Any:
    """An option that is a setting, for ``Annotated``.

    Args:
        name: the setting's.
        flags: the option's names, where they do not follow from the parameter's.
        note: what is to be said besides the setting's help, a sentence.
        metavar: what stands for the value in the help.
    """
    of = setting(name)
    said = of.title.lower().replace(" ", "_") == of.key  # the option's name says it already
    title = f"{SECTION_TEXT[of.section]}, {of.title.lower()}" if "." in of.section else "" if said else of.title
    possible = f"One of {of.range_text}." if of.choices else ""
    text = " ".join(filter(None, (title and f"{title}:", of.help, possible, note)))
    return typer.Option(*flags, help=text, metavar=metavar)


def asked_for(options: Mapping[str, Any], sets: Sequence[str] | None) -> dict[str, Any]:
    """The settings that were asked for, by dotted name.

    Args:
        options: values of options that are settings; None where an option was not given.
        sets: what ``--set`` was given.

    Raises:
        ExperimentError: ``--set`` names no setting or has no value for it, or an option says another.
    """
    asked = {name: value for name, value in options.items() if value is not None}
    for name, value in parse_settings(sets or ()).items():
        if asked.setdefault(name, value) != value:
            raise ExperimentError(
                f"{name} is {_plain(asked[name])} by an option of its own and {_plain(value)} by --set.",
                hint="Leave out one of them.",
                field=name,
            )
    return asked


def choices_of(
    asked: Mapping[str, Any],
    *,
    experiment: Path | None = None,
    preset: str | None = None,
    architecture: str | None = None,
    augment: str | None = None,
) -> Choices:
    """What the user chose: something to start from, and single settings that change it.

    A setting that names an architecture of this program means that architecture, as ``--architecture`` does.

    Raises:
        ExperimentError: there is no architecture of that name, and nothing else is said of it.
    """
    changes = {name: value for name, value in asked.items() if name not in _OF_BACKBONES.values()}
    name = changes.get(_NAME)
    if name and not experiment and not any(each.startswith("architecture.") for each in changes.keys() - {_NAME}):
        architecture_preset(name)  # a name of one's own is for settings of one's own, and else a slip
    if architecture or name in ARCHITECTURE_PRESETS or name in BACKBONE_PRESETS:
        architecture = changes.pop(_NAME, architecture)
    return Choices(
        experiment=experiment,
        preset=preset,
        architecture=architecture,
        augment=augment,
        changes=changes,
        **{key: asked.get(name) for key, name in _OF_BACKBONES.items()},
    )


def settings_values() -> list[dict[str, Any]]:
    """All settings as JSON-ready objects; one that both kinds of architecture have is there for each."""
    return [
        {
            "name": each.name,
            "kind": each.kind,
            "title": each.title,
            "help": each.help,
            "type": each.type.value,
            "default": each.default,
            "minimum": each.limits.minimum,
            "maximum": each.limits.maximum,
            "exclusive_minimum": each.limits.above,
            "exclusive_maximum": each.limits.below,
            "choices": list(each.choices),
            "unit": each.unit.value,
            "advanced": each.advanced,
        }
        for each in ALL_SETTINGS
    ]


def settings_text() -> str:
    """All settings for a person to read."""
    lines = []
    for (section, kind), settings in groupby(ALL_SETTINGS, lambda each: (each.section, each.kind)):
        lines.append(f"{SECTION_TEXT[section]}{f', of {KIND_TEXT[kind]}' if kind else ''}:")
        for each in settings:
            lines.append(f"  {each.name}={_plain(each.default)}")
            lines.append(f"      {each.title}: {each.help}{_possible(each)}")
    return "\n".join(lines)


def _possible(of: Setting) -> str:
    if of.choices:
        return f" {'; '.join(f'{_plain(value)}: {title}' for value, title in of.choices.items())}."
    words = ", ".join(filter(None, (UNIT_TEXT[of.unit], of.range_text)))
    return f" ({words})" if words else ""


def _plain(value: Any) -> str:
    """A value as ``--set`` takes it."""
    return str(value) if isinstance(value, str) else json.dumps(value)
