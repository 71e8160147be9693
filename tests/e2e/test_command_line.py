"""The main job through the command line, in processes of its own, as a person or a script would run it."""

import csv
import json
import os
import shutil
import subprocess
import sys

import pytest


def run(*arguments, **environment):
    return subprocess.run(
        [sys.executable, "-m", "cnn_studio", *map(str, arguments)],
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=300,
        env={**os.environ, **environment},
        check=False,
    )


def lines(text):
    return [json.loads(line) for line in text.splitlines()]


@pytest.fixture(scope="module")
def blobs_run(tmp_path_factory):
    """A run trained once for all tests of this module: (its folder, the images' folder, train's output)."""
    import numpy as np
    from PIL import Image

    place = tmp_path_factory.mktemp("cli")
    random = np.random.default_rng(0)
    for name, colour in {"red": (220, 40, 40), "green": (40, 200, 60)}.items():
        (place / "data" / name).mkdir(parents=True)
        for number in range(20):
            pixels = np.clip(np.asarray(colour) + random.integers(-35, 35, (24, 24, 3)), 0, 255)
            Image.fromarray(pixels.astype(np.uint8)).save(place / "data" / name / f"{number}.png")
    done = run("train", place / "data", "--out", place / "run", "--epochs", 6, "--batch-size", 8, "--seed", 1, "--json")
    assert done.returncode == 0, done.stderr
    return place / "run", place / "data", done


def test_train_prints_json_lines_and_ends_with_finished(blobs_run):
    folder, _, done = blobs_run
    events = lines(done.stdout)
    finished = events[-1]
    assert finished["event"] == "finished"
    assert finished["run"] == str(folder)
    assert set(finished["metrics"]) == {"accuracy", "loss", "val_accuracy", "val_loss"}
    assert finished["epochs"] == 6
    assert finished["seconds"] > 0
    assert finished["device"]
    assert [event["epoch"] for event in events if event["event"] == "epoch_ended"] == list(range(1, 7))
    with (folder / "history.csv").open(encoding="utf-8") as file:
        assert len(list(csv.DictReader(file))) == 6
    assert not (folder / "best.weights.h5").exists()


@pytest.mark.slow
def test_the_run_can_be_repeated_from_its_experiment_file(blobs_run, tmp_path):
    folder, data, first = blobs_run
    again = run("train", data, "--out", tmp_path / "again", "--experiment", folder / "experiment.toml", "--json")
    assert again.returncode == 0, again.stderr
    assert lines(again.stdout)[-1]["metrics"]["val_loss"] == pytest.approx(
        lines(first.stdout)[-1]["metrics"]["val_loss"], rel=1e-3
    )


def test_evaluate_predict_export(blobs_run, tmp_path):
    folder, data, _ = blobs_run
    target = tmp_path / "out.keras"
    assert run("export", folder, target).returncode == 0
    again = run("export", folder, target)
    assert again.returncode == 1
    assert "exists" in again.stderr
    assert run("export", folder, target, "--replace").returncode == 0

    evaluated = run("evaluate", target, data, "--json")
    assert evaluated.returncode == 0, evaluated.stderr
    evaluation = lines(evaluated.stdout)[-1]
    assert evaluation["images"] == 40
    assert 0.9 < evaluation["accuracy"] <= 1
    assert evaluation["accuracy_low"] < evaluation["accuracy"] <= evaluation["accuracy_high"] <= 1

    bad = tmp_path / "bad.jpg"
    bad.write_bytes(b"")
    table = tmp_path / "out.csv"
    predicted = run("predict", target, data / "red", bad, "--json", "--top", 1, "--csv", table)
    assert predicted.returncode == 0, predicted.stderr
    answers = lines(predicted.stdout)
    assert len(answers) == 21
    assert "empty" in answers[-1]["error"]
    assert sum(answer["label"] == "red" for answer in answers[:-1]) >= 18
    assert len(answers[0]["ranked"]) == 1
    assert answers[0]["ranked"][0] == [answers[0]["label"], answers[0]["probability"]]
    with table.open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 21
    assert float(rows[0]["red"]) + float(rows[0]["green"]) == pytest.approx(1, abs=1e-5)


def test_any_setting_is_set_and_all_are_listed(blobs_run, tmp_path):
    _, data, _ = blobs_run
    sets = (
        "training.epochs=2",
        "training.schedule=cosine",
        "training.warm_up_epochs=1",
        "architecture.blocks=[[4],[8]]",
    )
    options = (part for each in sets for part in ("--set", each))
    done = run("train", data, "--out", tmp_path / "run", *options, "--batch-size", 8, "--json")
    assert done.returncode == 0, done.stderr
    assert lines(done.stdout)[-1]["epochs"] == 2
    kept = (tmp_path / "run" / "experiment.toml").read_text(encoding="utf-8")
    assert 'schedule = "cosine"\nwarm_up_epochs = 1\n' in kept
    listed = run("settings", "--json")
    assert listed.returncode == 0, listed.stderr
    names = {row["name"] for row in lines(listed.stdout)[-1]["settings"]}
    assert {each.partition("=")[0] for each in sets} <= names


def test_readable_output(blobs_run):
    folder, data, _ = blobs_run
    scanned = run("scan", data)
    assert scanned.returncode == 0
    assert "40 images, 2 classes" in scanned.stdout
    predicted = run("predict", folder, data / "green" / "3.png")
    assert "green" in predicted.stdout


def test_an_interrupted_run_gives_its_best_model(blobs_run, tmp_path):
    """What a power cut leaves: settings, weights, no model file."""
    folder, data, _ = blobs_run
    cut = tmp_path / "cut"
    shutil.copytree(folder, cut)
    (cut / "model.keras").unlink()
    made = subprocess.run(
        [
            sys.executable,
            "-c",
            "import sys, keras; keras.saving.load_model(sys.argv[1]).save_weights(sys.argv[2])",
            str(folder / "model.keras"),
            str(cut / "best.weights.h5"),
        ],
        check=True,
        timeout=120,
    )
    assert made.returncode == 0
    predicted = run("predict", cut, data / "red" / "1.png", "--json")
    assert predicted.returncode == 0, predicted.stderr
    assert lines(predicted.stdout)[0]["label"] == "red"


def test_scan_json_of_a_hostile_folder(tmp_path):
    data = tmp_path / "data"
    (data / "a").mkdir(parents=True)
    (data / "a" / "page.jpg").write_text("<!doctype html><title>404</title>", encoding="utf-8")
    (data / "b").mkdir()
    done = run("scan", data, "--json")
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    (said,) = map(json.loads, done.stdout.splitlines())
    assert (said["event"], said["code"]) == ("failed", "dataset")


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (("nonsense",), 2, "neither a command nor a folder"),
        (("train",), 2, "folder"),
        (("train", ".", "--out", "x", "--epochs", "many"), 2, "epochs"),
        (("train", ".", "--out", "x", "--epochs", "0"), 2, "epochs"),
        (("train", ".", "--out", "x", "--architecture", "resnet9000"), 2, "small_cnn"),
        (("train", ".", "--out", "x", "--experiment", "none.toml"), 2, "none.toml"),
        (("train", "no-such-folder", "--out", "x"), 1, "no-such-folder"),
        (("scan", "no-such-folder"), 1, "no-such-folder"),
        (("predict", "no-such.keras", "picture.jpg"), 1, "no-such.keras"),
        (("export", "no-such-run", "target.keras"), 1, "no-such-run"),
        (("train", ".", "--out", "x", "--set", "training.schedul=cosine"), 2, "training.schedule"),
    ],
)
def test_wrong_usage_and_failures_are_told(arguments, status, words, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = run(*arguments)
    assert done.returncode == status, done.stderr
    assert words in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stderr.count("\n") <= 3


def test_one_class_and_one_image_per_class_are_told(tmp_path):
    from PIL import Image

    for root, names in (("one", ["only"]), ("single", ["a", "b"])):
        for name in names:
            (tmp_path / root / name).mkdir(parents=True)
            Image.new("RGB", (16, 16)).save(tmp_path / root / name / "1.png")
    Image.new("RGB", (16, 16)).save(tmp_path / "one" / "only" / "2.png")
    one = run("train", tmp_path / "one", "--out", tmp_path / "run")
    assert one.returncode == 1
    assert "one class only" in one.stderr
    single = run("train", tmp_path / "single", "--out", tmp_path / "run")
    assert single.returncode == 1
    assert "validation" in single.stderr
    assert not (tmp_path / "run").exists()


def test_an_earlier_run_is_never_overwritten(blobs_run):
    folder, data, _ = blobs_run
    before = sorted(path.name for path in folder.iterdir())
    done = run("train", data, "--out", folder)
    assert done.returncode == 1
    assert "not empty" in done.stderr
    assert sorted(path.name for path in folder.iterdir()) == before


@pytest.mark.slow
def test_demo_without_a_display(tmp_path):
    environment = dict.fromkeys(("DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM"), "")
    done = run("demo", "--out", tmp_path / "demo", **environment)
    assert done.returncode == 0, done.stderr
    assert "without the window" in done.stdout
    assert (tmp_path / "demo" / "model.keras").exists()
    assert "Images it has never seen" in done.stdout


@pytest.mark.slow
def test_the_main_job_on_real_photographs(shared_data, tmp_path):
    done = run(
        "train", shared_data / "cats_dogs", "--out", tmp_path / "run", "--image-size", 32, "--epochs", 2, "--json"
    )
    assert done.returncode == 0, done.stderr
    assert lines(done.stdout)[-1]["metrics"]["val_accuracy"] > 0.45
    assert run("export", tmp_path / "run", tmp_path / "pets.keras").returncode == 0
    predicted = run("predict", tmp_path / "pets.keras", shared_data / "cats_dogs" / "cat" / "cat.1.jpg", "--json")
    assert lines(predicted.stdout)[0]["label"] in {"cat", "dog"}


def test_doctor(tmp_path):
    done = run("doctor", "--json")
    assert done.returncode == 0, done.stderr
    found = lines(done.stdout)[-1]
    assert found["device"]["computes"] is True
    assert found["versions"]["keras"]
