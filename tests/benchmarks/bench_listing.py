"""A folder of 100,000 small files without the window: how long until it is listed and checked, and how much memory.

Each opening is a process of its own, so that memory is that of this opening alone. All files are different pictures.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from environment import heading
from PIL import Image

from cnn_studio.core.job.jobs import JobContext

CLASSES = 10


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=100_000)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.folder:
        opened(options.folder)
        return
    with tempfile.TemporaryDirectory() as home:
        os.environ["CNN_STUDIO_HOME"] = home
        write_images(Path(home, "many"), options.images)
        rows = []
        for name in ("first", "second"):
            command = [sys.executable, __file__, "--folder", str(Path(home, "many"))]
            rows.append((name, subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()))
    print(heading(f"{options.images:,} small files"))
    print("| opening | listed after | checked and compared after | memory at most |\n| --- | ---: | ---: | ---: |")
    for name, (listed, done, memory) in rows:
        print(f"| {name} | {float(listed):.1f} s | {float(done):.1f} s | {float(memory):.0f} MB |")


def opened(folder):
    """Print seconds until listed, seconds until done, and the most memory that was resident, in MB."""
    import resource

    from cnn_studio.core.data.events import FolderListed
    from cnn_studio.core.data.scan import scan_folder
    from cnn_studio.core.data.split import count_ahead

    began = time.perf_counter()
    listed = []

    def report(event):
        if isinstance(event, FolderListed):
            listed.append(time.perf_counter() - began)

    dataset = scan_folder(folder, JobContext(report))
    count_ahead(dataset)
    seconds = time.perf_counter() - began
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(listed[0] if listed else seconds, seconds, most)


def write_images(folder, count):
    """Small JPEG files of soft random shapes, each different."""
    dice = np.random.default_rng(0)
    for label in range(CLASSES):
        (folder / f"class {label}").mkdir(parents=True)
        for number in range(count // CLASSES):
            shapes = Image.fromarray(dice.integers(0, 256, (6, 6, 3), dtype=np.uint8))
            shapes.resize((64, 64), Image.Resampling.BICUBIC).save(folder / f"class {label}" / f"{number:06}.jpg")


if __name__ == "__main__":
    main()
