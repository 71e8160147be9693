"""Runs: every training that was kept, to open, export, take the settings of, or delete."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

from PySide6.QtCore import QAbstractTableModel, QModelIndex, QPersistentModelIndex, Qt, QUrl, Slot
from PySide6.QtGui import QDesktopServices
from PySide6.QtWidgets import (
    QAbstractItemView,
    QHBoxLayout,
    QHeaderView,
    QLabel,
    QMessageBox,
    QPushButton,
    QSplitter,
    QStackedLayout,
    QTableView,
    QVBoxLayout,
    QWidget,
)

from cnn_studio.core.errors import CnnStudioError
from cnn_studio.core.experiment.architectures import architecture_title
from cnn_studio.core.job.events import EpochEnded, Event, TrainingStage
from cnn_studio.core.runs import run as runs
from cnn_studio.core.runs.history import best_epoch, read_history
from cnn_studio.core.runs.run import Run, RunState, RunStatus
from cnn_studio.core.runs.trained import ENDED_TEXT
from cnn_studio.core.store.prepared import store_size
from cnn_studio.core.text import printable
from cnn_studio.gui.jobs.job_thread import AnyJob, JobKind
from cnn_studio.gui.look import theme
from cnn_studio.gui.look.wording import accuracy_in, format_size
from cnn_studio.gui.pages.navigation import Navigation, Page
from cnn_studio.gui.state.session import Session
from cnn_studio.gui.widgets.curves import CurvePlot
from cnn_studio.gui.widgets.elided_label import ElidedLabel
from cnn_studio.gui.widgets.empty_state import EmptyState

_TOLD = {
    "Validation accuracy": "These images chose the epoch that was kept, so it flatters.",
    "Test accuracy": "On images that chose nothing; in brackets the 95 % interval.",
}
COLUMNS = ("When", "Data set", "Architecture", "Validation accuracy", "Test accuracy", "How it ended")
Index = QModelIndex | QPersistentModelIndex
_NO_FIGURE = "–"
_USE_A_MODEL = (JobKind.EXPORT, JobKind.PREDICT, JobKind.EVALUATE, JobKind.CALIBRATE, JobKind.EXPLAIN, JobKind.REPORT)


class RunsModel(QAbstractTableModel):
    """The runs as a table, one a row."""

    def __init__(self) -> None:
        super().__init__()
        self.runs: list[Run] = []
        self._states: list[RunState] = []

    def set_runs(self, found: list[Run]) -> None:
        """Show these runs."""
        self.beginResetModel()
        self.runs, self._states = found, [run.state() for run in found]
        self.endResetModel()

    def rowCount(self, parent: Index = QModelIndex()) -> int:  # noqa: B008 -- Qt's signature
        """Number of runs."""
        return 0 if parent.isValid() else len(self.runs)

    def columnCount(self, parent: Index = QModelIndex()) -> int:  # noqa: B008 -- Qt's signature
        """Number of columns."""
        return 0 if parent.isValid() else len(COLUMNS)

    def headerData(self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """The columns' titles."""
        if orientation is Qt.Orientation.Horizontal and role == Qt.ItemDataRole.DisplayRole:
            return COLUMNS[section]
        if orientation is Qt.Orientation.Horizontal and role == Qt.ItemDataRole.ToolTipRole:
            return _TOLD.get(COLUMNS[section])
        return None

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """A cell's text."""
        run = self.runs[index.row()]
        if role == Qt.ItemDataRole.DisplayRole:
            return printable(self._text(run, self._states[index.row()], index.column()))
        if role == Qt.ItemDataRole.ToolTipRole:
            cell = self._text(run, self._states[index.row()], index.column())
            images = [f"Images: {run.data_root}"] if run.data_root else []
            return "\n".join(map(printable, (cell, str(run.folder), *images)))
        return None

    def _text(self, run: Run, state: RunState, column: int) -> str:
        match column:
            case 0:
                return datetime.fromisoformat(run.created).astimezone().strftime("%Y-%m-%d %H:%M")
            case 1:
                return run.data_name or run.folder.name
            case 2:
                return architecture_title(run.architecture)
            case 3:
                return accuracy_in(run.metrics, "val") or _NO_FIGURE
            case 4:
                return accuracy_in(run.metrics, "test") or _NO_FIGURE
        return _ending(run, state)


_STATE_TEXT = {
    RunState.TRAINING: "being trained",
    RunState.TRAINING_ELSEWHERE: "being trained by another cnn_studio",
    RunState.DAMAGED: "damaged: its run.json cannot be read",
}


def _ending(run: Run, state: RunState) -> str:
    if state in _STATE_TEXT:
        return _STATE_TEXT[state]
    if run.ended is not None:
        return ENDED_TEXT[run.ended] if run.model.exists() else f"{ENDED_TEXT[run.ended]}; its model is gone"
    if run.model.exists():
        return "interrupted; best model recovered"
    if run.failure is not None:
        return f"failed: {run.failure.text()}"
    return "interrupted; can be recovered" if run.checkpoint.exists() else "interrupted before the first epoch"


def _result(run: Run) -> str:
    """What a run is and how good it became, in a line."""
    parts = [part for part in (run.data_name, architecture_title(run.architecture)) if part]
    for split, name in (("val", "validation accuracy"), ("test", "test accuracy")):
        if accuracy := accuracy_in(run.metrics, split):
            parts.append(f"{name} {accuracy}")
    return " · ".join(parts)


def _capitalised(text: str) -> str:
    return text[:1].upper() + text[1:]


class RunsPage(QWidget):
    """The table of runs and what can be done with the chosen one."""

    def __init__(self, session: Session, navigation: Navigation) -> None:
        super().__init__()
        self._queue = session.queue
        self._project = session.project
        self._models = session.models
        self._training = session.training
        self._runtime = session.runtime
        self._navigation = navigation
        self._build_table()
        filled = QWidget()
        layout = QVBoxLayout(filled)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addLayout(self._build_head())
        parts = QSplitter(Qt.Orientation.Vertical)
        parts.setChildrenCollapsible(False)
        parts.addWidget(self.table)
        parts.addWidget(self._build_details())
        parts.setStretchFactor(0, 1)
        parts.setStretchFactor(1, 2)
        layout.addWidget(parts, 1)
        layout.addLayout(self._build_buttons())
        self._empty = EmptyState(
            "runs",
            "No runs yet",
            "Every training is kept here with its settings, its curves and its model.",
            [("train", "Go to Train")],
        )
        self._empty.triggered.connect(navigation.show_page)
        self._either = QStackedLayout(self)
        self._either.addWidget(self._empty)
        self._either.addWidget(filled)
        session.queue.started.connect(self.refresh)
        session.queue.ended.connect(self.refresh)
        session.queue.reported.connect(self._on_reported)
        self.refresh()

    def _build_table(self) -> None:
        self.model = RunsModel()
        self.table = QTableView()
        self.table.setModel(self.model)
        self.table.setAccessibleName("Runs")
        self.table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.table.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.table.setShowGrid(False)
        self.table.verticalHeader().hide()
        self.table.setTabKeyNavigation(False)
        self.table.horizontalHeader().setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        for column in (1, len(COLUMNS) - 1):  # names and reasons can be long; figures are whole
            self.table.horizontalHeader().setSectionResizeMode(column, QHeaderView.ResizeMode.Stretch)
        self.table.horizontalHeader().setDefaultAlignment(Qt.AlignmentFlag.AlignLeft)
        self.table.doubleClicked.connect(self._open)
        self.table.selectionModel().selectionChanged.connect(self._on_selection)

    def _build_details(self) -> QWidget:
        """What became of the chosen run: a line, a sentence or two, and its curves."""
        self.result = ElidedLabel()
        theme.set_text_size(self.result, theme.TextSize.BODY, bold=True)
        self.said = QLabel()
        self.said.setWordWrap(True)
        self.said.setTextFormat(Qt.TextFormat.PlainText)
        theme.set_muted(self.said)
        self.curves = CurvePlot()
        details = QWidget()
        column = QVBoxLayout(details)
        column.setContentsMargins(0, theme.SPACE_HALF, 0, 0)
        column.setSpacing(theme.SPACE_HALF)
        column.addWidget(self.result)
        column.addWidget(self.said)
        column.addWidget(self.curves, 1)
        return details

    def _build_buttons(self) -> QHBoxLayout:
        self.open_button = QPushButton("Open its model")
        theme.accent_button(self.open_button)
        self.open_button.clicked.connect(self._open)
        self.evaluate_button = QPushButton("Evaluate")
        self.evaluate_button.clicked.connect(self._evaluate)
        self.settings_button = QPushButton("Take its settings")
        self.settings_button.setToolTip("Put this run's settings on the Model and Train pages, to train it again.")
        self.settings_button.clicked.connect(self._take_settings)
        self.folder_button = QPushButton("Show folder")
        self.folder_button.clicked.connect(self._show_folder)
        self.delete_button = QPushButton("Delete…")
        self.delete_button.clicked.connect(self._ask_delete)
        buttons = QHBoxLayout()
        buttons.addWidget(self.delete_button)
        buttons.addStretch(1)
        buttons.addWidget(self.folder_button)
        buttons.addWidget(self.settings_button)
        buttons.addWidget(self.evaluate_button)
        buttons.addWidget(self.open_button)
        return buttons

    def _build_head(self) -> QHBoxLayout:
        title = QLabel("Runs")
        theme.set_text_size(title, theme.TextSize.TITLE)
        self.cache_text = QLabel()
        theme.set_muted(self.cache_text)
        self.cache_button = QPushButton("Clear cache")
        self.cache_button.setToolTip(
            "Prepared images and features of pre-trained networks are kept so that the next training starts at once. "
            "They are made again when needed; runs and models stay."
        )
        self.cache_button.clicked.connect(self._runtime.clear_cache)
        head = QHBoxLayout()
        head.addWidget(title, 1)
        head.addWidget(self.cache_text)
        head.addWidget(self.cache_button)
        return head

    @Slot()
    def refresh(self) -> None:
        """Read the runs from disk again."""
        chosen = self.chosen()
        size = store_size()
        self.cache_text.setText(f"Cache: {format_size(size)}")
        self.cache_button.setEnabled(size > 0 and self._queue.current is None)
        self.model.set_runs(runs.list_runs(self._project.runs_dir))
        self._either.setCurrentIndex(1 if self.model.runs else 0)
        self.choose(chosen.folder if chosen else None)

    def choose(self, folder: Path | None) -> None:
        """Choose the run in that folder, or the latest where it is none of those listed."""
        folders = [run.folder for run in self.model.runs]
        if folders:
            self.table.selectRow(folders.index(folder) if folder in folders else 0)
        self._on_selection()

    def chosen(self) -> Run | None:
        """The run selected in the table."""
        rows = self.table.selectionModel().selectedRows()
        return self.model.runs[rows[0].row()] if rows and rows[0].row() < len(self.model.runs) else None

    @Slot()
    def _on_selection(self) -> None:
        run = self.chosen()
        running = run is not None and run.is_being_trained()
        damaged = run is not None and run.status is RunStatus.DAMAGED
        recoverable = run is not None and not damaged and run.checkpoint.exists()
        has_model = run is not None and not running and (run.model.exists() or recoverable)
        self.open_button.setEnabled(has_model)
        self.open_button.setToolTip(
            "Classify images with this run's model." if has_model else "This run has no model to open."
        )
        self.evaluate_button.setEnabled(has_model)
        self.evaluate_button.setToolTip(
            "See how good this run's model is, and where it errs." if has_model else self.open_button.toolTip()
        )
        self.settings_button.setEnabled(run is not None)
        self.folder_button.setEnabled(run is not None)
        self.delete_button.setEnabled(run is not None and not running)
        self._show_details(run)

    def _show_details(self, run: Run | None) -> None:
        """Show a run's result and curves, as its files tell them."""
        if run is None:
            return
        self.result.setText(_result(run))
        sentences = [f"{_capitalised(_ending(run, run.state()))}."]
        try:
            epochs = read_history(run)
        except CnnStudioError as error:
            epochs = ()
            sentences.append(str(error))
        best = best_epoch(epochs)
        if best and run.ended is not None:
            sentences.append(f"The model of epoch {best} of {len(epochs)} was kept: it had the lowest validation loss.")
        self.said.setText(" ".join(sentences))
        plot = self.curves
        plot.clear(max((each.epoch for each in epochs), default=1))
        stage = epochs[0].stage if epochs else ""
        for each in epochs:
            if each.stage != stage:
                stage = each.stage
                plot.mark_stage(each.epoch - 1, "Fine-tuning" if stage == TrainingStage.FINE_TUNING else stage)
            plot.add_epoch(each.epoch, each.loss, each.accuracy, each.val_loss, each.val_accuracy)
        plot.set_best_epoch(best)
        plot.setVisible(bool(epochs))

    @Slot(object, object)
    def _on_reported(self, job: AnyJob, event: Event) -> None:
        """Follow a run that is being trained."""
        run = self.chosen()
        if isinstance(event, EpochEnded) and job.kind is JobKind.TRAIN and run and run.folder == job.request.run:
            self._show_details(run)

    @Slot()
    def _open(self) -> None:
        self._open_and_show(Page.PREDICT)

    @Slot()
    def _evaluate(self) -> None:
        self._open_and_show(Page.EVALUATE)

    def _open_and_show(self, page: Page) -> None:
        if (run := self.chosen()) and self.open_button.isEnabled():
            self._models.open_run(run)
            self._navigation.show_page(page)

    @Slot()
    def _take_settings(self) -> None:
        if run := self.chosen():
            self._project.open_experiment(run.folder / "experiment.toml")
            self._navigation.show_page(Page.MODEL)

    @Slot()
    def _show_folder(self) -> None:
        if run := self.chosen():
            QDesktopServices.openUrl(QUrl.fromLocalFile(str(run.folder)))

    @Slot()
    def _ask_delete(self) -> None:
        if (run := self.chosen()) is None:
            return
        box = QMessageBox(
            QMessageBox.Icon.Warning,
            "Delete run",
            f"Delete the run “{printable(run.folder.name)}” with its model? This cannot be undone. "
            "Your images are not touched.",
            parent=self,
        )
        box.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        delete = box.addButton("Delete", QMessageBox.ButtonRole.DestructiveRole)
        box.setDefaultButton(box.addButton(QMessageBox.StandardButton.Cancel))
        delete.clicked.connect(lambda: self._delete(run))
        box.open()

    def _delete(self, run: Run) -> None:
        if run.is_being_trained() or self._queue.is_busy_with(*_USE_A_MODEL):
            return
        self._training.delete(run)
        self.refresh()
