"""Start Keras and find out what really computes.

TensorFlow must be told of memory growth before its first operation, gives GPU memory back only when the process ends,
and lists GPUs that cannot compute (old driver, unknown compute capability, missing libdevice: tensorflow#89272,
#62320). So a GPU is used only after one small training step on it gave a finite answer in time.
"""

from __future__ import annotations

import importlib.metadata
import os
import platform
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from cnn_studio import __version__
from cnn_studio.core.errors import TrainingError
from cnn_studio.core.job.events import DeviceChosen, DeviceKind, Message, Stage, StageStarted
from cnn_studio.core.job.jobs import Report
from cnn_studio.ml.acceleration import Acceleration, choose_acceleration
from cnn_studio.ml.memory import check_start
from cnn_studio.ml.quiet_stderr import without_banners

SMOKE_TEST_SECONDS = 90.0
"""A GPU that takes longer for one small step is compiling every kernel anew; the CPU is faster."""

_BACKENDS = ("tensorflow", "jax", "torch")


@dataclass(frozen=True, slots=True)
class Device:
    """What computes.

    Attributes:
        kind: which of the two.
        name: short, for the title bar: "NVIDIA H100", "CPU · 2 cores".
        detail: a sentence that says why this one.
    """

    kind: DeviceKind
    name: str
    detail: str


class _Started:
    """What ``start`` found, once per process."""

    lock = threading.Lock()
    device: Device | None = None
    acceleration: Acceleration = Acceleration()
    on_thread = threading.local()


def start(report: Report) -> Device:
    """Make this thread ready for a job that uses Keras; the first call in a process imports and tests it.

    Call it at the beginning of every job, on the job's thread: parts of Keras's global state are thread-local.

    Args:
        report: told ``StageStarted(START)`` by the first call, and ``DeviceChosen`` by every call.

    Returns:
        What computes.

    Raises:
        TooLittleMemoryError: there is not enough memory for TensorFlow itself.
        TrainingError: Keras or its backend cannot be imported.
    """
    with _Started.lock:
        if _Started.device is None:
            check_start()
            report(StageStarted(Stage.START))
            _set_environment()
            with without_banners():
                _import_keras()
                _Started.device, _Started.acceleration = _accelerated(_choose_device(report))
        device = _Started.device
    _prepare_thread(device)
    report(DeviceChosen(device.kind, device.name, device.detail))
    return device


def computes_on_gpu() -> bool:
    """Whether ``start`` chose a GPU."""
    return _Started.device is not None and _Started.device.kind is DeviceKind.GPU


def acceleration() -> Acceleration:
    """How networks are trained fastest on what ``start`` chose."""
    return _Started.acceleration


def versions() -> dict[str, str]:
    """Versions of what a result depends on, without importing any of it; "missing" where something is not there."""
    found = {"cnn_studio": __version__, "python": platform.python_version()}
    backend = os.environ.get("KERAS_BACKEND", "tensorflow")
    for name in dict.fromkeys(("keras", "tensorflow", backend, "numpy", "pillow")):
        found[name] = _version(name)
    return found


def _version(name: str) -> str:
    # The CPU build of TensorFlow is another distribution with the same module.
    for distribution in (name, f"{name}_cpu"):
        try:
            return importlib.metadata.version(distribution)
        except importlib.metadata.PackageNotFoundError:
            continue
    return "missing"


def _set_environment() -> None:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    # A GPU shared with the desktop: take what is needed, not all of it.
    os.environ.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")


def _import_keras() -> None:
    try:
        import tensorflow as tf

        if os.environ["KERAS_BACKEND"] == "tensorflow":
            for gpu in tf.config.list_physical_devices("GPU"):
                tf.config.experimental.set_memory_growth(gpu, True)
        else:
            # TensorFlow only feeds the data here; the GPU belongs to the backend.
            tf.config.set_visible_devices([], "GPU")
        import keras

        keras.config.set_image_data_format("channels_last")
    except Exception as error:
        backend = os.environ["KERAS_BACKEND"]
        raise TrainingError(
            f"Keras could not be started with its backend {backend!r}: {_first_line(error)}.",
            hint=f"Install cnn-studio again, or set KERAS_BACKEND to one of {', '.join(_BACKENDS)} that is installed.",
        ) from error


def _prepare_thread(device: Device) -> None:
    import keras

    keras.config.disable_interactive_logging()
    keras.config.set_dtype_policy("float32")
    if _listed_gpus() and device.kind is DeviceKind.CPU and not getattr(_Started.on_thread, "on_cpu", False):
        # Once TensorFlow has touched a GPU it cannot be hidden any more; the device scope is thread-local and, never
        # left, holds for whatever this thread builds and runs.
        keras.device("cpu:0").__enter__()
        _Started.on_thread.on_cpu = True


def _choose_device(report: Report) -> Device:
    cores = _cores()
    cpu_name = f"CPU · {cores} core{'s' if cores > 1 else ''}"
    cpu_words = f"CPU with {cores} core{'s' if cores > 1 else ''}"
    gpus = _listed_gpus()
    if not gpus:
        _smoke_test("cpu:0")
        return Device(DeviceKind.CPU, cpu_name, f"{cpu_words}: no GPU was found.")
    name = gpus[0]
    problem = _within(SMOKE_TEST_SECONDS, lambda: _smoke_test("gpu:0"))
    if not problem:
        return Device(DeviceKind.GPU, name, f"{name}: it computed a test step correctly.")
    detail = f"{cpu_words}: the GPU {name} is there but {problem}."
    report(Message(f"The GPU {name} cannot be used ({problem}), so the CPU is."))
    return Device(DeviceKind.CPU, cpu_name, detail)


def _accelerated(device: Device) -> tuple[Device, Acceleration]:
    """How to compute on a device, and the device with that in its sentence."""
    import keras

    on_gpu = device.kind is DeviceKind.GPU
    chosen = choose_acceleration(keras.backend.backend(), on_gpu=on_gpu, gpus=len(_listed_gpus()) if on_gpu else 0)
    said = chosen.sentence() if on_gpu else ""
    return replace(device, detail=f"{device.detail} {said}".strip()), chosen


def _cores() -> int:
    """Cores this process may use."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not Linux
        return os.cpu_count() or 1


def _listed_gpus() -> list[str]:
    """Names of the GPUs that the backend lists, usable or not."""
    import keras

    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        found = tf.config.get_visible_devices("GPU")
        return [str(tf.config.experimental.get_device_details(gpu).get("device_name", "GPU")) for gpu in found]
    try:
        return [f"GPU ({name})" for name in keras.distribution.list_devices("gpu")]
    except (AttributeError, NotImplementedError, RuntimeError, ValueError):  # how JAX and others say "none"
        return []


def _within(seconds: float, attempt: Callable[[], None]) -> str:
    """Run ``attempt`` on a thread of its own; "" when it ended well in time, else what went wrong."""
    problems: list[str] = []

    def run() -> None:
        try:
            attempt()
        except Exception as error:  # noqa: BLE001 -- whatever a driver raises is the answer asked for
            problems.append(f"failed a test step: {_first_line(error)}")

    thread = threading.Thread(target=run, name="gpu-smoke-test", daemon=True)
    started = time.monotonic()
    thread.start()
    thread.join(seconds)
    if thread.is_alive():
        return f"did not finish a test step in {time.monotonic() - started:.0f} seconds"
    return problems[0] if problems else ""


def _smoke_test(device: str) -> None:
    """One training step of a convolution and a dense layer; raises when it fails or gives no finite number."""
    import keras
    import numpy as np

    with keras.device(device):
        model = keras.Sequential(
            [
                keras.Input((8, 8, 3)),
                keras.layers.Conv2D(4, 3, activation="relu"),
                keras.layers.Flatten(),
                keras.layers.Dense(2, activation="softmax"),
            ]
        )
        model.compile("sgd", "sparse_categorical_crossentropy", jit_compile=False)
        loss = model.train_on_batch(np.ones((2, 8, 8, 3), "float32"), np.array([0, 1], "int32"))
    if not np.isfinite(loss):
        raise ArithmeticError(f"the loss of a test step is {loss}")


def _first_line(error: BaseException) -> str:
    text = str(error).strip() or type(error).__name__
    return text.splitlines()[0][:200].rstrip(".")
