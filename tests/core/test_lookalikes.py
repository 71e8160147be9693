"""Pictures that look alike are found, and others are not taken for them."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image, ImageEnhance, ImageOps

from cnn_studio.core.data import near_duplicates as lookalikes
from cnn_studio.core.data.near_duplicates import find_lookalikes
from cnn_studio.core.image.fingerprints import FINGERPRINT_BYTES, are_blank, make_fingerprint
from cnn_studio.core.job.jobs import CancelToken, JobCancelled, JobContext


def scene(seed: int, height: int = 120, width: int = 160) -> Image.Image:
    """A made-up photograph: soft shapes of every size, as strong as they are large."""
    random = np.random.default_rng(seed)
    picture = np.zeros((height, width, 3))
    for side in (3, 6, 12, 24):
        part = Image.fromarray(random.integers(0, 256, (side, side, 3), dtype=np.uint8))
        picture += np.asarray(part.resize((width, height), Image.Resampling.BICUBIC), float) / side
    picture -= picture.min()
    return Image.fromarray((picture * (255 / picture.max())).astype(np.uint8))


def saved(picture: Image.Image, quality: int) -> Image.Image:
    data = io.BytesIO()
    picture.save(data, "JPEG", quality=quality)
    return Image.open(data).convert("RGB")


def groups(pictures: list[Image.Image]) -> list[int]:
    rows = np.stack([np.frombuffer(make_fingerprint(picture), np.uint8) for picture in pictures])
    return find_lookalikes(rows, JobContext()).tolist()


COPIES = {
    "recompressed": lambda picture: saved(picture, 25),
    "smaller": lambda picture: picture.resize((50, 37), Image.Resampling.LANCZOS),
    "larger": lambda picture: picture.resize((500, 375), Image.Resampling.NEAREST),
    "mirrored": ImageOps.mirror,
    "cropped": lambda picture: picture.crop((8, 0, 155, 116)),
    "cropped and mirrored": lambda picture: ImageOps.mirror(picture.crop((0, 5, 150, 118))),
    "brighter": lambda picture: ImageEnhance.Brightness(picture).enhance(1.25),
    "darker": lambda picture: ImageEnhance.Brightness(picture).enhance(0.7),
    "without colour": lambda picture: ImageEnhance.Color(picture).enhance(0.6),
}


@pytest.mark.parametrize("copy", COPIES)
def test_a_copy_looks_like_its_original_and_nothing_else_does(copy):
    originals = [scene(seed) for seed in range(40)]
    found = groups([*originals, *(COPIES[copy](picture) for picture in originals[:20])])
    assert found[:40] == [*range(1, 21), *[0] * 20]
    assert found[40:] == found[:20]


def test_copies_of_copies_are_one_group():
    picture = scene(1)
    chain = [picture, picture.crop((8, 6, 160, 120)), picture.crop((8, 6, 150, 112))]
    assert groups([scene(2), *chain, scene(3), ImageOps.mirror(picture)]) == [0, 1, 1, 1, 0, 1]


def test_a_thousand_copies_are_one_group():
    assert groups([scene(1)] * 1000 + [scene(2)] * 2 + [scene(3)]) == [1] * 1000 + [2] * 2 + [0]


def test_the_same_shape_in_another_colour_is_another_picture():
    shape = np.zeros((64, 64, 3), np.uint8)
    shape[16:48, 20:40] = (200, 30, 30)
    other = np.zeros((64, 64, 3), np.uint8)
    other[16:48, 20:40] = (20, 80, 210)
    assert groups([Image.fromarray(shape), Image.fromarray(other)]) == [0, 0]


def test_flat_pictures_are_alike_only_where_they_are_the_same():
    random = np.random.default_rng(0)
    flat = [Image.fromarray((120 + random.integers(-1, 2, (64, 64))).astype(np.uint8)) for _ in range(5)]
    assert groups([*flat, flat[0]]) == [1, 0, 0, 0, 0, 1]


def test_blank_pictures_are_told_from_drawings():
    page = Image.new("L", (600, 800), 250)
    drawing = page.copy()
    drawing.paste(0, (100, 100, 140, 500))
    dirty = page.copy()
    dirty.paste(0, (10, 10, 14, 14))
    gradient = Image.fromarray(np.tile(np.arange(160, dtype=np.uint8), (120, 1)))
    rows = np.stack([np.frombuffer(make_fingerprint(p), np.uint8) for p in (page, drawing, dirty, gradient, scene(1))])
    assert rows.shape == (5, FINGERPRINT_BYTES)
    assert are_blank(rows).tolist() == [True, False, True, False, False]


def test_blocks_do_not_matter(monkeypatch):
    pictures = [scene(seed) for seed in range(30)]
    pictures += [saved(picture, 50) for picture in pictures[5:25]]
    expected = groups(pictures)
    for name, size in (("_ROWS", 7), ("_COLUMNS", 11), ("_PAIRS", 5)):
        monkeypatch.setattr(lookalikes, name, size)
    assert groups(pictures) == expected


def test_few_and_no_pictures():
    assert groups([scene(1)]) == [0]
    nothing = find_lookalikes(np.zeros((0, FINGERPRINT_BYTES), np.uint8), JobContext())
    assert nothing.tolist() == []


def test_cancelling():
    token = CancelToken()
    token.cancel()
    rows = np.random.default_rng(0).integers(0, 256, (10, FINGERPRINT_BYTES), dtype=np.uint8)
    with pytest.raises(JobCancelled):
        find_lookalikes(rows, JobContext(cancel=token))
