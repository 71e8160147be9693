"""What is done to a decoded picture before a network sees it: the one place for this program and every exported script.

``ml.export`` publishes the text of these functions; they name nothing of this project, and need Pillow 10.1 and NumPy.
"""

import numpy as np
from PIL import Image, ImageOps, PngImagePlugin

# Some programs write megabytes of text into their PNG files, which Pillow refuses without this.
PngImagePlugin.MAX_TEXT_CHUNK = PngImagePlugin.MAX_TEXT_MEMORY


def eight_bits(picture: Image.Image, file_format: str | None) -> Image.Image:
    """Grey ("L") or RGB, 8 bits a channel, of a picture of any kind: deep greys scaled, transparency laid on white."""
    if picture.mode[0] in "IF":  # 16 or 32 bits, which Pillow would cut off at 255
        values = np.asarray(picture).astype(np.float64)
        low, high = 0.0, 65535.0
        if picture.mode == "F" or (picture.mode == "I" and file_format not in ("PNG", "PPM")):
            # 32 bits: the first usual range that holds nearly all pixels, else from the darkest to the brightest.
            finite = values[np.isfinite(values)]
            low, high = np.percentile(finite if finite.size else [0], (1, 99), method="nearest")
            for top in (1, 255, 65535)[picture.mode == "I" :]:
                if -high <= 10 * low and high <= 1.1 * top:
                    low, high = 0.0, top
                    break
        values = np.nan_to_num((values - low) * 255 / ((high - low) or 1), nan=0, posinf=255, neginf=0)
        return Image.fromarray(np.rint(values).clip(0, 255).astype(np.uint8))
    if picture.has_transparency_data:
        picture = picture.convert("RGBA")
        picture = Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture)
    if picture.mode not in ("L", "RGB"):  # a conversion to the same would be a copy, which takes its time
        picture = picture.convert("L" if picture.mode == "1" else "RGB")
    return picture


def squash(picture: Image.Image, width: int, height: int) -> Image.Image:
    """All of the picture, its proportions changed."""
    return picture.resize((width, height), Image.Resampling.BILINEAR)


def crop(picture: Image.Image, width: int, height: int) -> Image.Image:
    """The middle of the picture."""
    return ImageOps.fit(picture, (width, height), Image.Resampling.BILINEAR)


def pad(picture: Image.Image, width: int, height: int) -> Image.Image:
    """All of the picture between black bars. As ``ImageOps.pad``, but of a thin picture at least a line is left."""
    columns = min(width, max(1, round(picture.width / picture.height * height)))
    rows = min(height, max(1, round(picture.height / picture.width * width)))
    padded = Image.new(picture.mode, (width, height))
    resized = picture.resize((columns, rows), Image.Resampling.BILINEAR)
    padded.paste(resized, (round((width - columns) / 2), round((height - rows) / 2)))
    return padded
