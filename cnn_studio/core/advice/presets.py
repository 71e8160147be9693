"""Whole experiments by name: those that courses and tutorials are built on, and the one that suits the data at hand."""

from __future__ import annotations

from dataclasses import dataclass

from cnn_studio.core.advice.augmentation import AUGMENTATION_PRESETS
from cnn_studio.core.errors import ExperimentError
from cnn_studio.core.experiment.architectures import architecture_preset
from cnn_studio.core.experiment.augmentation import AugmentationSettings, Fill
from cnn_studio.core.experiment.experiment import Experiment
from cnn_studio.core.experiment.settings import (
    BackboneArchitecture,
    Colour,
    Features,
    FineTuningSettings,
    ImageSettings,
    Optimizer,
    Padding,
    Pooling,
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

_FIFTH = SplitSettings(validation=0.2, test=0.0)
"""Four fifths to train on, a fifth for validation; images for testing lie in a folder of their own, or there are none.
"""

_CIFAR10_TRANSFER = {"learning_rate": 5e-4, "epochs": 20, **_EXACTLY}

# Fashion-MNIST: 60,000 training images, of which a twelfth is 5,000; its 10,000 test images have their own folder.
_FASHION_SPLIT = SplitSettings(validation=1 / 12, test=0.0)
_FASHION_TRAINING = TrainingSettings(epochs=20, patience=1)
_FASHION = "5,000 of the 60,000 images for validation, Adam at 0.001, at most 20 epochs, patience 1, at 28 grey pixels."
_FASHION_CNN = ScratchArchitecture(
    name="Fashion-MNIST CNN", blocks=((64, 32),), padding=(Padding.VALID,), dropout=0.0, dense=(100,)
)

# Chollet, Deep Learning with Python (2018), chapter 5: 2,000 images to train on, 1,000 for validation, 1,000 to test.
_CATS_DOGS_SPLIT = SplitSettings(validation=0.25, test=0.25)
_CATS_DOGS_CNN = ScratchArchitecture(
    name="Dogs-versus-cats CNN",
    blocks=((32,), (64,), (128,), (128,)),
    padding=(Padding.VALID,),
    dropout=0.0,
    dense=(512,),
)
_CATS_DOGS_AUGMENTATION = AugmentationSettings(
    flip_horizontal=True,
    rotation=40,
    translation=0.2,
    shear=0.2,  # of a degree: what shear_range=0.2 meant
    stretch_width=0.2,  # zoom_range changed height and width each for itself
    stretch_height=0.2,
    fill=Fill.NEAREST,
    views=0,
)
_CATS_DOGS_CHANGES = "mirrored, rotated by up to 40°, moved and stretched by up to 20 %"
_ONE_FOR_EACH = "two outputs where the book has one"


def _cats_dogs(rate: float, batch_size: int, epochs: int) -> TrainingSettings:
    return TrainingSettings(
        optimizer=Optimizer.RMSPROP, learning_rate=rate, batch_size=batch_size, epochs=epochs, **_EXACTLY
    )


_ALL = (
    ExperimentPreset(
        "flowers_tutorial_plain",
        "Flowers tutorial, 180 px, first network",
        "TensorFlow's tutorial “Image classification”, before it mends overfitting: three convolutions, Adam, "
        "10 epochs, a fifth of the images for validation.",
        Experiment(
            split=_FIFTH,
            image=_square(180),
            architecture=_scratch("small_cnn").model_copy(update={"name": "Flowers CNN", "dropout": 0.0}),
            training=TrainingSettings(epochs=10, **_EXACTLY),
        ),
    ),
    ExperimentPreset(
        "flowers_tutorial",
        "Flowers tutorial, 180 px",
        "TensorFlow's tutorial “Image classification”: three convolutions, dropout 0.2, Adam, 15 epochs, a fifth of "
        "the images for validation; images are mirrored, rotated by up to 36° and zoomed by up to 10 %.",
        Experiment(
            split=_FIFTH,
            image=_square(180),
            architecture=_scratch("small_cnn"),
            augmentation=AUGMENTATION_PRESETS["flowers_tutorial"].augmentation,
            training=TrainingSettings(epochs=15, **_EXACTLY),
        ),
    ),
    ExperimentPreset(
        "cifar10_two_block",
        "CIFAR-10 two-block CNN",
        "Two blocks of two convolutions (32, 32, 64, 64) with max pooling and a dense layer of 512, at 32 pixels; how "
        "it is trained is this program's usual way.",
        Experiment(image=_square(32), architecture=_scratch("two_block_cnn")),
    ),
    ExperimentPreset(
        "cifar10_two_block_no_pooling",
        "CIFAR-10 two-block CNN without pooling",
        "Two blocks of two convolutions without pooling, a dense layer of 512, at 32 pixels: 19 million parameters in "
        "place of 890,000, to see what pooling buys; how it is trained is this program's usual way.",
        Experiment(image=_square(32), architecture=_scratch("two_block_cnn_no_pooling")),
    ),
    ExperimentPreset(
        "fashion_mnist_mlp",
        "Fashion-MNIST dense network",
        f"Dense layers of 300 and 100; {_FASHION}",
        Experiment(
            split=_FASHION_SPLIT,
            image=_square(28, Colour.GREY),
            architecture=_scratch("mlp"),
            training=_FASHION_TRAINING,
        ),
    ),
    ExperimentPreset(
        "fashion_mnist_cnn",
        "Fashion-MNIST CNN",
        f"Convolutions of 64 and 32, one max pooling, a dense layer of 100; {_FASHION}",
        Experiment(
            split=_FASHION_SPLIT,
            image=_square(28, Colour.GREY),
            architecture=_FASHION_CNN,
            training=_FASHION_TRAINING,
        ),
    ),
    ExperimentPreset(
        "fashion_mnist_cnn_no_pooling",
        "Fashion-MNIST CNN without pooling",
        "Convolutions of 64 and 32 without pooling, a dense layer of 100: 1.9 million parameters in place of 480,000; "
        f"{_FASHION}",
        Experiment(
            split=_FASHION_SPLIT,
            image=_square(28, Colour.GREY),
            architecture=_FASHION_CNN.model_copy(
                update={"name": "Fashion-MNIST CNN without pooling", "pooling": Pooling.NONE}
            ),
            training=_FASHION_TRAINING,
        ),
    ),
    ExperimentPreset(
        "fashion_mnist_lenet5",
        "Fashion-MNIST LeNet-5",
        "LeCun's network of 1998 at 28 grey pixels, the first convolution with a border, plain stochastic gradient "
        "descent at 0.01; epochs and split as of the other Fashion-MNIST networks.",
        Experiment(
            split=_FASHION_SPLIT,
            image=_square(28, Colour.GREY),
            architecture=_scratch("lenet5"),
            training=TrainingSettings(optimizer=Optimizer.SGD, learning_rate=0.01, momentum=0.0, epochs=20, **_EXACTLY),
        ),
    ),
    ExperimentPreset(
        "simple_mnist_convnet",
        "Keras's Simple MNIST convnet",
        "Keras's example of that name: convolutions of 32 and 64 with max pooling, dropout 0.5, Adam, batches of 128, "
        "15 epochs, a tenth for validation, at 28 grey pixels.",
        Experiment(
            split=SplitSettings(validation=0.1, test=0.0),
            image=_square(28, Colour.GREY),
            architecture=ScratchArchitecture(
                name="Simple MNIST convnet", blocks=((32,), (64,)), padding=(Padding.VALID,), dropout=0.5, dense=()
            ),
            training=TrainingSettings(batch_size=128, epochs=15, **_EXACTLY),
        ),
    ),
    ExperimentPreset(
        "vgg16_transfer_32",
        "VGG16 transfer, 32 px",
        "Frozen VGG16 on 32 pixels, flatten, a dense layer of 256, Adam at 0.0005, batches of 128, 20 epochs, a fifth "
        "of the images for validation.",
        Experiment(
            split=_FIFTH,
            image=_square(32),
            architecture=BackboneArchitecture(name="vgg16", features=Features.FLATTEN, dense=(256,)),
            training=TrainingSettings(batch_size=128, **_CIFAR10_TRANSFER),
        ),
    ),
    ExperimentPreset(
        "vgg16_from_block3",
        "VGG16 trained from block 3, 32 px",
        "VGG16 from block 3 on and its head at once: flatten, dense 1024, dropout 0.3, dense 256, on 32 pixels, Adam "
        "at 0.0005, batches of 64, 20 epochs, a fifth of the images for validation.",
        Experiment(
            split=_FIFTH,
            image=_square(32),
            architecture=BackboneArchitecture(
                name="vgg16",
                transfer=TransferMode.ONE_STAGE,
                features=Features.FLATTEN,
                dense=(1024, 256),
                dense_dropout=0.3,
                unfreeze_from="block3",
            ),
            training=TrainingSettings(batch_size=64, **_CIFAR10_TRANSFER),
        ),
    ),
    ExperimentPreset(
        "cats_dogs_scratch",
        "Dogs versus cats, from scratch",
        "Chollet's first network, at 150 pixels: four convolutions (32, 64, 128, 128) with max pooling, dense 512, "
        f"RMSprop at 0.0001, batches of 20, 30 epochs; {_ONE_FOR_EACH}.",
        Experiment(
            split=_CATS_DOGS_SPLIT,
            image=_square(150),
            architecture=_CATS_DOGS_CNN,
            training=_cats_dogs(1e-4, 20, 30),
        ),
    ),
    ExperimentPreset(
        "cats_dogs_scratch_augmented",
        "Dogs versus cats, from scratch, augmented",
        f"Chollet's first network with dropout 0.5, images {_CATS_DOGS_CHANGES}, RMSprop at 0.0001, batches of 32, "
        f"100 epochs; {_ONE_FOR_EACH}.",
        Experiment(
            split=_CATS_DOGS_SPLIT,
            image=_square(150),
            architecture=_CATS_DOGS_CNN.model_copy(
                update={"name": "Dogs-versus-cats CNN with dropout", "dropout": 0.5}
            ),
            augmentation=_CATS_DOGS_AUGMENTATION,
            training=_cats_dogs(1e-4, 32, 100),
        ),
    ),
    ExperimentPreset(
        "cats_dogs_features",
        "Dogs versus cats, feature extraction",
        "Chollet's: frozen VGG16 at 150 pixels, flatten 4 × 4 × 512, dense 256, dropout 0.5, RMSprop at 0.00002, "
        f"batches of 20, 30 epochs; here with VGG16's own preprocessing and {_ONE_FOR_EACH}.",
        Experiment(
            split=_CATS_DOGS_SPLIT,
            image=_square(150),
            architecture=BackboneArchitecture(name="vgg16", features=Features.FLATTEN, dense=(256,), dense_dropout=0.5),
            training=_cats_dogs(2e-5, 20, 30),
        ),
    ),
    ExperimentPreset(
        "cats_dogs_features_augmented",
        "Dogs versus cats, feature extraction, augmented",
        f"Chollet's: frozen VGG16, dense 256, no dropout, images {_CATS_DOGS_CHANGES} anew in every epoch, so that "
        f"VGG16 runs each time: for a GPU; on a CPU keep some views instead. RMSprop at 0.00002; {_ONE_FOR_EACH}.",
        Experiment(
            split=_CATS_DOGS_SPLIT,
            image=_square(150),
            architecture=BackboneArchitecture(name="vgg16", features=Features.FLATTEN, dense=(256,)),
            augmentation=_CATS_DOGS_AUGMENTATION,
            training=_cats_dogs(2e-5, 20, 30),
        ),
    ),
    ExperimentPreset(
        "cats_dogs_fine_tuned",
        "Dogs versus cats, block 5 fine-tuned",
        "Chollet's last step: a dense head of 256 on VGG16 for 30 epochs, then block 5 too with RMSprop at 0.00001 for "
        f"100, images augmented anew in every epoch: for a GPU; {_ONE_FOR_EACH}.",
        Experiment(
            split=_CATS_DOGS_SPLIT,
            image=_square(150),
            architecture=BackboneArchitecture(
                name="vgg16",
                transfer=TransferMode.FINE_TUNED,
                features=Features.FLATTEN,
                dense=(256,),
                unfreeze_from="block5",
                fine_tuning=FineTuningSettings(optimizer=Optimizer.RMSPROP, learning_rate=1e-5, epochs=100),
            ),
            augmentation=_CATS_DOGS_AUGMENTATION,
            training=_cats_dogs(2e-5, 20, 30),
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
