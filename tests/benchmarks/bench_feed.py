"""One epoch of training images from our store, from arrays in memory, and from Keras's own directory loader.

Each feed is gone through alone, which tells what it costs, and with a small CNN trained on it, which tells what of
that is felt. Feeds take turns; the first turn warms up and is not counted. Pictures that Keras's loader cannot
read are left out for all three, since it would die of them.
"""

import argparse
import os
import statistics
import tempfile
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from environment import heading

KERAS_READS = (".bmp", ".gif", ".jpeg", ".jpg", ".png")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="one sub-folder of images per class")
    parser.add_argument("--size", type=int, default=96, help="image side in pixels (96)")
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--images", type=int, default=2000, help="at most this many (2000)")
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()

    from cnn_studio.core.data.scan import scan_folder
    from cnn_studio.core.experiment.architectures import architecture_preset
    from cnn_studio.core.experiment.settings import ImageSettings
    from cnn_studio.core.job.jobs import JobContext, ignore_reports
    from cnn_studio.core.store.prepared import prepare_images
    from cnn_studio.ml.runtime import start

    start(ignore_reports)
    import numpy as np

    from cnn_studio.ml.build import build_model
    from cnn_studio.ml.pipeline import training_batches

    with tempfile.TemporaryDirectory() as work:
        dataset = copy_of_part(scan_folder(options.folder.resolve(), JobContext()), Path(work, "part"), options.images)
        dataset = scan_folder(dataset, JobContext())
        began = time.perf_counter()
        prepared = prepare_images(dataset, options.size, options.size, JobContext(), cache=Path(work, "cache"))
        seconds_to_prepare = time.perf_counter() - began
        labels = np.array([file.label for file in dataset.files], np.int32)
        store = prepared.pixels
        feeds = {
            "our store": training_batches(store, prepared.rows, labels, options.batch_size, 0).dataset,
            "tf.data over arrays in memory": in_memory(np.array(store)[prepared.rows], labels, options.batch_size),
            "keras.utils.image_dataset_from_directory": from_directory(dataset.root, options),
        }
        architecture = architecture_preset("small_cnn").architecture
        image = ImageSettings(height=options.size, width=options.size)
        models = {}
        for name in feeds:
            models[name] = build_model(architecture, image, len(dataset.class_names), 0)
            models[name].compile("adam", "sparse_categorical_crossentropy")
        alone = {name: [] for name in feeds}
        trained = {name: [] for name in feeds}
        for turn in range(options.repeats + 1):
            for name, feed in feeds.items():
                began = time.perf_counter()
                seen = sum(int(batch[1].shape[0]) for batch in feed)
                between = time.perf_counter()
                models[name].fit(feed, epochs=1, shuffle=False, verbose=0)
                ended = time.perf_counter()
                if seen != len(dataset.files):
                    raise SystemExit(f"{name} gave {seen} of {len(dataset.files)} images")
                if turn:
                    alone[name].append(between - began)
                    trained[name].append(ended - between)
        print(heading("Feed"))
        print(
            f"{len(dataset.files):,} images of {options.folder.name} at {options.size} pixels, batches of "
            f"{options.batch_size}, {options.repeats} epochs of each in turn; median seconds per epoch. Preparing our "
            f"store took {seconds_to_prepare:.1f} s, once.\n"
        )
        print("| feed | the feed alone | with small_cnn trained |\n| --- | ---: | ---: |")
        for name in feeds:
            print(f"| {name} | {statistics.median(alone[name]):.3f} | {statistics.median(trained[name]):.2f} |")


def copy_of_part(dataset, target, count):
    """Link an even part of the data set's images into ``target``, so that all feeds see the same; gives ``target``."""
    usable = [file for file in dataset.files if file.path.lower().endswith(KERAS_READS)]
    for number, file in enumerate(usable[:: max(1, -(-len(usable) // count))]):
        link = target / dataset.class_names[file.label] / f"{number}{Path(file.path).suffix}"
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(dataset.path_of(file))
    return target


def in_memory(images, labels, batch_size):
    """What most tutorials do with arrays."""
    import tensorflow as tf

    feed = tf.data.Dataset.from_tensor_slices((images, labels))
    return feed.shuffle(len(labels), seed=0).batch(batch_size).prefetch(tf.data.AUTOTUNE)


def from_directory(folder, options):
    """What Keras's guides do with a folder: every epoch decodes every image again."""
    import keras
    import tensorflow as tf

    size = (options.size, options.size)
    feed = keras.utils.image_dataset_from_directory(
        folder, image_size=size, batch_size=options.batch_size, seed=0, verbose=False
    )
    return feed.prefetch(tf.data.AUTOTUNE)


if __name__ == "__main__":
    main()
