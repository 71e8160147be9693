"""Everything the user has decided about single pictures, to be taken back one by one."""

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

from cnn_studio.core.text import printable, printable_lines
from cnn_studio.gui.look import theme
from cnn_studio.gui.state.decisions import PictureDecisions
from cnn_studio.gui.widgets.paragraph import paragraph


class DecisionsDialog(QDialog):
    """A table of picture and decision."""

    def __init__(self, decisions: PictureDecisions, parent: QWidget) -> None:
        super().__init__(parent)
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self._decisions = decisions
        self._paths: list[str] = []
        self.setWindowTitle("Your decisions")
        self.table = QTableWidget(0, 2)
        self.table.setAccessibleName("Decisions")
        self.table.setHorizontalHeaderLabels(["Picture", "Decision"])
        self.table.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.table.setShowGrid(False)
        self.table.verticalHeader().hide()
        self.table.setTabKeyNavigation(False)
        self.table.horizontalHeader().setDefaultAlignment(Qt.AlignmentFlag.AlignLeft)
        self.table.horizontalHeader().setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)
        self.table.horizontalHeader().setSectionResizeMode(1, QHeaderView.ResizeMode.ResizeToContents)
        self.table.itemSelectionChanged.connect(self._on_selection)
        about = QLabel(
            "They are part of the experiment: saved with its settings, and kept with each run. The files stay as "
            "they are, where they are."
        )
        theme.set_text_size(about, theme.TextSize.SMALL)
        self.buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Close)
        action = QDialogButtonBox.ButtonRole.ActionRole
        self.take_back_button = self.buttons.addButton("Take back", action)
        self.take_back_button.clicked.connect(self._take_back)
        self.take_all_button = self.buttons.addButton("Take all back", action)
        self.take_all_button.clicked.connect(lambda: self._decisions.take_back(self._paths))
        self.buttons.rejected.connect(self.reject)
        layout = QVBoxLayout(self)
        layout.addWidget(self.table, 1)
        layout.addLayout(paragraph(about))
        layout.addWidget(self.buttons)
        self._decisions.decided.connect(self.refresh)
        self.resize(640, 420)
        self.refresh()

    @Slot()
    def refresh(self) -> None:
        """Show the decisions as they are now."""
        self._paths = self._decisions.paths()
        self.table.setRowCount(len(self._paths))
        for row, path in enumerate(self._paths):
            decision = self._decisions.on(path)
            said = [f"belongs to {decision.belongs_to}"] if decision.belongs_to else []
            said += ["left out"] if decision.left_out else []
            for column, text in enumerate(map(printable, (path, ", ".join(said)))):
                item = QTableWidgetItem(text)
                item.setToolTip(printable_lines(text))
                self.table.setItem(row, column, item)
        self.table.clearSelection()
        self.take_all_button.setEnabled(bool(self._paths))
        self._on_selection()

    @Slot()
    def _on_selection(self) -> None:
        chosen = bool(self.table.selectionModel().selectedRows())
        self.take_back_button.setEnabled(chosen)
        self.take_back_button.setToolTip("" if chosen else "Choose a line first.")

    @Slot()
    def _take_back(self) -> None:
        rows = self.table.selectionModel().selectedRows()
        self._decisions.take_back([self._paths[index.row()] for index in rows])
