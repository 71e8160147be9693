"""The model that was used last stays loaded: the next job on the same file starts at once."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from cnn_studio.core.evaluation.class_name_file import ClassNamesFound, class_names_beside
from cnn_studio.core.evaluation.input_range import InputRange, InputRangeUnknown
from cnn_studio.core.evaluation.model_facts import ModelFacts
from cnn_studio.core.job.jobs import JobContext, Report

_Key = tuple[Path, int, int, int]  # a changed file loads anew
_last: tuple[_Key, InputRange | None, Any, ModelFacts] | None = None


def load(
    path: Path,
    context: JobContext,
    class_names: tuple[str, ...] | None = None,
    input_range: InputRange | None = None,
) -> tuple[Any, ModelFacts]:
    """The Keras model in ``path``, loaded once while the file stays the same, and its facts.

    Where the file carries no class names, ``class_names`` are taken; ``input_range`` are the values that a network made
    elsewhere takes, see ``load_model``.

    Raises:
        ModelFileError: the model cannot be used, or ``class_names`` are not as many as its outputs.
        JobCancelled: the user cancelled.
    """
    global _last  # noqa: PLW0603 -- one model stays in memory, whoever asks
    from cnn_studio.ml.model_inspection import missing_model

    try:
        status = path.stat()
    except OSError as error:
        raise missing_model(path) from error
    from cnn_studio.ml import runtime
    from cnn_studio.ml.model_file import class_count, load_model, with_class_names

    def start() -> None:
        runtime.start(context.report)

    key = (path.resolve(), status.st_mtime_ns, status.st_size, status.st_ino)
    if _last is not None and _last[0] == key and _takes(_last[1], _last[3], input_range):
        start()
    else:
        _last = None  # its memory is free before the next one is loaded
        model, facts = load_model(path, context.cancel, start, input_range)
        _last = (key, input_range, model, replace(facts, outputs=class_count(model)))
    _, _, model, facts = _last
    if input_range:
        facts = replace(facts, input_range=input_range)
    if not class_names and not facts.class_names and (found := class_names_beside(path, facts.class_count)):
        context.report(ClassNamesFound(path.name, str(found[0]), found[1]))
    if class_names:
        facts = with_class_names(facts, class_names, facts.class_count)
    return model, facts


def _takes(asked: InputRange | None, facts: ModelFacts, wanted: InputRange | None) -> bool:
    """Whether a model that was loaded for the range ``asked`` takes ``wanted``; without either the file decides."""
    return asked is wanted or wanted is (facts.input_range or InputRange.BYTES)


def named(facts: ModelFacts) -> ModelFacts:
    """The facts with numbers for names where there are none."""
    return (
        facts
        if facts.class_names
        else replace(facts, class_names=tuple(f"class {number}" for number in range(1, facts.class_count + 1)))
    )


def tell_doubt(facts: ModelFacts, path: Path, report: Report) -> None:
    """Report it where nothing says which values the network in ``path`` takes."""
    if facts.input_range is None:
        report(InputRangeUnknown(path.name))
