"""The table of settings: a row for every field, what a row says, and what the command line's text means by it."""

from __future__ import annotations

import enum
import typing

import pytest
from pydantic import BaseModel

from cnn_studio.core.errors import ExperimentError
from cnn_studio.core.experiment.experiment import Experiment, build_experiment, with_values
from cnn_studio.core.experiment.row import Limits, Setting, Unit, ValueType
from cnn_studio.core.experiment.settings import (
    BackboneArchitecture,
    FineTuningSettings,
    Optimizer,
    Padding,
    ScratchArchitecture,
    StageSettings,
    TrainingSettings,
)
from cnn_studio.core.experiment.table import (
    ALL_SETTINGS,
    NOT_SETTINGS,
    SETTINGS,
    kinds_of,
    parse_settings,
    setting,
)


def names(setting: Setting) -> str:
    return f"{setting.name} {setting.kind}".strip()


def fields(model: type[BaseModel], section: str = "") -> typing.Iterator[str]:
    """Dotted names of all that pydantic knows of a model, found without the table's own walk."""
    for key, info in model.model_fields.items():
        models = [part for part in _parts(info.annotation) if isinstance(part, type) and issubclass(part, BaseModel)]
        for inner in models:
            yield from fields(inner, f"{section}{key}.")
        if not models:
            yield f"{section}{key}"


def _parts(annotation: object) -> typing.Iterator[object]:
    yield annotation
    for inner in typing.get_args(annotation):
        yield from _parts(inner)


def test_every_field_has_a_row_and_every_row_a_field():
    assert set(fields(Experiment)) == SETTINGS.keys() | NOT_SETTINGS.keys()
    assert not SETTINGS.keys() & NOT_SETTINGS.keys()
    for model, kind in ((ScratchArchitecture, "scratch"), (BackboneArchitecture, "backbone")):
        of_kind = {each.name for each in ALL_SETTINGS if each.kind == kind}
        assert set(fields(model, "architecture.")) == of_kind | {"architecture.kind"}


@pytest.mark.parametrize("each", ALL_SETTINGS, ids=names)
def test_a_row_is_complete(each):
    assert each.title == each.title.strip() != ""
    assert each.help.endswith(".")
    assert each.title[0].isupper() or each.title == each.title.lower()
    assert (each.type in {ValueType.CHOICE, ValueType.CHOICES}) == bool(each.choices)
    assert (each.type in {ValueType.INTEGER, ValueType.NUMBER}) == (each.limits != Limits())
    assert (each.type is ValueType.SWITCH) == (each.unit is Unit.SWITCH)


@pytest.mark.parametrize("each", [each for each in ALL_SETTINGS if each.choices], ids=names)
def test_a_rows_choices_are_its_fields(each):
    of = each.field.annotation
    if each.type is ValueType.CHOICES:
        of = typing.get_args(of)[0]
    known = list(of) if isinstance(of, type) and issubclass(of, enum.Enum) else list(typing.get_args(of))
    assert set(each.choices) == set(known)
    assert len(set(each.choices.values())) == len(known)
    assert all(title.strip() for title in each.choices.values())


def test_what_is_of_two_kinds_says_so():
    assert kinds_of("architecture.padding") == ("scratch",)
    assert kinds_of("architecture.fine_tuning.epochs") == ("backbone",)
    assert kinds_of("architecture.dropout") == ("scratch", "backbone") == kinds_of("training.epochs")
    assert setting("architecture.dropout").default == ScratchArchitecture().dropout != 0
    assert setting("architecture.dropout", "backbone").default == BackboneArchitecture().dropout == 0
    assert setting("architecture.dropout", "backbone").title == "Dropout of the features"
    assert setting("training.epochs", "backbone") is SETTINGS["training.epochs"]


def test_defaults_are_the_models():
    scratch, backbone = Experiment(), Experiment(architecture=BackboneArchitecture())
    for each in ALL_SETTINGS:
        value: object = backbone if each.kind == "backbone" else scratch
        for part in each.name.split("."):
            value = getattr(value, part)
        # Which block is the last depends on the backbone.
        assert each.default == ("" if each.name == "architecture.unfreeze_from" else value), each.name


def test_both_stages_share_one_class():
    assert issubclass(TrainingSettings, StageSettings)
    assert FineTuningSettings.model_fields.keys() == StageSettings.model_fields.keys()
    for key in StageSettings.model_fields:
        first, second = SETTINGS[f"training.{key}"], SETTINGS[f"architecture.fine_tuning.{key}"]
        assert (first.type, first.limits, first.choices) == (second.type, second.limits, second.choices)


# -- ranges and their words ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "limits", "words"),
    [
        ("training.learning_rate", Limits(0, 10, above=True), "greater than 0 and at most 10"),
        ("split.validation", Limits(0, 1, below=True), "at least 0 and less than 1"),
        ("training.epochs", Limits(1, 10_000), "at least 1 and at most 10,000"),
        ("architecture.dense", Limits(), ""),
        ("training.optimizer", Limits(), "adam, sgd or rmsprop"),
        ("architecture.kernel", Limits(), ""),
        ("architecture.padding", Limits(), "same or valid"),
    ],
)
def test_limits_are_read_from_the_field(name, limits, words):
    assert SETTINGS[name].limits == limits
    assert SETTINGS[name].range_text == words


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        (
            {"training": {"learning_rate": 20}},
            "Learning rate (training.learning_rate) must be greater than 0 and at most 10; it is 20.",
        ),
        (
            {"training": {"epochs": "many"}},
            "Epochs (training.epochs) must be a whole number, at least 1 and at most 10,000; it is 'many'.",
        ),
        (
            {"training": {"optimizer": "adamw"}},
            "Optimizer (training.optimizer) must be adam, sgd or rmsprop; it is 'adamw'.",
        ),
        (
            {"architecture": {"kernel": 40}},
            "Kernel (architecture.kernel.0) must be at most 31; it is 40.",
        ),
        ({"architecture": {"kernel": []}}, "Kernel (architecture.kernel) must be at least 1 long; it is []."),
        (
            {"architecture": {"padding": "full"}},
            "Padding (architecture.padding.0) must be same or valid; it is 'full'.",
        ),
        (
            {"architecture": {"blocks": [[8], [8]], "padding": ["same", "valid", "same"]}},
            "Padding (architecture.padding) is ['same', 'valid', 'same']: these are 3 values, more than there "
            "are convolutions (2).",
        ),
        (
            {"architecture": {"blocks": [[8, 8]], "pool_size": [2, 3]}},
            "Pool size (architecture.pool_size) is [2, 3]: these are 2 values, more than there are blocks (1).",
        ),
        (
            {"training": {"momentum": 1}},
            "Momentum (training.momentum) must be at least 0 and at most 0.999; it is 1.",
        ),
        (
            {"architecture": {"batch_normalization": "perhaps"}},
            "Batch normalisation (architecture.batch_normalization) must be true or false; it is 'perhaps'.",
        ),
        ({"architecture": {"dense": [128, 0]}}, "Dense layers (architecture.dense.1) must be at least 1; it is 0."),
        (
            {"architecture": {"dense": [1.5]}},
            "Dense layers (architecture.dense.0) must be a whole number; it is 1.5.",
        ),
        (
            {"architecture": {"dense": 128}},
            "Dense layers (architecture.dense) must be a list of whole numbers, such as [128, 64]; it is 128.",
        ),
        ({"architecture": {"dense": [1] * 7}}, "Dense layers (architecture.dense) must be at most 6 long; it is"),
        ({"architecture": {"blocks": [[16], []]}}, "Blocks (architecture.blocks.1) must be at least 1 long; it is []."),
        (
            {"architecture": {"blocks": [16, 32]}},
            "Blocks (architecture.blocks.0) must be a list of whole numbers; it is 16.",
        ),
        (
            {"architecture": {"name": ""}},
            "Architecture (architecture.name) must be at least 1 character long; it is ''.",
        ),
        (
            {"split": {"group_pattern": "("}},
            "Keep together by file name (split.group_pattern) is '(': this is not a regular expression:",
        ),
        (
            {"architecture": {"kind": "backbone", "dropout": 1}},
            "Dropout of the features (architecture.dropout) must be at least 0 and less than 1; it is 1.",
        ),
        (
            {"architecture": {"name": "vgg16", "fine_tuning": {"warm_up_epochs": -1}}},
            "Warm-up (architecture.fine_tuning.warm_up_epochs) must be at least 0 and at most 1,000; it is -1.",
        ),
        ({"training": {"epoch": 3}}, "There is no setting training.epoch. Did you mean training.epochs"),
        (
            {"architecture": {"kind": "backbone", "padding": "same"}},
            "Padding (architecture.padding) is for networks trained from scratch only.",
        ),
        (
            {"architecture": {"fine_tuning": {"epochs": 3}}},
            "architecture.fine_tuning are settings for pre-trained networks only.",
        ),
    ],
)
def test_an_error_names_the_setting_its_range_and_what_was_given(values, sentence):
    with pytest.raises(ExperimentError) as caught:
        build_experiment(values)
    assert str(caught.value).startswith(sentence)


def test_a_long_value_is_cut_short_in_an_error():
    with pytest.raises(ExperimentError) as caught:
        build_experiment({"split": {"group_pattern": "x" * 2000}})
    assert "at most 1,000 characters long" in str(caught.value)
    assert len(str(caught.value)) < 200


def test_a_setting_of_the_other_kind_of_architecture_is_told():
    with pytest.raises(ExperimentError, match="for pre-trained networks only"):
        with_values(Experiment(), {"architecture.fine_tuning.schedule": "cosine"})


# -- from text to value ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("training.epochs=7", 7),
        ("training.learning_rate = 1e-4", 1e-4),
        ("training.learning_rate=.5", 0.5),
        ("training.optimizer=sgd", Optimizer.SGD),
        ('training.optimizer="sgd"', Optimizer.SGD),
        ("training.early_stopping=false", False),
        ("split.validation=20%", 0.2),
        ("augmentation.zoom=0.1", 0.1),
        ("architecture.kernel=5", (5,)),
        ("architecture.kernel=[5, 3]", (5, 3)),
        ("architecture.padding=valid", (Padding.VALID,)),
        ("architecture.padding=same, valid", (Padding.SAME, Padding.VALID)),
        ("architecture.padding=['same']", (Padding.SAME,)),
        ("architecture.blocks=[[32, 32], [64,64]]", ((32, 32), (64, 64))),
        ("architecture.blocks=32-32, 64-64", ((32, 32), (64, 64))),
        ("architecture.blocks=[]", ()),
        ("architecture.dense=[128]", (128,)),
        ("architecture.dense=128, 64", (128, 64)),
        ("architecture.dense=128", (128,)),
        ("architecture.dense=", ()),
        (r"split.group_pattern=patient(\d+)=x", r"patient(\d+)=x"),
        (r"split.group_pattern='patient(\d+)'", r"patient(\d+)"),
        ("split.group_pattern=12", "12"),
        ("split.group_pattern=", ""),
        ("architecture.unfreeze_from=block4", "block4"),
    ],
)
def test_a_text_means_a_value(text, value):
    (parsed,) = parse_settings([text]).values()
    assert parsed == value
    assert type(parsed) is type(value)


@pytest.mark.parametrize(
    ("text", "field", "words"),
    [
        ("training.epochs=0", "training.epochs", "Epochs (training.epochs) must be at least 1 and at most 10,000"),
        (
            "training.epochs=true",
            "training.epochs",
            "must be a whole number, at least 1 and at most 10,000; it is 'true'",
        ),
        ("training.epochs=", "training.epochs", "must be a whole number"),
        ("training.epochs=3\nx = 4", "training.epochs", "must be a whole number"),
        ("training.learning_rate=nan", "training.learning_rate", "must be a number, greater than 0 and at most 10"),
        ("split.test=much%", "split.test", "must be a number"),
        ("training.optimizer=adamw", "training.optimizer", "must be adam, sgd or rmsprop; it is 'adamw'"),
        ("architecture.dense=128, many", "architecture.dense.1", "must be a whole number; it is 'many'"),
        ("architecture.blocks=[[0]]", "architecture.blocks.0.0", "must be at least 1; it is 0"),
        ("training.epoch=3", "training.epoch", "Did you mean training.epochs"),
        ("padding=same", "padding", "Did you mean architecture.padding?"),
        ("epochs=3", "epochs", "Did you mean architecture.fine_tuning.epochs or training.epochs?"),
        ("zzz=3", "zzz", "There is no setting zzz. `cnn-studio settings` lists all."),
        ("architecture.kind=backbone", "architecture.kind", "it follows from the architecture's name"),
        ("decisions.left_out=[]", "decisions.left_out", "picture by picture"),
        ("training.epochs", "", "'training.epochs' says no value. Write NAME=VALUE"),
    ],
)
def test_a_text_that_means_nothing_is_told(text, field, words):
    with pytest.raises(ExperimentError) as caught:
        parse_settings([text])
    assert words in str(caught.value)
    assert caught.value.field == field


def test_a_setting_is_set_once():
    assert parse_settings(["training.epochs=3", "training.epochs=3"]) == {"training.epochs": 3}
    with pytest.raises(ExperimentError, match=r"training.epochs is set twice"):
        parse_settings(["training.epochs=3", "training.epochs=4"])


@pytest.mark.parametrize("text", ["9" * 5000, "[" * 2000])
@pytest.mark.parametrize("name", ["training.epochs", "training.learning_rate", "architecture.blocks"])
def test_what_no_parser_takes_is_refused_in_words(name, text):
    with pytest.raises(ExperimentError) as refused:
        setting(name).parse(text)
    assert refused.value.field.startswith(name)
    assert len(str(refused.value)) < 500


@pytest.mark.parametrize("name", [["resnet50"], {"a": 1}])
def test_an_architecture_whose_name_is_no_text_is_refused(name):
    with pytest.raises(ExperimentError, match="architecture"):
        build_experiment({"architecture": {"name": name}})
