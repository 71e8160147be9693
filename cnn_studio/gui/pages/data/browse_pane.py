"""The pictures of the data set: by class, by split, by finding; chosen ones can be decided about."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from PySide6.QtCore import QPoint, QSignalBlocker, Qt, Signal, Slot
from PySide6.QtWidgets import QHBoxLayout, QLabel, QPushButton, QVBoxLayout, QWidget

from cnn_studio.core.atomic_file import write_text
from cnn_studio.core.data.dataset import Dataset
from cnn_studio.core.data.findings import FINDING_TEXT, Finding, FindingKind
from cnn_studio.core.data.image_file import SPLIT_TEXT, ImageFile, Split
from cnn_studio.core.evaluation.label_review import label_review_csv
from cnn_studio.core.text import printable
from cnn_studio.gui.dialogs.save_file import save_file
from cnn_studio.gui.look import theme
from cnn_studio.gui.look.wording import format_things
from cnn_studio.gui.pages.data.decision_bar import DecisionBar
from cnn_studio.gui.pages.data.decisions_dialog import DecisionsDialog
from cnn_studio.gui.pages.data.shown_pictures import (
    ShownPictures,
    Which,
    of_class,
    of_decisions,
    of_doubts,
    of_finding,
    of_split,
)
from cnn_studio.gui.state.data_view import DataView
from cnn_studio.gui.state.session import Session
from cnn_studio.gui.widgets.fields import ChoiceBox
from cnn_studio.gui.widgets.paragraph import breakable, paragraph
from cnn_studio.gui.widgets.thumbnail_grid import ThumbnailGrid

ALL_CLASSES = -1
ONE_OF_EACH = frozenset({FindingKind.EXACT_DUPLICATE, FindingKind.NEAR_DUPLICATE, FindingKind.DUPLICATE_ACROSS_SPLITS})


@dataclass(frozen=True, slots=True)
class _Made:
    """What the shown pictures were made from."""

    dataset: Dataset
    view: DataView | None
    which: Which | Split | FindingKind
    finding: Finding | None = None


class BrowsePane(QWidget):
    """Two choices of what is shown, the grid, and the buttons that decide; ``page`` is where Undo works."""

    shown_changed = Signal()
    """Another class, split or finding is shown."""

    def __init__(self, session: Session, page: QWidget) -> None:
        super().__init__()
        self._session = session
        self._project = session.project
        self._data = session.data
        self._decisions = session.decisions
        self._label_errors = session.label_errors
        self.shown: ShownPictures | None = None
        self._made: _Made | None = None
        self.shown_class = ChoiceBox(shrinks=True)
        self.shown_class.setAccessibleName("Class whose images are shown")
        self.shown_class.currentIndexChanged.connect(self._show_chosen)
        self.which = ChoiceBox([("All images", Which.ALL)], shrinks=True)
        self.which.setAccessibleName("Which of them are shown")
        self.which.currentIndexChanged.connect(self._show_chosen)
        self.advice = QLabel()
        theme.set_muted(self.advice)
        self.keep_button = QPushButton("Keep one of each, leave out the others")
        self.keep_button.clicked.connect(self._keep_one_of_each)
        self.save_list_button = QPushButton("Save list…")
        self.save_list_button.setToolTip("A CSV table of the pictures, both classes and what the network gives each.")
        self.save_list_button.clicked.connect(self._save_list)
        self.grid = ThumbnailGrid()
        self.grid.row_activated.connect(self._open_picture)
        self.grid.selectionModel().selectionChanged.connect(self._on_selection)
        self.grid.setContextMenuPolicy(Qt.ContextMenuPolicy.CustomContextMenu)
        self.grid.customContextMenuRequested.connect(self._open_menu)
        self.chosen = QLabel()
        theme.set_muted(self.chosen)
        self.bar = DecisionBar(session.project, session.decisions, self.grid, page)
        self.decisions_button = QPushButton()
        self.decisions_button.setToolTip("What you have decided about single pictures; each can be taken back.")
        self.decisions_button.clicked.connect(self._open_decisions)
        self._lay_out()
        session.decisions.decided.connect(self._on_decided)
        for signal in (
            session.data.view_changed,
            session.label_errors.changed,
            session.project.listed_changed,
            session.project.dataset_opened,
            session.project.dataset_altered,
        ):
            signal.connect(self.refresh)
        self.refresh()

    def _lay_out(self) -> None:
        filters = QHBoxLayout()
        filters.setSpacing(theme.SPACE)
        filters.addWidget(self.shown_class)
        filters.addWidget(self.which)
        filters.addStretch(1)
        about = QHBoxLayout()
        about.setSpacing(theme.SPACE_2)
        about.addLayout(paragraph(self.advice), 1)
        about.addWidget(self.keep_button, 0, Qt.AlignmentFlag.AlignTop)
        about.addWidget(self.save_list_button, 0, Qt.AlignmentFlag.AlignTop)
        foot = QHBoxLayout()
        foot.setSpacing(theme.SPACE)
        foot.addWidget(self.chosen, 1)
        foot.addWidget(self.decisions_button)  # comes with the first decision, and moves nothing under the pointer
        foot.addWidget(self.bar)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(theme.SPACE)
        layout.addLayout(filters)
        layout.addLayout(about)
        layout.addWidget(self.grid, 1)
        layout.addLayout(foot)

    # -- what is shown ------------------------------------------------------------------------------------------

    def show_class(self, label: int) -> None:
        """Show the images of one class, or of all with -1."""
        self.shown_class.set_value(label)

    def show_only(self, which: Which | Split | FindingKind) -> None:
        """Show the images of every class that are in a split, that a finding concerns, or that were decided about."""
        with QSignalBlocker(self.shown_class):
            self.shown_class.set_value(ALL_CLASSES)
        with QSignalBlocker(self.which):
            self.which.set_value(which)
        self._show_chosen()

    @Slot()
    def refresh(self) -> None:
        """Offer what there is now; what is shown stays unless it was made from something else."""
        dataset = self._project.listed or self._project.dataset
        if dataset is None:
            return
        self._offer(dataset)
        view = self._data.view
        made = self._made
        if (
            made is None
            or made.dataset is not dataset
            or (made.view is None and made.which is not Which.ALL)
            or (isinstance(made.which, Split) and view and made.view and made.view.split != view.split)
            or (made.which is FindingKind.SMALL_IMAGES and view and made.view and made.view.image != view.image)
        ):
            self._show_chosen()
        self.bar.why_not = "The pictures are still being checked." if self._project.listed else ""
        self._show_advice()
        self._on_decided()

    def _offer(self, dataset: Dataset) -> None:
        counted = dataset if self._project.listed else (self._data.used or dataset)
        counts = counted.counts()
        classes = [(f"All classes ({len(counted.files):,})", ALL_CLASSES)]
        classes += [(f"{name} ({count:,})", label) for label, (name, count) in enumerate(counts.items())]
        which: list[tuple[str, object]] = [("All images", Which.ALL)]
        if (view := self._data.view) is not None and not self._project.listed:
            which += [(f"{SPLIT_TEXT[split].capitalize()} ({count:,})", split) for split, count in view.totals.items()]
            found = {finding.kind: sum(map(len, finding.groups)) for finding in view.findings if finding.groups}
            if self._made is not None and isinstance(self._made.which, FindingKind):
                found.setdefault(self._made.which, 0)  # settled by now, and still shown
            for kind, count in found.items():
                which.append((f"{_capital(FINDING_TEXT[kind])} ({f'{count:,}' if count else 'settled'})", kind))
        if self._label_errors.review is not None and not self._project.listed:
            which.append((f"Likely label errors ({len(self._label_errors.review.doubts):,})", Which.DOUBTED))
        if self._decisions.count and not self._project.listed:
            which.append((f"Decided by you ({self._decisions.count:,})", Which.DECIDED))
        with QSignalBlocker(self.shown_class), QSignalBlocker(self.which):
            for box, choices in ((self.shown_class, classes), (self.which, which)):
                box.set_choices(choices)
                if box.value() is None:
                    box.setCurrentIndex(0)

    @Slot()
    def _show_chosen(self) -> None:
        dataset = self._project.listed or self._project.dataset
        if dataset is None:
            return
        label = self.shown_class.value()
        which, view, review = self.which.value() or Which.ALL, self._data.view, self._label_errors.review
        chosen = None if label in {ALL_CLASSES, None} else label
        before, finding = self._made, None
        shown = of_class(self._data, dataset, chosen)
        if self._project.listed is None and view is not None:
            match which:
                case Split():
                    shown = of_split(self._data, view.used, view.splits.splits, which, chosen)
                case FindingKind():
                    finding = next((found for found in view.findings if found.kind is which), None)
                    if finding is None and before is not None and before.which is which:
                        return  # settled: what it was about stays until something else is chosen
                    if finding is not None:
                        shown = of_finding(self._data, view.used, finding, chosen)
                case Which.DECIDED:
                    shown = of_decisions(self._data, dataset)
                case Which.DOUBTED if review is not None:
                    shown = of_doubts(self._data, dataset, review.doubts, chosen)
        same_folder = before is not None and before.dataset.root == dataset.root and before.which is which
        place = self.grid.verticalScrollBar().value() if same_folder and before and before.dataset is not dataset else 0
        self.shown, self._made = shown, _Made(dataset, view, which, finding)
        self.grid.set_images(shown, shown.mark, caption_lines=2 if shown.has_notes else 1)
        self.grid.verticalScrollBar().setValue(place)
        self._show_advice()
        self.save_list_button.setVisible(which is Which.DOUBTED)
        self.keep_button.setVisible(finding is not None and finding.kind in ONE_OF_EACH)
        self._on_selection()
        self._on_decided()
        self.shown_changed.emit()

    def _show_advice(self) -> None:
        """What is to be said of the shown pictures now: decisions may have changed how many there are of a kind."""
        made, view, review = self._made, self._data.view, self._label_errors.review
        text = ""
        if made is not None and made.finding is not None and view is not None:
            now = next((finding for finding in view.findings if finding.kind is made.which), None)
            text = f"{now.title} {now.advice}" if now else "Settled: nothing of this kind is left."
        elif made is not None and made.which is Which.DOUBTED and review is not None:
            text = review.method
        self.advice.setText(breakable(printable(text)))
        self.advice.setVisible(bool(text))

    # -- choosing and deciding ----------------------------------------------------------------------------------

    @Slot()
    def _on_selection(self) -> None:
        rows = self.grid.selected_rows()
        shown = self.shown
        first: ImageFile | None = shown.file(rows[0]) if shown and rows else None
        self.bar.set_chosen(len(rows), first, self._files_in(rows), self._suggested(first))
        self.chosen.setText(f"{format_things(len(rows), 'picture')} chosen" if rows else "")

    def _files_in(self, rows: list[int]) -> Callable[[], list[ImageFile]]:
        shown = self.shown
        return lambda: [shown.file(row) for row in rows] if shown else []

    def _suggested(self, file: ImageFile | None) -> str:
        """The class that a network would put the image into, while likely label errors are shown."""
        if file is None or self.which.value() is not Which.DOUBTED:
            return ""
        return self._label_errors.suggested_for(file.path)

    @Slot()
    def _on_decided(self) -> None:
        count = self._decisions.count
        self.decisions_button.setText(f"Decisions ({count:,})…")
        self.decisions_button.setVisible(count > 0)
        made = self._made
        copies = False
        if made is not None and made.view is not None and made.finding is not None:
            copies = self._decisions.has_copies(made.view.used, made.finding)
        self.keep_button.setEnabled(copies)
        self.keep_button.setToolTip(
            "The largest of each stays. Nothing is deleted, and Undo takes it back."
            if copies
            else "Of each picture only one is used now."
        )
        self.grid.repaint_marks()

    @Slot()
    def _keep_one_of_each(self) -> None:
        made = self._made
        if made is not None and made.view is not None and made.finding is not None:
            self._decisions.keep_one_of_each(made.view.used, made.finding)

    @Slot()
    def _save_list(self) -> None:
        review = self._label_errors.review
        if review is None:
            return
        text = label_review_csv(review)
        title, name = "Save the list", "likely label errors.csv"
        notices = self._session.notices
        save_file(self, notices, title, name, "CSV (*.csv)", lambda target: write_text(target, text))

    @Slot(QPoint)
    def _open_menu(self, place: QPoint) -> None:
        if self.grid.selected_rows():
            self.bar.context_menu(self.grid).popup(self.grid.viewport().mapToGlobal(place))

    @Slot(int)
    def _open_picture(self, row: int) -> None:
        from cnn_studio.gui.pages.data.picture_dialog import DataPictureDialog

        if self.shown is not None:
            DataPictureDialog(self._session, self.shown, row, self).open()

    @Slot()
    def _open_decisions(self) -> None:
        DecisionsDialog(self._decisions, self).open()


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
