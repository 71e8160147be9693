import mmap
from pathlib import Path

import numpy as np
import pytest
from sklearn.utils.class_weight import compute_class_weight

from cnn_studio.ml import pipeline
from cnn_studio.ml.pipeline import balanced_class_weights, evaluation_batches, training_batches


@pytest.fixture
def numbered(tmp_path):
    """Twenty 2 × 2 images; each holds its own row number everywhere."""
    images = np.broadcast_to(np.arange(20, dtype=np.uint8)[:, None, None, None], (20, 2, 2, 3))
    images.copy().tofile(tmp_path / "numbered.bin")
    return np.memmap(tmp_path / "numbered.bin", np.uint8, "c", shape=(20, 2, 2, 3))


def epoch(batches):
    """(row numbers seen, labels seen, batch sizes) of one pass."""
    seen, labels, sizes = [], [], []
    for images, given, *_ in batches:
        array = images.numpy()
        assert array.dtype == np.uint8
        assert given.numpy().dtype == np.int32
        assert (array == array[:, :1, :1, :1]).all()
        seen += array[:, 0, 0, 0].tolist()
        labels += given.numpy().tolist()
        sizes.append(len(array))
    return seen, labels, sizes


def test_every_image_once_per_epoch_in_an_order_that_changes_and_repeats_with_the_seed(numbered):
    rows = np.arange(3, 20)
    labels = (rows % 4).astype(np.int32)
    make = lambda seed: training_batches(numbered, rows, labels, 5, seed)  # noqa: E731
    batches = make(7)
    first, second = epoch(batches), epoch(batches)
    for seen, given, sizes in (first, second):
        assert sorted(seen) == rows.tolist()
        assert given == [row % 4 for row in seen]
        assert sizes == [5, 5, 5, 2]
    assert first[0] != second[0]
    assert first[0] != rows.tolist()
    again = make(7)
    assert [epoch(again)[0], epoch(again)[0]] == [first[0], second[0]]
    assert epoch(make(8))[0] != first[0]
    assert (batches.steps, batches.images) == (4, 17)


def test_one_of_an_images_views_is_drawn_anew_in_each_epoch(numbered):
    """Rows 0–4 are views of the first image, 5–9 of the second, and so on."""
    rows = np.arange(20).reshape(4, 5)
    labels = np.arange(4, dtype=np.int32)
    make = lambda seed: training_batches(numbered, rows, labels, 3, seed)  # noqa: E731
    batches = make(7)
    passes = [epoch(batches) for _ in range(30)]
    for seen, given, sizes in passes:
        assert sorted(row // 5 for row in seen) == [0, 1, 2, 3]
        assert given == [row // 5 for row in seen]
        assert sizes == [3, 1]
    drawn = np.array([sorted(seen) for seen, _, _ in passes]) % 5
    for of_image in drawn.T:
        assert set(of_image) == {0, 1, 2, 3, 4}
    again = make(7)
    assert [epoch(again)[0] for _ in range(3)] == [seen for seen, _, _ in passes[:3]]
    assert batches.images == 4


def test_evaluation_keeps_the_order_of_rows(numbered):
    rows = np.array([9, 1, 19, 1, 0])
    batches = evaluation_batches(numbered, rows, np.arange(5, dtype=np.int32), 2)
    for _ in range(2):
        assert epoch(batches) == (rows.tolist(), [0, 1, 2, 3, 4], [2, 2, 1])


def test_class_weights_go_with_their_image(numbered):
    rows = np.arange(20)
    labels = (rows % 3).astype(np.int32)
    weights = np.array([0.5, 1.0, 2.0], np.float32)
    for _, given, weight in training_batches(numbered, rows, labels, 6, 0, weights):
        np.testing.assert_array_equal(weight.numpy(), weights[given.numpy()])


def test_balanced_weights_are_scikit_learns():
    labels = np.array([0] * 7 + [1] * 2 + [2], np.int32)
    expected = compute_class_weight("balanced", classes=np.arange(3), y=labels)
    np.testing.assert_allclose(balanced_class_weights(labels, 3), expected, rtol=1e-6)


def test_the_store_is_read_in_place(numbered):
    tensor = pipeline._in_place(numbered)
    numbered[4] = 99  # copy on write: changes this map's memory, not the file
    assert tensor[4, 0, 0, 0].numpy() == 99


def memory_of_its_own():
    """Bytes of this process that are no file's."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return next(int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("RssAnon:"))


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="only Linux tells a process what memory it has")
@pytest.mark.parametrize("shuffled", [False, True])
def test_going_through_a_store_does_not_copy_it_into_memory(tmp_path, shuffled):
    count, size = 2000, 2000 * 200 * 200 * 3
    with (tmp_path / "sparse.bin").open("wb") as file:
        file.truncate(size)
    images = np.memmap(tmp_path / "sparse.bin", np.uint8, "c", shape=(count, 200, 200, 3))
    rows, labels = np.arange(count), np.zeros(count, np.int32)
    batches = training_batches(images, rows, labels, 4, 0) if shuffled else evaluation_batches(images, rows, labels, 4)
    before = memory_of_its_own()
    feed = iter(batches)
    for _ in range(5):
        next(feed)
    assert memory_of_its_own() - before < size / 2


def test_an_array_that_cannot_be_shared_is_copied(numbered):
    strided = np.asarray(numbered)[::2]
    read_only = np.asarray(numbered).copy()
    read_only.flags.writeable = False
    for images in (strided, read_only):
        np.testing.assert_array_equal(pipeline._in_place(images).numpy(), images)


@pytest.mark.parametrize("offset", [0, 2, 16, 48])
def test_memory_that_does_not_start_where_tensorflow_wants_it_does_not_end_the_process(offset):
    """TensorFlow takes such an array and aborts in the first operation on it that looks."""
    memory = mmap.mmap(-1, 10_000)
    images = np.frombuffer(memory, np.float16, count=300, offset=offset).reshape(100, 3)
    images[:] = np.arange(100)[:, None]
    (features, labels), *_ = evaluation_batches(images, np.arange(100), np.arange(100, dtype=np.int32), 50)
    assert (features.numpy() == labels.numpy()[:, None]).all()


def test_features_of_16_bits_come_as_float32():
    images = np.random.default_rng(0).normal(size=(10, 2, 2, 5)).astype(np.float16)
    rows = np.array([7, 2, 4])
    (features, _), *_ = evaluation_batches(images, rows, np.zeros(3, np.int32), 3)
    assert features.dtype == "float32"
    np.testing.assert_array_equal(features.numpy(), images[rows].astype(np.float32))


def test_a_row_that_does_not_exist_is_refused(numbered):
    for rows in ([0, -1], [0, 20]):
        with pytest.raises(ValueError, match="rows must be within 0 and 19"):
            evaluation_batches(numbered, np.array(rows), np.zeros(2, np.int32), 2)
