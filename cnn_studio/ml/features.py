"""What the fixed part of a network makes of each image, computed once and kept on disk.

A store is a folder per source of rows, network and number type: ``features.f16`` or ``features.f32`` holds the rows,
``rows.jsonl`` says which file each is of, as in the store of prepared images and by the same code. So a run on the same
images starts at once, one with some more images computes only those, and what was done before a cancel, a crash or a
full disk stays done.
"""

from __future__ import annotations

import hashlib
import mmap
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from cnn_studio.core.atomic_file import storage_error
from cnn_studio.core.dataset import ImageFile
from cnn_studio.core.events import Message, Stage, StageStarted
from cnn_studio.core.jobs import CancelToken, Report
from cnn_studio.core.store import LOCK_SECONDS, features_folder
from cnn_studio.core.store_folders import RESERVE_BYTES, free_bytes, locked, make_room, remove_folder, size_text
from cnn_studio.core.store_rows import StoreRows
from cnn_studio.core.threads import ProgressMeter
from cnn_studio.ml import runtime
from cnn_studio.ml.fixed_part import fingerprint
from cnn_studio.ml.memory import available_memory
from cnn_studio.ml.pipeline import evaluation_batches

BUDGET_BYTES = 20 * 1024**3
"""What all cached features together may take on disk; the least recently used go first."""

SINGLE_PRECISION_BYTES = 256 * 1024**2
"""Up to this size features are kept as float32: rounding them to float16 would save nothing worth having."""

LARGEST_SHARE = 8
"""Features that take more than this many times the bytes of their images are kept only where memory holds them all.

Such are those of the first blocks: reading them from disk costs more than computing them anew.
"""

_SHARE_OF_MEMORY = 0.25  # of what is free, for features where the disk has no room, and for those that are large
_BYTES_BETWEEN_FLUSHES = 32 * 1024**2
_LARGEST_HALF = float(np.finfo(np.float16).max)


@dataclass(frozen=True, slots=True)
class RowSource:
    """An array with one row for each image of a data set: prepared images, or features.

    Attributes:
        values: uint8 images, or float16 or float32 features; shape (total, …).
        rows: int64 (n_files,), aligned with the data set's files: the row of each.
        key: names what the rows are; the same key, the same file, the same row.
        folder: where they are on disk; None for rows in memory.
    """

    values: NDArray[Any]
    rows: NDArray[np.int64]
    key: str
    folder: Path | None = None


def cache_features(
    network: keras.Model,
    source: RowSource,
    files: Sequence[ImageFile],
    report: Report,
    cancel: CancelToken,
    cache: Path | None = None,
) -> RowSource | None:
    """Run a network once over every row of a source; what is on disk already is not computed again.

    Args:
        network: the fixed part; takes a batch of ``source.values``, gives one tensor (batch, …).
        source: what it is run over.
        files: the data set's files, aligned with ``source.rows``.
        report: gets a ``StageStarted(FEATURES)``, ``Progress`` about ten times a second, and a ``Message`` when the
            features are not kept.
        cancel: looked at before every batch.
        cache: where features are kept; the user's cache folder when None.

    Returns:
        The features, as float32 where they are few and as float16 else; None when keeping them does not pay or there
        is no room for them, so that the network has to be run in every epoch.

    Raises:
        StorageError: the disk is full although it had room, the cache cannot be written to, or another process is at
            the same features for long. What is written is whole rows.
        JobCancelled: the user discarded the job.
    """
    shape = tuple(int(side) for side in network.outputs[0].shape[1:])
    values = prod(shape) * len(files)
    single = 4 * values <= SINGLE_PRECISION_BYTES
    if problem := _why_not_worth_it(2 * values, source, len(files)):
        report(Message(problem))
        return None
    report(StageStarted(Stage.FEATURES, len(files)))
    if not single:
        try:
            return _cached(network, source, files, shape, np.dtype(np.float16), report, cancel, cache)
        except _TooLargeForHalfError:
            report(Message("Some features are too large for 16 bits, so all are kept with 32."))
    return _cached(network, source, files, shape, np.dtype(np.float32), report, cancel, cache)


class _TooLargeForHalfError(Exception):
    """A feature is beyond float16's range."""


def _why_not_worth_it(size: int, source: RowSource, count: int) -> str:
    """Why features of ``size`` bytes are not kept, a sentence; "" when they are."""
    of_images = source.values[0].nbytes * count
    again = "The fixed part of the network runs in every epoch instead, which takes longer."
    if size > BUDGET_BYTES:
        return f"The features of these images would take {size_text(size)}, too much to keep. {again}"
    if size > LARGEST_SHARE * of_images and size > _memory_to_use():
        return f"The features of these images would take {size_text(size)}: reading them would not be faster. {again}"
    return ""


def _memory_to_use() -> float:
    return _SHARE_OF_MEMORY * (available_memory() or 0)


def _cached(
    network: keras.Model,
    source: RowSource,
    files: Sequence[ImageFile],
    shape: tuple[int, ...],
    dtype: np.dtype[Any],
    report: Report,
    cancel: CancelToken,
    cache: Path | None,
) -> RowSource | None:
    parent = features_folder(cache)
    key = _key(network, source, dtype)
    folder = parent / key
    name = f"features.f{8 * dtype.itemsize}"
    row_bytes = prod(shape) * dtype.itemsize
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with locked(folder, report, cancel, LOCK_SECONDS), StoreRows(folder, row_bytes, name) as store:
            todo = [i for i, file in enumerate(files) if store.find(file.path, file.bytes, file.modified_ns) is None]
            # What the features are made of may be features too: those stay.
            used = [folder, source.folder] if source.folder else [folder]
            room = not make_room(parent, used, len(todo) * row_bytes, BUDGET_BYTES)
            meter = ProgressMeter(Stage.FEATURES, len(files), report, already=len(files) - len(todo))
            if room:
                _compute_into(store, network, source, files, todo, dtype, meter, cancel)
            os.utime(folder)  # used now: what make_room goes by
            found = [store.find(file.path, file.bytes, file.modified_ns) for file in files]
            rows = np.array([row.number if row else -1 for row in found], np.int64)
            total = store.total_rows
    except OSError as error:
        raise storage_error(folder / name, error) from error
    except _TooLargeForHalfError:
        remove_folder(folder)
        raise
    if not room:
        remove_folder(folder)
        return _in_memory(network, source, shape, key, report, cancel, needed=len(todo) * row_bytes, parent=parent)
    values = np.memmap(folder / name, dtype=dtype, mode="c", shape=(total, *shape))
    return RowSource(values, rows, key, folder)


def _key(network: keras.Model, source: RowSource, dtype: np.dtype[Any]) -> str:
    """The folder's name: everything but the files that a row depends on."""
    parts = (source.key, fingerprint(network), dtype.name, keras.__version__, keras.backend.backend())
    return hashlib.blake2b("\0".join(parts).encode(), digest_size=12).hexdigest()


def _compute_into(
    store: StoreRows,
    network: keras.Model,
    source: RowSource,
    files: Sequence[ImageFile],
    todo: Sequence[int],
    dtype: np.dtype[Any],
    meter: ProgressMeter,
    cancel: CancelToken,
) -> None:
    done = 0
    try:
        for part in _outputs(network, source, source.rows[list(todo)], cancel):
            if dtype == np.float16 and not (np.abs(part) <= _LARGEST_HALF).all():
                raise _TooLargeForHalfError
            for row, i in zip(part.astype(dtype), todo[done : done + len(part)], strict=True):
                store.add(files[i].path, files[i].bytes, files[i].modified_ns, row)
            done += len(part)
            if store.waiting_bytes >= _BYTES_BETWEEN_FLUSHES:
                store.flush()
            meter.add(len(part))
    finally:
        store.flush()


def _in_memory(
    network: keras.Model,
    source: RowSource,
    shape: tuple[int, ...],
    key: str,
    report: Report,
    cancel: CancelToken,
    needed: int,
    parent: Path,
) -> RowSource | None:
    """The features where the disk has no room: in memory if that has, else None."""
    size = 4 * prod(shape) * len(source.rows)
    text = (
        f"Keeping the features of these images needs {size_text(needed + RESERVE_BYTES)} in {parent}; "
        f"{size_text(free_bytes(parent))} is free."
    )
    if size > _memory_to_use():
        report(Message(f"{text} The fixed part of the network runs in every epoch instead, which takes longer."))
        return None
    report(Message(f"{text} They are kept in memory for this run only."))
    # From the system and not from NumPy: it starts at a page, so batches are taken from it in place.
    values = np.frombuffer(mmap.mmap(-1, size), np.float32).reshape(len(source.rows), *shape)
    meter = ProgressMeter(Stage.FEATURES, len(source.rows), report)
    done = 0
    for part in _outputs(network, source, source.rows, cancel):
        values[done : done + len(part)] = part
        done += len(part)
        meter.add(len(part))
    return RowSource(values, np.arange(len(values), dtype=np.int64), key)


def _outputs(
    network: keras.Model, source: RowSource, rows: NDArray[np.int64], cancel: CancelToken
) -> Iterator[NDArray[np.float32]]:
    """The network's output for each of ``rows``, in order, in batches; float32 (batch, …)."""
    batch_size = 64 if runtime.computes_on_gpu() else 16
    batches = evaluation_batches(source.values, rows, np.zeros(len(rows), np.int32), batch_size)
    for images, _ in batches:
        cancel.raise_if_cancelled()
        count = int(images.shape[0])
        if count < batch_size:
            # The one batch that is not full is filled up: another shape would be traced anew.
            images = np.resize(np.asarray(images), (batch_size, *images.shape[1:]))  # noqa: PLW2901
        yield np.asarray(network.predict_on_batch(images), np.float32)[:count]
        _forget_pages(source.values)


def _forget_pages(values: NDArray[Any]) -> None:
    """Give back memory in which the system shows a mapped file: each row is read once, and few fit at a time."""
    mapping = getattr(values, "_mmap", None)
    if mapping is not None and hasattr(mmap, "MADV_DONTNEED"):
        mapping.madvise(mmap.MADV_DONTNEED)
