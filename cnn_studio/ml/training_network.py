"""A network as it is trained when its images are augmented: augmentation, then the network itself.

The layers are those of the network, so training the one trains the other; what is saved and exported is the network
alone. Outside training, in validation too, images go through unchanged.
"""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from cnn_studio.core.experiment.augmentation import AugmentationSettings
from cnn_studio.ml.augment import Augmentation

_LEAST_PROBABILITY = 1e-7  # Keras's epsilon, which its own cross-entropy uses


def training_network(model: keras.Model, augmentation: AugmentationSettings, seed: int) -> keras.Model:
    """The network to compile and fit in place of ``model``.

    Args:
        model: takes images (batch, height, width, 3) 0–255, gives probabilities (batch, classes).
        augmentation: what is done to training images.
        seed: the same seed repeats the same changes.

    Returns:
        ``model`` itself without augmentation. With kinds that mix labels, a network whose batches come from
        ``pipeline.with_labels``.
    """
    if not augmentation.is_on:
        return model
    image = keras.Input(model.inputs[0].shape[1:], dtype=model.inputs[0].dtype, name="image")
    changed = Augmentation(augmentation, seed)(image)
    if not augmentation.mixes_labels:
        network = keras.Model(image, model(changed), name=f"{model.name}_augmented")
    else:
        label = keras.Input((), dtype="int32", name="label")
        weight = keras.Input((), dtype="float32", name="weight")
        mixed, shares, weighted = LabelMixing(augmentation, model.outputs[0].shape[-1], seed)([changed, label, weight])
        network = _MixedLabelsNetwork(
            [image, label, weight], [model(mixed), shares, weighted], name=f"{model.name}_augmented"
        )
    network.jit_compile = model.jit_compile
    return network


class LabelMixing(keras.layers.Layer):  # type: ignore[misc]
    """MixUp (Zhang et al. 2018, arXiv:1710.09412) and CutMix (Yun et al. 2019, arXiv:1905.04899), by Keras's layers.

    Takes images (batch, height, width, 3), labels int32 (batch,) and weights float32 (batch,). Gives mixed images, the
    share of each class in them (batch, classes), and the same with each share multiplied by the weight of the image it
    is of: the cross-entropy with these is that of class weights, λ·w_a·CE_a + (1 - λ)·w_b·CE_b.
    """

    def __init__(self, augmentation: AugmentationSettings, class_count: int, seed: int) -> None:
        super().__init__(trainable=False, dtype="float32", name="label_mixing")
        self.class_count = class_count
        self.mixers = []
        if augmentation.mix_up:
            self.mixers.append(keras.layers.MixUp(augmentation.mix_up, seed=seed, dtype="float32"))
        if augmentation.cut_mix:
            alpha = augmentation.cut_mix
            self.mixers.append(_CutMix(alpha, seed=seed + 1, dtype="float32"))

    def build(self, input_shape: Any) -> None:  # noqa: ARG002 -- Keras asks every layer that holds others
        """There is nothing to build."""
        self.built = True

    def compute_output_spec(self, inputs: list[Any], training: bool = False) -> list[keras.KerasTensor]:  # noqa: ARG002
        """Images as they came, and twice a row of shares for each."""
        images = inputs[0]
        shapes = images.shape, *[(images.shape[0], self.class_count)] * 2
        return [keras.KerasTensor(shape, dtype="float32") for shape in shapes]

    def call(self, inputs: list[Any], training: bool = False) -> list[Any]:
        """Mixed when ``training``, else each image with its own label."""
        images, labels, weights = inputs
        shares = ops.one_hot(labels, self.class_count, dtype="float32")
        # Side by side, so that both are mixed with the same partners and shares.
        both = ops.concatenate([shares, shares * weights[:, None]], axis=1)
        mixed = {"images": ops.cast(images, "float32"), "labels": both}
        if training:
            for mixer in self.mixers:
                mixed = mixer(mixed, training=True)
        both = mixed["labels"]
        return [mixed["images"], both[:, : self.class_count], both[:, self.class_count :]]


class _CutMix(keras.layers.CutMix):  # type: ignore[misc]
    """CutMix with the alpha that was asked for, which Keras allows up to 1 only and draws from 0 up to it."""

    _FACTOR_BOUNDS = (0, 2)

    def __init__(self, alpha: float, **options: Any) -> None:
        super().__init__((alpha, alpha), **options)


class _MixedLabelsNetwork(keras.Model):  # type: ignore[misc]
    """Trains on shares of labels; for its accuracy the class with the largest share in an image is the right one."""

    def compute_loss(
        self, x: Any = None, y: Any = None, y_pred: Any = None, sample_weight: Any = None, training: bool = True
    ) -> Any:
        """Mean cross-entropy in nats with the weighted shares."""
        del x, y, sample_weight, training
        probabilities, _, weighted = y_pred
        logarithms = ops.log(ops.clip(ops.cast(probabilities, "float32"), _LEAST_PROBABILITY, 1.0))
        return ops.mean(-ops.sum(weighted * logarithms, axis=-1))

    def compute_metrics(self, x: Any, y: Any, y_pred: Any, sample_weight: Any = None) -> dict[str, Any]:
        """Keras's metrics of the probabilities against the class with the largest share."""
        del y
        probabilities, shares, _ = y_pred
        figures: dict[str, Any] = super().compute_metrics(x, ops.argmax(shares, axis=-1), probabilities, sample_weight)
        return figures
