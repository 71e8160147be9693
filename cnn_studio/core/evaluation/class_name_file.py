"""Names of classes in a text file, as they lie beside networks made elsewhere."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from cnn_studio.core.errors import ModelFileError
from cnn_studio.core.job.events import Event
from cnn_studio.core.text import printable

_USUAL_NAMES = ("labels.txt", "classes.txt", "class_names.txt")
_LARGEST = 2**20  # bytes: ImageNet's 21,841 names take half of it


@dataclass(frozen=True, slots=True)
class ClassNamesFound(Event):
    """A model knows no class names, and a list of as many lies beside it: ``model`` and ``path`` are files."""

    model: str
    path: str
    class_names: tuple[str, ...]


def read_class_names(path: Path) -> tuple[str, ...]:
    """The names in a text file, one a line. Numbers before them, as Teachable Machine writes ("0 Apple"), are left out.

    Raises:
        ModelFileError: it cannot be read, or is no such list.
    """
    try:
        with path.open("rb") as stream:
            content = stream.read(_LARGEST + 1)
        text = content.decode("utf-8-sig")
    except OSError as error:
        raise ModelFileError(f"{path} could not be read: {error.strerror or error}.", path=path) from error
    except UnicodeDecodeError:
        raise ModelFileError(f"{path.name} is no text, so no class names can be read from it.", path=path) from None
    lines = [printable(line.strip()) for line in text.splitlines() if line.strip()]
    if len(content) > _LARGEST or not lines:
        raise ModelFileError(f"{path.name} is no list of class names.", hint="Write one name a line.", path=path)
    numbered = [re.fullmatch(rf"{number}[\s:,]+(\S.*)", line) for number, line in enumerate(lines)]
    return tuple(found[1] for found in numbered if found) if all(numbered) else tuple(lines)


def class_names_beside(model: Path, count: int) -> tuple[Path, tuple[str, ...]] | None:
    """A list of as many names as a model has classes that lies beside its file, with its path; None without one."""
    for name in (f"{model.stem}.txt", *_USUAL_NAMES):
        path = model.with_name(name)
        try:
            names = read_class_names(path)
        except ModelFileError:
            continue
        if len(set(names)) == len(names) == count:
            return path, names
    return None
