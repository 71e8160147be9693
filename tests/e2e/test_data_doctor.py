"""Decisions, folds and likely label errors through the jobs and the command line, on a data set learnt in seconds."""

import csv
import json
import os
import shutil
import subprocess
import sys
from collections import Counter

import pytest
from PIL import Image

from cnn_studio import tasks
from cnn_studio.core.advice.suggestions import suggest_experiment
from cnn_studio.core.data.image_file import Split
from cnn_studio.core.data.split_file import with_split
from cnn_studio.core.errors import DatasetError, ExperimentError, ModelFileError, StorageError
from cnn_studio.core.experiment.experiment import experiment_to_toml, with_values
from cnn_studio.core.experiment.settings import Decisions, Fit
from cnn_studio.core.job import events
from cnn_studio.core.job.jobs import CancelToken, JobCancelled, JobContext
from cnn_studio.core.runs import run as runs

QUICK = {
    "architecture.blocks": [],
    "architecture.dense": [16],
    "architecture.dropout": 0.0,
    "image.height": 8,
    "image.width": 8,
    "training.epochs": 25,
    "training.batch_size": 8,
    "training.learning_rate": 0.003,
}
"""Colours told apart by a network without convolutions: one epoch takes milliseconds."""


def scanned(folder):
    return tasks.scan(folder, JobContext())


def settings_for(dataset, **changes):
    return with_values(suggest_experiment(dataset), QUICK | changes)


def run_command(*arguments):
    return subprocess.run(
        [sys.executable, "-m", "cnn_studio", *map(str, arguments)],
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=300,
        env=os.environ,
        check=False,
    )


@pytest.fixture
def mislabelled(blobs):
    """Two red pictures lie among the green ones and one blue among the red."""
    planted = {"green/red 3.png": "red", "green/red 7.png": "red", "red/blue 5.png": "blue"}
    for path, truth in planted.items():
        (blobs / truth / path.split("/")[1]).rename(blobs / path)
    return blobs, planted


# -- decisions -----------------------------------------------------------------------------------------------------


def test_training_honours_decisions_and_keeps_them(mislabelled, tmp_path):
    folder, planted = mislabelled
    dataset = scanned(folder)
    decisions = Decisions().leaving_out(["blue/blue 0.png"])
    for path, truth in planted.items():
        decisions = decisions.putting_into(truth, [path])
    experiment = settings_for(dataset, decisions=decisions.leaving_out(["gone.png"]).model_dump())
    told = []
    trained = tasks.train(tasks.TrainRequest(dataset, experiment, tmp_path / "run"), JobContext(told.append))
    run = runs.read_run(trained.run)
    classes = {path: name for path, name, _ in runs.read_manifest(run)}
    assert {path: classes[path] for path in planted} == planted
    assert "blue/blue 0.png" not in classes
    assert Counter(classes.values()) == {"red": 12, "green": 12, "blue": 11}
    assert run.experiment() == experiment
    assert sum(isinstance(event, events.Message) and "gone.png" in event.text for event in told) == 1
    assert (folder / "green" / "red 3.png").exists()


def test_the_fit_of_the_experiment_is_that_of_the_model(blobs, tmp_path):
    dataset = scanned(blobs)
    experiment = settings_for(dataset, **{"image.fit": "pad", "training.epochs": 1})
    trained = tasks.train(tasks.TrainRequest(dataset, experiment, tmp_path / "run"), JobContext())
    assert trained.facts.fit is Fit.PAD
    assert tasks.open_model(trained.model, JobContext()).fit is Fit.PAD
    trained.model.rename(tmp_path / "away.keras")
    shutil.copy(tmp_path / "away.keras", trained.run / "best.weights.h5")
    target = tmp_path / "out.keras"
    tasks.export(tasks.ExportRequest(tmp_path / "away.keras", target), JobContext())
    assert json.loads(target.with_suffix(".json").read_text(encoding="utf-8"))["input"]["fit"] == "pad"


def test_an_interrupted_run_keeps_its_fit(blobs, tmp_path):
    dataset = scanned(blobs)
    experiment = settings_for(dataset, **{"image.fit": "crop", "training.epochs": 1})

    def die(event):
        if isinstance(event, events.StageStarted) and event.stage is events.Stage.EVALUATE:
            raise RuntimeError("the power went")

    with pytest.raises(RuntimeError):
        tasks.train(tasks.TrainRequest(dataset, experiment, tmp_path / "run"), JobContext(die))
    assert tasks.recover(tmp_path / "run", JobContext()).fit is Fit.CROP


# -- cross-validation ----------------------------------------------------------------------------------------------


def test_cross_validation_tests_every_image_once_and_keeps_every_run(blobs, tmp_path):
    dataset = scanned(blobs)
    request = tasks.CrossValidateRequest(dataset, settings_for(dataset), tmp_path / "folds", folds=3)
    told = []
    validated = tasks.cross_validate(request, JobContext(told.append))
    assert len(validated.folds) == validated.asked == 3
    tested = Counter(
        path
        for trained in validated.folds
        for path, _, split in runs.read_manifest(runs.read_run(trained.run))
        if split is Split.TEST
    )
    assert tested == Counter(file.path for file in dataset.files)
    accuracies = [trained.test.accuracy for trained in validated.folds]
    assert validated.accuracy == pytest.approx(sum(accuracies) / 3)
    assert validated.accuracy_low <= validated.accuracy <= validated.accuracy_high
    assert validated.accuracy > 0.8
    assert sorted(path.name for path in (tmp_path / "folds").iterdir()) == ["fold 1", "fold 2", "fold 3", "folds.csv"]
    with (tmp_path / "folds" / "folds.csv").open(encoding="utf-8", newline="") as file:
        assert [float(row["accuracy"]) for row in csv.DictReader(file)] == pytest.approx(accuracies)
    assert [event.text for event in told if isinstance(event, events.Message) and "Fold" in event.text] == [
        "Fold 1 of 3.",
        "Fold 2 of 3.",
        "Fold 3 of 3.",
    ]
    with pytest.raises(StorageError, match="not empty"):
        tasks.cross_validate(request, JobContext())


@pytest.mark.parametrize("wish", ["stop", "cancel"])
def test_stop_keeps_the_folds_there_are_and_cancel_none(blobs, tmp_path, wish):
    dataset = scanned(blobs)
    token = CancelToken()

    def end_in_the_second_fold(event):
        if isinstance(event, events.EpochEnded) and (tmp_path / "folds" / "fold 2").exists():
            getattr(token, wish)()

    request = tasks.CrossValidateRequest(dataset, settings_for(dataset), tmp_path / "folds", folds=3)
    if wish == "cancel":
        with pytest.raises(JobCancelled):
            tasks.cross_validate(request, JobContext(end_in_the_second_fold, token))
        assert not (tmp_path / "folds").exists()
    else:
        validated = tasks.cross_validate(request, JobContext(end_in_the_second_fold, token))
        assert (len(validated.folds), validated.asked) == (2, 3)


# -- likely label errors -------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_planted_label_errors_are_found_by_cross_validation(mislabelled):
    folder, planted = mislabelled
    dataset = scanned(folder)
    request = tasks.LabelErrorRequest(dataset, settings_for(dataset), folds=3)
    review = tasks.find_label_errors(request, JobContext())
    assert review.images == 36
    assert {doubt.path: doubt.suggested for doubt in review.doubts[:3]} == planted
    assert len(review.doubts) <= 5
    assert review.expected == 3
    assert [doubt.chance for doubt in review.doubts] == sorted((doubt.chance for doubt in review.doubts), reverse=True)
    for doubt in review.doubts:
        assert doubt.given == doubt.path.split("/")[0]
        assert 0 <= doubt.given_probability < doubt.suggested_probability <= 1
    assert "3-fold" in review.method


def test_a_run_is_asked_about_the_images_it_was_not_trained_on(mislabelled, tmp_path):
    folder, planted = mislabelled
    held_out = {*planted, "green/green 1.png", "red/red 2.png", "blue/blue 3.png", "blue/blue 4.png"}
    sides = {path: Split.VALIDATION if path.startswith("blue") else Split.TEST for path in held_out}
    dataset, _ = with_split(scanned(folder), sides)
    experiment = settings_for(dataset)
    trained = tasks.train(tasks.TrainRequest(dataset, experiment, tmp_path / "run"), JobContext())
    request = tasks.LabelErrorRequest(dataset, experiment, trained.run)
    review = tasks.find_label_errors(request, JobContext())
    assert review.images == len(held_out)
    doubted = {doubt.path: doubt.suggested for doubt in review.doubts}
    # The third may be no surer than the mean of the two blue ones, and need not be doubted then.
    assert {"green/red 3.png": "red", "green/red 7.png": "red"}.items() <= doubted.items() <= planted.items()


@pytest.mark.slow
def test_an_image_that_was_decided_about_is_doubted_no_more(mislabelled):
    dataset = scanned(mislabelled[0])
    decisions = Decisions().leaving_out(["red/blue 5.png"]).putting_into("red", ["green/red 3.png"])
    experiment = settings_for(dataset, decisions=decisions.model_dump())
    request = tasks.LabelErrorRequest(dataset, experiment, folds=3)
    review = tasks.find_label_errors(request, JobContext())
    assert review.images == 35
    doubted = {doubt.path for doubt in review.doubts}
    assert "green/red 7.png" in doubted
    assert not doubted & {"red/blue 5.png", "green/red 3.png"}


def test_runs_of_other_data_are_refused(blobs, tmp_path):
    dataset = scanned(blobs)
    experiment = settings_for(dataset, **{"training.epochs": 1})
    trained = tasks.train(tasks.TrainRequest(dataset, experiment, tmp_path / "run"), JobContext())
    for name in ("red", "green", "blue"):
        (tmp_path / "other" / name).mkdir(parents=True)
        Image.new("RGB", (20, 20), name).save(tmp_path / "other" / name / "x.png")
    elsewhere = scanned(tmp_path / "other")
    with pytest.raises(DatasetError, match="None of the validation and test images"):
        tasks.find_label_errors(tasks.LabelErrorRequest(elsewhere, experiment, trained.run), JobContext())
    (tmp_path / "other" / "blue").rename(tmp_path / "other" / "violet")
    renamed = scanned(tmp_path / "other")
    with pytest.raises(DatasetError, match="knows other classes"):
        tasks.find_label_errors(tasks.LabelErrorRequest(renamed, experiment, trained.run), JobContext())
    trained.model.unlink()
    with pytest.raises(ModelFileError, match="has no model"):
        tasks.find_label_errors(tasks.LabelErrorRequest(dataset, experiment, trained.run), JobContext())


@pytest.mark.parametrize("wish", ["stop", "cancel"])
def test_half_a_review_is_none(blobs, wish):
    dataset = scanned(blobs)
    token = CancelToken()

    def end(event):
        if isinstance(event, events.EpochEnded):
            getattr(token, wish)()

    with pytest.raises(JobCancelled):
        tasks.find_label_errors(
            tasks.LabelErrorRequest(dataset, settings_for(dataset), folds=3), JobContext(end, token)
        )


# -- the command line ----------------------------------------------------------------------------------------------


@pytest.fixture
def quick_experiment(mislabelled, tmp_path):
    file = tmp_path / "quick.toml"
    file.write_text(experiment_to_toml(settings_for(scanned(mislabelled[0]))), encoding="utf-8")
    return file


def test_scan_tells_what_is_odd(blobs, tmp_path):
    shutil.copy(blobs / "red" / "red 1.png", blobs / "blue" / "again.png")
    (blobs / "green" / "broken.jpg").write_text("<html>", encoding="utf-8")
    left_out, split = tmp_path / "left out.csv", tmp_path / "split.csv"
    done = run_command("scan", blobs, "--csv", left_out, "--save-split", split)
    assert done.returncode == 0, done.stderr
    assert "! 1 picture lies in more than one class." in done.stdout
    assert "blue/again.png, red/red 1.png" in done.stdout
    assert "These classes have fewer than 20 images" in done.stdout
    with left_out.open(encoding="utf-8", newline="") as file:
        assert [(row["path"], row["kind"]) for row in csv.DictReader(file)] == [("green/broken.jpg", "unreadable")]
    with split.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    sides = {row["path"]: row["split"] for row in rows}
    assert len(sides) == 37
    assert sides["blue/again.png"] == sides["red/red 1.png"]
    found = json.loads(run_command("scan", blobs, "--json").stdout)
    kinds = {finding["kind"]: finding for finding in found["findings"]}
    assert kinds["same_picture_two_classes"]["groups"] == [["blue/again.png", "red/red 1.png"]]
    assert found["split"] == dict(Counter(sides.values()))


def test_train_with_a_saved_split_and_a_fit(mislabelled, quick_experiment, tmp_path):
    folder, _ = mislabelled
    split = tmp_path / "split.csv"
    assert run_command("scan", folder, "--save-split", split, "--group-by", r"(\d+)\.png").returncode == 0
    done = run_command(
        "train", folder, "--out", tmp_path / "run", "--experiment", quick_experiment,
        "--split-file", split, "--fit", "crop", "--epochs", 2, "--json",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    run = runs.read_run(tmp_path / "run")
    assert (tmp_path / "run" / "manifest.csv").read_text(encoding="utf-8") == split.read_text(encoding="utf-8")
    assert run.experiment().image.fit is Fit.CROP
    sides: dict[str, set[Split]] = {}
    for path, _, side in runs.read_manifest(run):
        sides.setdefault(path.split()[-1], set()).add(side)
    assert all(len(found) == 1 for found in sides.values())


@pytest.mark.slow
def test_train_with_folds(mislabelled, quick_experiment, tmp_path):
    folder, _ = mislabelled
    out = tmp_path / "folds"
    arguments = ("train", folder, "--out", out, "--experiment", quick_experiment, "--folds", 3, "--epochs", 3)
    done = run_command(*arguments)
    assert done.returncode == 0, done.stderr
    assert "fold 3: test accuracy" in done.stdout
    assert "95 % interval over 3 folds" in done.stdout
    assert len(runs.list_runs(out)) == 3
    too_many = run_command("train", folder, "--out", tmp_path / "x", "--experiment", quick_experiment, "--folds", 30)
    assert too_many.returncode == 1
    assert "too few for 30 folds" in too_many.stderr
    both = run_command(*arguments, "--split-file", "x.csv")
    assert both.returncode in {1, 2}
    assert "Traceback" not in both.stderr


@pytest.mark.slow
def test_label_errors(mislabelled, quick_experiment, tmp_path):
    folder, planted = mislabelled
    table = tmp_path / "doubts.csv"
    done = run_command("label-errors", folder, "--experiment", quick_experiment, "--folds", 3, "--csv", table)
    assert done.returncode == 0, done.stderr
    assert (
        "of 36 images may lie in the wrong class; about 3 of them are expected to be, the likeliest first"
        in done.stdout
    )
    with table.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert planted.items() <= {row["path"]: row["suggested"] for row in rows}.items()
    assert rows[0]["path"] in done.stdout


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (("scan", ".", "--group-by", "("), 2, "split.group_pattern"),
        (("train", ".", "--out", "x", "--fit", "stretch"), 2, "image.fit"),
        (("train", ".", "--out", "x", "--split-file", "gone.csv"), 1, "gone.csv"),
        (("train", ".", "--out", "x", "--folds", "1"), 2, "folds"),
        (("label-errors", ".", "--run", "no-such-run"), 2, "experiment.toml"),
    ],
)
def test_wrong_usage_is_told(arguments, status, words, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = run_command(*arguments)
    assert done.returncode == status, done.stderr
    assert words in done.stderr
    assert "Traceback" not in done.stderr


def test_a_class_that_does_not_exist_is_told_in_an_experiment(mislabelled):
    dataset = scanned(mislabelled[0])
    with pytest.raises(ExperimentError, match=r"decisions.belongs_to"):
        with_values(settings_for(dataset), {"decisions": {"belongs_to": {"a.png": 3}}})
