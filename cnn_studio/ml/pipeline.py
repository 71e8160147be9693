"""From prepared images, or features made of them, to batches by tf.data operations: Python never touches a batch.

The store is memory-mapped; TensorFlow reads it in place through DLPack. Whether it fits into memory or not, the
system's page cache decides what stays, and every epoch is a perfect shuffle, because what is shuffled is row numbers.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

_PARALLEL_CALLS = 2
_BATCHES_AHEAD = 4
_ALIGNMENT = 64  # bytes, EIGEN_MAX_ALIGN_BYTES


@dataclass(frozen=True)
class Batches:
    """Batches of images and their labels, to be gone through as often as wanted.

    Attributes:
        dataset: a ``tf.data.Dataset`` of (uint8 images (batch, height, width, 3), int32 labels (batch,)), with a third
            part, float32 sample weights (batch,), when class weights were given. In place of images there may be
            float32 features (batch, …).
        images: number of images in one pass.
        batch_size: images per batch; the last may hold fewer.
    """

    dataset: Any
    images: int
    batch_size: int
    # TensorFlow reads the memory map in place, so the map must live as long as the dataset.
    _keep_alive: NDArray[Any] = field(repr=False)

    @property
    def steps(self) -> int:
        """Batches in one pass."""
        return -(-self.images // self.batch_size)

    def __iter__(self) -> Iterator[Any]:
        return iter(self.dataset)


def training_batches(
    images: NDArray[Any],
    rows: NDArray[np.int64],
    labels: NDArray[np.int32],
    batch_size: int,
    seed: int,
    class_weights: NDArray[np.float32] | None = None,
    multiple: int = 1,
) -> Batches:
    """Batches in an order that differs each epoch and is the same for the same seed.

    Args:
        images: uint8 (total, height, width, 3) 0–255, the store's memory map; or features, float16 or float32
            (total, …).
        rows: (n,) rows of ``images`` to use; none negative. Or (n, views), one of which is drawn for each image and
            epoch.
        labels: (n,) their labels.
        batch_size: images per batch.
        seed: of the order.
        class_weights: (classes,) how much an image of each class counts in the loss; None for all the same.
        multiple: devices that share each batch evenly. Its size is rounded down to a multiple, and what does not fill
            the last batch sits out that epoch: other images each time.
    """
    if multiple > 1:
        batch_size = min(_rounded(batch_size, multiple), _rounded(len(rows), multiple))
    return _batches(images, rows, labels, batch_size, seed, class_weights, whole=multiple > 1)


def evaluation_batches(
    images: NDArray[Any], rows: NDArray[np.int64], labels: NDArray[np.int32], batch_size: int, multiple: int = 1
) -> Batches:
    """Batches in the order of ``rows``; arguments as for ``training_batches``.

    With ``multiple`` devices the last row is repeated until the last batch can be shared evenly.
    """
    if multiple > 1:
        missing = -len(rows) % multiple
        rows, labels = (np.concatenate([part, np.repeat(part[-1:], missing, axis=0)]) for part in (rows, labels))
        batch_size = _rounded(batch_size, multiple)
    return _batches(images, rows, labels, batch_size, None, None)


def with_labels(batches: Batches) -> Batches:
    """The same batches with labels, and weights (1 where there are none), among the inputs, for mixing labels."""

    def carry(images: Any, labels: Any, weights: Any = None) -> tuple[Any, ...]:
        counted = tf.ones_like(labels, tf.float32) if weights is None else weights
        return (images, labels, counted), labels

    return replace(batches, dataset=batches.dataset.map(carry))


def balanced_class_weights(labels: NDArray[np.int32], class_count: int) -> NDArray[np.float32]:
    """Weights (class_count,) that make every class count the same: n / (classes · n_class).

    The formula of scikit-learn's ``compute_class_weight("balanced")``; a class without images weighs 0.
    """
    counts = np.bincount(labels, minlength=class_count)
    weights = len(labels) / (class_count * np.maximum(counts, 1))
    return np.where(counts > 0, weights, 0.0).astype(np.float32)


def _rounded(size: int, multiple: int) -> int:
    """The largest multiple that is not above ``size``, at least one."""
    return max(multiple, size - size % multiple)


def _batches(
    images: NDArray[Any],
    rows: NDArray[np.int64],
    labels: NDArray[np.int32],
    batch_size: int,
    seed: int | None,
    class_weights: NDArray[np.float32] | None,
    *,
    whole: bool = False,
) -> Batches:
    if len(rows) != len(labels):
        raise ValueError(f"{len(rows)} rows do not go with {len(labels)} labels")
    if len(rows) and (rows.min() < 0 or rows.max() >= len(images)):
        raise ValueError(f"rows must be within 0 and {len(images) - 1}; an unreadable image has no row")
    # With a GPU present the store must not be copied to it.
    with tf.device("CPU:0"):
        store = _in_place(images)
        row_of = tf.constant(rows, tf.int64)
        views = rows.shape[1] if rows.ndim == 2 else 0
        label_of = tf.constant(labels, tf.int32)
        weight_of = None if class_weights is None else tf.constant(class_weights[labels], tf.float32)

        def fetch(picked: Any, drawn: Any = None) -> tuple[Any, ...]:
            here = tf.gather(row_of, picked)
            if views:
                here = tf.gather(here, drawn % views, batch_dims=1)
            pictures = tf.gather(store, here)
            if images.dtype == np.float16:
                pictures = tf.cast(pictures, tf.float32)
            if weight_of is None:
                return pictures, tf.gather(label_of, picked)
            return pictures, tf.gather(label_of, picked), tf.gather(weight_of, picked)

        dataset = tf.data.Dataset.range(len(rows))
        if seed is not None and len(rows):
            dataset = dataset.shuffle(len(rows), seed=seed, reshuffle_each_iteration=True)
        if views:
            # Numbers of its own for each epoch, so that another view is drawn of the same image.
            numbers = tf.data.Dataset.random(seed=seed, rerandomize_each_iteration=True)
            dataset = tf.data.Dataset.zip(dataset, numbers)
        dataset = (
            dataset.batch(batch_size, drop_remainder=whole)
            .map(fetch, num_parallel_calls=_PARALLEL_CALLS)
            .prefetch(_BATCHES_AHEAD)
        )
        # TensorFlow's rewriting of the graph, which finds nothing to improve here, copies the whole store into memory.
        options = tf.data.Options()
        options.experimental_optimization.apply_default_optimizations = False
        dataset = dataset.with_options(options)
    return Batches(dataset, len(rows) - len(rows) % batch_size if whole else len(rows), batch_size, images)


def _in_place(images: NDArray[Any]) -> Any:
    """``images`` as a tensor over the same memory; a copy where that cannot be.

    DLPack refuses a read-only array and a strided one. TensorFlow takes one whose memory does not start at a multiple
    of 64 bytes, and then aborts the process in its first operation on it. A memory map starts at a page.
    """
    if images.ctypes.data % _ALIGNMENT:
        return tf.constant(images)
    try:
        return tf.experimental.dlpack.from_dlpack(images.__dlpack__())
    except (BufferError, RuntimeError, TypeError, ValueError, tf.errors.OpError):
        return tf.constant(images)
