"""The Augment page with previews and measurements that answer at once; the real ones: e2e/test_window_augment.py."""

import threading

import numpy as np
import pytest
from PySide6.QtCore import QEvent, QPoint
from PySide6.QtWidgets import QApplication

from cnn_studio import tasks
from cnn_studio.core.errors import CnnStudioError
from cnn_studio.core.evaluation.figures import Evaluation
from cnn_studio.core.experiment.augmentation import parse_augmentation
from cnn_studio.core.job.jobs import JobContext
from cnn_studio.core.runs.comparison import AugmentationTrial, TrialEnded
from cnn_studio.gui.dialogs.compare import CompareDialog
from cnn_studio.gui.pages.augment.augment_page import AugmentPage


@pytest.fixture
def asked(monkeypatch):
    """The previews asked for; each is a grey picture with as many changed ones."""
    asked = []

    def preview(request, context: JobContext):
        asked.append(request)
        picture = np.full((8, 8, 3), 128, np.uint8)
        return tasks.Preview(picture, np.stack([picture] * 9), (0.4,) * 9)

    monkeypatch.setattr(tasks, "preview_augmentation", preview)
    return asked


@pytest.fixture
def page(qtbot, session, pages, asked):
    made = AugmentPage(session, pages)
    qtbot.addWidget(made)
    made.resize(1000, 700)
    made.show()
    return made


@pytest.fixture
def ready(page, session, make_dataset, settle):
    session.project.take_dataset(make_dataset(each=10))
    settle()
    return page


def test_without_data_the_page_says_what_it_would_show(page, asked):
    assert page.preview.results() == []
    assert not page.class_choice.isEnabled()
    assert not page.compare_button.isEnabled()
    assert page.compare_button.toolTip() == "Open a folder of images first."
    assert asked == []


def test_a_picture_of_the_chosen_class_is_previewed_with_the_present_settings(ready, session, settle, asked):
    assert len(ready.preview.results()) == 9
    assert asked[-1].picture.as_posix() == "/pictures/cat/0.png"
    ready.rows["rotation"].strength_changed.emit(12.0)
    settle()
    assert asked[-1].experiment.augmentation.rotation == 12.0
    ready.on.click()
    settle()
    assert (ready.picture_name.text(), asked[-1].picture.name) == ("1.png", "1.png")
    ready.class_choice.set_value(1)
    ready.class_choice.chosen.emit(1)
    settle()
    assert asked[-1].picture.as_posix() == "/pictures/dog/0.png"
    seed = asked[-1].seed
    ready.draw.click()
    settle()
    assert asked[-1].seed != seed


def test_nothing_is_previewed_for_nobody(ready, session, settle, asked):
    ready.hide()
    before = len(asked)
    session.project.change({"augmentation.rotation": 5.0})
    settle()
    assert len(asked) == before
    ready.show()
    settle()
    assert asked[-1].experiment.augmentation.rotation == 5.0


def test_a_preview_that_cannot_be_made_is_told_in_its_place_only(ready, settle, told, monkeypatch, asked):
    def fails(request, context: JobContext):
        raise CnnStudioError("It is no longer there.")

    working = tasks.preview_augmentation
    monkeypatch.setattr(tasks, "preview_augmentation", fails)
    ready.on.click()
    settle()
    assert ready.preview.results() == []
    assert told == []
    monkeypatch.setattr(tasks, "preview_augmentation", working)
    ready.on.click()
    settle()
    assert len(ready.preview.results()) == 9


def test_the_same_folder_altered_keeps_class_and_picture(ready, session, settle, asked, make_dataset):
    ready.class_choice.set_value(1)
    ready.class_choice.chosen.emit(1)
    ready.on.click()
    settle()
    session.project.divide(make_dataset(each=10))
    settle()
    assert ready.class_choice.value() == 1
    assert asked[-1].picture.as_posix() == "/pictures/dog/1.png"
    session.project.take_dataset(make_dataset("/others"))
    settle()
    assert asked[-1].picture.as_posix() == "/others/dog/0.png"


def lay_out():
    for _ in range(4):  # a request for each widget on the way up
        QApplication.sendPostedEvents(None, QEvent.Type.LayoutRequest.value)


def test_presets_are_taken_and_own_mixes_are_named_so(ready, session):
    assert ready.preset.value() == "none"
    ready.preset.set_value("flowers_tutorial")
    ready.preset.chosen.emit("flowers_tutorial")
    assert session.project.experiment.augmentation.is_on
    hue = ready.rows["hue"]
    lay_out()
    before = hue.switch.mapTo(ready, QPoint())
    hue.strength_changed.emit(0.2)
    assert ready.preset.currentText() == "Your own mix"
    assert ready.reason.text() == "What you have chosen below."
    lay_out()
    assert hue.switch.mapTo(ready, QPoint()) == before  # it has not moved from under the pointer


def test_the_cost_is_told_until_the_settings_are_others(ready, session, settle, monkeypatch):
    def measure(request, context: JobContext):
        return tasks.AugmentationCost(request.experiment.augmentation, 200.0, 100.0, 0.0, "a CPU")

    monkeypatch.setattr(tasks, "measure_augmentation", measure)
    assert "costs nothing" in ready.cost.text.text()
    assert not ready.cost.button.isVisible()
    session.project.change({"augmentation.rotation": 10.0})
    ready.cost.button.click()
    settle()
    assert "200 images/s as they are, 100 with these changes on a CPU" in ready.cost.text.text()
    assert "2.00 times as long" in ready.cost.text.text()
    session.project.change({"augmentation.rotation": 20.0})
    assert "not been measured" in ready.cost.text.text()


def trial(name, title, low=0.0, high=0.0, run=None):
    measured = Evaluation("validation", 100, 0.8, 0.7, 0.9, 0.5)
    return AugmentationTrial(name, title, run, measured, 0.9, (low + high) / 2, low, high)


def test_a_comparison_lists_its_trainings_and_what_helped_is_taken(ready, session, settle, monkeypatch, tmp_path):
    asked = []

    def compare(request, context: JobContext):
        asked.append(request)
        for each in (
            trial("none", "Without augmentation"),
            trial("flip_horizontal", "Only mirror", 0.02, 0.08),
            trial("rotation", "Only rotate", -0.01, 0.05),
            trial("all", "All", -0.09, -0.01),
        ):
            context.report(TrialEnded(each))

    monkeypatch.setattr(tasks, "compare_augmentations", compare)
    assert ready.compare_button.toolTip() == "Switch on what you want to try first."
    session.project.change({"augmentation": parse_augmentation("flip_horizontal,rotation").model_dump()})
    ready.compare_button.click()
    dialog = ready.findChild(CompareDialog)
    assert "4 times" in dialog.explanation.text()
    dialog.epochs.setValue(3)
    dialog.start.click()
    assert not dialog.use.isEnabled()
    settle()
    assert asked[0].epochs == 3
    assert asked[0].dataset is session.project.dataset
    rows = [[dialog.table.item(row, column).text() for column in range(4)] for row in range(4)]
    assert rows[0] == ["Without augmentation", "80 % (70–90 %)", "", ""]
    assert rows[1][2:] == ["+5.0 points (+2.0 to +8.0)", "better"]
    assert [row[3] for row in rows[2:]] == ["no clear difference", "worse"]
    dialog.use.click()
    assert [kind.name for kind in session.project.experiment.augmentation.kinds] == ["flip_horizontal"]
    dialog.close()


def test_the_way_on(page, pages):
    page.next_button.click()
    assert pages.shown == ["train"]


def test_during_a_training_the_page_says_when_the_preview_comes(qtbot, ready, session, settle, asked, monkeypatch):
    go_on = threading.Event()
    monkeypatch.setattr(tasks, "train", lambda request, context: go_on.wait(10) and None)
    monkeypatch.setattr(session.training, "_take", lambda trained: None)
    session.training.train()
    ready.hide()
    ready.show()
    assert len(ready.preview.results()) == 9, "what was shown is still true"
    ready.on.click()
    assert ready.preview.results() == []
    assert ready.preview._said == "The preview comes when this has ended: Training on pictures."
    go_on.set()
    settle()
    assert len(ready.preview.results()) == 9
    assert asked[-1].picture.name == "1.png"
