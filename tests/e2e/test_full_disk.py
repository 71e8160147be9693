"""Training where the disk is full, or nearly: nothing crashes, and what was learnt is never lost."""

import errno
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from cnn_studio import tasks
from cnn_studio.core.advice.suggestions import suggest_experiment
from cnn_studio.core.errors import StorageError
from cnn_studio.core.experiment.experiment import with_values
from cnn_studio.core.job.events import Message
from cnn_studio.core.job.jobs import JobContext
from cnn_studio.core.runs import run as runs

SIZES = ("16k", "64k", "128k", "200k", "300k", "450k", "600k", "800k", "1000k", "1500k", "2500k", "4M")


def request_for(blobs, run):
    dataset = tasks.scan(blobs, JobContext())
    settings = {"training.epochs": 2, "training.batch_size": 8, "image.height": 16, "image.width": 16}
    return tasks.TrainRequest(dataset, with_values(suggest_experiment(dataset), settings), run)


@pytest.fixture
def full(monkeypatch):
    """full(folder, names): from now on no file of these names can be written into that folder."""
    write = Path.write_bytes

    def refuse(folder, *suffixes):
        def write_bytes(self, content):
            if self.parent == folder and self.name.endswith(suffixes):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return write(self, content)

        monkeypatch.setattr(Path, "write_bytes", write_bytes)

    return refuse


def test_a_run_whose_folder_cannot_take_the_network_is_kept_in_another(blobs, tmp_path, full):
    run, other = tmp_path / "run", tmp_path / "other"
    places, told = iter([tmp_path / "file", other]), []
    (tmp_path / "file").write_text("no folder", encoding="utf-8")
    request = request_for(blobs, run)

    def train(place):
        context = JobContext(told.append, elsewhere=lambda error: next(places, None))
        return tasks.train(tasks.TrainRequest(request.dataset, request.experiment, place), context)

    # The list of images is written before there is a network; from then on the disk is full.
    full(run, ".keras", ".h5")
    trained = train(run)
    assert trained.run == other / "run"
    assert not run.exists(), "an empty shell would look like a run that was interrupted"
    kept = runs.read_run(trained.run)
    assert kept.state() is runs.RunState.FINISHED
    assert len(runs.read_manifest(kept)) == 36
    assert len(kept.history.read_text(encoding="utf-8").splitlines()) == 3
    assert kept.experiment() == request.experiment
    (answer,) = tasks.predict(tasks.PredictRequest(trained.model, (next((blobs / "red").iterdir()),)), JobContext())
    assert answer.label in kept.class_names
    said = [event.text for event in told if isinstance(event, Message)]
    assert any("Training goes on; the best weights are kept in memory." in text for text in said)
    assert any(f"is kept in {other / 'run'} instead" in text for text in said)


def test_the_last_step_may_fail_too(blobs, tmp_path, monkeypatch):
    """The network is written, and then there is no room for the few bytes that say how it ended."""
    finish = runs.finish_run

    def full_once(run, *rest):
        if run.folder.parent == tmp_path:
            raise StorageError("The disk is full.")
        return finish(run, *rest)

    monkeypatch.setattr(runs, "finish_run", full_once)
    context = JobContext(elsewhere=lambda error: tmp_path / "other")
    trained = tasks.train(request_for(blobs, tmp_path / "run"), context)
    assert runs.read_run(tmp_path / "other" / "run").ended == "completed"
    assert trained.model.exists()
    assert not (tmp_path / "run").exists()


def test_where_no_folder_takes_it_the_best_weights_stay(blobs, tmp_path, full):
    full(tmp_path / "run", ".keras")
    with pytest.raises(StorageError, match="disk is full"):
        tasks.train(request_for(blobs, tmp_path / "run"), JobContext())
    run = runs.read_run(tmp_path / "run")
    assert (run.state(), run.failure.kind) == ("failed", "disk_full")
    assert run.checkpoint.exists()


def test_the_weights_make_room_for_the_model_that_holds_the_same(blobs, tmp_path, monkeypatch):
    run, write = tmp_path / "run", Path.write_bytes

    def room_for_one(self, content):
        if self.suffix == ".keras" and (run / "best.weights.h5").exists():
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return write(self, content)

    monkeypatch.setattr(Path, "write_bytes", room_for_one)
    trained = tasks.train(request_for(blobs, run), JobContext())
    assert trained.run == run
    assert runs.read_run(run).state() == "finished"


def test_a_history_that_cannot_be_written_ends_nothing(blobs, tmp_path, monkeypatch):
    write = tasks.training.write_text

    def refuse(target, text):
        if target.name == "history.csv":
            raise StorageError("The disk is full: history.csv could not be written.")
        write(target, text)

    monkeypatch.setattr(tasks.training, "write_text", refuse)
    told = []
    trained = tasks.train(request_for(blobs, tmp_path / "run"), JobContext(told.append))
    assert trained.epochs == 2
    said = [event.text for event in told if isinstance(event, Message) and "history.csv" in event.text]
    assert len(said) == 1, "once, not with every epoch"
    assert said[0].endswith("Training goes on without it.")


@pytest.fixture
def small_disk(tmp_path):
    """small_disk(size) -> a folder on a file system of that size; skipped where none can be made."""
    mounted = []

    def make(size):
        place = tmp_path / "disk"
        place.mkdir()
        if not hasattr(os, "geteuid") or os.geteuid() or shutil.which("mount") is None:
            pytest.skip("only root can mount a small file system")
        command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(place)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            pytest.skip(f"no small file system can be mounted here: {done.stderr.strip()}")
        mounted.append(place)
        return place

    yield make
    for place in mounted:
        subprocess.run(["umount", str(place)], check=True)


def command_line(*arguments, home):
    environment = {**os.environ, "CNN_STUDIO_HOME": str(home)}
    command = [sys.executable, "-m", "cnn_studio", *map(str, arguments)]
    return subprocess.run(
        command, capture_output=True, text=True, encoding="utf-8", timeout=300, env=environment, check=False
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    ("size", "on_it"),
    [*((size, "run") for size in SIZES), *((size, on_it) for size in SIZES[::3] for on_it in ("cache", "both"))],
)
def test_training_on_a_small_file_system(blobs, tmp_path, small_disk, size, on_it):
    disk = small_disk(size)
    run = (tmp_path if on_it == "cache" else disk) / "run"
    home = tmp_path / "home"
    home.mkdir()
    if on_it != "run":
        (disk / "cache").mkdir()
        (home / "cache").symlink_to(disk / "cache")
        if on_it == "both":
            (disk / "logs").mkdir()
            (home / "logs").symlink_to(disk / "logs")
    options = ("--epochs", 2, "--batch-size", 8, "--image-size", 16, "--json")
    done = command_line("train", blobs, "--out", run, *options, home=home)
    assert "Traceback" not in done.stderr
    assert len(done.stderr) < 1000, done.stderr
    events = [json.loads(line) for line in done.stdout.splitlines()]
    trained = any(event["event"] == "epoch_ended" for event in events)
    if done.returncode:
        assert done.returncode == 1, done.stderr
        assert "disk is full" in done.stderr or "is free" in done.stderr
        assert not trained, "there was a network, and it is gone"
        return
    finished = events[-1]
    assert finished["event"] == "finished"
    assert Path(finished["model"]).exists()
    told = " ".join(event["text"] for event in events if event["event"] == "message")
    assert Path(finished["run"]) == run or finished["run"] in told
    picture = next((blobs / "red").iterdir())
    assert command_line("predict", finished["run"], picture, home=tmp_path / "home of another").returncode == 0
