"""Whole experiments by name: those that courses and tutorials are built on, and the one that suits the data at hand."""

from __future__ import annotations

from dataclasses import dataclass

from cnn_studio.core.advice.augmentation import AUGMENTATION_PRESETS
from cnn_studio.core.errors import ExperimentError
from cnn_studio.core.experiment.architectures import architecture_preset
from cnn_studio.core.experiment.experiment import Experiment
from cnn_studio.core.experiment.settings import (
    BackboneArchitecture,
    Colour,
    Features,
    FineTuningSettings,
    ImageSettings,
    Optimizer,
    Padding,
    ScratchArchitecture,
    SplitSettings,
    TrainingSettings,
    TransferMode,
)

RECOMMENDED = "recommended"
"""The name of the preset that is chosen from the data."""


@dataclass(frozen=True, slots=True)
class ExperimentPreset:
    """A named experiment.

    Attributes:
        name: on the command line.
        title: in the window: what it reproduces.
        summary: what it does and where it departs from what it reproduces.
        experiment: its settings.
    """

    name: str
    title: str
    summary: str
    experiment: Experiment


def _square(side: int, colour: Colour = Colour.RGB) -> ImageSettings:
    return ImageSettings(height=side, width=side, colour=colour)


def _scratch(name: str) -> ScratchArchitecture:
    architecture = architecture_preset(name).architecture
    if not isinstance(architecture, ScratchArchitecture):
        raise TypeError(name)
    return architecture


_EXACTLY = {"early_stopping": False}
"""What is reproduced trains for a set number of epochs; the best of them is kept all the same."""

_CATS_DOGS_SPLIT = SplitSettings(validation=0.25, test=0.25)
"""Chollet's: 2,000 images to train on, 1,000 for validation and 1,000 for testing."""

_ALL = (
    ExperimentPreset(
        "flowers_tutorial",
        "Flowers tutorial, 180 px",
        "TensorFlow's tutorial “Image classification”: three convolutions, dropout 0.2, Adam, 15 epochs, a fifth of "
        "the images for validation; images are mirrored, rotated by up to 36° and zoomed by up to 10 %.",
        Experiment(
            split=SplitSettings(validation=0.2, test=0.0),
            image=_square(180),
            architecture=_scratch("small_cnn"),
            augmentation=AUGMENTATION_PRESETS["flowers_tutorial"].augmentation,
            training=TrainingSettings(epochs=15, **_EXACTLY),
        ),
    ),
    ExperimentPreset(
        "cifar10_two_block",
        "CIFAR-10 two-block CNN",
        "Two blocks of two convolutions (32, 32, 64, 64) with max pooling and a dense layer of 512, at 32 pixels.",
        Experiment(image=_square(32), architecture=_scratch("two_block_cnn")),
    ),
    ExperimentPreset(
        "cifar10_two_block_no_pooling",
        "CIFAR-10 two-block CNN without pooling",
        "The same without pooling: 33 million parameters in place of 2 million, to see what pooling buys.",
        Experiment(image=_square(32), architecture=_scratch("two_block_cnn_no_pooling")),
    ),
    ExperimentPreset(
        "fashion_mnist_mlp",
        "Fashion-MNIST dense network",
        "Géron's first classifier: dense layers of 300 and 100 on 28 grey pixels, stochastic gradient descent at 0.01, "
        "30 epochs; here with momentum 0.9.",
        Experiment(
            split=SplitSettings(validation=1 / 12, test=0.0),
            image=_square(28, Colour.GREY),
            architecture=_scratch("mlp"),
            training=TrainingSettings(optimizer=Optimizer.SGD, learning_rate=0.01, epochs=30, **_EXACTLY),
        ),
    ),
    ExperimentPreset(
        "fashion_mnist_cnn",
        "Fashion-MNIST CNN",
        "Keras's example “Simple MNIST convnet”: convolutions of 32 and 64 with max pooling, dropout 0.5, Adam, "
        "batches of 128, 15 epochs, on 28 grey pixels.",
        Experiment(
            split=SplitSettings(validation=0.1, test=0.0),
            image=_square(28, Colour.GREY),
            architecture=ScratchArchitecture(
                name="simple_convnet", blocks=((32,), (64,)), padding=Padding.VALID, dropout=0.5, dense=()
            ),
            training=TrainingSettings(batch_size=128, epochs=15, **_EXACTLY),
        ),
    ),
    ExperimentPreset(
        "fashion_mnist_lenet5",
        "Fashion-MNIST LeNet-5",
        "LeCun's network of 1998 on grey pictures brought to the 32 pixels it was made for.",
        Experiment(image=_square(32, Colour.GREY), architecture=_scratch("lenet5")),
    ),
    ExperimentPreset(
        "vgg16_transfer_32",
        "VGG16 transfer, 32 px",
        "Frozen VGG16 on 32 pixels, flatten, a dense layer of 256, Adam at 0.0005.",
        Experiment(
            image=_square(32),
            architecture=BackboneArchitecture(name="vgg16", features=Features.FLATTEN, dense=(256,)),
            training=TrainingSettings(learning_rate=5e-4),
        ),
    ),
    ExperimentPreset(
        "vgg16_from_block3",
        "VGG16 fine-tuned from block 3",
        "Head first, then VGG16 from block 3 on: flatten, dense 1024, dropout 0.3, dense 256, on 32 pixels.",
        Experiment(
            image=_square(32),
            architecture=BackboneArchitecture(
                name="vgg16",
                transfer=TransferMode.FINE_TUNED,
                features=Features.FLATTEN,
                dense=(1024, 256),
                dense_dropout=0.3,
                unfreeze_from="block3",
            ),
            training=TrainingSettings(learning_rate=5e-4),
        ),
    ),
    ExperimentPreset(
        "cats_dogs_features",
        "Dogs versus cats, feature extraction",
        "Chollet's: frozen VGG16 at 150 pixels, flatten 4 × 4 × 512, dense 256, dropout 0.5, RMSprop at 0.00002, "
        "batches of 20, 30 epochs; here with VGG16's own preprocessing and one output for each class.",
        Experiment(
            split=_CATS_DOGS_SPLIT,
            image=_square(150),
            architecture=BackboneArchitecture(name="vgg16", features=Features.FLATTEN, dense=(256,), dense_dropout=0.5),
            training=TrainingSettings(
                optimizer=Optimizer.RMSPROP, learning_rate=2e-5, batch_size=20, epochs=30, **_EXACTLY
            ),
        ),
    ),
    ExperimentPreset(
        "cats_dogs_fine_tuned",
        "Dogs versus cats, block 5 fine-tuned",
        "Chollet's second step: a dense head of 256 first, then VGG16's block 5 with RMSprop at 0.00001; without his "
        "augmentation, so for 30 epochs and not 100.",
        Experiment(
            split=_CATS_DOGS_SPLIT,
            image=_square(150),
            architecture=BackboneArchitecture(
                name="vgg16",
                transfer=TransferMode.FINE_TUNED,
                features=Features.FLATTEN,
                dense=(256,),
                unfreeze_from="block5",
                fine_tuning=FineTuningSettings(optimizer=Optimizer.RMSPROP, learning_rate=1e-5, epochs=30),
            ),
            training=TrainingSettings(
                optimizer=Optimizer.RMSPROP, learning_rate=2e-5, batch_size=20, epochs=30, **_EXACTLY
            ),
        ),
    ),
    ExperimentPreset(
        "resnet50_average_150",
        "ResNet50 with global average pooling, 150 px",
        "Frozen ResNet50, global average pooling and a single dense layer: quick, and hard to beat on photographs.",
        Experiment(image=_square(150), architecture=BackboneArchitecture(name="resnet50")),
    ),
)

EXPERIMENT_PRESETS: dict[str, ExperimentPreset] = {preset.name: preset for preset in _ALL}


def experiment_preset(name: str) -> ExperimentPreset:
    """The preset of that name.

    Raises:
        ExperimentError: there is none; the hint lists those there are.
    """
    try:
        return EXPERIMENT_PRESETS[name]
    except KeyError:
        raise ExperimentError(
            f"There is no preset called {name!r}.",
            hint=f"Choose one of {', '.join((RECOMMENDED, *EXPERIMENT_PRESETS))}.",
        ) from None
