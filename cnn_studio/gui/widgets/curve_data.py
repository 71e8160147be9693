"""The numbers behind the curves, without a plot: growing arrays, smoothing, thinning, reading a value, CSV."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cnn_studio.core.atomic_file import csv_text
from cnn_studio.core.percent import format_percent

Floats = NDArray[np.float64]

CSV_COLUMNS = ("epoch", "step", "kind", "training_loss", "training_accuracy", "validation_loss", "validation_accuracy")
"""``epoch`` and ``step`` count from 1; ``kind`` is "batch" (that batch's own values; no validation) or "epoch" (means
over the epoch, ``step`` empty). Losses are in nats, accuracies 0–1; values that are not finite are empty."""


class Growing:
    """A float64 array that grows by doubling."""

    def __init__(self) -> None:
        self._room = np.empty(1024)
        self._used = 0

    def __len__(self) -> int:
        return self._used

    def append(self, value: float) -> None:
        """Add one number."""
        if self._used == len(self._room):
            self._room = np.concatenate([self._room, np.empty_like(self._room)])
        self._room[self._used] = value
        self._used += 1

    def extend(self, values: Floats) -> None:
        """Add several, shape (n,)."""
        needed = self._used + len(values)
        if needed > len(self._room):
            self._room = np.concatenate([self._room, np.empty(max(len(self._room), needed - len(self._room)))])
        self._room[self._used : needed] = values
        self._used = needed

    @property
    def values(self) -> Floats:
        """A view of the numbers so far, shape (n,)."""
        return self._room[: self._used]


def smooth(values: Floats, weight: float) -> Floats:
    """Exponential moving average with bias correction, as TensorBoard and Adam use it.

    ``s[n] = weight · s[n-1] + (1 - weight) · v[n]`` from ``s = 0``, divided by ``1 - weight**n``, so that the first
    values are not drawn towards zero. Values that are not finite are passed over and stay as they are.

    Args:
        values: shape (n,).
        weight: 0 (as it is) to below 1.

    Returns:
        A new array of the same shape.
    """
    smoothed = Smoothed(weight)
    return smoothed.of(values).copy()


class Smoothed:
    """The moving average of an array that only grows: each call works on what is new.

    Args:
        weight: as for ``smooth``.
    """

    def __init__(self, weight: float) -> None:
        self._weight = weight
        self._carry = 0.0
        self._seen = 0  # finite values so far
        self._done = Growing()

    def of(self, values: Floats) -> Floats:
        """The average of all values, shape (n,); those given before must be the same at the start."""
        if self._weight <= 0.0:
            return values
        fresh = values[len(self._done) :]
        if len(fresh):
            finite = np.isfinite(fresh)
            averaged = fresh.copy()
            averaged[finite] = self._continue(fresh[finite])
            self._done.extend(averaged)
        return self._done.values

    def _continue(self, values: Floats) -> Floats:
        weight, count = self._weight, len(values)
        if not count:
            return values
        # Within a block the recurrence is one cumulative sum; blocks are short enough for weight**-k to stay exact.
        block = max(1, min(count, int(np.log(1e4) / -np.log(weight))))
        rows = -(-count // block)
        padded = np.zeros(rows * block)
        padded[:count] = values
        decay = weight ** np.arange(block)
        inside = (1 - weight) * np.cumsum(padded.reshape(rows, block) / decay, axis=1) * decay
        carried = np.empty(rows)
        over_block = weight**block
        carry = self._carry
        for row, last in enumerate(inside[:, -1].tolist()):
            carried[row] = carry
            carry = carry * over_block + last
        average = (inside + carried[:, None] * (decay * weight)).reshape(-1)[:count]
        self._carry = float(average[-1])
        corrected = average / (1 - weight ** np.arange(self._seen + 1.0, self._seen + count + 1))
        self._seen += count
        return corrected


def thin(x: Floats, y: Floats, columns: int) -> tuple[Floats, Floats]:
    """Fewer points that draw the same picture: the lowest and highest of each run of points, peaks included.

    Runs are powers of two long, so that they stay the same while points are added and nothing flickers.

    Args:
        x: ascending, shape (n,).
        y: shape (n,).
        columns: pixels across; between 2 and 4 points remain for each, or all when there are few.
    """
    count = len(x)
    if count <= 4 * columns:
        return x, y
    run = 2
    while count // run > 2 * columns:
        run *= 2
    whole = count // run * run
    parts = y[:whole].reshape(-1, run)
    finite = np.isfinite(parts)
    if not finite.all():
        parts = np.where(finite, parts, np.mean(parts[finite]) if finite.any() else 0.0)
    low, high = parts.argmin(axis=1), parts.argmax(axis=1)
    start = np.arange(0, whole, run)
    keep = np.sort(np.stack([start + low, start + high], axis=1), axis=1).reshape(-1)
    keep = np.concatenate([keep, np.arange(whole, count)])
    return x[keep], y[keep]


@dataclass(frozen=True, slots=True)
class Reading:
    """What the curves show at one place; None where there is no curve.

    Attributes:
        epoch: epochs since the start, fractions for batches.
    """

    epoch: float
    training_loss: float | None = None
    training_accuracy: float | None = None
    validation_loss: float | None = None
    validation_accuracy: float | None = None

    def as_text(self) -> str:
        """The reading in one line: ``epoch 3.4 · training loss 0.52 · validation loss 0.61 · …``."""
        parts = [f"epoch {self.epoch:.1f}"]
        for name in ("training_loss", "validation_loss", "training_accuracy", "validation_accuracy"):
            value = getattr(self, name)
            if value is not None:
                parts.append(f"{name.replace('_', ' ')} {format_reading(name, value)}")
        return " · ".join(parts)


def format_reading(what: str, value: float) -> str:
    """A loss as a number, an accuracy (0–1) in per cent."""
    return format_percent(value) if "accuracy" in what and np.isfinite(value) else format_value(value)


def format_value(value: float) -> str:
    """A loss or accuracy with the digits worth reading: ``0.52``, ``12.3``, ``0.0041``."""
    if not np.isfinite(value):
        return "not a number" if np.isnan(value) else "infinite"
    if value and abs(value) < 0.01:
        return f"{value:.2g}"
    return f"{value:.2f}" if abs(value) < 10 else f"{value:,.1f}" if abs(value) < 1000 else f"{value:,.0f}"


class CurveData:
    """Every point of one training.

    Attributes:
        epochs: length of the x axis.
        steps_per_epoch: batches in an epoch.
        best_epoch: the one the model is from, counted from 1; 0 while there is none.
        stages: (epochs since the start, label) of each mark.
    """

    def __init__(self, epochs: int = 1, steps_per_epoch: int = 1) -> None:
        self.epochs = max(1, epochs)
        self.steps_per_epoch = max(1, steps_per_epoch)
        self.best_epoch = 0
        self.stages: list[tuple[float, str]] = []
        self.smoothing = 0.0
        self._batch_epoch, self._batch_step, self._batch_x = Growing(), Growing(), Growing()
        self._batch_loss, self._batch_accuracy = Growing(), Growing()
        self._epoch = Growing()
        self._epoch_values = {name: Growing() for name in CSV_COLUMNS[3:]}
        self._smoothed = _fresh(0.0)

    def add_batch(self, epoch: int, step: int, loss: float, accuracy: float) -> None:
        """One batch: ``epoch`` and ``step`` count from 1."""
        self._batch_epoch.append(epoch)
        self._batch_step.append(step)
        self._batch_x.append(epoch - 1 + step / self.steps_per_epoch)
        self._batch_loss.append(loss)
        self._batch_accuracy.append(accuracy)

    def add_epoch(self, epoch: int, loss: float, accuracy: float, val_loss: float, val_accuracy: float) -> None:
        """One epoch; values that were not measured are NaN."""
        self._epoch.append(epoch)
        for name, value in zip(CSV_COLUMNS[3:], (loss, accuracy, val_loss, val_accuracy), strict=True):
            self._epoch_values[name].append(value)
        self.epochs = max(self.epochs, epoch)

    def set_smoothing(self, weight: float) -> None:
        """Weight of the past in the moving average, 0 to 0.99."""
        self.smoothing = min(max(weight, 0.0), 0.99)
        self._smoothed = _fresh(self.smoothing)

    def batch(self, what: str) -> tuple[Floats, Floats]:
        """Epochs since the start and values per batch; ``what`` is "loss" or "accuracy"."""
        return self._batch_x.values, (self._batch_loss if what == "loss" else self._batch_accuracy).values

    def batch_smoothed(self, what: str) -> tuple[Floats, Floats]:
        """The same with the moving average."""
        x, values = self.batch(what)
        return x, self._smoothed[what].of(values)

    def epoch(self, which: str) -> tuple[Floats, Floats]:
        """Epochs since the start and values per epoch; ``which`` is one of the last four of ``CSV_COLUMNS``."""
        return self._epoch.values, self._epoch_values[which].values

    def epoch_smoothed(self, which: str) -> tuple[Floats, Floats]:
        """The same with the moving average, of a validation's."""
        x, values = self.epoch(which)
        return x, self._smoothed[which].of(values)

    def reading(self, x: float) -> Reading:
        """What is read at ``x`` epochs: the moving average of the last batch there, the nearest epoch's own figures."""
        batch_x = self._batch_x.values
        values: dict[str, float | None] = {}
        for what in ("loss", "accuracy"):
            training = f"training_{what}"
            if len(batch_x):
                inside = batch_x[0] - 0.5 <= x <= batch_x[-1] + 0.5
                at = max(0, int(np.searchsorted(batch_x, x + 1e-9, side="right")) - 1)
                values[training] = float(self.batch_smoothed(what)[1][at]) if inside else None
            else:
                values[training] = self._epoch_reading(training, x)
            values[f"validation_{what}"] = self._epoch_reading(f"validation_{what}", x)
        return Reading(x, **values)

    def _epoch_reading(self, which: str, x: float) -> float | None:
        epochs, values = self.epoch(which)
        if not len(epochs):
            return None
        at = int(np.abs(epochs - x).argmin())
        return float(values[at]) if abs(epochs[at] - x) <= 0.5 and not np.isnan(values[at]) else None

    def last_x(self) -> float | None:
        """Where the newest point is, in epochs; None when there is none."""
        ends = [float(growing.values[-1]) for growing in (self._batch_x, self._epoch) if len(growing)]
        return max(ends) if ends else None

    def points(self) -> dict[str, list[tuple[float, float]]]:
        """Every curve's points as (epochs since the start, value)."""
        found = {f"batch_{what}": self.batch(what) for what in ("loss", "accuracy")}
        found |= {f"epoch_{which}": self.epoch(which) for which in self._epoch_values}
        return {name: list(zip(x.tolist(), y.tolist(), strict=True)) for name, (x, y) in found.items()}

    def as_csv(self) -> str:
        """All points as CSV text with ``CSV_COLUMNS``, in order of time."""
        rows: list[tuple[tuple[int, int], tuple[object, ...]]] = []
        batches = (self._batch_epoch, self._batch_step, self._batch_loss, self._batch_accuracy)
        for epoch, step, loss, accuracy in zip(*(growing.values.tolist() for growing in batches), strict=True):
            row = (int(epoch), int(step), "batch", _cell(loss), _cell(accuracy), "", "")
            rows.append(((int(epoch), int(step)), row))
        after_batches = self.steps_per_epoch + 1
        columns = (self._epoch, *self._epoch_values.values())
        for epoch, *values in zip(*(growing.values.tolist() for growing in columns), strict=True):
            rows.append(((int(epoch), after_batches), (int(epoch), "", "epoch", *map(_cell, values))))
        rows.sort(key=lambda row: row[0])
        return csv_text(CSV_COLUMNS, [row for _, row in rows])


def _fresh(weight: float) -> dict[str, Smoothed]:
    return {what: Smoothed(weight) for what in ("loss", "accuracy", "validation_loss", "validation_accuracy")}


def _cell(value: float) -> str:
    return f"{value:.7g}" if np.isfinite(value) else ""


def nice_range(low: float, high: float, *, now: tuple[float, float] | None = None) -> tuple[float, float]:
    """An axis range with round ends that holds ``low`` to ``high``, changed from ``now`` only when worth a jump."""
    if now is not None and now[0] <= low and high <= now[1] and high - low >= 0.45 * (now[1] - now[0]):
        return now
    span = max(high - low, 1e-6)
    step = 10.0 ** np.floor(np.log10(span))
    step *= 0.2 if span / step < 2 else 0.5 if span / step < 5 else 1.0
    return float(np.floor(low / step + 1e-9) * step), float(np.ceil(high / step - 1e-9) * step)
