"""``evaluate``, ``calibrate`` and ``explain`` on the command line, called in this process."""

import csv
import json
import re
import shutil

import pytest
from PIL import Image

from cnn_studio import tasks
from cnn_studio.__main__ import main
from cnn_studio.core.data.image_file import Split
from cnn_studio.ml.model_file import read_facts


@pytest.fixture
def command(capsys):
    """command(*arguments) -> (exit status, standard output, standard error)."""

    def call(*arguments):
        status = main([str(argument) for argument in arguments])
        told = capsys.readouterr()
        return status, told.out, told.err

    return call


def test_evaluate_without_a_folder_and_with_everything_written(run, command, tmp_path):
    page, table, lines = tmp_path / "r.html", tmp_path / "r.csv", tmp_path / "images.csv"
    status, out, _ = command("evaluate", run.folder, "--html", page, "--csv", table, "--images-csv", lines)
    assert status == 0
    assert re.match(
        r"test accuracy \d+ % \(\d+–\d+ %, 95 % interval, 24 images; guessing the largest class: 25 %\)", out
    )
    assert "chose the epoch" not in out
    assert "these images chose the epoch that was kept" in command("evaluate", run.folder, "--split", "validation")[1]
    for words in ("macro average", "weighted average", "Calibration error", "top-3 accuracy", str(page)):
        assert words in out
    assert page.read_text(encoding="utf-8").startswith("<!doctype html>")
    with table.open(encoding="utf-8", newline="") as file:
        rows = {row["class"]: row for row in csv.DictReader(file)}
    measured = tasks.saved_evaluation(run.model, Split.TEST)
    assert float(rows["accuracy"]["f1"]) == pytest.approx(measured.evaluation.accuracy, abs=1e-6)
    assert int(rows["red"]["images"]) == 6
    with lines.open(encoding="utf-8", newline="") as file:
        images = list(csv.DictReader(file))
    assert [row["path"] for row in images] == [str(measured.path_of(i)) for i in range(24)]
    assert [row["predicted"] for row in images] == [measured.class_names[label] for label in measured.predicted]

    status, out, _ = command("evaluate", run.folder, "--split", "validation", "--json")
    values = json.loads(out.splitlines()[-1])
    assert (status, values["split"], values["images"]) == (0, "validation", 24)
    assert {"macro", "weighted", "top_k", "calibration_error", "temperature"} <= set(values)


def test_calibrate_and_what_predict_and_evaluate_say_then(run, made, command):
    status, _, told = command("calibrate", run.folder, "--accuracy", 1.0)
    assert (status, "no number of images could show" in told) == (1, True)
    status, out, _ = command("calibrate", run.folder, "--threshold", 0.4)
    assert status == 0
    assert "Temperature 1" in out
    assert "Not sure below" in out
    status, out, _ = command("calibrate", run.folder)
    assert status == 0
    assert f"Temperature {read_facts(run.model).temperature:.3f}" in out
    assert "Not sure below" in command("evaluate", run.folder)[1]
    status, out, _ = command("predict", run.folder, made[1], "--json")
    answers = [json.loads(line) for line in out.splitlines()]
    assert {answer["unsure"] for answer in answers} == {True, False}
    status, out, _ = command("predict", run.folder, made[1])
    assert out.count("not sure; ") == sum(answer["unsure"] for answer in answers)
    status, out, _ = command("calibrate", run.folder, "--no-temperature", "--threshold", 0, "--json")
    values = json.loads(out.splitlines()[-1])
    assert (values["facts"]["temperature"], values["coverage"]) == (1.0, None)


def test_explain_writes_a_picture(run, made, command, tmp_path):
    picture = made[1] / "blue" / "1.png"
    status, out, _ = command("explain", run.folder, picture, "--out", tmp_path / "heat.png", "--class", "blue")
    assert status == 0
    assert "blue" in out
    with Image.open(tmp_path / "heat.png") as written:
        assert written.size == (24, 24)


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (("evaluate", "{lone}"), 1, "does not lie in the folder of a run"),
        (("evaluate", "{run}", "--split", "tset"), 2, "tset"),
        (("calibrate", "{lone}"), 1, "no validation images"),
        (("calibrate", "{run}", "--threshold", "0.5", "--accuracy", "0.9"), 2, "Leave out one"),
        (("calibrate", "{run}", "--threshold", "7"), 1, "no probability"),
        (("explain", "{run}", "{run}/run.json", "--out", "x.png"), 1, "run.json"),
        (("explain", "{run}", "{run}/run.json", "--out", "x.txt"), 2, "End it in .png"),
        (("explain", "{run}", "{picture}", "--out", "x.png", "--class", "violet"), 1, "It knows"),
    ],
)
def test_what_goes_wrong_is_told_in_a_sentence(run, made, command, tmp_path, arguments, status, words):
    lone = tmp_path / "lone.keras"
    shutil.copy(run.model, lone)
    places = {"run": run.folder, "lone": lone, "picture": made[1] / "red" / "1.png"}
    found, _, told = command(*(argument.format(**places) for argument in arguments))
    assert found == status, told
    assert words in told
    assert "Traceback" not in told
