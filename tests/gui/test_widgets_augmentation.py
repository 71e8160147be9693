"""The augmentation page's own widgets: a kind's switch and slider, and the grid of results."""

from __future__ import annotations

import numpy as np
import pytest
from PySide6.QtCore import QPoint, QPointF, Qt
from PySide6.QtGui import QWheelEvent
from PySide6.QtWidgets import QApplication

from cnn_studio.core.experiment.augmentation import AUGMENTATION_KINDS, Unit
from cnn_studio.gui.widgets.preview_grid import PreviewGrid
from cnn_studio.gui.widgets.strength_row import StrengthRow


@pytest.fixture
def row(qtbot):
    """row("rotation") -> (its row, list of what it told)."""

    def make(name):
        widget = StrengthRow(AUGMENTATION_KINDS[name])
        qtbot.addWidget(widget)
        told = []
        widget.strength_changed.connect(told.append)
        widget.show()
        return widget, told

    return make


def test_switched_on_it_begins_with_the_usual_strength_and_remembers_its_own(row):
    widget, told = row("rotation")
    assert not widget.slider.isEnabled()
    widget.switch.click()
    assert told == [10.0]
    assert widget.value.text() == "10°"
    widget.set_strength(33.0)
    widget.switch.click()
    widget.switch.click()
    assert told == [10.0, 0.0, 33.0]


@pytest.mark.parametrize("kind", [kind for kind in AUGMENTATION_KINDS.values() if kind.unit is not Unit.SWITCH])
def test_the_slider_reaches_every_end_and_its_own_places(row, kind):
    widget, told = row(kind.name)
    widget.set_strength(kind.usual)
    widget.slider.setValue(widget.slider.maximum())
    assert told[-1] == kind.most
    widget.slider.setValue(widget.slider.minimum())
    assert 0 < told[-1] <= 0.05 * kind.most
    for strength in (kind.usual, kind.too_strong, kind.most):
        widget.set_strength(strength)
        place = widget.slider.value()
        assert widget._strength_at(place) == pytest.approx(strength, rel=0.02), "what is shown is what is set"


def test_code_that_sets_a_strength_tells_nothing(row):
    widget, told = row("zoom")
    widget.set_strength(0.3)
    widget.set_strength(0)
    assert told == []


def test_a_kind_without_strength_is_a_switch(row):
    widget, told = row("flip_horizontal")
    assert widget.slider.isHidden()
    widget.switch.click()
    assert told == [1.0]


def test_scrolling_over_a_slider_leaves_it_alone(row):
    widget, told = row("zoom")
    widget.set_strength(0.1)
    spot = QPointF(5, 5)
    wheel = QWheelEvent(
        spot,
        spot,
        QPoint(),
        QPoint(0, 120),
        Qt.MouseButton.NoButton,
        Qt.KeyboardModifier.NoModifier,
        Qt.ScrollPhase.NoScrollPhase,
        False,
    )
    QApplication.sendEvent(widget.slider, wheel)
    assert told == []


def test_a_warning_and_a_reason_why_it_cannot_be(row):
    widget, _ = row("hue")
    assert widget.warning.isHidden()
    widget.set_warning("Too much.")
    assert widget.warning.isVisible()
    widget.set_possible(possible=False, why_not="The network sees grey images.")
    assert not widget.switch.isEnabled()
    assert widget.switch.toolTip() == "The network sees grey images."


def colour_at(grid, place):
    return grid.grab().toImage().pixelColor(place).getRgb()[:3]


def test_the_grid_paints_the_original_and_every_result(qtbot):
    grid = PreviewGrid()
    qtbot.addWidget(grid)
    grid.resize(640, 480)
    red = np.full((20, 20, 3), (200, 0, 0), np.uint8)
    changed = np.stack([np.full((20, 20, 3), (0, 20 * number, 200), np.uint8) for number in range(9)])
    grid.show_images(red, changed, ["", "80 % daisy"] + [""] * 7)
    assert colour_at(grid, QPoint(60, 60)) == (200, 0, 0)
    assert colour_at(grid, QPoint(630, 60)) == (0, 40, 200)
    assert len(grid.results()) == 9
    grid.say("Open a folder.")
    assert grid.results() == []
    assert colour_at(grid, QPoint(60, 60)) != (200, 0, 0)
