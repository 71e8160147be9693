"""The loss of a model and its pictures is the one that plain Keras's ``evaluate`` gives, however sure the model is."""

import csv
import json

import keras
import numpy as np
import pytest
from PIL import Image

from cnn_studio import tasks
from cnn_studio.core.data.image_file import Split
from cnn_studio.core.job.jobs import JobContext

layers = keras.layers
SIDE = 6
CLASSES = ("dark", "grey", "light")


@pytest.fixture
def pictures(tmp_path):
    """A folder of pictures of one colour each, half of them in a class that they do not look like."""
    draw = np.random.default_rng(3)
    root = tmp_path / "pictures"
    for label, name in enumerate(CLASSES):
        (root / name).mkdir(parents=True)
        for number in range(7):
            shade = np.clip((label if number % 2 else 2 - label) * 100 + draw.integers(-60, 60, 3), 0, 255)
            pixels = np.broadcast_to(shade.astype(np.uint8), (SIDE, SIDE, 3))
            Image.fromarray(pixels).save(root / name / f"{number}.png")
    return root


def read(folder, names):
    """(pixels, labels) of all pictures, read by nothing of ours."""
    files = [(file, label) for label, name in enumerate(names) for file in sorted((folder / name).glob("*.png"))]
    return np.stack([np.asarray(Image.open(file)) for file, _ in files]), np.array([label for _, label in files])


def by_keras(path, folder, names, loss):
    model = keras.saving.load_model(path)
    model.compile(loss=loss, jit_compile=False)
    pixels, labels = read(folder, names)
    return model.evaluate(pixels.astype("float32"), labels, verbose=0)


def dense(outputs, strength, activation):
    """Flatten and a dense layer whose weights make logits of about ``strength``."""
    draw = np.random.default_rng(1)
    layer = layers.Dense(outputs, activation=activation)
    made = keras.Sequential([keras.Input((SIDE, SIDE, 3)), layers.Rescaling(1 / 255), layers.Flatten(), layer])
    layer.set_weights([draw.normal(0, strength / 3, layer.kernel.shape), draw.normal(0, strength, outputs)])
    return made


def averaged(strength):
    """Probabilities that come straight from no softmax, so that Keras clips them."""
    image = keras.Input((SIDE, SIDE, 3))
    return keras.Model(image, layers.Average()([dense(3, strength, "softmax")(image) for _ in range(2)]))


def separate(strength):
    made = keras.Sequential([dense(3, strength, None), layers.Activation("softmax")])
    return keras.Sequential([keras.Input((SIDE, SIDE, 3)), made])


NETWORKS = {
    "softmax": (lambda strength: dense(3, strength, "softmax"), "sparse_categorical_crossentropy"),
    "nested": (separate, "sparse_categorical_crossentropy"),
    "average": (averaged, "sparse_categorical_crossentropy"),
    "logits": (
        lambda strength: dense(3, strength, None),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    ),
    "sigmoid": (lambda strength: dense(1, strength, "sigmoid"), "binary_crossentropy"),
    "one logit": (lambda strength: dense(1, strength, None), keras.losses.BinaryCrossentropy(from_logits=True)),
}


@pytest.mark.parametrize("strength", [1, 60])
@pytest.mark.parametrize("kind", NETWORKS)
def test_a_model_made_elsewhere(kind, strength, pictures, tmp_path):
    make, loss = NETWORKS[kind]
    model, path = make(strength), tmp_path / "theirs.keras"
    model.save(path)
    names = CLASSES[: max(2, model.outputs[0].shape[-1])]
    measured = tasks.evaluate(tasks.EvaluateRequest(path, pictures, None, names), JobContext())
    expected = by_keras(path, pictures, names, loss)
    if strength > 1:
        assert expected > 6  # beyond what probabilities rounded to float32 and clipped could say, or nearly
    assert measured.evaluation.loss == pytest.approx(expected, rel=1e-5)


@pytest.mark.slow
def test_an_export_the_run_and_its_history(made, run, tmp_path):
    """``cnn-studio evaluate`` of an export whose logits were made large, and everything that the run itself says."""
    from cnn_studio.__main__ import main
    from cnn_studio.ml.model_file import load_model, save_model

    trained, data = made
    with trained.run.joinpath("history.csv").open() as file:
        best = list(csv.DictReader(file))[trained.best_epoch - 1]
    assert trained.validation.loss == pytest.approx(float(best["val_loss"]), rel=1e-5)
    assert trained.facts.metrics["val_loss"] == trained.validation.loss

    model, facts = load_model(run.model)
    last = model.layers[-1]
    last.set_weights([40 * weight for weight in last.get_weights()])
    save_model(model, run.model, facts)
    exported = tmp_path / "out.keras"
    tasks.export(tasks.ExportRequest(run.model, exported), JobContext())
    plain = keras.saving.load_model(exported)
    plain.compile(loss="sparse_categorical_crossentropy", jit_compile=False)
    size = plain.input_shape[1:3]
    files = [(file, label) for label, name in enumerate(run.class_names) for file in sorted((data / name).iterdir())]
    pixels = np.stack([np.asarray(Image.open(file).resize(size[::-1], Image.Resampling.BILINEAR)) for file, _ in files])
    expected = plain.evaluate(pixels, np.array([label for _, label in files]), verbose=0)
    assert plain.predict(pixels, verbose=0).min() == 0  # extreme: some probabilities are 0 in float32

    measured = tasks.evaluate(tasks.EvaluateRequest(exported, data), JobContext())
    assert measured.evaluation.loss == pytest.approx(expected, rel=1e-5)
    out = tmp_path / "figures.json"
    with out.open("w") as stream, pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.stdout", stream)
        assert main(["evaluate", str(exported), str(data), "--json"]) == 0
    last_line = json.loads(out.read_text().splitlines()[-1])
    assert last_line["loss"] == pytest.approx(expected, rel=1e-5)


def test_a_kept_loss_follows_the_temperature_as_keras_says(run):
    """After a calibration, what was kept is scaled to the loss that Keras gives for the file as it is then."""
    from cnn_studio.ml.model_file import load_model, save_model

    model, facts = load_model(run.model)
    last = model.layers[-1]
    last.set_weights([40 * weight for weight in last.get_weights()])
    save_model(model, run.model, facts)
    tasks.evaluate(tasks.EvaluateRequest(run.model, None, Split.VALIDATION), JobContext())
    done = tasks.calibrate(tasks.CalibrateRequest(run.model, tasks.Temperature.FIT), JobContext())
    assert done.facts.temperature > 10  # beyond the cap that there was
    kept = tasks.saved_evaluation(run.model, Split.VALIDATION)
    again = tasks.evaluate(tasks.EvaluateRequest(run.model, None, Split.VALIDATION), JobContext())
    assert kept.evaluation.loss == pytest.approx(again.evaluation.loss, rel=1e-5)
    assert done.after.loss == pytest.approx(again.evaluation.loss, rel=1e-5)


def test_a_very_sure_sigmoid_is_calibrated_by_its_logit(pictures, tmp_path):
    model, path = dense(1, 60, "sigmoid"), tmp_path / "theirs.keras"
    model.save(path)
    pixels, _ = read(pictures, CLASSES)
    kernel, bias = model.layers[-1].get_weights()
    logits = (pixels.reshape(len(pixels), -1).astype("float32") / 255) @ kernel + bias
    for number, (image, logit) in enumerate(zip(pixels, logits[:, 0], strict=True)):
        right = (logit > 0) == (number % 5 > 0)  # four of five
        (tmp_path / "judged" / CLASSES[int(right)]).mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(tmp_path / "judged" / CLASSES[int(right)] / f"{number}.png")
    folder = tmp_path / "judged"
    request = tasks.CalibrateRequest(path, tasks.Temperature.FIT, folder=folder, class_names=CLASSES[:2])
    temperature = tasks.calibrate(request, JobContext()).facts.temperature
    assert temperature > 10
    assert abs(logits).max() > 20  # beyond what a float32 probability near 1 tells
    second = keras.saving.load_model(path).predict(pixels, verbose=0)[:, 1]
    np.testing.assert_allclose(second, 1 / (1 + np.exp(-logits[:, 0] / temperature)), atol=1e-5)
