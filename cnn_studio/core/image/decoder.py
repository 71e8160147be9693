"""THE decoder: an image file becomes an upright 8-bit array. Nobody else in the project opens an image.

Training, prediction and what the window shows all go through here, so that they see the same pixels: EXIF orientation
applied, transparency laid on white, 16-bit greys scaled and not clipped, CMYK turned to RGB, the first frame of an
animation. A file's content decides what it is, never its name.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import logging
import math
import os
import re
import stat
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import IO, Any, cast

import numpy as np
import PIL
from numpy.typing import NDArray

# Each plugin registers its format with Pillow when imported.
from PIL import (
    AvifImagePlugin,  # noqa: F401
    BmpImagePlugin,  # noqa: F401
    GifImagePlugin,  # noqa: F401
    IcoImagePlugin,  # noqa: F401
    Image,
    ImageFile,
    ImageOps,
    Jpeg2KImagePlugin,  # noqa: F401
    JpegImagePlugin,  # noqa: F401
    MpoImagePlugin,  # noqa: F401
    PngImagePlugin,  # noqa: F401
    PpmImagePlugin,  # noqa: F401
    TiffImagePlugin,  # noqa: F401
    WebPImagePlugin,  # noqa: F401
)

from cnn_studio.core.errors import CnnStudioError
from cnn_studio.core.experiment.settings import Fit
from cnn_studio.core.image.causes import Cause, Reason
from cnn_studio.core.image.fingerprints import LEAST_SIDE, make_fingerprint
from cnn_studio.core.image.foreign_files import HEAD_BYTES, is_text, lost_its_end, recognise_content
from cnn_studio.core.image.issues import IssueKind
from cnn_studio.core.image.pixels import GREY_MODES, flatten, is_colourless

DECODER_VERSION = 1
"""Raised whenever the same file would give other pixels; what was prepared before is then made anew."""

PIXEL_LIMIT = 200_000_000
"""Largest picture that is decoded, in pixels: the largest phone cameras have 200 megapixels, bombs far more."""

IMAGE_SUFFIXES = frozenset(
    f".{ending}"
    for endings in (
        ("jpg", "jpeg", "jpe", "jfif", "mpo", "png", "apng", "webp", "bmp", "dib", "gif", "tif", "tiff", "avif"),
        ("avifs", "heic", "heif", "hif", "ppm", "pgm", "pbm", "pnm", "pfm", "ico", "jp2", "j2k", "jpx"),
    )
    for ending in endings
)
"""Endings that promise an image. Only the wording of a complaint depends on them."""

# EPS and PDF are left out on purpose: Pillow would start Ghostscript on them.
_FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF", "PPM", "ICO", "JPEG2000", "HEIF")
# Decoded at most one at a time, so that sixteen threads do not ask for sixteen times 800 MB.
_LARGE_PIXELS = 40_000_000
_large_gate = threading.Lock()

# Pillow hands a JPEG to its decoder in pieces of 64 KB, and must wait for Python's lock after each of them.
_READ_AT_ONCE = 8 * 1024**2

_ORIENTATION_TAG = 0x0112
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}

# Without a handler, Python prints Pillow's complaints about damaged files to standard error.
logging.getLogger("PIL").addHandler(logging.NullHandler())


class ImageError(CnnStudioError):
    """An image file cannot be used; ``cause`` says why, and the message is its sentence."""

    def __init__(self, cause: Cause, path: Path) -> None:
        super().__init__(cause.sentence(), path=path)
        self.cause = cause
        self._file = path

    def alone(self) -> ImageError:
        """The same without traceback and cause, which would keep the decoder's memory alive: for keeping."""
        return ImageError(self.cause, self._file)


@dataclass(frozen=True, slots=True)
class ImageFacts:
    """What a file says of its picture.

    Attributes:
        height, width: of the upright picture, in pixels.
        grey: whether there is no colour in it.
        format: Pillow's name of the format, such as "JPEG".
        content: digest of the file's bytes; "" where only the header was read.
        fingerprint: see ``core.fingerprints``; empty where only the header was read.
    """

    height: int
    width: int
    grey: bool
    format: str
    content: str = field(default="", compare=False)
    fingerprint: bytes = field(default=b"", compare=False, repr=False)


@cache
def decoder_id() -> str:
    """Names the decoder exactly; whatever is cached of its results is valid for the same name only."""
    heif = ",heif" if importlib.util.find_spec("pillow_heif") else ""
    return f"{DECODER_VERSION},pillow-{PIL.__version__}{heif}"


def probe_image(path: Path) -> ImageFacts:
    """Read the header only (of a PNG all of it: its orientation may come last). ``grey`` goes by the file's mode.

    Raises:
        ImageError: there is no readable image header.
    """
    with _opened(path) as image:
        return _facts(image, _orientation(image))


def check_image(path: Path) -> ImageFacts:
    """Decode all of the file, as cheaply as possible, to be sure that it is whole, and tell what it looks like.

    ``grey`` is also true of a colour file whose every pixel has R = G = B.

    Raises:
        ImageError: the file cannot be decoded to its end.
    """
    with _opened(path) as image:
        orientation = _orientation(image)
        facts = _facts(image, orientation)
        # A JPEG at an eighth of its size, mostly: still every coded bit is read, and a broken one found.
        flat = flatten(_loaded(image, (LEAST_SIDE, LEAST_SIDE)))
        grey = facts.grey or is_colourless(flat)
        if orientation in _UPRIGHT:
            flat = flat.transpose(_UPRIGHT[orientation])
        return ImageFacts(facts.height, facts.width, grey, facts.format, _digest(path), make_fingerprint(flat))


def read_image(path: Path, height: int, width: int, fit: Fit = Fit.SQUASH) -> NDArray[np.uint8]:
    """Decode a file for the network, scaled bilinearly with antialiasing.

    Args:
        path: the image file.
        height: rows wanted.
        width: columns wanted.
        fit: how a picture of other proportions is made to fit: squashed; its middle cropped out, as Pillow's
            ``ImageOps.fit`` does; or with black bars, as ``ImageOps.pad`` does.

    Returns:
        Upright RGB, uint8 0–255, shape (height, width, 3), writable.

    Raises:
        ImageError: the file cannot be decoded.
    """
    with _opened(path) as image:
        orientation = _orientation(image)
        if fit is Fit.SQUASH:
            return _upright_rgb(image, orientation, height, width)
        return _upright_fitted(image, orientation, height, width, fit)


def read_picture(path: Path, edge: int) -> NDArray[np.uint8]:
    """Decode a file for the eye, its proportions kept; small pictures are not enlarged.

    Args:
        path: the image file.
        edge: longest side wanted, in pixels.

    Returns:
        Upright RGB, uint8 0–255, shape (height, width, 3) with both sides at most ``edge``, writable.

    Raises:
        ImageError: the file cannot be decoded.
    """
    with _opened(path) as image:
        orientation = _orientation(image)
        facts = _facts(image, orientation)
        scale = min(1.0, edge / max(facts.height, facts.width))
        return _upright_rgb(image, orientation, max(1, round(facts.height * scale)), max(1, round(facts.width * scale)))


def holds_image_data(path: Path) -> bool:
    """Whether a file begins like an image; it may still be broken. False when it cannot be read at all."""
    try:
        with path.open("rb") as stream:
            head = stream.read(HEAD_BYTES)
    except (OSError, ValueError):
        return False
    return bool(head) and not is_text(head) and any(accepts(head[:16]) is True for _, _, accepts in _decoders())


def _upright_rgb(image: ImageFile.ImageFile, orientation: int, height: int, width: int) -> NDArray[np.uint8]:
    stored = (height, width) if orientation >= 5 else (width, height)
    flat = flatten(_loaded(image, stored))
    # Shrink first, then turn and colour: those are cheap on the small picture.
    flat = flat.resize(stored, Image.Resampling.BILINEAR)
    if orientation in _UPRIGHT:
        flat = flat.transpose(_UPRIGHT[orientation])
    return np.array(flat.convert("RGB"))


def _upright_fitted(
    image: ImageFile.ImageFile, orientation: int, height: int, width: int, fit: Fit
) -> NDArray[np.uint8]:
    facts = _facts(image, orientation)
    scales = height / facts.height, width / facts.width
    scale = max(scales) if fit is Fit.CROP else min(scales)
    upright = math.ceil(facts.width * scale), math.ceil(facts.height * scale)
    flat = flatten(_loaded(image, upright[::-1] if orientation >= 5 else upright))
    if orientation in _UPRIGHT:
        flat = flat.transpose(_UPRIGHT[orientation])
    bring = ImageOps.fit if fit is Fit.CROP else ImageOps.pad
    return np.array(bring(flat.convert("RGB"), (width, height), Image.Resampling.BILINEAR))


def _digest(path: Path) -> str:
    """Names the file's bytes; 16 bytes of BLAKE2b make two different files with the same name unthinkable."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, lambda: hashlib.blake2b(digest_size=16)).hexdigest()


@contextmanager
def _opened(path: Path) -> Iterator[ImageFile.ImageFile]:
    """Pillow's image of a file with its header read; whatever goes wrong inside the block ends as ``ImageError``."""
    try:
        with _pillow_warnings, _regular_file(path) as stream:
            yield _identified(stream, path)
    except ImageError:
        raise
    except Exception as error:
        # Decoders meet hostile bytes: besides OSError, Pillow was seen to raise SyntaxError, ValueError, struct.error,
        # zlib.error, IndexError, KeyError, TypeError, OverflowError and EOFError.
        raise ImageError(_cause_of(path, error), path) from error


def _regular_file(path: Path) -> IO[bytes]:
    # Asked first, because opening a named pipe would wait for ever.
    if not stat.S_ISREG(path.stat().st_mode):
        reason = Reason.FOLDER if path.is_dir() else Reason.NO_ORDINARY_FILE
        raise ImageError(Cause(IssueKind.NOT_AN_IMAGE, reason), path)
    return path.open("rb")


@cache
def _decoders() -> tuple[tuple[str, Any, Any], ...]:
    """(format, factory, accepts) of every format that is read, from Pillow's registry."""
    if importlib.util.find_spec("pillow_heif"):
        importlib.import_module("pillow_heif").register_heif_opener()
    return tuple((name, *Image.OPEN[name]) for name in _FORMATS if name in Image.OPEN)


def _identified(stream: IO[bytes], path: Path) -> ImageFile.ImageFile:
    """Like ``PIL.Image.open``, with our own pixel limit and without its memory mapping and warnings."""
    head = stream.read(HEAD_BYTES)
    if not head:
        raise ImageError(Cause(IssueKind.EMPTY_FILE, Reason.EMPTY), path)
    for name, factory, accepts in _decoders():
        accepted = accepts(head[:16])
        if not accepted:
            continue
        if isinstance(accepted, str):
            raise ImageError(Cause(IssueKind.UNREADABLE, Reason.NO_DECODER, (name,)), path)
        stream.seek(0)
        try:
            # No file name: Pillow would map the file into memory, and the process die if it is cut meanwhile.
            image = cast(ImageFile.ImageFile, factory(stream, ""))
        except (SyntaxError, IndexError, TypeError, KeyError, ValueError, OSError):
            if is_text(head):  # “BMW.txt” begins like a bitmap
                break
            raise
        width, height = image.size
        if width * height > PIXEL_LIMIT:
            facts = width, height, round(width * height / 1e6), round(PIXEL_LIMIT / 1e6)
            raise ImageError(Cause(IssueKind.TOO_LARGE, Reason.TOO_MANY_PIXELS, facts), path)
        return image
    promised = path.suffix.lower() in IMAGE_SUFFIXES
    kind = IssueKind.UNREADABLE if promised else IssueKind.NOT_AN_IMAGE
    raise ImageError(Cause(kind, *recognise_content(head)), path)


def _cause_of(path: Path, error: Exception) -> Cause:
    """Why ``path`` cannot be used, after any failure met while reading it."""
    # Pillow's own OSErrors carry no errno; the system's always do.
    if isinstance(error, OSError) and error.errno is not None:
        return _refused_by_system(error)
    if isinstance(error, Image.DecompressionBombError):
        return Cause(IssueKind.TOO_LARGE, Reason.BOMB)
    if isinstance(error, MemoryError):
        return Cause(IssueKind.TOO_LARGE, Reason.NO_MEMORY)
    if "truncated" in str(error).lower() or isinstance(error, EOFError) or _is_cut(path):
        return Cause(IssueKind.TRUNCATED, Reason.CUT)
    return Cause(IssueKind.UNREADABLE, Reason.DAMAGED)


def _refused_by_system(error: OSError) -> Cause:
    if isinstance(error, FileNotFoundError | NotADirectoryError):
        return Cause(IssueKind.MISSING, Reason.GONE)
    if isinstance(error, PermissionError):
        return Cause(IssueKind.NO_PERMISSION, Reason.NO_PERMISSION)
    return Cause(IssueKind.UNREADABLE, Reason.NOT_READ, (error.strerror or str(error),))


def _is_cut(path: Path) -> bool:
    try:
        with path.open("rb") as stream:
            head = stream.read(16)
            size = stream.seek(0, os.SEEK_END)
            stream.seek(max(0, size - 64))
            return lost_its_end(head, stream.read(), size)
    except (OSError, ValueError):
        return False


def _orientation(image: ImageFile.ImageFile) -> int:
    """EXIF orientation 1–8; 1 when there is none or the EXIF block is damaged, which does not spoil the picture."""
    if image.format == "TIFF":
        return 1  # Pillow's TIFF reader turns the picture itself
    if image.format == "PNG" and "exif" not in image.info:
        _loaded(image, (1, 1))  # getexif would do it, but a broken picture must be told from a broken EXIF block
    try:
        value = image.getexif().get(_ORIENTATION_TAG, 1)
    except Exception:  # noqa: BLE001 -- see above; the errors are as many as in _opened
        return 1
    return value if value in _UPRIGHT else 1


def _facts(image: ImageFile.ImageFile, orientation: int) -> ImageFacts:
    width, height = image.size
    if orientation >= 5:
        width, height = height, width
    grey = image.mode in GREY_MODES or image.mode.startswith("I;16")
    return ImageFacts(height, width, grey, image.format or "")


def _loaded(image: ImageFile.ImageFile, at_least: tuple[int, int]) -> ImageFile.ImageFile:
    """Decode the pixels; a JPEG at the smallest of 1, 1/2, 1/4, 1/8 of its size that is not below (width, height)."""
    if image.format in {"JPEG", "MPO"}:
        image.draft(None, at_least)
        image.decodermaxblock = _READ_AT_ONCE
    with _large_gate if image.width * image.height > _LARGE_PIXELS else nullcontext():
        image.load()
    return image


class _PillowWarnings:
    """Silences Pillow's warnings while any thread is decoding, and only then.

    What is wrong with a file is told by our own errors. ``warnings.catch_warnings`` would not do: it replaces the
    process's filters and puts old ones back, in the wrong order when threads overlap.
    """

    _FILTER = ("ignore", None, Warning, re.compile(r"PIL(\.|$)"), 0)

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._decoding = 0

    def __enter__(self) -> None:
        with self._lock:
            self._decoding += 1
            if self._FILTER not in warnings.filters:
                warnings.filterwarnings("ignore", module=r"PIL(\.|$)")

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._decoding -= 1
            if not self._decoding and self._FILTER in warnings.filters:
                cast(list[object], warnings.filters).remove(self._FILTER)


_pillow_warnings = _PillowWarnings()
