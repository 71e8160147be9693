"""Regular expressions of users and files mean what Python means by them, and always come to an end."""

import re

import pytest

from cnn_studio.core.errors import ExperimentError
from cnn_studio.core.experiment.experiment import read_experiment
from cnn_studio.core.name_pattern import NamePattern

TEXTS = [
    "apple/patient0012_3.jpg",
    "niño/año_2024 (3).png",
    "猫/写真_٣.jpg",
    "a b\tc",
    "x²½_Ⅷ",
    "Café/e\u0301_1",
    "[a]^b-c]{,2}",
    "",
    "_",
    "\u2028\x1c\x85\xa0z",
    "aaaa.bbb!",
]


@pytest.mark.parametrize(
    "pattern",
    [
        r"patient(\d+)",
        r"^(\w+)/",
        r"([^\W\d_]+)",
        r"[\w-]+",
        r"[^\s/]+$",
        r"[^\S ]",
        r"\D+\S",
        r"[\D]+",
        r"(?P<a>\w)(?P<b>x)?",
        r"a{,2}b",
        r"[]a]+",
        r"[^]a]+",
        r"[a\]^]+",
        r"[a[]+",
        r"\[.\]",
        r"(?i)APPLE|NIÑO",
        r"\u006e\w|[\u732b]",
        r"\.(?:jpg|png)\Z",
        r"\A.*?_",
        r"(\d)|(a)",
        r"\w+\s\(\d\)",
        r"[\x61-\x62\b]+",
        r"[{,}]+",
        r"(a*)(a|b)",
        r"\w{30}|\W",
    ],
)
def test_it_finds_what_python_finds(pattern):
    found = [NamePattern(pattern).find(text) for text in TEXTS]
    assert found == [
        (match.groups() or (match.group(),)) if match else None for match in map(re.compile(pattern).search, TEXTS)
    ]
    assert any(found)


@pytest.mark.parametrize("pattern", ["(.+)+!", "(x+x+)+y", "(?:.*a){20}!", "(a|a)*b", "((a?){100}){9}!"])
def test_what_would_never_end_ends(pattern):
    """Some of these would keep Python's engine busy for longer than there are stars."""
    assert NamePattern(pattern).find("class/a_picture_with_a_rather_long_name_" * 5) is None


@pytest.mark.parametrize(
    ("pattern", "words"),
    [
        ("(", "not a regular expression"),
        ("(" * 499 + ")" * 499, "not a regular expression|cannot be used"),
        ("(?=a)", "look-ahead"),
        (r"(a)\1", "back-references"),
        ("(((.{999}){999}){999})", "large repetitions"),
        (r"(?:\w{30}){30}", "large repetitions|too large"),
    ],
)
def test_what_cannot_be_searched_for_is_said(pattern, words):
    with pytest.raises(ValueError, match=words):
        NamePattern(pattern)


def test_an_experiment_file_with_such_a_rule_is_told(tmp_path):
    path = tmp_path / "e.toml"
    path.write_text('[split]\ngroup_pattern = "(?=a)"\n')
    with pytest.raises(
        ExperimentError, match=r"e\.toml: Keep together by file name \(split\.group_pattern\) .*look-ahead"
    ) as caught:
        read_experiment(path)
    assert caught.value.field == "split.group_pattern"
