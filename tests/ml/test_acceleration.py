"""How a device is made to compute fastest, and that what is kept computes with 32 bits whatever it was trained with."""

import keras
import numpy as np
import pytest

from cnn_studio.core.experiment.settings import Precision
from cnn_studio.ml import acceleration
from cnn_studio.ml.acceleration import (
    BFLOAT16,
    FLOAT16,
    FLOAT32,
    Acceleration,
    Way,
    accelerated,
    choose_acceleration,
    fastest,
    ways_to_try,
    with_precision,
)
from cnn_studio.ml.pipeline import evaluation_batches, training_batches


def test_on_a_cpu_nothing_is_tried(monkeypatch):
    monkeypatch.setattr(acceleration, "_seconds_of_a_step", lambda _: pytest.fail("it was tried"))
    assert choose_acceleration("tensorflow", on_gpu=False, gpus=0) == Acceleration()
    assert choose_acceleration("jax", on_gpu=False, gpus=0) == Acceleration(jit_compile=True)


def tried(monkeypatch, times, backend="tensorflow", gpus=1):
    monkeypatch.setattr(acceleration, "_seconds_of_a_step", lambda way: times.get((way.policy, way.jit_compile)))
    return choose_acceleration(backend, on_gpu=True, gpus=gpus)


def test_on_a_gpu_the_fastest_way_that_works_is_used(monkeypatch):
    times = {(FLOAT32, False): 1.0, (FLOAT32, True): 0.8, (BFLOAT16, False): 0.5, (BFLOAT16, True): 0.3}
    assert tried(monkeypatch, times) == Acceleration(BFLOAT16, True)
    # An older card: no bfloat16, and no XLA for want of libdevice.
    assert tried(monkeypatch, {(FLOAT32, False): 1.0, (FLOAT16, False): 0.4}) == Acceleration(FLOAT16, False)
    # Nothing gains enough to be more than noise.
    assert tried(monkeypatch, {(FLOAT32, False): 1.0, (FLOAT32, True): 0.95, (BFLOAT16, False): 0.91}) == Acceleration()
    # Half precision is no faster than bfloat16, whose range is that of float32.
    assert (
        tried(monkeypatch, {(FLOAT32, False): 1.0, (BFLOAT16, False): 0.5, (FLOAT16, False): 0.48}).policy == BFLOAT16
    )


def test_several_gpus_share_batches_where_keras_can(monkeypatch):
    assert tried(monkeypatch, {(FLOAT32, True): 1.0}, "jax", gpus=2) == Acceleration(FLOAT32, True, devices=2)
    assert tried(monkeypatch, {(FLOAT32, False): 1.0}, gpus=2).devices == 1


def test_a_way_that_fails_is_none_and_the_plain_one_stays():
    assert fastest(ways_to_try("tensorflow"), lambda _: None) == Way(FLOAT32, jit_compile=False)


@pytest.mark.parametrize("policy", [FLOAT32, BFLOAT16])
def test_a_way_is_timed_by_training_with_it(policy, monkeypatch):
    for size in ("_SIDE", "_BATCH", "_FILTERS"):  # a processor that has no such numbers takes minutes for a card's work
        monkeypatch.setattr(acceleration, size, 8)
    seconds = acceleration._seconds_of_a_step(Way(policy, jit_compile=False))
    assert seconds is not None
    assert seconds > 0
    assert keras.config.dtype_policy().name == FLOAT32, "and the thread is as it was"
    assert acceleration._seconds_of_a_step(Way("mixed_nonsense", jit_compile=False)) is None


def test_what_is_in_use_is_said():
    assert Acceleration().sentence() == ""
    said = Acceleration(FLOAT16, jit_compile=True, devices=2).sentence()
    assert said == "In use: mixed precision (16-bit computation, 32-bit weights), XLA, 2 GPUs at once."


def test_the_users_wish_comes_first():
    found = Acceleration(FLOAT16, jit_compile=True)
    assert with_precision(found, Precision.AUTO) == found
    assert with_precision(found, Precision.FULL) == Acceleration(FLOAT32, jit_compile=True)
    assert with_precision(found, Precision.MIXED) == found
    assert with_precision(Acceleration(), Precision.MIXED) == Acceleration(BFLOAT16)


def test_a_thread_is_back_at_32_bits_after_an_error():
    with pytest.raises(RuntimeError), accelerated(Acceleration(BFLOAT16)):
        assert keras.config.dtype_policy().name == BFLOAT16
        raise RuntimeError
    assert keras.config.dtype_policy().name == FLOAT32


# -- batches that several devices can share --------------------------------------------------------------------------


@pytest.fixture
def images():
    return np.arange(23, dtype=np.uint8)[:, None, None, None] * np.ones((1, 2, 2, 3), np.uint8)


def test_training_batches_are_whole_and_other_images_sit_out_each_time(images):
    labels = np.zeros(23, np.int32)
    batches = training_batches(images, np.arange(23), labels, 7, 0, multiple=4)
    passes = [[part.numpy()[:, 0, 0, 0] for part, _ in batches] for _ in range(2)]
    for seen in passes:
        assert [len(part) for part in seen] == [4] * 5
        assert len(np.unique(np.concatenate(seen))) == 20
    assert set(np.concatenate(passes[0])) != set(np.concatenate(passes[1]))
    assert (batches.steps, batches.images) == (5, 20)
    few = training_batches(images, np.arange(9), labels[:9], 32, 0, multiple=2)
    assert (few.steps, few.images) == (1, 8)


def test_evaluation_batches_repeat_the_last_image_until_they_are_even(images):
    batches = evaluation_batches(images, np.arange(23), np.zeros(23, np.int32), 9, multiple=4)
    seen = [part.numpy()[:, 0, 0, 0].tolist() for part, _ in batches]
    assert [len(part) for part in seen] == [8, 8, 8]
    assert [number for part in seen for number in part] == [*range(23), 22]
