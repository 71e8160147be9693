from pathlib import Path

import pytest
from PySide6.QtCore import QPoint, Qt
from PySide6.QtGui import QPixmap

from cnn_studio.gui.widgets.thumbnail_grid import ThumbnailGrid, TileMark

MANY = 100_000


@pytest.fixture
def grid(qtbot, decoder) -> ThumbnailGrid:
    made = ThumbnailGrid(decode=decoder)
    qtbot.addWidget(made)
    made.resize(600, 450)
    made.show()
    qtbot.waitExposed(made)
    made.set_images([(Path(f"{number}.jpg"), f"image {number}") for number in range(MANY)])
    yield made
    made.loader.close()


def click(qtbot, grid: ThumbnailGrid, row: int, modifier=Qt.KeyboardModifier.NoModifier) -> None:
    middle = grid.visualRect(grid.model().index(row, 0)).center()
    qtbot.mouseClick(grid.viewport(), Qt.MouseButton.LeftButton, modifier, middle)


def test_shift_click_selects_what_lies_between_in_reading_order(qtbot, grid):
    columns = grid.columns()
    assert columns >= 3
    click(qtbot, grid, columns - 1)  # the last of the first line
    click(qtbot, grid, 2 * columns, Qt.KeyboardModifier.ShiftModifier)  # the first of the third
    assert grid.selected_rows() == list(range(columns - 1, 2 * columns + 1))
    click(qtbot, grid, columns, Qt.KeyboardModifier.ShiftModifier)
    assert grid.selected_rows() == [columns - 1, columns]
    click(qtbot, grid, 0, Qt.KeyboardModifier.ShiftModifier)
    assert grid.selected_rows() == list(range(columns))


def test_control_click_adds_and_takes_away(qtbot, grid):
    click(qtbot, grid, 1)
    click(qtbot, grid, 3, Qt.KeyboardModifier.ControlModifier)
    assert grid.selected_rows() == [1, 3]
    click(qtbot, grid, 1, Qt.KeyboardModifier.ControlModifier)
    assert grid.selected_rows() == [3]
    click(qtbot, grid, 2)
    assert grid.selected_rows() == [2]


def test_shift_and_keys_extend_from_where_they_began(qtbot, grid):
    columns = grid.columns()
    grid.setFocus()
    click(qtbot, grid, 1)
    qtbot.keyClick(grid, Qt.Key.Key_Down, Qt.KeyboardModifier.ShiftModifier)
    qtbot.keyClick(grid, Qt.Key.Key_Right, Qt.KeyboardModifier.ShiftModifier)
    assert grid.selected_rows() == list(range(1, columns + 3))
    qtbot.keyClick(grid, Qt.Key.Key_Home, Qt.KeyboardModifier.ShiftModifier)
    assert grid.selected_rows() == [0, 1]
    qtbot.keyClick(grid, Qt.Key.Key_End, Qt.KeyboardModifier.ShiftModifier)
    assert grid.selected_rows() == list(range(1, MANY))
    qtbot.keyClick(grid, Qt.Key.Key_Home)
    assert grid.selected_rows() == [0]
    qtbot.keyClick(grid, Qt.Key.Key_A, Qt.KeyboardModifier.ControlModifier)
    assert len(grid.selected_rows()) == MANY


def test_dragging_from_a_picture_selects_the_rectangle(qtbot, grid):
    columns = grid.columns()
    start = grid.visualRect(grid.model().index(0, 0)).center()
    end = grid.visualRect(grid.model().index(columns + 1, 0)).center()
    left = Qt.MouseButton.LeftButton
    qtbot.mousePress(grid.viewport(), left, pos=start)
    qtbot.mouseMove(grid.viewport(), (start + end) / 2)
    qtbot.mouseMove(grid.viewport(), end)
    qtbot.mouseRelease(grid.viewport(), left, pos=end)
    assert grid.selected_rows() == [0, 1, columns, columns + 1]


def test_marks_are_painted_and_told(qtbot, grid, decoder):
    marks = {1: TileMark(badge="left_out", faint=True, note="left out by you"), 2: TileMark(banded=True)}
    images = [(Path(f"{number}.jpg"), f"image {number}") for number in range(4)]
    grid.set_images(images, lambda row: marks.get(row, TileMark()), caption_lines=2)

    def all_shown() -> bool:
        grid.viewport().repaint()
        return all(isinstance(grid.loader.pixmap(path), QPixmap) for path in grid.visible_paths())

    qtbot.waitUntil(all_shown)
    picture = grid.viewport().grab().toImage()

    def red_at(row: int) -> int:
        room = grid.visualRect(grid.model().index(row, 0))
        return picture.pixelColor(QPoint(room.center().x(), room.top() + 60)).green()

    assert red_at(0) == 30
    assert red_at(1) > 150  # faint
    corner = grid.visualRect(grid.model().index(2, 0)).topLeft() + QPoint(4, 4)
    other = grid.visualRect(grid.model().index(3, 0)).topLeft() + QPoint(4, 4)
    assert picture.pixelColor(corner) != picture.pixelColor(other)
    role = Qt.ItemDataRole
    assert grid.model().index(1, 0).data(role.AccessibleTextRole) == "image 1, left out by you"
    assert "left out by you" in grid.model().index(1, 0).data(role.ToolTipRole)
