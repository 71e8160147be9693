import csv
import math
import random
import sys

import numpy as np
import pytest
from PySide6.QtCore import QPoint, QPointF, Qt
from PySide6.QtGui import QImage

from cnn_studio.core.errors import StorageError
from cnn_studio.gui.look import theme
from cnn_studio.gui.look.style_sheet import DARK, LIGHT
from cnn_studio.gui.widgets.curve_axes import epoch_ticks
from cnn_studio.gui.widgets.curve_data import (
    CSV_COLUMNS,
    CurveData,
    Growing,
    Reading,
    Smoothed,
    format_value,
    nice_range,
    smooth,
    thin,
)
from cnn_studio.gui.widgets.curves import CurvePanel, CurvePlot


def reference_average(values: list[float], weight: float) -> list[float]:
    average, out, seen = 0.0, [], 0
    for value in values:
        if not math.isfinite(value):
            out.append(value)
            continue
        seen += 1
        average = weight * average + (1 - weight) * value
        out.append(average / (1 - weight**seen))
    return out


@pytest.fixture
def noise() -> list[float]:
    source = random.Random(7)
    return [source.gauss(2.0, 1.0) for _ in range(5000)]


@pytest.mark.parametrize("weight", [0.0, 0.05, 0.5, 0.8, 0.97, 0.99])
def test_smoothing_is_the_bias_corrected_moving_average(noise, weight):
    np.testing.assert_allclose(smooth(np.array(noise), weight), reference_average(noise, weight), rtol=1e-9)


def test_smoothing_bit_by_bit_gives_the_same(noise):
    growing, smoothed = Growing(), Smoothed(0.9)
    for place, value in enumerate(noise):
        growing.append(value)
        if place % 37 == 0:
            smoothed.of(growing.values)
    np.testing.assert_allclose(smoothed.of(growing.values), reference_average(noise, 0.9), rtol=1e-9)


def test_smoothing_passes_over_what_is_not_a_number(noise):
    noise[0] = math.inf
    noise[100] = math.nan
    np.testing.assert_allclose(smooth(np.array(noise), 0.9), reference_average(noise, 0.9), rtol=1e-9)
    assert len(smooth(np.empty(0), 0.9)) == 0


def test_thinning_keeps_every_peak_and_the_order():
    x = np.arange(200_000.0)
    y = np.sin(x / 900)
    y[123_456], y[7] = 50.0, -50.0
    some_x, some_y = thin(x, y, 800)
    assert len(some_x) <= 4 * 800 + 256
    assert (some_y.max(), some_y.min()) == (50.0, -50.0)
    assert (np.diff(some_x) >= 0).all()
    assert thin(x[:100], y[:100], 800)[0] is not None
    assert len(thin(x[:100], y[:100], 800)[0]) == 100


def test_thinned_points_stay_while_others_are_added():
    y = np.random.default_rng(0).normal(size=20_100)
    x = np.arange(20_100.0)
    before = set(thin(x[:20_000], y[:20_000], 500)[0][:-50].tolist())
    after = set(thin(x, y, 500)[0].tolist())
    assert before <= after


def test_axis_ranges_are_round_and_do_not_jump():
    assert nice_range(0.0, 2.31) == (0.0, 2.5)
    assert nice_range(0.0, 0.93) == (0.0, 1.0)
    now = (0.0, 2.5)
    assert nice_range(0.0, 2.2, now=now) is now
    assert nice_range(0.0, 1.2, now=now) is now
    assert nice_range(0.0, 0.4, now=now) == (0.0, 0.4)
    assert nice_range(0.0, 3.0, now=now)[1] >= 3.0


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.523, "0.52"),
        (12.34, "12.3"),
        (0.00412, "0.0041"),
        (0.0, "0.00"),
        (1234.5, "1,234"),
        (math.nan, "not a number"),
    ],
)
def test_values_are_read_with_useful_digits(value, text):
    assert format_value(value) == text


def train(plot: CurvePlot | CurveData, epochs: int = 3, steps: int = 4) -> None:
    for epoch in range(1, epochs + 1):
        for step in range(1, steps + 1):
            plot.add_batch(epoch, step, 1.0 / epoch, 0.2 * epoch)
        plot.add_epoch(epoch, 1.0 / epoch, 0.2 * epoch, 1.1 / epoch, 0.19 * epoch)


def test_a_reading_takes_the_last_batch_and_the_nearest_epoch():
    data = CurveData(3, 4)
    train(data)
    reading = data.reading(2.4)  # inside epoch 3: after its first batch; the nearest end is that of epoch 2
    assert reading.training_loss == pytest.approx(1 / 3)
    assert reading.validation_loss == pytest.approx(1.1 / 2)
    assert reading.as_text() == (
        "epoch 2.4 · training loss 0.33 · validation loss 0.55 · training accuracy 60 % · validation accuracy 38 %"
    )
    assert data.reading(0.3).validation_loss is None
    assert data.reading(9.0) == Reading(9.0)


def test_a_reading_works_with_epochs_alone_and_without_validation():
    data = CurveData(2, 1)
    data.add_epoch(1, 0.5, 0.8, math.nan, math.nan)
    assert data.reading(1.1) == Reading(1.1, training_loss=0.5, training_accuracy=0.8)


@pytest.fixture
def panel(qtbot) -> CurvePanel:
    made = CurvePanel()
    qtbot.addWidget(made)
    made.resize(700, 560)
    made.show()
    qtbot.waitExposed(made)
    made.plot.clear(3, 4)
    return made


def test_pyqtgraph_is_not_imported_before_the_plot_is_shown(qtbot, monkeypatch):
    monkeypatch.delitem(sys.modules, "pyqtgraph", raising=False)
    plot = CurvePlot()
    qtbot.addWidget(plot)
    train(plot)
    assert "pyqtgraph" not in sys.modules
    assert len(plot.history_points()["batch_loss"]) == 12
    monkeypatch.undo()


def test_points_are_drawn_by_the_timer_and_only_while_there_are_new_ones(qtbot, panel):
    plot = panel.plot
    train(plot)
    assert plot._timer.isActive()
    qtbot.waitUntil(lambda: not plot._timer.isActive())
    loss = plot._axes._panels["loss"]
    assert len(loss.raw.getData()[0]) == 12
    assert loss.validation_raw.getData()[1].tolist() == pytest.approx([1.1, 0.55, 1.1 / 3])
    assert plot._axes._panels["accuracy"].validation.getData()[0].tolist() == [1, 2, 3]


def test_a_hidden_plot_draws_when_it_is_shown(qtbot, panel):
    panel.hide()
    train(panel.plot)
    assert not panel.plot._timer.isActive()
    panel.show()
    assert len(panel.plot._axes._panels["loss"].raw.getData()[0]) == 12


def test_history_points_are_epochs_and_values(panel):
    train(panel.plot, epochs=2)
    points = panel.plot.history_points()
    assert points["batch_accuracy"][:2] == [(0.25, 0.2), (0.5, 0.2)]
    assert points["epoch_validation_loss"] == [(1, 1.1), (2, 0.55)]
    panel.plot.clear(5, 5)
    assert not any(panel.plot.history_points().values())


def test_the_x_axis_is_the_epochs_and_does_not_move_while_points_come(panel):
    plot = panel.plot
    plot.flush()
    before = plot._axes._panels["loss"].plot.viewRange()[0]
    train(plot)
    plot.flush()
    for part in plot._axes._panels.values():
        assert part.plot.viewRange()[0] == pytest.approx(before)
    assert before[0] <= 0
    assert 3 <= before[1] < 3.2


def test_an_initial_spike_does_not_flatten_the_curve_but_a_late_validation_loss_shows(panel):
    plot = panel.plot
    plot.clear(4, 100)
    for epoch in range(1, 5):
        for step in range(1, 101):
            plot.add_batch(epoch, step, 90.0 if (epoch, step) == (1, 1) else 1.0 / epoch, 0.5)
        plot.add_epoch(epoch, 1.0 / epoch, 0.5, 0.9, 0.5)
    panel.smoothing.setValue(0)
    plot.flush()
    assert 1.0 <= plot._axes._panels["loss"].plot.viewRange()[1][1] < 4
    plot.add_epoch(4, 0.25, 0.5, 5.0, 0.5)
    plot.flush()
    assert plot._axes._panels["loss"].plot.viewRange()[1][1] >= 5.0


def test_a_loss_that_is_not_a_number_leaves_a_gap(panel):
    panel.plot.add_batch(1, 1, 1.0, 0.5)
    panel.plot.add_batch(1, 2, math.nan, 0.5)
    panel.plot.add_batch(1, 3, math.inf, 0.5)
    panel.plot.add_epoch(1, math.nan, 0.5, math.nan, math.nan)
    panel.plot.flush()
    low, high = panel.plot._axes._panels["loss"].plot.viewRange()[1]
    assert math.isfinite(low)
    assert math.isfinite(high)
    assert "training loss infinite" in panel.plot.readout()


def test_the_pointer_reads_values_and_its_line_stays_where_it_is(qtbot, panel):
    plot = panel.plot
    panel.smoothing.setValue(0)
    train(plot)
    plot.flush()
    loss = plot._axes._panels["loss"]
    spot = loss.view.mapFromScene(loss.plot.vb.mapViewToScene(QPointF(1.5, 0.5)))
    qtbot.mouseMove(loss.view.viewport(), QPoint(spot.x() - 20, spot.y()))
    qtbot.mouseMove(loss.view.viewport(), spot)
    qtbot.waitUntil(lambda: plot.cursor_position() is not None and abs(plot.cursor_position() - 1.5) < 0.03)
    assert plot.reading().training_loss == pytest.approx(0.5)
    assert "training accuracy 40 %" in plot.readout()
    assert "0.50" in plot._headers["loss"].text()
    plot.add_batch(3, 4, 0.1, 0.9)
    plot.flush()
    assert abs(plot.cursor_position() - 1.5) < 0.03
    for part in plot._axes._panels.values():
        assert part.cursor.isVisible()
        assert part.cursor.value() == plot.cursor_position()


def test_keys_move_the_reading_line(qtbot, panel):
    plot = panel.plot
    train(plot)
    plot.flush()
    plot.setFocus()
    assert plot.readout().startswith("epoch 3.0")
    qtbot.keyClick(plot, Qt.Key.Key_Left, Qt.KeyboardModifier.ControlModifier)
    assert plot.cursor_position() == 2.0
    qtbot.keyClick(plot, Qt.Key.Key_Home)
    qtbot.keyClick(plot, Qt.Key.Key_Left)
    assert plot.cursor_position() == 0.0
    qtbot.keyClick(plot, Qt.Key.Key_Escape)
    assert plot.cursor_position() is None


def test_smoothing_moves_the_bold_curve_and_leaves_the_raw_one(panel):
    plot = panel.plot
    for step in range(1, 5):
        plot.add_batch(1, step, float(step % 2), 0.5)
    panel.smoothing.setValue(50)
    plot.flush()
    loss = plot._axes._panels["loss"]
    assert loss.raw.getData()[1].tolist() == [1, 0, 1, 0]
    assert loss.smoothed.getData()[1].tolist() == pytest.approx(reference_average([1, 0, 1, 0], 0.5))
    panel.smoothing.setValue(0)
    plot.flush()
    assert loss.smoothed.getData()[1].tolist() == [1, 0, 1, 0]


def test_smoothing_moves_the_bold_validation_curve_and_leaves_the_epochs_own_values(panel):
    plot = panel.plot
    for epoch, val_loss in enumerate([1.0, 0.0, 1.0, 0.0], start=1):
        plot.add_epoch(epoch, 0.5, 0.5, val_loss, 0.25 * val_loss)
    panel.smoothing.setValue(80)
    plot.flush()
    loss, accuracy = (plot._axes._panels[what] for what in ("loss", "accuracy"))
    assert loss.validation_raw.getData()[1].tolist() == [1, 0, 1, 0]
    assert loss.validation.getData()[1].tolist() == pytest.approx(reference_average([1, 0, 1, 0], 0.8))
    assert accuracy.validation.getData()[1].tolist() == pytest.approx(reference_average([0.25, 0, 0.25, 0], 0.8))
    assert plot.reading().validation_loss == 0, "what is read is what was measured"
    panel.smoothing.setValue(0)
    plot.flush()
    assert loss.validation.getData()[1].tolist() == [1, 0, 1, 0]


def test_the_best_epoch_and_stages_are_marked(panel):
    plot = panel.plot
    train(plot)
    plot.set_best_epoch(2)
    plot.mark_stage(1.0, "fine-tuning")
    plot.flush()
    loss = plot._axes._panels["loss"]
    assert loss.best.isVisible()
    assert loss.best.value() == 2
    assert loss.best.label.toPlainText() == "best epoch 2"
    image = loss.view.grab().toImage()
    x = loss.view.mapFromScene(loss.plot.vb.mapViewToScene(QPointF(2, 0))).x()
    green = max(
        sum(image.pixelColor(column, y).name() == LIGHT.good for y in range(image.height()))
        for column in range(x - 2, x + 3)
    )
    assert green > image.height() // 4  # dashes, and not hidden by the grid line at the same epoch
    assert [line.value() for line in loss._stage_lines] == [1.0]
    plot.clear(2, 2)
    plot.flush()
    assert not loss.best.isVisible()
    assert loss._stage_lines == []


def test_colours_follow_the_theme(qapp, panel):
    train(panel.plot)
    panel.plot.flush()
    loss = panel.plot._axes._panels["loss"]
    assert loss.smoothed.opts["pen"].color().name() == LIGHT.training
    theme.apply_theme(qapp, "dark")
    assert loss.smoothed.opts["pen"].color().name() == DARK.training
    assert loss.smoothed.opts["pen"].color().alpha() == 255
    assert loss.view.backgroundBrush().color().name() == DARK.surface


def test_values_are_saved_as_a_table(panel, tmp_path):
    train(panel.plot, epochs=2, steps=2)
    panel.plot.add_batch(3, 1, math.nan, 0.5)
    target = tmp_path / "curves.csv"
    panel.plot.save_csv(target)
    with target.open(encoding="utf-8", newline="") as file:
        rows = list(csv.reader(file))
    assert rows == [
        list(CSV_COLUMNS),
        ["1", "1", "batch", "1", "0.2", "", ""],
        ["1", "2", "batch", "1", "0.2", "", ""],
        ["1", "", "epoch", "1", "0.2", "1.1", "0.19"],
        ["2", "1", "batch", "0.5", "0.4", "", ""],
        ["2", "2", "batch", "0.5", "0.4", "", ""],
        ["2", "", "epoch", "0.5", "0.4", "0.55", "0.38"],
        ["3", "1", "batch", "", "0.5", "", ""],
    ]


def test_the_picture_is_saved_at_twice_the_resolution(panel, tmp_path):
    train(panel.plot)
    target = tmp_path / "curves.png"
    panel.plot.save_png(target)
    image = QImage(str(target))
    assert (image.width(), image.height()) == (2 * panel.plot.width(), 2 * panel.plot.height())
    colours = {image.pixelColor(x, y).name() for x in range(0, image.width(), 3) for y in range(0, image.height(), 3)}
    assert {LIGHT.surface, LIGHT.training, LIGHT.validation} <= colours
    assert [path.name for path in tmp_path.iterdir()] == ["curves.png"]


def test_saving_where_it_cannot_be_says_so_and_leaves_nothing(panel, tmp_path):
    train(panel.plot)
    in_the_way = tmp_path / "folder.png"
    in_the_way.mkdir()
    for save in (panel.plot.save_png, panel.plot.save_csv):
        with pytest.raises(StorageError):
            save(in_the_way)
    assert [path.name for path in tmp_path.iterdir()] == ["folder.png"]


def test_buttons_ask_for_saving_and_can_be_switched_off(qtbot, panel):
    with qtbot.waitSignals([panel.save_picture_requested, panel.save_values_requested]):
        panel.save_picture.click()
        panel.save_values.click()
    panel.set_can_save(False)
    assert not panel.save_picture.isEnabled()


@pytest.mark.parametrize(
    ("epochs", "ticks"),
    [
        (1, [0, 1]),
        (3, [0, 1, 2, 3]),
        (10, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10]),
        (15, [0, 2, 4, 6, 8, 10, 12, 15]),
        (40, [0, 5, 10, 15, 20, 25, 30, 35, 40]),
        (97, [0, 10, 20, 30, 40, 50, 60, 70, 80, 90, 97]),
    ],
)
def test_the_axis_names_whole_epochs_and_the_last(epochs, ticks):
    assert epoch_ticks(epochs) == ticks


def test_every_line_has_its_legend_and_accuracies_are_per_cents(panel):
    panel.smoothing.setValue(0)
    train(panel.plot)
    panel.plot.flush()
    loss, accuracy = (panel.plot._headers[what].text() for what in ("loss", "accuracy"))
    for text in (loss, accuracy):
        assert "━</span>" in text
        assert "┅</span>" in text  # the dashed line
        assert "per epoch" in text
    assert "<b>60 %</b>" in accuracy
    ticks = panel.plot._axes._panels["accuracy"].plot.getAxis("left").tickStrings([0.0, 0.5, 0.955], 1, 0.5)
    assert ticks == ["0 %", "50 %", "95.5 %"]
