"""Does an exported script answer as the program does, from the same JPEG files?

Five networks (backbones with their published weights and a head fitted to other photographs; small_cnn with random
convolutions under such a head) answer for real photographs, for CMYK, turned and progressive files made of them, and
for large ones. The pixels of the script are those of its published text, executed; where the program decodes a file at
a fraction of its size, the script decodes it in full.
"""

import argparse
import os
import random
import tempfile
from pathlib import Path

import numpy as np

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from environment import heading
from photographs import TWELVE_MEGAPIXELS, jpegs_in, write_photographs
from PIL import Image

from cnn_studio.core.evaluation.model_facts import ModelFacts
from cnn_studio.core.image import decoder

NETWORKS = [("small_cnn", 48), ("resnet50", 64), ("mobilenet_v2", 96), ("vgg16", 150), ("resnet50", 224)]
ONE_OF_EACH_KIND = 20
LARGE = "large"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="../shared/data")
    parser.add_argument("weights", type=Path, help="../shared/weights")
    parser.add_argument("--real", type=int, default=150, help="photographs as they are (150)")
    parser.add_argument("--large", type=int, default=60, help="of 12 megapixels (60)")
    parser.add_argument("--networks", type=int, default=len(NETWORKS), help="how many of the five (5)")
    parser.add_argument("--draft-from", type=int, nargs="*", default=[decoder._DRAFT_FROM], help="others than (8)")
    options = parser.parse_args()

    print(heading("Parity of the program and its exported script"))
    print(
        "| network | drafts to at least | files | count | the very same pixels | pixels differ by (mean, most) "
        "| most \\|Δp\\| | answers changed |\n| --- | ---: | --- | ---: | ---: | ---: | ---: | ---: |"
    )
    with tempfile.TemporaryDirectory() as work:
        kinds, learnt = made_files(options, Path(work))
        for name, side in NETWORKS[: options.networks]:
            compare(name, side, kinds, learnt, options, Path(work))


def made_files(options, work):
    """({kind: files}, {class name: other photographs to fit a head to})."""
    dice = random.Random(0)
    flowers = jpegs_in(options.data / "flowers")
    others = jpegs_in(options.data / "cats_dogs") + jpegs_in(options.data / "sign_digits")
    dice.shuffle(flowers)
    dice.shuffle(others)
    half = options.real // 2
    learnt = {}
    for path in flowers[half + 3 * ONE_OF_EACH_KIND :]:
        learnt.setdefault(path.parent.name, []).append(path)
    kinds = {"real": flowers[:half] + others[: options.real - half], "CMYK": [], "turned": [], "progressive": []}
    for number, path in enumerate(flowers[half : half + 3 * ONE_OF_EACH_KIND]):
        kind = ("CMYK", "turned", "progressive")[number % 3]
        target = work / f"{kind} {number}.jpg"
        with Image.open(path) as picture:
            exif = Image.Exif()
            exif[0x0112] = 2 + number // 3 % 7 if kind == "turned" else 1
            mode = "CMYK" if kind == "CMYK" else "RGB"
            picture.convert(mode).save(target, quality=92, progressive=kind == "progressive", exif=exif)
        kinds[kind].append(target)
    write_photographs(others, work / "mosaics", 2 * options.large // 3, TWELVE_MEGAPIXELS, tile=500)
    kinds[LARGE] = jpegs_in(work / "mosaics")
    for number, path in enumerate(flowers[: options.large - len(kinds[LARGE])]):
        kinds[LARGE].append(work / f"enlarged {number}.jpg")
        with Image.open(path) as picture:
            picture.convert("RGB").resize(TWELVE_MEGAPIXELS, Image.Resampling.LANCZOS).save(
                kinds[LARGE][-1], quality=92
            )
    return kinds, {name: paths[:40] for name, paths in sorted(learnt.items())}


def compare(name, side, kinds, learnt, options, work):
    """Print a line for each kind of file and setting of the decoder."""
    from cnn_studio.ml.export import usage_snippet
    from cnn_studio.ml.model_file import save_model

    model = fitted(name, side, learnt, options.weights)
    file = work / "model.keras"
    save_model(model, file, ModelFacts(tuple(learnt), side, side))
    script = {"__name__": "classify"}
    exec(usage_snippet(ModelFacts(tuple(learnt), side, side), str(file)), script)
    seen = script["model"] = Seen()
    for kind, paths in kinds.items():
        for path in paths:
            script["classify"](path)
        theirs, seen.pixels = np.stack(seen.pixels), []
        answers = model.predict(theirs, batch_size=16, verbose=0)
        for times in options.draft_from if kind == LARGE else options.draft_from[:1]:
            decoder._DRAFT_FROM = times
            ours = np.stack([decoder.read_image(path, side, side) for path in paths])
            apart = np.abs(ours.astype(int) - theirs)
            ours_answer = model.predict(ours, batch_size=16, verbose=0)
            moved = np.abs(ours_answer - answers).max()
            changed = int((ours_answer.argmax(axis=1) != answers.argmax(axis=1)).sum())
            same = int((apart.reshape(len(paths), -1).max(axis=1) == 0).sum())
            print(
                f"| {name}, {side} px | {times} × | {kind} | {len(paths)} | {same} "
                f"| {apart.mean():.3f}, {apart.max()} | {moved:.4f} | {changed} |",
                flush=True,
            )


class Seen:
    """Stands in for the script's network and keeps what it is given."""

    def __init__(self):
        self.pixels = []

    def predict(self, batch, **_):
        self.pixels.append(batch[0])
        return batch


def fitted(name, side, learnt, weights):
    """A network whose last layer is a logistic regression on what comes before it."""
    import keras
    from sklearn.linear_model import LogisticRegression

    from cnn_studio.core.experiment.architectures import ARCHITECTURE_PRESETS, BACKBONE_PRESETS
    from cnn_studio.core.experiment.settings import ImageSettings
    from cnn_studio.ml.build import build_model

    architecture = {**ARCHITECTURE_PRESETS, **BACKBONE_PRESETS}[name].architecture
    published = next(weights.glob(f"{name}_*.h5"), None)
    image = ImageSettings(height=side, width=side)
    model = build_model(architecture, image, len(learnt), seed=0, weights_file=published)
    pixels = np.stack([decoder.read_image(path, side, side) for paths in learnt.values() for path in paths])
    labels = [label for label, paths in enumerate(learnt.values()) for _ in paths]
    last = model.layers[-1]
    features = keras.Model(model.input, last.input).predict(pixels, batch_size=16, verbose=0)
    scale = features.std() or 1.0
    head = LogisticRegression(max_iter=300).fit(features / scale, labels)
    last.set_weights([head.coef_.T / scale, head.intercept_])
    return model


if __name__ == "__main__":
    main()
