"""How far a fraction of a few images may be from the truth."""

from __future__ import annotations

import math
from collections.abc import Sequence

_Z_95 = 1.959963984540054
"""The 97.5 % quantile of the normal distribution."""


def wilson_interval(right: int, count: int) -> tuple[float, float]:
    """The 95 % score interval of a fraction (Wilson 1927), which stays within 0–1 also on few images.

    Args:
        right: how many of them, 0 to ``count``.
        count: how many there are; without any the interval is 0–1.

    Returns:
        Its ends, 0–1.
    """
    if count == 0:
        return 0.0, 1.0
    share, z2 = right / count, _Z_95**2 / count
    centre = (share + z2 / 2) / (1 + z2)
    half = _Z_95 / (1 + z2) * math.sqrt(share * (1 - share) / count + z2 / (4 * count))
    low = 0.0 if right == 0 else centre - half
    high = 1.0 if right == count else centre + half
    return low, high


def paired_difference(right: Sequence[bool], other: Sequence[bool]) -> tuple[float, float, float]:
    """How much more often the first of two models is right than the other on the same images, and its 95 % interval.

    Images that both get right, or neither, say nothing of the difference, so this is narrower than two intervals held
    against each other. Agresti and Min 2005: half an image is added to each of the four cells.

    Args:
        right: whether the first was right, for each image.
        other: whether the other was, for the same images in the same order.

    Returns:
        The difference of the two accuracies, and the interval's ends, -1 to 1; without images 0, -1, 1.
    """
    pairs = list(zip(right, other, strict=True))
    if not pairs:
        return 0.0, -1.0, 1.0
    only_first = sum(bool(one) and not two for one, two in pairs)
    only_other = sum(bool(two) and not one for one, two in pairs)
    count, b, c = len(pairs) + 2, only_first + 0.5, only_other + 0.5
    middle = (b - c) / count
    half = _Z_95 * math.sqrt(b + c - (b - c) ** 2 / count) / count
    return (only_first - only_other) / len(pairs), max(-1.0, middle - half), min(1.0, middle + half)
