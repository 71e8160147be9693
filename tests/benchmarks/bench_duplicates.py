"""Copies planted among 5,000 images: how many are found, and what else is called a copy.

Of each kind of change 300 images are picked, changed, saved as JPEG and put into the folder; it is scanned as the
program does. "Others" are pairs of originals that are called alike: most of those in photographs are real copies that
the data sets hold, which the list that --show prints tells. Then the time for more and more images, made up at random.
"""

import argparse
import io
import os
import random
import tempfile
import time
from collections import Counter
from itertools import combinations
from pathlib import Path

import numpy as np
from environment import heading
from PIL import Image, ImageEnhance, ImageOps

from cnn_studio.core.job.jobs import JobContext

MIXTURE = {"cifar10": 2200, "flowers": 1600, "cats_dogs": 900, "fashion_mnist": 200, "sign_digits": 100}


def jpeg(picture, quality=90):
    data = io.BytesIO()
    picture.convert("RGB").save(data, "JPEG", quality=quality)
    return data.getvalue()


def recompressed(picture, dice):
    return jpeg(picture, dice.choice([30, 45, 60, 75]))


def resized(picture, dice):
    scale = dice.choice([0.5, 0.6, 0.75, 1.5, 2])
    size = [max(8, round(side * scale)) for side in picture.size]
    return jpeg(picture.resize(size, Image.Resampling.LANCZOS))


def flipped(picture, dice):
    return jpeg(ImageOps.mirror(picture))


def cropped(picture, dice):
    width, height = picture.size
    left, right, top, bottom = (dice.uniform(0, 0.05) for _ in range(4))
    box = (left * width, top * height, (1 - right) * width, (1 - bottom) * height)
    return jpeg(picture.crop([round(edge) for edge in box]))


def brightness_shifted(picture, dice):
    return jpeg(ImageEnhance.Brightness(picture).enhance(dice.choice([0.7, 0.8, 1.2, 1.3])))


CHANGES = (recompressed, resized, flipped, cropped, brightness_shifted)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="the folder with cifar10, flowers and so on: ../shared/data")
    parser.add_argument("--only", choices=MIXTURE, help="all originals from this one (at most 5,000)")
    parser.add_argument("--planted", type=int, default=300, help="copies of each kind (300)")
    parser.add_argument("--sizes", type=int, nargs="*", default=[5_000, 20_000, 100_000], help="images to time")
    parser.add_argument("--show", action="store_true", help="list the pairs of originals that are called alike")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as home:
        os.environ["CNN_STUDIO_HOME"] = home
        folder = Path(home, "planted")
        truth = plant(options, folder, random.Random(0))
        began = time.perf_counter()
        dataset = scanned(folder)
        seconds = time.perf_counter() - began
    of_path = {Path(file.path).name: file for file in dataset.files}
    print(heading("Planted copies"))
    originals = [file for name, file in of_path.items() if name.startswith("original")]
    source = options.only or ", ".join(f"{count:,} {name}" for name, count in MIXTURE.items())
    print(f"Among {len(originals):,} images ({source}); scanned with all copies in {seconds:.0f} s.\n")
    print("| change | planted | found | recall | with a second original |\n| --- | ---: | ---: | ---: | ---: |")
    groups = Counter(file.similar for file in originals if file.similar)
    for change in CHANGES:
        pairs = [(of_path[a], of_path[b]) for kind, a, b in truth if kind == change.__name__]
        found = [(a, b) for a, b in pairs if a.similar and a.similar == b.similar]
        more = sum(groups[a.similar] > 1 for a, _ in found)
        name = change.__name__.replace("_", " ")
        print(f"| {name} | {len(pairs)} | {len(found)} | {len(found) / len(pairs):.1%} | {more} |")
    together = {}
    for file in originals:
        if file.similar:
            together.setdefault(file.similar, []).append(file)
    others = [pair for group in together.values() for pair in combinations(group, 2)]
    by_source = Counter(Path(a.path).name.split(" ")[1] for a, _ in others)
    named = ", ".join(f"{name} {count}" for name, count in by_source.most_common()) or "none"
    print(
        f"\nPairs of originals in one group: {len(others)} of {len(originals) * (len(originals) - 1) // 2:,} ({named})."
    )
    if options.show:
        for a, b in others:
            print(f"- {a.path} and {b.path}")
    print("\n| distinct images | compared in | processor time |\n| ---: | ---: | ---: |")
    for size in options.sizes:
        seconds, processor = seconds_to_compare(size)
        print(f"| {size:,} | {seconds:.1f} s | {processor:.1f} s |")


def plant(options, folder, dice):
    """Write originals and copies; gives (change, name of the original, name of the copy) of each copy."""
    wanted = {options.only: 5000} if options.only else MIXTURE
    originals = []
    for name, count in wanted.items():
        files = sorted(p for p in (options.data / name).rglob("*") if p.suffix.lower() in {".jpg", ".jpeg", ".png"})
        originals += [(name, path) for path in dice.sample(files, min(count, len(files)))]
    (folder / "a").mkdir(parents=True)
    (folder / "b").mkdir()
    names = []
    for number, (name, path) in enumerate(originals):
        names.append(f"original {name} {number:05}{path.suffix}")
        (folder / "a" / names[-1]).write_bytes(path.read_bytes())
    truth = []
    for change in CHANGES:
        for number in dice.sample(range(len(originals)), options.planted):
            copy = f"{change.__name__} {number:05}.jpg"
            with Image.open(originals[number][1]) as picture:
                (folder / "b" / copy).write_bytes(change(picture.convert("RGB"), dice))
            truth.append((change.__name__, names[number], copy))
    return truth


def scanned(folder):
    from cnn_studio.core.data.scan import scan_folder

    return scan_folder(folder, JobContext())


def seconds_to_compare(count):
    """Seconds, and seconds of processor time, for fingerprints with soft random shapes in them, no two alike."""
    from cnn_studio.core.data.near_duplicates import find_lookalikes
    from cnn_studio.core.image.fingerprints import FINGERPRINT_BYTES, SIDE

    dice = np.random.default_rng(0)
    rows = np.full((count, FINGERPRINT_BYTES), 128, np.uint8)
    for row in rows:
        shapes = Image.fromarray(dice.integers(0, 256, (6, 6), dtype=np.uint8))
        row[: SIDE * SIDE] = np.asarray(shapes.resize((SIDE, SIDE), Image.Resampling.BICUBIC)).reshape(-1)
    began, began_processor = time.perf_counter(), time.process_time()
    find_lookalikes(rows, JobContext())
    return time.perf_counter() - began, time.process_time() - began_processor


if __name__ == "__main__":
    main()
