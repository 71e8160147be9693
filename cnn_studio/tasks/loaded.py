"""The model that was used last stays loaded: the next job on the same file starts at once."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from cnn_studio.core.errors import ModelFileError
from cnn_studio.core.evaluation.model_facts import ModelFacts
from cnn_studio.core.job.jobs import Report


@lru_cache(maxsize=1)
def _load_once(path: Path, modified_ns: int, size: int, inode: int) -> tuple[Any, ModelFacts]:  # noqa: ARG001 -- the key: a changed file loads anew
    from cnn_studio.ml.model_file import class_count, load_model

    model, facts = load_model(path)
    return model, replace(facts, outputs=class_count(model))


def load(path: Path, report: Report, class_names: tuple[str, ...] | None = None) -> tuple[Any, ModelFacts]:
    """The Keras model in ``path``, loaded once while the file stays the same, and its facts.

    Where the file carries no class names, ``class_names`` are taken.

    Raises:
        ModelFileError: the model cannot be used, or ``class_names`` are not as many as its outputs.
    """
    from cnn_studio.ml import runtime
    from cnn_studio.ml.model_file import with_class_names

    runtime.start(report)
    try:
        status = path.stat()
    except OSError as error:
        raise ModelFileError(f"There is no model file {path}.", path=path) from error
    model, facts = _load_once(path.resolve(), status.st_mtime_ns, status.st_size, status.st_ino)
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
