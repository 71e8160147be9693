"""The best weights so far: a file, so that a crash loses nothing, or memory where the disk is full."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras

from cnn_studio.core.atomic_file import storage_error
from cnn_studio.core.events import Message
from cnn_studio.core.jobs import Report


class BestWeights:
    """Keeps the weights of the best epoch.

    Attributes:
        epoch: the epoch they are from, counted from 1; 0 while there is none.
    """

    def __init__(self, model: keras.Model, checkpoint: Path, report: Report) -> None:
        if not checkpoint.name.endswith(".weights.h5"):
            raise ValueError(f"Keras writes weights to *.weights.h5 only, not to {checkpoint.name}")
        self.epoch = 0
        self._model = model
        self._checkpoint = checkpoint
        self._report = report
        self._in_memory: list[Any] | None = None
        self._told = False

    def keep(self, epoch: int) -> None:
        """Keep the model's present weights as those of ``epoch``, in place of the ones kept before."""
        part = self._checkpoint.with_name(f".{self._checkpoint.name.removesuffix('.weights.h5')}.part.weights.h5")
        try:
            self._checkpoint.parent.mkdir(parents=True, exist_ok=True)
            self._model.save_weights(part, overwrite=True)
            part.replace(self._checkpoint)
            self._in_memory = None
        except OSError as error:
            self._in_memory = self._model.get_weights()
            self._tell(error)
        finally:
            self._remove(part)
        self.epoch = epoch

    def restore(self) -> None:
        """Give the model the weights that were kept; when there are none it stays as it is."""
        if self._in_memory is not None:
            self._model.set_weights(self._in_memory)
        elif self.epoch:
            self._model.load_weights(self._checkpoint)

    def _tell(self, error: OSError) -> None:
        if not self._told:
            reason = storage_error(self._checkpoint, error).message
            self._report(Message(f"{reason} Training goes on; the best weights are kept in memory."))
            self._told = True

    @staticmethod
    def _remove(part: Path) -> None:
        try:
            part.unlink(missing_ok=True)
        except OSError:  # the folder itself is gone or read-only: there is nothing of ours left to remove
            return
