import pytest

from cnn_studio.core.experiment.settings import Padding
from cnn_studio.core.percent import format_percent
from cnn_studio.gui.look.wording import (
    accuracy_told,
    format_count,
    format_duration,
    format_rate,
    format_size,
    format_things,
    format_time_left,
)
from cnn_studio.gui.widgets.list_text import blocks_text, list_text, parse_blocks, parse_choices, parse_integers
from cnn_studio.gui.widgets.progress_strip import TimeLeft


@pytest.mark.parametrize(
    ("fraction", "text"),
    [
        (1.0, "100 %"),
        (0.9999, ">99 %"),
        (0.995, ">99 %"),
        (0.9899, "99 %"),
        (0.97, "97 %"),
        (0.5, "50 %"),
        (0.01, "1 %"),
        (0.0099, "<1 %"),
        (1e-12, "<1 %"),
        (0.0, "0 %"),
        (float("nan"), "–"),
    ],
)
def test_a_percentage_claims_no_more_than_is_known(fraction, text):
    assert format_percent(fraction) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"),
        (59.4, "59 s"),
        (59.6, "1 min"),
        (150, "2 min 30 s"),
        (1500, "25 min"),
        (3599, "1 h"),
        (4200, "1 h 10 min"),
        (86_399, "1 day"),
        (2 * 86_400 + 3600, "2 days 1 h"),
    ],
)
def test_durations_have_two_units_at_most(seconds, text):
    assert format_duration(seconds) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (3, "a few seconds left"),
        (12, "10 s left"),
        (47, "45 s left"),
        (58, "1 min left"),
        (125, "2 min left"),
        (1520, "about 25 min left"),
        (3590, "about 1 h left"),
        (4230, "about 1 h 10 min left"),
        (86_350, "about 1 day left"),
        (float("inf"), ""),
        (float("nan"), ""),
    ],
)
def test_time_left_is_rounded_as_an_estimate(seconds, text):
    assert format_time_left(seconds) == text


def test_counts_rates_and_sizes():
    assert format_count(3670) == "3,670"
    assert format_things(1, "image") == "1 image"
    assert format_things(3670, "image") == "3,670 images"
    assert format_things(2, "class", "classes") == "2 classes"
    assert format_rate(71.4) == "71 images/s"
    assert format_rate(0.83, "batches") == "0.8 batches/s"
    assert format_rate(0.0) == ""
    assert [format_size(size) for size in (812, 3_200_000, 45_000)] == ["812 bytes", "3.2 MB", "45 kB"]


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_time_left_counts_down_and_does_not_jitter():
    clock = Clock()
    left = TimeLeft(clock)
    assert left.text() == ""
    shown = []
    for step in range(60):
        clock.now = float(step)
        left.hear((300 - step) * (1.15 if step % 2 else 0.85))
        shown.append(left.text())
    # A raw display would swing between 4 and 6 minutes on every step.
    minutes = [int(text.split()[0]) for text in shown if text]
    assert minutes == sorted(minutes, reverse=True)
    assert minutes[-1] == 4


def test_a_first_estimate_made_of_nearly_nothing_is_soon_forgotten():
    """The first of 3,670 images took long, since everything was started; the others are done in eight seconds."""
    clock = Clock()
    left = TimeLeft(clock)
    left.hear(600)
    for tenth in range(1, 15):
        clock.now = tenth / 10
        left.hear(8 - clock.now)
    assert left.text() == "a few seconds left"


def test_one_estimate_says_nothing_and_one_that_is_long_over_is_not_said_for_ever():
    clock = Clock()
    left = TimeLeft(clock)
    left.hear(600)
    assert left.text() == ""
    left.hear(12)
    left.hear(12)
    assert left.text() == "10 s left"
    clock.now = 6.0  # and nothing is heard meanwhile
    assert left.text() == "a few seconds left"
    clock.now = 25.0
    assert left.text() == ""


def test_time_left_follows_when_it_really_gets_longer():
    clock = Clock()
    left = TimeLeft(clock)
    for _ in range(3):
        left.hear(60)
    assert left.text() == "1 min left"
    for step in range(1, 30):
        clock.now = float(step)
        left.hear(600)
    assert left.text() in {"9 min left", "about 10 min left"}
    left.reset()
    assert left.text() == ""


@pytest.mark.parametrize(
    ("text", "values"), [("128, 64", (128, 64)), ("300 100", (300, 100)), (" 7;", (7,)), ("", ()), ("1,2,3", (1, 2, 3))]
)
def test_integer_lists(text, values):
    assert parse_integers(text) == values
    assert parse_integers(list_text(values)) == values


def test_choices_are_known_by_their_text():
    assert parse_choices(" Same; valid", Padding, longest=2) == (Padding.SAME, Padding.VALID)
    assert parse_choices("", Padding, longest=2) == ()
    assert parse_choices(list_text(Padding), Padding, longest=2) == tuple(Padding)
    with pytest.raises(ValueError, match="“full” is not same or valid"):
        parse_choices("same, full", Padding, longest=2)
    with pytest.raises(ValueError, match="At most 1 values"):
        parse_choices("same, valid", Padding, longest=1)


@pytest.mark.parametrize(
    ("text", "blocks"),
    [
        ("32-32, 64-64", ((32, 32), (64, 64))),
        ("16, 32, 64", ((16,), (32,), (64,))),
        ("32 - 32 ,64–64", ((32, 32), (64, 64))),
        ("", ()),
    ],
)
def test_block_lists(text, blocks):
    assert parse_blocks(text) == blocks
    assert parse_blocks(blocks_text(blocks)) == blocks


@pytest.mark.parametrize(
    ("parse", "text", "reason"),
    [
        (parse_integers, "128, x", "“x” is not a whole number."),
        (parse_integers, "0", "0 is not between 1 and 65,536."),
        (parse_integers, "1.5", "“1.5” is not a whole number."),
        (parse_integers, "1 2 3 4 5 6 7", "At most 6 numbers; there are 7."),
        (parse_integers, "٣", "“٣” is not a whole number."),
        (parse_blocks, "32-", "A number is missing beside a hyphen."),
        (parse_blocks, "5000", "5,000 is not between 1 and 4,096."),
        (parse_blocks, "1,1,1,1,1,1,1,1,1", "At most 8 blocks; there are 9."),
    ],
)
def test_lists_that_mean_nothing_say_why(parse, text, reason):
    with pytest.raises(ValueError) as caught:
        parse(text)
    assert str(caught.value) == reason


def test_a_models_accuracy_is_that_of_its_test_where_it_had_one():
    validation = {"val_accuracy": 0.91, "val_accuracy_low": 0.89, "val_accuracy_high": 0.93}
    test = {"test_accuracy": 0.88, "test_accuracy_low": 0.8, "test_accuracy_high": 0.93}
    assert accuracy_told(validation | test) == "test accuracy 88 % (80–93 %)"
    assert accuracy_told(validation) == "validation accuracy 91 % (89–93 %)"
    assert accuracy_told({"val_accuracy": 0.91}) == "validation accuracy 91 %", "of a version that kept no interval"
    assert accuracy_told({}) == ""
