"""What a file that no decoder takes holds instead, and whether a broken image lost its end."""

from __future__ import annotations

import re
import struct

HEAD_BYTES = 512
"""How much of a file's beginning ``describe_content`` wants to see."""

_MAGIC = (
    (b"%PDF-", "a PDF document"),
    (b"PK\x03\x04", "a ZIP archive or an office document"),
    (b"\x1f\x8b", "a compressed archive"),
    (b"7z\xbc\xaf\x27\x1c", "a compressed archive"),
    (b"Rar!", "a compressed archive"),
    (b"8BPS", "a Photoshop document"),
    (b"%!", "a PostScript drawing"),
    (b"\xc5\xd0\xd3\xc6", "a PostScript drawing"),
    (b"\x00\x05\x16\x07", "the side notes macOS keeps of another file"),
    (b"SQLite format 3", "a database"),
    (b"\x1a\x45\xdf\xa3", "a video"),
    (b"MZ", "a program"),
    (b"\x7fELF", "a program"),
)
_HEIC_BRANDS = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"}
_WEB_PAGE = re.compile(r"<(!doctype\s+html|html|head|body)\b", re.IGNORECASE)
_CONTROL = re.compile(r"[\x00-\x08\x0e-\x1a\x1c-\x1f]")


def describe_content(head: bytes) -> str:
    """What a file that is no image holds, as a sentence.

    Args:
        head: its first ``HEAD_BYTES`` bytes.
    """
    text = _as_text(head)
    if text is not None:
        return _describe_text(text)
    for magic, words in _MAGIC:
        if head.startswith(magic):
            return f"The file holds {words}, not an image."
    if head[4:8] == b"ftyp":
        if head[8:12] in _HEIC_BRANDS:
            return (
                "The file is a HEIC photo, which cannot be read here: save it as JPEG, "
                "or install cnn-studio[heif] with pip."
            )
        return "The file holds a video, not an image."
    if head[:4] == b"RIFF" and head[8:12] in {b"AVI ", b"WAVE"}:
        return "The file holds a video or sound, not an image."
    return "The file is not an image of any kind that can be read here."


def is_text(head: bytes) -> bool:
    """Whether a file that begins with ``head`` holds text."""
    return _as_text(head) is not None


def _describe_text(text: str) -> str:
    start = text.lstrip()
    if start.startswith("version https://git-lfs"):
        return "The file is a Git LFS pointer, not the image itself: run “git lfs pull” in its repository."
    if "<svg" in start[:HEAD_BYTES].lower():
        return "The file holds an SVG drawing; only pixel images such as JPEG or PNG can be used."
    if _WEB_PAGE.search(start):
        return "The file holds a web page, not an image: the download probably failed."
    first = start.splitlines()[0][:40] if start else ""
    return f"The file holds text, not an image{f' (“{first}”)' if first else ''}."


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
