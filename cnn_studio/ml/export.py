"""Export a model file for use outside: checked by using it as its script does before it is called done."""

from __future__ import annotations

import inspect
import json
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from cnn_studio.core.atomic_file import refuse_existing, replacing
from cnn_studio.core.errors import ModelFileError
from cnn_studio.core.evaluation.input_range import InputRange, InputRangeUnknown
from cnn_studio.core.evaluation.model_facts import ModelFacts
from cnn_studio.core.experiment.settings import Fit
from cnn_studio.core.image import recipe
from cnn_studio.core.image.decoder import ImageError, is_decoded_in_full, read_image
from cnn_studio.core.job.events import Progress, Stage, StageStarted
from cnn_studio.core.job.jobs import JobContext
from cnn_studio.ml import runtime
from cnn_studio.ml.model_file import KERAS_AT_LEAST, check_ending, load_model, write_archive
from cnn_studio.ml.script_check import answers_of_script, write_sample_pictures

LARGEST_DIFFERENCE = 1e-5
"""Between probabilities given here and by the exported script, from the same files, on a CPU."""
LARGEST_DIFFERENCE_ON_GPU = 1e-3  # where convolutions are rounded to TF32, each time another way

_UPRIGHT_FIRST = "after applying the EXIF orientation, bilinear, antialiased, to height × width"
_RESIZE_TEXT = {
    Fit.SQUASH: f"{_UPRIGHT_FIRST}, without keeping proportions",
    Fit.CROP: f"{_UPRIGHT_FIRST}, the middle of the picture cropped to these proportions",
    Fit.PAD: f"{_UPRIGHT_FIRST}, proportions kept, with black bars on both sides where the picture does not reach; "
    "of a thin picture at least a line is kept",
}
_FITS = {Fit.SQUASH: recipe.squash, Fit.CROP: recipe.crop, Fit.PAD: recipe.pad}
_STEPS = 3


def export_model(
    source: Path,
    target: Path,
    samples: Sequence[Path],
    context: JobContext,
    *,
    replace: bool,
    class_names: tuple[str, ...] | None = None,
    input_range: InputRange | None = None,
) -> ModelFacts:
    """Write ``target`` (a ``.keras`` file) and beside it a ``.json`` that says how to use it.

    The file is written beside ``target``, the script that is published with it answers for some files in a process of
    its own, and the file takes its place only when it gives the same probabilities as this program.

    Args:
        source: the model file of a run, or one opened from disk.
        target: ends in ``.keras``.
        samples: image files to compare on, beside made ones of kinds that are easily read in another way. Those that
            cannot be read, and those too large to be decoded in full here, are passed over.
        context: ``report`` is told ``StageStarted(EXPORT)`` and ``Progress``; *cancel* leaves nothing behind.
        replace: whether an existing file may be replaced; ask first.
        class_names: for a source that carries none.
        input_range: which values the source's network takes, for one made elsewhere that does not say it. It becomes
            part of the network: what is written takes RGB 0–255.

    Returns:
        What the exported file says of itself.

    Raises:
        StorageError: ``target`` exists and ``replace`` is false, the disk is full, or the folder may not be written to.
        ModelFileError: ``source`` cannot be loaded or has no class names, ``target`` does not end in ``.keras``, or
            the script gives other probabilities or does not run.
        JobCancelled: the user cancelled.
    """
    check_ending(target)
    side_car = target.with_suffix(".json")
    if not replace:
        refuse_existing(target, side_car)
    context.report(StageStarted(Stage.EXPORT, _STEPS))
    model, facts = load_model(source, input_range=input_range)
    if facts.input_range is None:
        context.report(InputRangeUnknown(source.name))
    if class_names:
        from cnn_studio.ml.model_file import class_count, with_class_names

        facts = with_class_names(facts, class_names, class_count(model))
    if not facts.class_names:
        raise ModelFileError(
            f"{source.name} carries no class names, so an exported model could not say what it sees.",
            hint="Give it class names first (on the command line with --class-names).",
            path=source,
        )
    context.report(Progress(Stage.EXPORT, 1, _STEPS, unit="steps"))
    context.cancel.raise_if_cancelled()
    with replacing(side_car) as description, replacing(target) as part:
        facts = write_archive(model, part, facts)
        description.write_text(description_text(facts, target.name), encoding="utf-8")
        context.report(Progress(Stage.EXPORT, 2, _STEPS, unit="steps"))
        context.cancel.raise_if_cancelled()
        difference = _largest_difference(model, facts, part, samples, context)
        if not difference <= (
            LARGEST_DIFFERENCE_ON_GPU if runtime.computes_on_gpu() else LARGEST_DIFFERENCE
        ):  # so a NaN fails too
            raise ModelFileError(
                f"The exported file gives other probabilities than the model here (by up to {difference:.2g}), "
                "so it was not kept.",
                hint="Please report this with the run's folder.",
                path=target,
            )
        context.cancel.raise_if_cancelled()
    context.report(Progress(Stage.EXPORT, _STEPS, _STEPS, unit="steps"))
    return facts


def _largest_difference(
    model: Any, facts: ModelFacts, exported: Path, samples: Sequence[Path], context: JobContext
) -> float:
    """Between probabilities given here and by the script, over samples and made pictures."""
    with tempfile.TemporaryDirectory() as folder:
        made = write_sample_pictures(Path(folder), 3 * facts.height // 2, 2 * facts.width)
        pictures, ours = [], []
        for path in [*samples, *made]:
            with suppress(ImageError):
                if is_decoded_in_full(path, facts.height, facts.width):
                    image = read_image(path, facts.height, facts.width, facts.fit)
                    ours.append(np.asarray(model.predict_on_batch(image[np.newaxis]))[0])
                    pictures.append(path)
        theirs = answers_of_script(usage_snippet(facts, str(exported)), pictures, context.cancel)
    return float(np.abs(theirs - np.stack(ours)).max())


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
        "versions": facts.versions or {},  # KERAS_AT_LEAST among them
        "usage": usage_snippet(facts, file_name),
    }
    return json.dumps(description, indent=2) + "\n"


def _literal(text: str) -> str:
    """A text as Python writes it, in double quotes as the rest of the script."""
    return json.dumps(text, ensure_ascii=not text.isprintable())


def usage_snippet(facts: ModelFacts, file_name: str) -> str:
    """A script that classifies images with plain Keras and Pillow; the way to the pixels is that of this program.

    Args:
        facts: of the exported file.
        file_name: how the script names it.
    """
    names = ",\n    ".join(map(_literal, facts.class_names))
    constant, check = "", ""
    if facts.threshold:
        constant = f"NOT_SURE_BELOW = {facts.threshold!r}  # a picture of something else gets no class forced on it\n"
        check = """
        if probabilities.max() < NOT_SURE_BELOW:
            print("not sure; the most likely classes are")"""
    keras_wanted = (facts.versions or {}).get(KERAS_AT_LEAST, "3")
    return f'''\
"""Classify pictures: python classify.py PICTURE ...

It needs: pip install "keras>={keras_wanted}" tensorflow "pillow>=10.1"
"""

import sys

import keras
{_recipe_text(facts.fit)}

CLASS_NAMES = [
    {names},
]
{constant}model = keras.models.load_model({_literal(file_name)})


def classify(path):
    """The probability of each class, in the order of CLASS_NAMES."""
    with Image.open(path) as file:
        picture = eight_bits(ImageOps.exif_transpose(file), file.format)
    picture = {_FITS[facts.fit].__name__}(picture, width={facts.width}, height={facts.height}).convert("RGB")
    batch = np.asarray(picture)[np.newaxis]  # raw RGB, 0-255: the model does the rest
    return model.predict(batch, verbose=0)[0]


if __name__ == "__main__":
    for path in sys.argv[1:]:
        probabilities = classify(path){check}
        for label in probabilities.argsort()[::-1][:5]:
            print(f"{{CLASS_NAMES[label]}}: {{probabilities[label]:.6f}}")
'''


def _recipe_text(fit: Fit) -> str:
    """The text of ``core.image.recipe`` without its docstring and the fits that are not wanted."""
    text = inspect.getsource(recipe).partition('"""\n\n')[2]
    for other, function in _FITS.items():
        if other is not fit:
            text = text.replace(inspect.getsource(function), "")
    return text.strip() + "\n"
