"""How the window ends, what it tells of the last time, and what becomes of errors that nobody caught."""

import sys
import threading
from datetime import UTC, datetime, timedelta

import pytest
from PySide6.QtWidgets import QFileDialog

from cnn_studio.core.data.split import split_dataset
from cnn_studio.core.errors import StorageError
from cnn_studio.core.experiment.experiment import Experiment
from cnn_studio.core.job.jobs import JobCancelled
from cnn_studio.core.runs import run as runs
from cnn_studio.core.system import logs
from cnn_studio.gui.app import Uncaught, tell_how_it_ended_last_time
from cnn_studio.gui.dialogs.place import PlaceDialog
from cnn_studio.gui.jobs.job_thread import Job, JobKind


@pytest.fixture
def hook(monkeypatch):
    """The hook of this program, as it is installed in a process of its own."""
    before = sys.excepthook
    monkeypatch.setattr(logs, "_hooked", False)
    monkeypatch.setattr(sys, "excepthook", lambda *_: None)
    monkeypatch.setattr(threading, "excepthook", threading.excepthook)
    logs._hook_exceptions()
    yield sys.excepthook
    sys.excepthook = before


def test_an_error_in_a_slot_is_shown(qtbot, session, told, hook):
    uncaught = Uncaught(session)
    try:
        int("one")
    except ValueError as error:
        hook(type(error), error, error.__traceback__)
    qtbot.waitUntil(lambda: bool(told))
    uncaught.close()
    assert told[0].kind == "error"
    assert "(ValueError)" in told[0].text
    assert 'int("one")' in told[0].details
    assert logs.uncaught == []


def test_trainings_that_were_cut_off_are_told_once(session, told, make_dataset):
    dataset, experiment = make_dataset(each=10), Experiment()
    for name in ("cut off", "finished"):
        folder = session.project.runs_dir / name
        run = runs.create_run(folder, dataset, split_dataset(dataset, experiment.split), experiment)
    runs.finish_run(run, {}, runs.Ended.COMPLETED)
    left = session.project.runs_dir / "cut off" / ".ab12_cd3.part.keras"
    left.touch()
    tell_how_it_ended_last_time(session)
    assert not left.exists(), "half a file that nobody will go on with"
    assert len(told) == 1
    assert told[0].text.startswith("The training cut off was cut off")
    record = session.project.runs_dir / "cut off" / "run.json"
    earlier = (datetime.now(UTC) - timedelta(hours=1)).isoformat(timespec="seconds")
    created = runs.read_run(record.parent).created
    record.write_text(record.read_text(encoding="utf-8").replace(created, earlier), encoding="utf-8")
    tell_how_it_ended_last_time(session)
    assert len(told) == 1


@pytest.fixture
def wants_a_place(session):
    """A job that cannot keep what it made; what it was told in the end."""
    answers = []

    def job(request, context):
        answers.append(context.elsewhere(StorageError("The disk is full.")))

    session.queue.submit(Job(JobKind.TRAIN, "Training", job, None), on_success=lambda _: None)
    return answers


def test_another_folder_is_offered_for_a_network_that_cannot_be_saved(
    qtbot, window, wants_a_place, tmp_path, settle, monkeypatch
):
    chosen = iter(["", str(tmp_path)])  # thought better of the first time: asked again
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *_: next(chosen))
    for _ in range(2):
        qtbot.waitUntil(lambda: any(box.isVisible() for box in window.findChildren(PlaceDialog)))
        box = next(box for box in window.findChildren(PlaceDialog) if box.isVisible())
        assert "The disk is full." in box.text()
        box.choose.click()
    settle()
    assert wants_a_place == [tmp_path]


def test_a_network_that_cannot_be_saved_may_be_given_up(qtbot, window, wants_a_place, settle):
    qtbot.waitUntil(lambda: bool(window.findChildren(PlaceDialog)))
    window.findChildren(PlaceDialog)[0].give_up.click()
    settle()
    assert wants_a_place == [None]


def test_a_question_ends_with_its_job(qtbot, window, session, wants_a_place, settle):
    qtbot.waitUntil(lambda: bool(window.findChildren(PlaceDialog)))
    session.queue.cancel()
    settle()
    assert wants_a_place == []


def test_being_told_to_end_keeps_the_network_without_a_question(qtbot, window, session):
    began, discarded = threading.Event(), []

    def train(request, context):
        began.set()
        while not context.cancel.cancel_requested:  # nothing to keep yet, so a stop counts
            threading.Event().wait(0.01)
        discarded.append(context.cancel._cancel.is_set())
        raise JobCancelled

    session.queue.submit(Job(JobKind.TRAIN, "Training", train, None))
    qtbot.waitUntil(began.is_set)
    window.close_keeping()
    qtbot.waitUntil(lambda: not window.isVisible())
    assert discarded == [False]
