"""Every setting from the command line: by an option of its own, by ``--set``, and which of the two counts."""

from __future__ import annotations

import json

import pytest

from cnn_studio.cli import run
from cnn_studio.core.data.dataset import Dataset
from cnn_studio.core.data.image_file import ImageFile
from cnn_studio.core.errors import ExperimentError
from cnn_studio.core.experiment.experiment import Experiment, experiment_to_toml
from cnn_studio.core.experiment.row import Setting, ValueType
from cnn_studio.core.experiment.settings import ScratchArchitecture, TransferMode
from cnn_studio.core.experiment.table import ALL_SETTINGS, SETTINGS

JOBS = ("train", "cross_validate", "compare_augmentations", "find_label_errors")


@pytest.fixture
def command(capsys):
    """command(*arguments) -> (exit status, standard output, standard error)."""

    def call(*arguments):
        status = run([str(argument) for argument in arguments], lambda *_: 0)
        printed = capsys.readouterr()
        return status, printed.out, printed.err

    return call


@pytest.fixture
def request_of(command, monkeypatch, tmp_path):
    """request_of(command, *options) -> what its job would be asked to do; the folder's scan is made up."""
    files = tuple(ImageFile(f"{label}/{n}.jpg", label, 400, 500, False, 1000, 1) for label in (0, 1) for n in range(60))
    monkeypatch.setattr("cnn_studio.tasks.scan", lambda *_: Dataset(tmp_path, ("cat", "dog"), files))
    monkeypatch.setattr("cnn_studio.core.advice.preflight.find_weights", lambda _: None)  # none are here, nor needed
    asked = []

    def job(request, *_):
        asked.append(request)
        raise ExperimentError("that is all")

    for name in JOBS:
        monkeypatch.setattr(f"cnn_studio.tasks.{name}", job)

    def call(name, *options):
        out = [] if name == "label-errors" else ["--out", tmp_path / f"run {len(asked)}"]
        _, _, err = command(name, tmp_path, *out, *options)
        assert err.strip().endswith("that is all"), err
        return asked[-1]

    return call


@pytest.fixture
def trained_with(request_of):
    """trained_with(*options) -> the experiment that `train` would run."""
    return lambda *options: request_of("train", *options).experiment


def value_of(experiment: Experiment, name: str):
    value = experiment
    for part in name.split("."):
        value = getattr(value, part)
    return value


BACKBONE = ("--architecture", "resnet50")


def test_patience_of_none_never_ends_early(trained_with):
    assert trained_with("--patience", 0).training.early_stopping is False


# -- --set ---------------------------------------------------------------------------------------------------------


def another(each: Setting) -> str:
    """A text for a value of a setting that is not its default."""
    match each.type:
        case ValueType.CHOICE:
            return str(next(code for code in each.choices if code != each.default))
        case ValueType.INTEGER:
            return str(each.default + 1)
        case ValueType.NUMBER:
            return str(each.default + (each.limits.maximum - each.default) / 8)
        case ValueType.TEXT:
            mine = "vgg16" if each.kind == "backbone" else "lenet5"
            return {"name": mine, "unfreeze_from": "conv4", "group_pattern": r"patient(\d+)=[a-z]"}[each.key]
    return {
        ValueType.SWITCH: str(not each.default).lower(),
        ValueType.INTEGERS: "[4]",
        ValueType.CHOICES: next((code for code in each.choices if code not in each.default), ""),
        ValueType.BLOCKS: "[[4, 4], [8]]",
    }[each.type]


@pytest.mark.parametrize("each", ALL_SETTINGS, ids=lambda each: f"{each.name} {each.kind}".strip())
def test_every_setting_can_be_set(each, trained_with):
    text = another(each)
    start = BACKBONE if each.kind == "backbone" and each.key != "name" else ()
    assert value_of(trained_with(*start, "--set", f"{each.name}={text}"), each.name) == each.parse(text) != each.default


def test_several_settings_are_set(trained_with):
    settings = ("architecture.padding=valid", "architecture.blocks=[[32,32],[64,64]]", "training.schedule=cosine")
    experiment = trained_with(*(part for setting in settings for part in ("--set", setting)))
    assert experiment.architecture == ScratchArchitecture(padding="valid", blocks=((32, 32), (64, 64)))
    assert experiment.training.schedule == "cosine"


def test_setting_is_what_its_option_does(trained_with):
    """Also where one setting follows from another."""
    assert trained_with("--set", "training.optimizer=sgd") == trained_with("--optimizer", "sgd")
    set_rate = trained_with("--set", "training.optimizer=sgd", "--set", "training.learning_rate=0.5")
    assert set_rate.training.learning_rate == 0.5
    assert trained_with("--set", "architecture.name=lenet5") == trained_with("--architecture", "lenet5")
    unfrozen = trained_with(*BACKBONE, "--set", "architecture.unfreeze_from=conv4")
    assert unfrozen == trained_with(*BACKBONE, "--unfreeze", "conv4")
    assert unfrozen.architecture.transfer is TransferMode.FINE_TUNED


def test_what_is_set_comes_after_what_was_started_from(trained_with, tmp_path):
    file = tmp_path / "mine.toml"
    file.write_text(experiment_to_toml(Experiment()), encoding="utf-8")
    for start in (("--preset", "fashion_mnist_lenet5"), ("--experiment", file)):
        assert trained_with(*start, "--set", "architecture.dense=[9]").architecture.dense == (9,)
    augmentation = trained_with("--augment", "gentle", "--set", "augmentation.rotation=50").augmentation
    assert (augmentation.rotation, augmentation.flip_horizontal) == (50, True)


def test_an_option_and_set_may_say_the_same(trained_with):
    experiment = trained_with("--epochs", 5, "--set", "training.epochs=5", "--seed", 2, "--set", "split.seed=2")
    assert (experiment.training.epochs, experiment.split.seed) == (5, 2)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (
            "--epochs 5 --set training.epochs=6",
            "training.epochs is 5 by an option of its own and 6 by --set. Leave out",
        ),
        ("--image-size 64 --set image.width=96", "image.width is 64 by an option of its own and 96 by --set"),
        ("--seed 1 --set split.seed=2", "split.seed is 1"),
        ("--optimizer adam --set training.optimizer=sgd", "training.optimizer is adam"),
        ("--grey --set image.colour=rgb", "image.colour is grey"),
        ("--patience 3 --set training.early_stopping=false", "training.early_stopping is true"),
        ("--patience 0 --set training.patience=3", "--patience 0 never ends early, and --set training.patience"),
        ("--architecture vgg16 --set architecture.name=lenet5", "architecture.name is vgg16"),
        ("--set architecture.name=smal_cnn", "no architecture called 'smal_cnn'. Choose one of small_cnn, lenet5"),
        ("--set architecture.name=resnet5 --epochs 3", "no architecture called 'resnet5'. Choose one of small_cnn"),
        ("--architecture vgg16 --transfer frozen --set architecture.transfer=fine_tuned", "architecture.transfer is"),
        ("--set training.epoch=6", "There is no setting training.epoch. Did you mean training.epochs"),
        ("--set training.epochs", "Write NAME=VALUE"),
        ("--set training.epochs=0", "Epochs (training.epochs) must be at least 1 and at most 10,000; it is 0."),
        ("--set architecture.fine_tuning.schedule=cosine", "are settings for pre-trained networks only"),
        ("--architecture vgg16 --set architecture.padding=valid", "is for networks trained from scratch only"),
        ("--set architecture.transfer=frozen", "Small CNN is trained from scratch"),
        ("--set decisions.left_out=[]", "picture by picture"),
        ("--set split.validation=50% --set split.test=45%", "less than a tenth of the images"),
    ],
)
def test_what_cannot_be_is_told_before_anything_is_read(options, words, command):
    status, _, err = command("train", "no such folder", "--out", "no such run", *options.split())
    assert status == 2
    assert words in err


def test_every_command_that_trains_takes_set(request_of):
    setting = ("--set", "architecture.padding=valid")
    for name, *options in (("train", "--folds", 3), ("compare-augmentations",), ("label-errors",)):
        assert request_of(name, *options, *setting).experiment.architecture.padding == ("valid",)
    assert request_of("compare-augmentations", "--set", "training.epochs=4").epochs == 4
    assert request_of("compare-augmentations").epochs == 5


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ("--set training.epochs=3", "--set would change nothing"),
        ("--epochs 3", "--epochs would change nothing. Leave out --run or --epochs."),
        ("--architecture vgg16 --folds 3", "--architecture and --folds would change nothing"),
    ],
)
def test_a_network_that_is_trained_already_takes_no_settings(command, options, words):
    status, _, err = command("label-errors", "x", "--run", "run", *options.split())
    assert status == 2
    assert words in err


def test_a_name_of_ones_own_is_for_settings_of_ones_own(trained_with, tmp_path):
    own = trained_with("--set", "architecture.name=mine", "--set", "architecture.dense=[9]").architecture
    assert (own.name, own.dense) == ("mine", (9,))
    file = tmp_path / "own.toml"
    file.write_text(experiment_to_toml(Experiment(architecture=own)), encoding="utf-8")
    renamed = trained_with("--experiment", file, "--set", "architecture.name=other").architecture
    assert (renamed.name, renamed.dense) == ("other", (9,))


# -- the list ------------------------------------------------------------------------------------------------------


def test_settings_are_listed(command):
    status, out, _ = command("settings")
    assert status == 0
    for words in (
        "Training:",
        "Architecture, of pre-trained networks:",
        "  training.learning_rate=0.001\n      Learning rate: The optimizer's step size. (greater than 0 and",
        "  architecture.blocks=[[16], [32], [64]]\n",
        "rmsprop: RMSprop",
        "(degrees, at least 0 and at most 180)",
    ):
        assert words in out
    status, out, _ = command("settings", "--json")
    rows = json.loads(out)["settings"]
    assert {row["name"] for row in rows} == SETTINGS.keys()
    (rate,) = (row for row in rows if row["name"] == "training.learning_rate")
    assert rate == {
        "name": "training.learning_rate",
        "kind": "",
        "title": "Learning rate",
        "help": "The optimizer's step size.",
        "type": "number",
        "default": 0.001,
        "minimum": 0,
        "maximum": 10,
        "exclusive_minimum": True,
        "exclusive_maximum": False,
        "choices": [],
        "unit": "",
        "advanced": True,
    }


def test_what_is_listed_as_default_can_be_set(command):
    _, out, _ = command("settings")
    defaults = [line.strip() for line in out.splitlines() if line.startswith("  ") and line[2] != " "]
    assert len(defaults) == len(ALL_SETTINGS)
    for line, each in zip(defaults, ALL_SETTINGS, strict=True):
        assert each.parse(line.partition("=")[2]) == each.default
