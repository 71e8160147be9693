"""A network trained in mixed precision is kept as one that computes with 32 bits, and answers the same."""

import keras
import numpy as np
import pytest

from cnn_studio import tasks
from cnn_studio.core.experiment.experiment import Experiment
from cnn_studio.core.experiment.settings import ImageSettings, Precision, TrainingSettings
from cnn_studio.core.image.decoder import read_image
from cnn_studio.core.job.jobs import JobContext
from cnn_studio.core.runs import run as runs
from cnn_studio.ml import train as ml_train


def test_mixed_precision(blobs, tmp_path, monkeypatch):
    policies = []
    original = ml_train.run_fit

    def fit(model, *arguments, **named):
        policies.append({layer.compute_dtype for layer in model.layers if isinstance(layer, keras.layers.Conv2D)})
        return original(model, *arguments, **named)

    monkeypatch.setattr(ml_train, "run_fit", fit)
    settings = Experiment(
        image=ImageSettings(height=32, width=32),
        training=TrainingSettings(epochs=3, batch_size=8, precision=Precision.MIXED),
    )
    dataset = tasks.scan(blobs, JobContext())
    trained = tasks.train(tasks.TrainRequest(dataset, settings, tmp_path / "run"), JobContext())
    assert policies == [{"bfloat16"}]
    model = keras.saving.load_model(trained.model)
    assert {layer.compute_dtype for layer in model.layers if layer.weights} == {"float32"}
    pairs = [
        (read_image(blobs / path, 32, 32), trained.facts.class_names.index(name))
        for path, name, split in runs.read_manifest(runs.read_run(trained.run))
        if split == "validation"
    ]
    images, labels = (np.stack(part) for part in zip(*pairs, strict=True))
    probabilities = model.predict_on_batch(images)
    losses = -np.log(probabilities[np.arange(len(labels)), labels])
    assert trained.validation.loss == pytest.approx(losses.mean(), rel=1e-4)
    assert trained.validation.accuracy == pytest.approx((probabilities.argmax(axis=1) == labels).mean())
