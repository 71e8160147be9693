"""Files written here load in older versions of Keras 3, each in an environment of its own, and answer the same."""

import importlib.util
import json
import os
import subprocess
import sys

import numpy as np
import pytest

from cnn_studio.core.evaluation.model_facts import ModelFacts
from cnn_studio.core.experiment.architectures import ARCHITECTURE_PRESETS, BACKBONE_PRESETS
from cnn_studio.core.experiment.settings import Colour, ImageSettings
from cnn_studio.core.job.jobs import ignore_reports
from cnn_studio.ml import runtime

pytestmark = pytest.mark.slow

SIDE = 32
LOAD = """
import json, sys, keras, numpy as np
answers = {"version": keras.__version__}
pixels = np.load(sys.argv[1])
for path in sys.argv[2:]:
    model = keras.models.load_model(path)
    answers[path] = np.asarray(model.predict_on_batch(pixels)).tolist()
print(json.dumps(answers))
"""


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """({path: what the network answers to the pixels in pixels.npy}, the path of pixels.npy)."""
    runtime.start(ignore_reports)
    from cnn_studio.ml.build import build_model
    from cnn_studio.ml.calibrate import with_temperature
    from cnn_studio.ml.model_file import read_facts, save_model

    folder = tmp_path_factory.mktemp("files")
    pixels = np.random.default_rng(0).integers(0, 256, (4, SIDE, SIDE, 3)).astype(np.uint8)
    np.save(folder / "pixels.npy", pixels)
    presets = {**ARCHITECTURE_PRESETS, **BACKBONE_PRESETS}
    normalised = presets["small_cnn"].architecture.model_copy(update={"batch_normalization": True})
    networks = {
        "small_cnn": (normalised, Colour.RGB),
        "lenet5": (presets["lenet5"].architecture, Colour.GREY),
        "mlp": (presets["mlp"].architecture, Colour.RGB),
        "mobilenet_v2": (presets["mobilenet_v2"].architecture, Colour.GREY),
        "resnet50": (presets["resnet50"].architecture, Colour.RGB),
    }
    answers = {}
    for name, (architecture, colour) in networks.items():
        model = build_model(architecture, ImageSettings(height=SIDE, width=SIDE, colour=colour), 3, seed=1)
        if name == "mlp":
            model = with_temperature(model, 1.5)
        path = folder / f"{name}.keras"
        save_model(model, path, ModelFacts(("a", "b", "c"), SIDE, SIDE))
        assert read_facts(path).versions["keras_at_least"] == "3.8"
        answers[str(path)] = model.predict_on_batch(pixels)
    return answers, folder / "pixels.npy"


@pytest.mark.parametrize("version", ["3.8.0", "3.10.0", "newest"])
def test_an_older_keras_answers_the_same(files, tmp_path, version):
    answers, pixels = files
    environment = dict(os.environ)
    if version != "newest":
        install_keras(version, tmp_path / "keras")
        environment["PYTHONPATH"] = str(tmp_path / "keras")
    done = subprocess.run(
        [sys.executable, "-P", "-c", LOAD, str(pixels), *answers],
        capture_output=True,
        encoding="utf-8",
        env=environment,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads(done.stdout.splitlines()[-1])
    assert found.pop("version") == version or version == "newest"
    assert found.keys() == answers.keys()
    for path, expected in answers.items():
        np.testing.assert_allclose(found[path], expected, atol=1e-5, err_msg=path)


def install_keras(version, folder):
    """Keras alone, before the environment's own on the path: TensorFlow takes a minute to install and is the same."""
    if importlib.util.find_spec("pip") is None:
        pytest.skip("there is no pip in this environment")
    command = ["install", "--quiet", "--no-deps", "--target", str(folder), f"keras=={version}"]
    environment = {name: value for name, value in os.environ.items() if name != "PIP_CONSTRAINT"}
    done = subprocess.run(
        [sys.executable, "-m", "pip", *command], capture_output=True, encoding="utf-8", env=environment, check=False
    )
    if done.returncode:
        pytest.skip(f"pip could not get Keras {version}: {(done.stderr.strip().splitlines() or ['?'])[-1]}")
