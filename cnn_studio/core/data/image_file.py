"""An image of a data set, and what it is used for."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Split(StrEnum):
    """What an image is used for."""

    TRAIN = "train"
    VALIDATION = "validation"
    TEST = "test"


SPLIT_TEXT = {Split.TRAIN: "training", Split.VALIDATION: "validation", Split.TEST: "test"}
"""The same in words, to go before "images" or "accuracy"."""


@dataclass(frozen=True, slots=True)
class ImageFile:
    """One usable image.

    Attributes:
        path: relative to the data set's root, with forward slashes.
        label: index into the data set's class names.
        height, width: of the upright picture, in pixels.
        grey: whether the file holds no colour.
        bytes: file size.
        modified_ns: time of last change, nanoseconds since 1970; with path and size it tells whether a file changed.
        given_split: the split its folder names, where the data set comes divided.
        identical: number of the group of files with the very same bytes; 0 when there is no other.
        similar: number of the group of pictures that must stay together, since each looks like some other of them, the
            identical ones among them; 0 when there is none.
        alike: numbers of the groups it is in whose members all look alike.
        same: numbers of the groups it is in whose members all are the same picture, compared by their pixels.
        blank: whether nearly all of the picture has one brightness.
    """

    path: str
    label: int
    height: int
    width: int
    grey: bool
    bytes: int
    modified_ns: int
    given_split: Split | None = None
    identical: int = 0
    similar: int = 0
    alike: tuple[int, ...] = ()
    same: tuple[int, ...] = ()
    blank: bool = False
