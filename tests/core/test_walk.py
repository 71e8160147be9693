"""Going through folders: links are followed once, loops end, and names are the same whatever the form of letters."""

from __future__ import annotations

import os
import sys
import unicodedata
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest

from cnn_studio.core.data.decisions import apply_decisions
from cnn_studio.core.data.image_file import Split
from cnn_studio.core.data.scan import scan_folder
from cnn_studio.core.data.split import split_dataset
from cnn_studio.core.data.split_file import with_split
from cnn_studio.core.data.walk import FolderWalk, holds_picture, passed_over_text
from cnn_studio.core.experiment.settings import Decisions, SplitSettings
from cnn_studio.core.image.issues import IssueKind
from cnn_studio.core.job.jobs import CancelToken, JobCancelled, JobContext
from cnn_studio.core.text import composed, name_matcher

needs_links = pytest.mark.skipif(sys.platform == "win32", reason="links need a privilege on Windows")
COMPOSED, APART = unicodedata.normalize("NFC", "é"), unicodedata.normalize("NFD", "é")


def below(root: Path) -> tuple[set[str], FolderWalk]:
    walk = FolderWalk(root, CancelToken())
    return {path for path, _ in walk.files_below(root, "", inside=False)}, walk


@needs_links
def test_a_lattice_of_links_is_read_once(tmp_path, write_image):
    """Two links from each floor to the next make 2^30 paths to the lowest."""
    floors = [tmp_path / "set" / f"floor {number}" for number in range(31)]
    for upper, lower in pairwise(floors):
        upper.mkdir(parents=True)
        for side in ("left", "right"):
            (upper / side).symlink_to(lower)
    write_image(floors[-1] / "picture.png")
    found, walk = below(floors[0])
    assert len(found) == 1
    assert {issue.kind for issue in walk.issues} == {IssueKind.LINK_LOOP}
    assert holds_picture(floors[0], CancelToken())
    dataset = scan_folder(tmp_path / "set", JobContext())
    assert dataset.counts() == {f"floor {number}": 1 for number in range(31)}


@needs_links
def test_what_really_lies_there_comes_before_what_links_lead_to(tmp_path, write_image):
    write_image(tmp_path / "a" / "z" / "picture.png")
    (tmp_path / "a" / "b").symlink_to(tmp_path / "a" / "z")
    (tmp_path / "a" / "loop").symlink_to(tmp_path / "a")
    found, walk = below(tmp_path / "a")
    assert found == {"z/picture.png"}
    assert [(issue.path, issue.kind) for issue in walk.issues] == [
        ("b", IssueKind.LINK_LOOP),
        ("loop", IssueKind.LINK_LOOP),
    ]


@needs_links
def test_a_folder_that_links_lead_to_from_two_classes_is_in_both(class_folders, write_image, tmp_path):
    root = class_folders({"a": 1, "b": 1})
    write_image(tmp_path / "store" / "picture.png")
    for name in ("a", "b"):
        (root / name / "more").symlink_to(tmp_path / "store")
    dataset = scan_folder(root, JobContext())
    assert dataset.counts() == {"a": 2, "b": 2}
    assert dataset.issues == ()


def test_looking_for_a_picture_can_be_cancelled(tmp_path):
    cancel = CancelToken()
    cancel.cancel()
    with pytest.raises(JobCancelled):
        holds_picture(tmp_path, cancel)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no pipes here")
def test_looking_for_a_picture_waits_for_no_pipe(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    assert not holds_picture(tmp_path, CancelToken())


def test_what_was_passed_over_is_one_sentence():
    assert passed_over_text({}) == ""
    assert passed_over_text({".b": 1, "@eaDir": 1200, "\x1b": 2}) == (
        "Passed over, since hidden or of the system: @eaDir (1,200), \\x1b (2) and .b."
    )


# -- names ---------------------------------------------------------------------------------------------------------


def test_names_are_matched_whatever_their_form_and_if_clear_their_capitals():
    match = name_matcher([f"Caf{COMPOSED}", "Dog", "CAT", "cat"])
    assert match(f"Caf{APART}") == f"Caf{COMPOSED}"
    assert match(f"CAF{APART.upper()}") == f"Caf{COMPOSED}"
    assert (match("dog"), match("cat"), match("CAT"), match("Cat"), match("cow")) == ("Dog", "cat", "CAT", None, None)


def in_form(dataset, form: str):
    """The data set as a disk holds it that writes names in that form."""
    files = (replace(file, path=unicodedata.normalize(form, file.path)) for file in dataset.files)
    return replace(dataset, files=tuple(files))


def test_the_split_is_that_of_every_disk(made_up_dataset):
    dataset = made_up_dataset({f"caf{COMPOSED}": 40, "b": 40})
    apart = in_form(dataset, "NFD")
    assert apart != dataset
    settings = SplitSettings(group_pattern=f"caf{COMPOSED}/...")
    assert split_dataset(apart, settings) == split_dataset(dataset, settings)


@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_saved_splits_and_decisions_name_files_of_every_disk(made_up_dataset, form):
    dataset = in_form(made_up_dataset({f"caf{COMPOSED}": 3, "b": 3}), form)
    other = {"NFC": "NFD", "NFD": "NFC"}[form]
    first, second = (unicodedata.normalize(other, file.path) for file in dataset.files[:2])
    divided, notes = with_split(dataset, {first: Split.TEST, second: Split.VALIDATION})
    assert [file.given_split for file in divided.files[:2]] == [Split.TEST, Split.VALIDATION]
    assert notes == ("Images that the saved split does not name, and that are used for training: 4.",)
    decided, notes = apply_decisions(dataset, Decisions(left_out=(first,), belongs_to={second: "B"}))
    assert decided.counts() == {dataset.class_names[0]: 1, "b": 4}
    assert notes == ()
    assert composed(first) == composed(dataset.files[0].path)
