import subprocess
import sys

import pytest

from cnn_studio.core.data.split import split_dataset
from cnn_studio.core.errors import StorageError
from cnn_studio.core.experiment.experiment import Experiment
from cnn_studio.core.runs.run import RunState, create_run, discard_run, finish_run, list_runs
from cnn_studio.core.runs.trained import Ended
from cnn_studio.core.runs.training_lock import LOCK_NAME, held, is_held

TELL_HELD = """
import sys
from pathlib import Path
from cnn_studio.core.runs.training_lock import held
with held(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.readline()
"""


@pytest.fixture
def elsewhere():
    """Another process that holds a run's folder until it is killed, or told to end by a line."""
    processes = []

    def hold(folder):
        command = [sys.executable, "-c", TELL_HELD, str(folder)]
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        processes.append(process)
        assert process.stdout.readline() == "held\n"
        return process

    yield hold
    for process in processes:
        process.kill()
        process.communicate()


@pytest.fixture
def new_run(made_up_dataset):
    """Begin a run in a folder."""
    dataset, experiment = made_up_dataset({"cat": 10, "dog": 10}), Experiment()

    def make(folder):
        return create_run(folder, dataset, split_dataset(dataset, experiment.split), experiment)

    return make


@pytest.fixture
def run(tmp_path, new_run):
    return new_run(tmp_path / "runs" / "one")


def only_run(parent):
    (run,) = list_runs(parent)
    return run


def test_a_run_that_another_process_trains_is_not_interrupted(run, elsewhere):
    assert only_run(run.folder.parent).state() is RunState.INTERRUPTED
    process = elsewhere(run.folder)
    assert only_run(run.folder.parent).state() is RunState.TRAINING_ELSEWHERE
    with pytest.raises(StorageError, match="trained by another"), held(run.folder):
        pytest.fail("two hold it")
    process.kill()
    process.wait()
    assert only_run(run.folder.parent).state() is RunState.INTERRUPTED
    with held(run.folder):
        assert only_run(run.folder.parent).state() is RunState.TRAINING


def test_a_training_that_ends_takes_its_lock_with_it(run, elsewhere):
    process = elsewhere(run.folder)
    process.communicate("end\n")
    assert process.returncode == 0
    assert not (run.folder / LOCK_NAME).exists()
    assert not is_held(run.folder)
    assert not (run.folder / LOCK_NAME).exists(), "asking leaves nothing behind"
    assert (run.folder / "run.json").exists()


def test_a_held_folder_counts_as_empty_and_goes_when_it_stays_so(tmp_path, new_run):
    with held(tmp_path / "runs" / "one"):
        run = new_run(tmp_path / "runs" / "one")
        assert run.state() is RunState.TRAINING
        finish_run(run, {}, Ended.COMPLETED)
    assert only_run(tmp_path / "runs").state() is RunState.FINISHED
    with held(tmp_path / "runs" / "nothing"):
        pass
    assert [path.name for path in (tmp_path / "runs").iterdir()] == ["one"]


def test_a_run_can_be_discarded_while_it_is_held(run):
    with held(run.folder):
        discard_run(run)
    assert not run.folder.exists()


def test_where_no_lock_can_be_made_the_folder_itself_is_what_is_told(tmp_path, new_run):
    (tmp_path / "run").write_text("a file", encoding="utf-8")
    with pytest.raises(StorageError, match="not empty"), held(tmp_path / "run"):
        new_run(tmp_path / "run")
    assert (tmp_path / "run").read_text(encoding="utf-8") == "a file"


def test_who_holds_the_folder_clears_what_was_half_written_in_it(run):
    names = {path.name for path in run.folder.iterdir()}
    for left in (".a1b2c3d4.part.keras", ".ab_cd_ef.part.json", ".best.part.weights.h5"):
        (run.folder / left).touch()
    for foreign in (".hidden", "notes.part.txt", ".abc.part"):
        (run.folder / foreign).touch()
    with held(run.folder):
        assert {path.name for path in run.folder.iterdir()} - {LOCK_NAME} == names | {
            ".hidden",
            "notes.part.txt",
            ".abc.part",
        }
