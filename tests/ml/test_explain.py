"""Grad-CAM against the same written in plain Keras, on networks of every shape that is opened."""

import importlib.util
import os
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

from cnn_studio.core.errors import ModelFileError
from cnn_studio.ml.calibrate import with_temperature
from cnn_studio.ml.explain import GradCam
from cnn_studio.ml.flat_graph import flattened
from cnn_studio.ml.model_file import load_model

layers = keras.layers


@pytest.fixture
def image():
    return np.random.default_rng(3).integers(0, 256, (32, 32, 3)).astype(np.uint8)


def seeded(model):
    """The same weights every time, so that no map is blank by chance."""
    rng = np.random.default_rng(0)
    model.set_weights([rng.normal(0.02, 0.2, w.shape) if w.ndim > 1 else w for w in model.get_weights()])
    return model


def by_hand(maps_of, logits_of, image, label):
    """Selvaraju et al. (2017), equations 1 and 2, with two plain functions: image → maps, maps → logits."""
    maps = maps_of(tf.constant(image[None], tf.float32))
    with tf.GradientTape() as tape:
        tape.watch(maps)
        score = logits_of(maps)[0, label]
    gradient = tape.gradient(score, maps)
    heat = np.zeros(maps.shape[1:3])
    for k in range(maps.shape[-1]):
        alpha = float(tf.reduce_mean(gradient[0, :, :, k]))
        heat += alpha * maps[0, :, :, k].numpy()
    heat = np.maximum(heat, 0)
    return heat / heat.max() if heat.max() > 0 else heat


def dense(layer, values):
    return (
        values @ layer.kernel.numpy() + layer.bias.numpy()
        if isinstance(values, np.ndarray)
        else (tf.matmul(values, tf.constant(layer.kernel.numpy())) + layer.bias.numpy())
    )


def backbone():
    return keras.Sequential(
        [
            keras.Input((32, 32, 3)),
            layers.Conv2D(6, 3, strides=2, activation="relu"),
            layers.BatchNormalization(),
            layers.Conv2D(8, 3, activation="relu", name="deepest"),
        ],
        name="backbone",
    )


def test_a_network_of_ours(make_model):
    model = seeded(make_model(classes=3))
    image = np.random.default_rng(1).integers(0, 256, (16, 16, 3)).astype(np.uint8)
    convolution = next(layer for layer in model.layers if isinstance(layer, layers.Conv2D))
    lower = keras.Model(model.input, convolution.output)
    after = model.layers[model.layers.index(convolution) + 1 :]

    def logits_of(maps):
        for layer in after[:-1]:
            maps = layer(maps, training=False)
        return dense(after[-1], maps)

    finder = GradCam(model)
    assert finder.layer == convolution.name
    assert finder.map_size == tuple(convolution.output.shape[1:3])
    any_heat = False
    for label in range(3):
        found = finder.explain(image, label)
        np.testing.assert_allclose(found.heat, by_hand(lower, logits_of, image, label), atol=1e-4)
        np.testing.assert_allclose(found.probabilities, model.predict(image[None], verbose=0)[0], atol=1e-6)
        any_heat = any_heat or found.heat.any()
    assert any_heat
    assert finder.explain(image).label == found.probabilities.argmax()


@pytest.mark.parametrize("wrapped", [False, True])
def test_a_backbone_within_a_network_within_a_network(image, wrapped):
    inner = backbone()
    head = layers.Dense(4, activation="softmax")
    model = keras.Sequential([keras.Input((32, 32, 3)), layers.Rescaling(1 / 255), inner, layers.Flatten(), head])
    seeded(model)
    outer = model
    if wrapped:
        picture = keras.Input((32, 32, 3))
        outer = keras.Model(picture, model(picture))
    finder = GradCam(outer)
    assert finder.layer == "deepest"

    def logits_of(maps):
        return dense(head, tf.reshape(maps, (1, -1)))

    any_heat = False
    for label in range(4):
        expected = by_hand(lambda batch: inner(batch / 255.0, training=False), logits_of, image, label)
        np.testing.assert_allclose(finder.explain(image, label).heat, expected, atol=1e-4)
        any_heat = any_heat or expected.any()
    assert any_heat


def foreign(end):
    picture = keras.Input((32, 32, 1))
    maps = layers.Conv2D(5, 3, activation="relu", name="maps")(layers.Rescaling(1 / 255)(picture))
    features = layers.GlobalAveragePooling2D()(layers.MaxPooling2D()(maps))
    if end == "logits":
        return keras.Model(picture, layers.Dense(3, name="last")(features))
    if end == "softmax layer":
        return keras.Model(picture, layers.Softmax()(layers.Dense(3, name="last")(features)))
    if end == "softmax operation":
        return keras.Model(picture, keras.ops.softmax(layers.Dense(3, name="last")(features)))
    if end == "sigmoid":
        return keras.Model(picture, layers.Dense(1, activation="sigmoid", name="last")(features))
    return keras.Model(picture, layers.Dense(1, name="last")(features))


@pytest.mark.parametrize("end", ["logits", "softmax layer", "softmax operation", "sigmoid", "one logit"])
@pytest.mark.parametrize("temperature", [1.0, 2.0])
def test_files_made_elsewhere(tmp_path, image, end, temperature):
    model = seeded(foreign(end))
    model.save(tmp_path / "theirs.keras")
    loaded, _ = load_model(tmp_path / "theirs.keras")
    if temperature != 1.0:
        loaded = with_temperature(loaded, temperature)
    one_output = end in {"sigmoid", "one logit"}
    finder = GradCam(loaded)
    assert finder.layer == "maps"
    lower = keras.Model(model.input, model.get_layer("maps").output)

    def logits_of(maps):
        pooled = tf.nn.max_pool2d(maps, 2, 2, "VALID")
        logits = dense(model.get_layer("last"), tf.reduce_mean(pooled, axis=(1, 2)))
        # One output speaks for the second class and against the first.
        return tf.concat([-logits, logits], axis=1) if one_output else logits

    any_heat = False
    for label in range(loaded.outputs[0].shape[-1]):
        expected = by_hand(lambda batch: lower(tf.image.rgb_to_grayscale(batch)), logits_of, image, label)
        found = finder.explain(image, label)
        np.testing.assert_allclose(found.heat, expected, atol=2e-3)
        any_heat = any_heat or expected.any()
    assert any_heat


def test_a_network_without_feature_maps_gets_a_sentence():
    model = keras.Sequential(
        [keras.Input((8, 8, 3)), layers.Rescaling(1 / 255), layers.Flatten(), layers.Dense(2, activation="softmax")]
    )
    with pytest.raises(ModelFileError, match="no telling where it looks"):
        GradCam(model)


def test_branches_that_meet_again_are_followed_to_where_they_meet(image):
    picture = keras.Input((32, 32, 3))
    one = layers.Conv2D(4, 3, padding="same", activation="relu", name="one")(picture)
    left = layers.Conv2D(4, 3, padding="same", name="left")(one)
    right = layers.Conv2D(4, 5, padding="same", name="right")(one)
    joined = layers.Add(name="joined")([left, right])
    end = layers.Dense(2, activation="softmax")(layers.GlobalAveragePooling2D()(joined))
    assert GradCam(keras.Model(picture, end)).layer == "joined"
    # Where they only meet as vectors, the last common maps are used.
    vectors = layers.Concatenate()([layers.GlobalAveragePooling2D()(left), layers.GlobalMaxPooling2D()(right)])
    apart = keras.Model(picture, layers.Dense(2, activation="softmax")(vectors))
    assert GradCam(apart).layer == "one"
    assert GradCam(apart).explain(image).heat.shape == (32, 32)


def test_a_sure_network_still_says_where_it_looks(image):
    model = seeded(foreign("softmax layer"))
    last = model.get_layer("last")
    last.set_weights([weight * 1e4 for weight in last.get_weights()])
    picture = keras.Input((32, 32, 3))
    whole = keras.Model(picture, model(keras.ops.image.rgb_to_grayscale(picture)))
    found = GradCam(whole).explain(image)
    assert found.probabilities.max() == 1.0
    heats = [GradCam(whole).explain(image, label).heat.any() for label in range(3)]
    assert any(heats)


@pytest.mark.parametrize("name", ["MobileNetV2", "EfficientNetB0", "DenseNet121"])
def test_laying_out_a_backbone_changes_no_answer(name, image):
    base = getattr(keras.applications, name)(include_top=False, weights=None, input_shape=(32, 32, 3))
    model = keras.Sequential(
        [keras.Input((32, 32, 3)), base, layers.GlobalAveragePooling2D(), layers.Dense(2, activation="softmax")]
    )
    flat = flattened(model)
    assert not any(isinstance(layer, keras.Model) for layer in flat.layers)
    batch = image[None].astype(np.float32)
    np.testing.assert_allclose(flat(batch, training=False), model(batch, training=False), atol=1e-6)


def test_a_backend_without_gradients_gets_a_sentence(monkeypatch):
    model = foreign("softmax layer")
    monkeypatch.setattr(keras.backend, "backend", lambda: "openvino")
    with pytest.raises(ModelFileError, match=r"'openvino'.*no gradients"):
        GradCam(model)


@pytest.mark.parametrize("backend", ["jax", "torch"])
def test_another_backend_finds_the_same(tmp_path, image, backend):
    if importlib.util.find_spec(backend) is None:
        pytest.skip(f"{backend} is not installed; the app itself runs on TensorFlow")
    inner = backbone()
    model = seeded(
        keras.Sequential(
            [keras.Input((32, 32, 3)), inner, layers.Flatten(), layers.Dense(4, activation="softmax", name="last")]
        )
    )
    model.save(tmp_path / "model.keras")
    np.save(tmp_path / "image.npy", image)
    code = """
import sys, keras, numpy as np
from cnn_studio.ml.explain import GradCam
model, image = keras.saving.load_model(sys.argv[1]), np.load(sys.argv[2])
np.save(sys.argv[3], [GradCam(model).explain(image, label).heat for label in range(4)])
"""
    arguments = [str(tmp_path / name) for name in ("model.keras", "image.npy", "heat.npy")]
    environment = os.environ | {"KERAS_BACKEND": backend}
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        env=environment,
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    expected = [GradCam(model).explain(image, label).heat for label in range(4)]
    np.testing.assert_allclose(np.load(tmp_path / "heat.npy"), expected, atol=1e-4)
