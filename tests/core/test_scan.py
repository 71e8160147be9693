"""Scanning: what is a class, what is left out and why, and what is remembered."""

from __future__ import annotations

import csv
import errno
import json
import os
import sys
import tarfile
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cnn_studio.core.data import scan
from cnn_studio.core.data import walk as folders
from cnn_studio.core.data.events import FolderListed
from cnn_studio.core.data.image_file import Split
from cnn_studio.core.data.scan import scan_folder
from cnn_studio.core.data.split import split_dataset
from cnn_studio.core.data.walk import natural_key
from cnn_studio.core.errors import DatasetError
from cnn_studio.core.experiment.settings import SplitSettings
from cnn_studio.core.image.causes import Cause, Reason
from cnn_studio.core.image.decoder import ImageError, read_image
from cnn_studio.core.image.fingerprints import FINGERPRINT_BYTES
from cnn_studio.core.image.issues import IssueKind
from cnn_studio.core.job.events import Progress, Stage, StageStarted
from cnn_studio.core.job.jobs import CancelToken, JobCancelled, JobContext
from cnn_studio.core.paths import cache_dir, sample_dataset_dir

needs_links = pytest.mark.skipif(sys.platform == "win32", reason="links need a privilege on Windows")


def scanned(root: Path):
    return scan_folder(root, JobContext())


def kinds(dataset) -> dict[str, IssueKind]:
    return {issue.path: issue.kind for issue in dataset.issues}


@pytest.fixture
def decoded(monkeypatch) -> list[str]:
    """Names of the files that a scan really decodes, as it does."""
    names: list[str] = []
    check = scan.check_image

    def counting(path):
        names.append(path.name)
        return check(path)

    monkeypatch.setattr(scan, "check_image", counting)
    return names


# -- classes -------------------------------------------------------------------------------------------------------


def test_classes_are_sorted_as_people_sort(class_folders):
    root = class_folders({"Class 10": 1, "class 9": 1, "class 2": 3, "b": 1, "Ä": 1})
    dataset = scanned(root)
    assert dataset.class_names == ("b", "class 2", "class 9", "Class 10", "Ä")
    assert dataset.counts() == {"b": 1, "class 2": 3, "class 9": 1, "Class 10": 1, "Ä": 1}
    assert [file.label for file in dataset.files] == sorted(file.label for file in dataset.files)
    assert dataset.root == root
    assert dataset.issues == ()


def test_natural_order_is_total():
    names = ["", "9", "10", "A", "a", "a01", "a1", "a2", "a10", "²", "٣x"]
    for shift in range(len(names)):
        assert [natural_key(name) for name in sorted(names[shift:] + names[:shift], key=natural_key)] == sorted(
            map(natural_key, names)
        )
    assert sorted(["A", "a"], key=natural_key) == ["A", "a"]
    assert natural_key("x9") < natural_key("x10")


def test_facts_of_each_file(class_folders, write_image):
    root = class_folders({"b": 1})
    path = write_image(root / "a" / "deep" / "er" / "picture.jpg", height=20, width=30, mode="L")
    file = scanned(root).files[0]
    assert (file.path, file.label, file.height, file.width, file.grey) == ("a/deep/er/picture.jpg", 0, 20, 30, True)
    assert (file.bytes, file.modified_ns) == (path.stat().st_size, path.stat().st_mtime_ns)
    assert file.given_split is None


def test_hidden_and_system_files_are_passed_over(class_folders, write_image):
    root = class_folders({"a": 1, "b": 1})
    for name in (".hidden.png", "._0000.png"):
        write_image(root / "a" / name)
    for name in ("Thumbs.db", "desktop.ini", ".DS_Store", "Desktop.ini"):
        (root / "a" / name).write_text("system")
        (root / name).write_text("system")
    write_image(root / "__MACOSX" / "a" / "0000.png")
    write_image(root / ".git" / "x.png")
    (root / "README.md").write_text("about these pictures")
    dataset = scanned(root)
    assert dataset.counts() == {"a": 1, "b": 1}
    assert dataset.issues == ()


def test_each_file_left_out_has_its_reason(class_folders, write_image):
    root = class_folders({"a": 2, "b": 1, "broken": 0, "nothing": 0})
    (root / "a" / "notes.txt").write_text("hello")
    (root / "a" / "zero.jpg").touch()
    (root / "a" / "page.jpg").write_text("<!doctype html><html>")
    whole = write_image(root / "a" / "cut.png", height=64, width=64).read_bytes()
    (root / "a" / "cut.png").write_bytes(whole[:2000])
    (root / "broken" / "text.png").write_text("not found")
    write_image(root / "loose.png")
    dataset = scanned(root)
    assert dataset.class_names == ("a", "b")
    assert kinds(dataset) == {
        "a/cut.png": IssueKind.TRUNCATED,
        "a/notes.txt": IssueKind.NOT_AN_IMAGE,
        "a/page.jpg": IssueKind.UNREADABLE,
        "a/zero.jpg": IssueKind.EMPTY_FILE,
        "broken": IssueKind.EMPTY_CLASS,
        "broken/text.png": IssueKind.UNREADABLE,
        "loose.png": IssueKind.OUTSIDE_CLASSES,
        "nothing": IssueKind.EMPTY_CLASS,
    }
    assert all(issue.detail.endswith((".", ")")) for issue in dataset.issues)


def test_one_class_is_no_error(class_folders):
    assert scanned(class_folders({"only": 2})).counts() == {"only": 2}


# -- layouts -------------------------------------------------------------------------------------------------------


def test_a_folder_that_only_wraps_the_data_set_stands_for_it(class_folders, tmp_path):
    wrapping = tmp_path / "unpacked" / "again"
    wrapping.mkdir(parents=True)
    inner = class_folders({"a": 1, "b": 1}, root=wrapping / "flowers")
    for picked in (tmp_path / "unpacked", wrapping):
        dataset = scanned(picked)
        assert dataset.root == inner
        assert dataset.class_names == ("a", "b")
        assert dataset.files[0].path == "a/0000.png"


@pytest.mark.parametrize("place", ["picture.png", "dogs/picture.png"])
def test_a_single_class_with_pictures_around_its_folders_is_no_wrapping(class_folders, tmp_path, write_image, place):
    root = tmp_path / "single"
    root.mkdir()
    class_folders({"puppies": 1, "old": 1}, root=root / "dogs")
    write_image(root / place)
    assert scanned(root).class_names == ("dogs",)


@pytest.mark.parametrize(
    ("names", "splits"),
    [
        (("train", "val", "test"), {Split.TRAIN, Split.VALIDATION, Split.TEST}),
        (("Training", "VALID"), {Split.TRAIN, Split.VALIDATION}),
        (("TRAIN", "validation", "Testing"), {Split.TRAIN, Split.VALIDATION, Split.TEST}),
        (("train",), {Split.TRAIN}),
    ],
)
def test_split_folders_are_used_as_they_are(class_folders, tmp_path, names, splits):
    for count, name in enumerate(names, start=1):
        (tmp_path / "set").mkdir(exist_ok=True)
        class_folders({"a": count, "b": 1}, root=tmp_path / "set" / name)
    dataset = scanned(tmp_path / "set")
    assert dataset.given_splits == splits
    assert dataset.class_names == ("a", "b")
    expected = {Split.TRAIN: 2, Split.VALIDATION: 3, Split.TEST: len(names) + 1}
    assert Counter(file.given_split for file in dataset.files) == {split: expected[split] for split in splits}
    assert {file.path.split("/")[0] for file in dataset.files} == set(names)


def test_a_class_that_training_lacks_is_left_out(class_folders, tmp_path, write_image):
    root = tmp_path / "set"
    root.mkdir()
    class_folders({"a": 1, "b": 1, "spoilt": 0}, root=root / "train")
    (root / "train" / "spoilt" / "x.png").write_text("broken")
    class_folders({"a": 1, "c": 2, "spoilt": 1}, root=root / "test")
    write_image(root / "test" / "unlabelled.png")
    (root / "val").mkdir()
    dataset = scanned(root)
    assert dataset.class_names == ("a", "b")
    assert dataset.given_splits == {Split.TRAIN, Split.TEST}
    assert kinds(dataset) == {
        "test/c/0000.png": IssueKind.UNKNOWN_CLASS,
        "test/c/0001.png": IssueKind.UNKNOWN_CLASS,
        "test/spoilt/0000.png": IssueKind.UNKNOWN_CLASS,
        "test/unlabelled.png": IssueKind.OUTSIDE_CLASSES,
        "train/spoilt": IssueKind.EMPTY_CLASS,
        "train/spoilt/x.png": IssueKind.UNREADABLE,
    }


def test_split_names_beside_other_folders_are_classes(class_folders):
    dataset = scanned(class_folders({"car": 1, "train": 1}))
    assert dataset.class_names == ("car", "train")
    assert dataset.given_splits == frozenset()


def test_a_class_called_train_alone_is_a_class(class_folders):
    assert scanned(class_folders({"train": 2})).class_names == ("train",)


def test_split_folders_without_class_folders_are_explained(class_folders):
    with pytest.raises(DatasetError, match=r"no class folders in train .*sub-folder of its own, inside each of"):
        scanned(class_folders({"train": 2, "test": 1}))


# -- folders that cannot be used -----------------------------------------------------------------------------------


def test_unusable_roots_get_a_sentence(tmp_path, class_folders, write_image):
    with pytest.raises(DatasetError, match="There is no folder"):
        scanned(tmp_path / "gone")
    with pytest.raises(DatasetError, match="is a file, not a folder"):
        scanned(write_image(tmp_path / "file.png"))
    (tmp_path / "empty").mkdir()
    with pytest.raises(DatasetError, match="empty is empty") as caught:
        scanned(tmp_path / "empty")
    assert "sub-folder" in caught.value.hint
    write_image(tmp_path / "flat" / "a.png")
    with pytest.raises(DatasetError, match="lie directly in flat"):
        scanned(tmp_path / "flat")
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts" / "a.txt").write_text("hello")
    with pytest.raises(DatasetError, match="holds no image"):
        scanned(tmp_path / "texts")


def test_class_folders_without_a_usable_image_name_the_first_reason(class_folders):
    root = class_folders({"a": 0, "b": 0})
    with pytest.raises(DatasetError, match="There is no usable image in pictures"):
        scanned(root)
    (root / "a" / "zero.jpg").touch()
    with pytest.raises(DatasetError, match=r"a/zero.jpg: The file is empty"):
        scanned(root)


def test_an_image_without_an_ending_in_the_root_is_seen(write_image, tmp_path):
    write_image(tmp_path / "flat" / "a.png").rename(tmp_path / "flat" / "a")
    with pytest.raises(DatasetError, match="lie directly in flat"):
        scanned(tmp_path / "flat")


@pytest.mark.parametrize(
    ("error", "words"),
    [(PermissionError(errno.EACCES, "no"), "may not read the folder"), (OSError(errno.EIO, "I/O error"), "I/O error")],
)
def test_a_root_that_the_system_refuses(class_folders, monkeypatch, error, words):
    root = class_folders({"a": 1})

    def refuse(_):
        raise error

    monkeypatch.setattr(folders.os, "scandir", refuse)
    with pytest.raises(DatasetError, match=words):
        scanned(root)


def test_a_class_folder_that_may_not_be_read_is_named(class_folders, monkeypatch):
    root = class_folders({"a": 1, "b": 1, "secret": 1})
    listed = os.scandir

    def refuse(folder):
        if Path(folder).name == "secret":
            raise PermissionError(errno.EACCES, "Permission denied")
        return listed(folder)

    monkeypatch.setattr(folders.os, "scandir", refuse)
    dataset = scanned(root)
    assert dataset.class_names == ("a", "b")
    assert kinds(dataset) == {"secret": IssueKind.NO_PERMISSION}


def test_permissions_for_real(class_folders):
    root = class_folders({"a": 2, "b": 1, "secret": 1})
    (root / "secret").chmod(0)
    (root / "a" / "0000.png").chmod(0)
    try:
        if os.access(root / "secret", os.R_OK):
            pytest.skip("this user may read everything")
        assert kinds(scanned(root)) == {"secret": IssueKind.NO_PERMISSION, "a/0000.png": IssueKind.NO_PERMISSION}
        (root / "a" / "0000.png").chmod(0o600)
        assert scanned(root).counts() == {"a": 2, "b": 1}
    finally:
        (root / "secret").chmod(0o700)


# -- links and names -----------------------------------------------------------------------------------------------


@needs_links
def test_links_are_followed_and_loops_are_found(class_folders, write_image, tmp_path):
    root = class_folders({"a": 1, "b": 1})
    write_image(tmp_path / "elsewhere" / "sub" / "more.png")
    (root / "a" / "linked").symlink_to(tmp_path / "elsewhere")
    (root / "a" / "file.png").symlink_to(root / "b" / "0000.png")
    (root / "a" / "loop").symlink_to(root / "a")
    (root / "a" / "to_root").symlink_to(root)
    (root / "a" / "to_parent_of_root").symlink_to(tmp_path)
    (root / "b" / "self").symlink_to(root / "b" / "self")
    (root / "b" / "dead.png").symlink_to(tmp_path / "nothing")
    (root / "dead").symlink_to(tmp_path / "nothing")
    (root / "c").symlink_to(tmp_path / "elsewhere")
    dataset = scanned(root)
    assert dataset.counts() == {"a": 3, "b": 1, "c": 1}
    assert kinds(dataset) == {
        "a/loop": IssueKind.LINK_LOOP,
        "a/to_root": IssueKind.LINK_LOOP,
        "a/to_parent_of_root": IssueKind.LINK_LOOP,
        "b/self": IssueKind.LINK_LOOP,
        "b/dead.png": IssueKind.MISSING,
        "dead": IssueKind.MISSING,
    }


@needs_links
def test_a_root_given_by_a_link_keeps_the_users_name(class_folders, tmp_path):
    (tmp_path / "link").symlink_to(class_folders({"a": 1, "b": 1}))
    assert scanned(tmp_path / "link").root == tmp_path / "link"


@needs_links
def test_pipes_are_left_alone(class_folders):
    root = class_folders({"a": 1, "b": 1})
    os.mkfifo(root / "a" / "pipe.jpg")
    assert kinds(scanned(root)) == {"a/pipe.jpg": IssueKind.NOT_AN_IMAGE}


def test_very_deep_folders(class_folders, write_image):
    root = class_folders({"a": 1})
    write_image(root / "b" / Path(*["d"] * 300) / "deep.png")
    assert scanned(root).counts() == {"a": 1, "b": 1}


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux keeps file names that are no text")
def test_names_that_are_no_text(class_folders, write_image):
    root = class_folders({"a": 1})
    strange = os.fsdecode(b"caf\xe9")
    write_image(root / strange / f"{strange}.png")
    (root / strange / f"{strange}.txt").write_text("x")
    for _ in range(2):  # once decoded, once from memory
        dataset = scanned(root)
        assert dataset.class_names == ("a", "caf\\udce9")
        assert dataset.path_of(dataset.files[1]).is_file()
        assert [issue.kind for issue in dataset.issues] == [IssueKind.NOT_AN_IMAGE]
        everything = json.dumps([dataset.class_names, [[i.path, i.kind, i.detail] for i in dataset.issues]])
        everything.encode()
        " ".join([*dataset.class_names, *(issue.detail for issue in dataset.issues)]).encode()


# -- reports, cancelling, memory -----------------------------------------------------------------------------------


def test_progress_is_told_and_ends_at_the_total(class_folders):
    events = []
    scan_folder(class_folders({"a": 30, "b": 12}), JobContext(events.append))
    assert events[0] == StageStarted(Stage.SCAN)
    assert StageStarted(Stage.SCAN, 42) in events
    for stage in (Stage.SCAN, Stage.COMPARE):
        last = [event for event in events if isinstance(event, Progress) and event.stage is stage][-1]
        assert (last.done, last.total) == (42, 42)
        assert last.rate > 0


def test_a_second_scan_decodes_nothing(class_folders, decoded):
    root = class_folders({"a": 3, "b": 2})
    (root / "a" / "bad.jpg").write_text("x")
    first = scanned(root)
    assert len(decoded) == 6
    decoded.clear()
    assert scanned(root) == first
    assert decoded == []


def scan_file() -> Path:
    (file,) = (cache_dir() / "scan").iterdir()
    return file


def test_what_is_remembered_of_a_file_left_out_is_a_code_and_no_sentence(class_folders):
    root = class_folders({"a": 1, "b": 1})
    (root / "a" / "bad.jpg").write_text("hello")
    (issue,) = scanned(root).issues
    assert issue.detail == "The file holds text, not an image (“hello”)."
    assert b'"unreadable","text",["hello"]' in scan_file().read_bytes()
    assert b"not an image" not in scan_file().read_bytes()


def test_a_sentence_remembered_by_an_earlier_version_is_found_out_anew(class_folders, decoded):
    root = class_folders({"a": 1, "b": 1})
    (root / "a" / "bad.jpg").write_text("hello")
    first = scanned(root)
    whole = scan_file().read_bytes()
    old = whole.replace(b'"unreadable","text",["hello"]', b'"unreadable","Das ist kein Bild."')
    assert old != whole
    scan_file().write_bytes(old)
    decoded.clear()
    assert scanned(root) == first
    assert decoded == ["bad.jpg"]
    assert b"kein Bild" not in scan_file().read_bytes()


def test_a_changed_and_an_added_file_alone_are_decoded_again(class_folders, write_image, decoded):
    root = class_folders({"a": 3, "b": 2})
    scanned(root)
    decoded.clear()
    write_image(root / "a" / "0001.png", seed=77, height=40)
    write_image(root / "b" / "new.png")
    dataset = scanned(root)
    assert sorted(decoded) == ["0001.png", "new.png"]
    assert [file.height for file in dataset.files if file.path == "a/0001.png"] == [40]


def test_what_may_pass_is_not_remembered(class_folders, monkeypatch):
    root = class_folders({"a": 1, "b": 2})
    check = scan.check_image

    def refuse(path):
        if path.name == "0001.png":
            raise ImageError(Cause(IssueKind.NO_PERMISSION, Reason.NO_PERMISSION), path)
        return check(path)

    monkeypatch.setattr(scan, "check_image", refuse)
    assert kinds(scanned(root)) == {"b/0001.png": IssueKind.NO_PERMISSION}
    monkeypatch.setattr(scan, "check_image", check)
    assert scanned(root).counts() == {"a": 1, "b": 2}


@pytest.mark.parametrize(
    "damage", [b"", b"{", b"[]", b'{"decoder": 1}', b"\xff\x00", b'{"files":{"a/0000.png":[1,2]}}', b"[" * 100_000]
)
def test_a_damaged_memory_is_as_good_as_none(class_folders, decoded, damage):
    root = class_folders({"a": 1, "b": 1})
    first = scanned(root)
    (memory,) = (cache_dir() / "scan").iterdir()
    memory.write_bytes(damage)
    decoded.clear()
    assert scanned(root) == first
    assert len(decoded) == 2


def test_damaged_entries_are_decoded_again(class_folders, decoded):
    root = class_folders({"a": 4, "b": 1})
    first = scanned(root)
    (memory,) = (cache_dir() / "scan").iterdir()
    head, line, fingerprints = memory.read_bytes().split(b"\n", 2)
    content, files = json.loads(head), json.loads(line)
    files["a/0000.png"] = "?"
    files["a/0001.png"][2] = "tall"
    files["a/0002.png"] = [*files["a/0002.png"][:2], "no such kind", "x"]
    files["a/0003.png"][-1] = 99
    content["groups"]["numbers"] = ["x"]
    memory.write_bytes(b"\n".join((json.dumps(content).encode(), json.dumps(files).encode(), fingerprints)))
    decoded.clear()
    assert scanned(root) == first
    assert len(decoded) == 4


def test_no_line_of_the_memory_holds_everything(class_folders, decoded, monkeypatch):
    monkeypatch.setattr("cnn_studio.core.data.scan_cache._ENTRIES_IN_A_LINE", 2)
    root = class_folders({"a": 4, "b": 3})
    first = scanned(root)
    (memory,) = (cache_dir() / "scan").iterdir()
    head, *lines = memory.read_bytes().split(b"\n", 5)[:5]
    assert json.loads(head)["lines"] == 4
    assert [len(json.loads(line)) for line in lines] == [2, 2, 2, 1]
    decoded.clear()
    assert scanned(root) == first
    assert decoded == []


def test_fingerprints_that_are_missing_are_made_again(class_folders, decoded):
    root = class_folders({"a": 3, "b": 1})
    first = scanned(root)
    (memory,) = (cache_dir() / "scan").iterdir()
    memory.write_bytes(memory.read_bytes()[:-FINGERPRINT_BYTES])
    decoded.clear()
    assert scanned(root) == first
    assert len(decoded) == 1


def test_a_memory_that_cannot_be_written_only_costs_time(class_folders, own_home, caplog):
    (own_home / "cache").write_text("in the way")
    assert scanned(class_folders({"a": 1, "b": 1})).counts() == {"a": 1, "b": 1}
    assert "could not be kept" in caplog.text


def test_few_folders_are_remembered(class_folders, tmp_path, monkeypatch):
    monkeypatch.setattr("cnn_studio.core.data.scan_cache._FOLDERS_KEPT", 2)
    for number in range(4):
        scanned(class_folders({"a": 1, "b": 1}, root=tmp_path / f"set{number}"))
    assert len(list((cache_dir() / "scan").iterdir())) == 2
    monkeypatch.setattr("cnn_studio.core.data.scan_cache._BYTES_KEPT", 10)
    scanned(class_folders({"a": 2, "b": 1}, root=tmp_path / "set9"))
    assert len(list((cache_dir() / "scan").iterdir())) == 1


def test_what_is_listed_is_shown_before_it_is_checked(class_folders, decoded):
    root = class_folders({"a": 3, "b": 2})
    (root / "a" / "page.jpg").write_text("<!doctype html><html>")
    (root / "b" / "cut.png").write_bytes((root / "b" / "0000.png").read_bytes()[:60])
    events = []

    def note(event):
        if isinstance(event, FolderListed):
            events.append((event.dataset, len(decoded)))

    dataset = scan_folder(root, JobContext(note))
    ((listed, decoded_before),) = events
    assert decoded_before == 0
    assert listed.class_names == dataset.class_names
    assert listed.counts() == {"a": 3, "b": 3}  # the cut one begins like an image, and is found out later
    assert dataset.counts() == {"a": 3, "b": 2}
    assert {file.height for file in listed.files} == {0}
    scan_folder(root, JobContext(note))
    assert len(events) == 1  # nothing is left to check the second time


def test_copies_are_found_once_and_remembered(class_folders, write_image, monkeypatch):
    root = class_folders({"a": 3, "b": 2})
    (root / "b" / "copy.png").write_bytes((root / "a" / "0000.png").read_bytes())
    with Image.open(root / "a" / "0001.png") as picture:
        picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT).resize((40, 30)).save(root / "b" / "turned.jpg", quality=95)
    Image.new("RGB", (40, 40), (9, 9, 9)).save(root / "b" / "blank.png")
    found = []
    find = scan.find_pairs

    def counting(*arguments):
        found.append(arguments)
        return find(*arguments)

    monkeypatch.setattr(scan, "find_pairs", counting)
    for _ in range(2):
        files = {file.path: file for file in scanned(root).files}
        assert files["a/0000.png"].identical == files["b/copy.png"].identical > 0
        assert files["a/0000.png"].similar == files["b/copy.png"].similar > 0
        assert files["a/0001.png"].similar == files["b/turned.jpg"].similar > 0
        assert [path for path, file in files.items() if file.blank] == ["b/blank.png"]
        alone = files["a/0002.png"], files["b/0001.png"], files["b/blank.png"]
        assert {(file.identical, file.similar) for file in alone} == {(0, 0)}
        assert files["a/0001.png"].identical == 0
    assert len(found) == 1
    write_image(root / "a" / "another.png", seed=99)
    scanned(root)
    assert len(found) == 2


def test_turned_copies_stay_in_one_split(class_folders):
    root = class_folders({"a": 20, "b": 20})
    for number, how in enumerate(Image.Transpose):
        with Image.open(root / "a" / f"{number:04}.png") as picture:
            picture.transpose(how).save(root / "a" / f"turned {number:04}.jpg", quality=90)
    dataset = scanned(root)
    places = {file.path: place for place, file in enumerate(dataset.files)}
    twins = [(places[f"a/{number:04}.png"], places[f"a/turned {number:04}.jpg"]) for number in range(7)]
    assert len({dataset.files[one].similar for one, _ in twins} - {0}) == 7
    sides = set()
    for seed in range(4):
        splits = split_dataset(dataset, SplitSettings(seed=seed)).splits
        assert [splits[one] for one, _ in twins] == [splits[other] for _, other in twins]
        sides |= {splits[one] for one, _ in twins}
    assert len(sides) > 1


def test_what_is_shown_as_alike_is_alike_and_what_is_connected_stays_together(class_folders):
    root = class_folders({"a": 2, "b": 2})
    with Image.open(root / "a" / "0000.png") as picture:
        picture.convert("RGB").rotate(90, expand=True).save(root / "b" / "turned.png")
    files = {file.path: file for file in scanned(root).files}
    one, other = files["a/0000.png"], files["b/turned.png"]
    assert one.similar == other.similar > 0
    assert one.alike == other.alike != ()
    assert one.same == other.same != ()
    assert files["a/0001.png"].alike == files["a/0001.png"].same == ()


@pytest.mark.parametrize("numbers", [[1, 2], [0, 1, 99, 7, 8, 9], [-1, 1, 1]])
def test_damaged_pairs_in_the_memory_are_found_again(class_folders, numbers):
    root = class_folders({"a": 2, "b": 1})
    (root / "b" / "copy.png").write_bytes((root / "a" / "0000.png").read_bytes())
    first = scanned(root)
    (memory,) = (cache_dir() / "scan").iterdir()
    head, rest = memory.read_bytes().split(b"\n", 1)
    content = json.loads(head)
    content["groups"]["numbers"] = numbers
    memory.write_bytes(json.dumps(content).encode() + b"\n" + rest)
    assert scanned(root) == first


def test_fingerprints_of_an_earlier_version_are_made_anew(class_folders, decoded):
    root = class_folders({"a": 2, "b": 1})
    (root / "b" / "copy.png").write_bytes((root / "a" / "0000.png").read_bytes())
    first = scanned(root)
    (memory,) = (cache_dir() / "scan").iterdir()
    head, rest = memory.read_bytes().split(b"\n", 1)
    content = json.loads(head)
    assert content["fingerprint"] > 1
    memory.write_bytes(json.dumps(content | {"fingerprint": 1}).encode() + b"\n" + rest[:-900])
    decoded.clear()
    assert scanned(root) == first
    assert len(decoded) == 4


def test_cancelling_ends_the_scan_and_keeps_what_was_found(class_folders, monkeypatch, decoded):
    root = class_folders({"a": 40, "b": 40})
    cancel = CancelToken()
    monkeypatch.setattr("cnn_studio.core.job.threads._SECONDS_BETWEEN_REPORTS", 0)

    def cancel_midway(event):
        if isinstance(event, Progress) and event.total and event.done == 20:
            cancel.cancel()

    with pytest.raises(JobCancelled):
        scan_folder(root, JobContext(cancel_midway, cancel))
    decoded.clear()
    assert len(scanned(root).files) == 80
    assert len(decoded) == 60


def test_cancelled_before_it_began(class_folders):
    cancel = CancelToken()
    cancel.cancel()
    with pytest.raises(JobCancelled):
        scan_folder(class_folders({"a": 1, "b": 1}), JobContext(cancel=cancel))


# -- real files ----------------------------------------------------------------------------------------------------


def test_the_messy_folder_comes_out_as_its_manifest_says(shared_data, tmp_path):
    with tarfile.open(shared_data / "messy.tar") as archive:
        archive.extractall(tmp_path, filter="data")
    dataset = scanned(tmp_path / "messy")
    assert dataset.class_names == ("cats", "dogs")
    used = {file.path: file for file in dataset.files}
    left_out = kinds(dataset)
    with (shared_data / "messy.MANIFEST.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) > 30
    for row in rows:
        name, expected = row["file"], row["expected"]
        if expected.startswith("readable"):
            assert name in used, row
        elif expected.startswith("unreadable"):
            assert left_out[name] in {IssueKind.EMPTY_FILE, IssueKind.TRUNCATED, IssueKind.UNREADABLE}, row
        else:
            assert left_out[name] is IssueKind.NOT_AN_IMAGE, row
    assert left_out["dogs/bomb.gif"] is IssueKind.TOO_LARGE
    assert left_out["empty_class"] is IssueKind.EMPTY_CLASS
    assert "dogs/animated.webp" in used
    assert not any(Path(name).name.startswith((".", "Thumbs")) for name in left_out)
    assert len(used) + len(left_out) - 1 == sum(
        path.is_file() and path.name not in {"Thumbs.db", ".DS_Store"} and not path.name.startswith(".")
        for folder in ("cats", "dogs")
        for path in (tmp_path / "messy" / folder).iterdir()
    )
    # A manifest cannot say what the pixels must be: 16-bit grey must not have been clipped to white.
    sixteen_bit = read_image(tmp_path / "messy" / "cats/png16.png", 32, 32)
    assert len(np.unique(sixteen_bit)) > 8
    with Image.open(tmp_path / "messy" / "cats/exif6.jpg") as stored:
        assert (used["cats/exif6.jpg"].height, used["cats/exif6.jpg"].width) == stored.size


def test_the_sample_is_whole_small_and_balanced():
    dataset = scanned(sample_dataset_dir())
    assert dataset.class_names == tuple("0123456789")
    assert set(dataset.counts().values()) == {100}
    assert dataset.issues == ()
    assert sum(file.bytes for file in dataset.files) < 2_900_000
    assert "Apache License" in (sample_dataset_dir().parent / "NOTICE.md").read_text(encoding="utf-8")
