"""Presets work as they stand and reproduce what they are named after; the recommendation follows the data."""

from __future__ import annotations

import ast
from dataclasses import replace
from pathlib import Path

import pytest

import cnn_studio
from cnn_studio.core.advice.presets import EXPERIMENT_PRESETS, RECOMMENDED, experiment_preset
from cnn_studio.core.advice.suggestions import recommend_experiment
from cnn_studio.core.data.image_file import Split
from cnn_studio.core.data.split import split_dataset
from cnn_studio.core.errors import ExperimentError
from cnn_studio.core.experiment.architectures import ARCHITECTURE_PRESETS, BACKBONE_PRESETS, architecture_title
from cnn_studio.core.experiment.experiment import build_experiment
from cnn_studio.core.experiment.layer_plan import plan_layers
from cnn_studio.core.experiment.settings import BackboneArchitecture, Colour, TransferMode


def plan(name, classes):
    experiment = experiment_preset(name).experiment
    return plan_layers(experiment.architecture, experiment.image, classes)


def test_names_are_fit_for_a_command_line_and_titles_differ():
    assert all(preset.name == name and name.replace("_", "").isalnum() for name, preset in EXPERIMENT_PRESETS.items())
    assert RECOMMENDED not in EXPERIMENT_PRESETS
    assert len({preset.title for preset in EXPERIMENT_PRESETS.values()}) == len(EXPERIMENT_PRESETS)
    with pytest.raises(ExperimentError, match="no preset called 'x'") as caught:
        experiment_preset("x")
    assert "recommended, flowers_tutorial_plain, flowers_tutorial" in caught.value.hint


@pytest.mark.parametrize("name", EXPERIMENT_PRESETS)
def test_a_preset_is_a_complete_valid_experiment(name):
    experiment = experiment_preset(name).experiment
    assert build_experiment(experiment.model_dump()) == experiment
    assert plan(name, 10)[-1].output_shape == (10,)


def test_a_course_name_is_its_network_or_says_otherwise():
    """The networks themselves are compared in tests/ml/test_course.py."""
    for preset in EXPERIMENT_PRESETS.values():
        if preset.name.startswith("cats_dogs"):
            assert "two outputs where the book has one" in preset.summary
    features = experiment_preset("cats_dogs_features").summary
    assert "VGG16's own preprocessing" in features
    assert "this program's usual way" in experiment_preset("cifar10_two_block").summary


def test_an_architecture_of_a_preset_is_named_for_people():
    """One that no row of the architectures has is shown by its name."""
    for preset in EXPERIMENT_PRESETS.values():
        name = preset.experiment.architecture.name
        assert architecture_title(name)[0].isupper(), name
        if row := ARCHITECTURE_PRESETS.get(name):
            assert preset.experiment.architecture == row.architecture, "else it is another network"
    assert architecture_title("small_cnn") == "Small CNN"
    assert architecture_title("resnet50") == "ResNet50"
    assert architecture_title("mine") == "mine"


def test_the_steps_on_cats_and_dogs():
    fine_tuned = experiment_preset("cats_dogs_fine_tuned").experiment.architecture
    assert isinstance(fine_tuned, BackboneArchitecture)
    assert fine_tuned.transfer is TransferMode.FINE_TUNED
    assert fine_tuned.trained_depth == "block5"
    first = experiment_preset("cats_dogs_features_augmented").experiment
    second = experiment_preset("cats_dogs_fine_tuned").experiment
    assert (first.training, first.augmentation, first.split) == (second.training, second.augmentation, second.split)


def of_size(dataset, side, *, grey=False):
    return replace(
        dataset, files=tuple(replace(file, height=side, width=side + 50, grey=grey) for file in dataset.files)
    )


def test_the_recommendation_follows_size_colour_number_and_device(made_up_dataset):
    few = made_up_dataset({"a": 20, "b": 20})
    many = made_up_dataset({"a": 90, "b": 60})
    tiny_colour = recommend_experiment(of_size(many, 32))
    assert tiny_colour.experiment.architecture.name == "two_block_cnn"
    tiny_grey = recommend_experiment(of_size(many, 28, grey=True))
    assert tiny_grey.experiment.architecture.name == "lenet5"
    assert tiny_grey.experiment.image.colour is Colour.GREY
    assert "150 grey images of 2 classes, 28 pixels" in tiny_grey.reason
    assert "LeNet-5" in tiny_grey.reason

    on_cpu = recommend_experiment(of_size(many, 500))
    assert (on_cpu.experiment.architecture.name, on_cpu.experiment.image.height) == ("resnet50", 160)
    assert "CPU" in on_cpu.reason
    on_gpu = recommend_experiment(of_size(many, 500), on_gpu=True)
    assert on_gpu.experiment.image.height == 224
    assert "CPU" not in on_gpu.reason
    assert recommend_experiment(of_size(many, 100)).experiment.image.height == 100

    assert on_cpu.experiment.architecture.dropout == 0.0
    of_few = recommend_experiment(of_size(few, 500))
    assert of_few.experiment.architecture.dropout > 0
    assert "few" in of_few.reason


def test_the_recommendation_for_nothing_is_still_an_experiment(made_up_dataset):
    assert recommend_experiment(made_up_dataset({})).experiment.architecture.name == "resnet50"


def test_no_code_asks_for_a_network_by_name():
    """What sets one apart is said in its row; only rows, the settings' defaults and presets name them."""
    package = Path(cnn_studio.__file__).parent
    tables = {"backbones.py", "architectures.py", "settings.py", "presets.py"}
    names = ARCHITECTURE_PRESETS.keys() | BACKBONE_PRESETS.keys()
    found = {
        (file.relative_to(package).as_posix(), node.value)
        for file in package.rglob("*.py")
        if not (file.parent.name in {"experiment", "advice"} and file.name in tables)
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value in names
    }
    assert found == set()


def test_each_colour_of_tiny_pictures_has_one_network_to_try_first():
    first = [preset.first_for_tiny for preset in ARCHITECTURE_PRESETS.values() if preset.first_for_tiny]
    assert sorted(first) == sorted(Colour)


def test_presets_come_to_the_splits_of_a_data_set_with_a_test_folder(made_up_dataset):
    """Fashion-MNIST as it comes: its test images stay apart, a twelfth of the others is for validation."""
    train, test = (
        made_up_dataset({"a": count, "b": count}, given) for count, given in ((120, Split.TRAIN), (20, Split.TEST))
    )
    both = replace(train, files=(*train.files, *test.files), given_splits=train.given_splits | test.given_splits)
    totals = split_dataset(both, experiment_preset("fashion_mnist_mlp").experiment.split).totals
    assert (totals["train"], totals["validation"], totals["test"]) == (220, 20, 40)
