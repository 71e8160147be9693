"""What a fixed part makes of the images is computed once, survives every interruption, and never outgrows the disk."""

import errno
import os
import shutil
from dataclasses import replace
from types import SimpleNamespace

import keras
import numpy as np
import pytest
from filelock import FileLock

from cnn_studio.core.data.image_file import ImageFile
from cnn_studio.core.errors import StorageError
from cnn_studio.core.job.events import Message, Progress, Stage, StageStarted
from cnn_studio.core.job.jobs import CancelToken, JobCancelled, JobContext, ignore_reports
from cnn_studio.core.store import rows as store_rows
from cnn_studio.core.store.prepared import clear_store, features_folder, store_size
from cnn_studio.ml import features, pipeline
from cnn_studio.ml.features import RowSource, cache_features

SIZE = 16
COUNT = 40


def network(scale=1.0, seed=0, filters=2):
    """A tiny fixed part: images (16, 16, 3) to features (14, 14, filters)."""
    image = keras.Input((SIZE, SIZE, 3))
    tensor = keras.layers.Rescaling(scale / 255)(image)
    initializer = keras.initializers.GlorotUniform(seed=seed)
    tensor = keras.layers.Conv2D(filters, 3, kernel_initializer=initializer)(tensor)
    model = keras.Model(image, tensor)
    model.jit_compile = False
    return model


ROW_VALUES = 14 * 14 * 2


@pytest.fixture
def files():
    return [ImageFile(f"a/{number}.png", 0, SIZE, SIZE, False, 100 + number, 1000) for number in range(COUNT)]


@pytest.fixture
def source(make_store):
    images, _ = make_store(COUNT + 3)
    rows = np.arange(COUNT, dtype=np.int64)[::-1] + 3  # not the order of the files
    return RowSource(images, rows, "prepared")


@pytest.fixture
def counted(monkeypatch):
    """How many images went through a network, by call."""
    calls = []
    original = keras.Model.predict_on_batch

    def predict(self, batch):
        calls.append(len(batch))
        return original(self, batch)

    monkeypatch.setattr(keras.Model, "predict_on_batch", predict)
    return calls


@pytest.fixture(autouse=True)
def every_batch_reports(monkeypatch):
    monkeypatch.setattr("cnn_studio.core.job.threads._SECONDS_BETWEEN_REPORTS", 0)


@pytest.fixture
def in_halves(monkeypatch):
    monkeypatch.setattr(features, "SINGLE_PRECISION_BYTES", 0)


def cached(model, source, files, report=ignore_reports, token=None):
    return cache_features(model, source, files, JobContext(report, token or CancelToken()))


def assert_right(found, model, source, files, tolerance=1e-6):
    expected = np.asarray(model(np.asarray(source.values[source.rows[: len(files)]])))
    np.testing.assert_allclose(found.values[found.rows].astype("float32"), expected, rtol=tolerance, atol=tolerance)


def folders():
    return sorted(features_folder().iterdir()) if features_folder().exists() else []


def test_features_are_those_of_the_network_and_are_computed_once(source, files, counted):
    model = network()
    events = []
    found = cached(model, source, files, events.append)
    assert found.values.dtype == np.float32
    assert_right(found, model, source, files)
    assert sum(counted) == 48  # the last of three batches is filled up
    assert events[0] == StageStarted(Stage.FEATURES, COUNT)
    assert [event.done for event in events if isinstance(event, Progress)] == [16, 32, 40]
    counted.clear()
    again = cached(network(), source, files)  # another object that computes the same
    assert counted == []
    assert (again.key, again.folder) == (found.key, found.folder)
    assert_right(again, model, source, files)


def test_large_features_are_kept_in_16_bits(source, files, in_halves):
    model = network()
    found = cached(model, source, files)
    assert found.values.dtype == np.float16
    assert_right(found, model, source, files, tolerance=1e-3)
    assert (found.folder / "features.f16").stat().st_size == COUNT * ROW_VALUES * 2


def test_features_beyond_16_bits_are_kept_in_32(source, files, in_halves):
    model = network(scale=1e6)
    events = []
    found = cached(model, source, files, events.append)
    assert found.values.dtype == np.float32
    assert_right(found, model, source, files, tolerance=1e-5)
    assert [event.text for event in events if isinstance(event, Message)] == [
        "Some features are too large for 16 bits, so all are kept with 32."
    ]
    assert folders() == [found.folder]


def test_only_new_and_changed_images_cost_anything(source, files, counted):
    model = network()
    cached(model, source, files[:30])
    counted.clear()
    changed = [replace(files[0], modified_ns=2000), *files[1:]]
    found = cached(model, source, changed)
    assert counted == [16]  # one changed and ten new, in one batch
    assert_right(found, model, source, files)


@pytest.mark.parametrize(
    "other", [{"seed": 1}, {"scale": 0.5}, {"filters": 3}], ids=["weights", "scaling", "architecture"]
)
def test_another_network_has_features_of_its_own(source, files, other):
    first = cached(network(), source, files)
    model = network(**other)
    second = cached(model, source, files)
    assert first.folder != second.folder
    assert_right(second, model, source, files)
    assert_right(first, network(), source, files)


def test_other_images_have_features_of_their_own(source, files):
    model = network()
    assert cached(model, source, files).key != cached(model, replace(source, key="another size"), files).key


def test_features_of_features(source, files):
    lower = network()
    middle = cached(lower, source, files)
    image = keras.Input((14, 14, 2))
    upper = keras.Model(image, keras.layers.GlobalAveragePooling2D()(image))
    found = cached(upper, middle, files)
    assert_right(found, upper, middle, files)
    assert len(folders()) == 2


def test_a_cancel_keeps_whole_rows_and_goes_on_there(source, files, counted, monkeypatch):
    monkeypatch.setattr(features, "_BYTES_BETWEEN_FLUSHES", 1)
    token = CancelToken()

    def cancel_after_the_first_batch(event):
        if isinstance(event, Progress):
            token.cancel()

    model = network()
    with pytest.raises(JobCancelled):
        cached(model, source, files, cancel_after_the_first_batch, token)
    (folder,) = folders()
    assert (folder / "features.f32").stat().st_size == 16 * ROW_VALUES * 4
    assert len((folder / "rows.jsonl").read_text().splitlines()) == 16
    counted.clear()
    events = []
    found = cached(model, source, files, events.append)
    assert counted == [16, 16]
    assert events[1].done == 16
    assert_right(found, model, source, files)


def test_rows_torn_by_a_crash_are_computed_again(source, files, counted):
    model = network()
    folder = cached(model, source, files).folder
    with (folder / "features.f32").open("r+b") as file:
        file.truncate(int(10.5 * ROW_VALUES * 4))
    counted.clear()
    found = cached(model, source, files)
    assert sum(counted) == 32
    assert_right(found, model, source, files)


@pytest.mark.parametrize("error", [errno.ENOSPC, errno.EDQUOT])
def test_a_disk_that_fills_up_is_told_and_what_was_written_counts(source, files, counted, monkeypatch, error):
    monkeypatch.setattr(features, "_BYTES_BETWEEN_FLUSHES", 1)
    original = store_rows.StoreRows._append_pixels
    writes = []

    def append(self, pixels):
        writes.append(len(pixels))
        if len(writes) == 2:
            original(self, pixels[:3])  # part of it reached the disk
            raise OSError(error, os.strerror(error))
        original(self, pixels)

    model = network()
    with monkeypatch.context() as patch:
        patch.setattr(store_rows.StoreRows, "_append_pixels", append)
        with pytest.raises(StorageError, match=r"The disk is full: features\.f32 could not be written"):
            cached(model, source, files)
    counted.clear()
    found = cached(model, source, files)
    assert counted == [16, 16]
    assert_right(found, model, source, files)


def disk(monkeypatch, free):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(total=10**12, used=0, free=free))


def test_without_room_on_the_disk_features_are_kept_in_memory(source, files, monkeypatch):
    disk(monkeypatch, 10_000)
    monkeypatch.setattr(features, "available_memory", lambda: 10**9)
    model = network()
    events = []
    found = cached(model, source, files, events.append)
    assert_right(found, model, source, files)
    assert (found.folder, found.values.dtype, folders()) == (None, np.float32, [])
    tensor = pipeline._in_place(found.values)
    found.values[0] = 99
    assert (tensor.numpy()[0] == 99).all(), "batches would be taken from a copy"
    (message,) = [event.text for event in events if isinstance(event, Message)]
    assert "0.1 MB is free" in message
    assert "in memory for this run only" in message


def test_without_room_anywhere_nothing_is_kept(source, files, counted, monkeypatch):
    disk(monkeypatch, 10_000)
    monkeypatch.setattr(features, "available_memory", lambda: 10_000)
    events = []
    assert cached(network(), source, files, events.append) is None
    assert (counted, folders()) == ([], [])
    (message,) = [event.text for event in events if isinstance(event, Message)]
    assert "runs in every epoch instead" in message


@pytest.mark.parametrize(("limit", "value"), [("BUDGET_BYTES", 1000), ("LARGEST_SHARE", 0.5)])
def test_features_that_are_not_worth_keeping_are_not_kept(source, files, counted, monkeypatch, limit, value):
    monkeypatch.setattr(features, limit, value)
    monkeypatch.setattr(features, "available_memory", lambda: 10_000)
    events = []
    assert cached(network(), source, files, events.append) is None
    assert counted == []
    (message,) = events
    assert "runs in every epoch instead" in message.text


def test_large_features_are_kept_where_memory_holds_them(source, files, monkeypatch):
    monkeypatch.setattr(features, "LARGEST_SHARE", 0.5)
    monkeypatch.setattr(features, "available_memory", lambda: 10**9)
    assert cached(network(), source, files) is not None


def test_the_least_recently_used_features_make_room_but_not_what_is_used_now(source, files, monkeypatch):
    old = cached(network(seed=1), source, files)
    used = cached(network(seed=2), source, files)
    os.utime(old.folder, (1000, 1000))
    os.utime(used.folder, (900, 900))
    one = COUNT * ROW_VALUES * 4
    monkeypatch.setattr(features, "BUDGET_BYTES", int(1.9 * one))
    image = keras.Input((14, 14, 2))
    kept = cached(keras.Model(image, keras.layers.Rescaling(2.0)(image)), used, files)
    assert folders() == sorted([used.folder, kept.folder])


def test_clearing_the_cache_takes_features_too_unless_they_are_being_written(source, files):
    folder = cached(network(), source, files).folder
    assert store_size() >= COUNT * ROW_VALUES * 4
    with FileLock(folder / "lock"):
        clear_store()
        assert folder.exists()
    clear_store()
    assert store_size() == 0
    assert folders() == []
