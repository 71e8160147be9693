"""An experiment: everything a user can set, frozen and validated, in and out of TOML.

``Experiment`` is what the window edits, the run folder keeps and ``--experiment`` reads, so a run set up on a desktop
can be trained on a server. It holds no path of a machine.
"""

from __future__ import annotations

import codecs
import tomllib
from pathlib import Path
from reprlib import Repr
from typing import Any

import re2
import tomli_w
from pydantic import ValidationError
from pydantic_core import ErrorDetails

from cnn_studio.core.errors import ExperimentError
from cnn_studio.core.experiment.augmentation import AugmentationSettings
from cnn_studio.core.experiment.settings import (
    ARCHITECTURE_KINDS,
    Architecture,
    Decisions,
    ImageSettings,
    ScratchArchitecture,
    Settings,
    SplitSettings,
    TrainingSettings,
)
from cnn_studio.core.experiment.table import KIND_TEXT, SETTINGS, kinds_of, setting, unknown_setting

_LARGEST_FILE = 4 * 2**20  # a decision about each of 80,000 pictures

# A name of thousands of parts takes the parser time and memory with the square of their number.
_ENDLESS_NAME = re2.compile(rb"""(?:(?:[\w-]+|"(?:\\.|[^"\\\n])*"|'[^'\n]*')[ \t]*\.[ \t]*){16}""")

_SHORT = Repr()
"""For values in a sentence: a file may hold any."""
_SHORT.maxstring = _SHORT.maxother = 80

_GROUP_DEMANDS = {"decisions.left_out": "a list of paths", "decisions.belongs_to": "a table of paths and class names"}


class Experiment(Settings):
    """Everything needed to repeat a run on the same images."""

    split: SplitSettings = SplitSettings()
    image: ImageSettings = ImageSettings()
    architecture: Architecture = ScratchArchitecture()
    augmentation: AugmentationSettings = AugmentationSettings()
    training: TrainingSettings = TrainingSettings()
    decisions: Decisions = Decisions()


def build_experiment(values: dict[str, Any], *, source: Path | None = None) -> Experiment:
    """Validate plain values into an experiment.

    Args:
        values: nested dictionaries as TOML or JSON give them.
        source: the file they came from, for the error.

    Raises:
        ExperimentError: for the first value that is wrong; ``field`` is its dotted name.
    """
    try:
        return Experiment.model_validate(values)
    except ValidationError as error:
        refused = _refused(error.errors()[0])
        where = f"{source.name}: " if source else ""
        raise ExperimentError(
            f"{where}{refused.message}", hint=refused.hint, field=refused.field, path=source
        ) from None


def _refused(error: ErrorDetails) -> ExperimentError:
    """What pydantic refused, in a sentence that names the setting."""
    parts = [str(part) for part in error["loc"]]
    kind = ""
    if parts[:1] == ["architecture"] and len(parts) > 1 and parts[1] in ARCHITECTURE_KINDS:
        kind = parts.pop(1)  # pydantic names which of two it tried; that is no part of a setting's name
    field = ".".join(parts)
    name = next((whole for end in range(len(parts), 0, -1) if (whole := ".".join(parts[:end])) in SETTINGS), "")
    if error["type"] == "extra_forbidden":
        return _misplaced(field, kind) or unknown_setting(field)
    if name:
        return ExperimentError(setting(name, kind).refusal(error, field), field=field)
    if error["type"] in {"value_error", "architecture_kind"}:
        given = "" if isinstance(error["input"], dict) else f" (it is {_SHORT.repr(error['input'])})"
        return ExperimentError(f"{field}{given}: {error['msg'].removeprefix('Value error, ')}.", field=field)
    demand = _GROUP_DEMANDS.get(field) or ("text" if field.startswith("decisions.") else "a table of settings")
    return ExperimentError(f"{field} must be {demand}; it is {_SHORT.repr(error['input'])}.", field=field)


def _misplaced(field: str, kind: str) -> ExperimentError | None:
    """What is told of a setting, or a group of them, that only the other kind of architecture has."""
    meant = next((name for name in SETTINGS if name == field or name.startswith(f"{field}.")), "")
    if not kind or not meant:
        return None
    has = " and ".join(KIND_TEXT[each] for each in kinds_of(meant))
    what = f"{SETTINGS[meant].title} ({field}) is" if meant == field else f"{field} are settings"
    return ExperimentError(f"{what} for {has} only.", field=field)


def with_values(experiment: Experiment, changes: dict[str, Any]) -> Experiment:
    """A copy with some settings changed and everything validated again.

    Args:
        experiment: the settings to start from.
        changes: dotted names to values, such as ``{"training.epochs": 5}``.

    Raises:
        ExperimentError: as ``build_experiment``.
    """
    values = experiment.model_dump()
    for dotted, value in changes.items():
        *parents, last = dotted.split(".")
        section = values
        for parent in parents:
            section = section.setdefault(parent, {})  # not there: an architecture of the other kind, which is refused
        section[last] = value
    return build_experiment(values)


def read_experiment(path: Path) -> Experiment:
    """Read an experiment file.

    Raises:
        ExperimentError: the file is missing, is not TOML, or holds a setting that is unknown or out of range.
    """
    try:
        if path.stat().st_size > _LARGEST_FILE:
            raise ExperimentError(f"{path.name} is far too large for an experiment file.", path=path)
        content = path.read_bytes()
        if _ENDLESS_NAME.search(content):
            raise ExperimentError(f"{path.name} is no experiment file: a name in it has too many parts.", path=path)
        if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) or b"\0" in content[:64]:
            raise ExperimentError(
                f"{path.name} is written in UTF-16.",
                hint="Save it as UTF-8: a choice in the editor's Save as.",
                path=path,
            )
        values = tomllib.loads(content.decode("utf-8-sig"))  # Windows' editors put a mark before UTF-8
    except FileNotFoundError:
        raise ExperimentError(f"There is no experiment file {path}.", path=path) from None
    except OSError as error:
        raise ExperimentError(f"{path} could not be read: {error}.", path=path) from None
    except UnicodeDecodeError:
        raise ExperimentError(
            f"{path.name} is not written in UTF-8.",
            hint="Save it as UTF-8: a choice in the editor's Save as.",
            path=path,
        ) from None
    except RecursionError:
        raise ExperimentError(f"{path.name} is no experiment file: it is nested too deeply.", path=path) from None
    except ValueError as error:  # TOMLDecodeError, and a number with too many digits
        raise ExperimentError(f"{path.name} is not a TOML file: {error}.", path=path) from None
    return build_experiment(values, source=path)


def experiment_to_toml(experiment: Experiment) -> str:
    """The experiment as the text of a file that ``read_experiment`` takes."""
    return tomli_w.dumps(experiment.model_dump(mode="json"))
