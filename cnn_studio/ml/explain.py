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

_Score = Callable[[Any, Any], Any]
"""From the value of a tensor, and what is asked for as (classes,) with a 1 at one of them, to a class's score."""

_COMPILED_UP_TO = 60
"""Operations. A small network's time goes into starting each; compiling a large one takes seconds and gains little."""

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
        tensor, score = _class_score(nodes, place)
        lower = keras.Model(flat.inputs[0], maps)
        upper = keras.Model(maps, [tensor, flat.outputs[0]])

        def look(image: Any) -> tuple[Any, Any]:
            found = lower(image, training=False)
            return found, upper(found, training=False)[1]

        def score_of(found: Any, asked: Any) -> Any:
            return score(upper(found, training=False)[0], asked)

        compiled = len(nodes) <= _COMPILED_UP_TO
        self._look = _compiled(look) if compiled else look
        # Only what lies above the maps needs a gradient.
        self._weigh = _gradient_of(score_of, compiled)

    def explain(self, image: NDArray[np.uint8], label: int | None = None) -> HeatMap:
        """The heat map of one image.

        Args:
            image: uint8 RGB (height, width, 3) 0–255, at the network's size.
            label: the class to ask about; None asks about the most likely one.
        """
        maps, given = self._look(keras.ops.convert_to_tensor(image[np.newaxis], dtype="float32"))
        probabilities = keras.ops.convert_to_numpy(given)[0].astype(np.float32)
        if label is None:
            label = int(probabilities.argmax())
        asked = np.zeros(len(probabilities), np.float32)
        asked[label] = 1.0
        gradient = keras.ops.convert_to_numpy(self._weigh(maps, keras.ops.convert_to_tensor(asked)))[0]
        weights = gradient.astype(np.float32).mean(axis=(0, 1))
        heat = np.maximum(keras.ops.convert_to_numpy(maps)[0].astype(np.float32) @ weights, 0.0)
        peak = float(heat.max())
        heat = heat / peak if peak > np.finfo(np.float32).tiny else np.zeros_like(heat)
        return HeatMap(probabilities, label, heat)


def _compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function as a graph, where the backend makes graphs."""
    if keras.backend.backend() != "tensorflow":
        return function
    import tensorflow as tf

    return tf.function(function)  # type: ignore[no-any-return]


def _gradient_of(function: Callable[[Any, Any], Any], compiled: bool) -> Callable[[Any, Any], Any]:
    """From ``function(maps, asked)``, a number, to its gradient with respect to ``maps``."""
    backend = keras.backend.backend()
    if backend == "tensorflow":
        import tensorflow as tf

        def with_tape(maps: Any, asked: Any) -> Any:
            with tf.GradientTape() as tape:
                tape.watch(maps)
                value = function(maps, asked)
            return tape.gradient(value, maps)

        return _compiled(with_tape) if compiled else with_tape
    if backend == "torch":
        import torch  # type: ignore[import-not-found]

        def with_autograd(maps: Any, asked: Any) -> Any:
            with torch.enable_grad():
                leaf = maps.detach().requires_grad_(True)
                return torch.autograd.grad(function(leaf, asked), leaf)[0]

        return with_autograd
    if backend == "jax":
        import jax  # type: ignore[import-not-found]

        return jax.grad(function)  # type: ignore[no-any-return]
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
    """Where a class's score can be taken from: a tensor of the graph, and from its value to the score.

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
    return nodes[-1].output, lambda value, asked: keras.ops.log(
        keras.ops.maximum(keras.ops.sum(value[0] * asked), 1e-30)
    )


def _behind_temperature(nodes: list[GraphNode]) -> int:
    """The place of the probabilities that a temperature was put on, see ``ml.calibrate``; the last one if none was."""
    place = len(nodes) - 1
    for kind in ("softmax", "divide", "log", "maximum"):
        if kind not in type(nodes[place].operation).__name__.lower() or not nodes[place].parents:
            return len(nodes) - 1
        place = nodes[place].parents[0]
    return place


def _plain_score(one_output: bool) -> _Score:
    if one_output:
        # One sigmoid is the probability of the second class: what speaks for the first speaks against it.
        return lambda value, asked: value[0, 0] * (asked[1] - asked[0])
    return lambda value, asked: keras.ops.sum(value[0] * asked)


def _linear_score(layer: keras.layers.Dense, one_output: bool) -> _Score:
    """The score from what a dense layer takes: its output without the activation it ends in."""
    plain = _plain_score(one_output)

    def score(value: Any, asked: Any) -> Any:
        logits = keras.ops.matmul(value, layer.kernel)
        return plain(logits if layer.bias is None else logits + layer.bias, asked)

    return score


def _squashing(operation: Any) -> str:
    """The function an operation ends in: "softmax", "sigmoid", or "" for anything else."""
    activation = getattr(operation, "activation", None)
    name = str(getattr(activation, "__name__", type(operation).__name__)).lower()
    return name if name in {"softmax", "sigmoid"} else ""
