"""The Predict page with a model and answers that come at once; tests/e2e/test_window.py does it with real ones."""

import threading
from pathlib import Path

import pytest
from PySide6.QtWidgets import QDialogButtonBox, QFileDialog

from cnn_studio import tasks
from cnn_studio.core.errors import ModelFileError
from cnn_studio.core.evaluation.model_facts import ModelFacts
from cnn_studio.core.evaluation.predictions import ImagesPredicted, Prediction
from cnn_studio.core.job.jobs import JobContext
from cnn_studio.gui.dialogs.class_names import ClassNamesDialog
from cnn_studio.gui.dialogs.export import ExportDialog
from cnn_studio.gui.dialogs.picture import PictureDialog
from cnn_studio.gui.pages.predict.predict_page import PredictPage
from cnn_studio.gui.state.notices import NO_MODEL

FACTS = ModelFacts(("cat", "dog"), 32, 48, "small_cnn", data_name="pets")


@pytest.fixture
def page(qtbot, session, pages):
    made = PredictPage(session, pages)
    qtbot.addWidget(made)
    made.resize(900, 600)
    made.show()
    yield made
    made.results.close_loader()


@pytest.fixture
def opened(page, session):
    session.models.take(Path("/models/pets.keras"), FACTS)
    return page


@pytest.fixture
def asked(monkeypatch):
    """The requests to classify; the second image of each cannot be read."""
    asked = []

    def predict(request, context: JobContext):
        asked.append(request)
        answers = [
            Prediction(path, () if place == 1 else (("cat", 0.6), ("dog", 0.4)), "It is empty." if place == 1 else "")
            for place, path in enumerate(request.paths)
        ]
        context.report(ImagesPredicted(tuple(answers)))

    monkeypatch.setattr(tasks, "predict", predict)
    return asked


def texts(page):
    model = page.results.model()
    return [model.index(row, 0).data() for row in range(model.rowCount())]


def test_without_a_model_the_page_says_how_to_get_one(page, pages, session, settle, monkeypatch, tmp_path):
    monkeypatch.setattr(tasks, "open_model", lambda path, context: FACTS)
    monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *args, **kwargs: (str(tmp_path / "pets.keras"), ""))
    assert page._no_model.isVisible()
    page._no_model.buttons["data"].click()
    assert pages.shown == ["data"]
    page._no_model.buttons["open"].click()
    settle()
    assert page.title.text() == "Model of pets"
    assert page.facts.text() == "Small CNN · 2 classes · 48 × 32 pixels"
    assert session.models.opened.path == tmp_path / "pets.keras"
    assert page.invitation.isVisible()


def test_a_file_that_is_no_model_is_told(page, session, settle, told, monkeypatch):
    def open_model(path, context: JobContext):
        raise ModelFileError(f"{path.name} is not a Keras model.")

    monkeypatch.setattr(tasks, "open_model", open_model)
    session.models.open(Path("/models/holiday.keras"))
    settle()
    assert told[-1].text == "holiday.keras is not a Keras model."
    assert page._no_model.isVisible()


def test_images_are_classified_counted_and_cleared(opened, session, settle, asked, monkeypatch, tmp_path):
    names = [str(tmp_path / f"{number}.png") for number in range(3)]
    monkeypatch.setattr(QFileDialog, "getOpenFileNames", lambda *args, **kwargs: (names, ""))
    opened.choose_button.click()
    settle()
    assert [(request.model.name, len(request.paths)) for request in asked] == [("pets.keras", 3)]
    assert opened.count.text() == "3 images, 1 of them unreadable"
    assert len(texts(opened)) == 3
    assert "cat" in texts(opened)[0]
    opened.clear_button.click()
    assert texts(opened) == []
    assert session.predictions.found == []
    assert opened.invitation.isVisible()
    assert not opened.csv_button.isEnabled()


def test_without_a_model_there_is_a_notice_that_goes_when_there_is_one(page, session, told):
    withdrawn = []
    session.notices.withdrawn.connect(withdrawn.append)
    session.predictions.predict([Path("/a.png")])
    assert told[-1].topic == NO_MODEL
    session.models.take(Path("/models/pets.keras"), FACTS)
    assert withdrawn == [NO_MODEL]


def test_images_wait_for_a_model_that_is_on_its_way(qtbot, page, session, settle, asked, monkeypatch):
    go_on = threading.Event()

    def open_model(path, context: JobContext):
        assert go_on.wait(10)
        return FACTS

    monkeypatch.setattr(tasks, "open_model", open_model)
    session.models.open(Path("/models/pets.keras"))
    qtbot.waitUntil(lambda: page.title.text() == "A model is on its way")
    session.predictions.predict([Path("/a.png")])
    session.predictions.predict([Path("/b.png"), Path("/c.png")])
    go_on.set()
    settle()
    assert [[path.name for path in request.paths] for request in asked] == [["a.png", "b.png", "c.png"]]


def test_what_was_said_before_the_page_was_shown_is_on_it(qtbot, opened, session, settle, asked, pages):
    session.predictions.predict([Path("/a.png")])
    settle()
    later = PredictPage(session, pages)
    qtbot.addWidget(later)
    assert len(texts(later)) == 1
    later.results.close_loader()


def test_a_picture_opens_large_with_its_answers(opened, session, settle, asked):
    session.predictions.predict([Path("/a.png"), Path("/b.png")])
    settle()
    opened.results.image_activated.emit(Path("/a.png"))
    dialog = opened.findChild(PictureDialog)
    assert dialog.path() == Path("/a.png")
    dialog.close()


def test_answers_are_saved(opened, session, settle, asked, told, monkeypatch, tmp_path):
    session.predictions.predict([Path("/a.png")])
    settle()
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *args, **kwargs: (str(tmp_path / "answers.csv"), ""))
    opened.csv_button.click()
    assert "cat" in (tmp_path / "answers.csv").read_text(encoding="utf-8")
    assert told[-1].text == f"Saved to {tmp_path / 'answers.csv'}."


@pytest.mark.parametrize(("typed", "replaces"), [("pets", False), ("pets.keras", True)])
def test_an_export_replaces_only_what_the_dialog_asked_about(opened, settle, monkeypatch, tmp_path, typed, replaces):
    requests = []

    def export(request, context: JobContext):
        requests.append(request)
        return FACTS

    (tmp_path / "pets.keras").write_bytes(b"an earlier export")
    monkeypatch.setattr(tasks, "export", export)
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *args, **kwargs: (str(tmp_path / typed), ""))
    opened.export_button.click()
    settle()
    assert [(request.target.name, request.replace) for request in requests] == [("pets.keras", replaces)]
    dialog = opened.findChild(ExportDialog)
    assert "pets.keras" in dialog.snippet.toPlainText()
    dialog.close()


def test_a_model_without_names_is_given_them(qtbot, window, session):
    session.models.take(Path("/models/foreign.keras"), ModelFacts((), 32, 32, made_here=False, outputs=2))
    dialog = window.findChild(ClassNamesDialog)
    ok = dialog.buttons.button(QDialogButtonBox.StandardButton.Ok)
    dialog.names.setPlainText("ripe\nripe")
    assert not ok.isEnabled()
    dialog.names.setPlainText("ripe\nunripe")
    ok.click()
    assert session.models.opened.facts.class_names == ("ripe", "unripe")
    window.page("data").grid.close_loader()
