import threading
import time
from pathlib import Path

import numpy as np
import pytest
from PySide6.QtCore import QPoint, QRect, Qt
from PySide6.QtGui import QPixmap

from cnn_studio.gui.look.style_sheet import LIGHT
from cnn_studio.gui.widgets import thumbnail_loader
from cnn_studio.gui.widgets.thumbnail_grid import ThumbnailGrid
from cnn_studio.gui.widgets.thumbnail_loader import ThumbnailLoader, image_from_array

MANY = 100_000


def named(count: int) -> list[tuple[Path, str]]:
    return [(Path(f"{number}.jpg"), f"image {number}") for number in range(count)]


@pytest.fixture
def grid(qtbot, decoder) -> ThumbnailGrid:
    made = ThumbnailGrid(decode=decoder)
    qtbot.addWidget(made)
    made.resize(600, 450)
    made.show()
    qtbot.waitExposed(made)
    return made


def settle(qtbot, grid: ThumbnailGrid) -> None:
    """Until every picture on screen is there."""

    def all_shown() -> None:
        grid.viewport().repaint()
        assert all(grid.loader.pixmap(path) is not None for path in grid.visible_paths())

    qtbot.waitUntil(lambda: (all_shown(), True)[1])
    qtbot.waitUntil(grid.loader.is_idle)


def test_a_hundred_thousand_images_are_set_at_once_and_only_the_visible_are_decoded(qtbot, grid, decoder):
    images = named(MANY)
    started = time.perf_counter()
    grid.set_images(images)
    grid.viewport().repaint()
    assert time.perf_counter() - started < 0.2
    settle(qtbot, grid)
    assert grid.model().rowCount() == MANY
    visible = grid.visible_paths()
    assert 4 <= len(visible) < 60
    assert set(decoder.asked) == set(visible)
    assert len(decoder.asked) == len(visible)


def test_scrolling_to_the_end_decodes_the_end_and_not_what_lies_between(qtbot, grid, decoder):
    grid.set_images(named(MANY))
    settle(qtbot, grid)
    bar = grid.verticalScrollBar()
    for step in range(1, 11):
        bar.setValue(bar.maximum() * step // 10)
        grid.viewport().repaint()
    settle(qtbot, grid)
    assert grid.visible_paths()[-1] == Path(f"{MANY - 1}.jpg")
    assert len(decoder.asked) < 10 * 60


def test_requests_scrolled_out_of_view_are_dropped_and_the_visible_come_from_the_top(qtbot, grid, decoder):
    gate = threading.Event()
    decoder.before = gate.wait
    try:
        grid.set_images(named(MANY))
        grid.viewport().repaint()
        qtbot.waitUntil(lambda: len(decoder.asked) == thumbnail_loader.THREADS)
        first_seen = set(grid.visible_paths())
        assert grid.loader.waiting() == len(first_seen) - thumbnail_loader.THREADS
        grid.verticalScrollBar().setValue(500_000)
        grid.viewport().repaint()
        now_seen = grid.visible_paths()
        assert first_seen.isdisjoint(now_seen)
        assert grid.loader.waiting() == len(now_seen)
    finally:
        gate.set()
    settle(qtbot, grid)
    abandoned = first_seen & set(decoder.asked)
    assert len(abandoned) == thumbnail_loader.THREADS  # those two had begun
    begun = thumbnail_loader.THREADS
    assert set(decoder.asked[begun : 2 * begun]) == set(now_seen[:begun])


def test_an_unreadable_file_gets_its_own_tile_and_is_not_tried_again(qtbot, grid, decoder):
    decoder.broken = {"1.jpg"}
    grid.set_images(named(3))
    settle(qtbot, grid)
    assert grid.loader.pixmap(Path("1.jpg")).isNull()
    assert not grid.loader.pixmap(Path("0.jpg")).isNull()
    picture = grid.viewport().grab().toImage()

    def colour_in(row: int) -> str:
        tile: QRect = grid.visualRect(grid.model().index(row, 0))
        return picture.pixelColor(tile.center().x() - 30, tile.top() + 50).name()

    assert colour_in(1) == LIGHT.error_soft
    assert colour_in(0) == "#c81e28"
    grid.viewport().repaint()
    qtbot.waitUntil(grid.loader.is_idle)
    assert decoder.asked.count(Path("1.jpg")) == 1


def test_a_decoder_that_fails_in_an_unknown_way_is_a_broken_tile_too(qtbot, caplog):
    def decode(path: Path, edge: int) -> np.ndarray:
        raise RuntimeError("surprise")

    loader = ThumbnailLoader(32, decode=decode)
    with qtbot.waitSignal(loader.ready):
        loader.want([Path("a.jpg")])
    assert loader.pixmap(Path("a.jpg")).isNull()
    assert "a.jpg" in caplog.text
    loader.close()


def test_the_cache_is_bounded(qtbot, decoder, monkeypatch):
    monkeypatch.setattr(thumbnail_loader, "CACHE_COUNT", 5)
    loader = ThumbnailLoader(16, decode=decoder)
    for number in range(8):
        with qtbot.waitSignal(loader.ready):
            loader.want([Path(f"{number}.jpg")])
    assert isinstance(loader.pixmap(Path("7.jpg")), QPixmap)
    assert loader.pixmap(Path("0.jpg")) is None
    with qtbot.waitSignal(loader.ready):
        loader.want([Path("0.jpg")])
    assert decoder.asked.count(Path("0.jpg")) == 2
    loader.close()


def test_closing_waits_for_the_threads_and_nothing_is_delivered_afterwards(qtbot, decoder):
    gate = threading.Event()
    decoder.before = gate.wait
    loader = ThumbnailLoader(16, decode=decoder)
    delivered = []
    loader.ready.connect(delivered.append)
    loader.want([Path("a.jpg")])
    qtbot.waitUntil(lambda: len(decoder.asked) == 1)
    threading.Timer(0.05, gate.set).start()
    loader.close()
    assert gate.is_set()
    assert loader.is_idle()
    loader.want([Path("b.jpg")])
    qtbot.wait(1)
    assert delivered == []
    assert decoder.asked == [Path("a.jpg")]


def test_a_grid_destroyed_while_decoding_ends_its_threads(qtbot, decoder):
    gate = threading.Event()
    decoder.before = gate.wait
    grid = ThumbnailGrid(decode=decoder)
    grid.resize(400, 300)
    grid.set_images(named(50))
    grid.show()
    qtbot.waitUntil(lambda: len(decoder.asked) == thumbnail_loader.THREADS)
    pool = grid.loader._pool
    threading.Timer(0.05, gate.set).start()
    with qtbot.waitSignal(grid.destroyed):
        grid.deleteLater()
    assert pool.activeThreadCount() == 0
    assert len(decoder.asked) == thumbnail_loader.THREADS


def test_pictures_are_made_for_the_screens_resolution(qtbot, grid, decoder, monkeypatch):
    monkeypatch.setattr(grid, "devicePixelRatioF", lambda: 2.0)
    grid.set_images(named(1))
    settle(qtbot, grid)
    assert grid.loader.edge == 224
    assert grid.loader.pixmap(Path("0.jpg")).width() == 224


def test_pixels_arrive_as_they_were():
    pixels = np.arange(5 * 3 * 3, dtype=np.uint8).reshape(5, 3, 3)  # rows of 9 bytes: not what Qt would align to
    image = image_from_array(pixels)
    assert (image.width(), image.height()) == (3, 5)
    assert image.pixelColor(2, 4).getRgb()[:3] == tuple(pixels[4, 2])


def test_keys_move_in_rows_and_enter_activates(qtbot, grid):
    grid.set_images(named(200))
    columns = grid.columns()
    assert columns > 1
    grid.setFocus()
    grid.setCurrentIndex(grid.model().index(0, 0))
    qtbot.keyClick(grid, Qt.Key.Key_Down)
    qtbot.keyClick(grid, Qt.Key.Key_Right)
    assert grid.currentIndex().row() == columns + 1
    qtbot.keyClick(grid, Qt.Key.Key_Up)
    qtbot.keyClick(grid, Qt.Key.Key_Up)
    assert grid.currentIndex().row() == 1
    qtbot.keyClick(grid, Qt.Key.Key_End)
    assert grid.currentIndex().row() == 199
    assert grid.viewport().rect().contains(grid.visualRect(grid.currentIndex()).center())
    qtbot.keyClick(grid, Qt.Key.Key_PageUp)
    assert grid.currentIndex().row() < 199
    qtbot.keyClick(grid, Qt.Key.Key_Home)
    with qtbot.waitSignal(grid.image_activated) as activated:
        qtbot.keyClick(grid, Qt.Key.Key_Return)
    assert activated.args == [Path("0.jpg")]
    grid.loader.close()


def test_a_point_leads_to_the_tile_that_is_there(qtbot, grid):
    grid.set_images(named(30))
    for row in (0, 1, grid.columns(), 29):
        index = grid.model().index(row, 0)
        grid.scrollTo(index)
        assert grid.indexAt(grid.visualRect(index).center()).row() == row
    assert not grid.indexAt(QPoint(5, grid.viewport().height() + 5000)).isValid()
    with qtbot.waitSignal(grid.image_selected) as selected:
        target = grid.visualRect(grid.model().index(29, 0)).center()
        qtbot.mouseClick(grid.viewport(), Qt.MouseButton.LeftButton, pos=target)
    assert selected.args == [Path("29.jpg")]
    grid.loader.close()


def test_right_to_left_mirrors_the_tiles(qtbot, grid):
    grid.set_images(named(30))
    left_to_right = grid.visualRect(grid.model().index(0, 0))
    grid.setLayoutDirection(Qt.LayoutDirection.RightToLeft)
    mirrored = grid.visualRect(grid.model().index(0, 0))
    assert mirrored.left() > left_to_right.left()
    assert grid.indexAt(mirrored.center()).row() == 0
    grid.loader.close()


def test_names_with_line_breaks_and_surrogates_are_shown(qtbot, grid):
    name = "a\nb\udce9.jpg"
    grid.set_images([(Path(name), name)])
    settle(qtbot, grid)
    assert grid.model().index(0, 0).data() == "a\N{REPLACEMENT CHARACTER}b\N{REPLACEMENT CHARACTER}.jpg"


def test_clear_forgets_the_pictures(qtbot, grid, decoder):
    grid.set_images(named(3))
    settle(qtbot, grid)
    grid.clear()
    assert grid.visible_paths() == []
    grid.set_images(named(1))
    settle(qtbot, grid)
    assert decoder.asked.count(Path("0.jpg")) == 2


def test_the_projects_own_decoder_is_the_default(qtbot, tmp_path):
    pil = pytest.importorskip("PIL.Image")
    pytest.importorskip("cnn_studio.core.image.decoder")
    path = tmp_path / "red.png"
    pil.new("RGB", (300, 150), (250, 0, 0)).save(path)
    loader = ThumbnailLoader(64)
    with qtbot.waitSignal(loader.ready):
        loader.want([path])
    assert (loader.pixmap(path).width(), loader.pixmap(path).height()) == (64, 32)
    loader.close()
