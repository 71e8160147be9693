"""The Predict page with a model and answers that come at once; tests/e2e/test_window.py does it with real ones."""

import json
import threading
from pathlib import Path

import pytest
from PySide6.QtCore import QSettings
from PySide6.QtWidgets import QDialog, QDialogButtonBox, QFileDialog, QMenu

from cnn_studio import tasks
from cnn_studio.core.data.split import split_dataset
from cnn_studio.core.errors import ModelFileError
from cnn_studio.core.evaluation.model_facts import ModelFacts
from cnn_studio.core.evaluation.predictions import ImagesPredicted, Prediction
from cnn_studio.core.experiment.experiment import Experiment
from cnn_studio.core.job.jobs import JobContext
from cnn_studio.core.runs import run as runs
from cnn_studio.core.runs.trained import Ended
from cnn_studio.gui.dialogs.class_names import ClassNamesDialog
from cnn_studio.gui.dialogs.explained_picture import ExplanationPanel
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
def test_an_export_replaces_only_what_the_dialog_asked_about(
    opened, settle, told, monkeypatch, tmp_path, typed, replaces
):
    requests = []

    def export(request, context: JobContext):
        requests.append(request)
        return FACTS

    window = opened.window()
    (tmp_path / "pets.keras").write_bytes(b"an earlier export")
    monkeypatch.setattr(tasks, "export", export)
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *args, **kwargs: (str(tmp_path / typed), ""))
    opened.export_button.click()
    settle()
    assert [(request.target.name, request.replace) for request in requests] == [("pets.keras", replaces)]
    assert window.findChildren(QDialog) == [], "nothing pops up that nobody asked for"
    (how, open_dialog) = told[-1].actions[0]
    assert how == "How to use it…"
    open_dialog()
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


# -- answers are the opened model's --------------------------------------------------------------------------------


class Answering:
    """Each model answers with its own name; after ``most`` pictures it waits to be let through, or cancelled."""

    def __init__(self):
        self.requests, self.go_on, self.most, self.waits = [], threading.Event(), 10_000, threading.Event()

    def __call__(self, request, context: JobContext):
        self.requests.append(request)
        for place, path in enumerate(request.paths):
            if place == self.most:
                self.waits.set()
                while not self.go_on.wait(0.001):
                    context.cancel.raise_if_cancelled()
            context.report(ImagesPredicted((Prediction(path, ((f"by {request.model.stem}", 0.9), ("dog", 0.1))),)))


@pytest.fixture
def answering(monkeypatch):
    made = Answering()
    monkeypatch.setattr(tasks, "predict", made)
    yield made
    made.go_on.set()


def said(session):
    return [prediction.label for prediction in session.predictions.found]


PICTURES = [Path(f"/{number}.png") for number in range(300)]


def test_another_model_answers_all_pictures_anew_in_their_places(opened, session, settle, answering):
    session.predictions.predict(PICTURES)
    settle()
    bar = opened.results.verticalScrollBar()
    bar.setValue(bar.maximum() // 3)
    place = bar.value()
    session.models.take(Path("/models/birds.keras"), FACTS)
    assert set(said(session)) == {""}, "nothing of the earlier model stays under the new one's name"
    assert opened.count.text() == "0 of 300 images classified"
    assert not opened.rest_button.isEnabled(), "it is at it"
    assert texts(opened)[0] == "0.png: Not classified yet"
    settle()
    assert said(session) == ["by birds"] * 300
    assert [prediction.path for prediction in session.predictions.found] == PICTURES
    assert opened.count.text() == "300 images"
    assert "by birds" in texts(opened)[299]
    assert bar.value() == place
    assert len(answering.requests) == 2


def test_answering_anew_can_be_cancelled_and_taken_up_again(qtbot, opened, session, settle, answering):
    session.predictions.predict(PICTURES)
    settle()
    answering.most = 120
    session.models.take(Path("/models/birds.keras"), FACTS)
    qtbot.waitUntil(answering.waits.is_set)
    qtbot.waitUntil(lambda: opened.count.text() == "120 of 300 images classified")
    assert not opened.rest_button.isEnabled(), "it is at it"
    session.queue.cancel()
    settle()
    assert said(session) == ["by birds"] * 120 + [""] * 180
    assert opened.rest_button.isVisible()
    answering.most = 10_000
    opened.rest_button.click()
    settle()
    assert len(answering.requests[-1].paths) == 180
    assert said(session) == ["by birds"] * 300
    assert not opened.rest_button.isVisible()


def test_a_model_that_comes_meanwhile_answers_what_the_earlier_one_did_not_get_to(
    qtbot, opened, session, settle, answering
):
    answering.most = 1
    session.predictions.predict(PICTURES[:3])
    session.predictions.predict(PICTURES[3:5])
    qtbot.waitUntil(lambda: len(said(session)) == 1)
    answering.most = 10_000
    session.models.take(Path("/models/birds.keras"), FACTS)
    settle()
    assert said(session) == ["by birds"] * 5
    assert sorted(prediction.path for prediction in session.predictions.found) == PICTURES[:5]


def test_without_a_model_the_pictures_stay_and_the_answers_go(opened, session, settle, answering):
    session.predictions.predict(PICTURES[:2])
    settle()
    session.models.forget_in(Path("/models"))
    assert said(session) == ["", ""]
    assert not opened.csv_button.isEnabled()
    session.models.take(Path("/models/birds.keras"), FACTS)
    settle()
    assert said(session) == ["by birds"] * 2


def test_clear_ends_what_is_being_answered(qtbot, opened, session, settle, answering):
    answering.most = 1
    session.predictions.predict(PICTURES)
    qtbot.waitUntil(lambda: len(said(session)) == 1)
    opened.clear_button.click()
    settle()
    assert session.predictions.found == []
    assert texts(opened) == []


def test_a_large_picture_follows_the_model_and_where_it_looks_is_never_another_ones(
    qtbot, opened, session, settle, answering, monkeypatch
):
    asked = []

    def explain(request, context: JobContext):
        asked.append(request.model.stem)
        raise ModelFileError("It has no convolution.")

    monkeypatch.setattr(tasks, "explain", explain)
    session.predictions.predict(PICTURES[:2])
    settle()
    opened.results.image_activated.emit(PICTURES[1])
    dialog = opened.findChild(PictureDialog)
    panel = dialog.findChild(ExplanationPanel)
    panel.looking.setChecked(True)
    settle()
    answering.most = 1
    session.models.take(Path("/models/birds.keras"), FACTS)
    assert panel.bars.chosen() == ""
    assert not panel.looking.isEnabled(), "not answered yet"
    answering.go_on.set()
    settle()
    assert panel.bars.chosen() == "by birds"
    assert dialog.caption.text() == "by birds · 90 %"
    assert asked == ["pets", "birds"]
    dialog.close()


def test_the_table_says_whose_answers_these_are(opened, session, settle, asked, monkeypatch, tmp_path):
    session.predictions.predict([Path("/a.png")])
    settle()
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *args, **kwargs: (str(tmp_path / "answers.csv"), ""))
    opened.csv_button.click()
    header, line = (tmp_path / "answers.csv").read_text(encoding="utf-8").splitlines()
    row = dict(zip(header.lstrip("\ufeff").split(","), line.split(","), strict=True))
    assert row["model"] == str(Path("/models/pets.keras"))


# -- earlier models ----------------------------------------------------------------------------------------------------


def offered(page):
    page.open_button.click()
    menu = page.findChildren(QMenu)[-1]
    return {action.text(): action for action in menu.actions() if action.text()}


def test_models_of_earlier_runs_and_files_used_before_are_offered(
    page, session, settle, make_dataset, monkeypatch, tmp_path
):
    monkeypatch.setattr(tasks, "open_model", lambda path, context: FACTS)
    monkeypatch.setattr(QMenu, "popup", lambda menu, where: None)
    dataset = make_dataset(tmp_path / "pets & co", each=10)
    for name in ("older", "newer"):
        experiment = Experiment()
        folder = session.project.runs_dir / name
        run = runs.create_run(folder, dataset, split_dataset(dataset, experiment.split), experiment)
        figures = {"val_accuracy": 0.91, "val_accuracy_low": 0.89, "val_accuracy_high": 0.93}
        runs.finish_run(run, figures, Ended.COMPLETED)
        run.model.write_bytes(b"a network")
        written = json.loads((folder / "run.json").read_text(encoding="utf-8"))
        written["created"] = f"2026-11-2{'12'[name == 'newer']}T10:00:00+00:00"
        (folder / "run.json").write_text(json.dumps(written), encoding="utf-8")
    elsewhere = tmp_path / "elsewhere.keras"
    elsewhere.write_bytes(b"a network")
    session.models.open(elsewhere)
    settle()
    actions = offered(page)
    texts = list(actions)
    assert [text[:10] for text in texts[:2]] == ["2026-11-22", "2026-11-21"], "the newest first"
    assert "pets && co · Small CNN · validation accuracy 91 % (89–93 %)" in texts[0]
    assert texts[2:] == ["elsewhere.keras", "Another file…"]
    actions[texts[1]].trigger()
    settle()
    assert session.models.opened.path == session.project.runs_dir / "older" / "model.keras"
    actions = offered(page)
    actions["elsewhere.keras"].trigger()
    settle()
    assert session.models.opened.path == elsewhere


def test_a_damaged_store_of_settings_offers_nothing(session):
    for damaged in (7, "one", [1, None], {"a": 1}):
        QSettings().setValue("recent_models", damaged)
        QSettings().setValue("recent_folders", damaged)
        assert session.models.recent_files() == []
        assert session.project.recent_folders() == []


def test_the_model_wanted_last_is_the_one_that_is_open(opened, session, settle, monkeypatch):
    asked = []
    monkeypatch.setattr(tasks, "open_model", lambda path, context: asked.append(path.stem) or FACTS)
    session.models.use(Path("/models/pets.keras"))
    session.models.open(Path("/models/birds.keras"))
    session.models.use(Path("/models/pets.keras"))
    settle()
    assert asked == ["birds", "pets"]
    assert session.models.opened.path.stem == "pets"
