"""Give networks made elsewhere the inputs and outputs that everything here relies on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras

from cnn_studio.core.errors import ModelFileError


def adapt_model(model: keras.Model, height: int, width: int, path: Path) -> keras.Model:
    """A model over ``model`` that takes RGB 0–255 (batch, height, width, 3) and gives (batch, classes) probabilities.

    A network that does so already is returned as it is.

    Args:
        model: as it was loaded.
        height: of the images, in pixels.
        width: of the images, in pixels.
        path: its file, for errors.

    Raises:
        ModelFileError: it has not one input that is an image, or not one output that is a vector per image.
    """
    inputs, outputs = list(getattr(model, "inputs", None) or ()), list(getattr(model, "outputs", None) or ())
    one_image = len(inputs) == 1 and len(inputs[0].shape) in {3, 4}
    one_vector = len(outputs) == 1 and len(outputs[0].shape) == 2 and outputs[0].shape[-1] is not None
    if not (one_image and one_vector):
        raise ModelFileError(
            f"{path.name} is not a network that takes one image and gives one figure per class.",
            hint="Open an image classifier.",
            path=path,
        )
    shape = inputs[0].shape
    is_rgb = len(shape) == 4 and shape[-1] == 3
    activation = _last_activation(model)
    classes = outputs[0].shape[-1]
    is_probability = activation in {"softmax", "sigmoid"}
    if is_rgb and tuple(shape[1:3]) == (height, width) and is_probability and classes > 1:
        return model
    image = keras.Input((height, width, 3), name="image", dtype="float32")
    tensor: Any = image
    if not is_rgb:
        tensor = keras.ops.image.rgb_to_grayscale(tensor, data_format="channels_last")
    if len(shape) == 3:
        tensor = keras.layers.Reshape((height, width))(tensor)
    tensor = model(tensor)
    if classes == 1:
        if not is_probability:
            tensor = keras.layers.Activation("sigmoid", name="probability")(tensor)
        # One sigmoid is the probability of the second class, as Keras's directory loader numbers them.
        tensor = keras.ops.concatenate([1.0 - tensor, tensor], axis=-1)
    elif not is_probability:
        tensor = keras.layers.Activation("softmax", name="probabilities")(tensor)
    return keras.Model(image, tensor, name=f"{model.name}_adapted")


def _last_activation(model: keras.Model) -> str:
    """What the network's output went through last: "softmax", "sigmoid", or "" for anything else."""
    operation = model.outputs[0]._keras_history.operation  # Keras has no public way to it
    if isinstance(operation, keras.Model):
        return _last_activation(operation)
    activation = getattr(operation, "activation", None)
    name = str(getattr(activation, "__name__", type(operation).__name__)).lower()
    return name if name in {"softmax", "sigmoid"} else ""
