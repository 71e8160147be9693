"""Run an exported script as its reader will: from files, in a process of its own that knows nothing of this one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from cnn_studio.core.errors import ModelFileError
from cnn_studio.core.job.jobs import CancelToken

# Keras compiles with XLA unless told otherwise, which takes seconds and has no part in what is checked; JAX needs it.
_ANSWER = """
import json, runpy, sys
script = runpy.run_path(sys.argv[1])
script["model"].jit_compile = script["keras"].backend.backend() == "jax"
print(json.dumps([script["classify"](path).tolist() for path in sys.argv[2:]]))
"""
_ENVIRONMENT = {"TF_CPP_MIN_LOG_LEVEL": "3", "TF_FORCE_GPU_ALLOW_GROWTH": "true", "PYTHONIOENCODING": "utf-8"}


def answers_of_script(script: str, pictures: Sequence[Path], cancel: CancelToken) -> NDArray[np.float64]:
    """What a script of ``ml.export`` says of pictures.

    Args:
        script: its text.
        pictures: image files.
        cancel: ends the process.

    Returns:
        Probabilities, shape (pictures, classes).

    Raises:
        ModelFileError: it did not run to its end.
        JobCancelled: the user cancelled.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "classify.py")
        path.write_text(script, encoding="utf-8")
        # -P: what lies in the folder the program was started in is no module of the script's.
        command = [sys.executable, "-P", "-c", _ANSWER, str(path), *map(str, pictures)]
        printed, complaint, status = _run(command, cancel)
    try:
        return np.array(json.loads(printed.splitlines()[-1]))
    except (ValueError, IndexError) as error:
        reason = (complaint.strip().splitlines() or [f"status {status}"])[-1][:300]
        raise ModelFileError(f"The script that uses the exported file did not work: {reason}") from error


def _run(command: Sequence[str], cancel: CancelToken) -> tuple[str, str, int]:
    process = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
        errors="replace",
        env=os.environ | _ENVIRONMENT,
        creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
    )
    with process:
        try:
            while True:
                try:
                    return *process.communicate(timeout=0.1), process.returncode
                except subprocess.TimeoutExpired:
                    cancel.raise_if_cancelled()
        finally:
            process.kill()


def write_sample_pictures(folder: Path, height: int, width: int) -> list[Path]:
    """Write a noisy picture of each kind that programs read differently.

    Args:
        folder: where to.
        height: of the pictures, in pixels.
        width: of the pictures, in pixels.

    Returns:
        Their paths: a JPEG that lies on its side, one in CMYK, PNG files with transparency, a palette and 16 bits.
    """
    noise = np.random.default_rng(0).integers(0, 256, (height, width, 4)).astype(np.uint8)
    picture = Image.fromarray(noise)
    lying = Image.Exif()
    lying[0x0112] = 6
    saved: dict[str, tuple[Image.Image, dict[str, Any]]] = {
        "lying.jpg": (picture.convert("RGB"), {"exif": lying}),
        "cmyk.jpg": (picture.convert("RGB").convert("CMYK"), {}),
        "transparent.png": (picture, {}),
        "palette.png": (picture.convert("RGB").quantize(16), {"transparency": 0}),
        "deep.png": (Image.fromarray(noise[..., 0] * np.uint16(200)), {}),
    }
    for name, (image, options) in saved.items():
        image.save(folder / name, **options)
    return [folder / name for name in saved]
