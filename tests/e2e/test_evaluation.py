"""Measuring, calibrating and explaining as jobs, on real runs and on files made elsewhere."""

import errno
import json
import os
import shutil
from dataclasses import replace

import keras
import numpy as np
import pytest
from PIL import Image
from sklearn.metrics import accuracy_score, log_loss

from cnn_studio import tasks
from cnn_studio.core.data.events import FilesLeftOut
from cnn_studio.core.data.image_file import Split
from cnn_studio.core.errors import CnnStudioError, DatasetError, ModelFileError, StorageError
from cnn_studio.core.evaluation.measured_file import measured_path, write_measured
from cnn_studio.core.job import events
from cnn_studio.core.job.jobs import CancelToken, JobCancelled, JobContext, ignore_reports
from cnn_studio.core.runs import run as runs
from cnn_studio.ml.model_file import read_facts
from cnn_studio.tasks.calibration import uncalibrated_path


def evaluate(model, folder=None, split=None, report=ignore_reports, **more):
    return tasks.evaluate(tasks.EvaluateRequest(model, folder, split, **more), JobContext(report))


def calibrate(model, *arguments, **more):
    return tasks.calibrate(tasks.CalibrateRequest(model, *arguments, **more), JobContext())


def messages(reported):
    return " ".join(event.text for event in reported if isinstance(event, events.Message))


# -- measuring -----------------------------------------------------------------------------------------------------


def test_training_keeps_what_measuring_again_would_find(made, run):
    trained, _ = made
    for split, evaluation in ((Split.VALIDATION, trained.validation), (Split.TEST, trained.test)):
        kept = tasks.saved_evaluation(run.model, split)
        assert kept.evaluation == evaluation
        again = evaluate(run.model, split=split)
        assert again.paths == kept.paths
        np.testing.assert_array_equal(again.labels, kept.labels)
        np.testing.assert_allclose(again.probabilities, kept.probabilities, atol=1e-5)
        assert all(again.path_of(index).exists() for index in range(len(again.paths)))
        listed = [(path, name) for path, name, given in runs.read_manifest(run) if given is split]
        assert list(again.paths) == [path for path, _ in listed]
        assert [again.class_names[label] for label in again.labels] == [name for _, name in listed]
    assert runs.measurable_splits(run.model) == {Split.VALIDATION: 24, Split.TEST: 24}


def test_measuring_agrees_with_plain_keras(made, run):
    measured = evaluate(run.model, split=Split.TEST)
    model = keras.saving.load_model(run.model)
    size = model.input_shape[1:3]
    pictures = [
        np.asarray(Image.open(measured.path_of(index)).resize(size[::-1], Image.Resampling.BILINEAR))
        for index in range(len(measured.paths))
    ]
    probabilities = model.predict(np.stack(pictures), verbose=0)
    truth = [measured.class_names.index(path.split("/")[0]) for path in measured.paths]
    assert measured.evaluation.accuracy == accuracy_score(truth, probabilities.argmax(1))
    assert measured.evaluation.loss == pytest.approx(log_loss(truth, probabilities, labels=range(4)), rel=1e-4)


def test_an_earlier_run_without_kept_figures_is_measured_and_keeps_them(run):
    measured_path(run.model, "test").unlink()
    assert tasks.saved_evaluation(run.model, Split.TEST) is None
    evaluate(run.model, split=Split.TEST)
    assert tasks.saved_evaluation(run.model, Split.TEST) is not None
    measured_path(run.model, "test").write_bytes(b"cut")
    assert tasks.saved_evaluation(run.model, Split.TEST) is None


def test_figures_that_cannot_be_kept_are_still_given(run, monkeypatch):
    def full(*args, **kwargs):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("numpy.savez_compressed", full)
    measured_path(run.model, "test").unlink()
    reported = []
    assert evaluate(run.model, split=Split.TEST, report=reported.append).evaluation.images == 24
    assert "disk is full" in messages(reported)
    assert not list(run.folder.glob("*evaluation-test*"))


def test_a_run_without_test_images_says_so(run):
    rows = (run.folder / "manifest.csv").read_text(encoding="utf-8")
    (run.folder / "manifest.csv").write_text(rows.replace(",test", ",train"), encoding="utf-8")
    with pytest.raises(DatasetError, match=r"has no test images\. Measure it on its validation images"):
        evaluate(run.model, split=Split.TEST)


def test_images_that_were_moved_are_told(made, run, tmp_path):
    _, data = made
    moved = tmp_path / "moved"
    shutil.copytree(data, moved)
    values = json.loads((run.folder / "run.json").read_text(encoding="utf-8"))
    (run.folder / "run.json").write_text(json.dumps(values | {"data_root": str(moved)}), encoding="utf-8")
    gone = tasks.saved_evaluation(run.model, Split.TEST).paths[0]
    (moved / gone).unlink()
    reported = []
    assert evaluate(run.model, split=Split.TEST, report=reported.append).evaluation.images == 23
    left_out = next(event for event in reported if isinstance(event, FilesLeftOut))
    assert [issue.path for issue in left_out.issues] == [gone]
    shutil.rmtree(moved)
    with pytest.raises(DatasetError, match="no longer in"):
        evaluate(run.model, split=Split.TEST)
    # What was kept can still be read.
    assert tasks.saved_evaluation(run.model, Split.TEST).evaluation.images == 23


def test_a_file_outside_a_run_has_no_split_of_its_own(run, tmp_path):
    lone = tmp_path / "lone.keras"
    shutil.copy(run.model, lone)
    with pytest.raises(DatasetError, match=r"lone\.keras does not lie in the folder of a run"):
        evaluate(lone, split=Split.TEST)
    assert runs.measurable_splits(lone) == {}
    assert tasks.saved_evaluation(lone, Split.TEST) is None


def test_another_folder_with_a_class_missing_and_one_too_many(run, tmp_path, write_hard_blobs):
    other = write_hard_blobs(tmp_path / "other", each=5)
    (other / "grey").rename(other / "violet")
    reported = []
    measured = evaluate(run.model, other, report=reported.append)
    assert measured.evaluation.images == 15
    assert (measured.split, measured.evaluation.folder) == (None, "other")
    grey = next(score for score in measured.evaluation.classes if score.name == "grey")
    assert grey.support == 0
    kept = tasks.saved_evaluation(run.model, other)
    assert kept.evaluation == measured.evaluation
    assert kept.paths == measured.paths
    assert tasks.saved_evaluation(run.model, tmp_path / "elsewhere" / "other") is None
    told = messages(reported)
    assert "5 images of violet are not measured: the model knows no such class." in told
    assert "There are no images of grey here" in told


def test_a_folder_called_like_a_split_does_not_pass_for_one(run, tmp_path, write_hard_blobs):
    measured = evaluate(run.model, write_hard_blobs(tmp_path / "test", each=2))
    assert measured.evaluation.images_text == "images of the folder test"
    assert tasks.saved_evaluation(run.model, tmp_path / "test").evaluation == measured.evaluation
    of_run = evaluate(run.model, split=Split.TEST).evaluation
    assert (of_run.images_text, of_run.images) == ("test images", 24)
    assert tasks.saved_evaluation(run.model, Split.TEST).evaluation == of_run


def test_the_split_of_a_divided_folder_can_be_chosen(run, tmp_path, write_hard_blobs):
    for part, each in (("train", 4), ("val", 3), ("test", 2)):
        write_hard_blobs(tmp_path / "divided" / part, each=each)
    usual = evaluate(run.model, tmp_path / "divided").evaluation
    assert (usual.images, usual.accuracy_text) == (8, "test accuracy on the folder divided")
    assert evaluate(run.model, tmp_path / "divided", Split.VALIDATION).evaluation.images == 12
    with pytest.raises(DatasetError, match="does not come with a test folder"):
        evaluate(run.model, write_hard_blobs(tmp_path / "plain", each=2), Split.TEST)


def test_a_file_made_elsewhere_is_measured_with_names_given(tmp_path, write_hard_blobs):
    theirs = keras.Sequential(
        [keras.Input((12, 12, 3)), keras.layers.Flatten(), keras.layers.Dense(4, activation="softmax")]
    )
    theirs.save(tmp_path / "theirs.keras")
    data = write_hard_blobs(tmp_path / "data", each=3)
    measured = evaluate(tmp_path / "theirs.keras", data, class_names=("red", "green", "blue", "grey"))
    assert measured.evaluation.images == 12
    assert measured.class_names == ("red", "green", "blue", "grey")
    with pytest.raises(DatasetError, match="None of the classes"):
        evaluate(tmp_path / "theirs.keras", data)


# -- calibration ---------------------------------------------------------------------------------------------------


def test_a_temperature_becomes_part_of_the_file_and_can_be_taken_away(run):
    original = run.model.read_bytes()
    before = evaluate(run.model, split=Split.TEST)
    done = calibrate(run.model, tasks.Temperature.FIT)
    temperature = done.facts.temperature
    assert temperature != 1.0
    assert done.split == "validation"
    assert done.before.temperature == 1.0
    assert done.after.loss < done.before.loss
    assert done.after.accuracy == done.before.accuracy
    assert read_facts(run.model).temperature == temperature
    assert uncalibrated_path(run.model).read_bytes() == original

    after = evaluate(run.model, split=Split.TEST)
    np.testing.assert_array_equal(after.predicted, before.predicted)
    np.testing.assert_allclose(after.probabilities, before.at_temperature(temperature).probabilities, atol=1e-5)
    # Plain Keras, which knows nothing of temperatures, gets the calibrated probabilities too.
    plain = keras.saving.load_model(run.model, safe_mode=True)
    pixels = np.random.default_rng(0).integers(0, 256, (4, *plain.input_shape[1:3], 3)).astype(np.uint8)
    old = keras.saving.load_model(uncalibrated_path(run.model)).predict(pixels, verbose=0)
    raised = old ** (1 / temperature)
    np.testing.assert_allclose(plain.predict(pixels, verbose=0), raised / raised.sum(1, keepdims=True), atol=1e-6)

    # A second fit starts from the file as it was trained, so it finds the same.
    assert calibrate(run.model, tasks.Temperature.FIT).facts.temperature == pytest.approx(temperature, rel=1e-3)
    undone = calibrate(run.model, tasks.Temperature.REMOVE)
    assert undone.facts.temperature == undone.after.temperature == 1.0
    again = evaluate(run.model, split=Split.TEST)
    np.testing.assert_array_equal(again.probabilities, before.probabilities)


def test_what_was_kept_follows_the_temperature_without_another_pass(run):
    before = tasks.saved_evaluation(run.model, Split.TEST)
    temperature = calibrate(run.model, tasks.Temperature.FIT).facts.temperature
    kept = tasks.saved_evaluation(run.model, Split.TEST)
    assert kept.temperature == temperature
    np.testing.assert_allclose(kept.probabilities, before.at_temperature(temperature).probabilities, atol=1e-6)
    measured = evaluate(run.model, split=Split.TEST)
    np.testing.assert_allclose(kept.probabilities, measured.probabilities, atol=1e-5)
    assert kept.evaluation.loss == pytest.approx(measured.evaluation.loss, rel=1e-4)


def test_a_threshold_is_kept_in_the_file_and_used_by_prediction(run):
    weights_before = keras.saving.load_model(run.model).get_weights()
    kept = tasks.saved_evaluation(run.model, Split.VALIDATION)
    chosen = float(np.median(kept.confidence)) + 1e-4
    done = calibrate(run.model, threshold=chosen)
    threshold = done.facts.threshold
    assert threshold == chosen
    assert done.asked_accuracy is None
    assert 0 < done.coverage.coverage < 1
    assert read_facts(run.model).threshold == threshold
    for one, other in zip(keras.saving.load_model(run.model).get_weights(), weights_before, strict=True):
        np.testing.assert_array_equal(one, other)
    assert not uncalibrated_path(run.model).exists()

    kept = tasks.saved_evaluation(run.model, Split.VALIDATION)
    assert kept.threshold == threshold
    paths = tuple(kept.path_of(index) for index in range(len(kept.paths)))
    answers = tasks.predict(tasks.PredictRequest(run.model, paths), JobContext())
    unsure = [answer.unsure for answer in answers]
    assert sum(unsure) == done.coverage.images - done.coverage.answered
    first = answers[unsure.index(True)]
    assert first.answer == f"not sure ({first.label} {first.probability:.2f})"
    assert answers[unsure.index(False)].answer == answers[unsure.index(False)].label

    exported = run.folder / "out" / "flowers.keras"
    tasks.export(tasks.ExportRequest(run.model, exported), JobContext())
    assert read_facts(exported).threshold == threshold
    side_car = json.loads(exported.with_suffix(".json").read_text(encoding="utf-8"))
    assert side_car["output"]["not_sure_below"] == threshold
    assert repr(threshold) in side_car["usage"]
    assert "not sure" in side_car["usage"]
    compile(side_car["usage"], "usage", "exec")

    assert calibrate(run.model, threshold=0.0).coverage is None
    assert read_facts(run.model).threshold == 0.0


def test_an_exported_file_is_calibrated_on_a_folder_and_its_description_follows(run, made, tmp_path):
    _, data = made
    exported = tmp_path / "out" / "blobs.keras"
    tasks.export(tasks.ExportRequest(run.model, exported), JobContext())
    with pytest.raises(ModelFileError, match="no validation images"):
        calibrate(exported, threshold=0.5)
    done = calibrate(exported, tasks.Temperature.FIT, threshold=0.4, folder=data)
    assert (done.split, done.folder, done.images) == (None, "data", 80)
    described = json.loads(exported.with_suffix(".json").read_text(encoding="utf-8"))["output"]
    assert described["not_sure_below"] == 0.4
    assert described["temperature"] == done.facts.temperature


def test_a_threshold_moves_along_with_a_new_temperature(run):
    kept = tasks.saved_evaluation(run.model, Split.VALIDATION)
    calibrate(run.model, threshold=float(np.median(kept.confidence)) + 1e-4)
    before = tasks.saved_evaluation(run.model, Split.VALIDATION)
    calibrate(run.model, tasks.Temperature.FIT)
    after = tasks.saved_evaluation(run.model, Split.VALIDATION)
    assert after.threshold != before.threshold
    assert (after.confidence < after.threshold).sum() == (before.confidence < before.threshold).sum()


def test_a_threshold_for_an_accuracy_rests_on_a_lower_bound(run):
    kept = tasks.saved_evaluation(run.model, Split.VALIDATION)
    surest = kept.confidence >= np.median(kept.confidence)
    labels = np.where(surest, kept.predicted, (kept.predicted + 1) % 4).astype(np.int32)
    again = {name: np.tile(getattr(kept, name), (10, 1)) for name in ("probabilities", "logits")}
    many = replace(kept, labels=np.tile(labels, 10), paths=kept.paths * 10, **again)
    write_measured(
        replace(many, evaluation=replace(many.evaluation, images=240)), measured_path(run.model, "validation")
    )
    done = calibrate(run.model, accuracy=0.95)
    assert done.asked_accuracy == 0.95
    assert (done.coverage.answered, done.coverage.right) == (10 * surest.sum(), 10 * surest.sum())
    assert read_facts(run.model).threshold == done.coverage.threshold > 0


def test_what_cannot_be_reached_or_makes_no_sense_is_told(run):
    kept = tasks.saved_evaluation(run.model, Split.VALIDATION)
    always_wrong = ((kept.predicted + 1) % 4).astype(np.int32)
    write_measured(replace(kept, labels=always_wrong), measured_path(run.model, "validation"))
    with pytest.raises(CnnStudioError, match="only 59 images without a single mistake could show; there are 24"):
        calibrate(run.model, accuracy=0.95)
    with pytest.raises(CnnStudioError, match="no number of images could show"):
        calibrate(run.model, accuracy=1.0)
    with pytest.raises(CnnStudioError, match=r"Of the 1 surest answers 0 are right, which shows 0 % at best"):
        calibrate(run.model, accuracy=0.5)
    with pytest.raises(CnnStudioError, match=r"A threshold of 1\.5 is no probability"):
        calibrate(run.model, threshold=1.5)


def test_a_model_that_is_never_wrong_is_left_as_it_is(run):
    kept = tasks.saved_evaluation(run.model, Split.VALIDATION)
    write_measured(replace(kept, labels=kept.predicted.astype(np.int32)), measured_path(run.model, "validation"))
    reported = []
    request = tasks.CalibrateRequest(run.model, tasks.Temperature.FIT)
    assert tasks.calibrate(request, JobContext(reported.append)).facts.temperature == 1.0
    assert "cannot tell how sure it should be" in messages(reported)


def test_a_model_that_answers_with_no_numbers_is_told(tmp_path, write_hard_blobs):
    broken = keras.Sequential(
        [keras.Input((8, 8, 3)), keras.layers.Flatten(), keras.layers.Dense(4, activation="softmax")]
    )
    broken.set_weights([np.full(weight.shape, np.nan) for weight in broken.get_weights()])
    broken.save(tmp_path / "broken.keras")
    data = write_hard_blobs(tmp_path / "data", each=2)
    names = ("red", "green", "blue", "grey")
    reported = []
    evaluate(tmp_path / "broken.keras", data, report=reported.append, class_names=names)
    assert "answered 8 of 8 images with what is no number" in messages(reported)
    with pytest.raises(ModelFileError, match="nothing to calibrate"):
        calibrate(tmp_path / "broken.keras", tasks.Temperature.FIT, folder=data, class_names=names)


def test_cancelling_a_calibration_changes_nothing(run):
    before = run.model.read_bytes()
    token = CancelToken()

    def cancel(event):
        if isinstance(event, events.Progress) and event.stage is events.Stage.CALIBRATE:
            token.cancel()

    with pytest.raises(JobCancelled):
        tasks.calibrate(tasks.CalibrateRequest(run.model, tasks.Temperature.FIT), JobContext(cancel, token))
    assert run.model.read_bytes() == before
    assert not uncalibrated_path(run.model).exists()


# -- where it looks, and the report --------------------------------------------------------------------------------


def test_explaining_an_image(run, made, tmp_path):
    _, data = made
    picture = data / "red" / "3.png"
    request = tasks.ExplainRequest(run.model, picture, "green")
    found = tasks.explain(request, JobContext())
    (answer,) = tasks.predict(tasks.PredictRequest(run.model, (picture,)), JobContext())
    assert found.class_name == "green"
    assert [name for name, _ in found.ranked] == [name for name, _ in answer.ranked]
    np.testing.assert_allclose([p for _, p in found.ranked], [p for _, p in answer.ranked], atol=1e-5)
    assert found.probability == dict(found.ranked)["green"]
    facts = read_facts(run.model)
    assert found.heat.shape == (facts.height, facts.width)
    assert found.heat.dtype == np.float32
    assert 0 <= found.heat.min() <= found.heat.max() <= 1
    best = tasks.explain(tasks.ExplainRequest(run.model, picture), JobContext())
    assert best.class_name == answer.label

    tasks.write_overlay(found, tmp_path / "out.png", 0.5)
    with Image.open(tmp_path / "out.png") as written:
        assert written.size == (24, 24)


def test_what_cannot_be_explained_gets_a_sentence(run, made, tmp_path):
    _, data = made
    picture = data / "red" / "3.png"

    def explain(model=run.model, image=picture, class_name=None):
        return tasks.explain(tasks.ExplainRequest(model, image, class_name), JobContext())

    with pytest.raises(ModelFileError, match="knows no class 'violet'"):
        explain(class_name="violet")
    (tmp_path / "page.jpg").write_text("<html>", encoding="utf-8")
    with pytest.raises(CnnStudioError, match=r"page\.jpg"):
        explain(image=tmp_path / "page.jpg")
    flat = keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Flatten(), keras.layers.Dense(2, "softmax")])
    flat.save(tmp_path / "mlp.keras")
    with pytest.raises(ModelFileError, match="no feature maps"):
        explain(model=tmp_path / "mlp.keras")


def test_the_report_is_written_once_and_replaced_only_when_told(run, tmp_path):
    measured = tasks.saved_evaluation(run.model, Split.TEST)
    target = tmp_path / "report.html"
    reported = []
    tasks.write_report(tasks.ReportRequest(measured, target), JobContext(reported.append))
    page = target.read_text(encoding="utf-8")
    assert "How it learnt" in page
    assert "Settings of the run" in page
    assert any(isinstance(event, events.Progress) and event.stage is events.Stage.REPORT for event in reported)
    with pytest.raises(StorageError, match="exists already"):
        tasks.write_report(tasks.ReportRequest(measured, target), JobContext())
    token = CancelToken()
    token.cancel()
    target.unlink()
    with pytest.raises(JobCancelled):
        tasks.write_report(tasks.ReportRequest(measured, target), JobContext(cancel=token))
    assert not target.exists()
