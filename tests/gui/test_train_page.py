"""The Train page with a training that answers at once; tests/e2e/test_window.py does it with real ones."""

import threading
from dataclasses import replace
from pathlib import Path

import pytest
from PySide6.QtWidgets import QFileDialog

from cnn_studio import tasks
from cnn_studio.core.data.events import Caution
from cnn_studio.core.data.image_file import Split
from cnn_studio.core.data.split import split_dataset
from cnn_studio.core.errors import CnnStudioError
from cnn_studio.core.evaluation.figures import ClassScore, Evaluation
from cnn_studio.core.evaluation.model_facts import ModelFacts
from cnn_studio.core.experiment.experiment import Experiment
from cnn_studio.core.experiment.settings import Optimizer
from cnn_studio.core.experiment.table import SETTINGS
from cnn_studio.core.job import events
from cnn_studio.core.job.jobs import JobContext
from cnn_studio.core.runs import run as runs
from cnn_studio.core.runs.trained import TrainedModel
from cnn_studio.gui.pages.model.model_page import ModelPage
from cnn_studio.gui.pages.train.train_page import TrainPage


@pytest.fixture
def page(qtbot, session, pages):
    made = TrainPage(session, pages)
    qtbot.addWidget(made)
    made.resize(1000, 700)
    made.show()
    return made


@pytest.fixture
def ready(page, session, make_dataset, settle):
    session.project.take_dataset(make_dataset(each=10))
    settle()
    return page


def test_every_setting_of_training_has_a_field(page):
    """So that a setting that is added to the table is on the page."""
    for each in SETTINGS.values():
        if each.section in {"training", "architecture.fine_tuning"}:
            row = page.form.row(each.name)
            folded = page.advanced.isAncestorOf(row)
            assert page.fine_tuning.isAncestorOf(row) or (folded is each.advanced)


class Training:
    """A training that tells of two epochs and waits to be let through before it ends."""

    def __init__(self, trained):
        self.requests, self.go_on, self.trained = [], threading.Event(), trained

    def __call__(self, request, context: JobContext):
        self.requests.append(request)
        context.report(events.TrainingStarted(2, 3, 16, 4, 1000))
        for epoch in (1, 2):
            for step in (1, 2, 3):
                context.report(events.BatchEnded(epoch, step, 1.0 / epoch, 0.5, 100.0, 3.0))
            context.report(events.EpochEnded(epoch, 0.6, 0.7, 0.5, 0.8, 1.0, best=epoch == 2))
        while not self.go_on.wait(0.001):
            context.cancel.raise_if_cancelled()
        return self.trained


@pytest.fixture
def training(monkeypatch, tmp_path):
    facts = ModelFacts(("cat", "dog"), 32, 32, "small_cnn", data_name="pets")
    classes = tuple(ClassScore(name, 0.9, 0.9, 0.9, count) for name, count in (("cat", 120), ("dog", 80)))
    validation = Evaluation(Split.VALIDATION, 200, 0.91, 0.89, 0.93, 0.3, classes)
    made = Training(
        TrainedModel(tmp_path, tmp_path / "model.keras", facts, {}, validation, None, 2, 2, "completed", 65.0, "a CPU")
    )
    monkeypatch.setattr(tasks, "train", made)
    yield made
    made.go_on.set()


def test_without_data_the_button_leads_to_the_data_page(page, pages):
    assert page.train_button.text() == "Open a folder of images"
    assert "no images" in page.state.text()
    page.train_button.click()
    assert pages.shown == ["data"]


def test_what_training_will_do_is_said(ready, session):
    assert ready.train_button.text() == "Train"
    assert ready.state.text() == "Small CNN on pictures, 100 × 100 pixels in colour."
    session.project.change({"architecture.blocks": [[16]] * 8})
    assert not ready.train_button.isEnabled()
    assert "block" in ready.state.text()


def mark_wrong(page, name, text):
    """Type what cannot be used into a setting's field."""
    field = page.form.row(name).field
    field.setText(text)
    field.textEdited.emit(text)


def test_a_field_marked_wrong_on_another_page_prevents_training_and_is_named(
    ready, session, pages, training, told, qtbot
):
    model = ModelPage(session, pages)
    qtbot.addWidget(model)
    mark_wrong(model, "architecture.dense", "128, many")
    assert not ready.train_button.isEnabled()
    assert "Dense layers: “many” is not a whole number." in ready.state.text()
    session.training.train()  # by a shortcut
    assert "Dense layers" in told[-1].text
    assert training.requests == []
    mark_wrong(model, "architecture.dense", "128")  # as it was: nothing has changed, and nothing is wrong any more
    assert ready.train_button.isEnabled()
    assert ready.state.text().startswith("Small CNN on pictures")


def test_what_was_refused_is_named_until_something_else_is_chosen(ready, session, pages, qtbot):
    model = ModelPage(session, pages)
    qtbot.addWidget(model)
    mark_wrong(model, "architecture.padding", "same, valid, same, valid")  # four, of three convolutions
    assert "more than there are convolutions (3)" in model.form.row("architecture.padding").error()
    assert session.training.why_not_train().field == "architecture.padding"
    mark_wrong(model, "architecture.padding", "same, valid")
    assert session.training.why_not_train() is None
    mark_wrong(model, "architecture.blocks", "16")  # it is the padding that does not fit any more: both are marked
    assert model.form.row("architecture.blocks").error()
    assert model.form.row("architecture.padding").error()
    mark_wrong(model, "architecture.blocks", "16, 32, 64")
    assert session.training.why_not_train() is None
    assert model.form.row("architecture.padding").error() == ""
    mark_wrong(model, "architecture.kernel", "3, 99")
    session.project.choose_architecture("resnet50")
    assert session.project.wrong == {}
    session.project.choose_architecture("small_cnn")
    mark_wrong(model, "architecture.kernel", "99")
    session.project.choose_architecture("small_cnn")  # the same again, and the field is as it was
    assert session.project.wrong == {}
    assert model.form.row("architecture.kernel").field.text() == "3"


def test_what_is_likely_not_meant_is_said_before_training(ready, session):
    session.project.change({"training.warm_up_epochs": 9, "training.epochs": 3})
    assert ready.train_button.isEnabled()
    assert "the warm-up of 9 epochs is longer than the 3" in ready.state.text()


def test_momentum_can_be_set_where_it_does_something(ready, session):
    session.project.choose_preset("cats_dogs_fine_tuned")
    fields = {name: ready.form.row(f"{name}.momentum").field for name in ("training", "architecture.fine_tuning")}
    assert [field.isEnabled() for field in fields.values()] == [False, False]
    assert "for SGD" in fields["training"].toolTip()
    session.project.change({"architecture.fine_tuning.optimizer": "sgd"})
    assert [field.isEnabled() for field in fields.values()] == [False, True]
    assert fields["architecture.fine_tuning"].toolTip() == ""


def test_trained_at_once_there_is_no_second_stage_to_set(ready, session):
    session.project.choose_architecture("vgg16")
    session.project.change({"architecture.transfer": "fine_tuned"})
    assert ready.fine_tuning.isVisible()
    session.project.change({"architecture.transfer": "one_stage"})
    assert not ready.fine_tuning.isVisible()


def test_a_training_draws_its_curves_and_tells_how_good_it_became(qtbot, ready, session, training, pages, settle):
    ready.train_button.click()
    qtbot.waitUntil(lambda: len(ready.curves.plot.history_points()["epoch_validation_loss"]) == 2)
    assert not ready.train_button.isEnabled()
    assert not ready.settings.isEnabled()
    assert "at the bottom" in ready.train_button.toolTip()
    training.go_on.set()
    settle()
    assert len(ready.curves.plot.history_points()["batch_loss"]) == 6
    assert ready.result.isVisible()
    assert ready.result_title.text() == "Validation accuracy 91 % (89–93 %)"
    assert "These images chose the epoch that was kept, so the figure flatters" in ready.result_text.text()
    assert "guessing the largest class would score 60 %" in ready.result_text.text()
    assert "The model of epoch 2 was kept" in ready.result_text.text()
    assert "1 min 5 s on a CPU" in ready.result_text.text()
    assert ready.settings.isEnabled()
    assert session.models.opened.title == "pets"
    assert session.training.last is training.trained
    ready.predict_button.click()
    ready.evaluate_button.click()
    assert pages.shown == ["predict", "evaluate"]
    assert [request.dataset for request in training.requests] == [session.project.dataset]


def test_where_no_images_were_kept_for_a_test_some_are_offered(ready, session, training, told, settle):
    session.project.change({"split.test": 0.0})
    training.go_on.set()
    ready.train_button.click()
    settle()
    assert ready.keep_test_button.isVisible()
    ready.keep_test_button.click()
    assert session.project.experiment.split.test == 0.15
    assert "15 % of the images are kept for a test when you train again" in told[-1].text
    assert not ready.keep_test_button.isVisible()


def test_what_was_wrong_with_the_images_stands_beside_the_result(ready, training, settle):
    training.go_on.set()
    ready.train_button.click()
    settle()
    assert not ready.cautions.isVisible()
    torn = Caution("same_picture", "6 pictures lie in more than one class.", "Leave the wrong copies out.")
    gone = Caution("left_out", "2 items are left out: no\nimage (2).", "A scan lists them.")
    training.trained = replace(training.trained, cautions=(torn, gone))
    ready.train_button.click()
    settle()
    assert ready.cautions.isVisible()
    said = "Mind the images: 6 pictures lie in more than one class. 2 items are left out: no\\nimage (2)."
    assert ready.cautions.text() == said
    assert ready.cautions.toolTip().splitlines() == [
        "6 pictures lie in more than one class. Leave the wrong copies out.",
        "2 items are left out: no\\nimage (2). A scan lists them.",
    ]


def test_a_test_is_what_is_told_first(ready, training, settle):
    validation = training.trained.validation
    test = replace(validation, split=Split.TEST, images=100, accuracy=0.88, accuracy_low=0.8, accuracy_high=0.93)
    training.trained = replace(training.trained, test=test)
    training.go_on.set()
    ready.train_button.click()
    settle()
    assert ready.result_title.text() == "Test accuracy 88 % (80–93 %)"
    assert "Validation accuracy 91 % (89–93 %): higher as a rule" in ready.result_text.text()
    assert not ready.keep_test_button.isVisible()


def test_a_cancelled_training_leaves_no_result(qtbot, ready, session, training, told, settle):
    ready.train_button.click()
    qtbot.waitUntil(lambda: bool(training.requests))
    session.training.cancel()
    settle()
    assert not ready.result.isVisible()
    assert session.models.opened is None
    assert told[-1].text.startswith("Cancelled: the run was discarded.")
    assert ready.train_button.isEnabled()


def test_stopped_before_anything_was_learnt_is_told(qtbot, ready, session, training, told, settle):
    ready.train_button.click()
    qtbot.waitUntil(lambda: bool(training.requests))
    session.training.stop()
    settle()
    assert told[-1].text.startswith("Stopped before training had begun")


def test_a_training_that_fails_is_told(ready, session, monkeypatch, told, settle):
    def train(request, context: JobContext):
        raise CnnStudioError("The GPU is out of memory.", hint="Take a smaller batch size.")

    monkeypatch.setattr(tasks, "train", train)
    ready.train_button.click()
    settle()
    assert told[-1].text == "The GPU is out of memory. Take a smaller batch size."
    assert ready.train_button.isEnabled()


def test_another_optimizer_brings_its_usual_rate_unless_one_was_set(ready, session):
    def choose(optimizer):
        ready.form.row("training.optimizer").field.set_value(optimizer)
        ready.form.row("training.optimizer").field.chosen.emit(optimizer)
        return session.project.experiment.training.learning_rate

    rate = choose(Optimizer.SGD)
    assert rate != choose(Optimizer.ADAM)
    session.project.change({"training.learning_rate": 0.0123})
    assert choose(Optimizer.SGD) == pytest.approx(0.0123)
    assert session.project.experiment.training.optimizer is Optimizer.SGD


def test_advanced_settings_and_fine_tuning_show_when_they_matter(ready, session):
    assert not ready.form.row("training.batch_size").isVisible()
    ready.advanced_button.click()
    assert ready.form.row("training.batch_size").isVisible()
    assert not ready.fine_tuning.isVisible()
    session.project.choose_preset("cats_dogs_fine_tuned")
    assert ready.fine_tuning.isVisible()
    ready.form.row("architecture.fine_tuning.epochs").field.setValue(4)
    assert session.project.experiment.architecture.fine_tuning.epochs == 4


def test_the_curves_are_saved(ready, training, told, settle, monkeypatch, tmp_path):
    ready.train_button.click()
    training.go_on.set()
    settle()
    target = tmp_path / "curves.csv"
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *args, **kwargs: (str(target), ""))
    ready.curves.save_values_requested.emit()
    assert told[-1].text == f"Saved to {target}."
    assert target.read_text(encoding="utf-8").count("\n") > 2


# -- whose curves and result these are ---------------------------------------------------------------------------


@pytest.fixture
def done(ready, training, settle):
    ready.train_button.click()
    training.go_on.set()
    settle()
    return ready


def curves(page):
    return page.curves.plot.history_points()["batch_loss"]


def test_curves_and_result_name_their_run_and_data(done, training):
    name = training.requests[0].run.name
    assert done.about.text() == f"Run “{name}” on pictures"
    assert done.result_text.text().startswith("Small CNN on pets.")


def test_another_data_set_takes_curves_and_result_of_the_earlier_one_away(done, session, make_dataset, settle):
    session.project.take_dataset(session.project.dataset)
    settle()
    assert done.result.isVisible(), "the same folder anew"
    session.project.take_dataset(make_dataset("/others", each=10))
    settle()
    assert not done.result.isVisible()
    assert curves(done) == []
    assert done.about.text() == ""
    assert not done.curves.save_values.isEnabled()


def test_while_a_run_prepares_the_curves_of_the_earlier_one_are_gone(qtbot, done, session, monkeypatch, settle):
    go_on = threading.Event()

    def prepares(request, context: JobContext):
        while not go_on.wait(0.001):
            context.cancel.raise_if_cancelled()
        raise CnnStudioError("The disk is full.")

    monkeypatch.setattr(tasks, "train", prepares)
    done.train_button.click()
    qtbot.waitUntil(lambda: done.about.text().endswith("preparing"))
    assert curves(done) == []
    assert not done.result.isVisible()
    go_on.set()
    settle()
    assert done.about.text().endswith("which failed")


def test_a_run_that_is_discarded_or_deleted_takes_its_curves_along(qtbot, ready, session, training, settle):
    ready.train_button.click()
    qtbot.waitUntil(lambda: len(curves(ready)) == 6)
    session.training.cancel()
    settle()
    assert curves(ready) == []
    assert ready.about.text() == ""
    training.go_on.set()
    ready.train_button.click()
    settle()
    assert ready.result.isVisible()
    run, dataset = training.requests[-1].run, session.project.dataset
    made = runs.create_run(run, dataset, split_dataset(dataset, Experiment().split), Experiment())
    session.training.delete(made)
    assert not run.exists()
    assert not ready.result.isVisible()
    assert curves(ready) == []


def test_the_buttons_lead_to_the_model_of_the_result(done, session, training, pages, settle, monkeypatch):
    opened = []
    monkeypatch.setattr(tasks, "open_model", lambda path, context: opened.append(path) or training.trained.facts)
    done.predict_button.click()
    settle()
    assert opened == [], "it is the opened one"
    session.models.take(Path("/models/birds.keras"), training.trained.facts)
    done.evaluate_button.click()
    settle()
    assert opened == [training.trained.model]
    assert session.models.opened.path == training.trained.model
    assert pages.shown == ["predict", "evaluate"]
