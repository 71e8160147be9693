import numpy as np
import pytest
from PIL import Image

from cnn_studio.core.evaluation.heat import heat_colours, over_picture, overlay, resized
from cnn_studio.core.experiment.settings import Fit
from cnn_studio.core.image.decoder import read_image


def test_colours_get_lighter_with_heat():
    colours = heat_colours(np.linspace(-0.5, 1.5, 101)[None])
    assert colours.dtype == np.uint8
    assert colours.shape == (1, 101, 3)
    luminance = colours[0] @ np.array([0.299, 0.587, 0.114])
    assert (np.diff(luminance) >= 0).all()
    assert luminance[-1] - luminance[0] > 150
    np.testing.assert_array_equal(colours[0, 0], colours[0, 20])  # below 0 is 0


def test_cold_places_are_grey_and_hot_ones_take_the_colour():
    picture = np.random.default_rng(0).integers(0, 256, (40, 60, 3)).astype(np.uint8)
    grey = np.array(Image.fromarray(picture).convert("L").convert("RGB")).astype(int)
    heat = np.zeros((4, 6), np.float32)
    assert np.abs(overlay(picture, heat) - grey).max() <= 1
    heat[:, 3:] = 1.0
    found = overlay(picture, heat, opacity=1.0)
    assert np.abs(found[:, :20] - grey[:, :20]).max() <= 1
    np.testing.assert_array_equal(found[:, 45:], np.broadcast_to(heat_colours(np.ones((1, 1))), (40, 15, 3)))
    np.testing.assert_array_equal(overlay(picture, heat, opacity=0.0), picture)


def test_resizing_keeps_the_place():
    heat = np.zeros((7, 7), np.float32)
    heat[1, 5] = 1
    large = resized(heat, 70, 140)
    assert large.shape == (70, 140)
    row, column = np.unravel_index(large.argmax(), large.shape)
    assert (row // 10, column // 20) == (1, 5)
    assert large.max() <= 1


@pytest.mark.parametrize(("height", "width"), [(60, 60), (120, 60), (60, 150), (61, 44)])
@pytest.mark.parametrize("fit", list(Fit))
def test_heat_over_the_whole_picture_is_where_the_network_saw_it(tmp_path, fit, height, width):
    """A bright block is brought to the network's size by the decoder, and laid out over the picture again."""
    picture = np.zeros((height, width, 3), np.uint8)
    top, left = height // 2 - 5, width // 2 - 15  # within what every way of fitting keeps
    picture[top : top + 14, left : left + 20] = 255
    Image.fromarray(picture).save(tmp_path / "block.png")
    seen = read_image(tmp_path / "block.png", 30, 30, fit)[..., 0] / 255
    whole = over_picture(seen, fit, height, width)
    assert whole.shape[1] / whole.shape[0] == pytest.approx(width / height if fit is not Fit.SQUASH else 1, rel=0.05)
    back = resized(whole, height, width)
    inside = back[top + 3 : top + 11, left + 3 : left + 17]
    assert inside.mean() > 0.8
    outside = back.copy()
    outside[top - 9 : top + 23, max(0, left - 9) : left + 29] = 0
    assert outside.max() < 0.15
