"""Networks made elsewhere, through the command line: which values they take, and what their classes are called."""

import json

import keras
import numpy as np
import pytest
from PIL import Image

from cnn_studio.cli.commands import run
from cnn_studio.core.evaluation.input_range import InputRange
from cnn_studio.ml.model_file import load_model, read_facts

layers = keras.layers


def command(*arguments):
    return run([str(part) for part in arguments], lambda *_: 0)


@pytest.fixture
def folder(tmp_path):
    """Bright and dark pictures, ten of each."""
    for name, level in (("bright", 190), ("dark", 60)):
        (tmp_path / "data" / name).mkdir(parents=True)
        for number in range(10):
            pixels = np.random.default_rng(level + number).normal(level, 15, (32, 32, 3)).clip(0, 255)
            Image.fromarray(pixels.astype(np.uint8)).save(tmp_path / "data" / name / f"{number}.png")
    return tmp_path / "data"


@pytest.fixture
def model(tmp_path):
    """Tells dark from bright when it is given 0–1, as after ``ImageDataGenerator(rescale=1/255)``."""
    image = keras.Input((32, 32, 3))
    maps = layers.GlobalAveragePooling2D()(layers.Conv2D(3, 1, activation="relu")(image))
    made = keras.Model(image, layers.Dense(1, activation="sigmoid")(maps))
    made.set_weights([np.eye(3).reshape(1, 1, 3, 3), np.zeros(3), np.full((3, 1), -10.0), np.array([15.0])])
    made.save(tmp_path / "takes_zero_to_one.keras")
    return tmp_path / "takes_zero_to_one.keras"


def test_evaluate_says_which_range_fits_best_and_takes_it(model, folder, capsys):
    named = ("--class-names", "bright,dark", "--json")
    assert command("evaluate", model, folder, *named) == 0
    events = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    (doubt,) = [event for event in events if event["event"] == "input_range_unknown"]
    right = {trial["input_range"]: trial["right"] for trial in doubt["tried"]}
    assert (right["0-255"], right["0-1"], doubt["fits_best"]) == (10, 20, "0-1")
    assert events[-1]["accuracy"] == 0.5

    assert command("evaluate", model, folder, "--class-names", "bright,dark") == 0
    assert "Say --input-range 0-1, which fits best." in " ".join(capsys.readouterr().err.split())

    assert command("evaluate", model, folder, *named, "--input-range", "0-1") == 0
    events = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert events[-1]["accuracy"] == 1.0
    assert not [event for event in events if event["event"] == "input_range_unknown"]
    assert command("evaluate", model, folder, *named, "--input-range", "-1-1") == 0


def test_predict_and_explain_warn_and_take_the_range(model, folder, tmp_path, capsys):
    picture = folder / "dark" / "0.png"
    assert command("predict", model, picture, "--json") == 0
    said = capsys.readouterr()
    answer = json.loads(said.out)
    assert (answer["label"], answer["warnings"]) == ("class 1", ["input_range_unknown"])
    assert "does not say which values" in " ".join(said.err.split())
    assert command("predict", model, picture, "--json", "--input-range", "0-1") == 0
    said = capsys.readouterr()
    answer = json.loads(said.out)
    assert answer["label"] == "class 2"
    assert "warnings" not in answer
    assert "values" not in said.err
    out = tmp_path / "map.png"
    assert command("explain", model, picture, "--out", out, "--input-range", "0-1") == 0
    assert "class 2" in capsys.readouterr().out


def test_an_export_carries_the_range_inside(model, folder, tmp_path, capsys):
    target = tmp_path / "exported.keras"
    assert command("export", model, target) == 1
    assert "--class-names" in capsys.readouterr().err
    assert command("export", model, target, "--class-names", "bright,dark", "--input-range", "0-1") == 0
    assert json.loads(target.with_suffix(".json").read_text(encoding="utf-8"))["input"]["value_range"] == [0, 255]
    assert read_facts(target).input_range is InputRange.BYTES
    assert command("evaluate", target, folder, "--json") == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["accuracy"] == 1.0
    pixels = np.full((1, 32, 32, 3), 60, np.uint8)
    assert keras.saving.load_model(target).predict(pixels, verbose=0).argmax() == 1
    assert command("evaluate", target, folder, "--input-range", "0-1") == 1
    assert "takes 0-255" in capsys.readouterr().err


def test_calibrating_keeps_the_range(model, folder, capsys):
    wrong = folder / "bright" / "wrong.png"  # one mistake, so that there is something to calibrate
    Image.new("RGB", (32, 32), (70, 70, 70)).save(wrong)
    named = ("--class-names", "bright,dark")
    assert command("calibrate", model, folder, *named, "--threshold", "0.6", "--input-range", "0-1") == 0
    assert read_facts(model).input_range is InputRange.UNIT
    assert command("calibrate", model, folder, "--temperature") == 0
    facts = read_facts(model)
    assert facts.input_range is InputRange.BYTES  # it is part of the network now
    assert facts.temperature != 1
    pixels = np.full((1, 32, 32, 3), 60, np.uint8)
    assert load_model(model)[0].predict_on_batch(pixels).argmax() == 1
    assert command("calibrate", model, folder, "--no-temperature") == 0
    assert read_facts(model).input_range is InputRange.UNIT
    assert load_model(model)[0].predict_on_batch(pixels).argmax() == 1
    assert "--input-range" not in capsys.readouterr().err


def test_a_list_of_names_beside_the_file_is_offered(model, folder, capsys):
    labels = model.with_name("labels.txt")
    labels.write_text("0 bright\n1 dark\n")
    picture = folder / "dark" / "0.png"
    assert command("predict", model, picture, "--input-range", "0-1") == 0
    said = capsys.readouterr()
    assert "class 2" in said.out
    assert f"--class-names {labels}" in " ".join(said.err.split())
    assert command("predict", model, picture, "--input-range", "0-1", "--class-names", labels) == 0
    assert "dark 1" in capsys.readouterr().out
    assert command("evaluate", model, folder, "--input-range", "0-1") == 1
    assert "--class-names" in capsys.readouterr().err.splitlines()[-1]


def test_failures_have_codes_in_json(model, folder, tmp_path, capsys):
    (tmp_path / "experiment.toml").write_text("training = 5\n")
    train = ("train", folder, "--out", tmp_path / "run", "--json")
    assert command(*train, "--experiment", tmp_path / "experiment.toml") == 2
    said = capsys.readouterr()
    failed = json.loads(said.out)
    assert (failed["event"], failed["code"], failed["field"]) == ("failed", "experiment", "training")
    assert "training must be a table of settings; it is 5." in failed["message"]
    assert "Input should" not in said.out + said.err
    (tmp_path / "page.keras").write_text("<html>")
    assert command("predict", tmp_path / "page.keras", folder, "--json") == 1
    assert json.loads(capsys.readouterr().out)["code"] == "model_file"
    assert command("predict", tmp_path / "page.keras", folder) == 1
    assert capsys.readouterr().out == ""
