"""Evaluate: how good the opened model is on images it was not trained on, where it errs, how sure it may be."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import Qt, Slot
from PySide6.QtWidgets import (
    QFileDialog,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QStackedLayout,
    QStackedWidget,
    QTabBar,
    QVBoxLayout,
    QWidget,
)

from cnn_studio.core.atomic_file import write_text
from cnn_studio.core.data.image_file import SPLIT_TEXT, Split
from cnn_studio.core.evaluation.measured import Measured
from cnn_studio.core.evaluation.score_csv import scores_csv
from cnn_studio.core.experiment.architectures import architecture_title
from cnn_studio.core.percent import format_percent, format_percent_within
from cnn_studio.core.runs import run as runs
from cnn_studio.core.text import printable
from cnn_studio.gui.dialogs.save_file import ask_target, save_file
from cnn_studio.gui.look import theme
from cnn_studio.gui.look.wording import format_things
from cnn_studio.gui.pages.evaluate.galleries import GalleriesTab
from cnn_studio.gui.pages.evaluate.matrix import MatrixTab
from cnn_studio.gui.pages.evaluate.report import ReportTab
from cnn_studio.gui.pages.evaluate.sureness import SurenessTab
from cnn_studio.gui.pages.navigation import Navigation
from cnn_studio.gui.state.evaluation import Source
from cnn_studio.gui.state.session import Session
from cnn_studio.gui.widgets.elided_label import ElidedLabel
from cnn_studio.gui.widgets.empty_state import EmptyState
from cnn_studio.gui.widgets.fields import DropDown

TABS = ("Report", "Matrix", "Galleries", "How sure")
_REPORT, _MATRIX, _GALLERIES, _SURENESS = range(len(TABS))
_OTHER_FOLDER = "another folder"


class EvaluatePage(QWidget):
    """What is still missing, or the four views of a measurement."""

    def __init__(self, session: Session, navigation: Navigation) -> None:
        super().__init__()
        self._project = session.project
        self._models = session.models
        self._notices = session.notices
        self._evaluation = session.evaluation
        self._navigation = navigation
        self._shown: Measured | None = None
        self.missing = EmptyState("evaluate", "", "")
        self.missing.triggered.connect(self._on_missing_step)
        body = QWidget()
        self._either = QStackedLayout(body)
        self._either.addWidget(self.missing)
        self._either.addWidget(self._build_views())
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(theme.SPACE)
        self._head = self._build_head()
        layout.addWidget(self._head)
        layout.addLayout(self._build_choices())
        layout.addWidget(body, 1)
        self._evaluation.changed.connect(self.refresh)
        session.project.dataset_opened.connect(self.refresh)
        session.queue.started.connect(self.refresh)
        session.queue.ended.connect(self.refresh)
        self.refresh()

    # -- building -----------------------------------------------------------------------------------------------

    def _build_head(self) -> QWidget:
        self.title = QLabel()
        self.title.setWordWrap(True)
        theme.set_text_size(self.title, theme.TextSize.TITLE)
        self.title.setTextFormat(Qt.TextFormat.PlainText)
        self.facts = ElidedLabel()
        words = QVBoxLayout()
        words.setSpacing(0)
        words.addWidget(self.title)
        words.addWidget(self.facts)
        self.table_button = QPushButton("Save table…")
        self.table_button.setToolTip("Save the scores as a CSV file that spreadsheets open.")
        self.table_button.clicked.connect(self.choose_table)
        self.report_button = QPushButton("Save report…")
        self.report_button.setToolTip("Save everything as one HTML page that any browser opens, to mail or hand in.")
        theme.accent_button(self.report_button)
        self.report_button.clicked.connect(self.choose_report)
        head = QWidget()
        row = QHBoxLayout(head)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(theme.SPACE)
        row.addLayout(words, 1)
        row.addWidget(self.table_button)
        row.addWidget(self.report_button)
        return head

    def _build_choices(self) -> QHBoxLayout:
        """The row of views, and which images they are about."""
        self.tabs.setDrawBase(False)
        self.tabs.setExpanding(False)
        self.tabs.setUsesScrollButtons(False)
        self.tabs.setAccessibleName("Views of the evaluation")
        self.source = DropDown(shrinks=True)
        self.source.setAccessibleName("Images to evaluate on")
        self.source.setToolTip("Which images the model is evaluated on.")
        self.source.activated.connect(self._on_source)
        self.again_button = QPushButton("Evaluate again")
        self.again_button.clicked.connect(self._evaluation.evaluate)
        row = QHBoxLayout()
        row.setSpacing(theme.SPACE)
        row.addWidget(self.tabs)
        row.addStretch(1)
        row.addWidget(self.source)
        row.addWidget(self.again_button)
        return row

    def _build_views(self) -> QWidget:
        self.tabs = QTabBar()
        for text in TABS:
            self.tabs.addTab(text)
        self.report = ReportTab()
        self.report.class_wanted.connect(self.show_class)
        self.report.cell_wanted.connect(self.show_cell)
        self.matrix = MatrixTab(self._evaluation)
        self.galleries = GalleriesTab(self._evaluation)
        self.sureness = SurenessTab(self._evaluation)
        self._views = (self.report, self.matrix, self.galleries, self.sureness)
        self._stack = QStackedWidget()
        for view in self._views:
            self._stack.addWidget(view)
        self._waiting = set(self._views)
        self.tabs.currentChanged.connect(self._show_tab)
        return self._stack

    # -- showing ------------------------------------------------------------------------------------------------

    @Slot()
    def refresh(self) -> None:
        """Show the state the session is in now."""
        measured = self._evaluation.measured
        self._head.setVisible(self._models.opened is not None)
        self._show_sources()
        if measured is None:
            self._shown = None
            self._show_missing()
        elif measured is not self._shown:
            self._shown = measured
            self._waiting = set(self._views)
            self._show_tab(self.tabs.currentIndex())
        elif self.tabs.currentIndex() == _SURENESS:
            self.sureness.show_state()
        self._either.setCurrentIndex(0 if measured is None else 1)
        self.tabs.setVisible(measured is not None)
        self.source.setVisible(self._evaluation.source is not None)
        self._show_head(measured)

    def _show_head(self, measured: Measured | None) -> None:
        model = self._models.opened
        for button in (self.again_button, self.table_button, self.report_button):
            button.setVisible(measured is not None)
        busy = self._evaluation.is_measuring()
        self.again_button.setEnabled(not busy)
        self.again_button.setToolTip(
            "It is being evaluated." if busy else "Let the model classify these images once more."
        )
        if model is None:
            return
        run = runs.run_of_model(model.path)
        parts = [f"Model of {model.title}", architecture_title(model.facts.architecture)]
        if run is not None:
            dataset = self._project.dataset
            if dataset is not None and str(dataset.root) != run.data_root:
                parts.insert(0, f"Not of {dataset.name}, which is open now")
        facts = printable(" · ".join(part for part in parts if part))
        last = [printable(f"run “{run.folder.name}”")] if run else []  # long, and the first to be cut off
        if measured is None:
            self.title.setText("How good is it?")
            self.facts.setText(" · ".join([facts, *last]))
            return
        found = measured.evaluation
        self.title.setText(
            f"{self._accuracy_name()} "
            f"{format_percent_within(found.accuracy, found.accuracy_low, found.accuracy_high)}, "
            f"{format_things(found.images, 'image')}"
        )
        self.title.setToolTip("The part that is classified rightly; in brackets the 95 % interval (Wilson).")
        figures = [
            *(["these images chose the epoch"] if found.chose_epoch else []),
            f"guessing {format_percent(found.guessing)}",
            *(f"top-{k} accuracy {format_percent(among)}" for k, among in found.top_k),
            f"log loss {found.loss:.3f}",
        ]
        self.facts.setText(" · ".join([facts, *figures, *last]))

    def _accuracy_name(self) -> str:
        source = self._evaluation.source
        if isinstance(source, Path):
            return f"Accuracy on {printable(source.name)}"
        return f"{source.capitalize()} accuracy" if source else "Accuracy"

    def _show_sources(self) -> None:
        """What the list of images offers: the splits of the model's run, the folder chosen, another folder."""
        splits, chosen = self._evaluation.splits, self._evaluation.source
        offered: list[tuple[str, Source | str]] = [
            (f"{SPLIT_TEXT[split].capitalize()} images ({splits[split]:,})", split)
            for split in (Split.TEST, Split.VALIDATION)
            if split in splits
        ]
        if isinstance(chosen, Path):
            offered.append((printable(chosen.name), chosen))
        offered.append(("Another folder…", _OTHER_FOLDER))
        if [(self.source.itemText(row), self.source.itemData(row)) for row in range(self.source.count())] != offered:
            self.source.clear()
            for text, value in offered:
                self.source.addItem(text, value)
        places = {value: place for place, (_, value) in enumerate(offered)}
        self.source.setCurrentIndex(-1 if chosen is None else places.get(chosen, -1))
        self.source.setEnabled(not self._evaluation.is_measuring())

    def _show_missing(self) -> None:
        models, evaluation = self._models, self._evaluation
        if models.opened is None and models.is_coming:
            self._say("A model is on its way", "It can be evaluated as soon as it is ready.")
        elif models.opened is None:
            self._say(
                "No model to evaluate yet",
                "Train one on your images, open an earlier run, or open a .keras file.",
                [("train", "Go to Train"), ("runs", "Go to Runs"), ("open", "Open model…")],
            )
        elif evaluation.is_measuring():
            begins = "It begins when the training has ended. " if evaluation.is_training() else ""
            self._say("Evaluating", f"{begins}The model classifies each image; the figures appear when it is through.")
        elif isinstance(evaluation.source, Split):
            self._say(
                "Not evaluated yet",
                f"The model has not been shown the {evaluation.source} images of its run yet.",
                [("evaluate", "Evaluate"), ("folder", "Another folder…")],
            )
        elif evaluation.source is not None:
            self._say(
                "Not evaluated",
                f"The model has not been evaluated on {evaluation.source.name}.",
                [("evaluate", "Evaluate"), ("folder", "Another folder…")],
            )
        else:
            self._say(
                "Which images?",
                "This model does not belong to a run, so there are no test images of its own. Choose a folder that "
                "holds one sub-folder of images per class, named as the model's classes are.",
                [("folder", "Choose folder…")],
            )

    def _say(self, title: str, sentence: str, buttons: list[tuple[str, str]] | None = None) -> None:
        self.missing.set_texts(title, sentence)
        wanted = dict(buttons or [])
        if {key: button.text() for key, button in self.missing.buttons.items()} != wanted:
            self.missing.set_buttons(list(wanted.items()))

    @Slot(int)
    def _show_tab(self, number: int) -> None:
        """Bring a view to the front; each is filled when it is first looked at."""
        view = self._views[number]
        if self._shown is not None and view in self._waiting:
            self._waiting.discard(view)
            view.show_measured(self._shown)
        elif view is self.sureness:
            self.sureness.show_state()
        self._stack.setCurrentIndex(number)

    @Slot(int)
    def show_class(self, label: int) -> None:
        """Show the galleries of one class."""
        self.tabs.setCurrentIndex(_GALLERIES)
        self.galleries.show_class(label)

    @Slot(int, int)
    def show_cell(self, true: int, predicted: int) -> None:
        """Show the images of one cell of the confusion matrix."""
        self.tabs.setCurrentIndex(_MATRIX)
        self.matrix.matrix.choose(true, predicted)

    # -- doing --------------------------------------------------------------------------------------------------

    @Slot(str)
    def _on_missing_step(self, key: str) -> None:
        match key:
            case "evaluate":
                self._evaluation.evaluate()
            case "folder":
                self.choose_folder()
            case "open":
                self.choose_model()
            case _:
                self._navigation.show_page(key)

    @Slot(int)
    def _on_source(self, row: int) -> None:
        source = self.source.itemData(row)
        if source == _OTHER_FOLDER:
            self._show_sources()  # the list goes back, should the dialog be closed
            self.choose_folder()
        else:
            # Qt turns a member of a StrEnum into a plain text.
            self._evaluation.choose(source if isinstance(source, Path) else Split(source))

    @Slot()
    def choose_folder(self) -> None:
        """Ask for a folder and evaluate the model on it."""
        dataset = self._project.dataset
        start = str(dataset.root.parent) if dataset else ""
        title = "Evaluate on a folder that holds one sub-folder per class"
        folder = QFileDialog.getExistingDirectory(self, title, start)
        if folder:
            self._evaluation.choose(Path(folder))
            self._evaluation.evaluate()

    @Slot()
    def choose_model(self) -> None:
        """Ask for a model file and open it."""
        name, _ = QFileDialog.getOpenFileName(self, "Open a model", "", "Keras models (*.keras *.h5);;All files (*)")
        if name:
            self._models.open(Path(name))

    @Slot()
    def choose_table(self) -> None:
        """Ask where to save the scores."""
        measured = self._evaluation.measured
        if measured is None:
            return
        text = scores_csv(measured.evaluation)
        title = "Save the scores"
        save_file(self, self._notices, title, "scores.csv", "CSV (*.csv)", lambda target: write_text(target, text))

    @Slot()
    def choose_report(self) -> None:
        """Ask where to save the report; the dialog asks before an existing file is replaced."""
        endings = (".html", ".htm")
        if target := ask_target(self, "Save the report", "report.html", "Web page (*.html)", endings):
            self._evaluation.write_report(target.path, replace_existing=target.may_replace)
