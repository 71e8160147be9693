"""Prepared images on disk: each file decoded once, at the model's size, for every epoch and every later run.

A store is a folder per data set, image size, fit and decoder. ``images.u8`` holds raw uint8 rows, one picture each;
``rows.jsonl`` says which file each row is of. Pixels are on disk before the line that names them, so a preparation
that was interrupted at any point goes on where it ended.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cnn_studio.core.atomic_file import storage_error
from cnn_studio.core.data.dataset import Dataset
from cnn_studio.core.data.image_file import ImageFile
from cnn_studio.core.errors import DatasetError, StorageError
from cnn_studio.core.experiment.settings import Fit
from cnn_studio.core.image.causes import Cause
from cnn_studio.core.image.decoder import ImageError, decoder_id, read_image
from cnn_studio.core.image.issues import Issue
from cnn_studio.core.job.events import Stage, StageStarted
from cnn_studio.core.job.jobs import CancelToken, JobContext
from cnn_studio.core.job.threads import ProgressMeter, map_in_threads
from cnn_studio.core.paths import cache_dir
from cnn_studio.core.store.folders import (
    RESERVE_BYTES,
    folder_size,
    folders_in,
    free_bytes,
    locked,
    make_room,
    remove_folder,
    size_text,
)
from cnn_studio.core.store.rows import IMAGES_NAME, Row, StoreRows

BUDGET_BYTES = 20 * 1024**3
"""What all stores together may take; the least recently used go first. The one in use is never removed."""

LOCK_SECONDS = 60.0
"""How long to wait for another process that is preparing the same images."""

_BYTES_BETWEEN_FLUSHES = 32 * 1024**2
_BYTES_PER_BATCH = 4 * 1024**2


@dataclass(frozen=True, slots=True)
class PreparedImages:
    """A data set's images at one size, on disk.

    Attributes:
        path: the file of raw pixels.
        pixels: RGB, uint8 0–255, shape (total_rows, height, width, 3); some rows may be of files that are not in the
            data set any more. They come from disk as they are used; writing to the array changes memory only (mode
            "c"). Opened while nobody else may clear the cache, they stay whatever becomes of the file.
        rows: int64, shape (n_files,), aligned with ``Dataset.files``: the row of each image in ``pixels``, -1 where
            the file could not be read any more.
        issues: why, for each of those.
    """

    path: Path
    pixels: NDArray[np.uint8]
    rows: NDArray[np.int64]
    issues: tuple[Issue, ...]


def prepare_images(
    dataset: Dataset,
    height: int,
    width: int,
    context: JobContext,
    cache: Path | None = None,
    *,
    fit: Fit = Fit.SQUASH,
) -> PreparedImages:
    """Bring every image of a data set to one size, on disk; what is there already is not decoded again.

    Files that were added or changed since (path, size and time of change tell) only cost themselves. What was done
    before a cancel, a crash or a full disk stays done.

    Args:
        dataset: the scanned folder.
        height: rows of each prepared image, in pixels.
        width: columns, in pixels.
        context: ``report`` is told a ``StageStarted`` and ``Progress`` about ten times a second. ``cancel`` is looked
            at before every file.
        cache: where stores are kept; the user's cache folder when None.
        fit: how pictures of other proportions are made to fit.

    Raises:
        DatasetError: the folder is gone, or not one of the images can be read any more.
        StorageError: the disk has too little room or is full, the cache cannot be written to, or another process is
            preparing the same images for long.
        JobCancelled: the user discarded the job.
    """

    def decode(file: ImageFile) -> NDArray[np.uint8] | ImageError:
        try:
            return read_image(dataset.path_of(file), height, width, fit)
        except ImageError as error:
            if not error.cause.lasting and not _is_there(dataset.root):
                raise DatasetError(
                    f"The folder {dataset.root} is gone, while its images were being prepared.",
                    hint="Was it moved, or its disk taken out? What was prepared until then need not be done again.",
                    path=dataset.root,
                ) from None
            return error.alone()

    stores = _stores_folder(cache)
    folder = stores / _store_name(dataset.root, height, width, fit)
    context.report(StageStarted(Stage.PREPARE, len(dataset.files)))
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with locked(folder, context, LOCK_SECONDS), StoreRows(folder, height * width * 3) as store:
            todo = [file for file in dataset.files if _row_of(store, file) is None]
            _make_room(stores, folder, len(todo) * store.row_bytes)
            meter = ProgressMeter(
                Stage.PREPARE, len(dataset.files), context.report, already=len(dataset.files) - len(todo)
            )
            passing = _decode_into(store, todo, decode, meter, context.cancel)
            os.utime(folder)  # used now: what _make_room goes by
            prepared = _result(store, dataset, height, width, passing)
    except OSError as error:
        raise storage_error(folder / IMAGES_NAME, error) from error
    if (prepared.rows < 0).all():
        first = f" {prepared.issues[0].path}: {prepared.issues[0].detail}" if prepared.issues else ""
        raise DatasetError(
            f"None of the images of {dataset.name} can be read any more.{first}",
            hint="Was the folder moved, or its disk taken out? Open it again.",
            path=dataset.root,
        )
    return prepared


def clear_store(cache: Path | None = None) -> None:
    """Delete all prepared images and cached features except those that a process is making now.

    Args:
        cache: where stores are kept; the user's cache folder when None.
    """
    for folder in _all_folders(cache):
        remove_folder(folder)


def store_size(cache: Path | None = None) -> int:
    """How much all prepared images and cached features take on disk, in bytes.

    Args:
        cache: where stores are kept; the user's cache folder when None.
    """
    return sum(map(folder_size, _all_folders(cache)))


def features_folder(cache: Path | None = None) -> Path:
    """Where what a network's fixed part makes of prepared images is kept, see ``ml.features``.

    Args:
        cache: the user's cache folder when None.
    """
    return (cache or cache_dir()) / "features"


def _all_folders(cache: Path | None) -> list[Path]:
    return [*folders_in(_stores_folder(cache)), *folders_in(features_folder(cache))]


def _stores_folder(cache: Path | None) -> Path:
    return (cache or cache_dir()) / "prepared"


def _store_name(root: Path, height: int, width: int, fit: Fit) -> str:
    how = f"{height}x{width}" + ("" if fit is Fit.SQUASH else f" {fit.value}")
    key = b"\0".join((os.fsencode(root.absolute()), how.encode(), decoder_id().encode()))
    return hashlib.blake2b(key, digest_size=12).hexdigest()


def _is_there(folder: Path) -> bool:
    try:
        return folder.is_dir()
    except OSError:  # of a disk that was taken out
        return False


def _row_of(store: StoreRows, file: ImageFile) -> Row | None:
    return store.find(file.path, file.bytes, file.modified_ns)


def _decode_into(
    store: StoreRows,
    todo: Sequence[ImageFile],
    decode: Callable[[ImageFile], NDArray[np.uint8] | ImageError],
    meter: ProgressMeter,
    cancel: CancelToken,
) -> dict[str, Cause]:
    """Decode files and append them; returns failures that may pass, which are not written down."""
    passing: dict[str, Cause] = {}
    batch = max(1, min(16, _BYTES_PER_BATCH // store.row_bytes))
    try:
        for file, outcome in zip(todo, map_in_threads(decode, todo, cancel, batch=batch), strict=True):
            if isinstance(outcome, ImageError):
                if outcome.cause.lasting:
                    store.add_failure(file.path, file.bytes, file.modified_ns, outcome.cause)
                else:
                    passing[file.path] = outcome.cause
            else:
                store.add(file.path, file.bytes, file.modified_ns, outcome)
            if store.waiting_bytes >= _BYTES_BETWEEN_FLUSHES:
                store.flush()
            meter.add()
    finally:
        store.flush()
    return passing


def _result(store: StoreRows, dataset: Dataset, height: int, width: int, passing: dict[str, Cause]) -> PreparedImages:
    rows = np.full(len(dataset.files), -1, dtype=np.int64)
    issues: list[Issue] = []
    for index, file in enumerate(dataset.files):
        row = _row_of(store, file)
        if cause := passing[file.path] if row is None else row.cause:
            issues.append(Issue(file.path, cause.kind, cause.sentence()))
        elif row is not None:
            rows[index] = row.number
    shape = (store.total_rows, height, width, 3)
    pixels = np.memmap(store.images, np.uint8, "c", shape=shape) if store.total_rows else np.empty(shape, np.uint8)
    return PreparedImages(store.images, pixels, rows, tuple(issues))


def _make_room(stores: Path, used: Path, needed: int) -> None:
    """Make room for ``needed`` bytes.

    Raises:
        StorageError: the disk has too little even when all other stores are gone.
    """
    if make_room(stores, [used], needed, BUDGET_BYTES):
        raise StorageError(
            f"Preparing these images needs {size_text(needed + RESERVE_BYTES)} in {stores}; "
            f"{size_text(free_bytes(stores))} is free.",
            hint="Free some space on that disk, choose a smaller image size, or set CNN_STUDIO_HOME to another disk.",
            path=stores,
        )
