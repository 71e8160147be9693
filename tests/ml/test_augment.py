"""Augmentation against Keras's own layers and plain NumPy; who is augmented, and what repeats."""

import keras
import numpy as np
import pytest
from PIL import Image

from cnn_studio.core.experiment.augmentation import AUGMENTATION_KINDS, AugmentationSettings, parse_augmentation
from cnn_studio.ml import augment
from cnn_studio.ml.augment import Augmentation, erased

PER_IMAGE = [name for name in AUGMENTATION_KINDS if name not in {"mix_up", "cut_mix"}]
HEIGHT, WIDTH = 36, 48


@pytest.fixture(scope="module")
def images():
    """Smooth coloured pictures, float32 (6, 36, 48, 3): resampling them twice costs little of their detail."""
    rng = np.random.default_rng(5)
    coarse = rng.integers(0, 256, (6, 5, 6, 3)).astype(np.uint8)
    smooth = [Image.fromarray(each).resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC) for each in coarse]
    return np.stack([np.asarray(each) for each in smooth]).astype(np.float32)


def changed(images, fill="reflect", **change):
    """What the layer makes of images when each is to be changed as given."""
    layer = Augmentation(AugmentationSettings(rotation=1, fill=fill), 0)
    changes = dict.fromkeys(layer.drawn(1))
    changes |= {name: np.full(len(images), value, np.float32) for name, value in change.items()}
    return np.asarray(layer.changed(keras.ops.convert_to_tensor(images), changes))


@pytest.mark.parametrize("fill", ["reflect", "nearest", "wrap", "constant"])
@pytest.mark.parametrize(
    ("change", "make"),
    [
        ({"rotation": 30}, lambda fill: keras.layers.RandomRotation((30 / 360, 30 / 360), fill)),
        ({"rotation": -100}, lambda fill: keras.layers.RandomRotation((-100 / 360, -100 / 360), fill)),
        ({"zoom": 0.3}, lambda fill: keras.layers.RandomZoom((0.3, 0.3), fill_mode=fill)),
        ({"zoom": -0.3}, lambda fill: keras.layers.RandomZoom((-0.3, -0.3), fill_mode=fill)),
        (
            {"stretch_height": 0.2, "stretch_width": -0.1},
            lambda fill: keras.layers.RandomZoom((0.2, 0.2), (-0.1, -0.1), fill_mode=fill),
        ),
        (
            {"translation_y": 0.2, "translation_x": -0.15},
            lambda fill: keras.layers.RandomTranslation((0.2, 0.2), (-0.15, -0.15), fill),
        ),
    ],
    ids=["rotation", "rotation back", "zoom out", "zoom in", "stretch", "translation"],
)
def test_one_move_is_that_of_keras(images, fill, change, make):
    np.testing.assert_allclose(changed(images, fill, **change), make(fill)(images, training=True), atol=0.05)


def test_mirrors_are_exact(images):
    both = changed(images, flip_horizontal=1, flip_vertical=1)
    np.testing.assert_array_equal(both, images[:, ::-1, ::-1])
    np.testing.assert_array_equal(changed(images, flip_horizontal=0), images)
    # Together with a move, they go through the affine transform.
    np.testing.assert_allclose(changed(images, flip_horizontal=1, rotation=0), images[:, :, ::-1], atol=0.01)


def test_shear_is_that_of_pillow(images):
    """Pillow's affine transform maps from the middle of pixels, so both are about the same point."""
    tangent = 0.3
    sheared = changed(images, "constant", shear_x=tangent)
    middle_y = HEIGHT / 2
    for before, after in zip(images, sheared, strict=True):
        channels = [
            np.asarray(
                Image.fromarray(before[..., channel]).transform(
                    (WIDTH, HEIGHT),
                    Image.Transform.AFFINE,
                    (1, tangent, -tangent * middle_y, 0, 1, 0),
                    Image.Resampling.BILINEAR,
                )
            )
            for channel in range(3)
        ]
        expected = np.stack(channels, axis=-1)
        inner = np.s_[:, 14:-14]  # Pillow leaves the border pixels out, TensorFlow blends them with the fill
        np.testing.assert_allclose(after[inner], expected[inner], atol=0.5)


def test_one_transform_does_what_keras_does_in_three(images):
    """Mirror, rotation and zoom, each resampled by Keras: equal but for what resampling again costs."""
    chain = keras.ops.flip(images, axis=2)
    chain = keras.layers.RandomRotation((0.06, 0.06))(chain, training=True)
    chain = np.asarray(keras.layers.RandomZoom((-0.1, -0.1))(chain, training=True))
    ours = changed(images, flip_horizontal=1, rotation=0.06 * 360, zoom=-0.1)
    inner = np.s_[:, 6:-6, 8:-8]  # at the border Keras's second step mirrors what its first had filled in
    assert np.abs(ours - chain)[inner].mean() < 1
    assert np.abs(images[:, :, ::-1] - chain)[inner].mean() > 10, "the moves are large beside that"


def test_light_and_colour_against_numpy(images):
    np.testing.assert_allclose(changed(images, brightness=0.2), np.clip(images + 51, 0, 255), atol=0.01)
    mean = images.mean(axis=(1, 2), keepdims=True)
    np.testing.assert_allclose(changed(images, contrast=-0.4), np.clip(mean + 0.6 * (images - mean), 0, 255), atol=0.05)
    import colorsys

    def in_hsv(pixel, turn=0.0, factor=1.0):
        hue, saturation, value = colorsys.rgb_to_hsv(*(pixel / 255))
        return np.array(colorsys.hsv_to_rgb((hue + turn) % 1, min(1.0, saturation * factor), value)) * 255

    some = images[:, ::12, ::12].reshape(-1, 3)
    for ours, turn, factor in (
        (changed(images, hue=60), 60 / 360, 1.0),
        (changed(images, hue=-170), -170 / 360, 1.0),
        (changed(images, saturation=-0.5), 0, 0.5),
        (changed(images, saturation=0.9), 0, 1.9),
    ):
        expected = np.array([in_hsv(pixel, turn, factor) for pixel in some])
        np.testing.assert_allclose(ours[:, ::12, ::12].reshape(-1, 3), expected, atol=0.1)


def test_blur_is_that_of_scipy(images):
    from scipy.ndimage import gaussian_filter

    layer = Augmentation(parse_augmentation("blur=1.5"), 0)
    changes = dict.fromkeys(layer.drawn(1)) | {"blur": np.ones(len(images), np.float32)}
    ours = np.asarray(layer.changed(keras.ops.convert_to_tensor(images), changes))
    expected = gaussian_filter(images, (0, 1.5, 1.5, 0), radius=(0, 3, 3, 0), mode="reflect")
    np.testing.assert_allclose(ours, expected, atol=0.01)


def test_erased_is_one_rectangle_of_the_asked_area():
    rng = np.random.default_rng(0)
    names = ("erasing", "erasing_area", "erasing_shape", "erasing_x", "erasing_y")
    table = {name: rng.random(400).astype(np.float32) for name in names}
    masks = np.asarray(erased(table, 0.3, 60, 80))[..., 0]
    assert 0.4 < masks.any(axis=(1, 2)).mean() < 0.6, "half of the images"
    for mask in masks[masks.any(axis=(1, 2))]:
        rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
        box = np.ix_(rows, columns)
        assert mask[box].all(), "a rectangle has no holes"
        assert np.ptp(rows) + 1 == len(rows)
        assert np.ptp(columns) + 1 == len(columns)
        assert 0.04 < mask.mean() < 0.33


@pytest.mark.parametrize("name", PER_IMAGE)
def test_every_kind_changes_images_and_stays_in_range(images, name):
    layer = Augmentation(
        AugmentationSettings(**{name: True if name.startswith("flip") else AUGMENTATION_KINDS[name].most}), 3
    )
    many = np.tile(images, (4, 1, 1, 1))
    out = np.asarray(layer(many, training=True))
    assert out.shape == many.shape
    assert out.min() >= 0
    assert out.max() <= 255
    touched = (np.abs(out - many) > 0.01).any(axis=(1, 2, 3)).mean()
    assert touched > 0.2
    # The same picture four times comes out in more than one way.
    assert any(not np.array_equal(out[i], out[i + 6]) for i in range(6))


def test_outside_training_images_stay_as_they_are(images):
    layer = Augmentation(parse_augmentation("flip_horizontal,rotation=90,noise=0.5"), 3)
    np.testing.assert_array_equal(layer(images, training=False), images)
    as_bytes = images.astype(np.uint8)
    out = np.asarray(layer(as_bytes))
    assert out.dtype == np.float32
    np.testing.assert_array_equal(out, as_bytes)


def test_a_seed_repeats_and_no_two_batches_are_alike(images):
    settings = parse_augmentation("rotation=30,zoom=0.2,noise=0.1")
    first, second = Augmentation(settings, 7), Augmentation(settings, 7)
    one, two = np.asarray(first(images, training=True)), np.asarray(first(images, training=True))
    assert np.abs(one - two).mean() > 1
    np.testing.assert_array_equal(second(images, training=True), one)
    np.testing.assert_array_equal(second(images, training=True), two)
    other = np.asarray(Augmentation(settings, 8)(images, training=True))
    assert np.abs(one - other).mean() > 1


def test_a_kind_switched_on_leaves_the_others_draws_as_they_were():
    """So that moving one slider of the preview does not shake all the rest."""
    alone = Augmentation(parse_augmentation("rotation=30"), 7).drawn(5)
    together = Augmentation(parse_augmentation("rotation=60,zoom=0.2,erasing=0.3,rand_augment=0"), 7).drawn(5)
    np.testing.assert_allclose(2 * np.asarray(alone["rotation"]), np.asarray(together["rotation"]), rtol=1e-6)
    assert np.abs(np.asarray(alone["rotation"])).max() <= 30


class MoreSettings(AugmentationSettings):
    """Settings of a later version, which has one kind more."""

    sepia: float = 0.0


@pytest.mark.parametrize("place", ["first", "last"])
def test_a_kind_added_to_the_program_leaves_the_others_draws_as_they_were(monkeypatch, images, place):
    everything = {name: kind.usual for name, kind in AUGMENTATION_KINDS.items() if name in PER_IMAGE}
    before = Augmentation(AugmentationSettings(**everything), 7)
    drawn, out = before.drawn(5), np.asarray(before(images, training=True))
    new = {"sepia": ("sepia", "sepia_tone")}
    known = augment._NUMBERS
    monkeypatch.setattr(augment, "_NUMBERS", new | known if place == "first" else known | new)
    after = Augmentation(MoreSettings(**everything, sepia=0.5), 7)
    assert "sepia" in after.draws
    again = after.drawn(5)
    assert again.keys() == drawn.keys()
    for name in drawn:
        for one, other in zip(keras.tree.flatten(drawn[name]), keras.tree.flatten(again[name]), strict=True):
            np.testing.assert_array_equal(one, other, err_msg=name)
    np.testing.assert_array_equal(after(images, training=True), out)


def test_two_kinds_never_draw_the_same():
    drawn = Augmentation(parse_augmentation("zoom=0.2,stretch_width=0.2,shear=30,translation=0.2"), 7).drawn(50)
    tables = [np.asarray(values) for values in drawn.values() if values is not None]
    assert len(tables) == 6
    shares = [np.round(table / np.abs(table).max(), 3) for table in tables]
    assert len({tuple(share) for share in shares}) == 6


def test_rand_augment_makes_two_changes_of_its_strength_to_each_image():
    drawn = Augmentation(parse_augmentation("rand_augment=0.5"), 7).drawn(300)
    names = [name for name, values in drawn.items() if values is not None]
    table = np.stack([np.asarray(drawn[name]) for name in names])
    assert ((table != 0).sum(axis=0) == 2).all()
    share = (table != 0).mean(axis=1)
    assert (np.abs(share - 2 / 9) < 0.08).all(), "each as often as the others"
    rotation = np.asarray(drawn["rotation"])
    assert set(np.round(np.unique(rotation), 3)) == {-15.0, 0.0, 15.0}


def test_strengths_are_drawn_evenly_up_to_the_setting():
    drawn = Augmentation(parse_augmentation("rotation=40,zoom=0.3,flip_horizontal,hue=90"), 7).drawn(2000)
    for name, most in (("rotation", 40), ("zoom", 0.3), ("hue", 90)):
        values = np.asarray(drawn[name])
        assert 0.97 * most < values.max() <= most
        assert -most <= values.min() < -0.97 * most
        assert abs(values.mean()) < 0.05 * most
        assert abs(values.std() - most / np.sqrt(3)) < 0.05 * most
    assert 0.45 < np.asarray(drawn["flip_horizontal"]).mean() < 0.55
