"""Finds HDF5 files on which the HDF5 library never comes to an end."""

from __future__ import annotations

import mmap
from pathlib import Path

_COLLECTION = b"GCOL\x01\x00\x00\x00"
_HEADER = 16  # bytes of a collection's header, and of each object's
_MOST_OBJECTS = 1_000_000  # in all heaps of a file; a network's has a few for each layer


def has_endless_heap(path: Path) -> bool:
    """Whether a global heap of the file holds free space of no length, or more objects than any network's.

    The library (seen up to HDF5 1.14) steps over the objects of such a heap one by one and stays at this one for ever,
    beyond Python's reach: nothing can be cancelled any more. One damaged bit is enough.

    Source: HDF5 File Format Specification 3.0, III.E. Disk Format: Level 1E – Global Heap.
    """
    if path.stat().st_size < _HEADER:
        return False
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        left = _MOST_OBJECTS
        start = data.find(_COLLECTION)
        while start != -1:
            left = _after_collection(data, start, left)
            if left <= 0:
                return True
            start = data.find(_COLLECTION, start + 1)
    return False


def _after_collection(data: mmap.mmap, start: int, left: int) -> int:
    """How many objects may still come after those of the collection there; 0 where it never ends."""
    end = min(start + int.from_bytes(data[start + 8 : start + 16], "little"), len(data))
    place = start + _HEADER
    while place + _HEADER <= end and left > 0:
        left -= 1
        length = int.from_bytes(data[place + 8 : place + 16], "little")
        if data[place : place + 2] != b"\x00\x00":
            place += _HEADER + -(-length // 8) * 8
        elif length:  # free space counts its own header
            place += length
        else:
            return 0
    return left
