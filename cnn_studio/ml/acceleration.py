"""How a device is made to compute fastest: number type, XLA and several GPUs, decided by trying on the device itself.

What helps differs from card to card and from driver to driver, so nothing is assumed: once in a process, on a GPU, a
small convolutional network is trained for some steps in each way that works there, and the fastest is used. On a CPU
nothing is tried: 16-bit numbers are slower there, and XLA made epochs of the scratch networks two to four times slower
(TensorFlow 2.21); JAX computes by XLA in any case.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace

from cnn_studio.core.experiment.settings import Precision

FLOAT32, BFLOAT16, FLOAT16 = "float32", "mixed_bfloat16", "mixed_float16"

WORTH_IT = 0.9
"""Another way is taken when it needs less than this share of the time: less is within what such timings vary by."""

_TIMED_STEPS = 5
_SIDE, _BATCH, _FILTERS = 64, 32, 64  # enough work that a card is busy with it and not with starting kernels


@dataclass(frozen=True, slots=True)
class Acceleration:
    """How to compute.

    Attributes:
        policy: Keras's dtype policy for training. Weights are float32 in any of them.
        jit_compile: whether steps are compiled by XLA.
        devices: GPUs that share each batch; 1 for a single device.
    """

    policy: str = FLOAT32
    jit_compile: bool = False
    devices: int = 1

    @property
    def is_plain(self) -> bool:
        """Whether a network trained so is one that computes with 32 bits on one device."""
        return self.policy == FLOAT32 and self.devices == 1

    def sentence(self) -> str:
        """What is in use, in words; "" for nothing worth telling."""
        parts = []
        if self.policy != FLOAT32:
            parts.append("mixed precision (16-bit computation, 32-bit weights)")
        if self.jit_compile:
            parts.append("XLA")
        if self.devices > 1:
            parts.append(f"{self.devices} GPUs at once")
        return f"In use: {', '.join(parts)}." if parts else ""


@dataclass(frozen=True, slots=True)
class Way:
    """One way to compute that is tried."""

    policy: str
    jit_compile: bool


def ways_to_try(backend: str) -> tuple[Way, ...]:
    """The ways that are tried on a GPU, the plain one first; bfloat16, whose range is float32's, before float16."""
    compiled = (True,) if backend == "jax" else (False, True) if backend == "tensorflow" else (False,)
    return tuple(Way(policy, jit) for policy in (FLOAT32, BFLOAT16, FLOAT16) for jit in compiled)


def fastest(ways: Sequence[Way], seconds_of: Callable[[Way], float | None]) -> Way:
    """The way that is clearly faster than those before it in the list.

    Args:
        ways: what is tried, the plain one first.
        seconds_of: times a step; None where it does not work.
    """
    best, best_seconds = ways[0], seconds_of(ways[0])
    for way in ways[1:]:
        seconds = seconds_of(way)
        if seconds is not None and (best_seconds is None or seconds < WORTH_IT * best_seconds):
            best, best_seconds = way, seconds
    return best


def choose_acceleration(backend: str, *, on_gpu: bool, gpus: int) -> Acceleration:
    """Find out how this process computes fastest; takes some seconds on a GPU.

    Args:
        backend: Keras's.
        on_gpu: whether a GPU was found to work.
        gpus: how many the backend lists.
    """
    if not on_gpu:
        return Acceleration(jit_compile=backend == "jax")
    way = fastest(ways_to_try(backend), _seconds_of_a_step)
    # Keras spreads a batch over devices with JAX only; with TensorFlow the first GPU computes.
    return Acceleration(way.policy, way.jit_compile, gpus if backend == "jax" else 1)


def with_precision(acceleration: Acceleration, wanted: Precision) -> Acceleration:
    """What was found out, or what the user has asked for."""
    match wanted:
        case Precision.FULL:
            return replace(acceleration, policy=FLOAT32)
        case Precision.MIXED if acceleration.policy == FLOAT32:
            return replace(acceleration, policy=BFLOAT16)
    return acceleration


@contextmanager
def accelerated(acceleration: Acceleration) -> Iterator[None]:
    """Networks that are built inside compute in that way; afterwards this thread is back at 32 bits and one device."""
    import keras

    if acceleration.devices > 1:
        devices = keras.distribution.list_devices()[: acceleration.devices]
        keras.distribution.set_distribution(keras.distribution.DataParallel(devices=devices))
    keras.config.set_dtype_policy(acceleration.policy)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(FLOAT32)
        if acceleration.devices > 1:
            keras.distribution.set_distribution(None)


def _seconds_of_a_step(way: Way) -> float | None:
    """Median seconds of a training step of a small network on the present device; None when it fails."""
    import keras
    import numpy as np

    with suppress(Exception), accelerated(Acceleration(way.policy)):  # whatever a driver raises, that way does not work
        image = keras.Input((_SIDE, _SIDE, 3))
        tensor = keras.layers.Conv2D(_FILTERS, 3, padding="same", activation="relu")(image)
        for _ in range(3):
            tensor = keras.layers.Conv2D(_FILTERS, 3, padding="same", activation="relu")(tensor)
        tensor = keras.layers.GlobalAveragePooling2D()(tensor)
        model = keras.Model(image, keras.layers.Dense(10, activation="softmax", dtype="float32")(tensor))
        model.compile("sgd", "sparse_categorical_crossentropy", jit_compile=way.jit_compile)
        draw = np.random.default_rng(0)
        images = draw.random((_BATCH, _SIDE, _SIDE, 3), np.float32)
        labels = draw.integers(0, 10, _BATCH)
        times = []
        for step in range(_TIMED_STEPS + 2):
            began = time.perf_counter()
            loss = float(model.train_on_batch(images, labels))
            if step >= 2:  # the first compile
                times.append(time.perf_counter() - began)
        if np.isfinite(loss):
            return statistics.median(times)
    return None
