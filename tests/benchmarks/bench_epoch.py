"""What an epoch of a small CNN takes from our store, from one tensor in memory, and with the course notes' script.

That script is ``image_dataset_from_directory`` with ``prefetch``, which decodes every image in every epoch. All three
train the same network; they take turns, and the first turn, in which each is traced, is not counted. First on ordinary
photographs, then (ours and the script) on ones of 12 megapixels; last, the validation accuracy that both reach on the
same images after the same number of epochs.
"""

import argparse
import os
import statistics
import tempfile
import time
from pathlib import Path

from cnn_studio.core.job.jobs import JobContext

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from bench_feed import copy_of_part, from_directory
from environment import heading
from photographs import TWELVE_MEGAPIXELS, jpegs_in, write_photographs

OURS, TENSOR, SCRIPT = "cnn_studio", "one tensor in memory, `fit(x, y)`", "`image_dataset_from_directory`"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="one sub-folder of images per class: ../shared/data/flowers")
    parser.add_argument("--size", type=int, default=180, help="image side in pixels (180)")
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--images", type=int, default=1000, help="at most this many (1000)")
    parser.add_argument("--photographs", type=int, default=64, help="files of 12 megapixels (64)")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=6, help="for the comparison of accuracy (6); 0 leaves it out")
    options = parser.parse_args()

    from cnn_studio.core.job.jobs import ignore_reports
    from cnn_studio.ml.runtime import start

    start(ignore_reports)
    with tempfile.TemporaryDirectory() as work:
        os.environ["CNN_STUDIO_HOME"] = str(Path(work, "home"))
        part = copy_of_part(scanned(options.folder.resolve()), Path(work, "part"), options.images)
        write_photographs(jpegs_in(options.folder), Path(work, "large"), options.photographs, TWELVE_MEGAPIXELS)
        print(heading("An epoch of small_cnn"))
        print(
            f"{options.size} × {options.size} pixels, batches of {options.batch_size}; {options.repeats} epochs of "
            "each in turn after one that is not counted; seconds, median (fastest–slowest).\n"
        )
        print("| images | fed by | an epoch | ratio to ours |\n| --- | --- | ---: | ---: |")
        for name, folder, feeds in (
            (options.folder.name, part, (OURS, TENSOR, SCRIPT)),
            ("12 megapixels", Path(work, "large"), (OURS, SCRIPT)),
        ):
            tell(name, epochs(scanned(folder), feeds, options))
        if options.epochs:
            accuracies(scanned(part), Path(work, "divided"), options)


def tell(name, seconds):
    images, of_feed = seconds
    ours = statistics.median(of_feed[OURS])
    for feed, values in of_feed.items():
        median = statistics.median(values)
        spread = f"{median:.2f} ({min(values):.2f}–{max(values):.2f})"
        print(f"| {images:,} {name} | {feed} | {spread} | {median / ours:.2f} |")


def scanned(folder):
    from cnn_studio.core.data.scan import scan_folder

    return scan_folder(folder, JobContext())


def epochs(dataset, feeds, options):
    """(number of images, seconds of each counted epoch by feed)."""
    import numpy as np
    import tensorflow as tf

    from cnn_studio.ml.pipeline import training_batches

    prepared, labels = in_store(dataset, options)
    store = prepared.pixels
    arguments = {
        OURS: lambda: {"x": training_batches(store, prepared.rows, labels, options.batch_size, 0).dataset},
        TENSOR: lambda: {
            "x": tf.constant(np.array(store)[prepared.rows]),
            "y": tf.constant(labels),
            "batch_size": options.batch_size,
        },
        SCRIPT: lambda: {"x": from_directory(dataset.root, options)},
    }
    given = {feed: arguments[feed]() for feed in feeds}
    models = {feed: compiled(len(dataset.class_names), options) for feed in feeds}
    seconds = {feed: [] for feed in feeds}
    for turn in range(options.repeats + 1):
        for feed in feeds:
            began = time.perf_counter()
            models[feed].fit(**given[feed], epochs=1, verbose=0)
            if turn:
                seconds[feed].append(time.perf_counter() - began)
    return len(dataset.files), seconds


def in_store(dataset, options):
    import numpy as np

    from cnn_studio.core.store.prepared import prepare_images

    prepared = prepare_images(dataset, options.size, options.size, JobContext())
    return prepared, np.array([file.label for file in dataset.files], np.int32)


def compiled(classes, options, seed=0):
    from cnn_studio.core.experiment.architectures import architecture_preset
    from cnn_studio.core.experiment.settings import ImageSettings
    from cnn_studio.ml.build import build_model

    image = ImageSettings(height=options.size, width=options.size)
    model = build_model(architecture_preset("small_cnn").architecture, image, classes, seed)
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"], jit_compile=False)
    return model


def accuracies(dataset, divided, options):
    """Train both on the same images and print the validation accuracy that each ends with."""
    import keras
    import numpy as np
    from scipy.stats import binomtest

    from cnn_studio.core.data.image_file import Split
    from cnn_studio.core.data.split import split_dataset
    from cnn_studio.core.experiment.settings import SplitSettings
    from cnn_studio.ml.pipeline import evaluation_batches, training_batches

    prepared, labels = in_store(dataset, options)
    store = prepared.pixels
    assignment = split_dataset(dataset, SplitSettings(validation=0.2, test=0.0))
    rows = {split: np.array(assignment.indices(split)) for split in (Split.TRAIN, Split.VALIDATION)}
    for split, chosen in rows.items():
        for index in chosen:
            file = dataset.files[index]
            link = divided / split / dataset.class_names[file.label] / Path(file.path).name
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(dataset.path_of(file).resolve())
    train, check = (prepared.rows[rows[split]] for split in rows)
    ours = {
        "x": training_batches(store, train, labels[rows[Split.TRAIN]], options.batch_size, 0).dataset,
        "validation_data": evaluation_batches(store, check, labels[rows[Split.VALIDATION]], options.batch_size).dataset,
    }
    script = {
        "x": from_directory(divided / "train", options),
        "validation_data": from_directory(divided / "validation", options),
    }
    print(f"\nValidation accuracy after {options.epochs} epochs on {len(check)} images, best epoch, 95 % interval:\n")
    print("| fed by | validation accuracy | seconds in all |\n| --- | ---: | ---: |")
    for name, given in ((OURS, ours), (SCRIPT, script)):
        keras.utils.set_random_seed(1)
        began = time.perf_counter()
        history = compiled(len(dataset.class_names), options).fit(**given, epochs=options.epochs, verbose=0).history
        best = max(history["val_accuracy"])
        interval = binomtest(round(best * len(check)), len(check)).proportion_ci(method="wilson")
        seconds = time.perf_counter() - began
        print(f"| {name} | {best:.3f} ({interval.low:.3f}–{interval.high:.3f}) | {seconds:.0f} |")


if __name__ == "__main__":
    main()
