"""Lists as people type them: ``128, 64``, ``same, valid`` and, for blocks of convolutions, ``32-32, 64-64``."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

Blocks = tuple[tuple[int, ...], ...]


def parse_integers(text: str, *, least: int = 1, most: int = 65_536, longest: int = 6) -> tuple[int, ...]:
    """``"128, 64"`` -> ``(128, 64)``; nothing gives an empty tuple.

    Raises:
        ValueError: a part is no whole number or out of range, or there are too many; the text is for the user.
    """
    parts = [part for part in re.split(r"[,;\s]+", text.strip()) if part]
    if len(parts) > longest:
        raise ValueError(f"At most {longest} numbers; there are {len(parts)}.")
    return tuple(_integer(part, least, most) for part in parts)


def parse_blocks(text: str, *, most: int = 4096, longest: int = 8) -> Blocks:
    """``"32-32, 64-64"`` -> ``((32, 32), (64, 64))``; nothing gives an empty tuple.

    Raises:
        ValueError: as ``parse_integers``.
    """
    joined = re.sub(r"\s*[-–+]\s*", "-", text.strip())
    parts = [part for part in re.split(r"[,;\s]+", joined) if part]
    if len(parts) > longest:
        raise ValueError(f"At most {longest} blocks; there are {len(parts)}.")
    blocks = []
    for part in parts:
        numbers = part.split("-")
        if len(numbers) > longest:
            raise ValueError(f"At most {longest} convolutions in a block; {part} has {len(numbers)}.")
        blocks.append(tuple(_integer(number, 1, most) for number in numbers))
    return tuple(blocks)


def parse_choices(text: str, choices: Iterable[Any], *, longest: int) -> tuple[Any, ...]:
    """``"same, valid"`` -> those of ``choices`` whose text it is.

    Raises:
        ValueError: as ``parse_integers``.
    """
    known = {str(choice): choice for choice in choices}
    parts = [part for part in re.split(r"[,;\s]+", text.strip().lower()) if part]
    if len(parts) > longest:
        raise ValueError(f"At most {longest} values; there are {len(parts)}.")
    if wrong := next((part for part in parts if part not in known), ""):
        raise ValueError(f"“{wrong}” is not {' or '.join(known)}.")
    return tuple(known[part] for part in parts)


def list_text(values: Iterable[Any]) -> str:
    """The text ``parse_integers`` or ``parse_choices`` takes."""
    return ", ".join(map(str, values))


def blocks_text(blocks: Blocks) -> str:
    """The text ``parse_blocks`` takes."""
    return ", ".join("-".join(str(filters) for filters in block) for block in blocks)


def _integer(text: str, least: int, most: int) -> int:
    if not re.fullmatch(r"[0-9]{1,9}", text):
        raise ValueError(f"“{text}” is not a whole number." if text else "A number is missing beside a hyphen.")
    value = int(text)
    if not least <= value <= most:
        raise ValueError(f"{value:,} is not between {least:,} and {most:,}.")
    return value
