"""A pre-trained backbone trained by cnn_studio and by a plain Keras script of the same recipe.

The plain script is what Keras's guides show: the backbone frozen and run in every epoch. It is given the images
decoded and in memory, with the same split, batch size, optimizer and rates, and keeps the epoch with the lowest
validation loss, as we do. Each recipe and side runs in a process of its own, one after the other.

Ours trains for --epochs, on features it computes first, and then once more for --plain-epochs on the features that are
there, so that accuracies are compared after equal epochs. The plain script trains for --plain-epochs; its time for
--epochs is its first epoch and the median of the others for the rest.

One pair says little of which side is the more accurate. --seeds N compares accuracies alone, of --plain-epochs on both
sides, N times, each with a split, initial weights and an order of its own. --kept FILE takes up what an earlier call
has written there, so that it can be run in steps.
"""

import argparse
import dataclasses
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from cnn_studio.core.job.jobs import JobContext

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from environment import heading

ROOT = Path(__file__).resolve().parents[2]
BATCH_SIZE = 32

FROM_CHOLLET = {"features": "flatten", "dense": [256], "dense_dropout": 0.5}
PARTS = {
    "resnet50": {
        "title": "ResNet50 frozen, global average + dense",
        "architecture": {"name": "resnet50", "features": "global_average"},
        "training": {"optimizer": "adam", "learning_rate": 1e-3},
    },
    "vgg16": {
        "title": "VGG16 frozen, flatten + dense 256",
        "architecture": {"name": "vgg16", **FROM_CHOLLET},
        "training": {"optimizer": "rmsprop", "learning_rate": 2e-5},
    },
    "fine_tuned": {
        "title": "VGG16 fine-tuned from block5",
        "architecture": {"name": "vgg16", **FROM_CHOLLET, "transfer": "fine_tuned", "unfreeze_from": "block5"},
        "training": {"optimizer": "rmsprop", "learning_rate": 2e-5},
        "fine_tuning": {"optimizer": "rmsprop", "learning_rate": 1e-5},
    },
}


def main():
    options = parse()
    if options.side:
        side = ours if options.side == "ours" else plain
        print(json.dumps(side(PARTS[options.part[0]], options)), flush=True)
        return
    if options.seeds:
        over_seeds(options)
        return
    rows, notes = [], []
    for name in options.part:
        with tempfile.TemporaryDirectory() as home:
            mine = in_a_process(name, "ours", options, Path(home))
            theirs = in_a_process(name, "plain", options, Path(home))
        rows += table_rows(PARTS[name]["title"], mine, theirs, options)
        notes += remarks(PARTS[name]["title"], mine, theirs)
    print(heading("Transfer learning"))
    print(
        f"{mine['images']:,} images of {options.folder.name} at {options.size} pixels, batches of {BATCH_SIZE}. "
        f"Accuracies with their 95 % Wilson interval on {mine['test_images']} test images, after "
        f"{options.plain_epochs} epochs (a fine-tuned network: of each stage) on both sides.\n"
    )
    print(
        f"| recipe | | features once | an epoch | {options.epochs} epochs | test accuracy | validation accuracy |\n"
        "| --- | --- | ---: | ---: | ---: | ---: | ---: |"
    )
    print("\n".join(rows), "\n\n", "\n".join(notes), sep="")


def parse():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    shared = ROOT.parent / "shared"
    parser.add_argument("--folder", type=Path, default=shared / "data" / "cats_dogs", help="a folder per class")
    parser.add_argument("--weights", type=Path, default=shared / "weights", help="folder of Keras's notop files")
    parser.add_argument("--part", action="append", choices=PARTS, help="one recipe; may be repeated (all)")
    parser.add_argument("--size", type=int, default=150, help="image side in pixels (150)")
    parser.add_argument("--images", type=int, default=0, help="at most about this many; 0 for all (0)")
    parser.add_argument("--epochs", type=int, default=20, help="ours, of each stage (20)")
    parser.add_argument("--plain-epochs", type=int, default=3, help="of the plain script, of each stage (3)")
    parser.add_argument("--seeds", type=int, default=0, help="compare accuracies over so many seeds, and nothing else")
    parser.add_argument("--kept", type=Path, help="with --seeds: a file of JSON lines, one for each pair that is done")
    parser.add_argument("--seed", type=int, default=0, help="of split, initial weights and order (0)")
    parser.add_argument("--accuracy-only", action="store_true", help="ours: no training of --epochs")
    parser.add_argument("--side", choices=("ours", "plain"), help="one side of one part, in this process, as JSON")
    options = parser.parse_args()
    options.part = options.part or list(PARTS)
    return options


def in_a_process(name, side, options, home):
    models = home / "keras" / "models"
    models.mkdir(parents=True, exist_ok=True)
    for file in options.weights.resolve().glob("*.h5"):
        if not (models / file.name).exists():
            (models / file.name).symlink_to(file)
    own = {"CNN_STUDIO_HOME": str(home), "KERAS_HOME": str(home / "keras"), "PYTHONPATH": str(ROOT)}
    arguments = ["--part", name, "--side", side, "--folder", str(options.folder), "--weights", str(options.weights)]
    for option in ("size", "images", "epochs", "plain_epochs", "seed"):
        arguments += [f"--{option.replace('_', '-')}", str(getattr(options, option))]
    if options.accuracy_only:
        arguments.append("--accuracy-only")
    print(f"{name}, {side} …", file=sys.stderr, flush=True)
    ran = subprocess.run(
        [sys.executable, __file__, *arguments], env=os.environ | own, stdout=subprocess.PIPE, text=True, check=True
    )
    return json.loads(ran.stdout.splitlines()[-1])


def over_seeds(options):
    """Print the accuracies of both sides over --seeds seeds, and of their difference on the same images."""
    options.accuracy_only = True
    kept = [json.loads(line) for line in options.kept.read_text().splitlines()] if _is_file(options.kept) else []
    rows = []
    for name in options.part:
        pairs = {pair["seed"]: pair for pair in kept if pair["part"] == name}
        with tempfile.TemporaryDirectory() as home:
            for seed in range(options.seeds):
                if seed in pairs:
                    continue
                options.seed = seed
                sides = {side: in_a_process(name, side, options, Path(home)) for side in ("ours", "plain")}
                pair = {"part": name, "seed": seed, "images": sides["plain"]["test"]["images"]}
                pair |= {side: found["test"]["accuracy"] for side, found in sides.items()}
                pairs[seed] = pair
                if options.kept:
                    with options.kept.open("a") as file:
                        file.write(json.dumps(pair) + "\n")
        rows.append(row_over_seeds(PARTS[name]["title"], [pairs[seed] for seed in sorted(pairs)]))
    print(heading("Transfer learning over seeds"))
    print(
        f"{options.folder.name} at {options.size} pixels, {options.plain_epochs} epochs, batches of {BATCH_SIZE}; each "
        "seed has a split, initial weights and an order of its own, the same split on both sides. Test accuracy, mean "
        "and standard deviation; of the difference its 95 % interval by Student's t.\n\n"
        "| recipe | seeds | test images each | ours | plain Keras | ours less plain |\n"
        "| --- | ---: | ---: | ---: | ---: | ---: |"
    )
    print("\n".join(rows))


def _is_file(path):
    return path is not None and path.is_file()


def row_over_seeds(title, pairs):
    from scipy.stats import t

    sides = {side: [pair[side] for pair in pairs] for side in ("ours", "plain")}
    spread = {side: f"{statistics.mean(each):.1%} ± {statistics.stdev(each):.1%}" for side, each in sides.items()}
    differences = [ours - plain for ours, plain in zip(*sides.values(), strict=True)]
    mean = statistics.mean(differences)
    half = t.ppf(0.975, len(pairs) - 1) * statistics.stdev(differences) / len(pairs) ** 0.5
    interval = f"{100 * mean:+.1f} points ({100 * (mean - half):+.1f} to {100 * (mean + half):+.1f})"
    return f"| {title} | {len(pairs)} | {pairs[0]['images']} | {spread['ours']} | {spread['plain']} | {interval} |"


def table_rows(title, mine, theirs, options):
    stage = "fine_tuning" if "fine_tuning" in mine["epochs"] else "head"
    epochs = {"ours": mine["epochs"][stage], "plain Keras": theirs["epochs"][stage]}
    each = {side: typical(seconds) for side, seconds in epochs.items()}
    total = {
        "ours": mine["features"] + sum(map(sum, mine["epochs"].values())),
        "plain Keras": sum(at_length(seconds, options.epochs) for seconds in theirs["epochs"].values()),
    }
    rows = []
    for side, of_side in (("ours", mine), ("plain Keras", theirs)):
        once = f"{mine['features']:.0f} s" if side == "ours" else ""
        accuracies = f"{with_interval(of_side['test'])} | {with_interval(of_side['validation'])}"
        rows.append(f"| {title} | {side} | {once} | {each[side]:.2f} s | {total[side]:.0f} s | {accuracies} |")
    ratios = each["plain Keras"] / each["ours"], total["plain Keras"] / total["ours"]
    return [*rows, f"| | **times faster** | | {ratios[0]:.1f} | {ratios[1]:.1f} | | |"]


def remarks(title, mine, theirs):
    memory = f"{mine['memory'] / 1e9:.1f} GB (ours), {theirs['memory'] / 1e9:.1f} GB (plain)"
    best, epochs = mine["best"]
    lines = [
        f"- {title}: memory at most {memory}; after all {epochs} epochs ours has test accuracy "
        f"{with_interval(mine['test_long'])}, of epoch {best}. A second run on the same images began its first epoch "
        f"after {mine['second_start']:.1f} s."
    ]
    if len(mine["losses"]) == 2:
        lines.append(
            f"  Validation loss at the end of stage one (its best epoch) {mine['losses'][0]:.6f}; "
            f"fine-tuning's first epoch ended with {mine['losses'][1]:.6f}."
        )
    return lines


def typical(seconds):
    """Of an epoch: the median without the first, which traces."""
    return statistics.median(seconds[1:] or seconds)


def at_length(seconds, epochs):
    return seconds[0] + (epochs - 1) * typical(seconds)


def with_interval(evaluation):
    return f"{evaluation['accuracy']:.3f} ({evaluation['accuracy_low']:.3f}–{evaluation['accuracy_high']:.3f})"


def the_dataset(options):
    from cnn_studio.core.data.scan import scan_folder

    dataset = scan_folder(options.folder.resolve(), JobContext())
    step = max(1, -(-len(dataset.files) // options.images)) if options.images else 1
    return dataclasses.replace(dataset, files=dataset.files[::step])


def the_experiment(part, epochs, options):
    from cnn_studio.core.experiment.experiment import build_experiment

    tuning = {"epochs": epochs, **part.get("fine_tuning", {})}
    return build_experiment(
        {
            "image": {"height": options.size, "width": options.size},
            "split": {"seed": options.seed},
            "architecture": {"kind": "backbone", **part["architecture"], "fine_tuning": tuning},
            "training": {
                **part["training"],
                "epochs": epochs,
                "batch_size": BATCH_SIZE,
                "early_stopping": False,
                "seed": options.seed,
            },
        }
    )


def ours(part, options):
    from cnn_studio import tasks

    tasks.start_runtime(None, JobContext())  # imports TensorFlow, as the plain script has done too
    dataset = the_dataset(options)
    if options.accuracy_only:
        return {"test": dataclasses.asdict(one_training(part, dataset, options.plain_epochs, options)["trained"].test)}
    long = one_training(part, dataset, options.epochs, options)
    short = one_training(part, dataset, options.plain_epochs, options)
    return {
        "images": len(dataset.files),
        "test_images": long["trained"].test.images,
        "features": long["features"],
        "epochs": long["epochs"],
        "losses": long["losses"],
        "best": (long["trained"].best_epoch, long["trained"].epochs),
        "second_start": short["start"],
        "test": dataclasses.asdict(short["trained"].test),
        "validation": dataclasses.asdict(short["trained"].validation),
        "test_long": dataclasses.asdict(long["trained"].test),
        "memory": peak_memory(),
    }


def one_training(part, dataset, epochs, options):
    from cnn_studio import tasks
    from cnn_studio.core.job import events

    seconds, losses, marks, stage = {}, {}, {}, ""

    def report(event):
        nonlocal stage
        now = time.perf_counter()
        match event:
            case events.StageStarted(events.Stage.FEATURES):
                marks.setdefault("features", now)
            case events.TrainingStageStarted():
                marks.setdefault("training", now)
                stage = event.name
            case events.EpochEnded():
                seconds.setdefault(stage, []).append(event.seconds)
                losses.setdefault(stage, []).append(event.val_loss)

    began = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        request = tasks.TrainRequest(dataset, the_experiment(part, epochs, options), Path(folder, "run"))
        trained = tasks.train(request, JobContext(report))
    edges = [min(losses["head"]), *(each[0] for name, each in losses.items() if name != "head")]
    return {
        "trained": trained,
        "features": marks["training"] - marks["features"],
        "start": marks["training"] - began,
        "epochs": seconds,
        "losses": edges,
    }


def plain(part, options):
    """The recipe as a script of one's own would have it: nothing of ours but the decoded images and their split."""
    import keras
    import numpy as np

    from cnn_studio.core.data.image_file import Split
    from cnn_studio.core.data.split import split_dataset
    from cnn_studio.core.evaluation.scores import score_probabilities
    from cnn_studio.core.store.prepared import prepare_images

    dataset = the_dataset(options)
    experiment = the_experiment(part, options.plain_epochs, options)
    prepared = prepare_images(dataset, options.size, options.size, JobContext())
    pixels = np.array(prepared.pixels[prepared.rows])
    labels = np.array([file.label for file in dataset.files], "int32")
    assignment = split_dataset(dataset, experiment.split)
    index = {split: assignment.indices(split) for split in (Split.TRAIN, Split.VALIDATION, Split.TEST)}

    keras.utils.set_random_seed(options.seed)
    architecture = experiment.architecture
    module = getattr(keras.applications, architecture.name)
    file = next(path for path in options.weights.glob("*.h5") if path.name.startswith(f"{architecture.name}_weights"))
    make = {"resnet50": keras.applications.ResNet50, "vgg16": keras.applications.VGG16}[architecture.name]
    base = make(weights=str(file), include_top=False, input_shape=(options.size, options.size, 3))
    base.trainable = False
    inputs = keras.Input((options.size, options.size, 3))
    tensor = base(module.preprocess_input(keras.ops.cast(inputs, "float32")), training=False)
    if architecture.features == "flatten":
        tensor = keras.layers.Flatten()(tensor)
        tensor = keras.layers.Dense(256, activation="relu")(tensor)
        tensor = keras.layers.Dropout(0.5)(tensor)
    else:
        tensor = keras.layers.GlobalAveragePooling2D()(tensor)
    model = keras.Model(inputs, keras.layers.Dense(len(dataset.class_names), activation="softmax")(tensor))

    feeds = feeds_of(pixels, labels, index[Split.TRAIN], index[Split.VALIDATION], options.seed)
    seconds = {"head": fit(model, optimizer(part["training"]), feeds, options.plain_epochs)}
    if "fine_tuning" in part:
        base.trainable = True
        for layer in base.layers:
            layer.trainable = layer.name.startswith("block5")
        seconds["fine_tuning"] = fit(model, optimizer(part["fine_tuning"]), feeds, options.plain_epochs)

    def scored(split):
        probabilities = model.predict(pixels[index[split]], batch_size=BATCH_SIZE, verbose=0)
        return dataclasses.asdict(score_probabilities(probabilities, labels[index[split]], dataset.class_names, split))

    return {
        "epochs": seconds,
        "test": scored(Split.TEST),
        "validation": scored(Split.VALIDATION),
        "memory": peak_memory(),
    }


def feeds_of(pixels, labels, training, validation, seed):
    import tensorflow as tf

    def feed(chosen):
        return tf.data.Dataset.from_tensor_slices((pixels[chosen], labels[chosen]))

    shuffled = feed(training).shuffle(len(training), seed=seed).batch(BATCH_SIZE).prefetch(tf.data.AUTOTUNE)
    return shuffled, feed(validation).batch(BATCH_SIZE).prefetch(tf.data.AUTOTUNE)


def optimizer(settings):
    import keras

    make = {"adam": keras.optimizers.Adam, "rmsprop": keras.optimizers.RMSprop}[settings["optimizer"]]
    return make(settings["learning_rate"])


def fit(model, how, feeds, epochs):
    """Train, restore the epoch with the lowest validation loss, give the seconds of each epoch, validation included."""
    import keras

    class Clock(keras.callbacks.Callback):
        seconds = ()

        def on_epoch_begin(self, epoch, logs=None):
            self.began = time.perf_counter()

        def on_epoch_end(self, epoch, logs=None):
            self.seconds = (*self.seconds, time.perf_counter() - self.began)

    clock = Clock()
    model.compile(how, "sparse_categorical_crossentropy", metrics=["accuracy"], jit_compile=False)
    with tempfile.TemporaryDirectory() as folder:
        best = Path(folder, "best.weights.h5")
        keep = keras.callbacks.ModelCheckpoint(best, save_best_only=True, save_weights_only=True)
        model.fit(feeds[0], validation_data=feeds[1], epochs=epochs, callbacks=[clock, keep], verbose=0)
        model.load_weights(best)
    return list(clock.seconds)


def peak_memory():
    """Bytes this process has had resident at most (Linux)."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


if __name__ == "__main__":
    main()
