"""A temperature inside the network against the same worked out on its probabilities."""

import json
import subprocess
import sys
from dataclasses import replace

import keras
import numpy as np
import pytest

from cnn_studio.core.evaluation.measured import logits_of, softmax
from cnn_studio.ml.calibrate import with_temperature
from cnn_studio.ml.model_file import load_model, save_model

layers = keras.layers


@pytest.fixture
def raw():
    return np.random.default_rng(0).integers(0, 256, (40, 16, 16, 3)).astype(np.uint8)


def sharpened(model):
    """Its last dense layer made larger, so that it is surer of itself."""
    last = [layer for layer in model._flatten_layers() if isinstance(layer, layers.Dense)][-1]
    last.set_weights([weight * 1.2 for weight in last.get_weights()])
    return model


def networks(make_model):
    inner = keras.Sequential([keras.Input((16, 16, 3)), layers.Flatten(), layers.Rescaling(1 / 255)])
    picture = keras.Input((16, 16, 3))
    flat = layers.Rescaling(1 / 255)(layers.Flatten()(picture))
    sigmoid = layers.Dense(1, activation="sigmoid")(flat)
    return {
        "ours": make_model(3),
        "nested": keras.Sequential([inner, layers.Dense(4, activation="softmax")]),
        "softmax layer": keras.Model(picture, layers.Softmax()(layers.Dense(4)(flat))),
        "softmax operation": keras.Model(picture, keras.ops.softmax(layers.Dense(4)(flat))),
        "two of a sigmoid": keras.Model(picture, keras.ops.concatenate([1.0 - sigmoid, sigmoid], axis=-1)),
    }


@pytest.mark.parametrize("kind", ["ours", "nested", "softmax layer", "softmax operation", "two of a sigmoid"])
@pytest.mark.parametrize("temperature", [0.7, 2.3])
def test_the_network_answers_as_the_temperature_says(make_model, facts, raw, tmp_path, kind, temperature):
    model = sharpened(networks(make_model)[kind])
    before = model.predict_on_batch(raw)
    layers_before = len(model.layers)
    calibrated = with_temperature(model, temperature)
    after = calibrated.predict_on_batch(raw)
    np.testing.assert_allclose(after, softmax(logits_of(before) / temperature), atol=1e-6)
    np.testing.assert_array_equal(after.argmax(axis=1), before.argmax(axis=1))
    assert not np.allclose(after, before, atol=1e-3)
    if kind in {"ours", "nested"}:
        assert calibrated is model
        assert len(model.layers) == layers_before

    path = tmp_path / "model.keras"
    names = tuple("abcd"[: before.shape[1]])
    save_model(calibrated, path, replace(facts, class_names=names, temperature=temperature))
    reloaded, found = load_model(path)  # inspected, and in safe mode
    assert found.temperature == temperature
    np.testing.assert_allclose(reloaded.predict_on_batch(raw), after, atol=1e-6)


def test_plain_keras_loads_it_in_a_process_of_its_own(make_model, facts, raw, tmp_path):
    model = sharpened(networks(make_model)["two of a sigmoid"])
    expected = softmax(logits_of(model.predict_on_batch(raw)) / 3.0)
    with_temperature(model, 3.0).save(tmp_path / "m.keras")
    np.save(tmp_path / "raw.npy", raw)
    code = (
        "import json, sys, keras, numpy as np\n"
        "model = keras.saving.load_model(sys.argv[1], safe_mode=True)\n"
        "assert not any(name.startswith('cnn_studio') for name in sys.modules)\n"
        "print(json.dumps(model.predict(np.load(sys.argv[2]), verbose=0).tolist()))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, tmp_path / "m.keras", tmp_path / "raw.npy"],
        capture_output=True,
        encoding="utf-8",
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    np.testing.assert_allclose(json.loads(done.stdout.splitlines()[-1]), expected, atol=1e-6)
