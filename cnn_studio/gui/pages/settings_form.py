"""Fields of a form that are settings of the experiment: edited here, validated there, marked here when wrong."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from PySide6.QtCore import QObject, Slot
from PySide6.QtWidgets import QCheckBox, QDoubleSpinBox, QLineEdit, QSpinBox, QWidget

from cnn_studio.core.errors import ExperimentError
from cnn_studio.gui.state.project import Project
from cnn_studio.gui.widgets.fields import BlocksEdit, ChoiceBox, FieldRow, IntegerListEdit, PercentBox


@dataclass(frozen=True, slots=True)
class _Binding:
    """One setting's field: how to read it, how to show a value, and the row that carries its error."""

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
        self._bindings: dict[str, _Binding] = {}
        self._showing = False
        project.experiment_changed.connect(self.refresh)

    def add(self, name: str, row: FieldRow, *, also: tuple[str, ...] = ()) -> FieldRow:
        """Bind a row's field to the setting ``name`` (dotted), and to those in ``also``, which get the same value."""
        field = row.field

        def edited(*_: object) -> None:
            self._edited(name)

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
            case IntegerListEdit() | BlocksEdit():
                read, show = field.values, field.set_values
                field.values_changed.connect(edited)
                field.problem.connect(row.set_error)
            case QLineEdit():
                read, show = field.text, _shower(field)
                field.textEdited.connect(edited)
            case _:
                raise TypeError(f"no setting can be edited in a {type(field).__name__}")
        self._bindings[name] = _Binding(read, show, row, also)
        return row

    def row(self, name: str) -> FieldRow:
        """The row of a setting."""
        return self._bindings[name].row

    def _edited(self, name: str) -> None:
        if self._showing:
            return
        binding = self._bindings[name]
        self._mark(self._project.change(dict.fromkeys((name, *binding.also), binding.read())), name)

    def _mark(self, error: ExperimentError | None, edited: str) -> None:
        for name, binding in self._bindings.items():
            at_fault = error is not None and (error.field == name or error.field.startswith(f"{name}."))
            if at_fault or name == edited:
                binding.row.set_error(_at_field(error) if error else "")

    @Slot()
    def refresh(self) -> None:
        """Show the project's experiment."""
        self._showing = True
        try:
            for name, binding in self._bindings.items():
                value: Any = self._project.experiment
                for part in name.split("."):
                    value = getattr(value, part, None)
                if value is not None:  # a setting of the other kind of architecture
                    binding.show(value)
                    binding.row.set_error("")
        finally:
            self._showing = False


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
