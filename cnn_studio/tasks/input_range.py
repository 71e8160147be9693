"""Trying which range of values a network made elsewhere takes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from cnn_studio.core.data.dataset import Dataset, some_of_each_class
from cnn_studio.core.errors import ModelFileError
from cnn_studio.core.evaluation.input_range import InputRange, RangeTrial
from cnn_studio.core.evaluation.model_facts import ModelFacts
from cnn_studio.core.job.events import Progress, Stage, StageStarted
from cnn_studio.core.job.jobs import JobContext, ignore_reports
from cnn_studio.tasks.loaded import load, named
from cnn_studio.tasks.measuring import ask_about

_TRIED_ON = 64
"""Pictures of known classes that each range is tried on, at most."""


@dataclass(frozen=True, slots=True)
class RangesRequest:
    """What does a network say of some pictures when it is given each range of values?

    Attributes:
        model: a model file.
        pictures: image files, each with its class; "" where that is not known. Those that cannot be read are left out.
        class_names: for a file that carries none.
    """

    model: Path
    pictures: tuple[tuple[Path, str], ...]
    class_names: tuple[str, ...] | None = None


def try_input_ranges(request: RangesRequest, context: JobContext) -> tuple[RangeTrial, ...]:
    """A trial of each range on the same pictures, with the answer to each of them.

    Raises:
        ModelFileError: the model cannot be used.
    """
    import numpy as np

    from cnn_studio.core.image.decoder import ImageError, read_image

    # Whatever the file says: what is asked is how it would be with each.
    model, facts = load(request.model, context, request.class_names, InputRange.BYTES)
    facts = named(facts)
    images, labels = [], []
    for path, name in request.pictures:
        context.cancel.raise_if_cancelled()
        try:
            images.append(read_image(path, facts.height, facts.width, facts.fit))
        except ImageError:
            continue
        labels.append(facts.class_names.index(name) if name in facts.class_names else -1)
    if not images:
        return tuple(map(RangeTrial, InputRange))
    given = np.stack(images)
    trials = []
    context.report(StageStarted(Stage.PREDICT, len(InputRange)))
    for input_range, ranged in _in_each_range(model):
        context.cancel.raise_if_cancelled()
        answers = np.asarray(ranged.predict_on_batch(given))
        trials.append(_trial(input_range, answers, np.asarray(labels, np.int32), facts))
        context.report(Progress(Stage.PREDICT, len(trials), len(InputRange), unit="steps"))
    return tuple(trials)


def try_on(model: Any, facts: ModelFacts, dataset: Dataset, context: JobContext) -> tuple[RangeTrial, ...]:
    """A trial of each range on some pictures of each class of a data set.

    Args:
        model: as it is loaded when nothing is known, so that it is given RGB 0–255.
        facts: of the model, with class names.
        dataset: with the model's labels.
        context: *cancel* raises.
    """
    sample = replace(dataset, files=some_of_each_class(dataset, _TRIED_ON))
    quiet = context.reporting_to(ignore_reports)
    trials = []
    for input_range, ranged in _in_each_range(model):
        answers = ask_about(ranged, facts, sample, quiet)
        trial = _trial(input_range, answers.said.probabilities, answers.labels, facts)
        trials.append(replace(trial, answers=()))
    return tuple(trials)


def _in_each_range(model: Any) -> Iterator[tuple[InputRange, Any]]:
    from cnn_studio.ml.input_range import with_input_range

    for input_range in InputRange:
        yield input_range, with_input_range(model, input_range)


def _trial(input_range: InputRange, probabilities: Any, labels: Any, facts: ModelFacts) -> RangeTrial:
    """Args: ``probabilities`` (n, classes), ``labels`` (n,), −1 where the class is not known."""
    import numpy as np

    from cnn_studio.core.evaluation.measured import cross_entropy, logits_of, mean_loss

    known = labels >= 0
    right = (probabilities.argmax(axis=1) == labels) & np.isfinite(probabilities).all(axis=1)
    loss = mean_loss(cross_entropy(logits_of(probabilities[known]), labels[known]))
    best = probabilities.argmax(axis=1)
    return RangeTrial(
        input_range,
        images=int(known.sum()),
        right=int(right[known].sum()),
        loss=loss if np.isfinite(loss) else float("inf"),
        answers=tuple(
            (facts.class_names[label], float(row[label])) for label, row in zip(best, probabilities, strict=True)
        ),
    )


@dataclass(frozen=True, slots=True)
class KeepRangeRequest:
    """Keep in a file made elsewhere which values its network takes."""

    model: Path
    input_range: InputRange


def keep_input_range(request: KeepRangeRequest, context: JobContext) -> None:  # noqa: ARG001 -- a job's shape
    """Write into a model file which values its network takes; the network stays as it is, byte for byte.

    Raises:
        ModelFileError: the file cannot carry it, as HDF5 files cannot.
        StorageError: the disk is full or the folder may not be written to.
    """
    from cnn_studio.ml.model_file import read_facts, rewrite_facts

    facts = read_facts(request.model)
    if facts.made_here and facts.input_range is not None:
        raise ModelFileError(f"{request.model.name} was written by cnn_studio and says already what it takes.")
    rewrite_facts(request.model, replace(facts, input_range=request.input_range))
