"""What a file that no decoder takes holds instead, and whether a broken image lost its end."""

from __future__ import annotations

import re
import struct

from cnn_studio.core.image.causes import Reason

HEAD_BYTES = 512
"""How much of a file's beginning ``recognise_content`` wants to see."""

_MAGIC = (
    (b"%PDF-", Reason.PDF),
    (b"PK\x03\x04", Reason.ZIP),
    (b"\x1f\x8b", Reason.ARCHIVE),
    (b"7z\xbc\xaf\x27\x1c", Reason.ARCHIVE),
    (b"Rar!", Reason.ARCHIVE),
    (b"8BPS", Reason.PHOTOSHOP),
    (b"%!", Reason.POSTSCRIPT),
    (b"\xc5\xd0\xd3\xc6", Reason.POSTSCRIPT),
    (b"\x00\x05\x16\x07", Reason.SIDE_NOTES),
    (b"SQLite format 3", Reason.DATABASE),
    (b"\x1a\x45\xdf\xa3", Reason.VIDEO),
    (b"MZ", Reason.PROGRAM),
    (b"\x7fELF", Reason.PROGRAM),
)
_HEIC_BRANDS = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"}
_WEB_PAGE = re.compile(r"<(!doctype\s+html|html|head|body)\b", re.IGNORECASE)
_CONTROL = re.compile(r"[\x00-\x08\x0e-\x1a\x1c-\x1f]")


def recognise_content(head: bytes) -> tuple[Reason, tuple[str, ...]]:
    """What a file that is no image holds instead, with facts for the sentence.

    Args:
        head: its first ``HEAD_BYTES`` bytes.
    """
    text = _as_text(head)
    if text is not None:
        return _recognise_text(text)
    for magic, reason in _MAGIC:
        if head.startswith(magic):
            return reason, ()
    if head[4:8] == b"ftyp":
        return Reason.HEIC if head[8:12] in _HEIC_BRANDS else Reason.VIDEO, ()
    if head[:4] == b"RIFF" and head[8:12] in {b"AVI ", b"WAVE"}:
        return Reason.VIDEO_OR_SOUND, ()
    return Reason.UNKNOWN, ()


def is_text(head: bytes) -> bool:
    """Whether a file that begins with ``head`` holds text."""
    return _as_text(head) is not None


def _recognise_text(text: str) -> tuple[Reason, tuple[str, ...]]:
    start = text.lstrip()
    if start.startswith("version https://git-lfs"):
        return Reason.LFS_POINTER, ()
    if "<svg" in start[:HEAD_BYTES].lower():
        return Reason.SVG, ()
    if _WEB_PAGE.search(start):
        return Reason.WEB_PAGE, ()
    first = start.splitlines()[0][:40] if start else ""
    return (Reason.TEXT, (first,)) if first else (Reason.BLANK_TEXT, ())


def _as_text(head: bytes) -> str | None:
    encoding = "utf-16" if head.startswith((b"\xff\xfe", b"\xfe\xff")) else "utf-8-sig"
    # A character may be cut in two at the end of the head.
    for end in range(len(head), max(len(head) - 4, -1), -1):
        try:
            text = head[:end].decode(encoding)
        except UnicodeDecodeError:
            continue
        return None if _CONTROL.search(text) else text
    return None


def lost_its_end(head: bytes, tail: bytes, size: int) -> bool:
    """Whether an image file is shorter than it says, or lacks the mark that ends its format.

    Args:
        head: its first bytes, at least 16.
        tail: its last bytes, at most 64.
        size: its length in bytes.
    """
    if head.startswith(b"\xff\xd8"):
        return b"\xff\xd9" not in tail
    if head.startswith(b"\x89PNG"):
        return b"IEND" not in tail
    if head.startswith(b"GIF8"):
        return not tail.rstrip(b"\x00").endswith(b"\x3b")
    if head.startswith(b"RIFF") and len(head) >= 8:
        return int(struct.unpack_from("<I", head, 4)[0]) + 8 > size
    if head.startswith(b"BM") and len(head) >= 6:
        return int(struct.unpack_from("<I", head, 2)[0]) > size
    return False
