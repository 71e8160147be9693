"""A thousand bytes by which pictures that look alike are found.

A fingerprint is the picture in small: 32 × 32 brightnesses, and 8 × 8 of each of the two colour differences of YCbCr.
What is compared, of the whole and of parts in every orientation, is worked out of it when pictures are compared.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

FINGERPRINT_VERSION = 2
"""Raised whenever the same picture would give another fingerprint."""

SIDE = 32
"""Brightnesses per side."""

COLOUR_SIDE = 8
"""Colour differences per side."""

FINGERPRINT_BYTES = SIDE * SIDE + 2 * COLOUR_SIDE * COLOUR_SIDE

LEAST_SIDE = 64
"""A picture may be decoded in small for its fingerprint, but not with sides below this, in pixels."""

_BLANK_LEVELS = 8
_BLANK_SHARE = 0.99
_BLANK_DEVIATION = 34  # at most: of 99 % within 8 levels and 1 % at the other end of 255
_AT_ONCE = 1024


def make_fingerprint(flat: Image.Image) -> bytes:
    """The fingerprint of an upright picture from ``pixels.flatten``, ``FINGERPRINT_BYTES`` long."""
    if (factor := min(flat.size) // (2 * LEAST_SIDE)) > 1:
        flat = flat.reduce(factor)  # plain means of a large picture: many times faster, and as good for this
    bright = np.asarray(flat.convert("L").resize((SIDE, SIDE), Image.Resampling.BILINEAR))
    if flat.mode == "L":
        colour = np.full(2 * COLOUR_SIDE * COLOUR_SIDE, 128, np.uint8)
    else:
        small = flat.resize((COLOUR_SIDE, COLOUR_SIDE), Image.Resampling.BILINEAR)
        colour = np.asarray(small.convert("YCbCr"))[..., 1:]
    return bright.tobytes() + colour.tobytes()


def are_blank(fingerprints: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Whether nearly all of each picture (n,) has one brightness: 99 % of it within 8 of 255 levels of the median."""
    blank = np.zeros(len(fingerprints), np.bool_)
    for start in range(0, len(fingerprints), _AT_ONCE):
        part = brightness(fingerprints[start : start + _AT_ONCE]).reshape(-1, SIDE * SIDE)
        maybe = np.flatnonzero(part.std(axis=1, dtype=np.float32) <= _BLANK_DEVIATION)
        bright = part[maybe].astype(np.int16)
        near = np.abs(bright - np.median(bright, axis=1, keepdims=True)) <= _BLANK_LEVELS
        blank[start + maybe] = near.mean(axis=1) >= _BLANK_SHARE
    return blank


def brightness(fingerprints: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The brightnesses of fingerprints (n, FINGERPRINT_BYTES), as (n, SIDE, SIDE)."""
    return fingerprints[:, : SIDE * SIDE].reshape(-1, SIDE, SIDE)


def colour_differences(fingerprints: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Their colour differences, Cb and Cr, as (n, COLOUR_SIDE, COLOUR_SIDE, 2); 128 is no colour."""
    return fingerprints[:, SIDE * SIDE :].reshape(-1, COLOUR_SIDE, COLOUR_SIDE, 2)
