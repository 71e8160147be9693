import numpy as np
import pytest
from PySide6.QtCore import QPoint, QPointF, Qt
from PySide6.QtGui import QColor, QHelpEvent, QImage, QMouseEvent, QWheelEvent
from PySide6.QtWidgets import QApplication, QToolTip

from cnn_studio.gui.look import theme
from cnn_studio.gui.look.style_sheet import DARK, LIGHT
from cnn_studio.gui.widgets.confusion_matrix import LARGEST_CELL, ConfusionMatrix, cell_text
from cnn_studio.gui.widgets.matrix_colours import cell_colours, takes_light_text
from cnn_studio.gui.widgets.matrix_labels import chosen_places
from cnn_studio.gui.widgets.matrix_window import Window

FLOWERS = ("daisy", "rose", "tulip")
COUNTS = np.array([[73, 0, 2], [0, 0, 0], [5, 17, 68]])


@pytest.fixture
def matrix(qtbot):
    made = ConfusionMatrix()
    qtbot.addWidget(made)
    made.resize(600, 520)
    made.set_matrix(FLOWERS, COUNTS)
    made.show()
    return made


def large(qtbot, classes=200):
    random = np.random.default_rng(0)
    counts = np.diag(random.integers(80, 100, classes))
    counts[random.integers(0, classes, 900), random.integers(0, classes, 900)] += 1
    made = ConfusionMatrix()
    qtbot.addWidget(made)
    made.resize(600, 520)
    made.set_matrix([f"class {number}" for number in range(classes)], counts)
    made.show()
    return made


def test_a_cell_says_what_it_is_in_words():
    assert cell_text(FLOWERS, COUNTS, 2, 1) == "true tulip → predicted rose: 17 of 90 images (19 %)"
    assert cell_text(FLOWERS, COUNTS, 0, 0) == "daisy, rightly predicted: 73 of 75 images (97 %)"
    assert cell_text(FLOWERS, COUNTS, 1, 2) == "no images of rose"


def test_cells_hold_counts_or_shares_of_their_row(matrix):
    assert [matrix.number_text(2, column) for column in range(3)] == ["5", "17", "68"]
    assert matrix.number_text(0, 1) == ""
    matrix.set_as_shares(True)
    assert [matrix.number_text(2, column) for column in range(3)] == ["6", "19", "76"]
    assert matrix.number_text(1, 1) == ""


@pytest.mark.parametrize(("scheme", "palette"), [("light", LIGHT), ("dark", DARK)])
def test_the_picture_shows_each_cell_in_its_colour(qapp, matrix, scheme, palette):
    theme.apply_theme(qapp, scheme)
    wanted = cell_colours(COUNTS, palette)
    picture = matrix.picture()
    image = picture.grab().toImage()
    for row in range(3):
        for column in range(3):
            corner = matrix.point_of(row, column) - QPoint(int(matrix.cell_size()) // 3, int(matrix.cell_size()) // 3)
            assert QColor(image.pixel(corner)).getRgb()[:3] == tuple(wanted[row, column])


def test_numbers_are_written_where_cells_have_room(qtbot, matrix):
    def ink(widget, row, column):
        widget.repaint()
        image = widget.picture().grab().toImage().convertToFormat(QImage.Format.Format_RGB32)
        half = int(widget.cell_size()) // 2 - 3
        centre = widget.point_of(row, column)
        spots = [QPoint(x, y) for x in range(-half, half) for y in range(-half, half)]
        return len({image.pixel(centre + spot) for spot in spots})

    assert ink(matrix, 2, 1) > 1
    assert ink(matrix, 0, 1) == 1
    crowded = large(qtbot, 40)
    assert crowded.cell_size() < 14
    assert ink(crowded, 3, 3) == 1


def test_a_single_mistake_among_thousands_is_visible():
    counts = np.array([[9000, 1], [0, 9000]])
    for palette in (LIGHT, DARK):
        colours = cell_colours(counts, palette).astype(int)
        assert np.abs(colours[0, 1] - colours[1, 0]).max() >= 20


@pytest.mark.parametrize("palette", [LIGHT, DARK])
def test_numbers_have_contrast_on_every_colour(palette):
    amounts = np.arange(1, 101)
    counts = np.zeros((100, 100), dtype=int)
    counts[np.diag_indices(100)] = amounts
    counts[0] = amounts
    colours = cell_colours(counts, palette)
    light = takes_light_text(colours)
    for place in [*zip(range(100), range(100), strict=True), *((0, column) for column in range(100))]:
        ratio = _contrast(colours[place], (255, 255, 255) if light[place] else (0, 0, 0))
        assert ratio >= 4.5


def _contrast(one, other):
    def luminance(colour):
        parts = [value / 255 for value in colour]
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    lighter, darker = sorted((luminance(one), luminance(other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


def test_a_click_chooses_a_cell(qtbot, matrix):
    with qtbot.waitSignal(matrix.cell_chosen) as told:
        qtbot.mouseClick(matrix.picture(), Qt.MouseButton.LeftButton, pos=matrix.point_of(2, 1))
    assert told.args == [2, 1]
    assert matrix.chosen() == (2, 1)


def test_the_keyboard_moves_and_chooses(qtbot, matrix):
    said = []
    matrix.pointed.connect(said.append)
    matrix.setFocus()
    for key in (Qt.Key.Key_Down, Qt.Key.Key_Down, Qt.Key.Key_Down, Qt.Key.Key_Right):
        qtbot.keyClick(matrix, key)
    assert said[-1] == "true tulip → predicted rose: 17 of 90 images (19 %)"
    assert matrix.accessibleDescription() == said[-1]
    with qtbot.waitSignal(matrix.cell_chosen) as told:
        qtbot.keyClick(matrix, Qt.Key.Key_Return)
    assert told.args == [2, 1]


def test_the_keyboard_starts_at_a_frame_that_goes_with_it(qtbot, matrix):
    said = []
    matrix.pointed.connect(said.append)
    matrix.activateWindow()
    qtbot.waitUntil(matrix.isActiveWindow)
    matrix.clearFocus()
    said.clear()
    matrix.setFocus(Qt.FocusReason.TabFocusReason)
    assert said == ["daisy, rightly predicted: 73 of 75 images (97 %)"]
    matrix.clearFocus()
    assert said[-1] == ""


def test_the_tool_tip_says_what_is_under_the_pointer(matrix, monkeypatch):
    shown = []
    monkeypatch.setattr(QToolTip, "showText", lambda where, text, widget: shown.append(text))
    spot = matrix.point_of(2, 1)
    QApplication.sendEvent(matrix.picture(), QHelpEvent(QHelpEvent.Type.ToolTip, spot, QPoint(0, 0)))
    assert shown == ["true tulip → predicted rose: 17 of 90 images (19 %)"]


def test_two_classes_stay_of_a_size(qtbot, matrix):
    matrix.set_matrix(("cat", "dog"), np.array([[4, 1], [2, 3]]))
    assert matrix.cell_size() == LARGEST_CELL


def test_every_cell_of_two_hundred_classes_can_be_hit(qtbot):
    matrix = large(qtbot)
    for cell in ((0, 0), (57, 121), (199, 199)):
        with qtbot.waitSignal(matrix.cell_chosen) as told:
            qtbot.mouseClick(matrix.picture(), Qt.MouseButton.LeftButton, pos=matrix.point_of(*cell))
        assert tuple(told.args) == cell


def test_the_wheel_enlarges_what_is_under_the_pointer_and_escape_shows_all(qtbot):
    matrix = large(qtbot)
    spot = QPointF(matrix.point_of(57, 121))
    for _ in range(20):
        turn = QWheelEvent(
            spot,
            spot,
            QPoint(),
            QPoint(0, 120),
            Qt.MouseButton.NoButton,
            Qt.KeyboardModifier.NoModifier,
            Qt.ScrollPhase.NoScrollPhase,
            False,
        )
        QApplication.sendEvent(matrix.picture(), turn)
    assert matrix.cell_size() == pytest.approx(40)
    assert matrix.cell_at(spot) == (57, 121)
    before = matrix.shown_part()
    picture = matrix.picture()
    left, none = Qt.MouseButton.LeftButton, Qt.MouseButton.NoButton
    for kind, button, place in (
        (QMouseEvent.Type.MouseButtonPress, left, spot),
        (QMouseEvent.Type.MouseMove, none, spot - QPointF(80, 0)),
        (QMouseEvent.Type.MouseButtonRelease, left, spot - QPointF(80, 0)),
    ):
        held = none if kind is QMouseEvent.Type.MouseButtonRelease else left
        QApplication.sendEvent(picture, QMouseEvent(kind, place, place, button, held, Qt.KeyboardModifier.NoModifier))
    assert matrix.chosen() is None
    assert matrix.shown_part().left == pytest.approx(before.left + 2)
    assert matrix.shown_part().top == before.top
    qtbot.keyClick(matrix, Qt.Key.Key_Escape)
    assert matrix.shown_part() == Window(0, 0, 200)


def test_names_give_way_where_they_would_overlap():
    assert list(chosen_places(range(10), 20.0, 15, None)) == list(range(10))
    assert list(chosen_places(range(20), 3.0, 15, None)) == [0, 5, 10, 15]
    assert list(chosen_places(range(20), 3.0, 15, 6)) == [0, 6, 15]
    assert list(chosen_places(range(40, 48), 4.0, 15, None)) == [40, 44]


def test_names_with_line_breaks_and_markup_are_painted_as_one_line(matrix):
    matrix.set_matrix(("<b>bold</b>", "two\nlines"), np.array([[1, 2], [3, 4]]))
    assert "\n" not in matrix.text_of(0, 1)
    matrix.grab()


def test_no_classes_at_all_is_an_empty_picture(matrix, qtbot):
    matrix.set_matrix((), np.zeros((0, 0), dtype=int))
    matrix.grab()
    qtbot.keyClick(matrix, Qt.Key.Key_Right)
    assert matrix.chosen() is None
