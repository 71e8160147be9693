"""What augmentation does to training images, in units people think in: the settings, and a table of every kind.

Only training images are augmented. Each setting says how far an image may be changed at most; how far it is changed is
drawn anew for every image and epoch. The same names serve the window, the experiment file and the command line.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from pydantic import Field

from cnn_studio.core.errors import ExperimentError
from cnn_studio.core.experiment.settings import Settings


class Fill(StrEnum):
    """What shows where an image was moved away: its mirror image, its border drawn out, itself again, or black."""

    REFLECT = "reflect"
    NEAREST = "nearest"
    WRAP = "wrap"
    CONSTANT = "constant"


class AugmentationSettings(Settings):
    """How training images are changed; 0 (or false) leaves a kind out.

    Attributes:
        flip_horizontal: mirror half of the images, left to right.
        flip_vertical: turn half of the images upside down.
        rotation: turned by up to this many degrees, either way.
        zoom: enlarged or made smaller by up to this fraction.
        stretch_width, stretch_height: the same for one side only.
        shear: slanted by up to this many degrees, either way, in both directions.
        translation: moved by up to this fraction of its side, in both directions.
        brightness: made brighter or darker by up to this fraction of the range from black to white.
        contrast: differences from the mean raised or lowered by up to this fraction.
        saturation: colours made stronger or paler by up to this fraction.
        hue: colours moved around the colour circle by up to this many degrees, either way.
        blur: standard deviation of the blur in pixels, at most.
        sharpen: how much of the difference to a smoothed image is added, at most.
        noise: standard deviation of the noise as a fraction of the range from black to white, at most.
        erasing: half of the images lose a grey rectangle of up to this fraction of the area.
        rand_augment: two changes drawn at random for each image, of this strength, 0–1.
        mix_up: blends pairs of images and their labels; the alpha of its Beta distribution.
        cut_mix: puts a piece of one image into another and shares the labels; the alpha of its Beta distribution.
        fill: what shows where an image was moved away.
        views: with a pre-trained network, how many augmented views of each training image are computed once and then
            drawn from; 0 augments live, which runs the whole network in every epoch. Without effect on a network
            trained from scratch, which is always augmented live.
    """

    flip_horizontal: bool = False
    flip_vertical: bool = False
    rotation: float = Field(0.0, ge=0.0, le=180.0)
    zoom: float = Field(0.0, ge=0.0, le=0.9)
    stretch_width: float = Field(0.0, ge=0.0, le=0.9)
    stretch_height: float = Field(0.0, ge=0.0, le=0.9)
    shear: float = Field(0.0, ge=0.0, le=60.0)
    translation: float = Field(0.0, ge=0.0, le=0.9)
    brightness: float = Field(0.0, ge=0.0, le=1.0)
    contrast: float = Field(0.0, ge=0.0, le=1.0)
    saturation: float = Field(0.0, ge=0.0, le=1.0)
    hue: float = Field(0.0, ge=0.0, le=180.0)
    blur: float = Field(0.0, ge=0.0, le=5.0)
    sharpen: float = Field(0.0, ge=0.0, le=1.0)
    noise: float = Field(0.0, ge=0.0, le=0.5)
    erasing: float = Field(0.0, ge=0.0, le=0.6)
    rand_augment: float = Field(0.0, ge=0.0, le=1.0)
    mix_up: float = Field(0.0, ge=0.0, le=2.0)
    cut_mix: float = Field(0.0, ge=0.0, le=2.0)
    fill: Fill = Fill.REFLECT
    views: int = Field(4, ge=0, le=64)

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


class Unit(StrEnum):
    """What a strength counts; "switch" for a kind that is on or off."""

    SWITCH = "switch"
    DEGREES = "degrees"
    PERCENT = "percent"
    PIXELS = "pixels"
    ALPHA = "alpha"


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


@dataclass(frozen=True, slots=True)
class AugmentationKind:
    """One row of the table.

    Attributes:
        name: the setting's.
        title: for a person.
        explanation: what it does, one short sentence.
        group: where it stands on a page.
        unit: what its strength counts.
        usual: the strength it begins with when switched on; a fraction where the unit is percent.
        too_strong: beyond this it usually harms.
        most: the largest that is allowed.
    """

    name: str
    title: str
    explanation: str
    group: Group
    unit: Unit
    usual: float = 1.0
    too_strong: float = 1.0
    most: float = 1.0


_DEGREES, _PERCENT = Unit.DEGREES, Unit.PERCENT
_ROWS = (
    AugmentationKind("flip_horizontal", "Mirror", "Half of the images, left to right.", Group.GEOMETRY, Unit.SWITCH),
    AugmentationKind("flip_vertical", "Upside down", "Half of the images.", Group.GEOMETRY, Unit.SWITCH),
    AugmentationKind("rotation", "Rotate", "Either way.", Group.GEOMETRY, _DEGREES, 10, 45, 180),
    AugmentationKind("zoom", "Zoom", "In and out.", Group.GEOMETRY, _PERCENT, 0.1, 0.4, 0.9),
    AugmentationKind(
        "stretch_width", "Stretch the width", "Wider and narrower.", Group.GEOMETRY, _PERCENT, 0.1, 0.3, 0.9
    ),
    AugmentationKind(
        "stretch_height", "Stretch the height", "Taller and lower.", Group.GEOMETRY, _PERCENT, 0.1, 0.3, 0.9
    ),
    AugmentationKind("shear", "Slant", "Shear, in both directions.", Group.GEOMETRY, _DEGREES, 10, 30, 60),
    AugmentationKind(
        "translation", "Move", "Sideways, up and down; of its side.", Group.GEOMETRY, _PERCENT, 0.1, 0.3, 0.9
    ),
    AugmentationKind("brightness", "Brightness", "Brighter and darker.", Group.COLOUR, _PERCENT, 0.15, 0.4, 1.0),
    AugmentationKind("contrast", "Contrast", "Higher and lower.", Group.COLOUR, _PERCENT, 0.2, 0.6, 1.0),
    AugmentationKind("saturation", "Saturation", "Stronger and paler colours.", Group.COLOUR, _PERCENT, 0.2, 0.6, 1.0),
    AugmentationKind("hue", "Hue", "Around the colour circle.", Group.COLOUR, _DEGREES, 10, 30, 180),
    AugmentationKind("blur", "Blur", "Standard deviation, at most.", Group.DETAIL, Unit.PIXELS, 1.0, 2.0, 5.0),
    AugmentationKind("sharpen", "Sharpen", "Edges made stronger.", Group.DETAIL, _PERCENT, 0.3, 0.8, 1.0),
    AugmentationKind(
        "noise", "Noise", "Grain, of the range from black to white.", Group.DETAIL, _PERCENT, 0.05, 0.15, 0.5
    ),
    AugmentationKind(
        "erasing", "Erase a rectangle", "In half of the images; of the area.", Group.DETAIL, _PERCENT, 0.2, 0.4, 0.6
    ),
    AugmentationKind(
        "rand_augment",
        "RandAugment",
        "Two changes drawn at random for each image.",
        Group.COMBINED,
        _PERCENT,
        0.3,
        0.7,
        1.0,
    ),
    AugmentationKind(
        "mix_up", "MixUp", "Blends two images and their labels.", Group.COMBINED, Unit.ALPHA, 0.2, 0.8, 2.0
    ),
    AugmentationKind(
        "cut_mix", "CutMix", "A piece of another image, with its label.", Group.COMBINED, Unit.ALPHA, 1.0, 1.5, 2.0
    ),
)

AUGMENTATION_KINDS: dict[str, AugmentationKind] = {kind.name: kind for kind in _ROWS}


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
        if name not in AUGMENTATION_KINDS and name not in {"fill", "views"}:
            raise ExperimentError(
                f"There is no augmentation called {name!r}.",
                hint=f"Choose from {', '.join(AUGMENTATION_KINDS)}; fill and views can be set as well.",
                field="augmentation",
            )
        if name in {"fill", "views"} or equals:
            values[name] = _plain_value(name, value)
        else:
            kind = AUGMENTATION_KINDS[name]
            values[name] = True if kind.unit is Unit.SWITCH else kind.usual
    return _validated(values)


def _plain_value(name: str, text: str) -> Any:
    kind = AUGMENTATION_KINDS.get(name)
    if kind is None or kind.unit is Unit.SWITCH:
        return text
    number, percent = text.removesuffix("%").strip(), text.endswith("%")
    try:
        return float(number) / 100 if percent else float(number)
    except ValueError:
        raise ExperimentError(
            f"The strength of {name} must be a number, such as {name}={kind.usual:g}; it is {text!r}.",
            field=f"augmentation.{name}",
        ) from None


def _validated(values: dict[str, Any]) -> AugmentationSettings:
    from pydantic import ValidationError

    try:
        return AugmentationSettings.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(("augmentation", *map(str, first["loc"])))
        raise ExperimentError(f"{name} (it is {first['input']!r}): {first['msg']}.", field=name) from None


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
