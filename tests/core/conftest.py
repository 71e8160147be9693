"""Small image files, and jobs' surroundings, for the tests of core."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from cnn_studio.core.data.dataset import Dataset
from cnn_studio.core.data.image_file import ImageFile, Split
from cnn_studio.core.evaluation.measured import Measured
from cnn_studio.core.evaluation.scores import score_probabilities
from cnn_studio.core.experiment.backbones import BACKBONES, Backbone
from cnn_studio.core.job.jobs import CancelToken
from cnn_studio.core.weights.check import layout_digest


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


@pytest.fixture
def write_weights() -> Callable[..., Path]:
    """Write a file of weights as Keras published them: one layer with a kernel and an offset of ``units``."""

    def write(path: Path, units: int = 3, seed: int = 0, kind: str = "float32") -> Path:
        import h5py

        values = np.random.default_rng(seed).normal(size=(2, units, 50_000))
        with h5py.File(path, "w") as file:
            file.attrs["layer_names"] = [b"input_1", b"conv"]
            file.create_group("input_1")
            layer = file.create_group("conv")
            layer.attrs["weight_names"] = [b"conv/kernel:0", b"conv/bias:0"]
            layer["conv/kernel:0"] = values.astype(kind)
            layer["conv/bias:0"] = np.zeros(units, kind)
        return path

    return write


@pytest.fixture
def tiny_backbone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, write_weights: Callable[..., Path]
) -> tuple[Backbone, Path]:
    """A row of the table with small weights, their published file (not in its place), and a Keras home of its own."""
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    file = write_weights(tmp_path / "published.h5")
    tiny = replace(
        BACKBONES["vgg16"],
        name="tiny",
        title="Tiny",
        parameters=300_003,
        weights_file="tiny_notop.h5",
        weights_url="https://example.org/tiny_notop.h5",
        weights_bytes=file.stat().st_size,
        weights_hash=hashlib.md5(file.read_bytes(), usedforsecurity=False).hexdigest(),
        weights_layout=layout_digest([(2, 3, 50_000), (3,)]),
    )
    monkeypatch.setitem(BACKBONES, "tiny", tiny)
    return tiny, file


@pytest.fixture
def make_measured(tmp_path: Path) -> Callable[..., Measured]:
    """make_measured(probabilities (n, classes), labels) -> what was measured, on made-up paths of classes a, b, c…"""

    def make(probabilities: Any, labels: Any, names: tuple[str, ...] = (), **more: Any) -> Measured:
        given = np.asarray(probabilities, np.float32)
        truth = np.asarray(labels, np.int32)
        names = names or tuple("abcdefghijklmnopqrstuvwxyz"[: given.shape[1]])
        values = {
            "evaluation": score_probabilities(given, truth, names, Split.TEST) if len(given) == len(truth) else None,
            "class_names": names,
            "model": tmp_path / "model.keras",
            "root": tmp_path / "pictures",
            "paths": tuple(f"{number}.png" for number in range(len(given))),
            "labels": truth,
            "probabilities": given,
        }
        return Measured(**{**values, **more})

    return make
