import keras
import numpy as np
import pytest

from cnn_studio.core.experiment.settings import FineTuningSettings, Schedule, StageSettings, TrainingSettings
from cnn_studio.ml.learning_rate import LearningRate, rate_callbacks

STEPS = 4  # batches an epoch


def rates(schedule, warm_up_epochs=0, epochs=4, validation_losses=None):
    """The learning rate of every batch of a training, as the optimizer had it."""
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    model.compile(keras.optimizers.SGD(0.7), "mse", jit_compile=False)
    settings = StageSettings(learning_rate=0.1, schedule=schedule, warm_up_epochs=warm_up_epochs, epochs=epochs)
    callback = LearningRate(settings, STEPS)
    callback.set_model(model)
    seen = []
    for epoch in range(epochs):
        for batch in range(STEPS):
            callback.on_train_batch_begin(batch)
            seen.append(float(model.optimizer.learning_rate))
        callback.on_epoch_end(epoch, {"val_loss": validation_losses[epoch] if validation_losses else 1.0})
    return np.array(seen)


def test_constant_stays():
    assert rates("constant") == pytest.approx(0.1)


@pytest.mark.parametrize("schedule", ["constant", "cosine", "plateau"])
def test_warm_up_rises_to_the_rate_in_equal_steps(schedule):
    seen = rates(schedule, warm_up_epochs=2)
    assert seen[:8] == pytest.approx(0.1 * np.arange(1, 9) / 8)
    assert seen[8] == pytest.approx(0.1)


def test_cosine_falls_from_the_rate_to_nearly_nothing_by_half_at_the_middle():
    seen = rates("cosine")
    assert seen[0] == pytest.approx(0.1)
    assert seen[8] == pytest.approx(0.05)
    assert 0 < seen[-1] < 0.002
    assert (np.diff(seen) < 0).all()


def test_cosine_after_a_warm_up_ends_as_low():
    seen = rates("cosine", warm_up_epochs=2)
    assert (np.diff(seen[8:]) < 0).all()
    assert seen[-1] < 0.005


def test_plateau_halves_after_two_epochs_without_gain():
    losses = [1.0, 0.9, 0.95, 0.92, 0.91, 0.8, 0.8, 0.8]
    by_epoch = rates("plateau", epochs=8, validation_losses=losses)[::STEPS]
    assert by_epoch == pytest.approx([0.1, 0.1, 0.1, 0.1, 0.05, 0.05, 0.05, 0.05])
    assert rates("plateau", epochs=9, validation_losses=[*losses, 0.8])[-1] == pytest.approx(0.025)


@pytest.mark.parametrize("settings", [TrainingSettings, FineTuningSettings])
def test_a_rate_that_stays_is_left_to_the_optimizer(settings):
    """So that a training without schedule is Keras's own."""
    assert rate_callbacks(settings(), STEPS) == []
    assert len(rate_callbacks(settings(warm_up_epochs=1), STEPS)) == 1
    for schedule in set(Schedule) - {Schedule.CONSTANT}:
        assert len(rate_callbacks(settings(schedule=schedule), STEPS)) == 1
