"""Heat maps: where a network looked, and how that is drawn over a picture."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cnn_studio.core.experiment.settings import Fit

OPACITY = 0.6
"""Of the hottest place, when nothing else is asked for."""

# From cold to hot; also told apart in grey and by those who do not see red and green.
_STOPS = (0.0, 0.35, 0.7, 1.0)
_COLOURS = ((68, 20, 110), (190, 50, 110), (250, 140, 40), (255, 245, 130))

_LUMINANCE = (0.299, 0.587, 0.114)  # ITU-R 601, as Pillow's mode "L"


@dataclass(frozen=True, eq=False)
class Explanation:
    """Where a network looked when it was asked how likely a class is.

    Attributes:
        path: the image file.
        class_name: the class that was asked about.
        probability: what the network gave it, 0–1.
        ranked: (class name, probability) of all classes, most likely first.
        heat: float32 (h, w) 0–1, to be stretched to the picture; all 0 where nothing spoke for the class, and where the
            network sees nothing of the picture. Of the size the network takes where pictures are squashed to it.
        layer: name of the layer whose feature maps were weighed.
        map_size: (height, width) of these maps: how fine the answer really is.
        unsure: whether the most likely class is less likely than the model's threshold.
    """

    path: Path
    class_name: str
    probability: float
    ranked: tuple[tuple[str, float], ...]
    heat: NDArray[np.float32]
    layer: str
    map_size: tuple[int, int]
    unsure: bool = False


def heat_colours(heat: NDArray[np.floating]) -> NDArray[np.uint8]:
    """A heat map (h, w) 0–1 in colours: uint8 RGB (h, w, 3), from violet (cold) to light yellow (hot)."""
    values = np.clip(np.asarray(heat, np.float64), 0.0, 1.0)
    channels = [np.interp(values, _STOPS, [colour[channel] for colour in _COLOURS]) for channel in range(3)]
    return np.stack(channels, axis=-1).round().astype(np.uint8)


def resized(heat: NDArray[np.floating], height: int, width: int) -> NDArray[np.float32]:
    """A heat map at another size, bilinear: float32 (height, width)."""
    from PIL import Image

    image = Image.fromarray(np.asarray(heat, np.float32))
    return np.array(image.resize((width, height), Image.Resampling.BILINEAR), np.float32)


def over_picture(heat: NDArray[np.floating], fit: Fit, height: int, width: int) -> NDArray[np.float32]:
    """What a network sees of a picture, laid out over the whole picture.

    Args:
        heat: (h, w) over what the network takes.
        fit: how the picture was made to fit that.
        height: of the picture, upright, in pixels.
        width: of the picture, in pixels.

    Returns:
        float32 (h', w') of the picture's proportions, to be stretched to it: as it came where the picture was squashed;
        cold where its margins were cropped away; without the bars that it was padded with.
    """
    values = np.asarray(heat, np.float32)
    if fit is Fit.SQUASH:
        return values
    inner_height, inner_width = values.shape
    scales = inner_height / height, inner_width / width
    scale = max(scales) if fit is Fit.CROP else min(scales)
    rows, columns = max(1, round(height * scale)), max(1, round(width * scale))
    if fit is Fit.CROP:
        rows, columns = max(rows, inner_height), max(columns, inner_width)
        whole = np.zeros((rows, columns), np.float32)
        top, left = (rows - inner_height) // 2, (columns - inner_width) // 2
        whole[top : top + inner_height, left : left + inner_width] = values
        return whole
    rows, columns = min(rows, inner_height), min(columns, inner_width)
    top, left = round((inner_height - rows) / 2), round((inner_width - columns) / 2)  # as the recipe pads
    return values[top : top + rows, left : left + columns].copy()


def overlay(picture: NDArray[np.uint8], heat: NDArray[np.floating], opacity: float = OPACITY) -> NDArray[np.uint8]:
    """A picture in grey with a heat map over it: the hotter a place, the more of the map's colour.

    Grey, because a daisy's own yellow would look hot.

    Args:
        picture: uint8 RGB (height, width, 3).
        heat: (h, w) 0–1, of any size; it is stretched to the picture.
        opacity: of the hottest place, 0–1; at 0 the picture is given as it is.

    Returns:
        uint8 RGB (height, width, 3).
    """
    if opacity <= 0:
        return picture.copy()
    hot = resized(heat, picture.shape[0], picture.shape[1])
    grey = picture @ np.array(_LUMINANCE)
    # The square root lets warm places, not the peak alone, be seen.
    cover = opacity * np.sqrt(np.clip(hot, 0.0, 1.0))[..., None]
    mixed = grey[..., None] * (1.0 - cover) + heat_colours(hot) * cover
    return np.asarray(mixed.round(), np.uint8)
