"""What augmentation does to training images, in units people think in: the settings, and a table of every kind.

Only training images are augmented. Each setting says how far an image may be changed at most; how far it is changed is
drawn anew for every image and epoch. The same names serve the window, the experiment file and the command line.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Any

from pydantic import Field

from cnn_studio.core.errors import ExperimentError
from cnn_studio.core.experiment.row import Row, Setting, Unit, settings_of
from cnn_studio.core.experiment.settings import Settings

__all__ = [
    "AUGMENTATION_KINDS",
    "GROUP_TEXT",
    "NO_AUGMENTATION",
    "AugmentationKind",
    "AugmentationSettings",
    "Fill",
    "Group",
    "Unit",
    "augmentation_text",
    "describe",
    "parse_augmentation",
    "strength_text",
]


class Group(StrEnum):
    """Kinds that belong together on a page."""

    GEOMETRY = "geometry"
    COLOUR = "colour"
    DETAIL = "detail"
    COMBINED = "combined"


GROUP_TEXT = {
    Group.GEOMETRY: "Position and shape",
    Group.COLOUR: "Light and colour",
    Group.DETAIL: "Detail",
    Group.COMBINED: "Combined methods",
}
"""Each group in a person's words."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KindRow(Row):
    """The row of a kind of augmentation.

    Attributes:
        group: where it stands on a page.
        usual: the strength it begins with when switched on; a fraction where the unit is percent.
        too_strong: beyond this it usually harms.
    """

    group: Group
    usual: float = 1.0
    too_strong: float = 1.0


class Fill(StrEnum):
    """What shows where an image was moved away: its mirror image, its border drawn out, itself again, or black."""

    REFLECT = "reflect"
    NEAREST = "nearest"
    WRAP = "wrap"
    CONSTANT = "constant"


def _kind(
    title: str, what: str, group: Group, unit: Unit = Unit.NONE, usual: float = 1.0, too_strong: float = 1.0
) -> KindRow:
    return KindRow(title, what, unit=unit, group=group, usual=usual, too_strong=too_strong)


class AugmentationSettings(Settings):
    """How training images are changed; 0 (or false) leaves a kind out.

    Each strength is the most that an image is changed by. Sharpening adds that much of the difference to a smoothed
    image; MixUp and CutMix draw their shares from a Beta distribution with that alpha.
    """

    flip_horizontal: Annotated[bool, _kind("Mirror", "Half of the images, left to right.", Group.GEOMETRY)] = False
    flip_vertical: Annotated[bool, _kind("Upside down", "Half of the images.", Group.GEOMETRY)] = False
    rotation: Annotated[float, _kind("Rotate", "Either way.", Group.GEOMETRY, Unit.DEGREES, 10, 45)] = Field(
        0.0, ge=0.0, le=180.0
    )
    zoom: Annotated[float, _kind("Zoom", "In and out.", Group.GEOMETRY, Unit.PERCENT, 0.1, 0.4)] = Field(
        0.0, ge=0.0, le=0.9
    )
    stretch_width: Annotated[
        float, _kind("Stretch the width", "Wider and narrower.", Group.GEOMETRY, Unit.PERCENT, 0.1, 0.3)
    ] = Field(0.0, ge=0.0, le=0.9)
    stretch_height: Annotated[
        float, _kind("Stretch the height", "Taller and lower.", Group.GEOMETRY, Unit.PERCENT, 0.1, 0.3)
    ] = Field(0.0, ge=0.0, le=0.9)
    shear: Annotated[float, _kind("Slant", "Shear, in both directions.", Group.GEOMETRY, Unit.DEGREES, 10, 30)] = Field(
        0.0, ge=0.0, le=60.0
    )
    translation: Annotated[
        float, _kind("Move", "Sideways, up and down; of its side.", Group.GEOMETRY, Unit.PERCENT, 0.1, 0.3)
    ] = Field(0.0, ge=0.0, le=0.9)
    brightness: Annotated[float, _kind("Brightness", "Brighter and darker.", Group.COLOUR, Unit.PERCENT, 0.15, 0.4)] = (
        Field(0.0, ge=0.0, le=1.0)
    )
    contrast: Annotated[float, _kind("Contrast", "Higher and lower.", Group.COLOUR, Unit.PERCENT, 0.2, 0.6)] = Field(
        0.0, ge=0.0, le=1.0
    )
    saturation: Annotated[
        float, _kind("Saturation", "Stronger and paler colours.", Group.COLOUR, Unit.PERCENT, 0.2, 0.6)
    ] = Field(0.0, ge=0.0, le=1.0)
    hue: Annotated[float, _kind("Hue", "Around the colour circle.", Group.COLOUR, Unit.DEGREES, 10, 30)] = Field(
        0.0, ge=0.0, le=180.0
    )
    blur: Annotated[float, _kind("Blur", "Standard deviation, at most.", Group.DETAIL, Unit.PIXELS, 1.0, 2.0)] = Field(
        0.0, ge=0.0, le=5.0
    )
    sharpen: Annotated[float, _kind("Sharpen", "Edges made stronger.", Group.DETAIL, Unit.PERCENT, 0.3, 0.8)] = Field(
        0.0, ge=0.0, le=1.0
    )
    noise: Annotated[
        float, _kind("Noise", "Grain, of the range from black to white.", Group.DETAIL, Unit.PERCENT, 0.05, 0.15)
    ] = Field(0.0, ge=0.0, le=0.5)
    erasing: Annotated[
        float, _kind("Erase a rectangle", "In half of the images; of the area.", Group.DETAIL, Unit.PERCENT, 0.2, 0.4)
    ] = Field(0.0, ge=0.0, le=0.6)
    rand_augment: Annotated[
        float,
        _kind("RandAugment", "Two changes drawn at random for each image.", Group.COMBINED, Unit.PERCENT, 0.3, 0.7),
    ] = Field(0.0, ge=0.0, le=1.0)
    mix_up: Annotated[
        float, _kind("MixUp", "Blends two images and their labels.", Group.COMBINED, Unit.ALPHA, 0.2, 0.8)
    ] = Field(0.0, ge=0.0, le=2.0)
    cut_mix: Annotated[
        float, _kind("CutMix", "A piece of another image, with its label.", Group.COMBINED, Unit.ALPHA, 1.0, 1.5)
    ] = Field(0.0, ge=0.0, le=2.0)
    fill: Annotated[
        Fill,
        Row(
            "Where an image was moved away",
            "What shows there.",
            {
                Fill.REFLECT: "The image mirrored at its border",
                Fill.NEAREST: "The border drawn out",
                Fill.WRAP: "The image repeated",
                Fill.CONSTANT: "Black",
            },
        ),
    ] = Fill.REFLECT
    views: Annotated[
        int,
        Row(
            "With the pre-trained part",
            "A view is an image changed once: so many of each are computed once and drawn from; 0 augments live, which "
            "runs the whole network in every epoch.",
        ),
    ] = Field(4, ge=0, le=64)  # without effect on a network trained from scratch, which is always augmented live

    @property
    def kinds(self) -> tuple[AugmentationKind, ...]:
        """The kinds that are switched on, in the table's order."""
        return tuple(kind for kind in AUGMENTATION_KINDS.values() if getattr(self, kind.name))

    @property
    def is_on(self) -> bool:
        """Whether any kind is switched on."""
        return bool(self.kinds)

    @property
    def mixes_labels(self) -> bool:
        """Whether images of different classes are mixed, so that an image has shares of several labels."""
        return bool(self.mix_up or self.cut_mix)

    def only(self, *names: str) -> AugmentationSettings:
        """These settings with every kind left out but the named ones."""
        kept = {name: getattr(self, name) for name in (*names, "fill", "views")}
        return AugmentationSettings(**kept)


NO_AUGMENTATION = AugmentationSettings()
"""Images as they are."""


@dataclass(frozen=True, slots=True)
class AugmentationKind:
    """One kind with what its row and its field say.

    Attributes:
        name: the field's.
        title: for a person.
        explanation: what it does, one short sentence.
        group: where it stands on a page.
        unit: what its strength counts.
        usual: the strength it begins with when switched on; a fraction where the unit is percent.
        too_strong: beyond this it usually harms.
        most: the largest that is allowed; 1 for a switch.
    """

    name: str
    title: str
    explanation: str
    group: Group
    unit: Unit
    usual: float
    too_strong: float
    most: float


_SETTINGS = {setting.key: setting for setting in settings_of(AugmentationSettings, "augmentation")}


def _kinds(settings: Iterable[Setting]) -> Iterator[AugmentationKind]:
    for setting in settings:
        if isinstance(row := setting.row, KindRow):
            most = setting.limits.maximum or 1.0
            yield AugmentationKind(
                setting.key, row.title, row.help, row.group, setting.unit, row.usual, row.too_strong, most
            )


AUGMENTATION_KINDS: dict[str, AugmentationKind] = {kind.name: kind for kind in _kinds(_SETTINGS.values())}


def strength_text(kind: AugmentationKind, strength: float) -> str:
    """A strength as people say it: “10°”, “15 %”, “1.5 pixels”; “on” for a switch."""
    match kind.unit:
        case Unit.SWITCH:
            return "on"
        case Unit.DEGREES:
            return f"{strength:g}°"
        case Unit.PERCENT:
            return f"{100 * strength:g} %"
        case Unit.PIXELS:
            return f"{strength:g} pixel{'' if strength == 1 else 's'}"
        case Unit.ALPHA:
            return f"α {strength:g}"
        case _:
            return f"{strength:g}"


def describe(settings: AugmentationSettings) -> str:
    """The kinds that are on, in a line: “mirror, rotate 10°, zoom 10 %”; “none”."""
    parts = [
        kind.title.lower()
        if kind.unit is Unit.SWITCH
        else f"{_lowered(kind.title)} {strength_text(kind, getattr(settings, kind.name))}"
        for kind in settings.kinds
    ]
    return ", ".join(parts) or "none"


def _lowered(title: str) -> str:
    return title if title in {"RandAugment", "MixUp", "CutMix"} else title.lower()


def parse_augmentation(text: str, start: AugmentationSettings = NO_AUGMENTATION) -> AugmentationSettings:
    """Settings from the command line's ``flip_horizontal,rotation=10,zoom=0.1,fill=nearest``.

    A kind without a value takes its usual strength; ``10%`` is ``0.1``; what is not named stays as in ``start``.

    Raises:
        ExperimentError: a name that is unknown or a value out of range; ``field`` names it.
    """
    values: dict[str, Any] = start.model_dump()
    for part in filter(None, (piece.strip() for piece in text.split(","))):
        name, equals, value = (piece.strip() for piece in part.partition("="))
        setting, kind = _SETTINGS.get(name), AUGMENTATION_KINDS.get(name)
        if setting is None:
            besides = [other for other in _SETTINGS if other not in AUGMENTATION_KINDS]
            raise ExperimentError(
                f"There is no augmentation called {name!r}.",
                hint=f"Choose from {', '.join(AUGMENTATION_KINDS)}; {' and '.join(besides)} can be set as well.",
                field="augmentation",
            )
        if equals or kind is None:
            values[name] = setting.parse(value)
        else:
            values[name] = True if kind.unit is Unit.SWITCH else kind.usual
    return AugmentationSettings(**values)


def augmentation_text(settings: AugmentationSettings) -> str:
    """The settings as ``parse_augmentation`` takes them; "" for none."""
    parts = [
        kind.name if kind.unit is Unit.SWITCH else f"{kind.name}={getattr(settings, kind.name):g}"
        for kind in settings.kinds
    ]
    standard = AugmentationSettings()
    if parts:
        parts += [
            f"{name}={getattr(settings, name)}"
            for name in ("fill", "views")
            if getattr(settings, name) != getattr(standard, name)
        ]
    return ",".join(parts)
