"""What can be set, in groups: frozen, validated records of plain values. An experiment is made of them."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    ValidationInfo,
    field_validator,
    model_validator,
)

from cnn_studio.core.experiment.backbones import BACKBONES
from cnn_studio.core.experiment.row import Row, Unit
from cnn_studio.core.name_pattern import NamePattern
from cnn_studio.core.text import printable

Fraction = Annotated[float, Field(ge=0.0, lt=1.0)]
Filters = Annotated[int, Field(ge=1, le=4096)]
Units = Annotated[int, Field(ge=1, le=65536)]
Seed = Annotated[int, Field(ge=0, le=2**31 - 1)]
Epochs = Annotated[int, Field(ge=1, le=10_000)]
Side = Annotated[int, Field(ge=8, le=1024)]
Window = Annotated[int, Field(ge=1, le=31)]
LearningRate = Annotated[float, Field(gt=0.0, le=10.0)]


class Settings(BaseModel):
    """Frozen, refuses unknown names, so that a typing error in a file is told and not ignored."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class SplitSettings(Settings):
    """How images are shared out; the rest after ``validation`` and ``test`` is for training."""

    validation: Annotated[
        Fraction,
        Row("Validation", "Share of the images used to check the network while it trains.", unit=Unit.PERCENT),
    ] = 0.15
    test: Annotated[
        Fraction,
        Row("Test", "Share of the images kept for one final test, never used in training.", unit=Unit.PERCENT),
    ] = 0.15
    seed: Annotated[
        Seed,
        Row("Seed", "The same number always gives the same split; another one shuffles anew.", advanced=True),
    ] = 0
    keep_similar_together: Annotated[
        bool,
        Row(
            "Keep pictures that look alike together",
            "Copies of one picture in training and in test would make the network look better than it is.",
            advanced=True,
        ),
    ] = True
    group_pattern: Annotated[
        str,
        Row(
            "Keep together by file name",
            "A regular expression that is looked for in each file's path. Files in which it finds the same stay in one "
            r"split: patient(\d+) keeps all pictures of one patient together.",
            advanced=True,
        ),
    ] = Field("", max_length=1000)  # the groups count where it has any, else all of the match; "" for no such rule

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

    height: Annotated[Side, Row("Image height", "Every image is brought to this height.", unit=Unit.PIXELS)] = 128
    width: Annotated[Side, Row("Image width", "Every image is brought to this width.", unit=Unit.PIXELS)] = 128
    colour: Annotated[
        Colour,
        Row(
            "Colour",
            "Grey leaves out what only colour tells: right for grey pictures, or where colour misleads.",
            {Colour.RGB: "Colour (RGB)", Colour.GREY: "Grey"},
        ),
    ] = Colour.RGB
    fit: Annotated[
        Fit,
        Row(
            "How pictures are made to fit",
            "Pictures of other proportions. Squashed, all is seen and shapes change; cropped, shapes stay and the "
            "edges are lost; padded, both stay and are smaller.",
            {
                Fit.SQUASH: "Squash (changes proportions)",
                Fit.CROP: "Crop to the middle",
                Fit.PAD: "Pad with black (letterbox)",
            },
        ),
    ] = Fit.SQUASH

    @property
    def channels(self) -> int:
        """Channels the network's first layer sees: 3 or 1."""
        return 3 if self.colour is Colour.RGB else 1


class Padding(StrEnum):
    """Convolution padding: "same" keeps the feature map's size, "valid" uses only whole windows."""

    SAME = "same"
    VALID = "valid"


class Pooling(StrEnum):
    """What ends each block: the maximum or the average of every window, or nothing."""

    MAX = "max"
    AVERAGE = "average"
    NONE = "none"


class Activation(StrEnum):
    """The nonlinearity after each convolution and each hidden dense layer."""

    RELU = "relu"
    TANH = "tanh"
    SIGMOID = "sigmoid"


class Initializer(StrEnum):
    """How the first weights of convolutions and hidden dense layers are drawn: Glorot and Bengio 2010, He et al. 2015.

    The last layer's are always Glorot's.
    """

    GLOROT_UNIFORM = "glorot_uniform"
    HE_UNIFORM = "he_uniform"


class Features(StrEnum):
    """How the last feature maps become one vector."""

    FLATTEN = "flatten"
    GLOBAL_AVERAGE = "global_average"


def _as_list(value: Any) -> Any:
    """One value for all, as files of earlier versions have it, is a list of one."""
    return value if isinstance(value, list | tuple) else (value,)


_OneOrEach = BeforeValidator(_as_list)
"""Of a setting with one value for all, or one for each in order; the last goes for all that follow."""

_FEATURES = {Features.FLATTEN: "Flatten", Features.GLOBAL_AVERAGE: "Global average pooling"}


class ScratchArchitecture(Settings):
    """A convolutional network trained from random weights. No block at all makes a multilayer perceptron."""

    kind: Literal["scratch"] = "scratch"
    name: Annotated[
        str, Row("Architecture", "One that this program knows, or a name of your own for what the other settings make.")
    ] = Field("small_cnn", min_length=1, max_length=60)
    blocks: Annotated[
        tuple[Annotated[tuple[Filters, ...], Field(min_length=1, max_length=8)], ...],
        Row(
            "Blocks",
            "Filters of each convolution; a comma begins a new block: 32-32, 64-64.",
            advanced=True,
        ),
    ] = Field(((16,), (32,), (64,)), max_length=8)
    kernel: Annotated[
        tuple[Window, ...],
        _OneOrEach,
        Row(
            "Kernel",
            "Height and width of each convolution's window, in pixels: 3 for all, or one for each, the last for all "
            "that follow: 5, 3.",
            advanced=True,
        ),
    ] = Field((3,), min_length=1, max_length=64)
    padding: Annotated[
        tuple[Padding, ...],
        _OneOrEach,
        Row(
            "Padding",
            "“same” adds a border of zeros, so that the size stays; “valid” takes whole windows only. One for all "
            "convolutions, or one for each, the last for all that follow: same, valid.",
            {Padding.SAME: "Same (keeps the size)", Padding.VALID: "Valid (whole windows only)"},
            advanced=True,
        ),
    ] = Field((Padding.SAME,), min_length=1, max_length=64)
    stride: Annotated[int, Row("Stride", "Of the last convolution of each block.", advanced=True)] = Field(
        1, ge=1, le=4
    )
    pooling: Annotated[
        Pooling,
        Row(
            "Pooling after each block",
            "Makes the feature maps smaller: of each window one value stays.",
            {Pooling.MAX: "Maximum", Pooling.AVERAGE: "Average", Pooling.NONE: "None"},
            advanced=True,
        ),
    ] = Pooling.MAX
    pool_size: Annotated[
        tuple[Window, ...],
        _OneOrEach,
        Row(
            "Pool size",
            "Height and width of pooling's window: 2 for all blocks, or one for each, the last for all that follow; 1 "
            "leaves a block without pooling.",
            advanced=True,
        ),
    ] = Field((2,), min_length=1, max_length=8)
    activation: Annotated[
        Activation,
        Row(
            "Activation",
            "After each convolution and each hidden dense layer.",
            {Activation.RELU: "ReLU", Activation.TANH: "tanh", Activation.SIGMOID: "Sigmoid"},
            advanced=True,
        ),
    ] = Activation.RELU
    initializer: Annotated[
        Initializer,
        Row(
            "Initial weights",
            "How the first weights of convolutions and hidden dense layers are drawn: He's suit ReLU in deep networks.",
            {Initializer.GLOROT_UNIFORM: "Glorot uniform (Keras's own)", Initializer.HE_UNIFORM: "He uniform"},
            advanced=True,
        ),
    ] = Initializer.GLOROT_UNIFORM
    batch_normalization: Annotated[
        bool, Row("Batch normalisation", "Between each convolution and its activation.", advanced=True)
    ] = False
    dropout: Annotated[
        Fraction,
        Row(
            "Dropout after the blocks",
            "Share of the values that is left out at random in training; 0 for none.",
            unit=Unit.PERCENT,
            advanced=True,
        ),
    ] = 0.2
    features: Annotated[
        Features,
        Row("From feature maps to a vector", "What comes before the dense layers.", _FEATURES, advanced=True),
    ] = Features.FLATTEN
    dense: Annotated[tuple[Units, ...], Row("Dense layers", "Units of each, with commas: 128, 64.", advanced=True)] = (
        Field((128,), max_length=6)
    )
    dense_dropout: Annotated[
        Fraction,
        Row(
            "Dropout after dense layers",
            "Share of each one's values that is left out at random in training; 0 for none.",
            unit=Unit.PERCENT,
            advanced=True,
        ),
    ] = 0.0

    @field_validator("kernel", "padding", "pool_size")
    @classmethod
    def _are_not_more_than_there_are(cls, values: tuple[Any, ...], info: ValidationInfo) -> tuple[Any, ...]:
        blocks = info.data.get("blocks")
        if blocks is None:  # they are wrong, and that is told
            return values
        per_block = info.field_name == "pool_size"
        count, what = (len(blocks), "blocks") if per_block else (sum(map(len, blocks)), "convolutions")
        if len(values) > max(1, count):
            raise ValueError(f"these are {len(values)} values, more than there are {what} ({count})")
        return values


class Optimizer(StrEnum):
    """The update rule."""

    ADAM = "adam"
    SGD = "sgd"
    RMSPROP = "rmsprop"


USUAL_LEARNING_RATE = {Optimizer.ADAM: 1e-3, Optimizer.SGD: 1e-2, Optimizer.RMSPROP: 1e-3}
"""Keras's own defaults, which suit networks of this size."""


class TransferMode(StrEnum):
    """What becomes of a pre-trained backbone.

    It stays as it is; or its last blocks are trained on, after the head in a stage of their own, or together with it
    from the start.
    """

    FROZEN = "frozen"
    FINE_TUNED = "fine_tuned"
    ONE_STAGE = "one_stage"


class Schedule(StrEnum):
    """How the learning rate goes on: it stays, falls to zero along half a cosine, or falls when progress ends."""

    CONSTANT = "constant"
    COSINE = "cosine"
    PLATEAU = "plateau"


class StageSettings(Settings):
    """What every stage of training has."""

    epochs: Epochs
    optimizer: Annotated[
        Optimizer,
        Row(
            "Optimizer",
            "The rule by which each step changes the weights.",
            {Optimizer.ADAM: "Adam", Optimizer.SGD: "SGD", Optimizer.RMSPROP: "RMSprop"},
            advanced=True,
        ),
    ] = Optimizer.ADAM
    momentum: Annotated[
        float,
        Row("Momentum", "Of SGD only: how much of the steps before goes into each; 0 for plain SGD.", advanced=True),
    ] = Field(0.9, ge=0.0, le=0.999)
    learning_rate: LearningRate
    schedule: Annotated[
        Schedule,
        Row(
            "Learning rate over time",
            "Large steps find the way, small ones the last bit. The cosine ends at zero with the last epoch; the "
            "plateau halves it after two epochs without a lower validation loss.",
            {
                Schedule.CONSTANT: "Stays the same",
                Schedule.COSINE: "Falls along a cosine",
                Schedule.PLATEAU: "Falls when progress ends (plateau)",
            },
            advanced=True,
        ),
    ] = Schedule.CONSTANT
    warm_up_epochs: Annotated[
        int,
        Row("Warm-up", "Epochs over which the learning rate rises from zero.", unit=Unit.EPOCHS, advanced=True),
    ] = Field(0, ge=0, le=1000)


class FineTuningSettings(StageSettings):
    """The second stage of a backbone fine-tuned in two; the first, for the head alone, follows ``TrainingSettings``."""

    epochs: Annotated[Epochs, Row("Epochs", "Of the second stage, after those of the head.")] = 5
    learning_rate: Annotated[LearningRate, Row("Learning rate", "Small, or what it knows is lost.")] = 1e-5


class BackboneArchitecture(Settings):
    """A backbone trained on ImageNet with a new head; ReLU follows each hidden dense layer."""

    kind: Literal["backbone"] = "backbone"
    name: Annotated[str, Row("Architecture", "The pre-trained network.")] = "resnet50"
    transfer: Annotated[
        TransferMode,
        Row(
            "Transfer",
            "Fixed is quick and enough for most pictures. Fine-tuned: the head first, then both, for pictures unlike "
            "photographs. At once: both from the start, with a small learning rate.",
            {
                TransferMode.FROZEN: "Keep the pre-trained part fixed (frozen)",
                TransferMode.FINE_TUNED: "Train its last blocks too (fine-tuned)",
                TransferMode.ONE_STAGE: "Train both at once (one stage)",
            },
        ),
    ] = TransferMode.FROZEN
    features: Annotated[
        Features,
        Row("From feature maps to a vector", "What comes before the dense layers.", _FEATURES, advanced=True),
    ] = Features.GLOBAL_AVERAGE
    dropout: Annotated[
        Fraction,
        Row(
            "Dropout of the features",
            "Share of them that is left out at random in training; 0 for none.",
            unit=Unit.PERCENT,
            advanced=True,
        ),
    ] = 0.0
    dense: Annotated[
        tuple[Units, ...], Row("Dense layers", "Units of each, with commas: 1024, 256.", advanced=True)
    ] = Field((), max_length=6)
    dense_dropout: Annotated[
        Fraction,
        Row(
            "Dropout between dense layers",
            "Share of their values that is left out at random in training; after the layer where there is only one.",
            unit=Unit.PERCENT,
            advanced=True,
        ),
    ] = 0.0
    unfreeze_from: Annotated[str, Row("Train from", "This block of the pre-trained part, and all after it.")] = Field(
        "", validate_default=True
    )  # the last block when not given
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
        """The first block that ends up trained: ``unfreeze_from``, or None when frozen."""
        return None if self.transfer is TransferMode.FROZEN else self.unfreeze_from


ARCHITECTURE_KINDS = ("scratch", "backbone")


def _kind(values: Any) -> str:
    """Which architecture is meant; a file written by hand need not say so where its name tells."""
    if isinstance(values, dict):
        given, name = values.get("kind"), values.get("name")
        return str(given) if given else ARCHITECTURE_KINDS[isinstance(name, str) and name in BACKBONES]
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


class TrainingSettings(StageSettings):
    """How the network is trained; of a fine-tuned backbone, its head."""

    epochs: Annotated[Epochs, Row("Epochs", "Passes over the training images, at most.")] = 15
    learning_rate: Annotated[LearningRate, Row("Learning rate", "The optimizer's step size.", advanced=True)] = 1e-3
    batch_size: Annotated[int, Row("Batch size", "Images per step.", advanced=True)] = Field(32, ge=1, le=4096)
    early_stopping: Annotated[
        bool,
        Row("End early when it gets no better", "When the validation loss has not fallen for as long as the patience."),
    ] = True
    patience: Annotated[
        int,
        Row(
            "Patience",
            "Epochs to wait for a lower validation loss before ending.",
            unit=Unit.EPOCHS,
            advanced=True,
        ),
    ] = Field(5, ge=1, le=1000)
    class_weights: Annotated[
        ClassWeights,
        Row(
            "Class weights",
            "Whether rare classes count for more.",
            {ClassWeights.NONE: "Every image the same", ClassWeights.BALANCED: "Rare classes count for more"},
            advanced=True,
        ),
    ] = ClassWeights.NONE
    seed: Annotated[
        Seed,
        Row("Seed", "The same number repeats the same training.", advanced=True),
    ] = 0  # of the initial weights, the order of images, augmentation and dropout
    precision: Annotated[
        Precision,
        Row(
            "Precision",
            "The model that is kept computes with 32 bits in any case.",
            {
                Precision.AUTO: "What this device does best",
                Precision.FULL: "32 bits (float32)",
                Precision.MIXED: "16 bits, weights 32 (mixed)",
            },
            advanced=True,
        ),
    ] = Precision.AUTO


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
