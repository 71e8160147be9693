"""The window as a whole: every page can be brought to the front."""

import pytest

from cnn_studio.gui.main_window import MainWindow
from cnn_studio.gui.pages.navigation import PAGE_TITLES, Page


@pytest.fixture
def window(qtbot, session):
    made = MainWindow(session)
    qtbot.addWidget(made)
    made.show()
    yield made
    for key in (Page.DATA, Page.MODEL):
        page = made.page(key)
        (page.grid.close_loader if key is Page.DATA else page.preview.loader.close)()


def test_every_page_has_a_title_and_an_icon_and_can_be_shown(window):
    for row, key in enumerate(Page):
        window.show_page(key)
        assert window.stack.currentWidget() is window.page(key)
        assert window.navigation.currentItem().text() == PAGE_TITLES[key]
        assert not window.navigation.item(row).icon().pixmap(20, 20).isNull()
