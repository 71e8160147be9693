"""Descriptions of networks as older versions of Keras 3 read them.

Keras writes every argument of a layer into ``config.json``, also those that are as they always were, and refuses a file
with an argument that it does not know: what 3.15 writes by itself, no earlier version loads.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from typing import Any

import keras

OLDEST = "3.8"
"""The oldest version that is tried: tests/e2e/test_older_keras.py."""

_NEW_ARGUMENTS: dict[str, object] = {
    "input_axes": None,
    "output_axes": None,
    "quantization_config": None,
    "renorm": False,
    "renorm_clipping": None,
    "renorm_momentum": 0.99,
}
"""Arguments that came after ``OLDEST``, with the value that means what there was before."""

_TRIED = frozenset(
    {
        "Activation",
        "Add",
        "AveragePooling2D",
        "BatchNormalization",
        "Concatenate",
        "Conv2D",
        "Cropping2D",
        "CustomScaleLayer",
        "DTypePolicy",
        "Dense",
        "DepthwiseConv2D",
        "Divide",
        "Dropout",
        "Flatten",
        "Flip",
        "Functional",
        "GlobalAveragePooling2D",
        "GlorotUniform",
        "HeNormal",
        "InputLayer",
        "LayerNormalization",
        "LayerScale",
        "MaxPooling2D",
        "Multiply",
        "Normalization",
        "Ones",
        "RGBToGrayscale",
        "ReLU",
        "Repeat",
        "Rescaling",
        "Reshape",
        "SeparableConv2D",
        "Sequential",
        "Softmax",
        "VarianceScaling",
        "ZeroPadding2D",
        "Zeros",
        "__keras_tensor__",
    }
)
"""What the networks that can be made here consist of: all of them were loaded in ``OLDEST``."""


def as_older_keras_writes(config: dict[str, Any]) -> dict[str, Any]:
    """A network's description without what says nothing and would be refused; ``config`` itself is changed.

    Keras of today makes the same network of it.
    """
    for described in _objects(config):
        arguments = described["config"]
        for name, usual in _NEW_ARGUMENTS.items():
            if name in arguments and arguments[name] == usual:
                del arguments[name]
        if _takes_no_name(described):
            arguments.pop("name", None)
    return config


def oldest_keras(config: dict[str, Any]) -> str:
    """The oldest Keras that networks of these layers were loaded with; the running one where they were not tried."""
    kinds = {described["class_name"] for described in _objects(config)}
    return OLDEST if kinds <= _TRIED else keras.__version__


def _objects(value: Any) -> Iterator[dict[str, Any]]:
    """Every description of an object, in lists and dictionaries of any depth."""
    if isinstance(value, list | tuple):
        for part in value:
            yield from _objects(part)
    elif isinstance(value, dict):
        if "class_name" in value and isinstance(value.get("config"), dict):
            yield value
        for part in value.values():
            yield from _objects(part)


def _takes_no_name(described: dict[str, Any]) -> bool:
    """Operations with arguments of their own took none before 3.12; graphs name them beside their configuration."""
    module = str(described.get("module"))
    if not module.startswith("keras.src.ops."):
        return False
    made = getattr(importlib.import_module(module), described["class_name"], None)
    return made is not None and made.__init__ is not keras.Operation.__init__
