"""What the flowers tutorial's augmentation and dropout do against over-fitting: small_cnn from scratch, several seeds.

Each data set is trained without either, and with both (mirror, rotation by up to 36°, zoom by up to 10 %; dropout 0.2),
for the same number of epochs, in turns, each seed with a split of its own. The gap of the last epoch is that between
training accuracy, as it was trained, and validation accuracy. That of the kept network, the one of the epoch with the
lowest validation loss, is measured on plain images on both sides.
"""

import argparse
import os
import statistics
import sys
import tempfile
from pathlib import Path

from cnn_studio.core.job.jobs import JobContext

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from environment import heading

ROOT = Path(__file__).resolve().parents[2]
PLAIN, REGULARISED = "neither", "augmentation and dropout"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    data = ROOT.parent / "shared" / "data"
    parser.add_argument("folders", nargs="*", type=Path, default=[data / "flowers", data / "cats_dogs"])
    parser.add_argument("--size", type=int, default=128, help="image side in pixels (128)")
    parser.add_argument("--epochs", type=int, default=15, help="(15)")
    parser.add_argument("--seeds", type=int, default=3, help="how many (3)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as home:
        os.environ["CNN_STUDIO_HOME"] = home
        rows = [row for folder in options.folders for row in measure(folder, options, Path(home))]
    print(heading("Over-fitting"))
    print(
        f"small_cnn at {options.size} pixels, {options.epochs} epochs, never ended early; mean of "
        f"{options.seeds} seeds, in brackets the lowest and the highest.\n"
    )
    print(
        "| data | regularisation | last epoch: training | last epoch: validation | gap | "
        "kept network: training | kept: validation | gap | seconds an epoch |\n"
        "| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |"
    )
    print("\n".join(rows))


def measure(folder, options, home):
    figures = {PLAIN: [], REGULARISED: []}
    for seed in range(options.seeds):
        for variant, found in figures.items():
            print(f"{folder.name}, seed {seed}, {variant} …", file=sys.stderr, flush=True)
            found.append(train(folder, variant, seed, options, home / f"{folder.name} {seed} {variant}"))
    for variant, found in figures.items():
        columns = [text([each[name] for each in found]) for name in found[0] if name != "seconds"]
        seconds = statistics.median(second for each in found for second in each["seconds"])
        yield f"| {folder.name} | {variant} | {' | '.join(columns)} | {seconds:.1f} |"


def train(folder, variant, seed, options, run):
    from cnn_studio import tasks
    from cnn_studio.core.advice.augmentation import AUGMENTATION_PRESETS
    from cnn_studio.core.data.image_file import Split
    from cnn_studio.core.data.split import split_dataset
    from cnn_studio.core.experiment.experiment import Experiment
    from cnn_studio.core.experiment.settings import ImageSettings, ScratchArchitecture, SplitSettings, TrainingSettings
    from cnn_studio.core.job.events import EpochEnded

    experiment = Experiment(
        split=SplitSettings(validation=0.2, test=0.0, seed=seed),
        image=ImageSettings(height=options.size, width=options.size),
        architecture=ScratchArchitecture(dropout=0.2 if variant == REGULARISED else 0.0),
        augmentation=AUGMENTATION_PRESETS["flowers_tutorial" if variant == REGULARISED else "none"].augmentation,
        training=TrainingSettings(epochs=options.epochs, early_stopping=False, seed=seed),
    )
    dataset = tasks.scan(folder, JobContext())
    epochs = []
    trained = tasks.train(
        tasks.TrainRequest(dataset, experiment, run),
        JobContext(lambda event: epochs.append(event) if isinstance(event, EpochEnded) else None),
    )
    last = epochs[-1]
    training = split_dataset(dataset, experiment.split).indices(Split.TRAIN)
    on_training = accuracy(trained, [dataset.files[i] for i in training], dataset)
    return {
        "last_training": last.accuracy,
        "last_validation": last.val_accuracy,
        "last_gap": last.accuracy - last.val_accuracy,
        "kept_training": on_training,
        "kept_validation": trained.validation.accuracy,
        "kept_gap": on_training - trained.validation.accuracy,
        "seconds": [epoch.seconds for epoch in epochs[1:]],
    }


def accuracy(trained, files, dataset):
    """Accuracy of the kept network on plain images."""
    from cnn_studio import tasks

    paths = tuple(dataset.path_of(file) for file in files)
    right = {path: dataset.class_names[file.label] for path, file in zip(paths, files, strict=True)}
    predictions = tasks.predict(tasks.PredictRequest(trained.model, paths), JobContext())
    return sum(right[prediction.path] == prediction.label for prediction in predictions) / len(predictions)


def text(values):
    return f"{statistics.mean(values):.3f} ({min(values):.3f}–{max(values):.3f})"


if __name__ == "__main__":
    main()
