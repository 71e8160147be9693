"""From an architecture to its list of layers with output shapes and parameter counts, without Keras.

The window shows this list while settings change, before TensorFlow is even loaded, and ``ml.build`` makes one Keras
layer of each entry: what is shown is what is built (a test compares every shape and count with Keras's own).
Channels come last, as everywhere in this project.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from math import prod
from typing import TypeVar

from cnn_studio.core.errors import ExperimentError
from cnn_studio.core.experiment.backbones import find_backbone
from cnn_studio.core.experiment.settings import (
    BackboneArchitecture,
    Colour,
    Features,
    ImageSettings,
    Initializer,
    Padding,
    Pooling,
    ScratchArchitecture,
)

_Value = TypeVar("_Value")


class LayerKind(StrEnum):
    """What a layer is; the value names Keras's layer or, for the four first, what we do with one or several."""

    INPUT = "Input"
    GREY = "Grey"
    PREPROCESSING = "Preprocessing"
    BACKBONE = "Backbone"
    RESCALING = "Rescaling"
    CONVOLUTION = "Conv2D"
    BATCH_NORMALIZATION = "BatchNormalization"
    ACTIVATION = "Activation"
    MAX_POOLING = "MaxPooling2D"
    AVERAGE_POOLING = "AveragePooling2D"
    GLOBAL_AVERAGE_POOLING = "GlobalAveragePooling2D"
    FLATTEN = "Flatten"
    DENSE = "Dense"
    DROPOUT = "Dropout"


@dataclass(frozen=True, slots=True)
class PlannedLayer:
    """One layer to be.

    Attributes:
        kind: what it is.
        name: unique in the model, lower case: ``block1_conv2``.
        output_shape: without the batch: (height, width, channels) or (units,).
        parameters: weights it holds, moving statistics included.
        trainable_parameters: those that training changes.
        units: filters of a convolution or units of a dense layer, else 0.
        kernel, stride: of a convolution or pooling, in pixels, else 0.
        padding: of a convolution, "valid" elsewhere.
        activation: applied by the layer itself, "" for none.
        rate: of a dropout layer.
        use_bias: whether a convolution or dense layer has one.
        initializer: of a convolution's or dense layer's kernel.
    """

    kind: LayerKind
    name: str
    output_shape: tuple[int, ...]
    parameters: int = 0
    trainable_parameters: int = 0
    units: int = 0
    kernel: int = 0
    stride: int = 0
    padding: Padding = Padding.VALID
    activation: str = ""
    rate: float = 0.0
    use_bias: bool = True
    initializer: Initializer = Initializer.GLOROT_UNIFORM


class ImpossibleArchitectureError(ExperimentError):
    """A feature map shrinks to nothing, or an image is smaller than a backbone takes.

    Attributes:
        layer: name of the layer at which it happens.
        layers: the layers before it, which work.
    """

    def __init__(
        self, message: str, *, hint: str, layer: str, layers: tuple[PlannedLayer, ...], field: str = "architecture"
    ) -> None:
        super().__init__(message, hint=hint, field=field)
        self.layer = layer
        self.layers = layers


def plan_layers(
    architecture: ScratchArchitecture | BackboneArchitecture, image: ImageSettings, class_count: int
) -> tuple[PlannedLayer, ...]:
    """List the layers of a network that takes raw RGB 0–255 and ends in a softmax.

    A pre-trained backbone is one entry; what it counts as trainable is what training ends up changing: nothing of a
    frozen one, the blocks from ``unfreeze_from`` on of a fine-tuned one.

    Args:
        architecture: the description.
        image: its height and width are the input's; grey adds a layer that makes RGB grey.
        class_count: units of the last layer, at least 2.

    Raises:
        ImpossibleArchitectureError: a feature map would have no pixel left, or the image is too small for the
            backbone; names the layer.
    """
    if isinstance(architecture, BackboneArchitecture):
        return (*_backbone_layers(architecture, image), *head_layers(architecture, image, class_count))
    layers: list[PlannedLayer] = []
    for layer in _layers(architecture, image, class_count):
        if min(layer.output_shape) < 1:
            before = layers[-1].output_shape
            raise ImpossibleArchitectureError(
                f"At layer {layer.name} nothing is left of the picture: "
                f"what reaches it is {before[0]} × {before[1]} pixels.",
                hint=_remedy(architecture),
                layer=layer.name,
                layers=tuple(layers),
            )
        layers.append(layer)
    return tuple(layers)


def _backbone_layers(architecture: BackboneArchitecture, image: ImageSettings) -> tuple[PlannedLayer, ...]:
    backbone = find_backbone(architecture.name)
    shape = (image.height, image.width, 3)
    layers = [PlannedLayer(LayerKind.INPUT, "image", shape)]
    if image.colour is Colour.GREY:
        # The backbone knows three channels: the grey picture is repeated.
        layers.append(PlannedLayer(LayerKind.GREY, "grey", shape))
    layers.append(PlannedLayer(LayerKind.PREPROCESSING, "preprocessing", shape))
    if min(image.height, image.width) < backbone.smallest_size:
        raise ImpossibleArchitectureError(
            f"{backbone.title} takes images of at least {backbone.smallest_size} × {backbone.smallest_size} pixels; "
            f"the image size is {image.height} × {image.width}.",
            hint=f"Use an image size of {backbone.smallest_size} or more ({backbone.usual_size} is usual), or another "
            "architecture.",
            layer=backbone.name,
            layers=tuple(layers),
            field="image",
        )
    depth = architecture.trained_depth
    layers.append(
        PlannedLayer(
            LayerKind.BACKBONE,
            backbone.name,
            backbone.output_shape(image.height, image.width),
            backbone.parameters,
            backbone.trainable_from(depth) if depth else 0,
        )
    )
    return tuple(layers)


def head_layers(architecture: BackboneArchitecture, image: ImageSettings, class_count: int) -> tuple[PlannedLayer, ...]:
    """The layers that follow the backbone, from its features to the probabilities."""
    shape: tuple[int, ...] = find_backbone(architecture.name).output_shape(image.height, image.width)
    if architecture.features is Features.GLOBAL_AVERAGE:
        shape = shape[-1:]
        layers = [PlannedLayer(LayerKind.GLOBAL_AVERAGE_POOLING, "global_average_pooling", shape)]
    else:
        shape = (prod(shape),)
        layers = [PlannedLayer(LayerKind.FLATTEN, "flatten", shape)]
    if architecture.dropout:
        layers.append(PlannedLayer(LayerKind.DROPOUT, "dropout", shape, rate=architecture.dropout))
    count = len(architecture.dense)
    for number, units in enumerate(architecture.dense, start=1):
        layers.append(_dense(f"dense{number}", shape[0], units, "relu"))
        shape = (units,)
        if architecture.dense_dropout and (number < count or count == 1):
            name = f"dense{number}_dropout"
            layers.append(PlannedLayer(LayerKind.DROPOUT, name, shape, rate=architecture.dense_dropout))
    layers.append(_dense("probabilities", shape[0], class_count, "softmax"))
    return tuple(layers)


def _remedy(architecture: ScratchArchitecture) -> str:
    remedies = ["a larger image size", "fewer blocks"]
    if Padding.VALID in architecture.padding:
        remedies.append("padding “same”")
    if architecture.pooling is not Pooling.NONE and max(architecture.pool_size) > 2:
        remedies.append("a smaller pool size")
    if architecture.stride > 1:
        remedies.append("a smaller stride")
    return f"Use {', '.join(remedies[:-1])} or {remedies[-1]}."


def _layers(architecture: ScratchArchitecture, image: ImageSettings, class_count: int) -> Iterator[PlannedLayer]:
    shape: tuple[int, ...] = (image.height, image.width, 3)
    yield PlannedLayer(LayerKind.INPUT, "image", shape)
    if image.colour is Colour.GREY:
        shape = (*shape[:2], 1)
        yield PlannedLayer(LayerKind.GREY, "grey", shape)
    yield PlannedLayer(LayerKind.RESCALING, "rescaling", shape)
    for number in range(len(architecture.blocks)):
        for layer in _block(architecture, number, shape):
            yield layer
            shape = layer.output_shape
    if architecture.dropout:
        yield PlannedLayer(LayerKind.DROPOUT, "dropout", shape, rate=architecture.dropout)
    if architecture.features is Features.GLOBAL_AVERAGE:
        shape = shape[-1:]
        yield PlannedLayer(LayerKind.GLOBAL_AVERAGE_POOLING, "global_average_pooling", shape)
    else:
        shape = (prod(shape),)
        yield PlannedLayer(LayerKind.FLATTEN, "flatten", shape)
    for number, units in enumerate(architecture.dense, start=1):
        yield _dense(f"dense{number}", shape[0], units, architecture.activation, architecture.initializer)
        shape = (units,)
        if architecture.dense_dropout:
            yield PlannedLayer(LayerKind.DROPOUT, f"dense{number}_dropout", shape, rate=architecture.dense_dropout)
    yield _dense("probabilities", shape[0], class_count, "softmax")


def _block(architecture: ScratchArchitecture, number: int, shape: tuple[int, ...]) -> Iterator[PlannedLayer]:
    """The layers of the block of that number, counted from 0."""
    height, width, channels = shape
    block, filters = f"block{number + 1}", architecture.blocks[number]
    before = sum(map(len, architecture.blocks[:number]))
    normalized = architecture.batch_normalization
    for place, count in enumerate(filters):
        name = f"{block}_conv{place + 1}"
        kernel = _one_of(architecture.kernel, before + place)
        padding = _one_of(architecture.padding, before + place)
        stride = architecture.stride if place == len(filters) - 1 else 1
        height, width = (_windows(side, kernel, stride, padding) for side in (height, width))
        # BatchNormalization has an offset of its own: a bias before it would be cancelled.
        parameters = kernel**2 * channels * count + (0 if normalized else count)
        channels = count
        yield PlannedLayer(
            LayerKind.CONVOLUTION,
            name,
            (height, width, channels),
            parameters,
            parameters,
            units=count,
            kernel=kernel,
            stride=stride,
            padding=padding,
            activation="" if normalized else architecture.activation.value,
            use_bias=not normalized,
            initializer=architecture.initializer,
        )
        if normalized:
            yield PlannedLayer(
                LayerKind.BATCH_NORMALIZATION, f"{name}_norm", (height, width, channels), 4 * channels, 2 * channels
            )
            yield PlannedLayer(
                LayerKind.ACTIVATION,
                f"{name}_activation",
                (height, width, channels),
                activation=architecture.activation.value,
            )
    size = _one_of(architecture.pool_size, number)
    if architecture.pooling is not Pooling.NONE and size > 1:
        kind = LayerKind.MAX_POOLING if architecture.pooling is Pooling.MAX else LayerKind.AVERAGE_POOLING
        pooled = (height // size, width // size, channels)
        yield PlannedLayer(kind, f"{block}_pool", pooled, kernel=size, stride=size)


def _one_of(values: Sequence[_Value], place: int) -> _Value:
    """The value for the convolution or block at that place; the last goes for all that follow."""
    return values[min(place, len(values) - 1)]


def _windows(pixels: int, kernel: int, stride: int, padding: Padding) -> int:
    """How many windows fit along one side: Keras's convolution arithmetic."""
    usable = pixels if padding is Padding.SAME else pixels - kernel + 1
    return -(-usable // stride)


def _dense(
    name: str, inputs: int, units: int, activation: str, initializer: Initializer = Initializer.GLOROT_UNIFORM
) -> PlannedLayer:
    parameters = inputs * units + units
    return PlannedLayer(
        LayerKind.DENSE,
        name,
        (units,),
        parameters,
        parameters,
        units=units,
        activation=str(activation),
        initializer=initializer,
    )
