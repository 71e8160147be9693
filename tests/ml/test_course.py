"""Each preset that carries a course's name is its network, compared with plain Keras layer by layer, and its training.

The networks below are written as the courses write them. Two departures are the program's own, and its summaries say
so: as many outputs as there are classes where a book has one sigmoid, and VGG16's own preprocessing in place of 1/255.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any

import keras
import pytest
from keras import layers
from keras.optimizers import SGD, Adam, RMSprop

from cnn_studio.core.advice.presets import EXPERIMENT_PRESETS, experiment_preset
from cnn_studio.core.data.dataset import Dataset
from cnn_studio.core.data.image_file import ImageFile, Split
from cnn_studio.core.data.split import count_splits
from cnn_studio.core.experiment.augmentation import NO_AUGMENTATION, AugmentationSettings, Fill
from cnn_studio.core.experiment.layer_plan import plan_layers
from cnn_studio.core.experiment.settings import BackboneArchitecture, SplitSettings
from cnn_studio.ml.backbones import set_trainable_from
from cnn_studio.ml.build import build_model
from cnn_studio.ml.stages import plan_stages
from cnn_studio.ml.train import compile_model

RESULTS = Path(__file__).parents[1] / "benchmarks" / "RESULTS.md"
CONFIG = (
    *("filters", "units", "kernel_size", "strides", "padding", "activation", "use_bias", "dilation_rate", "groups"),
    *("pool_size", "rate", "scale", "offset", "epsilon", "momentum"),
)


# -- the networks, in plain Keras ------------------------------------------------------------------------------------


def network(shape, *of):
    return keras.Sequential([keras.Input(shape), layers.Rescaling(1 / 255), *of])


def conv(filters, padding="valid", size=3, activation="relu"):
    return layers.Conv2D(filters, size, padding=padding, activation=activation)


def dense(units, activation="relu"):
    return layers.Dense(units, activation=activation)


def pool():
    return layers.MaxPooling2D(2)


def average():
    return layers.AveragePooling2D(2)


def flowers(dropout):
    convolutions = [part for filters in (16, 32, 64) for part in (conv(filters, "same"), pool())]
    dropped = [layers.Dropout(0.2)] if dropout else []
    return network((180, 180, 3), *convolutions, *dropped, layers.Flatten(), dense(128), dense(5, "softmax"))


def cifar10(pooling):
    blocks = [part for filters in (32, 64) for part in (conv(filters), conv(filters), *([pool()] if pooling else []))]
    return network((32, 32, 3), *blocks, layers.Flatten(), dense(512), dense(10, "softmax"))


def fashion_mlp():
    return network((28, 28, 1), layers.Flatten(), dense(300), dense(100), dense(10, "softmax"))


def fashion_cnn(pooling):
    pooled = [pool()] if pooling else []
    return network((28, 28, 1), conv(64), conv(32), *pooled, layers.Flatten(), dense(100), dense(10, "softmax"))


def lenet5():
    return network(
        (28, 28, 1),
        conv(6, "same", 5, "tanh"),
        average(),
        conv(16, "valid", 5, "tanh"),
        average(),
        layers.Flatten(),
        dense(120, "tanh"),
        dense(84, "tanh"),
        dense(10, "softmax"),
    )


def simple_convnet():
    return network(
        (28, 28, 1),
        *(conv(32), pool(), conv(64), pool()),
        *(layers.Dropout(0.5), layers.Flatten(), dense(10, "softmax")),
    )


def cats_dogs(dropout):
    convolutions = [part for filters in (32, 64, 128, 128) for part in (conv(filters), pool())]
    # The book drops after flattening: of the same values the same share.
    dropped = [layers.Dropout(0.5)] if dropout else []
    return network((150, 150, 3), *convolutions, *dropped, layers.Flatten(), dense(512), dense(2, "softmax"))


def pretrained(make, side, head, trained=()):
    """A backbone with random weights and a head; trained are its layers whose names begin so."""
    base = make(include_top=False, weights=None, input_shape=(side, side, 3))
    for layer in base.layers:
        layer.trainable = layer.name.startswith(tuple(trained))
    tensor = base.output
    for layer in head():
        tensor = layer(tensor)
    return keras.Model(base.input, tensor)


def vgg16(side, *head, trained=()):
    made = partial(pretrained, keras.applications.VGG16, side, trained=trained)
    return made(lambda: [layers.Flatten(), *(each() for each in head)])


def vgg16_cats_dogs(*, dropout=False, trained=()):
    dropped = [lambda: layers.Dropout(0.5)] if dropout else []
    return vgg16(150, lambda: dense(256), *dropped, lambda: dense(2, "softmax"), trained=trained)


def vgg16_from_block3():
    head = (lambda: dense(1024), lambda: layers.Dropout(0.3), lambda: dense(256), lambda: dense(10, "softmax"))
    return vgg16(32, *head, trained=("block3", "block4", "block5"))


def resnet50():
    return pretrained(keras.applications.ResNet50, 150, lambda: [layers.GlobalAveragePooling2D(), dense(10, "softmax")])


# -- the courses -----------------------------------------------------------------------------------------------------

FLOWERS = AugmentationSettings(flip_horizontal=True, rotation=36, zoom=0.1)  # 0.1 of a turn
CATS_DOGS = AugmentationSettings(
    flip_horizontal=True,
    rotation=40,
    translation=0.2,
    shear=0.2,
    stretch_width=0.2,
    stretch_height=0.2,
    fill=Fill.NEAREST,
    views=0,
)


@dataclass(frozen=True)
class Course:
    """What a course does.

    Attributes:
        network: its last stage's.
        parameters: as its summary prints them, in all; None where it prints none.
        stages: of each the optimizer, and epochs at most.
        batch: images per step.
        images: classes, and training images of each.
        split: of all these images, for training, validation and testing.
        patience: of early stopping; None for none.
        augmentation: of training images.
        trainable: parameters that training changes, where not all.
        given: whether the course says how it is trained; else it is this program's usual way.
    """

    network: Callable[[], keras.Model]
    parameters: int | None
    stages: tuple[tuple[Callable[[], keras.optimizers.Optimizer], int], ...]
    batch: int
    images: tuple[int, int]
    split: tuple[int, int, int]
    patience: int | None = None
    augmentation: AugmentationSettings = NO_AUGMENTATION
    trainable: int | None = None
    given: bool = True


def usual(network, parameters, trainable=None):
    split = (35_000, 7_500, 7_500)
    return Course(network, parameters, ((Adam, 15),), 32, (10, 5000), split, 5, trainable=trainable, given=False)


def fashion(network, parameters, optimizer=Adam, patience=1):
    return Course(network, parameters, ((optimizer, 20),), 32, (10, 6000), (55_000, 5_000, 0), patience)


def dogs(network, parameters, rates, batch, epochs, **more):
    stages = tuple((partial(RMSprop, rate), count) for rate, count in zip(rates, epochs, strict=True))
    return Course(network, parameters, stages, batch, (2, 2000), (2000, 1000, 1000), **more)


SMALL_RATE = partial(Adam, 5e-4)
COURSES = {
    "flowers_tutorial_plain": Course(
        partial(flowers, dropout=False), 3_989_285, ((Adam, 10),), 32, (5, 700), (2800, 700, 0)
    ),
    "flowers_tutorial": Course(
        partial(flowers, dropout=True), 3_989_285, ((Adam, 15),), 32, (5, 700), (2800, 700, 0), augmentation=FLOWERS
    ),
    "cifar10_two_block": usual(partial(cifar10, pooling=True), 890_410),
    "cifar10_two_block_no_pooling": usual(partial(cifar10, pooling=False), 18_945_578),
    "fashion_mnist_mlp": fashion(fashion_mlp, 266_610),
    "fashion_mnist_cnn": fashion(partial(fashion_cnn, pooling=True), 481_014),
    "fashion_mnist_cnn_no_pooling": fashion(partial(fashion_cnn, pooling=False), 1_863_414),
    "fashion_mnist_lenet5": fashion(lenet5, 61_706, SGD, None),
    "simple_mnist_convnet": Course(simple_convnet, 34_826, ((Adam, 15),), 128, (10, 6000), (54_000, 6_000, 0)),
    "vgg16_transfer_32": Course(
        lambda: vgg16(32, lambda: dense(256), lambda: dense(10, "softmax")),
        14_848_586,
        ((SMALL_RATE, 20),),
        128,
        (10, 5000),
        (40_000, 10_000, 0),
        trainable=133_898,
    ),
    "vgg16_from_block3": Course(
        vgg16_from_block3,
        15_504_970,
        ((SMALL_RATE, 20),),
        64,
        (10, 5000),
        (40_000, 10_000, 0),
        trainable=15_244_810,
    ),
    "cats_dogs_scratch": dogs(partial(cats_dogs, dropout=False), 3_453_121, (1e-4,), 20, (30,)),
    "cats_dogs_scratch_augmented": dogs(
        partial(cats_dogs, dropout=True), 3_453_121, (1e-4,), 32, (100,), augmentation=CATS_DOGS
    ),
    "cats_dogs_features": dogs(
        partial(vgg16_cats_dogs, dropout=True), 16_812_353, (2e-5,), 20, (30,), trainable=2_097_922
    ),
    "cats_dogs_features_augmented": dogs(
        vgg16_cats_dogs, 16_812_353, (2e-5,), 20, (30,), augmentation=CATS_DOGS, trainable=2_097_922
    ),
    "cats_dogs_fine_tuned": dogs(
        partial(vgg16_cats_dogs, trained=("block5",)),
        16_812_353,
        (2e-5, 1e-5),
        20,
        (30, 100),
        augmentation=CATS_DOGS,
        trainable=9_177_346,
    ),
    "resnet50_average_150": usual(resnet50, None, trainable=20_490),
}


# -- the comparison --------------------------------------------------------------------------------------------------


def stages_of(experiment):
    """The settings of each stage."""
    if isinstance(experiment.architecture, BackboneArchitecture):
        return [plan.settings for plan in plan_stages(experiment.architecture, experiment.training)]
    return [experiment.training]


def built(experiment, classes):
    """The network as its last stage trains it."""
    architecture = experiment.architecture
    model = build_model(architecture, experiment.image, classes)
    if isinstance(architecture, BackboneArchitecture):
        set_trainable_from(model, architecture, plan_stages(architecture, experiment.training)[-1].depth)
    return model


def described(model: keras.Model) -> list[dict[str, Any]]:
    """Each layer but inputs: class, what is configured, output shape, parameters. Grey is no layer, nor are flips."""
    return [described_layer(layer) for layer in model.layers if not isinstance(layer, layers.InputLayer)]


def described_layer(layer: keras.Layer) -> dict[str, Any]:
    config = layer.get_config()
    found = {name: config[name] for name in CONFIG if name in config}
    if "kernel_initializer" in config:
        found["kernel_initializer"] = config["kernel_initializer"]["class_name"]
    # In a frozen part BatchNormalization's statistics count as not trainable, and so do its weights.
    trainable = sum(int(weight.size) for weight in map(keras.ops.convert_to_numpy, layer.trainable_weights))
    counts = layer.count_params(), trainable
    return {"class": type(layer).__name__, **found, "output": tuple(layer.output.shape), "parameters": counts}


def test_every_preset_is_compared():
    assert COURSES.keys() == EXPERIMENT_PRESETS.keys()


@pytest.mark.parametrize("name", COURSES)
def test_the_network_is_the_courses_layer_by_layer(name):
    course, experiment = COURSES[name], experiment_preset(name).experiment
    theirs, ours = described(course.network()), described(built(experiment, course.images[0]))
    if isinstance(experiment.architecture, BackboneArchitecture):
        before = ours.pop(0)
        assert (before["class"], before["parameters"]) == ("Rescaling", (0, 0)), "the network's own preprocessing"
    assert [layer["class"] for layer in ours] == [layer["class"] for layer in theirs]
    for our, their in zip(ours, theirs, strict=True):
        assert our == their
    in_all, trainable = (sum(layer["parameters"][place] for layer in ours) for place in (0, 1))
    assert trainable == (course.trainable or in_all)
    if course.parameters is not None:
        # The book's single sigmoid has half the weights of two softmax outputs.
        outputs = theirs[-1]["parameters"][0] // 2 if name.startswith("cats_dogs") else 0
        assert in_all - outputs == course.parameters


@pytest.mark.parametrize("name", COURSES)
def test_it_is_trained_as_the_course_says(name):
    course, experiment = COURSES[name], experiment_preset(name).experiment
    tiny = network((4, 4, 1), layers.Flatten(), dense(2, "softmax"))
    settings = stages_of(experiment)
    assert len(settings) == len(course.stages)
    for stage, (optimizer, epochs) in zip(settings, course.stages, strict=True):
        compile_model(tiny, stage)
        assert type(tiny.optimizer) is type(optimizer())
        assert tiny.optimizer.get_config() == {**optimizer().get_config(), "name": tiny.optimizer.name}
        assert (stage.epochs, stage.batch_size) == (epochs, course.batch)
        assert (stage.patience if stage.early_stopping else None) == course.patience
        assert (stage.schedule, stage.warm_up_epochs) == ("constant", 0)
    assert experiment.augmentation == course.augmentation


@cache
def shared_out(images: tuple[int, int], split: SplitSettings) -> tuple[int, ...]:
    classes, each = images
    files = tuple(
        ImageFile(f"{label}/{number}.png", label, 32, 32, False, 1, 1)
        for label in range(classes)
        for number in range(each)
    )
    counts = count_splits(Dataset(Path("images"), tuple(map(str, range(classes))), files), split)
    return tuple(sum(counts[split]) for split in (Split.TRAIN, Split.VALIDATION, Split.TEST))


@pytest.mark.parametrize("name", COURSES)
def test_the_images_are_shared_out_as_the_course_says(name):
    course, experiment = COURSES[name], experiment_preset(name).experiment
    assert shared_out(course.images, experiment.split) == course.split


# -- the table -------------------------------------------------------------------------------------------------------


def row(name: str) -> str:
    course, experiment = COURSES[name], experiment_preset(name).experiment
    parameters = sum(
        layer.parameters for layer in plan_layers(experiment.architecture, experiment.image, course.images[0])
    )
    stages = stages_of(experiment)
    momentum = f", momentum {stages[0].momentum:g}" if stages[0].optimizer == "sgd" else ""
    optimizers = ", then ".join(f"{stage.optimizer.value} {stage.learning_rate:g}" for stage in stages) + momentum
    epochs = ", then ".join(str(stage.epochs) for stage in stages)
    if experiment.training.early_stopping:
        epochs += f", patience {experiment.training.patience}"
    split = f"{course.split[1]:,} of {sum(course.split):,} to validate"
    if course.split[2]:
        split += f", {course.split[2]:,} to test"
    cells = [
        *(f"`{name}`", f"{parameters:,}", f"{course.parameters:,}" if course.parameters else "–", optimizers),
        *(str(experiment.training.batch_size), epochs, split if course.given else f"{split} (the course says nothing)"),
    ]
    return f"| {' | '.join(cells)} |"


def test_the_table_in_the_results_is_this_one():
    """It is part of RESULTS.md; when it fails it prints what is to stand there."""
    head = "| preset | parameters | in the course | optimizer | batch | epochs | split |"
    table = "\n".join([head, "| --- | --- | --- | --- | --- | --- | --- |", *map(row, COURSES)])
    assert table in RESULTS.read_text(encoding="utf-8"), f"write this table into {RESULTS.name}:\n{table}"
