"""Asking which values a network made elsewhere takes; the network itself is not run."""

from pathlib import Path

import pytest
from PySide6.QtWidgets import QDialogButtonBox

from cnn_studio import tasks
from cnn_studio.core.evaluation.input_range import InputRange, RangeTrial
from cnn_studio.core.evaluation.model_facts import ModelFacts
from cnn_studio.core.evaluation.predictions import ImagesPredicted, Prediction
from cnn_studio.core.job.jobs import JobContext
from cnn_studio.gui.dialogs.class_names import ClassNamesDialog
from cnn_studio.gui.dialogs.input_range import InputRangeDialog
from cnn_studio.gui.pages.navigation import Page

FOREIGN = ModelFacts(("cat", "dog"), 32, 32, made_here=False, outputs=2, input_range=None)
MODEL = Path("/models/foreign.keras")


@pytest.fixture
def asked(monkeypatch):
    """The requests of each kind; of labelled pictures the range −1 to 1 names all rightly."""
    asked = {"try": [], "keep": [], "predict": []}

    def try_ranges(request, context: JobContext):
        asked["try"].append(request)
        known = sum(1 for _, name in request.pictures if name)
        return tuple(
            RangeTrial(
                each,
                images=known,
                right=known if each is InputRange.SIGNED else known // 2,
                answers=tuple(("cat", 0.75) for _ in request.pictures),
            )
            for each in InputRange
        )

    def predict(request, context: JobContext):
        asked["predict"].append(request)
        context.report(ImagesPredicted(tuple(Prediction(path, (("cat", 1.0),)) for path in request.paths)))

    monkeypatch.setattr(tasks, "try_input_ranges", try_ranges)
    monkeypatch.setattr(tasks, "keep_input_range", lambda request, context: asked["keep"].append(request))
    monkeypatch.setattr(tasks, "predict", predict)
    return asked


def dialog_of(window):
    return window.findChild(InputRangeDialog)


def press(dialog, button):
    dialog.buttons.button(button).click()


def test_a_model_that_does_not_say_it_is_asked_about_once_with_a_preview(window, session, asked, settle, make_dataset):
    session.project.dataset = make_dataset()
    session.models.take(MODEL, FOREIGN)
    dialog = dialog_of(window)
    settle()
    (request,) = asked["try"]
    assert {name for _, name in request.pictures} == {"cat", "dog"}
    assert dialog.choices[InputRange.SIGNED].isChecked()
    assert "8 of 8 right" in dialog.previews[InputRange.SIGNED].text()
    assert "fits best" in dialog.previews[InputRange.SIGNED].text()
    assert "4 of 8 right" in dialog.previews[InputRange.BYTES].text()
    assert "fits best" not in dialog.previews[InputRange.BYTES].text()
    press(dialog, QDialogButtonBox.StandardButton.Ok)
    settle()
    assert session.models.opened.facts.input_range is InputRange.SIGNED
    assert asked["keep"] == [tasks.KeepRangeRequest(MODEL, InputRange.SIGNED)]
    session.predictions.predict([Path("/a.png")])
    settle()
    assert asked["predict"][-1].input_range is InputRange.SIGNED
    window.page(Page.PREDICT).results.close_loader()
    window.page(Page.DATA).grid.close_loader()


def test_the_answer_can_be_changed_and_pictures_are_answered_anew(qtbot, window, session, asked, settle):
    session.models.take(MODEL, FOREIGN)
    press(dialog_of(window), QDialogButtonBox.StandardButton.Cancel)
    qtbot.waitUntil(lambda: dialog_of(window) is None)
    assert session.models.opened.facts.input_range is None
    assert asked["keep"] == []
    window.show_page(Page.PREDICT)
    page = window.page(Page.PREDICT)
    assert "not known" in page.facts.text()
    session.predictions.predict([Path("/a.png"), Path("/b.png")])
    settle()
    page.range_button.click()
    dialog = dialog_of(window)
    settle()
    assert [path for path, _ in asked["try"][-1].pictures] == [Path("/a.png"), Path("/b.png")]
    assert dialog.previews[InputRange.UNIT].text() == "cat 75 % · cat 75 %"
    dialog.choices[InputRange.UNIT].click()
    press(dialog, QDialogButtonBox.StandardButton.Ok)
    settle()
    assert "0 to 1" in page.facts.text()
    assert [request.input_range for request in asked["predict"]] == [None, InputRange.UNIT]
    assert [found.path for found in session.predictions.found] == [Path("/a.png"), Path("/b.png")]
    page.results.close_loader()
    window.page(Page.DATA).grid.close_loader()


def test_names_come_first_and_those_beside_the_file_are_offered(qtbot, window, session, asked, settle, tmp_path):
    (tmp_path / "labels.txt").write_text("0 Apple\n1 Banana\n")
    session.models.take(
        tmp_path / "keras_model.h5", ModelFacts((), 32, 32, made_here=False, outputs=2, input_range=None)
    )
    assert dialog_of(window) is None
    names = window.findChild(ClassNamesDialog)
    assert names.names.toPlainText() == "Apple\nBanana"
    press(names, QDialogButtonBox.StandardButton.Ok)
    assert session.models.opened.facts.class_names == ("Apple", "Banana")
    press(dialog_of(window), QDialogButtonBox.StandardButton.Ok)
    settle()
    assert session.models.opened.facts.input_range is InputRange.BYTES
    assert asked["keep"] == []  # an HDF5 file carries nothing
    window.page(Page.DATA).grid.close_loader()


def test_a_model_that_says_it_is_not_asked_about(window, session, asked):
    session.models.take(MODEL, ModelFacts(("cat", "dog"), 32, 32, made_here=False))
    assert dialog_of(window) is None
    window.page(Page.DATA).grid.close_loader()
