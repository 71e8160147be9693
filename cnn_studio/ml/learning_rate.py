"""How the learning rate moves during a stage of training: warm-up, cosine, plateau."""

from __future__ import annotations

import math
from typing import Any

import keras

from cnn_studio.core.experiment.settings import Schedule, StageSettings

PLATEAU_FACTOR = 0.5
PLATEAU_PATIENCE = 2


class LearningRate(keras.callbacks.Callback):  # type: ignore[misc]
    """Sets the optimizer's learning rate before each batch.

    It rises in a straight line from nothing over the first epochs (warm-up: Goyal et al. 2017, arXiv:1706.02677).
    After that it stays, falls to zero along half a cosine (Loshchilov and Hutter 2017, arXiv:1608.03983, without
    restarts), or is halved whenever validation loss has not fallen for two epochs (plateau).
    """

    def __init__(self, settings: StageSettings, steps_per_epoch: int) -> None:
        """Set up the schedule.

        Args:
            settings: the highest learning rate, the schedule, and the epochs, at most, warm-up included.
            steps_per_epoch: batches in one.
        """
        super().__init__()
        self._rate = settings.learning_rate
        self._schedule = settings.schedule
        self._warm_up = settings.warm_up_epochs * steps_per_epoch
        self._steps = settings.epochs * steps_per_epoch
        self._step = 0
        self._factor = 1.0
        self._lowest = math.inf
        self._without_gain = 0

    def on_train_batch_begin(self, batch: int, logs: dict[str, Any] | None = None) -> None:  # noqa: ARG002
        """Set the rate of the batch that begins."""
        self._step += 1
        self.model.optimizer.learning_rate = self._rate_at(self._step)

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:  # noqa: ARG002
        """Lower the rate when validation loss has not fallen for some epochs."""
        if self._schedule is not Schedule.PLATEAU or self._step < self._warm_up:
            return
        assert logs is not None
        if logs["val_loss"] < self._lowest:
            self._lowest, self._without_gain = logs["val_loss"], 0
            return
        self._without_gain += 1
        if self._without_gain >= PLATEAU_PATIENCE:
            self._factor *= PLATEAU_FACTOR
            self._without_gain = 0

    def _rate_at(self, step: int) -> float:
        """The rate of a step, counted from 1."""
        if step <= self._warm_up:
            return self._rate * step / self._warm_up
        if self._schedule is Schedule.COSINE:
            share = (step - self._warm_up - 1) / max(1, self._steps - self._warm_up)
            return self._rate * 0.5 * (1 + math.cos(math.pi * share))
        return self._rate * self._factor


def rate_callbacks(settings: StageSettings, steps_per_epoch: int) -> list[keras.callbacks.Callback]:
    """What moves the learning rate; nothing where it stays as the optimizer has it."""
    stays = settings.schedule is Schedule.CONSTANT and not settings.warm_up_epochs
    return [] if stays else [LearningRate(settings, steps_per_epoch)]
