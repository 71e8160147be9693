"""One kind of augmentation on a page: a switch, a slider for its strength, and a warning below."""

from __future__ import annotations

from PySide6.QtCore import Qt, Signal, Slot
from PySide6.QtGui import QWheelEvent
from PySide6.QtWidgets import QCheckBox, QGridLayout, QLabel, QSlider, QWidget

from cnn_studio.core.experiment.augmentation import AUGMENTATION_KINDS, AugmentationKind, Unit, strength_text
from cnn_studio.gui.look import theme

_STEP = {Unit.DEGREES: 1.0, Unit.PERCENT: 0.01, Unit.PIXELS: 0.1, Unit.ALPHA: 0.05}
_FINE_SHARE = 0.7  # of the slider's way belongs to the strengths up to "too strong", which are the usual ones


class StrengthRow(QWidget):
    """Switch and strength of one kind; 0 is off. Switched on again it has the strength it had before.

    Args:
        kind: the row of the table.
        parent: the widget it lies in.
    """

    strength_changed = Signal(float)
    """The new strength, 0 when switched off; 1 for a kind without strength. Code that sets it tells nothing."""

    def __init__(self, kind: AugmentationKind, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.kind = kind
        self._strength = 0.0
        self._last = kind.usual
        self.switch = QCheckBox(kind.title)
        self.switch.setToolTip(kind.explanation)
        self.switch.toggled.connect(self._on_toggled)
        self.slider = _CalmSlider(Qt.Orientation.Horizontal)
        self.slider.setAccessibleName(f"Strength of {kind.title}")
        self.slider.setToolTip(kind.explanation)
        self.value = QLabel()
        self.value.setAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        self.value.setMinimumWidth(self.fontMetrics().horizontalAdvance("4.5 pixels"))
        self.warning = QLabel()
        self.warning.setWordWrap(True)
        self.warning.setProperty("tone", "warning")
        theme.set_text_size(self.warning, theme.TextSize.SMALL)
        self.warning.hide()
        layout = QGridLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setHorizontalSpacing(theme.SPACE)
        layout.setVerticalSpacing(0)
        layout.addWidget(self.switch, 0, 0)
        layout.addWidget(self.slider, 0, 1)
        layout.addWidget(self.value, 0, 2)
        layout.addWidget(self.warning, 1, 0, 1, 3)
        widest = max(self.fontMetrics().horizontalAdvance(other.title) for other in AUGMENTATION_KINDS.values())
        layout.setColumnMinimumWidth(0, widest + 4 * theme.SPACE)
        layout.setColumnStretch(1, 1)
        if kind.unit is Unit.SWITCH:
            self.slider.hide()
            self.value.hide()
        else:
            self._steps = round(kind.most / _STEP[kind.unit])
            self.slider.setRange(1, 1000)
            self.slider.setSingleStep(10)
            self.slider.setPageStep(100)
            self.slider.valueChanged.connect(self._on_moved)
        self._show()

    def strength(self) -> float:
        """The strength, 0 when off."""
        return self._strength

    def set_strength(self, strength: float) -> None:
        """Show a strength."""
        self._strength = float(strength)
        if self._strength:
            self._last = self._strength
        self._show()

    def set_warning(self, text: str) -> None:
        """Say below why this choice is likely to harm; "" for nothing."""
        self.warning.setText(text)
        self.warning.setVisible(bool(text))

    def set_possible(self, *, possible: bool, why_not: str = "") -> None:
        """Whether the kind can be used at all, and why not."""
        self.switch.setEnabled(possible)
        self.switch.setToolTip(self.kind.explanation if possible else why_not)
        self.slider.setEnabled(possible and bool(self._strength))

    def _show(self) -> None:
        for widget in (self.switch, self.slider):
            widget.blockSignals(True)
        on = self._strength > 0
        self.switch.setChecked(on)
        self.slider.setEnabled(on)
        if self.kind.unit is not Unit.SWITCH:
            self.slider.setValue(self._place_of(self._strength or self._last))
            self.value.setText(strength_text(self.kind, self._strength) if on else "")
        for widget in (self.switch, self.slider):
            widget.blockSignals(False)

    def _place_of(self, strength: float) -> int:
        """The slider's place for a strength: fine where strengths are usual, coarse beyond."""
        fine, most = self.kind.too_strong, self.kind.most
        if strength <= fine or fine >= most:
            share = _FINE_SHARE * strength / fine if fine < most else strength / most
        else:
            share = _FINE_SHARE + (1 - _FINE_SHARE) * (strength - fine) / (most - fine)
        return max(1, round(1000 * share))

    def _strength_at(self, place: int) -> float:
        fine, most, share = self.kind.too_strong, self.kind.most, place / 1000
        if fine >= most:
            strength = share * most
        elif share <= _FINE_SHARE:
            strength = fine * share / _FINE_SHARE
        else:
            strength = fine + (most - fine) * (share - _FINE_SHARE) / (1 - _FINE_SHARE)
        step = _STEP[self.kind.unit]
        return round(min(most, max(step, step * round(strength / step))), 6)

    @Slot(bool)
    def _on_toggled(self, on: bool) -> None:
        self._tell(self._last if on else 0.0)

    @Slot(int)
    def _on_moved(self, place: int) -> None:
        strength = self._strength_at(place)
        if strength != self._strength:
            self._last = strength
            self._tell(strength)

    def _tell(self, strength: float) -> None:
        self._strength = strength
        self.slider.setEnabled(strength > 0)
        self.value.setText(strength_text(self.kind, strength) if strength and self.kind.unit is not Unit.SWITCH else "")
        self.strength_changed.emit(strength)


class _CalmSlider(QSlider):
    """A slider that a scrolling page leaves alone."""

    def wheelEvent(self, event: QWheelEvent) -> None:
        """Only with the keyboard's focus."""
        if self.hasFocus():
            super().wheelEvent(event)
        else:
            event.ignore()
