"""Names and settings that were made to do harm, through the command line."""

import csv
import io
import json
import os
import shutil
import subprocess
import sys
import time

import numpy as np
import pytest
from PIL import Image

from cnn_studio.cli.commands import run
from cnn_studio.cli.console import Face
from cnn_studio.core.data.events import FilesLeftOut
from cnn_studio.core.data.split_file import read_split
from cnn_studio.core.image.issues import Issue, IssueKind
from cnn_studio.core.job.events import Message
from cnn_studio.core.runs import run as runs


def command(*arguments):
    return run([str(part) for part in arguments], lambda *_: 0)


@pytest.fixture
def folder_of(tmp_path):
    """folder_of(names) -> a folder with a sub-folder of six pictures for each, whose names are rather long."""

    def make(*names):
        draw = np.random.default_rng(0)
        for name in names:
            (tmp_path / "data" / name).mkdir(parents=True)
            for number in range(6):
                pixels = draw.integers(0, 256, (20, 24, 3)).astype(np.uint8)
                Image.fromarray(pixels).save(
                    tmp_path / "data" / name / f"a_picture_with_a_rather_long_name_{number}.png"
                )
        return tmp_path / "data"

    return make


def test_names_are_text_in_the_terminal_and_come_back_from_the_table(folder_of, tmp_path, capsys):
    folder = folder_of("red\x1b[31m", "=1+1", "<b>bold")
    (folder / "=1+1" / "broken\x1b]0;title\x07.png").write_text("no picture")
    assert command("scan", folder, "--save-split", tmp_path / "split.csv", "--csv", tmp_path / "out.csv") == 0
    said = capsys.readouterr()
    assert "\x1b" not in said.out + said.err
    assert "\x07" not in said.out + said.err
    assert "red\\x1b[31m" in said.out
    assert "broken\\x1b]0;title\\x07.png" in said.out
    on_disk = {f.relative_to(folder).as_posix() for f in folder.glob("*/a_picture*.png")}
    assert set(read_split(tmp_path / "split.csv")) == on_disk
    for table in ("split.csv", "out.csv"):
        cells = (tmp_path / table).read_text(encoding="utf-8").replace("\n", ",").split(",")
        assert not [cell for cell in cells if cell[:1] in {"=", "+", "-", "@"}]
    assert command("scan", folder, "--json") == 0
    assert set(json.loads(capsys.readouterr().out)["classes"]) == {"red\\x1b[31m", "=1+1", "<b>bold"}


def test_what_jobs_report_is_text_too(capsys):
    face = Face(as_json=False)
    face.report(Message("from \x1b[31mred"))
    face.report(FilesLeftOut((Issue("a\x1b[1m.png", next(iter(IssueKind)), "cut\x07"),)))
    said = capsys.readouterr().err
    assert "from \\x1b[31mred" in said
    assert "a\\x1b[1m.png: cut\\x07" in said


def test_letters_that_the_terminal_has_not_are_escaped(monkeypatch):
    narrow = io.TextIOWrapper(io.BytesIO(), encoding="cp1252")
    monkeypatch.setattr(sys, "stdout", narrow)
    Face(as_json=False).say("猫 café\nnext")
    narrow.seek(0)
    assert narrow.read() == "\\u732b café\nnext\n"


def test_a_rule_that_would_never_end_ends(folder_of, tmp_path, capsys):
    experiment = tmp_path / "endless.toml"
    experiment.write_text('[split]\ngroup_pattern = "(.+)+!"\n')
    folder = folder_of("apple", "banana")
    began = time.process_time()
    assert command("scan", folder, "--experiment", experiment) == 0
    assert time.process_time() - began < 5
    out = capsys.readouterr().out
    assert "12 images" in out
    assert "The rule (.+)+! finds nothing in any file's name" in out
    assert command("scan", folder, "--group-by", r"(\d+)") == 0
    assert "finds nothing" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("text", "words"),
    [("x = " + "[" * 100_000, "nested too deeply"), ('[split]\ngroup_pattern = "(?<=a)b"\n', "look-behind")],
)
def test_settings_that_cannot_be_read_are_told_before_anything_is_trained(folder_of, tmp_path, capsys, text, words):
    (tmp_path / "e.toml").write_text(text)
    folder = folder_of("apple", "banana")
    assert command("train", folder, "--experiment", tmp_path / "e.toml", "--out", tmp_path / "run") == 2
    assert words in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_answers_that_are_no_numbers_are_errors_and_valid_json(folder_of, tmp_path, capsys):
    import keras

    image = keras.Input((16, 16, 3))
    maps = keras.layers.Conv2D(2, 3)(image)
    model = keras.Model(image, keras.layers.Dense(3, activation="softmax")(keras.layers.Flatten()(maps)))
    model.set_weights([weight * np.nan for weight in model.get_weights()])
    model.save(tmp_path / "nan.keras")
    picture = next(folder_of("a").glob("a/*.png"))

    def refuse(word):
        raise AssertionError(f"{word} is no JSON")

    assert command("predict", tmp_path / "nan.keras", picture, "--json") == 1
    answer = json.loads(capsys.readouterr().out, parse_constant=refuse)
    assert answer == {"path": str(picture), "error": "The model's answer to this picture is no number (NaN)."}
    assert command("predict", tmp_path / "nan.keras", picture) == 1
    assert "nan%" not in capsys.readouterr().out
    assert command("explain", tmp_path / "nan.keras", picture, "--out", tmp_path / "map.png") == 1
    assert "no number (NaN), so there is nothing to explain" in capsys.readouterr().err


@pytest.mark.parametrize("encoding", ["cp1252", "ascii", "utf-8"])
def test_names_that_the_console_cannot_write_are_escaped_in_a_file_too(folder_of, tmp_path, encoding):
    """As ``scan FOLDER > file`` on a Windows console."""
    folder = folder_of("猫", "ñandú\u202e", "dog")
    shutil.copytree(folder / "dog", folder / "猫" / "深")
    environment = os.environ | {"PYTHONIOENCODING": encoding, "PYTHONUTF8": "0"}
    with (tmp_path / "out.txt").open("wb") as out:
        done = subprocess.run(
            [sys.executable, "-m", "cnn_studio", "scan", folder], stdout=out, stderr=subprocess.PIPE, env=environment,
            timeout=120, check=False,
        )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert b"Traceback" not in done.stderr
    said = (tmp_path / "out.txt").read_bytes().decode(encoding)
    assert ("猫 " if encoding == "utf-8" else "\\u732b ") in said
    assert ("\\xf1and\\xfa\\u202e" if encoding == "ascii" else "ñandú\\u202e") in said
    assert "18 images" not in said
    assert "24 images, 3 classes" in said


def test_tables_of_an_evaluation_hold_no_formula_and_no_escape(folder_of, tmp_path, capsys):
    folder = folder_of("=1+1", "@b", "red\x1b[31m")
    options = ("--epochs", "1", "--batch-size", "4", "--image-size", "16")
    assert command("train", folder, "--out", tmp_path / "run", *options) == 0
    tables = [tmp_path / "scores.csv", tmp_path / "images.csv", tmp_path / "predicted.csv"]
    assert command("evaluate", tmp_path / "run", "--csv", tables[0], "--images-csv", tables[1]) == 0
    assert command("predict", tmp_path / "run", folder, "--csv", tables[2]) == 0
    said = capsys.readouterr()
    assert "\x1b" not in said.out + said.err
    for table in (*tables, tmp_path / "run" / "manifest.csv"):
        text = table.read_text(encoding="utf-8")
        with table.open(encoding="utf-8", newline="") as file:
            cells = [cell for row in csv.reader(file) for cell in row]
        assert not [cell for cell in cells if cell[:1] in {"=", "+", "@", "\t", "\r"}], table
        assert "1+1" in text
    manifest = runs.read_manifest(runs.read_run(tmp_path / "run"))
    assert {path for path, _, _ in manifest} == {file.relative_to(folder).as_posix() for file in folder.glob("*/*")}
    assert {name for _, name, _ in manifest} == {"=1+1", "@b", "red\\x1b[31m"}
