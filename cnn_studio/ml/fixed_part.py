"""The part of a network that cannot change while the rest is trained, found in the graph itself.

An operation is fixed when nothing in it or before it is trainable or random. The graph is cut behind the last fixed
operation through which everything passes; what lies below that cut gives the same output for an image in every epoch.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Any

import keras

from cnn_studio.ml import runtime
from cnn_studio.ml.flat_graph import graph_nodes

_NOT_IN_THE_OUTPUT = ("initializer", "regularizer", "constraint", "name", "trainable", "seed")


@dataclass(frozen=True, slots=True)
class SplitModel:
    """A network in two parts over the same layers: ``upper(lower(x))`` is the network.

    Attributes:
        lower: the fixed part, from the network's input to the cut; to be run in inference mode.
        upper: the rest, from the cut to the network's output.
        cut: name of the last fixed operation.
    """

    lower: keras.Model
    upper: keras.Model
    cut: str


def split_fixed_part(model: keras.Model) -> SplitModel | None:
    """Cut a network behind the last place below which nothing can change.

    Args:
        model: functional and flat, with one input and one output; its layers' ``trainable`` says what can change.
            A BatchNormalization or Dropout that is not trainable runs in inference mode, so it is fixed.

    Returns:
        The two parts; None when the fixed part holds no weights, so that there is nothing to be saved.
    """
    nodes = graph_nodes(model)
    fixed: list[bool] = []
    for node in nodes:
        fixed.append(all(fixed[parent] for parent in node.parents) and not _can_change(node.operation))
    # Fixed ones first, which is still an order of computation: what a fixed operation needs is fixed.
    order = [i for i, is_fixed in enumerate(fixed) if is_fixed] + [
        i for i, is_fixed in enumerate(fixed) if not is_fixed
    ]
    last_use = {parent: place for place, i in enumerate(order) for parent in nodes[i].parents}
    open_until = 0  # the place of the last operation that still needs an output from before
    cut: int | None = None
    for place, i in enumerate(order[: sum(fixed)]):
        if open_until <= place and i in last_use:
            cut = place
        open_until = max(open_until, last_use.get(i, place))
    if cut is None or not any(getattr(nodes[i].operation, "weights", None) for i in order[: cut + 1]):
        return None
    node = nodes[order[cut]]
    lower = keras.Model(model.inputs[0], node.output, name=f"{model.name}_fixed")
    upper = keras.Model(node.output, model.outputs[0], name=f"{model.name}_trained")
    for part in (lower, upper):
        part.jit_compile = runtime.acceleration().jit_compile
    return SplitModel(lower, upper, node.operation.name)


def fingerprint(model: keras.Model) -> str:
    """Names what a network computes: the same text for the same operations, wiring and weights, whatever their names.

    How weights were made first, what is trained and how it is called does not count.
    """
    digest = hashlib.blake2b(digest_size=16)
    for node in graph_nodes(model):
        config = node.operation.get_config()
        kept = {key: value for key, value in config.items() if not key.endswith(_NOT_IN_THE_OUTPUT)}
        description = [type(node.operation).__name__, kept, node.parents, list(node.output.shape)]
        digest.update(json.dumps(description, sort_keys=True, default=_plain).encode())
        for weight in getattr(node.operation, "weights", ()):
            digest.update(keras.ops.convert_to_numpy(weight).tobytes())
    return digest.hexdigest()


def _plain(value: Any) -> str:
    """A description that holds no address in memory, so that it is the same in the next process."""
    return str(getattr(value, "__name__", type(value).__name__))


def _can_change(operation: Any) -> bool:
    """Whether an operation's output for the same input may differ from one training step to another."""
    if not isinstance(operation, keras.Layer) or not operation.trainable:
        return False
    return bool(operation.trainable_weights) or _is_random(operation) or _keeps_statistics(operation)


def _is_random(layer: keras.Layer) -> bool:
    """Dropout, noise and augmentation layers own a generator of random numbers."""
    return bool(getattr(layer, "_seed_generators", None)) or getattr(layer, "seed_generator", None) is not None


def _keeps_statistics(layer: keras.Layer) -> bool:
    return isinstance(layer, keras.layers.BatchNormalization)


class FixedPart(keras.layers.Layer):  # type: ignore[misc]
    """Runs a network in inference mode, whatever the mode of the network around it.

    For training where the fixed part's output is not kept. It goes into no model file.
    """

    def __init__(self, network: keras.Model) -> None:
        super().__init__(trainable=False, name="fixed_part")
        self.network = network

    def call(self, inputs: Any) -> Any:
        """The network's output in inference mode, through which no gradient goes."""
        return keras.ops.stop_gradient(self.network(inputs, training=False))


def joined(split: SplitModel) -> keras.Model:
    """The whole network for training: the lower part in inference mode, then the upper part."""
    image = keras.Input(split.lower.inputs[0].shape[1:], dtype=split.lower.inputs[0].dtype)
    model = keras.Model(image, split.upper(FixedPart(split.lower)(image)), name=split.upper.name)
    model.jit_compile = split.upper.jit_compile
    return model
