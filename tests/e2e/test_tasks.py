"""Jobs called as plain functions, without Qt: what the window and the command line both stand on."""

import errno
import multiprocessing
import os
import shutil

import numpy as np
import pytest
from PIL import Image

from cnn_studio import tasks
from cnn_studio.core.advice.suggestions import suggest_experiment
from cnn_studio.core.data.events import FilesLeftOut
from cnn_studio.core.errors import CnnStudioError, DatasetError, StorageError, TrainingError
from cnn_studio.core.experiment.experiment import with_values
from cnn_studio.core.experiment.layer_plan import ImpossibleArchitectureError
from cnn_studio.core.job import events
from cnn_studio.core.job.jobs import CancelToken, JobCancelled, JobContext, ignore_reports
from cnn_studio.core.runs import run as runs
from cnn_studio.core.runs.training_lock import LOCK_NAME, held


def request_for(folder, run, **changes):
    dataset = tasks.scan(folder, JobContext())
    settings = {"training.epochs": 1, "training.batch_size": 8} | changes
    return tasks.TrainRequest(dataset, with_values(suggest_experiment(dataset), settings), run)


def train(folder, run, report=ignore_reports, token=None, **changes):
    return tasks.train(request_for(folder, run, **changes), JobContext(report, token or CancelToken()))


def train_in_child(folder, run, answers):
    reported = []
    trained = train(folder, run, reported.append)
    answers.put((trained, reported))


def test_a_training_job_runs_in_a_spawned_process(blobs, tmp_path):
    """Requests, events and results cross a process border, so that a job could move to one."""
    context = multiprocessing.get_context("spawn")
    answers = context.Queue()
    child = context.Process(target=train_in_child, args=(blobs, tmp_path / "run", answers))
    child.start()
    trained, reported = answers.get(timeout=120)
    child.join(30)
    assert child.exitcode == 0
    assert trained.model.exists()
    assert any(isinstance(event, events.EpochEnded) for event in reported)


def test_files_that_vanish_between_scan_and_preparation_are_left_out(blobs, tmp_path):
    request = request_for(blobs, tmp_path / "run")
    gone = next((blobs / "red").iterdir())
    gone.unlink()
    reported = []
    trained = tasks.train(request, JobContext(reported.append))
    left_out = next(event for event in reported if isinstance(event, FilesLeftOut))
    assert [issue.path for issue in left_out.issues] == [f"red/{gone.name}"]
    assert len(runs.read_manifest(runs.read_run(trained.run))) == 35


def test_what_is_reported_is_what_was_used(blobs, tmp_path):
    reported = []
    trained = train(blobs, tmp_path / "run", reported.append)
    started = next(event for event in reported if isinstance(event, events.TrainingStarted))
    manifest = runs.read_manifest(runs.read_run(trained.run))
    used = [split for _, _, split in manifest]
    assert started.train_images == used.count("train")
    assert started.validation_images == used.count("validation") == trained.validation.images
    assert trained.test.images == used.count("test")


def test_an_impossible_architecture_is_told_before_anything_is_made(blobs, tmp_path):
    changes = {"architecture.padding": "valid", "architecture.kernel": 5, "image.height": 16, "image.width": 16}
    with pytest.raises(ImpossibleArchitectureError, match="block"):
        train(blobs, tmp_path / "run", **changes)
    assert not (tmp_path / "run").exists()


def test_a_batch_too_large_for_memory_is_told_before_anything_is_prepared(blobs, tmp_path):
    changes = {"training.batch_size": 4096, "image.height": 1024, "image.width": 1024}
    reported = []
    with pytest.raises(TrainingError, match="not enough memory for a batch of 4096") as caught:
        train(blobs, tmp_path / "run", reported.append, **changes)
    assert caught.value.field == "training.batch_size"
    assert not any(isinstance(event, events.StageStarted) and event.stage is events.Stage.PREPARE for event in reported)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("wish", ["cancel", "stop"])
def test_cancel_and_stop_during_preparation_leave_nothing(blobs, tmp_path, wish):
    token = CancelToken()

    def end_when_preparing(event):
        if isinstance(event, events.StageStarted) and event.stage is events.Stage.PREPARE:
            getattr(token, wish)()

    with pytest.raises(JobCancelled):
        train(blobs, tmp_path / "run", end_when_preparing, token)
    assert not (tmp_path / "run").exists()


def test_stop_in_the_first_epoch_keeps_the_model_of_that_moment(blobs, tmp_path):
    token = CancelToken()

    def stop_at_first_batch(event):
        if isinstance(event, events.BatchEnded):
            token.stop()

    trained = train(blobs, tmp_path / "run", stop_at_first_batch, token)
    assert trained.ended == "stopped"
    assert trained.epochs == 0
    assert trained.model.exists()
    assert 0 <= trained.validation.accuracy <= 1


def test_evaluation_matches_classes_by_name(blobs, tmp_path):
    trained = train(blobs, tmp_path / "run")
    other = tmp_path / "other"
    shutil.copytree(blobs / "green", other / "green")
    shutil.copytree(blobs / "red", other / "violet")
    reported = []
    measured = tasks.evaluate(tasks.EvaluateRequest(trained.model, other), JobContext(reported.append))
    assert measured.evaluation.images == 12
    assert any(isinstance(event, events.Message) and "violet" in event.text for event in reported)
    shutil.rmtree(other / "green")
    shutil.copytree(blobs / "red", other / "pink")
    with pytest.raises(DatasetError, match="None of the classes"):
        tasks.evaluate(tasks.EvaluateRequest(trained.model, other), JobContext())


def test_predict_takes_folders_and_goes_on_after_bad_files(blobs, tmp_path):
    trained = train(blobs, tmp_path / "run")
    (blobs / "red" / ".hidden.png").write_bytes(b"")
    (tmp_path / "page.jpg").write_text("<html></html>", encoding="utf-8")
    request = tasks.PredictRequest(trained.model, (blobs / "red", tmp_path / "page.jpg", tmp_path / "missing.png"))
    predictions = tasks.predict(request, JobContext())
    assert len(predictions) == 14
    assert [bool(prediction.error) for prediction in predictions] == [False] * 12 + [True, True]
    assert sum(probability for _, probability in predictions[0].ranked) == pytest.approx(1, abs=1e-5)


def test_a_disk_that_fills_up_during_export_loses_nothing(blobs, tmp_path, monkeypatch):
    trained = train(blobs, tmp_path / "run")
    target = tmp_path / "out" / "model.keras"
    tasks.export(tasks.ExportRequest(trained.model, target), JobContext())
    before = target.read_bytes()

    def full(*args, **kwargs):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("zipfile.ZipFile.writestr", full)
    with pytest.raises(StorageError, match="disk is full"):
        tasks.export(tasks.ExportRequest(trained.model, target, replace=True), JobContext())
    assert target.read_bytes() == before
    assert sorted(path.name for path in target.parent.iterdir()) == ["model.json", "model.keras"]


def test_an_interrupted_run_is_recovered_from_its_best_weights(blobs, tmp_path, monkeypatch):
    """What is left when the process dies after an epoch: here, an error that is a bug."""

    def die(event):
        if isinstance(event, events.StageStarted) and event.stage is events.Stage.EVALUATE:
            raise RuntimeError("the power went")

    with pytest.raises(RuntimeError):
        train(blobs, tmp_path / "run", die)
    run = runs.read_run(tmp_path / "run")
    assert not run.model.exists()
    assert run.status is runs.RunStatus.FAILED
    facts = tasks.recover(run.folder, JobContext())
    assert facts.class_names == ("blue", "green", "red")
    image = next((blobs / "red").iterdir())
    (answer,) = tasks.predict(tasks.PredictRequest(run.model, (image,)), JobContext())
    assert answer.label in facts.class_names


def test_nothing_to_recover_is_told(blobs, tmp_path):
    trained = train(blobs, tmp_path / "run")
    trained.model.unlink()
    with pytest.raises(CnnStudioError, match="was finished, but its model is gone"):
        tasks.recover(trained.run, JobContext())
    record = trained.run / "run.json"
    record.write_text(record.read_text(encoding="utf-8").replace('"finished"', '"running"'), encoding="utf-8")
    with pytest.raises(CnnStudioError, match=r"ended before its first epoch .* no model"):
        tasks.recover(trained.run, JobContext())
    with held(trained.run), pytest.raises(StorageError, match="is being trained"):
        tasks.recover(trained.run, JobContext())
    assert not (trained.run / LOCK_NAME).exists()


def test_training_is_a_plain_keras_training(blobs, tmp_path):
    """The kept model's validation figures are those that plain Keras computes on the same files."""
    import keras

    trained = train(blobs, tmp_path / "run", **{"training.epochs": 2})
    model = keras.saving.load_model(trained.model)
    right, images = 0, 0
    losses = []
    for path, class_name, split in runs.read_manifest(runs.read_run(trained.run)):
        if split == "validation":
            picture = Image.open(blobs / path).resize((32, 32), Image.Resampling.BILINEAR)
            probabilities = model.predict(np.asarray(picture)[None], verbose=0)[0]
            label = trained.facts.class_names.index(class_name)
            right += probabilities.argmax() == label
            losses.append(-np.log(probabilities[label]))
            images += 1
    assert trained.validation.accuracy == pytest.approx(right / images)
    assert trained.validation.loss == pytest.approx(np.mean(losses), rel=1e-3)
