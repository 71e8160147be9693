"""Writing a file so that it is either whole or not there."""

from __future__ import annotations

import csv
import errno
import io
import os
import re
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import chain
from pathlib import Path

from cnn_studio.core.errors import StorageError


@contextmanager
def replacing(target: Path) -> Iterator[Path]:
    """Give a path beside ``target`` to write to; when the block ends well it takes ``target``'s place at once.

    When the block raises, what was written is removed and ``target`` is as it was.

    Raises:
        StorageError: the disk is full, or the folder cannot be written to.
    """
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        # mkstemp asks for the safe mode 0600; the new file gets what an ordinary open() would have given.
        handle, name = tempfile.mkstemp(prefix=".", suffix=f".part{target.suffix}", dir=target.parent)
        os.close(handle)
    except OSError as error:
        raise storage_error(target, error) from error
    part = Path(name)
    try:
        yield part
        mask = os.umask(0)
        os.umask(mask)
        part.chmod(0o666 & ~mask)
        part.replace(target)
    except OSError as error:
        raise storage_error(target, error) from error
    finally:
        part.unlink(missing_ok=True)


_PART = re.compile(r"\.[a-z0-9_]{8}\.part(\.\w+)?|\.best\.part\.weights\.h5")
"""Files that are being written; the second is that of earlier versions."""


def clear_leftovers(folder: Path) -> None:
    """Remove what a process that was killed had begun to write into a folder in which nobody else writes now."""
    with suppress(OSError):
        for file in folder.iterdir():
            if _PART.fullmatch(file.name):
                file.unlink(missing_ok=True)


def refuse_existing(*targets: Path) -> None:
    """Make sure that nothing is replaced.

    Raises:
        StorageError: one of the files exists.
    """
    for target in targets:
        if target.exists():
            raise StorageError(
                f"{target} exists already.", hint="Choose another name, or allow it to be replaced.", path=target
            )


def write_text(target: Path, text: str) -> None:
    """Write ``text`` as UTF-8, whole or not at all.

    Raises:
        StorageError: as ``replacing``.
    """
    # A file name that is not UTF-8 on disk comes as surrogates; it goes out as the bytes it was.
    write_bytes(target, text.encode("utf-8", "surrogateescape"))


def write_bytes(target: Path, content: bytes | memoryview) -> None:
    """Write ``content``, whole or not at all.

    Raises:
        StorageError: as ``replacing``.
    """
    with replacing(target) as part:
        part.write_bytes(content)


def csv_text(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Rows as the text of a CSV file with a header line; ``csv_rows`` reads it.

    A name that a spreadsheet would take for a formula gets an apostrophe before it; numbers stay as they are.
    """
    lines = []
    line = io.StringIO(newline="")
    writer = csv.writer(line, lineterminator="\r\n")  # what it ends lines with it quotes in names, on any Python
    for row in chain([header], rows):
        writer.writerow([_guarded(cell) for cell in row])
        lines.append(line.getvalue()[:-2] + "\n")
        line.seek(0)
        line.truncate()
    return "".join(lines)


def csv_rows(file: Iterable[str]) -> Iterator[dict[str, str]]:
    """The rows of a CSV file with a header line, names as they were given to ``csv_text``.

    Args:
        file: open as text with ``newline=""``.

    Raises:
        csv.Error: it is no such file.
    """
    for row in csv.DictReader(file):
        # None stands for what a line has too many of, and for what it lacks.
        yield {name: _UNGUARDED.sub("", cell or "") for name, cell in row.items() if name is not None}


# What begins like a formula, and what looks as if it had been guarded.
_FORMULA = re.compile(r"'*[=+\-@\t\r]")
_UNGUARDED = re.compile(r"^'(?='*[=+\-@\t\r])")
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?|[+-]?(inf|nan)")


def _guarded(cell: object) -> object:
    if isinstance(cell, str) and _FORMULA.match(cell) and not _NUMBER.fullmatch(cell):
        return f"'{cell}"
    return cell


def storage_error(target: Path, error: OSError) -> StorageError:
    """An ``OSError`` met while writing ``target``, in a person's words."""
    if error.errno in {errno.ENOSPC, errno.EDQUOT}:
        return StorageError(
            f"The disk is full: {target.name} could not be written to {target.parent}.",
            hint="Free some space there or choose another folder; nothing that was there before has changed.",
            path=target,
        )
    if error.errno in {errno.EACCES, errno.EPERM, errno.EROFS}:
        return StorageError(
            f"You may not write to {target.parent}, so {target.name} was not saved.",
            hint="Choose a folder that is yours.",
            path=target,
        )
    return StorageError(f"{target} could not be written: {error.strerror or error}.", path=target)
