"""Augmentation's names and numbers: one table, the command line's notation, presets, advice and warnings."""

from __future__ import annotations

from pathlib import Path

import pytest

from cnn_studio.core.advice.augmentation import (
    AUGMENTATION_PRESETS,
    RECOMMENDED,
    augmentation_warnings,
    choose_augmentation,
    recommend_augmentation,
    why_not_augmentable,
)
from cnn_studio.core.data.dataset import Dataset
from cnn_studio.core.data.image_file import ImageFile
from cnn_studio.core.errors import ExperimentError
from cnn_studio.core.experiment.augmentation import (
    AUGMENTATION_KINDS,
    AugmentationSettings,
    Fill,
    Unit,
    augmentation_text,
    describe,
    parse_augmentation,
    strength_text,
)
from cnn_studio.core.experiment.experiment import Experiment, with_values
from cnn_studio.core.experiment.settings import BackboneArchitecture, Colour, ImageSettings

NOT_KINDS = {"fill", "views"}


def made_dataset(class_names, each=500, grey=False):
    files = tuple(
        ImageFile(f"{name}/{number}.png", label, 100, 100, grey, 1, 1)
        for label, name in enumerate(class_names)
        for number in range(each)
    )
    return Dataset(Path("/data"), tuple(class_names), files)


FLOWERS = made_dataset(["daisy", "roses", "tulips"])


def test_every_setting_has_a_row_and_every_row_a_setting():
    assert set(AugmentationSettings.model_fields) - NOT_KINDS == set(AUGMENTATION_KINDS)


@pytest.mark.parametrize("kind", AUGMENTATION_KINDS.values(), ids=lambda kind: kind.name)
def test_a_row_fits_its_setting(kind):
    assert 0 < kind.usual <= kind.too_strong <= kind.most
    AugmentationSettings(**{kind.name: True if kind.unit is Unit.SWITCH else kind.most})
    if kind.unit is not Unit.SWITCH:
        with pytest.raises(ValueError, match="less than or equal"):
            AugmentationSettings(**{kind.name: kind.most * 1.01})
        with pytest.raises(ValueError, match="greater than or equal"):
            AugmentationSettings(**{kind.name: -0.01})


def test_the_command_lines_notation():
    parsed = parse_augmentation("flip_horizontal, rotation=10,zoom=10%,blur,fill=nearest,views=0")
    assert parsed == AugmentationSettings(
        flip_horizontal=True, rotation=10, zoom=0.1, blur=1.0, fill=Fill.NEAREST, views=0
    )
    assert [kind.name for kind in parsed.kinds] == ["flip_horizontal", "rotation", "zoom", "blur"]
    assert parse_augmentation("") == AugmentationSettings()
    assert parse_augmentation("flip_vertical=false") == AugmentationSettings()


@pytest.mark.parametrize(
    ("text", "field", "said"),
    [
        ("rotate=10", "augmentation", "no augmentation called 'rotate'"),
        ("rotation=500", "augmentation.rotation", "at least 0 and at most 180; it is 500"),
        (
            "zoom=much",
            "augmentation.zoom",
            r"Zoom \(augmentation.zoom\) must be a number, at least 0 and at most 0.9; it is 'much'",
        ),
        ("rotation=nan", "augmentation.rotation", "must be a number"),
        ("flip_horizontal=maybe", "augmentation.flip_horizontal", "must be true or false"),
        ("fill=green", "augmentation.fill", "reflect"),
        ("views=2.5", "augmentation.views", "a whole number, at least 0 and at most 64"),
    ],
)
def test_what_cannot_be_is_named(text, field, said):
    with pytest.raises(ExperimentError, match=said) as caught:
        parse_augmentation(text)
    assert caught.value.field == field


@pytest.mark.parametrize("preset", AUGMENTATION_PRESETS.values(), ids=lambda preset: preset.name)
def test_the_notation_goes_there_and_back(preset):
    assert parse_augmentation(augmentation_text(preset.augmentation)) == preset.augmentation


def test_in_a_persons_words():
    settings = parse_augmentation("flip_horizontal,rotation=10,zoom=0.1,blur=1,mix_up=0.2")
    assert describe(settings) == "mirror, rotate 10°, zoom 10 %, blur 1 pixel, MixUp α 0.2"
    assert describe(AugmentationSettings()) == "none"
    assert strength_text(AUGMENTATION_KINDS["blur"], 1.5) == "1.5 pixels"


def test_only_some_kinds():
    settings = parse_augmentation("flip_horizontal,rotation=10,zoom=0.1,fill=wrap,views=2")
    assert settings.only("zoom") == AugmentationSettings(zoom=0.1, fill=Fill.WRAP, views=2)
    assert not settings.only().is_on


def test_the_tutorials_preset_is_the_tutorials():
    """RandomFlip("horizontal"), RandomRotation(0.1) of a turn, RandomZoom(0.1)."""
    preset = AUGMENTATION_PRESETS["flowers_tutorial"].augmentation
    assert preset == AugmentationSettings(flip_horizontal=True, rotation=0.1 * 360, zoom=0.1)


@pytest.mark.parametrize(
    ("dataset", "on", "off"),
    [
        (FLOWERS, {"flip_horizontal", "rotation", "brightness"}, {"flip_vertical", "hue"}),
        (made_dataset([str(digit) for digit in range(10)]), {"rotation"}, {"flip_horizontal", "flip_vertical"}),
        (made_dataset(list("ABCDEF")), {"translation"}, {"flip_horizontal"}),
        (
            made_dataset(["ankle_boot", "t-shirt_top", "bag"], grey=True),
            {"flip_horizontal"},
            {"rotation", "brightness"},
        ),
        (made_dataset(["red", "yellow", "green"]), {"flip_horizontal"}, {"brightness", "saturation", "hue"}),
        (made_dataset(["cat", "dog"], each=40), {"erasing"}, set()),
        (made_dataset(["cat", "dog"], each=3000), {"flip_horizontal"}, {"rotation", "erasing"}),
    ],
)
def test_what_is_recommended_suits_the_data(dataset, on, off):
    advice = recommend_augmentation(dataset)
    chosen = {kind.name for kind in advice.augmentation.kinds}
    assert on <= chosen
    assert not off & chosen
    assert advice.reason.endswith(".")
    assert not augmentation_warnings(Experiment(augmentation=advice.augmentation), dataset)


def test_a_preset_and_then_single_kinds():
    strong = AUGMENTATION_PRESETS["strong"].augmentation
    assert choose_augmentation("strong", None).augmentation == strong
    changed = choose_augmentation("strong, rotation=5,hue,views=0", FLOWERS).augmentation
    assert changed == strong.model_copy(update={"rotation": 5.0, "hue": 10.0, "views": 0})
    advice = recommend_augmentation(FLOWERS)
    assert choose_augmentation(RECOMMENDED, FLOWERS) == advice
    assert choose_augmentation("recommended,zoom=0", FLOWERS).augmentation == advice.augmentation.only(
        *(kind.name for kind in advice.augmentation.kinds if kind.name != "zoom")
    )
    assert choose_augmentation("rotation=3", FLOWERS).augmentation == AugmentationSettings(rotation=3)


def test_what_is_neither_preset_nor_kind_is_told_with_both_lists():
    with pytest.raises(ExperimentError, match="no augmentation called 'wild'") as caught:
        choose_augmentation("wild", FLOWERS)
    assert "rotation" in caught.value.hint
    assert "recommended, none, gentle" in caught.value.hint


@pytest.mark.parametrize(
    ("text", "class_names", "warned"),
    [
        ("flip_horizontal", ["daisy", "roses"], {}),
        ("flip_horizontal", ["0", "1", "2"], {"flip_horizontal": "digit"}),
        ("flip_vertical", ["6", "9", "3"], {"flip_vertical": "6 is a 9"}),
        ("flip_vertical", ["coat", "dress"], {"flip_vertical": "clothes"}),
        ("flip_vertical", ["cat", "dog"], {"flip_vertical": "rarely upside down"}),
        ("flip_vertical", ["tissue_a", "tissue_b"], {}),
        ("rotation=90", ["a", "b", "c"], {"rotation": "others"}),
        ("hue=20", ["ripe tomato", "unripe tomato"], {"hue": "colours"}),
        ("zoom=0.5,noise=0.3", ["cat", "dog"], {"zoom": "40 %", "noise": "15 %"}),
    ],
)
def test_a_choice_that_usually_harms_is_told(text, class_names, warned):
    experiment = Experiment(augmentation=parse_augmentation(text))
    found = augmentation_warnings(experiment, made_dataset(class_names, each=2))
    assert found.keys() == warned.keys()
    for name, words in warned.items():
        assert words in found[name]


def test_colours_of_grey_images_cannot_change():
    grey = Experiment(image=ImageSettings(colour=Colour.GREY), augmentation=AugmentationSettings(hue=10))
    assert "grey" in augmentation_warnings(grey, FLOWERS)["hue"]
    assert (
        "grey"
        in augmentation_warnings(Experiment(augmentation=grey.augmentation), made_dataset(["x1", "x2"], 2, True))["hue"]
    )


def test_what_mixes_images_cannot_be_computed_ahead():
    experiment = Experiment(
        architecture=BackboneArchitecture(), augmentation=AugmentationSettings(mix_up=0.2, cut_mix=1.0, views=4)
    )
    problem = why_not_augmentable(experiment)
    assert problem is not None
    assert problem.field == "augmentation.views"
    assert "MixUp and CutMix" in str(problem)
    assert why_not_augmentable(with_values(experiment, {"augmentation.views": 0})) is None
    assert why_not_augmentable(Experiment(augmentation=experiment.augmentation)) is None, "from scratch it is live"
