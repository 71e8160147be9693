"""What stays in memory when one training follows another in the same process, as in a window that is open all day.

The same tiny network is trained again and again, as the window and the command line do it. What is resident is read
when the last reference to a training has gone and the garbage collector has run; the growth is that after the tenth,
when everything has been loaded that is loaded once.
"""

import argparse
import gc
import os
import tempfile
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from environment import heading

FROM = 10


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trainings", type=int, default=60, help="one after the other (60)")
    parser.add_argument("--architecture", default="small_cnn", help="(small_cnn)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as home:
        os.environ["CNN_STUDIO_HOME"] = home
        found = measure(options.trainings, options.architecture, Path(home))
    print(heading("Memory after each training"))
    print("| after training | resident | in Python's and C's heap | per training since the tenth | Python objects |")
    print("| ---: | ---: | ---: | ---: | ---: |")
    base = found[FROM - 1][0]
    for number in sorted({1, *range(FROM, len(found) + 1, 10), len(found)}):
        resident, anonymous, objects = found[number - 1]
        growth = f"{(resident - base) / (number - FROM) / 1e6:.2f} MB" if number > FROM else "–"
        print(f"| {number} | {resident / 1e6:.0f} MB | {anonymous / 1e6:.0f} MB | {growth} | {objects:,} |")


def measure(trainings, architecture, home):
    import numpy as np
    from PIL import Image

    from cnn_studio import tasks
    from cnn_studio.core.experiment.experiment import Experiment, with_values
    from cnn_studio.core.job.jobs import JobContext
    from cnn_studio.core.runs.run import discard_run, read_run

    draw = np.random.default_rng(0)
    for name, level in {"dark": 60, "bright": 190}.items():
        (home / "data" / name).mkdir(parents=True)
        for number in range(10):
            pixels = draw.integers(level - 50, level + 50, (16, 16, 3)).astype(np.uint8)
            Image.fromarray(pixels).save(home / "data" / name / f"{number}.png")
    dataset = tasks.scan(home / "data", JobContext())
    settings = {"architecture.name": architecture, "image.height": 16, "image.width": 16, "training.epochs": 1}
    experiment = with_values(Experiment(), settings)
    found = []
    for number in range(trainings):
        trained = tasks.train(tasks.TrainRequest(dataset, experiment, home / f"run {number}"), JobContext())
        discard_run(read_run(trained.run))
        del trained
        gc.collect()
        found.append((resident("VmRSS"), resident("RssAnon"), len(gc.get_objects())))
    return found


def resident(which):
    """A figure of this process in bytes, from Linux."""
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith(which + ":"):
            return int(line.split()[1]) * 1024
    raise SystemExit(f"This system does not tell {which}.")


if __name__ == "__main__":
    main()
