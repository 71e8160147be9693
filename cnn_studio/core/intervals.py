"""How far a fraction of a few images may be from the truth."""

from __future__ import annotations

import math

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
