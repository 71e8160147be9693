"""Which augmentation to begin with on a data set, and when a choice is likely to harm: presets, advice, warnings."""

from __future__ import annotations

import re
from dataclasses import dataclass

from cnn_studio.core.data.dataset import Dataset
from cnn_studio.core.errors import ExperimentError
from cnn_studio.core.experiment.augmentation import (
    AUGMENTATION_KINDS,
    NO_AUGMENTATION,
    AugmentationSettings,
    Unit,
    parse_augmentation,
    strength_text,
)
from cnn_studio.core.experiment.experiment import Experiment
from cnn_studio.core.experiment.settings import BackboneArchitecture, Colour

RECOMMENDED = "recommended"
"""The name of the preset that is chosen from the data."""


@dataclass(frozen=True, slots=True)
class AugmentationPreset:
    """A named augmentation: its name on the command line, its title in the window, what it is for, its settings."""

    name: str
    title: str
    summary: str
    augmentation: AugmentationSettings


_ALL = (
    AugmentationPreset("none", "None", "Images as they are.", AugmentationSettings()),
    AugmentationPreset(
        "gentle",
        "Gentle",
        "Small changes that a photograph could have had anyway.",
        AugmentationSettings(flip_horizontal=True, rotation=5, zoom=0.05, translation=0.05, brightness=0.1),
    ),
    AugmentationPreset(
        "flowers_tutorial",
        "Flowers tutorial",
        "That of TensorFlow's tutorial “Image classification”: mirror, rotation 0.1 of a turn (36°), zoom 10 %.",
        AugmentationSettings(flip_horizontal=True, rotation=36, zoom=0.1),
    ),
    AugmentationPreset(
        "strong",
        "Strong",
        "For few images and many epochs.",
        AugmentationSettings(
            flip_horizontal=True,
            rotation=25,
            zoom=0.2,
            shear=10,
            translation=0.1,
            brightness=0.2,
            contrast=0.3,
            saturation=0.3,
            erasing=0.2,
        ),
    ),
)

AUGMENTATION_PRESETS: dict[str, AugmentationPreset] = {preset.name: preset for preset in _ALL}


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_DIGITS = _words("zero one two three four five six seven eight nine")
_CLOTHES = _words(
    "ankle bag bags boot boots clothes coat dress jacket jeans pullover sandal sandals shirt shoe shoes skirt sneaker "
    "sneakers sweater top trouser trousers tshirt"
)
_COLOURS = _words(
    "amber black blue bronze brown colour color green grey gray orange pink purple red silver violet white yellow "
    "ripe unripe rotten stained"
)


@dataclass(frozen=True, slots=True)
class Advice:
    """An augmentation chosen from the data, and why, in a sentence."""

    augmentation: AugmentationSettings
    reason: str


def recommend_augmentation(dataset: Dataset) -> Advice:
    """The augmentation to begin with on a data set, chosen from the classes' names, the images and how many there are.

    Mirroring is left out where classes are called like digits or letters, since a mirrored one may be another or none.
    Colours are left as they are where class names speak of them. Few images a class get stronger changes than many.
    """
    classes = max(1, len(dataset.class_names))
    each = len(dataset.files) // classes
    few, many = each < 150, each > 2000
    if looks_like_characters(dataset.class_names):
        return Advice(
            AugmentationSettings(rotation=10, zoom=0.1, shear=5, translation=0.1),
            "The classes are called like digits or letters, which a mirror would turn into something else: a little "
            "rotation, zoom, slant and shift.",
        )
    if _speak_of(dataset.class_names, _CLOTHES):
        return Advice(
            AugmentationSettings(flip_horizontal=True, zoom=0.1, translation=0.1),
            "Clothes are photographed upright and from either side: mirror, zoom and shift, no rotation.",
        )
    values: dict[str, float | bool] = {"flip_horizontal": True, "rotation": 10.0, "zoom": 0.1, "translation": 0.05}
    why = f"{each:,} images a class: mirror, rotation, zoom and a small shift"
    if many:
        values = {"flip_horizontal": True, "translation": 0.05}
        why = f"{each:,} images a class are many, so little is needed: mirror and a small shift"
    elif few:
        values |= {"rotation": 20.0, "zoom": 0.2, "erasing": 0.15}
        why = f"Only {each:,} images a class, so the changes are larger and parts are erased"
    if not dataset.is_grey and not _speak_of(dataset.class_names, _COLOURS):
        values |= {"brightness": 0.15, "contrast": 0.2}
        why += "; light and contrast too"
    elif not dataset.is_grey:
        why += "; colours stay, since class names speak of them"
    return Advice(AugmentationSettings.model_validate(values), f"{why}.")


def choose_augmentation(text: str, dataset: Dataset | None) -> Advice:
    """What the command line's ``--augment`` means: a preset's name, single kinds, or the one and then the others.

    Args:
        text: such as ``gentle``, ``rotation=10,zoom=0.1`` or ``recommended,views=0``.
        dataset: what "recommended" is chosen from; None takes the text's form only.

    Returns:
        The settings, and what is to be said of a recommendation; "" for anything else.

    Raises:
        ExperimentError: a name that is no preset's and no kind's, or a value out of range.
    """
    first, _, rest = text.partition(",")
    name = first.strip()
    if name == RECOMMENDED:
        advice = recommend_augmentation(dataset) if dataset else Advice(NO_AUGMENTATION, "")
        return Advice(parse_augmentation(rest, advice.augmentation), advice.reason)
    if preset := AUGMENTATION_PRESETS.get(name):
        return Advice(parse_augmentation(rest, preset.augmentation), "")
    try:
        return Advice(parse_augmentation(text), "")
    except ExperimentError as error:
        if error.field == "augmentation":
            presets = ", ".join((RECOMMENDED, *AUGMENTATION_PRESETS))
            raise ExperimentError(
                error.message, hint=f"{error.hint} Or begin with a preset: {presets}.", field=error.field
            ) from None
        raise


def augmentation_warnings(experiment: Experiment, dataset: Dataset | None) -> dict[str, str]:
    """A sentence for each kind that is on and usually harms, or does nothing; by the kind's name."""
    settings = experiment.augmentation
    names = dataset.class_names if dataset else ()
    characters = looks_like_characters(names)
    found: dict[str, str] = {}
    for kind in settings.kinds:
        strength = float(getattr(settings, kind.name))
        if kind.unit is not Unit.SWITCH and strength > kind.too_strong:
            found[kind.name] = (
                f"More than {strength_text(kind, kind.too_strong)} usually harms: such images will not be met later."
            )
    if settings.flip_horizontal and characters:
        found["flip_horizontal"] = "A mirrored digit or letter is another one, or none."
    if settings.flip_vertical:
        if characters:
            found["flip_vertical"] = "Upside down, a 6 is a 9."
        elif _speak_of(names, _CLOTHES):
            found["flip_vertical"] = "Nobody will show it clothes that are upside down."
        elif dataset is not None and not _seen_from_above(names):
            found["flip_vertical"] = (
                "Photographs are rarely upside down. It helps where there is no up: from above, under a microscope."
            )
    if settings.rotation > 45 and characters:
        found["rotation"] = "Turned that far, digits and letters become others."
    for name in ("hue", "saturation"):
        if getattr(settings, name) and (experiment.image.colour is Colour.GREY or (dataset and dataset.is_grey)):
            found[name] = "These images are grey, so this changes nothing."
        elif getattr(settings, name) and _speak_of(names, _COLOURS):
            found[name] = "Class names speak of colours, so changing them may turn one class into another."
    return found


def why_not_augmentable(experiment: Experiment) -> ExperimentError | None:
    """Why an experiment's augmentation cannot be done as set, or None when it can."""
    settings = experiment.augmentation
    on_backbone = isinstance(experiment.architecture, BackboneArchitecture)
    if on_backbone and settings.mixes_labels and settings.views:
        named = " and ".join(
            AUGMENTATION_KINDS[name].title for name in ("mix_up", "cut_mix") if getattr(settings, name)
        )
        return ExperimentError(
            f"{named} mixes two images anew each time, so it cannot be computed once and kept as views.",
            hint="Leave it out, or augment live (views=0 on the command line).",
            field="augmentation.views",
        )
    return None


def looks_like_characters(class_names: tuple[str, ...]) -> bool:
    """Whether most classes are called like digits or single letters."""
    if not class_names:
        return False
    characters = sum(
        bool(re.fullmatch(r"\d{1,2}|[A-Za-z]|digit[ _-]?\d|letter[ _-]?[A-Za-z]", name)) or name.lower() in _DIGITS
        for name in class_names
    )
    return characters > len(class_names) / 2


def _seen_from_above(class_names: tuple[str, ...]) -> bool:
    return _speak_of(class_names, _words("aerial cell cells colony microscope plate satellite texture tissue"))


def _speak_of(class_names: tuple[str, ...], words: frozenset[str]) -> bool:
    """Whether at least two class names, or the only ones, hold one of the words."""
    hits = sum(
        bool(words & set(re.split(r"[^a-z]+", re.sub(r"t-shirt", "tshirt", name.lower())))) for name in class_names
    )
    return hits >= min(2, max(1, len(class_names)))
