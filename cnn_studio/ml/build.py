"""From an architecture to a Keras model, one layer for each entry of ``core.layer_plan``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras

from cnn_studio.core.config import ImageSettings, ScratchArchitecture
from cnn_studio.core.layer_plan import LayerKind, PlannedLayer, plan_layers
from cnn_studio.ml.memory import check_parameters


def build_model(
    architecture: ScratchArchitecture, image: ImageSettings, class_count: int, seed: int = 0
) -> keras.Model:
    """Build a network with random weights that takes raw images and gives probabilities.

    Args:
        architecture: the description.
        image: its height and width are the input's; grey is made inside the model.
        class_count: outputs, at least 2.
        seed: of the initial weights and of dropout; the same seed gives the same weights.

    Returns:
        An uncompiled model: RGB images (batch, height, width, 3) with values 0–255, any number type, in; float32
        probabilities (batch, class_count) out. It holds plain Keras objects only, so it reloads under safe mode.

    Raises:
        ImpossibleArchitectureError: a feature map would shrink to nothing.
        TrainingError: the weights would not fit into this machine's memory.
    """
    plan = plan_layers(architecture, image, class_count)
    check_parameters(plan, image.height, image.width)
    tensor: Any = None
    inputs: Any = None
    for number, planned in enumerate(plan):
        if planned.kind is LayerKind.INPUT:
            inputs = tensor = keras.Input(planned.output_shape, name=planned.name, dtype="float32")
        elif planned.kind is LayerKind.GREY:
            # Luminance by ITU-R 601, the weights of Pillow's "L" mode, without its rounding to whole numbers.
            tensor = keras.ops.image.rgb_to_grayscale(tensor, data_format="channels_last")
        else:
            # Every layer draws from a stream of its own: adding one leaves the others' weights as they were.
            tensor = _MAKERS[planned.kind](planned, seed * 1000 + number)(tensor)
    return keras.Model(inputs, tensor, name=_model_name(architecture.name))


def _model_name(name: str) -> str:
    """A Keras model's name may not hold spaces or slashes, which a person's name for an architecture may."""
    return "".join(letter if letter.isascii() and letter.isalnum() else "_" for letter in name).strip("_") or "model"


def _convolution(planned: PlannedLayer, seed: int) -> keras.Layer:
    return keras.layers.Conv2D(
        planned.units,
        planned.kernel,
        strides=planned.stride,
        padding=planned.padding.value,
        activation=planned.activation or None,
        use_bias=planned.use_bias,
        kernel_initializer=keras.initializers.GlorotUniform(seed=seed),
        data_format="channels_last",
        name=planned.name,
    )


def _dense(planned: PlannedLayer, seed: int) -> keras.Layer:
    return keras.layers.Dense(
        planned.units,
        activation=planned.activation or None,
        use_bias=planned.use_bias,
        kernel_initializer=keras.initializers.GlorotUniform(seed=seed),
        name=planned.name,
        # The probabilities stay float32 under a mixed precision policy.
        dtype="float32" if planned.activation == "softmax" else None,
    )


def _pooling(make: Callable[..., keras.Layer]) -> Callable[[PlannedLayer, int], keras.Layer]:
    def maker(planned: PlannedLayer, _: int) -> keras.Layer:
        return make(
            planned.kernel,
            strides=planned.stride,
            padding=planned.padding.value,
            data_format="channels_last",
            name=planned.name,
        )

    return maker


_MAKERS: dict[LayerKind, Callable[[PlannedLayer, int], keras.Layer]] = {
    LayerKind.RESCALING: lambda planned, _: keras.layers.Rescaling(1 / 255, name=planned.name),
    LayerKind.CONVOLUTION: _convolution,
    LayerKind.BATCH_NORMALIZATION: lambda planned, _: keras.layers.BatchNormalization(name=planned.name),
    LayerKind.ACTIVATION: lambda planned, _: keras.layers.Activation(planned.activation, name=planned.name),
    LayerKind.MAX_POOLING: _pooling(keras.layers.MaxPooling2D),
    LayerKind.AVERAGE_POOLING: _pooling(keras.layers.AveragePooling2D),
    LayerKind.GLOBAL_AVERAGE_POOLING: lambda planned, _: keras.layers.GlobalAveragePooling2D(
        data_format="channels_last", name=planned.name
    ),
    LayerKind.FLATTEN: lambda planned, _: keras.layers.Flatten(name=planned.name),
    LayerKind.DENSE: _dense,
    LayerKind.DROPOUT: lambda planned, seed: keras.layers.Dropout(planned.rate, seed=seed, name=planned.name),
}
