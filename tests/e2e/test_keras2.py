"""Files that Keras 2 itself wrote open and answer the same; tests/ml/test_keras2.py has them made by hand."""

import importlib.util
import os
import subprocess
import sys

import numpy as np
import pytest

from cnn_studio.core.errors import ModelFileError
from cnn_studio.core.evaluation.input_range import InputRange
from cnn_studio.core.job.jobs import ignore_reports
from cnn_studio.ml import runtime

pytestmark = pytest.mark.slow

WRITE = """
import sys, numpy as np, tf_keras as keras
L, out = keras.layers, sys.argv[1]
draw = np.random.default_rng(0)
pixels = draw.integers(0, 256, (4, 64, 64, 3)).astype("float32")

def keep(name, model, values, endings=("h5", "keras")):
    weights = model.get_weights()
    model.set_weights([np.abs(draw.normal(.1, .1, w.shape)).astype(w.dtype) for w in weights])
    for ending in endings:
        model.save(f"{out}/{name}.{ending}")
    np.save(f"{out}/{name}.npy", model.predict(values, verbose=0))
    return model

mobile = keras.applications.MobileNetV2((64, 64, 3), alpha=0.35, include_top=False, weights=None)
features = keras.Sequential([mobile, L.GlobalAveragePooling2D()])
head = keras.Sequential([L.Dense(100, activation="relu", input_shape=(1280,)), L.Dense(2, activation="softmax")])
keep("teachable", keras.Sequential([features, head]), pixels / 127.5 - 1)

image = keras.Input((64, 64, 3))
augmented = keras.Sequential([L.RandomFlip("horizontal"), L.RandomRotation(0.1)])(image)
maps = L.Rescaling(1 / 255)(augmented)
maps = L.Concatenate()([L.Conv2D(4, 3)(maps), L.SeparableConv2D(4, 3)(maps)])
maps = keras.Sequential([L.BatchNormalization(), L.ReLU(6.0)])(maps, training=False)
graph = keras.Model(image, L.Dense(1, activation="sigmoid")(L.GlobalMaxPooling2D()(maps)))
keep("graph", graph, pixels)

image = keras.Input((64, 64, 3))
maps = L.Conv2D(4, 3)(keras.applications.mobilenet_v2.preprocess_input(image))
arithmetic = keras.Model(image, L.Dense(2, activation="softmax")(L.GlobalMaxPooling2D()(maps)))
keep("arithmetic", arithmetic, pixels)

# What the refusal of the last one advises.
image = keras.Input((64, 64, 3))
maps = L.Conv2D(4, 3)(L.Rescaling(1 / 127.5, offset=-1)(image))
new = keras.Model(image, L.Dense(2, activation="softmax")(L.GlobalMaxPooling2D()(maps)))
new.set_weights(arithmetic.get_weights())
new.save(f"{out}/advised.h5")
np.save(f"{out}/advised.npy", arithmetic.predict(pixels, verbose=0))
np.save(f"{out}/pixels.npy", pixels)
"""


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """A folder of files by the package tf_keras, which is Keras 2 on today's TensorFlow."""
    runtime.start(ignore_reports)
    import tensorflow

    if importlib.util.find_spec("pip") is None:
        pytest.skip("there is no pip in this environment")
    place = tmp_path_factory.mktemp("keras2")
    version = ".".join(tensorflow.__version__.split(".")[:2])
    install = ["install", "--quiet", "--no-deps", "--target", str(place / "package"), f"tf_keras=={version}.*"]
    environment = {name: value for name, value in os.environ.items() if name != "PIP_CONSTRAINT"}
    done = subprocess.run(
        [sys.executable, "-m", "pip", *install], capture_output=True, encoding="utf-8", env=environment, check=False
    )
    if done.returncode:
        pytest.skip(f"pip could not get tf_keras: {(done.stderr.strip().splitlines() or ['?'])[-1]}")
    environment["PYTHONPATH"] = str(place / "package")
    command = [sys.executable, "-P", "-c", WRITE, str(place)]
    done = subprocess.run(command, capture_output=True, encoding="utf-8", env=environment, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return place


@pytest.mark.parametrize(
    ("file", "said", "seen"),
    [
        ("teachable.h5", InputRange.SIGNED, None),
        ("teachable.keras", InputRange.SIGNED, None),
        ("graph.h5", None, InputRange.BYTES),
        ("graph.keras", None, InputRange.BYTES),
        ("advised.h5", None, InputRange.BYTES),
    ],
)
def test_it_answers_as_keras_2_does(written, file, said, seen):
    from cnn_studio.ml.model_file import load_model

    assert load_model(written / file)[1].input_range is seen
    model, _ = load_model(written / file, input_range=said)
    expected = np.load(written / f"{file.partition('.')[0]}.npy")
    if expected.shape[1] == 1:
        expected = np.concatenate([1 - expected, expected], axis=1)
    np.testing.assert_allclose(model.predict_on_batch(np.load(written / "pixels.npy")), expected, atol=1e-5)


@pytest.mark.parametrize("file", ["arithmetic.h5", "arithmetic.keras"])
def test_tensorflows_own_arithmetic_is_told(written, file):
    from cnn_studio.ml.model_file import load_model

    with pytest.raises(ModelFileError, match="Rescaling layer in place of the arithmetic"):
        load_model(written / file)
