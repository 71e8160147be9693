"""Folders under the cache that hold what can be computed again: locked while written, bounded, oldest removed first."""

from __future__ import annotations

import shutil
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from cnn_studio.core.errors import StorageError
from cnn_studio.core.job.events import Message
from cnn_studio.core.job.jobs import JobContext

RESERVE_BYTES = 64 * 1024**2
"""What is left free on the disk, for everything else that writes there."""

_LOCK_NAME = "lock"


@contextmanager
def locked(folder: Path, context: JobContext, seconds: float) -> Iterator[None]:
    """Hold the folder against other processes.

    Args:
        folder: exists.
        context: ``report`` is told once when another process has to be waited for. ``cancel`` is looked at while
            waiting.
        seconds: how long to wait.

    Raises:
        StorageError: another process held it all that time.
        JobCancelled: the user discarded the job.
    """
    lock = FileLock(folder / _LOCK_NAME)
    give_up = time.monotonic() + seconds
    told = False
    while True:
        try:
            lock.acquire(timeout=0.2)
            break
        except Timeout:
            context.cancel.raise_if_cancelled()
            if time.monotonic() >= give_up:
                raise StorageError(
                    "Another cnn_studio is preparing the same images.",
                    hint="Wait until it has finished, or close it, and try again.",
                    path=folder,
                ) from None
            if not told:
                context.report(Message("Waiting for another cnn_studio that is preparing the same images."))
                told = True
    try:
        yield
    finally:
        lock.release()


def make_room(parent: Path, used: Collection[Path], needed: int, budget: int) -> int:
    """Remove folders that were not used for longest until what comes fits the budget and the disk.

    Args:
        parent: holds the folders.
        used: those that stay whatever happens.
        needed: bytes to come; with 0 only the budget counts.
        budget: bytes that all folders together may take.

    Returns:
        Bytes that are missing on the disk even so; 0 when there is room.
    """
    others = sorted((folder for folder in folders_in(parent) if folder not in used), key=_last_used)
    sizes = {folder: folder_size(folder) for folder in others}
    total = sum(sizes.values()) + sum(map(folder_size, used)) + needed
    for folder in others:
        if total <= budget and (not needed or free_bytes(parent) >= needed + RESERVE_BYTES):
            break
        if remove_folder(folder):
            total -= sizes[folder]
    return max(0, needed + RESERVE_BYTES - free_bytes(parent)) if needed else 0


def free_bytes(folder: Path) -> int:
    """Bytes free on the disk of ``folder``, which exists."""
    return shutil.disk_usage(folder).free


def size_text(size: int) -> str:
    """``size`` bytes as people say it: “3.2 GB”, “0.1 MB”."""
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{max(size / 1e6, 0.1):.1f} MB"


def folders_in(parent: Path) -> list[Path]:
    """The folders in ``parent``, none when it is not there."""
    try:
        return [folder for folder in parent.iterdir() if folder.is_dir()]
    except OSError:
        return []


def folder_size(folder: Path) -> int:
    """Bytes of the files in ``folder``."""
    size = 0
    for file in folder.glob("*"):
        with suppress(OSError):
            size += file.stat().st_size
    return size


def remove_folder(folder: Path) -> bool:
    """Delete a folder unless a process has locked it; whether it is gone."""
    try:
        with FileLock(folder / _LOCK_NAME, timeout=0):
            # The rows last-named are worthless without their names: those go first, in case the rest cannot go.
            for file in sorted(folder.glob("*"), reverse=True):
                if file.name != _LOCK_NAME:
                    file.unlink()
    except (Timeout, OSError):
        return False
    shutil.rmtree(folder, ignore_errors=True)
    return True


def _last_used(folder: Path) -> int:
    try:
        return folder.stat().st_mtime_ns
    except OSError:
        return 0
