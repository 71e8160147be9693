"""Small image files, and jobs' surroundings, for the tests of core."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cnn_studio.core.dataset import Dataset, ImageFile, Split
from cnn_studio.core.jobs import CancelToken


@pytest.fixture
def cancel() -> CancelToken:
    return CancelToken()


@pytest.fixture
def write_image() -> Callable[..., Path]:
    """Write a small picture with some structure in it; the seed decides its pixels, the suffix its format."""

    def write(path: Path, seed: int = 0, height: int = 12, width: int = 16, mode: str = "RGB") -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
        Image.fromarray(pixels).convert(mode).save(path)
        return path

    return write


@pytest.fixture
def class_folders(tmp_path: Path, write_image: Callable[..., Path]) -> Callable[[dict[str, int]], Path]:
    """Make a data set's folder from class names and how many PNG files each has."""

    def make(counts: dict[str, int], root: Path | None = None) -> Path:
        root = root or tmp_path / "pictures"
        root.mkdir(exist_ok=True)
        for label, (name, count) in enumerate(counts.items()):
            (root / name).mkdir(parents=True, exist_ok=True)
            for number in range(count):
                write_image(root / name / f"{number:04}.png", seed=1000 * label + number)
        return root

    return make


@pytest.fixture
def made_up_dataset(tmp_path: Path) -> Callable[..., Dataset]:
    """A data set of files that do not exist, for arithmetic on it."""

    def make(counts: dict[str, int], given: Split | None = None, prefix: str = "") -> Dataset:
        files = tuple(
            ImageFile(f"{prefix}{name}/{number:05}.jpg", label, 100, 120, False, 1000, 1, given)
            for label, (name, count) in enumerate(counts.items())
            for number in range(count)
        )
        return Dataset(tmp_path, tuple(counts), files, (), frozenset({given} - {None}))

    return make
