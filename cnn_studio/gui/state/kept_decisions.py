"""What was decided about a folder's pictures, kept from one start of the program to the next.

The experiment holds the decisions; this is only so that an afternoon of looking through pictures is not lost with the
window. It lies among the program's own data, never in the user's folder.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
from pathlib import Path

from cnn_studio.core.atomic_file import write_text
from cnn_studio.core.errors import StorageError
from cnn_studio.core.experiment.settings import Decisions
from cnn_studio.core.paths import data_dir
from cnn_studio.core.text import parsed_json

log = logging.getLogger(__name__)

_FOLDERS_KEPT = 500


def keep_decisions(root: Path, decisions: Decisions) -> None:
    """Write down what was decided about the folder ``root``; what cannot be written is only logged."""
    file = _file_of(root)
    try:
        if decisions == Decisions():
            file.unlink(missing_ok=True)
            return
        # Escaped, so that names that are no valid text can be written too.
        write_text(file, json.dumps({"folder": str(root), "decisions": decisions.model_dump(mode="json")}))
        newest_first = sorted(file.parent.glob("*.json"), key=lambda kept: kept.stat().st_mtime_ns, reverse=True)
        for old in newest_first[_FOLDERS_KEPT:]:
            old.unlink(missing_ok=True)
    except (StorageError, OSError) as error:
        log.warning("The decisions about %s could not be kept: %s", root, error)


def kept_decisions(root: Path) -> Decisions:
    """What was decided about the folder ``root`` before; nothing where nothing is kept or it is damaged."""
    try:
        return Decisions.model_validate(parsed_json(_file_of(root).read_bytes())["decisions"])
    except (OSError, ValueError, TypeError, KeyError):
        return Decisions()


def _file_of(root: Path) -> Path:
    return data_dir() / "decisions" / f"{hashlib.blake2b(os.fsencode(root), digest_size=12).hexdigest()}.json"
