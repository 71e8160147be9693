"""Large photographs made of small ones, for benchmarks that need files as phones write them."""

import random

from PIL import Image

TWELVE_MEGAPIXELS = (4000, 3000)


def write_photographs(sources, target, count, size, classes=2, tile=500):
    """Write ``count`` JPEG files of ``size`` (width, height) into class folders of ``target``.

    They are mosaics of the sources, each ``tile`` pixels high and wide, so that there is as much detail in them as in a
    photograph: 12 megapixels take 2.5 MB at 500, as phones mostly write them, and 3.9 MB at 250; 500 × 375 pixels take
    72 KB at 180, as on the web. How long a JPEG takes to decode depends on its bytes as much as on its pixels.
    """
    dice = random.Random(0)
    for number in range(count):
        picture = Image.new("RGB", size)
        for top in range(0, size[1], tile):
            for left in range(0, size[0], tile):
                with Image.open(dice.choice(sources)) as source:
                    picture.paste(source.convert("RGB").resize((tile, tile), Image.Resampling.BICUBIC), (left, top))
        path = target / f"class {number % classes}" / f"{number:04}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        picture.save(path, quality=90)


def jpegs_in(folder):
    """Every JPEG file of a data set's folder, sorted."""
    return sorted(path for path in folder.rglob("*") if path.suffix.lower() in {".jpg", ".jpeg"})
