"""The architectures by name: scratch networks and pre-trained backbones, each ready to train."""

from __future__ import annotations

from dataclasses import dataclass

from cnn_studio.core.errors import ExperimentError
from cnn_studio.core.experiment.backbones import BACKBONES
from cnn_studio.core.experiment.settings import (
    Activation,
    BackboneArchitecture,
    Colour,
    Features,
    Padding,
    Pooling,
    ScratchArchitecture,
)


@dataclass(frozen=True, slots=True)
class ArchitecturePreset:
    """A named architecture.

    Attributes:
        architecture: its settings.
        title: its name in the window.
        summary: what it is good for, one sentence a newcomer understands.
        usual_size: image side in pixels it was designed for; a data set of smaller images lowers it.
        smallest_size: image side in pixels below which it cannot work, or the program's least.
        first_for_tiny: the colour of those tiny pictures for which it is the one to try first; None for none.
    """

    architecture: ScratchArchitecture | BackboneArchitecture
    title: str
    summary: str
    usual_size: int
    smallest_size: int = 8
    first_for_tiny: Colour | None = None


_ALL = (
    ArchitecturePreset(
        ScratchArchitecture(name="small_cnn"),
        "Small CNN",
        "Three convolutions with max pooling and a little dropout: a good first try on photographs.",
        128,
    ),
    ArchitecturePreset(
        ScratchArchitecture(
            name="lenet5",
            blocks=((6,), (16,)),
            kernel=(5,),
            padding=(Padding.SAME, Padding.VALID),
            pooling=Pooling.AVERAGE,
            activation=Activation.TANH,
            dropout=0.0,
            dense=(120, 84),
        ),
        "LeNet-5",
        "LeCun's 1998 network with average pooling and tanh: made for small grey pictures such as digits.",
        28,
        smallest_size=12,
        first_for_tiny=Colour.GREY,
    ),
    ArchitecturePreset(
        ScratchArchitecture(
            name="two_block_cnn", blocks=((32, 32), (64, 64)), padding=(Padding.VALID,), dropout=0.0, dense=(512,)
        ),
        "Two-block CNN",
        "Two blocks of two convolutions, each ending in max pooling: the classic for 32-pixel pictures.",
        32,
        smallest_size=16,
        first_for_tiny=Colour.RGB,
    ),
    ArchitecturePreset(
        ScratchArchitecture(
            name="two_block_cnn_no_pooling",
            blocks=((32, 32), (64, 64)),
            padding=(Padding.VALID,),
            pooling=Pooling.NONE,
            dropout=0.0,
            dense=(512,),
        ),
        "Two-block CNN without pooling",
        "The same without pooling, to see what pooling buys: many more parameters and a slower epoch.",
        32,
        smallest_size=9,
    ),
    ArchitecturePreset(
        ScratchArchitecture(name="mlp", blocks=(), dropout=0.0, features=Features.FLATTEN, dense=(300, 100)),
        "Dense network (MLP)",
        "No convolution at all: the baseline a CNN has to beat.",
        32,
    ),
)

ARCHITECTURE_PRESETS: dict[str, ArchitecturePreset] = {preset.architecture.name: preset for preset in _ALL}
"""Networks trained from random weights."""

DEFAULT_ARCHITECTURE = ScratchArchitecture().name
"""The one to begin with."""

BACKBONE_PRESETS: dict[str, ArchitecturePreset] = {
    name: ArchitecturePreset(
        BackboneArchitecture(name=name), backbone.title, backbone.summary, backbone.usual_size, backbone.smallest_size
    )
    for name, backbone in BACKBONES.items()
}
"""Pre-trained networks, frozen, with global average pooling and a single dense layer as head."""


def architecture_preset(name: str) -> ArchitecturePreset:
    """The preset of that name, scratch or pre-trained.

    Raises:
        ExperimentError: there is none; the hint lists those there are.
    """
    preset = ARCHITECTURE_PRESETS.get(name) or BACKBONE_PRESETS.get(name)
    if preset is None:
        raise ExperimentError(
            f"There is no architecture called {name!r}.",
            hint=f"Choose one of {', '.join((*ARCHITECTURE_PRESETS, *BACKBONE_PRESETS))}.",
            field="architecture.name",
        )
    return preset


def architecture_title(name: str) -> str:
    """What a person reads in place of an architecture's code; a name of the user's own stays as it is."""
    preset = ARCHITECTURE_PRESETS.get(name) or BACKBONE_PRESETS.get(name)
    return preset.title if preset else name
