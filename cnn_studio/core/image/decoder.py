"""THE decoder: an image file becomes an upright 8-bit array. Nobody else in the project opens an image.

Training, prediction and what the window shows all go through here, so that they see the same pixels: EXIF orientation
applied, the first frame of an animation, and then ``core.image.recipe``, which exported scripts hold too. A file's
content decides what it is, never its name.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import logging
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
from cnn_studio.core.image import recipe
from cnn_studio.core.image.causes import Cause, Reason
from cnn_studio.core.image.fingerprints import LEAST_SIDE, make_fingerprint
from cnn_studio.core.image.foreign_files import HEAD_BYTES, is_text, lost_its_end, recognise_content
from cnn_studio.core.image.issues import IssueKind

DECODER_VERSION = 2
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
_JPEG = ("JPEG", "MPO")
# Decoded at most one at a time, so that sixteen threads do not ask for sixteen times 800 MB.
_LARGE_PIXELS = 40_000_000
_large_gate = threading.Lock()

_DRAFT_FROM = 8
"""A JPEG is decoded at a fraction of its size for a network where that leaves at least so many times what it takes.

Exported scripts decode in full; so they see the very same pixels but of files of sixteen times the network's size and
more, where tests/benchmarks/bench_parity.py measures what the difference does.
"""

_GREY_MODES = ("1", "L", "LA", "I", "F")  # Pillow's; those that begin with "I;16" are grey too

_BRING = {Fit.SQUASH: recipe.squash, Fit.CROP: recipe.crop, Fit.PAD: recipe.pad}

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

# How Pillow says of a whole file that it does not do what is in it.
_UNSUPPORTED = re.compile(
    r"unsupported|not (supported|available|implemented)|unknown|unrecogni[sz]ed|too (large|much)", re.I
)

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
        flat = _eight_bits(image, (LEAST_SIDE, LEAST_SIDE))
        grey = facts.grey or _is_colourless(flat)
        if orientation in _UPRIGHT:
            flat = flat.transpose(_UPRIGHT[orientation])
        return ImageFacts(facts.height, facts.width, grey, facts.format, _digest(path), make_fingerprint(flat))


def read_image(path: Path, height: int, width: int, fit: Fit = Fit.SQUASH) -> NDArray[np.uint8]:
    """Decode a file for the network as ``core.image.recipe`` says, scaled bilinearly with antialiasing.

    Args:
        path: the image file.
        height: rows wanted.
        width: columns wanted.
        fit: how a picture of other proportions is made to fit.

    Returns:
        Upright RGB, uint8 0–255, shape (height, width, 3), writable.

    Raises:
        ImageError: the file cannot be decoded.
    """
    with _opened(path) as image:
        return _upright(image, _orientation(image), (_DRAFT_FROM * width, _DRAFT_FROM * height), width, height, fit)


def is_decoded_in_full(path: Path, height: int, width: int) -> bool:
    """Whether ``read_image`` gives the very pixels of a full decode; else the file is a JPEG decoded at a fraction.

    Raises:
        ImageError: there is no readable image header.
    """
    facts = probe_image(path)
    times = min(facts.height // (_DRAFT_FROM * height), facts.width // (_DRAFT_FROM * width))
    return facts.format not in _JPEG or times < 2


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
        width, height = max(1, round(facts.width * scale)), max(1, round(facts.height * scale))
        return _upright(image, orientation, (width, height), width, height, Fit.SQUASH)


def holds_image_data(path: Path) -> bool:
    """Whether a file begins like an image; it may still be broken. False when it cannot be read at all."""
    try:
        with path.open("rb") as stream:
            head = stream.read(HEAD_BYTES)
    except (OSError, ValueError):
        return False
    return bool(head) and not is_text(head) and any(accepts(head[:16]) is True for _, _, accepts in _decoders())


def _upright(
    image: ImageFile.ImageFile, orientation: int, at_least: tuple[int, int], width: int, height: int, fit: Fit
) -> NDArray[np.uint8]:
    """RGB (height, width, 3), from an upright picture decoded ``at_least`` (width, height) large if it is so large."""
    flat = _eight_bits(image, at_least[::-1] if orientation >= 5 else at_least)
    if orientation in _UPRIGHT:
        flat = flat.transpose(_UPRIGHT[orientation])
    return np.array(_BRING[fit](flat, width, height).convert("RGB"))


def _eight_bits(image: ImageFile.ImageFile, at_least: tuple[int, int]) -> Image.Image:
    return recipe.eight_bits(_loaded(image, at_least), image.format)


def _is_colourless(flat: Image.Image) -> bool:
    """Whether every pixel of a picture from ``_eight_bits`` has R = G = B."""
    if flat.mode == "L":
        return True
    rows = np.asarray(flat)
    # Nearly every colour picture shows it in its first rows.
    for part in (rows[:8], rows[8:]):
        if not (np.array_equal(part[..., 0], part[..., 1]) and np.array_equal(part[..., 1], part[..., 2])):
            return False
    return True


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
    if _UNSUPPORTED.search(str(error)):
        return Cause(IssueKind.UNREADABLE, Reason.UNSUPPORTED)
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
    grey = image.mode in _GREY_MODES or image.mode.startswith("I;16")
    return ImageFacts(height, width, grey, image.format or "")


def _loaded(image: ImageFile.ImageFile, at_least: tuple[int, int]) -> ImageFile.ImageFile:
    """Decode the pixels; a JPEG at the smallest of 1, 1/2, 1/4, 1/8 of its size that is not below (width, height)."""
    if image.format in _JPEG:
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
