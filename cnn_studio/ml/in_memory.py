"""Files of Keras made in memory: HDF5 on a disk that is full ends the process when the file is closed (SIGSEGV)."""

from __future__ import annotations

import io

import keras


class _FileInMemory(io.BytesIO):
    """A file that Keras takes by its name, as it takes one on disk."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self._name = name

    def __str__(self) -> str:
        return self._name


def keras_file(model: keras.Model) -> io.BytesIO:
    """What ``model.save`` writes into a ``.keras`` file."""
    file = _FileInMemory("network.keras")
    model.save(file)
    return file


def weights_file(model: keras.Model) -> io.BytesIO:
    """What ``model.save_weights`` writes into a ``.weights.h5`` file."""
    file = _FileInMemory("network.weights.h5")
    model.save_weights(file)
    return file
