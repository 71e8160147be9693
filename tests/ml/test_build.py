import keras
import numpy as np
import pytest
from PIL import Image

from cnn_studio.core.errors import TrainingError
from cnn_studio.core.experiment.architectures import ARCHITECTURE_PRESETS, architecture_preset
from cnn_studio.core.experiment.layer_plan import LayerKind, plan_layers
from cnn_studio.core.experiment.settings import Colour, Features, ImageSettings, Padding, Pooling, ScratchArchitecture
from cnn_studio.ml import memory
from cnn_studio.ml.build import build_model

VARIANTS = [preset.architecture for preset in ARCHITECTURE_PRESETS.values()] + [
    ScratchArchitecture(batch_normalization=True, features=Features.GLOBAL_AVERAGE, dense=(), dense_dropout=0.3),
    ScratchArchitecture(blocks=((4, 8), (8,)), kernel=(5,), padding=(Padding.VALID,), stride=2, pooling=Pooling.NONE),
    ScratchArchitecture(blocks=((4,), (6,)), stride=3, pooling=Pooling.AVERAGE, dense=(7, 5), dense_dropout=0.5),
    ScratchArchitecture(name="My net / 2: größer", blocks=((3,),), batch_normalization=True, dropout=0.0),
]


@pytest.mark.parametrize("colour", Colour)
@pytest.mark.parametrize("architecture", VARIANTS, ids=lambda architecture: architecture.name)
def test_what_is_planned_is_what_keras_builds(architecture, colour):
    image = ImageSettings(height=33, width=28, colour=colour)
    plan = plan_layers(architecture, image, 4)
    model = build_model(architecture, image, 4, seed=1)
    assert model.input_shape == (None, 33, 28, 3)
    # rgb_to_grayscale is an operation, which Keras does not count among the layers.
    planned = [layer for layer in plan if layer.kind is not LayerKind.GREY]
    assert [layer.name for layer in planned] == [layer.name for layer in model.layers]
    for expected, layer in zip(planned, model.layers, strict=True):
        assert layer.output.shape[1:] == expected.output_shape, expected.name
        assert layer.count_params() == expected.parameters, expected.name
        trainable = sum(int(np.prod(weight.shape)) for weight in layer.trainable_weights)
        assert trainable == expected.trainable_parameters, expected.name
        if expected.kind is not LayerKind.INPUT:
            assert type(layer).__name__ == expected.kind.value
    assert model.output.dtype == "float32"


@pytest.mark.parametrize("colour", Colour)
def test_raw_images_of_any_number_type_give_probabilities(colour):
    image = ImageSettings(height=16, width=16, colour=colour)
    model = build_model(architecture_preset("small_cnn").architecture, image, 3)
    raw = np.random.default_rng(0).integers(0, 256, (2, 16, 16, 3)).astype(np.uint8)
    probabilities = model.predict(raw, verbose=0)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-6)
    np.testing.assert_allclose(model.predict(raw.astype(np.float32), verbose=0), probabilities, atol=1e-6)


def test_grey_is_pillows_luminance():
    raw = np.random.default_rng(1).integers(0, 256, (8, 8, 3)).astype(np.uint8)
    ours = keras.ops.convert_to_numpy(keras.ops.image.rgb_to_grayscale(raw.astype(np.float32)))[..., 0]
    pillows = np.asarray(Image.fromarray(raw).convert("L"), np.float32)
    assert np.abs(ours - pillows).max() <= 1.0  # Pillow rounds to whole numbers


def test_same_seed_same_weights():
    image = ImageSettings(height=16, width=16)
    architecture = architecture_preset("two_block_cnn").architecture
    first, again, other = (build_model(architecture, image, 3, seed).get_weights() for seed in (5, 5, 6))
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert not np.array_equal(first[0], other[0])


def test_a_network_larger_than_memory_is_refused_before_it_is_built(monkeypatch):
    monkeypatch.setattr(memory, "total_memory", lambda: 8 * 10**9)
    image = ImageSettings(height=1024, width=1024)
    with pytest.raises(TrainingError, match=r"1024 × 1024.*layer dense1") as caught:
        build_model(architecture_preset("two_block_cnn_no_pooling").architecture, image, 3)
    assert caught.value.field == "image"
