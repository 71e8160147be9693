"""``cnn-studio runs``: what was trained, and what became of it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from cnn_studio.cli.console import Face
from cnn_studio.cli.models import AsJson
from cnn_studio.core import paths
from cnn_studio.core.errors import StorageError
from cnn_studio.core.runs.run import Run, RunState, list_runs
from cnn_studio.core.runs.trained import ENDED_TEXT

_STATE_TEXT = {
    RunState.TRAINING: "being trained",
    RunState.TRAINING_ELSEWHERE: "being trained",
    RunState.INTERRUPTED: "interrupted",
    RunState.FAILED: "failed",
    RunState.DAMAGED: "damaged: its run.json cannot be read",
}


def runs(
    folder: Annotated[
        Path | None, typer.Argument(help="Holds the folders of runs; where the window keeps them when not given.")
    ] = None,
    as_json: AsJson = False,
) -> int:
    """List the runs in a folder, the latest first, with what became of each."""
    face = Face(as_json=as_json)
    parent = folder or paths.data_dir() / "runs"
    if folder is not None and not folder.is_dir():
        raise StorageError(f"There is no folder {folder}.", hint="Check the name.", path=folder)
    found = list_runs(parent)
    for run in found:
        if as_json:
            face.print_json(run_values(run))
        else:
            face.say(_line(run))
    if not found:
        face.say(f"There are no runs in {parent}.")
    return 0


def run_values(run: Run) -> dict[str, Any]:
    """A run as a JSON-ready object."""
    return {
        "run": str(run.folder),
        "state": run.state(),
        "created": run.created,
        "data_name": run.data_name,
        "architecture": run.architecture,
        "class_names": list(run.class_names),
        "metrics": run.metrics,
        "ended": run.ended,
        "failure": run.failure.kind if run.failure else None,
        "model": str(run.model) if run.model.exists() else None,
        "recoverable": run.status != "damaged" and not run.model.exists() and run.checkpoint.exists(),
    }


def _line(run: Run) -> str:
    state = run.state()
    became = ENDED_TEXT[run.ended] if run.ended else _STATE_TEXT[state]
    if run.failure:
        became = f"{became}: {run.failure.text()}"
    if run.ended and not run.model.exists():
        became = f"{became}; its model is gone"
    accuracy = f", validation accuracy {run.metrics['val_accuracy']:.3f}" if "val_accuracy" in run.metrics else ""
    what = f"{run.architecture} on {run.data_name}: " if run.architecture else ""
    return f"{run.folder.name}: {what}{became}{accuracy}"
