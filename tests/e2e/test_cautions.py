"""What a scan finds serious is told before training, in the terminal and as JSON, and once more with its result."""

import json
import shutil

import pytest

from cnn_studio import tasks
from cnn_studio.cli import run
from cnn_studio.core.advice.suggestions import suggest_experiment
from cnn_studio.core.data.cautions import cautions_of
from cnn_studio.core.data.events import Caution
from cnn_studio.core.experiment.settings import ImageSettings, SplitSettings
from cnn_studio.core.job.events import Message
from cnn_studio.core.job.jobs import JobContext


@pytest.fixture
def divided(blobs, tmp_path):
    """Three classes in train/ and test/: two test images are those of training, one file is no image, and one folder
    with a picture lies beside."""
    root = tmp_path / "divided"
    for folder in sorted(blobs.iterdir()):
        for number, file in enumerate(sorted(folder.iterdir())):
            side = root / ("test" if number < 4 else "train") / folder.name
            side.mkdir(parents=True, exist_ok=True)
            shutil.copy(file, side / file.name)
    for number in (8, 9):
        shutil.copy(root / "train" / "red" / f"red {number}.png", root / "test" / "red" / f"copy {number}.png")
    (root / "train" / "blue" / "broken.jpg").write_text("<html>")
    shutil.copytree(root / "test" / "red", root / "surplus")
    return root


EXPECTED = {
    "beside_splits": "surplus lies beside the folders for training and testing",
    "duplicate_across_splits": "2 pictures are in more than one of the folders",
    "left_out": "2 items are left out",
}


def test_train_says_before_and_after_what_scan_says(divided, tmp_path, capsys):
    options = ("--epochs", "1", "--batch-size", "8")
    assert run(["train", str(divided), "--out", str(tmp_path / "run"), *options, "--json"], lambda *_: 0) == 0
    events = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    names = [event["event"] for event in events]
    told = {event["kind"]: event["text"] for event in events if event["event"] == "caution"}
    assert max(place for place, name in enumerate(names) if name == "caution") < names.index("training_started")
    assert {caution["kind"]: caution["text"] for caution in events[-1]["cautions"]} == told
    assert told.keys() == {*EXPECTED, "few_images"}
    for kind, words in EXPECTED.items():
        assert words in told[kind]

    assert run(["scan", str(divided), "--json"], lambda *_: 0) == 0
    scanned = json.loads(capsys.readouterr().out)
    serious = {finding["kind"]: finding["title"] for finding in scanned["findings"] if finding["serious"]}
    assert serious == {kind: text for kind, text in told.items() if kind != "left_out"}
    assert len(scanned["issues"]) == 2


def test_in_the_terminal_it_is_told_before_and_after(divided, tmp_path, capsys):
    assert run(["train", str(divided), "--out", str(tmp_path / "run"), "--epochs", "1"], lambda *_: 0) == 0
    said = capsys.readouterr()
    for words in EXPECTED.values():
        assert f"! {words}" in said.err
        assert f"! {words}" in said.out
    assert said.err.index("! surplus lies") < said.err.index("epoch   1 of 1")


def test_what_a_drawn_split_tears_apart_is_told(blobs):
    for number in range(12):
        shutil.copy(blobs / "red" / f"red {number}.png", blobs / "red" / f"copy {number}.png")
    dataset = tasks.scan(blobs, JobContext())
    image = ImageSettings()
    apart = {one.kind: one.text for one in cautions_of(dataset, SplitSettings(keep_similar_together=False), image)}
    together = {one.kind for one in cautions_of(dataset, SplitSettings(), image)}
    assert "versions in more than one of training, validation and test images" in apart["duplicate_across_splits"]
    assert together == apart.keys() - {"duplicate_across_splits"}


def test_folds_do_not_repeat_it(blobs, tmp_path, monkeypatch):
    from cnn_studio.tasks import cross_validation

    def train(request, context):
        for caution in cautions_of(request.dataset, request.experiment.split, request.experiment.image):
            context.report(caution)
        context.report(Message("said of each"))

    monkeypatch.setattr(cross_validation, "train", train)
    dataset, said = tasks.scan(blobs, JobContext()), []
    list(cross_validation.train_folds(dataset, suggest_experiment(dataset), tmp_path, 3, JobContext(said.append)))
    assert len([event for event in said if isinstance(event, Caution)]) == 1
    assert [event.text for event in said if isinstance(event, Message)] == [
        "Fold 1 of 3.",
        "said of each",
        "Fold 2 of 3.",
        "Fold 3 of 3.",
    ]
