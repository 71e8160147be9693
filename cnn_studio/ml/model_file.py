"""Model files: a ``.keras`` file that also carries class names, image size and figures.

Whoever loads it needs nothing of ours: it takes raw RGB 0–255 and ends in probabilities. This module imports Keras
only where a model is really loaded or saved, so that facts can be read at once.
"""

from __future__ import annotations

import json
import math
import shutil
import tempfile
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cnn_studio.core.atomic_file import replacing
from cnn_studio.core.errors import ModelFileError
from cnn_studio.core.evaluation.input_range import InputRange
from cnn_studio.core.evaluation.model_facts import ModelFacts
from cnn_studio.core.experiment.settings import Fit
from cnn_studio.core.job.jobs import CancelToken
from cnn_studio.core.text import printable
from cnn_studio.ml.model_inspection import (
    FACTS_MEMBER,
    InspectedFile,
    image_input_shape,
    inspect_model_file,
    refusing_what_fails,
)

if TYPE_CHECKING:
    import keras

KERAS_AT_LEAST = "keras_at_least"
"""Among ``ModelFacts.versions``: the oldest Keras that a file's kind of network was loaded with."""

USUAL_SIZE = 224
"""Pixels per side for a network that takes any size: what ImageNet networks were trained on."""


def save_model(model: keras.Model, path: Path, facts: ModelFacts) -> None:
    """Write a model file, whole or not at all. How the model was compiled is left out.

    Args:
        model: a functional or sequential model.
        path: ends in ``.keras``; an existing file is replaced.
        facts: go into the file.

    Raises:
        ModelFileError: ``path`` does not end in ``.keras``.
        StorageError: the disk is full or the folder may not be written to.
    """
    check_ending(path)
    with replacing(path) as part:
        write_archive(model, part, facts)


def write_archive(model: keras.Model, part: Path, facts: ModelFacts) -> ModelFacts:
    """Write the file itself, in place and without asking; callers make it atomic. Raises ``OSError``.

    Returns:
        ``facts`` as written, with the oldest Keras that is known to open the file. The network takes RGB 0–255 now,
        unless nobody knows what it should take.
    """
    import keras

    from cnn_studio.ml.in_memory import keras_file
    from cnn_studio.ml.older_keras import as_older_keras_writes, oldest_keras

    # A model over the same layers that was never compiled: no optimizer state goes into the file.
    bare = keras.Model(model.inputs, model.outputs, name=model.name)
    config = as_older_keras_writes(bare.get_config())
    versions = {**(facts.versions or {}), KERAS_AT_LEAST: oldest_keras(config)}
    facts = replace(facts, versions=versions, made_here=True, input_range=facts.input_range and InputRange.BYTES)
    bare.get_config = lambda: config
    file = keras_file(bare)
    with zipfile.ZipFile(file, "a") as archive:
        archive.writestr(FACTS_MEMBER, _facts_text(facts))
    part.write_bytes(file.getbuffer())
    return facts


def rewrite_facts(path: Path, facts: ModelFacts) -> None:
    """Change what a model file says of itself; its network stays as it is, byte for byte.

    Raises:
        ModelFileError: it is not a ``.keras`` file, or is damaged.
        StorageError: the disk is full or the folder may not be written to.
    """
    if inspect_model_file(path).is_hdf5:
        raise ModelFileError(
            f"{path.name} is an HDF5 file, in which nothing can be kept.", hint="Export it as .keras first.", path=path
        )
    with replacing(path) as part, zipfile.ZipFile(path) as source, zipfile.ZipFile(part, "w") as target:
        for member in source.infolist():
            if member.filename != FACTS_MEMBER:
                with source.open(member) as reader, target.open(member, "w") as writer:
                    shutil.copyfileobj(reader, writer)
        target.writestr(FACTS_MEMBER, _facts_text(facts))


def _facts_text(facts: ModelFacts) -> str:
    return json.dumps(asdict(facts), indent=1)


def read_facts(path: Path) -> ModelFacts:
    """What a model file says of itself, without loading it: the zip is read, Keras is not imported.

    A file made elsewhere gives its image size (``USUAL_SIZE`` where any will do) and no class names.

    Raises:
        ModelFileError: it is not a ``.keras`` file, is damaged, takes no image, or holds code of its own.
    """
    return _facts(path, inspect_model_file(path))


def load_model(
    path: Path,
    cancel: CancelToken | None = None,
    before_keras: Callable[[], object] | None = None,
    input_range: InputRange | None = None,
) -> tuple[keras.Model, ModelFacts]:
    """Load a model file, made here or elsewhere, without running any code it may hold.

    Whatever the file's network takes and gives, the model returned takes RGB images (batch, height, width, 3) with
    values 0–255 and gives probabilities (batch, classes): grey is made where the network wants it, a single sigmoid
    becomes two classes, and outputs that are no probabilities go through a softmax.

    Args:
        path: the file.
        cancel: looked at while the file is inspected.
        before_keras: called once the file is found harmless, before Keras is imported: a refusal need not wait for it.
        input_range: which values the network takes, for a file made elsewhere; None takes what the file says, else what
            the network's first layers tell, else RGB 0–255 as they are.

    Returns:
        The model, uncompiled, and the facts; ``class_names`` is empty when the file carries none, ``outputs`` is set
        either way, and ``input_range`` is None where nothing tells it.

    Raises:
        ModelFileError: it is not a ``.keras`` file, is damaged, does not classify images, or holds code of its own.
        StorageError: there is no room to unpack it.
        JobCancelled: the user cancelled.
    """
    with refusing_what_fails(path), tempfile.TemporaryDirectory(prefix="cnn_studio-") as folder:
        weights = Path(folder) / "network.weights.h5"
        inspected = inspect_model_file(path, weights_to=weights, cancel=cancel)
        facts = _facts(path, inspected)
        if input_range and facts.made_here and input_range is not (facts.input_range or input_range):
            raise ModelFileError(
                f"{path.name} was written by cnn_studio and takes {facts.input_range}, not {input_range}.",
                hint="The range of values is for files made elsewhere: leave it out.",
                path=path,
            )
        if before_keras:
            before_keras()
        import keras

        from cnn_studio.ml.adapt import adapt_model
        from cnn_studio.ml.declared import open_network
        from cnn_studio.ml.input_range import stated_range, with_input_range

        loaded = open_network(path, inspected, weights, (facts.height, facts.width))
        model = adapt_model(loaded, facts.height, facts.width, path)
        takes = input_range or facts.input_range or stated_range(loaded, facts.height, facts.width)
    classes = class_count(model)
    if facts.class_names and len(facts.class_names) != classes:
        raise ModelFileError(
            f"{path.name} names {len(facts.class_names)} classes but tells {classes} apart.",
            hint="Export it again.",
            path=path,
        )
    # XLA, Keras's default, takes seconds to compile each batch shape on a CPU and gains nothing there; JAX needs it.
    model.jit_compile = keras.backend.backend() == "jax"
    return with_input_range(model, takes or InputRange.BYTES), replace(facts, outputs=classes, input_range=takes)


def class_count(model: keras.Model) -> int:
    """How many classes a model from ``load_model`` or ``build_model`` tells apart."""
    return int(model.outputs[0].shape[-1])


def with_class_names(facts: ModelFacts, names: Sequence[str], classes: int) -> ModelFacts:
    """``facts`` with class names for a file that carries none.

    Args:
        facts: of the file.
        names: in the order of its outputs.
        classes: how many it tells apart, from ``class_count``.

    Raises:
        ModelFileError: there are too few or too many names, an empty one, or one that occurs twice.
    """
    given = tuple(name.strip() for name in names)
    if len(given) != classes:
        raise ModelFileError(
            f"The model tells {classes} classes apart, but {len(given)} names were given.",
            hint="Give one name per class, in the order the model was trained with.",
        )
    if "" in given:
        raise ModelFileError("A class name is empty.", hint="Give every class a name.")
    if twice := sorted({name for name in given if given.count(name) > 1}):
        raise ModelFileError(f"The class name {twice[0]} was given twice.", hint="Give every class a name of its own.")
    return replace(facts, class_names=given)


def check_ending(path: Path) -> None:
    """Make sure that Keras will take the file's name.

    Raises:
        ModelFileError: it does not end in ``.keras``.
    """
    if path.suffix != ".keras":
        raise ModelFileError(
            f"{path.name} does not end in .keras, and Keras opens no other.",
            hint=f"Call it {path.stem or 'model'}.keras.",
            path=path,
        )


def _facts(path: Path, inspected: InspectedFile) -> ModelFacts:
    height, width, _ = image_input_shape(path, inspected.config)
    values = inspected.facts
    if values is None:
        return ModelFacts((), height or USUAL_SIZE, width or USUAL_SIZE, made_here=False, input_range=None)
    try:
        return _facts_from(values, height, width)
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise ModelFileError(
            f"What {path.name} says of itself ({FACTS_MEMBER}) is damaged.", hint="Export it again.", path=path
        ) from error


def _facts_from(values: dict[str, Any], height: int | None, width: int | None) -> ModelFacts:
    names = values["class_names"]
    if not isinstance(names, list) or not all(isinstance(name, str) and name for name in names):
        raise TypeError("class_names is no list of names")
    # The network's own input decides; where it takes any size, the size it was trained on does.
    stated_height, stated_width = int(values["height"]), int(values["width"])
    if not (1 <= stated_height <= 16384 and 1 <= stated_width <= 16384):
        raise ValueError("no image size")
    # Files written before there was calibration have neither.
    temperature, threshold = float(values.get("temperature", 1.0)), float(values.get("threshold", 0.0))
    if not (0 < temperature < math.inf and 0 <= threshold <= 1):
        raise ValueError("no temperature or threshold")
    made_here = bool(values.get("made_here", True))
    input_range = values.get("input_range", InputRange.BYTES if made_here else None)
    metrics = values.get("metrics")
    versions = values.get("versions")
    return ModelFacts(
        class_names=tuple(map(printable, names)),
        height=height or stated_height,
        width=width or stated_width,
        architecture=printable(str(values.get("architecture", ""))),
        made_here=made_here,
        metrics=None if metrics is None else {str(key): float(value) for key, value in metrics.items()},
        data_name=printable(str(values.get("data_name", ""))),
        created=printable(str(values.get("created", ""))),
        versions=None
        if versions is None
        else {printable(str(key)): printable(str(value)) for key, value in versions.items()},
        temperature=temperature,
        threshold=threshold,
        fit=Fit(values.get("fit", Fit.SQUASH)),
        input_range=None if input_range is None else InputRange(input_range),
    )
