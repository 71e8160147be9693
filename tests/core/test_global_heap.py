"""Files on which the HDF5 library would run for ever are known before it sees them."""

import io

import h5py
import pytest

from cnn_studio.core.weights import global_heap
from cnn_studio.core.weights.global_heap import has_endless_heap


@pytest.fixture
def content():
    """An HDF5 file with texts of any length, as Keras 2 writes its descriptions."""
    stream = io.BytesIO()
    with h5py.File(stream, "w") as file:
        for number in range(3):
            file.attrs[f"text{number}"] = "a description " * (number + 1)
    return stream.getvalue()


def free_space(content):
    """Where the free space of the only heap begins, found by its length: it is all that is left."""
    start = content.index(b"GCOL")
    end = start + int.from_bytes(content[start + 8 : start + 16], "little")
    (place,) = [
        place
        for place in range(start + 16, end, 8)
        if content[place : place + 2] == b"\0\0"
        and int.from_bytes(content[place + 8 : place + 16], "little") == end - place
    ]
    return place


def test_free_space_of_no_length_is_seen(content, tmp_path):
    path = tmp_path / "model.h5"
    path.write_bytes(content)
    assert not has_endless_heap(path)
    place = free_space(content) + 8
    path.write_bytes(content[:place] + bytes(8) + content[place + 8 :])
    assert has_endless_heap(path)


def test_a_file_without_heaps_has_none_that_is_endless(tmp_path):
    path = tmp_path / "x"
    for content in (b"", b"GCOL", b"GCOL\x01\0\0\0", b"no HDF5 at all" * 100):
        path.write_bytes(content)
        assert not has_endless_heap(path)


def test_heaps_within_heaps_take_no_time_without_end(content, tmp_path, monkeypatch):
    path = tmp_path / "model.h5"
    path.write_bytes(content)
    monkeypatch.setattr(global_heap, "_MOST_OBJECTS", 3)
    assert has_endless_heap(path)
