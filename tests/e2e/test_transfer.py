"""Training jobs with a pre-trained backbone, called as plain functions: random weights and few small images."""

import csv
import errno
import os
import sys
from types import SimpleNamespace

import keras
import numpy as np
import pytest
import tensorflow as tf

from cnn_studio import tasks
from cnn_studio.core.advice import preflight
from cnn_studio.core.errors import ExperimentError, StorageError, WeightsError
from cnn_studio.core.experiment.augmentation import parse_augmentation
from cnn_studio.core.experiment.experiment import build_experiment
from cnn_studio.core.image.decoder import read_image
from cnn_studio.core.job import events
from cnn_studio.core.job.jobs import CancelToken, JobCancelled, JobContext, ignore_reports
from cnn_studio.core.runs import run as runs
from cnn_studio.core.store import rows as store_rows
from cnn_studio.core.store.prepared import features_folder
from cnn_studio.ml import features, stages
from cnn_studio.tasks import training

SIZE = 64
IMAGES = 36
BACKBONES = {"vgg16": keras.applications.VGG16, "resnet50": keras.applications.ResNet50}


@pytest.fixture(scope="module")
def weights_files(tmp_path_factory):
    """Weights of each backbone, drawn at random; BatchNormalization's statistics are not those it starts with."""
    folder = tmp_path_factory.mktemp("weights")
    files = {}
    for name, make in BACKBONES.items():
        keras.utils.set_random_seed(0)
        network = make(weights=None, include_top=False)
        draw = np.random.default_rng(0)
        for layer in network.layers:
            if isinstance(layer, keras.layers.BatchNormalization):
                layer.set_weights([draw.uniform(0.5, 1.5, weight.shape) for weight in layer.get_weights()])
        files[name] = folder / f"{name}.weights.h5"
        network.save_weights(files[name])
    return files


@pytest.fixture(autouse=True)
def these_weights(weights_files, monkeypatch):
    for module in (preflight, training):
        monkeypatch.setattr(module, "find_weights", lambda name: SimpleNamespace(path=weights_files[name], note=""))


@pytest.fixture
def backbone_runs(monkeypatch):
    """How many images went through a network's fixed part, by call."""
    calls = []
    original = keras.Model.predict_on_batch

    def predict(self, batch):
        if self.name.endswith("_fixed"):
            calls.append(len(batch))
        return original(self, batch)

    monkeypatch.setattr(keras.Model, "predict_on_batch", predict)
    return calls


def train(
    folder, run, name="vgg16", report=ignore_reports, token=None, training=None, size=SIZE, augment="", **architecture
):
    values = {
        "augmentation": parse_augmentation(augment).model_dump(),
        "image": {"height": size, "width": size},
        "architecture": {"kind": "backbone", "name": name, **architecture},
        "training": {"epochs": 2, "batch_size": 8, **(training or {})},
    }
    dataset = tasks.scan(folder, JobContext())
    request = tasks.TrainRequest(dataset, build_experiment(values), run)
    return tasks.train(request, JobContext(report, token or CancelToken()))


def fine_tuned(folder, run, name="vgg16", learning_rate=1e-4, epochs=1, **more):
    tuning = {"learning_rate": learning_rate, "epochs": epochs}
    return train(folder, run, name, transfer="fine_tuned", fine_tuning=tuning, **more)


def measured_by_keras(trained, folder):
    """Validation accuracy and loss of the exported file, by plain Keras on images read anew."""
    model = keras.saving.load_model(trained.model)
    pairs = [
        (read_image(folder / path, SIZE, SIZE), trained.facts.class_names.index(class_name))
        for path, class_name, split in runs.read_manifest(runs.read_run(trained.run))
        if split == "validation"
    ]
    images, labels = (np.stack(part) for part in zip(*pairs, strict=True))
    probabilities = model.predict_on_batch(images)
    losses = -np.log(probabilities[np.arange(len(labels)), labels])
    return (probabilities.argmax(1) == labels).mean(), losses.mean()


@pytest.mark.parametrize("name", BACKBONES)
def test_training_is_plain_keras_bit_for_bit(name, blobs, tmp_path, monkeypatch):
    """From the same features, initial weights, seeds and order, plain Keras's ``fit`` ends with the very same."""
    seen, original = [], stages.training_network

    def remember(model, *more):
        plain = keras.models.clone_model(model)
        plain.set_weights(model.get_weights())
        seen.append(plain)
        return original(model, *more)

    monkeypatch.setattr(stages, "training_network", remember)
    kept, cache_features = [], stages.cache_features
    monkeypatch.setattr(stages, "cache_features", lambda *given: kept.append(cache_features(*given)) or kept[-1])
    reported, head = [], {"features": "flatten", "dense": [16], "dense_dropout": 0.5}
    settings = {"epochs": 3, "seed": 7, "early_stopping": False}
    trained = train(blobs, tmp_path / "run", name, reported.append, training=settings, **head)

    (plain,), (source,) = seen, kept
    given = [(trained.facts.class_names.index(label), split) for _, label, split in manifest_of(trained)]
    labels = np.array([label for label, _ in given], np.int32)

    def rows(split):
        here = [place for place, (_, of) in enumerate(given) if of == split]
        return source.values[source.rows[here]], labels[here]

    features, truth = rows("train")
    order = tf.data.Dataset.range(len(truth)).shuffle(len(truth), seed=7, reshuffle_each_iteration=True).batch(8)
    feed = order.map(lambda picked: (tf.gather(features, picked), tf.gather(truth, picked)))
    best = tmp_path / "plain.weights.h5"
    keep = keras.callbacks.ModelCheckpoint(best, monitor="val_loss", save_best_only=True, save_weights_only=True)
    plain.compile(
        keras.optimizers.Adam(1e-3), "sparse_categorical_crossentropy", metrics=["accuracy"], jit_compile=False
    )
    validation = tf.data.Dataset.from_tensor_slices(rows("validation")).batch(8)
    history = plain.fit(feed, epochs=3, validation_data=validation, shuffle=False, callbacks=[keep], verbose=0).history
    plain.load_weights(best)

    ours = keras.saving.load_model(trained.model).get_weights()[-len(plain.get_weights()) :]
    differences = [np.abs(one - other).max() for one, other in zip(ours, plain.get_weights(), strict=True)]
    assert len(differences) >= 4
    assert max(differences) == 0.0
    for key in ("loss", "val_loss", "accuracy", "val_accuracy"):
        assert [getattr(event, key) for event in epochs_of(reported)] == pytest.approx(history[key], rel=1e-6), key
    assert trained.validation.loss == pytest.approx(min(history["val_loss"]), rel=1e-6)


def manifest_of(trained):
    return runs.read_manifest(runs.read_run(trained.run))


def epochs_of(reported):
    return [event for event in reported if isinstance(event, events.EpochEnded)]


def backbone_weights(name, path):
    network = BACKBONES[name](weights=None, include_top=False)
    network.load_weights(path)
    return {layer.name: layer.get_weights() for layer in network.layers if layer.weights}


def changed_layers(trained, name, path):
    """Names of the backbone's layers whose weights in the exported file are not bit for bit those of ``path``."""
    model = keras.saving.load_model(trained.model)
    return {
        layer
        for layer, weights in backbone_weights(name, path).items()
        if any(not np.array_equal(a, b) for a, b in zip(weights, model.get_layer(layer).get_weights(), strict=True))
    }


HEADS = [
    ("resnet50", {"features": "global_average"}),
    ("vgg16", {"features": "flatten", "dense": [16, 8], "dropout": 0.3, "dense_dropout": 0.2}),
]


@pytest.mark.parametrize(("name", "head"), HEADS)
def test_frozen_exports_the_whole_network_which_answers_as_the_kept_features_do(
    blobs, tmp_path, weights_files, name, head
):
    trained = train(blobs, tmp_path / "run", name, **head)
    accuracy, loss = measured_by_keras(trained, blobs)
    assert trained.validation.accuracy == pytest.approx(accuracy)
    assert trained.validation.loss == pytest.approx(loss, rel=1e-4)
    assert changed_layers(trained, name, weights_files[name]) == set()
    assert not (trained.run / "best.weights.h5").exists()


@pytest.mark.slow
def test_fine_tuning_changes_the_chosen_blocks_and_no_statistics(blobs, tmp_path, weights_files):
    head = {"epochs": 1, "learning_rate": 1e-30}  # so bad that fine-tuning cannot but improve it, and is kept
    trained = fine_tuned(blobs, tmp_path / "run", "resnet50", epochs=3, learning_rate=1e-3, training=head)
    assert trained.best_epoch > 1
    convolutions = {layer for layer in backbone_weights("resnet50", weights_files["resnet50"]) if layer[-2:] != "bn"}
    last = {layer for layer in convolutions if layer.startswith("conv5")}
    assert changed_layers(trained, "resnet50", weights_files["resnet50"]) == last
    accuracy, loss = measured_by_keras(trained, blobs)
    assert trained.validation.accuracy == pytest.approx(accuracy)
    assert trained.validation.loss == pytest.approx(loss, rel=1e-4)


@pytest.mark.parametrize("halves", [False, True])
def test_the_second_stage_starts_where_the_first_ended(blobs, tmp_path, monkeypatch, halves):
    """With a learning rate of nothing its first epoch validates what it started from."""
    if halves:
        monkeypatch.setattr(features, "SINGLE_PRECISION_BYTES", 0)
    reported = []
    head = {"features": "flatten", "dense": [16], "dropout": 0.5, "training": {"epochs": 3}}
    trained = fine_tuned(blobs, tmp_path / "run", report=reported.append, learning_rate=1e-30, **head)
    *of_head, of_tuning = epochs_of(reported)
    best = min(of_head, key=lambda event: event.val_loss)
    assert of_tuning.val_loss == pytest.approx(best.val_loss, rel=1e-4 if halves else 1e-6)
    assert of_tuning.val_accuracy == best.val_accuracy
    assert trained.validation.loss == pytest.approx(best.val_loss, rel=1e-5)


@pytest.mark.slow
def test_stages_are_told_and_epochs_number_on(blobs, tmp_path):
    reported = []
    trained = fine_tuned(blobs, tmp_path / "run", report=reported.append, epochs=2, unfreeze_from="block4")
    started = next(event for event in reported if isinstance(event, events.TrainingStarted))
    assert started.epochs == 4
    stages = [event for event in reported if isinstance(event, events.TrainingStageStarted)]
    assert [(stage.name, stage.first_epoch, stage.epochs) for stage in stages] == [
        ("head", 1, 2),
        ("fine_tuning", 3, 2),
    ]
    assert "block4" in stages[1].text
    classifier = 512 * 3 + 3
    assert stages[0].trainable_parameters == classifier
    assert stages[1].trainable_parameters == classifier + 12_979_200
    assert [event.epoch for event in epochs_of(reported)] == [1, 2, 3, 4]
    assert [event.epoch for event in reported if isinstance(event, events.BatchEnded)][-1] == 4
    totals = [(e.done, e.total) for e in reported if isinstance(e, events.Progress) and e.stage is events.Stage.TRAIN]
    assert all(done <= total for done, total in totals)
    with (trained.run / "history.csv").open(encoding="utf-8") as file:
        assert [(row["epoch"], row["stage"]) for row in csv.DictReader(file)] == [
            ("1", "head"),
            ("2", "head"),
            ("3", "fine_tuning"),
            ("4", "fine_tuning"),
        ]
    assert trained.epochs == 4


@pytest.mark.slow
def test_a_second_experiment_on_the_same_images_runs_no_backbone(blobs, tmp_path, backbone_runs):
    fine_tuned(blobs, tmp_path / "first")
    first = sum(backbone_runs)
    assert first == 2 * 48  # below block5, and block5 over that: 36 images in batches of 16, filled up
    backbone_runs.clear()
    again = fine_tuned(blobs, tmp_path / "second", epochs=2, training={"learning_rate": 0.01, "batch_size": 4})
    assert backbone_runs == []
    accuracy, _ = measured_by_keras(again, blobs)
    assert again.validation.accuracy == pytest.approx(accuracy)


@pytest.mark.slow
def test_fine_tuning_that_makes_it_worse_is_not_kept(blobs, tmp_path, weights_files):
    reported = []
    trained = fine_tuned(blobs, tmp_path / "run", report=reported.append, learning_rate=5.0)
    best = min(epochs_of(reported)[:2], key=lambda event: event.val_loss)
    assert trained.best_epoch == best.epoch
    assert changed_layers(trained, "vgg16", weights_files["vgg16"]) == set()
    assert measured_by_keras(trained, blobs)[1] == pytest.approx(best.val_loss, rel=1e-4)


class StopAt:
    """Stops at the n-th batch of an epoch and keeps every event."""

    def __init__(self, epoch, step):
        self.at, self.token, self.reported = (epoch, step), CancelToken(), []

    def __call__(self, event):
        self.reported.append(event)
        if isinstance(event, events.BatchEnded) and (event.epoch, event.step) == self.at:
            self.token.stop()


@pytest.mark.parametrize(("epoch", "stages"), [(1, ["head"]), (3, ["head"]), (4, ["head", "fine_tuning"])])
def test_stop_in_either_stage_keeps_the_best_model(blobs, tmp_path, epoch, stages):
    stop = StopAt(epoch, 2)
    trained = fine_tuned(
        blobs, tmp_path / "run", report=stop, token=stop.token, epochs=5, training={"epochs": 3}, learning_rate=1e-5
    )
    assert [e.name for e in stop.reported if isinstance(e, events.TrainingStageStarted)] == stages
    assert (trained.ended, trained.epochs) == ("stopped", epoch - 1)
    if epoch > 1:
        best = min(epochs_of(stop.reported), key=lambda event: event.val_loss)
        assert trained.validation.loss == pytest.approx(best.val_loss, rel=1e-4)
    assert measured_by_keras(trained, blobs)[1] == pytest.approx(trained.validation.loss, rel=1e-4)


class EndAt:
    """Calls ``act`` when features of some images are there."""

    def __init__(self, act):
        self.act = act

    def __call__(self, event):
        if isinstance(event, events.Progress) and event.stage is events.Stage.FEATURES and event.done:
            self.act()


@pytest.mark.parametrize("wish", ["cancel", "stop"])
def test_leaving_while_features_are_computed_leaves_no_run_and_only_whole_rows(
    blobs, tmp_path, backbone_runs, monkeypatch, wish
):
    monkeypatch.setattr("cnn_studio.core.job.threads._SECONDS_BETWEEN_REPORTS", 0)
    token = CancelToken()
    with pytest.raises(JobCancelled):
        train(blobs, tmp_path / "run", report=EndAt(getattr(token, wish)), token=token)
    assert not (tmp_path / "run").exists()
    (folder,) = features_folder().iterdir()
    assert sorted(path.name for path in folder.iterdir()) == ["features.f32", "lock", "rows.jsonl"]
    assert (folder / "features.f32").stat().st_size == 16 * 512 * 4
    assert backbone_runs == [16]
    backbone_runs.clear()
    trained = train(blobs, tmp_path / "run")
    assert sum(backbone_runs) == 32  # the other 20, filled up
    assert measured_by_keras(trained, blobs)[1] == pytest.approx(trained.validation.loss, rel=1e-4)


def test_a_disk_that_fills_up_while_features_are_written_is_told(blobs, tmp_path, monkeypatch):
    def full(self, pixels):
        if self.images.name.startswith("features"):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        original(self, pixels)

    original = store_rows.StoreRows._append_pixels
    monkeypatch.setattr(store_rows.StoreRows, "_append_pixels", full)
    with pytest.raises(StorageError, match="The disk is full: features"):
        train(blobs, tmp_path / "run")
    assert not (tmp_path / "run").exists()
    assert not list(features_folder().glob("*/features.*"))


@pytest.mark.slow
def test_where_features_cannot_be_kept_the_same_training_takes_longer(blobs, tmp_path, monkeypatch, backbone_runs):
    kept, plain = [], []
    fine_tuned(blobs, tmp_path / "kept", report=kept.append)
    monkeypatch.setattr(features, "BUDGET_BYTES", 0)
    backbone_runs.clear()
    trained = fine_tuned(blobs, tmp_path / "plain", report=plain.append)
    assert backbone_runs == []
    told = [event.text for event in plain if isinstance(event, events.Message)]
    assert len(told) == 2
    assert all("runs in every epoch instead" in text for text in told)
    for with_features, without in zip(epochs_of(kept), epochs_of(plain), strict=True):
        assert without.loss == pytest.approx(with_features.loss, rel=1e-3)
        assert without.val_loss == pytest.approx(with_features.val_loss, rel=1e-3)
    assert measured_by_keras(trained, blobs)[1] == pytest.approx(trained.validation.loss, rel=1e-4)


AUGMENT = "flip_horizontal,rotation=20,brightness=0.1"


@pytest.mark.slow
def test_views_run_the_backbone_a_few_times_and_an_epoch_none(blobs, tmp_path, backbone_runs):
    trained = train(blobs, tmp_path / "run", augment=f"{AUGMENT},views=3", training={"epochs": 6})
    training = 24  # of 36 images; 6 each for validation and test
    views = -(-3 * training // 16) * 16
    assert sum(backbone_runs) == 16 + views
    accuracy, loss = measured_by_keras(trained, blobs)
    assert trained.validation.accuracy == pytest.approx(accuracy)
    assert trained.validation.loss == pytest.approx(loss, rel=1e-4)
    backbone_runs.clear()
    fine_tuned(blobs, tmp_path / "tuned", augment=f"{AUGMENT},views=3")
    lower, upper = backbone_runs[: len(backbone_runs) // 2], backbone_runs[len(backbone_runs) // 2 :]
    assert sum(lower) == 16 + views, "below block5, of the augmented images"
    assert sum(upper) == 16 * -(-(12 + 3 * training) // 16), "block5, of what came out of that"


@pytest.mark.parametrize("more", ["", pytest.param(",mix_up=0.4", marks=pytest.mark.slow)])
def test_live_augmentation_runs_the_whole_network_and_measures_plain_images(blobs, tmp_path, backbone_runs, more):
    reported = []
    augment = f"{AUGMENT}{more},views=0"
    trained = fine_tuned(blobs, tmp_path / "run", report=reported.append, augment=augment)
    assert backbone_runs == []
    assert not features_folder().exists()
    assert len(epochs_of(reported)) == 3
    accuracy, loss = measured_by_keras(trained, blobs)
    assert trained.validation.accuracy == pytest.approx(accuracy)
    assert trained.validation.loss == pytest.approx(loss, rel=1e-4)


def test_an_export_holds_no_augmentation(blobs, tmp_path):
    trained = train(blobs, tmp_path / "run", augment=f"{AUGMENT},views=0", features="global_average")
    names = {type(layer).__name__ for layer in keras.saving.load_model(trained.model)._flatten_layers()}
    assert not {name for name in names if name.startswith(("Random", "Augment")) or "Mix" in name}


@pytest.mark.slow
def test_where_views_cannot_be_kept_images_are_augmented_live(blobs, tmp_path, monkeypatch, backbone_runs):
    monkeypatch.setattr(features, "BUDGET_BYTES", 0)
    augmented = []
    original = stages.training_network

    def network(model, augmentation, seed):
        augmented.append(augmentation)
        return original(model, augmentation, seed)

    monkeypatch.setattr(stages, "training_network", network)
    fine_tuned(blobs, tmp_path / "run", augment=f"{AUGMENT},views=3")
    assert backbone_runs == []
    assert augmented == [parse_augmentation(f"{AUGMENT},views=3")] * 2


def test_what_mixes_images_is_refused_as_views(blobs, tmp_path):
    with pytest.raises(ExperimentError, match="MixUp mixes two images") as caught:
        train(blobs, tmp_path / "run", augment="mix_up,views=3")
    assert caught.value.field == "augmentation.views"
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_everything_can_be_fine_tuned(blobs, tmp_path, weights_files):
    trained = fine_tuned(blobs, tmp_path / "run", unfreeze_from="everything", learning_rate=1e-6)
    assert trained.best_epoch == 3
    assert len(changed_layers(trained, "vgg16", weights_files["vgg16"])) == 13
    assert measured_by_keras(trained, blobs)[1] == pytest.approx(trained.validation.loss, rel=1e-4)


def test_an_interrupted_run_with_a_backbone_is_recovered(blobs, tmp_path, weights_files):
    reported = []

    def die(event):
        reported.append(event)
        if isinstance(event, events.StageStarted) and event.stage is events.Stage.EVALUATE:
            raise RuntimeError("the power went")

    with pytest.raises(RuntimeError):
        fine_tuned(blobs, tmp_path / "run", report=die, learning_rate=1e-5)
    facts = tasks.recover(tmp_path / "run", JobContext())
    run = runs.read_run(tmp_path / "run")
    recovered = SimpleNamespace(run=run.folder, model=run.model, facts=facts)
    best = min(epochs_of(reported), key=lambda event: event.val_loss)
    assert measured_by_keras(recovered, blobs)[1] == pytest.approx(best.val_loss, rel=1e-4)


def test_missing_weights_are_told_before_anything_is_made(blobs, tmp_path, monkeypatch):
    from cnn_studio.core.weights.weights import find_weights

    for module in (preflight, training):
        monkeypatch.setattr(module, "find_weights", find_weights)
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    with pytest.raises(WeightsError, match=r"VGG16.*weights get vgg16"):
        train(blobs, tmp_path / "run")
    assert not (tmp_path / "run").exists()
    assert not features_folder().exists()


REAL = [
    ("resnet50", "resnet50_weights_tf_dim_ordering_tf_kernels_notop.h5", {"features": "global_average"}),
    ("vgg16", "vgg16_weights_tf_dim_ordering_tf_kernels_notop.h5", {"features": "flatten", "dense": [64]}),
]


@pytest.mark.slow
@pytest.mark.parametrize(("name", "file", "head"), REAL)
def test_what_16_bits_cost_with_real_weights_and_images(
    shared_data, shared_weights, tmp_path, monkeypatch, capsys, name, file, head
):
    """Every tenth cat and dog: the largest difference of a probability between kept features and the whole network."""
    folder = tmp_path / "part"
    for class_folder in sorted((shared_data / "cats_dogs").iterdir()):
        (folder / class_folder.name).mkdir(parents=True)
        for path in sorted(class_folder.iterdir())[::14]:
            (folder / class_folder.name / path.name).symlink_to(path)
    for module in (preflight, training):
        monkeypatch.setattr(module, "find_weights", lambda _: SimpleNamespace(path=shared_weights / file, note=""))
    dataset = tasks.scan(folder, JobContext())
    images = np.stack([read_image(dataset.path_of(file), 150, 150) for file in dataset.files])
    networks = []
    original = stages.fit_in_stages

    def fit(*arguments, **named):
        history, network = original(*arguments, **named)
        networks.append(network)
        return history, network

    monkeypatch.setattr(stages, "fit_in_stages", fit)
    largest = {}
    for bits, limit in ((32, features.SINGLE_PRECISION_BYTES), (16, 0)):
        monkeypatch.setattr(features, "SINGLE_PRECISION_BYTES", limit)
        trained = train(folder, tmp_path / f"run{bits}", name, size=150, training={"epochs": 5}, **head)
        source = networks[-1].source
        assert source.values.dtype == np.dtype(f"float{bits}")
        by_features = networks[-1].model.predict_on_batch(np.asarray(source.values[source.rows], np.float32))
        whole = keras.saving.load_model(trained.model)
        by_whole = np.concatenate([whole.predict_on_batch(images[i : i + 10]) for i in range(0, len(images), 10)])
        largest[bits] = float(np.abs(by_whole - by_features).max())
        with capsys.disabled():
            sys.stdout.write(
                f"\n{name}, features of {bits} bits: largest difference of a probability {largest[bits]:.1e}, "
                f"validation accuracy {trained.validation.accuracy:.2f}\n"
            )
    assert largest[32] < 1e-4
    assert largest[16] < 2e-2
