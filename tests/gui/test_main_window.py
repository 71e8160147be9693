"""The window as a whole: its pages, what it tells, what waits for a training, and what the next start goes on with."""

import shutil
import threading
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image
from PySide6.QtCore import QSettings
from PySide6.QtWidgets import QApplication

from cnn_studio import tasks
from cnn_studio.core.errors import CnnStudioError
from cnn_studio.core.evaluation.figures import Evaluation
from cnn_studio.core.evaluation.model_facts import ModelFacts
from cnn_studio.core.experiment.experiment import Experiment
from cnn_studio.core.runs.trained import TrainedModel
from cnn_studio.gui.jobs.job_thread import JobKind
from cnn_studio.gui.main_window import MainWindow
from cnn_studio.gui.pages.navigation import PAGE_TITLES, Page
from cnn_studio.gui.state.kept_window import kept_window
from cnn_studio.gui.state.notices import DATA
from cnn_studio.gui.state.session import Session


@pytest.fixture
def window(qtbot, session):
    made = MainWindow(session)
    qtbot.addWidget(made)
    made.show()
    yield made
    for key in (Page.DATA, Page.MODEL):
        page = made.page(key)
        (page.grid.close_loader if key is Page.DATA else page.preview.loader.close)()


def test_every_page_has_a_title_and_an_icon_and_can_be_shown(window):
    for row, key in enumerate(Page):
        window.show_page(key)
        assert window.stack.currentWidget() is window.page(key)
        assert window.navigation.currentItem().text() == PAGE_TITLES[key]
        assert not window.navigation.item(row).icon().pixmap(20, 20).isNull()


# -- while a training runs -----------------------------------------------------------------------------------------


@pytest.fixture
def pictures(tmp_path):
    """pictures(name) -> folder of two classes."""

    def make(name):
        for label, colour in (("cat", 200), ("dog", 40)):
            (tmp_path / name / label).mkdir(parents=True)
            for number in range(6):
                pixels = np.full((16, 16, 3), colour + number, np.uint8)
                Image.fromarray(pixels).save(tmp_path / name / label / f"{number}.png")
        return tmp_path / name

    return make


@pytest.fixture
def training(qtbot, window, session, pictures, settle, monkeypatch, tmp_path):
    """A training on the folder “first” that runs until ``go_on`` is set."""
    go_on = threading.Event()
    facts = ModelFacts(("cat", "dog"), 16, 16, "small_cnn", data_name="first")
    validation = Evaluation("validation", 200, 0.91, 0.89, 0.93, 0.3)

    def train(request, context):
        while not go_on.wait(0.001):
            context.cancel.raise_if_cancelled()
        model = request.run / "model.keras"
        return TrainedModel(request.run, model, facts, {}, validation, None, 2, 2, "completed", 65.0, "a CPU")

    monkeypatch.setattr(tasks, "train", train)
    session.project.open_folder(pictures("first"))
    settle()
    window.show_page(Page.TRAIN)
    session.training.train()
    qtbot.waitUntil(window.strip.cancel_button.isVisible)
    yield go_on
    go_on.set()


def test_a_folder_dropped_meanwhile_is_kept_visibly_and_opens_afterwards(window, session, training, pictures, settle):
    second = pictures("second")
    window._open_as_data(second)
    assert "Opening second" in window.strip.next_button.text()
    assert "“second” opens when this has ended: Training on first." in window.notices.current_text()
    assert window.stack.currentWidget() is window.page(Page.TRAIN), "there is nothing to see on Data yet"
    training.set()
    settle()
    assert session.project.dataset.root == second
    assert not window.strip.next_button.isVisible()
    assert window.stack.currentWidget() is window.page(Page.TRAIN), "no page changes by itself"
    assert "Training on first has ended: validation accuracy 91 % (89–93 %)." in window.notices.current_text()
    window.notices.action_buttons()[0].click()
    assert window.stack.currentWidget() is window.page(Page.RUNS)


@pytest.mark.parametrize("way", ["notice", "strip"])
def test_a_folder_that_waits_can_be_taken_back(window, session, training, pictures, settle, way):
    first = session.project.dataset
    window._open_as_data(pictures("second"))
    if way == "notice":
        window.notices.action_buttons()[0].click()
    else:
        window.strip.next_button.menu().actions()[0].trigger()
    assert not window.notices.isVisible()
    assert not window.strip.next_button.isVisible()
    training.set()
    settle()
    assert session.project.dataset is first


def test_a_notice_moves_nothing_and_goes_with_what_it_is_about(window, session, pictures, settle, qtbot):
    before = window.stack.geometry()
    session.project.open_folder(pictures("first").parent / "gone")
    settle()
    assert "gone" in window.notices.current_text()
    assert window.notices.isVisible()
    QApplication.processEvents()
    assert window.stack.geometry() == before
    session.project.open_folder(pictures("second"))
    settle()
    assert not window.notices.isVisible()


def test_what_is_told_of_a_run_or_of_data_goes_with_them(window, session, pictures, settle):
    notices = session.notices
    notices.tell_error(CnnStudioError("The GPU is out of memory."), JobKind.TRAIN)
    notices.tell_info("One decision is in force again.", DATA)
    notices.tell_info("Saved to table.csv.")
    session.project.open_folder(pictures("first"))
    settle()
    assert window.notices.current_text() == "Saved to table.csv."
    window.notices.close_notice()
    assert not window.notices.isVisible()


# -- the next start ------------------------------------------------------------------------------------------------


@pytest.fixture
def start(qtbot, monkeypatch):
    """start() -> a window as the program starts it; all are closed in the end."""
    made = []

    def make():
        session = Session()
        window = MainWindow(session)
        window.restore()
        window.show()
        made.append((window, session))
        return window, session

    yield make
    for window, session in made:
        window.close()
        session.close()
        qtbot.waitUntil(lambda session=session: not session.queue.of_kind(*JobKind))
        window.deleteLater()


def idle(qtbot, session):
    qtbot.waitUntil(lambda: not session.queue.is_busy_with(*JobKind) and session.data.is_settled)


def test_the_next_start_goes_on_with_folder_settings_page_and_model(qtbot, start, pictures, monkeypatch, tmp_path):
    asked = []
    foreign = ModelFacts((), 16, 16, made_here=False, outputs=2)
    monkeypatch.setattr(tasks, "open_model", lambda path, context: asked.append(path) or foreign)
    folder, model = pictures("first"), tmp_path / "foreign.keras"
    window, session = start()
    session.project.open_folder(folder)
    idle(qtbot, session)
    session.project.change({"training.epochs": 7, "image.height": 24, "image.width": 24})
    session.models.take(model, replace(foreign, class_names=("ripe", "unripe")))
    window.show_page(Page.MODEL)
    window.resize(900, 640)
    window.close()

    later, again = start()
    qtbot.waitUntil(lambda: bool(asked))
    idle(qtbot, again)
    assert again.project.dataset.root == folder
    assert again.project.experiment == session.project.experiment
    assert again.project.chosen.fixed == session.project.chosen.fixed
    assert later.stack.currentWidget() is later.page(Page.MODEL)
    assert later.height() == 640
    assert asked == [model]
    assert again.models.opened.facts.class_names == ("ripe", "unripe"), "named once is enough"


def test_a_folder_that_is_gone_is_told_and_the_rest_is_as_it_was(qtbot, start, pictures):
    folder = pictures("first")
    window, session = start()
    session.project.open_folder(folder)
    idle(qtbot, session)
    session.project.change({"training.epochs": 7})
    window.close()
    shutil.rmtree(folder)
    later, again = start()
    idle(qtbot, again)
    assert again.project.dataset is None
    assert again.project.experiment.training.epochs == 7
    assert str(folder) in later.notices.current_text() or folder.name in later.notices.current_text()


def test_a_folder_that_still_waited_is_the_one_that_is_opened(window, session, training, pictures, qtbot):
    second = pictures("second")
    window._open_as_data(second)
    training.set()
    session.queue.give_up(session.queue.of_kind(JobKind.TRAIN)[0])
    qtbot.waitUntil(lambda: not session.training.is_running())
    window._keep()
    assert kept_window().folder == second


@pytest.mark.parametrize(
    "damaged",
    [
        b"",
        b"\xff\x00",
        b"[" * 100_000,
        b"[]",
        b'{"folder": 7, "model": ["a"], "page": {}, "class_names": "ab", "experiment": 3, "fixed": 4}',
        b'{"folder": "relative", "page": "cellar", "experiment": {"training": {"epochs": -1}}, "fixed": [[]]}',
        b'{"folder": "/a\\u0000b", "experiment": {"nothing": 1}, "fixed": []}',
    ],
)
def test_a_damaged_store_gives_the_defaults(start, damaged, own_home):
    file = own_home / "data" / "window.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(damaged)
    QSettings().setValue("window_geometry", "no geometry")
    window, session = start()
    assert session.project.experiment == Experiment()
    assert session.queue.of_kind(JobKind.SCAN) == []
    assert window.stack.currentWidget() is window.page(Page.DATA)


def test_the_window_comes_back_onto_a_screen_that_there_is(start):
    window, _ = start()
    window.move(30_000, 20_000)
    window.close()
    later, _ = start()
    shown = later.frameGeometry()
    assert any(screen.availableGeometry().intersects(shown) for screen in QApplication.screens())
