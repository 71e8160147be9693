"""A folder as bad as folders get: each file is used as a person sees it, or listed with its reason; none is touched."""

from __future__ import annotations

import io
import os
import struct
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cnn_studio.core.data.findings import examine
from cnn_studio.core.data.scan import scan_folder
from cnn_studio.core.data.split import split_dataset
from cnn_studio.core.experiment.settings import Fit, ImageSettings, SplitSettings
from cnn_studio.core.image.decoder import read_image
from cnn_studio.core.image.issues import IssueKind
from cnn_studio.core.job.jobs import JobContext
from cnn_studio.core.store.prepared import prepare_images

HEIGHT, WIDTH = 24, 32
_ROWS, _COLUMNS = np.mgrid[0:HEIGHT, 0:WIDTH]
COLOUR = np.stack([_ROWS * 10, _COLUMNS * 7, 255 - _ROWS * 5 - _COLUMNS * 2], axis=-1).astype(np.uint8)
GREY = (_ROWS * 6 + _COLUMNS * 3).astype(np.uint8)


def encoded(picture: Image.Image, kind: str, **options) -> bytes:
    data = io.BytesIO()
    picture.save(data, kind, **options)
    return data.getvalue()


def grey_rgb(grey: np.ndarray) -> np.ndarray:
    return np.repeat(grey[..., None], 3, axis=2)


def good_files() -> dict[str, tuple[bytes, np.ndarray, int]]:
    """Content, the pixels that a person sees, and by how many levels a lossy format may miss them."""
    colour, grey = Image.fromarray(COLOUR), Image.fromarray(GREY)
    wide = GREY.astype(np.uint16) * 257
    turned = Image.Exif()
    turned[0x0112] = 6
    lying = colour.transpose(Image.Transpose.ROTATE_90)
    hidden = np.dstack([COLOUR, np.where(_COLUMNS < 16, 255, 0).astype(np.uint8)])
    over_white = np.where((_COLUMNS < 16)[..., None], COLOUR, 255).astype(np.uint8)
    half = np.dstack([np.zeros_like(COLOUR), np.full((HEIGHT, WIDTH), 128, np.uint8)])
    palette = Image.fromarray((GREY // 64).astype(np.uint8), "P")
    palette.putpalette([0, 0, 0, 200, 30, 30, 30, 200, 30, 30, 30, 200])
    cmyk = np.dstack([255 - COLOUR, np.zeros((HEIGHT, WIDTH), np.uint8)])
    frames = [Image.fromarray(255 - COLOUR), Image.fromarray(COLOUR // 2)]
    black = np.zeros((HEIGHT, WIDTH), bool)
    black[:, :16] = True
    return {
        "plain.png": (encoded(colour, "PNG"), COLOUR, 0),
        "a jpeg named.png": (encoded(colour, "JPEG", quality=97, subsampling=0), COLOUR, 12),
        "no ending": (encoded(colour, "BMP"), COLOUR, 0),
        "UPPER.JPE": (encoded(colour, "JPEG", quality=97, subsampling=0), COLOUR, 12),
        "grey.jpg": (encoded(grey, "JPEG", quality=98), grey_rgb(GREY), 6),
        "sixteen bit.png": (encoded(Image.fromarray(wide), "PNG"), grey_rgb(GREY), 1),
        "sixteen bit.tif": (encoded(Image.fromarray(wide), "TIFF"), grey_rgb(GREY), 1),
        "float.tif": (encoded(Image.fromarray(GREY.astype(np.float32) / 255), "TIFF"), grey_rgb(GREY), 1),
        "turned.jpg": (encoded(lying, "JPEG", quality=97, subsampling=0, exif=turned), COLOUR, 12),
        "turned.webp": (encoded(lying, "WEBP", lossless=True, exif=turned), COLOUR, 0),
        "turned.png": (encoded(lying, "PNG", exif=turned), COLOUR, 0),
        "cmyk.jpg": (encoded(Image.fromarray(cmyk, "CMYK"), "JPEG", quality=97, subsampling=0), COLOUR, 14),
        "cmyk.tif": (encoded(Image.fromarray(cmyk, "CMYK"), "TIFF"), COLOUR, 1),
        "hidden colour.png": (encoded(Image.fromarray(hidden), "PNG"), over_white, 0),
        "half seen.webp": (encoded(Image.fromarray(half), "WEBP", lossless=True), np.full_like(COLOUR, 127), 1),
        "palette.png": (encoded(palette, "PNG"), np.asarray(palette.convert("RGB")), 0),
        "palette.gif": (encoded(palette, "GIF"), np.asarray(palette.convert("RGB")), 0),
        "transparent.gif": (
            encoded(palette, "GIF", transparency=0),
            np.where((GREY // 64 == 0)[..., None], 255, np.asarray(palette.convert("RGB"))),
            0,
        ),
        "one bit.png": (encoded(Image.fromarray(black).convert("1"), "PNG"), grey_rgb(np.uint8(255) * black), 0),
        "moving.webp": (encoded(colour, "WEBP", save_all=True, append_images=frames, lossless=True), COLOUR, 0),
        "moving.png": (encoded(colour, "PNG", save_all=True, append_images=frames), COLOUR, 0),
        "modern.avif": (encoded(colour, "AVIF", quality=100, subsampling="4:4:4"), COLOUR, 6),
        "猫 🐱 “ñ”.png": (encoded(colour, "PNG"), COLOUR, 0),
        "..two dots.png.png": (b"", COLOUR, 0),  # begins with a dot: passed over
    }


def png_that_claims(width: int, height: int) -> bytes:
    """A PNG file of that size with next to no pixels in it."""
    chunks = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0), b"IDAT" + zlib.compress(bytes(100))
    framed = (struct.pack(">I", len(chunk) - 4) + chunk + struct.pack(">I", zlib.crc32(chunk)) for chunk in chunks)
    return b"\x89PNG\r\n\x1a\n" + b"".join(framed)


def bad_files() -> dict[str, tuple[bytes, set[IssueKind]]]:
    random = np.random.default_rng(0)
    noisy = Image.fromarray(random.integers(0, 256, (200, 200, 3), dtype=np.uint8))
    broken = {IssueKind.TRUNCATED, IssueKind.UNREADABLE}
    kinds = {"jpg": "JPEG", "png": "PNG", "webp": "WEBP", "gif": "GIF", "tif": "TIFF", "bmp": "BMP"}
    cut = {f"cut.{suffix}": (encoded(noisy, kind)[:-2000], broken) for suffix, kind in kinds.items()}
    png = bytearray(encoded(noisy, "PNG"))
    png[5000:5100] = bytes(100)
    return cut | {
        "nothing.jpg": (b"", {IssueKind.EMPTY_FILE}),
        "page.jpg": (b"<!doctype html><title>404</title>", {IssueKind.UNREADABLE}),
        "pointer.png": (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n", {IssueKind.UNREADABLE}),
        "drawing.jpg": (b'<svg xmlns="http://www.w3.org/2000/svg"/>', {IssueKind.UNREADABLE}),
        "paper.jpeg": (b"%PDF-1.7\n%\xff\xff\xff\xff\n", {IssueKind.UNREADABLE}),
        "clip.jpg": (b"\x00\x00\x00\x18ftypisom\x00\x00\x02\x00isomiso2", {IssueKind.UNREADABLE}),
        "noise.jpg": (random.bytes(5000), {IssueKind.UNREADABLE}),
        "only a head.jpg": (b"\xff\xd8\xff\xe0\x00\x10JFIF\x00", broken),
        "zeros.png": (bytes(4096), {IssueKind.UNREADABLE}),
        "bomb.png": (png_that_claims(100_000, 100_000), {IssueKind.TOO_LARGE}),
        "no pixels.png": (png_that_claims(0, 10), broken),
        "one wrong byte.png": (bytes(png), broken),
        "table.csv": (b"a,b\n1,2\n", {IssueKind.NOT_AN_IMAGE}),
        "program.exe": (b"MZ\x90\x00" + bytes(60), {IssueKind.NOT_AN_IMAGE}),
    }


@pytest.fixture
def hostile(tmp_path) -> Path:
    root = tmp_path / "hostile"
    for name, (content, _, _) in good_files().items():
        path = root / "good" / "nested" / "deeper" / name if "turned" in name else root / "good" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    (root / "bad").mkdir()
    for name, (content, _) in bad_files().items():
        (root / "bad" / name).write_bytes(content)
    Image.fromarray(GREY).save(root / "bad" / "the only one.png")
    (root / "bad" / "folder.jpg").mkdir()
    (root / "empty").mkdir()
    (root / "good" / "__MACOSX").mkdir()
    for name in ("Thumbs.db", "desktop.ini", "._plain.png", "__MACOSX/._plain.png"):
        (root / "good" / name).write_bytes(b"\x00\x05\x16\x07")
    if sys.platform != "win32":
        (root / "bad" / "leads nowhere.png").symlink_to(root / "gone.png")
        (root / "bad" / "leads back").symlink_to(root)
        os.mkfifo(root / "bad" / "pipe.png")
    return root


def everything(root: Path) -> dict[str, tuple[int, int, bytes]]:
    return {
        str(path.relative_to(root)): (path.stat().st_size, path.stat().st_mtime_ns, path.read_bytes())
        for path in sorted(root.rglob("*"))
        if path.is_file() and "leads back" not in path.parts
    }


def test_every_file_is_used_or_listed_and_none_is_changed(hostile):
    before = everything(hostile)
    dataset = scan_folder(hostile, JobContext())
    prepared = prepare_images(dataset, HEIGHT, WIDTH, JobContext())
    examine(dataset, ImageSettings())
    split_dataset(dataset, SplitSettings())
    assert everything(hostile) == before
    assert dataset.class_names == ("bad", "good")
    assert prepared.issues == ()

    used = {Path(file.path).name: index for index, file in enumerate(dataset.files)}
    expected = {name: entry for name, entry in good_files().items() if not name.startswith(".")}
    assert used.keys() == {*expected, "the only one.png"}
    pixels = prepared.pixels
    for name, (_, seen, tolerance) in expected.items():
        difference = np.abs(pixels[prepared.rows[used[name]]].astype(int) - seen)
        assert difference.max() <= tolerance, (name, difference.max())

    listed = {issue.path.removeprefix("bad/"): issue for issue in dataset.issues}
    for name, (_, kinds) in bad_files().items():
        assert listed.pop(name).kind in kinds, name
    others = {name: issue.kind for name, issue in listed.items()}
    assert others.pop("empty") is IssueKind.EMPTY_CLASS
    if sys.platform != "win32":
        assert others.pop("leads nowhere.png") is IssueKind.MISSING
        assert others.pop("leads back") is IssueKind.LINK_LOOP
        assert others.pop("pipe.png") is IssueKind.NOT_AN_IMAGE
    assert others == {}
    assert all(issue.detail.endswith((".", ")")) for issue in dataset.issues)


@pytest.mark.parametrize("fit", Fit)
def test_every_good_file_fits_in_every_way(hostile, fit):
    for file in scan_folder(hostile, JobContext()).files:
        assert read_image(hostile / file.path, 20, 50, fit).shape == (20, 50, 3)
