"""Whoever lists files lists the same ones: a scan, predictions of a folder, what is dropped on the window."""

import sys
import unicodedata
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from cnn_studio.core.data.scan import scan_folder
from cnn_studio.core.errors import DatasetError
from cnn_studio.core.job.events import Message
from cnn_studio.core.job.jobs import JobContext
from cnn_studio.tasks import evaluation
from cnn_studio.tasks.models import image_paths


def picture(path, seed):
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (12, 16, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path, "PNG")


@pytest.fixture
def folder(tmp_path):
    """Two classes; one of them is a link, and holds links that lead back; with all that systems leave."""
    root = tmp_path / "set"
    names = ("b/1.png", "b/10.png", "b/2.png", "b/deep/er.png", "b/no ending")
    for seed, name in enumerate(names):
        picture(root / name, seed)
    for seed, name in enumerate(("b/@eaDir/1.png", "b/.Trash-0/1.png", "b/$RECYCLE.BIN/1.png", "b/__MACOSX/._1.png")):
        picture(root / name, seed)
    for name in ("b/.ipynb_checkpoints/1.png", "b/._1.png", "b/run/heat.png"):
        picture(root / name, 0)
    for name in ("run.json", "experiment.toml"):
        (root / "b" / "run" / name).write_text("{}")
    (root / "b" / "notes.txt").write_text("words")
    picture(tmp_path / "store" / "a" / "linked.png", 50)
    if sys.platform != "win32":
        (root / "a").symlink_to(tmp_path / "store" / "a")
        (root / "b" / "again").symlink_to(root / "b" / "deep")
        (root / "b" / "loop").symlink_to(root)
    else:
        picture(root / "a" / "linked.png", 50)
    return root


def test_predictions_and_scans_see_the_same_files(folder):
    said = []
    dataset = scan_folder(folder, JobContext())
    found = image_paths([folder], JobContext(said.append))
    assert {path.relative_to(folder).as_posix() for path in found} == {file.path for file in dataset.files}
    assert len(found) == 6
    assert [path.name for path in found if path.parent.name == "b"] == ["1.png", "2.png", "10.png", "no ending"]
    text = " ".join(event.text for event in said if isinstance(event, Message))
    assert "1 file is no image" in text
    assert "@eaDir" in text
    assert "b/run: This is the folder of a training run" in text
    if sys.platform != "win32":
        assert "b/loop: The link leads back" in text
        assert "b/again: The link" in text
    assert dict(dataset.passed_over)["@eaDir"] == 1


def test_what_is_named_is_taken_and_what_is_broken_gets_an_answer_of_its_own(folder):
    hidden, broken = folder / "b" / "._1.png", folder / "b" / "broken.jpg"
    broken.write_bytes(b"")
    found = image_paths([hidden, folder / "b" / "@eaDir", folder], JobContext())
    assert found[:2] == [hidden, folder / "b" / "@eaDir" / "1.png"]
    assert broken in found


def test_a_folder_without_pictures_is_told(tmp_path):
    (tmp_path / "notes.txt").write_text("words")
    with pytest.raises(DatasetError, match="no image in"):
        image_paths([tmp_path], JobContext())


@pytest.mark.skipif(sys.platform == "win32", reason="links need a privilege on Windows")
def test_the_linked_class_of_a_data_set_is_predicted_too(tmp_path):
    picture(tmp_path / "store" / "a" / "0.png", 0)
    picture(tmp_path / "set" / "b" / "1.png", 1)
    (tmp_path / "set" / "a").symlink_to("../store/a")
    found = image_paths([tmp_path / "set"], JobContext())
    assert [path.relative_to(tmp_path / "set") for path in found] == [Path("b/1.png"), Path("a/0.png")]


def test_a_models_classes_are_matched_whatever_form_and_capitals_folders_have(tmp_path):
    apart = unicodedata.normalize("NFD", "Café")
    for seed, name in enumerate((apart, "DOG", "cow")):
        picture(tmp_path / "set" / name / "0.png", seed)
    dataset, said = scan_folder(tmp_path / "set", JobContext()), []
    facts = SimpleNamespace(class_names=("dog", apart, "hen"))
    known = evaluation._known(dataset, facts, said.append)
    assert known.class_names == facts.class_names
    assert {file.path.partition("/")[0]: file.label for file in known.files} == {"DOG": 0, apart: 1}
    assert [event.text for event in said] == [
        "1 image of cow is not measured: the model knows no such class.",
        "There are no images of hen here, so nothing can be said of them.",
    ]


@pytest.mark.skipif(sys.platform in {"win32", "darwin"}, reason="this disk does not tell capitals")
def test_of_two_classes_that_differ_in_capitals_a_model_knows_its_own(tmp_path):
    for seed, name in enumerate(("Dog", "dog")):
        picture(tmp_path / "set" / name / "0.png", seed)
    dataset = scan_folder(tmp_path / "set", JobContext())
    known = evaluation._known(dataset, SimpleNamespace(class_names=("Dog", "cat")), lambda _: None)
    assert [file.path for file in known.files] == ["Dog/0.png"]
