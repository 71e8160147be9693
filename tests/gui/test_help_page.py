"""The Help page: every page of resources/help is a topic, and the chosen one is shown."""

import pytest

from cnn_studio.core import paths
from cnn_studio.gui.pages.help.help_page import HelpPage


@pytest.fixture
def page(qtbot):
    made = HelpPage()
    qtbot.addWidget(made)
    made.show()
    return made


def test_every_help_file_is_a_topic_under_its_title(page):
    files = sorted((paths.resource_dir() / "help").glob("*.md"))
    titles = [file.read_text(encoding="utf-8").splitlines()[0].lstrip("# ") for file in files]
    assert [page.topics.item(row).text() for row in range(page.topics.count())] == titles
    assert len(titles) > 3


def test_the_chosen_topic_is_shown(page):
    for row in range(page.topics.count()):
        page.topics.setCurrentRow(row)
        assert page.text.toPlainText().startswith(page.topics.item(row).text())


def test_no_topic_is_shortened(page):
    assert page.topics.horizontalScrollBar().maximum() == 0
    titles = [page.topics.item(row).text() for row in range(page.topics.count())]
    assert page.topics.viewport().width() >= max(map(page.topics.fontMetrics().horizontalAdvance, titles))
