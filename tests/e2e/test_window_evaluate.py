"""Evaluation through the real window: trained, measured, a cell clicked, looked into, a threshold kept, reported."""

import csv

import keras
import numpy as np
import pytest
from PIL import Image
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QFileDialog

from cnn_studio.core.data.image_file import Split
from cnn_studio.core.image.decoder import read_image
from cnn_studio.core.percent import format_percent
from cnn_studio.core.runs import run as runs
from cnn_studio.gui.dialogs.explained_picture import ExplanationPanel
from cnn_studio.gui.dialogs.picture import PictureDialog
from cnn_studio.gui.jobs.job_thread import JobKind
from cnn_studio.gui.state.notices import NoticeKind

TRAINING_TIME = 120_000
MATRIX, GALLERIES, HOW_SURE = 1, 2, 3


def wait_until_idle(qtbot, session, timeout=TRAINING_TIME):
    qtbot.waitUntil(lambda: session.queue.current is None, timeout=timeout)


def no_errors(told):
    return [notice.text for notice in told if notice.kind is NoticeKind.ERROR] == []


@pytest.fixture
def trained(qtbot, window, session, blobs, told):
    """The window after a network was trained on the blobs for two epochs."""
    session.project.open_folder(blobs)
    qtbot.waitUntil(lambda: session.project.dataset is not None, timeout=30_000)
    assert session.project.change({"training.epochs": 2, "training.batch_size": 8}) is None
    session.training.train()
    wait_until_idle(qtbot, session)
    assert session.training.last is not None, [notice.text for notice in told]
    return session.training.last


def plain_keras_answers(model, measured):
    """What the file says of the measured images, by Keras alone."""
    network = keras.saving.load_model(model)
    height, width = network.input_shape[1:3]
    pixels = np.stack([read_image(measured.path_of(i), height, width) for i in range(len(measured.paths))])
    return network.predict(pixels, verbose=0)


def test_from_training_to_the_report(qtbot, window, session, trained, blobs, tmp_path, monkeypatch, told):
    # What training measured shows at once.
    window.page("train").evaluate_button.click()
    page = window.page("evaluate")
    assert window.stack.currentWidget() is page
    measured = session.evaluation.measured
    tested = [path for path, _, split in runs.read_manifest(runs.read_run(trained.run)) if split is Split.TEST]
    assert sorted(measured.paths) == sorted(tested)
    assert page.title.text().startswith(f"Test accuracy {format_percent(trained.test.accuracy)} (")
    assert f"{len(tested)} images" in page.title.text()
    assert page.report.table.scores.rowCount() == 2 + 3
    answers = plain_keras_answers(trained.model, measured)
    np.testing.assert_allclose(measured.probabilities, answers, atol=1e-5)

    # A click on a field of the matrix shows its images.
    page.tabs.setCurrentIndex(MATRIX)
    matrix = page.matrix.matrix
    true, predicted = int(measured.labels[0]), int(answers[0].argmax())
    qtbot.mouseClick(matrix.picture(), Qt.MouseButton.LeftButton, pos=matrix.point_of(true, predicted))
    shown = [verdict.path for verdict in page.matrix.gallery.verdicts()]
    labels = [measured.class_names.index(path.parent.name) for path in shown]
    assert measured.path_of(0) in shown
    assert set(labels) == {true}

    # One of them large, and where the network looks.
    page.matrix.gallery.image_activated.emit(shown[0])
    dialog = window.findChild(PictureDialog)
    panel = dialog.findChild(ExplanationPanel)
    overlays = []
    panel.overlay_changed.connect(lambda picture, opacity: overlays.append((picture, opacity)))
    with qtbot.waitSignal(session.evaluation.explained, timeout=60_000) as answered:
        panel.looking.click()
    explanation = answered.args[0]
    assert explanation.path == shown[0]
    assert explanation.class_name == measured.class_names[predicted]
    assert explanation.heat.shape == (trained.facts.height, trained.facts.width)
    assert overlays[-1][0] is not None
    panel.opacity.setValue(30)
    assert overlays[-1][1] == pytest.approx(0.3)
    dialog.close()

    # Honest probabilities, the accuracy unchanged.
    page.tabs.setCurrentIndex(HOW_SURE)
    accuracy = measured.evaluation.accuracy
    page.sureness.honest_button.click()
    wait_until_idle(qtbot, session)
    assert no_errors(told)
    assert session.evaluation.measured.evaluation.accuracy == accuracy
    np.testing.assert_allclose(
        session.evaluation.measured.probabilities, plain_keras_answers(trained.model, measured), atol=1e-4
    )

    # A threshold that some answers miss is kept in the model, and prediction follows it.
    strange = tmp_path / "strange.png"
    Image.effect_noise((32, 32), 90).convert("RGB").save(strange)
    session.predictions.predict([strange])
    qtbot.waitUntil(lambda: len(session.predictions.found) == 1, timeout=30_000)
    assert not session.predictions.found[0].unsure
    sure = session.predictions.found[0].probability
    page.sureness.slider.setValue(min(999, int(1000 * sure) + 2))
    threshold = page.sureness.threshold()
    assert page.sureness.keep_button.isEnabled()
    page.sureness.keep_button.click()
    wait_until_idle(qtbot, session)
    assert session.models.opened.facts.threshold == pytest.approx(threshold)
    assert not page.sureness.keep_button.isEnabled()
    predict = window.page("predict")
    predict.clear()
    session.predictions.predict([strange])
    qtbot.waitUntil(lambda: len(session.predictions.found) == 1, timeout=30_000)
    assert session.predictions.found[0].unsure == (sure < threshold)
    assert session.predictions.found[0].unsure
    assert "not sure" in predict.count.text()
    assert "Not sure" in predict.results.model().index(0, 0).data()

    # The report and the table.
    report = tmp_path / "report.html"
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *args, **kwargs: (str(report), ""))
    page.report_button.click()
    wait_until_idle(qtbot, session)
    text = report.read_text(encoding="utf-8")
    assert all(name in text for name in measured.class_names)
    assert 'src="http' not in text
    assert "Report saved" in window.notices.current_text()
    scores = tmp_path / "scores.csv"
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *args, **kwargs: (str(scores), ""))
    page.table_button.click()
    with scores.open(encoding="utf-8", newline="") as file:
        rows = list(csv.reader(file))
    assert set(measured.class_names) <= {row[0] for row in rows}


def test_an_earlier_run_is_evaluated_on_another_folder(qtbot, window, session, trained, blobs, monkeypatch, told):
    session.models.forget_in(trained.run)
    page = window.page("evaluate")
    assert page.missing.isVisibleTo(page)
    assert "No model" in page.missing.accessibleName()

    window.show_page("runs")
    window.page("runs").evaluate_button.click()
    wait_until_idle(qtbot, session)
    assert window.stack.currentWidget() is page
    assert session.evaluation.source is Split.TEST
    assert session.evaluation.measured is not None
    page.source.setCurrentIndex(page.source.findText("Validation", Qt.MatchFlag.MatchStartsWith))
    page.source.activated.emit(page.source.currentIndex())
    assert page.title.text().startswith(f"Validation accuracy {format_percent(trained.validation.accuracy)} (")

    # A folder with one class fewer and one that the model does not know: matched by name, the rest is told.
    (blobs / "blue").rename(blobs / "purple")
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *args, **kwargs: str(blobs))
    page.choose_folder()
    wait_until_idle(qtbot, session)
    measured = session.evaluation.measured
    assert page.title.text().startswith(f"Accuracy on {blobs.name} ")
    assert {measured.class_names[label] for label in measured.labels} == {"green", "red"}
    said = " ".join(notice.text for notice in told)
    assert "purple" in said
    assert "blue" in said
    texts = [page.report.table.scores.index(row, 4).data() for row in range(5)]
    assert texts.count("no images") == 1
    assert "no images of blue" in page.report.words.text()


def test_images_that_are_gone_are_told(qtbot, window, session, trained, blobs, told):
    import shutil

    shutil.rmtree(blobs)
    window.show_page("evaluate")
    page = window.page("evaluate")
    assert session.evaluation.measured is not None
    page.again_button.click()
    wait_until_idle(qtbot, session)
    assert told[-1].kind is NoticeKind.ERROR
    assert "no longer" in told[-1].text
    assert session.evaluation.measured is not None
    assert not session.queue.is_busy_with(JobKind.EVALUATE)


def test_a_picture_the_network_errs_on_can_be_left_out_or_put_elsewhere(qtbot, window, session, trained, blobs):
    window.show_page("evaluate")
    gallery = window.page("evaluate").matrix.gallery
    qtbot.waitUntil(lambda: session.data.view is not None, timeout=30_000)
    path = session.evaluation.measured.path_of(0)
    own = path.parent.name
    texts = [action.text() for action in gallery.menu_for([path]).actions() if action.text()]
    others = sorted({"red", "green", "blue"} - {own})
    assert texts[1:] == ["Leave this one out of the data set", *(f"Belongs to {name}" for name in others)]
    next(action for action in gallery.menu_for([path]).actions() if action.text().startswith("Leave")).trigger()
    assert session.project.experiment.decisions.left_out == (f"{own}/{path.name}",)
    assert "Use this one again" in [action.text() for action in gallery.menu_for([path]).actions()]
    elsewhere = blobs.parent / "elsewhere.png"
    assert [action.text() for action in gallery.menu_for([elsewhere]).actions()] == ["Show large, and where it looks"]
