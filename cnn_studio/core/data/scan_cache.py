"""What a scan found out about each file, kept so that opening the same folder again is instant.

One file per folder: lines of JSON, the first of which says how many more there are, and after them the fingerprints of
the images, one after the other. The files' entries are shared out over many lines because ``json`` keeps every other
thread waiting while it works on one: a third of a second for 100,000 files at once, in which the window stood still.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cnn_studio.core.atomic_file import replacing
from cnn_studio.core.errors import StorageError
from cnn_studio.core.image.causes import cause_from_fields
from cnn_studio.core.image.decoder import ImageError, ImageFacts, decoder_id
from cnn_studio.core.image.fingerprints import FINGERPRINT_BYTES, FINGERPRINT_VERSION
from cnn_studio.core.paths import cache_dir

_FOLDERS_KEPT = 64
_BYTES_KEPT = 512 * 1024**2  # 100,000 images take 130 MB
_ENTRY_OF_IMAGE = 8  # fields; that of a file left out has five
_ENTRIES_IN_A_LINE = 1000
_log = logging.getLogger(__name__)


class ScanCache:
    """The results of one root folder's last scans, by relative path, size, time of change and decoder.

    A damaged file of results is as good as none; one that cannot be written only costs time later.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        name = hashlib.blake2b(os.fsencode(root), digest_size=12).hexdigest()
        self._file = cache_dir() / "scan" / f"{name}.scan"
        self._known, self._groups, self._known_fingerprints = _read(self._file)
        self._fresh: dict[str, list[Any]] = {}
        # An entry ends with the number of its fingerprint, counted through the known ones and then through these. An
        # object of Python for each would take twice the memory.
        self._new_fingerprints = bytearray()
        self._learnt = False

    def recall(self, path: str, size: int, modified_ns: int) -> ImageFacts | ImageError | None:
        """What an earlier scan found about that very version of the file, or None.

        The facts' own fingerprint is empty; ``fingerprints`` gives those of many files at once.
        """
        entry = self._known.get(path)
        match entry:
            case [
                int(s), int(m), int(height), int(width), bool(grey), str(name), str(content), int(row)
            ] if (s, m) == (size, modified_ns) and 0 <= row < len(self._known_fingerprints):  # fmt: skip
                found: ImageFacts | ImageError = ImageFacts(height, width, grey, name, content)
            case [int(s), int(m), *fields] if (s, m) == (size, modified_ns) and (cause := cause_from_fields(fields)):
                found = ImageError(cause, self._root / path)
            case _:
                return None
        self._fresh[path] = entry
        return found

    def remember(self, path: str, size: int, modified_ns: int, found: ImageFacts | ImageError) -> None:
        """Keep what was found, unless it may change while the file does not (a missing permission)."""
        if isinstance(found, ImageFacts):
            row = len(self._known_fingerprints) + len(self._new_fingerprints) // FINGERPRINT_BYTES
            self._new_fingerprints += found.fingerprint
            facts = [found.height, found.width, found.grey, found.format, found.content]
            self._fresh[path] = [size, modified_ns, *facts, row]
        elif found.cause.lasting:
            self._fresh[path] = [size, modified_ns, *found.cause.as_fields()]
        else:
            return
        self._learnt = True

    def fingerprints(self, paths: Sequence[str]) -> NDArray[np.uint8]:
        """Fingerprints (n, FINGERPRINT_BYTES) of images that were recalled or remembered."""
        numbers = np.fromiter((self._fresh[path][-1] for path in paths), np.int64, len(paths))
        known = len(self._known_fingerprints)
        rows = np.empty((len(paths), FINGERPRINT_BYTES), np.uint8)
        rows[numbers < known] = self._known_fingerprints[numbers[numbers < known]]
        rows[numbers >= known] = _as_rows(self._new_fingerprints)[numbers[numbers >= known] - known]
        return rows

    def recall_groups(self, key: str) -> list[int] | None:
        """The numbers kept under that key, or None."""
        match self._groups:
            case {"key": found, "numbers": [*numbers]} if found == key and all(type(n) is int for n in numbers):
                return numbers
        return None

    def remember_groups(self, key: str, numbers: list[int]) -> None:
        """Keep numbers, such as of the groups of pictures that look alike, under a key; only the last are kept."""
        self._groups = {"key": key, "numbers": numbers}
        self._learnt = True

    def save(self, *, complete: bool) -> None:
        """Write everything to disk; with ``complete``, forget files that this scan did not meet."""
        if complete and not self._learnt and len(self._fresh) == len(self._known):
            return
        if not complete:
            self._keep_the_others()
        images = [path for path, entry in self._fresh.items() if len(entry) == _ENTRY_OF_IMAGE]
        fingerprints = self.fingerprints(images)
        files = self._fresh | {path: [*self._fresh[path][:-1], row] for row, path in enumerate(images)}
        head = {
            "decoder": decoder_id(),
            "fingerprint": FINGERPRINT_VERSION,
            "groups": self._groups,
            "lines": -(-len(files) // _ENTRIES_IN_A_LINE),
        }
        try:
            with replacing(self._file) as part, part.open("wb") as file:
                file.write(_line(head))
                entries = iter(files.items())
                while some := dict(islice(entries, _ENTRIES_IN_A_LINE)):
                    file.write(_line(some))
                file.write(fingerprints.data)
            _forget_old(self._file.parent)
        except (StorageError, OSError) as error:
            _log.warning("The results of the scan could not be kept: %s", error)

    def _keep_the_others(self) -> None:
        """Take over what is known of files that this scan has not come to."""
        for path, entry in self._known.items():
            if path in self._fresh or not isinstance(entry, list) or len(entry) < 2:
                continue
            self.recall(path, *entry[:2])


def _as_rows(content: bytes | bytearray) -> NDArray[np.uint8]:
    whole = len(content) - len(content) % FINGERPRINT_BYTES
    return np.frombuffer(content, np.uint8, count=whole).reshape(-1, FINGERPRINT_BYTES)


def _read(file: Path) -> tuple[dict[str, Any], Any, NDArray[np.uint8]]:
    """Entries by path, groups, and the rows of fingerprints that the entries name."""
    try:
        with file.open("rb") as stream:
            head = json.loads(stream.readline())
            if (head["decoder"], head["fingerprint"]) != (decoder_id(), FINGERPRINT_VERSION):
                return {}, None, _as_rows(b"")
            files: dict[str, Any] = {}
            for _ in range(head["lines"]):
                files.update(json.loads(stream.readline()))
            return files, head["groups"], _as_rows(stream.read())
    except (OSError, ValueError, TypeError, KeyError, RecursionError):
        return {}, None, _as_rows(b"")


def _line(content: dict[str, Any]) -> bytes:
    return json.dumps(content, separators=(",", ":")).encode() + b"\n"


def _forget_old(folder: Path) -> None:
    newest_first = sorted(folder.glob("*.scan"), key=lambda file: file.stat().st_mtime_ns, reverse=True)
    size = 0
    for place, file in enumerate(newest_first):
        size += file.stat().st_size
        if place and (place >= _FOLDERS_KEPT or size > _BYTES_KEPT):  # the last one always stays
            file.unlink(missing_ok=True)
