"""Whether a file holds a backbone's weights: by Keras's checksum or, for any other file, by every array's shape."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import lru_cache
from math import prod
from pathlib import Path
from typing import Any

from cnn_studio.core.errors import WeightsError
from cnn_studio.core.experiment.backbones import BACKBONES, Backbone
from cnn_studio.core.weights.global_heap import has_endless_heap

Shape = tuple[int, ...]

_CHUNK = 2**20
_DEEPEST = 20


@dataclass(frozen=True, slots=True)
class CheckedWeights:
    """A weights file that fits its backbone.

    Attributes:
        path: the file.
        backbone: whose weights it holds.
        digest: of its content, for keys of caches: equal content, equal digest.
        published: whether it is, byte for byte, the file that Keras publishes.
        note: what to tell of a file that is not; "" otherwise.
    """

    path: Path
    backbone: Backbone
    digest: str
    published: bool
    note: str = ""


def layout_digest(shapes: Iterable[Shape]) -> str:
    """A digest of which shapes occur how often among a network's weights, in whatever order."""
    text = ";".join(sorted("x".join(str(side) for side in shape) for shape in shapes))
    return hashlib.blake2b(text.encode("ascii"), digest_size=8).hexdigest()


def check_weights(path: Path, backbone: Backbone, on_read: Callable[[int], None] | None = None) -> CheckedWeights:
    """Make sure that a file holds a backbone's weights; answers at once while the file stays the same.

    Args:
        path: the file.
        backbone: whose weights they should be.
        on_read: called with every number of bytes read, and may raise to end it; with it the file is read anew.

    Raises:
        WeightsError: it is damaged, is no weights file of Keras, or holds those of another network; says which.
    """
    try:
        if on_read is not None:
            return _check(path, backbone, on_read)
        status = path.stat()
        return _check_once(path, status.st_size, status.st_mtime_ns, backbone.name)
    except OSError as error:
        raise WeightsError(f"{path} could not be read: {error.strerror or error}.", path=path) from error


@lru_cache(maxsize=64)
def _check_once(path: Path, size: int, modified_ns: int, name: str) -> CheckedWeights:  # noqa: ARG001 -- the key: a changed file is checked anew
    return _check(path, BACKBONES[name], lambda _: None)


def _check(path: Path, backbone: Backbone, on_read: Callable[[int], None]) -> CheckedWeights:
    md5, sha256 = _hashes(path, on_read)
    if backbone.weights_hash in {md5, sha256}:
        return CheckedWeights(path, backbone, sha256, published=True)
    for other in BACKBONES.values():
        if other.weights_hash in {md5, sha256}:
            raise _of_another(path, backbone, other)
    arrays = _read_arrays(path)
    _check_layout(path, backbone, arrays)
    note = (
        ""
        if not backbone.weights_hash
        else f"{path.name} is not the file that Keras publishes: its checksum differs. Its {len(arrays.shapes)} arrays "
        f"({', '.join(sorted(arrays.kinds))}) have the shapes of {backbone.title}, so it is used as it is."
    )
    return CheckedWeights(path, backbone, sha256, published=False, note=note)


def recognise_weights(path: Path) -> Backbone:
    """Which backbone's weights a file holds, by its content.

    Raises:
        WeightsError: those of none here.
    """
    try:
        hashes = {*_hashes(path, lambda _: None)}
    except OSError as error:
        raise WeightsError(f"{path} could not be read: {error.strerror or error}.", path=path) from error
    for backbone in BACKBONES.values():
        if backbone.weights_hash in hashes:
            return backbone
    digest = layout_digest(_read_arrays(path).shapes)
    for backbone in BACKBONES.values():
        if backbone.weights_layout == digest:
            return backbone
    raise WeightsError(
        f"{path.name} holds the weights of none of the backbones here.",
        hint=f"Wanted is Keras's file without classifier of one of {', '.join(BACKBONES)}.",
        path=path,
    )


def _hashes(path: Path, on_read: Callable[[int], None]) -> tuple[str, str]:
    """MD5 and SHA-256: Keras publishes the one for old files and the other for new ones."""
    md5, sha256 = hashlib.md5(usedforsecurity=False), hashlib.sha256()
    with path.open("rb") as stream:
        while chunk := stream.read(_CHUNK):
            md5.update(chunk)
            sha256.update(chunk)
            on_read(len(chunk))
    return md5.hexdigest(), sha256.hexdigest()


@dataclass(frozen=True, slots=True)
class _Arrays:
    shapes: tuple[Shape, ...]
    kinds: frozenset[str]
    finite: bool

    @property
    def total(self) -> int:
        return sum(prod(shape) for shape in self.shapes)


_MOST_VALUES = 500_000_000


def _read_arrays(path: Path) -> _Arrays:
    """The arrays that Keras would load, in a file's HDF5.

    Only plain arrays inside the file are followed: HDF5 can also point to other files of the machine.
    """
    import h5py  # type: ignore[import-untyped]
    import numpy as np

    arrays: list[Any] = []
    try:
        if has_endless_heap(path):
            raise _not_keras(path)
        with h5py.File(path, "r") as file:
            root = file["model_weights"] if "layer_names" not in file.attrs and "model_weights" in file else file
            if "layer_names" not in root.attrs:
                raise _not_keras(path)
            _collect(root, arrays, 0)
            shapes = tuple(tuple(int(side) for side in array.shape) for array in arrays)
            # The sizes are looked at before anything is read: a few bytes can claim to be terabytes.
            plausible = sum(prod(shape) for shape in shapes) <= _MOST_VALUES
            numbers = plausible and all(array.dtype.kind in "fiu" for array in arrays)
            finite = numbers and all(bool(np.isfinite(array[()]).all()) for array in arrays)
            return _Arrays(shapes, frozenset(str(array.dtype) for array in arrays if array.size > 1), finite)
    except (OSError, KeyError, ValueError, RuntimeError, RecursionError) as error:
        if isinstance(error, OSError) and not path.is_file():
            raise
        raise _not_keras(path) from error


def _collect(group: Any, arrays: list[Any], depth: int) -> None:
    import h5py

    for name in group:
        link = group.get(name, getlink=True)
        if not isinstance(link, h5py.HardLink) or depth > _DEEPEST:
            raise ValueError(f"{name} points elsewhere")
        part = group[name]
        if isinstance(part, h5py.Group):
            _collect(part, arrays, depth + 1)
        elif part.external or part.is_virtual:
            raise ValueError(f"{name} is read from another file")
        else:
            arrays.append(part)


def _check_layout(path: Path, backbone: Backbone, arrays: _Arrays) -> None:
    digest = layout_digest(arrays.shapes)
    if digest != backbone.weights_layout:
        for other in BACKBONES.values():
            if other.weights_layout == digest:
                raise _of_another(path, backbone, other)
        hint = f"Wanted is {backbone.weights_file}."
        if arrays.total > backbone.parameters:
            hint = f"It may hold the classifier as well; wanted is the file without, {backbone.weights_file}."
        raise WeightsError(
            f"{path.name} does not hold the weights of {backbone.title}: it has {arrays.total:,} values where "
            f"{backbone.parameters:,} are needed, or other shapes.",
            hint=hint,
            path=path,
        )
    if not arrays.finite:
        raise WeightsError(
            f"{path.name} is damaged: some of its values are no numbers.", hint="Get the file again.", path=path
        )


def _not_keras(path: Path) -> WeightsError:
    return WeightsError(
        f"{path.name} is damaged, or is no weights file as Keras publishes them (HDF5, .h5).",
        hint="Get the file again.",
        path=path,
    )


def _of_another(path: Path, backbone: Backbone, other: Backbone) -> WeightsError:
    return WeightsError(
        f"{path.name} holds the weights of {other.title}, not of {backbone.title}.",
        hint=f"Wanted is {backbone.weights_file}.",
        path=path,
    )
