"""Pairs of pictures, parts of which are alike in some orientation: found among all pairs, by a few numbers of each.

Of each picture some views are described by a few low frequencies each (discrete cosine transform, as in pHash, the
higher ones raised so that all count alike): parts of it that a cut copy might show, parts turned and shifted, its
quarters. Turning a square by 90° or mirroring it only swaps and negates such numbers, so each description is brought
into one of its eight orientations, chosen by its content, and then is near to that of the same part of any copy. The
near ones are found by matrix products, within cells round centres where there are many (Sivic and Zisserman 2003,
*Video Google*).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cnn_studio.core.image.fingerprints import SIDE
from cnn_studio.core.job.jobs import CancelToken

_Floats = NDArray[np.float32]
_Ints = NDArray[np.int64]

_FREQUENCIES = 6
_LENGTH = _FREQUENCIES**2
_ORIENTATIONS = 8
_UNSURE = 0.12  # of a description's length: below, its orientation is not clear, and a view is sought in both
_LEAST_CONTRAST = 2.0  # standard deviation in levels, below which there is no picture to compare

_AT_ONCE = 4096  # views: what a core's cache holds of their products with a cell
_COMPARED = 1024  # descriptions that each view is compared with, on average
_PRODUCTS = 2**18  # of them worked out at once: what a core's cache holds
_WAITING = 2**20  # near ones before the best of them are chosen
_LEVELS = 512  # of cosine
_CELL = 256  # descriptions in a cell, on average


@dataclass(frozen=True, slots=True)
class _View:
    """A part of a picture: width and height, and its middle, all from 0 to 1; turned by so many degrees."""

    width: float = 1
    height: float = 1
    x: float = 0.5
    y: float = 0.5
    degrees: float = 0

    def matrix(self) -> NDArray[np.float64]:
        """From places in the view to places in the picture, −0.5 to 0.5."""
        turn = np.radians(self.degrees)
        cos, sin = np.cos(turn), np.sin(turn)
        return np.array(
            [
                [self.width * cos, -self.width * sin, self.x - 0.5],
                [self.height * sin, self.height * cos, self.y - 0.5],
                [0, 0, 1],
            ]
        )

    def covers(self) -> NDArray[np.bool_]:
        """Which places of a picture of half size (places,) are in an upright view."""
        place = (np.arange(SIDE // 2) + 0.5) / (SIDE // 2)
        across, down = abs(place - self.x) <= self.width / 2, abs(place - self.y) <= self.height / 2
        return (down[:, None] & across).reshape(-1)


@dataclass(frozen=True, slots=True)
class _Search:
    """Views of one picture that are sought among views of all others, and how near (cosine) is worth a closer look."""

    sought: tuple[_View, ...]
    among: tuple[_View, ...]
    near: float


_PARTS = ((0.75, 0.375), (0.75, 0.5), (0.75, 0.625), (0.87, 0.435), (0.87, 0.565), (1, 0.5))
_PIECES = (  # so that a mark in the middle leaves some alone
    *(_View(0.5, 0.5, x, y) for x, y in product((0.25, 0.75), repeat=2)),
    *(_View(height=0.33, y=y) for y in (0.165, 0.835)),
    *(_View(width=0.33, x=x) for x in (0.165, 0.835)),
)
_SEARCHES = (
    _Search(tuple(_View(w, h, x, y) for (w, x), (h, y) in product(_PARTS, repeat=2)), (_View(),), 0.75),
    _Search(
        tuple(_View(0.7, 0.7, x, y) for x, y in product((0.4, 0.5, 0.6), repeat=2))
        + tuple(_View(0.7, 0.7, degrees=degrees) for degrees in (-12, -6, 6, 12)),
        (_View(0.7, 0.7),),
        0.85,
    ),
    _Search(_PIECES, _PIECES, 0.9),
)


@cache
def _transform() -> _Floats:
    """The lowest frequencies of the two-dimensional cosine transform (DCT-II), raised, as (_LENGTH, SIDE²).

    In photographs strength falls off with frequency; times its height each counts alike. Brightness itself counts
    nothing.
    """
    frequency, place = np.arange(_FREQUENCIES)[:, None], np.arange(SIDE)[None]
    single = np.cos(np.pi * frequency * (2 * place + 1) / (2 * SIDE)) * np.sqrt(2 / SIDE)
    single[0] /= np.sqrt(2)
    return (_heights().reshape(-1, 1) * np.kron(single, single)).astype(np.float32)


@cache
def _heights() -> _Floats:
    side = np.arange(_FREQUENCIES, dtype=np.float32)
    return np.hypot(side[:, None], side[None])


@cache
def _descriptor(view: _View) -> _Floats:
    """The matrix (_LENGTH, SIDE²) by which a picture becomes the description of a view of it (bilinear)."""
    from scipy.sparse import coo_array

    place = (np.arange(SIDE) + 0.5) / SIDE - 0.5
    places = np.stack([np.tile(place, SIDE), np.repeat(place, SIDE), np.ones(SIDE**2)])
    x, y, _ = np.clip((view.matrix() @ places + 0.5) * SIDE - 0.5, 0, SIDE - 1)
    column, row = np.minimum(x.astype(int), SIDE - 2), np.minimum(y.astype(int), SIDE - 2)
    x, y = x - column, y - row
    weights = np.stack([(1 - x) * (1 - y), x * (1 - y), (1 - x) * y, x * y])
    corners = row * SIDE + column + np.array([[0], [1], [SIDE], [SIDE + 1]])
    at = np.tile(np.arange(SIDE**2), 4)
    cut = coo_array((weights.reshape(-1), (corners.reshape(-1), at)), shape=(SIDE**2, SIDE**2))
    return np.asarray((cut @ _transform().T).T.astype(np.float32), np.float32)


def _described(pictures: NDArray[np.uint8], descriptors: _Floats) -> _Floats:
    """Descriptions of length 1 (n, views, _LENGTH) of pictures (n, SIDE, SIDE); zeros where a view is flat."""
    flat = pictures.reshape(len(pictures), SIDE**2).astype(np.float32)
    found = (flat @ descriptors.reshape(-1, SIDE**2).T).reshape(len(flat), -1, _LENGTH)
    length = np.linalg.norm(found, axis=2, keepdims=True)
    return np.where(length > _LEAST_CONTRAST * SIDE, found / np.maximum(length, 1), np.float32(0))


def _orientation(index: int) -> tuple[_Ints, _Floats, NDArray[np.float64]]:
    """One of eight orientations: which number of a description takes whose place, the signs, the map of places."""
    swap, flip_y, flip_x = bool(index & 4), bool(index & 2), bool(index & 1)
    order = np.arange(_LENGTH).reshape(_FREQUENCIES, _FREQUENCIES)
    signs = np.ones((_FREQUENCIES, _FREQUENCIES), np.float32)
    signs[:, 1::2] *= -1 if flip_x else 1
    signs[1::2] *= -1 if flip_y else 1
    turn = np.array([[0, 1, 0], [1, 0, 0], [0, 0, 1]]) if swap else np.eye(3)
    return (
        (order.T if swap else order).reshape(-1),
        signs.reshape(-1),
        turn @ np.diag([1 - 2.0 * flip_x, 1 - 2.0 * flip_y, 1]),
    )


_ORDERS, _SIGNS, _TURNS = (np.stack(part) for part in zip(*map(_orientation, range(_ORIENTATIONS)), strict=True))


def _leanings(descriptions: _Floats) -> _Floats:
    """What decides about orientation (n, 3): more light on the left, more above, more change across than down."""
    plain = descriptions.reshape(-1, _FREQUENCIES, _FREQUENCIES) / np.maximum(_heights(), 1)
    square = np.square(plain)
    above = np.triu(np.ones((_FREQUENCIES, _FREQUENCIES), np.float32), 1)
    across, down = np.sqrt((square * above).sum(axis=(1, 2))), np.sqrt((square * above.T).sum(axis=(1, 2)))
    length = np.maximum(np.sqrt(square.sum(axis=(1, 2))), 1e-9)
    return np.asarray(np.stack([plain[:, 0, 1], plain[:, 1, 0], across - down], axis=1) / length[:, None], np.float32)


def _upright(descriptions: _Floats, unsure: float) -> tuple[_Ints, _Ints, _Floats]:
    """Descriptions (n, _LENGTH) in the orientation their content asks for, or in several where it is not clear.

    Returns:
        Which description, in which orientation, and the oriented descriptions.
    """
    lean = _leanings(descriptions)
    flat = ~descriptions.any(axis=1)
    which, turned = [], []
    for index in range(_ORIENTATIONS):
        swap, flip_y, flip_x = bool(index & 4), bool(index & 2), bool(index & 1)
        first, second = (1, 0) if swap else (0, 1)  # the flips come after the swap
        fits = (
            ((-lean[:, 2] if swap else lean[:, 2]) >= -unsure)
            & ((-lean[:, first] if flip_x else lean[:, first]) >= -unsure)
            & ((-lean[:, second] if flip_y else lean[:, second]) >= -unsure)
            & ~flat
        )
        which.append(np.flatnonzero(fits))
        turned.append(np.full(len(which[-1]), index))
    every, orientation = np.concatenate(which), np.concatenate(turned)
    order = np.argsort(every, kind="stable")
    every, orientation = every[order], orientation[order]
    oriented = np.take_along_axis(descriptions[every], _ORDERS[orientation], axis=1) * _SIGNS[orientation]
    return every, orientation, oriented


@dataclass(frozen=True, slots=True)
class Candidates:
    """Pairs worth a closer look.

    Attributes:
        first, second: (n,) positions of the pictures.
        maps: (n, 2, 3) from places in the second picture to places in the first; places are −0.5 to 0.5.
        trusted: (n, (SIDE / 2)²) which places of the second, at half size, seem to agree.
    """

    first: _Ints
    second: _Ints
    maps: _Floats
    trusted: NDArray[np.bool_]

    def some(self, which: _Ints | slice) -> Candidates:
        """Some of the pairs."""
        return Candidates(self.first[which], self.second[which], self.maps[which], self.trusted[which])


def joined(parts: Sequence[Candidates]) -> Candidates:
    """The pairs of all parts, of which there is at least one."""
    return Candidates(*(np.concatenate([getattr(part, name) for part in parts]) for name in Candidates.__slots__))


class ViewSearch:
    """Finds pictures of which some view is alike.

    Args:
        pictures: (n, SIDE, SIDE), 0–255; at least one.
        most: candidates for each picture and kind of view.
        cancel: looked at all the time.

    Raises:
        JobCancelled: the user discarded the job.
    """

    def __init__(self, pictures: NDArray[np.uint8], most: int, cancel: CancelToken) -> None:
        self._pictures = pictures
        self._most = most
        self._indexes = []
        for search in _SEARCHES:
            self._indexes.append(_Index(search, pictures, cancel))

    def candidates(self, start: int, stop: int) -> Candidates:
        """What the pictures from ``start`` to before ``stop`` are like.

        Raises:
            JobCancelled: the user discarded the job.
        """
        pictures = self._pictures[start:stop]
        return joined([index.candidates(pictures, start, self._most) for index in self._indexes])


class _Index:
    """Descriptions among which near ones are found: in cells round centres, a few of which are looked through."""

    def __init__(self, search: _Search, pictures: NDArray[np.uint8], cancel: CancelToken) -> None:
        self._near = search.near
        self._cancel = cancel
        self._sought = np.stack([_descriptor(view) for view in search.sought])
        # From the agreeing orientation of two views to places in the one, and from places in the other to there.
        self._to_sought = np.stack([view.matrix() @ _TURNS for view in search.sought])
        self._from_among = np.linalg.inv(np.stack([view.matrix() @ _TURNS for view in search.among]))
        self._covers = np.stack([view.covers() for view in search.among])
        descriptors = np.stack([_descriptor(view) for view in search.among])
        row, self._orientation, self._vectors = _upright_in_blocks(pictures, descriptors)
        self._picture, self._view = np.divmod(row, len(search.among))
        self._centres = _centres(self._vectors, cancel)
        nearest = _nearest(self._vectors, self._centres)
        order = np.argsort(nearest, kind="stable")
        self._cells = np.split(order, np.searchsorted(nearest[order], np.arange(1, len(self._centres))))
        some = self._vectors[:: max(1, len(order) // 2048)]
        self._reach = np.quantile(self._gaps(some), min(1, _COMPARED / max(len(order), 1))) if len(order) else 0

    def candidates(self, pictures: NDArray[np.uint8], start: int, most: int) -> Candidates:
        """What some pictures are like, the first of which has the position ``start``."""
        row, orientation, sought = _upright(_described(pictures, self._sought).reshape(-1, _LENGTH), _UNSURE)
        owner, view = np.divmod(row, len(self._sought))
        owner += start
        one, other = self._near_to(sought, owner, most)
        there, turned = self._view[other], self._orientation[other]
        maps = (self._to_sought[view[one], orientation[one]] @ self._from_among[there, turned])[:, :2]
        return Candidates(owner[one], self._picture[other], maps.astype(np.float32), self._covers[there])

    def _gaps(self, vectors: _Floats) -> _Floats:
        """How much less near each centre is than the nearest one."""
        cosines = vectors @ self._centres.T
        return np.asarray(np.subtract(cosines.max(axis=1, keepdims=True), cosines, out=cosines), np.float32)

    def _near_to(self, sought: _Floats, owner: _Ints, most: int) -> tuple[_Ints, _Ints]:
        """Which of those sought (n, _LENGTH) are nearest to which descriptions, ``most`` for each owner."""
        size = max(1, _PRODUCTS // len(self._cells))
        probes = [np.nonzero(self._gaps(part) <= self._reach) for part in _in_blocks(sought, size)]
        asking = np.concatenate([rows + place * size for place, (rows, _) in enumerate(probes)])
        cell = np.concatenate([cells for _, cells in probes])
        order = np.argsort(cell, kind="stable")
        asked = np.split(asking[order], np.searchsorted(cell[order], np.arange(1, len(self._cells))))
        found = [(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0, np.float32))]
        waiting = 0

        def best() -> tuple[_Ints, _Ints, _Floats]:
            one, other, cosine = (np.concatenate(parts) for parts in zip(*found, strict=True))
            kept = best_of_each(owner[one], self._picture[other], cosine, most)
            return one[kept], other[kept], cosine[kept]

        for members, askers in zip(self._cells, asked, strict=True):
            self._cancel.raise_if_cancelled()
            vectors = self._vectors[members].T
            # Where everything looks alike a cell holds many, and nearly all are near: there is memory for so many.
            for some in _in_blocks(askers, max(1, _PRODUCTS // max(len(members), 1))):
                products = (sought[some] @ vectors).reshape(-1)
                hit = np.flatnonzero(products > self._near)
                row, column = np.divmod(hit, len(members))
                found.append((some[row], members[column], products[hit]))
                waiting += len(hit)
                if waiting > _WAITING:
                    found, waiting = [best()], 0
        return best()[:2]


def _upright_in_blocks(pictures: NDArray[np.uint8], descriptors: _Floats) -> tuple[_Ints, _Ints, _Floats]:
    """The descriptions of all pictures, each in one orientation: their places among (n, views), the rest as there."""
    parts = []
    for place, some in enumerate(_in_blocks(pictures)):
        row, orientation, oriented = _upright(_described(some, descriptors).reshape(-1, _LENGTH), unsure=0)
        parts.append((row + place * _AT_ONCE * len(descriptors), orientation, oriented))
    row, orientation, oriented = (np.concatenate(part) for part in zip(*parts, strict=True))
    return row, orientation, oriented


def _in_blocks(rows: NDArray[Any], size: int = _AT_ONCE) -> list[NDArray[Any]]:
    return [rows[start : start + size] for start in range(0, max(len(rows), 1), size)]


def _centres(vectors: _Floats, cancel: CancelToken) -> _Floats:
    """Centres of cells of ``_CELL`` descriptions on average, of length 1 (k-means by cosine on a part of them)."""
    count = max(1, round(len(vectors) / _CELL))
    some = vectors[np.random.default_rng(0).permutation(len(vectors))[: 32 * count]]
    centres = some[:count] if len(some) else np.zeros((1, _LENGTH), np.float32)
    for _ in range(6):
        cancel.raise_if_cancelled()
        nearest = _nearest(some, centres)
        sums = np.zeros_like(centres)
        np.add.at(sums, nearest, some)
        length = np.linalg.norm(sums, axis=1, keepdims=True)
        centres = np.where(length > 0, sums / np.maximum(length, 1e-9), centres)
    return centres


def _nearest(vectors: _Floats, centres: _Floats) -> _Ints:
    parts = [(part @ centres.T).argmax(axis=1) for part in _in_blocks(vectors)]
    return np.concatenate([np.zeros(0, np.int64), *parts])


def best_of_each(picture: _Ints, other: _Ints, cosine: _Floats, most: int) -> _Ints:
    """Which pairs of pictures to keep: each once, none with itself, of each those with the highest cosines."""
    if not len(picture):
        return np.zeros(0, np.int64)
    kept = np.flatnonzero(picture != other)
    # Where many are alike, most pairs are sorted out by counting, which is faster than sorting.
    first = int(picture.min())
    level = ((1 - cosine) * _LEVELS).astype(np.int64).clip(0, _LEVELS - 1)
    place = (picture - first) * _LEVELS + level
    counts = np.bincount(place[kept], minlength=(int(picture.max()) - first + 1) * _LEVELS).reshape(-1, _LEVELS)
    better = np.cumsum(counts, axis=1) - counts
    kept = kept[better.reshape(-1)[place[kept]] < 8 * most]
    kept = kept[np.lexsort((-cosine[kept], other[kept], picture[kept]))]
    kept = kept[(np.diff(picture[kept], prepend=-1) != 0) | (np.diff(other[kept], prepend=-1) != 0)]
    kept = kept[np.lexsort((-cosine[kept], picture[kept]))]
    return np.asarray(kept[np.arange(len(kept)) - np.searchsorted(picture[kept], picture[kept]) < most], np.int64)
