"""Commands on runs that are damaged, incomplete or not there: each told as what it is."""

import json

import pytest

from cnn_studio import cli
from cnn_studio.core.data.dataset import Dataset
from cnn_studio.core.data.image_file import ImageFile
from cnn_studio.core.data.split import split_dataset
from cnn_studio.core.experiment.experiment import Experiment
from cnn_studio.core.runs import run as runs
from cnn_studio.core.runs.trained import Ended


@pytest.fixture
def make(tmp_path):
    """make(name): the folder of a finished run with a file for its model."""
    files = tuple(
        ImageFile(f"{name}/{number}.png", label, 8, 8, False, 100, 1)
        for label, name in enumerate(("cat", "dog"))
        for number in range(10)
    )
    dataset, experiment = Dataset(tmp_path / "pets", ("cat", "dog"), files), Experiment()

    def one(name):
        folder = tmp_path / "runs" / name
        run = runs.create_run(folder, dataset, split_dataset(dataset, experiment.split), experiment)
        runs.finish_run(run, {"val_accuracy": 0.5}, Ended.COMPLETED)
        run.model.write_bytes(b"a network")
        return folder

    return one


def told(capsys, *arguments):
    status = cli.run([str(argument) for argument in arguments], lambda *_: 0)
    captured = capsys.readouterr()
    return status, captured.out, captured.err


def test_runs_are_listed_with_the_damaged_among_them(make, tmp_path, capsys):
    make("good")
    (make("bad") / "run.json").write_text('{"metrics": null}', encoding="utf-8")
    (make("bare") / "model.keras").unlink()
    status, out, _ = told(capsys, "runs", tmp_path / "runs", "--json")
    found = {run["run"].rpartition("/")[2]: run for run in map(json.loads, out.splitlines())}
    assert status == 0
    assert {name: run["state"] for name, run in found.items()} == {
        "good": "finished",
        "bad": "damaged",
        "bare": "finished",
    }
    assert [found[name]["model"] is None for name in ("good", "bad", "bare")] == [False, False, True]
    _, out, _ = told(capsys, "runs", tmp_path / "runs")
    assert "good: small_cnn on pets: all epochs done, validation accuracy 0.500" in out
    assert "bad: damaged: its run.json cannot be read" in out
    assert "bare: small_cnn on pets: all epochs done; its model is gone" in out
    assert told(capsys, "runs", tmp_path / "nowhere")[0] == 1


def test_no_command_takes_one_fault_for_another(make, tmp_path, capsys):
    (make("bare") / "model.keras").unlink()
    (make("bad") / "run.json").write_text("{}", encoding="utf-8")
    (make("worse") / "run.json").write_text("{}", encoding="utf-8")
    (tmp_path / "runs" / "worse" / "model.keras").unlink()
    (make("listless") / "manifest.csv").write_text("path,class,split\nx.png,cow,test\n", encoding="utf-8")
    for name, sentence in {
        "nothere": "There is no model file",
        "bare": "was finished, but its model is gone",
        "bad": "is damaged: its run.json cannot be read",
        "worse": "is damaged: its run.json cannot be read",
        "listless": "is damaged: its list of images, manifest.csv, cannot be read",
    }.items():
        for command in ("evaluate", "calibrate"):
            status, _, err = told(capsys, command, tmp_path / "runs" / name)
            if (name, command) != ("listless", "calibrate"):  # which looks at the model first
                assert (status, sentence in err) == (1, True), (name, command, err)
            assert "Traceback" not in err
