"""From the many pixel formats of image files to 8-bit grey or RGB."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

GREY_MODES = ("1", "L", "LA", "I", "F")
"""Pillow's modes without colour; those that begin with "I;16" are grey too."""


def flatten(image: Image.Image) -> Image.Image:
    """A decoded picture of any mode as 8-bit grey ("L") or colour ("RGB"), with transparency laid on white."""
    if image.mode.startswith("I") or image.mode == "F":
        return Image.fromarray(_eight_bit(np.asarray(image), image.mode))
    target = "L" if image.mode in GREY_MODES else "RGB"
    if image.mode in {"RGBA", "LA", "PA"} or _has_transparent_colour(image):
        over = image.convert("RGBA")
        white = Image.new("RGBA", over.size, (255, 255, 255, 255))
        return Image.alpha_composite(white, over).convert(target)
    return image.convert(target)


def _has_transparent_colour(image: Image.Image) -> bool:
    if image.mode not in {"1", "L", "RGB", "P"} or "transparency" not in image.info:
        return False
    colour = image.info["transparency"]
    # A 16-bit file names its transparent colour in 16 bits, which no 8-bit pixel can match any more.
    channels = colour if isinstance(colour, tuple | bytes) else (colour,)
    if all(isinstance(channel, int) and 0 <= channel <= 255 for channel in channels):
        return True
    del image.info["transparency"]
    return False


def _eight_bit(pixels: NDArray[Any], mode: str) -> NDArray[np.uint8]:
    """Scale wide greys to 0–255.

    16-bit integers by their full range. 32-bit integers and floats say nothing of theirs: by the first of the usual
    ranges (8 bit, 16 bit; 0–1, 0–255) that holds every pixel, else from the darkest to the brightest.
    """
    if mode.startswith("I;16"):
        return np.asarray((pixels.astype(np.uint32) * 255 + 32767) // 65535, dtype=np.uint8)
    values = pixels.astype(np.float64)
    finite = np.isfinite(values)
    low, high = (float(values[finite].min()), float(values[finite].max())) if finite.any() else (0.0, 0.0)
    if low < 0 or high > (65535 if mode == "I" else 255):
        values = (values - low) * (255 / ((high - low) or 1))
    elif mode == "I":
        values = values if high <= 255 else values / 257
    elif high <= 1:
        values = values * 255
    finished = np.nan_to_num(values, nan=0.0, posinf=255, neginf=0).clip(0, 255)
    return np.asarray(np.rint(finished), dtype=np.uint8)


def is_colourless(flat: Image.Image) -> bool:
    """Whether every pixel of a picture from ``flatten`` has R = G = B."""
    if flat.mode == "L":
        return True
    rows = np.asarray(flat)
    # Nearly every colour picture shows it in its first rows.
    for part in (rows[:8], rows[8:]):
        if not (np.array_equal(part[..., 0], part[..., 1]) and np.array_equal(part[..., 1], part[..., 2])):
            return False
    return True
