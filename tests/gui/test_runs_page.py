"""The Runs page on run folders that are written by hand, with jobs that answer at once."""

import threading
from pathlib import Path

import pytest
from filelock import FileLock
from PySide6.QtGui import QDesktopServices
from PySide6.QtWidgets import QMessageBox

from cnn_studio import tasks
from cnn_studio.core.data.split import split_dataset
from cnn_studio.core.evaluation.model_facts import ModelFacts
from cnn_studio.core.experiment.experiment import Experiment, with_values
from cnn_studio.core.job.jobs import JobCancelled, JobContext
from cnn_studio.core.runs import run as runs
from cnn_studio.core.runs.trained import Ended
from cnn_studio.core.runs.training_lock import LOCK_NAME, held
from cnn_studio.gui.pages.runs.runs_page import RunsPage

FACTS = ModelFacts(("cat", "dog"), 32, 32, "small_cnn", data_name="pets")
DATA, VALIDATION, ENDING = 1, 3, 5


@pytest.fixture
def page(qtbot, session, pages):
    made = RunsPage(session, pages)
    qtbot.addWidget(made)
    made.resize(900, 500)
    made.show()
    return made


@pytest.fixture
def make_run(session, make_dataset):
    """make_run(name, finished=, model=, checkpoint=): a run's folder; the latest made is the first in the list."""
    dataset = make_dataset(each=10)

    def make(name, *, finished=True, model=True, checkpoint=False, **settings):
        experiment = with_values(Experiment(), settings)
        split = split_dataset(dataset, experiment.split)
        run = runs.create_run(session.project.runs_dir / name, dataset, split, experiment)
        if finished:
            metrics = {"val_accuracy": 0.91, "val_accuracy_low": 0.89, "val_accuracy_high": 0.93}
            run = runs.finish_run(run, metrics, Ended.COMPLETED)
        for wanted, file in ((model, run.model), (checkpoint, run.checkpoint)):
            if wanted:
                file.write_bytes(b"a network")
        return run

    return make


def row(page, number=0):
    return [page.model.index(number, column).data() for column in range(page.model.columnCount())]


def test_without_runs_the_page_leads_to_training(page, pages):
    assert page._empty.isVisible()
    page._empty.buttons["train"].click()
    assert pages.shown == ["train"]


def test_a_run_tells_what_it_was_and_how_good_it_became(page, make_run):
    make_run("first")
    page.refresh()
    assert row(page)[DATA : VALIDATION + 1] == ["pictures", "Small CNN", "91 % (89–93 %)"]
    assert row(page)[VALIDATION + 1] == "–"
    assert page.open_button.isEnabled()
    assert page.delete_button.isEnabled()


def test_its_model_is_opened_to_predict_or_to_evaluate(page, session, make_run, pages, settle, monkeypatch):
    asked = []
    monkeypatch.setattr(tasks, "open_model", lambda path, context: asked.append(path) or FACTS)
    run = make_run("first")
    page.refresh()
    page.open_button.click()
    settle()
    page.evaluate_button.click()
    settle()
    assert asked == [run.model, run.model]
    assert session.models.opened.path == run.model
    assert pages.shown == ["predict", "evaluate"]


def test_an_interrupted_run_is_recovered_from_its_best_weights(page, session, make_run, settle, monkeypatch):
    asked = []
    monkeypatch.setattr(tasks, "recover", lambda folder, context: asked.append(folder) or FACTS)
    run = make_run("first", finished=False, model=False, checkpoint=True)
    page.refresh()
    assert "interrupted" in row(page)[ENDING]
    page.open_button.click()
    settle()
    assert asked == [run.folder]
    assert session.models.opened.path == run.model


def test_a_run_without_weights_has_nothing_to_open(page, make_run):
    make_run("first", finished=False, model=False)
    page.refresh()
    assert not page.open_button.isEnabled()
    assert page.evaluate_button.toolTip() == "This run has no model to open."
    assert page.delete_button.isEnabled()


def test_its_settings_are_taken(page, session, make_run, pages):
    make_run("first", **{"training.epochs": 4})
    page.refresh()
    page.settings_button.click()
    assert session.project.experiment.training.epochs == 4
    assert pages.shown == ["model"]


def test_its_folder_is_shown(page, make_run, monkeypatch):
    shown = []
    monkeypatch.setattr(QDesktopServices, "openUrl", lambda url: shown.append(Path(url.toLocalFile())))
    run = make_run("first")
    page.refresh()
    page.folder_button.click()
    assert shown == [run.folder]


def delete(page):
    page.delete_button.click()
    box = page.findChild(QMessageBox)
    next(button for button in box.buttons() if button.text() == "Delete").click()


def test_a_run_is_deleted_with_its_model_and_the_choice_stays(page, session, make_run):
    first, second = make_run("first"), make_run("second")
    session.models.take(second.model, FACTS)
    page.refresh()
    page.table.selectRow(page.model.runs.index(second))
    delete(page)
    assert not second.folder.exists()
    assert [run.folder for run in page.model.runs] == [first.folder]
    assert session.models.opened is None


def test_a_model_in_use_is_not_deleted(qtbot, page, session, make_run, settle, monkeypatch):
    go_on = threading.Event()
    monkeypatch.setattr(tasks, "predict", lambda request, context: go_on.wait(10))
    run = make_run("first")
    session.models.take(run.model, FACTS)
    page.refresh()
    session.predictions.predict([Path("/a.png")])
    delete(page)
    assert run.folder.exists()
    go_on.set()
    settle()


def test_the_run_being_trained_is_left_alone(qtbot, page, session, make_run, make_dataset, settle, monkeypatch):
    go_on = threading.Event()

    def train(request, context: JobContext):
        with held(request.run):
            assert go_on.wait(10)
        raise JobCancelled

    monkeypatch.setattr(tasks, "train", train)
    run = make_run("first", finished=False, model=False, checkpoint=True)
    session.project.take_dataset(make_dataset(each=10))
    settle()
    session.training.train(run.folder)
    qtbot.waitUntil(lambda: row(page)[ENDING] == "being trained")
    assert not page.delete_button.isEnabled()
    assert not page.open_button.isEnabled()
    go_on.set()
    settle()
    assert "interrupted" in row(page)[ENDING]
    assert page.delete_button.isEnabled()


def test_the_cache_is_cleared_by_a_job(page, session, settle, monkeypatch):
    cleared = []
    monkeypatch.setattr(tasks, "clear_cache", lambda request, context: cleared.append(True))
    assert page.cache_text.text() == "Cache: 0 bytes"
    assert not page.cache_button.isEnabled()
    session.runtime.clear_cache()
    settle()
    assert cleared == [True]


def test_a_run_that_somebody_trains_is_neither_interrupted_nor_to_be_deleted(page, make_run):
    def told():
        page.refresh()
        buttons = (page.open_button, page.evaluate_button, page.delete_button)
        return row(page)[ENDING], {button.isEnabled() for button in buttons}

    run = make_run("first", finished=False, model=False, checkpoint=True)
    assert told() == ("interrupted; can be recovered", {True})
    with FileLock(run.folder / LOCK_NAME):  # as another process has it
        assert told() == ("being trained by another cnn_studio", {False})
    with held(run.folder):
        assert told() == ("being trained", {False})
    assert told() == ("interrupted; can be recovered", {True})


def test_a_run_that_began_to_train_while_the_question_was_open_stays(page, make_run):
    run = make_run("first", finished=False, model=False, checkpoint=True)
    page.refresh()
    with FileLock(run.folder / LOCK_NAME):
        delete(page)
        assert run.checkpoint.exists()


HISTORY = """epoch,loss,accuracy,val_loss,val_accuracy,seconds,stage
1,0.9,0.5,0.8,0.6,1.0,head
2,0.7,0.6,0.5,0.7,1.0,head
3,0.6,0.7,,,1.0,fine_tuning
"""


def test_the_chosen_run_shows_its_result_and_its_curves(page, make_run):
    older, newer = make_run("older"), make_run("newer")
    older.history.write_text(HISTORY, encoding="utf-8")
    page.refresh()
    page.choose(newer.folder)
    assert not page.curves.isVisible(), "it has no complete epoch"
    page.choose(older.folder)
    assert page.curves.isVisible()
    points = page.curves.history_points()
    assert points["epoch_training_loss"] == [(1, 0.9), (2, 0.7), (3, 0.6)]
    assert points["epoch_validation_accuracy"][:2] == [(1, 0.6), (2, 0.7)]
    assert page.result.text() == "pictures · Small CNN · validation accuracy 91 % (89–93 %)"
    assert page.said.text().startswith("All epochs done. The model of epoch 2 of 3 was kept")
    page.choose(newer.folder)
    assert page.curves.history_points()["epoch_training_loss"] == []


@pytest.mark.parametrize(
    "damaged",
    [
        b"\xff\xfe\x00",
        b"epoch,loss\n1,0.5\n",
        HISTORY.replace("0.9", "many").encode(),
        HISTORY.replace("\n1,", "\n-1,").encode(),
        HISTORY.replace("\n1,", "\n99999999999,").encode(),
        b"epoch\0",
    ],
)
def test_a_damaged_history_is_a_sentence(page, make_run, damaged):
    make_run("first").history.write_bytes(damaged)
    page.refresh()
    assert "history.csv is damaged" in page.said.text()
    assert page.result.text().endswith("(89–93 %)")
    assert not page.curves.isVisible()
    assert page.open_button.isEnabled()


def test_a_damaged_run_is_listed_beside_the_others_and_can_be_deleted(page, make_run):
    good, bad = make_run("good"), make_run("bad")
    (bad.folder / "run.json").write_text('{"status": "finished", "metrics": null}', encoding="utf-8")
    page.refresh()
    rows = {row(page, number)[DATA]: row(page, number)[ENDING] for number in range(2)}
    assert rows == {"pictures": "all epochs done", "bad": "damaged: its run.json cannot be read"}
    page.table.selectRow([run.folder for run in page.model.runs].index(bad.folder))
    assert page.open_button.isEnabled(), "its model is whole"
    bad.model.unlink()
    bad.checkpoint.write_bytes(b"weights of nobody knows which network")
    page.refresh()
    assert not page.open_button.isEnabled()
    delete(page)
    assert not bad.folder.exists()
    assert [run.folder for run in page.model.runs] == [good.folder]


def test_a_run_without_interval_or_model_says_so(page, make_run):
    run = make_run("first", model=False)
    runs.finish_run(run, {"val_accuracy": 0.5}, Ended.COMPLETED)
    page.refresh()
    assert row(page)[VALIDATION] == "50 %"
    assert row(page)[ENDING] == "all epochs done; its model is gone"
    assert not page.open_button.isEnabled()
