"""The table of settings: one row for each setting of an experiment, collected from where the fields are."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches
from itertools import chain
from typing import Any

from pydantic import BaseModel

from cnn_studio.core.errors import ExperimentError
from cnn_studio.core.experiment.augmentation import AugmentationSettings
from cnn_studio.core.experiment.row import Setting, settings_of
from cnn_studio.core.experiment.settings import (
    ARCHITECTURE_KINDS,
    BackboneArchitecture,
    ImageSettings,
    ScratchArchitecture,
    SplitSettings,
    TrainingSettings,
)

_GROUPS: tuple[tuple[str, str, type[BaseModel]], ...] = (
    ("split", "", SplitSettings),
    ("image", "", ImageSettings),
    ("architecture", "scratch", ScratchArchitecture),
    ("architecture", "backbone", BackboneArchitecture),
    ("augmentation", "", AugmentationSettings),
    ("training", "", TrainingSettings),
)

KIND_TEXT = dict(zip(ARCHITECTURE_KINDS, ("networks trained from scratch", "pre-trained networks"), strict=True))
"""Each kind of architecture in a person's words."""

SECTION_TEXT = {
    "split": "Split",
    "image": "Images",
    "architecture": "Architecture",
    "architecture.fine_tuning": "Fine-tuning",
    "augmentation": "Augmentation",
    "training": "Training",
}
"""Each section of names in a person's words."""

NOT_SETTINGS = {
    "architecture.kind": "it follows from the architecture's name",
    "decisions.left_out": "it is decided picture by picture, in the window",
    "decisions.belongs_to": "it is decided picture by picture, in the window",
}
"""Fields of an experiment without a row, and why: no form shows them and ``--set`` does not take them."""

ALL_SETTINGS: tuple[Setting, ...] = tuple(
    chain.from_iterable(settings_of(model, section, kind) for section, kind, model in _GROUPS)
)
"""Every setting, in the order of a form; one that both kinds of architecture have stands here twice."""

_OF_KIND = {(each.kind, each.name): each for each in ALL_SETTINGS}

SETTINGS: dict[str, Setting] = {}
"""The settings by their dotted names; of two with one name, that of networks trained from scratch."""
for _each in ALL_SETTINGS:
    SETTINGS.setdefault(_each.name, _each)


def kinds_of(name: str) -> tuple[str, ...]:
    """The kinds of architecture that have a setting; all of them where it is none of an architecture's."""
    return tuple(kind for kind in ARCHITECTURE_KINDS if {(kind, name), ("", name)} & _OF_KIND.keys())


def setting(name: str, kind: str = "") -> Setting:
    """The setting of that dotted name.

    Args:
        name: such as ``training.epochs``.
        kind: of architecture, "scratch" or "backbone", whose title and default are wanted where each has its own.

    Raises:
        ExperimentError: there is none; the hint names those that are meant, probably.
    """
    found = _OF_KIND.get((kind, name)) or SETTINGS.get(name)
    if found is None:
        raise unknown_setting(name)
    return found


def unknown_setting(name: str) -> ExperimentError:
    """What is told of a name that is no setting's."""
    if reason := NOT_SETTINGS.get(name):
        return ExperimentError(f"{name} cannot be set: {reason}.", field=name)
    key = name.rpartition(".")[2]
    close = [each for each in SETTINGS if each.rpartition(".")[2] == key] or get_close_matches(name, SETTINGS)
    hint = f"Did you mean {' or '.join(close)}?" if close else "`cnn-studio settings` lists all."
    return ExperimentError(f"There is no setting {name}.", hint=hint, field=name)


def parse_settings(texts: Iterable[str]) -> dict[str, Any]:
    """Dotted names to values, from the command line's ``NAME=VALUE``.

    Raises:
        ExperimentError: one has no value or another shape, is unknown, out of range, or set twice.
    """
    values: dict[str, Any] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        name = name.strip()
        if not equals:
            raise ExperimentError(f"{text!r} says no value.", hint="Write NAME=VALUE, such as training.epochs=20.")
        parsed = setting(name).parse(value)
        if values.setdefault(name, parsed) != parsed:
            raise ExperimentError(f"{name} is set twice, to different values.", field=name)
    return values
