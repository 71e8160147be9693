"""Every row of the table against keras.applications itself, with random weights; and what training may change."""

import sys
from dataclasses import dataclass

import h5py
import keras
import numpy as np
import pytest
from keras.src.legacy.saving import legacy_h5_format
from keras.src.utils import file_utils

from cnn_studio.core.errors import ExperimentError, TrainingError, WeightsError
from cnn_studio.core.experiment.backbones import BACKBONES, EVERYTHING, Preprocessing
from cnn_studio.core.experiment.layer_plan import ImpossibleArchitectureError, LayerKind, plan_layers
from cnn_studio.core.experiment.settings import BackboneArchitecture, Colour, Features, ImageSettings, TransferMode
from cnn_studio.core.weights.check import layout_digest
from cnn_studio.ml import memory
from cnn_studio.ml.backbones import build_transfer_model, preprocess, set_trainable_from
from cnn_studio.ml.build import build_model
from cnn_studio.ml.fixed_part import split_fixed_part
from cnn_studio.ml.model_file import load_model, save_model

QUICK = {"vgg16", "mobilenet_v3_small"}
ROWS = [pytest.param(name, marks=() if name in QUICK else pytest.mark.slow) for name in BACKBONES]


def square(side, colour=Colour.RGB):
    return ImageSettings(height=side, width=side, colour=colour)


def pictures(count, height, width):
    return np.random.default_rng(0).integers(0, 256, (count, height, width, 3)).astype(np.float32)


def values(weights):
    return sum(int(np.prod(weight.shape)) for weight in weights)


def array(weight):
    return np.array(keras.ops.convert_to_numpy(weight))


def up_to_features(model):
    """The network from its input to the vector that its head takes."""
    return keras.Model(model.input, model.get_layer("global_average_pooling").output)


def answer(model, values):
    """A plain call: quicker than predict, which traces a function for each new model."""
    return array(model(values, training=False))


@dataclass
class Asked:
    """What Keras wanted to download."""

    name: str = ""
    url: str = ""
    checksum: str = ""


@pytest.fixture
def published(tmp_path, monkeypatch):
    """published(row) -> (Keras's own model with "imagenet" weights that are random here, their file, Asked)."""

    def make(row):
        side = row.usual_size
        keras_class = getattr(keras.applications, row.keras_name)
        random = keras_class(include_top=False, weights=None, input_shape=(side, side, 3))
        for layer in random.layers:
            if isinstance(layer, keras.layers.Normalization) and layer.weights:
                layer.set_weights([np.full(3, 0.4), np.full(3, 0.05), *layer.get_weights()[2:]])
        path = tmp_path / row.weights_file
        with h5py.File(path, "w") as file:
            legacy_h5_format.save_weights_to_hdf5_group(file, random)
        asked = Asked()

        def get_file(fname, origin, file_hash="", cache_subdir=""):
            asked.name, asked.url, asked.checksum = fname, origin, file_hash
            assert cache_subdir == "models"
            return str(path)

        with monkeypatch.context() as patch:
            patch.setattr(file_utils, "get_file", get_file)
            return keras_class(include_top=False, weights="imagenet", input_shape=(side, side, 3)), path, asked

    return make


@pytest.mark.parametrize("name", ROWS)
def test_a_row_gives_what_keras_gives_with_its_own_download(name, published, tmp_path, facts):
    row = BACKBONES[name]
    original, file, asked = published(row)
    assert (asked.name, asked.url, asked.checksum) == (row.weights_file, row.weights_url, row.weights_hash)
    assert layout_digest(tuple(weight.shape) for weight in original.weights) == row.weights_layout
    assert original.count_params() == row.parameters

    side = row.usual_size
    raw = pictures(1, side, side)
    module = sys.modules[getattr(keras.applications, row.keras_name).__module__]
    maps = original.predict(module.preprocess_input(raw.copy()), verbose=0)
    assert maps.shape[1:] == row.output_shape(side, side)

    architecture = BackboneArchitecture(name=name)
    ours = build_transfer_model(architecture, square(side), 3, file)
    lower = up_to_features(ours)
    features = maps.mean(axis=(1, 2))
    np.testing.assert_allclose(lower.predict(raw, verbose=0), features, rtol=1e-3, atol=1e-4 * np.abs(features).max())

    # The saved file opens under safe mode, through our own inspection, and answers the same.
    save_model(ours, tmp_path / "model.keras", facts)
    again, _ = load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(again.predict(raw, verbose=0), ours.predict(raw, verbose=0), atol=1e-6)


@pytest.mark.parametrize("name", ROWS)
def test_depths_of_a_row(name):
    """Plan, trainable weights and cuts agree at every depth, on a rectangle of odd size and grey."""
    row = BACKBONES[name]
    image = ImageSettings(height=row.smallest_size, width=row.smallest_size + 11, colour=Colour.GREY)
    frozen = BackboneArchitecture(name=name, dropout=0.2, dense=(8,))
    model = build_transfer_model(frozen, image, 3, None)
    raw = pictures(2, image.height, image.width)
    probabilities = answer(model, raw)
    assert [depth for depth in row.depths if depth != EVERYTHING] == [block.name for block in row.blocks]
    counts = []
    for depth in (None, *row.depths):
        architecture = frozen
        if depth is not None:
            fine_tuned = {"transfer": TransferMode.FINE_TUNED, "unfreeze_from": depth}
            architecture = BackboneArchitecture.model_validate({**frozen.model_dump(), **fine_tuned})
        set_trainable_from(model, architecture, depth)
        plan = plan_layers(architecture, image, 3)
        assert sum(layer.parameters for layer in plan) == model.count_params()
        assert sum(layer.trainable_parameters for layer in plan) == values(model.trainable_weights)
        backbone = next(layer for layer in plan if layer.kind is LayerKind.BACKBONE)
        features = next(layer for layer in model.layers if layer.name == "global_average_pooling")
        assert features.input.shape[1:] == backbone.output_shape
        counts.append(values(model.trainable_weights))
        split = split_fixed_part(model)
        assert (split is None) == (depth == EVERYTHING)
        if split is not None:
            assert not split.lower.trainable_weights
            assert values(split.upper.trainable_weights) == values(model.trainable_weights)
            again = answer(split.upper, answer(split.lower, raw))
            np.testing.assert_allclose(again, probabilities, atol=1e-6)
    assert counts == sorted(set(counts))  # deeper is always more
    assert not any(
        layer.trainable for layer in model._flatten_layers() if isinstance(layer, keras.layers.BatchNormalization)
    )


@pytest.mark.parametrize("mode", [Preprocessing.CAFFE, Preprocessing.TF, Preprocessing.TORCH])
def test_preprocessing_is_kerass(mode):
    raw = pictures(2, 5, 4)
    inputs = keras.Input((5, 4, 3))
    ours = keras.Model(inputs, preprocess(inputs, mode)).predict(raw, verbose=0)
    kerass = keras.applications.imagenet_utils.preprocess_input(raw.copy(), mode=mode.value)
    np.testing.assert_allclose(ours, kerass, atol=1e-4)


def test_layer_names_do_not_depend_on_what_was_built_before():
    architecture = BackboneArchitecture(name="mobilenet_v3_small")
    keras.layers.Activation("relu")
    first, second = (build_transfer_model(architecture, square(32), 2, None) for _ in range(2))
    assert [layer.name for layer in first.operations] == [layer.name for layer in second.operations]
    assert first.layers[4].name == "activation"


def test_heads(tmp_path):
    """Global average; flatten + 256 with dropout after it; flatten + 1024 + dropout + 256."""
    image = square(64)
    for dense, dropped in (((), ()), ((16,), ("dense1_dropout",)), ((32, 16), ("dense1_dropout",))):
        architecture = BackboneArchitecture(
            name="vgg16", features=Features.FLATTEN, dense=dense, dense_dropout=0.3, dropout=0.1
        )
        model = build_transfer_model(architecture, image, 4, None)
        planned = [layer.name for layer in plan_layers(architecture, image, 4)]
        assert [layer.name for layer in model.layers][-len(planned) + 3 :] == planned[3:]
        assert tuple(name for name in planned if name.endswith("_dropout")) == dropped
        assert planned[3:5] == ["flatten", "dropout"]
        assert model.output_shape == (None, 4)
        assert model.output.dtype == "float32"


def test_grey_pictures_go_in_on_all_three_channels():
    architecture = BackboneArchitecture(name="vgg16")
    colour = build_transfer_model(architecture, square(32), 2, None)
    grey = build_transfer_model(architecture, square(32, Colour.GREY), 2, None)
    grey.set_weights(colour.get_weights())
    raw = np.repeat(pictures(2, 32, 32)[..., :1], 3, axis=-1)
    np.testing.assert_allclose(grey.predict(raw, verbose=0), colour.predict(raw, verbose=0), atol=1e-4)
    coloured = pictures(2, 32, 32)
    assert np.abs(grey.predict(coloured, verbose=0) - colour.predict(coloured, verbose=0)).max() > 1e-4


def test_same_seed_same_head():
    architecture = BackboneArchitecture(name="mobilenet_v3_small", dense=(8,))
    first, again, other = (build_model(architecture, square(32), 3, seed) for seed in (5, 5, 6))
    kernels = [model.get_layer("dense1").get_weights()[0] for model in (first, again, other)]
    assert np.array_equal(kernels[0], kernels[1])
    assert not np.array_equal(kernels[0], kernels[2])


def test_training_leaves_batch_normalization_and_what_is_below_as_they_were():
    """keras#20285: fit would move the statistics of a batch normalization that is only called with training=False."""
    architecture = BackboneArchitecture(name="resnet50", transfer=TransferMode.FINE_TUNED, unfreeze_from="conv5")
    model = build_transfer_model(architecture, square(32), 2, None)
    set_trainable_from(model, architecture, "conv5")
    before = {weight.path: array(weight) for weight in model.weights}
    model.compile(keras.optimizers.SGD(0.1), "sparse_categorical_crossentropy", jit_compile=False)
    model.fit(pictures(4, 32, 32), np.array([0, 1, 0, 1]), epochs=1, verbose=0)
    moved = {path for weight in model.weights if not np.array_equal(before[path := weight.path], array(weight))}
    assert moved
    assert not [path for path in moved if "_bn" in path]
    assert {path.split("/")[-2].split("_")[0] for path in moved} == {"conv5", "probabilities"}


def test_training_the_upper_part_trains_the_network():
    architecture = BackboneArchitecture(name="vgg16", transfer=TransferMode.FINE_TUNED)
    model = build_transfer_model(architecture, square(32), 2, None)
    set_trainable_from(model, architecture, "block5")
    split = split_fixed_part(model)
    raw = pictures(4, 32, 32)
    features, upper = split.lower.predict(raw, verbose=0), split.upper
    kernel = array(model.get_layer("block5_conv3").kernel)
    upper.compile(keras.optimizers.SGD(0.1), "sparse_categorical_crossentropy", jit_compile=False)
    upper.fit(features, np.array([0, 1, 0, 1]), epochs=1, verbose=0)
    assert not np.array_equal(kernel, array(model.get_layer("block5_conv3").kernel))
    np.testing.assert_allclose(upper.predict(features, verbose=0), model.predict(raw, verbose=0), atol=1e-6)


def test_what_cannot_be_built(tmp_path, monkeypatch):
    architecture = BackboneArchitecture(name="vgg16")
    with pytest.raises(ImpossibleArchitectureError, match="at least 32 × 32") as caught:
        build_transfer_model(architecture, ImageSettings(height=31, width=64), 2, None)
    assert caught.value.field == "image"
    wrong = tmp_path / "wrong.h5"
    small = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])
    with h5py.File(wrong, "w") as file:
        legacy_h5_format.save_weights_to_hdf5_group(file, small)
    for content in (wrong.read_bytes(), wrong.read_bytes()[:100], b""):
        wrong.write_bytes(content)
        with pytest.raises(WeightsError, match=r"wrong\.h5 does not hold the weights of VGG16"):
            build_transfer_model(architecture, square(32), 2, wrong)
    model = build_transfer_model(architecture, square(32), 2, None)
    with pytest.raises(ExperimentError, match="block5, block4"):
        set_trainable_from(model, architecture, "conv5")
    monkeypatch.setattr(memory, "total_memory", lambda: 8 * 10**7)
    with pytest.raises(TrainingError, match="layer vgg16"):
        build_transfer_model(architecture, square(32), 2, None)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["resnet50", "vgg16"])
def test_real_weights_give_kerass_features(name, shared_weights):
    file = shared_weights / BACKBONES[name].weights_file
    architecture = BackboneArchitecture(name=name)
    model = build_transfer_model(architecture, square(96), 2, file)
    lower = up_to_features(model)
    raw = pictures(2, 96, 96)
    original = getattr(keras.applications, BACKBONES[name].keras_name)(
        include_top=False, weights=str(file), input_shape=(96, 96, 3), pooling="avg"
    )
    expected = original.predict(getattr(keras.applications, name).preprocess_input(raw.copy()), verbose=0)
    np.testing.assert_allclose(lower.predict(raw, verbose=0), expected, rtol=1e-4, atol=1e-4)
