"""Every setting of an experiment changes what it is for: from a request of training to what Keras is given.

Each case states a setting that is not the default and looks at the place where it acts. The job is the real one up to
``keras.Model.fit``, which goes through its batches and callbacks and computes nothing, so that a case takes a fraction
of a second. A setting without a case, and without a reason in ``WITHOUT_EFFECT``, fails.
"""

from __future__ import annotations

import csv
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from math import cos, pi, radians, tan
from types import SimpleNamespace
from typing import Any, get_args

import keras
import numpy as np
import pytest
from PIL import Image

from cnn_studio import tasks
from cnn_studio.core.experiment.experiment import Experiment, build_experiment
from cnn_studio.core.experiment.settings import Settings
from cnn_studio.core.image.decoder import read_image
from cnn_studio.core.job.jobs import JobContext
from cnn_studio.ml import runtime
from cnn_studio.ml.acceleration import Acceleration

SIDE = 16
COUNTS = {"blue": 6, "green": 12, "red": 12}

# What cases begin with: small enough to take no time, each value another than those that cases state.
SCRATCH = {
    "image.height": SIDE,
    "image.width": SIDE,
    "architecture.kind": "scratch",
    "architecture.blocks": [[4]],
    "architecture.dense": [8],
    "training.epochs": 1,
    "training.batch_size": 8,
}
# A backbone of which everything is set at once, each to a value of its own.
BACKBONE = {
    "image.height": 32,
    "image.width": 32,
    "architecture.kind": "backbone",
    "architecture.name": "vgg16",
    "architecture.transfer": "fine_tuned",
    "architecture.features": "flatten",
    "architecture.dropout": 0.15,
    "architecture.dense": [6, 5],
    "architecture.dense_dropout": 0.25,
    "architecture.unfreeze_from": "block4",
    "architecture.fine_tuning.optimizer": "rmsprop",
    "architecture.fine_tuning.learning_rate": 0.004,
    "architecture.fine_tuning.epochs": 7,
    "architecture.fine_tuning.schedule": "cosine",
    "architecture.fine_tuning.warm_up_epochs": 2,
    "training.optimizer": "sgd",
    "training.learning_rate": 0.03,
    "training.epochs": 3,
    "training.batch_size": 9,
    "training.class_weights": "balanced",
    "training.early_stopping": False,
}
FROZEN = {
    **{name: BACKBONE[name] for name in ("image.height", "image.width", "architecture.kind", "architecture.name")},
    "training.epochs": 1,
}

WITHOUT_EFFECT = {
    "architecture.scratch.kind": "tells the two kinds of architecture apart: every case of a scratch network states it",
    "architecture.backbone.kind": "the same: every case of a backbone states it",
}
"""The settings that need no case, with the reason."""


# -- all settings there are ----------------------------------------------------------------------------------------


def leaves(model: type[Settings], before: str = "") -> dict[str, Any]:
    """Every setting by its dotted name, with its default; where a group is one of several kinds, under each kind."""
    found: dict[str, Any] = {}
    for name, info in model.model_fields.items():
        groups = groups_in(info.annotation) or [part for extra in info.metadata for part in groups_in(extra)]
        for group in groups:
            kind = f"{group.model_fields['kind'].default}." if len(groups) > 1 else ""
            found |= leaves(group, f"{before}{name}.{kind}")
        if not groups:
            found[before + name] = info.get_default(call_default_factory=True)
    return found


def groups_in(annotation: Any) -> list[type[Settings]]:
    """The groups of settings that an annotation names."""
    if isinstance(annotation, type) and issubclass(annotation, Settings):
        return [annotation]
    return [group for part in get_args(annotation) for group in groups_in(part)]


DEFAULTS = leaves(Experiment)


# -- a training that computes nothing, and what Keras was given ----------------------------------------------------


@dataclass
class Fit:
    """One call of ``keras.Model.fit``.

    Attributes:
        network: what it was called of.
        optimizer: what it was compiled with.
        start: the network's weights when it began.
        trained: paths of the variables that training changes.
        epochs: of each epoch that was run the batches, each (inputs, labels[, sample weights]).
        rates: of each epoch the learning rate of each batch.
        checked: the batches it was validated on.
    """

    network: keras.Model
    optimizer: keras.optimizers.Optimizer
    start: list[np.ndarray]
    trained: list[str]
    epochs: list[list[tuple[Any, ...]]] = field(default_factory=list)
    rates: list[list[float]] = field(default_factory=list)
    checked: list[tuple[Any, ...]] = field(default_factory=list)

    @property
    def images(self) -> np.ndarray:
        """What was fed in the first epoch."""
        return np.concatenate([batch[0] for batch in self.epochs[0]])

    @property
    def labels(self) -> np.ndarray:
        """Their labels."""
        return np.concatenate([batch[1] for batch in self.epochs[0]])

    def layers(self, *kinds: type[keras.Layer]) -> list[keras.Layer]:
        """The network's layers of these kinds, in order; those of a network within it too."""
        return [layer for layer in all_layers(self.network) if isinstance(layer, kinds)]

    def enters(self, *inputs: np.ndarray) -> Any:
        """What the network itself is given while it trains, after augmentation; with labels where these are mixed."""
        inner = [place for place, layer in enumerate(self.network.layers) if isinstance(layer, keras.Model)]
        if not inner:
            return inputs[0]
        before = keras.Model(self.network.inputs, self.network.layers[inner[0] - 1].output)
        changed = before(list(inputs), training=True)
        return [np.asarray(part) for part in changed] if isinstance(changed, list) else np.asarray(changed)


@dataclass
class Trained:
    """What a job came to.

    Attributes:
        fits: its stages.
        manifest: path to (class name, split) of each image of the run.
        paths: of the pictures by their pixels, where they are as large as the network's.
    """

    fits: list[Fit]
    manifest: dict[str, tuple[str, str]]
    paths: dict[bytes, str]

    @property
    def fit(self) -> Fit:
        """The first stage."""
        return self.fits[0]

    def fed(self, batches: list[tuple[Any, ...]]) -> list[str]:
        """Paths of the images in batches, in order."""
        return [self.paths[image.tobytes()] for batch in batches for image in batch[0]]

    def split(self, name: str) -> set[str]:
        """Paths of a split's images; that those of training and validation are fed to Keras is made sure of."""
        first = self.fit.epochs[0] if name == "train" else self.fit.checked
        found = {path for path, (_, split) in self.manifest.items() if split == name}
        assert name == "test" or set(self.fed(first)) == found
        return found


def all_layers(network: keras.Model) -> list[keras.Layer]:
    return [
        each for layer in network.layers for each in (all_layers(layer) if isinstance(layer, keras.Model) else [layer])
    ]


class _EnoughSeenError(Exception):
    """Ends a job once its network would be measured."""


def plain(batch: Any) -> Any:
    return tuple(map(plain, batch)) if isinstance(batch, tuple) else np.asarray(batch)


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Pictures of three classes, not one like another, one class rarer; wide ones; and each twice."""
    root, draw = tmp_path_factory.mktemp("folders"), np.random.default_rng(0)

    def smooth(width=SIDE):
        coarse = Image.fromarray(draw.integers(0, 256, (4, 4, 3)).astype(np.uint8))
        return coarse.resize((width, SIDE), Image.Resampling.BICUBIC)

    for class_name, count in COUNTS.items():
        for folder in ("pictures", "wide", "twins"):
            (root / folder / class_name).mkdir(parents=True)
        for number in range(count):
            smooth().save(root / "pictures" / class_name / f"{number % 6} {number}.png")
            wide = np.full((SIDE, 2 * SIDE, 3), 255, np.uint8)  # the middle between two white bars
            wide[:, SIDE // 2 : -SIDE // 2] = np.asarray(smooth()) // 2 + 20
            Image.fromarray(wide).save(root / "wide" / class_name / f"{number}.png")
            twin = smooth()
            for half in "ab":
                twin.save(root / "twins" / class_name / f"{number}{half}.png")
    return root


@pytest.fixture(scope="module")
def record(folders, tmp_path_factory):
    """record({dotted name: value}, pictures="pictures") -> Trained; the same settings are trained once."""
    datasets: dict[str, Any] = {}
    known: dict[str, Trained] = {}
    home = tmp_path_factory.mktemp("home")

    def make(changes, pictures="pictures", again=False):
        experiment = build_experiment(nested(changes))
        key = f"{pictures} {experiment.model_dump_json()} {again}"
        if key not in known:
            with pytest.MonkeyPatch.context() as patch:
                patch.setenv("CNN_STUDIO_HOME", str(home))
                if pictures not in datasets:
                    datasets[pictures] = tasks.scan(folders / pictures, JobContext())
                known[key] = train(datasets[pictures], experiment, home / f"run {len(known)}", patch)
        return known[key]

    return make


def nested(changes: dict[str, Any]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for dotted, value in changes.items():
        *parents, last = dotted.split(".")
        group = values
        for parent in parents:
            group = group.setdefault(parent, {})
        group[last] = value
    return values


def train(dataset, experiment, folder, patch) -> Trained:
    """Run the job until its network would be measured; validation loss is the same after every epoch."""
    fits: list[Fit] = []
    manifest: dict[str, tuple[str, str]] = {}

    def fit(self, x, *, validation_data, epochs, initial_epoch=0, callbacks=(), **_):
        if not manifest:
            with (folder / "manifest.csv").open(encoding="utf-8", newline="") as file:
                manifest.update({row["path"]: (row["class"], row["split"]) for row in csv.DictReader(file)})
        trained = [variable.path for variable in self.trainable_variables]
        seen = Fit(self, self.optimizer, self.get_weights(), trained)
        seen.checked = list(map(plain, validation_data))
        fits.append(seen)
        told = keras.callbacks.CallbackList(list(callbacks), model=self)
        figures = {"loss": 1.0, "accuracy": 0.5}
        self.stop_training = False
        told.on_train_begin()
        for epoch in range(initial_epoch, epochs):
            told.on_epoch_begin(epoch)
            seen.epochs.append([])
            seen.rates.append([])
            for step, batch in enumerate(x):
                told.on_train_batch_begin(step)
                seen.epochs[-1].append(plain(batch))
                seen.rates[-1].append(float(self.optimizer.learning_rate))
                self.optimizer.iterations.assign_add(1)
                told.on_train_batch_end(step, figures)
            told.on_epoch_end(epoch, {**figures, "val_loss": 1.0, "val_accuracy": 0.5})
            if self.stop_training:
                break

    def measured(*_):
        raise _EnoughSeenError

    runtime.start(lambda _: None)
    if experiment.architecture.kind == "backbone":
        keras.utils.set_random_seed(0)  # the backbone's weights are random, and the same in every run
    patch.setattr(keras.Model, "fit", fit)
    patch.setattr("cnn_studio.ml.evaluate.measure_model", measured)
    for name, module in list(sys.modules.items()):
        if name.startswith("cnn_studio.") and hasattr(module, "find_weights"):
            patch.setattr(module, "find_weights", lambda _: SimpleNamespace(path=None, note=""))
    with pytest.raises(_EnoughSeenError):
        tasks.train(tasks.TrainRequest(dataset, experiment, folder), JobContext())
    paths = {read_image(dataset.path_of(file), SIDE, SIDE).tobytes(): file.path for file in dataset.files}
    return Trained(fits, manifest, paths)


# -- the cases -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Case:
    """A setting with a value that is not the default, and what must follow.

    Attributes:
        name: dotted, with the architecture's kind.
        value: what is stated.
        settings: the whole experiment, by dotted names as its file has them.
        check: called with what the job came to and ``record``.
        pictures: which folder.
    """

    name: str
    value: Any
    settings: dict[str, Any]
    check: Callable[[Trained, Any], None]
    pictures: str


CASES: dict[str, Case] = {}


def effect(name, value, beside=None, *, start=SCRATCH, of="", pictures="pictures"):
    """What is decorated checks what the setting ``name`` does when it is ``value`` instead of the default."""
    dotted = name.replace(".scratch.", ".").replace(".backbone.", ".")

    def add(check):
        case_id = f"{name}={value}" + (f" ({of})" if of else "")
        assert case_id not in CASES
        CASES[case_id] = Case(name, value, {**start, **(beside or {}), dotted: value}, check, pictures)
        return check

    return add


def backbone_effect(name):
    """The same of a setting of ``BACKBONE``, which all share one training."""
    dotted = f"architecture.{name}"
    return effect(f"architecture.backbone.{name}", BACKBONE[dotted], start=BACKBONE)


# split


@effect("split.validation", 0.4)
def validation_is_that_share(job, record):
    assert Counter(job.manifest[path][0] for path in job.split("validation")) == {"blue": 2, "green": 5, "red": 5}
    assert len(job.split("test")) == len(record(SCRATCH).split("test"))


@effect("split.test", 0.4)
def that_share_is_for_the_test(job, record):
    assert Counter(job.manifest[path][0] for path in job.split("test")) == {"blue": 2, "green": 5, "red": 5}
    assert len(job.split("validation")) == len(record(SCRATCH).split("validation"))


@effect("split.seed", 7)
def another_seed_gives_another_split(job, record):
    usual = record(SCRATCH)
    assert job.split("validation") != usual.split("validation")
    assert job.split("test") != usual.split("test")
    assert Counter(job.manifest.values()) == Counter(usual.manifest.values()), "shares stay as they are"
    assert record({**SCRATCH, "split.seed": 7}, again=True).manifest == job.manifest
    assert all(map(np.array_equal, job.fit.start, usual.fit.start)), "the network begins as with another split"


@effect("split.keep_similar_together", False, pictures="twins")
def pictures_that_look_alike_are_divided(job, record):
    def divided(trained):
        split = {path: name for path, (_, name) in trained.manifest.items()}
        return sum(split[path] != split[path.replace("a.png", "b.png")] for path in split if path.endswith("a.png"))

    assert divided(job) > 3
    assert divided(record(SCRATCH, "twins")) == 0


@effect("split.group_pattern", r"/(\d) ")
def files_of_a_group_stay_together(job, record):
    def splits_of_groups(trained):
        pairs = {(path.split("/")[1][0], split) for path, (_, split) in trained.manifest.items()}
        return Counter(group for group, _ in pairs)

    assert set(splits_of_groups(job).values()) == {1}
    assert max(splits_of_groups(record(SCRATCH)).values()) > 1


# image


@effect("image.height", 20)
@effect("image.width", 24)
def prepared_and_taken_at_that_size(job, record):
    size = (20, SIDE) if job.fit.images.shape[1] != SIDE else (SIDE, 24)
    assert job.fit.images.shape[1:] == (*size, 3)
    assert job.fit.network.inputs[0].shape[1:] == (*size, 3)


@effect("image.colour", "grey")
def the_network_sees_brightness_only(job, record):
    def sees_colour(trained):
        images = trained.fit.images.astype(np.float32)
        grey = np.repeat(images @ [[0.2989], [0.587], [0.114]], 3, axis=-1)
        answers = [np.asarray(trained.fit.network(each, training=False)) for each in (images, grey)]
        return np.abs(answers[0] - answers[1]).max() > 1e-3

    assert not sees_colour(job)
    assert sees_colour(record(SCRATCH))
    assert job.fit.layers(keras.layers.Conv2D)[0].kernel.shape[2] == 1


@effect("image.fit", "crop", pictures="wide")
def cropped_to_the_middle(job, record):
    assert job.fit.images.max() < 200, "the white bars are gone"
    assert record(SCRATCH, "wide").fit.images[:, :, :2].min() > 200, "squashed, they are at both sides"


@effect("image.fit", "pad", pictures="wide")
def padded_with_black(job, record):
    assert job.fit.images[:, :3].max() == job.fit.images[:, -3:].max() == 0
    assert job.fit.images[:, 6:10, :2].min() > 200


# architecture: a network of its own


def kinds(fit):
    return [type(layer).__name__ for layer in all_layers(fit.network)]


@effect("architecture.scratch.name", "of my own")
def the_network_has_that_name(job, record):
    assert job.fit.network.name == "of_my_own"


@effect("architecture.scratch.blocks", ((3, 5), (7,)))
def a_convolution_for_each_number(job, record):
    assert [layer.filters for layer in job.fit.layers(keras.layers.Conv2D)] == [3, 5, 7]
    assert kinds(job.fit)[2:7] == ["Conv2D", "Conv2D", "MaxPooling2D", "Conv2D", "MaxPooling2D"]


@effect("architecture.scratch.kernel", 5, {"architecture.blocks": [[4, 4]]})
def every_window_has_that_side(job, record):
    assert [layer.kernel_size for layer in job.fit.layers(keras.layers.Conv2D)] == [(5, 5)] * 2


@effect("architecture.scratch.kernel", (7, 5), {"architecture.blocks": [[4, 4], [4]]})
def each_window_has_its_own_side(job, record):
    assert [layer.kernel_size for layer in job.fit.layers(keras.layers.Conv2D)] == [(7, 7), (5, 5), (5, 5)]


@effect("architecture.scratch.padding", ("same", "valid"), {"architecture.blocks": [[4], [4, 4]]})
def each_convolution_keeps_its_border_or_not(job, record):
    assert [layer.padding for layer in job.fit.layers(keras.layers.Conv2D)] == ["same", "valid", "valid"]


@effect("architecture.scratch.padding", "valid")
def maps_lose_their_border(job, record):
    assert job.fit.layers(keras.layers.Conv2D)[0].output.shape[1:3] == (SIDE - 2, SIDE - 2)
    assert record(SCRATCH).fit.layers(keras.layers.Conv2D)[0].output.shape[1:3] == (SIDE, SIDE)


@effect("architecture.scratch.stride", 3, {"architecture.blocks": [[4, 4]]})
def the_last_convolution_of_a_block_strides(job, record):
    assert [layer.strides for layer in job.fit.layers(keras.layers.Conv2D)] == [(1, 1), (3, 3)]


@effect("architecture.scratch.pooling", "average")
def averages_are_pooled(job, record):
    assert [kind for kind in kinds(job.fit) if "Pooling" in kind] == ["AveragePooling2D"]


@effect("architecture.scratch.pooling", "none")
def nothing_is_pooled(job, record):
    assert not [kind for kind in kinds(job.fit) if "Pooling" in kind]
    assert [kind for kind in kinds(record(SCRATCH).fit) if "Pooling" in kind] == ["MaxPooling2D"]


@effect("architecture.scratch.pool_size", (1, 3), {"architecture.blocks": [[4], [4], [4]]})
def pooled_in_windows_of_that_side_or_not(job, record):
    pooled = job.fit.layers(keras.layers.MaxPooling2D)
    assert [(layer.pool_size, layer.strides) for layer in pooled] == [((3, 3), (3, 3))] * 2
    assert kinds(job.fit)[2:5] == ["Conv2D", "Conv2D", "MaxPooling2D"]


@effect("architecture.scratch.initializer", "he_uniform")
def weights_are_drawn_as_he_says(job, record):
    def drawn(trained):
        return [
            type(layer.kernel_initializer).__name__
            for layer in trained.fit.layers(keras.layers.Conv2D, keras.layers.Dense)
        ]

    assert drawn(job) == ["HeUniform", "HeUniform", "GlorotUniform"]
    assert set(drawn(record(SCRATCH))) == {"GlorotUniform"}
    convolution = job.fit.start[0]
    assert 0.9 < np.abs(convolution).max() / np.sqrt(6 / (3 * 3 * 3)) <= 1


def activations(trained):
    return [layer.activation.__name__ for layer in trained.fit.layers(keras.layers.Conv2D, keras.layers.Dense)]


@effect("architecture.scratch.activation", "sigmoid")
def sigmoids_after_each_convolution_and_hidden_layer(job, record):
    assert activations(job) == ["sigmoid", "sigmoid", "softmax"]


@effect("architecture.scratch.activation", "tanh")
def after_each_convolution_and_hidden_layer(job, record):
    assert activations(job) == ["tanh", "tanh", "softmax"]
    assert activations(record(SCRATCH)) == ["relu", "relu", "softmax"]


@effect("architecture.scratch.batch_normalization", True)
def between_convolution_and_activation(job, record):
    assert kinds(job.fit)[2:6] == ["Conv2D", "BatchNormalization", "Activation", "MaxPooling2D"]
    assert job.fit.layers(keras.layers.Conv2D)[0].activation is keras.activations.linear


@effect("architecture.scratch.dropout", 0.35)
def dropped_after_the_last_block(job, record):
    assert [layer.rate for layer in job.fit.layers(keras.layers.Dropout)] == [0.35]
    assert kinds(job.fit)[3:6] == ["MaxPooling2D", "Dropout", "Flatten"]


@effect("architecture.scratch.features", "global_average")
def maps_are_averaged(job, record):
    assert "GlobalAveragePooling2D" in kinds(job.fit)
    assert "Flatten" not in kinds(job.fit)
    assert "Flatten" in kinds(record(SCRATCH).fit)


@effect("architecture.scratch.dense", (9, 7))
def a_hidden_layer_for_each_number(job, record):
    assert [layer.units for layer in job.fit.layers(keras.layers.Dense)] == [9, 7, len(COUNTS)]


@effect("architecture.scratch.dense_dropout", 0.45, {"architecture.dense": [9, 7], "architecture.dropout": 0.0})
def dropped_after_each_hidden_layer(job, record):
    assert [layer.rate for layer in job.fit.layers(keras.layers.Dropout)] == [0.45, 0.45]
    assert kinds(job.fit)[-6:] == ["Flatten", "Dense", "Dropout", "Dense", "Dropout", "Dense"]


# architecture: a backbone


def blocks_trained(fit):
    return {path.split("_")[0] for path in fit.trained if path.startswith("block")}


def head(job):
    """Units and rates of the layers after the features."""
    found = job.fits[-1].layers(keras.layers.Dense, keras.layers.Dropout)
    return [layer.units if isinstance(layer, keras.layers.Dense) else layer.rate for layer in found]


@backbone_effect("name")
def that_backbone_is_built(job, record):
    assert {"block4_conv3", "block5_conv3"} <= {layer.name for layer in all_layers(job.fits[-1].network)}


@backbone_effect("transfer")
def the_backbone_is_trained_after_the_head(job, record):
    assert len(job.fits) == 2
    assert not blocks_trained(job.fits[0])
    assert blocks_trained(job.fits[1])
    assert len(record(FROZEN).fits) == 1, "frozen, there is the head only"


@effect("architecture.backbone.transfer", "one_stage", start=BACKBONE)
def head_and_blocks_are_trained_at_once(job, record):
    assert len(job.fits) == 1
    assert blocks_trained(job.fit) == {"block4", "block5"}
    assert {path.split("/")[0] for path in job.fit.trained} >= {"dense1", "dense2", "probabilities"}
    assert type(job.fit.optimizer) is keras.optimizers.SGD, "by the settings of the training"
    assert rates_by_batch(job.fit) == pytest.approx(0.03)
    assert len(job.fit.epochs) == 3


@backbone_effect("features")
def features_are_flattened(job, record):
    assert "Flatten" in kinds(job.fits[-1])
    assert "GlobalAveragePooling2D" not in kinds(job.fits[-1])


@backbone_effect("dropout")
def features_are_dropped(job, record):
    assert head(job)[0] == 0.15


@backbone_effect("dense")
def the_head_has_these_layers(job, record):
    assert [each for each in head(job) if isinstance(each, int)] == [6, 5, len(COUNTS)]


@backbone_effect("dense_dropout")
def dropped_between_them(job, record):
    assert head(job) == [0.15, 6, 0.25, 5, len(COUNTS)]


@backbone_effect("unfreeze_from")
def trained_from_that_block_on(job, record):
    assert blocks_trained(job.fits[1]) == {"block4", "block5"}


# training, and fine-tuning, which has the same settings for itself where it has them

KEPT_ON = {"training.early_stopping": False}


def rates_by_batch(fit):
    return np.concatenate(fit.rates)


def falls_along_half_a_cosine(rates, rate, warm_up=0):
    steps = len(rates) - warm_up
    np.testing.assert_allclose(
        rates[warm_up:], [rate * 0.5 * (1 + cos(pi * step / steps)) for step in range(steps)], rtol=1e-4
    )


def rises_in_a_straight_line(rates, rate, warm_up):
    np.testing.assert_allclose(rates[:warm_up], rate * np.arange(1, warm_up + 1) / warm_up, rtol=1e-4)


def falls_when_progress_ends(fit, rate):
    """The validation loss is the same after every epoch, so from the second on there is none."""
    shares = [epoch[0] / rate for epoch in fit.rates]
    assert shares[:3] == pytest.approx([1, 1, 1])
    assert shares[3] < 1
    assert shares == sorted(shares, reverse=True)
    assert len(set(shares)) > 2


@effect("training.optimizer", "sgd")
def sgd_with_momentum(job, record):
    assert type(job.fit.optimizer) is keras.optimizers.SGD
    assert job.fit.optimizer.momentum == 0.9
    assert type(record(SCRATCH).fit.optimizer) is keras.optimizers.Adam


@effect("training.momentum", 0.0, {"training.optimizer": "sgd"})
def plain_sgd(job, record):
    assert job.fit.optimizer.momentum == 0


@effect("training.optimizer", "rmsprop")
def rmsprop(job, record):
    assert type(job.fit.optimizer) is keras.optimizers.RMSprop


@effect("training.learning_rate", 0.02, {"training.epochs": 2})
def every_step_has_that_size(job, record):
    assert rates_by_batch(job.fit) == pytest.approx(0.02)


@effect("training.batch_size", 7)
def images_at_a_time(job, record):
    assert {len(batch[1]) for batch in job.fit.epochs[0][:-1]} == {7}
    assert len(job.fit.epochs[0]) == -(-len(job.split("train")) // 7)


@effect("training.epochs", 4)
def that_many_passes(job, record):
    assert len(job.fit.epochs) == 4


@effect("training.early_stopping", False, {"training.epochs": 8})
def it_goes_on_without_progress(job, record):
    assert len(job.fit.epochs) == 8
    usual = record({**SCRATCH, "training.epochs": 8})
    assert len(usual.fit.epochs) == 1 + DEFAULTS["training.patience"]


@effect("training.patience", 2, {"training.epochs": 8})
def it_ends_after_so_many_without_progress(job, record):
    assert len(job.fit.epochs) == 3


@effect("training.class_weights", "balanced")
def rare_classes_weigh_more(job, record):
    trained = [name for name, split in job.manifest.values() if split == "train"]
    expected = {label: len(trained) / (len(COUNTS) * trained.count(name)) for label, name in enumerate(sorted(COUNTS))}
    assert expected[0] > expected[1]
    for _, labels, weights in job.fit.epochs[0]:
        np.testing.assert_allclose(weights, [expected[int(label)] for label in labels], rtol=1e-6)
    assert {len(batch) for batch in record(SCRATCH).fit.epochs[0]} == {2}, "without, there are no weights"


@effect("training.precision", "mixed")
def computed_with_16_bits(job, record):
    convolution = job.fit.layers(keras.layers.Conv2D)[0]
    assert (convolution.compute_dtype, convolution.variable_dtype) == ("bfloat16", "float32")
    assert record(SCRATCH).fit.layers(keras.layers.Conv2D)[0].compute_dtype == "float32"


SEEDED = {"architecture.dropout": 0.2, "architecture.dense_dropout": 0.1, "augmentation.rotation": 90.0}


@effect("training.seed", 7, SEEDED, of="initial weights")
def other_weights(job, record):
    usual = record({**SCRATCH, **SEEDED})
    assert not any(np.array_equal(*pair) for pair in zip(job.fit.start, usual.fit.start, strict=True) if pair[0].any())
    again = record({**SCRATCH, **SEEDED, "training.seed": 7}, again=True)
    assert all(map(np.array_equal, job.fit.start, again.fit.start))


@effect("training.seed", 7, SEEDED, of="order of images")
def another_order(job, record):
    usual = record({**SCRATCH, **SEEDED})
    order = job.fed(job.fit.epochs[0])
    assert order != usual.fed(usual.fit.epochs[0])
    assert job.manifest == usual.manifest, "the split has a seed of its own"
    again = record({**SCRATCH, **SEEDED, "training.seed": 7}, again=True)
    assert order == again.fed(again.fit.epochs[0])


@effect("training.seed", 7, SEEDED, of="dropout")
def other_things_dropped(job, record):
    def seeds(trained):
        return [layer.seed for layer in trained.fit.layers(keras.layers.Dropout)]

    assert len(set(seeds(job))) == 2
    assert not set(seeds(job)) & set(seeds(record({**SCRATCH, **SEEDED})))


@effect("training.seed", 7, SEEDED, of="augmentation")
def otherwise_augmented(job, record):
    images = job.fit.images
    usual, again = record({**SCRATCH, **SEEDED}), record({**SCRATCH, **SEEDED, "training.seed": 7}, again=True)
    changed = job.fit.enters(images)
    assert np.abs(changed - usual.fit.enters(images)).mean() > 5
    np.testing.assert_array_equal(changed, again.fit.enters(images))


VIEWED = {"augmentation.rotation": 90.0, "augmentation.views": 3, "training.epochs": 12, **KEPT_ON}


@effect("training.seed", 7, VIEWED, start=FROZEN, of="augmented views")
def other_views(job, record):
    usual = record({**FROZEN, **VIEWED})
    assert not views_of(job) & views_of(usual)


@effect("training.schedule", "cosine", {"training.epochs": 4})
def the_rate_falls_along_a_cosine(job, record):
    falls_along_half_a_cosine(rates_by_batch(job.fit), DEFAULTS["training.learning_rate"])


@effect("training.schedule", "plateau", {"training.epochs": 8, **KEPT_ON})
def the_rate_falls_when_progress_ends(job, record):
    falls_when_progress_ends(job.fit, DEFAULTS["training.learning_rate"])


@effect("training.warm_up_epochs", 2, {"training.epochs": 4})
def the_rate_rises_first(job, record):
    warm_up = 2 * len(job.fit.epochs[0])
    rates = rates_by_batch(job.fit)
    rises_in_a_straight_line(rates, DEFAULTS["training.learning_rate"], warm_up)
    assert rates[warm_up:] == pytest.approx(DEFAULTS["training.learning_rate"])


@backbone_effect("fine_tuning.optimizer")
def fine_tuning_has_its_own(job, record):
    assert type(job.fits[1].optimizer) is keras.optimizers.RMSprop


@effect(
    "architecture.backbone.fine_tuning.momentum", 0.4, {"architecture.fine_tuning.optimizer": "sgd"}, start=BACKBONE
)
def fine_tuning_has_its_own_momentum(job, record):
    assert [fit.optimizer.momentum for fit in job.fits] == [0.9, 0.4]


@backbone_effect("fine_tuning.learning_rate")
def its_steps_have_that_size_at_most(job, record):
    assert rates_by_batch(job.fits[1]).max() == pytest.approx(0.004)


@backbone_effect("fine_tuning.epochs")
def it_takes_that_many_passes(job, record):
    assert [len(fit.epochs) for fit in job.fits] == [3, 7]


@backbone_effect("fine_tuning.schedule")
def its_rate_falls_along_a_cosine(job, record):
    fit = job.fits[1]
    falls_along_half_a_cosine(rates_by_batch(fit), 0.004, warm_up=2 * len(fit.epochs[0]))


@backbone_effect("fine_tuning.warm_up_epochs")
def its_rate_rises_first(job, record):
    fit = job.fits[1]
    rises_in_a_straight_line(rates_by_batch(fit), 0.004, warm_up=2 * len(fit.epochs[0]))


@effect(
    "architecture.backbone.fine_tuning.schedule",
    "plateau",
    {"architecture.fine_tuning.warm_up_epochs": 0},
    start=BACKBONE,
)
def its_rate_falls_when_progress_ends(job, record):
    falls_when_progress_ends(job.fits[1], 0.004)


# augmentation

PICTURES = 64
LARGE = 48
LARGER = {"image.height": LARGE, "image.width": LARGE}
SPOTS = np.array([[-9.0, -6.0], [8.0, -2.0], [-1.0, 9.0]])  # x and y from the middle, one of each colour


def spots():
    """Copies of a black picture with a red, a green and a blue spot: where these went tells how it was moved."""
    places = np.arange(LARGE) - (LARGE - 1) / 2
    x, y = np.meshgrid(places, places)
    channels = [np.exp(-((x - at[0]) ** 2 + (y - at[1]) ** 2) / 8) for at in SPOTS]
    return np.repeat(255 * np.stack(channels, axis=-1)[None], PICTURES, axis=0).astype(np.float32)


def moves(fit):
    """How each copy was moved, as a matrix and a shift: (copies, 2, 2) and (copies, 2), x before y."""
    places = np.arange(LARGE) - (LARGE - 1) / 2
    after = fit.enters(spots()).astype(np.float64)
    weight = after / after.sum(axis=(1, 2), keepdims=True)
    found = np.stack(
        [np.einsum("nyxc,x->nc", weight, places), np.einsum("nyxc,y->nc", weight, places)], axis=-1
    )  # (copies, spots, 2)
    before = np.column_stack([SPOTS, np.ones(3)])
    solved = np.linalg.solve(before, found)  # found = before @ solved
    return solved[:, :2].transpose(0, 2, 1), solved[:, 2]


def pictures(low=80, high=170):
    """Smooth pictures, far enough from black and white that nothing is cut off."""
    draw = np.random.default_rng(1)
    coarse = draw.integers(low, high, (PICTURES, 6, 6, 3)).astype(np.uint8)
    large = [Image.fromarray(each).resize((LARGE, LARGE), Image.Resampling.BILINEAR) for each in coarse]
    return np.stack([np.asarray(each) for each in large]).astype(np.float32)


def augments(name, value, **more):
    return effect(f"augmentation.{name}", value, {**LARGER, "augmentation.fill": "constant", **more})


def same(matrices, expected):
    return np.abs(matrices - np.asarray(expected)).max(axis=(1, 2)) < 0.02


def spread(values, most):
    """Either way, up to what was set and no further."""
    assert np.abs(values).max() < 1.03 * most
    assert values.max() > 0.7 * most
    assert values.min() < -0.7 * most


@augments("flip_horizontal", True)
def half_are_mirrored(job, record):
    matrices, _ = moves(job.fit)
    mirrored = same(matrices, [[-1, 0], [0, 1]])
    assert (mirrored | same(matrices, np.eye(2))).all()
    assert 0.25 < mirrored.mean() < 0.75


@augments("flip_vertical", True)
def half_are_upside_down(job, record):
    matrices, _ = moves(job.fit)
    turned = same(matrices, [[1, 0], [0, -1]])
    assert (turned | same(matrices, np.eye(2))).all()
    assert 0.25 < turned.mean() < 0.75


@augments("rotation", 30.0)
def turned(job, record):
    matrices, _ = moves(job.fit)
    assert same(matrices @ matrices.transpose(0, 2, 1), np.eye(2)).all()
    spread(np.degrees(np.arctan2(matrices[:, 1, 0], matrices[:, 0, 0])), 30)


@augments("zoom", 0.3)
def smaller_and_larger(job, record):
    back = np.linalg.inv(moves(job.fit)[0])
    sizes = back[:, 0, 0]
    assert same(back / sizes[:, None, None], np.eye(2)).all()
    spread(sizes - 1, 0.3)


@augments("stretch_width", 0.3)
def wider_and_narrower(job, record):
    back = np.linalg.inv(moves(job.fit)[0])
    spread(back[:, 0, 0] - 1, 0.3)
    assert np.abs(back[:, 1, 1] - 1).max() < 0.02


@augments("stretch_height", 0.3)
def taller_and_lower(job, record):
    back = np.linalg.inv(moves(job.fit)[0])
    spread(back[:, 1, 1] - 1, 0.3)
    assert np.abs(back[:, 0, 0] - 1).max() < 0.02


@augments("shear", 20.0)
def slanted(job, record):
    back = np.linalg.inv(moves(job.fit)[0])
    spread(back[:, 0, 1], tan(radians(20)))
    spread(back[:, 1, 0], tan(radians(20)))
    assert np.abs(back[:, [0, 1], [0, 1]] - 1).max() < 0.02


@augments("translation", 0.2)
def moved(job, record):
    matrices, shifts = moves(job.fit)
    assert same(matrices, np.eye(2)).all()
    for along in shifts.T:
        spread(along, 0.2 * LARGE)


@augments("brightness", 0.2)
def all_pixels_brighter_or_darker(job, record):
    difference = job.fit.enters(pictures()) - pictures()
    assert difference.std(axis=(1, 2, 3)).max() < 0.1
    spread(difference.mean(axis=(1, 2, 3)), 0.2 * 255)


@augments("contrast", 0.4)
def differences_from_the_mean(job, record):
    before, after = pictures(), job.fit.enters(pictures())
    means = before.mean(axis=(1, 2), keepdims=True)
    np.testing.assert_allclose(after.mean(axis=(1, 2), keepdims=True), means, atol=0.5)
    factors = after.std(axis=(1, 2)) / before.std(axis=(1, 2))
    assert np.ptp(factors, axis=1).max() < 0.01
    spread(factors[:, 0] - 1, 0.4)


def in_hsv(images):
    """The largest channel of each pixel, and how far the smallest is below it as a share of it."""
    largest = images.max(axis=-1)
    return largest, (largest - images.min(axis=-1)) / largest


@augments("saturation", 0.4)
def stronger_and_paler(job, record):
    (value, saturation), (value_after, saturation_after) = in_hsv(pictures()), in_hsv(job.fit.enters(pictures()))
    np.testing.assert_allclose(value_after, value, atol=0.5)
    factors = np.median(saturation_after / np.maximum(saturation, 0.01), axis=(1, 2))
    spread(factors - 1, 0.4)


@augments("hue", 40.0)
def around_the_colour_circle(job, record):
    after = job.fit.enters(pictures())
    for before, turned_to in zip(in_hsv(pictures()), in_hsv(after), strict=True):
        np.testing.assert_allclose(turned_to, before, atol=0.5)
    assert np.median(np.abs(after - pictures()).mean(axis=(1, 2, 3))) > 3


def roughness(images):
    return np.abs(np.diff(images, axis=2)).mean(axis=(1, 2, 3))


@augments("blur", 2.0)
def softer(job, record):
    grains = np.random.default_rng(2).uniform(80, 170, (PICTURES, LARGE, LARGE, 3)).astype(np.float32)
    after = job.fit.enters(grains)
    shares = roughness(after) / roughness(grains)
    assert shares.max() <= 1.001
    assert shares.min() < 0.3
    np.testing.assert_allclose(after.mean(axis=(1, 2)), grains.mean(axis=(1, 2)), atol=1.5)


@augments("sharpen", 0.9)
def edges_stronger(job, record):
    shares = roughness(job.fit.enters(pictures())) / roughness(pictures())
    assert shares.min() > 0.999
    assert shares.max() > 1.05


@augments("noise", 0.1)
def grainy(job, record):
    grain = job.fit.enters(pictures()) - pictures()
    deviations = grain.std(axis=(1, 2, 3))
    assert 0.7 * 25.5 < deviations.max() < 1.05 * 25.5
    neighbours = np.corrcoef(grain[:, :, 1:].ravel(), grain[:, :, :-1].ravel())[0, 1]
    assert abs(neighbours) < 0.02


@augments("erasing", 0.3)
def a_grey_rectangle_in_half(job, record):
    before, after = pictures(130, 170), job.fit.enters(pictures(130, 170))
    erased = (after == 128).all(axis=-1)
    np.testing.assert_array_equal(after[~erased], before[~erased])
    areas = erased.mean(axis=(1, 2))
    assert 0.25 < (areas > 0).mean() < 0.75
    assert 0.15 < areas.max() < 0.35


@augments("rand_augment", 0.5)
def two_changes_at_random(job, record):
    after = job.fit.enters(pictures())
    differences = np.abs(after - pictures()).mean(axis=(1, 2, 3))
    assert (differences > 0.5).mean() > 0.9
    # Some are moved, and have black corners; others have other colours only.
    black = (after[:, [0, 0, -1, -1], [0, -1, 0, -1]] == 0).all(axis=-1).any(axis=-1)
    assert 0.3 < black.mean() < 0.95


def mixed(fit):
    """Pictures each of one colour, which says its label: what they become, and the shares of labels told to Keras."""
    labels = (np.arange(PICTURES) % len(COUNTS)).astype(np.int32)
    plain_colours = np.zeros((PICTURES, LARGE, LARGE, 3), np.float32)
    plain_colours[np.arange(PICTURES), :, :, labels] = 200
    images, shares, _ = fit.enters(plain_colours, labels, np.ones(PICTURES, np.float32))
    return images / 200, shares


@augments("mix_up", 0.5)
def blended_with_their_labels(job, record):
    images, shares = mixed(job.fit)
    np.testing.assert_allclose(images, np.broadcast_to(shares[:, None, None], images.shape), atol=1e-3)
    assert ((shares > 0.05) & (shares < 0.95)).any(axis=1).mean() > 0.2


@augments("cut_mix", 1.0)
def pieces_with_their_labels(job, record):
    images, shares = mixed(job.fit)
    assert (np.isclose(images, 0) | np.isclose(images, 1)).all()
    np.testing.assert_allclose(images.mean(axis=(1, 2)), shares, atol=0.05)  # a piece has whole pixels
    assert ((shares > 0.05) & (shares < 0.95)).any(axis=1).mean() > 0.2


@effect("augmentation.fill", "constant", {"augmentation.rotation": 90.0})
def black_where_it_was_moved_away(job, record):
    white = np.full((PICTURES, SIDE, SIDE, 3), 255, np.float32)
    assert job.fit.enters(white).min() == 0
    reflected = record({**SCRATCH, "augmentation.rotation": 90.0})
    assert reflected.fit.enters(white).min() > 254


def views_of(job):
    """All rows of features that were trained on."""
    return {row.tobytes() for batches in job.fit.epochs for batch in batches for row in batch[0]}


@effect("augmentation.views", 3, {**VIEWED}, start=FROZEN)
def so_many_views_of_each_image(job, record):
    images = len(job.fit.images)
    assert job.fit.network.inputs[0].shape[1:] == (512,), "features were computed ahead"
    assert 2.8 * images < len(views_of(job)) <= 3 * images


@effect("augmentation.views", 0, {**VIEWED, "training.epochs": 1}, start=FROZEN)
def augmented_in_every_epoch(job, record):
    assert job.fit.images.shape[1:] == (32, 32, 3)
    assert np.abs(job.fit.enters(job.fit.images) - job.fit.images).mean() > 5


# decisions


@effect("decisions.left_out", ("red/1 1.png", "blue/2 2.png"))
def not_used(job, record):
    gone = {"red/1 1.png", "blue/2 2.png"}
    assert set(record(SCRATCH).manifest) - set(job.manifest) == gone
    assert not gone & {*job.fed(job.fit.epochs[0]), *job.fed(job.fit.checked)}


@effect("decisions.belongs_to", {"red/1 1.png": "blue", "red/2 2.png": "green"}, {"split.test": 0.0})
def under_another_class(job, record):
    moved_to = {"red/1 1.png": "blue", "red/2 2.png": "green"}
    fed = {}
    for batch in [*job.fit.epochs[0], *job.fit.checked]:
        fed |= dict(zip(job.fed([batch]), batch[1].tolist(), strict=True))
    for path, (class_name, _) in job.manifest.items():
        assert class_name == moved_to.get(path, path.split("/")[0])
        assert sorted(COUNTS)[fed[path]] == class_name


# -- the tests -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_a_setting_changes_what_it_is_for(case, record):
    case.check(record(case.settings, case.pictures), record)


def test_every_setting_has_a_case_or_a_reason():
    stated = {case.name for case in CASES.values()}
    assert DEFAULTS.keys() - stated == WITHOUT_EFFECT.keys(), "write a case for it above, or say why it needs none"
    assert stated <= DEFAULTS.keys(), "there is no such setting any more"


def test_cases_state_something_else_than_the_default():
    begun = SCRATCH | {name.replace("architecture.", "architecture.scratch."): SCRATCH[name] for name in SCRATCH}
    for case in CASES.values():
        assert case.value != DEFAULTS[case.name], case.name
        assert case.value != begun.get(case.name), case.name


def test_a_head_is_trained_as_training_says(record):
    """The first stage of a backbone has the settings of training, and not those of fine-tuning."""
    fit = record(BACKBONE).fits[0]
    assert type(fit.optimizer) is keras.optimizers.SGD
    assert rates_by_batch(fit) == pytest.approx(0.03)
    assert len(fit.epochs) == 3
    for each in record(BACKBONE).fits:
        assert {len(batch[1]) for batch in each.epochs[0][:-1]} == {9}
        assert all(len(batch) == 3 and batch[2][batch[1] == 0].min(initial=9) > 1 for batch in each.epochs[0])


def test_patience_and_early_stopping_hold_in_fine_tuning_too(record):
    job = record({**BACKBONE, "training.early_stopping": True, "training.patience": 2})
    assert [len(fit.epochs) for fit in job.fits] == [3, 2]


def test_32_bits_when_asked_for_where_16_are_faster(folders, tmp_path, monkeypatch):
    monkeypatch.setattr(runtime, "acceleration", lambda: Acceleration(policy="mixed_bfloat16"))
    dataset = tasks.scan(folders / "pictures", JobContext())
    for precision, expected in (("auto", "bfloat16"), ("float32", "float32")):
        experiment = build_experiment(nested({**SCRATCH, "training.precision": precision}))
        job = train(dataset, experiment, tmp_path / precision, monkeypatch)
        assert job.fit.layers(keras.layers.Conv2D)[0].compute_dtype == expected
