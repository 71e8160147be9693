"""Versions of one picture are found, and other pictures are not taken for them."""

from __future__ import annotations

import io
from itertools import combinations

import numpy as np
import pytest
from PIL import Image, ImageChops, ImageDraw, ImageEnhance, ImageFilter, ImageOps

from cnn_studio.core.data import view_search
from cnn_studio.core.data.near_duplicates import Groups, Likeness, find_pairs, group
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


def marked(picture: Image.Image, box: tuple[int, int, int, int]) -> Image.Image:
    copy = picture.copy()
    ImageDraw.Draw(copy).rectangle(box, fill="white")
    return copy


def moved(picture: Image.Image, across: int, down: int) -> Image.Image:
    copy = Image.new("RGB", picture.size)
    copy.paste(picture, (across, down))
    return copy


def rows_of(pictures: list[Image.Image]) -> np.ndarray:
    return np.stack([np.frombuffer(make_fingerprint(picture), np.uint8) for picture in pictures])


def grouped(pictures: list[Image.Image]) -> Groups:
    return group(len(pictures), find_pairs(rows_of(pictures), JobContext()))


def groups(pictures: list[Image.Image]) -> list[int]:
    return list(grouped(pictures).connected)


COPIES = {
    **{how.name.lower(): lambda picture, how=how: picture.transpose(how) for how in Image.Transpose},
    "recompressed": lambda picture: saved(picture, 25),
    "smaller": lambda picture: picture.resize((50, 37), Image.Resampling.LANCZOS),
    "larger": lambda picture: picture.resize((500, 375), Image.Resampling.NEAREST),
    "cropped": lambda picture: picture.crop((8, 0, 155, 116)),
    "cropped by 15 %": lambda picture: picture.crop((0, 18, 136, 120)),
    "cropped by 30 %": lambda picture: picture.crop((30, 10, 142, 94)),
    "cropped and mirrored": lambda picture: ImageOps.mirror(picture.crop((0, 5, 150, 118))),
    "cropped and turned by 90°": lambda picture: picture.crop((0, 5, 150, 118)).transpose(Image.Transpose.ROTATE_90),
    "brighter": lambda picture: ImageEnhance.Brightness(picture).enhance(1.25),
    "darker": lambda picture: ImageEnhance.Brightness(picture).enhance(0.7),
    "less colour": lambda picture: ImageEnhance.Color(picture).enhance(0.6),
    "grey": ImageOps.grayscale,
    "blurred": lambda picture: picture.filter(ImageFilter.GaussianBlur(2)),
    "mark in the middle": lambda picture: marked(picture, (50, 45, 110, 80)),
    "mark along the edge": lambda picture: marked(picture, (0, 102, 160, 120)),
    "turned by 5°": lambda picture: picture.rotate(5, Image.Resampling.BICUBIC),
    "turned by -10°": lambda picture: picture.rotate(-10, Image.Resampling.BICUBIC),
    "turned by 15°": lambda picture: picture.rotate(15, Image.Resampling.BICUBIC, fillcolor="white"),
    "shifted by 10 %": lambda picture: moved(picture, 16, -12),
    "shifted round by 10 %": lambda picture: ImageChops.offset(picture, -16, 12),
}


@pytest.mark.parametrize("copy", COPIES)
def test_a_copy_looks_like_its_original_and_nothing_else_does(copy):
    originals = [scene(seed) for seed in range(16)]
    found = groups([*originals, *(COPIES[copy](picture) for picture in originals[:8])])
    assert found[:16] == [*range(1, 9), *[0] * 8]
    assert found[16:] == found[:8]


def test_what_is_only_turned_mirrored_or_saved_again_is_the_same_picture():
    originals = [scene(seed) for seed in range(6)]
    copies = [
        originals[0].transpose(Image.Transpose.ROTATE_90),
        originals[1].transpose(Image.Transpose.TRANSVERSE),
        saved(originals[2], 40),
        originals[3].crop((6, 0, 154, 120)),
    ]
    found = grouped([*originals, *copies])
    assert found.same == ((1,), (2,), (3,), (4,), (), (), (1,), (2,), (3,), (4,))


def test_what_is_merely_alike_is_not_called_the_same():
    picture = np.asarray(scene(1), float)
    other = np.asarray(scene(2), float)
    mixed = Image.fromarray((0.88 * picture + 0.12 * other).astype(np.uint8))
    found = grouped([scene(1), scene(3), mixed])
    assert found.alike == ((1,), (), (1,))
    assert found.same == ((), (), ())


def capped(print_seed: int) -> Image.Image:
    """A bottle cap on a table: all are alike but for what is printed on them."""
    picture = scene(0, 96, 96).convert("L").point(lambda level: level // 4)
    ImageDraw.Draw(picture).ellipse((8, 8, 88, 88), fill=200)
    printed = scene(print_seed, 32, 32).convert("L").point(lambda level: 150 + level // 4)
    picture.paste(printed, (32, 32))
    return picture


@pytest.mark.parametrize("turn", [0, 90])
def test_things_that_differ_in_one_place_are_not_the_same(turn):
    caps = [capped(1), capped(2).rotate(turn)]
    assert grouped(caps).same == ((), ())
    assert grouped([caps[0], caps[0].rotate(turn).resize((64, 64))]).same == ((1,), (1,))


def test_the_same_thing_in_another_colour_is_not_the_same():
    luma, blue, red = scene(1).convert("YCbCr").split()
    redder = Image.merge("YCbCr", (luma, blue, red.point(lambda level: min(255, level + 28)))).convert("RGB")
    found = grouped([scene(1), redder, scene(2)])
    assert found.alike == ((1,), (1,), ())
    assert found.same == ((), (), ())


def test_a_marked_copy_is_alike_but_not_verified():
    found = grouped([scene(1), marked(scene(1), (0, 0, 50, 40)), scene(2)])
    assert found.alike == ((1,), (1,), ())
    assert found.same == ((), (), ())


def test_many_versions_of_one_picture_are_found():
    """Sets that were augmented before they were shared hold more versions of a picture than make a crowd."""
    versions = [scene(1).rotate(degrees, Image.Resampling.BICUBIC) for degrees in range(-12, 13, 3)]
    assert groups([*versions, scene(2), scene(3)]) == [1] * len(versions) + [0, 0]


def test_shrunk_copies_stand_in_a_crowd_of_their_like(shared_data):
    """Shirts of 28 pixels are all alike once each is laid upon the other, and a shrunk copy comes no nearer."""
    shirts = [Image.open(path) for path in sorted((shared_data / "fashion_mnist/train/shirt").iterdir())[:120]]
    copies = [shirt.resize((18, 18)) for shirt in shirts[::3]]
    found = find_pairs(rows_of(shirts + copies), JobContext())
    pairs = {(min(a, b), max(a, b)) for a, b, _ in found.tolist()}
    assert sum((3 * number, 120 + number) in pairs for number in range(40)) >= 39
    assert sum(b < 120 for _, b in pairs) <= 2


def test_copies_of_copies_stay_together_but_are_not_shown_as_one():
    wide = scene(1, 120, 240)
    chain = [wide.crop((start, 0, start + 120, 120)) for start in (0, 30, 60, 90, 120)]
    pairs = find_pairs(rows_of(chain), JobContext())
    found = group(len(chain), pairs)
    assert found.connected == (1,) * 5
    linked = {(a, b) for a, b, _ in pairs.tolist()}
    assert (0, 4) not in linked  # they have nothing in common
    shown = {
        number: [place for place, of in enumerate(found.alike) if number in of] for of in found.alike for number in of
    }
    together = {pair for members in shown.values() for pair in combinations(members, 2)}
    assert together == linked


def test_pairs_are_put_into_groups_without_chains():
    alike, same, equal = Likeness.ALIKE, Likeness.SAME, Likeness.EQUAL
    pairs = [(1, 2, same), (1, 3, alike), (2, 3, alike), (3, 4, same), (1, 6, equal), (7, 8, equal)]
    found = group(10, np.array(pairs))
    assert found.connected == (0, 1, 1, 1, 1, 0, 1, 2, 2, 0)
    assert found.alike == ((), (1,), (1,), (1, 2), (2,), (), (1,), (3,), (3,), ())
    assert found.same == ((), (1,), (1,), (2,), (2,), (), (1,), (3,), (3,), ())


def test_no_pairs_make_no_groups():
    assert group(2, np.zeros((0, 3), np.int64)) == Groups((0, 0), ((), ()), ((), ()))


def test_a_thousand_copies_are_one_group():
    found = grouped([scene(1)] * 1000 + [scene(2)] * 2 + [scene(3)])
    assert list(found.connected) == [1] * 1000 + [2] * 2 + [0]
    assert found.alike == found.same == ((1,),) * 1000 + ((2,),) * 2 + ((),)


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
    rows = rows_of([page, drawing, dirty, gradient, scene(1)])
    assert rows.shape == (5, FINGERPRINT_BYTES)
    assert are_blank(rows).tolist() == [True, False, True, False, False]


def test_cells_do_not_lose_copies(monkeypatch):
    """Where there are many pictures, only the cells nearest to a view are looked through."""
    monkeypatch.setattr(view_search, "_COMPARED", 40)
    monkeypatch.setattr(view_search, "_CELL", 8)
    pictures = [scene(seed) for seed in range(100)]
    copies = [saved(picture.transpose(Image.Transpose.ROTATE_270), 60) for picture in pictures[5:25]]
    assert groups([*pictures, *copies]) == [0] * 5 + [*range(1, 21)] + [0] * 75 + [*range(1, 21)]


def test_few_and_no_pictures():
    assert groups([scene(1)]) == [0]
    nothing = find_pairs(np.zeros((0, FINGERPRINT_BYTES), np.uint8), JobContext())
    assert nothing.shape == (0, 3)


def test_cancelling_between_two_steps():
    class Impatient(CancelToken):
        looks = 0

        def raise_if_cancelled(self) -> None:
            self.looks += 1
            if self.looks > 8:
                self.cancel()
            super().raise_if_cancelled()

    rows = rows_of([scene(seed) for seed in range(12)])
    patient = JobContext(cancel=(token := Impatient()))
    with pytest.raises(JobCancelled):
        find_pairs(rows, patient)
    assert token.looks == 9


def test_cancelling():
    token = CancelToken()
    token.cancel()
    rows = np.random.default_rng(0).integers(0, 256, (10, FINGERPRINT_BYTES), dtype=np.uint8)
    with pytest.raises(JobCancelled):
        find_pairs(rows, JobContext(cancel=token))
