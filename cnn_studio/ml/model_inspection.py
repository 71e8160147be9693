"""Look into a ``.keras`` file before Keras does, and refuse what could do more than describe a network.

A ``.keras`` file is a zip of ``config.json`` (a description that Keras turns into objects), ``model.weights.h5`` and
``metadata.json``. Keras's safe mode refuses pickled Python; here, in addition, only objects of Keras's own modules that
compute on tensors may be named at all, and the weights may not point to other files. Nothing of Keras is imported.
"""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from cnn_studio.core.errors import ModelFileError

FACTS_MEMBER = "cnn_studio.json"
"""The member that carries class names and image size; Keras ignores it."""

_CONFIG_MEMBER = "config.json"
_WEIGHTS_MEMBER = "model.weights.h5"

_LARGEST_TEXT = 64 * 2**20
_BOMB_FLOOR = 64 * 2**20
_BOMB_RATIO = 100  # Keras stores weights uncompressed
_DEEPEST = 100

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
    """

    config: dict[str, Any]
    facts: dict[str, Any] | None


def inspect_model_file(path: Path, *, weights: bool = True) -> InspectedFile:
    """Read a model file's description, and make sure that opening the file runs no code but Keras's.

    Args:
        path: the file.
        weights: whether to look through the weights as well; not needed when they will not be loaded.

    Raises:
        ModelFileError: it is missing, is not a ``.keras`` file, is damaged, or holds something that is not opened.
    """
    try:
        with path.open("rb") as stream:
            return _inspect(path, stream, weights)
    except FileNotFoundError:
        raise ModelFileError(f"There is no file {path}.", path=path) from None
    except IsADirectoryError:
        raise _not_keras(path) from None
    except OSError as error:
        raise ModelFileError(f"{path} could not be read: {error.strerror or error}.", path=path) from error


def _inspect(path: Path, stream: io.BufferedReader, weights: bool) -> InspectedFile:
    if not zipfile.is_zipfile(stream):
        raise _not_keras(path)
    try:
        with zipfile.ZipFile(stream) as archive:
            names = archive.namelist()
            _check_members(path, archive)
            if _CONFIG_MEMBER not in names:
                raise _not_keras(path)
            config = _read_json(path, archive, _CONFIG_MEMBER)
            facts = _read_json(path, archive, FACTS_MEMBER) if FACTS_MEMBER in names else None
            _check_config(path, config)
            if _WEIGHTS_MEMBER not in names:
                raise ModelFileError(
                    f"{path.name} holds no {_WEIGHTS_MEMBER}, so the network has no weights.",
                    hint="Save it again with model.save(…) in Keras 3.",
                    path=path,
                )
            if weights:
                _check_weights(path, archive)
            return InspectedFile(config, facts)
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError) as error:
        raise _damaged(path) from error


def _not_keras(path: Path) -> ModelFileError:
    hint = "Choose a file that ends in .keras."
    if path.is_dir() or path.suffix in {".h5", ".hdf5", ".pb"}:
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
    if len(set(names)) != len(names):
        raise _refused(path, "holds two parts of the same name")
    for member in archive.infolist():
        name = member.filename.replace("\\", "/")
        if name.startswith("/") or ".." in PurePosixPath(name).parts or ":" in name:
            raise _refused(path, f"holds a part named {member.filename!r} that would be written outside its folder")
        if member.file_size > _BOMB_FLOOR and member.file_size > _BOMB_RATIO * max(1, member.compress_size):
            raise _refused(path, f"would unpack {member.filename} to {member.file_size / 1e9:.1f} GB from next to none")


def _read_json(path: Path, archive: zipfile.ZipFile, member: str) -> dict[str, Any]:
    if archive.getinfo(member).file_size > _LARGEST_TEXT:
        raise _damaged(path)
    try:
        values = json.loads(archive.read(member))
    except (ValueError, RecursionError) as error:
        raise _damaged(path) from error
    if not isinstance(values, dict):
        raise _damaged(path)
    return values


def _check_config(path: Path, config: dict[str, Any]) -> None:
    if "class_name" not in config or not isinstance(config.get("config"), dict):
        raise _damaged(path)
    # How it was compiled is not used: a loss or metric of someone's own there does no harm.
    for described, depth in _described_objects({**config, "compile_config": None}, 0):
        if depth > _DEEPEST:
            raise _refused(path, "is nested too deeply")
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
                value = json.loads(value)
            except (ValueError, RecursionError):
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


def _check_weights(path: Path, archive: zipfile.ZipFile) -> None:
    import h5py  # type: ignore[import-untyped]

    try:
        with h5py.File(io.BytesIO(archive.read(_WEIGHTS_MEMBER)), "r") as file:
            _check_group(path, file, 0)
    except (OSError, KeyError, ValueError) as error:
        raise _damaged(path) from error


def _check_group(path: Path, group: Any, depth: int) -> None:
    import h5py

    if depth > _DEEPEST:
        raise _refused(path, "is nested too deeply")
    for name in group:
        if not isinstance(group.get(name, getlink=True), h5py.HardLink):
            raise _refused(path, f"has weights that point elsewhere ({name})")
        part = group[name]
        if isinstance(part, h5py.Group):
            _check_group(path, part, depth + 1)
        elif isinstance(part, h5py.Dataset):
            if part.external or part.is_virtual:
                raise _refused(path, f"has weights that are read from another file ({name})")
            stored = max(1, part.id.get_storage_size())
            if part.nbytes > _BOMB_FLOOR and part.nbytes > _BOMB_RATIO * stored:
                raise _refused(path, f"would unpack weights to {part.nbytes / 1e9:.1f} GB from next to none")


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
    if len(inputs) == 1 and isinstance(shape, list) and all(side is None or isinstance(side, int) for side in shape):
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
