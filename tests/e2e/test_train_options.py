"""Every option of a command that trains lands in the setting it is for, and in no other.

Each row gives an option a value that no other option has, and says all that it changes in the request that the command
makes of it. An option without a row fails.
"""

from __future__ import annotations

import dataclasses
import sys
from typing import Any

import pytest
import typer
from pydantic import BaseModel

from cnn_studio import tasks
from cnn_studio.cli import commands, run
from cnn_studio.core.advice.presets import experiment_preset
from cnn_studio.core.data.dataset import Dataset
from cnn_studio.core.data.image_file import ImageFile, Split
from cnn_studio.core.errors import ExperimentError
from cnn_studio.core.experiment.architectures import architecture_preset
from cnn_studio.core.experiment.experiment import Experiment, experiment_to_toml, with_values

TASKS = {
    "train": ("train", "cross_validate"),
    "compare-augmentations": ("compare_augmentations",),
    "label-errors": ("find_label_errors",),
}
"""Which jobs the commands that train begin."""

BACKBONE = ("--architecture", "vgg16", "--transfer", "fine_tuned")
GREY_AND_APART = ("--experiment", "grey.toml")

TRAIN: dict[str, tuple[Any, ...]] = {
    "--epochs": (3, {"training.epochs": 3}),
    "--batch-size": (11, {"training.batch_size": 11}),
    "--optimizer": ("sgd", {"training.optimizer": "sgd", "training.learning_rate": 0.01}),
    "--learning-rate": (0.005, {"training.learning_rate": 0.005}),
    "--validation": (0.21, {"split.validation": 0.21}),
    "--test": (0.07, {"split.test": 0.07}),
    "--seed": (9, {"training.seed": 9, "split.seed": 9}),
    "--patience": (6, {"training.patience": 6}),
    "--class-weights": ("balanced", {"training.class_weights": "balanced"}),
    "--precision": ("mixed", {"training.precision": "mixed"}),
    "--image-size": (40, {"image.height": 40, "image.width": 40}),
    "--grey": ("", {"image.colour": "grey"}),
    "--rgb": ("", {"image.colour": "rgb"}, GREY_AND_APART),
    "--fit": ("pad", {"image.fit": "pad"}),
    "--group-by": (r"p(\d)", {"split.group_pattern": r"p(\d)"}),
    "--similar-apart": ("", {"split.keep_similar_together": False}),
    "--similar-together": ("", {"split.keep_similar_together": True}, GREY_AND_APART),
    "--augment": ("zoom=0.12,hue=8", {"augmentation.zoom": 0.12, "augmentation.hue": 8.0}),
    "--transfer": ("fine_tuned", {"architecture.transfer": "fine_tuned"}, ("--architecture", "vgg16")),
    "--unfreeze": ("block3", {"architecture.unfreeze_from": "block3"}, BACKBONE),
    "--fine-tuning-epochs": (4, {"architecture.fine_tuning.epochs": 4}, BACKBONE),
    "--fine-tuning-rate": (2e-6, {"architecture.fine_tuning.learning_rate": 2e-6}, BACKBONE),
    "--folds": (5, {"task": "cross_validate", "folds": 5}),
    "--split-file": ("split.csv", {"given splits": {"validation": 10, "train": 110}}),
    "--out": ("elsewhere", {"out": "elsewhere"}),
}
COMPARE: dict[str, tuple[Any, ...]] = {
    "--epochs": (3, {"epochs": 3}),
    "--seed": TRAIN["--seed"],
    "--image-size": TRAIN["--image-size"],
    "--augment": (*TRAIN["--augment"], ("--augment", "none")),  # the last one counts; not given, the data decide
    "--out": ("elsewhere", {"folder": "elsewhere"}),
}
LABEL_ERRORS: dict[str, tuple[Any, ...]] = {
    "--epochs": TRAIN["--epochs"],
    "--folds": (4, {"folds": 4}),
    "--run": ("an earlier run", {"run": "an earlier run"}, GREY_AND_APART),  # else it has to have an experiment
}
ROWS = {"train": TRAIN, "compare-augmentations": COMPARE, "label-errors": LABEL_ERRORS}

WHOLE = {"--architecture", "--preset", "--experiment", "--set"}
"""These bring any number of settings and have tests of their own."""

NO_SETTING = {"--json": "how it is told", "--csv": "where the answer is written as well"}

OPTIONS = [(command, option) for command, rows in ROWS.items() for option in rows]


@pytest.fixture
def photographs(tmp_path):
    files = tuple(ImageFile(f"{label}/{n}.jpg", label, 400, 500, False, 1000, 1) for label in (0, 1) for n in range(60))
    return Dataset(tmp_path, ("cat", "dog"), files)


@pytest.fixture
def asked(photographs, tmp_path, monkeypatch, capsys):
    """asked(command, *arguments) -> all that the job was asked, by dotted names; nothing is trained."""
    seen: list[dict[str, Any]] = []

    def instead_of(name):
        def begin(request, *_):
            seen.append({"task": name, **values_of(request)})
            raise ExperimentError("that is all")

        return begin

    for command_tasks in TASKS.values():
        for name in command_tasks:
            monkeypatch.setattr(tasks, name, instead_of(name))
    monkeypatch.setattr(tasks, "scan", lambda *_: photographs)
    for name, module in list(sys.modules.items()):  # whoever asks, a backbone's weights are there
        if name.startswith("cnn_studio.") and hasattr(module, "find_weights"):
            monkeypatch.setattr(module, "find_weights", lambda _: None)
    monkeypatch.chdir(tmp_path)
    grey = with_values(Experiment(), {"image.colour": "grey", "split.keep_similar_together": False})
    (tmp_path / "grey.toml").write_text(experiment_to_toml(grey), encoding="utf-8")
    lines = [f"0/{n}.jpg,validation" if n < 10 else f"0/{n}.jpg,train" for n in range(60)]
    lines += [f"1/{n}.jpg,train" for n in range(60)]
    (tmp_path / "split.csv").write_text("\n".join(["path,split", *lines]), encoding="utf-8")

    def ask(command, *arguments):
        out = [] if "--out" in arguments or command == "label-errors" else ["--out", "run"]
        seen.clear()
        run([command, "folder", *out, *map(str, arguments)], lambda *_: 0)
        assert seen, capsys.readouterr().err
        return seen[0]

    return ask


def values_of(request) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for field in dataclasses.fields(request):
        value = getattr(request, field.name)
        if isinstance(value, Experiment):
            found |= flat(value)
        elif isinstance(value, Dataset):
            given = [file.given_split for file in value.files]
            found["given splits"] = {split.value: given.count(split) for split in Split if split in given}
        else:  # the run's folder has another name in each request
            name = "out" if (field.name, type(request)) == ("run", tasks.TrainRequest) else field.name
            found[name] = value if value is None or isinstance(value, int) else str(value)
    return found


def flat(settings: BaseModel, before: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in settings:
        found |= flat(value, f"{before}{name}.") if isinstance(value, BaseModel) else {before + name: value}
    return found


def options_of(command: str) -> set[str]:
    parameters = typer.main.get_command(commands.app).commands[command].params
    return {name for each in parameters for name in (*each.opts, *each.secondary_opts) if name.startswith("--")}


def changes(before: dict[str, Any], after: dict[str, Any]) -> dict[str, Any]:
    return {name: after.get(name) for name in before.keys() | after.keys() if before.get(name) != after.get(name)}


@pytest.mark.parametrize("command", ROWS)
def test_every_option_has_a_row(command):
    expected = options_of(command) - {"--help"} - NO_SETTING.keys() - WHOLE
    assert ROWS[command].keys() == expected, "write a row for it above: its value and all that it changes"


@pytest.mark.parametrize(("command", "option"), OPTIONS, ids=lambda part: part.removeprefix("--"))
def test_an_option_lands_in_its_setting_and_in_no_other(command, option, asked):
    value, expected, *beside = ROWS[command][option]
    arguments = beside[0] if beside else ()
    given = [option] if value == "" else [option, value]
    found = changes(asked(command, *arguments), asked(command, *arguments, *given))
    assert found == expected


@pytest.mark.parametrize("rows", ROWS.values(), ids=ROWS)
def test_no_two_options_have_the_same_effect_or_value(rows):
    effects = [str(row[1]) for row in rows.values()]
    values = [str(row[0]) for row in rows.values() if row[0] != ""]
    assert len(set(effects)) == len(effects)
    assert len(set(values)) == len(values)


@pytest.mark.parametrize("command", ROWS)
def test_an_architecture_by_name(command, asked):
    found = asked(command, "--architecture", "lenet5")
    assert {name: found[name] for name in found if name.startswith("architecture.")} == {
        f"architecture.{name}": value for name, value in flat(architecture_preset("lenet5").architecture).items()
    }


@pytest.mark.parametrize("command", ["train", "compare-augmentations"])
def test_a_preset_is_the_whole_experiment(command, asked):
    found, preset = (
        asked(command, "--preset", "cats_dogs_features"),
        flat(experiment_preset("cats_dogs_features").experiment),
    )
    augment = {name for name in preset if command != "train" and name.startswith("augmentation.")}  # what it compares
    assert {name: found[name] for name in preset if name not in augment} == {
        name: value for name, value in preset.items() if name not in augment
    }


@pytest.mark.parametrize("command", ROWS)
def test_a_settings_file_is_the_whole_experiment(command, asked, tmp_path):
    mine = with_values(Experiment(), {"training.epochs": 2, "split.test": 0.3, "image.fit": "crop"})
    (tmp_path / "mine.toml").write_text(experiment_to_toml(mine), encoding="utf-8")
    found = asked(command, "--experiment", "mine.toml")
    differing = changes(flat(mine), {name: found[name] for name in flat(mine)})
    assert {name for name in differing if command == "train" or not name.startswith("augmentation.")} == set()


@pytest.mark.parametrize(("patience", "ends_early"), [(0, False), (1, True)])
def test_no_patience_never_ends_early(patience, ends_early, asked):
    assert asked("train", "--patience", patience)["training.early_stopping"] is ends_early


def test_asking_for_a_block_asks_for_fine_tuning(asked):
    found = changes(
        asked("train", "--architecture", "vgg16"), asked("train", "--architecture", "vgg16", "--unfreeze", "block3")
    )
    assert found == {"architecture.transfer": "fine_tuned", "architecture.unfreeze_from": "block3"}


def test_an_optimizer_brings_its_usual_rate_unless_one_is_given(asked):
    found = asked("train", "--optimizer", "sgd", "--learning-rate", "0.005")
    assert (found["training.optimizer"], found["training.learning_rate"]) == ("sgd", 0.005)
