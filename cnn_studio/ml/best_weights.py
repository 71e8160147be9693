"""The best weights so far: a file, so that a crash loses nothing, or memory where the disk is full."""

from __future__ import annotations

import math
import time
from pathlib import Path
from typing import Any

import keras

from cnn_studio.core.atomic_file import write_bytes
from cnn_studio.core.errors import StorageError
from cnn_studio.core.job.events import Message
from cnn_studio.core.job.jobs import Report
from cnn_studio.ml.in_memory import weights_file


class BestWeights:
    """Keeps the weights of the best epoch.

    Attributes:
        epoch: the epoch they are from, counted from 1; 0 while there is none.
        loss: its validation loss in nats, set by whoever keeps it; infinite while there is none.
    """

    def __init__(
        self, model: keras.Model, checkpoint: Path, report: Report, *, seconds_between_writes: float = 0.0
    ) -> None:
        """Begin with nothing kept.

        Args:
            model: the whole network; its weights go to the file.
            checkpoint: a ``.weights.h5`` file.
            report: told once when the disk is full.
            seconds_between_writes: an epoch that is better within that time of the last write is kept in memory until
                ``settle``. 0 writes each: right where an epoch takes longer than a write.
        """
        if not checkpoint.name.endswith(".weights.h5"):
            raise ValueError(f"Keras writes weights to *.weights.h5 only, not to {checkpoint.name}")
        self.epoch = 0
        self.loss = math.inf
        self._model = model
        self._part = model
        self._checkpoint = checkpoint
        self._report = report
        self._seconds_between_writes = seconds_between_writes
        self._written = -math.inf
        self._in_memory: list[Any] | None = None
        self._waits = False
        self._told = False

    def trains(self, part: keras.Model) -> None:
        """From now on only the weights of ``part``, a model over layers of the whole, change.

        Call it when the whole holds the weights that were kept.
        """
        self._part = part
        self._in_memory = part.get_weights() if self._in_memory is not None else None

    def keep(self, epoch: int) -> None:
        """Keep the model's present weights as those of ``epoch``, in place of the ones kept before."""
        self.epoch = epoch
        if time.monotonic() - self._written < self._seconds_between_writes:
            self._in_memory = self._part.get_weights()
            self._waits = True
        else:
            self._write()

    def restore(self) -> None:
        """Give the model the weights that were kept; when there are none it stays as it is."""
        if self._in_memory is not None:
            self._part.set_weights(self._in_memory)
        elif self.epoch:
            self._model.load_weights(self._checkpoint)

    def settle(self) -> None:
        """Give the model the weights that were kept, and bring the file up to date with them."""
        self.restore()
        if self._waits:
            self._write()

    def _write(self) -> None:
        try:
            write_bytes(self._checkpoint, weights_file(self._model).getbuffer())
            self._in_memory = None
            self._waits = False
        except StorageError as error:
            self._in_memory = self._part.get_weights()
            self._waits = True
            if not self._told:
                self._report(Message(f"{error.message} Training goes on; the best weights are kept in memory."))
                self._told = True
        self._written = time.monotonic()
