"""What is seen and decided between two batches: figures, time left, best epoch, stop and cancel."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from typing import Any

import keras

from cnn_studio.core.experiment.settings import TrainingSettings
from cnn_studio.core.job.events import BatchEnded, EpochEnded, Progress, Stage
from cnn_studio.core.job.jobs import JobContext
from cnn_studio.core.runs.trained import Ended
from cnn_studio.ml.best_weights import BestWeights
from cnn_studio.ml.pipeline import Batches

_PROGRESS_EVERY = 0.1  # seconds
_SMOOTHING = 0.05  # weight of the newest batch in the mean time of a batch
_VALIDATION_COST = 0.4  # of a training batch, before one has been timed: no backward pass


class StoppedError(Exception):
    """Leaves ``fit`` at once because the user asked to stop."""


class DivergedError(Exception):
    """Leaves ``fit`` because the loss is no number any more; the message says when."""


@dataclass(frozen=True, slots=True)
class EpochRecord:
    """Figures of one epoch, counted from 1. Accuracies are 0–1, losses nats, seconds include validation.

    ``loss`` and ``accuracy`` are means over the epoch's batches as they were trained on, so the weights changed
    meanwhile and dropout was on; ``val_loss`` and ``val_accuracy`` are measured at its end.
    """

    epoch: int
    loss: float
    accuracy: float
    val_loss: float
    val_accuracy: float
    seconds: float


@dataclass(frozen=True, slots=True)
class Fitting:
    """One call of Keras's ``fit``: what is trained on, how, and what is kept of it.

    Attributes:
        settings: optimizer, learning rate and how it goes on, epochs, early stopping.
        training: what is trained on.
        validation: what is validated on.
        best: the best weights so far, also those of stages before; an epoch has to be better than them.
        image_size: height and width in pixels, for a sentence.
        first_epoch: number of the first epoch; the patience begins anew there.
        rate_field: dotted name of the learning rate's setting, for a sentence.
        mixes_labels: whether the network takes labels among its inputs.
    """

    settings: TrainingSettings
    training: Batches
    validation: Batches
    best: BestWeights
    image_size: tuple[int, int]
    first_epoch: int = 1
    rate_field: str = "training.learning_rate"
    mixes_labels: bool = False

    @property
    def steps(self) -> int:
        """Batches in all, those of validation among them."""
        return self.settings.epochs * (self.training.steps + self.validation.steps)


class TrainingWatch(keras.callbacks.Callback):  # type: ignore[misc]
    """The one callback of a training.

    Attributes:
        records: of the epochs completed.
        ended: ``COMPLETED``, or ``EARLY_STOPPING`` once the patience was used up.
    """

    def __init__(self, fitting: Fitting, context: JobContext) -> None:
        """Watch a training, or a stage of one.

        Args:
            fitting: what is watched; its best weights are kept here.
            context: ``report`` is told of batches, epochs and progress. ``cancel`` is looked at after every batch.
        """
        super().__init__()
        self.records: list[EpochRecord] = []
        self.ended = Ended.COMPLETED
        self._settings = fitting.settings
        self._training = fitting.training
        self._best = fitting.best
        self._first_epoch = fitting.first_epoch
        self._report = context.report
        self._cancel = context.cancel
        self._epoch = fitting.first_epoch
        self._loss_sum = 0.0
        self._right = 0.0
        self._clock = _Clock(fitting.settings.epochs, fitting.training.steps, fitting.validation.steps)
        self._last_progress = -math.inf
        self._epoch_began = time.perf_counter()

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:  # noqa: ARG002
        """Begin the epoch's sums."""
        self._epoch = epoch + 1
        self._loss_sum = self._right = 0.0
        self._epoch_began = time.perf_counter()

    def on_train_batch_begin(self, batch: int, logs: dict[str, Any] | None = None) -> None:  # noqa: ARG002
        """Forget the batches before, so that Keras's running means become this batch's own figures."""
        self.model.reset_metrics()
        self._clock.batch_begins()

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Report the batch; leave when asked to or when the loss is no number."""
        assert logs is not None
        loss, accuracy = float(logs["loss"]), float(logs["accuracy"])
        images = min(self._training.batch_size, self._training.images - batch * self._training.batch_size)
        self._clock.training_batch_ended(images / self._training.batch_size)
        self._loss_sum += loss * images
        self._right += accuracy * images
        self._leave_if_asked()
        if not math.isfinite(loss):
            raise DivergedError(f"The loss became {loss} at epoch {self._epoch}, batch {batch + 1}.")
        self._report(
            BatchEnded(
                epoch=self._epoch,
                step=batch + 1,
                loss=loss,
                accuracy=accuracy,
                images_per_second=self._training.batch_size / self._clock.train_seconds,
                seconds_left=self._clock.seconds_left,
            )
        )
        self._progress()

    def on_test_batch_begin(self, batch: int, logs: dict[str, Any] | None = None) -> None:  # noqa: ARG002
        """Start the clock."""
        self._clock.batch_begins()

    def on_test_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:  # noqa: ARG002
        """Leave when asked to, in the middle of validation too."""
        self._clock.validation_batch_ended()
        self._leave_if_asked()
        self._progress()

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Keep the weights if they are the best, report, and end when the patience is used up."""
        assert logs is not None
        val_loss = float(logs["val_loss"])
        if not math.isfinite(val_loss):
            raise DivergedError(f"The validation loss became {val_loss} at epoch {epoch + 1}.")
        is_best = val_loss < self._best.loss
        if is_best:
            self._best.keep(epoch + 1)
            self._best.loss = val_loss
        record = EpochRecord(
            epoch=epoch + 1,
            loss=self._loss_sum / self._training.images,
            accuracy=self._right / self._training.images,
            val_loss=val_loss,
            val_accuracy=float(logs["val_accuracy"]),
            seconds=time.perf_counter() - self._epoch_began,
        )
        self.records.append(record)
        self._report(
            EpochEnded(
                epoch=record.epoch,
                loss=record.loss,
                accuracy=record.accuracy,
                val_loss=record.val_loss,
                val_accuracy=record.val_accuracy,
                seconds=record.seconds,
                best=is_best,
            )
        )
        self._leave_if_asked()
        epochs_before = self._first_epoch - 1
        without_gain = record.epoch - max(self._best.epoch, epochs_before)
        is_last = record.epoch - epochs_before >= self._settings.epochs
        if self._settings.early_stopping and without_gain >= self._settings.patience and not is_last:
            self.ended = Ended.EARLY_STOPPING
            self.model.stop_training = True

    def _leave_if_asked(self) -> None:
        self._cancel.raise_if_cancelled()
        if self._cancel.stop_requested:
            raise StoppedError

    def _progress(self) -> None:
        now = time.perf_counter()
        if now - self._last_progress >= _PROGRESS_EVERY:
            self._last_progress = now
            done, total = self._clock.done, self._clock.total
            left = self._clock.seconds_left
            # One batch alone tells nothing: most of its time went into tracing the graph.
            rate = (total - done) / left if left > 0 and done > 1 else 0.0
            self._report(Progress(Stage.TRAIN, done, total, unit="batches", rate=rate))


class _Clock:
    """Times batches and estimates what is left, validation included."""

    def __init__(self, epochs: int, train_steps: int, validation_steps: int) -> None:
        self.total = epochs * (train_steps + validation_steps)
        self.done = 0
        self.train_seconds = 0.0
        self._validation_seconds: float | None = None
        self._train_left = epochs * train_steps
        self._validation_left = epochs * validation_steps
        self._timed = 0
        self._validated = 0
        self._began = 0.0

    def batch_begins(self) -> None:
        self._began = time.perf_counter()

    def training_batch_ended(self, share: float) -> None:
        """Count it; ``share`` is how full the batch was, 0–1."""
        seconds = self._since_begin() / share
        self.done += 1
        self._train_left -= 1
        self._timed += 1
        if self._timed <= 2:
            self.train_seconds = seconds  # the first batch is mostly tracing the graph: forget it at the second
        else:
            weight = max(_SMOOTHING, 1 / (self._timed - 1))
            self.train_seconds += weight * (seconds - self.train_seconds)

    def validation_batch_ended(self) -> None:
        seconds = self._since_begin()
        self.done += 1
        self._validation_left -= 1
        self._validated += 1
        if self._validated == 1:
            return  # tracing again
        if self._validation_seconds is None:
            self._validation_seconds = seconds
        else:
            self._validation_seconds += _SMOOTHING * (seconds - self._validation_seconds)

    def _since_begin(self) -> float:
        return max(time.perf_counter() - self._began, 1e-6)

    @property
    def seconds_left(self) -> float:
        validation = self._validation_seconds
        if validation is None:
            validation = _VALIDATION_COST * self.train_seconds
        return self._train_left * self.train_seconds + self._validation_left * validation
