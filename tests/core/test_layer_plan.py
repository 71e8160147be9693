"""Shapes and parameter counts, worked out by hand from the papers' and course's networks."""

from __future__ import annotations

import pytest

from cnn_studio.core.experiment.architectures import ARCHITECTURE_PRESETS, BACKBONE_PRESETS, architecture_preset
from cnn_studio.core.experiment.layer_plan import ImpossibleArchitectureError, LayerKind, plan_layers
from cnn_studio.core.experiment.settings import (
    Activation,
    BackboneArchitecture,
    Colour,
    Features,
    ImageSettings,
    Initializer,
    Padding,
    Pooling,
    ScratchArchitecture,
    TransferMode,
)


def image(side: int, colour: Colour = Colour.RGB) -> ImageSettings:
    return ImageSettings(height=side, width=side, colour=colour)


def parameters(name: str, settings: ImageSettings, classes: int) -> list[int]:
    layers = plan_layers(architecture_preset(name).architecture, settings, classes)
    assert all(layer.parameters == layer.trainable_parameters for layer in layers)
    return [layer.parameters for layer in layers if layer.parameters]


def test_lenet5_has_lecuns_61706_parameters():
    counts = parameters("lenet5", image(28, Colour.GREY), 10)
    assert counts == [156, 2416, 48_120, 10_164, 850]
    assert sum(counts) == 61_706


def test_small_cnn():
    counts = parameters("small_cnn", image(128), 5)
    assert counts == [448, 4640, 18_496, 16 * 16 * 64 * 128 + 128, 645]


def test_two_block_cnn_with_and_without_pooling():
    convolutions = [896, 9248, 18_496, 36_928]
    assert parameters("two_block_cnn", image(32), 10) == [*convolutions, 5 * 5 * 64 * 512 + 512, 5130]
    without = parameters("two_block_cnn_no_pooling", image(32), 10)
    assert without == [*convolutions, 24 * 24 * 64 * 512 + 512, 5130]


def test_mlp():
    counts = parameters("mlp", image(28, Colour.GREY), 10)
    assert counts == [784 * 300 + 300, 300 * 100 + 100, 1010]
    assert sum(counts) == 266_610


def test_shapes_of_a_rectangular_picture():
    settings = ImageSettings(height=33, width=50, colour=Colour.RGB)
    layers = plan_layers(ScratchArchitecture(blocks=((4,), (8,)), dense=()), settings, 3)
    shapes = {layer.name: layer.output_shape for layer in layers}
    assert shapes["image"] == (33, 50, 3)
    assert shapes["block1_conv1"] == (33, 50, 4)
    assert shapes["block1_pool"] == (16, 25, 4)
    assert shapes["block2_pool"] == (8, 12, 8)
    assert shapes["flatten"] == (8 * 12 * 8,)
    assert shapes["probabilities"] == (3,)


@pytest.mark.parametrize(
    ("padding", "stride", "side"),
    [(Padding.SAME, 1, 15), (Padding.VALID, 1, 11), (Padding.SAME, 2, 8), (Padding.VALID, 2, 6), (Padding.SAME, 4, 4)],
)
def test_convolution_arithmetic(padding, stride, side):
    architecture = ScratchArchitecture(
        blocks=((2,),), kernel=(5,), padding=(padding,), stride=stride, pooling=Pooling.NONE, dense=()
    )
    layers = plan_layers(architecture, image(15), 2)
    assert next(layer for layer in layers if layer.kind is LayerKind.CONVOLUTION).output_shape == (side, side, 2)


def test_each_convolution_and_each_block_can_have_its_own_and_the_last_goes_on():
    architecture = ScratchArchitecture(
        blocks=((2, 4), (6,), (8,)),
        kernel=(7, 5, 3),
        padding=(Padding.SAME, Padding.VALID),
        pool_size=(3, 1, 2),
        initializer=Initializer.HE_UNIFORM,
        activation=Activation.SIGMOID,
        dense=(5,),
    )
    layers = plan_layers(architecture, image(32), 2)
    assert [(layer.name, layer.kernel, layer.padding, layer.output_shape[0]) for layer in layers if layer.kernel] == [
        ("block1_conv1", 7, "same", 32),
        ("block1_conv2", 5, "valid", 28),
        ("block1_pool", 3, "valid", 9),
        ("block2_conv1", 3, "valid", 7),
        ("block3_conv1", 3, "valid", 5),
        ("block3_pool", 2, "valid", 2),
    ]
    assert [layer.parameters for layer in layers if layer.parameters][:2] == [7 * 7 * 3 * 2 + 2, 5 * 5 * 2 * 4 + 4]
    weighted = {layer.name: (layer.initializer, layer.activation) for layer in layers if layer.units}
    assert weighted.pop("probabilities") == ("glorot_uniform", "softmax")
    assert set(weighted.values()) == {("he_uniform", "sigmoid")}


def test_stride_belongs_to_the_last_convolution_of_a_block():
    architecture = ScratchArchitecture(blocks=((2, 2), (4,)), stride=2, pooling=Pooling.NONE, dense=())
    strides = [layer.stride for layer in plan_layers(architecture, image(16), 2) if layer.stride]
    assert strides == [1, 2, 2]


def test_batch_normalization_takes_the_convolutions_bias():
    architecture = ScratchArchitecture(blocks=((16,),), batch_normalization=True, dense=())
    layers = {layer.kind: layer for layer in plan_layers(architecture, image(16), 2)}
    assert layers[LayerKind.CONVOLUTION].parameters == 3 * 3 * 3 * 16
    assert not layers[LayerKind.CONVOLUTION].use_bias
    assert layers[LayerKind.CONVOLUTION].activation == ""
    assert layers[LayerKind.BATCH_NORMALIZATION].parameters == 4 * 16
    assert layers[LayerKind.BATCH_NORMALIZATION].trainable_parameters == 2 * 16
    assert layers[LayerKind.ACTIVATION].activation == "relu"


def test_global_average_pooling_and_dropout():
    architecture = ScratchArchitecture(
        features=Features.GLOBAL_AVERAGE, dropout=0.5, dense=(20, 10), dense_dropout=0.25, blocks=((8,),)
    )
    layers = plan_layers(architecture, image(16), 4)
    assert [layer.kind for layer in layers][-7:] == [
        LayerKind.DROPOUT,
        LayerKind.GLOBAL_AVERAGE_POOLING,
        LayerKind.DENSE,
        LayerKind.DROPOUT,
        LayerKind.DENSE,
        LayerKind.DROPOUT,
        LayerKind.DENSE,
    ]
    assert [layer.rate for layer in layers if layer.kind is LayerKind.DROPOUT] == [0.5, 0.25, 0.25]
    assert [layer.parameters for layer in layers if layer.kind is LayerKind.DENSE] == [8 * 20 + 20, 210, 44]


@pytest.mark.parametrize("name", [*ARCHITECTURE_PRESETS, *BACKBONE_PRESETS])
def test_names_are_unique_and_every_preset_works_at_its_usual_size(name):
    preset = architecture_preset(name)
    layers = plan_layers(preset.architecture, image(preset.usual_size), 2)
    assert len({layer.name for layer in layers}) == len(layers)
    assert layers[0].kind is LayerKind.INPUT
    assert layers[-1].activation == "softmax"
    assert preset.architecture.name == name


@pytest.mark.parametrize("name", ARCHITECTURE_PRESETS)
def test_the_smallest_size_is_that_at_which_something_is_left(name):
    preset = ARCHITECTURE_PRESETS[name]
    plan_layers(preset.architecture, image(preset.smallest_size), 2)
    if preset.smallest_size > 8:  # the program's least
        with pytest.raises(ImpossibleArchitectureError):
            plan_layers(preset.architecture, image(preset.smallest_size - 1), 2)


@pytest.mark.parametrize(
    ("architecture", "side", "layer", "reaching", "remedy"),
    [
        (architecture_preset("lenet5").architecture, 8, "block2_conv1", "4 × 4", "padding “same”"),
        (ScratchArchitecture(blocks=((2,),) * 5), 16, "block5_pool", "1 × 1", "fewer blocks"),
        (
            ScratchArchitecture(blocks=((2,),) * 3, stride=4, padding=(Padding.VALID,)),
            32,
            "block2_pool",  # 32 → 8 by the stride → 4 by pooling → 1 → half of that
            "1 × 1",
            "a smaller stride",
        ),
        (ScratchArchitecture(blocks=((2,),) * 2, pool_size=(2, 5)), 9, "block2_pool", "4 × 4", "a smaller pool size"),
    ],
)
def test_the_layer_at_which_nothing_is_left_is_named(architecture, side, layer, reaching, remedy):
    with pytest.raises(ImpossibleArchitectureError) as caught:
        plan_layers(architecture, image(side), 2)
    error = caught.value
    assert error.layer == layer
    assert layer in error.message
    assert reaching in error.message
    assert remedy in error.hint
    assert error.field == "architecture"
    assert error.layers[0].kind is LayerKind.INPUT
    assert layer not in {done.name for done in error.layers}


def test_chollets_frozen_vgg16():
    architecture = BackboneArchitecture(name="vgg16", features=Features.FLATTEN, dense=(256,), dense_dropout=0.5)
    layers = plan_layers(architecture, image(150), 2)
    assert [(layer.name, layer.output_shape, layer.parameters, layer.trainable_parameters) for layer in layers] == [
        ("image", (150, 150, 3), 0, 0),
        ("preprocessing", (150, 150, 3), 0, 0),
        ("vgg16", (4, 4, 512), 14_714_688, 0),
        ("flatten", (8192,), 0, 0),
        ("dense1", (256,), 2_097_408, 2_097_408),
        ("dense1_dropout", (256,), 0, 0),
        ("probabilities", (2,), 514, 514),
    ]


def test_at_once_the_same_is_trained_as_in_two_stages():
    counts = {
        transfer: sum(
            layer.trainable_parameters
            for layer in plan_layers(BackboneArchitecture(name="vgg16", transfer=transfer), image(64), 2)
        )
        for transfer in TransferMode
    }
    assert counts["one_stage"] == counts["fine_tuned"] > counts["frozen"]


def test_trainable_parameters_follow_the_depth():
    counts = []
    for depth in ("block5", "block4", "block3", "block2", "everything"):
        architecture = BackboneArchitecture(name="vgg16", transfer=TransferMode.FINE_TUNED, unfreeze_from=depth)
        counts.append(sum(layer.trainable_parameters for layer in plan_layers(architecture, image(64), 2)))
    head = 512 * 2 + 2
    assert counts[0] == 7_079_424 + head  # Chollet's book
    assert counts[-1] == 14_714_688 + head
    assert counts == sorted(set(counts))


def test_dropout_between_the_dense_layers_of_a_head():
    architecture = BackboneArchitecture(dropout=0.2, dense=(1024, 256), dense_dropout=0.3)
    layers = plan_layers(architecture, image(64, Colour.GREY), 2)
    assert [layer.name for layer in layers] == [
        "image",
        "grey",
        "preprocessing",
        "resnet50",
        "global_average_pooling",
        "dropout",
        "dense1",
        "dense1_dropout",
        "dense2",
        "probabilities",
    ]
    assert [layer.rate for layer in layers if layer.kind is LayerKind.DROPOUT] == [0.2, 0.3]
    # A backbone sees three channels of grey.
    assert layers[1].output_shape == (64, 64, 3)


def test_an_image_smaller_than_the_backbone_takes_is_refused():
    with pytest.raises(ImpossibleArchitectureError, match="Xception takes images of at least 71 × 71 pixels") as caught:
        plan_layers(BackboneArchitecture(name="xception"), ImageSettings(height=200, width=70), 2)
    error = caught.value
    assert "200 × 70" in error.message
    assert "71 or more (299 is usual)" in error.hint
    assert (error.field, error.layer) == ("image", "xception")
    assert [layer.name for layer in error.layers] == ["image", "preprocessing"]
    plan_layers(BackboneArchitecture(name="xception"), image(71), 2)
