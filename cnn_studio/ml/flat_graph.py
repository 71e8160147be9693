"""Networks within networks, laid out in one graph over the same layers.

A backbone is often one layer of the network around it (``Sequential([…, ResNet50(…), …])``), and what opens a file
made elsewhere may wrap the whole once more. In one graph every feature map can be reached.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import keras


@dataclass(frozen=True, slots=True)
class GraphNode:
    """One operation as it is used in the graph; ``parents`` are positions in the list of nodes."""

    operation: Any
    output: Any
    parents: tuple[int, ...]


def flattened(model: keras.Model, shape: Sequence[int | None] | None = None) -> keras.Model:
    """The network with every functional or sequential network in it laid out; layers and weights are shared with it.

    Layers that run other layers by code of their own (such as ``TimeDistributed``) stay one layer.

    Args:
        model: functional or sequential, with one input and one output.
        shape: of its input, without the batch; None for the one it was made with.
    """
    source = model.inputs[0]
    image = keras.Input(shape or source.shape[1:], dtype=source.dtype, name="image")
    return keras.Model(image, _called(model, image), name=f"{model.name}_flat")


def _called(operation: Any, *inputs: Any, **more: Any) -> Any:
    """What an operation gives for symbolic inputs, laid out where it is a network of one input."""
    if len(inputs) != 1 or isinstance(inputs[0], list | tuple):
        return operation(*inputs, **more)
    (tensor,) = inputs
    if isinstance(operation, keras.Sequential):
        for layer in operation.layers:
            tensor = _called(layer, tensor)
        return tensor
    if isinstance(operation, keras.Model) and len(getattr(operation, "inputs", None) or ()) == 1:
        # Keras has no public way to run a graph with another way of calling its layers: clone_model, which takes one,
        # gives its copy inputs of its own.
        outputs = operation._run_through_graph([tensor], operation_fn=lambda inner: inner, call_fn=_called)
        return outputs[0] if isinstance(outputs, list | tuple) else outputs
    return operation(tensor, **more)


def graph_nodes(model: keras.Model) -> list[GraphNode]:
    """The operations between a network's input and output, each after those it needs: the input first, the output last.

    Args:
        model: with one input and one output.
    """
    nodes: list[GraphNode] = []
    place_of: dict[tuple[int, int], int] = {}
    stack = [model.outputs[0]]
    while stack:
        tensor = stack[-1]
        # Keras has no public way through its graph; its own Functional goes this one.
        history = tensor._keras_history
        key = (id(history.operation), history.node_index)
        if key in place_of:
            stack.pop()
            continue
        needed = history.operation._inbound_nodes[history.node_index].input_tensors
        keys = [(id(parent._keras_history.operation), parent._keras_history.node_index) for parent in needed]
        waiting = [parent for parent, parent_key in zip(needed, keys, strict=True) if parent_key not in place_of]
        if waiting:
            stack += waiting
            continue
        stack.pop()
        place_of[key] = len(nodes)
        nodes.append(GraphNode(history.operation, tensor, tuple(place_of[parent_key] for parent_key in keys)))
    return nodes
