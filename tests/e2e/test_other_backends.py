"""The same experiments with JAX as Keras's backend, in processes of their own; where JAX is installed."""

import importlib.util
import json
import os
import subprocess
import sys

import keras
import numpy as np
import pytest

from cnn_studio.core.image.decoder import read_image

pytestmark = pytest.mark.skipif(importlib.util.find_spec("jax") is None, reason="JAX is not installed")

START = """
import json, sys
from pathlib import Path
from types import SimpleNamespace
from cnn_studio import tasks
from cnn_studio.core.advice import preflight
from cnn_studio.core.experiment.augmentation import parse_augmentation
from cnn_studio.core.experiment.experiment import build_experiment
from cnn_studio.core.job.jobs import JobContext, ignore_reports
from cnn_studio.tasks import training

folder, out = map(Path, sys.argv[1:])
data = tasks.scan(folder, JobContext())

def train(name, augment="", **architecture):
    values = {
        "image": {"height": 32, "width": 32},
        "training": {"epochs": 2, "batch_size": 7},
        "augmentation": parse_augmentation(augment).model_dump(),
    }
    if architecture:
        values["architecture"] = {"kind": "backbone", "name": "mobilenet_v2", **architecture}
    request = tasks.TrainRequest(data, build_experiment(values), out / name)
    return tasks.train(request, JobContext())
"""

EXPERIMENTS = """
import keras
weights = out / "weights.h5"
scratch = train("scratch", "flip_horizontal,rotation,zoom,hue,blur,erasing,mix_up")
assert keras.backend.backend() == "jax"
file = out / "mobilenet.weights.h5"
keras.applications.MobileNetV2(weights=None, include_top=False, input_shape=(32, 32, 3)).save_weights(file)
training.find_weights = preflight.find_weights = lambda name: SimpleNamespace(path=file, note="")
tuned = train("tuned", "rotation,views=2", transfer="fine_tuned", fine_tuning={"epochs": 1})
predictions = tasks.predict(tasks.PredictRequest(scratch.model, (folder / "red",)), JobContext())
tasks.export(tasks.ExportRequest(scratch.model, out / "exported.keras"), JobContext())
print(json.dumps({
    "accuracy": scratch.validation.accuracy,
    "tuned_epochs": tuned.epochs,
    "predictions": {each.path.name: dict(each.ranked) for each in predictions},
}))
"""

TWO_DEVICES = """
from cnn_studio.ml import runtime
from cnn_studio.ml.acceleration import Acceleration
runtime.start(ignore_reports)
import jax
assert jax.device_count() == 2
runtime._Started.acceleration = Acceleration(jit_compile=True, devices=2)
trained = train("shared")
print(json.dumps({"accuracy": trained.validation.accuracy, "images": trained.validation.images}))
"""


def run(code, folder, out, **environment):
    out.mkdir()
    own = {"KERAS_BACKEND": "jax", "JAX_PLATFORMS": "cpu", "CNN_STUDIO_HOME": str(out / "home"), **environment}
    done = subprocess.run(
        [sys.executable, "-c", START + code, str(folder), str(out)],
        env=os.environ | own,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


def test_jax_trains_the_same_experiments_and_its_files_answer_the_same_elsewhere(blobs, tmp_path):
    found = run(EXPERIMENTS, blobs, tmp_path / "out")
    assert found["accuracy"] > 0.5
    assert found["tuned_epochs"] == 3
    model = keras.saving.load_model(tmp_path / "out" / "exported.keras")  # with this process's backend
    names = json.loads((tmp_path / "out" / "exported.json").read_text(encoding="utf-8"))["class_names"]
    for name, ranked in found["predictions"].items():
        probabilities = model.predict_on_batch(read_image(blobs / "red" / name, 32, 32)[None])[0]
        np.testing.assert_allclose(probabilities, [ranked[each] for each in names], atol=1e-4)


def test_two_devices_share_every_batch(blobs, tmp_path):
    found = run(TWO_DEVICES, blobs, tmp_path / "out", XLA_FLAGS="--xla_force_host_platform_device_count=2")
    assert found["images"] == 6
    assert found["accuracy"] > 0.5
