"""Writing down what was measured, to be handed in or mailed."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cnn_studio.core.atomic_file import refuse_existing, write_text
from cnn_studio.core.job.events import Progress, Stage, StageStarted
from cnn_studio.core.job.jobs import JobContext
from cnn_studio.core.runs import run as runs

if TYPE_CHECKING:
    from cnn_studio.core.evaluation.html_page import RunRecord
    from cnn_studio.core.evaluation.measured import Measured


@dataclass(frozen=True, slots=True)
class ReportRequest:
    """Write what was measured as an HTML page; an existing file is replaced only when ``replace`` says so."""

    measured: Measured
    target: Path
    replace: bool = False


def write_report(request: ReportRequest, context: JobContext) -> Path:
    """Write one HTML page with figures, curves, confusion matrix and galleries, which needs no other file.

    Returns:
        The page.

    Raises:
        StorageError: the target exists, or cannot be written.
        ModelFileError: the model's file is gone or damaged.
    """
    from cnn_studio.core.evaluation.html_page import report_page
    from cnn_studio.ml.model_file import read_facts

    if not request.replace:
        refuse_existing(request.target)
    context.report(StageStarted(Stage.REPORT))

    def on_picture(done: int, total: int) -> None:
        context.cancel.raise_if_cancelled()
        context.report(Progress(Stage.REPORT, done, total, unit="pictures"))

    page = report_page(
        request.measured, read_facts(request.measured.model), _record(request.measured.model), on_picture
    )
    context.cancel.raise_if_cancelled()
    write_text(request.target, page)
    return request.target


def _record(model: Path) -> RunRecord | None:
    """History and settings of the run a model is of; what cannot be read of them is left out."""
    from cnn_studio.core.evaluation.html_page import RunRecord

    run = runs.run_of_model(model)
    if run is None:
        return None
    try:
        with run.history.open(encoding="utf-8", newline="") as file:
            history = tuple(csv.DictReader(file))
    except (OSError, ValueError):
        history = ()
    try:
        settings = (run.folder / "experiment.toml").read_text(encoding="utf-8")
    except (OSError, ValueError):
        settings = ""
    return RunRecord(history, settings)
