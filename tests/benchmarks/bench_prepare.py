"""Preparing images: our store against tf.io.decode_image and resize over the same files.

Of each kind of file all take turns; the first turn warms up (code, page cache) and is not counted. Ours decodes, turns
upright, resizes with antialiasing and writes the store to disk; TensorFlow decodes and resizes into memory, in
parallel: once as tutorials do, without antialiasing, and once with it, which gives pictures as good as ours.
"""

import argparse
import os
import statistics
import tempfile
import time
from pathlib import Path

from cnn_studio.core.job.jobs import JobContext

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from environment import heading
from photographs import TWELVE_MEGAPIXELS, jpegs_in, write_photographs

OURS = "cnn_studio"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="photographs to make the files of: ../shared/data/flowers")
    parser.add_argument("--size", type=int, nargs="+", default=[96, 160, 224], help="image sides (96 160 224)")
    parser.add_argument("--large", type=int, default=24, help="files of 12 megapixels (24)")
    parser.add_argument("--ordinary", type=int, default=600, help="files of 500 × 375 pixels (600)")
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()

    rows = []
    with tempfile.TemporaryDirectory() as work:
        os.environ["CNN_STUDIO_HOME"] = work
        sources = jpegs_in(options.folder)
        for name, count, size, tile in (
            ("4000 × 3000, soft", options.large, TWELVE_MEGAPIXELS, 2000),
            ("4000 × 3000", options.large, TWELVE_MEGAPIXELS, 500),
            ("4000 × 3000, full of detail", options.large, TWELVE_MEGAPIXELS, 250),
            ("500 × 375", options.ordinary, (500, 375), 180),
        ):
            if not count:
                continue
            folder = Path(work, name)
            write_photographs(sources, folder, count, size, tile=tile)
            kilobytes = statistics.fmean(path.stat().st_size for path in jpegs_in(folder)) / 1000
            for side in options.size:
                turns = compared(folder, side, Path(work, "caches"), options.repeats)
                rows.append((f"{count} of {name}, {kilobytes:,.0f} KB each | {side} px", turns))
    print(heading("Preparing images"))
    print(
        f"{options.repeats} turns of each. Medians of images per second (slowest–fastest), of the processor time an "
        "image takes, which other programs on the machine change less, and how many times ours is better in each.\n"
    )
    print("| files | to | by | images/s | ours | processor time | ours |")
    print("| --- | ---: | --- | ---: | ---: | ---: | ---: |")
    for name, turns in rows:
        speed, work = (statistics.median(turn[part] for turn in turns[OURS]) for part in range(2))
        for tool, of_tool in turns.items():
            rates, times = zip(*of_tool, strict=True)
            rate, spent = statistics.median(rates), statistics.median(times)
            spread = f"{rate:,.1f} ({min(rates):,.1f}–{max(rates):,.1f})"
            print(f"| {name} | {tool} | {spread} | {speed / rate:.2f} | {1000 * spent:.2f} ms | {spent / work:.2f} |")


def compared(folder, size, caches, repeats):
    """(Images per second, seconds of processor time per image) of each turn, by tool."""
    import tensorflow as tf

    from cnn_studio.core.data.scan import scan_folder
    from cnn_studio.core.store.prepared import prepare_images

    dataset = scan_folder(folder, JobContext())
    paths = [str(dataset.path_of(file)) for file in dataset.files]

    def ours(turn):
        cache = caches / f"{folder.name} {size} {turn}"
        prepared = prepare_images(dataset, size, size, JobContext(), cache=cache)
        return int((prepared.rows >= 0).sum())

    def with_tensorflow(antialias):
        def decoded(path):
            image = tf.io.decode_image(tf.io.read_file(path), channels=3, expand_animations=False)
            return tf.cast(tf.image.resize(image, (size, size), antialias=antialias), tf.uint8)

        feed = tf.data.Dataset.from_tensor_slices(paths).map(decoded, num_parallel_calls=tf.data.AUTOTUNE)
        return lambda _: sum(1 for _ in feed.prefetch(tf.data.AUTOTUNE))

    tools = {
        OURS: ours,
        "tf.io.decode_image + resize": with_tensorflow(antialias=False),
        "the same, antialias=True": with_tensorflow(antialias=True),
    }
    turns = {tool: [] for tool in tools}
    for turn in range(repeats + 1):
        for tool, prepare in tools.items():
            began, began_processor = time.perf_counter(), time.process_time()
            done = prepare(turn)
            seconds, processor = time.perf_counter() - began, time.process_time() - began_processor
            if done != len(paths):
                raise SystemExit(f"{tool}: {done} of {len(paths)} images")
            if turn:
                turns[tool].append((done / seconds, processor / done))
    return turns


if __name__ == "__main__":
    main()
