"""What is said, before anything is made, of what memory cannot hold."""

import pytest

from cnn_studio.core.errors import TooLittleMemoryError
from cnn_studio.core.experiment.experiment import Experiment
from cnn_studio.core.experiment.layer_plan import plan_layers
from cnn_studio.ml import memory


def test_where_a_container_leaves_tensorflow_no_room_that_is_said_before_it_is_loaded(monkeypatch):
    monkeypatch.setattr(memory, "available_memory", lambda: 64_000_000)
    with pytest.raises(TooLittleMemoryError, match=r"TensorFlow alone takes 220 MB .* 64 MB are free") as caught:
        memory.check_start()
    assert "limit of the container" in caught.value.hint
    monkeypatch.setattr(memory, "available_memory", lambda: memory.START_BYTES)
    memory.check_start()


def test_a_refusal_says_what_would_be_free_for_a_network(monkeypatch):
    monkeypatch.setattr(memory, "total_memory", lambda: 10_000_000)
    experiment = Experiment()
    layers = plan_layers(experiment.architecture, experiment.image, 3)
    with pytest.raises(TooLittleMemoryError) as caught:
        memory.check_parameters(layers, experiment.image.height, experiment.image.width)
    needed = sum(layer.parameters for layer in layers) * memory.BYTES_PER_PARAMETER
    assert needed > 6_000_000
    assert f"takes {needed / 1e6:.0f} MB of memory; it may take 6 MB, 60 % of the 10 MB there are" in str(caught.value)


def test_sizes_are_never_none():
    sizes = (0, 40_000_000, 949_000_000, 960_000_000, 25_300_000_000)
    assert [memory.gigabytes(size) for size in sizes] == ["0 MB", "40 MB", "949 MB", "1.0 GB", "25.3 GB"]
