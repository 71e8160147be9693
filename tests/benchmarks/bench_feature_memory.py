"""How much memory it takes to compute and keep the features of many images: the most that was resident at any time.

A store of prepared images of noise is made, as large as that of so many photographs, and a real backbone runs once over
it, as in a frozen training. Both lie on disk; what is resident is Keras, one batch at a time, and pages that the system
could take back. Computing 10,000 images at 224 pixels takes half an hour on two cores; the figure settles within the
first hundreds, so --compute runs the network over the first of them only, in the store of all.
"""

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from environment import heading


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=10_000, help="in the store (10,000)")
    parser.add_argument("--compute", type=int, default=0, help="features of so many; 0 for all (0)")
    parser.add_argument("--size", type=int, default=224, help="image side in pixels (224)")
    parser.add_argument("--backbone", default="resnet50", help="(resnet50)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as home:
        os.environ["CNN_STUDIO_HOME"] = home
        peak, settled, seconds, size = measure(options, Path(home))
    computed = options.compute or options.images
    print(heading("Memory while features are computed"))
    print(
        "| backbone | images in the store | computed | size | store | features | seconds | most resident | anonymous |"
    )
    print("| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |")
    store = options.images * options.size**2 * 3
    print(
        f"| {options.backbone} | {options.images:,} | {computed:,} | {options.size} px | {store / 1e9:.2f} GB | "
        f"{size / 1e6:.0f} MB | {seconds:.0f} | {peak / 1e9:.2f} GB | {settled / 1e9:.2f} GB |"
    )


def measure(options, home):
    import numpy as np

    from cnn_studio.core.data.image_file import ImageFile
    from cnn_studio.core.experiment.settings import BackboneArchitecture, ImageSettings
    from cnn_studio.core.job.jobs import JobContext, ignore_reports
    from cnn_studio.ml import runtime

    runtime.start(ignore_reports)
    from cnn_studio.ml.backbones import set_trainable_from
    from cnn_studio.ml.build import build_model
    from cnn_studio.ml.features import RowSource, cache_features
    from cnn_studio.ml.fixed_part import split_fixed_part

    side = options.size
    path = home / "images.u8"
    draw = np.random.default_rng(0)
    with path.open("wb") as file:
        for start in range(0, options.images, 100):
            count = min(100, options.images - start)
            file.write(draw.integers(0, 256, (count, side, side, 3), dtype=np.uint8).data)
    values = np.memmap(path, np.uint8, "c", shape=(options.images, side, side, 3))
    architecture = BackboneArchitecture(name=options.backbone)
    model = build_model(architecture, ImageSettings(height=side, width=side), 10)
    set_trainable_from(model, architecture, None)
    lower = split_fixed_part(model).lower
    computed = options.compute or options.images
    source = RowSource(values, np.arange(computed), "noise")
    files = [ImageFile(f"{i}", 0, side, side, False, 1, 1) for i in range(computed)]
    began = time.perf_counter()

    def report(event):
        done = getattr(event, "done", 0)
        if done and done % 1600 == 0:
            print(f"{done:,} images, {resident('VmRSS') / 1e9:.2f} GB resident", file=sys.stderr, flush=True)

    features = cache_features(lower, source, files, JobContext(report))
    seconds = time.perf_counter() - began
    return resident("VmHWM"), resident("RssAnon"), seconds, features.values.nbytes


def resident(which):
    """A figure of this process in bytes, from Linux."""
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith(which + ":"):
            return int(line.split()[1]) * 1024
    raise SystemExit(f"This system does not tell {which}.")


if __name__ == "__main__":
    main()
