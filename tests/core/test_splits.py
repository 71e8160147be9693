"""A split is saved as a table and used again."""

from __future__ import annotations

import csv
import os
import sys
from dataclasses import replace

import pytest

from cnn_studio.core.atomic_file import write_text
from cnn_studio.core.data.image_file import Split
from cnn_studio.core.data.split import count_splits, split_dataset
from cnn_studio.core.data.split_file import read_split, split_csv, with_split
from cnn_studio.core.errors import DatasetError
from cnn_studio.core.experiment.settings import SplitSettings


def test_a_saved_split_is_used_again_whatever_the_settings_say(made_up_dataset, tmp_path):
    dataset = made_up_dataset({"a": 40, "b": 30})
    assignment = split_dataset(dataset, SplitSettings(seed=5))
    write_text(tmp_path / "split.csv", split_csv(dataset, assignment))
    with (tmp_path / "split.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert rows[0] == {"path": "a/00000.jpg", "class": "a", "split": assignment.splits[0].value}
    divided, notes = with_split(dataset, read_split(tmp_path / "split.csv"))
    assert notes == ()
    other = SplitSettings(seed=1, validation=0.4)
    assert split_dataset(divided, other) == assignment
    assert {split: sum(n) for split, n in count_splits(divided, other).items()} == assignment.totals


def test_images_the_table_does_not_name_go_with_what_they_look_like_else_to_training(made_up_dataset):
    dataset = made_up_dataset({"a": 6})
    similar = (0, 3, 0, 3, 0, 0)
    files = tuple(replace(file, similar=group) for file, group in zip(dataset.files, similar, strict=True))
    dataset = replace(dataset, files=files)
    table = {f"a/0000{number}.jpg": split for number, split in enumerate((Split.TRAIN, Split.TEST, Split.VALIDATION))}
    table["b/x.jpg"] = Split.TEST
    divided, notes = with_split(dataset, table)
    assert [file.given_split.value for file in divided.files] == [
        "train",
        "test",
        "validation",
        "test",
        "train",
        "train",
    ]
    assert notes[0] == "Images that the saved split does not name, and that are used for training: 2."
    assert notes[1].startswith("Images that the saved split names and that are not in ")


def test_a_split_without_test_images_leaves_training_alone(made_up_dataset):
    dataset = made_up_dataset({"a": 10, "b": 10})
    table = {file.path: Split.VALIDATION if i % 5 == 0 else Split.TRAIN for i, file in enumerate(dataset.files)}
    divided, _ = with_split(dataset, table)
    assert split_dataset(divided, SplitSettings()).totals == {Split.TRAIN: 16, Split.VALIDATION: 4, Split.TEST: 0}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "names no image"),
        ("path,class,split\n", "names no image"),
        ("path,class\na.jpg,a\n", "Line 2 of split.csv does not say"),
        ("path,class,split\na.jpg,a,train\nb.jpg,a,holdout\n", "Line 3 of split.csv"),
    ],
)
def test_tables_that_cannot_be_used(tmp_path, text, words):
    (tmp_path / "split.csv").write_text(text, encoding="utf-8")
    with pytest.raises(DatasetError, match=words):
        read_split(tmp_path / "split.csv")


def test_a_missing_table_and_one_of_another_folder(made_up_dataset, tmp_path):
    with pytest.raises(DatasetError, match="There is no file"):
        read_split(tmp_path / "gone.csv")
    with pytest.raises(DatasetError, match="names none of the images"):
        with_split(made_up_dataset({"a": 3}), {"z/1.jpg": Split.TRAIN})


def test_what_spreadsheets_make_of_a_table_is_read(tmp_path):
    (tmp_path / "split.csv").write_bytes(b"\xef\xbb\xbfpath,class,split\r\na\\1.jpg,a,Train\r\n")
    assert read_split(tmp_path / "split.csv") == {"a/1.jpg": Split.TRAIN}


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux keeps file names that are no text")
def test_names_that_are_no_text(made_up_dataset, tmp_path):
    dataset = made_up_dataset({os.fsdecode(b"caf\xe9"): 4})
    write_text(tmp_path / "split.csv", split_csv(dataset, split_dataset(dataset, SplitSettings())))
    assert set(read_split(tmp_path / "split.csv")) == {file.path for file in dataset.files}


@pytest.mark.parametrize("name", ["=1+1", "+a", "-a", "@a", "\ta", "\ra", "'=a", "a\rb", "a\nb"])
def test_names_like_formulas_survive(made_up_dataset, tmp_path, name):
    dataset = made_up_dataset({name: 9, "plain": 9})
    assignment = split_dataset(dataset, SplitSettings())
    write_text(tmp_path / "split.csv", split_csv(dataset, assignment))
    assert read_split(tmp_path / "split.csv") == {
        file.path: split for file, split in zip(dataset.files, assignment.splits, strict=True)
    }
