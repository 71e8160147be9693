"""The decoder: upright 8-bit RGB from every kind of file, and a plain sentence for what is none."""

from __future__ import annotations

import errno
import os
import struct
import warnings
import zlib
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFile, ImageOps

from cnn_studio.core.experiment.settings import Fit
from cnn_studio.core.image import decoder as images
from cnn_studio.core.image import recipe
from cnn_studio.core.image.causes import Reason
from cnn_studio.core.image.decoder import (
    ImageError,
    ImageFacts,
    check_image,
    holds_image_data,
    probe_image,
    read_image,
    read_picture,
)
from cnn_studio.core.image.issues import IssueKind
from cnn_studio.core.image.recipe import eight_bits

TURNED = {
    1: None,
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}
"""How a camera stores an upright picture that it marks with each EXIF orientation."""

WHOLE_FORMATS = ["jpg", "png", "gif", "webp", "bmp", "tif", "avif", "ppm", "ico", "jp2"]


def noise(height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def smooth(height: int, width: int) -> np.ndarray:
    """No two corners alike, and no detail for JPEG to lose."""
    down, across = np.mgrid[0 : 1 : height * 1j, 0 : 1 : width * 1j]
    return np.stack([255 * down, 255 * across, 255 * (1 - down) * across], axis=-1).astype(np.uint8)


def read_at_own_size(path: Path) -> np.ndarray:
    facts = check_image(path)
    return read_image(path, facts.height, facts.width)


def error_of(path: Path) -> ImageError:
    with pytest.raises(ImageError) as caught:
        check_image(path)
    with pytest.raises(ImageError) as again:
        read_image(path, 8, 8)
    assert again.value.cause.kind is caught.value.cause.kind
    assert caught.value.message.endswith((".", ")"))
    return caught.value


# -- orientation ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("orientation", TURNED)
@pytest.mark.parametrize("suffix", ["png", "webp", "tif", "jpg", "avif"])
def test_every_exif_orientation_is_turned_upright(tmp_path, orientation, suffix):
    upright = smooth(40, 24)
    stored = Image.fromarray(upright)
    if TURNED[orientation] is not None:
        stored = stored.transpose(TURNED[orientation])
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / f"turned.{suffix}"
    best = {"jpg": {"quality": 98, "subsampling": 0}, "avif": {"quality": 100, "subsampling": "4:4:4"}}
    stored.save(path, exif=exif, **best.get(suffix, {"lossless": True}))

    facts = check_image(path)
    assert (facts.height, facts.width) == (40, 24)
    assert (probe_image(path).height, probe_image(path).width) == (40, 24)
    tolerance = 6 if suffix in best else 0
    np.testing.assert_allclose(read_image(path, 40, 24).astype(int), upright, atol=tolerance)
    assert read_picture(path, 20).shape == (20, 12, 3)


@pytest.mark.parametrize("orientation", TURNED)
def test_heic_is_read_and_turned_once(tmp_path, orientation):
    pillow_heif = pytest.importorskip("pillow_heif", reason="pillow-heif is not installed (the extra “heif”)")
    upright = smooth(64, 48)
    stored = Image.fromarray(upright)
    if TURNED[orientation] is not None:
        stored = stored.transpose(TURNED[orientation])
    exif = Image.Exif()
    exif[0x0112] = orientation
    file = pillow_heif.from_pillow(stored)
    file.info["exif"] = exif.tobytes()
    path = tmp_path / "photo.jpg"  # as some programs name it
    file.save(path, quality=95)
    facts = check_image(path)
    assert (facts.height, facts.width, facts.format) == (64, 48, "HEIF")
    assert np.abs(read_image(path, 64, 48).astype(int) - upright).mean() < 6


def test_a_damaged_exif_block_does_not_spoil_the_picture(tmp_path):
    path = tmp_path / "exif.jpg"
    Image.fromarray(smooth(16, 24)).save(path, exif=b"Exif\0\0II*\0\xff\xff\xff\xff garbage")
    assert (check_image(path).height, check_image(path).width) == (16, 24)


def test_an_impossible_orientation_is_ignored(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 99
    path = tmp_path / "99.jpg"
    Image.fromarray(smooth(16, 24)).save(path, exif=exif)
    assert (check_image(path).height, check_image(path).width) == (16, 24)


REFERENCE = {Fit.SQUASH: Image.Image.resize, Fit.CROP: ImageOps.fit, Fit.PAD: ImageOps.pad}


# -- sizes ---------------------------------------------------------------------------------------------------------


def test_reading_squashes_to_the_asked_size(tmp_path):
    path = tmp_path / "wide.png"
    Image.fromarray(smooth(40, 90)).save(path)
    pixels = read_image(path, 20, 10)
    assert pixels.shape == (20, 10, 3)
    assert pixels.dtype == np.uint8
    assert pixels.flags.writeable
    means = smooth(40, 90).reshape(20, 2, 10, 9, 3).mean(axis=(1, 3))
    np.testing.assert_allclose(pixels.astype(int), means, atol=8)


@pytest.mark.parametrize("fit", Fit)
@pytest.mark.parametrize("orientation", [1, 6])
@pytest.mark.parametrize(("height", "width", "exact"), [(511, 900, True), (900, 511, True), (640, 512, False)])
def test_a_jpeg_is_decoded_in_full_below_sixteen_times_the_networks_size(
    tmp_path, fit, orientation, height, width, exact
):
    """Noise is felt at once when a file is decoded at half its size; the recipe is applied by hand to compare."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / "noise.jpg"
    Image.fromarray(noise(height, width)).save(path, quality=90, exif=exif)
    with Image.open(path) as stored:
        upright = ImageOps.exif_transpose(stored)
    expected = np.asarray(REFERENCE[fit](upright, (32, 32), Image.Resampling.BILINEAR)).astype(int)
    difference = np.abs(read_image(path, 32, 32, fit).astype(int) - expected)
    assert bool(difference.max() == 0) is exact
    assert difference.mean() < 1.5


def test_draft_minds_that_orientation_swaps_the_sides(tmp_path):
    """Stored 200 wide and 800 high, upright the other way: asked 200 high and 100 wide, no row may be lost."""
    stripes = np.zeros((800, 200, 3), np.uint8)
    stripes[:, ::2] = 255
    exif = Image.Exif()
    exif[0x0112] = 6
    path = tmp_path / "stripes.jpg"
    Image.fromarray(stripes).save(path, exif=exif, quality=95, subsampling=0)
    rows = read_image(path, 200, 100)[:, 50, 0].astype(int)
    assert np.abs(np.diff(rows)).min() > 150  # every stripe is still there


@pytest.mark.parametrize("fit", Fit)
@pytest.mark.parametrize("target", [(20, 20), (30, 10), (9, 33)])
@pytest.mark.parametrize("orientation", [1, 6, 7])
def test_every_fit_is_pillows_own(tmp_path, fit, target, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / "picture.png"
    Image.fromarray(smooth(40, 90)).save(path, exif=exif)
    with Image.open(path) as stored:
        upright = ImageOps.exif_transpose(stored)
    height, width = target
    reference = np.asarray(REFERENCE[fit](upright, (width, height), Image.Resampling.BILINEAR))
    np.testing.assert_array_equal(read_image(path, height, width, fit), reference)


def test_padding_is_pillows_own_for_pictures_of_all_proportions():
    dice = np.random.default_rng(0)
    for width, height, columns, rows in dice.integers(1, 60, (400, 4)):
        picture = Image.new("L", (width, height), 200)
        padded = recipe.pad(picture, columns, rows)
        assert np.asarray(padded).any()
        if min(round(width / height * rows), round(height / width * columns)) > 0:
            assert padded == ImageOps.pad(picture, (columns, rows), Image.Resampling.BILINEAR)


@pytest.mark.parametrize("size", [(300, 1), (1, 300)])
@pytest.mark.parametrize("fit", Fit)
def test_of_a_thin_picture_something_is_left(tmp_path, size, fit):
    path = tmp_path / "thin.png"
    Image.new("RGB", size, (200, 40, 40)).save(path)
    pixels = read_image(path, 32, 32, fit)
    seen = pixels[(pixels != 0).any(axis=2)]
    assert (seen == (200, 40, 40)).all()
    assert len(seen) == (32 if fit is Fit.PAD else 32 * 32)


@pytest.mark.parametrize("fit", [Fit.CROP, Fit.PAD])
@pytest.mark.parametrize("orientation", [1, 6])
def test_draft_decoding_leaves_enough_for_every_fit(tmp_path, fit, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(smooth(1600, 700)).save(tmp_path / "large.jpg", quality=95, exif=exif)
    with Image.open(tmp_path / "large.jpg") as stored:
        ImageOps.exif_transpose(stored).save(tmp_path / "large.png")
    for target in ((64, 64), (100, 300), (300, 100)):
        drafted = read_image(tmp_path / "large.jpg", *target, fit).astype(int)
        assert np.abs(drafted - read_image(tmp_path / "large.png", *target, fit).astype(int)).max() <= 6


def test_cropping_keeps_the_middle_and_padding_keeps_all(tmp_path):
    pixels = np.zeros((20, 60, 3), np.uint8)
    pixels[:, :20], pixels[:, 20:40], pixels[:, 40:] = (250, 0, 0), (0, 250, 0), (0, 0, 250)
    path = tmp_path / "flag.png"
    Image.fromarray(pixels).save(path)
    assert (read_image(path, 20, 20, Fit.CROP)[10] == (0, 250, 0)).all()
    padded = read_image(path, 60, 60, Fit.PAD)
    assert (padded[[0, 19, 40, 59]] == 0).all()
    np.testing.assert_array_equal(padded[20:40], pixels)


@pytest.mark.parametrize(("size", "edge", "expected"), [((30, 90), 45, (15, 45)), ((90, 30), 45, (45, 15))])
def test_a_picture_keeps_its_proportions(tmp_path, size, edge, expected):
    path = tmp_path / "picture.png"
    Image.fromarray(smooth(*size)).save(path)
    assert read_picture(path, edge).shape == (*expected, 3)


def test_a_small_picture_is_not_enlarged_and_a_thin_one_keeps_a_pixel(tmp_path):
    Image.fromarray(noise(5, 7)).save(tmp_path / "small.png")
    np.testing.assert_array_equal(read_picture(tmp_path / "small.png", 64), noise(5, 7))
    Image.fromarray(noise(1, 900)).save(tmp_path / "thin.png")
    assert read_picture(tmp_path / "thin.png", 64).shape == (1, 64, 3)


# -- pixel formats -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", WHOLE_FORMATS)
def test_every_format_is_read_whatever_its_name_says(tmp_path, suffix):
    path = tmp_path / f"picture.{suffix}"
    Image.fromarray(smooth(32, 32)).save(path)
    named_wrongly = path.rename(tmp_path / "picture.dat")
    assert holds_image_data(named_wrongly)
    facts = check_image(named_wrongly)
    assert (facts.height, facts.width) == (32, 32)
    assert np.abs(read_image(named_wrongly, 32, 32).astype(int) - smooth(32, 32)).mean() < 12


def test_sixteen_bit_grey_is_scaled_and_not_clipped(tmp_path):
    wide = np.linspace(0, 65535, 64).astype(np.uint16).reshape(8, 8)
    expected = np.round(wide / 257).astype(int)
    Image.fromarray(wide).save(tmp_path / "grey.png")
    Image.fromarray(wide).save(tmp_path / "little.tif")
    Image.fromarray(wide.astype(">u2")).save(tmp_path / "big.tif")
    for name in ("grey.png", "little.tif", "big.tif"):
        pixels = read_at_own_size(tmp_path / name).astype(int)
        np.testing.assert_allclose(pixels[..., 0], expected, atol=1)
        assert (pixels[..., 0] == pixels[..., 2]).all()
        assert check_image(tmp_path / name).grey


@pytest.mark.parametrize(
    ("values", "dtype", "expected"),
    [
        ([0, 100, 200], np.int32, [0, 100, 200]),
        ([0, 25700, 65535], np.int32, [0, 100, 255]),
        ([0, 500_000, 1_000_000], np.int32, [0, 128, 255]),
        ([-10, 0, 10], np.int32, [0, 128, 255]),
        ([0.0, 0.5, 1.0], np.float32, [0, 128, 255]),
        ([0.0, 100.0, 255.0], np.float32, [0, 100, 255]),
        ([-1.0, 0.0, 3.0], np.float32, [0, 64, 255]),
        ([0.0, np.nan, np.inf], np.float32, [0, 0, 255]),
        ([np.nan, np.nan, np.nan], np.float32, [0, 0, 0]),
        ([7e9, 7e9, 7e9], np.float32, [0, 0, 0]),
        ([-0.05, 0.5, 1.02], np.float32, [0, 128, 255]),  # overshoots of sharpening and resizing
        ([-0.5, 0.0, 0.5], np.float32, [0, 128, 255]),
    ],
)
def test_wide_numbers_are_brought_to_eight_bits(tmp_path, values, dtype, expected):
    path = tmp_path / "wide.tif"
    Image.fromarray(np.array([values], dtype)).save(path)
    np.testing.assert_array_equal(read_at_own_size(path)[0, :, 1], expected)


@pytest.mark.parametrize(("top", "dtype"), [(1, np.float32), (255, np.float32), (65535, np.int32), (255, np.int32)])
@pytest.mark.parametrize("outlier", [-1, 1.02, 40])
def test_one_odd_pixel_does_not_decide_of_what_range_a_picture_is(tmp_path, top, dtype, outlier):
    ramp = np.tile(np.linspace(0, top, 40), (32, 1)).astype(dtype)
    Image.fromarray(ramp).save(tmp_path / "plain.tif")
    ramp[0, 0] = outlier * top
    Image.fromarray(ramp).save(tmp_path / "odd.tif")
    plain, odd = read_at_own_size(tmp_path / "plain.tif"), read_at_own_size(tmp_path / "odd.tif")
    assert abs(plain.mean() - 127.5) < 1
    np.testing.assert_array_equal(plain[1:], odd[1:])


def test_sixteen_bits_mean_the_same_in_every_format(tmp_path):
    dark = np.tile(np.linspace(0, 250, 40).astype(np.uint16), (32, 1))
    for factor in (1, 200):
        values = dark * np.uint16(factor)
        Image.fromarray(values).save(tmp_path / "wide.png")
        Image.fromarray(values).save(tmp_path / "wide.tif")
        Image.fromarray(values.astype(">u2")).save(tmp_path / "big end.tiff")
        Image.fromarray(values).save(tmp_path / "wide.jp2")
        (tmp_path / "wide.pgm").write_bytes(b"P5\n40 32\n65535\n" + values.astype(">u2").tobytes())
        for name in ("wide.png", "wide.tif", "big end.tiff", "wide.jp2", "wide.pgm"):
            pixels = read_at_own_size(tmp_path / name)
            np.testing.assert_array_equal(pixels[..., 1], np.rint(values / 257))


@pytest.mark.parametrize("brightest", [100, 255, 1023, 4095])
def test_a_portable_grey_map_says_itself_what_white_is(tmp_path, brightest):
    values = np.tile(np.linspace(0, brightest, 40).round().astype(np.uint16), (32, 1))
    head = f"40 32\n{brightest}\n".encode()
    (tmp_path / "bytes.pgm").write_bytes(b"P5\n" + head + values.astype(">u2" if brightest > 255 else "u1").tobytes())
    (tmp_path / "digits.pgm").write_bytes(b"P2\n" + head + b" ".join(b"%d" % value for value in values.ravel()))
    for name in ("bytes.pgm", "digits.pgm"):
        pixels = read_at_own_size(tmp_path / name)
        np.testing.assert_allclose(pixels[..., 1], values * (255 / brightest), atol=0.51)


def tiff(values, *, sample_format, white_is_zero=False):
    """A TIFF file of one grey channel that no library here writes."""
    data = np.ascontiguousarray(values).tobytes()
    height, width = values.shape
    short, long = 3, 4
    tags = [
        (256, long, width), (257, long, height), (258, short, 8 * values.itemsize), (259, short, 1),
        (262, short, 0 if white_is_zero else 1), (273, long, 8), (277, short, 1), (278, long, height),
        (279, long, len(data)), (339, short, sample_format),
    ]  # fmt: skip
    entries = b"".join(struct.pack("<HHII", tag, kind, 1, value) for tag, kind, value in tags)
    return struct.pack("<2sHI", b"II", 42, 8 + len(data)) + data + struct.pack("<H", len(tags)) + entries + bytes(4)


def test_what_is_whole_and_cannot_be_read_is_not_called_damaged(tmp_path):
    ramp = np.tile(np.linspace(0, 1, 40), (32, 1))
    good, inverted = tmp_path / "good.tif", tmp_path / "inverted.tif"
    good.write_bytes(tiff(ramp.astype("<f4"), sample_format=3))
    inverted.write_bytes(tiff(((1 - ramp) * 255).astype("u1"), sample_format=1, white_is_zero=True))
    for path in (good, inverted):
        np.testing.assert_allclose(read_at_own_size(path)[..., 1], ramp * 255, atol=1)
    varieties = {
        "double.tif": tiff(ramp.astype("<f8"), sample_format=3),
        "half.tif": tiff(ramp.astype("<f2"), sample_format=3),
        "complex.tif": tiff(ramp.astype("<c8"), sample_format=6),
    }
    for name, content in varieties.items():
        (tmp_path / name).write_bytes(content)
        assert error_of(tmp_path / name).cause.reason is Reason.UNSUPPORTED, name
        (tmp_path / f"cut {name}").write_bytes(content[: len(content) // 2])
        assert error_of(tmp_path / f"cut {name}").cause.reason is not Reason.UNSUPPORTED, name


@pytest.mark.parametrize("place", [33, -12])
@pytest.mark.parametrize("megabytes", [2, 65])
def test_a_png_with_long_texts_is_used_or_at_least_not_called_damaged(tmp_path, place, megabytes):
    path = tmp_path / "workflow.png"
    Image.fromarray(noise(8, 8)).save(path)
    whole = path.read_bytes()
    text = b"workflow\0\0" + zlib.compress(bytes(megabytes * 2**20).replace(b"\0", b"x"))
    chunk = struct.pack(">I", len(text)) + b"zTXt" + text + struct.pack(">I", zlib.crc32(b"zTXt" + text))
    path.write_bytes(whole[:place] + chunk + whole[place:])
    if megabytes == 2:
        np.testing.assert_array_equal(read_at_own_size(path), noise(8, 8))
    else:
        assert error_of(path).message.startswith("The image is of a variety that cannot be read here")


def test_cmyk_becomes_rgb(tmp_path):
    path = tmp_path / "cyan.jpg"
    Image.new("CMYK", (16, 16), (255, 0, 0, 0)).save(path, quality=95)
    np.testing.assert_allclose(read_at_own_size(path)[8, 8].astype(int), [0, 255, 255], atol=6)


def test_lab_keeps_its_colours(tmp_path):
    from PIL import ImageCms

    colours = [(200, 30, 40), (30, 160, 60), (240, 240, 240), (20, 20, 20)]
    picture = Image.new("RGB", (4, 1))
    picture.putdata(colours)
    profiles = ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB")
    ImageCms.applyTransform(picture, ImageCms.buildTransform(*profiles, "RGB", "LAB")).save(tmp_path / "lab.tif")
    np.testing.assert_allclose(read_at_own_size(tmp_path / "lab.tif")[0].astype(int), colours, atol=4)


def test_what_transparency_hides_stays_hidden(tmp_path):
    """A transparent pixel that holds red must come out white, as a viewer shows it, and not red."""
    pixels = np.zeros((4, 4, 4), np.uint8)
    pixels[..., 0] = 255
    pixels[:2, :, 3] = 255
    pixels[2, :, 3] = 128
    for name in ("alpha.png", "alpha.webp", "alpha.tif"):
        Image.fromarray(pixels).save(tmp_path / name, lossless=True, exact=True)
        read = read_at_own_size(tmp_path / name).astype(int)
        np.testing.assert_array_equal(read[0, 0], [255, 0, 0])
        np.testing.assert_allclose(read[2, 0], [255, 127, 127], atol=1)
        np.testing.assert_array_equal(read[3, 0], [255, 255, 255])


def test_grey_with_alpha(tmp_path):
    Image.merge("LA", [Image.new("L", (4, 4), 10), Image.new("L", (4, 4), 0)]).save(tmp_path / "la.png")
    assert (read_at_own_size(tmp_path / "la.png") == 255).all()
    assert check_image(tmp_path / "la.png").grey


def test_transparent_colours_of_palette_rgb_and_grey_files(tmp_path):
    palette = Image.new("P", (4, 4), 1)
    palette.putpalette([255, 0, 0, 0, 0, 255])
    palette.paste(0, (0, 0, 2, 4))
    palette.save(tmp_path / "index.png", transparency=0)
    palette.save(tmp_path / "index.gif", transparency=0)
    palette.save(tmp_path / "bytes.png", transparency=bytes([128, 255]))
    Image.new("RGB", (4, 4), (1, 2, 3)).save(tmp_path / "rgb.png", transparency=(1, 2, 3))
    Image.new("L", (4, 4), 9).save(tmp_path / "grey.png", transparency=9)

    for name in ("index.png", "index.gif"):
        pixels = read_at_own_size(tmp_path / name)
        np.testing.assert_array_equal(pixels[0, 0], [255, 255, 255])
        np.testing.assert_array_equal(pixels[0, 3], [0, 0, 255])
    np.testing.assert_allclose(read_at_own_size(tmp_path / "bytes.png")[0, 0].astype(int), [255, 127, 127], atol=1)
    assert (read_at_own_size(tmp_path / "rgb.png") == 255).all()
    assert (read_at_own_size(tmp_path / "grey.png") == 255).all()


def test_a_transparent_colour_beyond_eight_bits_is_ignored():
    picture = Image.new("RGB", (2, 2), (5, 6, 7))
    picture.info["transparency"] = (60000, 1, 1)
    assert eight_bits(picture, None).getpixel((0, 0)) == (5, 6, 7)


@pytest.mark.parametrize("mode", ["1", "L", "P", "PA", "YCbCr", "LAB", "HSV", "RGBX", "RGBa"])
def test_every_mode_of_pillow_flattens(mode):
    start = Image.new("RGBA" if mode == "RGBa" else "P" if mode == "PA" else "RGB", (3, 3), 0)
    assert eight_bits(start.convert(mode), None).mode in {"L", "RGB"}


def test_one_bit_files_are_black_and_white(tmp_path):
    bits = np.array([[True, False], [False, True]])
    Image.fromarray(bits).save(tmp_path / "bits.png")
    np.testing.assert_array_equal(read_at_own_size(tmp_path / "bits.png")[..., 0], [[255, 0], [0, 255]])


@pytest.mark.parametrize("suffix", ["gif", "webp", "png", "tif"])
def test_the_first_frame_of_an_animation_counts(tmp_path, suffix):
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "lime", "blue")]
    path = tmp_path / f"moving.{suffix}"
    frames[0].save(path, save_all=True, append_images=frames[1:], lossless=True)
    np.testing.assert_array_equal(read_at_own_size(path)[4, 4], [255, 0, 0])


def test_grey_is_told_from_colour(tmp_path):
    grey = np.repeat(noise(16, 16)[..., :1], 3, axis=2)
    for name, pixels in {"grey": grey, "colour": noise(16, 16)}.items():
        Image.fromarray(pixels).save(tmp_path / f"{name}.png")
        Image.fromarray(pixels).save(tmp_path / f"{name}.jpg")
    one_pixel = grey.copy()
    one_pixel[15, 15] = (200, 10, 10)
    Image.fromarray(one_pixel).save(tmp_path / "nearly.png")
    assert check_image(tmp_path / "grey.png") == ImageFacts(16, 16, True, "PNG")
    assert check_image(tmp_path / "grey.jpg").grey
    assert not check_image(tmp_path / "colour.png").grey
    assert not check_image(tmp_path / "colour.jpg").grey
    assert not check_image(tmp_path / "nearly.png").grey


# -- what is no image ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 5\n", "git lfs pull"),
        (b"<!DOCTYPE html><html><body>404</body></html>", "web page"),
        (b"\xef\xbb\xbf\r\n <HTML><head>", "web page"),
        (b'<?xml version="1.0"?>\n<svg xmlns="http://www.w3.org/2000/svg"/>', "SVG"),
        (b"404: Not Found", "text, not an image (“404: Not Found”)"),
        ("ünïcödé ".encode() * 80, "text"),
        ("notes".encode("utf-16"), "text"),
        (b"%PDF-1.7\n\x00\x01\xff", "PDF"),
        (b"PK\x03\x04\x14\x00\x06\x00", "ZIP"),
        pytest.param(
            b"\x00\x00\x00\x18ftypheic\x00\x00\x00\x00mif1heic",
            "HEIC",
            marks=pytest.mark.skipif(bool(find_spec("pillow_heif")), reason="with pillow-heif it is an image"),
        ),
        (b"\x00\x00\x00\x18ftypisom\x00\x00\x00\x00isom", "video"),
        (b"\x00\x05\x16\x07\x00\x02\x00\x00Mac OS X", "macOS"),
        (b"\x00\x01\x02\x03\x04\x05\x06\x07", "not an image of any kind"),
    ],
)
def test_other_content_is_named(tmp_path, content, words):
    path = tmp_path / "picture.jpg"
    path.write_bytes(content)
    error = error_of(path)
    assert words in error.message
    assert error.cause.kind is IssueKind.UNREADABLE
    assert error.cause.lasting
    assert not holds_image_data(path)
    assert error_of(path.rename(tmp_path / "notes.txt")).cause.kind is IssueKind.NOT_AN_IMAGE


def test_text_that_begins_like_an_image_is_still_text(tmp_path):
    path = tmp_path / "cars.txt"
    path.write_text("BMW, Audi and other cars that I like very much indeed.")
    assert error_of(path).cause.kind is IssueKind.NOT_AN_IMAGE


def test_postscript_is_not_even_tried(tmp_path, monkeypatch):
    """Pillow would run Ghostscript on it."""
    monkeypatch.setattr("subprocess.check_call", lambda *_, **__: pytest.fail("something was run"))
    path = tmp_path / "drawing.jpg"
    path.write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\nshowpage\n")
    assert error_of(path).cause.kind is IssueKind.UNREADABLE


def test_an_empty_file_is_called_empty(tmp_path):
    path = tmp_path / "empty.jpg"
    path.touch()
    assert error_of(path).cause.kind is IssueKind.EMPTY_FILE
    assert "0 bytes" in error_of(path).message


@pytest.mark.parametrize("suffix", ["jpg", "png", "gif", "webp", "bmp"])
@pytest.mark.parametrize("kept", [0.3, 0.9])
def test_a_truncated_file_is_called_incomplete(tmp_path, suffix, kept):
    path = tmp_path / f"cut.{suffix}"
    Image.fromarray(noise(64, 64)).save(path)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(kept * len(whole))])
    assert error_of(path).cause.kind is IssueKind.TRUNCATED


@pytest.mark.parametrize("progressive", [False, True])
def test_a_large_jpeg_that_lost_only_its_last_rows_is_found(tmp_path, progressive):
    """The check decodes at an eighth of the size; it must still meet the missing end."""
    path = tmp_path / "cut.jpg"
    Image.fromarray(noise(640, 640)).save(path, progressive=progressive)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(0.97 * len(whole))])
    assert error_of(path).cause.kind is IssueKind.TRUNCATED


@pytest.mark.parametrize("suffix", WHOLE_FORMATS)
def test_no_damage_ends_in_anything_but_an_image_error(tmp_path, suffix):
    path = tmp_path / f"picture.{suffix}"
    Image.fromarray(noise(24, 24)).save(path)
    whole = path.read_bytes()
    random = np.random.default_rng(1)
    refused = 0
    for _ in range(60):
        broken = bytearray(whole[: random.integers(1, len(whole) + 1)] if random.random() < 0.3 else whole)
        for place in random.integers(0, len(broken), 6):
            # Mostly in the header, where decoders are least prepared for it.
            broken[place if random.random() < 0.4 else place % min(64, len(broken))] = random.integers(0, 256)
        path.write_bytes(bytes(broken))
        for read in (probe_image, check_image, lambda path: read_image(path, 8, 8)):
            try:
                read(path)
            except ImageError:
                refused += 1
    assert refused


@pytest.mark.parametrize(
    "raised",
    [
        SyntaxError("bad"),
        ValueError("bad"),
        TypeError("bad"),
        IndexError("bad"),
        KeyError("bad"),
        struct.error("bad"),
        zlib.error("bad"),
        EOFError("bad"),
        OverflowError("bad"),
        AssertionError("bad"),
        MemoryError(),
        Image.DecompressionBombError("bad"),
        RecursionError("bad"),
        OSError("decoder error -2"),
    ],
)
def test_whatever_pillow_raises_becomes_an_image_error(tmp_path, monkeypatch, write_image, raised):
    path = write_image(tmp_path / "fine.png")

    def fail(*_):
        raise raised

    monkeypatch.setattr(ImageFile.ImageFile, "load", fail)
    error = error_of(path)
    large = isinstance(raised, MemoryError | Image.DecompressionBombError)
    expected = IssueKind.TOO_LARGE if large else IssueKind.UNREADABLE
    assert error.cause.kind in {expected, IssueKind.TRUNCATED}
    assert (error.cause.kind is IssueKind.TRUNCATED) == isinstance(raised, EOFError)


# -- size limit ----------------------------------------------------------------------------------------------------


def bmp_header(width: int, height: int) -> bytes:
    return b"BM" + struct.pack("<IHHIIiiHHIIiiII", 54, 0, 0, 54, 40, width, height, 1, 24, 0, 0, 0, 0, 0, 0)


def png_header(width: int, height: int) -> bytes:
    body = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + body + struct.pack(">I", zlib.crc32(body))


def test_a_bomb_is_refused_by_its_header(tmp_path):
    path = tmp_path / "bomb.png"
    path.write_bytes(png_header(100_000, 90_000) + struct.pack(">I", 8) + b"IDAT")
    error = error_of(path)
    assert error.cause.kind is IssueKind.TOO_LARGE
    assert "9,000 megapixels" in error.message


@pytest.mark.parametrize("megapixels", [100, 180, 199])
def test_pillows_own_bomb_limits_do_not_count(tmp_path, megapixels):
    """Pillow warns from 89 megapixels on and refuses from 179 on; a phone's camera makes 200."""
    path = tmp_path / "large.bmp"
    path.write_bytes(bmp_header(10_000, megapixels * 100) + bytes(600))
    assert probe_image(path) == ImageFacts(megapixels * 100, 10_000, False, "BMP")


def test_large_pictures_take_turns(tmp_path, monkeypatch, write_image):
    path = write_image(tmp_path / "picture.png")
    monkeypatch.setattr(images, "_LARGE_PIXELS", 10)
    held = []
    load = ImageFile.ImageFile.load
    monkeypatch.setattr(
        ImageFile.ImageFile, "load", lambda image: held.append(images._large_gate.locked()) or load(image)
    )
    check_image(path)
    assert held[0]
    assert not images._large_gate.locked()


# -- the file system -----------------------------------------------------------------------------------------------


def test_a_missing_file(tmp_path, write_image):
    error = error_of(tmp_path / "gone.jpg")
    assert error.cause.kind is IssueKind.MISSING
    assert not error.cause.lasting
    assert error_of(write_image(tmp_path / "file.png") / "inside.jpg").cause.kind is IssueKind.MISSING


@pytest.mark.parametrize(
    ("code", "kind"),
    [(errno.EACCES, IssueKind.NO_PERMISSION), (errno.EIO, IssueKind.UNREADABLE), (errno.ESTALE, IssueKind.UNREADABLE)],
)
def test_what_the_system_refuses_is_not_blamed_on_the_file(tmp_path, monkeypatch, write_image, code, kind):
    path = write_image(tmp_path / "fine.png")

    def refuse(*_, **__):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(Path, "open", refuse)
    error = error_of(path)
    assert error.cause.kind is kind
    assert not error.cause.lasting


def test_a_file_without_read_permission(tmp_path, write_image):
    path = write_image(tmp_path / "secret.png")
    path.chmod(0)
    if os.access(path, os.R_OK):
        pytest.skip("this user may read everything")
    assert error_of(path).cause.kind is IssueKind.NO_PERMISSION


def test_folders_pipes_and_impossible_names(tmp_path):
    assert error_of(tmp_path).cause.kind is IssueKind.NOT_AN_IMAGE
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "pipe.jpg")
        assert error_of(tmp_path / "pipe.jpg").cause.kind is IssueKind.NOT_AN_IMAGE
    assert error_of(tmp_path / ("n" * 300)).cause.kind in {IssueKind.UNREADABLE, IssueKind.MISSING}
    assert error_of(tmp_path / "nul\0.jpg").cause.kind is IssueKind.UNREADABLE


@pytest.mark.parametrize("name", ["猫 の写真.png", "Gato ñandú é.png", "🐱.png", "n" * 240 + ".png", "a%20b#?.png"])
def test_names_of_every_kind_are_read(tmp_path, write_image, name):
    assert check_image(write_image(tmp_path / name)).width == 16


# -- manners -------------------------------------------------------------------------------------------------------


def test_pillows_warnings_neither_leak_nor_stay_silenced(tmp_path):
    """A palette file with alpha bytes and a bad APNG make Pillow warn; warnings are errors in this suite."""
    path = tmp_path / "apng.png"
    Image.fromarray(noise(8, 8)).save(path)
    whole = path.read_bytes()
    chunk = b"acTL" + struct.pack(">II", 0, 0)
    chunk = struct.pack(">I", 8) + chunk + struct.pack(">I", zlib.crc32(chunk))
    path.write_bytes(whole[:33] + chunk + whole[33:])
    with pytest.warns(UserWarning, match="APNG"):
        Image.open(path).close()

    before = list(warnings.filters)
    with ThreadPoolExecutor(8) as pool:
        assert len({facts.width for facts in pool.map(check_image, [path] * 64)}) == 1
    assert list(warnings.filters) == before


def test_files_are_closed_at_once(tmp_path, write_image):
    path = write_image(tmp_path / "picture.tif")
    before = len(list(Path("/proc/self/fd").iterdir())) if Path("/proc/self/fd").exists() else None
    kept = [read_image(path, 4, 4) for _ in range(20)]
    path.write_bytes(b"II*\0broken")
    for _ in range(20):
        with pytest.raises(ImageError):
            check_image(path)
    path.unlink()  # Windows refuses this while the file is open
    assert len(kept) == 20
    if before is not None:
        assert len(list(Path("/proc/self/fd").iterdir())) <= before
