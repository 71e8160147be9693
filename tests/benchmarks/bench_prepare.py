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

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from environment import heading
from photographs import TWELVE_MEGAPIXELS, jpegs_in, write_photographs


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="photographs to make the files of: ../shared/data/flowers")
    parser.add_argument("--size", type=int, default=180, help="image side in pixels (180)")
    parser.add_argument("--large", type=int, default=24, help="files of 12 megapixels (24)")
    parser.add_argument("--ordinary", type=int, default=600, help="files of 500 × 375 pixels (600)")
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()

    rows = []
    with tempfile.TemporaryDirectory() as work:
        sources = jpegs_in(options.folder)
        for name, count, size in (
            ("12 megapixels (4000 × 3000)", options.large, TWELVE_MEGAPIXELS),
            ("500 × 375 pixels", options.ordinary, (500, 375)),
        ):
            folder = Path(work, name)
            write_photographs(sources, folder, count, size)
            rows.append((name, count, *compared(folder, Path(work, "caches"), options)))
    print(heading("Preparing images"))
    print(
        f"To {options.size} × {options.size} pixels; {options.repeats} turns of each; median images per second "
        "(slowest–fastest) and ratios of the medians.\n"
    )
    print("| files | | cnn_studio | tf.io.decode_image + resize | ratio | the same with antialias | ratio |")
    print("| --- | ---: | ---: | ---: | ---: | ---: | ---: |")
    for name, count, ours, *others in rows:
        print(f"| {name} | {count} | {rates(ours)} |", end="")
        for theirs in others:
            print(f" {rates(theirs)} | **{statistics.median(ours) / statistics.median(theirs):.2f}** |", end="")
        print()


def rates(values):
    return f"{statistics.median(values):,.1f} ({min(values):,.1f}–{max(values):,.1f})"


def compared(folder, caches, options):
    """Images per second of each turn: ours, TensorFlow's, and TensorFlow's with antialiasing."""
    import tensorflow as tf

    from cnn_studio.core.jobs import CancelToken, ignore_reports
    from cnn_studio.core.scan import scan_folder
    from cnn_studio.core.store import prepare_images

    dataset = scan_folder(folder, ignore_reports, CancelToken())
    paths = [str(dataset.path_of(file)) for file in dataset.files]

    def ours(turn):
        cache = caches / f"{folder.name} {turn}"
        prepared = prepare_images(dataset, options.size, options.size, ignore_reports, CancelToken(), cache=cache)
        return int((prepared.rows >= 0).sum())

    def with_tensorflow(antialias):
        def decoded(path):
            image = tf.io.decode_image(tf.io.read_file(path), channels=3, expand_animations=False)
            return tf.cast(tf.image.resize(image, (options.size, options.size), antialias=antialias), tf.uint8)

        feed = tf.data.Dataset.from_tensor_slices(paths).map(decoded, num_parallel_calls=tf.data.AUTOTUNE)
        return lambda _: sum(1 for _ in feed.prefetch(tf.data.AUTOTUNE))

    speeds = {ours: [], with_tensorflow(antialias=False): [], with_tensorflow(antialias=True): []}
    for turn in range(options.repeats + 1):
        for prepare, of_turns in speeds.items():
            began = time.perf_counter()
            done = prepare(turn)
            seconds = time.perf_counter() - began
            if done != len(paths):
                raise SystemExit(f"{done} of {len(paths)} images")
            if turn:
                of_turns.append(done / seconds)
    return tuple(speeds.values())


if __name__ == "__main__":
    main()
