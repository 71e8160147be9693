r"""Regular expressions that users and their files bring, searched by an engine that always comes to an end.

Python's own tries one way after another: for ``(.+)+!`` and a path of 30 letters it would be at it for hours, with the
window standing still. RE2 has no such expressions, at the price of look-around and back-references. What Python means
by ``\w``, ``\d`` and ``\s`` (letters of all scripts) is written out for it; ``\b`` knows the letters a to z only.
"""

from __future__ import annotations

import re
from functools import lru_cache

import re2

_TOKEN = re.compile(r"\\u([0-9A-Fa-f]{4})|\\U([0-9A-Fa-f]{8})|\\.|\[\^?\]?|\{,(?=\d+\})|.", re.DOTALL)
_SPACE = r"\s\v\x1c-\x1f\x{85}\pZ"
_OUTSIDE = {
    r"\w": r"[\pL\pN_]",
    r"\W": r"[^\pL\pN_]",
    r"\d": r"\p{Nd}",
    r"\D": r"\P{Nd}",
    r"\s": f"[{_SPACE}]",
    r"\S": f"[^{_SPACE}]",
    r"\Z": r"\z",
    "{,": "{0,",
}
_INSIDE = {r"\w": r"\pL\pN_", r"\d": r"\p{Nd}", r"\D": r"\P{Nd}", r"\s": _SPACE, r"\b": r"\x08", "[": r"\["}
_LARGEST_PROGRAM = 50_000  # of RE2's steps; one \w makes 1,300, and a path takes milliseconds at worst


class NamePattern:
    """A regular expression to be searched in names and paths.

    Args:
        pattern: as Python writes them.

    Raises:
        ValueError: it is none, needs look-around or back-references, or is far too large.
    """

    def __init__(self, pattern: str) -> None:
        try:
            re.compile(pattern)
        except (re.error, RecursionError, OverflowError) as error:
            raise ValueError(f"this is not a regular expression: {error}") from None
        options = re2.Options()
        options.log_errors = False
        try:
            # As bytes: the wrapper takes three times as long to find its place in text.
            self._compiled = re2.compile(_for_re2(pattern).encode(), options)
        except re2.error as error:
            reason = error.args[0].decode(errors="replace") if isinstance(error.args[0], bytes) else str(error)
            raise ValueError(
                "this regular expression cannot be used, since look-ahead, look-behind, back-references and very "
                f"large repetitions are not searched for here ({reason})"
            ) from None
        if self._compiled.programsize > _LARGEST_PROGRAM:
            raise ValueError("this regular expression is too large; use fewer or smaller repetitions")

    def find(self, text: str) -> tuple[str | None, ...] | None:
        """What its groups match in the first place found, or all of the match where it has none; None where nothing is.

        A group that takes no part in the match is None.
        """
        found = self._compiled.search(text.encode())
        if found is None:
            return None
        parts = found.groups() or (found.group(),)
        return tuple(None if part is None else part.decode(errors="replace") for part in parts)


def _for_re2(pattern: str) -> str:
    """The same expression in RE2's words."""
    parts = []
    inside = False
    for token in _TOKEN.finditer(pattern):
        text = token[0]
        if code := token[1] or token[2]:
            text = rf"\x{{{code}}}"
        elif inside and text in {r"\W", r"\S"}:
            text = _ranges(text)
        elif inside and text.startswith("["):
            text = r"\[" + text[1:]
            inside = not text.endswith("]")
        elif inside:
            text = _INSIDE.get(text, text)
            inside = text != "]"
        else:
            text = _OUTSIDE.get(text, text)
            inside = token[0].startswith("[")
        parts.append(text)
    return "".join(parts)


@lru_cache
def _ranges(kind: str) -> str:
    r"""The characters that ``\W`` or ``\S`` is, to stand between brackets, where RE2 has no word for them."""
    everything = "".join(map(chr, range(0x110000)))
    return "".join(
        rf"\x{{{ord(run[0][0]):x}}}-\x{{{ord(run[0][-1]):x}}}" for run in re.finditer(f"{kind}+", everything)
    )
