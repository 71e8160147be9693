"""What a drop or a paste means: a data set, a model, settings, or images to classify."""

from __future__ import annotations

from contextlib import suppress
from enum import Enum, auto
from itertools import count
from pathlib import Path

from PySide6.QtCore import QMimeData
from PySide6.QtGui import QImage

from cnn_studio.core import paths as places


class Meaning(Enum):
    """What dropping some paths asks for."""

    DATASET = auto()
    MODEL = auto()
    EXPERIMENT = auto()
    IMAGES = auto()
    ASK = auto()
    NOTHING = auto()


def is_welcome(mime: QMimeData) -> bool:
    """Whether there is something in it that the window can take."""
    return mime.hasImage() or any(url.isLocalFile() for url in mime.urls())


def paths_from(mime: QMimeData) -> list[Path]:
    """The files and folders dropped or pasted; a picture without a file is written to one.

    Raises:
        OSError: that file could not be written.
    """
    local = [Path(url.toLocalFile()) for url in mime.urls() if url.isLocalFile()]
    if local or not mime.hasImage():
        return local
    return [_keep(QImage(mime.imageData()))]


def _keep(picture: QImage) -> Path:
    """Write a picture that has no file to one, so that it goes the way of all images."""
    folder = places.cache_dir() / "pasted"
    folder.mkdir(parents=True, exist_ok=True)
    target = _free_name(folder)
    if not picture.save(str(target)):
        target.unlink(missing_ok=True)
        raise OSError(f"{target} could not be written")
    return target


def _free_name(folder: Path) -> Path:
    """An empty file "Pasted picture 7.png" that nobody else has taken."""
    for number in count(1):
        target = folder / f"Pasted picture {number}.png"
        with suppress(FileExistsError):
            target.touch(exist_ok=False)
            break
    return target


def meaning(paths: list[Path], *, has_model: bool) -> Meaning:
    """What is meant by dropping these paths."""
    if not paths:
        return Meaning.NOTHING
    if len(paths) == 1:
        only = paths[0]
        if only.suffix.lower() in {".keras", ".h5"}:
            return Meaning.MODEL
        if only.suffix.lower() == ".toml":
            return Meaning.EXPERIMENT
        if only.is_dir() and not has_model:
            return Meaning.DATASET
        if only.is_dir() and _holds_folders(only):
            return Meaning.ASK
    return Meaning.IMAGES


def _holds_folders(folder: Path) -> bool:
    from cnn_studio.core.data.walk import is_hidden  # with Pillow, for which the first paint need not wait

    try:
        return any(entry.is_dir() and not is_hidden(entry.name) for entry in folder.iterdir())
    except OSError:
        return False


def what_dropping_does(mime: QMimeData, *, has_model: bool) -> str:
    """The sentence shown over the window during a drag."""
    local = [Path(url.toLocalFile()) for url in mime.urls() if url.isLocalFile()]
    match meaning(local, has_model=has_model):
        case Meaning.DATASET:
            return "Drop to open as data set"
        case Meaning.MODEL:
            return "Drop to open this model"
        case Meaning.EXPERIMENT:
            return "Drop to take these settings"
        case Meaning.ASK:
            return "Drop to open as data set or to classify"
    return "Drop to classify"
