"""Names from files are text wherever they are shown, and JSON is valid wherever it is read."""

import json

import pytest

from cnn_studio.core.text import json_text, parsed_json, printable, printable_lines


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("red\x1b[31m", "red\\x1b[31m"),
        ("a\nb\tc\r", "a\\nb\\tc\\r"),
        ("c1\x9b31m", "c1\\x9b31m"),
        ("abc\u202egnp.exe", "abc\\u202egnp.exe"),
        ("a\u2066b\u2069", "a\\u2066b\\u2069"),
        (b"caf\xe9".decode("utf-8", "surrogateescape"), "caf\\udce9"),
        ("two\u2028lines", "two\\u2028lines"),
        ("niño 猫 <b>", "niño 猫 <b>"),
        ("no\u00a0break, joined 👩\u200d🔬", "no\u00a0break, joined 👩\u200d🔬"),
    ],
)
def test_what_a_terminal_would_obey_is_shown_as_text(name, shown):
    assert printable(name) == shown
    shown.encode("utf-8")


def test_lines_stay_lines():
    assert printable_lines("a\x07\nb") == "a\\x07\nb"


def test_json_is_valid_whatever_the_numbers_are():
    values = {"a": float("nan"), "b": [1.5, float("inf"), ("x", -float("inf"))], "é": {"c": 1, "d": True, "e": None}}

    def refuse(word):
        raise AssertionError(f"{word} is no JSON")

    text = json_text(values)
    assert json.loads(text, parse_constant=refuse) == {
        "a": None,
        "b": [1.5, None, ["x", None]],
        "é": {"c": 1, "d": True, "e": None},
    }
    assert text.isascii()
    assert "\n" not in text


@pytest.mark.parametrize("text", ["[" * 100_000, '{"a":' * 100_000, "{", "9" * 5000, b"\xff"])
def test_json_that_cannot_be_read_is_a_value_error(text):
    with pytest.raises(ValueError, match=r"\w"):
        parsed_json(text)
