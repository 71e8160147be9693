"""Make the network that a file describes: declared first, measured, and given memory only when it fits.

A description of a few lines can ask for layers of any size. Keras would fill them with random numbers before it finds
that the file holds no such weights. Inside a ``StatelessScope`` its variables have a shape and nothing else.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import prod
from pathlib import Path
from typing import Any

import keras

# Neither is public: the first keeps what was declared, the second is what Keras's own load_model shares layers with.
from keras.src.backend.common import global_state
from keras.src.saving.serialization_lib import ObjectSharingScope

from cnn_studio.core.errors import ModelFileError
from cnn_studio.core.system.memory import available_memory
from cnn_studio.core.text import printable
from cnn_studio.ml.adapt import no_classifier
from cnn_studio.ml.flat_graph import flattened, graph_nodes
from cnn_studio.ml.keras2 import load_hdf5_weights
from cnn_studio.ml.memory import gigabytes
from cnn_studio.ml.model_inspection import InspectedFile

_SMALL = 64 * 2**20  # bytes; a network below that is not asked where its weights are
_STORED_SHORTER = 4  # weights may be kept in fewer bits than they are used with


def open_network(path: Path, inspected: InspectedFile, weights: Path, size: tuple[int, int]) -> keras.Model:
    """The network of an inspected file, with its weights, uncompiled.

    Args:
        path: the file, for errors.
        inspected: what it says.
        weights: its weights, unpacked; the name ends in ``.weights.h5``.
        size: height and width of the images it will be given, in pixels.

    Raises:
        ModelFileError: Keras cannot open it, or it would not fit into memory.
    """
    description = {**inspected.config, "compile_config": None}
    try:
        with keras.StatelessScope(initialize_variables=False), ObjectSharingScope():
            model = keras.saving.deserialize_keras_object(description, safe_mode=True)
            largest = _largest_output(path, model, size)
        _check_memory(path, model, largest, inspected.stored)
        with keras.StatelessScope():  # when it ends, what was declared is made
            pass
        if inspected.is_hdf5:
            load_hdf5_weights(model, weights)
        else:
            model.load_weights(weights)
    except (ModelFileError, MemoryError, OSError):
        raise
    except Exception as error:  # a description can bring about anything
        raise _cannot_open(path, error) from error
    finally:
        # What was declared and not made would be made when Keras leaves its next scope.
        global_state.set_global_attribute("uninitialized_variables", [])
    return model


def _check_memory(path: Path, model: keras.Model, largest: int, stored: int) -> None:
    needed = sum(int(prod(variable.shape)) * _item_bytes(variable.dtype) for variable in model.variables)
    if needed > max(_SMALL, _STORED_SHORTER * stored):
        raise ModelFileError(
            f"{path.name} describes a network of {gigabytes(needed)} and holds weights of {gigabytes(stored)}, so it "
            "was not opened.",
            hint="It is damaged, or made to take all memory: get it again from where it came from.",
            path=path,
        )
    free = available_memory()
    if needed + largest > free:
        raise ModelFileError(
            f"{path.name} describes a network that takes {gigabytes(needed + largest)} of memory for one picture, and "
            f"{gigabytes(free)} are free, so it was not opened.",
            hint="Close other programs, or open a smaller network.",
            path=path,
        )


def _largest_output(path: Path, model: keras.Model, size: tuple[int, int]) -> int:
    """Bytes that the largest output of a layer takes for one image; a lower bound of what running it takes."""
    if not getattr(model, "inputs", None):
        raise no_classifier(path)
    shape = tuple(model.inputs[0].shape)
    if None in shape[1:]:
        model = flattened(model, (*size, *shape[3:]))
        tensors = [node.output for node in graph_nodes(model)]
    else:
        tensors = [*model.inputs, *_outputs(model)]
    return max(int(prod(side or 1 for side in tensor.shape)) * _item_bytes(tensor.dtype) for tensor in tensors)


def _outputs(model: keras.Model) -> Iterator[Any]:
    """What every operation in a network, and in the networks inside it, gives."""
    for operation in getattr(model, "operations", None) or model.layers:
        if isinstance(operation, keras.Model):
            yield from _outputs(operation)
        for node in operation._inbound_nodes:  # Keras has no public way to the shapes of a layer that is used twice
            yield from node.output_tensors


def _item_bytes(dtype: Any) -> int:
    name = keras.backend.standardize_dtype(dtype)
    return 1 if name == "bool" else int("".join(filter(str.isdigit, name.split("_")[0])) or 8) // 8 or 1


def _cannot_open(path: Path, error: Exception) -> ModelFileError:
    # Keras tells what went wrong inside at the end, behind the whole description.
    text = str(error).rpartition("Exception encountered: ")[2].strip() or type(error).__name__
    reason = printable(text.splitlines()[0][:200].rstrip("."))
    return ModelFileError(
        f"Keras {keras.__version__} cannot open {path.name}: {reason}.",
        hint="It may be damaged, or made by another version of Keras: save it again with Keras 3.",
        path=path,
    )
