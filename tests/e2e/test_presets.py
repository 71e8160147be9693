"""``cnn-studio presets``, and ``train --preset NAME`` from a folder of pictures to a run that says what it was."""

from __future__ import annotations

import csv
import json
import sys
from types import SimpleNamespace

import keras
import pytest

from cnn_studio.cli import run
from cnn_studio.core.advice.presets import EXPERIMENT_PRESETS, experiment_preset
from cnn_studio.core.experiment.experiment import read_experiment, with_values


@pytest.fixture
def command(capsys, monkeypatch, tmp_path):
    """command(*arguments) -> (exit status, standard output, standard error)."""
    monkeypatch.setenv("CNN_STUDIO_HOME", str(tmp_path / "home"))

    def call(*arguments):
        status = run([str(argument) for argument in arguments], lambda *_: 0)
        printed = capsys.readouterr()
        return status, printed.out, printed.err

    return call


def test_presets_are_listed_for_people_and_programs(command):
    _, text, _ = command("presets")
    told = json.loads(command("presets", "--json")[1])["presets"]
    assert [preset["name"] for preset in told] == list(EXPERIMENT_PRESETS)
    assert "recommended" in text
    for preset in told:
        assert preset["name"] in text
        assert preset["summary"] in text


@pytest.mark.parametrize(
    ("name", "parameters"),
    [("fashion_mnist_lenet5", 61_111), ("cifar10_two_block", 886_819), ("vgg16_from_block3", 15_503_171)],
)
def test_a_preset_trains(name, parameters, command, blobs, tmp_path, monkeypatch):
    for key, module in list(sys.modules.items()):  # random weights do where nothing is to be learnt
        if key.startswith("cnn_studio.") and hasattr(module, "find_weights"):
            monkeypatch.setattr(module, "find_weights", lambda _: SimpleNamespace(path=None, note=""))
    folder = tmp_path / "run"
    status, out, err = command("train", blobs, "--out", folder, "--preset", name, "--epochs", 1, "--json")
    assert status == 0, err
    events = [json.loads(line) for line in out.splitlines()]
    assert events[-1]["event"] == "finished"
    assert [event["epoch"] for event in events if event["event"] == "epoch_ended"] == [1]
    assert [event["parameters"] for event in events if event["event"] == "training_started"] == [parameters]
    expected = with_values(experiment_preset(name).experiment, {"training.epochs": 1})
    assert read_experiment(folder / "experiment.toml") == expected
    with (folder / "history.csv").open(encoding="utf-8") as file:
        assert len(list(csv.DictReader(file))) == 1
    assert keras.models.load_model(folder / "model.keras").count_params() == parameters
