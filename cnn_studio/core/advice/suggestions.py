"""The experiment to begin with on a data set, and the one that is likely to do best."""

from __future__ import annotations

from dataclasses import dataclass

from cnn_studio.core.data.dataset import Dataset
from cnn_studio.core.experiment.architectures import (
    ARCHITECTURE_PRESETS,
    BACKBONE_PRESETS,
    DEFAULT_ARCHITECTURE,
    architecture_preset,
)
from cnn_studio.core.experiment.backbones import find_backbone
from cnn_studio.core.experiment.experiment import Experiment
from cnn_studio.core.experiment.settings import (
    BackboneArchitecture,
    Colour,
    ImageSettings,
)


@dataclass(frozen=True, slots=True)
class Recommendation:
    """An experiment chosen from the data, and why, in a sentence."""

    experiment: Experiment
    reason: str


_TINY = 40
"""Pixels below which a backbone trained at 224 would see little but its own enlargement."""


_CPU_SIZE = 160


_FEW_PER_CLASS = 50


def recommend_experiment(dataset: Dataset, *, on_gpu: bool = False) -> Recommendation:
    """The experiment that is likely to do best on a data set in reasonable time.

    Small pictures get a small network of their own. Photographs get the usual backbone, frozen, which needs few images
    and whose features are computed once; on a CPU at 160 pixels, where that takes half the time of 224. Where images
    are few, dropout keeps the head from learning them by heart.

    Args:
        dataset: a scanned data set.
        on_gpu: whether a GPU computes.
    """
    sides = sorted(min(file.height, file.width) for file in dataset.files)
    side = sides[len(sides) // 2] if sides else 0
    grey = bool(dataset.files) and all(file.grey for file in dataset.files)
    classes = len(dataset.class_names)
    kind = "grey" if grey else "colour"
    what = f"{len(dataset.files):,} {kind} images of {classes} classes, {side} pixels on the shorter side"
    if 0 < side < _TINY:
        colour = Colour.GREY if grey else Colour.RGB
        name = next(name for name, preset in ARCHITECTURE_PRESETS.items() if preset.first_for_tiny is colour)
        return Recommendation(
            suggest_experiment(dataset, name),
            f"{what}: so small that {architecture_preset(name).title}, trained from scratch, suits them best.",
        )
    backbone = find_backbone(BackboneArchitecture().name)
    image = suggest_image_settings(dataset, backbone.name)
    if not on_gpu and image.height > _CPU_SIZE:
        image = ImageSettings(height=_CPU_SIZE, width=_CPU_SIZE, colour=image.colour)
    dropout = 0.3 if len(dataset.files) < _FEW_PER_CLASS * classes else 0.0
    why = (
        "what it learnt on ImageNet takes the place of the images that are few here"
        if dropout
        else "it has learnt from a million photographs, and what it gives for yours is computed only once"
    )
    size = (
        f"at {image.height} pixels, which a CPU does in good time"
        if image.height == _CPU_SIZE
        else f"at {image.height} pixels"
    )
    return Recommendation(
        Experiment(image=image, architecture=BackboneArchitecture(name=backbone.name, dropout=dropout)),
        f"{what}: a frozen {backbone.title} {size}, since {why}.",
    )


def suggest_image_settings(dataset: Dataset | None, architecture_name: str = DEFAULT_ARCHITECTURE) -> ImageSettings:
    """The image size and colour to begin with on this data set; without one yet, what the architecture was made for.

    The architecture's usual size, but no larger than the median picture's shorter side: enlarging small pictures
    costs time and adds nothing, unless the architecture cannot do with less. Grey when every file is. An architecture
    that the user has given a name of his own counts as the default one.
    """
    presets = ARCHITECTURE_PRESETS | BACKBONE_PRESETS
    preset = presets.get(architecture_name, presets[DEFAULT_ARCHITECTURE])
    side = min(preset.usual_size, (dataset.median_side if dataset else 0) or preset.usual_size)
    side = max(side, preset.smallest_size)
    return ImageSettings(height=side, width=side, colour=Colour.GREY if dataset and dataset.is_grey else Colour.RGB)


def suggest_experiment(dataset: Dataset, architecture_name: str = DEFAULT_ARCHITECTURE) -> Experiment:
    """The experiment to begin with on this data set: good enough that *open folder → Train* works."""
    return Experiment(
        image=suggest_image_settings(dataset, architecture_name),
        architecture=architecture_preset(architecture_name).architecture,
    )
