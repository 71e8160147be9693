"""Every file left out of a data set, with the reason."""

from __future__ import annotations

from PySide6.QtCore import Qt, Slot
from PySide6.QtWidgets import (
    QAbstractItemView,
    QDialog,
    QDialogButtonBox,
    QHeaderView,
    QLabel,
    QTableWidget,
    QTableWidgetItem,
    QVBoxLayout,
    QWidget,
)

from cnn_studio.core.atomic_file import write_text
from cnn_studio.core.data.dataset import Dataset
from cnn_studio.core.image.issues import ISSUE_TEXT, issues_csv
from cnn_studio.core.text import printable, printable_lines
from cnn_studio.gui.dialogs.save_file import save_file
from cnn_studio.gui.look import theme
from cnn_studio.gui.state.notices import Notices
from cnn_studio.gui.widgets.paragraph import breakable, paragraph


class LeftOutDialog(QDialog):
    """A table of path, kind and detail, which can be saved as CSV."""

    def __init__(self, dataset: Dataset, notices: Notices, parent: QWidget) -> None:
        super().__init__(parent)
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self._dataset = dataset
        self._notices = notices
        self.setWindowTitle(f"Left out of {printable(dataset.name)}")
        self.table = QTableWidget(len(dataset.issues), 3)
        self.table.setAccessibleName("What is left out")
        self.table.setHorizontalHeaderLabels(["File or folder", "Reason", "Detail"])
        self.table.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.table.verticalHeader().hide()
        self.table.setTabKeyNavigation(False)
        self.table.horizontalHeader().setSectionResizeMode(QHeaderView.ResizeMode.Interactive)
        self.table.horizontalHeader().setStretchLastSection(True)
        self.table.horizontalHeader().setDefaultAlignment(Qt.AlignmentFlag.AlignLeft)
        for row, issue in enumerate(dataset.issues):
            for column, text in enumerate(map(printable, (issue.path, ISSUE_TEXT[issue.kind], issue.detail))):
                item = QTableWidgetItem(text)
                item.setToolTip(printable_lines(text))
                self.table.setItem(row, column, item)
        self.table.resizeColumnsToContents()
        self.table.setColumnWidth(0, min(self.table.columnWidth(0), 320))
        where = QLabel(breakable(f"The files lie unchanged in {printable(str(dataset.root))}."))
        theme.set_text_size(where, theme.TextSize.SMALL)
        buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Close)
        self.save_button = buttons.addButton("Save list…", QDialogButtonBox.ButtonRole.ActionRole)
        self.save_button.clicked.connect(self._save)
        buttons.rejected.connect(self.reject)
        layout = QVBoxLayout(self)
        layout.addWidget(self.table, 1)
        layout.addLayout(paragraph(where))
        layout.addWidget(buttons)
        self.resize(860, 460)

    @Slot()
    def _save(self) -> None:
        text = issues_csv(self._dataset.issues)
        title, kind = "Save the list", "CSV (*.csv)"
        save_file(self, self._notices, title, "left out.csv", kind, lambda target: write_text(target, text))
