"""Export a model file for use outside: checked by reloading it before it is called done."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cnn_studio.core.atomic_file import refuse_existing, replacing
from cnn_studio.core.errors import ModelFileError
from cnn_studio.core.evaluation.model_facts import ModelFacts
from cnn_studio.core.experiment.settings import Fit
from cnn_studio.core.job.events import Progress, Stage, StageStarted
from cnn_studio.core.job.jobs import JobContext
from cnn_studio.ml.model_file import check_ending, load_model, write_archive

LARGEST_DIFFERENCE = 1e-5
"""Between probabilities of the model here and the exported one, on the same images."""

_UPRIGHT_FIRST = "after applying the EXIF orientation, bilinear, antialiased, to height × width"
_RESIZE_TEXT = {
    Fit.SQUASH: f"{_UPRIGHT_FIRST}, without keeping proportions",
    Fit.CROP: f"{_UPRIGHT_FIRST}, the middle of the picture cropped to these proportions",
    Fit.PAD: f"{_UPRIGHT_FIRST}, proportions kept, with black bars on both sides where the picture does not reach",
}
_RESIZE_CODE = {
    Fit.SQUASH: "picture.resize({size}, Image.Resampling.BILINEAR)",
    Fit.CROP: "ImageOps.fit(picture, {size}, Image.Resampling.BILINEAR)",
    Fit.PAD: "ImageOps.pad(picture, {size}, Image.Resampling.BILINEAR)",
}
_STEPS = 3
_SAMPLES = 8


def export_model(
    source: Path,
    target: Path,
    sample_images: NDArray[np.uint8] | None,
    context: JobContext,
    *,
    replace: bool,
    class_names: tuple[str, ...] = (),
) -> ModelFacts:
    """Write ``target`` (a ``.keras`` file) and beside it a ``.json`` that says how to use it.

    The file is written beside ``target``, reloaded by plain Keras, and takes its place only when both models give the
    same probabilities.

    Args:
        source: the model file of a run, or one opened from disk.
        target: ends in ``.keras``.
        sample_images: uint8 (k, height, width, 3), at the model's size, to compare on; None or none at all: noise.
        context: ``report`` is told ``StageStarted(EXPORT)`` and ``Progress``; *cancel* leaves nothing behind.
        replace: whether an existing file may be replaced; ask first.
        class_names: for a source that carries none.

    Returns:
        What the exported file says of itself.

    Raises:
        StorageError: ``target`` exists and ``replace`` is false, the disk is full, or the folder may not be written to.
        ModelFileError: ``source`` cannot be loaded or has no class names, ``target`` does not end in ``.keras``, or
            the reloaded file gives other probabilities.
        JobCancelled: the user cancelled.
    """
    import keras

    check_ending(target)
    side_car = target.with_suffix(".json")
    if not replace:
        refuse_existing(target, side_car)
    context.report(StageStarted(Stage.EXPORT, _STEPS))
    model, facts = load_model(source)
    if class_names:
        from cnn_studio.ml.model_file import class_count, with_class_names

        facts = with_class_names(facts, class_names, class_count(model))
    if not facts.class_names:
        raise ModelFileError(
            f"{source.name} carries no class names, so an exported model could not say what it sees.",
            hint="Give it class names first.",
            path=source,
        )
    images = _samples(sample_images, facts)
    expected = _probabilities(model, images)
    context.report(Progress(Stage.EXPORT, 1, _STEPS, unit="steps"))
    context.cancel.raise_if_cancelled()
    with replacing(side_car) as description, replacing(target) as part:
        description.write_text(description_text(facts, target.name), encoding="utf-8")
        write_archive(model, part, facts)
        context.report(Progress(Stage.EXPORT, 2, _STEPS, unit="steps"))
        context.cancel.raise_if_cancelled()
        reloaded = keras.saving.load_model(part)
        reloaded.jit_compile = model.jit_compile
        difference = float(np.abs(_probabilities(reloaded, images) - expected).max())
        if not difference <= LARGEST_DIFFERENCE:  # written so that a NaN fails too
            raise ModelFileError(
                f"The exported file gives other probabilities than the model here (by up to {difference:.2g}), "
                "so it was not kept.",
                hint="Please report this with the run's folder.",
                path=target,
            )
        context.cancel.raise_if_cancelled()
    context.report(Progress(Stage.EXPORT, _STEPS, _STEPS, unit="steps"))
    return facts


def _samples(given: NDArray[np.uint8] | None, facts: ModelFacts) -> NDArray[np.uint8]:
    if given is not None and len(given):
        return given
    noise = np.random.default_rng(0).integers(0, 256, (_SAMPLES, facts.height, facts.width, 3))
    return noise.astype(np.uint8)


def _probabilities(model: Any, images: NDArray[np.uint8]) -> NDArray[np.float32]:
    return np.concatenate([model.predict_on_batch(images[i : i + _SAMPLES]) for i in range(0, len(images), _SAMPLES)])


def description_text(facts: ModelFacts, file_name: str) -> str:
    """The side-car, JSON: what another tool must know to use the file."""
    description = {
        "model": file_name,
        "class_names": list(facts.class_names),
        "input": {
            "shape": [None, facts.height, facts.width, 3],
            "colour": "RGB",
            "dtype": "uint8 or float32",
            "value_range": [0, 255],
            "fit": facts.fit.value,
            "resize": _RESIZE_TEXT[facts.fit],
        },
        "output": {
            "shape": [None, len(facts.class_names)],
            "meaning": "probabilities in the order of class_names",
            "temperature": facts.temperature,  # for information: the network divides by it itself
            "not_sure_below": facts.threshold,
        },
        "architecture": facts.architecture,
        "metrics": facts.metrics or {},
        "data_name": facts.data_name,
        "created": facts.created,
        "versions": facts.versions or {},
        "usage": usage_snippet(facts, file_name),
    }
    return json.dumps(description, indent=2) + "\n"


def usage_snippet(facts: ModelFacts, file_name: str) -> str:
    """A short script that classifies one image with plain Keras and Pillow, the way it is done here.

    Args:
        facts: of the exported file.
        file_name: how the script names it.
    """
    names = ",\n    ".join(repr(name) for name in facts.class_names)
    constant, check = "", ""
    if facts.threshold:
        constant = f"NOT_SURE_BELOW = {facts.threshold!r}  # a picture of something else gets no class forced on it\n"
        check = 'if probabilities.max() < NOT_SURE_BELOW:\n    print("not sure; the most likely classes are")\n'
    return f'''\
"""Classify a picture: python classify.py PICTURE  (needs: pip install keras tensorflow pillow)."""

import sys

import keras
import numpy as np
from PIL import Image, ImageOps

CLASS_NAMES = [
    {names},
]
{constant}
model = keras.models.load_model({file_name!r})
picture = ImageOps.exif_transpose(Image.open(sys.argv[1])).convert("RGB")
picture = {_RESIZE_CODE[facts.fit].format(size=(facts.width, facts.height))}
batch = np.asarray(picture)[np.newaxis]  # raw RGB, 0-255: the model does the rest
probabilities = model.predict(batch, verbose=0)[0]
{check}for label in probabilities.argsort()[::-1][:5]:
    print(f"{{CLASS_NAMES[label]}}: {{probabilities[label]:.6f}}")
'''
