"""Augmentation as one Keras layer: training images in, changed training images out, whole batches at a time.

All that moves pixels (mirror, rotation, zoom, stretch, shear, translation) is composed into one affine transform per
image, so that a batch is resampled once and not once for each kind; Keras's chain of layers costs two and a half times
as much and blurs each time. Light and colour are changed by Keras's own layers, told by how much.

Every kind draws from a generator of its own, seeded by the seed and the kind's name: switching a kind on or off, moving
its strength, or adding one to the program leaves what is drawn for the others as it was.
"""

from __future__ import annotations

import hashlib
from math import pi, radians, tan
from typing import Any

import keras
from keras import ops

from cnn_studio.core.experiment.augmentation import AugmentationSettings

WHITE = 255.0
ERASED = 128.0
"""What an erased rectangle is filled with: mid-grey."""

# Largest changes of RandAugment at strength 1, those of Cubuk et al. 2020 (arXiv:1909.13719) at their magnitude 10.
_RAND_ROTATION, _RAND_SHEAR, _RAND_TRANSLATION, _RAND_COLOUR = 30.0, 0.3, 0.3, 0.9
_RAND_KINDS = (
    "rotation",
    "shear_x",
    "shear_y",
    "translation_x",
    "translation_y",
    "brightness",
    "contrast",
    "saturation",
    "sharpen",
)
_RAND_AT_ONCE = 2

_ONE_NUMBER = (
    *("flip_horizontal", "flip_vertical", "rotation", "zoom", "stretch_width", "stretch_height"),
    *("brightness", "contrast", "saturation", "hue", "blur", "sharpen", "noise"),
)
_NUMBERS = {
    **{kind: (kind,) for kind in _ONE_NUMBER},
    "shear": ("shear_x", "shear_y"),
    "translation": ("translation_x", "translation_y"),
    "erasing": ("erasing", "erasing_area", "erasing_shape", "erasing_x", "erasing_y"),
    "rand_augment": (*(f"rand_{name}" for name in _RAND_KINDS), *(f"rand_rank_{name}" for name in _RAND_KINDS)),
}
"""The random numbers that each kind draws for an image."""

DRAWS_VERSION = 2
"""Raised whenever the same seed would change the same images in another way."""


class Augmentation(keras.layers.Layer):  # type: ignore[misc]
    """Changes training images at random; outside training gives them back as they are.

    Takes images (batch, height, width, 3) of any number type with values 0–255 and gives float32 of the same shape and
    range. MixUp and CutMix, which need labels, are in ``ml.training_network``. It goes into no model file.
    """

    def __init__(self, settings: AugmentationSettings, seed: int) -> None:
        """Set up.

        Args:
            settings: which kinds, and how strong.
            seed: the same seed gives the same changes to the same batches.
        """
        super().__init__(trainable=False, dtype="float32", name="augmentation")
        self.settings = settings
        self.draws = {
            kind: keras.random.SeedGenerator(seed_from(f"{seed}/{kind}"))
            for kind in _NUMBERS
            if getattr(settings, kind)
        }
        self.brightness = keras.layers.RandomBrightness(1.0, value_range=(0, WHITE), dtype="float32")
        self.contrast = keras.layers.RandomContrast((1.0, 1.0), value_range=(0, WHITE), dtype="float32")
        # Keras cuts saturation off at the end of its value range; that of saturation is 0–1 whatever that of images is.
        self.saturation = keras.layers.RandomSaturation(1.0, value_range=(0, 1), dtype="float32")
        self.hue = keras.layers.RandomHue(1.0, value_range=(0, WHITE), dtype="float32")
        self.sharpness = keras.layers.RandomSharpness(1.0, value_range=(0, WHITE), dtype="float32")

    def build(self, input_shape: Any) -> None:  # noqa: ARG002 -- Keras asks every layer that holds others
        """There is nothing to build."""
        self.built = True

    def compute_output_spec(self, images: Any, training: bool = False) -> keras.KerasTensor:  # noqa: ARG002
        """The same shape, as float32."""
        return keras.KerasTensor(images.shape, dtype="float32")

    def call(self, images: Any, training: bool = False) -> Any:
        """Images changed at random when ``training``, else as they are."""
        images = ops.cast(images, "float32")
        if not training or not self.settings.is_on:
            return images
        return self.changed(images, self.drawn(ops.shape(images)[0]))

    def drawn(self, count: Any) -> dict[str, Any]:
        """How each of ``count`` images is to be changed: a tensor (count,) for each name, None for what stays.

        Angles are in degrees, shears are tangents, sizes and shifts fractions of the side, colours factors.
        """
        on = self.settings
        half: dict[str, Any] = {}  # 0–1
        for kind, generator in self.draws.items():
            table = keras.random.uniform((count, len(_NUMBERS[kind])), seed=generator)
            half |= {name: table[:, column] for column, name in enumerate(_NUMBERS[kind])}
        both = {name: 2 * values - 1 for name, values in half.items()}  # -1–1
        rand = self._rand_augment(half, both)

        def either_way(name: str, strength: float) -> Any:
            own = strength * both[name] if strength else None
            return _sum(own, rand.get(name))

        slant = tan(radians(on.shear))
        return {
            "flip_horizontal": half["flip_horizontal"] < 0.5 if on.flip_horizontal else None,
            "flip_vertical": half["flip_vertical"] < 0.5 if on.flip_vertical else None,
            "rotation": either_way("rotation", on.rotation),
            "zoom": either_way("zoom", on.zoom),
            "stretch_width": either_way("stretch_width", on.stretch_width),
            "stretch_height": either_way("stretch_height", on.stretch_height),
            "shear_x": either_way("shear_x", slant),
            "shear_y": either_way("shear_y", slant),
            "translation_x": either_way("translation_x", on.translation),
            "translation_y": either_way("translation_y", on.translation),
            "brightness": either_way("brightness", on.brightness),
            "contrast": either_way("contrast", on.contrast),
            "saturation": either_way("saturation", on.saturation),
            "hue": either_way("hue", on.hue),
            "blur": half["blur"] if on.blur else None,
            "sharpen": _sum(on.sharpen * half["sharpen"] if on.sharpen else None, rand.get("sharpen")),
            "noise": on.noise * half["noise"] if on.noise else None,
            "erasing": {name: half[name] for name in _NUMBERS["erasing"]} if on.erasing else None,
        }

    def _rand_augment(self, half: dict[str, Any], both: dict[str, Any]) -> dict[str, Any]:
        """RandAugment's own changes: two of its kinds for each image, chosen at random, at the strength that was set.

        Without the paper's posterize, solarize, equalize and auto-contrast. Keras's layer of that name runs every
        operation on every image, three times the cost of training the small network.
        """
        strength = self.settings.rand_augment
        if not strength:
            return {}
        ranks = ops.stack([half[f"rand_rank_{name}"] for name in _RAND_KINDS], axis=1)
        lowest_chosen = ops.sort(ranks, axis=1)[:, -_RAND_AT_ONCE]
        most = {
            "rotation": _RAND_ROTATION,
            **dict.fromkeys(("shear_x", "shear_y"), _RAND_SHEAR),
            **dict.fromkeys(("translation_x", "translation_y"), _RAND_TRANSLATION),
            **dict.fromkeys(("brightness", "contrast", "saturation", "sharpen"), _RAND_COLOUR),
        }
        changes = {}
        for name in _RAND_KINDS:
            # The paper's magnitude is fixed and only its sign is drawn.
            chosen = ops.cast(half[f"rand_rank_{name}"] >= lowest_chosen, "float32")
            changes[name] = strength * most[name] * ops.sign(both[f"rand_{name}"]) * chosen
        changes["brightness"] = changes["brightness"] / 2  # a shift here, a factor there
        return changes

    def changed(self, images: Any, change: dict[str, Any]) -> Any:
        """``images``, float32 (batch, height, width, 3) 0–255, changed as ``drawn`` says."""
        height, width = images.shape[1:3]
        images = self._moved(images, change, height, width)
        if (shift := change["brightness"]) is not None:
            images = self.brightness.transform_images(images, {"rgb_delta": WHITE * _per_image(shift)})
        if (factor := change["contrast"]) is not None:
            images = self.contrast.transform_images(images, {"contrast_factor": 1 + _per_image(factor)})
        if (factor := change["saturation"]) is not None:
            images = self.saturation.transform_images(images, {"factor": 1 + factor})
        if (angle := change["hue"]) is not None:
            images = self.hue.transform_images(images, {"factor": angle / 360})
        if (share := change["blur"]) is not None:
            images = _blurred(images, self.settings.blur, _per_image(share))
        if (amount := change["sharpen"]) is not None:
            images = self.sharpness.transform_images(images, {"factor": 0.5 + 0.5 * amount})
        if (deviation := change["noise"]) is not None:
            grain = keras.random.normal(ops.shape(images), seed=self.draws["noise"])
            images = images + WHITE * _per_image(deviation) * grain
        if change["erasing"] is not None:
            images = ops.where(erased(change["erasing"], self.settings.erasing, height, width), ERASED, images)
        return ops.clip(images, 0.0, WHITE)

    def _moved(self, images: Any, change: dict[str, Any], height: int, width: int) -> Any:
        if all(change[name] is None for name in _RESAMPLED):  # mirrored pixels are the same pixels: no need to resample
            for name, axis in zip(_FLIPS, (2, 1), strict=True):
                if (flipped := change[name]) is not None:
                    images = ops.where(flipped[:, None, None, None], ops.flip(images, axis=axis), images)
            return images
        transforms = affine_transforms(change, height, width)
        return ops.image.affine_transform(
            images, transforms, fill_mode=self.settings.fill.value, data_format="channels_last"
        )


def seed_from(text: str) -> int:
    """A seed (31 bits) that depends on every letter of ``text``, the same on every machine."""
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=4).digest(), "big") >> 1


_FLIPS = ("flip_horizontal", "flip_vertical")
_RESAMPLED = (
    *("rotation", "zoom", "stretch_width", "stretch_height"),
    *("shear_x", "shear_y", "translation_x", "translation_y"),
)


def affine_transforms(change: dict[str, Any], height: int, width: int) -> Any:
    """One affine transform per image that does all its moves at once.

    The moves are done in the order mirror, rotation, shear, zoom and stretch, translation, about the image's middle.

    Args:
        change: from ``Augmentation.drawn``; names that are missing or None stay as they are, at least one is not.
        height: of the images, in pixels.
        width: of the images, in pixels.

    Returns:
        (batch, 8) for ``keras.ops.image.affine_transform``: from a place in the result to the place it comes from.
    """
    known = [change[name] for name in (*_FLIPS, *_RESAMPLED) if change.get(name) is not None]
    nothing = ops.zeros_like(ops.cast(known[0], "float32"))

    def value(name: str) -> Any:
        found = change.get(name)
        return nothing if found is None else ops.cast(found, "float32")

    angle = value("rotation") * (pi / 180)
    cosine, sine = ops.cos(angle), ops.sin(angle)
    flip_x, flip_y = 1 - 2 * value("flip_horizontal"), 1 - 2 * value("flip_vertical")
    # Backwards, from the result to the source: first the size, then the shear, the rotation and the mirror.
    scale_x = (1 + value("zoom")) * (1 + value("stretch_width"))
    scale_y = (1 + value("zoom")) * (1 + value("stretch_height"))
    shear_x, shear_y = value("shear_x"), value("shear_y")
    # [cos -sin; sin cos] · [1 shear_x; shear_y 1] · diag(scale_x, scale_y), then mirrored.
    a0 = flip_x * (cosine - sine * shear_y) * scale_x
    a1 = flip_x * (cosine * shear_x - sine) * scale_y
    b0 = flip_y * (sine + cosine * shear_y) * scale_x
    b1 = flip_y * (sine * shear_x + cosine) * scale_y
    middle_x, middle_y = (width - 1) / 2, (height - 1) / 2
    # A place in the result, seen from where the middle has been moved to.
    moved_x = middle_x + value("translation_x") * width
    moved_y = middle_y + value("translation_y") * height
    a2 = middle_x - a0 * moved_x - a1 * moved_y
    b2 = middle_y - b0 * moved_x - b1 * moved_y
    return ops.stack([a0, a1, a2, b0, b1, b2, nothing, nothing], axis=1)


def erased(table: dict[str, Any], most: float, height: int, width: int) -> Any:
    """Where half of the images are erased (Zhong et al. 2020, arXiv:1708.04896): bool (batch, height, width, 1).

    Args:
        table: numbers 0–1, (batch,) each, under ``erasing`` and the names that begin with ``erasing_``.
        most: largest area as a fraction of the image's; the smallest is a fifth of that.
        height: of the images, in pixels.
        width: of the images, in pixels.
    """
    area = most * (0.2 + 0.8 * table["erasing_area"])
    aspect = ops.exp(table["erasing_shape"] * 2 - 1)  # from about 1:3 to 3:1 in area units
    tall = ops.minimum(ops.sqrt(area * aspect), 1.0)
    wide = ops.minimum(ops.sqrt(area / aspect), 1.0)
    inside_y = _between(table["erasing_y"] * (1 - tall), tall, height)
    inside_x = _between(table["erasing_x"] * (1 - wide), wide, width)
    chosen = table["erasing"] < 0.5
    return chosen[:, None, None, None] & inside_y[:, :, None, None] & inside_x[:, None, :, None]


def _between(start: Any, length: Any, side: int) -> Any:
    """Which of ``side`` pixels lie in [start, start + length), both fractions (batch,): bool (batch, side)."""
    places = (ops.arange(side, dtype="float32") + 0.5) / side
    return (places[None] >= start[:, None]) & (places[None] < (start + length)[:, None])


def _blurred(images: Any, deviation: float, share: Any) -> Any:
    """Blended with a copy blurred by ``deviation`` pixels; ``share`` 0–1 of it, per image."""
    reach = max(1, round(2 * deviation))
    # Beyond the border Keras sees black; a mirror keeps the border as bright as it is.
    around = ops.pad(images, [(0, 0), (reach, reach), (reach, reach), (0, 0)], mode="symmetric")
    sizes, deviations = (2 * reach + 1, 2 * reach + 1), (deviation, deviation)
    soft = ops.image.gaussian_blur(around, sizes, deviations, data_format="channels_last")
    soft = soft[:, reach:-reach, reach:-reach]
    return images + share * (soft - images)


def _per_image(values: Any) -> Any:
    return ops.reshape(values, (-1, 1, 1, 1))


def _sum(own: Any, more: Any) -> Any:
    if own is None or more is None:
        return own if more is None else more
    return own + more
