"""Fields of a form that are settings of the experiment: edited here, validated there, marked here when wrong."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from PySide6.QtCore import QObject, Slot
from PySide6.QtWidgets import QCheckBox, QDoubleSpinBox, QLineEdit, QSpinBox, QWidget

from cnn_studio.core.errors import ExperimentError
from cnn_studio.core.experiment.row import Setting, Unit, ValueType
from cnn_studio.core.experiment.table import setting
from cnn_studio.gui.state.project import Project
from cnn_studio.gui.widgets.fields import (
    BlocksEdit,
    ChoiceBox,
    ChoicesEdit,
    FieldRow,
    IntegerBox,
    IntegerListEdit,
    NumberBox,
    PercentBox,
)

_SUFFIXES = {Unit.PIXELS: " pixels", Unit.EPOCHS: " epochs"}
_STEPS = {"image.height": 8, "training.batch_size": 8}
"""What the arrows of a field add, where 1 would take long."""
_JUST_ABOVE = 1e-8
"""How far above the end of a range a field begins where the end itself is left out."""


@dataclass(frozen=True, slots=True)
class _Binding:
    """One setting's field: how to read it, how to show a value, and the row that carries its error.

    ``kind`` is that of the architecture whose setting it is, where only one has it or each has its own.
    """

    name: str
    kind: str
    read: Callable[[], Any]
    show: Callable[[Any], None]
    row: FieldRow
    also: tuple[str, ...]


class SettingsForm(QObject):
    """Keeps a group of fields and the project's experiment the same.

    An edit goes to the project at once. What that refuses is shown at its field and the experiment stays as it
    was; what changes elsewhere (a preset, an opened file) is shown here.
    """

    def __init__(self, project: Project, parent: QWidget) -> None:
        super().__init__(parent)
        self._project = project
        self._bindings: list[_Binding] = []
        self._showing = False
        project.experiment_changed.connect(self.refresh)

    def setting(
        self,
        name: str,
        *,
        kind: str = "",
        title: str = "",
        help_text: str = "",
        field: QWidget | None = None,
        also: tuple[str, ...] = (),
    ) -> FieldRow:
        """A row for a setting as the table has it: caption, choices, range, unit and help; bound to the experiment.

        Args:
            name: dotted.
            kind: of architecture, where each has a row of its own for that name.
            title: in place of the table's, where a row stands for several settings or its caption has a key.
            help_text: in place of the table's, where a row stands for several settings.
            field: in place of the one that suits its type.
            also: settings that get the same value.
        """
        of = setting(name, kind)
        caption = "" if of.type is ValueType.SWITCH else title or of.title
        return self.add(name, FieldRow(caption, field or field_of(of), help_text or of.help), kind=kind, also=also)

    def add(self, name: str, row: FieldRow, *, kind: str = "", also: tuple[str, ...] = ()) -> FieldRow:
        """Bind a row's field to the setting ``name`` (dotted), and to those in ``also``, which get the same value."""
        field = row.field

        def edited(*_: object) -> None:
            self._edited(binding)

        read: Callable[[], Any]
        show: Callable[[Any], Any]
        match field:
            case ChoiceBox():
                read, show = field.value, field.set_value
                field.chosen.connect(edited)
            case QCheckBox():
                read, show = field.isChecked, field.setChecked
                field.toggled.connect(edited)
            case PercentBox():
                read, show = field.fraction, field.set_fraction
                field.fraction_changed.connect(edited)
            case QSpinBox() | QDoubleSpinBox():
                read, show = field.value, field.setValue
                # Typing 128 passes through 1 and 12: only the finished number counts.
                field.setKeyboardTracking(False)
                field.valueChanged.connect(edited)
            case IntegerListEdit() | ChoicesEdit() | BlocksEdit():
                read, show = field.values, field.set_values
                field.values_changed.connect(edited)
                field.problem.connect(row.set_error)
            case QLineEdit():
                read, show = field.text, _shower(field)
                field.textEdited.connect(edited)
            case _:
                raise TypeError(f"no setting can be edited in a {type(field).__name__}")
        row.error_changed.connect(lambda problem: self._project.mark_wrong(name, problem))
        binding = _Binding(name, kind, read, show, row, also)
        self._bindings.append(binding)
        return row

    def row(self, name: str, kind: str = "") -> FieldRow:
        """The row of a setting; of that kind of architecture, or of the present one, where each has its own."""
        kinds = {"", kind or self._project.experiment.architecture.kind}
        return next(each.row for each in self._bindings if each.name == name and each.kind in kinds)

    def _edited(self, binding: _Binding) -> None:
        if not self._showing:
            values = dict.fromkeys((binding.name, *binding.also), binding.read())
            self._mark(self._project.change(values), binding)

    def _mark(self, error: ExperimentError | None, edited: _Binding) -> None:
        for binding in self._in_use():
            at_fault = error is not None and f"{error.field}.".startswith(f"{binding.name}.")
            if at_fault or binding is edited:
                binding.row.set_error(_at_field(error) if error else "")

    def _in_use(self) -> list[_Binding]:
        """Those that the project's kind of architecture has."""
        return [each for each in self._bindings if each.kind in {"", self._project.experiment.architecture.kind}]

    @Slot()
    def refresh(self) -> None:
        """Show the project's experiment."""
        self._showing = True
        try:
            for binding in self._in_use():
                value: Any = self._project.experiment
                for part in binding.name.split("."):
                    value = getattr(value, part, None)
                if value is not None:  # a setting of the other kind of architecture
                    binding.show(value)
            for binding in self._bindings:
                binding.row.set_error("")
        finally:
            self._showing = False


def field_of(of: Setting) -> QWidget:
    """The input that suits a setting's type, with its range, choices and unit."""
    return _FIELDS[of.type](of)


def _integer_box(of: Setting) -> IntegerBox:
    least, most = of.limits.minimum, of.limits.maximum
    assert least is not None
    assert most is not None
    box = IntegerBox(int(least), int(most), step=_STEPS.get(of.name, 1))
    box.setSuffix(_SUFFIXES.get(of.unit, ""))
    return box


def _number_box(of: Setting) -> NumberBox:
    least, most = of.limits.minimum, of.limits.maximum
    assert least is not None
    assert most is not None
    return NumberBox(least + _JUST_ABOVE * of.limits.above, most)


_FIELDS: dict[ValueType, Callable[[Setting], QWidget]] = {
    ValueType.SWITCH: lambda of: QCheckBox(of.title),
    ValueType.CHOICE: lambda of: ChoiceBox([(title, value) for value, title in of.choices.items()]),
    ValueType.INTEGER: _integer_box,
    ValueType.NUMBER: lambda of: PercentBox() if of.unit is Unit.PERCENT else _number_box(of),
    ValueType.INTEGERS: lambda of: IntegerListEdit(longest=of.longest),
    ValueType.CHOICES: lambda of: ChoicesEdit(of.choices, of.longest),
    ValueType.BLOCKS: lambda _: BlocksEdit(),
    ValueType.TEXT: lambda _: QLineEdit(),
}


def _at_field(error: ExperimentError) -> str:
    """The error without the name of its setting, which stands right above it: "Must be at least 1; it is 0."."""
    text = str(error)
    text = (text.partition(f"({error.field}) ")[2] or text).removeprefix(f"{error.field}: ")
    return text[:1].upper() + text[1:]


def _shower(line: QLineEdit) -> Callable[[str], None]:
    def show(text: str) -> None:
        if text != line.text():  # the cursor stays where it is
            line.setText(text)

    return show
