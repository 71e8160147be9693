"""Where a network is cut so that nothing below can change, and what the two parts compute."""

import keras
import numpy as np
import pytest

from cnn_studio.ml.fixed_part import fingerprint, joined, split_fixed_part


def residual_network(dropout_below=0.0, seed=0):
    """Rescaling, then two convolutions with a shortcut and BatchNormalization, pooling, dropout, classifier."""
    keras.utils.set_random_seed(seed)
    image = keras.Input((8, 8, 3))
    scaled = keras.layers.Rescaling(1 / 255, name="rescaling")(image)
    first = keras.layers.Conv2D(4, 3, padding="same", name="first")(scaled)
    tensor = keras.layers.BatchNormalization(name="normalised")(first)
    tensor = keras.layers.Dropout(dropout_below, name="noise")(tensor)
    tensor = keras.layers.Conv2D(4, 3, padding="same", name="second")(tensor)
    tensor = keras.layers.Add(name="sum")([first, tensor])
    tensor = keras.ops.relu(tensor)
    tensor = keras.layers.Conv2D(4, 3, name="third")(tensor)
    tensor = keras.layers.GlobalAveragePooling2D(name="pooled")(tensor)
    tensor = keras.layers.Dropout(0.5, seed=1, name="dropout")(tensor)
    model = keras.Model(image, keras.layers.Dense(3, activation="softmax", name="classifier")(tensor))
    model.get_layer("normalised").set_weights([np.full(4, value, "float32") for value in (1.5, 0.2, 0.1, 0.5)])
    return model


def freeze(model, *names):
    for layer in model.layers:
        layer.trainable = layer.name not in names
    return model


BACKBONE = ("normalised", "noise", "first", "second", "third")


@pytest.fixture
def images():
    return np.random.default_rng(0).integers(0, 256, (5, 8, 8, 3)).astype("float32")


@pytest.mark.parametrize(
    ("frozen", "cut"),
    [
        (BACKBONE, "pooled"),
        (("first", "normalised", "noise", "second"), "relu"),
        (("first", "normalised", "noise"), "first"),  # the shortcut goes past what comes after
        (("second", "third"), None),
        ((), None),
    ],
)
def test_the_cut_is_as_high_as_it_can_be(images, frozen, cut):
    model = freeze(residual_network(), *frozen)
    split = split_fixed_part(model)
    if cut is None:
        assert split is None
        return
    assert split.cut.startswith(cut)
    np.testing.assert_allclose(split.upper(split.lower(images)), model(images), atol=1e-6)
    below = {variable.path for variable in split.lower.variables}
    assert not below & {variable.path for variable in model.trainable_variables}


def test_frozen_dropout_is_fixed_and_dropout_that_trains_is_not():
    model = residual_network(dropout_below=0.5)
    assert split_fixed_part(freeze(model, *BACKBONE)).cut == "pooled"
    assert split_fixed_part(freeze(model, "first", "normalised", "second", "third")).cut == "first"


def test_a_batch_normalization_without_weights_to_train_still_moves():
    image = keras.Input((4, 4, 3))
    tensor = keras.layers.Conv2D(2, 3, name="convolution", trainable=False)(image)
    tensor = keras.layers.BatchNormalization(center=False, scale=False, name="statistics")(tensor)
    model = keras.Model(image, keras.layers.Dense(2)(keras.layers.Flatten()(tensor)))
    assert split_fixed_part(model).cut == "convolution"


def test_both_parts_of_a_cut_can_be_cut_again(images):
    model = freeze(residual_network(), "first")
    lower = split_fixed_part(model)
    freeze(model, *BACKBONE)
    upper = split_fixed_part(lower.upper)
    assert (lower.cut, upper.cut) == ("first", "pooled")
    np.testing.assert_allclose(upper.upper(upper.lower(lower.lower(images))), model(images), atol=1e-6)


def test_the_joined_network_trains_as_the_upper_part_does_on_kept_features(images):
    labels = np.array([0, 1, 2, 0, 1])
    losses, statistics, kernels = [], [], []
    for keeps_features in (False, True):
        model = freeze(residual_network(dropout_below=0.5), *BACKBONE)
        split = split_fixed_part(model)
        network = split.upper if keeps_features else joined(split)
        before = model.get_layer("normalised").get_weights()
        network.compile(keras.optimizers.SGD(0.5), "sparse_categorical_crossentropy", jit_compile=False)
        fed = np.asarray(split.lower(images, training=False)) if keeps_features else images
        losses.append([network.train_on_batch(fed, labels) for _ in range(3)])
        assert len(network.trainable_variables) == 2
        after = model.get_layer("normalised").get_weights()
        statistics.append(all(np.array_equal(a, b) for a, b in zip(before, after, strict=True)))
        kernels.append(model.get_layer("classifier").get_weights()[0])
    assert statistics == [True, True]
    np.testing.assert_allclose(losses[0], losses[1], rtol=1e-5)
    np.testing.assert_allclose(kernels[0], kernels[1], atol=1e-6)


def test_a_fingerprint_tells_networks_apart_by_what_they_compute():
    one = residual_network()
    other = residual_network()
    assert fingerprint(one) == fingerprint(other)  # Keras has numbered some of its operations on
    assert fingerprint(freeze(one, *BACKBONE)) == fingerprint(other)
    kernel, bias = other.get_layer("third").get_weights()
    kernel[0, 0, 0, 0] += 1e-6
    other.get_layer("third").set_weights([kernel, bias])
    assert fingerprint(one) != fingerprint(other)
    assert fingerprint(one) != fingerprint(residual_network(dropout_below=0.3))
    shape = keras.Input((8, 8, 3))
    assert fingerprint(keras.Model(shape, keras.ops.relu(shape))) != fingerprint(
        keras.Model(shape, keras.ops.abs(shape))
    )
    half = keras.Model(shape, keras.layers.Rescaling(0.5)(shape))
    assert fingerprint(half) != fingerprint(keras.Model(shape, keras.layers.Rescaling(0.25)(shape)))
