"""Tiny data sets that a network learns in seconds, one of them not too well."""

import shutil

import numpy as np
import pytest
from PIL import Image

from cnn_studio.core.job.jobs import JobContext

COLOURS = {"red": (220, 40, 40), "green": (40, 200, 60), "blue": (50, 60, 220)}


@pytest.fixture
def blobs(tmp_path):
    """Three classes of twelve noisy 32-pixel pictures, told apart by their colour."""
    random = np.random.default_rng(0)
    root = tmp_path / "blobs"
    for name, colour in COLOURS.items():
        (root / name).mkdir(parents=True)
        for number in range(12):
            noise = random.integers(-35, 35, (32, 32, 3))
            pixels = np.clip(np.asarray(colour) + noise, 0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(root / name / f"{name} {number}.png")
    return root


HARD_COLOURS = {"red": (200, 60, 60), "green": (70, 190, 70), "blue": (60, 60, 200), "grey": (110, 110, 110)}


@pytest.fixture(scope="session")
def write_hard_blobs():
    """write_hard_blobs(root, each) -> root: four classes whose colours overlap, so that a network errs."""

    def write(root, each=20):
        random = np.random.default_rng(0)
        for name, colour in HARD_COLOURS.items():
            (root / name).mkdir(parents=True)
            for number in range(each):
                shade = np.asarray(colour) + random.integers(-70, 70, 3)
                pixels = np.clip(shade + random.integers(-35, 35, (24, 24, 3)), 0, 255).astype(np.uint8)
                Image.fromarray(pixels).save(root / name / f"{number}.png")
        return root

    return write


@pytest.fixture(scope="session")
def made(tmp_path_factory, write_hard_blobs):
    """A run on them with mistakes in it, trained once: (what training returned, its pictures' folder)."""
    from cnn_studio import tasks
    from cnn_studio.core.advice.suggestions import suggest_experiment
    from cnn_studio.core.experiment.experiment import with_values

    place = tmp_path_factory.mktemp("made")
    data = write_hard_blobs(place / "data")
    dataset = tasks.scan(data, JobContext())
    settings = {"training.epochs": 3, "training.batch_size": 8, "split.validation": 0.3, "split.test": 0.3}
    experiment = with_values(suggest_experiment(dataset), settings)
    request = tasks.TrainRequest(dataset, experiment, place / "run")
    return tasks.train(request, JobContext()), data


@pytest.fixture
def run(made, tmp_path):
    """A copy of that run, to be changed."""
    from cnn_studio.core.runs.run import read_run

    folder = tmp_path / "run"
    shutil.copytree(made[0].run, folder)
    return read_run(folder)
