"""Decisions about single images change the data set and not the folder, and can be taken back."""

from __future__ import annotations

from dataclasses import replace

from cnn_studio.core.data.decisions import apply_decisions
from cnn_studio.core.data.split import count_splits, split_dataset, why_not_trainable
from cnn_studio.core.experiment.settings import Decisions, SplitSettings
from cnn_studio.core.image.issues import Issue, IssueKind


def test_nothing_decided_is_the_very_same_data_set(made_up_dataset):
    dataset = made_up_dataset({"a": 3, "b": 2})
    assert apply_decisions(dataset, Decisions()) == (dataset, ())
    assert apply_decisions(dataset, Decisions())[0] is dataset


def test_images_are_left_out_and_put_into_other_classes(made_up_dataset):
    dataset = made_up_dataset({"a": 3, "b": 2})
    decisions = Decisions().leaving_out(["a/00000.jpg"]).putting_into("b", ["a/00002.jpg"])
    decided, notes = apply_decisions(dataset, decisions)
    assert notes == ()
    assert [(file.path, file.label) for file in decided.files] == [
        ("a/00001.jpg", 0),
        ("a/00002.jpg", 1),
        ("b/00000.jpg", 1),
        ("b/00001.jpg", 1),
    ]
    assert decided.counts() == {"a": 1, "b": 3}
    assert [(issue.path, issue.kind) for issue in decided.issues] == [("a/00000.jpg", IssueKind.LEFT_OUT_BY_YOU)]
    assert dataset.counts() == {"a": 3, "b": 2}
    back = decisions.using_again(["a/00000.jpg"]).putting_back(["a/00002.jpg"])
    assert apply_decisions(dataset, back)[0] == dataset


def test_applying_them_twice_changes_nothing_and_tells_nothing(made_up_dataset):
    decisions = Decisions(left_out=("a/00000.jpg", "b/00001.jpg"), belongs_to={"a/00001.jpg": "b"})
    once, _ = apply_decisions(made_up_dataset({"a": 3, "b": 3}), decisions)
    assert apply_decisions(once, decisions) == (once, ())


def test_what_cannot_be_followed_is_told_and_the_rest_is_done(made_up_dataset):
    dataset = made_up_dataset({"a": 3, "b": 2})
    decisions = Decisions(
        left_out=("gone.jpg", "a/00000.jpg"),
        belongs_to={"a/00001.jpg": "c", "also gone.jpg": "b", "b/00000.jpg": "a"},
    )
    decided, (missing, unknown) = apply_decisions(dataset, decisions)
    assert "2 files" in missing
    assert "also gone.jpg" in missing
    assert "(c)" in unknown
    assert decided.counts() == {"a": 3, "b": 1}
    _, (missing,) = apply_decisions(dataset, Decisions(left_out=("gone.jpg",)))
    assert missing.startswith("gone.jpg, about which you decided something, is not in ")


def test_files_that_were_left_out_anyway_are_not_missed(made_up_dataset):
    dataset = replace(
        made_up_dataset({"a": 3, "b": 2}), issues=(Issue("a/x.jpg", IssueKind.UNREADABLE, "It is damaged."),)
    )
    assert apply_decisions(dataset, Decisions(left_out=("a/x.jpg",)))[1] == ()


def test_a_class_that_is_emptied_keeps_its_label_and_is_told(made_up_dataset):
    dataset = made_up_dataset({"a": 2, "b": 2, "c": 2})
    decided, _ = apply_decisions(dataset, Decisions(left_out=("b/00000.jpg", "b/00001.jpg")))
    assert decided.class_names == ("a", "b", "c")
    assert decided.counts()["b"] == 0
    assert "no training image of b" in str(why_not_trainable(decided, SplitSettings()))


def test_the_split_of_the_others_hardly_moves(made_up_dataset):
    dataset = made_up_dataset({"a": 200, "b": 200})
    decided, _ = apply_decisions(dataset, Decisions(left_out=tuple(f"a/{n:05}.jpg" for n in range(10))))
    before = dict(zip((f.path for f in dataset.files), split_dataset(dataset, SplitSettings()).splits, strict=True))
    after = dict(zip((f.path for f in decided.files), split_dataset(decided, SplitSettings()).splits, strict=True))
    assert sum(before[path] is not split for path, split in after.items()) <= 6
    assert sum(map(sum, count_splits(decided, SplitSettings()).values())) == 390
