"""What was found in the folder, in plain words; each finding's images are one click away."""

from __future__ import annotations

from collections import Counter

from PySide6.QtCore import Qt, Signal, Slot
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import (
    QAbstractItemView,
    QHBoxLayout,
    QLabel,
    QListWidget,
    QListWidgetItem,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from cnn_studio.core.data.dataset import Dataset
from cnn_studio.core.data.findings import Finding
from cnn_studio.core.data.walk import passed_over_text
from cnn_studio.core.evaluation.label_review import LabelReview
from cnn_studio.core.image.issues import ISSUE_TEXT, IssueKind
from cnn_studio.core.text import printable, printable_lines
from cnn_studio.gui.look import theme
from cnn_studio.gui.look.wording import format_things
from cnn_studio.gui.pages.data.label_errors_dialog import LabelErrorsDialog
from cnn_studio.gui.pages.data.left_out_dialog import LeftOutDialog
from cnn_studio.gui.pages.data.shown_pictures import Which
from cnn_studio.gui.state.session import Session


class _WrappingList(QListWidget):
    """Breaks its lines anew when it gets narrower, where Qt's list would shorten them."""

    def __init__(self) -> None:
        super().__init__()
        self.setWordWrap(True)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setVerticalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Lay the lines out for the new width."""
        super().resizeEvent(event)
        self.scheduleDelayedItemsLayout()


class FindingsPanel(QWidget):
    """A list of findings, the files left out, and the search for label errors."""

    finding_chosen = Signal(object)
    """The finding whose images are wanted."""

    review_chosen = Signal()
    """The likely label errors are wanted."""

    def __init__(self, session: Session) -> None:
        super().__init__()
        self._project = session.project
        self._data = session.data
        self._label_errors = session.label_errors
        self._training = session.training
        self._notices = session.notices
        self._shown: tuple[Finding, ...] = ()
        self._shown_review: LabelReview | None = None
        self._marked: object = None
        self.summary = QLabel()
        self.summary.setWordWrap(True)
        theme.set_text_size(self.summary, theme.TextSize.BODY, bold=True)
        self.list = _WrappingList()
        self.list.setAccessibleName("Findings")
        self.list.setMinimumHeight(5 * theme.SPACE)
        policy = self.list.sizePolicy()
        policy.setRetainSizeWhenHidden(True)  # what is around it does not move when something is found
        self.list.setSizePolicy(policy)
        self.list.itemClicked.connect(self._on_chosen)
        self.list.itemActivated.connect(self._on_chosen)
        self.left_out = QLabel()
        self.left_out.setWordWrap(True)
        self.show_left_out = QPushButton("Show…")
        self.show_left_out.setToolTip("Every file that cannot be used, with the reason")
        self.show_left_out.clicked.connect(self._open_left_out)
        files = QHBoxLayout()
        files.setSpacing(theme.SPACE)
        files.addWidget(self.left_out, 1)
        files.addWidget(self.show_left_out, 0, Qt.AlignmentFlag.AlignTop)
        self.label_errors_button = QPushButton("Find likely label errors…")
        self.label_errors_button.clicked.connect(self._open_label_errors)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(theme.SPACE)
        layout.addWidget(self.summary)
        layout.addWidget(self.list, 1)
        layout.addLayout(files)
        layout.addWidget(self.label_errors_button)
        theme.theme().theme_changed.connect(self._fill)
        for signal in (
            session.data.view_changed,
            session.label_errors.changed,
            session.project.listed_changed,
            session.project.dataset_opened,
            session.project.dataset_altered,
            session.queue.started,
            session.queue.ended,
        ):
            signal.connect(self.refresh)
        self.refresh()

    @Slot()
    def refresh(self) -> None:
        """Show the findings as they are now."""
        view, dataset = self._data.view, self._project.dataset
        checking = self._project.listed is not None
        known = view is not None and view.scanned is dataset and not checking
        findings = view.findings if view is not None and known else ()
        if checking:
            summary = "The pictures are still being checked."
        elif not known:
            summary = "Looking through what was found…"
        elif findings:
            summary = format_things(len(findings), "thing") + " worth knowing before training"
        else:
            summary = "Nothing odd was found."
        self.summary.setText(summary)
        review = None if checking else self._label_errors.review
        if findings != self._shown or review is not self._shown_review:
            self._shown, self._shown_review = findings, review
            self._fill()
        self.list.setVisible(self.list.count() > 0)
        self._show_left_out(None if checking else dataset)
        reason = self._label_errors.why_not_look()
        self.label_errors_button.setEnabled(not reason)
        self.label_errors_button.setToolTip(
            reason or "Lets a network judge images it has not learnt from, and lists those it would call otherwise."
        )

    @Slot()
    def _fill(self) -> None:
        self.list.clear()
        colour = theme.colours()
        if self._shown_review is not None:
            doubts = format_things(len(self._shown_review.doubts), "picture")
            expected = self._shown_review.expected
            about = f"about {expected:,} {'is' if expected == 1 else 'are'}" if expected else "none need be"
            text = f"{doubts} may be in the wrong class; {about}."
            item = QListWidgetItem(theme.icon("warning", colour.warning), text)
            item.setToolTip(self._shown_review.method)
            self.list.addItem(item)
        for finding in self._shown:
            name, tint = ("warning", colour.warning) if finding.serious else ("info", colour.accent)
            item = QListWidgetItem(theme.icon(name, tint), printable(finding.title))
            item.setToolTip(printable_lines(finding.advice))
            self.list.addItem(item)
        self.mark(self._marked)

    def _show_left_out(self, dataset: Dataset | None) -> None:
        issues = dataset.issues if dataset else ()
        kinds = Counter(issue.kind for issue in issues if issue.kind is not IssueKind.LEFT_OUT_BY_YOU)
        if kinds:
            listed = ", ".join(f"{ISSUE_TEXT[kind]} ({count:,})" for kind, count in kinds.most_common())
            self.left_out.setText(f"{format_things(kinds.total(), 'item')} cannot be used: {listed}")
        else:
            self.left_out.setText("Every file can be read." if dataset else "")
        passed_over = passed_over_text(dict(dataset.passed_over)) if dataset else ""
        self.left_out.setToolTip(printable_lines(passed_over))
        if passed_over and dataset:
            hidden = sum(count for _, count in dataset.passed_over)
            text = f"{format_things(hidden, 'hidden or system item')} passed over."
            self.left_out.setText(f"{self.left_out.text()} {text}".strip())
        self.show_left_out.setVisible(bool(kinds))

    @Slot(QListWidgetItem)
    def _on_chosen(self, item: QListWidgetItem) -> None:
        place = self.list.row(item) - (self._shown_review is not None)
        if place < 0:
            self.review_chosen.emit()
        elif self._shown[place].groups:
            self.finding_chosen.emit(self._shown[place])
        else:
            self._open_left_out()  # it is about what is not used

    def mark(self, which: object) -> None:
        """Mark the finding of that kind as the one shown; none where there is none."""
        self._marked = which
        kinds: list[object] = [finding.kind for finding in self._shown]
        if self._shown_review is not None:
            kinds.insert(0, Which.DOUBTED)
        self.list.setCurrentRow(kinds.index(which) if which in kinds else -1)

    @Slot()
    def _open_left_out(self) -> None:
        if dataset := self._project.dataset:
            LeftOutDialog(dataset, self._notices, self).open()

    @Slot()
    def _open_label_errors(self) -> None:
        LabelErrorsDialog(self._label_errors, self._training, self).open()
