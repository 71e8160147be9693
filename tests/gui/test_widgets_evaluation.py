import numpy as np
import pytest
import shiboken6
from PySide6.QtCore import QPoint, QPointF, Qt
from PySide6.QtGui import QColor, QFont, QFontDatabase, QFontMetrics, QMouseEvent
from PySide6.QtWidgets import QApplication
from sklearn.calibration import calibration_curve

from cnn_studio.core.data.image_file import Split
from cnn_studio.core.evaluation.calibration import reliability
from cnn_studio.core.evaluation.figures import ClassScore, Evaluation
from cnn_studio.core.percent import format_percent_range, format_percent_within
from cnn_studio.gui.look import theme
from cnn_studio.gui.widgets.coverage_plot import CoveragePlot
from cnn_studio.gui.widgets.lazy_list import LazyList
from cnn_studio.gui.widgets.ranked_bars import RankedBars
from cnn_studio.gui.widgets.reliability_plot import ReliabilityPlot, bin_text
from cnn_studio.gui.widgets.score_table import ScoreTable, classes_by
from cnn_studio.gui.widgets.verdict_grid import Verdict, VerdictGrid

SCORES = (
    ClassScore("tulip", 0.8, 0.5, 0.62, 10),
    ClassScore("rose", 0.0, 0.0, 0.0, 0),
    ClassScore("daisy", 0.6, 0.9, 0.72, 30),
)
EVALUATION = Evaluation(
    Split.TEST,
    40,
    0.8,
    0.65,
    0.9,
    0.5,
    SCORES,
    macro=ClassScore("macro", 0.7, 0.7, 0.67, 40),
    weighted=ClassScore("weighted", 0.65, 0.8, 0.7, 40),
)


def answers(count=400, seed=0):
    """Confidences and whether each answer was right, somewhat too sure."""
    random = np.random.default_rng(seed)
    confidence = random.uniform(0.35, 1.0, count).astype(np.float32)
    return confidence, random.random(count) < confidence - 0.1


@pytest.fixture
def table(qtbot):
    made = ScoreTable()
    qtbot.addWidget(made)
    made.resize(600, 300)
    made.scores.set_evaluation(EVALUATION)
    made.show()
    return made


def column(table, number):
    model = table.scores
    return [model.index(row, number).data() for row in range(model.rowCount())]


def test_scores_are_shown_with_their_averages_on_top(table):
    assert column(table, 0) == ["Average (macro)", "Average (weighted)", "tulip", "rose", "daisy"]
    assert column(table, 1) == ["70 %", "65 %", "80 %", "–", "60 %"]
    assert column(table, 4) == ["40", "40", "10", "no images", "30"]


@pytest.mark.parametrize(
    ("number", "order", "names"),
    [
        (2, Qt.SortOrder.AscendingOrder, ["tulip", "daisy", "rose"]),
        (2, Qt.SortOrder.DescendingOrder, ["daisy", "tulip", "rose"]),
        (4, Qt.SortOrder.AscendingOrder, ["rose", "tulip", "daisy"]),
        (0, Qt.SortOrder.DescendingOrder, ["daisy", "rose", "tulip"]),
    ],
)
def test_the_table_sorts_and_what_means_nothing_stands_last(table, number, order, names):
    table.sortByColumn(number, order)
    assert column(table, 0)[2:] == names
    assert column(table, 0)[0] == "Average (macro)"


def test_sorting_stays_when_other_images_are_measured(table):
    table.sortByColumn(3, Qt.SortOrder.DescendingOrder)
    table.scores.set_evaluation(EVALUATION)
    assert column(table, 0)[2:] == ["daisy", "tulip", "rose"]


def test_a_class_is_activated_by_its_label_and_an_average_is_not(qtbot, table):
    table.sortByColumn(3, Qt.SortOrder.DescendingOrder)
    labels = []
    table.class_activated.connect(labels.append)
    for row in range(table.scores.rowCount()):
        table.activated.emit(table.scores.index(row, 0))
    assert labels == [2, 0, 1]


def test_every_cell_of_the_table_is_painted(qapp, table):
    theme.apply_theme(qapp, "dark")
    table.grab()
    for row in range(table.scores.rowCount()):
        assert table.scores.index(row, 0).data(Qt.ItemDataRole.ToolTipRole)


@pytest.fixture(params=[(0, 8), (0, 11), (-1, 11), (-1, 19)])
def font(request, qapp):
    """One after the other of several fonts, as that of the whole application: first and last family, four sizes."""
    usual = qapp.font()
    family, points = request.param
    font = QFont(QFontDatabase.families()[family], points)
    qapp.setFont(font)
    yield font
    qapp.setFont(usual)


def test_a_narrow_table_shows_every_column_in_any_font(qtbot, font, table):
    bold = QFont(font)
    bold.setBold(True)
    text, average = QFontMetrics(font), QFontMetrics(bold)
    assert table.horizontalHeader().fontMetrics().horizontalAdvance("Precision") == text.horizontalAdvance("Precision")
    for width in (900, 520, 430, 100):
        table.resize(width, 300)
        widths = [table.columnWidth(number) for number in range(5)]
        assert sum(widths) <= table.viewport().width() + 1
        assert widths[0] >= average.horizontalAdvance("Average (weighted)")
        for title, room in zip(("Precision", "Recall", "F1"), widths[1:4], strict=True):
            assert room >= max(text.horizontalAdvance(title), text.horizontalAdvance(">99 %") + 24)
        assert widths[4] >= max(text.horizontalAdvance("Images"), text.horizontalAdvance("no images"))


def test_hardest_and_easiest_leave_classes_without_images_out():
    assert [score.name for score in classes_by(EVALUATION, "f1")] == ["tulip", "daisy"]


def test_a_verdict_says_what_it_is_and_what_it_was_taken_for(tmp_path):
    wrong = Verdict(tmp_path / "a.png", "tulip", "rose", 0.97)
    assert wrong.sentence == "rose · 97 %, but it is tulip"
    assert Verdict(tmp_path / "a.png", "rose", "rose", 0.5).sentence == "rose · 50 %, rightly"


@pytest.fixture
def grid(qtbot, tmp_path, decoder):
    made = VerdictGrid(decode=decoder)
    qtbot.addWidget(made)
    made.resize(700, 400)
    made.show()
    yield made
    made.close_loader()


def test_verdicts_are_painted_with_both_classes(qtbot, grid, decoder, tmp_path):
    names = ["tulip", "rose"]
    verdicts = [Verdict(tmp_path / f"{row}.png", "tulip", names[row % 2], 0.5 + row / 20) for row in range(8)]
    grid.set_verdicts(verdicts)
    qtbot.waitUntil(lambda: len(decoder.asked) == 8)
    colours = {QColor(image).name() for image in _pixels(grid)}
    assert theme.colours().good in colours
    assert theme.colours().error in colours
    assert grid.model().index(1, 0).data() == "rose · 55 %, but it is tulip"


def _pixels(widget):
    image = widget.viewport().grab().toImage()
    return {image.pixel(x, y) for x in range(image.width()) for y in range(image.height())}


def test_a_menu_is_asked_for_the_image_under_the_pointer(qtbot, grid, tmp_path):
    grid.set_verdicts([Verdict(tmp_path / f"{row}.png", "tulip", "rose", 0.9) for row in range(3)])
    asked = []
    grid.menu_wanted.connect(lambda paths, where: asked.append(paths))
    grid.customContextMenuRequested.emit(QPoint(5, 5))
    assert asked == []
    grid.setCurrentIndex(grid.model().index(2, 0))
    grid.customContextMenuRequested.emit(QPoint(5, 5))
    assert asked == [[tmp_path / "2.png"]]


def test_the_reliability_diagram_draws_what_scikit_learn_computes(qtbot):
    confidence, right = answers()
    plot = ReliabilityPlot()
    qtbot.addWidget(plot)
    found = reliability(confidence, right)
    plot.show_reliability(found)
    expected, _ = calibration_curve(right, confidence, n_bins=15)
    assert plot.bar_heights() == pytest.approx(list(expected))
    plot.show()
    plot.grab()


def test_a_bar_of_the_reliability_diagram_says_what_it_is():
    found = reliability([0.61, 0.65, 0.66, 0.66], [True, True, True, False], bins=15)
    assert bin_text(next(part for part in found.bins if part.count)) == "60–67 % sure: 4 images, 75 % of them right"


def test_the_coverage_curves_are_those_of_every_threshold(qtbot):
    confidence, right = answers()
    plot = CoveragePlot()
    qtbot.addWidget(plot)
    plot.show_answers(confidence, right)
    (x, coverage), (answered_x, accuracy) = plot.curves()
    least = float(confidence.min())
    for threshold in (0.0, least / 2, least - 0.01, least + 0.02, 0.5, 0.732, 0.9):
        place = int(np.argmin(np.abs(x - threshold)))
        answered = confidence >= x[place]
        assert coverage[place] == pytest.approx(answered.mean())
        assert answered_x[place] == x[place]
        assert accuracy[place] == pytest.approx(right[answered].mean())
    assert coverage[-1] == 0
    assert len(accuracy) < len(coverage)


def test_dragging_the_line_tells_the_threshold_and_setting_it_does_not(qtbot):
    plot = CoveragePlot()
    qtbot.addWidget(plot)
    plot.resize(500, 300)
    plot.show()
    told = []
    plot.threshold_dragged.connect(told.append)
    plot.set_threshold(0.4)
    assert told == []
    assert plot.threshold() == pytest.approx(0.4)

    def at(x):
        return plot.mapFromScene(plot.plot.vb.mapViewToScene(QPointF(x, 0.2)))

    start, end = at(0.4), at(0.7)
    mouse(plot.viewport(), QMouseEvent.Type.MouseButtonPress, start)
    for step in range(1, 11):
        mouse(plot.viewport(), QMouseEvent.Type.MouseMove, start + (end - start) * step / 10)
    mouse(plot.viewport(), QMouseEvent.Type.MouseButtonRelease, end)
    assert told[-1] == pytest.approx(0.7, abs=0.03)


def mouse(widget, kind, position):
    """A mouse event as the window system sends it, the left button held until its release; QTest forgets the button."""
    left, none = Qt.MouseButton.LeftButton, Qt.MouseButton.NoButton
    button = none if kind is QMouseEvent.Type.MouseMove else left
    held = none if kind is QMouseEvent.Type.MouseButtonRelease else left
    where = QPointF(widget.mapToGlobal(position))
    event = QMouseEvent(kind, QPointF(position), where, button, held, Qt.KeyboardModifier.NoModifier)
    QApplication.sendEvent(widget, event)


def test_without_answers_the_plots_are_empty(qtbot):
    nothing = np.zeros(0)
    plots = CoveragePlot(), ReliabilityPlot()
    for plot in plots:
        qtbot.addWidget(plot)
    plots[0].show_answers(nothing, nothing)
    plots[1].show_reliability(reliability(nothing, nothing))
    for plot in plots:
        plot.show()
        plot.grab()


def test_classes_can_be_chosen_from_their_bars(qtbot):
    bars = RankedBars()
    qtbot.addWidget(bars)
    bars.resize(240, 300)
    bars.show()
    bars.set_ranked([("rose", 0.7), ("tulip", 0.3)])
    assert bars.chosen() == "rose"
    with qtbot.waitSignal(bars.class_chosen) as told:
        qtbot.keyClick(bars, Qt.Key.Key_Down)
    assert told.args == ["tulip"]
    bars.choose("rose")
    assert bars.chosen() == "rose"
    bars.grab()
    bars.set_ranked(())
    assert bars.chosen() == ""


def test_a_lazy_list_makes_only_what_is_asked_for():
    made = []

    def make(place):
        made.append(place)
        return place * place

    squares = LazyList(100_000, make)
    assert len(squares) == 100_000
    assert (squares[3], squares[-1]) == (9, 99_999**2)
    assert squares[10:13] == [100, 121, 144]
    assert made == [3, 99_999, 10, 11, 12]
    with pytest.raises(IndexError):
        squares[100_000]


def test_intervals_get_the_decimals_they_need():
    assert format_percent_within(0.9965, 0.9956, 0.9972) == "99.7 % (99.6–99.7 %)"
    assert format_percent_within(0.99965, 0.99956, 0.99972) == "99.97 % (99.96–99.97 %)"
    assert format_percent_within(1.0, 0.93, 1.0) == "100 % (93–100 %)"
    assert format_percent_within(0.99, 0.965, 0.997) == "99.0 % (96.5–99.7 %)"
    assert format_percent_range(0.94, 0.981) == "94–98 %"
    assert format_percent_range(0.9956, 0.9972, " and ") == "99.6 and 99.7 %"
    assert format_percent_range(0.0, 1.0) == "0–100 %"
    assert format_percent_within(0.91, 0.89, 0.93) == "91 % (89–93 %)"


def test_plots_that_are_gone_are_not_asked_to_change_their_colours(qtbot, qapp):
    """pytest-qt fails a test in which a slot raises."""
    plots = CoveragePlot(), ReliabilityPlot()
    for plot in plots:
        shiboken6.delete(plot)
    theme.apply_theme(qapp, "dark")
    assert not any(shiboken6.isValid(plot) for plot in plots)
