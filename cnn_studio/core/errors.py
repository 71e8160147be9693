"""What goes wrong in words a person can act on."""

from __future__ import annotations

import re
from pathlib import Path


class CnnStudioError(Exception):
    """A failure that is told to the user as it stands: no traceback belongs beside it.

    Attributes:
        message: what happened, one sentence.
        hint: what to do about it, one sentence; may be empty.
        path: the file or folder it happened to, if there is one.
        field: the dotted name of the setting at fault (``training.learning_rate``), if there is one.
    """

    def __init__(self, message: str, *, hint: str = "", path: Path | None = None, field: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.path = path
        self.field = field

    @property
    def code(self) -> str:
        """What kind of failure it is, for programs: ``model_file``, ``too_little_memory``; ``failure`` for no kind."""
        kind = type(self).__name__.removesuffix("Error")
        return "failure" if type(self) is CnnStudioError else re.sub(r"(?<!^)(?=[A-Z])", "_", kind).lower()

    def __str__(self) -> str:
        return f"{self.message} {self.hint}".rstrip()


class DatasetError(CnnStudioError):
    """The folder cannot be used as a data set."""


class ExperimentError(CnnStudioError):
    """A setting, or a combination of settings, cannot work; ``field`` names it."""


class ModelFileError(CnnStudioError):
    """A model file is damaged, foreign, hostile or cannot be written."""


class TrainingError(CnnStudioError):
    """Training could not go on: out of memory, no usable device, numbers that diverged."""


class TooLittleMemoryError(TrainingError):
    """A network, or a batch, does not fit into memory."""


class StorageError(CnnStudioError):
    """Something could not be written: a full disk, no permission, a folder that is in use."""


class WeightsError(CnnStudioError):
    """A backbone's pre-trained weights are not there, could not be downloaded, or are not what they should be."""
