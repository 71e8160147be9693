"""The main job through the real window: a folder dropped, trained, an image dropped, exported, reloaded elsewhere."""

import csv
import json
import subprocess
import sys
from collections import Counter

import numpy as np
import pytest
from PySide6.QtCore import QMimeData, QPointF, Qt, QUrl
from PySide6.QtGui import QDragEnterEvent, QDropEvent, QGuiApplication, QImage
from PySide6.QtWidgets import QApplication, QDialog, QDialogButtonBox, QFileDialog

from cnn_studio import tasks
from cnn_studio.core.evaluation.input_range import InputRange
from cnn_studio.core.job import events
from cnn_studio.core.job.jobs import JobContext
from cnn_studio.core.runs import run as runs
from cnn_studio.gui.dialogs.class_names import ClassNamesDialog
from cnn_studio.gui.dialogs.input_range import InputRangeDialog
from cnn_studio.gui.dialogs.picture import PictureDialog
from cnn_studio.gui.jobs.job_thread import JobKind
from cnn_studio.gui.main_window import MainWindow
from cnn_studio.gui.state.notices import NoticeKind
from cnn_studio.gui.state.session import Session
from cnn_studio.ml.model_file import read_facts

TRAINING_TIME = 120_000

PLAIN_KERAS = """
import json, sys
import keras
import numpy as np
model = keras.models.load_model(sys.argv[1])
assert not any(name.startswith("cnn_studio") for name in sys.modules)
images = np.load(sys.argv[2])
json.dump(model.predict(images, verbose=0).tolist(), sys.stdout)
"""


def drop(window, *paths):
    """What a file manager does: enter with the files, then let go."""
    mime = QMimeData()
    mime.setUrls([QUrl.fromLocalFile(str(path)) for path in paths])
    spot = window.rect().center()
    enter = QDragEnterEvent(
        spot, Qt.DropAction.CopyAction, mime, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier
    )
    QApplication.sendEvent(window, enter)
    assert enter.isAccepted()
    assert window.overlay.isVisible()
    release = QDropEvent(
        QPointF(spot), Qt.DropAction.CopyAction, mime, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier
    )
    QApplication.sendEvent(window, release)
    assert not window.overlay.isVisible()


def wait_for_job(qtbot, session, kind, timeout=TRAINING_TIME):
    qtbot.waitUntil(lambda: not session.queue.is_busy_with(kind), timeout=timeout)


@pytest.fixture
def trained(qtbot, window, session, blobs, told):
    """The window after a folder was dropped on it and trained for two epochs."""
    drop(window, blobs)
    qtbot.waitUntil(lambda: session.project.dataset is not None, timeout=30_000)
    assert session.project.change({"training.epochs": 2, "training.batch_size": 8}) is None
    window.page("data").train_button.click()
    wait_for_job(qtbot, session, JobKind.TRAIN)
    assert session.training.last is not None, [notice.text for notice in told]
    return session.training.last


def test_the_main_job(qtbot, window, session, blobs, trained, tmp_path, monkeypatch):
    page = window.page("data")
    used = Counter(split for _, _, split in runs.read_manifest(runs.read_run(trained.run)))
    for split, count in used.items():
        assert f"{split} <b>{count}</b>" in page.split_text.text()

    points = window.page("train").curves.plot.history_points()
    validation = [trained.validation.loss, trained.validation.accuracy]
    assert len(points["batch_loss"]) == len(points["batch_accuracy"]) == 2 * 3  # 24 training images in batches of 8
    assert [x for x, _ in points["epoch_validation_loss"]] == [1, 2]
    best = trained.best_epoch - 1
    assert points["epoch_validation_loss"][best][1] == pytest.approx(validation[0], rel=1e-3)
    assert points["epoch_validation_accuracy"][best][1] == pytest.approx(validation[1])

    picture = next((blobs / "red").iterdir())
    drop(window, picture)
    qtbot.waitUntil(lambda: len(session.predictions.found) == 1, timeout=30_000)
    assert window.stack.currentWidget() is window.page("predict")
    prediction = session.predictions.found[0]
    assert prediction.label in {"red", "green", "blue"}

    target = tmp_path / "exported.keras"
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *args, **kwargs: (str(target), ""))
    window.page("predict").export_button.click()
    with qtbot.waitSignal(session.models.exported, timeout=60_000):
        pass
    side_car = json.loads(target.with_suffix(".json").read_text(encoding="utf-8"))
    assert side_car["class_names"] == ["blue", "green", "red"]

    from cnn_studio.core.image.decoder import read_image

    facts = session.models.opened.facts
    np.save(tmp_path / "images.npy", read_image(picture, facts.height, facts.width)[None])
    answer = subprocess.run(
        [sys.executable, "-c", PLAIN_KERAS, str(target), str(tmp_path / "images.npy")],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    elsewhere = dict(zip(side_car["class_names"], json.loads(answer.stdout)[0], strict=True))
    for name, probability in prediction.ranked:
        assert elsewhere[name] == pytest.approx(probability, abs=1e-5)


def test_dropped_images_wait_for_the_training(qtbot, window, session, blobs):
    drop(window, blobs)
    qtbot.waitUntil(lambda: session.project.dataset is not None, timeout=30_000)
    session.project.change({"training.epochs": 1})
    session.training.train()
    broken = blobs.parent / "broken.jpg"
    broken.write_bytes(b"<html>not found</html>")
    drop(window, next((blobs / "red").iterdir()), broken)
    qtbot.waitUntil(lambda: len(session.predictions.found) == 2, timeout=TRAINING_TIME)
    assert session.predictions.found[0].label
    assert "web page" in session.predictions.found[1].error


def test_cancel_discards_and_stop_keeps(qtbot, window, session, blobs):
    drop(window, blobs)
    qtbot.waitUntil(lambda: session.project.dataset is not None, timeout=30_000)
    session.project.change({"training.epochs": 1000, "training.early_stopping": False})
    seen = []
    session.queue.reported.connect(lambda job, event: seen.append(event))

    session.training.train()
    qtbot.waitUntil(lambda: any(isinstance(event, events.BatchEnded) for event in seen), timeout=TRAINING_TIME)
    window.strip.cancel_requested.emit()
    wait_for_job(qtbot, session, JobKind.TRAIN)
    assert session.models.opened is None
    assert list(session.project.runs_dir.iterdir()) == []

    seen.clear()
    session.training.train()
    qtbot.waitUntil(lambda: any(isinstance(event, events.EpochEnded) for event in seen), timeout=TRAINING_TIME)
    window.strip.stop_requested.emit()
    wait_for_job(qtbot, session, JobKind.TRAIN)
    assert session.training.last.ended == "stopped"
    assert session.models.opened.path.exists()


def test_folder_deleted_during_training_loses_nothing(qtbot, window, session, blobs):
    import shutil

    drop(window, blobs)
    qtbot.waitUntil(lambda: session.project.dataset is not None, timeout=30_000)
    session.project.change({"training.epochs": 3})
    seen = []
    session.queue.reported.connect(lambda job, event: seen.append(event))
    session.training.train()
    qtbot.waitUntil(lambda: any(isinstance(event, events.TrainingStarted) for event in seen), timeout=TRAINING_TIME)
    shutil.rmtree(blobs)
    wait_for_job(qtbot, session, JobKind.TRAIN)
    assert session.training.last.epochs == 3


def test_pasted_picture_is_classified(qtbot, window, session, trained):
    picture = QImage(40, 40, QImage.Format.Format_RGB32)
    picture.fill(Qt.GlobalColor.red)
    QGuiApplication.clipboard().setImage(picture)
    window.paste()
    qtbot.waitUntil(lambda: len(session.predictions.found) == 1, timeout=30_000)
    assert not session.predictions.found[0].error


def test_a_folder_of_folders_asks_once_there_is_a_model(qtbot, window, session, blobs, trained):
    drop(window, blobs)
    qtbot.waitUntil(lambda: window.findChild(QDialog) is not None)
    box = window.findChild(QDialog)
    texts = {button.text(): button for button in box.buttons()}
    texts["Classify these"].click()
    qtbot.waitUntil(lambda: len(session.predictions.found) == 36, timeout=30_000)


def test_nothing_to_classify_with_is_told(qtbot, window, session, blobs, told):
    drop(window, next((blobs / "red").iterdir()))
    qtbot.waitUntil(lambda: told != [])
    assert told[-1].kind is NoticeKind.WARNING
    assert "no model yet" in told[-1].text


def test_the_notice_that_there_is_no_model_goes_when_there_is_one(qtbot, window, session, blobs):
    drop(window, next((blobs / "red").iterdir()))
    qtbot.waitUntil(lambda: "no model yet" in window.notices.current_text())
    drop(window, blobs)
    qtbot.waitUntil(lambda: session.project.dataset is not None, timeout=30_000)
    session.project.change({"training.epochs": 1})
    session.training.train()
    wait_for_job(qtbot, session, JobKind.TRAIN)
    assert session.models.opened is not None
    assert window.notices.current_text() == ""
    assert not window.notices.isVisible()


def test_empty_folder_is_told_and_the_data_set_stays(qtbot, window, session, blobs, tmp_path, told):
    drop(window, blobs)
    qtbot.waitUntil(lambda: session.project.dataset is not None, timeout=30_000)
    before = session.project.dataset
    (tmp_path / "nothing").mkdir()
    drop(window, tmp_path / "nothing")
    qtbot.waitUntil(lambda: any(notice.kind is NoticeKind.ERROR for notice in told), timeout=10_000)
    assert session.project.dataset is before


def test_closing_during_training_asks_and_keeps(qtbot, window, session, blobs):
    drop(window, blobs)
    qtbot.waitUntil(lambda: session.project.dataset is not None, timeout=30_000)
    session.project.change({"training.epochs": 1000, "training.early_stopping": False})
    seen = []
    session.queue.reported.connect(lambda job, event: seen.append(event))
    session.training.train()
    qtbot.waitUntil(lambda: any(isinstance(event, events.EpochEnded) for event in seen), timeout=TRAINING_TIME)
    window.close()
    assert window.isVisible()
    box = window.findChild(QDialog)
    next(button for button in box.buttons() if "keep" in button.text().lower()).click()
    qtbot.waitUntil(lambda: not window.isVisible(), timeout=TRAINING_TIME)
    assert session.training.last.ended == "stopped"


def test_what_is_asked_before_tensorflow_is_ready_queues(qtbot, window, session, blobs):
    session.runtime.start()
    drop(window, blobs)
    qtbot.waitUntil(lambda: session.project.dataset is not None, timeout=60_000)
    session.project.change({"training.epochs": 1})
    session.training.train()
    drop(window, next((blobs / "red").iterdir()))
    qtbot.waitUntil(lambda: len(session.predictions.found) == 1, timeout=TRAINING_TIME)


def test_a_model_from_elsewhere_asks_for_class_names_and_values(qtbot, window, session, blobs, tmp_path):
    foreign = tmp_path / "foreign.keras"
    script = (
        "import sys, keras; inputs = keras.Input((8, 8, 3)); flat = keras.layers.Flatten()(inputs);"
        "outputs = keras.layers.Dense(2, activation='softmax')(flat); keras.Model(inputs, outputs).save(sys.argv[1])"
    )
    subprocess.run([sys.executable, "-c", script, str(foreign)], check=True, timeout=120)
    drop(window, foreign)
    qtbot.waitUntil(lambda: window.findChild(ClassNamesDialog) is not None, timeout=60_000)
    dialog = window.findChild(ClassNamesDialog)
    ok = dialog.buttons.button(QDialogButtonBox.StandardButton.Ok)
    assert not ok.isEnabled()
    dialog.names.setPlainText("ripe\nripe")
    assert not ok.isEnabled()
    dialog.names.setPlainText("ripe\nunripe")
    ok.click()
    ranges = window.findChild(InputRangeDialog)
    ranges.choices[InputRange.UNIT].click()
    ranges.try_on([(next((blobs / "red").iterdir()), "ripe")])
    qtbot.waitUntil(lambda: "of 1" in ranges.previews[InputRange.TORCH].text(), timeout=60_000)
    ranges.buttons.button(QDialogButtonBox.StandardButton.Ok).click()
    drop(window, next((blobs / "red").iterdir()))
    qtbot.waitUntil(lambda: len(session.predictions.found) == 1, timeout=30_000)
    assert session.predictions.found[0].label in {"ripe", "unripe"}
    assert read_facts(foreign).input_range is InputRange.UNIT


def test_a_hostile_model_file_is_refused_and_not_run(qtbot, window, session, blobs, tmp_path, told):
    hostile, proof = tmp_path / "hostile.keras", tmp_path / "executed"
    script = (
        "import sys, keras; inputs = keras.Input((8, 8, 3));"
        "flat = keras.layers.Lambda(lambda x: [x, __import__('pathlib').Path(sys.argv[2]).touch()][0])(inputs);"
        "outputs = keras.layers.Dense(2, activation='softmax')(keras.layers.Flatten()(flat));"
        "keras.Model(inputs, outputs).save(sys.argv[1])"
    )
    subprocess.run([sys.executable, "-c", script, str(hostile), str(proof)], check=True, timeout=120)
    proof.unlink(missing_ok=True)
    drop(window, hostile)
    qtbot.waitUntil(lambda: any(n.kind is NoticeKind.ERROR for n in told), timeout=60_000)
    assert "code" in told[-1].text
    assert session.models.opened is None
    assert not proof.exists()


def test_pictures_open_large_and_the_keys_go_on(qtbot, window, session, blobs):
    drop(window, blobs)
    qtbot.waitUntil(lambda: session.project.dataset is not None, timeout=30_000)
    first = session.project.dataset.path_of(session.project.dataset.files[0])
    window.page("data").grid.row_activated.emit(0)
    dialog = window.findChild(PictureDialog)
    assert dialog.path() == first
    qtbot.waitUntil(lambda: "32 × 32 pixels · PNG" in dialog.facts.text())
    dialog.next.click()
    assert dialog.path() == session.project.dataset.path_of(session.project.dataset.files[1])
    dialog.close()


def test_a_wrong_setting_is_marked_at_its_field(qtbot, window, session, blobs):
    drop(window, blobs)
    qtbot.waitUntil(lambda: session.project.dataset is not None, timeout=30_000)
    page = window.page("model")
    blocks = page.form.row("architecture.blocks")
    blocks.field.setText("16, thirty")
    blocks.field.textEdited.emit("16, thirty")
    assert blocks.error()
    blocks.field.setText("16, 32, 64, 64, 64, 64, 64")
    blocks.field.textEdited.emit(blocks.field.text())
    assert not blocks.error()
    assert session.project.experiment.architecture.blocks[-1] == (64,)
    assert "block6" in str(session.training.why_not_train())
    assert not window.page("train").train_button.isEnabled()


def test_an_export_never_takes_the_place_of_a_file_nobody_asked_about(
    qtbot, window, session, trained, tmp_path, monkeypatch, told
):
    notes = tmp_path / "pets.json"
    notes.write_text("my own notes", encoding="utf-8")
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *args, **kwargs: (str(tmp_path / "pets.keras"), ""))
    window.page("predict").export_button.click()
    wait_for_job(qtbot, session, JobKind.EXPORT)
    assert notes.read_text(encoding="utf-8") == "my own notes"
    assert not (tmp_path / "pets.keras").exists()
    assert "exists already" in told[-1].text


# -- answers are the opened model's, and the next start goes on ----------------------------------------------------


def test_the_model_of_a_new_training_answers_what_the_earlier_one_was_shown(
    qtbot, window, session, blobs, trained, tmp_path, monkeypatch
):
    shown = sorted((blobs / "red").iterdir()) + sorted((blobs / "blue").iterdir())
    window.take(shown)
    qtbot.waitUntil(lambda: len(session.predictions.found) == len(shown), timeout=30_000)
    wait_for_job(qtbot, session, JobKind.PREDICT)
    before = list(session.predictions.found)

    session.project.change({"training.seed": 7, "image.height": 24, "image.width": 24})
    session.training.train()
    wait_for_job(qtbot, session, JobKind.TRAIN)
    second = session.training.last
    assert second.model != trained.model
    assert not any(prediction in before for prediction in session.predictions.found)
    wait_for_job(qtbot, session, JobKind.PREDICT)
    assert session.predictions.unanswered == []
    expected = tasks.predict(tasks.PredictRequest(second.model, tuple(shown)), JobContext())
    assert [found.path for found in session.predictions.found] == shown
    for found, right in zip(session.predictions.found, expected, strict=True):
        assert dict(found.ranked) == pytest.approx(dict(right.ranked), abs=1e-6)

    target = tmp_path / "answers.csv"
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *args, **kwargs: (str(target), ""))
    window.page("predict").csv_button.click()
    with target.open(encoding="utf-8-sig", newline="") as file:
        assert {row["model"] for row in csv.DictReader(file)} == {str(second.model)}

    # The earlier run is still there: its curves, its result, its model, which answers again.
    runs_page = window.page("runs")
    runs_page.refresh()
    runs_page.choose(trained.run)
    epochs = [figure for _, figure in runs_page.curves.history_points()["epoch_validation_accuracy"]]
    assert len(epochs) == 2
    assert epochs[trained.best_epoch - 1] == pytest.approx(trained.validation.accuracy, abs=1e-6)
    runs_page.open_button.click()
    wait_for_job(qtbot, session, JobKind.OPEN_MODEL)
    wait_for_job(qtbot, session, JobKind.PREDICT)
    for found, right in zip(session.predictions.found, before, strict=True):
        assert dict(found.ranked) == pytest.approx(dict(right.ranked), abs=1e-6)

    # The Train page shows the second run still, and leads to its model.
    window.page("train").predict_button.click()
    wait_for_job(qtbot, session, JobKind.OPEN_MODEL)
    assert session.models.opened.path == second.model


def test_the_next_start_has_folder_and_model_ready(qtbot, window, session, blobs, trained):
    window.show_page("predict")
    window.close()
    again = Session()
    later = MainWindow(again)
    try:
        later.first_painted.connect(again.runtime.start)
        later.restore()
        later.show()
        qtbot.waitUntil(lambda: again.models.opened is not None, timeout=60_000)
        assert again.models.opened.path == trained.model
        assert again.models.opened.facts.class_names == ("blue", "green", "red")
        assert again.project.dataset.root == blobs
        assert again.project.experiment == session.project.experiment
        assert later.stack.currentWidget() is later.page("predict")
    finally:
        later.close()
        again.close()
