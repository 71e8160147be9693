"""Who is training a run: the process that holds the lock in its folder.

The system lets go of the lock when the process ends, however it does, so a run that nobody holds and that has no end
was interrupted.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from cnn_studio.core.atomic_file import clear_leftovers
from cnn_studio.core.errors import StorageError

LOCK_NAME = "training.lock"

_SECONDS_TO_WAIT = 1.0  # somebody may be asking who holds it just now, and has it for an instant
_held_here: set[Path] = set()
_log = logging.getLogger(__name__)


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """Hold a run's folder, which is made if need be; a folder that ends empty goes with the lock.

    Where the lock cannot be made the run goes on without: a file system that knows no locks is no reason not to train,
    and whatever else is wrong with the folder is told by who writes to it next.

    Raises:
        StorageError: another process, or another thread of this one, is training the run.
    """
    path = folder / LOCK_NAME
    lock = FileLock(path)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock.acquire(timeout=_SECONDS_TO_WAIT)
    except Timeout:
        raise StorageError(
            f"The run in {folder} is being trained by another cnn_studio.",
            hint="Wait until it has ended, or choose another folder.",
            path=folder,
        ) from None
    except OSError as error:
        _log.warning("%s could not be locked: %s", folder, error)
    _held_here.add(folder)
    clear_leftovers(folder)
    try:
        yield
    finally:
        _held_here.discard(folder)
        # Released first, another process might take the lock of the very file that goes. Windows removes no open file,
        # and none that another has opened meanwhile either.
        if os.name == "nt":
            lock.release()
        with suppress(OSError):
            path.unlink()
        lock.release()
        with suppress(OSError):
            folder.rmdir()


def is_held_here(folder: Path) -> bool:
    """Whether this process is training the run in ``folder``."""
    return folder in _held_here


def is_held(folder: Path) -> bool:
    """Whether a process, this one or another, is training the run in ``folder``."""
    path = folder / LOCK_NAME
    if not path.exists():  # asking would make it
        return False
    try:
        with FileLock(path, timeout=0):
            return False
    except Timeout:
        return True
    except OSError:
        return False
