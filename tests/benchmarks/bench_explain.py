"""What a heat map costs beside one forward and one backward pass of plain Keras, and, with --sheet, what it shows.

All run one image, in turn: Grad-CAM as the window calls it (not compiled, the network's place found before); and the
whole network under a gradient tape, with the gradient of the most likely class's probability at the image, as it is
written and compiled by tf.function.

--sheet FILE trains a frozen ResNet50 on part of a folder and writes ten test photographs beside their heat maps, to be
looked at.
"""

import argparse
import os
import statistics
import tempfile
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from environment import heading

SHARED = Path(__file__).resolve().parents[3] / "shared"
PHOTOGRAPHS = 10


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--sheet", type=Path, help="write a sheet of photographs with their heat maps here")
    parser.add_argument("--folder", type=Path, default=SHARED / "data" / "cats_dogs", help="a folder per class")
    parser.add_argument("--weights", type=Path, default=SHARED / "weights", help="folder of Keras's notop files")
    parser.add_argument("--each", type=int, default=150, help="images of each class to train on (150)")
    parser.add_argument("--size", type=int, default=224, help="image side in pixels (224)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as home:
        os.environ |= {"CNN_STUDIO_HOME": home, "KERAS_HOME": str(Path(home, "keras"))}
        if options.sheet:
            write_sheet(options, Path(home))
        else:
            time_both(options)


def time_both(options):
    from cnn_studio.ml.runtime import start

    start(lambda _: None)
    import numpy as np
    import tensorflow as tf

    from cnn_studio.core.experiment.architectures import architecture_preset
    from cnn_studio.core.experiment.settings import BackboneArchitecture, ImageSettings
    from cnn_studio.ml.build import build_model
    from cnn_studio.ml.explain import GradCam

    small = architecture_preset("small_cnn").architecture
    rows = []
    for architecture, size in (
        (small, 128),
        (BackboneArchitecture(name="resnet50"), options.size),
        (BackboneArchitecture(name="vgg16"), options.size),
    ):
        model = build_model(architecture, ImageSettings(height=size, width=size), 5, 0)
        image = np.random.default_rng(0).integers(0, 256, (size, size, 3)).astype(np.uint8)
        began = time.perf_counter()
        finder = GradCam(model)
        found = time.perf_counter() - began
        batch = tf.constant(image[None], tf.float32)
        plain = plain_passes(model)
        graph = tf.function(plain)
        calls = (finder.explain, lambda given, f=plain: f(given).numpy(), lambda given, f=graph: f(given).numpy())
        seconds = [[], [], []]
        for turn in range(options.repeats + 1):
            for kept, call, given in zip(seconds, calls, (image, batch, batch), strict=True):
                began = time.perf_counter()
                call(given)
                if turn:  # the first warms up
                    kept.append(time.perf_counter() - began)
        mine, other, fast = map(statistics.median, seconds)
        rows.append(
            f"| {architecture.name}, {size} pixels | {found * 1000:.0f} | {mine * 1000:.0f} | {other * 1000:.0f} | "
            f"**{mine / other:.2f}** | {fast * 1000:.0f} | {mine / fast:.2f} |"
        )
    print(heading("Heat maps"))
    print(f"One image, {options.repeats} turns each, median ms; random weights.\n")
    print("| network | finding the maps, once | heat map | forward and backward pass | ratio | compiled | ratio |")
    print("| --- | ---: | ---: | ---: | ---: | ---: | ---: |")
    print("\n".join(rows))


def plain_passes(model):
    import tensorflow as tf

    def passes(batch):
        with tf.GradientTape() as tape:
            tape.watch(batch)
            best = tf.reduce_max(model(batch, training=False))
        return tape.gradient(best, batch)

    return passes


def write_sheet(options, home):
    from cnn_studio import tasks
    from cnn_studio.core.advice.suggestions import suggest_experiment
    from cnn_studio.core.experiment.experiment import with_values
    from cnn_studio.core.job.jobs import JobContext

    models = home / "keras" / "models"
    models.mkdir(parents=True)
    for file in options.weights.resolve().glob("*.h5"):
        (models / file.name).symlink_to(file)
    part = home / options.folder.name
    for folder in sorted(path for path in options.folder.resolve().iterdir() if path.is_dir()):
        (part / folder.name).mkdir(parents=True)
        for file in sorted(folder.iterdir())[: options.each]:
            (part / folder.name / file.name).symlink_to(file)

    def job(function, request):
        return function(request, JobContext())

    dataset = job(tasks.scan, part)
    changes = {
        "image.height": options.size,
        "image.width": options.size,
        "training.epochs": 10,
    }
    experiment = with_values(suggest_experiment(dataset, "resnet50"), changes)
    trained = job(tasks.train, tasks.TrainRequest(dataset, experiment, home / "run"))
    print(f"test accuracy {trained.test.accuracy:.3f} on {trained.test.images} images")
    shown = [path for path, _ in tasks.held_out_images(trained.run, PHOTOGRAPHS)]
    explained = [job(tasks.explain, tasks.ExplainRequest(trained.model, path)) for path in shown]
    draw_sheet(explained, options.sheet)
    for number, one in enumerate(explained, start=1):
        print(f"{number:2} {one.path.name}: {one.class_name} {one.probability:.3f}, {one.layer} {one.map_size}")


def draw_sheet(explained, target):
    """Pairs of photograph and overlay, five rows of two pairs, each with its number."""
    import numpy as np
    from PIL import Image, ImageDraw

    from cnn_studio.core.evaluation.heat import overlay
    from cnn_studio.core.image.decoder import read_image

    edge = 260
    sheet = Image.new("RGB", (4 * edge + 30, -(-len(explained) // 2) * (edge + 10)), "white")
    draw = ImageDraw.Draw(sheet)
    for number, one in enumerate(explained):
        picture = read_image(one.path, edge, edge)
        pair = np.concatenate([picture, overlay(picture, one.heat)], axis=1)
        place = (number % 2 * (2 * edge + 20), number // 2 * (edge + 10))
        sheet.paste(Image.fromarray(pair), place)
        draw.text((place[0] + 4, place[1] + 4), f"{number + 1} {one.class_name} {one.probability:.2f}", fill="red")
    sheet.save(target)


if __name__ == "__main__":
    main()
