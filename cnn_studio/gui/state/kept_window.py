"""What the window was about when it was closed, kept for the next start of the program."""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cnn_studio.core import paths
from cnn_studio.core.advice.choices import FOLLOWING, Chosen
from cnn_studio.core.atomic_file import write_text
from cnn_studio.core.errors import ExperimentError, StorageError
from cnn_studio.core.experiment.experiment import build_experiment
from cnn_studio.core.text import parsed_json

log = logging.getLogger(__name__)

_SAMPLE = "sample"  # no absolute path: where it lies follows from the installation


@dataclass(frozen=True, slots=True)
class KeptWindow:
    """What to go on with; None, or empty, what there was nothing of.

    Attributes:
        folder: the data set's.
        chosen: the settings.
        decided_in: the folder that their decisions about pictures were made in.
        model: the opened model's file.
        class_names: what the user called its classes, where the file has no names.
        page: key of the page in front.
    """

    folder: Path | None = None
    chosen: Chosen | None = None
    decided_in: Path | None = None
    model: Path | None = None
    class_names: tuple[str, ...] = ()
    page: str = ""


def keep_window(kept: KeptWindow) -> None:
    """Write it down; what cannot be written is only logged."""
    values: dict[str, Any] = {
        "folder": _SAMPLE if kept.folder == paths.sample_dataset_dir() else _text(kept.folder),
        "decided_in": _text(kept.decided_in),
        "model": _text(kept.model),
        "class_names": kept.class_names,
        "page": kept.page,
    }
    if kept.chosen is not None:
        values["experiment"] = kept.chosen.experiment.model_dump(mode="json")
        values["fixed"] = sorted(kept.chosen.fixed)
    try:
        write_text(_file(), json.dumps(values))
    except StorageError as error:
        log.warning("What the window was about could not be kept: %s", error)


def kept_window() -> KeptWindow:
    """What was kept last; of what is damaged, or was never written, the defaults."""
    try:
        values = parsed_json(_file().read_bytes())
    except (OSError, ValueError):
        return KeptWindow()
    if not isinstance(values, dict):
        return KeptWindow()
    folder = values.get("folder")
    names = values.get("class_names")
    page = values.get("page")
    return KeptWindow(
        folder=paths.sample_dataset_dir() if folder == _SAMPLE else _path(folder),
        chosen=_chosen(values),
        decided_in=_path(values.get("decided_in")),
        model=_path(values.get("model")),
        class_names=tuple(names) if isinstance(names, list) and all(isinstance(name, str) for name in names) else (),
        page=page if isinstance(page, str) else "",
    )


def _chosen(values: dict[str, Any]) -> Chosen | None:
    experiment, fixed = values.get("experiment"), values.get("fixed")
    if not isinstance(experiment, dict) or not isinstance(fixed, list):
        return None
    try:
        return Chosen(build_experiment(experiment), FOLLOWING & {name for name in fixed if isinstance(name, str)})
    except ExperimentError:  # written by a version with other settings
        return None


def _text(path: Path | None) -> str:
    return str(path.absolute()) if path else ""


def _path(text: object) -> Path | None:
    if not isinstance(text, str) or not text or "\0" in text:
        return None
    path = Path(text)
    return path if path.is_absolute() else None


def _file() -> Path:
    return paths.data_dir() / "window.json"
