"""Why an image file cannot be used: a code and plain facts, which can be kept on disk, and the sentence they make.

What is kept outlives the language it would have been written in, so nobody writes the sentence down.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from cnn_studio.core.image.issues import IssueKind


class Reason(StrEnum):
    """Why a file cannot be decoded; the value is what is kept on disk."""

    EMPTY = "empty"
    FOLDER = "folder"
    NO_ORDINARY_FILE = "no_ordinary_file"
    GONE = "gone"
    NO_PERMISSION = "no_permission"
    NOT_READ = "not_read"
    NO_MEMORY = "no_memory"
    TOO_MANY_PIXELS = "too_many_pixels"
    BOMB = "bomb"
    CUT = "cut"
    DAMAGED = "damaged"
    UNSUPPORTED = "unsupported"
    NO_DECODER = "no_decoder"
    HEIC = "heic"
    PDF = "pdf"
    ZIP = "zip"
    ARCHIVE = "archive"
    PHOTOSHOP = "photoshop"
    POSTSCRIPT = "postscript"
    SIDE_NOTES = "side_notes"
    DATABASE = "database"
    VIDEO = "video"
    VIDEO_OR_SOUND = "video_or_sound"
    PROGRAM = "program"
    LFS_POINTER = "lfs_pointer"
    SVG = "svg"
    WEB_PAGE = "web_page"
    BLANK_TEXT = "blank_text"
    TEXT = "text"
    UNKNOWN = "unknown"


_MAY_PASS = {
    Reason.FOLDER,
    Reason.NO_ORDINARY_FILE,
    Reason.GONE,
    Reason.NO_PERMISSION,
    Reason.NOT_READ,
    Reason.NO_MEMORY,
}

_TEXT = {
    Reason.EMPTY: "The file is empty (0 bytes).",
    Reason.FOLDER: "This is a folder, not an image.",
    Reason.NO_ORDINARY_FILE: "This is no ordinary file, not an image.",
    Reason.GONE: "The file is no longer there.",
    Reason.NO_PERMISSION: "You may not read this file.",
    Reason.NOT_READ: "The file could not be read: {0}.",
    Reason.NO_MEMORY: "There is not enough memory to decode it.",
    Reason.TOO_MANY_PIXELS: (
        "The picture is too large: {0} × {1} pixels are {2:,} megapixels; at most {3} can be read."
    ),
    Reason.BOMB: "The picture has too many pixels to be decoded safely.",
    Reason.CUT: "The image is incomplete: the file ends too early.",
    Reason.DAMAGED: "The image is damaged and cannot be decoded.",
    Reason.UNSUPPORTED: "The image is of a variety that cannot be read here: save it anew as PNG or JPEG.",
    Reason.NO_DECODER: "The file is a {0} image, which this Pillow was built without.",
    Reason.HEIC: (
        "The file is a HEIC photo, which cannot be read here: save it as JPEG, or install cnn-studio[heif] with pip."
    ),
    Reason.PDF: "The file holds a PDF document, not an image.",
    Reason.ZIP: "The file holds a ZIP archive or an office document, not an image.",
    Reason.ARCHIVE: "The file holds a compressed archive, not an image.",
    Reason.PHOTOSHOP: "The file holds a Photoshop document, not an image.",
    Reason.POSTSCRIPT: "The file holds a PostScript drawing, not an image.",
    Reason.SIDE_NOTES: "The file holds the side notes macOS keeps of another file, not an image.",
    Reason.DATABASE: "The file holds a database, not an image.",
    Reason.VIDEO: "The file holds a video, not an image.",
    Reason.VIDEO_OR_SOUND: "The file holds a video or sound, not an image.",
    Reason.PROGRAM: "The file holds a program, not an image.",
    Reason.LFS_POINTER: ("The file is a Git LFS pointer, not the image itself: run “git lfs pull” in its repository."),
    Reason.SVG: "The file holds an SVG drawing; only pixel images such as JPEG or PNG can be used.",
    Reason.WEB_PAGE: "The file holds a web page, not an image: the download probably failed.",
    Reason.BLANK_TEXT: "The file holds text, not an image.",
    Reason.TEXT: "The file holds text, not an image (“{0}”).",
    Reason.UNKNOWN: "The file is not an image of any kind that can be read here.",
}


@dataclass(frozen=True, slots=True)
class Cause:
    """Why one file cannot be used.

    Attributes:
        kind: for grouping.
        reason: the very reason.
        facts: what its sentence tells of this file: names, numbers.
    """

    kind: IssueKind
    reason: Reason
    facts: tuple[str | int, ...] = ()

    @property
    def lasting(self) -> bool:
        """Whether the reason lies in the file's content, so that it holds until the file changes."""
        return self.reason not in _MAY_PASS

    def sentence(self) -> str:
        """The reason in a sentence about the file that does not name it."""
        return _TEXT[self.reason].format(*self.facts)

    def as_fields(self) -> list[Any]:
        """Codes and facts, to be kept as JSON."""
        return [self.kind.value, self.reason.value, list(self.facts)]


def cause_from_fields(fields: object) -> Cause | None:
    """The cause that ``as_fields`` gave; None for anything else, such as what other versions kept."""
    match fields:
        case [str(kind), str(reason), [*facts]] if kind in set(IssueKind) and reason in set(Reason):
            cause = Cause(IssueKind(kind), Reason(reason), tuple(fact for fact in facts if isinstance(fact, str | int)))
            with suppress(IndexError, ValueError, TypeError):
                cause.sentence()
                return cause
    return None
