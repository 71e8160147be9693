"""Make a temperature part of a network, so that whoever loads the file gets calibrated probabilities.

Temperature scaling (Guo et al. 2017) divides the logits by one number before the softmax. Where a dense layer with a
softmax makes the probabilities, as in every network built here, its weights are divided: softmax((W x + b) / T) is a
dense layer with W / T and b / T, so nothing is added and the file stays as it was in every other way. Before a softmax
of another kind the logits are divided. After any other end the logarithm of the probabilities stands for the logits,
which gives the same as far as float32 tells small probabilities apart.
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np


def with_temperature(model: keras.Model, temperature: float) -> keras.Model:
    """The network with its logits divided by ``temperature``.

    Args:
        model: as ``load_model`` gives it, loaded for this: its own weights are changed where that is enough.
        temperature: above 0. The order of the classes stays as it is for every image.

    Returns:
        The same model, or one over it; Keras's own layers and operations only.
    """
    single = getattr(model, "single_output", None)  # a sigmoid's logit is divided likewise, see ``ml.adapt``
    dense = _dense_layer(model.outputs[0], "softmax") if single is None else _dense_layer(single, "sigmoid")
    if dense is not None:
        dense.set_weights([weight / np.float32(temperature) for weight in dense.get_weights()])
        return model
    tensor: Any = model.outputs[0]
    logits = _softmax_input(tensor)
    if logits is None:
        logits = keras.ops.log(keras.ops.maximum(tensor, float(np.finfo(np.float32).tiny)))
    scaled = keras.ops.softmax(keras.ops.divide(logits, temperature))
    made = keras.Model(model.inputs[0], scaled, name=f"{model.name}_calibrated")
    made.jit_compile = model.jit_compile
    return made


def _softmax_input(tensor: Any) -> Any:
    """What the softmax that makes ``tensor`` is given, in networks within the network too; None after another end."""
    history = tensor._keras_history  # Keras has no public way to it
    operation = history.operation
    inputs = operation._inbound_nodes[history.node_index].input_tensors
    if isinstance(operation, keras.Model):
        inner = _softmax_input(operation.outputs[0])
        return None if inner is None else keras.Model(operation.inputs, inner, name=operation.name)(*inputs)
    activation = getattr(operation, "activation", None)
    ends_in_softmax = type(operation) is keras.layers.Activation and activation is keras.activations.softmax
    is_softmax = type(operation).__name__ == "Softmax" and getattr(operation, "axis", None) in {-1, 1}
    return inputs[0] if ends_in_softmax or is_softmax else None


def _dense_layer(tensor: Any, ending: str) -> keras.layers.Dense | None:
    """The dense layer with that activation that makes ``tensor``, in a network within the network too; else None."""
    operation = tensor._keras_history.operation  # Keras has no public way to it
    if isinstance(operation, keras.Model):
        return _dense_layer(operation.outputs[0], ending)
    plain = type(operation) is keras.layers.Dense and getattr(operation.activation, "__name__", "") == ending
    return operation if plain else None
