import keras
import numpy as np
import pytest

from cnn_studio.core.evaluation.input_range import InputRange
from cnn_studio.core.evaluation.measured import softmax
from cnn_studio.core.job.events import Progress, Stage, StageStarted
from cnn_studio.core.job.jobs import JobCancelled, JobContext
from cnn_studio.ml.evaluate import measure_model
from cnn_studio.ml.model_file import load_model
from cnn_studio.ml.pipeline import evaluation_batches


def test_a_model_is_measured_on_every_image_in_order(make_model, make_store, cancel):
    images, labels = make_store(21)
    model = make_model()
    rows = np.arange(21)[::-1].copy()
    events = []
    said = measure_model(model, evaluation_batches(images, rows, labels[rows], 8), JobContext(events.append, cancel))
    assert {found.dtype for found in (said.probabilities, said.logits, said.losses)} == {np.dtype(np.float32)}
    expected = model.predict(np.asarray(images)[rows], verbose=0)
    np.testing.assert_allclose(said.probabilities, expected, atol=1e-6)
    np.testing.assert_allclose(softmax(said.logits), expected, atol=1e-6)
    np.testing.assert_allclose(said.losses, -np.log(expected[np.arange(21), labels[rows]]), rtol=1e-4)
    assert events[0] == StageStarted(Stage.EVALUATE, 21)
    last = events[-1]
    assert isinstance(last, Progress)
    assert (last.done, last.total) == (21, 21)


def test_no_image_gives_no_row(make_model, make_store, cancel):
    images, labels = make_store(3)
    batches = evaluation_batches(images, np.zeros(0, np.int64), labels[:0], 8)
    said = measure_model(make_model(), batches, JobContext(cancel=cancel))
    assert (said.probabilities.shape, said.logits.shape, said.losses.shape) == ((0, 3), (0, 3), (0,))


def test_cancel_acts_within_a_batch(make_model, make_store, cancel, monkeypatch):
    images, labels = make_store(21)
    model = make_model()
    calls = []

    def predict(_, batch):
        calls.append(len(batch[0]))
        cancel.cancel()
        return np.zeros((len(batch[0]), 3)), np.zeros((len(batch[0]), 3)), np.zeros(len(batch[0]))

    monkeypatch.setattr(keras.Model, "predict_on_batch", predict)
    with pytest.raises(JobCancelled):
        measure_model(model, evaluation_batches(images, np.arange(21), labels, 8), JobContext(cancel=cancel))
    assert calls == [8]


def test_the_loss_of_a_sigmoid_that_takes_other_values_is_keras_s(make_store, cancel, tmp_path):
    """Very sure and wrong: from clipped probabilities it would be 16 at most."""
    images, labels = make_store(12)
    labels = labels % 2
    image = keras.Input((*np.asarray(images).shape[1:3], 3))
    pooled = keras.layers.GlobalAveragePooling2D()(image)
    made = keras.Model(
        image, keras.layers.Dense(1, "sigmoid", kernel_initializer=keras.initializers.Constant(60))(pooled)
    )
    made.compile(loss="binary_crossentropy")
    made.save(tmp_path / "made.keras")
    model, _ = load_model(tmp_path / "made.keras", input_range=InputRange.UNIT)
    rows = np.arange(12)
    said = measure_model(model, evaluation_batches(images, rows, labels, 8), JobContext(cancel=cancel))
    expected = made.evaluate(np.asarray(images)[rows] / np.float32(255), labels, verbose=0)
    assert expected > 20
    np.testing.assert_allclose(said.losses.mean(), expected, rtol=1e-4)
