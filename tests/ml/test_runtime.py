import subprocess
import sys
import threading

import pytest

from cnn_studio.core.job.events import DeviceChosen, DeviceKind, Message, Stage, StageStarted
from cnn_studio.ml import runtime
from cnn_studio.ml.acceleration import Acceleration


def run_python(code):
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False)


def test_first_start_reports_the_stage_and_nothing_reaches_stderr():
    code = """
import sys
from cnn_studio.ml.runtime import start, versions
found = versions()
assert "keras" not in sys.modules and "tensorflow" not in sys.modules
events = []
first = start(events.append)
second = start(events.append)
assert first == second
print([type(event).__name__ for event in events], found["keras"], sys.modules["keras"].__version__)
"""
    done = run_python(code)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    events, told, real = done.stdout.rsplit(maxsplit=2)
    assert events == str(["StageStarted", "DeviceChosen", "DeviceChosen"])
    assert told == real


def test_importing_runtime_and_model_file_does_not_import_keras():
    code = (
        "import sys, cnn_studio.ml.runtime, cnn_studio.ml.model_file;"
        "sys.exit(bool({'keras', 'tensorflow', 'h5py'} & set(sys.modules)))"
    )
    assert run_python(code).returncode == 0


def test_without_banners_drops_banners_only(capfd):
    import os

    from cnn_studio.ml.quiet_stderr import without_banners

    with without_banners():
        os.write(2, b"I0000 00:00:1795382501.781966    5982 port.cc:153] oneDNN custom operations are on.\n")
        os.write(2, b"a real problem\nunfinished")
    os.write(2, b" line\n")
    assert capfd.readouterr().err == "a real problem\nunfinished line\n"


def test_every_thread_is_prepared():
    import keras

    seen = []

    def job():
        runtime.start(lambda event: None)
        seen.append((keras.config.is_interactive_logging_enabled(), keras.config.dtype_policy().name))

    thread = threading.Thread(target=job)
    thread.start()
    thread.join()
    assert seen == [(False, "float32")]


@pytest.fixture
def one_gpu(monkeypatch):
    """A machine that lists one GPU; start has not been called in it."""
    monkeypatch.setattr(runtime, "_listed_gpus", lambda: ["Old GPU"])
    monkeypatch.setattr(runtime._Started, "device", None)
    monkeypatch.setattr(runtime._Started, "acceleration", Acceleration())
    monkeypatch.setattr(runtime, "_import_keras", lambda: None)


def start_on_a_thread():
    """start on a thread of its own, whose device scope ends with it."""
    import tensorflow as tf

    events, devices = [], []

    def job():
        devices.append((runtime.start(events.append), tf.constant(1.0).device))

    thread = threading.Thread(target=job)
    thread.start()
    thread.join()
    return events, *devices[0]


def test_gpu_that_fails_is_not_used_and_the_reason_is_told(one_gpu, monkeypatch):
    def fail(device):
        if device == "gpu:0":
            raise RuntimeError("no kernel image is available\nlong trace")

    monkeypatch.setattr(runtime, "_smoke_test", fail)
    events, device, placed = start_on_a_thread()
    assert device.kind is DeviceKind.CPU
    assert "Old GPU" in device.detail
    assert "no kernel image is available" in device.detail
    assert "long trace" not in device.detail
    assert "CPU:0" in placed
    assert [type(event) for event in events] == [StageStarted, Message, DeviceChosen]
    assert events[0] == StageStarted(Stage.START)


def test_gpu_that_hangs_is_not_used(one_gpu, monkeypatch):
    release = threading.Event()
    monkeypatch.setattr(runtime, "_smoke_test", lambda device: release.wait())
    monkeypatch.setattr(runtime, "SMOKE_TEST_SECONDS", 0.01)
    _, device, _ = start_on_a_thread()
    release.set()
    assert device.kind is DeviceKind.CPU
    assert "did not finish" in device.detail


def test_gpu_that_computes_is_used_in_the_way_that_suits_it(one_gpu, monkeypatch):
    monkeypatch.setattr(runtime, "_smoke_test", lambda device: None)
    chosen = Acceleration("mixed_bfloat16", jit_compile=True)
    monkeypatch.setattr(runtime, "choose_acceleration", lambda backend, *, on_gpu, gpus: chosen if on_gpu else None)
    events, device, _ = start_on_a_thread()
    assert (device.kind, device.name) == ("gpu", "Old GPU")
    assert events[-1] == DeviceChosen(DeviceKind.GPU, "Old GPU", device.detail)
    assert device.detail.endswith(chosen.sentence())
    assert runtime.acceleration() == chosen


def test_smoke_test_really_computes(monkeypatch):
    import keras

    runtime._smoke_test("cpu:0")
    monkeypatch.setattr(keras.Model, "train_on_batch", lambda *args: float("nan"))
    with pytest.raises(ArithmeticError, match="nan"):
        runtime._smoke_test("cpu:0")


def test_a_backend_that_is_missing_gets_a_sentence():
    done = run_python(
        "import os; os.environ['KERAS_BACKEND'] = 'nonsense'\n"
        "from cnn_studio.ml.runtime import start\n"
        "from cnn_studio.core.errors import TrainingError\n"
        "try:\n    start(lambda event: None)\nexcept TrainingError as error:\n    print(error)"
    )
    assert "nonsense" in done.stdout
    assert "KERAS_BACKEND" in done.stdout
