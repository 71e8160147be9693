"""Where a network looks: Grad-CAM.

Selvaraju, Cogswell, Das, Vedantam, Parikh and Batra, "Grad-CAM: Visual Explanations from Deep Networks via
Gradient-based Localization" (ICCV 2017): each feature map of the last convolution is weighed by the mean gradient of
the class's score, before the softmax, with respect to it; what remains above zero of their sum is the heat map.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from cnn_studio.core.errors import ModelFileError
from cnn_studio.ml.flat_graph import GraphNode, flattened, graph_nodes

_Score = Callable[[Any, int], Any]

_ONLY_COARSER = (
    keras.layers.MaxPooling2D,
    keras.layers.AveragePooling2D,
    keras.layers.Dropout,
    keras.layers.SpatialDropout2D,
    keras.layers.ZeroPadding2D,
)
"""Layers after the last convolution that add nothing to its maps: the finer maps before them say more."""


@dataclass(frozen=True, slots=True)
class HeatMap:
    """What ``GradCam`` gives for one image.

    Attributes:
        probabilities: float32 (classes,).
        label: the class that was asked about.
        heat: float32 (rows, columns) 0–1 at the size of the feature maps; all 0 where nothing speaks for the class.
    """

    probabilities: NDArray[np.float32]
    label: int
    heat: NDArray[np.float32]


class GradCam:
    """Makes heat maps of one network. Finding the place in the network takes a moment; do it once.

    Attributes:
        layer: name of the layer whose feature maps are weighed: the last through which everything passes that has a
            height and a width, in nested networks too.
        map_size: (rows, columns) of these maps.
    """

    def __init__(self, model: keras.Model) -> None:
        """Find the feature maps.

        Args:
            model: as ``load_model`` gives it: one image in, probabilities (batch, classes) out.

        Raises:
            ModelFileError: the network has no feature maps.
        """
        flat = flattened(model)
        nodes = graph_nodes(flat)
        place = _feature_maps(nodes)
        if place is None:
            raise ModelFileError(
                "This network looks at all pixels at once and makes no feature maps, so there is no telling where it "
                "looks.",
                hint="Use a convolutional network.",
            )
        maps = nodes[place].output
        self.layer = str(nodes[place].operation.name)
        self.map_size = (int(maps.shape[1]), int(maps.shape[2]))
        tensor, self._score = _class_score(nodes, place)
        self._lower = keras.Model(flat.inputs[0], maps)
        self._upper = keras.Model(maps, [tensor, flat.outputs[0]])

    def explain(self, image: NDArray[np.uint8], label: int | None = None) -> HeatMap:
        """The heat map of one image.

        Args:
            image: uint8 RGB (height, width, 3) 0–255, at the network's size.
            label: the class to ask about; None asks about the most likely one.
        """
        # Only what lies above the maps needs a gradient.
        maps = self._lower(keras.ops.convert_to_tensor(image[np.newaxis], dtype="float32"), training=False)

        asked = int(keras.ops.argmax(self._upper(maps, training=False)[1][0])) if label is None else label

        def score(given: Any) -> tuple[Any, Any]:
            before, probabilities = self._upper(given, training=False)
            return self._score(before, asked), probabilities

        gradient, probabilities = _gradient(score, maps)
        features = keras.ops.convert_to_numpy(maps)[0].astype(np.float32)
        weights = gradient[0].astype(np.float32).mean(axis=(0, 1))
        heat = np.maximum(features @ weights, 0.0)
        peak = float(heat.max())
        # A map that is flat but for rounding says nothing.
        heat = heat / peak if peak > np.finfo(np.float32).tiny else np.zeros_like(heat)
        return HeatMap(keras.ops.convert_to_numpy(probabilities)[0].astype(np.float32), asked, heat)


def _gradient(function: Callable[[Any], tuple[Any, Any]], maps: Any) -> tuple[NDArray[np.floating], Any]:
    """The gradient of a function's first result with respect to ``maps``, and its second result."""
    backend = keras.backend.backend()
    if backend == "tensorflow":
        import tensorflow as tf

        with tf.GradientTape() as tape:
            tape.watch(maps)
            value, other = function(maps)
        return keras.ops.convert_to_numpy(tape.gradient(value, maps)), other
    if backend == "torch":
        import torch  # type: ignore[import-not-found]

        with torch.enable_grad():
            leaf = maps.detach().requires_grad_(True)
            value, other = function(leaf)
            (gradient,) = torch.autograd.grad(value, leaf)
        return keras.ops.convert_to_numpy(gradient), other.detach()
    if backend == "jax":
        import jax  # type: ignore[import-not-found]

        gradient, other = jax.grad(function, has_aux=True)(maps)
        return keras.ops.convert_to_numpy(gradient), other
    raise ModelFileError(
        f"Where a network looks cannot be found out with Keras's backend {backend!r}: it has no gradients.",
        hint="Set KERAS_BACKEND to tensorflow, jax or torch.",
    )


def _feature_maps(nodes: list[GraphNode]) -> int | None:
    """The place of the last feature maps through which everything passes, or None."""
    last_use: dict[int, int] = {}
    for place, node in enumerate(nodes):
        for parent in node.parents:
            last_use[parent] = place
    found = None
    open_until = 0  # the place of the last operation that still needs an output from before
    convolved = False
    for place, node in enumerate(nodes):
        convolved = convolved or _convolves(node.operation)
        if convolved and open_until <= place and _is_map(node.output) and not isinstance(node.operation, _ONLY_COARSER):
            found = place
        open_until = max(open_until, last_use.get(place, place))
    return found


def _convolves(operation: Any) -> bool:
    """Whether it looks at neighbourhoods: its kernel has a height, a width, and channels in and out."""
    return any(len(weight.shape) == 4 for weight in getattr(operation, "weights", ()))


def _is_map(tensor: Any) -> bool:
    shape = tensor.shape
    return len(shape) == 4 and None not in shape[1:3] and shape[1] * shape[2] > 1


def _class_score(nodes: list[GraphNode], lowest: int) -> tuple[Any, _Score]:
    """Where a class's score can be taken from: a tensor of the graph, and from its value and a label to the score.

    Before the softmax, since behind it a sure network's gradients vanish. Where what makes the probabilities is not
    known, it is their logarithm.
    """
    classes = int(nodes[-1].output.shape[-1])
    for place in range(_behind_temperature(nodes), lowest, -1):
        operation, width = nodes[place].operation, nodes[place].output.shape[-1]
        squashing = _squashing(operation)
        if squashing and width in {classes, 1}:
            before = nodes[nodes[place].parents[0]].output
            if isinstance(operation, keras.layers.Dense):
                return before, _linear_score(operation, width == 1)
            if not getattr(operation, "weights", None):
                return before, _plain_score(width == 1)
        if squashing or getattr(operation, "weights", None):
            break
    return nodes[-1].output, lambda value, label: keras.ops.log(keras.ops.maximum(value[0, label], 1e-30))


def _behind_temperature(nodes: list[GraphNode]) -> int:
    """The place of the probabilities that a temperature was put on, see ``ml.calibrate``; the last one if none was."""
    place = len(nodes) - 1
    for kind in ("softmax", "divide", "log", "maximum"):
        if kind not in type(nodes[place].operation).__name__.lower() or not nodes[place].parents:
            return len(nodes) - 1
        place = nodes[place].parents[0]
    return place


def _plain_score(one_output: bool) -> _Score:
    # One sigmoid is the probability of the second class: what speaks for the first speaks against it.
    return lambda value, label: value[0, 0] * (1.0 if label else -1.0) if one_output else value[0, label]


def _linear_score(layer: keras.layers.Dense, one_output: bool) -> _Score:
    """The score from what a dense layer takes: its output without the activation it ends in."""
    plain = _plain_score(one_output)

    def score(value: Any, label: int) -> Any:
        logits = keras.ops.matmul(value, layer.kernel)
        return plain(logits if layer.bias is None else logits + layer.bias, label)

    return score


def _squashing(operation: Any) -> str:
    """The function an operation ends in: "softmax", "sigmoid", or "" for anything else."""
    activation = getattr(operation, "activation", None)
    name = str(getattr(activation, "__name__", type(operation).__name__)).lower()
    return name if name in {"softmax", "sigmoid"} else ""
