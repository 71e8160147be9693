"""Give networks made elsewhere the inputs and outputs that everything here relies on."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from cnn_studio.core.errors import ModelFileError


def no_classifier(path: Path) -> ModelFileError:
    """The error for a network that does something else."""
    return ModelFileError(
        f"{path.name} is not a network that takes one image and gives one figure per class.",
        hint="Open an image classifier.",
        path=path,
    )


class _Outputs(StrEnum):
    """What a network's figures are: the classes' shares of one, each class's own probability, or any numbers."""

    SHARES = "shares"
    SEPARATE = "separate"
    SCORES = "scores"


_TOLERANCE = 1e-2  # 16-bit networks sum to one within 0.003
_NEARLY = 1e-6


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
        raise no_classifier(path)
    shape = inputs[0].shape
    is_rgb = len(shape) == 4 and shape[-1] == 3
    classes = outputs[0].shape[-1]
    kind = _kind_of_outputs(model, height, width)
    if is_rgb and tuple(shape[1:3]) == (height, width) and kind is _Outputs.SHARES and classes > 1:
        return model
    name = f"{model.name}_adapted"
    image = keras.Input((height, width, 3), name="image", dtype="float32")
    tensor: Any = image
    if not is_rgb:
        tensor = keras.ops.image.rgb_to_grayscale(tensor, data_format="channels_last")
    if len(shape) == 3:
        tensor = keras.layers.Reshape((height, width))(tensor)
    tensor = model(tensor)
    if classes == 1:
        if kind is _Outputs.SCORES:
            tensor = keras.layers.Activation("sigmoid", name="probability")(tensor)
        # One sigmoid is the probability of the second class, as Keras's directory loader numbers them.
        adapted = keras.Model(image, keras.ops.concatenate([1.0 - tensor, tensor], axis=-1), name=name)
        adapted.single_output = tensor  # what ``ml.evaluate`` gives to Keras's loss
        return adapted
    if kind is not _Outputs.SHARES:
        if kind is _Outputs.SEPARATE:
            # Each says how likely it is by itself, and two may be certain at once. Given that a picture is of one class
            # exactly, p / (1 - p) are in proportion to the classes' probabilities.
            tensor = keras.ops.clip(tensor, _NEARLY, 1 - _NEARLY)
            tensor = keras.ops.subtract(keras.ops.log(tensor), keras.ops.log(keras.ops.subtract(1.0, tensor)))
        tensor = keras.layers.Activation("softmax", name="probabilities")(tensor)
    return keras.Model(image, tensor, name=name)


def _kind_of_outputs(model: keras.Model, height: int, width: int) -> _Outputs:
    """What a network's figures are: seen from its last operation where that leaves no doubt, else measured."""
    if (last := _last_activation(model)) is keras.activations.softmax:
        return _Outputs.SHARES
    if last is keras.activations.sigmoid:
        return _Outputs.SEPARATE
    answers = _answers_to_trials(model, height, width)
    answers = answers[np.isfinite(answers).all(axis=1)]
    if ((answers < -_TOLERANCE) | (answers > 1 + _TOLERANCE)).any():
        return _Outputs.SCORES
    # A network that answers with NaN only is left as it is; its answers are told as errors.
    return _Outputs.SHARES if (abs(answers.sum(axis=1) - 1) < _TOLERANCE).all() else _Outputs.SEPARATE


def _last_activation(model: keras.Model) -> Any:
    """The function that the network's output certainly went through last, or None."""
    operation = model.outputs[0]._keras_history.operation  # Keras has no public way to it
    if isinstance(operation, keras.Model):
        return _last_activation(operation) if len(operation.outputs) == 1 else None
    if isinstance(operation, keras.layers.Softmax):
        return keras.activations.softmax if operation.axis in {-1, 1} else None
    return getattr(operation, "activation", None)


def _answers_to_trials(model: keras.Model, height: int, width: int) -> NDArray[np.float64]:
    """What the network says (n, classes) of pictures of one colour, of noise, and of noise beyond all bounds.

    A score may lie between 0 and 1 for a picture, but not for one a hundred times as strong; and sigmoids may sum to
    one where they are certain, but not between black and faint grey.
    """
    given = model.inputs[0]
    shape = (height, width) if len(given.shape) == 3 else (height, width, given.shape[-1])
    draw = np.random.default_rng(0)
    noise = draw.uniform(0, 255, (2, *shape))
    colours = [np.broadcast_to(draw.uniform(0, 255, shape[2:]), shape) for _ in range(4)]
    trials = [*(np.full(shape, level) for level in (0.0, 1.0, 8.0, 64.0, 255.0)), *colours, *noise, noise[0] / 50]
    dtype = keras.backend.standardize_dtype(given.dtype)
    if "float" in dtype:
        trials += [100 * noise[0], -100 * noise[1]]
    images = keras.ops.cast(np.stack(trials).astype(np.float32), dtype)
    return np.asarray(keras.ops.convert_to_numpy(model(images, training=False)), np.float64)
