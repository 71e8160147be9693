import numpy as np
import pytest

from cnn_studio.core.evaluation.model_facts import ModelFacts
from cnn_studio.core.experiment.settings import Features, ImageSettings, ScratchArchitecture
from cnn_studio.core.job.jobs import CancelToken, ignore_reports

SIZE = 16


@pytest.fixture(scope="session", autouse=True)
def started():
    """Keras ready, as every job makes it; gives the device."""
    from cnn_studio.ml.runtime import start

    return start(ignore_reports)


@pytest.fixture
def cancel():
    """A token of a job that has something to keep: *stop* keeps it."""
    token = CancelToken()
    token.mark_something_to_keep()
    return token


@pytest.fixture
def make_store(tmp_path):
    """make_store(n, classes) -> (memory map, labels): noisy plain images, each class of a brightness of its own."""

    def make(count, classes=3, size=SIZE):
        rng = np.random.default_rng(count)
        labels = (np.arange(count) % classes).astype(np.int32)
        images = rng.integers(0, 60, (count, size, size, 3)).astype(np.uint8)
        images += (labels * (190 // max(1, classes - 1))).astype(np.uint8)[:, None, None, None]
        path = tmp_path / f"store_{count}.bin"
        images.tofile(path)
        return np.memmap(path, np.uint8, "c", shape=images.shape), labels

    return make


@pytest.fixture
def tiny_architecture():
    return ScratchArchitecture(name="tiny", blocks=((4,),), dropout=0.0, features=Features.GLOBAL_AVERAGE, dense=(8,))


@pytest.fixture
def make_model(tiny_architecture):
    """make_model(classes=3, seed=0) -> a very small model for 16 × 16 images."""
    from cnn_studio.ml.build import build_model

    def make(classes=3, seed=0):
        return build_model(tiny_architecture, ImageSettings(height=SIZE, width=SIZE), classes, seed)

    return make


@pytest.fixture
def facts():
    return ModelFacts(
        class_names=("añil", "blue", "two words"),
        height=SIZE,
        width=SIZE,
        architecture="tiny",
        metrics={"val_accuracy": 0.5},
        data_name="colours",
        created="2026-01-01T00:00:00+00:00",
        versions={"keras": "3", "keras_at_least": "3.8"},
    )
