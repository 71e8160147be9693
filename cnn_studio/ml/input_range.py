"""Networks made elsewhere take RGB 0–255 too: what their values went through in training is put in front of them."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from cnn_studio.core.evaluation.input_range import InputRange
from cnn_studio.core.experiment.backbones import Preprocessing
from cnn_studio.ml.backbones import preprocess

_AS_IN_KERAS = {
    InputRange.SIGNED: Preprocessing.TF,
    InputRange.CAFFE: Preprocessing.CAFFE,
    InputRange.TORCH: Preprocessing.TORCH,
}
_BLACK_AND_WHITE = {InputRange.BYTES: (0.0, 255.0), InputRange.UNIT: (0.0, 1.0), InputRange.SIGNED: (-1.0, 1.0)}
"""What black and white are in each range that preprocessing inside a network may begin with."""


def with_input_range(model: keras.Model, input_range: InputRange) -> keras.Model:
    """A model that takes RGB 0–255 and gives ``model`` the values of ``input_range``.

    Args:
        model: takes RGB images (batch, height, width, 3).
        input_range: what its values went through in training.
    """
    if input_range is InputRange.BYTES:
        return model
    image = keras.Input(model.inputs[0].shape[1:], name="image", dtype="float32")
    if input_range is InputRange.UNIT:
        tensor = keras.layers.Rescaling(1 / 255, name="preprocessing")(image)
    else:
        tensor = preprocess(image, _AS_IN_KERAS[input_range])
    name = f"{model.name}_from_bytes"
    single = getattr(model, "single_output", None)  # see ``ml.adapt``
    if single is None:
        made = keras.Model(image, model(tensor), name=name)
    else:
        probabilities, single = keras.Model(model.inputs, [model.outputs[0], single])(tensor)
        made = keras.Model(image, probabilities, name=name)
        made.single_output = single
    made.jit_compile = model.jit_compile
    return made


def stated_range(model: keras.Model, height: int, width: int) -> InputRange | None:
    """Which values a network takes, where what it does to them first leaves no doubt; else None.

    The layers before the first one with learnt weights are run on black and on white. What then lies around 0, or as
    ImageNet's mean leaves it, is what networks learn from.

    Args:
        model: as it was loaded.
        height: of the images, in pixels.
        width: of the images, in pixels.
    """
    given = model.inputs[0]
    dtype = keras.backend.standardize_dtype(given.dtype)
    if "float" not in dtype:
        return InputRange.BYTES  # between 0 and 1 there are no other whole numbers
    shape = (2, height, width, *given.shape[3:])

    def seen(values: tuple[float, float]) -> tuple[float, float]:
        images = np.stack([np.full(shape[1:], value) for value in values]).astype(np.float32)
        first, second = _before_learnt(model, keras.ops.cast(images, dtype))
        return float(np.median(first)), float(np.median(second))

    try:
        black, white = seen(_BLACK_AND_WHITE[InputRange.BYTES])
        if abs(black) < 1 and abs(white - 255) < 2:  # nothing was done to them
            return None
        return next((each for each, values in _BLACK_AND_WHITE.items() if _can_be_learnt_from(*seen(values))), None)
    except Exception:  # noqa: BLE001 -- a layer may refuse to be run alone: then nothing is known
        return None


def _can_be_learnt_from(black: float, white: float) -> bool:
    around_zero = max(abs(black), abs(white)) <= 10 and abs(white - black) >= 0.5
    less_the_mean = -140 < black < -90 and 100 < white < 170
    as_bytes = abs(black) < 1 and abs(white - 255) < 2
    return around_zero or less_the_mean or as_bytes


class _LearntReached(Exception):  # noqa: N818 -- no error: a way out of Keras's walk through a graph
    """Carries what the first layer with learnt weights is given."""

    def __init__(self, values: Any) -> None:
        super().__init__()
        self.values = values


def _before_learnt(model: keras.Model, images: Any) -> Any:
    try:
        values = _run(model, images)
    except _LearntReached as reached:
        values = reached.values
    return keras.ops.convert_to_numpy(values)


def _run(operation: Any, *inputs: Any, **more: Any) -> Any:
    if isinstance(operation, keras.Sequential):
        (values,) = inputs
        for layer in operation.layers:
            values = _run(layer, values)
        return values
    if isinstance(operation, keras.Model):
        # Keras has no public way to run a graph with another way of calling its layers.
        outputs = operation._run_through_graph(list(inputs), operation_fn=lambda inner: inner, call_fn=_run)
        return outputs[0] if isinstance(outputs, list | tuple) else outputs
    kept = (keras.layers.Normalization, keras.layers.BatchNormalization)  # their weights are figures of the pictures
    if getattr(operation, "weights", None) and not isinstance(operation, kept):
        raise _LearntReached(inputs[0])
    if getattr(operation, "_call_has_training_arg", False):  # augmentation would change black and white
        more["training"] = False
    return operation(*inputs, **more)
