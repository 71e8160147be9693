"""From one entry of ``core.layer_plan`` to one Keras layer."""

from __future__ import annotations

from collections.abc import Callable

import keras

from cnn_studio.core.experiment.layer_plan import LayerKind, PlannedLayer
from cnn_studio.core.experiment.settings import Initializer

_INITIALIZERS = {
    Initializer.GLOROT_UNIFORM: keras.initializers.GlorotUniform,
    Initializer.HE_UNIFORM: keras.initializers.HeUniform,
}


def make_layer(planned: PlannedLayer, seed: int) -> keras.Layer:
    """The Keras layer of an entry; its weights are drawn and its dropout decided by ``seed``."""
    return _MAKERS[planned.kind](planned, seed)


def _convolution(planned: PlannedLayer, seed: int) -> keras.Layer:
    return keras.layers.Conv2D(
        planned.units,
        planned.kernel,
        strides=planned.stride,
        padding=planned.padding.value,
        activation=planned.activation or None,
        use_bias=planned.use_bias,
        kernel_initializer=_INITIALIZERS[planned.initializer](seed=seed),
        data_format="channels_last",
        name=planned.name,
    )


def _dense(planned: PlannedLayer, seed: int) -> keras.Layer:
    return keras.layers.Dense(
        planned.units,
        activation=planned.activation or None,
        use_bias=planned.use_bias,
        kernel_initializer=_INITIALIZERS[planned.initializer](seed=seed),
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
