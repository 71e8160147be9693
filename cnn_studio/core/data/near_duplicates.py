"""Which pictures look alike: recompressed, resized, mirrored, slightly cropped or brightened copies of one another.

Two steps. *Search*: of each picture, 8 × 8 low frequencies (discrete cosine transform, as in pHash), the higher ones
raised so that all count alike; the cosine between two such vectors is worked out for all pairs, block by block, as a
matrix product. A mirrored picture has the same numbers with every second column's sign changed, so the same two
products also give the cosine with the mirror image. *Check*: the pairs that are close are compared more finely,
12 × 12 frequencies of the small pictures, each in turn cropped by up to 15 % in height and in width.

The number of pairs grows with the square of the number of pictures, which a matrix product bears well: 100,000 pictures
take a minute of processor time (``bench_duplicates.py``).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from cnn_studio.core.image.fingerprints import SIDE, brightness, colour_differences
from cnn_studio.core.job.events import Stage, StageStarted
from cnn_studio.core.job.jobs import CancelToken, JobContext
from cnn_studio.core.job.threads import ProgressMeter

LOOKALIKES_VERSION = 1
"""Raised whenever the same fingerprints would be put into other groups."""

# Measured on planted copies among 5,000 photographs and on 4,000 pictures of Fashion-MNIST, see bench_duplicates.py.
_CLOSE = 0.7
"""Cosine in the search from which a pair is checked."""

_ALIKE = 0.93
"""Cosine in the check from which two pictures look alike, unless a crowd of others does too."""

_SURELY_ALIKE = 0.985
"""Cosine in the check from which they do, whatever else is there."""

_STANDS_OUT = 0.55
"""Between the two: how near they must be to each other, measured by what either has as its ``_CROWD``-th best.

Where everything was photographed alike, every shirt resembles ten others; a copy is nearer to its original than those.
"""

_CROWD = 8
_CHECKED_PER_PICTURE = 16
_LARGEST_COLOUR_DIFFERENCE = 40.0  # anywhere in a fingerprint, of 255 levels; brightened copies were seen to have 29
_LEAST_CONTRAST = 2.0  # standard deviation in levels, below which there is no picture to compare

_SEARCH_FREQUENCIES = 8
_CHECK_FREQUENCIES = 12
_CROPS = (0.95, 0.9, 0.85)
_ROWS, _COLUMNS, _PAIRS = 1024, 4096, 2048  # block sizes: what a core's cache holds

_Floats = NDArray[np.float32]
_Ints = NDArray[np.int64]


def find_lookalikes(fingerprints: NDArray[np.uint8], context: JobContext) -> _Ints:
    """Put pictures that look alike into groups.

    Args:
        fingerprints: (n, FINGERPRINT_BYTES), from ``make_fingerprint``.
        context: ``report`` is told a ``StageStarted(COMPARE)`` and ``Progress`` in images. ``cancel`` is looked at
            between blocks.

    Returns:
        The number of each picture's group (n,), from 1 in the order of their first pictures; 0 for a picture that
        looks like no other. If a is like b and b is like c, all are one group.

    Raises:
        JobCancelled: the user discarded the job.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    # The very same fingerprint is not searched for: a thousand copies of one picture would make a million pairs.
    number_of: dict[bytes, int] = {}
    numbers = (number_of.setdefault(row.tobytes(), len(number_of)) for row in fingerprints)
    which = np.fromiter(numbers, np.int64, len(fingerprints))
    count = len(number_of)
    first_places = np.full(count, len(which), np.int64)
    np.minimum.at(first_places, which, np.arange(len(which)))
    distinct = fingerprints[first_places]
    context.report(StageStarted(Stage.COMPARE, count))
    first, second, mirrored = _close_pairs(
        distinct, ProgressMeter(Stage.COMPARE, count, context.report), context.cancel
    )
    likeness = _checked(distinct, first, second, mirrored, context.cancel)
    alike = _stand_out(count, first, second, likeness)
    links = coo_array((np.ones(alike.sum(), np.int8), (first[alike], second[alike])), shape=(count, count))
    _, component = connected_components(links, directed=False)
    return _numbered(component[which])


def _numbered(component: NDArray[np.integer]) -> _Ints:
    """Components with more than one member numbered from 1 by their first member; 0 for the others."""
    _, first, which, sizes = np.unique(component, return_index=True, return_inverse=True, return_counts=True)
    numbers = np.zeros(len(first), np.int64)
    shared = np.flatnonzero(sizes > 1)
    numbers[shared[np.argsort(first[shared])]] = np.arange(1, len(shared) + 1)
    return numbers[which]


# -- search --------------------------------------------------------------------------------------------------------


def _close_pairs(
    fingerprints: NDArray[np.uint8], meter: ProgressMeter, cancel: CancelToken
) -> tuple[_Ints, _Ints, NDArray[np.bool_]]:
    """Pairs (first < second) worth checking, and whether the second is close to the mirror image of the first."""
    even, odd = _search_vectors(brightness(fingerprints))
    # Kept from block to block: asking the system for 16 MB anew costs more than the sums.
    memory = np.empty((3, _ROWS * _COLUMNS), np.float32)
    found: list[tuple[_Ints, _Ints, NDArray[np.bool_]]] = []
    for top in range(0, len(even), _ROWS):
        rows = slice(top, min(top + _ROWS, len(even)))
        firsts, seconds, cosines, mirrors = [], [], [], []
        for left in range(top, len(even), _COLUMNS):
            cancel.raise_if_cancelled()
            columns = slice(left, min(left + _COLUMNS, len(even)))
            shape = (rows.stop - rows.start, columns.stop - columns.start)
            same, turned, best = (part[: shape[0] * shape[1]].reshape(shape) for part in memory)
            np.matmul(even[rows], even[columns].T, out=same)
            np.matmul(odd[rows], odd[columns].T, out=turned)
            np.abs(turned, out=best)
            best += same
            row, column = np.divmod(np.flatnonzero(best.reshape(-1) > _CLOSE), shape[1])
            above = column + left > row + top  # each pair once, and none with itself
            row, column = row[above], column[above]
            firsts.append(row + top)
            seconds.append(column + left)
            cosines.append(best[row, column])
            mirrors.append(turned[row, column] < 0)
        first, second = np.concatenate(firsts), np.concatenate(seconds)
        kept = _best_of_each(first, np.concatenate(cosines))
        found.append((first[kept], second[kept], np.concatenate(mirrors)[kept]))
        meter.add(shape[0])
    if not found:
        return np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0, np.bool_)
    first, second, mirrored = (np.concatenate(parts) for parts in zip(*found, strict=True))
    return first, second, mirrored


def _best_of_each(first: _Ints, cosine: _Floats) -> _Ints:
    """Positions of the ``_CHECKED_PER_PICTURE`` pairs of each first picture that are closest."""
    order = np.lexsort((-cosine, first))
    starts = np.searchsorted(first[order], first[order])
    return order[np.arange(len(order)) - starts < _CHECKED_PER_PICTURE]


def _search_vectors(bright: NDArray[np.uint8]) -> tuple[_Floats, _Floats]:
    """Two parts of a vector of length 1 per picture: frequencies that a mirror keeps, and those whose sign it turns."""
    low = _cosine_transform(_SEARCH_FREQUENCIES)
    vectors = np.empty((len(bright), _SEARCH_FREQUENCIES, _SEARCH_FREQUENCIES), np.float32)
    for start in range(0, len(bright), _PAIRS):
        part = bright[start : start + _PAIRS].astype(np.float32)
        spectrum = _raised(low @ part @ low.T)
        # Flat pictures get a vector of zeros, which is close to nothing.
        spectrum[part.std(axis=(1, 2)) < _LEAST_CONTRAST] = 0
        vectors[start : start + _PAIRS] = spectrum
    vectors /= np.maximum(np.linalg.norm(vectors, axis=(1, 2), keepdims=True), 1e-6)
    shape = (len(bright), _SEARCH_FREQUENCIES**2 // 2)
    return vectors[:, :, 0::2].reshape(shape), vectors[:, :, 1::2].reshape(shape)


def _cosine_transform(frequencies: int) -> _Floats:
    """The lowest frequencies of the discrete cosine transform (DCT-II, orthonormal), as (frequencies, SIDE)."""
    frequency = np.arange(frequencies)[:, None]
    place = np.arange(SIDE)[None]
    transform = np.cos(np.pi * frequency * (2 * place + 1) / (2 * SIDE)) * np.sqrt(2 / SIDE)
    transform[0] /= np.sqrt(2)
    return np.asarray(transform, np.float32)


def _raised(spectrum: NDArray[Any]) -> _Floats:
    """Frequencies times their height: in photographs strength falls off like that. Brightness (0, 0) becomes 0."""
    side = np.arange(spectrum.shape[-1], dtype=np.float32)
    return np.asarray(spectrum * np.hypot(side[:, None], side[None]), np.float32)


# -- check ---------------------------------------------------------------------------------------------------------


def _checked(
    fingerprints: NDArray[np.uint8], first: _Ints, second: _Ints, mirrored: NDArray[np.bool_], cancel: CancelToken
) -> _Floats:
    """How alike each pair is, a cosine; -1 where the colours differ."""
    bright, colour = brightness(fingerprints), colour_differences(fingerprints)
    crops = _crops()
    likeness = np.full(len(first), -1, np.float32)
    for start in range(0, len(first), _PAIRS):
        cancel.raise_if_cancelled()
        part = slice(start, start + _PAIRS)
        a, b = bright[first[part]].astype(np.float32), bright[second[part]].astype(np.float32)
        turned = mirrored[part]
        b[turned] = b[turned][:, :, ::-1]
        likeness[part] = np.maximum(_likeness_of_crops(a, b, crops), _likeness_of_crops(b, a, crops))
        colour_a, colour_b = colour[first[part]].astype(np.float32), colour[second[part]].astype(np.float32)
        colour_b[turned] = colour_b[turned][:, :, ::-1]
        likeness[part][np.abs(colour_a - colour_b).max(axis=(1, 2, 3)) > _LARGEST_COLOUR_DIFFERENCE] = -1
    return likeness


def _crops() -> list[_Floats]:
    """Matrices (frequencies, SIDE) that cut a part out along one side, bring it to SIDE places and transform it."""
    transform = _cosine_transform(_CHECK_FREQUENCIES)
    crops = [transform]
    for size in _CROPS:
        for begin in (0.0, (1 - size) / 2, 1 - size):
            place = np.clip(((np.arange(SIDE) + 0.5) / SIDE * size + begin) * SIDE - 0.5, 0, SIDE - 1)
            below = np.minimum(place.astype(int), SIDE - 2)
            cut = np.zeros((SIDE, SIDE), np.float32)
            cut[np.arange(SIDE), below] = 1 - (place - below)
            cut[np.arange(SIDE), below + 1] = place - below
            crops.append(transform @ cut)
    return crops


def _likeness_of_crops(whole: _Floats, other: _Floats, crops: list[_Floats]) -> _Floats:
    """The greatest cosine between ``other`` and any crop of ``whole``; both (n, SIDE, SIDE)."""
    target = _unit(_raised(crops[0] @ other @ crops[0].T))
    best = np.full(len(whole), -1, np.float32)
    for rows in crops:
        cut = rows @ whole
        for columns in crops:
            np.maximum(best, (_unit(_raised(cut @ columns.T)) * target).sum(axis=1), out=best)
    return best


def _unit(spectrum: _Floats) -> _Floats:
    flat = spectrum.reshape(len(spectrum), -1)
    return np.asarray(flat / np.maximum(np.linalg.norm(flat, axis=1, keepdims=True), 1e-6), np.float32)


def _stand_out(count: int, first: _Ints, second: _Ints, likeness: _Floats) -> NDArray[np.bool_]:
    """Which of the checked pairs are really of one picture."""
    # Of each picture, the likeness of its _CROWD-th best: 0 where there are not as many.
    crowd = np.zeros(count, np.float32)
    picture, value = np.concatenate([first, second]), np.concatenate([likeness, likeness])
    order = np.lexsort((-value, picture))
    starts = np.searchsorted(picture[order], picture[order])
    at = order[np.arange(len(order)) - starts == _CROWD - 1]
    crowd[picture[at]] = np.maximum(value[at], 0)
    nearest_crowd = np.maximum(crowd[first], crowd[second])
    stands_out = 1 - likeness <= _STANDS_OUT * (1 - nearest_crowd)
    return (likeness >= _SURELY_ALIKE) | ((likeness >= _ALIKE) & stands_out)
