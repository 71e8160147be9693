"""Which pictures are versions of one picture: turned, mirrored, cut, shifted, saved again, in grey, with a mark on it.

Three steps. *Search*: pairs are found of which some view is alike (``view_search``). *Alignment*: their fingerprints
are laid upon each other as exactly as they can be (``core.image.alignment``). *Decision*: what is left of a difference
then must be small; and where everything was photographed alike, it must be smaller than what is usual there.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from enum import IntEnum
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

from cnn_studio.core.data.view_search import Candidates, ViewSearch, best_of_each, joined
from cnn_studio.core.image.alignment import Alignment, align
from cnn_studio.core.image.fingerprints import COLOUR_SIDE, SIDE, brightness, colour_differences
from cnn_studio.core.job.events import Stage, StageStarted
from cnn_studio.core.job.jobs import CancelToken, JobContext
from cnn_studio.core.job.threads import ProgressMeter

NEAR_DUPLICATES_VERSION = 3
"""Raised whenever the same fingerprints would make other pairs."""

# The difference of two aligned pictures is the share of their contrast that is left between them, plus what their
# windows lack of full correlation. Measured on planted copies, see bench_duplicates.py.
_PROMISING = (0.4, 0.2)
"""Share of contrast left, at half size after two and after four steps, up to which a pair is looked at further."""

_ALIKE = 0.15
"""Difference up to which two pictures are alike, if they stand out among what else is like either of them.

Where everything was photographed alike, every shirt resembles ten others; a copy is nearer to its original than those.
"""

_CROWD = 4
_STANDS_OUT = 0.6
"""How much smaller than the ``_CROWD``-th smallest of a picture its difference from a version of it must be."""

_GAP = 0.4
"""Or than the next one: a picture may have more versions than make a crowd, and then comes nothing for a while."""

_SURELY_ALIKE = 0.99
"""Cosine of the low frequencies of two whole pictures from which alike ones need not stand out.

Pictures of 28 pixels that were shrunk lose so much that a crowd of shirts comes as near once each is aligned; as they
lie, none does: two pairs in 900 of Fashion-MNIST, none in 900 flowers or hands.
"""

_LOW = 8  # frequencies of height and of width

_UNKNOWN, _ALL_KNOWN = 0.2, 9
"""Difference of the nearest picture that was not found, where fewer than so many were; more may be the best of many."""

_SAME, _SAME_EVERYWHERE = 0.05, 0.12
"""Differences up to which two pictures are the same one: as above, and in the window that agrees least (share of the
contrast). Different things photographed alike have more somewhere, edited copies too."""

_SAME_OVERLAP = 0.6  # of either picture: a bright stripe on black is like a part of many a picture
_LEAST_OVERLAP = 0.4  # of either picture: a copy that lost 30 % of height and width shows half
_LARGEST_STRETCH = 1.8
_LEAST_CONTRAST = 2.0  # standard deviation in levels, below which there is no picture to compare
_LARGEST_COLOUR_DIFFERENCE = 40.0  # of 255 levels; brightened copies were seen to have 29
_SAME_COLOUR = 16.0  # levels
_COLOURLESS = 6.0  # levels

_LARGEST_COUNTED = 0.4  # difference
_CANDIDATES = 100_000  # for all pictures together and each kind of search, but so many for each:
_FEWEST, _MOST = 2, 16
_FINALISTS = 12  # of each picture
_FINE_STEPS = 5
_BLOCK = (256, 2048)  # pictures at once, at least and at most
_PAIRS = 2048  # aligned between two looks at whether to cancel

_Floats = NDArray[np.float32]
_Ints = NDArray[np.int64]


class Likeness(IntEnum):
    """What two pictures are to each other; the value is kept on disk."""

    ALIKE = 1
    SAME = 2
    """Verified: once aligned, their brightness is the same to within what saving and scaling do."""

    EQUAL = 3
    """Their fingerprints are equal, byte by byte."""


def find_pairs(fingerprints: NDArray[np.uint8], context: JobContext) -> _Ints:
    """Find the pairs of pictures that are versions of one.

    Args:
        fingerprints: (n, FINGERPRINT_BYTES), from ``make_fingerprint``.
        context: ``report`` is told a ``StageStarted(COMPARE)`` and ``Progress`` in images. ``cancel`` is looked at
            between blocks.

    Returns:
        (m, 3): the positions of two pictures, the lower first, and their ``Likeness``. Of pictures with equal
        fingerprints only the first is compared with others, and each of them is paired with it.

    Raises:
        JobCancelled: the user discarded the job.
    """
    # A thousand copies of one picture would make a million pairs.
    first_with: dict[bytes, int] = {}
    firsts = np.fromiter(
        (first_with.setdefault(blake2b(row, digest_size=16).digest(), place) for place, row in enumerate(fingerprints)),
        np.int64,
        len(fingerprints),
    )
    places = np.fromiter(first_with.values(), np.int64, len(first_with))
    copies = np.flatnonzero(firsts != np.arange(len(firsts)))
    equal = np.stack([firsts[copies], copies, np.full(len(copies), Likeness.EQUAL)], axis=1)
    distinct = fingerprints[places]
    context.report(StageStarted(Stage.COMPARE, len(distinct)))
    if len(distinct) < 2:
        return equal
    first, second, difference, same = _differences(distinct, context)
    alike = difference <= _ALIKE
    alike &= _stand_out(len(distinct), first, second, difference)
    near = np.flatnonzero(~alike & (difference <= _ALIKE))
    alike[near] = _are_surely_alike(brightness(distinct), first[near], second[near])
    alike |= same
    likeness = np.where(same, Likeness.SAME, Likeness.ALIKE)
    found = np.stack([places[first], places[second], likeness], axis=1)[alike]
    return np.concatenate([equal, found])


def are_pairs(numbers: Sequence[int], count: int) -> bool:
    """Whether numbers from a file are rows that ``find_pairs`` may have found among ``count`` pictures."""
    firsts, seconds, kinds = numbers[0::3], numbers[1::3], numbers[2::3]
    return (
        len(numbers) % 3 == 0
        and all(0 <= first < second < count for first, second in zip(firsts, seconds, strict=True))
        and set(kinds) <= set(Likeness)
    )


_Measured = tuple[_Ints, _Ints, _Floats, NDArray[np.bool_]]
"""Of pairs: the pictures, how different they are once aligned, and whether they are the same."""


def _differences(fingerprints: NDArray[np.uint8], context: JobContext) -> _Measured:
    """Pairs (first < second) that could be aligned, each once."""
    count = len(fingerprints)
    meter = ProgressMeter(Stage.COMPARE, count, context.report)
    most = int(np.clip(_CANDIDATES // max(count, 1), _FEWEST, _MOST))
    search = ViewSearch(brightness(fingerprints), most, context.cancel)
    small = _small(brightness(fingerprints))
    found = [(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0, np.float32), np.zeros(0, np.bool_))]
    block = int(np.clip(count // 64, *_BLOCK))
    for start in range(0, count, block):
        stop = min(start + block, count)
        finalists = _finalists(small, search.candidates(start, stop), context.cancel)
        found += [_measured(fingerprints, some) for some in _parts(finalists, context.cancel)]
        meter.add(stop - start)
    one, other, difference, same = (np.concatenate(parts) for parts in zip(*found, strict=True))
    first, second = np.minimum(one, other), np.maximum(one, other)
    order = np.lexsort((difference, ~same, second, first))
    first, second, difference, same = first[order], second[order], difference[order], same[order]
    new = (np.diff(first, prepend=-1) != 0) | (np.diff(second, prepend=-1) != 0)
    return first[new], second[new], difference[new], same[new]


def _finalists(small: NDArray[np.float16], candidates: Candidates, cancel: CancelToken) -> Candidates:
    """The candidates that lie upon each other at half size, better aligned; of each picture only the best."""
    found, lefts = [], []
    for part in _parts(candidates, cancel):
        pairs = part
        for promising in _PROMISING:
            template, other = small[pairs.second].astype(np.float32), small[pairs.first].astype(np.float32)
            rough = align(template, other, pairs.maps, pairs.trusted, steps=2)
            left = rough.error / np.maximum(rough.contrast, 1e-6)
            good = np.flatnonzero(left <= promising)
            pairs, left = replace(pairs, maps=rough.maps, trusted=rough.explained).some(good), left[good]
        found.append(pairs)
        lefts.append(left)
    pairs = joined(found)
    return pairs.some(best_of_each(pairs.first, pairs.second, 1 - np.concatenate(lefts).astype(np.float32), _FINALISTS))


def _measured(fingerprints: NDArray[np.uint8], pairs: Candidates) -> _Measured:
    """Of the finalists those that can be aligned."""
    bright, colour = brightness(fingerprints), colour_differences(fingerprints)
    trusted = pairs.trusted.reshape(-1, SIDE // 2, SIDE // 2).repeat(2, axis=1).repeat(2, axis=2).reshape(-1, SIDE**2)
    template, other = _smooth(bright[pairs.second]), _smooth(bright[pairs.first])
    fine = align(template, other, pairs.maps, trusted, _FINE_STEPS, in_detail=True)
    stretch = np.linalg.svd(fine.maps[:, :, :2], compute_uv=False)
    covered = np.minimum(fine.overlap, fine.overlap * stretch.prod(axis=1))
    difference = fine.error / np.maximum(fine.contrast, 1e-6) + 1 - fine.detail
    possible = np.flatnonzero(
        (difference <= _LARGEST_COUNTED)
        & (covered >= _LEAST_OVERLAP)
        & (stretch <= _LARGEST_STRETCH).all(axis=1)
        & (stretch >= 1 / _LARGEST_STRETCH).all(axis=1)
        & (fine.contrast >= _LEAST_CONTRAST)
    )
    first, second = pairs.first[possible], pairs.second[possible]
    colours_apart = _colour_distance(colour[second], colour[first], fine.some(possible))
    near = colours_apart <= _LARGEST_COLOUR_DIFFERENCE
    first, second, possible, colours_apart = first[near], second[near], possible[near], colours_apart[near]
    everywhere = fine.worst <= _SAME_EVERYWHERE * fine.contrast_everywhere
    same = ((difference <= _SAME) & everywhere & (covered >= _SAME_OVERLAP))[possible]
    return first, second, difference[possible].astype(np.float32), same & (colours_apart <= _SAME_COLOUR)


def _parts(pairs: Candidates, cancel: CancelToken) -> Iterator[Candidates]:
    """All pairs, a few thousand at a time, at least once."""
    for start in range(0, max(len(pairs.first), 1), _PAIRS):
        cancel.raise_if_cancelled()
        yield pairs.some(slice(start, start + _PAIRS))


def _small(pictures: NDArray[np.uint8]) -> NDArray[np.float16]:
    """Pictures (n, SIDE, SIDE) smoothed and at half size."""
    half = SIDE // 2
    small = np.empty((len(pictures), half, half), np.float16)
    for start in range(0, len(pictures), _PAIRS):
        some = _smooth(pictures[start : start + _PAIRS])
        small[start : start + _PAIRS] = some.reshape(len(some), half, 2, half, 2).mean(axis=(2, 4))
    return small


def _smooth(pictures: NDArray[np.uint8]) -> _Floats:
    """Pictures (n, SIDE, SIDE) without what scaling and saving change most."""
    wide = np.pad(pictures.astype(np.float32), ((0, 0), (1, 1), (1, 1)), mode="edge")
    wide = wide[:, :-2] + 2 * wide[:, 1:-1] + wide[:, 2:]
    return np.asarray((wide[:, :, :-2] + 2 * wide[:, :, 1:-1] + wide[:, :, 2:]) / 16, np.float32)


def _colour_distance(template: NDArray[np.uint8], other: NDArray[np.uint8], aligned: Alignment) -> _Floats:
    """How far the colours are apart where the brightness agrees, in levels; 0 where one picture is grey."""
    a, b = (part.astype(np.float32) - 128 for part in (template, other))
    cell = SIDE // COLOUR_SIDE
    agrees = aligned.explained.reshape(-1, COLOUR_SIDE, cell, COLOUR_SIDE, cell).mean(axis=(2, 4)) >= 0.6
    middle = (np.arange(COLOUR_SIDE, dtype=np.float32) + 0.5) / COLOUR_SIDE - 0.5
    places = np.stack([np.tile(middle, COLOUR_SIDE), np.repeat(middle, COLOUR_SIDE), np.ones(COLOUR_SIDE**2)])
    x, y = np.clip((aligned.maps @ places + 0.5) * COLOUR_SIDE - 0.5, 0, COLOUR_SIDE - 1).swapaxes(0, 1)
    column, row = (np.minimum(axis.astype(int), COLOUR_SIDE - 2) for axis in (x, y))
    x, y, which = (x - column)[..., None], (y - row)[..., None], np.arange(len(a))[:, None]
    above = b[which, row, column] * (1 - x) + b[which, row, column + 1] * x
    below = b[which, row + 1, column] * (1 - x) + b[which, row + 1, column + 1] * x
    apart = np.abs(a.reshape(len(a), COLOUR_SIDE**2, 2) - (above * (1 - y) + below * y)).max(axis=2)
    apart[~agrees.reshape(len(a), COLOUR_SIDE**2)] = 0
    grey = np.minimum(np.abs(a).max(axis=(1, 2, 3)), np.abs(b).max(axis=(1, 2, 3))) <= _COLOURLESS
    return np.where(grey, 0, np.quantile(apart, 0.95, axis=1)).astype(np.float32)


def _stand_out(count: int, first: _Ints, second: _Ints, difference: _Floats) -> NDArray[np.bool_]:
    """Which of the pairs are nearer to each other than either is to the crowd."""
    picture, value = np.concatenate([first, second]), np.concatenate([difference, difference])
    order = np.lexsort((value, picture))
    picture, value = picture[order], value[order]
    rank = np.arange(len(order)) - np.searchsorted(picture, picture)
    limit = np.full(count, np.inf, np.float32)
    limit[picture[rank == _CROWD - 1]] = _STANDS_OUT * value[rank == _CROWD - 1]
    following = np.append(value[1:], 0)[: len(value)]
    last = np.append(picture[1:], -1)[: len(picture)] != picture
    following[last] = np.where(rank[last] < _ALL_KNOWN, _UNKNOWN, 0)
    before_gap = value <= _GAP * following
    np.maximum.at(limit, picture[before_gap], value[before_gap])
    return difference <= np.minimum(limit[first], limit[second])


def _are_surely_alike(bright: NDArray[np.uint8], first: _Ints, second: _Ints) -> NDArray[np.bool_]:
    """Which pairs of whole pictures have the same low frequencies, in some orientation."""
    frequency, place = np.arange(_LOW, dtype=np.float32)[:, None], np.arange(SIDE)[None]
    transform = np.cos(np.pi * frequency * (2 * place + 1) / (2 * SIDE)).astype(np.float32)
    transform[0] /= np.sqrt(2)
    raised = np.hypot(frequency, frequency.T)  # in photographs strength falls off with frequency
    signs = np.where(np.arange(_LOW) % 2, -1, 1)
    surely = np.zeros(len(first), np.bool_)
    for start in range(0, len(first), _PAIRS):
        part = slice(start, start + _PAIRS)
        a, b = (raised * (transform @ bright[which[part]] @ transform.T) for which in (first, second))
        products = np.stack([a * b, a * b.swapaxes(1, 2)])
        across, down = products * signs, products * signs[:, None]
        best = np.stack([products, across, down, across * signs[:, None]]).sum(axis=(3, 4)).max(axis=(0, 1))
        surely[part] = best >= _SURELY_ALIKE * np.linalg.norm(a, axis=(1, 2)) * np.linalg.norm(b, axis=(1, 2))
    return surely


# -- groups --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Groups:
    """What pairs make of n pictures; groups are numbered from 1 in the order of their first pictures.

    Attributes:
        connected: of each picture the number of its group, 0 for none. If a is like b and b is like c, all are one
            group: what must stay together.
        alike: the numbers of the groups a picture is in whose members are all alike: what can be shown. A picture that
            is like two others, which are not alike, is in two groups.
        same: the numbers of the groups whose members are all the same picture.
    """

    connected: tuple[int, ...]
    alike: tuple[tuple[int, ...], ...]
    same: tuple[tuple[int, ...], ...]


def group(count: int, pairs: _Ints) -> Groups:
    """Put ``count`` pictures into groups by the pairs that ``find_pairs`` found among them."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    first, second, likeness = pairs.T
    links = coo_array((np.ones(len(pairs), np.int8), (first, second)), shape=(count, count))
    _, component = connected_components(links, directed=False)
    return Groups(
        tuple(_numbered(component).tolist()),
        _cliques(count, pairs),
        _cliques(count, pairs[likeness >= Likeness.SAME]),
    )


def _numbered(component: NDArray[np.integer]) -> _Ints:
    """Components with more than one member numbered from 1 by their first member; 0 for the others."""
    _, first, which, sizes = np.unique(component, return_index=True, return_inverse=True, return_counts=True)
    numbers = np.zeros(len(first), np.int64)
    shared = np.flatnonzero(sizes > 1)
    numbers[shared[np.argsort(first[shared])]] = np.arange(1, len(shared) + 1)
    return numbers[which]


def _cliques(count: int, pairs: _Ints) -> tuple[tuple[int, ...], ...]:
    """Numbers of groups in which all are paired, so that each pair is in one; as large as they come, not as few."""
    equal: dict[int, list[int]] = {}
    near: dict[int, set[int]] = {}
    for first, second, likeness in pairs.tolist():
        if likeness == Likeness.EQUAL:
            equal.setdefault(first, [first]).append(second)
        else:
            near.setdefault(first, set()).add(second)
            near.setdefault(second, set()).add(first)
    found = [[first] for first in equal if first not in near]
    covered: set[tuple[int, int]] = set()
    for first in sorted(near):
        for second in sorted(near[first]):
            if second < first or (first, second) in covered:
                continue
            clique = [first, second]
            for other in sorted(near[first] & near[second]):
                if near[other].issuperset(clique):
                    clique.append(other)
            clique.sort()
            covered.update((a, b) for place, a in enumerate(clique) for b in clique[place + 1 :])
            found.append(clique)
    numbers: list[tuple[int, ...]] = [()] * count
    for number, members in enumerate(sorted(found), start=1):
        for member in _with_equal(members, equal):
            numbers[member] = (*numbers[member], number)
    return tuple(numbers)


def _with_equal(members: Sequence[int], equal: dict[int, list[int]]) -> Iterable[int]:
    for member in members:
        yield from equal.get(member, (member,))
