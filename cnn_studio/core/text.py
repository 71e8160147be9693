"""Names and lists of them as text that can be shown, kept and sent, and text of users' files as values."""

from __future__ import annotations

import json
import math
import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

# Control characters (a terminal obeys some), marks that turn the direction of writing, line and paragraph separators,
# and bytes that were no valid text.
_UNSEEN = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


def printable(name: str) -> str:
    r"""The name as text that can be shown anywhere and sent as JSON: what is no letter is written as an escape.

    That is so for bytes that are no valid text, for control characters (``\x1b``) and for marks that turn the direction
    of writing.
    """
    return name if name.isprintable() else _UNSEEN.sub(lambda found: found[0].encode("unicode_escape").decode(), name)


def printable_lines(text: str) -> str:
    """The same for text of several lines, which stay lines."""
    return "\n".join(map(printable, text.split("\n")))


def composed(name: str) -> str:
    """The name in the one form that machines agree on (NFC): on some disks é is two characters, on others one."""
    return name if name.isascii() else unicodedata.normalize("NFC", name)


def name_matcher(names: Iterable[str]) -> Callable[[str], str | None]:
    """A function that says which of some names another name means, or None.

    It is the one that is the same whatever the form (``composed``), else the only one that differs in capitals alone.
    """
    same, folded = {}, dict[str, str | None]()
    for name in names:
        same[composed(name)] = name
        key = composed(name).casefold()
        folded[key] = None if key in folded else name
    return lambda name: same.get(composed(name)) or folded.get(composed(name).casefold())


def listed(names: Sequence[str], most: int = 5) -> str:
    """Names in a sentence: “a”, “a and b”, “a, b, c, d, e and 3 more”."""
    shown = list(names[:most]) + ([f"{len(names) - most} more"] if len(names) > most else [])
    return shown[0] if len(shown) == 1 else f"{', '.join(shown[:-1])} and {shown[-1]}"


def parsed_json(text: str | bytes) -> Any:
    """What a JSON text says.

    Raises:
        ValueError: it is no JSON, or nested so deeply that it cannot be read.
    """
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def json_text(values: Any) -> str:
    """Values as JSON on one line, ASCII only: valid wherever it is read, with ``null`` for what is no number (NaN)."""
    return json.dumps(_without_nan(values), default=str, allow_nan=False)


def _without_nan(value: Any) -> Any:
    match value:
        case float() if not math.isfinite(value):
            return None
        case Mapping():
            return {key: _without_nan(part) for key, part in value.items()}
        case list() | tuple():
            return [_without_nan(part) for part in value]
    return value
