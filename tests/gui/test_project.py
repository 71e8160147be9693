"""Data set and experiment: what a folder suggests, what stays as the user has set it, which signal tells what."""

import pytest

from cnn_studio import tasks
from cnn_studio.core.data.events import FilesLeftOut, FolderListed
from cnn_studio.core.errors import DatasetError
from cnn_studio.core.experiment.experiment import Experiment, experiment_to_toml, with_values
from cnn_studio.core.experiment.settings import Colour, Decisions, Fit
from cnn_studio.core.image.issues import Issue, IssueKind
from cnn_studio.core.job.jobs import JobContext
from cnn_studio.gui.jobs.job_thread import JobKind
from cnn_studio.gui.state.notices import NoticeKind


@pytest.fixture
def project(session):
    return session.project


@pytest.fixture
def emitted(project):
    """The project's signals by name, as they come."""
    emitted = []
    for name in ("dataset_opened", "dataset_altered", "experiment_changed", "listed_changed"):
        getattr(project, name).connect(lambda name=name: emitted.append(name))
    return emitted


def size(project):
    return project.experiment.image.height, project.experiment.image.width, project.experiment.image.colour


# -- settings and folders ------------------------------------------------------------------------------------------


def test_a_folder_suggests_what_suits_its_images(project, make_dataset):
    project.take_dataset(make_dataset(side=100))
    assert size(project) == (100, 100, Colour.RGB)
    project.take_dataset(make_dataset("/others", side=64, grey=True))
    assert size(project) == (64, 64, Colour.GREY)


def test_settings_opened_before_a_folder_stay(project, tmp_path, make_dataset):
    file = tmp_path / "experiment.toml"
    values = {"image.height": 96, "image.width": 96, "image.colour": Colour.GREY, "training.epochs": 7}
    file.write_text(experiment_to_toml(with_values(Experiment(), values)), encoding="utf-8")
    project.open_experiment(file)
    project.take_dataset(make_dataset(side=100))
    assert size(project) == (96, 96, Colour.GREY)
    assert project.experiment.training.epochs == 7


def test_a_preset_chosen_before_a_folder_stays(project, make_dataset):
    project.choose_preset("fashion_mnist_cnn")
    project.take_dataset(make_dataset(side=100))
    assert size(project) == (28, 28, Colour.GREY)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"image.height": 48, "image.width": 48}, (48, 48, Colour.GREY)),
        ({"image.colour": Colour.RGB}, (64, 64, Colour.RGB)),
        ({"image.fit": Fit.PAD}, (64, 64, Colour.GREY)),
    ],
)
def test_what_was_set_by_hand_stays_and_the_rest_follows_the_folder(project, changes, expected, make_dataset):
    project.take_dataset(make_dataset(side=100))
    assert project.change(changes) is None
    project.take_dataset(make_dataset("/others", side=64, grey=True))
    assert size(project) == expected
    project.choose_architecture("lenet5")
    set_by_hand = {name: getattr(project.experiment.image, name.removeprefix("image.")) for name in changes}
    assert set_by_hand == changes


def test_another_architecture_brings_the_size_that_suits_it(project, make_dataset):
    project.take_dataset(make_dataset(side=300))
    before = size(project)
    project.choose_architecture("resnet50")
    assert project.experiment.architecture.name == "resnet50"
    assert size(project) != before
    assert size(project)[0] == 224


def test_the_recommended_preset_goes_by_the_data_and_keeps_decisions(project, make_dataset):
    project.take_dataset(make_dataset(side=28, grey=True))
    project.decide(Decisions(left_out=("cat/0.png",)))
    said = project.choose_preset("recommended")
    assert "8 grey images" in said
    assert project.experiment.architecture.name == "lenet5"
    assert project.experiment.decisions.left_out == ("cat/0.png",)


def test_a_wrong_value_changes_nothing_and_is_told(project, emitted):
    before = project.experiment
    error = project.change({"training.epochs": 0})
    assert error.field == "training.epochs"
    assert project.experiment is before
    assert project.change({"training.epochs": before.training.epochs}) is None
    assert emitted == []


def test_settings_are_saved_and_opened_again(project, told, tmp_path):
    project.change({"training.epochs": 3})
    project.save_experiment(tmp_path / "mine.toml")
    saved = project.experiment
    project.take_experiment(Experiment())
    project.open_experiment(tmp_path / "mine.toml")
    assert project.experiment == saved
    project.open_experiment(tmp_path / "none.toml")
    assert told[-1].kind is NoticeKind.ERROR
    assert "none.toml" in told[-1].text
    assert project.experiment == saved


# -- the two signals -----------------------------------------------------------------------------------------------


def test_another_folder_and_the_same_one_altered_are_told_apart(project, emitted, make_dataset):
    first = make_dataset()
    project.take_dataset(first)
    assert emitted == ["dataset_opened", "experiment_changed"]
    emitted.clear()
    project.divide(make_dataset())
    assert emitted == ["dataset_altered"]
    emitted.clear()
    gone = [Issue("cat/1.png", IssueKind.UNREADABLE, "It is gone.")]
    project.lose_files(first, gone)  # of a data set that is no longer the open one
    assert emitted == []
    project.lose_files(project.dataset, gone)
    assert emitted == ["dataset_altered"]
    assert [file.path for file in project.dataset.files if file.label == 0] == ["cat/0.png", "cat/2.png", "cat/3.png"]


def test_files_that_vanish_in_training_leave_the_user_on_his_page(
    qtbot, window, session, told, monkeypatch, make_dataset
):
    def train(request, context: JobContext):
        context.report(FilesLeftOut((Issue("cat/1.png", IssueKind.UNREADABLE, "It is gone."),)))
        context.cancel.cancel()
        context.cancel.raise_if_cancelled()

    monkeypatch.setattr(tasks, "train", train)
    session.project.take_dataset(make_dataset())
    assert window.stack.currentWidget() is window.page("data")
    assert window.windowTitle().startswith("pictures")
    window.show_page("train")
    session.training.train()
    qtbot.waitUntil(lambda: session.queue.current is None)
    assert len(session.project.dataset.files) == 7
    assert "1 file could not be read" in told[0].text
    assert window.stack.currentWidget() is window.page("train")
    session.project.take_dataset(make_dataset("/others"))
    assert window.windowTitle().startswith("others")
    assert window.stack.currentWidget() is window.page("train"), "no page changes by itself"
    window.page("data").grid.close_loader()


# -- opening a folder ----------------------------------------------------------------------------------------------


def test_a_folder_is_listed_then_opened_and_remembered(qtbot, project, emitted, monkeypatch, tmp_path, make_dataset):
    found = make_dataset(tmp_path)
    listed = []

    def scan(folder, context: JobContext):
        context.report(FolderListed(found))
        return found

    monkeypatch.setattr(tasks, "scan", scan)
    project.listed_changed.connect(lambda: listed.append(project.listed))
    project.open_folder(tmp_path)
    qtbot.waitUntil(lambda: len(listed) == 2)
    assert listed == [found, None]
    assert emitted == ["listed_changed", "dataset_opened", "experiment_changed", "listed_changed"]
    assert project.recent_folders() == [tmp_path]


def test_a_folder_that_cannot_be_opened_leaves_the_one_that_is(
    qtbot, session, project, told, monkeypatch, tmp_path, make_dataset
):
    def scan(folder, context: JobContext):
        raise DatasetError("There are no images in it.")

    monkeypatch.setattr(tasks, "scan", scan)
    project.take_dataset(before := make_dataset())
    project.open_folder(tmp_path)
    qtbot.waitUntil(lambda: session.queue.current is None)
    assert project.dataset is before
    assert told[-1].text == "There are no images in it."


def test_only_the_folder_asked_for_last_is_scanned(session, project, monkeypatch, tmp_path, make_dataset):
    monkeypatch.setattr(tasks, "scan", lambda folder, context: make_dataset(folder))
    project.open_folder(tmp_path / "first")
    (first,) = session.queue.of_kind(JobKind.SCAN)
    project.open_folder(tmp_path / "second")
    assert first.token.cancel_requested
    assert [job.request.name for job in session.queue.of_kind(JobKind.SCAN)] == ["second"]


def test_the_latest_folders_are_kept_and_those_that_are_gone_are_not_offered(project, tmp_path, make_dataset):
    for number in range(10):
        (tmp_path / str(number)).mkdir()
        project.take_dataset(make_dataset(tmp_path / str(number)))
    (tmp_path / "9").rmdir()
    assert [folder.name for folder in project.recent_folders()] == ["8", "7", "6", "5", "4", "3", "2"]
