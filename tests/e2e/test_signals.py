"""A training that is told to end from outside, killed, or left alone by who read what it says."""

import json
import os
import signal
import subprocess
import sys
from contextlib import contextmanager

import numpy as np
import pytest
from PIL import Image

from cnn_studio.core.runs.run import list_runs, read_run

pytestmark = pytest.mark.skipif(os.name == "nt", reason="Windows knows no such signals")


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    root = tmp_path_factory.mktemp("signals") / "data"
    draw = np.random.default_rng(0)
    for name, level in {"dark": 60, "bright": 190}.items():
        (root / name).mkdir(parents=True)
        for number in range(20):
            pixels = draw.integers(level - 50, level + 50, (16, 16, 3)).astype(np.uint8)
            Image.fromarray(pixels).save(root / name / f"{number}.png")
    return root


@pytest.fixture
def training(data, tmp_path):
    """A training that would last for hours, begun in the folder ``run``; ended with the test."""
    began = []

    def begin(*more):
        options = ("--epochs", "9999", "--patience", "0", "--batch-size", "8", "--image-size", "16", "--json", *more)
        command = [sys.executable, "-m", "cnn_studio", "train", str(data), "--out", str(tmp_path / "run"), *options]
        with hearing_signals():
            process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        began.append(process)
        return process

    yield begin
    for process in began:
        process.kill()
        process.communicate()


@contextmanager
def hearing_signals():
    """Whoever runs the tests may have been told to ignore them (nohup, a script's ``&``), which children inherit."""
    before = {each: signal.signal(each, signal.SIG_DFL) for each in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM)}
    yield
    for each, handler in before.items():
        signal.signal(each, handler)


def wait_for(process, event, count=1):
    for line in process.stdout:
        count -= json.loads(line)["event"] == event
        if not count:
            return
    pytest.fail(process.stderr.read())


@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP", "SIGINT"])
def test_a_signal_to_end_is_a_stop(training, tmp_path, name):
    process = training()
    wait_for(process, "epoch_ended")
    process.send_signal(getattr(signal, name))
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    assert err.startswith("Stopping, and keeping what was done so far.")
    assert len(err.splitlines()) == 1
    finished = json.loads(out.splitlines()[-1])
    assert (finished["event"], finished["ended"]) == ("finished", "stopped")
    run = read_run(tmp_path / "run")
    assert (run.state(), run.ended) == ("finished", "stopped")
    assert run.model.exists()


def test_two_signals_to_end_do_not_discard_what_two_of_ctrl_c_do(training, tmp_path):
    process = training()
    wait_for(process, "epoch_ended")
    process.send_signal(signal.SIGHUP)  # a terminal that closes sends both
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    assert json.loads(out.splitlines()[-1])["event"] == "finished"


def test_a_reader_that_goes_is_a_stop(training, tmp_path):
    process = training()
    wait_for(process, "epoch_ended")
    process.stdout.close()
    assert process.wait(60) == 0
    assert process.stderr.read() == ""
    run = read_run(tmp_path / "run")
    assert (run.state(), run.ended) == ("finished", "stopped")


def test_a_reader_that_goes_before_there_is_a_network_leaves_nothing(training, tmp_path):
    process = training()
    process.stdout.readline()
    process.stdout.close()
    assert process.wait(60) == 0
    assert process.stderr.read() == ""
    assert not (tmp_path / "run").exists()


def test_ctrl_c_while_the_program_loads_ends_it_quietly():
    """The signal comes while the commands are being imported, whatever of them is at that moment."""
    code = """
import os, signal, sys
class Interrupting:
    def find_spec(self, name, path=None, target=None):
        if name == WHERE:
            os.kill(os.getpid(), signal.SIGINT)
sys.meta_path.insert(0, Interrupting())
from cnn_studio.__main__ import main
sys.exit(main(["settings"]))
"""
    for name in ("cnn_studio.core.system.logs", "cnn_studio.cli", "cnn_studio.cli.training"):
        done = subprocess.run(
            [sys.executable, "-c", code.replace("WHERE", repr(name))], capture_output=True, text=True, check=False
        )
        assert (done.returncode, done.stdout, done.stderr) == (130, "", ""), name


@pytest.mark.slow
@pytest.mark.parametrize("moment", ["stage_started", "training_started", "batch_ended", "epoch_ended"])
def test_after_a_kill_everything_is_consistent(training, data, tmp_path, moment):
    process = training()
    wait_for(process, moment)
    process.kill()
    process.communicate()

    def command(*arguments):
        call = [sys.executable, "-m", "cnn_studio", *map(str, arguments)]
        return subprocess.run(call, capture_output=True, text=True, check=False, timeout=120)

    told = [json.loads(line) for line in command("runs", tmp_path, "--json").stdout.splitlines()]
    assert {run["state"] for run in told} <= {"interrupted"}
    assert len(told) == len(list_runs(tmp_path)) == (moment != "stage_started")
    picture = next((data / "dark").iterdir())
    answered = command("predict", tmp_path / "run", picture)
    assert "Traceback" not in answered.stderr
    assert (answered.returncode == 0) == (moment == "epoch_ended"), answered.stderr
    again = ("--epochs", 1, "--batch-size", 8, "--image-size", 16)
    assert command("train", data, "--out", tmp_path / "again", *again).returncode == 0
