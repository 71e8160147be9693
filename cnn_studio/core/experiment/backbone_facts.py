"""What is known of a pre-trained backbone, and what follows from it; the rows are in ``core.experiment.backbones``."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from cnn_studio.core.errors import ExperimentError

EVERYTHING = "everything"
"""The depth that unfreezes the whole backbone."""


class Preprocessing(StrEnum):
    """What a backbone's images went through when it was trained, in Keras's words; it starts from RGB 0–255.

    "caffe": BGR, ImageNet's mean taken off; "tf": −1 to 1; "torch": ImageNet's mean and deviation; "none": the backbone
    does it itself.
    """

    CAFFE = "caffe"
    TF = "tf"
    TORCH = "torch"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Block:
    """A depth from which a backbone can be trained on.

    Attributes:
        name: what the user picks.
        first_layer: the layer whose input is what the part below gives; with Keras's names of a fresh session.
        trainable_parameters: of the backbone, from here to its end. BatchNormalization stays frozen and is not counted.
    """

    name: str
    first_layer: str
    trainable_parameters: int


@dataclass(frozen=True, slots=True)
class Backbone:
    """One network of ``keras.applications`` without its classifier.

    Attributes:
        name: in experiments and on the command line.
        title: in the window.
        summary: what it is good for, one sentence.
        keras_name: its class in ``keras.applications``.
        preprocessing: what its images go through first.
        smallest_size: least height and width of an image, in pixels.
        usual_size: height and width it was trained at, in pixels.
        channels: of its output.
        windows: what makes an image smaller on the way, for each side: (kernel, stride, padding of both ends together).
        parameters: all it holds.
        trainable_parameters: all that can be trained; BatchNormalization stays frozen.
        blocks: depths to unfreeze from, the last block first.
        weights_file: name under which Keras keeps its weights.
        weights_url: where Keras gets them.
        weights_bytes: their size.
        weights_hash: as Keras publishes it, MD5 or (64 letters) SHA-256; "" where Keras publishes none.
        weights_layout: digest of the shapes of all weights, see ``core.weights.layout_digest``.
        options: further arguments for the class.
        deviation_twice: whether its weights expect an input that was divided by the root of ImageNet's deviation once
            more than its own layers do (tensorflow#49930).
    """

    name: str
    title: str
    summary: str
    keras_name: str
    preprocessing: Preprocessing
    smallest_size: int
    usual_size: int
    channels: int
    windows: tuple[tuple[int, int, int], ...]
    parameters: int
    trainable_parameters: int
    blocks: tuple[Block, ...]
    weights_file: str
    weights_url: str
    weights_bytes: int
    weights_hash: str
    weights_layout: str
    options: tuple[tuple[str, bool], ...] = ()
    deviation_twice: bool = False

    def output_shape(self, height: int, width: int) -> tuple[int, int, int]:
        """Height, width and channels of its output for an image of ``height`` × ``width`` pixels."""
        for kernel, stride, padding in self.windows:
            height = (height + padding - kernel) // stride + 1
            width = (width + padding - kernel) // stride + 1
        return height, width, self.channels

    @property
    def depths(self) -> tuple[str, ...]:
        """What ``unfreeze_from`` may be: the blocks, the last first, and everything."""
        return (*(block.name for block in self.blocks), EVERYTHING)

    def block(self, name: str) -> Block | None:
        """The block of that name; None for ``EVERYTHING``.

        Raises:
            ExperimentError: there is none; the message names the choices.
        """
        if name == EVERYTHING:
            return None
        for block in self.blocks:
            if block.name == name:
                return block
        raise ExperimentError(
            f"{self.title} has no block called {name!r}.",
            hint=f"Choose one of {', '.join(self.depths)}.",
            field="architecture.unfreeze_from",
        )

    def trainable_from(self, name: str) -> int:
        """Parameters of the backbone that train when it is unfrozen from ``name`` on; raises as ``block``."""
        block = self.block(name)
        return block.trainable_parameters if block else self.trainable_parameters
