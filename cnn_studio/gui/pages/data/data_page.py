"""Data: the folder's classes, its images, how they are shared out, and what was left out."""

from __future__ import annotations

from html import escape
from pathlib import Path

from PySide6.QtCore import Qt, Slot
from PySide6.QtWidgets import (
    QApplication,
    QFileDialog,
    QHBoxLayout,
    QLabel,
    QMenu,
    QPushButton,
    QSizePolicy,
    QSplitter,
    QStackedLayout,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from cnn_studio.core.text import printable, printable_lines
from cnn_studio.gui.look import theme
from cnn_studio.gui.look.wording import format_things
from cnn_studio.gui.pages.data.browse_pane import BrowsePane
from cnn_studio.gui.pages.data.findings_panel import FindingsPanel
from cnn_studio.gui.pages.data.shown_pictures import Which
from cnn_studio.gui.pages.data.split_bar import SplitBar
from cnn_studio.gui.pages.navigation import Navigation, Page
from cnn_studio.gui.state.session import Session
from cnn_studio.gui.widgets.class_chart import ClassChart
from cnn_studio.gui.widgets.elided_label import ElidedLabel
from cnn_studio.gui.widgets.empty_state import EmptyState


class DataPage(QWidget):
    """Shows the data set, or how to get one."""

    def __init__(self, session: Session, navigation: Navigation) -> None:
        super().__init__()
        self._project = session.project
        self._data = session.data
        self._training = session.training
        self._label_errors = session.label_errors
        self._navigation = navigation
        self._empty = self._build_empty()
        self._filled = self._build_filled(session)
        self._either = QStackedLayout(self)
        self._either.addWidget(self._empty)
        self._either.addWidget(self._filled)
        for signal in (
            session.project.dataset_opened,
            session.project.dataset_altered,
            session.project.listed_changed,
        ):
            signal.connect(self._show_dataset)
        for signal in (
            session.project.experiment_changed,
            session.weights.changed,
            session.data.view_changed,
            session.queue.started,
            session.queue.ended,
        ):
            signal.connect(self._show_whether_to_train)
        session.data.view_changed.connect(self._show_counts)
        session.label_errors.changed.connect(self._show_review)
        session.project.recent_changed.connect(self._show_recent)
        self._show_recent()
        self._show_dataset()

    # -- building -----------------------------------------------------------------------------------------------

    def _build_empty(self) -> QWidget:
        self.welcome = EmptyState(
            "data",
            "Open a folder of images",
            "It holds one sub-folder per class: flowers/daisy, flowers/tulips… "
            "Drop it on this window, or choose it. Your files are never changed.",
            [("open", "Open folder…"), ("sample", "Try the sample")],
        )
        self.welcome.triggered.connect(self._on_welcome)
        self._recent_links = QLabel()
        self._recent_links.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self._recent_links.setTextFormat(Qt.TextFormat.RichText)
        self._recent_links.linkActivated.connect(self._open_recent)
        empty = QWidget()
        layout = QVBoxLayout(empty)
        layout.addWidget(self.welcome, 1)
        layout.addWidget(self._recent_links)
        layout.addSpacing(4 * theme.SPACE)
        return empty

    def _build_head(self) -> QHBoxLayout:
        self.title = ElidedLabel(mode=Qt.TextElideMode.ElideMiddle)
        theme.set_text_size(self.title, theme.TextSize.TITLE)
        self.summary = QLabel()
        self.open_button = QToolButton()
        self.open_button.setText("Open folder…")
        self.open_button.setPopupMode(QToolButton.ToolButtonPopupMode.MenuButtonPopup)
        self.open_button.clicked.connect(self.choose_folder)
        self._recent_menu = QMenu(self.open_button)
        self.open_button.setMenu(self._recent_menu)
        sample = QPushButton("Try the sample")
        sample.clicked.connect(self._project.open_sample)
        head = QHBoxLayout()
        head.setSpacing(theme.SPACE)
        names = QVBoxLayout()
        names.setSpacing(0)
        names.addWidget(self.title)
        names.addWidget(self.summary)
        head.addLayout(names, 1)
        head.addWidget(sample)
        head.addWidget(self.open_button)
        return head

    def _build_filled(self, session: Session) -> QWidget:
        self.chart = ClassChart()
        self.chart.class_selected.connect(self._on_class_selected)
        self.findings = FindingsPanel(session)
        self.browse = BrowsePane(session, self)
        self.browse.shown_changed.connect(self._on_shown_changed)
        self.grid, self.shown_class = self.browse.grid, self.browse.shown_class
        self.findings.finding_chosen.connect(lambda finding: self.browse.show_only(finding.kind))
        self.findings.review_chosen.connect(lambda: self.browse.show_only(Which.DOUBTED))
        self.chart.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Maximum)
        left = QWidget()
        column = QVBoxLayout(left)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(theme.SPACE_2)
        column.addWidget(self.chart)
        column.addWidget(self.findings, 1)
        splitter = QSplitter()
        splitter.addWidget(left)
        splitter.addWidget(self.browse)
        splitter.setSizes([320, 640])
        splitter.setStretchFactor(1, 1)
        splitter.setChildrenCollapsible(False)
        splitter.setHandleWidth(theme.SPACE_2)
        self.split = SplitBar(session)
        self.validation, self.test, self.split_text = self.split.validation, self.split.test, self.split.text

        filled = QWidget()
        layout = QVBoxLayout(filled)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(theme.SPACE)
        layout.addLayout(self._build_head())
        layout.addWidget(splitter, 1)
        layout.addWidget(self.split)
        layout.addLayout(self._build_foot())
        return filled

    def _build_foot(self) -> QHBoxLayout:
        self.model_button = QPushButton("Choose the model")
        self.model_button.clicked.connect(lambda: self._navigation.show_page(Page.MODEL))
        self.train_button = QPushButton("Train")
        theme.accent_button(self.train_button)
        self.train_button.clicked.connect(self._train)
        foot = QHBoxLayout()
        foot.setSpacing(theme.SPACE)
        foot.addStretch(1)
        foot.addWidget(self.model_button)
        foot.addWidget(self.train_button)
        return foot

    # -- showing ------------------------------------------------------------------------------------------------

    @Slot()
    def _show_recent(self) -> None:
        recent = self._project.recent_folders()
        self._recent_menu.clear()
        for folder in recent:
            action = self._recent_menu.addAction(printable(str(folder)).replace("&", "&&"))
            action.triggered.connect(lambda _=False, path=folder: self._project.open_folder(path))
        if not recent:
            self._recent_menu.addAction("No folders opened yet").setEnabled(False)
        accent = theme.colours().accent
        # By number: what a path may hold (#, %, ") means something in a link.
        links = " · ".join(
            f'<a style="color: {accent}" href="{place}">{escape(printable(folder.name))}</a>'
            for place, folder in enumerate(recent[:5])
        )
        self._recent_links.setText(f"Opened before: {links}" if recent else "")

    @Slot()
    def _show_dataset(self) -> None:
        listed = self._project.listed
        dataset = listed or self._project.dataset
        focused = QApplication.focusWidget()
        had_focus = focused is None or self._empty.isAncestorOf(focused)
        self._either.setCurrentWidget(self._filled if dataset else self._empty)
        if dataset is None:
            return
        if had_focus:
            self.grid.setFocus()
        self.title.setText(printable(dataset.name))
        self.title.setToolTip(printable(str(dataset.root)))
        self._show_counts()
        self._show_whether_to_train()

    @Slot()
    def _show_counts(self) -> None:
        listed = self._project.listed
        dataset = listed or self._data.used
        if dataset is None:
            return
        counts = list(dataset.counts().items())
        text = f"{format_things(len(dataset.files), 'image')} · {format_things(len(counts), 'class', 'classes')}"
        self.summary.setText(f"{text} · still being checked" if listed else text)
        if counts != self.chart.counts():
            self.chart.set_counts(counts)

    @Slot()
    def _show_review(self) -> None:
        review = self._label_errors.review
        if review is not None and review.doubts:
            self.browse.show_only(Which.DOUBTED)

    @Slot(int)
    def _on_class_selected(self, label: int) -> None:
        self.browse.show_class(label)

    @Slot()
    def _on_shown_changed(self) -> None:
        self.chart.select_class(self.browse.shown_class.value())
        self.findings.mark(self.browse.which.value())

    @Slot()
    def _show_whether_to_train(self) -> None:
        reason = self._training.why_not_train()
        if self._project.listed is not None:
            why_not = "The pictures are still being checked."
        elif self._training.is_running():
            why_not = "Training is under way."
        else:
            why_not = str(reason) if reason else ""
        self.train_button.setEnabled(not why_not)
        self.train_button.setToolTip(printable_lines(why_not))

    # -- doing --------------------------------------------------------------------------------------------------

    @Slot(str)
    def _open_recent(self, place: str) -> None:
        self._project.open_folder(self._project.recent_folders()[int(place)])

    @Slot(str)
    def _on_welcome(self, key: str) -> None:
        if key == "open":
            self.choose_folder()
        else:
            self._project.open_sample()

    @Slot()
    def choose_folder(self) -> None:
        """Ask for a folder and open it."""
        dataset = self._project.dataset
        start = str(dataset.root.parent) if dataset else ""
        folder = QFileDialog.getExistingDirectory(self, "Open a folder that holds one sub-folder per class", start)
        if folder:
            self._project.open_folder(Path(folder))

    @Slot()
    def _train(self) -> None:
        self._navigation.show_page(Page.TRAIN)
        self._training.train()
