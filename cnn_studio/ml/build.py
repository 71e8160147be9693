"""From an architecture to a Keras model, one layer for each entry of ``core.layer_plan``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras

from cnn_studio.core.experiment.layer_plan import LayerKind, plan_layers
from cnn_studio.core.experiment.settings import BackboneArchitecture, ImageSettings, ScratchArchitecture
from cnn_studio.ml.layer_makers import make_layer
from cnn_studio.ml.memory import check_parameters


def build_model(
    architecture: ScratchArchitecture | BackboneArchitecture,
    image: ImageSettings,
    class_count: int,
    seed: int = 0,
    *,
    weights_file: Path | None = None,
) -> keras.Model:
    """Build a network that takes raw images and gives probabilities, with random weights but for a backbone's.

    Args:
        architecture: the description.
        image: its height and width are the input's; grey is made inside the model.
        class_count: outputs, at least 2.
        seed: of the initial weights and of dropout; the same seed gives the same weights.
        weights_file: of a backbone, see ``ml.backbones.build_transfer_model``.

    Returns:
        An uncompiled model: RGB images (batch, height, width, 3) with values 0–255, any number type, in; float32
        probabilities (batch, class_count) out. It holds plain Keras objects only, so it reloads under safe mode.

    Raises:
        ImpossibleArchitectureError: a feature map would shrink to nothing.
        TrainingError: the weights would not fit into this machine's memory.
        WeightsError: the weights file does not fit the backbone.
    """
    if isinstance(architecture, BackboneArchitecture):
        from cnn_studio.ml.backbones import build_transfer_model

        return build_transfer_model(architecture, image, class_count, weights_file, seed)
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
            tensor = make_layer(planned, seed * 1000 + number)(tensor)
    return keras.Model(inputs, tensor, name=_model_name(architecture.name))


def _model_name(name: str) -> str:
    """A Keras model's name may not hold spaces or slashes, which a person's name for an architecture may."""
    return "".join(letter if letter.isascii() and letter.isalnum() else "_" for letter in name).strip("_") or "model"
