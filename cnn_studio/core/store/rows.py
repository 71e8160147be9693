"""The two files of a store: raw pixels, and a line for each file that says which row of pixels is its own.

What a network makes of pixels, an array of any number type, is kept in the same way.
"""

from __future__ import annotations

import json
import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from numpy.typing import NDArray

from cnn_studio.core.image.causes import Cause, cause_from_fields

IMAGES_NAME = "images.u8"
ROWS_NAME = "rows.jsonl"
_STALE_ROWS_ALLOWED = 1000


@dataclass(frozen=True, slots=True)
class Row:
    """Where a file's pixels are, or why it has none.

    Attributes:
        size: of the file when it was decoded, in bytes.
        modified_ns: its time of last change, nanoseconds since 1970.
        number: its row of pixels; -1 for none.
        cause: why it has none.
    """

    size: int
    modified_ns: int
    number: int
    cause: Cause | None = None


class StoreRows:
    """A store's files, open for appending; the caller holds the lock.

    Rows are only ever appended, so a process that has the pixels open keeps what it sees. A line is written after its
    pixels have reached the disk; a torn last line, or one whose pixels are missing, is as if it had never been.
    """

    def __init__(self, folder: Path, row_bytes: int, name: str = IMAGES_NAME) -> None:
        """Read what is there; ``row_bytes`` is the size of one picture, ``name`` the pixels' file."""
        self.images = folder / name
        self.row_bytes = row_bytes
        self._lines = folder / ROWS_NAME
        self._rows: dict[str, Row] = {}
        self._waiting_pixels: list[NDArray[Any]] = []
        self._waiting_lines: list[tuple[str, Row]] = []
        self.total_rows = 0
        self._read()

    def __enter__(self) -> StoreRows:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._waiting_pixels.clear()
        self._waiting_lines.clear()

    @property
    def waiting_bytes(self) -> int:
        """Pixels that are in memory only, in bytes."""
        return len(self._waiting_pixels) * self.row_bytes

    def find(self, path: str, size: int, modified_ns: int) -> Row | None:
        """The row of that very version of a file, or None."""
        row = self._rows.get(path)
        return row if row and (row.size, row.modified_ns) == (size, modified_ns) else None

    def add(self, path: str, size: int, modified_ns: int, pixels: NDArray[Any]) -> None:
        """Append a picture; it reaches the disk with the next ``flush``."""
        number = self.total_rows + len(self._waiting_pixels)
        self._waiting_pixels.append(pixels)
        self._waiting_lines.append((path, Row(size, modified_ns, number)))

    def add_failure(self, path: str, size: int, modified_ns: int, cause: Cause) -> None:
        """Note that a file has no pixels and will not until it changes."""
        self._waiting_lines.append((path, Row(size, modified_ns, -1, cause)))

    def flush(self) -> None:
        """Write what is waiting: the pixels, then the lines that name them.

        Raises:
            OSError: the disk is full or gone; nothing that waited counts as written, and what was there before does.
        """
        pixels, lines = self._waiting_pixels, self._waiting_lines
        self._waiting_pixels, self._waiting_lines = [], []
        if pixels:
            self._append_pixels(pixels)
        if lines:
            with self._lines.open("ab") as file:
                file.write(b"".join(_line(path, row) for path, row in lines))
        self.total_rows += len(pixels)
        self._rows.update(lines)

    def _append_pixels(self, pixels: list[NDArray[Any]]) -> None:
        end = self.total_rows * self.row_bytes
        with self.images.open("r+b" if self.images.exists() else "xb") as file:
            # Whatever follows the last named row is left over from an interruption.
            file.seek(end)
            try:
                for picture in pixels:
                    file.write(picture.data)
                file.flush()
                os.fsync(file.fileno())
            except OSError:
                with suppress(OSError):
                    file.truncate(end)
                raise

    def _read(self) -> None:
        try:
            text = self._lines.read_bytes()
        except FileNotFoundError:
            self._start_anew()
            return
        written = self.images.stat().st_size // self.row_bytes if self.images.exists() else 0
        for line in text.split(b"\n"):
            if entry := _entry(line, written):
                path, row = entry
                self._rows[path] = row
                self.total_rows = max(self.total_rows, row.number + 1)
        live = sum(row.number >= 0 for row in self._rows.values())
        if self.total_rows > 2 * live + _STALE_ROWS_ALLOWED:
            self._start_anew()  # most of it is of files that changed since
        elif not text.endswith(b"\n"):
            with self._lines.open("ab") as file:
                file.write(b"\n")  # so that the next line does not continue a torn one

    def _start_anew(self) -> None:
        self._rows.clear()
        self.total_rows = 0
        # The names first: pixels without names are harmless, names without pixels are not.
        self._lines.unlink(missing_ok=True)
        self.images.unlink(missing_ok=True)


def _line(path: str, row: Row) -> bytes:
    fields: list[Any] = [path, row.size, row.modified_ns, row.number]
    if row.cause is not None:
        fields += row.cause.as_fields()
    return json.dumps(fields, separators=(",", ":")).encode() + b"\n"


def _entry(line: bytes, written: int) -> tuple[str, Row] | None:
    """A line's content; None when it is torn, foreign, or names pixels beyond the ``written`` rows."""
    try:
        fields = json.loads(line)
    except (ValueError, RecursionError):
        return None
    match fields:
        case [str(path), int(size), int(modified_ns), int(number)] if 0 <= number < written:
            return path, Row(size, modified_ns, number)
        case [str(path), int(size), int(modified_ns), -1, *fields] if cause := cause_from_fields(fields):
            return path, Row(size, modified_ns, -1, cause)
        case _:
            return None
