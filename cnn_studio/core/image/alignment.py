"""Laying one small picture over another: turned, cut out, brighter, with something stuck on it.

The method of Lucas and Kanade in the form of Baker and Matthews (2004, *Lucas-Kanade 20 Years On*, inverse
compositional), for many pairs at once: an affine map, a gain and an offset are sought for which one picture explains
the other, and places that they do not explain (a watermark, black corners) count less and less.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_EXPLAINED = 0.75
"""Share of the common places by which a pair is judged, the best ones: a mark over 15 % of a picture spoils 20 %."""

_WINDOWS = 0.6
"""The same share of windows, of which such a mark spoils more."""

_WINDOW = 8  # places per side of a window; the next one begins in the middle of it
_NOISE = 2.0  # levels: a window with a smaller standard deviation is flat
_STRONGEST = 12.0  # levels: from there on windows count the same
_LEAST_WINDOWS = 0.1  # share of all that must not be flat

_STEP = 0.15  # of a side: the farthest that one step may move
_GAIN = (0.3, 3.0)
_LEAST_SPREAD = 4.0  # levels: differences below are noise, wherever they are
_AT_ONCE = 64  # pairs: what a core's cache holds

_Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Alignment:
    """How n pairs of pictures lie upon each other.

    Attributes:
        maps: (n, 2, 3) from places in the template to places in the other picture; a place is −0.5 to 0.5 along each
            side.
        overlap: (n,) share of the template that the other picture covers.
        error: (n,) root mean square of what is left between them, in levels of 255, over the best 75 % of the overlap.
        contrast: (n,) standard deviation of the template there, in levels, once it is as bright as the other picture.
        explained: (n, side²) which places of the template those are.
        detail: (n,) how alike they are in detail, if that was asked for, else 0: the mean correlation, at most 1, over
            the best 60 % of the windows of 8 × 8 places that are not flat, the stronger ones counting more. A bright
            disc on a dark ground, or a horizon, makes any two pictures alike as a whole, but not in each window.
        worst: (n,) root mean square of what is left in the window that agrees least, likewise if asked for.
        contrast_everywhere: (n,) standard deviation of the template over all of the overlap.
    """

    maps: _Floats
    overlap: _Floats
    error: _Floats
    contrast: _Floats
    explained: NDArray[np.bool_]
    detail: _Floats
    worst: _Floats
    contrast_everywhere: _Floats

    def some(self, which: NDArray[np.int64]) -> Alignment:
        """Some of the pairs."""
        return Alignment(*(getattr(self, name)[which] for name in self.__slots__))


def align(
    template: _Floats,
    other: _Floats,
    maps: _Floats,
    trusted: NDArray[np.bool_],
    steps: int,
    *,
    in_detail: bool = False,
) -> Alignment:
    """Improve the maps between pictures, step by step.

    Args:
        template: (n, side, side) brightness, 0–255; the side is a multiple of four.
        other: what is laid over them, of the same shape.
        maps: (n, 2, 3) where to begin; see ``Alignment``.
        trusted: (n, side²) places of the template that are thought to agree: the others have no say in the beginning.
        steps: how many.
        in_detail: whether ``Alignment.detail`` is wanted.
    """
    aligned: list[Alignment] = []
    for start in range(0, max(len(maps), 1), _AT_ONCE):
        some = slice(start, start + _AT_ONCE)
        pairs = _Pairs(template[some], other[some], maps[some], trusted[some])
        for step in range(steps):
            pairs.step(first=step == 0)
        aligned.append(pairs.judged(in_detail=in_detail))
    return Alignment(*(np.concatenate([getattr(part, name) for part in aligned]) for name in Alignment.__slots__))


class _Pairs:
    """Some pairs on their way."""

    def __init__(self, template: _Floats, other: _Floats, maps: _Floats, trusted: NDArray[np.bool_]) -> None:
        count, side, _ = template.shape
        place = (np.arange(side, dtype=np.float32) + 0.5) / side - 0.5
        self._x, self._y = x, y = np.tile(place, side), np.repeat(place, side)
        down, across = (slope.reshape(count, side**2) for slope in np.gradient(template, 1 / side, axis=(1, 2)))
        self._slopes = np.stack([across, across * x, across * y, down, down * x, down * y], axis=1)
        self._template = template.reshape(count, side**2)
        self._other = other
        self._maps = maps.astype(np.float64)
        self._trusted = trusted
        self._lay()
        self._weight = (self._inside & trusted).astype(np.float32)
        self._fit_light()

    def _lay(self) -> None:
        """Read the other picture where the maps put the template's places (bilinear)."""
        side = self._other.shape[1]
        row_x, row_y = self._maps.astype(np.float32)[..., None].swapaxes(0, 1)
        x, y = ((row[:, 0] * self._x + row[:, 1] * self._y + (row[:, 2] + 0.5)) * side - 0.5 for row in (row_x, row_y))
        self._inside = (x > -0.5) & (x < side - 0.5) & (y > -0.5) & (y < side - 0.5)
        x, y = np.clip(x, 0, side - 1), np.clip(y, 0, side - 1)
        column, row = np.minimum(x.astype(np.int32), side - 2), np.minimum(y.astype(np.int32), side - 2)
        x -= column
        y -= row
        at = row * side + column + np.arange(len(x), dtype=np.int32)[:, None] * side**2
        flat = self._other.reshape(-1)
        above, below = flat[at], flat[at + side]
        above += (flat[at + 1] - above) * x
        below += (flat[at + side + 1] - below) * x
        self._values = above + (below - above) * y

    def _fit_light(self) -> None:
        """Gain and offset by which the template comes nearest to the other picture, where the weights are."""
        weight, a, b = self._weight, self._template, self._values
        total = np.maximum(weight.sum(axis=1), 1e-3)
        mean_a, mean_b = (weight * a).sum(axis=1) / total, (weight * b).sum(axis=1) / total
        centred = weight * (a - mean_a[:, None])
        self._gain = np.clip((centred * b).sum(axis=1) / np.maximum((centred * a).sum(axis=1), 1), *_GAIN)
        self._light = self._gain[:, None] * a + (mean_b - self._gain * mean_a)[:, None]
        self._left = b - self._light
        spread = (weight * np.square(self._left)).sum(axis=1) / total
        self._spread = np.maximum(2 * spread, _LEAST_SPREAD**2)[:, None]

    def step(self, *, first: bool) -> None:
        """Move every map by what the differences ask for, and weigh the places anew (weights of Geman and McClure)."""
        weighted = self._slopes * (self._weight * self._gain[:, None])[:, None]
        normal = (weighted @ self._slopes.transpose(0, 2, 1)).astype(np.float64) * self._gain[:, None, None]
        normal += np.eye(6) * (np.trace(normal, axis1=1, axis2=2)[:, None, None] * 1e-4 + 1e-3)
        asked = (weighted @ self._left[:, :, None]).astype(np.float64)
        move = np.clip(np.linalg.solve(normal, asked)[:, :, 0], -_STEP, _STEP)
        change = np.tile(np.eye(3), (len(move), 1, 1))
        change[:, 0] += move[:, [1, 2, 0]]
        change[:, 1] += move[:, [4, 5, 3]]
        self._maps = self._maps @ np.linalg.inv(change)
        self._lay()
        left = self._values - self._light
        self._weight = self._inside / np.square(1 + np.square(left) / self._spread)
        if first:
            self._weight *= self._trusted
        self._fit_light()

    def judged(self, *, in_detail: bool) -> Alignment:
        common = self._inside.sum(axis=1)
        differences = np.where(self._inside, np.abs(self._left), np.float32(np.inf))
        places = np.maximum((common * _EXPLAINED).astype(int), 1)
        limit = np.take_along_axis(np.sort(differences, axis=1), places[:, None] - 1, axis=1)
        explained = (differences <= limit) & self._inside
        error = _root_mean(np.square(self._left), explained)
        contrast, everywhere = (_deviation(self._light, places) for places in (explained, self._inside))
        overlap = self._inside.mean(axis=1, dtype=np.float32)
        detail, worst = self._windows() if in_detail else (np.zeros_like(overlap), np.zeros_like(overlap))
        return Alignment(self._maps.astype(np.float32), overlap, error, contrast, explained, detail, worst, everywhere)

    def _windows(self) -> tuple[_Floats, _Floats]:
        """``Alignment.detail`` and ``Alignment.worst``."""
        inside = _windows(self._inside.astype(np.float32))
        whole = inside >= 0.9 * _WINDOW**2
        count = np.maximum(inside, 1)
        a, b = self._light * self._inside, self._values * self._inside
        mean_a, mean_b = _windows(a) / count, _windows(b) / count
        variance_a = np.maximum(_windows(a * a) / count - np.square(mean_a), 0)
        variance_b = np.maximum(_windows(b * b) / count - np.square(mean_b), 0)
        correlation = _windows(a * b) / count - mean_a * mean_b
        correlation /= np.sqrt(variance_a * variance_b) + _NOISE**2
        strength = np.sqrt(np.maximum(variance_a, variance_b))
        told = whole & (strength >= _NOISE)
        weight = np.where(told, np.minimum(strength, _STRONGEST), 0)
        best_first = np.argsort(-correlation, axis=1)
        correlation, weight = (np.take_along_axis(part, best_first, axis=1) for part in (correlation, weight))
        before = np.cumsum(weight, axis=1) - weight
        weight *= before < _WINDOWS * weight.sum(axis=1, keepdims=True)
        mean = (weight * correlation).sum(axis=1) / np.maximum(weight.sum(axis=1), 1e-6)
        detail = np.where(told.mean(axis=1) >= _LEAST_WINDOWS, mean, 0).astype(np.float32)
        left = _windows(np.square(self._left) * self._inside) / count
        return detail, np.sqrt(np.where(whole, left, 0).max(axis=1))


def _root_mean(squares: _Floats, places: NDArray[np.bool_]) -> _Floats:
    mean = (squares * places).sum(axis=1) / np.maximum(places.sum(axis=1), 1)
    return np.asarray(np.sqrt(mean), np.float32)


def _deviation(values: _Floats, places: NDArray[np.bool_]) -> _Floats:
    mean = (values * places).sum(axis=1) / np.maximum(places.sum(axis=1), 1)
    return _root_mean(np.square(values - mean[:, None]), places)


def _windows(places: _Floats) -> _Floats:
    """Sums over the windows of (n, side²)."""
    half, side = _WINDOW // 2, round(places.shape[1] ** 0.5)
    sums = places.reshape(len(places), side // half, half, side // half, half).sum(axis=(2, 4))
    sums = sums[:, :-1] + sums[:, 1:]
    return np.asarray((sums[:, :, :-1] + sums[:, :, 1:]).reshape(len(places), (side // half - 1) ** 2), np.float32)
