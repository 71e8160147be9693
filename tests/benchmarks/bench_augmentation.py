"""What augmentation costs: training steps without it, with ours, and with Keras's own layers; and a preview.

Steps of small_cnn on the same batch, in turns; the median of each and its ratio to the step without augmentation.
Keras's layers stand before the network as in its tutorial, so that both are augmented within the step. The preview is
that of the window: nine results of one picture, by the very job that the page runs, on a thread that has nothing else
to do, after each move of a slider.
"""

import argparse
import os
import statistics
import time
from pathlib import Path

from cnn_studio.core.job.jobs import JobContext

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from environment import heading, percentile

ROOT = Path(__file__).resolve().parents[2]
TUTORIAL = "flip_horizontal,rotation=36,zoom=0.1"
BATCH = 32


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=180, help="image side in pixels (180)")
    parser.add_argument("--steps", type=int, default=25, help="timed steps of each (25)")
    parser.add_argument("--picture", type=Path, help="for the preview (a flower of ../shared)")
    parser.add_argument("--moves", type=int, default=40, help="of a slider (40)")
    options = parser.parse_args()
    from cnn_studio.core.job.jobs import ignore_reports
    from cnn_studio.ml import runtime

    runtime.start(ignore_reports)
    rows = step_rows(options)
    print(heading("Augmentation"))
    print(
        f"small_cnn, batches of {BATCH} images of {options.size} pixels, {options.steps} steps of each in turns; ms.\n"
    )
    print("| training images | median step | times without |\n| --- | ---: | ---: |")
    print("\n".join(rows))
    print("\nFrom a slider's move to nine results, 128 pixels; ms.\n")
    print("| augmentation | median | p90 | slowest |\n| --- | ---: | ---: | ---: |")
    print("\n".join(preview_rows(options)))


def step_rows(options):
    import numpy as np

    draw = np.random.default_rng(0)
    images = draw.integers(0, 256, (BATCH, options.size, options.size, 3), dtype=np.uint8)
    labels = draw.integers(0, 5, BATCH).astype(np.int32)
    networks = {"as they are": ours(""), f"ours: {TUTORIAL}": ours(TUTORIAL), "Keras's three layers": by_keras()}
    networks |= {f"ours: {preset}": ours(preset) for preset in ("gentle", "strong")}
    networks["ours: rand_augment"] = ours("rand_augment")
    networks = {name: make(options.size) for name, make in networks.items()}
    times = {name: [] for name in networks}
    for turn in range(options.steps + 3):
        for name, network in networks.items():
            began = time.perf_counter()
            network.train_on_batch(images, labels)
            if turn >= 3:
                times[name].append(1000 * (time.perf_counter() - began))
    plain = times["as they are"]
    for name, found in times.items():
        # Within a turn both ran beside the same other work.
        ratio = statistics.median(one / other for one, other in zip(found, plain, strict=True))
        yield f"| {name} | {statistics.median(found):.0f} | {ratio:.2f} |"


def ours(text):
    from cnn_studio.core.advice.augmentation import choose_augmentation
    from cnn_studio.ml.training_network import training_network

    def make(size):
        return compiled(training_network(small_cnn(size), choose_augmentation(text, None).augmentation, 0))

    return make


def by_keras():
    import keras

    layers = keras.layers

    def make(size):
        image = keras.Input((size, size, 3))
        tensor = image
        for layer in (layers.RandomFlip("horizontal"), layers.RandomRotation(0.1), layers.RandomZoom(0.1)):
            tensor = layer(tensor)
        return compiled(keras.Model(image, small_cnn(size)(tensor)))

    return make


def small_cnn(size):
    from cnn_studio.core.experiment.settings import ImageSettings, ScratchArchitecture
    from cnn_studio.ml.build import build_model

    return build_model(ScratchArchitecture(), ImageSettings(height=size, width=size), 5)


def compiled(network):
    from cnn_studio.core.experiment.settings import TrainingSettings
    from cnn_studio.ml.train import compile_model

    compile_model(network, TrainingSettings())
    return network


def preview_rows(options):
    from cnn_studio.core.advice.augmentation import AUGMENTATION_PRESETS
    from cnn_studio.core.experiment.experiment import Experiment
    from cnn_studio.tasks import PreviewRequest, preview_augmentation

    flowers = sorted((ROOT.parent / "shared" / "data" / "flowers" / "tulips").glob("*.jpg"))
    picture = options.picture or flowers[0]
    for name in ("flowers_tutorial", "gentle", "strong"):
        settings = AUGMENTATION_PRESETS[name].augmentation
        times = []
        for move in range(options.moves + 3):
            moved = settings.model_copy(update={"rotation": 5 + move})
            request = PreviewRequest(picture, (picture,), Experiment(augmentation=moved), 1)
            began = time.perf_counter()
            preview_augmentation(request, JobContext())
            if move >= 3:
                times.append(1000 * (time.perf_counter() - began))
        yield f"| {name} | {statistics.median(times):.0f} | {percentile(times, 0.9):.0f} | {max(times):.0f} |"


if __name__ == "__main__":
    main()
