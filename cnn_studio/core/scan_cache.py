"""What a scan found out about each file, kept so that opening the same folder again is instant."""

from __future__ import annotations

import hashlib
import json
import logging
import os
from pathlib import Path
from typing import Any

from cnn_studio.core.atomic_file import write_text
from cnn_studio.core.errors import StorageError
from cnn_studio.core.images import ImageError, ImageFacts, decoder_id
from cnn_studio.core.issues import IssueKind
from cnn_studio.core.paths import cache_dir

_FOLDERS_KEPT = 64
_log = logging.getLogger(__name__)


class ScanCache:
    """The results of one root folder's last scans, by relative path, size, time of change and decoder.

    A damaged file of results is as good as none; one that cannot be written only costs time later.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        name = hashlib.blake2b(os.fsencode(root), digest_size=12).hexdigest()
        self._file = cache_dir() / "scan" / f"{name}.json"
        self._known = _read(self._file)
        self._fresh: dict[str, list[Any]] = {}
        self._learnt = False

    def recall(self, path: str, size: int, modified_ns: int) -> ImageFacts | ImageError | None:
        """What an earlier scan found about that very version of the file, or None."""
        entry = self._known.get(path)
        match entry:
            case [int(s), int(m), int(height), int(width), bool(grey), str(name)] if (s, m) == (size, modified_ns):
                found: ImageFacts | ImageError = ImageFacts(height, width, grey, name)
            case [int(s), int(m), str(kind), str(detail)] if (s, m) == (size, modified_ns) and kind in set(IssueKind):
                found = ImageError(detail, IssueKind(kind), self._root / path)
            case _:
                return None
        self._fresh[path] = entry
        return found

    def remember(self, path: str, size: int, modified_ns: int, found: ImageFacts | ImageError) -> None:
        """Keep what was found, unless it may change while the file does not (a missing permission)."""
        if isinstance(found, ImageFacts):
            self._fresh[path] = [size, modified_ns, found.height, found.width, found.grey, found.format]
        elif found.lasting:
            self._fresh[path] = [size, modified_ns, found.kind.value, found.message]
        else:
            return
        self._learnt = True

    def save(self, *, complete: bool) -> None:
        """Write everything to disk; with ``complete``, forget files that this scan did not meet."""
        if complete and not self._learnt and len(self._fresh) == len(self._known):
            return
        entries = self._fresh if complete else {**self._known, **self._fresh}
        try:
            write_text(self._file, json.dumps({"decoder": decoder_id(), "files": entries}, separators=(",", ":")))
            _forget_old(self._file.parent)
        except (StorageError, OSError) as error:
            _log.warning("The results of the scan could not be kept: %s", error)


def _read(file: Path) -> dict[str, Any]:
    try:
        content = json.loads(file.read_bytes())
        files = content["files"] if content["decoder"] == decoder_id() else {}
    except (OSError, ValueError, TypeError, KeyError, RecursionError):
        return {}
    return files if isinstance(files, dict) else {}


def _forget_old(folder: Path) -> None:
    newest_first = sorted(folder.glob("*.json"), key=lambda file: file.stat().st_mtime_ns, reverse=True)
    for file in newest_first[_FOLDERS_KEPT:]:
        file.unlink(missing_ok=True)
