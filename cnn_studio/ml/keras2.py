"""Files of Keras 2 (TensorFlow up to 2.15) and HDF5 files: their descriptions in Keras 3's words, and their weights.

Keras 3 opens few of them by itself: a class has moved, or an argument is not known any more. What is translated is only
a description; it is inspected afterwards like any other. Nothing of Keras is imported until weights are loaded.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import keras

TENSORFLOWS_OWN = frozenset({"TFOpLambda", "SlicingOpLambda", "TensorFlowOpLayer", "ClassMethod", "InstanceMethod"})
"""What Keras 2 made of arithmetic between layers; Keras 3 has nothing of the kind."""

_GRAPHS = {
    "Sequential": ("Sequential", "keras"),
    "Functional": ("Functional", "keras.src.models.functional"),
    "Model": ("Functional", "keras.src.models.functional"),
}
"""What networks are called in Keras 3, and where they are."""

_ONLY_FOR_TRAINING = ("_initializer", "_regularizer", "_constraint")
_GONE = ("batch_input_shape", "ragged", "build_input_shape", "input_dtype", "rng_type")


def kinds_of_layers(value: Any) -> Iterator[str]:
    """The class name of every layer in a description of any depth."""
    if isinstance(value, list):
        for part in value:
            yield from kinds_of_layers(part)
    elif isinstance(value, dict):
        if isinstance(value.get("class_name"), str):
            yield value["class_name"]
        for part in value.values():
            yield from kinds_of_layers(part)


def as_keras_3_writes(described: dict[str, Any]) -> dict[str, Any]:
    """The description of a network, or of a layer, as Keras 3 would write it.

    What is of no use but in training (initial values, regularizers, constraints) is left out.

    Args:
        described: as Keras 2 wrote it, or Keras 3 into an HDF5 file. It may be anything: what makes no sense raises one
            of the usual exceptions.
    """
    kind, inner = described["class_name"], described["config"]
    if kind == "Sequential" and isinstance(inner, list):  # before 2.1
        inner = {"layers": inner}
    config = {
        name: value for name, value in inner.items() if name not in _GONE and not name.endswith(_ONLY_FOR_TRAINING)
    }
    if isinstance(config.get("dtype"), dict):  # a policy, which has another module in Keras 2
        config["dtype"] = config["dtype"]["config"]["name"]
    module = described.get("module") or "keras.layers"
    if kind in _GRAPHS:
        kind, module = _GRAPHS[kind]
        config["layers"] = [as_keras_3_writes(layer) for layer in inner["layers"]]
        config.pop("dtype", None)
        if kind == "Sequential":
            _give_input(inner, config)
        else:
            _number_calls_anew(config)
    elif kind == "InputLayer":
        config.setdefault("batch_shape", inner.get("batch_input_shape"))
    elif "Conv" in kind and config.get("groups") == 1:  # not all of them know it any more
        del config["groups"]
    elif isinstance(config.get("axis"), list) and len(config["axis"]) == 1:
        (config["axis"],) = config["axis"]
    elif isinstance(config.get("layer"), dict):  # TimeDistributed and the like
        config["layer"] = as_keras_3_writes(config["layer"])
    kept: dict[str, Any] = {name: described[name] for name in ("name", "inbound_nodes") if name in described}
    return {"module": module, "class_name": kind, "config": config, "registered_name": None, **kept}


def _give_input(inner: dict[str, Any], config: dict[str, Any]) -> None:
    """Where a sequential network says the shape of its input only in passing, put the layer that says it in front."""
    if config["layers"][0]["class_name"] != "InputLayer" and (shape := _input_shape({"config": inner})):
        layer = {"batch_shape": shape, "dtype": "float32", "name": f"{config['layers'][0]['config']['name']}_input"}
        config["layers"].insert(
            0, {"module": "keras.layers", "class_name": "InputLayer", "config": layer, "registered_name": None}
        )


def _input_shape(described: dict[str, Any]) -> Any:
    inner = described["config"]
    stated = inner.get("batch_input_shape") or inner.get("batch_shape") or inner.get("build_input_shape")
    return stated or (_input_shape(inner["layers"][0]) if inner.get("layers") else None)


def _number_calls_anew(config: dict[str, Any]) -> None:
    """Count the uses of each layer from 0: Keras 2 counts those outside the graph too.

    A network within the network had one such use, when it was made; Keras 3 expects that of a functional one only.
    """
    if any(isinstance(node, dict) for layer in config["layers"] for node in layer["inbound_nodes"]):
        return  # Keras 3 wrote it
    graphs = {layer["name"] for layer in config["layers"] if layer["class_name"] == "Functional"}
    ends = [config["input_layers"], config["output_layers"]]
    references = list(_references([*ends, *(layer["inbound_nodes"] for layer in config["layers"])]))
    first: dict[str, int] = {}
    for name, use, *_ in references:
        first[name] = min(use, first.get(name, use))
    for reference in references:
        reference[1] += (reference[0] in graphs) - first[reference[0]]
    for end in ("input_layers", "output_layers"):  # in Keras 3 a list of one is no tensor
        if len(config[end]) == 1 and isinstance(config[end][0], list):
            (config[end],) = config[end]


def _references(value: Any) -> Iterator[list[Any]]:
    """Every [layer, use, output, …] in nested lists."""
    if isinstance(value, list):
        if len(value) >= 3 and isinstance(value[0], str) and type(value[1]) is int:
            yield value
        for part in value:
            yield from _references(part)
    elif isinstance(value, dict) and value.get("class_name") != "__keras_tensor__":
        for part in value.values():
            yield from _references(part)


def load_hdf5_weights(model: keras.Model, file: Path) -> None:
    """Give a network the weights of an HDF5 file that holds a whole model; layers are found by their names.

    Args:
        model: as the file describes it.
        file: looked through before.

    Raises:
        ValueError: the file has other weights than the network.
    """
    import h5py  # type: ignore[import-untyped]

    with h5py.File(file, "r") as root:
        stored = root["model_weights"]
        layers = {layer.name: layer for layer in model.layers}
        missing = {name for name, layer in layers.items() if layer.weights}
        for name in _names(stored, "layer_names"):
            group = stored[name]
            values = [(path, group[path][()]) for path in _names(group, "weight_names")]
            if values:
                missing.discard(name)
                _give_weights(layers[name], values)
        if missing:
            raise ValueError(f"it holds no weights for {', '.join(sorted(missing))}")


def _names(group: Any, attribute: str) -> list[str]:
    """A list of names, which Keras divides where it is long."""
    values = [group.attrs[attribute]] if attribute in group.attrs else []
    while (part := f"{attribute}{len(values)}") in group.attrs:
        values.append(group.attrs[part])
    return [name.decode() if isinstance(name, bytes) else str(name) for part in values for name in part]


def _give_weights(layer: Any, values: list[tuple[str, Any]]) -> None:
    """Weights come as (path, array): those of each layer together and in its order, trained ones first."""
    stored: dict[str, list[Any]] = {}
    for path, array in values:
        stored.setdefault(path.rpartition("/")[0].rpartition("/")[2], []).append(array)
    plain = list(_plain_layers(layer))
    if len(plain) == 1:
        stored = {plain[0].name: [array for _, array in values]}
    for each in plain:
        wanted = [*each.trainable_weights, *each.non_trainable_weights]
        arrays = stored.pop(each.name, [])
        if type(each).__name__ == "Normalization":  # Keras 2 counts its pictures too
            arrays = arrays[: len(wanted)]
        if [tuple(variable.shape) for variable in wanted] != [array.shape for array in arrays]:
            raise ValueError(f"the weights of {each.name} are not those that it describes")
        for variable, array in zip(wanted, arrays, strict=True):
            variable.assign(array)
        if hasattr(each, "finalize_state"):
            each.finalize_state()
    if stored:
        raise ValueError(f"it holds weights for {', '.join(sorted(stored))}, which it does not describe")


def _plain_layers(layer: Any) -> Iterator[Any]:
    """The layers with weights in a network, and in the networks inside it; of a layer itself."""
    inner = getattr(layer, "layers", None)
    if inner is None:
        if layer.weights:
            yield layer
        return
    for part in inner:
        yield from _plain_layers(part)
