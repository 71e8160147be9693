"""Every file left out of a data set, with the reason."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import Qt, Slot
from PySide6.QtWidgets import (
    QAbstractItemView,
    QDialog,
    QDialogButtonBox,
    QFileDialog,
    QHeaderView,
    QLabel,
    QTableWidget,
    QTableWidgetItem,
    QVBoxLayout,
    QWidget,
)

from cnn_studio.core.atomic_file import write_text
from cnn_studio.core.data.dataset import Dataset
from cnn_studio.core.errors import CnnStudioError
from cnn_studio.core.image.issues import ISSUE_TEXT, issues_csv
from cnn_studio.gui.look import theme


class LeftOutDialog(QDialog):
    """A table of path, kind and detail, which can be saved as CSV."""

    def __init__(self, dataset: Dataset, parent: QWidget) -> None:
        super().__init__(parent)
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self._dataset = dataset
        self.setWindowTitle(f"Left out of {dataset.name}")
        self.table = QTableWidget(len(dataset.issues), 3)
        self.table.setHorizontalHeaderLabels(["File or folder", "Reason", "Detail"])
        self.table.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.table.verticalHeader().hide()
        self.table.horizontalHeader().setSectionResizeMode(QHeaderView.ResizeMode.Interactive)
        self.table.horizontalHeader().setStretchLastSection(True)
        self.table.horizontalHeader().setDefaultAlignment(Qt.AlignmentFlag.AlignLeft)
        for row, issue in enumerate(dataset.issues):
            for column, text in enumerate((issue.path, ISSUE_TEXT[issue.kind], issue.detail)):
                item = QTableWidgetItem(text)
                item.setToolTip(text)
                self.table.setItem(row, column, item)
        self.table.resizeColumnsToContents()
        self.table.setColumnWidth(0, min(self.table.columnWidth(0), 320))
        self._state = QLabel(f"The files lie unchanged in {dataset.root}.")
        self._state.setWordWrap(True)
        theme.set_text_size(self._state, theme.TextSize.SMALL)
        buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Close)
        buttons.addButton("Save list…", QDialogButtonBox.ButtonRole.ActionRole).clicked.connect(self._save)
        buttons.rejected.connect(self.reject)
        layout = QVBoxLayout(self)
        layout.addWidget(self.table, 1)
        layout.addWidget(self._state)
        layout.addWidget(buttons)
        self.resize(860, 460)

    @Slot()
    def _save(self) -> None:
        name, _ = QFileDialog.getSaveFileName(self, "Save the list", "left out.csv", "CSV (*.csv)")
        if not name:
            return
        try:
            write_text(Path(name), issues_csv(self._dataset.issues))
        except CnnStudioError as error:
            self._state.setText(str(error))
        else:
            self._state.setText(f"Saved to {name}.")
