"""Which values a network made elsewhere takes: seen inside it, said by the user, carried by what is written."""

import keras
import numpy as np
import pytest

from cnn_studio.core.errors import ModelFileError
from cnn_studio.core.evaluation.input_range import InputRange, RangeTrial, best_fit
from cnn_studio.core.job.jobs import JobContext
from cnn_studio.ml.input_range import stated_range, with_input_range
from cnn_studio.ml.model_file import load_model, read_facts, save_model
from cnn_studio.tasks.input_range import KeepRangeRequest, keep_input_range

layers = keras.layers


def network(*first, side=8, channels=3, dtype="float32"):
    """A small network that begins with these layers."""
    image = keras.Input((side, side, channels), dtype=dtype)
    tensor = image
    for layer in first:
        tensor = layer(tensor)
    maps = layers.Conv2D(4, 3, kernel_initializer=keras.initializers.GlorotUniform(1))(tensor)
    pooled = layers.GlobalAveragePooling2D()(maps)
    return keras.Model(
        image, layers.Dense(3, "softmax", kernel_initializer=keras.initializers.GlorotUniform(2))(pooled)
    )


def caffe(tensor):
    return layers.Rescaling(1.0, offset=[-103.939, -116.779, -123.68])(keras.ops.flip(tensor, axis=-1))


def nested(tensor):
    image = keras.Input((8, 8, 3))
    inner = keras.Model(image, layers.Conv2D(3, 1)(layers.Rescaling(1 / 255)(image)))
    return inner(tensor)


INSIDE = {
    "rescaling": ([layers.Rescaling(1 / 255)], InputRange.BYTES),
    "minus one to one": ([layers.Rescaling(1 / 127.5, offset=-1)], InputRange.BYTES),
    "caffe": ([caffe], InputRange.BYTES),
    "normalization": ([layers.Normalization(mean=[120, 115, 100], variance=[3600, 3500, 3700])], InputRange.BYTES),
    "operation": ([lambda tensor: keras.ops.divide(tensor, 255.0)], InputRange.BYTES),
    "in a network within": ([nested], InputRange.BYTES),
    "augmentation first": (
        [layers.RandomFlip(), layers.RandomBrightness(0.5), layers.Resizing(6, 6), layers.Rescaling(1 / 255)],
        InputRange.BYTES,
    ),
    "normalization of 0-1": ([layers.Normalization(mean=[0.48, 0.45, 0.4], variance=[0.05] * 3)], InputRange.UNIT),
    "0-1 to -1-1": ([layers.Rescaling(2.0, offset=-1.0)], InputRange.UNIT),
    "0-1 to 0-255": ([layers.Rescaling(255.0)], InputRange.UNIT),
    "-1-1 to 0-255": ([layers.Rescaling(127.5, offset=127.5)], InputRange.SIGNED),
    "nothing": ([], None),
    "only other sizes and channels": ([layers.ZeroPadding2D(), lambda tensor: keras.ops.flip(tensor, axis=-1)], None),
    "nobody knows what": ([layers.Rescaling(0.2)], None),
}


@pytest.mark.parametrize("kind", INSIDE)
def test_what_a_network_does_first_tells_what_it_takes(kind):
    first, takes = INSIDE[kind]
    assert stated_range(network(*first), 8, 8) is takes


def test_whole_numbers_and_figures_of_the_pictures_tell_it_too():
    assert stated_range(network(layers.Activation("linear"), dtype="uint8"), 8, 8) is InputRange.BYTES
    statistics = layers.BatchNormalization()
    model = network(statistics)
    assert stated_range(model, 8, 8) is None  # never trained
    statistics.set_weights([np.ones(3), np.zeros(3), np.full(3, 118.0), np.full(3, 3600.0)])
    assert stated_range(model, 8, 8) is InputRange.BYTES
    assert stated_range(network(channels=1), 8, 8) is None


@pytest.mark.parametrize("input_range", InputRange)
def test_each_range_is_what_keras_makes_of_it(tmp_path, input_range):
    pixels = np.random.default_rng(0).integers(0, 256, (2, 8, 8, 3)).astype(np.uint8)
    values = pixels.astype(np.float32)
    given = {
        InputRange.BYTES: lambda: values,
        InputRange.UNIT: lambda: values / 255,
        InputRange.SIGNED: lambda: values / 127.5 - 1,
        InputRange.CAFFE: lambda: keras.applications.resnet50.preprocess_input(values.copy()),
        InputRange.TORCH: lambda: keras.applications.densenet.preprocess_input(values.copy()),
    }[input_range]()
    model = network()
    expected = model.predict_on_batch(given)
    np.testing.assert_allclose(with_input_range(model, input_range).predict_on_batch(pixels), expected, atol=1e-5)
    model.save(tmp_path / "theirs.keras")
    loaded, facts = load_model(tmp_path / "theirs.keras", input_range=input_range)
    assert facts.input_range is input_range
    np.testing.assert_allclose(loaded.predict_on_batch(pixels), expected, atol=1e-5)

    # What is written takes 0–255 by itself, and knows it.
    save_model(loaded, tmp_path / "ours.keras", facts)
    again, kept = load_model(tmp_path / "ours.keras")
    assert (kept.input_range, kept.made_here) == (InputRange.BYTES, True)
    np.testing.assert_allclose(again.predict_on_batch(pixels), expected, atol=1e-5)
    plain = keras.saving.load_model(tmp_path / "ours.keras")
    np.testing.assert_allclose(plain.predict_on_batch(pixels), expected, atol=1e-5)
    if input_range is not InputRange.BYTES:
        with pytest.raises(ModelFileError, match="written by cnn_studio and takes 0-255"):
            load_model(tmp_path / "ours.keras", input_range=input_range)


def test_what_was_said_is_kept_in_the_file_and_doubt_stays_doubt(tmp_path):
    path = tmp_path / "theirs.keras"
    model = network()
    model.save(path)
    loaded, facts = load_model(path)
    assert facts.input_range is None
    save_model(loaded, tmp_path / "doubt.keras", facts)
    assert read_facts(tmp_path / "doubt.keras").input_range is None
    keep_input_range(KeepRangeRequest(path, InputRange.SIGNED), JobContext())
    kept = read_facts(path)
    assert (kept.input_range, kept.made_here, kept.class_names) == (InputRange.SIGNED, False, ())
    pixels = np.random.default_rng(1).integers(0, 256, (2, 8, 8, 3)).astype(np.uint8)
    expected = model.predict_on_batch(pixels / 127.5 - 1)
    np.testing.assert_allclose(load_model(path)[0].predict_on_batch(pixels), expected, atol=1e-5)
    assert load_model(path, input_range=InputRange.UNIT)[1].input_range is InputRange.UNIT
    keep_input_range(KeepRangeRequest(path, InputRange.TORCH), JobContext())  # the answer can be changed
    assert read_facts(path).input_range is InputRange.TORCH
    model.save(tmp_path / "old.h5")
    with pytest.raises(ModelFileError, match="HDF5 file, in which nothing can be kept"):
        keep_input_range(KeepRangeRequest(tmp_path / "old.h5", InputRange.UNIT), JobContext())


def test_the_best_fit_is_right_most_often_then_surest_then_plainest():
    def trial(input_range, right, loss, images=10):
        return RangeTrial(input_range, images, right, loss)

    assert best_fit([trial(InputRange.BYTES, 0, 0.0, images=0)]) is None
    assert best_fit([trial(InputRange.BYTES, 5, 0.1), trial(InputRange.UNIT, 9, 3.0)]) is InputRange.UNIT
    assert best_fit([trial(InputRange.UNIT, 9, 0.9), trial(InputRange.CAFFE, 9, 0.2)]) is InputRange.CAFFE
    assert best_fit([trial(InputRange.UNIT, 9, 0.004), trial(InputRange.TORCH, 9, 0.0)]) is InputRange.UNIT
    assert best_fit([trial(InputRange.BYTES, 9, float("inf")), trial(InputRange.UNIT, 9, 2.0)]) is InputRange.UNIT
