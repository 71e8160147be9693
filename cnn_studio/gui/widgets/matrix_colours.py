"""Colours of a confusion matrix's cells, and of the numbers in them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cnn_studio.gui.look.style_sheet import Palette

Colours = NDArray[np.uint8]
Values = NDArray[np.floating] | NDArray[np.integer]

FAINTEST = 0.22
"""Strength of the smallest amount there is: a single image among a thousand still has to be seen."""

FAINTEST_SPECK = 0.55
"""The same where a cell is a speck of a few pixels."""


def cell_colours(values: Values, palette: Palette, faintest: float = FAINTEST) -> Colours:
    """Colours (n, n, 3) of the cells: what is right in the accent, mistakes in the other colour, nothing as surface.

    Strength grows with the square root of the value: in a good model's matrix the mistakes, which one looks for, are a
    hundredth of the diagonal and would all be invisible on a linear scale.

    Args:
        values: (n, n), not negative; compared with the largest of them.
        palette: the theme's colours.
        faintest: strength (0–1) of the smallest amount above nothing.
    """
    highest = float(values.max()) if values.size else 0.0
    share = values / highest if highest > 0 else np.zeros(values.shape)
    strength = np.where(share > 0, faintest + (1 - faintest) * np.sqrt(share), 0.0)[..., None]
    full = np.broadcast_to(_rgb(palette.validation), (*values.shape, 3)).copy()
    full[np.diag_indices(len(values))] = _rgb(palette.accent)
    mixed = _rgb(palette.surface) * (1 - strength) + full * strength
    return np.asarray(np.rint(mixed), np.uint8)


def takes_light_text(colours: Colours) -> NDArray[np.bool_]:
    """Whether white stands out better than black on each colour (WCAG 2's contrast)."""
    channel = colours.astype(np.float64) / 255
    linear = np.where(channel <= 0.04045, channel / 12.92, ((channel + 0.055) / 1.055) ** 2.4)
    luminance = linear @ np.array([0.2126, 0.7152, 0.0722])
    return np.asarray(1.05 / (luminance + 0.05) > (luminance + 0.05) / 0.05)


def _rgb(colour: str) -> NDArray[np.float64]:
    return np.array([int(colour[place : place + 2], 16) for place in (1, 3, 5)], dtype=np.float64)
