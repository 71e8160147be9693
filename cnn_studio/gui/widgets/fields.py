"""Form fields: a row with caption, help and error, and the few kinds of input the pages need."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any

from PySide6.QtCore import QLocale, QSize, Qt, Signal, Slot
from PySide6.QtGui import QValidator, QWheelEvent
from PySide6.QtWidgets import (
    QAbstractSpinBox,
    QComboBox,
    QDoubleSpinBox,
    QLabel,
    QLineEdit,
    QSpinBox,
    QVBoxLayout,
    QWidget,
)

from cnn_studio.core.text import printable
from cnn_studio.gui.look import theme
from cnn_studio.gui.widgets.list_text import blocks_text, list_text, parse_blocks, parse_choices, parse_integers
from cnn_studio.gui.widgets.paragraph import paragraph


class FieldRow(QWidget):
    """A caption above a field, and below it a line of help that an error replaces.

    ``error_changed`` tells each error, and "" once there is none any more.

    Args:
        caption: may hold an ``&`` for its key.
        field: the input; one with a ``problem`` signal tells its errors here by itself.
        help_text: what it is, one short sentence.
        parent: the widget it lies in.
    """

    error_changed = Signal(str)

    def __init__(self, caption: str, field: QWidget, help_text: str = "", parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.field = field
        self._help_text = help_text
        self._error = ""
        self.caption = QLabel(caption)
        self.caption.setBuddy(field)
        self._below = QLabel()
        self._below.setTextFormat(Qt.TextFormat.PlainText)
        theme.set_text_size(self._below, theme.TextSize.SMALL)
        if not field.accessibleName():
            field.setAccessibleName(caption.replace("&", ""))
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(theme.SPACE_HALF)
        layout.addWidget(self.caption)
        layout.addWidget(field)
        layout.addLayout(paragraph(self._below))
        problem = getattr(field, "problem", None)
        if problem is not None:
            problem.connect(self.set_error)
        self._show()

    @Slot(str)
    def set_error(self, text: str) -> None:
        """Mark the field and say what is wrong with it; "" when nothing is."""
        if text != self._error:
            self._error = text
            self._show()
            self.error_changed.emit(text)

    def error(self) -> str:
        """What is wrong, "" when nothing is."""
        return self._error

    def _show(self) -> None:
        wrong = bool(self._error)
        text = self._error or self._help_text
        self._below.setText(text)
        self._below.setVisible(bool(text))
        self._below.setProperty("tone", "error" if wrong else "")
        theme.set_muted(self._below, muted=not wrong)
        self.field.setProperty("invalid", wrong)
        self.field.setAccessibleDescription(text)
        theme.repolish(self.field)


def _prepare(box: QAbstractSpinBox) -> None:
    box.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
    # A style sheet's padding does not reach the line inside a spin box.
    box.lineEdit().setTextMargins(theme.SPACE - 3, 0, 0, 0)


def _ignore_wheel_unless_focused(field: QWidget, event: QWheelEvent, handle: Callable[[QWheelEvent], None]) -> None:
    """Scrolling a page must not change the settings that pass under the pointer."""
    if field.hasFocus():
        handle(event)
    else:
        event.ignore()


class IntegerBox(QSpinBox):
    """A whole number in a range."""

    def __init__(self, least: int, most: int, parent: QWidget | None = None, *, step: int = 1) -> None:
        super().__init__(parent)
        self.setRange(least, most)
        self.setSingleStep(step)
        self.setGroupSeparatorShown(True)
        _prepare(self)

    def wheelEvent(self, event: QWheelEvent) -> None:
        """Only with the keyboard's focus."""
        _ignore_wheel_unless_focused(self, event, super().wheelEvent)


class PercentBox(QSpinBox):
    """A fraction shown as whole percent."""

    fraction_changed = Signal(float)

    def __init__(self, parent: QWidget | None = None, *, most: float = 0.9) -> None:
        super().__init__(parent)
        self.setRange(0, round(most * 100))
        self.setSingleStep(5)
        self.setSuffix(" %")
        _prepare(self)
        self.valueChanged.connect(self._tell)

    def fraction(self) -> float:
        """The value, 0–1."""
        return self.value() / 100

    def set_fraction(self, fraction: float) -> None:
        """Set the value, 0–1."""
        self.setValue(round(fraction * 100))

    @Slot()
    def _tell(self) -> None:
        self.fraction_changed.emit(self.fraction())

    def wheelEvent(self, event: QWheelEvent) -> None:
        """Only with the keyboard's focus."""
        _ignore_wheel_unless_focused(self, event, super().wheelEvent)


_BESIDE_NOTHING = 1e-3
"""Where 0 is allowed, the step that follows it."""


class NumberBox(QDoubleSpinBox):
    """A number that is not negative: takes ``1e-4`` and ``0,0001``; a step goes to the next of 1, 2, 5, 10."""

    def __init__(self, least: float, most: float, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setDecimals(12)
        self.setRange(least, most)
        _prepare(self)
        self.setKeyboardTracking(False)
        self.setAccelerated(False)

    def textFromValue(self, value: float) -> str:
        """``0.001``; below that with an exponent: ``1e-5``."""
        text = f"{value:.4g}"
        if "e" in text:
            number, exponent = text.split("e")
            return f"{number}e{int(exponent)}"
        return text

    def valueFromText(self, text: str) -> float:
        """The number typed, or the present value while it is none."""
        number = _number(text)
        return self.value() if number is None else number

    def validate(self, text: str, position: int) -> Any:
        """Whether the text is, or could become, a number in range."""
        number = _number(text)
        state = QValidator.State
        if number is not None and self.minimum() <= number <= self.maximum():
            return state.Acceptable, text, position
        if all(character in "0123456789.,eE-+ " for character in text):
            return state.Intermediate, text, position
        return state.Invalid, text, position

    def fixup(self, text: str) -> str:
        """What cannot be used gives way to the value before."""
        number = _number(text)
        usable = self.value() if number is None else min(max(number, self.minimum()), self.maximum())
        return self.textFromValue(usable)

    def stepBy(self, steps: int) -> None:
        """To the next of 1, 2, 5, 10 up or down."""
        value = self.value()
        for _ in range(abs(steps)):
            value = self._next(value, up=steps > 0)
        self.setValue(value)
        self.selectAll()

    def _next(self, value: float, *, up: bool) -> float:
        if self.minimum() > 0 or value > _BESIDE_NOTHING or (up and value == _BESIDE_NOTHING):
            return _next_round(value, up=up)
        return _BESIDE_NOTHING if up else 0.0

    def wheelEvent(self, event: QWheelEvent) -> None:
        """Only with the keyboard's focus."""
        _ignore_wheel_unless_focused(self, event, super().wheelEvent)


def _number(text: str) -> float | None:
    try:
        number = float(text.strip().replace(",", "."))
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _next_round(value: float, *, up: bool) -> float:
    exponent = math.floor(math.log10(value) + 1e-9)
    marks = [float(f"{digit}e{exponent + shift}") for shift in (-1, 0, 1) for digit in (1, 2, 5)]
    beyond = [mark for mark in marks if (mark > value * 1.0001 if up else mark < value * 0.9999)]
    return min(beyond) if up else max(beyond)


class DropDown(QComboBox):
    """A list that opens; the wheel leaves it alone unless it has the keyboard's focus.

    Args:
        parent: the widget it lies in.
        shrinks: whether it may be narrower than its longest text, such as the name of a class; the list that opens
            is as wide as that.
    """

    def __init__(self, parent: QWidget | None = None, *, shrinks: bool = False) -> None:
        super().__init__(parent)
        self._shrinks = shrinks
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToContents)

    def minimumSizeHint(self) -> QSize:
        """Room for the longest text, or for the beginning of any."""
        hint = super().minimumSizeHint()
        if self._shrinks:
            hint.setWidth(min(hint.width(), _LEAST_CHARACTERS * self.fontMetrics().averageCharWidth()))
        return hint

    def showPopup(self) -> None:
        """Show every text as a whole, however narrow the box is."""
        self.view().setMinimumWidth(min(self.sizeHint().width(), self.screen().availableGeometry().width()))
        super().showPopup()

    def wheelEvent(self, event: QWheelEvent) -> None:
        """Only with the keyboard's focus."""
        _ignore_wheel_unless_focused(self, event, super().wheelEvent)


_LEAST_CHARACTERS = 16


class ChoiceBox(DropDown):
    """One of several values, each with a text."""

    chosen = Signal(object)
    """The value the user chose; setting it from code tells nothing."""

    def __init__(
        self, choices: Sequence[tuple[str, Any]] = (), parent: QWidget | None = None, *, shrinks: bool = False
    ) -> None:
        super().__init__(parent, shrinks=shrinks)
        self._values: list[Any] = []
        self.activated.connect(self._tell)
        self.set_choices(choices)

    def set_choices(self, choices: Sequence[tuple[str, Any]]) -> None:
        """Offer (text, value) pairs; the value chosen stays so if it is among them."""
        before = self.value()
        self.clear()
        # Kept here and not as item data: Qt would turn enumerations and tuples into something else.
        self._values = [value for _, value in choices]
        self.addItems([printable(text) for text, _ in choices])
        if before in self._values:
            self.set_value(before)

    def value(self) -> Any:
        """The value chosen; None when there is none."""
        place = self.currentIndex()
        return self._values[place] if 0 <= place < len(self._values) else None

    def set_value(self, value: Any) -> None:
        """Choose a value; one that is not offered leaves nothing chosen."""
        self.setCurrentIndex(self._values.index(value) if value in self._values else -1)

    @Slot()
    def _tell(self) -> None:
        self.chosen.emit(self.value())


class _ListEdit(QLineEdit):
    """A line that means a tuple; tells the tuple while it is right, and what is wrong while it is not."""

    values_changed = Signal(object)
    problem = Signal(str)

    def __init__(self, parse: Callable[[str], Any], as_text: Callable[[Any], str], parent: QWidget | None) -> None:
        super().__init__(parent)
        self._parse = parse
        self._as_text = as_text
        self._values: Any = ()
        self.setLocale(QLocale.c())
        self.textEdited.connect(self._on_edited)
        self.editingFinished.connect(self._tidy)

    def values(self) -> Any:
        """The last values that were right."""
        return self._values

    def set_values(self, values: Any) -> None:
        """Show values; text that already means them stays as it was typed."""
        try:
            same = self._parse(self.text()) == values
        except ValueError:
            same = False
        self._values = values
        if not same or not self.text():
            self.setText(self._as_text(values))
        self.problem.emit("")

    @Slot(str)
    def _on_edited(self, text: str) -> None:
        try:
            values = self._parse(text)
        except ValueError as error:
            self.problem.emit(str(error))
            return
        self.problem.emit("")
        if values != self._values:
            self._values = values
            self.values_changed.emit(values)

    @Slot()
    def _tidy(self) -> None:
        try:
            self.setText(self._as_text(self._parse(self.text())))
        except ValueError:
            return  # the error stays beside what was typed


class IntegerListEdit(_ListEdit):
    """``128, 64``: a tuple of int."""

    def __init__(self, parent: QWidget | None = None, *, longest: int = 6) -> None:
        super().__init__(partial(parse_integers, longest=longest), list_text, parent)
        self.setPlaceholderText("none")


class ChoicesEdit(_ListEdit):
    """``same, valid``: a tuple of values that are known by a text."""

    def __init__(self, choices: Iterable[Any], longest: int, parent: QWidget | None = None) -> None:
        super().__init__(partial(parse_choices, choices=tuple(choices), longest=longest), list_text, parent)


class BlocksEdit(_ListEdit):
    """``32-32, 64-64``: a tuple of tuples of int, one per block."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parse_blocks, blocks_text, parent)
        self.setPlaceholderText("none")
