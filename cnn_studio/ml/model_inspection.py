"""Look into a model file before Keras does, and refuse what could do more than describe a network.

A ``.keras`` file is a zip of ``config.json`` (a description that Keras turns into objects), ``model.weights.h5`` and
``metadata.json``; an ``.h5`` file is one HDF5 file with the description as an attribute. Keras's safe mode refuses
pickled Python; here, in addition, only objects of Keras's own modules that compute on tensors may be named at all, and
the weights may not point to other files. Nothing of Keras is imported.
"""

from __future__ import annotations

import errno
import io
import re
import tempfile
import time
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from math import prod
from pathlib import Path, PurePosixPath
from typing import IO, Any

from cnn_studio.core.errors import CnnStudioError, ModelFileError, StorageError
from cnn_studio.core.job.jobs import CancelToken, JobCancelled
from cnn_studio.core.text import parsed_json
from cnn_studio.core.weights.global_heap import has_endless_heap
from cnn_studio.ml.keras2 import TENSORFLOWS_OWN, as_keras_3_writes, kinds_of_layers
from cnn_studio.ml.memory import gigabytes

FACTS_MEMBER = "cnn_studio.json"
"""The member that carries class names and image size; Keras ignores it."""

_CONFIG_MEMBER = "config.json"
_WEIGHTS_MEMBER = "model.weights.h5"

_METADATA_MEMBER = "metadata.json"

_HDF5 = b"\x89HDF\r\n\x1a\n"
_ZIP = b"PK\x03\x04"
_LFS_POINTER = b"version https://git-lfs"
_BLOCK = 2**20

# The largest networks that come with Keras have 1 MB of description with 150,000 values in it, 1,050 layers, and
# weights in 7,000 pieces.
_LARGEST_TEXT = 8 * 2**20
_MOST_VALUES = 1_000_000
_MOST_LAYERS = 5_000
_MOST_OBJECTS = 50_000
_MOST_MEMBERS = 10_000
_LARGEST_REST = 64 * 2**20
_BOMB_FLOOR = 64 * 2**20
_BOMB_RATIO = 100  # Keras stores weights uncompressed
_DEEPEST = 100
_MOST_SECONDS = 8.0
_LARGEST_SIDE = 16384

_OBJECT_MODULES = (
    "keras.layers",
    "keras.initializers",
    "keras.regularizers",
    "keras.constraints",
    "keras.dtype_policies",
    "keras.activations",
    "keras.optimizers",
    "keras.losses",
    "keras.metrics",
    "keras.models",
)
"""Modules whose objects a network may be made of, each also in its form under ``keras.src``."""

_APPLICATION_CLASSES = {"CustomScaleLayer", "LayerScale", "StochasticDepth"}
"""What InceptionResNetV2 and ConvNeXt bring of their own, under ``keras.src.applications``: plain arithmetic."""

_TOP_LEVEL_CLASSES = {"DTypePolicy", "FloatDTypePolicy", "QuantizedDTypePolicy", "Sequential", "Model", "Functional"}
_FUNCTION_MODULES = ("builtins", *(name for name in _OBJECT_MODULES if name not in {"keras.layers", "keras.models"}))
"""Where functions may come from; Keras looks for "builtins" among its own activations, losses and so on."""

_FORBIDDEN_FUNCTIONS = {"deserialize", "serialize", "get"}
_DATA_KINDS = {"__keras_tensor__", "__tensor__", "__numpy__", "__ellipsis__", "__slice__", "__bytes__"}

_FORBIDDEN_CLASSES = {
    # run code that is not Keras's
    "Lambda",
    "TFSMLayer",
    "TorchModuleWrapper",
    "JaxLayer",
    "FlaxLayer",
    # read files of this machine that their configuration names
    "TextVectorization",
    "StringLookup",
    "IntegerLookup",
    "IndexLookup",
    "FeatureSpace",
}


@dataclass(frozen=True, slots=True)
class InspectedFile:
    """What a ``.keras`` file says, after it was found harmless.

    Attributes:
        config: the description of the network.
        facts: the content of our own member, None when the file has none.
        stored: bytes that the arrays of its weights take in memory; 0 when the weights were not looked at.
        is_hdf5: whether the file is one HDF5 file, as Keras 2 wrote them, and its weights are named by layers.
    """

    config: dict[str, Any]
    facts: dict[str, Any] | None
    stored: int = 0
    is_hdf5: bool = False


@contextmanager
def refusing_what_fails(path: Path) -> Iterator[None]:
    """Tell whatever goes wrong with a file of somebody else's in a sentence: no list of exceptions is ever complete.

    Raises:
        ModelFileError: in place of anything that is not told in words already.
        StorageError: there was no room to unpack the file.
    """
    try:
        yield
    except (CnnStudioError, JobCancelled):
        raise
    except FileNotFoundError:
        raise missing_model(path) from None
    except IsADirectoryError:
        raise _not_keras(path) from None
    except MemoryError as error:
        raise ModelFileError(
            f"There is not enough memory to open {path.name}.", hint="Close other programs and try again.", path=path
        ) from error
    except OSError as error:
        if error.errno in {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}:
            raise StorageError(
                f"There is no room in {tempfile.gettempdir()} to unpack {path.name}.",
                hint="Free some space there and open it again.",
                path=path,
            ) from error
        if error.errno is None:  # HDF5's way to say that what it read makes no sense
            raise _damaged(path) from error
        raise ModelFileError(f"{path} could not be read: {error.strerror or error}.", path=path) from error
    except Exception as error:
        raise _damaged(path) from error


def inspect_model_file(
    path: Path, *, weights_to: Path | None = None, cancel: CancelToken | None = None
) -> InspectedFile:
    """Read a model file's description, and make sure that opening the file runs no code but Keras's.

    Args:
        path: the file.
        weights_to: where to unpack the weights, which are then looked through as well; None when they will not be
            loaded.
        cancel: looked at all the while.

    Raises:
        ModelFileError: it is missing, is no Keras model, is damaged, or holds something that is not opened.
        StorageError: there is no room for the weights.
        JobCancelled: the user cancelled.
    """
    with refusing_what_fails(path), path.open("rb") as stream:
        if stream.read(len(_HDF5)) == _HDF5:
            return _inspect_hdf5(path, stream, weights_to, cancel or CancelToken())
        if not zipfile.is_zipfile(stream):
            raise _not_keras(path, stream)
        with zipfile.ZipFile(stream) as archive:
            return _inspect(path, archive, weights_to, cancel or CancelToken())


def _inspect(path: Path, archive: zipfile.ZipFile, weights_to: Path | None, cancel: CancelToken) -> InspectedFile:
    names = archive.namelist()
    _check_members(path, archive)
    if _CONFIG_MEMBER not in names:
        raise _not_keras(path)
    config = _read_json(path, archive, _CONFIG_MEMBER)
    facts = _read_json(path, archive, FACTS_MEMBER) if FACTS_MEMBER in names else None
    cancel.raise_if_cancelled()
    metadata = _read_json(path, archive, _METADATA_MEMBER) if _METADATA_MEMBER in names else {}
    if str(metadata.get("keras_version")).startswith("2."):
        config = _translated(path, config)
    _check_config(path, config)
    if _WEIGHTS_MEMBER not in names:
        raise ModelFileError(
            f"{path.name} holds no {_WEIGHTS_MEMBER}, so the network has no weights.",
            hint="Save it again with model.save(…) in Keras 3.",
            path=path,
        )
    if weights_to is None:
        return InspectedFile(config, facts)
    with archive.open(_WEIGHTS_MEMBER) as source:
        _copy(source, weights_to, cancel)
    return InspectedFile(config, facts, _check_weights(path, weights_to, cancel))


def _inspect_hdf5(path: Path, stream: io.BufferedReader, weights_to: Path | None, cancel: CancelToken) -> InspectedFile:
    """The same for a model in one HDF5 file, as Keras 2 wrote them and Keras 3 still can."""
    import h5py  # type: ignore[import-untyped]

    if has_endless_heap(path):
        raise _damaged(path)
    with h5py.File(path, "r") as root:
        text = root.attrs.get("model_config")
        if text is None or not isinstance(root.get("model_weights", getlink=True), h5py.HardLink):
            raise ModelFileError(
                f"{path.name} holds weights only, and not the network that they are for.",
                hint="Build the network in Keras, load the weights, and save all with model.save('name.keras').",
                path=path,
            )
    if len(text) > _LARGEST_TEXT:
        raise _refused(path, "has a description longer than any network's")
    config = parsed_json(text)
    if not isinstance(config, dict):
        raise _damaged(path)
    config = _translated(path, config)
    _check_config(path, config)
    if weights_to is None:
        return InspectedFile(config, None, is_hdf5=True)
    stream.seek(0)
    _copy(stream, weights_to, cancel)
    return InspectedFile(config, None, _check_weights(path, weights_to, cancel), is_hdf5=True)


def _copy(source: IO[bytes], target: Path, cancel: CancelToken) -> None:
    with target.open("wb") as written:
        while block := source.read(_BLOCK):
            cancel.raise_if_cancelled()
            written.write(block)


def _translated(path: Path, config: dict[str, Any]) -> dict[str, Any]:
    """A description that Keras 2 wrote, as Keras 3 would write it."""
    if found := sorted(TENSORFLOWS_OWN.intersection(kinds_of_layers(config))):
        raise ModelFileError(
            f"{path.name} does arithmetic between its layers with TensorFlow's own operations ({', '.join(found)}), "
            "which Keras 3 does not have.",
            hint="In the TensorFlow it was made with, build the network again with a Rescaling layer in place of the "
            "arithmetic, give it the weights (new.set_weights(old.get_weights())), and save it.",
            path=path,
        )
    return as_keras_3_writes(config)


def missing_model(path: Path) -> ModelFileError:
    """The error for a model file that is not there."""
    if re.match(r"https?:/", path.as_posix(), re.IGNORECASE):
        return ModelFileError(
            f"{path.as_posix().replace(':/', '://', 1)} is a web address, and models are opened from files only.",
            hint="Download it and name the file.",
            path=path,
        )
    return ModelFileError(f"There is no model file {path}.", hint="Check the name.", path=path)


def _not_keras(path: Path, stream: io.BufferedReader | None = None) -> ModelFileError:
    if stream is not None:
        stream.seek(0)
        if stream.read(len(_LFS_POINTER)) == _LFS_POINTER:
            return ModelFileError(
                f"{path.name} is a Git LFS pointer: a note of a few lines where the model itself should be.",
                hint="Run “git lfs pull” in its repository, or download the file itself.",
                path=path,
            )
        stream.seek(0)
        if stream.read(len(_ZIP)) == _ZIP:  # a zip's table of contents stands at its end
            return ModelFileError(
                f"{path.name} is incomplete: its end is missing, as after a download or copy that was cut off.",
                hint="Download or copy it again.",
                path=path,
            )
    hint = "Choose a file that ends in .keras or .h5."
    if path.is_dir() or path.suffix == ".pb":
        hint = "Open it in the Keras it was made with and save it as a .keras file: model.save('name.keras')."
    return ModelFileError(f"{path.name} is not a .keras file.", hint=hint, path=path)


def _damaged(path: Path) -> ModelFileError:
    return ModelFileError(
        f"{path.name} is damaged and cannot be opened.", hint="Export or download it again.", path=path
    )


def _refused(path: Path, what: str) -> ModelFileError:
    return ModelFileError(
        f"{path.name} {what}, so it was not opened.",
        hint="Only networks made of Keras's own layers are opened; get the model from someone you trust, rebuilt so.",
        path=path,
    )


def _check_members(path: Path, archive: zipfile.ZipFile) -> None:
    names = archive.namelist()
    if len(names) > _MOST_MEMBERS:
        raise _refused(path, f"holds {len(names):,} parts")
    if len(set(names)) != len(names):
        raise _refused(path, "holds two parts of the same name")
    for member in archive.infolist():
        name = member.filename.replace("\\", "/")
        if name.startswith("/") or ".." in PurePosixPath(name).parts or ":" in name:
            raise _refused(path, f"holds a part named {member.filename!r} that would be written outside its folder")
        if member.file_size > _BOMB_FLOOR and member.file_size > _BOMB_RATIO * max(1, member.compress_size):
            raise _refused(path, f"would unpack {member.filename} to {gigabytes(member.file_size)} from next to none")
    # What is no weights is at most class names and a few vocabularies.
    rest = sum(member.file_size for member in archive.infolist() if member.filename != _WEIGHTS_MEMBER)
    if rest > _LARGEST_REST:
        raise _refused(path, f"would unpack {gigabytes(rest)} of parts that are no weights")


def _read_json(path: Path, archive: zipfile.ZipFile, member: str) -> dict[str, Any]:
    if archive.getinfo(member).file_size > _LARGEST_TEXT:
        raise _refused(path, f"has a {member} longer than any network's")
    text = archive.read(member)
    # In memory, "[]," takes thirty times what it takes in the file.
    if sum(map(text.count, (b",", b"[", b"{"))) > _MOST_VALUES:
        raise _refused(path, f"has a {member} with more in it than any network's")
    values = parsed_json(text)
    if not isinstance(values, dict):
        raise _damaged(path)
    return values


def _check_config(path: Path, config: dict[str, Any]) -> None:
    if "class_name" not in config or not isinstance(config.get("config"), dict):
        raise _damaged(path)
    # How it was compiled is not used: a loss or metric of someone's own there does no harm.
    layers = 0
    for described, depth in _described_objects({**config, "compile_config": None}, 0):
        if depth > _DEEPEST:
            raise _refused(path, "is nested too deeply")
        # Building a layer takes milliseconds, for each time that the network uses it, and cannot be interrupted.
        uses = described.get("inbound_nodes")
        layers += len(uses) if isinstance(uses, list) and uses else _is_layer(described)
        if layers > _MOST_LAYERS:
            raise _refused(path, f"has more than {_MOST_LAYERS:,} layers")
        if reason := _why_refused(described):
            raise _refused(path, f"contains code of its own ({reason})")


def _described_objects(value: Any, depth: int) -> Iterator[tuple[dict[str, Any], int]]:
    """Every dictionary in ``value`` that Keras might make an object of, those written inside strings as well."""
    if depth > _DEEPEST:
        yield {}, depth
        return
    if isinstance(value, str):
        if value.lstrip()[:1] in {"{", "["}:
            try:
                value = parsed_json(value)
            except ValueError:
                return
        else:
            return
    if isinstance(value, dict):
        if "class_name" in value:
            yield value, depth
        for part in value.values():
            yield from _described_objects(part, depth + 1)
    elif isinstance(value, list):
        for part in value:
            yield from _described_objects(part, depth + 1)


def _is_layer(described: dict[str, Any]) -> bool:
    module = described.get("module")
    return isinstance(module, str) and (
        module == "keras" or "ops" in module.split(".") or _within(module, ("keras.layers", "keras.models"))
    )


def _why_refused(described: dict[str, Any]) -> str:
    """Why this object may not be made, naming it, or ""."""
    kind = described["class_name"]
    if not isinstance(kind, str):
        return f"an object of kind {kind!r}"
    if kind in _DATA_KINDS:
        return ""
    inner = described.get("config")
    given_name = inner.get("name") if isinstance(inner, dict) else described.get("name")
    named = f"layer {given_name}: {kind}" if isinstance(given_name, str) else kind
    module = described.get("module")
    if kind == "function":
        # A function is named by "config"; what is registered under another name is somebody's own.
        known = isinstance(module, str) and _within(module, _FUNCTION_MODULES)
        plain = isinstance(inner, str) and inner not in _FORBIDDEN_FUNCTIONS and _plain_name(described, inner)
        return "" if known and plain else f"function {inner}"
    if kind in _FORBIDDEN_CLASSES or not isinstance(module, str) or not _plain_name(described, kind):
        return named
    return "" if _is_kerass_own(module, kind) else f"{named} of {module}"


def _is_kerass_own(module: str, kind: str) -> bool:
    if not kind[:1].isupper():  # a function in a class's place
        return False
    if module == "keras" or _within(module, ("keras.models",)):
        return kind in _TOP_LEVEL_CLASSES
    if _within(module, ("keras.applications",)):
        return kind in _APPLICATION_CLASSES
    return _within(module, _OBJECT_MODULES) or (module + ".").startswith("keras.src.ops.")


def _plain_name(described: dict[str, Any], kind: str) -> bool:
    return described.get("registered_name") in (None, kind, described["class_name"]) and kind.isidentifier()


def _within(module: str, allowed: tuple[str, ...]) -> bool:
    public = module.replace("keras.src.", "keras.", 1) + "."
    return any(public.startswith(f"{name}.") for name in allowed)


def _check_weights(path: Path, file: Path, cancel: CancelToken) -> int:
    """Look through the HDF5 file of a model's weights; gives the bytes that its arrays take in memory."""
    import h5py

    total = 0
    # Keras's files are trees. Sixty groups with two links each to the next have more paths than anyone can walk.
    seen: set[Any] = set()
    until = time.monotonic() + _MOST_SECONDS
    if has_endless_heap(file):
        raise _damaged(path)
    with h5py.File(file, "r") as root:
        waiting = [(root, 0)]
        seen.add(h5py.h5o.get_info(root.id).addr)
        while waiting:
            group, depth = waiting.pop()
            if depth > _DEEPEST:
                raise _refused(path, "is nested too deeply")
            for name in group:
                cancel.raise_if_cancelled()
                if not isinstance(group.get(name, getlink=True), h5py.HardLink):
                    raise _refused(path, f"has weights that point elsewhere ({name})")
                part = group[name]
                if (place := h5py.h5o.get_info(part.id).addr) in seen:
                    raise _refused(path, f"has weights that lead to one place in two ways ({name})")
                seen.add(place)
                if len(seen) > _MOST_OBJECTS or time.monotonic() > until:
                    raise _refused(path, "has weights in more pieces than any network's")
                if isinstance(part, h5py.Group):
                    waiting.append((part, depth + 1))
                elif isinstance(part, h5py.Dataset):
                    total += _check_dataset(path, name, part)
    if total > _BOMB_FLOOR and total > _BOMB_RATIO * file.stat().st_size:
        raise _refused(path, f"would unpack weights to {gigabytes(total)} from next to none")
    return total


def _check_dataset(path: Path, name: str, part: Any) -> int:
    """Gives the bytes it takes in memory."""
    if part.external or part.is_virtual:
        raise _refused(path, f"has weights that are read from another file ({name})")
    if part.dtype.hasobject:
        raise _refused(path, f"has weights that are no numbers ({name})")
    size = prod(part.shape or (0,)) * int(part.dtype.itemsize)
    if size > _BOMB_FLOOR and size > _BOMB_RATIO * max(1, part.id.get_storage_size()):
        raise _refused(path, f"would unpack weights to {gigabytes(size)} from next to none")
    return size


def image_input_shape(path: Path, config: dict[str, Any]) -> tuple[int | None, int | None, int]:
    """Height, width (None where any will do) and channels (3, 1, or 0 for (height, width) arrays) of the one input.

    Raises:
        ModelFileError: the network does not take one image.
    """
    inner = config["config"]
    layers = inner.get("layers")
    inputs = [
        layer["config"].get("batch_shape") or layer["config"].get("batch_input_shape")
        for layer in (layers if isinstance(layers, list) else [])
        if isinstance(layer, dict) and layer.get("class_name") == "InputLayer" and isinstance(layer.get("config"), dict)
    ]
    if not inputs:
        inputs = [inner.get("build_input_shape")]
    shape = inputs[0]
    if len(inputs) == 1 and isinstance(shape, list) and all(map(_is_a_side, shape)):
        match shape:
            case [_, height, width, (1 | 3) as channels]:
                return height, width, channels
            case [_, int() as height, int() as width]:
                return height, width, 0
    raise ModelFileError(
        f"{path.name} does not take one image of (height, width, colours), so it cannot classify pictures here.",
        hint="Open a network whose input is (height, width, 3) or (height, width, 1).",
        path=path,
    )


def _is_a_side(side: object) -> bool:
    return side is None or (type(side) is int and 1 <= side <= _LARGEST_SIDE)
