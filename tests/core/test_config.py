"""Experiments: in and out of TOML unchanged, and every wrong setting named."""

from __future__ import annotations

import json
import os

import pytest
from pydantic import ValidationError

from cnn_studio.core.errors import ExperimentError
from cnn_studio.core.experiment.architectures import ARCHITECTURE_PRESETS, BACKBONE_PRESETS, architecture_preset
from cnn_studio.core.experiment.augmentation import AugmentationSettings, Fill
from cnn_studio.core.experiment.backbones import BACKBONES
from cnn_studio.core.experiment.experiment import (
    Experiment,
    build_experiment,
    experiment_to_toml,
    read_experiment,
    with_values,
)
from cnn_studio.core.experiment.layer_plan import plan_layers
from cnn_studio.core.experiment.settings import (
    Activation,
    BackboneArchitecture,
    ClassWeights,
    Colour,
    Decisions,
    Features,
    FineTuningSettings,
    Fit,
    ImageSettings,
    Initializer,
    Optimizer,
    Padding,
    Pooling,
    Precision,
    Schedule,
    ScratchArchitecture,
    SplitSettings,
    TrainingSettings,
    TransferMode,
)

EVERYTHING_CHANGED = Experiment(
    split=SplitSettings(validation=0.25, test=0.0, seed=7, keep_similar_together=False, group_pattern=r"patient_(\d+)"),
    image=ImageSettings(height=48, width=64, colour=Colour.GREY, fit=Fit.PAD),
    architecture=ScratchArchitecture(
        name="mine",
        blocks=((8, 8), (16,)),
        kernel=(5, 3),
        padding=(Padding.VALID, Padding.SAME),
        stride=2,
        pooling=Pooling.AVERAGE,
        pool_size=(3, 1),
        activation=Activation.SIGMOID,
        initializer=Initializer.HE_UNIFORM,
        batch_normalization=True,
        dropout=0.5,
        features=Features.GLOBAL_AVERAGE,
        dense=(),
        dense_dropout=0.1,
    ),
    augmentation=AugmentationSettings(
        flip_horizontal=True,
        flip_vertical=True,
        rotation=12.5,
        zoom=0.2,
        stretch_width=0.1,
        stretch_height=0.15,
        shear=5,
        translation=0.05,
        brightness=0.1,
        contrast=0.2,
        saturation=0.3,
        hue=15,
        blur=1.5,
        sharpen=0.4,
        noise=0.02,
        erasing=0.25,
        rand_augment=0.5,
        mix_up=0.2,
        cut_mix=1.0,
        fill=Fill.NEAREST,
        views=0,
    ),
    training=TrainingSettings(
        optimizer=Optimizer.SGD,
        momentum=0.5,
        learning_rate=0.01,
        batch_size=8,
        epochs=3,
        schedule=Schedule.PLATEAU,
        warm_up_epochs=1,
        early_stopping=False,
        patience=2,
        class_weights=ClassWeights.BALANCED,
        seed=9,
        precision=Precision.MIXED,
    ),
    decisions=Decisions(left_out=("a/1 ä.jpg",), belongs_to={"b/“2”.jpg": "a.b"}),
)

EVERY_TRANSFER_SETTING_CHANGED = BackboneArchitecture(
    name="vgg16",
    transfer=TransferMode.FINE_TUNED,
    features=Features.FLATTEN,
    dropout=0.1,
    dense=(1024, 256),
    dense_dropout=0.3,
    unfreeze_from="block3",
    fine_tuning=FineTuningSettings(
        optimizer=Optimizer.RMSPROP,
        momentum=0.2,
        learning_rate=2e-5,
        epochs=7,
        schedule=Schedule.COSINE,
        warm_up_epochs=1,
    ),
)


def test_the_round_trip_test_changes_every_setting_of_transfer_learning():
    plain, changed = BackboneArchitecture().model_dump(), EVERY_TRANSFER_SETTING_CHANGED.model_dump()
    assert [name for name, value in plain.items() if changed[name] == value] == ["kind"]
    assert not plain["fine_tuning"].items() & changed["fine_tuning"].items()


def test_the_round_trip_test_changes_every_setting():
    """So that a setting added later cannot be forgotten below."""
    plain, changed = Experiment().model_dump(), EVERYTHING_CHANGED.model_dump()
    same = [
        f"{section}.{name}"
        for section, values in plain.items()
        for name, value in values.items()
        if changed[section][name] == value
    ]
    assert same == ["architecture.kind"]


@pytest.mark.parametrize(
    "experiment",
    [
        Experiment(),
        EVERYTHING_CHANGED,
        Experiment(architecture=EVERY_TRANSFER_SETTING_CHANGED),
        *(Experiment(architecture=preset.architecture) for preset in ARCHITECTURE_PRESETS.values()),
        *(Experiment(architecture=preset.architecture) for preset in BACKBONE_PRESETS.values()),
    ],
)
def test_toml_and_json_give_back_the_same_experiment(tmp_path, experiment):
    path = tmp_path / "experiment.toml"
    path.write_text(experiment_to_toml(experiment), encoding="utf-8")
    assert read_experiment(path) == experiment
    assert build_experiment(json.loads(experiment.model_dump_json())) == experiment


def test_an_empty_file_is_the_default_experiment(tmp_path):
    path = tmp_path / "experiment.toml"
    path.touch()
    assert read_experiment(path) == Experiment()


def test_a_file_from_before_the_first_stage_had_a_schedule_is_read(tmp_path):
    path = tmp_path / "experiment.toml"
    path.write_text(
        '[training]\noptimizer = "sgd"\nlearning_rate = 0.01\nbatch_size = 8\nepochs = 3\n\n'
        '[architecture]\nkind = "backbone"\nname = "vgg16"\ntransfer = "fine_tuned"\n\n'
        '[architecture.fine_tuning]\nlearning_rate = 2e-5\nschedule = "cosine"\nwarm_up_epochs = 1\n',
        encoding="utf-8",
    )
    experiment = read_experiment(path)
    assert experiment.training == TrainingSettings(optimizer=Optimizer.SGD, learning_rate=0.01, batch_size=8, epochs=3)
    assert experiment.training.schedule is Schedule.CONSTANT
    assert isinstance(experiment.architecture, BackboneArchitecture)
    assert experiment.architecture.fine_tuning == FineTuningSettings(
        learning_rate=2e-5, schedule=Schedule.COSINE, warm_up_epochs=1
    )


def test_a_file_from_before_each_convolution_had_its_own_settings_is_read(tmp_path):
    path = tmp_path / "experiment.toml"
    path.write_text(
        '[architecture]\nkind = "scratch"\nname = "mine"\nblocks = [[6], [16]]\nkernel = 5\npadding = "valid"\n'
        'pooling = "average"\nactivation = "tanh"\n\n[training]\noptimizer = "sgd"\n',
        encoding="utf-8",
    )
    experiment = read_experiment(path)
    convolutions = [layer for layer in plan_layers(experiment.architecture, ImageSettings(), 2) if layer.kernel]
    # a 2 × 2 pooling after each
    assert [layer.kernel for layer in convolutions] == [5, 2, 5, 2]
    assert {layer.padding for layer in convolutions} == {Padding.VALID}
    assert {layer.initializer for layer in convolutions} == {Initializer.GLOROT_UNIFORM}
    assert experiment.training.momentum == 0.9


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"training": {"epochs": 0}}, "training.epochs"),
        ({"training": {"epoch": 3}}, "training.epoch"),
        ({"training": {"learning_rate": float("nan")}}, "training.learning_rate"),
        ({"training": {"learning_rate": "fast"}}, "training.learning_rate"),
        ({"training": {"optimizer": "adamw"}}, "training.optimizer"),
        ({"image": {"height": 7}}, "image.height"),
        ({"image": {"colour": "cmyk"}}, "image.colour"),
        ({"split": {"validation": 1.0}}, "split.validation"),
        ({"split": {"validation": 0.5, "test": 0.45}}, "split"),
        ({"split": {"group_pattern": "("}}, "split.group_pattern"),
        ({"image": {"fit": "stretch"}}, "image.fit"),
        ({"decisions": {"left_out": [3]}}, "decisions.left_out.0"),
        ({"architecture": {"kernel": [3, 32]}}, "architecture.kernel.1"),
        ({"architecture": {"blocks": [[16], []]}}, "architecture.blocks.1"),
        ({"architecture": {"dense": [128, 0]}}, "architecture.dense.1"),
        ({"colour": "red"}, "colour"),
        ({"architecture": {"kind": "transformer"}}, "architecture"),
        ({"architecture": 3}, "architecture"),
        ({"architecture": {"kind": "backbone", "name": "alexnet"}}, "architecture.name"),
        ({"architecture": {"kind": "backbone", "blocks": [[16]]}}, "architecture.blocks"),
        ({"architecture": {"name": "vgg16", "unfreeze_from": "conv5"}}, "architecture.unfreeze_from"),
        ({"architecture": {"name": "vgg16", "transfer": "thawed"}}, "architecture.transfer"),
        ({"architecture": {"name": "vgg16", "fine_tuning": {"epochs": 0}}}, "architecture.fine_tuning.epochs"),
    ],
)
def test_a_wrong_setting_is_named(values, field):
    with pytest.raises(ExperimentError) as caught:
        build_experiment(values)
    assert caught.value.field == field
    assert field in caught.value.message


def test_too_little_left_to_train_on_is_said_in_words():
    with pytest.raises(ExperimentError, match="less than a tenth of the images for training"):
        build_experiment({"split": {"validation": 0.5, "test": 0.45}})


def test_experiment_files_that_cannot_be_read(tmp_path):
    with pytest.raises(ExperimentError, match="There is no experiment file"):
        read_experiment(tmp_path / "gone.toml")
    path = tmp_path / "bad.toml"
    path.write_text("[training\nepochs = ")
    with pytest.raises(ExperimentError, match=r"bad.toml is not a TOML file"):
        read_experiment(path)
    path.write_text("[training]\nepochs = -1\n")
    with pytest.raises(ExperimentError, match=r"^bad.toml: Epochs \(training.epochs\) must be") as caught:
        read_experiment(path)
    assert caught.value.path == path


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_experiment_files_of_any_editor_that_writes_utf_8_are_read(tmp_path, encoding):
    path = tmp_path / "mine.toml"
    path.write_text('[architecture]\nname = "niño"\n[training]\nepochs = 3\n', encoding=encoding)
    assert read_experiment(path).architecture.name == "niño"


@pytest.mark.parametrize(
    ("encoding", "words"),
    [
        ("utf-16", "written in UTF-16"),
        ("utf-16-be", "written in UTF-16"),
        ("utf-16-le", "written in UTF-16"),
        ("latin-1", "not written in UTF-8"),
    ],
)
def test_experiment_files_in_other_encodings_are_told_as_that(tmp_path, encoding, words):
    path = tmp_path / "mine.toml"
    path.write_text('[architecture]\nname = "niño"\n', encoding=encoding)
    with pytest.raises(ExperimentError, match=rf"^mine.toml is {words}\. Save it as UTF-8"):
        read_experiment(path)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("x = " + "[" * 100_000, "nested too deeply"),
        ("x = " + "9" * 5000, "not a TOML file"),
        ("a." * 100_000 + "b = 1", "too many parts"),
        ("[training]\nepochs = " + "[" * 50 + "]" * 50, r"training\.epochs"),
        ("[split]\ngroup_pattern = '" + "a" * 2000 + "'", r"split\.group_pattern"),
        (f"[training]\noptimizer = '{'x' * 100_000}'", r"training\.optimizer"),
        ("#" * (5 * 2**20), "far too large"),
        ('[\'a\' . "a\\"" .' + "a . " * 100_000 + "b]", "too many parts"),
    ],
)
def test_experiment_files_without_end_get_a_short_sentence(tmp_path, text, words):
    path = tmp_path / "bad.toml"
    path.write_text(text)
    with pytest.raises(ExperimentError, match=words) as caught:
        read_experiment(path)
    assert len(str(caught.value)) < 500


def test_changing_settings_validates_them_and_leaves_the_original_alone():
    experiment = Experiment()
    changed = with_values(experiment, {"training.epochs": 3, "image.colour": "grey"})
    assert (changed.training.epochs, changed.image.colour) == (3, Colour.GREY)
    assert experiment == Experiment()
    with pytest.raises(ExperimentError) as caught:
        with_values(experiment, {"training.batch_size": 0})
    assert caught.value.field == "training.batch_size"


def test_decisions_can_be_taken_back():
    decisions = Decisions().leaving_out(["a/1.png", "a/2.png"]).leaving_out(["a/1.png"]).putting_into("b", ["a/3.png"])
    assert decisions == Decisions(left_out=("a/1.png", "a/2.png"), belongs_to={"a/3.png": "b"})
    assert decisions.putting_into("c", ["a/3.png"]).belongs_to == {"a/3.png": "c"}
    assert decisions.using_again(["a/1.png", "a/2.png"]).putting_back(["a/3.png", "x"]) == Decisions()


def test_decisions_about_names_that_are_no_text_can_be_kept(tmp_path):
    strange = os.fsdecode(b"a/caf\xe9.png")
    experiment = Experiment(decisions=Decisions().leaving_out([strange]).putting_into("b", [strange]))
    path = tmp_path / "experiment.toml"
    path.write_text(experiment_to_toml(experiment), encoding="utf-8")
    assert read_experiment(path) == experiment
    assert experiment.decisions.using_again([strange]).putting_back([strange]) == Decisions()


def test_settings_are_frozen():
    with pytest.raises(ValidationError):
        Experiment().training.epochs = 3  # type: ignore[misc]


def test_an_unknown_architecture_lists_those_there_are():
    with pytest.raises(ExperimentError) as caught:
        architecture_preset("alexnet")
    assert "small_cnn" in caught.value.hint
    assert caught.value.field == "architecture.name"


def test_a_backbone_unfreezes_its_last_block_when_nothing_else_is_said():
    assert BackboneArchitecture().unfreeze_from == "conv5"
    assert BackboneArchitecture(name="vgg16").unfreeze_from == "block5"
    assert BackboneArchitecture(name="vgg16").trained_depth is None
    assert BackboneArchitecture(name="vgg16", transfer=TransferMode.FINE_TUNED).trained_depth == "block5"


def test_what_a_backbone_can_be_and_how_deep_it_can_be_trained_is_told():
    with pytest.raises(ExperimentError, match="block5, block4, block3, block2, everything"):
        build_experiment({"architecture": {"kind": "backbone", "name": "vgg16", "unfreeze_from": "conv5"}})
    with pytest.raises(ExperimentError, match=f"choose one of {', '.join(BACKBONES)}"):
        build_experiment({"architecture": {"kind": "backbone", "name": "alexnet"}})
    with pytest.raises(ExperimentError, match="“scratch” or “backbone”"):
        build_experiment({"architecture": {"kind": "transformer"}})


def test_an_architecture_without_kind_is_known_by_its_name():
    """Files written by hand, and those from before there were backbones."""
    assert build_experiment({"architecture": {"name": "resnet50"}}).architecture == BackboneArchitecture()
    assert build_experiment({"architecture": {"name": "mine"}}).architecture == ScratchArchitecture(name="mine")
    assert build_experiment({"architecture": {}}).architecture == ScratchArchitecture()


def test_an_architecture_gives_way_to_one_of_the_other_kind():
    changed = with_values(Experiment(), {"architecture": BackboneArchitecture().model_dump()})
    assert changed.architecture == BackboneArchitecture()
    deeper = with_values(changed, {"architecture.unfreeze_from": "conv4", "architecture.transfer": "fine_tuned"})
    assert isinstance(deeper.architecture, BackboneArchitecture)
    assert deeper.architecture.trained_depth == "conv4"
    assert with_values(deeper, {"architecture": ScratchArchitecture().model_dump()}) == Experiment()
