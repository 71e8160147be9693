"""Networks with a pre-trained backbone: built flat, frozen or unfrozen from a block on.

The backbone's layers lie in the same graph as the preprocessing before them and the head after them, so that the saved
file takes raw RGB 0–255, and so that the network can be cut at any place that one tensor crosses.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras

from cnn_studio.core.errors import WeightsError
from cnn_studio.core.experiment.backbones import Backbone, Preprocessing, find_backbone
from cnn_studio.core.experiment.layer_plan import head_layers, plan_layers
from cnn_studio.core.experiment.settings import BackboneArchitecture, Colour, ImageSettings
from cnn_studio.ml.layer_makers import make_layer
from cnn_studio.ml.memory import check_parameters

# ImageNet's mean and deviation as Keras's own preprocess_input has them (keras.applications.imagenet_utils).
_CAFFE_MEAN_BGR = (103.939, 116.779, 123.68)
_TORCH_MEAN = (0.485, 0.456, 0.406)
_TORCH_DEVIATION = (0.229, 0.224, 0.225)

_KEEPS_STILL = (keras.layers.BatchNormalization, keras.layers.Normalization)
_HEAD_STARTS = ("global_average_pooling", "flatten")


def build_transfer_model(
    architecture: BackboneArchitecture,
    image: ImageSettings,
    class_count: int,
    weights_file: Path | None,
    seed: int = 0,
) -> keras.Model:
    """Build a backbone with a new head; only the head trains until ``set_trainable_from`` says otherwise.

    Args:
        architecture: the description.
        image: its height and width are the input's; grey is made inside the model and repeated to three channels.
        class_count: outputs, at least 2.
        weights_file: the backbone's pre-trained weights, Keras's HDF5 without classifier; None leaves it random, for
            whoever loads the weights of the whole network next.
        seed: of the head's initial weights and of dropout.

    Returns:
        An uncompiled model: RGB images (batch, height, width, 3) with values 0–255, any number type, in; float32
        probabilities (batch, class_count) out. All layers are Keras's own and lie in one flat graph; their names do
        not depend on what was built before. Every BatchNormalization is frozen and so uses its stored statistics.

    Raises:
        ImpossibleArchitectureError: the image is smaller than the backbone takes.
        TrainingError: the weights would not fit into this machine's memory.
        WeightsError: the weights file is damaged or belongs to another network.
    """
    check_parameters(plan_layers(architecture, image, class_count), image.height, image.width)
    backbone = find_backbone(architecture.name)
    inputs = keras.Input((image.height, image.width, 3), name="image", dtype="float32")
    tensor = _grey_in_three_channels(inputs) if image.colour is Colour.GREY else inputs
    pretrained = _build_backbone(backbone, preprocess(tensor, backbone.preprocessing))
    if weights_file is not None:
        _load_weights(pretrained, backbone, weights_file)
    tensor = pretrained.output
    # The seeds follow on those of a scratch network's layers: a stream for each.
    for number, planned in enumerate(head_layers(architecture, image, class_count), start=1):
        tensor = make_layer(planned, seed * 1000 + number)(tensor)
    model = keras.Model(inputs, tensor, name=backbone.name)
    set_trainable_from(model, architecture, None)
    return model


def _grey_in_three_channels(tensor: Any) -> Any:
    grey = keras.ops.image.rgb_to_grayscale(tensor, data_format="channels_last")
    return keras.ops.repeat(grey, 3, axis=-1)


def preprocess(tensor: Any, preprocessing: Preprocessing) -> Any:
    """What ``keras.applications``'s ``preprocess_input`` does, as layers that are saved with the model.

    Args:
        tensor: a Keras tensor of RGB images (batch, height, width, 3), values 0–255.
        preprocessing: which of Keras's ways.

    Returns:
        A Keras tensor of the same shape.
    """
    if preprocessing is Preprocessing.NONE:
        # The backbone begins with layers of its own that do it.
        return tensor
    if preprocessing is Preprocessing.CAFFE:
        tensor = keras.ops.flip(tensor, axis=-1)
        return keras.layers.Rescaling(1.0, offset=[-mean for mean in _CAFFE_MEAN_BGR], name="preprocessing")(tensor)
    if preprocessing is Preprocessing.TF:
        return keras.layers.Rescaling(1 / 127.5, offset=-1.0, name="preprocessing")(tensor)
    scale = [1 / (255 * deviation) for deviation in _TORCH_DEVIATION]
    offset = [-mean / deviation for mean, deviation in zip(_TORCH_MEAN, _TORCH_DEVIATION, strict=True)]
    return keras.layers.Rescaling(scale, offset=offset, name="preprocessing")(tensor)


def _build_backbone(backbone: Backbone, tensor: Any) -> keras.Model:
    """The backbone on top of ``tensor``, from the model's input on, with names as in a fresh session."""
    make = getattr(keras.applications, backbone.keras_name)
    pretrained = make(
        include_top=False, weights=None, input_tensor=tensor, input_shape=tensor.shape[1:], **dict(backbone.options)
    )
    _name_as_in_a_fresh_session(pretrained.operations)
    return pretrained


def _name_as_in_a_fresh_session(operations: Sequence[Any]) -> None:
    """Keras numbers what has no name of its own by all it has made so far in the process; count from the start here.

    Without this the second InceptionV3 of a process would have other layer names than the first.
    """
    found: dict[str, list[tuple[int, Any]]] = {}
    for operation in operations:
        parts = re.fullmatch(r"(.+?)(?:_(\d+))?", operation.name)
        if parts and parts[1].replace("_", "") == type(operation).__name__.lower():
            found.setdefault(parts[1], []).append((int(parts[2] or 0), operation))
    for stem, numbered in found.items():
        for number, (_, operation) in enumerate(sorted(numbered, key=lambda pair: pair[0])):
            operation.name = f"{stem}_{number}" if number else stem


def _load_weights(pretrained: keras.Model, backbone: Backbone, path: Path) -> None:
    try:
        pretrained.load_weights(path)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise WeightsError(
            f"{path.name} does not hold the weights of {backbone.title}, or is damaged.",
            hint=f"Get them again: cnn-studio weights get {backbone.name}.",
            path=path,
        ) from error
    if backbone.deviation_twice:
        _divide_once_more(pretrained)


def _divide_once_more(pretrained: keras.Model) -> None:
    """Divide the normalised input by the root of the deviation once more, as the published weights expect it.

    Keras adds a layer for that only when it downloads the weights itself (keras.applications.efficientnet,
    tensorflow#49930) and leaves it out, without a word, when they come from a path. Here it goes into the variance.
    """
    for layer in pretrained.layers:
        if isinstance(layer, keras.layers.Normalization):
            mean, variance, *count = layer.get_weights()
            layer.set_weights([mean, variance * _TORCH_DEVIATION, *count])
            layer.finalize_state()


def set_trainable_from(model: keras.Model, architecture: BackboneArchitecture, depth: str | None) -> None:
    """Say what trains: the head, and the backbone from ``depth`` on. Compile the model afterwards.

    BatchNormalization is frozen at every depth: unfrozen, its statistics would move with every batch, whatever
    ``training`` is passed to the backbone (keras#20285).

    Args:
        model: from ``build_transfer_model`` with the same architecture.
        architecture: the description.
        depth: a block's name, "everything", or None for the head alone.

    Raises:
        ExperimentError: the backbone has no such block; names those it has.
    """
    head = _operations_up_to(model, _head_start(model).input)
    below = head if depth is None else _below(model, architecture, depth)
    for layer in model.layers:
        layer.trainable = id(layer) not in below
        for part in layer._flatten_layers():
            if isinstance(part, _KEEPS_STILL):
                part.trainable = False


def _head_start(model: keras.Model) -> Any:
    """The pooling or flattening after the backbone: the one layer of the head that always gives the same."""
    return next(layer for layer in reversed(model.layers) if layer.name in _HEAD_STARTS)


def _below(model: keras.Model, architecture: BackboneArchitecture, depth: str) -> set[int]:
    """Identities of all operations that stay as they are when the backbone is unfrozen from ``depth`` on."""
    block = find_backbone(architecture.name).block(depth)
    return _operations_up_to(model, model.get_layer(block.first_layer).input) if block else set()


def _operations_up_to(model: keras.Model, tensor: Any) -> set[int]:
    """Identities of all operations that ``tensor`` is made by."""
    return {id(operation) for operation in keras.Model(model.input, tensor).operations}
