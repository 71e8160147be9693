"""What a setting is to a person, written once: a row beside its field. Type, range and default are the field's own.

Rows of forms, options of the command line, what ``cnn-studio settings`` lists and the words of errors are made of it.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum, StrEnum
from functools import cached_property
from types import MappingProxyType
from typing import Annotated, Any, Literal, get_args, get_origin

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from cnn_studio.core.errors import ExperimentError

_LONGEST = 60  # characters of a value that an error repeats


class Unit(StrEnum):
    """What a value counts; "switch" for one that is on or off."""

    NONE = ""
    SWITCH = "switch"
    DEGREES = "degrees"
    PERCENT = "percent"
    PIXELS = "pixels"
    ALPHA = "alpha"
    EPOCHS = "epochs"


UNIT_TEXT = {
    Unit.NONE: "",
    Unit.SWITCH: "",
    Unit.DEGREES: "degrees",
    Unit.PERCENT: "a fraction, or with %",
    Unit.PIXELS: "pixels",
    Unit.ALPHA: "alpha of the Beta distribution",
    Unit.EPOCHS: "epochs",
}
"""Each unit in a person's words; a fraction 0–1 is what percent are kept as."""


class ValueType(StrEnum):
    """What a value is, and so which field a form shows for it."""

    SWITCH = "boolean"
    INTEGER = "integer"
    NUMBER = "number"
    CHOICE = "choice"
    TEXT = "text"
    INTEGERS = "integers"
    CHOICES = "choices"
    BLOCKS = "blocks"


_DEMANDS = {
    ValueType.SWITCH: "true or false",
    ValueType.INTEGER: "a whole number",
    ValueType.NUMBER: "a number",
    ValueType.TEXT: "text",
    ValueType.INTEGERS: "a list of whole numbers, such as [128, 64]",
    ValueType.BLOCKS: "a list with the filters of each block, such as [[32, 32], [64, 64]]",
}
_LISTS = {ValueType.INTEGERS, ValueType.CHOICES, ValueType.BLOCKS}
_ENDS = ("gt", "ge", "lt", "le")  # as pydantic calls the ends of a range
_RANGE_ERRORS = {
    "greater_than": ("greater than", "gt"),
    "greater_than_equal": ("at least", "ge"),
    "less_than": ("less than", "lt"),
    "less_than_equal": ("at most", "le"),
}
_LENGTH_ERRORS = {
    "string_too_short": "at least {min_length:,} character long",
    "string_too_long": "at most {max_length:,} characters long",
    "too_short": "at least {min_length:,} long",
    "too_long": "at most {max_length:,} long",
}


@dataclass(frozen=True, slots=True)
class Row:
    """What is written of a setting, in ``Annotated`` beside its type.

    Attributes:
        title: its caption in a form.
        help: what it is, a short sentence.
        choices: where it is one of several values: each with its title, in the order they are offered.
        unit: what it counts.
        advanced: whether a form keeps it folded away at first.
    """

    title: str
    help: str
    choices: Mapping[Any, str] = field(default_factory=lambda: MappingProxyType({}))
    unit: Unit = Unit.NONE
    advanced: bool = False


@dataclass(frozen=True, slots=True)
class Limits:
    """The range of a number; None where it has no end. ``above`` and ``below``: the end itself is left out."""

    minimum: float | None = None
    maximum: float | None = None
    above: bool = False
    below: bool = False

    def __str__(self) -> str:
        """The range in words: "greater than 0 and at most 10"; "" for none."""
        low = "" if self.minimum is None else f"{'greater than' if self.above else 'at least'} {_number(self.minimum)}"
        high = "" if self.maximum is None else f"{'less than' if self.below else 'at most'} {_number(self.maximum)}"
        return " and ".join(filter(None, (low, high)))


@dataclass(frozen=True)
class Setting:
    """A setting: its dotted name, the row written of it, and its field.

    Attributes:
        name: dotted, as in ``experiment.toml``: ``training.learning_rate``.
        row: its words.
        field: pydantic's.
        kind: of a setting that only one kind of architecture has, or that each has with its own default: that kind.
    """

    name: str
    row: Row
    field: FieldInfo
    kind: str = ""

    @property
    def section(self) -> str:
        """The name without its last part: ``architecture.fine_tuning``."""
        return self.name.rpartition(".")[0]

    @property
    def key(self) -> str:
        """The last part of the name: ``learning_rate``."""
        return self.name.rpartition(".")[2]

    @property
    def title(self) -> str:
        """Its caption in a form."""
        return self.row.title

    @property
    def help(self) -> str:
        """What it is, a short sentence."""
        return self.row.help

    @property
    def advanced(self) -> bool:
        """Whether a form keeps it folded away at first."""
        return self.row.advanced

    @property
    def choices(self) -> Mapping[Any, str]:
        """The values it can have, each with its title; empty where it is none of several."""
        return self.row.choices

    @property
    def unit(self) -> Unit:
        """What it counts."""
        return Unit.SWITCH if self.type is ValueType.SWITCH else self.row.unit

    @property
    def default(self) -> Any:
        """Its value when nothing is said."""
        return self.field.get_default(call_default_factory=True)

    @cached_property
    def type(self) -> ValueType:
        """What its values are."""
        of = self.field.annotation
        if get_origin(of) is tuple:
            if self.row.choices:
                return ValueType.CHOICES
            return ValueType.BLOCKS if get_origin(_bare(get_args(of)[0])) is tuple else ValueType.INTEGERS
        if get_origin(of) is Literal or (isinstance(of, type) and issubclass(of, Enum)):
            return ValueType.CHOICE
        plain = {bool: ValueType.SWITCH, int: ValueType.INTEGER, float: ValueType.NUMBER, str: ValueType.TEXT}
        return plain[of]  # type: ignore[index]  # a field of another type has no row

    @cached_property
    def limits(self) -> Limits:
        """The range of a number, as its field has it."""
        ends = {end: getattr(part, end) for part in self.field.metadata for end in _ENDS if hasattr(part, end)}
        return Limits(ends.get("gt", ends.get("ge")), ends.get("lt", ends.get("le")), "gt" in ends, "lt" in ends)

    @cached_property
    def longest(self) -> int:
        """How many values a list can have."""
        return next(int(part.max_length) for part in self.field.metadata if hasattr(part, "max_length"))

    @property
    def range_text(self) -> str:
        """What it can be, in words: a range, or the choices' codes; "" where both would say nothing."""
        return _listed(self.choices) if self.choices else str(self.limits)

    def parse(self, text: str) -> Any:
        """The value that a text of the command line means: a TOML value, a bare word, or per cent of a fraction.

        Raises:
            ExperimentError: it means none; ``field`` is the setting's name.
        """
        try:
            return self._adapter.validate_python(self._plain(text.strip()))
        except ValidationError as error:
            first = error.errors()[0]
            name = ".".join((self.name, *map(str, first["loc"])))
            raise ExperimentError(self.refusal(first, name), field=name) from None

    @cached_property
    def _adapter(self) -> TypeAdapter[Any]:
        return TypeAdapter(self.field.rebuild_annotation(), config=ConfigDict(allow_inf_nan=False))

    def _plain(self, text: str) -> Any:
        if self.unit is Unit.PERCENT and text.endswith("%"):
            try:
                return float(text[:-1]) / 100
            except ValueError:
                return text
        try:
            found = tomllib.loads(f"value = {text}")
        except (ValueError, RecursionError):  # no TOML, a number of thousands of digits, brackets without end
            found = {"value": text}
        value = found.pop("value")
        if found or (self.type is ValueType.TEXT and not isinstance(value, str)):
            return text
        if self.type in _LISTS and not isinstance(value, list):
            # As the window takes them: "128, 64", "same, valid" and "32-32, 64-64".
            parts = [part for part in re.split(r"[,\s]+", text) if part]
            return [part.split("-") for part in parts] if self.type is ValueType.BLOCKS else parts
        is_number = self.type in {ValueType.INTEGER, ValueType.NUMBER}
        return text if is_number and isinstance(value, bool) else value

    def refusal(self, error: ErrorDetails, name: str) -> str:
        """Why a value was refused, a sentence.

        Args:
            error: pydantic's.
            name: the dotted name of what is wrong: this setting's, or that of an item in it.
        """
        what, given = f"{self.title} ({name})", _shown(error["input"])
        if error["type"] == "value_error":
            return f"{what} is {given}: {error['msg'].removeprefix('Value error, ')}."
        return f"{what} must be {self._demand(error, is_item=name != self.name)}; it is {given}."

    def _demand(self, error: ErrorDetails, *, is_item: bool) -> str:
        kind, context = error["type"], error.get("ctx", {})
        if kind in _LENGTH_ERRORS:
            return _LENGTH_ERRORS[kind].format(**context)
        if self.choices:
            return _listed(self.choices)
        if not is_item:
            demand = "" if kind in _RANGE_ERRORS else _DEMANDS[self.type]
            return ", ".join(filter(None, (demand, str(self.limits))))
        if kind in _RANGE_ERRORS:
            words, end = _RANGE_ERRORS[kind]
            return f"{words} {_number(context[end])}"
        return "a list of whole numbers" if kind == "tuple_type" else "a whole number"


def settings_of(model: type[BaseModel], section: str, kind: str = "") -> Iterator[Setting]:
    """The settings of a model's fields, and of the models in it, in their order; a field without a row is left out.

    Args:
        model: a group of settings.
        section: the group's dotted name.
        kind: which architecture it is, if it is one.
    """
    for key, info in model.model_fields.items():
        name = f"{section}.{key}"
        if isinstance(info.annotation, type) and issubclass(info.annotation, BaseModel):
            yield from settings_of(info.annotation, name, kind)
        for row in info.metadata:
            if isinstance(row, Row):
                yield Setting(name, row, info, kind)


def _bare(annotation: Any) -> Any:
    return get_args(annotation)[0] if get_origin(annotation) is Annotated else annotation


def _number(value: float) -> str:
    return f"{value:,}" if isinstance(value, int) else f"{value:g}"


def _listed(choices: Mapping[Any, str]) -> str:
    *most, last = map(str, choices)
    return f"{', '.join(most)} or {last}"


def _shown(value: Any) -> str:
    if isinstance(value, list | tuple):  # codes as they are written, without the names of their classes
        value = [str(each) if isinstance(each, StrEnum) else each for each in value]
    text = repr(value)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"
