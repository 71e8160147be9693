import errno

import keras
import numpy as np
import pytest

from cnn_studio.core.errors import TrainingError
from cnn_studio.core.experiment.settings import TrainingSettings
from cnn_studio.core.job.events import BatchEnded, EpochEnded, Message, Progress, Stage, StageStarted, TrainingStarted
from cnn_studio.core.job.jobs import JobCancelled, JobContext
from cnn_studio.ml import memory, train
from cnn_studio.ml.pipeline import balanced_class_weights, evaluation_batches, training_batches
from cnn_studio.ml.train import fit_model


@pytest.fixture
def batches(make_store):
    """30 images to train on in batches of 8 (the last of 6), 12 to validate on in batches of 8."""
    images, labels = make_store(42)
    return (
        training_batches(images, np.arange(30), labels[:30], 8, seed=3),
        evaluation_batches(images, np.arange(30, 42), labels[30:], 8),
    )


@pytest.fixture
def checkpoint(tmp_path):
    return tmp_path / "run" / "best.weights.h5"


def settings(**changes):
    return TrainingSettings(**{"epochs": 3, "learning_rate": 0.01, "batch_size": 8, **changes})


def validation_loss(model, validation):
    pairs = [(model.predict_on_batch(images), labels.numpy()) for images, labels in validation]
    probabilities, labels = (np.concatenate(parts) for parts in zip(*pairs, strict=True))
    return -np.log(probabilities[np.arange(len(labels)), labels]).mean()


def test_events_and_history(make_model, batches, checkpoint, cancel):
    events = []
    history = fit_model(make_model(), settings(), *batches, checkpoint, JobContext(events.append, cancel))
    assert events[0] == StageStarted(Stage.TRAIN, 3 * (4 + 2))
    assert events[1] == TrainingStarted(3, 4, 30, 12, make_model().count_params())
    steps = [(event.epoch, event.step) for event in events if isinstance(event, BatchEnded)]
    assert steps == [(epoch, step) for epoch in (1, 2, 3) for step in (1, 2, 3, 4)]
    ended = [event for event in events if isinstance(event, EpochEnded)]
    for event, record in zip(ended, history.epochs, strict=True):
        assert (event.loss, event.val_accuracy, event.seconds) == (record.loss, record.val_accuracy, record.seconds)
    best = min(history.epochs, key=lambda record: record.val_loss)
    assert history.best is best
    assert [event.epoch for event in ended if event.best][-1] == history.best_epoch
    assert history.ended == "completed"
    progress = [event for event in events if isinstance(event, Progress)]
    assert progress[0].rate == 0, "the first batch is mostly tracing: no time left can be told from it"
    assert progress[-1] == Progress(Stage.TRAIN, 18, 18, unit="batches")
    assert all(
        isinstance(event.loss, float) and event.seconds_left >= 0 for event in events[2:] if hasattr(event, "step")
    )


def test_a_batch_reports_its_own_figures(make_model, make_store, checkpoint, cancel):
    """Against Keras's own test step on each batch, with weights that do not move."""
    images, labels = make_store(30)
    weights = balanced_class_weights(np.array([0, 0, 0, 1, 1, 2], np.int32), 3)
    training = training_batches(images, np.arange(30), labels, 8, 3, weights)
    direct = list(training_batches(images, np.arange(30), labels, 8, 3, weights))
    events = []
    model = make_model()
    fit_model(
        model,
        settings(epochs=1, learning_rate=1e-30),
        training,
        evaluation_batches(images, np.arange(6), labels[:6], 6),
        checkpoint,
        JobContext(events.append, cancel),
    )
    reported = [event for event in events if isinstance(event, BatchEnded)]
    for event, (pictures, truth, weight) in zip(reported, direct, strict=True):
        probabilities = model.predict_on_batch(pictures)
        own = -np.log(probabilities[np.arange(len(truth)), truth.numpy()]) * weight.numpy()
        assert event.loss == pytest.approx(own.mean(), rel=1e-4)
        assert event.accuracy == pytest.approx((probabilities.argmax(1) == truth.numpy()).mean())
    epoch = next(event for event in events if isinstance(event, EpochEnded))
    sizes = [8, 8, 8, 6]
    assert epoch.loss == pytest.approx(sum(e.loss * n for e, n in zip(reported, sizes, strict=True)) / 30)


@pytest.mark.parametrize("optimizer", ["adam", "sgd", "rmsprop"])
def test_every_optimizer_learns(make_model, make_store, checkpoint, cancel, optimizer):
    images, labels = make_store(60)
    training = training_batches(images, np.arange(60), labels, 10, 0)
    validation = evaluation_batches(images, np.arange(60), labels, 30)
    rate = 0.1 if optimizer == "sgd" else 0.02
    history = fit_model(
        make_model(),
        settings(optimizer=optimizer, learning_rate=rate, epochs=10, early_stopping=False),
        training,
        validation,
        checkpoint,
        JobContext(cancel=cancel),
    )
    assert history.best.val_loss < 0.7 * history.epochs[0].loss
    assert history.best.val_accuracy >= 0.6


def test_same_seed_same_history(make_model, make_store, tmp_path, cancel):
    images, labels = make_store(42)

    def run(name, seed):
        history = fit_model(
            make_model(seed=seed),
            settings(epochs=2),
            training_batches(images, np.arange(30), labels[:30], 8, seed),
            evaluation_batches(images, np.arange(30, 42), labels[30:], 8),
            tmp_path / f"{name}.weights.h5",
            JobContext(cancel=cancel),
        )
        return [figure for record in history.epochs for figure in (record.loss, record.val_loss)]

    first = run("a", 1)
    np.testing.assert_allclose(run("b", 1), first, rtol=1e-4)
    assert not np.allclose(run("c", 2), first, rtol=1e-4)


def test_without_a_schedule_training_is_keras_own_fit(make_model, make_store, checkpoint, cancel):
    """Bit for bit: one epoch, whose weights are kept, against a plain ``fit`` on the same batches."""
    images, labels = make_store(42)

    def batches():
        validation = evaluation_batches(images, np.arange(30, 42), labels[30:], 8)
        return training_batches(images, np.arange(30), labels[:30], 8, seed=3), validation

    ours, plain = make_model(seed=5), make_model(seed=5)
    fit_model(ours, settings(epochs=1), *batches(), checkpoint, JobContext(cancel=cancel))
    plain.compile(keras.optimizers.Adam(0.01), "sparse_categorical_crossentropy", jit_compile=False)
    training, validation = batches()
    plain.fit(training.dataset, epochs=1, validation_data=validation.dataset, shuffle=False, verbose=0)
    for kept, expected in zip(ours.get_weights(), plain.get_weights(), strict=True):
        np.testing.assert_array_equal(kept, expected)


@pytest.mark.parametrize("schedule", ["constant", "cosine", "plateau"])
def test_the_learning_rate_of_every_step_follows_the_schedule(
    make_model, batches, checkpoint, cancel, monkeypatch, schedule
):
    """Two epochs of warm-up and four more, of four steps, as the optimizer had it when each step was over."""
    rates = []
    original = train.TrainingWatch.on_train_batch_end

    def end(self, batch, logs=None):
        rates.append(float(self.model.optimizer.learning_rate))
        original(self, batch, logs)

    monkeypatch.setattr(train.TrainingWatch, "on_train_batch_end", end)
    chosen = settings(schedule=schedule, warm_up_epochs=2, epochs=6, early_stopping=False)
    history = fit_model(make_model(), chosen, *batches, checkpoint, JobContext(cancel=cancel))
    after = np.arange(16)
    factor = np.ones(16)
    if schedule == "cosine":
        factor = (1 + np.cos(np.pi * after / 16)) / 2
    elif schedule == "plateau":
        losses = [record.val_loss for record in history.epochs]
        assert min(losses) == losses[-1], "it learns until the end, so the rate stays"
    np.testing.assert_allclose(rates, 0.01 * np.concatenate([np.arange(1, 9) / 8, factor]), rtol=1e-6)


class At:
    """Calls ``act`` at the n-th event of a kind and keeps every event."""

    def __init__(self, kind, count, act):
        self.kind, self.count, self.act, self.events = kind, count, act, []

    def __call__(self, event):
        self.events.append(event)
        if isinstance(event, self.kind):
            self.count -= 1
            if self.count == 0:
                self.act()


def test_stop_in_the_first_epoch_acts_within_a_batch_and_keeps_the_weights(make_model, batches, checkpoint, cancel):
    model = make_model()
    before = model.get_weights()
    report = At(BatchEnded, 2, cancel.stop)
    history = fit_model(model, settings(), *batches, checkpoint, JobContext(report, cancel))
    assert (history.epochs, history.best_epoch, history.best, history.ended) == ((), 0, None, "stopped")
    assert sum(isinstance(event, BatchEnded) for event in report.events) == 2
    assert any(not np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True))
    assert not checkpoint.exists()


def test_stop_in_a_later_epoch_gives_the_best_one_back(make_model, batches, checkpoint, cancel):
    model = make_model()
    report = At(BatchEnded, 10, cancel.stop)  # the second batch of epoch 3
    history = fit_model(model, settings(epochs=50), *batches, checkpoint, JobContext(report, cancel))
    assert (len(history.epochs), history.ended) == (2, "stopped")
    assert validation_loss(model, batches[1]) == pytest.approx(history.best.val_loss, rel=1e-4)


def during_validation(monkeypatch, act, number=1):
    """Calls ``act`` at the beginning of the n-th validation batch; gives the list of those begun."""
    begun = []
    original = train.TrainingWatch.on_test_batch_begin

    def begin(self, batch, logs=None):
        begun.append(batch)
        if len(begun) == number:
            act()
        original(self, batch, logs)

    monkeypatch.setattr(train.TrainingWatch, "on_test_batch_begin", begin)
    return begun


def test_stop_acts_within_a_batch_of_validation(make_model, batches, checkpoint, cancel, monkeypatch):
    begun = during_validation(monkeypatch, cancel.stop)
    history = fit_model(make_model(), settings(), *batches, checkpoint, JobContext(cancel=cancel))
    assert begun == [0]
    assert (history.best_epoch, history.ended) == (0, "stopped")


def test_cancel_acts_within_a_batch_of_validation(make_model, batches, checkpoint, cancel, monkeypatch):
    begun = during_validation(monkeypatch, cancel.cancel, number=3)
    with pytest.raises(JobCancelled):
        fit_model(make_model(), settings(), *batches, checkpoint, JobContext(cancel=cancel))
    assert begun == [0, 1, 0]


def test_cancel_acts_within_a_training_batch_and_before_the_first(make_model, batches, checkpoint, cancel):
    report = At(BatchEnded, 2, cancel.cancel)
    with pytest.raises(JobCancelled):
        fit_model(make_model(), settings(), *batches, checkpoint, JobContext(report, cancel))
    assert sum(isinstance(event, BatchEnded) for event in report.events) == 2
    late = []
    with pytest.raises(JobCancelled):
        fit_model(make_model(), settings(), *batches, checkpoint, JobContext(late.append, cancel))
    assert late == []


def worse_after(epoch, monkeypatch):
    """Makes every validation loss after ``epoch`` worse than the one before, whatever the weights."""
    original = train.TrainingWatch.on_epoch_end

    def end(self, number, logs=None):
        loss = 1.0 / (number + 1) if number < epoch else 10.0 + number
        original(self, number, {**logs, "val_loss": loss})

    monkeypatch.setattr(train.TrainingWatch, "on_epoch_end", end)


def test_early_stopping_waits_for_the_patience_and_keeps_the_best(make_model, batches, checkpoint, cancel, monkeypatch):
    worse_after(2, monkeypatch)
    kept = {}
    model = make_model()
    original = train.BestWeights.keep

    def keep(self, epoch):
        kept[epoch] = model.get_weights()
        original(self, epoch)

    monkeypatch.setattr(train.BestWeights, "keep", keep)
    history = fit_model(model, settings(epochs=20, patience=3), *batches, checkpoint, JobContext(cancel=cancel))
    assert (len(history.epochs), history.best_epoch, history.ended) == (5, 2, "early_stopping")
    assert list(kept) == [1, 2]
    assert all(np.array_equal(a, b) for a, b in zip(kept[2], model.get_weights(), strict=True))
    assert checkpoint.is_file()
    assert [path.name for path in checkpoint.parent.iterdir()] == [checkpoint.name]


@pytest.mark.parametrize(("epochs", "early_stopping"), [(4, False), (3, True)])
def test_no_early_stopping_when_it_is_off_or_the_epochs_are_over(
    make_model, batches, checkpoint, cancel, monkeypatch, epochs, early_stopping
):
    worse_after(1, monkeypatch)
    history = fit_model(
        make_model(),
        settings(epochs=epochs, patience=2, early_stopping=early_stopping),
        *batches,
        checkpoint,
        JobContext(cancel=cancel),
    )
    assert (len(history.epochs), history.best_epoch, history.ended) == (epochs, 1, "completed")


def test_the_checkpoint_alone_brings_the_best_model_back(make_model, batches, checkpoint, cancel):
    history = fit_model(make_model(), settings(), *batches, checkpoint, JobContext(cancel=cancel))
    survivor = make_model(seed=9)
    survivor.load_weights(checkpoint)
    assert validation_loss(survivor, batches[1]) == pytest.approx(history.best.val_loss, rel=1e-4)


def test_a_full_disk_loses_nothing(make_model, batches, checkpoint, cancel, monkeypatch):
    def full(self, content):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("pathlib.Path.write_bytes", full)
    events = []
    model = make_model()
    history = fit_model(model, settings(), *batches, checkpoint, JobContext(events.append, cancel))
    messages = [event.text for event in events if isinstance(event, Message)]
    assert len(messages) == 1
    assert "disk is full" in messages[0]
    assert validation_loss(model, batches[1]) == pytest.approx(history.best.val_loss, rel=1e-4)


def test_a_run_folder_that_goes_away_loses_nothing(make_model, batches, tmp_path, cancel):
    blocked = tmp_path / "file"
    blocked.write_text("in the way")
    events = []
    history = fit_model(make_model(), settings(), *batches, blocked / "b.weights.h5", JobContext(events.append, cancel))
    assert history.best_epoch > 0
    assert sum(isinstance(event, Message) for event in events) == 1


def test_divergence_names_the_learning_rate(make_model, batches, checkpoint, cancel, monkeypatch):
    model = make_model()
    model.set_weights([np.full_like(weight, np.nan) for weight in model.get_weights()])
    with pytest.raises(TrainingError, match=r"loss became nan at epoch 1, batch 1.*smaller learning rate") as caught:
        fit_model(model, settings(), *batches, checkpoint, JobContext(cancel=cancel))
    assert caught.value.field == "training.learning_rate"
    assert "0.001" in caught.value.hint


def test_divergence_after_a_good_epoch_keeps_it(make_model, batches, checkpoint, cancel):
    model = make_model()

    def break_it():
        model.set_weights([np.full_like(weight, np.nan) for weight in model.get_weights()])

    report = At(EpochEnded, 2, break_it)
    history = fit_model(model, settings(), *batches, checkpoint, JobContext(report, cancel))
    assert (len(history.epochs), history.ended) == (2, "early_stopping")
    assert any("nan" in event.text for event in report.events if isinstance(event, Message))
    assert validation_loss(model, batches[1]) == pytest.approx(history.best.val_loss, rel=1e-4)


class ResourceExhaustedError(Exception):
    """Named as TensorFlow names it."""


@pytest.mark.parametrize(
    "error",
    [
        ResourceExhaustedError("OOM when allocating tensor with shape[32,128]"),
        MemoryError(),
        RuntimeError("XLA: RESOURCE_EXHAUSTED: Out of memory while trying to allocate 7 bytes"),
        RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB"),
    ],
    ids=lambda error: str(error)[:12] or "MemoryError",
)
def test_out_of_memory_gets_a_sentence(make_model, batches, checkpoint, cancel, monkeypatch, error):
    def fail(self, *args, **kwargs):
        raise error

    monkeypatch.setattr(keras.Model, "fit", fail)
    with pytest.raises(TrainingError, match="batch of 8 images at 16 × 16 pixels") as caught:
        fit_model(make_model(), settings(), *batches, checkpoint, JobContext(cancel=cancel))
    assert caught.value.field == "training.batch_size"
    assert "smaller batch size" in caught.value.hint


def test_a_bug_is_not_taken_for_a_lack_of_memory(make_model, batches, checkpoint, cancel, monkeypatch):
    def fail(self, *args, **kwargs):
        raise KeyError("x")

    monkeypatch.setattr(keras.Model, "fit", fail)
    with pytest.raises(KeyError):
        fit_model(make_model(), settings(), *batches, checkpoint, JobContext(cancel=cancel))


def test_a_batch_that_cannot_fit_is_refused_before_it_is_tried(make_model, batches, checkpoint, cancel, monkeypatch):
    monkeypatch.setattr(memory, "available_memory", lambda: 1000)
    monkeypatch.setattr(keras.Model, "fit", lambda *args, **kwargs: pytest.fail("was tried"))
    with pytest.raises(TrainingError, match="batch of 8 images at 16 × 16 pixels: it takes") as caught:
        fit_model(make_model(), settings(), *batches, checkpoint, JobContext(cancel=cancel))
    assert caught.value.field == "training.batch_size"
