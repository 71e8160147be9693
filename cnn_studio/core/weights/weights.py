"""Pre-trained weights: where they are, whether they are whole, and how they come here.

They lie where Keras looks for them (``$KERAS_HOME/models``, else ``~/.keras/models``) under Keras's names, so what
either has downloaded serves both. Nothing is downloaded unless the user asks for it.
"""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from cnn_studio.core.atomic_file import replacing
from cnn_studio.core.errors import WeightsError
from cnn_studio.core.experiment.backbones import BACKBONES, Backbone, find_backbone
from cnn_studio.core.job.events import Progress, Stage, StageStarted
from cnn_studio.core.job.jobs import JobContext
from cnn_studio.core.weights.check import CheckedWeights, check_weights, recognise_weights

_CHUNK = 2**20
MEGABYTE = 10**6


class WeightsState(StrEnum):
    """What there is of a backbone's weights.

    "published": Keras's own file; "other": another file that fits; "damaged": a file that does not; "partial": a
    download that can be gone on with; "missing": nothing.
    """

    PUBLISHED = "published"
    OTHER = "other"
    DAMAGED = "damaged"
    PARTIAL = "partial"
    MISSING = "missing"


@dataclass(frozen=True, slots=True)
class WeightsStatus:
    """What there is of one backbone's weights.

    Attributes:
        backbone: whose.
        state: what there is.
        path: where the file is or would be.
        bytes: size of what there is.
        detail: a sentence on a file that is not Keras's own; "" otherwise.
    """

    backbone: Backbone
    state: WeightsState
    path: Path
    bytes: int
    detail: str = ""

    @property
    def usable(self) -> bool:
        """Whether a network can be built with it."""
        return self.state in {WeightsState.PUBLISHED, WeightsState.OTHER}


def weights_folder() -> Path:
    """Where Keras keeps weights; not created here."""
    home = os.environ.get("KERAS_HOME")
    return (Path(home).expanduser() if home else Path.home() / ".keras") / "models"


def weights_path(backbone: Backbone) -> Path:
    """Where a backbone's weights are, if they are there."""
    return weights_folder() / backbone.weights_file


def part_path(backbone: Backbone) -> Path:
    """Where a download that has not ended is kept."""
    path = weights_path(backbone)
    return path.with_name(f"{path.name}.part")


def weights_status(name: str) -> WeightsStatus:
    """What there is of a backbone's weights; quick once a file has been checked.

    Raises:
        ExperimentError: there is no such backbone.
    """
    backbone = find_backbone(name)
    path, part = weights_path(backbone), part_path(backbone)
    if not path.is_file():
        with suppress(OSError):
            return WeightsStatus(backbone, WeightsState.PARTIAL, path, part.stat().st_size)
        return WeightsStatus(backbone, WeightsState.MISSING, path, 0)
    size = path.stat().st_size
    try:
        checked = check_weights(path, backbone)
    except WeightsError as error:
        return WeightsStatus(backbone, WeightsState.DAMAGED, path, size, str(error))
    state = WeightsState.PUBLISHED if checked.published else WeightsState.OTHER
    return WeightsStatus(backbone, state, path, size, checked.note)


def find_weights(name: str) -> CheckedWeights:
    """A backbone's weights on this machine, checked.

    Raises:
        ExperimentError: there is no such backbone.
        WeightsError: they are not here, or are damaged; says how to get them.
    """
    backbone = find_backbone(name)
    path = weights_path(backbone)
    if not path.is_file():
        raise WeightsError(
            f"The pre-trained weights of {backbone.title} ({backbone.weights_file}, {megabytes(backbone)}) are not on "
            "this machine.",
            hint=f"Get them: cnn-studio weights get {name}. {other_ways(backbone)}",
            path=path,
        )
    try:
        return check_weights(path, backbone)
    except WeightsError as error:
        raise WeightsError(
            error.message,
            hint=f"Get it anew: cnn-studio weights get {name}. {other_ways(backbone)}",
            path=path,
        ) from error


@dataclass(frozen=True, slots=True)
class ImportRequest:
    """Take a file of the user's as a backbone's weights.

    Attributes:
        source: a file of weights as Keras publishes them, without classifier; it is not changed.
        name: the backbone they should be for; None recognises it by the file's content.
    """

    source: Path
    name: str | None = None


def import_weights(request: ImportRequest, context: JobContext) -> CheckedWeights:
    """Copy a file of the user's to where Keras looks for it, once it is known to fit.

    Args:
        request: which file.
        context: ``report`` is told how far it is. ``cancel`` ends it; nothing is left behind.

    Returns:
        The file in its new place; its ``note`` says so when it is not the one that Keras publishes.

    Raises:
        ExperimentError: there is no such backbone.
        WeightsError: the file cannot be read, is damaged or is for another network, or Keras's own is here already.
        StorageError: it cannot be written.
        JobCancelled: the user cancelled.
    """
    source = request.source
    backbone = find_backbone(request.name) if request.name else None
    if not source.is_file():
        raise WeightsError(f"There is no file {source}.", path=source)
    backbone = backbone or recognise_weights(source)
    target = weights_path(backbone)
    checked = check_weights(source, backbone)
    if target.exists() and target.samefile(source):
        return checked
    if not checked.published and weights_status(backbone.name).state is WeightsState.PUBLISHED:
        raise WeightsError(
            f"Keras's own weights of {backbone.title} are here already, and {source.name} is another file.",
            hint=f"To use yours, first move {target} away.",
            path=source,
        )
    with replacing(target) as part:
        _copy(source, part, context)
        # The copy is what will be used: a card that is pulled out, or a full disk, must not go unnoticed.
        check_weights(part, backbone, lambda _: context.cancel.raise_if_cancelled())
    part_path(backbone).unlink(missing_ok=True)
    return check_weights(target, backbone)


def _copy(source: Path, target: Path, context: JobContext) -> None:
    total = source.stat().st_size
    context.report(StageStarted(Stage.DOWNLOAD, -(-total // MEGABYTE)))
    done = 0
    with source.open("rb") as reading, target.open("wb") as writing:
        while chunk := reading.read(_CHUNK):
            context.cancel.raise_if_cancelled()
            writing.write(chunk)
            done += len(chunk)
            context.report(Progress(Stage.DOWNLOAD, done // MEGABYTE, -(-total // MEGABYTE), "MB"))


def megabytes(backbone: Backbone) -> str:
    """The size of a backbone's weights in words: "95 MB"."""
    return f"{backbone.weights_bytes / MEGABYTE:.0f} MB"


def other_ways(backbone: Backbone) -> str:
    """What to do without a network, in a sentence."""
    return (
        f"Without a network, bring the file {backbone.weights_file} from another machine (it is at "
        f"{backbone.weights_url}) and use cnn-studio weights import FILE, which puts it into {weights_folder()}; or "
        "train a network from scratch, which needs none."
    )


def all_statuses() -> tuple[WeightsStatus, ...]:
    """What there is of every backbone's weights, in the table's order."""
    return tuple(weights_status(name) for name in BACKBONES)
