"""What jobs report of a folder of images."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cnn_studio.core.image.issues import Issue
from cnn_studio.core.job.events import Event

if TYPE_CHECKING:
    from cnn_studio.core.data.dataset import Dataset


@dataclass(frozen=True, slots=True)
class FolderListed(Event):
    """What a folder holds by its names and the first bytes of its files; they are still to be checked.

    ``dataset`` is good for showing and not for training: height and width are 0 where not known from an earlier scan,
    and files may yet be left out. It is never sent as JSON.
    """

    dataset: Dataset


@dataclass(frozen=True, slots=True)
class Caution(Event):
    """Something about the images that may mislead whoever trains on them, told before that begins.

    ``kind`` is that of a finding, or ``left_out``; ``text`` says what it is and ``advice`` what to do.
    """

    kind: str
    text: str
    advice: str


@dataclass(frozen=True, slots=True)
class FilesLeftOut(Event):
    """Files that were fine when scanned could not be read when they were prepared."""

    issues: tuple[Issue, ...]
