"""Training on augmented images: validation sees them as they are, and labels are mixed as their images are."""

import keras
import numpy as np
import pytest

from cnn_studio.core.experiment.augmentation import parse_augmentation
from cnn_studio.core.experiment.settings import TrainingSettings
from cnn_studio.core.job.jobs import JobContext
from cnn_studio.ml.pipeline import balanced_class_weights, evaluation_batches, training_batches, with_labels
from cnn_studio.ml.train import compile_model, fit_model
from cnn_studio.ml.training_network import LabelMixing, training_network

HARD = "rotation=180,noise=0.5,brightness=1,erasing=0.6"


def cross_entropy(probabilities, shares):
    return -(shares * np.log(np.clip(probabilities, 1e-7, 1))).sum(axis=1)


@pytest.mark.parametrize("text", [HARD, f"{HARD},mix_up=1,cut_mix=1"])
def test_validation_images_are_never_augmented(make_model, make_store, tmp_path, cancel, text):
    images, labels = make_store(42)
    training = training_batches(images, np.arange(30), labels[:30], 8, seed=3)
    validation = evaluation_batches(images, np.arange(30, 42), labels[30:], 8)
    model = make_model()
    settings = TrainingSettings(epochs=2, batch_size=8, learning_rate=0.01, early_stopping=False)
    history = fit_model(
        model,
        settings,
        training,
        validation,
        tmp_path / "b.weights.h5",
        JobContext(cancel=cancel),
        parse_augmentation(text),
    )
    probabilities = model.predict_on_batch(np.asarray(images[30:42]))
    shares = np.eye(3)[labels[30:42]]
    assert history.best.val_loss == pytest.approx(cross_entropy(probabilities, shares).mean(), rel=1e-4)
    assert history.best.val_accuracy == pytest.approx((probabilities.argmax(axis=1) == labels[30:42]).mean())


def test_training_images_are_augmented_and_differ_every_epoch(make_store):
    """Seen by a network whose output is the mean of what comes in: the same images, other figures in each pass."""
    images, _ = make_store(16)
    image = keras.Input((16, 16, 3))
    mean = keras.ops.mean(image, axis=(1, 2)) / 255
    probe = keras.Model(image, mean)
    probe.jit_compile = False
    network = training_network(probe, parse_augmentation("brightness=0.5"), seed=1)
    before = np.asarray(network(images, training=False))
    np.testing.assert_allclose(before, images.mean(axis=(1, 2)) / 255, rtol=1e-4)
    passes = [np.asarray(network(images, training=True)) for _ in range(3)]
    for one, other in ((passes[0], passes[1]), (passes[1], passes[2]), (passes[0], before)):
        assert (np.abs(one - other).max(axis=1) > 1e-3).mean() > 0.6  # black and white stay what they are


def test_a_training_repeats_with_its_seed(make_model, make_store, tmp_path, cancel):
    images, labels = make_store(42)

    def weights(seed):
        model = make_model()
        training = training_batches(images, np.arange(30), labels[:30], 8, seed=3)
        validation = evaluation_batches(images, np.arange(30, 42), labels[30:], 8)
        settings = TrainingSettings(epochs=1, batch_size=8, seed=seed)
        augmentation = parse_augmentation("flip_horizontal,rotation,zoom,mix_up")
        fit_model(
            model, settings, training, validation, tmp_path / "b.weights.h5", JobContext(cancel=cancel), augmentation
        )
        return np.concatenate([weight.ravel() for weight in model.get_weights()])

    first = weights(1)
    np.testing.assert_array_equal(weights(1), first)
    assert np.abs(weights(2) - first).max() > 1e-5


def test_without_augmentation_the_network_is_trained_itself(make_model):
    model = make_model()
    assert training_network(model, parse_augmentation(""), 0) is model


@pytest.mark.parametrize("text", ["mix_up=1", "cut_mix=1", "mix_up=0.4,cut_mix=1"])
def test_labels_are_shared_as_images_are_mixed(text):
    """Each image is of one colour of its own, so the share of each in a mixed image can be counted."""
    count = 6
    colours = np.eye(count, dtype=np.float32) * 200
    images = np.repeat(np.repeat(colours[:, None, None, :], 32, axis=1), 32, axis=2)
    weights = np.arange(1, count + 1, dtype=np.float32)
    layer = LabelMixing(parse_augmentation(text), count, seed=4)
    mixed, shares, weighted = (
        np.asarray(part) for part in layer([images, np.arange(count, dtype=np.int32), weights], training=True)
    )
    np.testing.assert_allclose(shares.sum(axis=1), 1, rtol=1e-5)
    # CutMix's rectangle ends between two pixels, its share does not.
    np.testing.assert_allclose(mixed.mean(axis=(1, 2)) / 200, shares, atol=0.05 if "cut_mix" in text else 1e-4)
    np.testing.assert_allclose(weighted, shares * weights, rtol=1e-5)
    assert (shares.max(axis=1) < 0.999).any()
    same, own, own_weighted = layer([images, np.arange(count, dtype=np.int32), weights], training=False)
    np.testing.assert_array_equal(same, images)
    np.testing.assert_array_equal(own, np.eye(count))
    np.testing.assert_allclose(own_weighted, np.diag(weights))


def test_loss_and_accuracy_of_mixed_images(make_store):
    """Against NumPy: λ·w_a·CE_a + (1 - λ)·w_b·CE_b, right when the class with the larger share was named."""
    images, labels = make_store(24)
    weight_of = balanced_class_weights(np.array([0, 0, 0, 1, 1, 2], np.int32), 3)
    image = keras.Input((16, 16, 3))
    tensor = keras.layers.GlobalAveragePooling2D()(keras.layers.Rescaling(1 / 255)(image))
    model = keras.Model(image, keras.layers.Dense(3, activation="softmax", kernel_initializer="orthogonal")(tensor))
    model.jit_compile = False
    network = training_network(model, parse_augmentation("mix_up=1"), seed=9)
    compile_model(network, TrainingSettings(learning_rate=1e-30))
    batches = with_labels(training_batches(images, np.arange(24), labels, 24, 3, weight_of))
    ((inputs, _),) = list(batches)
    seen = network([part.numpy() for part in inputs], training=True)  # draws the first mixture
    probabilities, shares, weighted = (np.asarray(part) for part in seen)
    again = training_network(model, parse_augmentation("mix_up=1"), seed=9)
    compile_model(again, TrainingSettings(learning_rate=1e-30))
    logs = again.train_on_batch([part.numpy() for part in inputs], labels, return_dict=True)
    np.testing.assert_allclose(weighted, shares * weight_of, rtol=1e-5)
    assert logs["loss"] == pytest.approx(cross_entropy(probabilities, weighted).mean(), rel=1e-4)
    assert logs["accuracy"] == pytest.approx((probabilities.argmax(axis=1) == shares.argmax(axis=1)).mean())


def test_without_mixing_class_weights_count_as_before(make_model, make_store):
    """A network that mixes nothing in validation gives Keras's own weighted cross-entropy."""
    images, labels = make_store(12)
    weight_of = np.array([0.5, 1.0, 2.0], np.float32)
    batches = training_batches(images, np.arange(12), labels, 12, 3, weight_of)
    plain, mixing = make_model(seed=3), make_model(seed=3)
    compile_model(plain, TrainingSettings())
    network = training_network(mixing, parse_augmentation("mix_up"), 0)
    compile_model(network, TrainingSettings())
    expected = plain.evaluate(batches.dataset, verbose=0, return_dict=True)
    found = network.evaluate(with_labels(batches).dataset, verbose=0, return_dict=True)
    assert found["loss"] == pytest.approx(expected["loss"], rel=1e-5)
    assert found["accuracy"] == pytest.approx(expected["accuracy"])
