"""What can be set, in groups: frozen, validated records of plain values. An experiment is made of them."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    ValidationInfo,
    field_validator,
    model_validator,
)

from cnn_studio.core.experiment.backbones import BACKBONES
from cnn_studio.core.name_pattern import NamePattern
from cnn_studio.core.text import printable

Fraction = Annotated[float, Field(ge=0.0, lt=1.0)]
Filters = Annotated[int, Field(ge=1, le=4096)]
Units = Annotated[int, Field(ge=1, le=65536)]


class Settings(BaseModel):
    """Frozen, refuses unknown names, so that a typing error in a file is told and not ignored."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class SplitSettings(Settings):
    """How images are shared out; the rest after ``validation`` and ``test`` is for training.

    Attributes:
        validation: fraction used to check the network while it trains.
        test: fraction kept for the final test.
        seed: the same seed gives the same split.
        keep_similar_together: whether pictures that look alike stay in one split; else the network is tested on
            pictures that it has as good as seen.
        group_pattern: a regular expression (``NamePattern``) that is searched in each file's path relative to the
            folder; files with the same match stay in one split. Its groups count if it has any, else all of the match.
            "" for no such rule.
    """

    validation: Fraction = 0.15
    test: Fraction = 0.15
    seed: int = Field(0, ge=0, le=2**31 - 1)
    keep_similar_together: bool = True
    group_pattern: str = Field("", max_length=1000)

    @field_validator("group_pattern")
    @classmethod
    def _is_a_regular_expression(cls, pattern: str) -> str:
        NamePattern(pattern)
        return pattern

    @model_validator(mode="after")
    def _leaves_something_to_train_on(self) -> SplitSettings:
        if self.validation + self.test > 0.9:
            raise ValueError("validation and test together leave less than a tenth of the images for training")
        return self


class Colour(StrEnum):
    """Whether the network sees colour. Files are prepared as RGB either way; grey is made inside the network."""

    RGB = "rgb"
    GREY = "grey"


class Fit(StrEnum):
    """How a picture of other proportions is brought to the network's size.

    ``squash`` changes its proportions, ``crop`` keeps the middle of it, ``pad`` keeps all of it between black bars.
    """

    SQUASH = "squash"
    CROP = "crop"
    PAD = "pad"


class ImageSettings(Settings):
    """The size every image is brought to, in pixels, how it is made to fit, and whether the network sees colour."""

    height: int = Field(128, ge=8, le=1024)
    width: int = Field(128, ge=8, le=1024)
    colour: Colour = Colour.RGB
    fit: Fit = Fit.SQUASH

    @property
    def channels(self) -> int:
        """Channels the network's first layer sees: 3 or 1."""
        return 3 if self.colour is Colour.RGB else 1


class Padding(StrEnum):
    """Convolution padding: "same" keeps the feature map's size, "valid" uses only whole windows."""

    SAME = "same"
    VALID = "valid"


class Pooling(StrEnum):
    """What ends each block: 2×2 maximum, 2×2 average, or nothing."""

    MAX = "max"
    AVERAGE = "average"
    NONE = "none"


class Activation(StrEnum):
    """The nonlinearity after each convolution and each hidden dense layer."""

    RELU = "relu"
    TANH = "tanh"


class Features(StrEnum):
    """How the last feature maps become one vector."""

    FLATTEN = "flatten"
    GLOBAL_AVERAGE = "global_average"


class ScratchArchitecture(Settings):
    """A convolutional network trained from random weights.

    Attributes:
        name: the preset it started from; it is a label, the other fields decide.
        blocks: per block, the number of filters of each of its convolutions: ``[[32, 32], [64, 64]]``. No block at all
            makes a multilayer perceptron.
        kernel: height and width of every convolution's window, in pixels.
        padding: of every convolution.
        stride: of the last convolution of each block (the others have 1).
        pooling: after each block, 2×2 with stride 2.
        activation: after each convolution and hidden dense layer.
        batch_normalization: between each convolution and its activation.
        dropout: fraction dropped after the last block, 0 for no such layer.
        features: flatten, or global average pooling.
        dense: units of each hidden dense layer.
        dense_dropout: fraction dropped after each hidden dense layer, 0 for no such layer.
    """

    kind: Literal["scratch"] = "scratch"
    name: str = Field("small_cnn", min_length=1, max_length=60)
    blocks: tuple[Annotated[tuple[Filters, ...], Field(min_length=1, max_length=8)], ...] = Field(
        ((16,), (32,), (64,)), max_length=8
    )
    kernel: Literal[3, 5] = 3
    padding: Padding = Padding.SAME
    stride: int = Field(1, ge=1, le=4)
    pooling: Pooling = Pooling.MAX
    activation: Activation = Activation.RELU
    batch_normalization: bool = False
    dropout: Fraction = 0.2
    features: Features = Features.FLATTEN
    dense: tuple[Units, ...] = Field((128,), max_length=6)
    dense_dropout: Fraction = 0.0


class Optimizer(StrEnum):
    """The update rule; ``sgd`` has momentum 0.9."""

    ADAM = "adam"
    SGD = "sgd"
    RMSPROP = "rmsprop"


USUAL_LEARNING_RATE = {Optimizer.ADAM: 1e-3, Optimizer.SGD: 1e-2, Optimizer.RMSPROP: 1e-3}
"""Keras's own defaults, which suit networks of this size."""


class TransferMode(StrEnum):
    """What becomes of a pre-trained backbone: it stays as it is, or its last blocks are trained on after the head."""

    FROZEN = "frozen"
    FINE_TUNED = "fine_tuned"


class Schedule(StrEnum):
    """How the learning rate goes on: it stays, falls to zero along half a cosine, or falls when progress ends."""

    CONSTANT = "constant"
    COSINE = "cosine"
    PLATEAU = "plateau"


class FineTuningSettings(Settings):
    """The second stage of a fine-tuned backbone; the first, for the head alone, follows ``TrainingSettings``.

    Attributes:
        optimizer: the update rule.
        learning_rate: its step size; a hundredth of the usual one, or what the backbone knows is lost.
        epochs: passes over the training images in this stage, at most.
        schedule: how the learning rate goes on.
        warm_up_epochs: over which the learning rate rises from zero.
    """

    optimizer: Optimizer = Optimizer.ADAM
    learning_rate: float = Field(1e-5, gt=0.0, le=10.0)
    epochs: int = Field(5, ge=1, le=10_000)
    schedule: Schedule = Schedule.CONSTANT
    warm_up_epochs: int = Field(0, ge=0, le=1000)


class BackboneArchitecture(Settings):
    """A backbone trained on ImageNet with a new head.

    Attributes:
        name: a row of ``core.experiment.backbones``.
        transfer: whether its last blocks are trained on.
        features: flatten, or global average pooling of what the backbone gives.
        dropout: fraction of these features dropped, 0 for no such layer.
        dense: units of each hidden dense layer of the head; ReLU follows each.
        dense_dropout: fraction dropped between the hidden dense layers, or after it where there is only one.
        unfreeze_from: the first block that fine-tuning changes, or "everything"; the last block when not given.
        fine_tuning: the second stage; without effect on a frozen backbone.
    """

    kind: Literal["backbone"] = "backbone"
    name: str = "resnet50"
    transfer: TransferMode = TransferMode.FROZEN
    features: Features = Features.GLOBAL_AVERAGE
    dropout: Fraction = 0.0
    dense: tuple[Units, ...] = Field((), max_length=6)
    dense_dropout: Fraction = 0.0
    unfreeze_from: str = Field("", validate_default=True)
    fine_tuning: FineTuningSettings = FineTuningSettings()

    @field_validator("name")
    @classmethod
    def _is_known(cls, name: str) -> str:
        if name not in BACKBONES:
            raise ValueError(f"there is no such pre-trained backbone; choose one of {', '.join(BACKBONES)}")
        return name

    @field_validator("unfreeze_from")
    @classmethod
    def _is_a_depth(cls, depth: str, info: ValidationInfo) -> str:
        backbone = BACKBONES.get(info.data.get("name", ""))
        if backbone is None:  # the name is wrong, and that is told
            return depth
        if depth and depth not in backbone.depths:
            raise ValueError(f"{backbone.title} has no such block; choose one of {', '.join(backbone.depths)}")
        return depth or backbone.blocks[0].name

    @property
    def trained_depth(self) -> str | None:
        """The first block that ends up trained: ``unfreeze_from`` when fine-tuned, None when frozen."""
        return self.unfreeze_from if self.transfer is TransferMode.FINE_TUNED else None


ARCHITECTURE_KINDS = ("scratch", "backbone")


def _kind(values: Any) -> str:
    """Which architecture is meant; a file written by hand need not say so where its name tells."""
    if isinstance(values, dict):
        given = values.get("kind")
        return str(given) if given else ARCHITECTURE_KINDS[values.get("name") in BACKBONES]
    return str(getattr(values, "kind", ""))


Architecture = Annotated[
    Annotated[ScratchArchitecture, Tag("scratch")] | Annotated[BackboneArchitecture, Tag("backbone")],
    Discriminator(
        _kind,
        custom_error_type="architecture_kind",
        custom_error_message="its kind must be “scratch” or “backbone”",
    ),
]
"""What an experiment trains: a network of its own, or a pre-trained one with a new head."""


class ClassWeights(StrEnum):
    """How much a class counts: "balanced" weighs each class by n / (classes · n_class), scikit-learn's formula."""

    NONE = "none"
    BALANCED = "balanced"


class Precision(StrEnum):
    """Number type of the computation: what the device does best, 32 bits, or 16 bits with 32-bit weights."""

    AUTO = "auto"
    FULL = "float32"
    MIXED = "mixed"


class TrainingSettings(Settings):
    """How the network is trained.

    Attributes:
        optimizer: the update rule.
        learning_rate: its step size.
        batch_size: images per update.
        epochs: passes over the training images, at most.
        early_stopping: end when validation loss has not fallen for ``patience`` epochs.
        patience: epochs without a better validation loss before ending.
        class_weights: whether rare classes count for more.
        seed: of the initial weights, the order of images and dropout.
        precision: of the computation; the model that is kept computes with 32 bits in any case.
    """

    optimizer: Optimizer = Optimizer.ADAM
    learning_rate: float = Field(1e-3, gt=0.0, le=10.0)
    batch_size: int = Field(32, ge=1, le=4096)
    epochs: int = Field(15, ge=1, le=10_000)
    early_stopping: bool = True
    patience: int = Field(5, ge=1, le=1000)
    class_weights: ClassWeights = ClassWeights.NONE
    seed: int = Field(0, ge=0, le=2**31 - 1)
    precision: Precision = Precision.AUTO


class Decisions(Settings):
    """What the user has decided about single images; the folder itself stays as it is.

    Attributes:
        left_out: paths of images that are not used, relative to the data set's folder, with forward slashes, as
            ``names.printable`` gives them.
        belongs_to: such a path to the name of the class that the image is of, whatever folder it lies in.
    """

    left_out: tuple[str, ...] = ()
    belongs_to: dict[str, str] = Field(default_factory=dict)

    def leaving_out(self, paths: Iterable[str]) -> Decisions:
        """The same with these images left out."""
        return Decisions(left_out=_merged(self.left_out, paths), belongs_to=self.belongs_to)

    def using_again(self, paths: Iterable[str]) -> Decisions:
        """The same with these images no longer left out."""
        again = {printable(path) for path in paths}
        return Decisions(left_out=tuple(p for p in self.left_out if p not in again), belongs_to=self.belongs_to)

    def putting_into(self, class_name: str, paths: Iterable[str]) -> Decisions:
        """The same with these images in the class of that name."""
        put = {printable(path): class_name for path in paths}
        return Decisions(left_out=self.left_out, belongs_to={**self.belongs_to, **put})

    def putting_back(self, paths: Iterable[str]) -> Decisions:
        """The same with these images in the class of their folder again."""
        back = {printable(path) for path in paths}
        kept = {path: name for path, name in self.belongs_to.items() if path not in back}
        return Decisions(left_out=self.left_out, belongs_to=kept)


def _merged(known: tuple[str, ...], more: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys((*known, *map(printable, more))))
