"""Which augmentation helps: short trainings one after the other, and what each is worth."""

from __future__ import annotations

from PySide6.QtCore import Qt, Slot
from PySide6.QtWidgets import (
    QAbstractItemView,
    QDialog,
    QHBoxLayout,
    QHeaderView,
    QLabel,
    QPushButton,
    QTableWidget,
    QTableWidgetItem,
    QVBoxLayout,
    QWidget,
)

from cnn_studio.core.experiment.augmentation import AUGMENTATION_KINDS
from cnn_studio.core.percent import format_percent_within
from cnn_studio.core.runs.comparison import AugmentationTrial, TrialVerdict
from cnn_studio.gui.jobs.job_thread import JobKind
from cnn_studio.gui.look import theme
from cnn_studio.gui.state.session import Session
from cnn_studio.gui.widgets.fields import IntegerBox
from cnn_studio.gui.widgets.paragraph import paragraph
from cnn_studio.tasks import planned_trials

USUAL_EPOCHS = 5
_COLUMNS = ("Trained with", "Validation accuracy", "Against none", "")


class CompareDialog(QDialog):
    """Starts a comparison and shows each training's figures as they come; the window stays usable beside it."""

    def __init__(self, session: Session, parent: QWidget) -> None:
        super().__init__(parent)
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self._project = session.project
        self._queue = session.queue
        self._training = session.training
        self._augmentation = session.augmentation
        self.setWindowTitle("Which changes help?")
        self.explanation = QLabel()
        self.note = QLabel(
            "In brackets the 95 % interval. The difference to none is counted on the same images, so it can be clear "
            "where the intervals of the accuracies overlap. Few epochs favour mild changes: strong ones pay off late."
        )
        theme.set_muted(self.note)
        theme.set_text_size(self.note, theme.TextSize.SMALL)
        layout = QVBoxLayout(self)
        layout.setSpacing(theme.SPACE)
        layout.addLayout(paragraph(self.explanation))
        layout.addLayout(self._build_head())
        layout.addWidget(self._build_table(), 1)
        layout.addLayout(paragraph(self.note))
        layout.addLayout(self._build_foot())
        self.resize(760, 480)
        session.augmentation.trials_changed.connect(self.refresh)
        session.project.experiment_changed.connect(self.refresh)
        session.queue.started.connect(self.refresh)
        session.queue.ended.connect(self.refresh)
        self.refresh()

    def _build_head(self) -> QHBoxLayout:
        self.epochs = IntegerBox(1, 1000)
        self.epochs.setValue(USUAL_EPOCHS)
        self.epochs.setAccessibleName("Epochs of each training")
        caption = QLabel("&Epochs of each training")
        caption.setBuddy(self.epochs)
        self.start = QPushButton("Start")
        theme.accent_button(self.start)
        self.start.clicked.connect(self._start)
        head = QHBoxLayout()
        head.setSpacing(theme.SPACE)
        head.addWidget(caption)
        head.addWidget(self.epochs)
        head.addStretch(1)
        head.addWidget(self.start)
        return head

    def _build_table(self) -> QTableWidget:
        self.table = QTableWidget(0, len(_COLUMNS))
        self.table.setHorizontalHeaderLabels(_COLUMNS)
        self.table.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.table.setSelectionMode(QAbstractItemView.SelectionMode.NoSelection)
        self.table.verticalHeader().hide()
        self.table.setTabKeyNavigation(False)
        self.table.setAccessibleName("Trainings compared")
        self.table.setShowGrid(False)
        header = self.table.horizontalHeader()
        header.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        header.setStretchLastSection(True)
        header.setDefaultAlignment(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter)
        return self.table

    def _build_foot(self) -> QHBoxLayout:
        self.use = QPushButton("Use what helped")
        self.use.clicked.connect(self._use_what_helped)
        close = QPushButton("Close")
        close.clicked.connect(self.accept)
        foot = QHBoxLayout()
        foot.addStretch(1)
        for button in (self.use, close):
            button.setAutoDefault(False)
            foot.addWidget(button)
        return foot

    @Slot()
    def refresh(self) -> None:
        """Show what can be compared and what is known."""
        experiment = self._project.experiment
        running = self._queue.is_busy_with(JobKind.COMPARE)
        on = experiment.augmentation.is_on
        count = len(planned_trials(experiment)) if on else 0
        reason = self._training.why_not_train() or (None if on else "Switch on the changes you want to try first.")
        self.explanation.setText(
            f"Trains the same network {count} times on the same images: without augmentation, with each change alone, "
            "and with all of them. Each training is kept among the runs."
            if on
            else "Switch on the changes you want to try first."
        )
        self.start.setEnabled(reason is None and not running)
        self.start.setToolTip(
            "It is under way: Stop and Cancel are at the window's bottom." if running else str(reason or "")
        )
        self.start.setText("Running…" if running else "Start")
        self.epochs.setEnabled(not running)
        trials = self._augmentation.trials
        self.table.setRowCount(len(trials))
        for row, trial in enumerate(trials):
            for column, text in enumerate(_texts(trial)):
                self.table.setItem(row, column, QTableWidgetItem(text))
        helped = self._helped()
        self.use.setEnabled(bool(helped) and not running)
        self.use.setToolTip("" if helped else "No single change was clearly better than none.")

    def _helped(self) -> list[str]:
        trials = self._augmentation.trials
        better = (trial.name for trial in trials if trial.verdict is TrialVerdict.BETTER)
        return [name for name in better if name in AUGMENTATION_KINDS]

    @Slot()
    def _start(self) -> None:
        self._augmentation.compare(self.epochs.value())

    @Slot()
    def _use_what_helped(self) -> None:
        chosen = self._project.experiment.augmentation.only(*self._helped())
        self._project.change({"augmentation": chosen.model_dump()})


def _texts(trial: AugmentationTrial) -> tuple[str, str, str, str]:
    measured = trial.validation
    accuracy = format_percent_within(measured.accuracy, measured.accuracy_low, measured.accuracy_high)
    if trial.verdict is None:
        return trial.title, accuracy, "", ""
    points = f"{100 * trial.difference:+.1f} points ({100 * trial.low:+.1f} to {100 * trial.high:+.1f})"
    return trial.title, accuracy, points.replace("-", "−"), trial.verdict
