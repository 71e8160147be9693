import errno
import json
import os
from datetime import datetime

import pytest

from cnn_studio.core.atomic_file import replacing
from cnn_studio.core.data.dataset import Dataset
from cnn_studio.core.data.image_file import ImageFile, Split
from cnn_studio.core.data.split import split_dataset
from cnn_studio.core.errors import CnnStudioError, ModelFileError, StorageError, TooLittleMemoryError, TrainingError
from cnn_studio.core.experiment.experiment import Experiment
from cnn_studio.core.runs import run as runs
from cnn_studio.core.runs.failure import FailureKind
from cnn_studio.core.runs.trained import ENDED_TEXT, Ended
from cnn_studio.core.runs.training_lock import LOCK_NAME


@pytest.fixture
def dataset(tmp_path):
    files = tuple(
        ImageFile(f"{name}/ñ {number}, “{number}”.png", label, 8, 8, False, 100, 1)
        for label, name in enumerate(("cat", "dog"))
        for number in range(10)
    )
    return Dataset(tmp_path / "pets", ("cat", "dog"), files)


@pytest.fixture
def run(tmp_path, dataset):
    experiment = Experiment()
    return runs.create_run(tmp_path / "run", dataset, split_dataset(dataset, experiment.split), experiment)


def rewrite(run, **changes):
    """Change values of ``run.json``, as written before the key "error" was in it."""
    values = json.loads((run.folder / "run.json").read_text(encoding="utf-8"))
    del values["error"]
    (run.folder / "run.json").write_text(json.dumps(values | changes), encoding="utf-8")


def test_a_run_reads_back_as_it_was_written(run):
    assert runs.read_run(run.folder) == run
    assert run.experiment() == Experiment()
    ended = runs.finish_run(run, {"val_accuracy": 0.5}, Ended.STOPPED)
    assert runs.read_run(run.folder) == ended
    assert ended.metrics == {"val_accuracy": 0.5}


@pytest.mark.parametrize(
    ("error", "kind", "text"),
    [
        (TooLittleMemoryError("A batch does not fit."), FailureKind.MEMORY, "there was not enough memory"),
        (StorageError("You may not write."), FailureKind.STORAGE, "a file could not be written"),
        (TrainingError("The loss became nan."), FailureKind.TRAINING, "training could not go on"),
        (ModelFileError("It is damaged."), FailureKind.OTHER, "it could not be completed (ModelFileError)"),
        (KeyError("gone"), FailureKind.UNEXPECTED, "an error that should not happen (KeyError)"),
    ],
)
def test_a_failure_is_kept_as_a_code(run, error, kind, text):
    failed = runs.fail_run(run, error)
    assert runs.read_run(run.folder) == failed
    assert (failed.failure.kind, failed.failure.text()) == (kind, text)
    assert str(error) not in (run.folder / "run.json").read_text(encoding="utf-8")


def test_a_full_disk_is_told_from_a_forbidden_folder(run):
    with pytest.raises(StorageError) as caught, replacing(run.folder / "model.keras"):
        raise OSError(errno.ENOSPC, "No space left on device")
    assert runs.fail_run(run, caught.value).failure.kind is FailureKind.DISK_FULL


@pytest.mark.parametrize("detail", ["completed", "early_stopping", "stopped"])
def test_the_end_of_a_run_of_an_earlier_version_is_read(run, detail):
    rewrite(run, status="finished", detail=detail)
    assert runs.read_run(run.folder).ended.value == detail


def test_the_sentence_of_a_failure_in_an_earlier_version_is_told_as_it_is(run):
    rewrite(run, status="failed", detail="The disk is full: best.weights.h5 could not be written.")
    read = runs.read_run(run.folder)
    assert read.failure.text() == "The disk is full: best.weights.h5 could not be written."
    assert read.state() is runs.RunState.FAILED


def test_the_manifest_is_the_split_that_was_used(run, dataset):
    assignment = split_dataset(dataset, Experiment().split)
    expected = [
        (file.path, dataset.class_names[file.label], split)
        for file, split in zip(dataset.files, assignment.splits, strict=True)
    ]
    assert runs.read_manifest(run) == expected
    assert {split for _, _, split in expected} == set(Split)


def test_a_folder_with_something_in_it_is_never_taken(tmp_path, dataset):
    (tmp_path / "used").mkdir()
    (tmp_path / "used" / "thesis.txt").write_text("years of work", encoding="utf-8")
    with pytest.raises(StorageError, match="not empty"):
        runs.create_run(tmp_path / "used", dataset, split_dataset(dataset, Experiment().split), Experiment())
    assert [path.name for path in (tmp_path / "used").iterdir()] == ["thesis.txt"]


def test_runs_are_listed_latest_first_and_strangers_passed_over(tmp_path, dataset):
    for number, created in enumerate(("2026-01-01T00:00:00+00:00", "2026-03-01T00:00:00+00:00")):
        run = runs.create_run(tmp_path / str(number), dataset, split_dataset(dataset, Experiment().split), Experiment())
        rewrite(run, created=created)
    (tmp_path / "stranger").mkdir()
    assert [run.folder.name for run in runs.list_runs(tmp_path)] == ["1", "0"]


def test_what_is_no_run_is_told(tmp_path):
    with pytest.raises(CnnStudioError, match="not the folder of a run"):
        runs.read_run(tmp_path)


def test_two_runs_in_the_same_second_get_folders_of_their_own(tmp_path):
    first = runs.new_run_folder(tmp_path, "flowers", "small_cnn")
    first.mkdir()
    assert runs.new_run_folder(tmp_path, "flowers", "small_cnn") != first


def test_a_file_name_that_is_not_utf_8_survives(tmp_path):
    name = b"cat/\xff.png".decode("utf-8", "surrogateescape")
    dataset = Dataset(tmp_path, ("cat",), (ImageFile(name, 0, 8, 8, False, 1, 1),))
    run = runs.create_run(tmp_path / "run", dataset, split_dataset(dataset, Experiment().split), Experiment())
    assert runs.read_manifest(run)[0][0] == name


def test_a_folder_for_runs_must_be_new_or_empty(tmp_path):
    runs.refuse_used(tmp_path / "new")
    (tmp_path / "empty").mkdir()
    runs.refuse_used(tmp_path / "empty")
    (tmp_path / "empty" / LOCK_NAME).touch()  # of who is about to train there
    runs.refuse_used(tmp_path / "empty")
    (tmp_path / "a file").touch()
    (tmp_path / "used" / "earlier").mkdir(parents=True)
    for taken in ("a file", "used"):
        with pytest.raises(StorageError, match=rf"{taken} exists already and is not empty\. Name a new folder"):
            runs.refuse_used(tmp_path / taken)


def test_every_ending_has_words():
    assert set(ENDED_TEXT) == set(Ended)


GOOD = {
    "status": "finished",
    "data_name": "pets",
    "data_root": "/pets",
    "class_names": ["cat", "dog"],
    "created": "2026-11-28T10:00:00+00:00",
    "architecture": "small_cnn",
    "metrics": {"val_accuracy": 0.5},
    "detail": "completed",
}
DAMAGED = {
    "metrics null": json.dumps(GOOD | {"metrics": None}),
    "metrics a list": json.dumps(GOOD | {"metrics": [1]}),
    "a figure that is none": json.dumps(GOOD | {"metrics": {"val_loss": "low"}}),
    "accuracy no number": json.dumps(GOOD | {"metrics": {"val_accuracy": float("nan")}}),
    "accuracy beyond one": json.dumps(GOOD | {"metrics": {"test_accuracy": 91}}),
    "created empty": json.dumps(GOOD | {"created": ""}),
    "created a number": json.dumps(GOOD | {"created": 5}),
    "created at no time of this place": json.dumps(GOOD | {"created": "0001-01-01T00:00:00+14:00"}),
    "class names a text": json.dumps(GOOD | {"class_names": "cat"}),
    "class names numbers": json.dumps(GOOD | {"class_names": [1, 2]}),
    "data root a number": json.dumps(GOOD | {"data_root": 3}),
    "an unknown status": json.dumps(GOOD | {"status": "asleep"}),
    "an unknown ending": json.dumps(GOOD | {"detail": {}}),
    "a value missing": json.dumps({key: value for key, value in GOOD.items() if key != "data_name"}),
    "no object": "[1, 2]",
    "cut off": json.dumps(GOOD)[:90],
    "empty": "",
    "not text": b"\xff\xfe\x00",
    "brackets": "[" * 100_000,
}


@pytest.mark.parametrize("content", DAMAGED.values(), ids=DAMAGED)
def test_a_damaged_run_is_listed_as_such_and_hides_no_other(tmp_path, content):
    for name, text in (("good", json.dumps(GOOD)), ("bad", content)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "run.json").write_bytes(text if isinstance(text, bytes) else text.encode())
    found = {run.folder.name: run for run in runs.list_runs(tmp_path)}
    assert {name: run.state() for name, run in found.items()} == {"good": "finished", "bad": "damaged"}
    assert datetime.fromisoformat(found["bad"].created).tzinfo
    with pytest.raises(CnnStudioError, match=r"bad is damaged: its run\.json cannot be read"):
        runs.read_run(tmp_path / "bad")
    runs.discard_run(found["bad"])
    assert [path.name for path in tmp_path.iterdir()] == ["good"]


def test_a_record_that_is_no_ordinary_file_is_damaged_too(tmp_path):
    (tmp_path / "folder" / "run.json").mkdir(parents=True)
    (tmp_path / "huge").mkdir()
    with (tmp_path / "huge" / "run.json").open("wb") as file:
        file.truncate(64 * 1024**3)
    names = {"folder", "huge"}
    if hasattr(os, "mkfifo"):
        (tmp_path / "pipe").mkdir()
        os.mkfifo(tmp_path / "pipe" / "run.json")  # whoever opened it would wait for ever
        names.add("pipe")
    assert {run.folder.name for run in runs.list_runs(tmp_path) if run.status == "damaged"} == names


@pytest.mark.parametrize(
    "text",
    [
        "path,class,split\ncat/1.png,cow,test\n",
        "path,split\ncat/1.png,test\n",
        "path,class,split\ncat/1.png,cat,exam\n",
        "path,class,split\n\xff\x00",
    ],
)
def test_a_list_of_images_that_does_not_belong_to_the_run_is_damaged(run, text):
    (run.folder / "manifest.csv").write_text(text, encoding="latin-1")
    with pytest.raises(CnnStudioError, match=r"manifest\.csv, cannot be read"):
        runs.read_manifest(run)


def test_no_folder_is_not_called_one_of_no_run(tmp_path):
    with pytest.raises(CnnStudioError, match=r"There is no folder .*nothere"):
        runs.read_run(tmp_path / "nothere")
