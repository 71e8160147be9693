"""Help: the pages in resources/help, readable without a network."""

from __future__ import annotations

from PySide6.QtCore import QSize, Qt, QUrl, Slot
from PySide6.QtWidgets import QHBoxLayout, QListWidget, QListWidgetItem, QTextBrowser, QWidget

from cnn_studio.core import paths
from cnn_studio.gui.look import theme
from cnn_studio.gui.widgets.paragraph import READING_CHARACTERS


class HelpPage(QWidget):
    """A list of topics and the chosen one."""

    def __init__(self) -> None:
        super().__init__()
        self.topics = QListWidget()
        self.topics.setAccessibleName("Help topics")
        self.text = QTextBrowser()
        self.text.setAccessibleName("Help text")
        self.text.setOpenExternalLinks(True)
        self.text.document().setDocumentMargin(2 * theme.SPACE)
        self.text.setMaximumWidth(READING_CHARACTERS * self.fontMetrics().averageCharWidth() + 8 * theme.SPACE)
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(2 * theme.SPACE)
        layout.addWidget(self.topics)
        layout.addWidget(self.text, 1000)
        layout.addStretch(1)
        for file in sorted((paths.resource_dir() / "help").glob("*.md")):
            title = file.read_text(encoding="utf-8").splitlines()[0].lstrip("# ")
            item = QListWidgetItem(title)
            item.setData(Qt.ItemDataRole.UserRole, str(file))
            item.setSizeHint(QSize(self.fontMetrics().horizontalAdvance(title) + 4 * theme.SPACE, 4 * theme.SPACE))
            self.topics.addItem(item)
        beside = 2 * self.topics.frameWidth() + self.topics.verticalScrollBar().sizeHint().width()  # in a low window
        self.topics.setFixedWidth(self.topics.sizeHintForColumn(0) + beside)
        self.topics.currentItemChanged.connect(self._show)
        self.topics.setCurrentRow(0)

    @Slot()
    def _show(self) -> None:
        if item := self.topics.currentItem():
            file = item.data(Qt.ItemDataRole.UserRole)
            self.text.setSource(QUrl.fromLocalFile(file))
