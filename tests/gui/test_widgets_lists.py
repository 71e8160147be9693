import time
from pathlib import Path

import numpy as np
import pytest
from PySide6.QtCore import QPoint, Qt
from PySide6.QtWidgets import QApplication

from cnn_studio.core.evaluation.predictions import Prediction
from cnn_studio.core.experiment.architectures import architecture_preset
from cnn_studio.core.experiment.layer_plan import ImpossibleArchitectureError, plan_layers
from cnn_studio.core.experiment.settings import ImageSettings, ScratchArchitecture
from cnn_studio.gui.look.style_sheet import LIGHT
from cnn_studio.gui.widgets.class_chart import ClassChart
from cnn_studio.gui.widgets.layer_table import LayerTable
from cnn_studio.gui.widgets.prediction_list import Order, PredictionList, Which, prediction_text

FLOWERS = [("dandelion", 898), ("tulips", 799), ("daisy", 449), ("rosé 🌹", 0)]


@pytest.fixture
def chart(qtbot) -> ClassChart:
    made = ClassChart()
    qtbot.addWidget(made)
    made.resize(400, 300)
    made.set_counts(FLOWERS)
    made.show()
    qtbot.waitExposed(made)
    return made


def bar_pixels(chart: ClassChart, row: int) -> int:
    image = chart.viewport().grab().toImage()
    y = chart.visualRect(chart.model().index(row, 0)).center().y() + 1
    return sum(image.pixelColor(x, y).name() == LIGHT.accent for x in range(image.width()))


def test_bars_are_as_long_as_the_classes_are_large(chart):
    lengths = [bar_pixels(chart, row) for row in range(4)]
    assert lengths[0] > lengths[1] > lengths[2] > lengths[3] == 0
    assert lengths[2] / lengths[0] == pytest.approx(449 / 898, abs=0.03)


def test_a_class_is_chosen_by_mouse_and_let_go_by_a_second_click(qtbot, chart):
    where = chart.visualRect(chart.model().index(1, 0)).center()
    with qtbot.waitSignal(chart.class_selected) as chosen:
        qtbot.mouseClick(chart.viewport(), Qt.MouseButton.LeftButton, pos=where)
    assert chosen.args == [1]
    with qtbot.waitSignal(chart.class_selected) as chosen:
        qtbot.mouseClick(chart.viewport(), Qt.MouseButton.LeftButton, pos=where)
    assert chosen.args == [-1]
    assert chart.selected_class() == -1


def test_a_class_is_chosen_by_keys_and_by_typing_its_name(qtbot, chart):
    chosen = []
    chart.class_selected.connect(chosen.append)
    chart.setFocus()
    qtbot.keyClick(chart, Qt.Key.Key_Down)
    qtbot.keyClick(chart, Qt.Key.Key_Down)
    qtbot.keyClick(chart, Qt.Key.Key_Escape)
    qtbot.keyClick(chart, "t")
    assert chosen[-2:] == [-1, 1]
    assert len(set(chosen)) == 3


def test_other_counts_end_the_choice(qtbot, chart):
    chart.select_class(2)
    with qtbot.waitSignal(chart.class_selected) as chosen:
        chart.set_counts(FLOWERS[:2])
    assert chosen.args == [-1]


def test_a_thousand_classes_with_long_names_scroll(qtbot, chart):
    chart.set_counts([(f"an unreasonably long name of a class, number {number}", number) for number in range(1000)])
    chart.select_class(999)
    assert chart.verticalScrollBar().maximum() > 20_000
    last = chart.model().index(999, 0)
    assert chart.viewport().rect().contains(chart.visualRect(last).center())
    assert bar_pixels(chart, 999) > 80
    assert last.data(Qt.ItemDataRole.ToolTipRole).startswith("an unreasonably long name of a class, number 999: 999")


def test_the_tool_tip_names_the_share(chart):
    index = chart.model().index(0, 0)
    assert index.data(Qt.ItemDataRole.ToolTipRole) == "dandelion: 898 images (42 % of all)"


# -- layers -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def table(qtbot) -> LayerTable:
    made = LayerTable()
    qtbot.addWidget(made)
    made.resize(700, 400)
    made.show()
    return made


def test_layers_shapes_and_parameters_with_their_total(table):
    layers = plan_layers(ScratchArchitecture(), ImageSettings(), 5)
    table.set_layers(layers)
    rows = table.row_texts()
    assert len(rows) == len(layers)
    assert rows[2] == ("block1_conv1", "Conv2D  3 × 3, 16 filters, same, relu", "128 × 128 × 16", "448")
    assert rows[3] == ("block1_pool", "MaxPooling2D  2 × 2", "64 × 64 × 16", "–")
    assert table.total.text() == "2,121,509 parameters, all trainable"


def test_what_is_not_trainable_is_told(table):
    layers = plan_layers(ScratchArchitecture(batch_normalization=True), ImageSettings(), 5)
    table.set_layers(layers)
    trainable = sum(layer.trainable_parameters for layer in layers)
    assert table.total.text().endswith(f"parameters, {trainable:,} trainable")


def test_the_layer_that_breaks_is_named_in_red_below_those_that_work(table):
    with pytest.raises(ImpossibleArchitectureError) as caught:
        plan_layers(architecture_preset("lenet5").architecture, ImageSettings(height=8, width=8), 5)
    table.set_broken(caught.value)
    rows = table.row_texts()
    assert rows[-1][:2] == (caught.value.layer, "cannot be built")
    assert len(rows) == len(caught.value.layers) + 1
    last = table.view.model().index(len(rows) - 1, 0)
    assert last.data(Qt.ItemDataRole.ForegroundRole).name() == LIGHT.error
    assert table.total.text() == str(caught.value)
    table.set_layers(plan_layers(ScratchArchitecture(), ImageSettings(), 5))
    assert table.row_texts()[-1][0] == "probabilities"
    assert not table.total.property("tone")


def test_the_same_layers_again_keep_the_selection(table):
    layers = plan_layers(ScratchArchitecture(), ImageSettings(), 5)
    table.set_layers(layers)
    table.view.selectRow(3)
    table.set_layers(plan_layers(ScratchArchitecture(), ImageSettings(), 5))
    assert table.view.currentIndex().row() == 3


# -- predictions ------------------------------------------------------------------------------------------------------

CAT = Prediction(Path("/pictures/cat.jpg"), (("cat", 0.972), ("dog", 0.02), ("fox", 0.008)))
SURE = Prediction(Path("/pictures/sure.jpg"), (("dog", 0.99999), ("cat", 0.00001)))
BAD = Prediction(Path("/pictures/bad.jpg"), error="bad.jpg is not an image.")


@pytest.fixture
def predictions(qtbot, decoder) -> PredictionList:
    made = PredictionList(decode=decoder)
    qtbot.addWidget(made)
    made.resize(820, 420)
    made.show()
    qtbot.waitExposed(made)
    return made


def test_the_answer_is_in_words():
    assert prediction_text(CAT) == "cat · 97 %"
    assert prediction_text(SURE) == "dog · >99 %"
    assert prediction_text(BAD) == "bad.jpg is not an image."


def test_results_are_added_with_their_pictures_and_errors_among_them(qtbot, predictions, decoder):
    predictions.add_predictions([CAT, BAD])
    predictions.add_predictions([SURE])
    assert predictions.predictions() == [CAT, BAD, SURE]
    qtbot.waitUntil(lambda: set(decoder.asked) == {CAT.path, SURE.path})  # nobody tries the unreadable one again
    qtbot.waitUntil(predictions.loader.is_idle)
    texts = [predictions.model().index(row, 0).data() for row in range(3)]
    assert texts == ["cat.jpg: cat · 97 %", "bad.jpg: bad.jpg is not an image.", "sure.jpg: dog · >99 %"]
    assert "fox  <1 %" in predictions.model().index(0, 0).data(Qt.ItemDataRole.ToolTipRole)


def test_the_first_bar_is_as_long_as_the_probability(qtbot, predictions):
    def lengths(prediction: Prediction) -> int:
        predictions.clear()
        predictions.add_predictions([prediction])
        image = predictions.viewport().grab().toImage()
        return max(
            sum(image.pixelColor(x, y).name() == LIGHT.accent for x in range(image.width()))
            for y in range(predictions.tile_size.height())
        )

    half = lengths(Prediction(Path("a.jpg"), (("a", 0.5), ("b", 0.5))))
    whole = lengths(Prediction(Path("a.jpg"), (("a", 1.0), ("b", 0.0))))
    assert half / whole == pytest.approx(0.5, abs=0.05)
    predictions.loader.close()


def test_thousands_of_results_decode_only_what_is_seen(qtbot, predictions, decoder):
    results = [Prediction(Path(f"{number}.jpg"), (("a", 0.7), ("b", 0.3))) for number in range(5000)]
    for start in range(0, 5000, 500):
        predictions.add_predictions(results[start : start + 500])
    predictions.scrollToTop()
    predictions.viewport().repaint()
    qtbot.waitUntil(predictions.loader.is_idle)
    assert len(predictions.predictions()) == 5000
    assert len(decoder.asked) < 100
    predictions.loader.close()  # idle for that moment: others may be in view


def shown_names(view):
    model = view.model()
    return [model.index(row, 0).data().partition(":")[0] for row in range(model.rowCount())]


def test_answers_are_shown_by_kind_and_class_and_sorted_by_how_sure_they_are(predictions):
    predictions.clear()
    predictions.add_predictions(
        [
            Prediction(Path("a.png"), (("cat", 0.6), ("dog", 0.4))),
            Prediction(Path("b.png"), (("dog", 0.9), ("cat", 0.1))),
            Prediction(Path("c.png"), (("cat", 0.4), ("dog", 0.3)), unsure=True),
            Prediction(Path("d.png"), (), "It is empty."),
        ]
    )
    predictions.arrange("cat", Order.GIVEN)
    assert shown_names(predictions) == ["a.png", "c.png"]
    predictions.arrange(Which.UNSURE, Order.GIVEN)
    assert shown_names(predictions) == ["c.png"]
    predictions.arrange(Which.UNREADABLE, Order.GIVEN)
    assert shown_names(predictions) == ["d.png"]
    predictions.arrange(Which.ALL, Order.SUREST)
    assert shown_names(predictions) == ["b.png", "a.png", "c.png", "d.png"]
    predictions.add_predictions([Prediction(Path("e.png"), (("cat", 0.7), ("dog", 0.3)))])
    assert shown_names(predictions) == ["b.png", "e.png", "a.png", "c.png", "d.png"]
    predictions.arrange("cat", Order.LEAST_SURE)
    assert shown_names(predictions) == ["c.png", "a.png", "e.png"]
    assert len(predictions.predictions()) == 5
    predictions.loader.close()


def test_five_thousand_answers_are_arranged_at_once(predictions):
    predictions.clear()
    random = np.random.default_rng(1)
    predictions.add_predictions(
        Prediction(Path(f"{number}.png"), (("cat", share), ("dog", 1 - share)))
        for number, share in enumerate(random.uniform(0.5, 1, 5000).tolist())
    )
    begun = time.process_time()
    predictions.arrange(Which.ALL, Order.LEAST_SURE)
    assert time.process_time() - begun < 0.5  # it takes about a hundredth
    assert predictions.model().rowCount() == 5000
    predictions.loader.close()


def test_keys_select_copy_and_open(qtbot, predictions):
    predictions.add_predictions([CAT, BAD, SURE])
    predictions.setFocus()
    qtbot.keyClick(predictions, Qt.Key.Key_Home)
    qtbot.keyClick(predictions, Qt.Key.Key_A, Qt.KeyboardModifier.ControlModifier)
    qtbot.keyClick(predictions, Qt.Key.Key_C, Qt.KeyboardModifier.ControlModifier)
    assert QApplication.clipboard().text().split("\n") == [
        f"{CAT.path}\tcat\t0.9720",
        f"{BAD.path}\tbad.jpg is not an image.",
        f"{SURE.path}\tdog\t1.0000",
    ]
    with qtbot.waitSignal(predictions.image_activated) as opened:
        qtbot.keyClick(predictions, Qt.Key.Key_Return)
    assert opened.args == [CAT.path]
    predictions.loader.close()


def test_new_results_come_into_view_only_if_the_end_was_in_view(predictions):
    many = [Prediction(Path(f"{number}.jpg"), error="unreadable") for number in range(40)]
    predictions.add_predictions(many)
    bar = predictions.verticalScrollBar()
    assert bar.value() == bar.maximum() > 0
    bar.setValue(0)
    predictions.add_predictions(many)
    assert bar.value() == 0


def test_a_drag_selects_the_tiles_it_covers(qtbot, predictions):
    predictions.add_predictions([CAT, BAD, SURE])
    end = predictions.visualRect(predictions.model().index(2, 0)).center()
    qtbot.mousePress(predictions.viewport(), Qt.MouseButton.LeftButton, pos=QPoint(20, 20))
    qtbot.mouseMove(predictions.viewport(), end)
    qtbot.mouseRelease(predictions.viewport(), Qt.MouseButton.LeftButton, pos=end)
    rows = sorted(index.row() for index in predictions.selectionModel().selectedIndexes())
    assert 0 in rows
    assert 2 in rows
    predictions.loader.close()
