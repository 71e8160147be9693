"""The Runs page on runs of which nothing was trained; tests/e2e/test_window.py does it with real ones."""

import pytest
from filelock import FileLock

from cnn_studio.core.data.dataset import Dataset
from cnn_studio.core.data.image_file import ImageFile
from cnn_studio.core.data.split import split_dataset
from cnn_studio.core.experiment.experiment import Experiment
from cnn_studio.core.runs.run import create_run
from cnn_studio.core.runs.training_lock import LOCK_NAME, held
from cnn_studio.gui.pages.runs.runs_page import COLUMNS, RunsPage
from cnn_studio.gui.state.session import Session

HOW_IT_ENDED = COLUMNS.index("How it ended")


class Pages:
    def show_page(self, key):
        raise AssertionError(key)


@pytest.fixture
def session(qapp):
    session = Session()
    yield session
    session.close()


@pytest.fixture
def run(session, tmp_path):
    """A run with weights, as one is that trains or was interrupted."""
    files = tuple(
        ImageFile(f"{name}/{n}.png", label, 8, 8, False, 1, 1) for label, name in enumerate("ab") for n in "12"
    )
    dataset, experiment = Dataset(tmp_path, ("a", "b"), files), Experiment()
    made = create_run(session.project.runs_dir / "one", dataset, split_dataset(dataset, experiment.split), experiment)
    made.checkpoint.write_bytes(b"weights")
    return made


@pytest.fixture
def page(qtbot, session, run):
    page = RunsPage(session, Pages())
    qtbot.addWidget(page)
    return page


def told(page):
    page.refresh()
    buttons = (page.open_button, page.evaluate_button, page.delete_button)
    return page.model.index(0, HOW_IT_ENDED).data(), {button.isEnabled() for button in buttons}


def test_a_run_that_somebody_trains_is_neither_interrupted_nor_to_be_deleted(page, run):
    assert told(page) == ("interrupted; can be recovered", {True})
    with FileLock(run.folder / LOCK_NAME):  # as another process has it
        assert told(page) == ("being trained by another cnn_studio", {False})
    with held(run.folder):
        assert told(page) == ("being trained", {False})
    assert told(page) == ("interrupted; can be recovered", {True})


def test_a_run_that_began_to_train_while_the_question_was_open_stays(page, run):
    with FileLock(run.folder / LOCK_NAME):
        page._delete(run)
        assert run.checkpoint.exists()
    page._delete(run)
    assert not run.folder.exists()
