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
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from cnn_studio.core.atomic_file import storage_error
from cnn_studio.core.data.image_file import ImageFile
from cnn_studio.core.experiment.augmentation import AugmentationSettings, augmentation_text
from cnn_studio.core.job.events import Message, Stage, StageStarted
from cnn_studio.core.job.jobs import CancelToken, JobContext
from cnn_studio.core.job.threads import ProgressMeter
from cnn_studio.core.store.folders import RESERVE_BYTES, free_bytes, locked, make_room, remove_folder, size_text
from cnn_studio.core.store.prepared import LOCK_SECONDS, features_folder
from cnn_studio.core.store.rows import Row, StoreRows
from cnn_studio.core.system.memory import available_memory
from cnn_studio.ml import runtime
from cnn_studio.ml.augment import DRAWS_VERSION, Augmentation, seed_from
from cnn_studio.ml.fixed_part import fingerprint
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
        views: int64 (n_files, views): rows of each training image's augmented views, which stand for it in training;
            then ``rows`` is -1 there, and this is -1 for all other images. None without such views.
    """

    values: NDArray[Any]
    rows: NDArray[np.int64]
    key: str
    folder: Path | None = None
    views: NDArray[np.int64] | None = None


@dataclass(frozen=True, slots=True)
class Views:
    """Augmented views of training images that are computed once.

    Attributes:
        augmentation: what is done, and how many views of each image there are.
        seed: the same seed gives the same views of the same training images.
        training: positions of the training images in the data set's files.
    """

    augmentation: AugmentationSettings
    seed: int
    training: tuple[int, ...]

    @property
    def name(self) -> str:
        """Names the views of a file apart from others of the same file."""
        settings = augmentation_text(self.augmentation.model_copy(update={"views": 4}))
        return f"{settings},seed={self.seed},draws={DRAWS_VERSION}"


@dataclass(frozen=True, slots=True)
class _Entry:
    """One row to be had: of a file, or of a view of it (``view`` from 0; -1 for the file as it is).

    ``name`` is the row's, ``source_row`` what it is made of, ``place`` where its row number goes.
    """

    name: str
    file: ImageFile
    source_row: int
    place: tuple[int, int]
    augmented: bool = False


def cache_features(
    network: keras.Model,
    source: RowSource,
    files: Sequence[ImageFile],
    context: JobContext,
    cache: Path | None = None,
    views: Views | None = None,
) -> RowSource | None:
    """Run a network once over every row of a source; what is on disk already is not computed again.

    Args:
        network: the fixed part; takes a batch of ``source.values``, gives one tensor (batch, …).
        source: what it is run over.
        files: the data set's files, aligned with ``source.rows``.
        context: ``report`` is told a ``StageStarted(FEATURES)``, ``Progress`` about ten times a second, and a
            ``Message`` when the features are not kept. ``cancel`` is looked at before every batch.
        cache: where features are kept; the user's cache folder when None.
        views: the network is run over augmented views of training images in place of these images; None takes them as
            they are, or the views that ``source`` is of.

    Returns:
        The features, as float32 where they are few and as float16 else; None when keeping them does not pay or there
        is no room for them, so that the network has to be run in every epoch.

    Raises:
        StorageError: the disk is full although it had room, the cache cannot be written to, or another process is at
            the same features for long. What is written is whole rows.
        JobCancelled: the user discarded the job.
    """
    shape = tuple(int(side) for side in network.outputs[0].shape[1:])
    work = _Work(network, source, _entries(source, files, views), shape, views)
    values = prod(shape) * len(work.entries)
    single = 4 * values <= SINGLE_PRECISION_BYTES
    if problem := _why_not_worth_it(2 * values, source, len(work.entries)):
        context.report(Message(problem))
        return None
    context.report(StageStarted(Stage.FEATURES, len(work.entries)))
    if not single:
        try:
            return _cached(work, np.dtype(np.float16), context, cache)
        except _TooLargeForHalfError:
            context.report(Message("Some features are too large for 16 bits, so all are kept with 32."))
    return _cached(work, np.dtype(np.float32), context, cache)


@dataclass(frozen=True, slots=True)
class _Work:
    """What is to be computed: ``network`` over the rows of ``source`` that ``entries`` name, each of ``shape``."""

    network: keras.Model
    source: RowSource
    entries: list[_Entry]
    shape: tuple[int, ...]
    views: Views | None

    def found(self, rows: Sequence[int], values: NDArray[Any], key: str, folder: Path | None = None) -> RowSource:
        """The features as a source: ``rows`` has the row of each entry."""
        count = len(self.source.rows)
        if self.source.views is not None:
            each = self.source.views.shape[1]
        else:
            each = self.views.augmentation.views if self.views else 0
        of_files, of_views = np.full(count, -1, np.int64), np.full((count, each), -1, np.int64)
        for entry, row in zip(self.entries, rows, strict=True):
            file, view = entry.place
            if view < 0:
                of_files[file] = row
            else:
                of_views[file, view] = row
        return RowSource(values, of_files, key, folder, of_views if each else None)


def _entries(source: RowSource, files: Sequence[ImageFile], views: Views | None) -> list[_Entry]:
    """Files as they are first, then the first view of every training image, then the second of every one, and so on.

    So the images of a batch are those of one view, in the data set's order, whatever is on disk already.
    """
    if source.views is not None:
        of_views = source.views
        viewed = [i for i in range(len(files)) if of_views[i, 0] >= 0]
        count, augmented, name = of_views.shape[1], False, ""
    elif views:
        viewed, count, augmented, name = list(views.training), views.augmentation.views, True, views.name
        of_views = np.repeat(source.rows[:, None], count, axis=1)
    else:
        viewed, count, augmented, name = [], 0, False, ""
        of_views = np.empty((len(files), 0), np.int64)
    apart = set(viewed)
    plain = [_Entry(files[i].path, files[i], int(source.rows[i]), (i, -1)) for i in range(len(files)) if i not in apart]
    return plain + [
        _Entry(f"{files[i].path}\0{name}\0{view}", files[i], int(of_views[i, view]), (i, view), augmented)
        for view in range(count)
        for i in viewed
    ]


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
    return _SHARE_OF_MEMORY * available_memory()


def _cached(work: _Work, dtype: np.dtype[Any], context: JobContext, cache: Path | None) -> RowSource | None:
    parent = features_folder(cache)
    key = _key(work.network, work.source, dtype)
    folder = parent / key
    name = f"features.f{8 * dtype.itemsize}"
    row_bytes = prod(work.shape) * dtype.itemsize
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with locked(folder, context, LOCK_SECONDS), StoreRows(folder, row_bytes, name) as store:
            todo = [entry for entry in work.entries if _row_of(store, entry) is None]
            # What the features are made of may be features too: those stay.
            used = [folder, work.source.folder] if work.source.folder else [folder]
            room = not make_room(parent, used, len(todo) * row_bytes, BUDGET_BYTES)
            meter = ProgressMeter(
                Stage.FEATURES, len(work.entries), context.report, already=len(work.entries) - len(todo)
            )
            if room:
                _compute_into(store, work, dtype, meter, context.cancel)
            os.utime(folder)  # used now: what make_room goes by
            found = [_row_of(store, entry) for entry in work.entries]
            rows = [row.number if row else -1 for row in found]
            # While it is locked: somebody else may clear the cache as soon as it is not.
            shape = (store.total_rows, *work.shape)
            values = np.memmap(folder / name, dtype=dtype, mode="c", shape=shape) if room else None
    except OSError as error:
        raise storage_error(folder / name, error) from error
    except _TooLargeForHalfError:
        remove_folder(folder)
        raise
    if values is None:
        remove_folder(folder)
        return _in_memory(work, key, context, needed=len(todo) * row_bytes, parent=parent)
    return work.found(rows, values, key, folder)


def _row_of(store: StoreRows, entry: _Entry) -> Row | None:
    return store.find(entry.name, entry.file.bytes, entry.file.modified_ns)


def _key(network: keras.Model, source: RowSource, dtype: np.dtype[Any]) -> str:
    """The folder's name: everything but the files and views that a row depends on."""
    parts = (source.key, fingerprint(network), dtype.name, keras.__version__, keras.backend.backend())
    return hashlib.blake2b("\0".join(parts).encode(), digest_size=12).hexdigest()


def _compute_into(
    store: StoreRows, work: _Work, dtype: np.dtype[Any], meter: ProgressMeter, cancel: CancelToken
) -> None:
    def is_missing(entry: _Entry) -> bool:
        return _row_of(store, entry) is None

    try:
        for entries, part in _outputs(work, is_missing, cancel):
            if dtype == np.float16 and not (np.abs(part) <= _LARGEST_HALF).all():
                raise _TooLargeForHalfError
            for row, entry in zip(part.astype(dtype), entries, strict=True):
                store.add(entry.name, entry.file.bytes, entry.file.modified_ns, row)
            if store.waiting_bytes >= _BYTES_BETWEEN_FLUSHES:
                store.flush()
            meter.add(len(part))
    finally:
        store.flush()


def _in_memory(work: _Work, key: str, context: JobContext, needed: int, parent: Path) -> RowSource | None:
    """The features where the disk has no room: in memory if that has, else None."""
    count = len(work.entries)
    size = 4 * prod(work.shape) * count
    text = (
        f"Keeping the features of these images needs {size_text(needed + RESERVE_BYTES)} in {parent}; "
        f"{size_text(free_bytes(parent))} is free."
    )
    if size > _memory_to_use():
        context.report(
            Message(f"{text} The fixed part of the network runs in every epoch instead, which takes longer.")
        )
        return None
    context.report(Message(f"{text} They are kept in memory for this run only."))
    # From the system and not from NumPy: it starts at a page, so batches are taken from it in place.
    values = np.frombuffer(mmap.mmap(-1, size), np.float32).reshape(count, *work.shape)
    meter = ProgressMeter(Stage.FEATURES, count, context.report)
    done = 0
    for entries, part in _outputs(work, lambda _: True, context.cancel):
        values[done : done + len(entries)] = part
        done += len(entries)
        meter.add(len(entries))
    return work.found(range(count), values, key)


def _outputs(
    work: _Work, is_wanted: Callable[[_Entry], bool], cancel: CancelToken
) -> Iterator[tuple[list[_Entry], NDArray[np.float32]]]:
    """The network's output for each entry that is wanted, in order, in batches; float32 (batch, …)."""
    plain = [entry for entry in work.entries if not entry.augmented and is_wanted(entry)]
    augmented = [entry for entry in work.entries if entry.augmented]
    batch_size = 64 if runtime.computes_on_gpu() else 16
    for start, images in _source_batches(work.source, plain, batch_size, cancel):
        entries = plain[start : start + batch_size]
        yield entries, _run(work.network, images, batch_size)[: len(entries)]
    if not augmented:
        return
    assert work.views is not None
    for start in range(0, len(augmented), batch_size):
        # What is drawn for a batch depends on its place alone, so what an interruption left undone comes out the same.
        entries = augmented[start : start + batch_size]
        wanted = [place for place, entry in enumerate(entries) if is_wanted(entry)]
        if not wanted:
            continue
        cancel.raise_if_cancelled()
        changes = Augmentation(work.views.augmentation, _seed_of(work.views, start))
        images = work.source.values[[entry.source_row for entry in entries]]
        features = _run(work.network, changes(images, training=True), batch_size)
        yield [entries[place] for place in wanted], features[wanted]
        _forget_pages(work.source.values)


def _seed_of(views: Views, start: int) -> int:
    return seed_from(f"{views.name}/{start}")


def _source_batches(
    source: RowSource, entries: Sequence[_Entry], batch_size: int, cancel: CancelToken
) -> Iterator[tuple[int, Any]]:
    """(place of the first, rows of the source) for every batch of entries."""
    rows = np.array([entry.source_row for entry in entries], np.int64)
    batches = evaluation_batches(source.values, rows, np.zeros(len(rows), np.int32), batch_size)
    for number, (images, _) in enumerate(batches):
        cancel.raise_if_cancelled()
        yield number * batch_size, images
        _forget_pages(source.values)


def _run(network: keras.Model, images: Any, batch_size: int) -> NDArray[np.float32]:
    """The network's output; a batch that is not full is filled up, since another shape would be traced anew."""
    images = np.asarray(images)  # other backends than TensorFlow take no tensor of its
    if len(images) < batch_size:
        images = np.resize(images, (batch_size, *images.shape[1:]))
    return np.asarray(network.predict_on_batch(images), np.float32)


def _forget_pages(values: NDArray[Any]) -> None:
    """Give back memory in which the system shows a mapped file: each row is read once, and few fit at a time."""
    mapping = getattr(values, "_mmap", None)
    if mapping is not None and hasattr(mmap, "MADV_DONTNEED"):
        mapping.madvise(mmap.MADV_DONTNEED)
