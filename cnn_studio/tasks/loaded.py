"""The model that was used last stays loaded: the next job on the same file starts at once."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from cnn_studio.core.evaluation.model_facts import ModelFacts
from cnn_studio.core.job.jobs import JobContext

_Key = tuple[Path, int, int, int]  # a changed file loads anew
_last: tuple[_Key, Any, ModelFacts] | None = None


def load(path: Path, context: JobContext, class_names: tuple[str, ...] | None = None) -> tuple[Any, ModelFacts]:
    """The Keras model in ``path``, loaded once while the file stays the same, and its facts.

    Where the file carries no class names, ``class_names`` are taken.

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
    if _last is not None and _last[0] == key:
        start()
    else:
        _last = None  # its memory is free before the next one is loaded
        model, facts = load_model(path, context.cancel, start)
        _last = (key, model, replace(facts, outputs=class_count(model)))
    _, model, facts = _last
    if class_names:
        facts = with_class_names(facts, class_names, facts.class_count)
    return model, facts


def named(facts: ModelFacts) -> ModelFacts:
    """The facts with numbers for names where there are none."""
    return (
        facts
        if facts.class_names
        else replace(facts, class_names=tuple(f"class {number}" for number in range(1, facts.class_count + 1)))
    )
