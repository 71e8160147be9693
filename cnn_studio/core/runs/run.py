"""A run is a folder: what was asked for, what it was trained on, how it went, and the model.

============================  ================================================================
``experiment.toml``           every setting; ``--experiment`` takes it
``manifest.csv``              path, class and split of every image used
``history.csv``               one line per epoch
``best.weights.h5``           the best weights so far, while it trains and after a crash
``model.keras``               the best model, once training has ended
``model.uncalibrated.keras``  the same as it was before it was calibrated
``evaluation-….npz``          what the model said of each image it was measured on
``run.json``                  what it is, how it ended, its figures; written first and last
``training.lock``             while it trains: held by the process that does
============================  ================================================================
"""

from __future__ import annotations

import csv
import json
import shutil
from collections import Counter
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

from cnn_studio.core.atomic_file import csv_rows, write_text
from cnn_studio.core.data.dataset import Dataset
from cnn_studio.core.data.image_file import Split
from cnn_studio.core.data.split import SplitAssignment
from cnn_studio.core.data.split_file import split_csv
from cnn_studio.core.errors import CnnStudioError, StorageError
from cnn_studio.core.experiment.experiment import Experiment, experiment_to_toml, read_experiment
from cnn_studio.core.runs.failure import Failure, FailureKind, failure_of
from cnn_studio.core.runs.trained import Ended
from cnn_studio.core.runs.training_lock import LOCK_NAME, is_held, is_held_here
from cnn_studio.core.text import parsed_json


class RunStatus(StrEnum):
    """How far a run came, as its file says; ``Run.state`` tells one that is running from one that was interrupted."""

    RUNNING = "running"
    FINISHED = "finished"
    FAILED = "failed"
    DAMAGED = "damaged"  # of what ``list_runs`` could not read; stands in no file


class RunState(StrEnum):
    """What is the matter with a run at this moment."""

    TRAINING = "training"
    TRAINING_ELSEWHERE = "training_elsewhere"
    INTERRUPTED = "interrupted"
    FINISHED = "finished"
    FAILED = "failed"
    DAMAGED = "damaged"


_STATE = {
    RunStatus.RUNNING: RunState.INTERRUPTED,  # when nobody holds its lock
    RunStatus.FINISHED: RunState.FINISHED,
    RunStatus.FAILED: RunState.FAILED,
    RunStatus.DAMAGED: RunState.DAMAGED,
}

MODEL_NAME = "model.keras"

_LARGEST_RECORD = 16 * 1024**2
"""Bytes of a ``run.json``: 10,000 long class names take one million."""


@dataclass(frozen=True, slots=True)
class Run:
    """A run's folder and what its ``run.json`` says.

    Attributes:
        folder: where it is.
        status: how far it came.
        data_name: name of the data set's folder.
        data_root: where the images were.
        class_names: in label order.
        created: ISO 8601 time, UTC.
        architecture: the preset it started from.
        metrics: figures of the best model, accuracies 0–1; empty until it has finished.
        ended: how a finished one came to its end.
        failure: why a failed one did.
    """

    folder: Path
    status: RunStatus
    data_name: str
    data_root: str
    class_names: tuple[str, ...]
    created: str
    architecture: str
    metrics: dict[str, float]
    ended: Ended | None = None
    failure: Failure | None = None

    @property
    def checkpoint(self) -> Path:
        """The best weights so far."""
        return self.folder / "best.weights.h5"

    @property
    def model(self) -> Path:
        """The best model, once training has ended."""
        return self.folder / MODEL_NAME

    @property
    def history(self) -> Path:
        """Figures per epoch."""
        return self.folder / "history.csv"

    def state(self) -> RunState:
        """What is the matter with it at this moment; asks the disk whether another process is training it."""
        if is_held_here(self.folder):
            return RunState.TRAINING
        return RunState.TRAINING_ELSEWHERE if is_held(self.folder) else _STATE[self.status]

    def is_being_trained(self) -> bool:
        """Whether somebody, here or elsewhere, is training it at this moment."""
        return self.state() in {RunState.TRAINING, RunState.TRAINING_ELSEWHERE}

    def experiment(self) -> Experiment:
        """The settings it was started with.

        Raises:
            ExperimentError: the file is gone or damaged.
        """
        return read_experiment(self.folder / "experiment.toml")


def refuse_used(folder: Path) -> None:
    """Make sure that a folder for one run or several is new, or empty but for the lock of who is to train there.

    Raises:
        StorageError: it is not.
    """
    if folder.exists() and (not folder.is_dir() or any(file.name != LOCK_NAME for file in folder.iterdir())):
        raise StorageError(
            f"{folder} exists already and is not empty.",
            hint="Name a new folder; an earlier run is never overwritten.",
            path=folder,
        )


def create_run(folder: Path, dataset: Dataset, assignment: SplitAssignment, experiment: Experiment) -> Run:
    """Begin a run in a new folder.

    Raises:
        StorageError: the folder exists and is not empty, or cannot be written.
    """
    refuse_used(folder)
    run = Run(
        folder=folder,
        status=RunStatus.RUNNING,
        data_name=dataset.name,
        data_root=str(dataset.root),
        class_names=dataset.class_names,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        architecture=experiment.architecture.name,
        metrics={},
    )
    write_text(folder / "experiment.toml", experiment_to_toml(experiment))
    write_text(folder / "manifest.csv", split_csv(dataset, assignment))
    return _written(run)


def finish_run(run: Run, metrics: dict[str, float], ended: Ended) -> Run:
    """Write down how the run ended, with its model's figures."""
    return _written(replace(run, status=RunStatus.FINISHED, metrics=metrics, ended=ended))


def fail_run(run: Run, error: Exception) -> Run:
    """Write down what ended the run."""
    return _written(replace(run, status=RunStatus.FAILED, failure=failure_of(error)))


def discard_run(run: Run) -> None:
    """Remove the run's folder and everything in it."""
    shutil.rmtree(run.folder, ignore_errors=True)


def read_run(folder: Path) -> Run:
    """Read a run's folder.

    Raises:
        CnnStudioError: it is not a run's folder, or its run.json is damaged.
    """
    if not (folder / "run.json").exists():
        if not folder.exists():
            raise CnnStudioError(f"There is no folder {folder}.", hint="Check the name.", path=folder)
        raise CnnStudioError(
            f"{folder} is not the folder of a run.",
            hint="Name a folder that `cnn-studio train … --out FOLDER` or the window has made.",
            path=folder,
        )
    try:
        values = _record(folder / "run.json")
        status, detail = RunStatus(values["status"]), values["detail"]
        _check(values)
        return Run(
            folder=folder,
            status=status,
            data_name=values["data_name"],
            data_root=values["data_root"],
            class_names=tuple(values["class_names"]),
            created=values["created"],
            architecture=values["architecture"],
            metrics={name: float(figure) for name, figure in values["metrics"].items()},
            ended=Ended(detail) if status is RunStatus.FINISHED else None,
            failure=_failure(detail, values.get("error", "")) if status is RunStatus.FAILED else None,
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
        raise CnnStudioError(
            f"The run in {folder} is damaged: its run.json cannot be read.",
            hint="Its model.keras, if there is one, can still be opened as a file.",
            path=folder,
        ) from error


def _record(file: Path) -> dict[str, Any]:
    """What a ``run.json`` holds, unchecked."""
    if not file.is_file() or file.stat().st_size > _LARGEST_RECORD:
        raise ValueError("no file, or none of ours")
    values: dict[str, Any] = parsed_json(file.read_text(encoding="utf-8", errors="surrogateescape"))
    return values


def _check(values: dict[str, Any]) -> None:
    """Refuse a record whose texts are none, whose time is none that can be shown, or whose accuracies are none."""
    names, metrics = values["class_names"], values["metrics"]
    texts = [values[key] for key in ("data_name", "data_root", "architecture", "created")]
    if not isinstance(names, list) or not all(isinstance(text, str) for text in (*texts, *names)):
        raise TypeError("what must be text is none")
    datetime.fromisoformat(values["created"]).astimezone()
    if not all(0 <= figure <= 1 for name, figure in metrics.items() if "accuracy" in name):
        raise ValueError("an accuracy is none")


def list_runs(parent: Path) -> list[Run]:
    """Every run in ``parent``, the latest first, damaged ones too; folders that are not runs are passed over."""
    runs = []
    for summary in parent.glob("*/run.json"):
        try:
            runs.append(read_run(summary.parent))
        except CnnStudioError:
            if damaged := _damaged(summary):
                runs.append(damaged)
    return sorted(runs, key=lambda run: run.created, reverse=True)


def _damaged(summary: Path) -> Run | None:
    """What can be said of a run whose record cannot be read: where and when it was written; None if it is gone."""
    try:
        written = datetime.fromtimestamp(summary.lstat().st_mtime, UTC)
    except (OSError, ValueError, OverflowError):
        return None
    return Run(summary.parent, RunStatus.DAMAGED, "", "", (), written.isoformat(timespec="seconds"), "", {})


def new_run_folder(parent: Path, *words: str) -> Path:
    """A folder name that is not taken and says when and what: ``2026-11-22 21.05.17 flowers small_cnn``."""
    stamp = datetime.now().astimezone().strftime("%Y-%m-%d %H.%M.%S")
    return free_folder(parent / " ".join([stamp, *(word[:60] for word in words)]))


def free_folder(wanted: Path) -> Path:
    """``wanted`` or, where that is taken, the same name with a number."""
    folder = wanted
    number = 2
    while folder.exists():
        folder = wanted.with_name(f"{wanted.name} {number}")
        number += 1
    return folder


def read_manifest(run: Run) -> list[tuple[str, str, Split]]:
    """The images a run used: path relative to its data's root, class name, split.

    Raises:
        CnnStudioError: the file is gone or damaged.
    """
    try:
        known = {name: name for name in run.class_names}
        with (run.folder / "manifest.csv").open(encoding="utf-8", errors="surrogateescape", newline="") as file:
            return [(row["path"], known[row["class"]], Split(row["split"])) for row in csv_rows(file)]
    except (OSError, ValueError, KeyError, csv.Error) as error:
        raise CnnStudioError(
            f"The run in {run.folder} is damaged: its list of images, manifest.csv, cannot be read.",
            hint="Its model still works; measure it on a folder.",
            path=run.folder,
        ) from error


def run_of_model(model: Path) -> Run | None:
    """The run whose model a file is, or None when it is not a run's, or that of one that is damaged."""
    try:
        return undamaged_run_of(model)
    except CnnStudioError:
        return None


def undamaged_run_of(model: Path) -> Run | None:
    """The run whose model a file is, or None when it is not a run's.

    Raises:
        CnnStudioError: it is that of a run that is damaged.
    """
    if not (model.parent / "run.json").exists():
        return None
    run = read_run(model.parent)
    return run if run.model.name == model.name else None


def measurable_splits(model: Path) -> dict[Split, int]:
    """How many images of each split a run's model was not trained on; empty for a file that is not a run's."""
    run = run_of_model(model)
    if run is None:
        return {}
    try:
        counts = Counter(split for _, _, split in read_manifest(run))
    except CnnStudioError:
        return {}
    return {split: counts[split] for split in (Split.VALIDATION, Split.TEST) if counts[split]}


def _failure(detail: str, error: str) -> Failure:
    if detail in set(FailureKind):
        return Failure(FailureKind(detail), error)
    return Failure(FailureKind.OTHER, said=detail)  # earlier versions wrote a sentence


def _written(run: Run) -> Run:
    values = {
        "status": run.status,
        "data_name": run.data_name,
        "data_root": run.data_root,
        "class_names": run.class_names,
        "created": run.created,
        "architecture": run.architecture,
        "metrics": run.metrics,
        "detail": run.ended or (run.failure.kind if run.failure else ""),
        "error": run.failure.error if run.failure else "",
    }
    write_text(run.folder / "run.json", json.dumps(values, indent=2, ensure_ascii=False) + "\n")
    return run
