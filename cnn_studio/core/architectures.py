"""The scratch architectures by name, each a preset of the one configurable description."""

from __future__ import annotations

from dataclasses import dataclass

from cnn_studio.core.config import Activation, Features, Padding, Pooling, ScratchArchitecture
from cnn_studio.core.errors import ExperimentError


@dataclass(frozen=True, slots=True)
class ArchitecturePreset:
    """A named architecture.

    Attributes:
        architecture: its settings.
        title: its name in the window.
        summary: what it is good for, one sentence a newcomer understands.
        usual_size: image side in pixels it was designed for; a data set of smaller images lowers it.
    """

    architecture: ScratchArchitecture
    title: str
    summary: str
    usual_size: int


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
            kernel=5,
            padding=Padding.VALID,
            pooling=Pooling.AVERAGE,
            activation=Activation.TANH,
            dropout=0.0,
            dense=(120, 84),
        ),
        "LeNet-5",
        "LeCun's 1998 network with average pooling and tanh: made for small grey pictures such as digits.",
        32,
    ),
    ArchitecturePreset(
        ScratchArchitecture(name="two_block_cnn", blocks=((32, 32), (64, 64)), dropout=0.0, dense=(512,)),
        "Two-block CNN",
        "Two blocks of two convolutions, each ending in max pooling: the classic for 32-pixel pictures.",
        32,
    ),
    ArchitecturePreset(
        ScratchArchitecture(
            name="two_block_cnn_no_pooling",
            blocks=((32, 32), (64, 64)),
            pooling=Pooling.NONE,
            dropout=0.0,
            dense=(512,),
        ),
        "Two-block CNN without pooling",
        "The same without pooling, to see what pooling buys: many more parameters and a slower epoch.",
        32,
    ),
    ArchitecturePreset(
        ScratchArchitecture(name="mlp", blocks=(), dropout=0.0, features=Features.FLATTEN, dense=(300, 100)),
        "Dense network (MLP)",
        "No convolution at all: the baseline a CNN has to beat.",
        32,
    ),
)

ARCHITECTURE_PRESETS: dict[str, ArchitecturePreset] = {preset.architecture.name: preset for preset in _ALL}


def architecture_preset(name: str) -> ArchitecturePreset:
    """The preset of that name.

    Raises:
        ExperimentError: there is none; the hint lists those there are.
    """
    try:
        return ARCHITECTURE_PRESETS[name]
    except KeyError:
        raise ExperimentError(
            f"There is no architecture called {name!r}.",
            hint=f"Choose one of {', '.join(ARCHITECTURE_PRESETS)}.",
            field="architecture.name",
        ) from None
