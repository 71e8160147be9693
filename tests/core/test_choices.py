"""Window and command line come to the same experiment: what was set or opened is kept, the rest follows the data."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import pytest

from cnn_studio.core.advice.choices import FOLLOWING, Choices, Chosen
from cnn_studio.core.advice.presets import RECOMMENDED, experiment_preset
from cnn_studio.core.errors import ExperimentError
from cnn_studio.core.experiment.experiment import Experiment, experiment_to_toml
from cnn_studio.core.experiment.settings import Colour, Decisions, ImageSettings, ScratchArchitecture

MINE = Experiment(
    image=ImageSettings(height=96, width=96, colour=Colour.GREY, fit="crop"),
    architecture=ScratchArchitecture(name="mine"),
    decisions=Decisions(left_out=("owl/1.png",)),
)

FOLDERS = {"photographs": (400, False), "grey": (100, True), "tiny": (28, True)}


@pytest.fixture
def folder(made_up_dataset):
    """folder(kind) -> a data set of pictures of that kind."""

    def make(kind):
        side, grey = FOLDERS[kind]
        dataset = made_up_dataset({"cat": 20, "owl": 20})
        files = tuple(replace(file, height=side, width=side + 50, grey=grey) for file in dataset.files)
        return replace(dataset, files=files)

    return make


def size_and_colour(experiment):
    return experiment.image.height, experiment.image.width, experiment.image.colour


def on_cpu():
    return False


def not_asked():
    pytest.fail("the device does not matter here")


# -- the two faces -------------------------------------------------------------------------------------------------


def in_the_window(dataset, start, architecture, changes, folder_opened):
    """What becomes of the same wishes when they are clicked one after the other."""
    known = dataset if folder_opened == "first" else None
    chosen = Chosen().on_data(dataset) if known else Chosen()
    if start == "opened":
        chosen = Chosen.opened(MINE)
    elif start:
        chosen, _ = chosen.with_preset(start, known, on_cpu)
    if folder_opened == "after the start":
        known = dataset
        chosen = chosen.on_data(dataset)
    if architecture:
        chosen = chosen.with_architecture(architecture, known)
    for name, value in changes.items():
        chosen = chosen.with_changes({name: value})
    return (chosen if known else chosen.on_data(dataset)).experiment


STARTS = (None, "opened", RECOMMENDED, "flowers_tutorial", "fashion_mnist_mlp")
CHANGES = (
    {},
    {"image.height": 48, "image.width": 48},
    {"image.colour": "rgb", "training.epochs": 3},
    {"training.optimizer": "sgd"},
    {"training.learning_rate": 0.02, "training.optimizer": "sgd"},
)


@pytest.mark.parametrize("folder_opened", ["first", "after the start", "last"])
@pytest.mark.parametrize("kind", FOLDERS)
def test_both_faces_come_to_the_same_experiment(kind, folder_opened, folder, tmp_path):
    file = tmp_path / "mine.toml"
    file.write_text(experiment_to_toml(MINE), encoding="utf-8")
    dataset = folder(kind)
    compared = 0
    for start, architecture, changes in product(STARTS, (None, "lenet5", "resnet50"), CHANGES):
        if start == RECOMMENDED and folder_opened != "first":
            continue  # the window does not offer it without a folder
        if architecture and start not in {None, "opened"}:
            continue  # the command line takes one or the other
        options = {"experiment": file} if start == "opened" else {"preset": start}
        said = Choices(**options, architecture=architecture, changes=changes)
        expected, _ = said.on_data(dataset, on_cpu)
        assert in_the_window(dataset, start, architecture, changes, folder_opened) == expected, said
        compared += 1
    assert compared >= 40


# -- what is kept --------------------------------------------------------------------------------------------------


def test_settings_opened_before_a_folder_are_kept(folder):
    chosen = Chosen.opened(MINE).on_data(folder("photographs"))
    assert chosen.experiment == MINE


def test_a_preset_taken_before_a_folder_is_kept(folder):
    chosen, said = Chosen().with_preset("flowers_tutorial", None, not_asked)
    assert said == experiment_preset("flowers_tutorial").summary
    assert chosen.on_data(folder("grey")).experiment == experiment_preset("flowers_tutorial").experiment


def test_what_was_set_by_hand_outlives_folders_and_architectures(folder):
    chosen = Chosen().with_changes({"image.height": 56, "image.width": 56}).on_data(folder("grey"))
    assert size_and_colour(chosen.experiment) == (56, 56, "grey")
    chosen = chosen.with_architecture("resnet50", folder("grey"))
    assert size_and_colour(chosen.experiment) == (56, 56, "grey")
    chosen = chosen.with_changes({"image.colour": "grey"}).on_data(folder("photographs"))
    assert size_and_colour(chosen.experiment) == (56, 56, "grey")


def test_what_was_not_follows_folder_and_architecture(folder):
    chosen = Chosen().on_data(folder("grey"))
    assert size_and_colour(chosen.experiment) == (100, 100, "grey")
    chosen = chosen.with_architecture("resnet50", folder("grey")).on_data(folder("photographs"))
    assert size_and_colour(chosen.experiment) == (224, 224, "rgb")


def test_without_a_folder_an_architecture_gets_the_size_it_was_made_for():
    assert size_and_colour(Chosen().with_architecture("resnet50", None).experiment) == (224, 224, "rgb")
    assert size_and_colour(Chosen().with_architecture("lenet5", None).experiment) == (28, 28, "rgb")


def test_how_pictures_are_made_to_fit_is_never_suggested(folder):
    chosen = Chosen().with_changes({"image.fit": "pad"}).with_architecture("resnet50", folder("photographs"))
    assert chosen.on_data(folder("tiny")).experiment.image.fit == "pad"
    assert chosen.fixed == frozenset()


def test_an_architecture_with_a_name_of_its_own_follows_the_data_too(folder):
    chosen = Chosen().with_changes({"architecture.name": "mine"}).on_data(folder("photographs"))
    assert size_and_colour(chosen.experiment) == (128, 128, "rgb")


def test_a_whole_group_that_was_set_counts_as_set(folder):
    chosen = Chosen().with_changes({"image": MINE.image.model_dump()}).on_data(folder("photographs"))
    assert chosen.experiment.image == MINE.image


def test_another_optimizer_brings_its_usual_rate_unless_that_was_set():
    chosen = Chosen().with_changes({"training.optimizer": "sgd"})
    assert chosen.experiment.training.learning_rate == 0.01
    assert chosen.with_changes({"training.optimizer": "adam"}).experiment.training.learning_rate == 0.001
    chosen = chosen.with_changes({"training.learning_rate": 0.5}).with_changes({"training.optimizer": "adam"})
    assert chosen.experiment.training.learning_rate == 0.5
    opened = Chosen.opened(MINE).with_changes({"training.optimizer": "sgd"})
    assert opened.experiment.training.learning_rate == 0.001


def test_decisions_about_pictures_outlive_a_preset(folder):
    chosen, _ = Chosen().with_decisions(MINE.decisions).with_preset(RECOMMENDED, folder("tiny"), on_cpu)
    assert chosen.experiment.decisions == MINE.decisions
    assert chosen.fixed == frozenset()


def test_the_device_decides_what_is_recommended(folder):
    at_gpu, _ = Chosen().with_preset(RECOMMENDED, folder("photographs"), lambda: True)
    at_cpu, said = Chosen().with_preset(RECOMMENDED, folder("photographs"), on_cpu)
    assert (at_gpu.experiment.image.height, at_cpu.experiment.image.height) == (224, 160)
    assert "CPU" in said


def test_what_is_wrong_changes_nothing():
    chosen = Chosen.opened(MINE)
    for wrong in ({"training.epochs": 0}, {"training.optimizer": "adamw"}):
        with pytest.raises(ExperimentError) as caught:
            chosen.with_changes(wrong)
        assert caught.value.field in wrong
    with pytest.raises(ExperimentError, match="no architecture"):
        chosen.with_architecture("alexnet", None)
    with pytest.raises(ExperimentError, match="no preset"):
        chosen.with_preset("x", None, not_asked)
    assert chosen == Chosen(MINE, FOLLOWING)
