"""Copies planted in a data set: how many are found, what else is called a copy, and how long it takes.

Of each set some images are taken, and of each change as many of them are changed, saved as JPEG and put into the
folder, at most one copy of an image; it is scanned as the program does. A copy counts as found when it is in one group
with its original. False pairs are pairs of files in one group that do not come from the same image; some of those are
real copies, or shots of one moment, that the data sets hold: --show draws them. Then the time to make fingerprints, and
to compare more and more of them, made up of real ones.
"""

import argparse
import io
import os
import random
import tempfile
import time
from functools import partial
from itertools import combinations
from pathlib import Path

import numpy as np
from environment import heading
from PIL import Image, ImageChops, ImageDraw, ImageEnhance, ImageFilter, ImageOps

from cnn_studio.core.job.jobs import JobContext

SETS = ("flowers", "cats_dogs", "cifar10", "fashion_mnist", "sign_digits")


def jpeg(picture, quality=90):
    data = io.BytesIO()
    picture.convert("RGB").save(data, "JPEG", quality=quality)
    return data.getvalue()


def oriented(picture, dice, how):
    return jpeg(picture.transpose(how))


def recompressed(picture, dice):
    return jpeg(picture, dice.choice([30, 45, 60, 75]))


def resized(picture, dice):
    scale = dice.choice([0.5, 0.6, 0.75, 1.5, 2])
    size = [max(8, round(side * scale)) for side in picture.size]
    return jpeg(picture.resize(size, Image.Resampling.LANCZOS))


def grey(picture, dice):
    return jpeg(ImageOps.grayscale(picture))


def blurred(picture, dice):
    return jpeg(picture.filter(ImageFilter.GaussianBlur(dice.uniform(0.01, 0.02) * min(picture.size))))


def brightness_shifted(picture, dice):
    return jpeg(ImageEnhance.Brightness(picture).enhance(dice.choice([0.7, 0.8, 1.2, 1.3])))


def cropped(picture, dice, least, most):
    """Height and width lose between ``least`` and ``most`` of themselves, anywhere."""
    box = []
    for side in picture.size:
        kept = max(4, round(side * (1 - dice.uniform(least, most))))
        begin = dice.randint(0, side - kept)
        box.append((begin, begin + kept))
    (left, right), (top, bottom) = box
    return jpeg(picture.crop((left, top, right, bottom)))


def watermarked(picture, dice, *, in_the_middle):
    """A box with writing over 10 to 15 % of the picture; half of them can be seen through."""
    picture = picture.copy()
    width, height = picture.size
    share, stretch = dice.uniform(0.10, 0.15), dice.uniform(1, 3)
    across = min(0.95, (share * stretch) ** 0.5)
    size = (max(2, round(across * width)), max(2, round(share / across * height)))
    mark = Image.new("RGB", size, dice.choice(["white", "black", "gold"]))
    ImageDraw.Draw(mark).text((2, 2), "SAMPLE " * 20 + "\n" + "stock 2024 " * 20, fill="grey")
    room = (width - size[0], height - size[1])
    place = [side // 2 for side in room] if in_the_middle else [dice.randint(0, side) for side in room]
    under = picture.crop((*place, place[0] + size[0], place[1] + size[1]))
    picture.paste(Image.blend(under, mark, dice.choice([0.6, 1.0])), place)
    return jpeg(picture)


def turned(picture, dice, least, most):
    degrees = dice.choice([-1, 1]) * dice.uniform(least, most)
    return jpeg(picture.rotate(degrees, Image.Resampling.BICUBIC, fillcolor=dice.choice(["black", "white"])))


def shifted(picture, dice):
    """By 10 % in one or both directions; what is left free is black, or taken from the other side."""
    across, down = dice.choice([(1, 0), (0, 1), (1, 1)])
    across, down = (
        round(0.1 * by * dice.choice([-1, 1]) * side) for by, side in zip((across, down), picture.size, strict=True)
    )
    if dice.random() < 0.5:
        return jpeg(ImageChops.offset(picture, across, down))
    moved = Image.new("RGB", picture.size)
    moved.paste(picture, (across, down))
    return jpeg(moved)


CHANGES = {
    **{how.name.lower().replace("_", " "): partial(oriented, how=how) for how in Image.Transpose},
    "recompressed": recompressed,
    "resized": resized,
    "grey": grey,
    "blurred": blurred,
    "brightness": brightness_shifted,
    "cropped to 15 %": partial(cropped, least=0, most=0.15),
    "watermark anywhere": partial(watermarked, in_the_middle=False),
    "watermark in the middle": partial(watermarked, in_the_middle=True),
    "cropped 15-30 %": partial(cropped, least=0.15, most=0.30),
    "turned 5-10°": partial(turned, least=5, most=10),
    "turned 10-15°": partial(turned, least=10, most=15),
    "shifted 10 %": shifted,
}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="the folder with cifar10, flowers and so on: ../shared/data")
    parser.add_argument("--sets", nargs="*", choices=SETS, default=SETS)
    parser.add_argument("--images", type=int, default=2000, help="of each set, before copies are added")
    parser.add_argument("--sizes", type=int, nargs="*", default=[5_000, 20_000, 100_000], help="images to time")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--show", type=Path, help="draw the false pairs of each set into this folder")
    options = parser.parse_args()
    recalls, rest = {}, []
    for name in options.sets:
        with tempfile.TemporaryDirectory() as home:
            os.environ["CNN_STUDIO_HOME"] = home
            folder = Path(home, "planted")
            planted, copies = plant(options.data / name, folder, random.Random(options.seed), options.images)
            began = time.process_time()
            files = scanned(folder)
            seconds = time.process_time() - began
            group = {Path(file.path).name: file.similar or None for file in files}
            found = {change: [group[a] and group[a] == group[b] for a, b in pairs] for change, pairs in copies.items()}
            recalls[name] = {change: sum(map(bool, pairs)) / len(pairs) for change, pairs in found.items()}
            false = false_pairs(group)
            among = sum("copy" not in a + b for a, b in false)
            same = {Path(file.path).name: set(file.same) for file in files}
            verified = sum(not same[a].isdisjoint(same[b]) for a, b in false)
            each = len(copies["grey"])
            rest.append(f"| {name} | {planted:,} | {each} | {len(false)} | {among} | {verified} | {seconds:.0f} s |")
            if options.show:
                draw(false, folder, options.show / f"{name}.png")
    print(heading("Planted copies"))
    print(f"| change | {' | '.join(recalls)} |\n| --- |{' ---: |' * len(recalls)}")
    for change in CHANGES:
        print(f"| {change} | {' | '.join(f'{recall[change]:.0%}' for recall in recalls.values())} |")
    print(
        "\n| set | images | copies of each change | false pairs | among the images | called the same | time to scan |"
    )
    print("| --- | ---: | ---: | ---: | ---: | ---: | ---: |")
    print("\n".join(rest))
    if not options.sizes:
        return
    real = fingerprints_of(options.data)
    print("\n| distinct images | compared in | processor time |\n| ---: | ---: | ---: |")
    for size in options.sizes:
        seconds, processor = seconds_to_compare(real, size)
        print(f"| {size:,} | {seconds:.1f} s | {processor:.1f} s |", flush=True)


def plant(source, folder, dice, most):
    """Write originals and copies; gives how many originals, and of each change (original's name, copy's name)."""
    paths = sorted(path for path in source.rglob("*") if path.suffix.lower() in {".jpg", ".jpeg", ".png"})
    paths = dice.sample(paths, min(most, len(paths)))
    (folder / "a").mkdir(parents=True)
    (folder / "b").mkdir()
    names = [f"{number:05}{path.suffix}" for number, path in enumerate(paths)]
    for name, path in zip(names, paths, strict=True):
        (folder / "a" / name).write_bytes(path.read_bytes())
    each = min(100, len(paths) // len(CHANGES))
    order = iter(dice.sample(range(len(paths)), each * len(CHANGES)))
    copies = {}
    for kind, (change, function) in enumerate(CHANGES.items()):
        copies[change] = []
        for _ in range(each):
            number = next(order)
            copy = f"{number:05} copy {kind:02}.jpg"
            with Image.open(paths[number]) as picture:
                (folder / "b" / copy).write_bytes(function(picture.convert("RGB"), dice))
            copies[change].append((names[number], copy))
    return len(paths), copies


def scanned(folder):
    from cnn_studio.core.data.scan import scan_folder

    return scan_folder(folder, JobContext()).files


def false_pairs(group_of):
    members = {}
    for name, group in group_of.items():
        if group:
            members.setdefault(group, []).append(name)
    return [pair for group in members.values() for pair in combinations(group, 2) if pair[0][:5] != pair[1][:5]]


def draw(pairs, folder, target):
    """The first hundred pairs, four in a row."""
    target.parent.mkdir(exist_ok=True)
    sheet = Image.new("RGB", (4 * 200, 25 * 100))
    for place, pair in enumerate(pairs[:100]):
        for side, name in enumerate(pair):
            with Image.open(folder / ("b" if "copy" in name else "a") / name) as picture:
                at = (place % 4 * 200 + side * 97, place // 4 * 100)
                sheet.paste(picture.convert("RGB").resize((96, 96)), at)
    sheet.save(target)


def fingerprints_of(data):
    """Fingerprints of all images of all sets, and what making one takes."""
    from cnn_studio.core.image.fingerprints import LEAST_SIDE, make_fingerprint

    rows, seconds = [], {}
    print("\n| set | making a fingerprint |\n| --- | ---: |")
    for name in SETS:
        for path in sorted(p for p in (data / name).rglob("*") if p.suffix.lower() in {".jpg", ".jpeg", ".png"}):
            with Image.open(path) as picture:
                picture.draft("RGB", (LEAST_SIDE, LEAST_SIDE))
                flat = picture if picture.mode == "L" else picture.convert("RGB")
                flat.load()
            began = time.process_time()
            row = make_fingerprint(flat)
            seconds.setdefault(name, []).append(time.process_time() - began)
            rows.append(np.frombuffer(row, np.uint8))
        print(f"| {name} | {np.median(seconds[name]) * 1e6:.0f} µs |")
    return np.stack(rows)


def seconds_to_compare(real, count):
    """Seconds, and seconds of processor time, for as many fingerprints, each the mean of two real ones."""
    from cnn_studio.core.data.near_duplicates import find_pairs

    first, second = np.random.default_rng(0).integers(0, len(real), (2, count))
    rows = ((real[first].astype(np.uint16) + real[second]) // 2).astype(np.uint8)
    began, began_processor = time.perf_counter(), time.process_time()
    find_pairs(rows, JobContext())
    return time.perf_counter() - began, time.process_time() - began_processor


if __name__ == "__main__":
    main()
