"""Prepared images: decoded once, resumed after every kind of interruption, never more than the disk holds."""

from __future__ import annotations

import errno
import json
import os
import shutil
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from filelock import FileLock

from cnn_studio.core.data.dataset import Dataset
from cnn_studio.core.data.scan import scan_folder
from cnn_studio.core.errors import DatasetError, StorageError
from cnn_studio.core.experiment.settings import Fit
from cnn_studio.core.image.causes import Cause, Reason
from cnn_studio.core.image.decoder import ImageError, read_image
from cnn_studio.core.image.issues import IssueKind
from cnn_studio.core.job.events import Message, Progress, Stage, StageStarted
from cnn_studio.core.job.jobs import CancelToken, JobCancelled, JobContext
from cnn_studio.core.paths import cache_dir
from cnn_studio.core.store import prepared as store
from cnn_studio.core.store import rows as store_rows
from cnn_studio.core.store.prepared import clear_store, prepare_images, store_size


def scanned(root: Path) -> Dataset:
    return scan_folder(root, JobContext())


def prepared(dataset: Dataset, height: int = 8, width: int = 6, cache: Path | None = None):
    return prepare_images(dataset, height, width, JobContext(), cache=cache)


def assert_right(dataset: Dataset, images: store.PreparedImages) -> None:
    """Every row holds what the decoder gives for its file."""
    pixels = images.pixels
    assert images.rows.shape == (len(dataset.files),)
    for file, row in zip(dataset.files, images.rows, strict=True):
        expected = read_image(dataset.path_of(file), *pixels.shape[1:3])
        np.testing.assert_array_equal(pixels[row], expected)


@pytest.fixture
def dataset(class_folders) -> Dataset:
    return scanned(class_folders({"a": 20, "b": 10}))


@pytest.fixture
def decoded(monkeypatch) -> list[str]:
    """Files that are really decoded, as they are."""
    names: list[str] = []

    def counting(path, height, width, fit):
        names.append(f"{path.parent.name}/{path.name}")
        return read_image(path, height, width, fit)

    monkeypatch.setattr(store, "read_image", counting)
    return names


def the_store() -> Path:
    (folder,) = (cache_dir() / "prepared").iterdir()
    return folder


# -- once is enough ------------------------------------------------------------------------------------------------


def test_every_row_is_the_decoders_picture(dataset):
    images = prepared(dataset)
    assert images.pixels.shape == (30, 8, 6, 3)
    assert images.rows.dtype == np.int64
    assert images.issues == ()
    assert_right(dataset, images)


def test_the_second_time_nothing_is_decoded(dataset, decoded):
    first = prepared(dataset)
    assert len(decoded) == 30
    decoded.clear()
    events = []
    second = prepare_images(dataset, 8, 6, JobContext(events.append))
    assert decoded == []
    np.testing.assert_array_equal(first.rows, second.rows)
    assert events == [StageStarted(Stage.PREPARE, 30), Progress(Stage.PREPARE, 30, 30)]


def test_writing_to_the_open_array_leaves_the_disk_alone(dataset):
    prepared(dataset).pixels[:] = 7
    assert_right(dataset, prepared(dataset))


def test_each_size_has_its_own_store(dataset, decoded):
    prepared(dataset)
    wider = prepared(dataset, 8, 7)
    assert len(decoded) == 60
    assert_right(dataset, wider)
    assert_right(dataset, prepared(dataset))
    assert len(decoded) == 60


def test_each_fit_has_its_own_store(dataset, decoded):
    squashed = prepared(dataset)
    for fit in (Fit.CROP, Fit.PAD):
        images = prepare_images(dataset, 8, 6, JobContext(), fit=fit)
        assert images.path != squashed.path
        expected = read_image(dataset.path_of(dataset.files[7]), 8, 6, fit)
        np.testing.assert_array_equal(images.pixels[images.rows[7]], expected)
    assert len(decoded) == 90
    assert prepare_images(dataset, 8, 6, JobContext(), fit=Fit.SQUASH).path == squashed.path
    assert len(decoded) == 90


def test_another_decoder_makes_everything_anew(dataset, decoded, monkeypatch):
    prepared(dataset)
    monkeypatch.setattr(store, "decoder_id", lambda: "next")
    prepared(dataset)
    assert len(decoded) == 60


def test_added_and_changed_files_only_cost_themselves(dataset, decoded, write_image):
    prepared(dataset)
    decoded.clear()
    write_image(dataset.root / "a" / "0003.png", seed=99, height=20)
    write_image(dataset.root / "b" / "new.png", seed=98)
    (dataset.root / "a" / "0000.png").unlink()
    changed = scanned(dataset.root)
    images = prepared(changed)
    assert sorted(decoded) == ["a/0003.png", "b/new.png"]
    assert_right(changed, images)
    assert len(images.pixels) == 32


def test_the_same_content_under_a_new_time_is_decoded_again(dataset, decoded):
    prepared(dataset)
    decoded.clear()
    os.utime(dataset.root / "a" / "0005.png", ns=(1, 1))
    prepared(scanned(dataset.root))
    assert decoded == ["a/0005.png"]


def test_progress_counts_what_was_there_already(dataset, monkeypatch, write_image):
    monkeypatch.setattr("cnn_studio.core.job.threads._SECONDS_BETWEEN_REPORTS", 0)
    prepared(dataset)
    write_image(dataset.root / "a" / "new.png")
    events = []
    prepare_images(scanned(dataset.root), 8, 6, JobContext(events.append))
    assert [(event.done, event.total) for event in events if isinstance(event, Progress)] == [(30, 31), (31, 31)]
    assert events[-1].rate > 0
    assert events[-1].seconds_left == 0


# -- interruptions -------------------------------------------------------------------------------------------------


def test_a_cancelled_preparation_goes_on_where_it_ended(dataset, decoded, monkeypatch):
    monkeypatch.setattr("cnn_studio.core.job.threads._SECONDS_BETWEEN_REPORTS", 0)
    cancel = CancelToken()

    def cancel_midway(event):
        if isinstance(event, Progress) and event.done == 12:
            cancel.cancel()

    with pytest.raises(JobCancelled):
        prepare_images(dataset, 8, 6, JobContext(cancel_midway, cancel))
    decoded.clear()
    images = prepared(dataset)
    assert len(decoded) == 30 - 12
    assert len(set(decoded)) == len(decoded)
    assert_right(dataset, images)


@pytest.mark.parametrize("torn", [1, 5, 20])
def test_a_torn_last_line_costs_one_picture(dataset, decoded, torn):
    prepared(dataset)
    lines = the_store() / "rows.jsonl"
    lines.write_bytes(lines.read_bytes()[:-torn])
    decoded.clear()
    for _ in range(2):
        assert_right(dataset, prepared(dataset))
    # Without its line break only, the last line is whole.
    assert len(decoded) == (0 if torn == 1 else 1)


def test_pixels_that_never_reached_the_disk_are_decoded_again(dataset, decoded):
    prepared(dataset)
    pixels = the_store() / "images.u8"
    os.truncate(pixels, 25 * 8 * 6 * 3 + 7)
    decoded.clear()
    assert_right(dataset, prepared(dataset))
    assert len(decoded) == 5


def test_pixels_without_a_line_are_overwritten(dataset):
    prepared(dataset)
    lines = the_store() / "rows.jsonl"
    kept = lines.read_bytes().splitlines(keepends=True)[:10]
    lines.write_bytes(b"".join(kept))
    images = prepared(dataset)
    assert len(images.pixels) == 30
    assert images.path.stat().st_size == 30 * 8 * 6 * 3
    assert_right(dataset, images)


@pytest.mark.parametrize(
    "foreign", [b"\n\n", b"[]\n", b'{"a":1}\n', b'["a/0000.png",1,2,-5]\n', b"\xff\xfe\n", b'["a"']
)
def test_foreign_lines_are_passed_over(dataset, decoded, foreign):
    prepared(dataset)
    lines = the_store() / "rows.jsonl"
    lines.write_bytes(foreign + b"\n" + lines.read_bytes())
    decoded.clear()
    assert_right(dataset, prepared(dataset))
    assert decoded == []


def test_a_store_of_mostly_outdated_pictures_is_started_anew(dataset, monkeypatch):
    monkeypatch.setattr(store_rows, "_STALE_ROWS_ALLOWED", 5)
    images = prepared(dataset)
    for round_number in range(3):
        for file in dataset.files:
            os.utime(dataset.path_of(file), ns=(round_number, round_number))
        dataset = scanned(dataset.root)
        images = prepared(dataset)
    assert len(images.pixels) <= 2 * 30 + 5 + 30
    assert_right(dataset, images)


# -- files that went bad -------------------------------------------------------------------------------------------


def test_files_that_went_bad_since_the_scan_are_named(dataset, decoded, monkeypatch):
    (dataset.root / "a" / "0001.png").unlink()
    (dataset.root / "a" / "0002.png").write_text("not an image any more")
    for _ in range(2):
        images = prepared(dataset)
        assert {issue.path: issue.kind for issue in images.issues} == {
            "a/0001.png": IssueKind.MISSING,
            "a/0002.png": IssueKind.UNREADABLE,
        }
        bad = [index for index, file in enumerate(dataset.files) if file.path in {"a/0001.png", "a/0002.png"}]
        assert [index for index, row in enumerate(images.rows) if row < 0] == bad
        assert len(images.pixels) == 28
    # What lies in the file's content is not tried again, what may pass is.
    assert decoded.count("a/0002.png") == 1
    assert decoded.count("a/0001.png") == 2


def test_a_failure_is_kept_as_a_code_and_an_earlier_versions_sentence_found_out_anew(dataset, decoded):
    (dataset.root / "a" / "0002.png").write_text("hello")
    (issue,) = prepared(dataset).issues
    (rows,) = (cache_dir() / "prepared").glob("*/rows.jsonl")
    code = b'-1,"unreadable","text",["hello"]]'
    assert code in rows.read_bytes()
    rows.write_bytes(rows.read_bytes().replace(code, b'-1,"unreadable","Das ist kein Bild."]'))
    decoded.clear()
    assert prepared(dataset).issues == (issue,)
    assert decoded == ["a/0002.png"]
    assert issue.detail == "The file holds text, not an image (“hello”)."
    assert code in rows.read_bytes()


def test_a_file_that_comes_back_is_used(dataset, monkeypatch):
    def refuse(path, height, width, fit):
        if path.name == "0001.png":
            raise ImageError(Cause(IssueKind.NO_PERMISSION, Reason.NO_PERMISSION), path)
        return read_image(path, height, width, fit)

    monkeypatch.setattr(store, "read_image", refuse)
    assert [issue.kind for issue in prepared(dataset).issues] == [IssueKind.NO_PERMISSION] * 2
    monkeypatch.setattr(store, "read_image", read_image)
    assert_right(dataset, prepared(dataset))


def test_a_folder_that_was_deleted_gets_a_sentence(dataset):
    gone = replace(dataset, root=dataset.root / "moved")
    with pytest.raises(DatasetError, match=r"The folder .*moved is gone") as caught:
        prepared(gone)
    assert "moved" in caught.value.hint


# -- the disk ------------------------------------------------------------------------------------------------------


def disk(monkeypatch, free: int) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(total=10**12, used=0, free=free))


def test_too_little_room_is_told_before_anything_is_written(dataset, monkeypatch, decoded):
    disk(monkeypatch, 5_000_000)
    with pytest.raises(StorageError, match=r"needs 67\.1 MB in .*; 5\.0 MB is free") as caught:
        prepared(dataset)
    assert "image size" in caught.value.hint
    assert decoded == []


def test_what_is_prepared_already_needs_no_room(dataset, monkeypatch):
    prepared(dataset)
    disk(monkeypatch, 0)
    assert_right(dataset, prepared(dataset))


@pytest.mark.parametrize("name", ["images.u8", "rows.jsonl"])
def test_a_disk_that_fills_up_midway_costs_only_the_rest(dataset, decoded, monkeypatch, name):
    monkeypatch.setattr(store, "_BYTES_BETWEEN_FLUSHES", 10 * 8 * 6 * 3)
    written = []
    opened = Path.open

    class FullDisk:
        def __init__(self, file):
            self.file = file

        def __enter__(self):
            self.file.__enter__()
            return self

        def __exit__(self, *args):
            return self.file.__exit__(*args)

        def __getattr__(self, attribute):
            return getattr(self.file, attribute)

        def write(self, data):
            written.append(len(data))
            if len(written) > (12 if name == "images.u8" else 1):
                self.file.write(bytes(data)[:-5])  # some of it still fits
                raise OSError(errno.ENOSPC, "No space left on device")
            return self.file.write(data)

    def open_on_full_disk(path, mode="r", **kwargs):
        file = opened(path, mode, **kwargs)
        return FullDisk(file) if path.name == name and mode != "rb" else file

    with monkeypatch.context() as patch:
        patch.setattr(Path, "open", open_on_full_disk)
        with pytest.raises(StorageError, match="disk is full"):
            prepared(dataset)
    done = len((the_store() / "rows.jsonl").read_bytes().splitlines())
    decoded.clear()
    assert_right(dataset, prepared(dataset))
    assert 0 < len(decoded) < 30
    assert done + len(decoded) >= 30


def test_a_cache_that_cannot_be_written_gets_a_sentence(dataset, tmp_path):
    (tmp_path / "in the way").write_text("a file")
    with pytest.raises(StorageError, match="could not be written"):
        prepared(dataset, cache=tmp_path / "in the way")


def test_another_process_at_the_same_images_is_waited_for_and_then_named(dataset, monkeypatch):
    prepared(dataset)
    monkeypatch.setattr(store, "LOCK_SECONDS", 0.0)
    events = []
    with FileLock(the_store() / "lock"), pytest.raises(StorageError, match="Another cnn_studio"):
        prepare_images(dataset, 8, 6, JobContext(events.append))
    monkeypatch.setattr(store, "LOCK_SECONDS", 60.0)
    lock = FileLock(the_store() / "lock")
    lock.acquire()

    def let_go(event):
        events.append(event)
        if isinstance(event, Message):
            lock.release()

    prepare_images(dataset, 8, 6, JobContext(let_go))
    assert any(isinstance(event, Message) and "Waiting" in event.text for event in events)


def test_waiting_for_another_process_can_be_cancelled(dataset):
    prepared(dataset)
    cancel = CancelToken()

    def cancel_while_waiting(event):
        if isinstance(event, Message):
            cancel.cancel()

    with FileLock(the_store() / "lock"), pytest.raises(JobCancelled):
        prepare_images(dataset, 8, 6, JobContext(cancel_while_waiting, cancel))


def test_the_least_recently_used_stores_make_room(dataset, monkeypatch):
    folders = []
    for age, name in enumerate(("oldest", "old", "young")):
        monkeypatch.setattr(store, "decoder_id", lambda name=name: name)
        folders.append(prepared(dataset, 10, 10).path.parent)
        os.utime(folders[-1], (1000 + age, 1000 + age))
    one_store = store_size() // 3
    monkeypatch.setattr(store, "decoder_id", lambda: "oldest")
    prepared(dataset, 10, 10)  # used again, and so the newest now
    monkeypatch.setattr(store, "BUDGET_BYTES", int(3.5 * one_store))
    monkeypatch.setattr(store, "decoder_id", lambda: "newest")
    newest = prepared(dataset, 10, 10)
    assert [folder.exists() for folder in folders] == [True, False, True]
    assert_right(dataset, newest)


def test_stores_make_room_for_a_full_disk_too(dataset, monkeypatch):
    other = prepared(dataset, 10, 10).path
    free = iter([0, 10**12])
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=next(free)))
    assert_right(dataset, prepared(dataset))
    assert not other.exists()


def test_a_store_larger_than_the_budget_is_still_made_and_kept(dataset, monkeypatch, decoded):
    monkeypatch.setattr(store, "BUDGET_BYTES", 10)
    assert_right(dataset, prepared(dataset))
    decoded.clear()
    assert_right(dataset, prepared(dataset))
    assert decoded == []


def test_a_store_in_use_is_not_removed(dataset):
    images = prepared(dataset)
    with FileLock(images.path.parent / "lock"):
        clear_store()
        assert images.path.exists()
    clear_store()
    assert not images.path.exists()


def test_size_and_clearing(dataset, tmp_path):
    assert store_size() == 0
    clear_store()
    prepared(dataset)
    prepared(dataset, cache=tmp_path / "own")
    assert store_size() >= 30 * 8 * 6 * 3
    clear_store(tmp_path / "own")
    assert store_size(tmp_path / "own") == 0
    assert store_size() > 0
    clear_store()
    assert store_size() == 0


def test_names_that_are_no_text_are_kept(class_folders, write_image, decoded):
    if os.name != "posix":
        pytest.skip("only POSIX systems keep file names that are no text")
    root = class_folders({"a": 2})
    try:
        write_image(root / "b" / "plain.png").rename(root / "b" / os.fsdecode(b"caf\xe9.png"))
    except OSError:
        pytest.skip("this file system keeps only names that are text")
    dataset = scanned(root)
    assert_right(dataset, prepared(dataset))
    decoded.clear()
    prepared(dataset)
    assert decoded == []
    for line in (the_store() / "rows.jsonl").read_text(encoding="ascii").splitlines():
        json.loads(line)


def test_what_was_prepared_stays_when_another_process_clears_the_cache(dataset):
    """The lock is let go when the images are prepared, and the training that wants them begins after that."""
    images = prepared(dataset)
    clear_store()
    assert not images.path.exists() or os.name == "nt"
    assert_right(dataset, images)


def test_a_folder_that_goes_while_it_is_prepared_is_told(dataset, monkeypatch):
    def decode(path, *rest):
        if path.name == "0005.png" and path.exists():
            dataset.root.rename(dataset.root.with_name("moved"))
        return read_image(path, *rest)

    monkeypatch.setattr(store, "read_image", decode)
    monkeypatch.setattr("os.cpu_count", lambda: 1)
    with pytest.raises(DatasetError, match=f"The folder .*{dataset.root.name} is gone, while"):
        prepared(dataset)
