"""Why a training failed: a code and plain facts, which ``run.json`` keeps, and the sentence they make."""

from __future__ import annotations

import errno
from dataclasses import dataclass
from enum import StrEnum

from cnn_studio.core.errors import CnnStudioError, StorageError, TooLittleMemoryError, TrainingError


class FailureKind(StrEnum):
    """Why a training failed; the value is what ``run.json`` holds."""

    MEMORY = "memory"
    DISK_FULL = "disk_full"
    STORAGE = "storage"
    TRAINING = "training"
    OTHER = "other"
    UNEXPECTED = "unexpected"


_TEXT = {
    FailureKind.MEMORY: "there was not enough memory",
    FailureKind.DISK_FULL: "the disk was full",
    FailureKind.STORAGE: "a file could not be written",
    FailureKind.TRAINING: "training could not go on",
    FailureKind.OTHER: "it could not be completed ({0})",
    FailureKind.UNEXPECTED: "an error that should not happen ({0})",
}


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a training failed.

    Attributes:
        kind: the reason.
        error: class name of what was raised.
        said: the reason as an earlier version wrote it down; "" of this one.
    """

    kind: FailureKind
    error: str = ""
    said: str = ""

    def text(self) -> str:
        """The reason in a few words, to follow a colon."""
        return self.said or _TEXT[self.kind].format(self.error)


def failure_of(error: Exception) -> Failure:
    """What to keep of an error that ended a training."""
    cause = error.__cause__
    match error:
        case TooLittleMemoryError():
            kind = FailureKind.MEMORY
        case StorageError() if isinstance(cause, OSError) and cause.errno in {errno.ENOSPC, errno.EDQUOT}:
            kind = FailureKind.DISK_FULL
        case StorageError():
            kind = FailureKind.STORAGE
        case TrainingError():
            kind = FailureKind.TRAINING
        case CnnStudioError():
            kind = FailureKind.OTHER
        case _:
            kind = FailureKind.UNEXPECTED
    return Failure(kind, type(error).__name__)
