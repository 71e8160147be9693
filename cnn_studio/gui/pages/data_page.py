"""Data: the folder's classes, its images, how they are shared out, and what was left out."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import overload

from PySide6.QtCore import Qt, Slot
from PySide6.QtWidgets import (
    QComboBox,
    QFileDialog,
    QHBoxLayout,
    QLabel,
    QMenu,
    QPushButton,
    QSplitter,
    QStackedLayout,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from cnn_studio.core import dataset as datasets
from cnn_studio.core.dataset import Dataset, ImageFile, Split
from cnn_studio.core.issues import ISSUE_TEXT
from cnn_studio.gui import theme
from cnn_studio.gui.job_thread import JobKind
from cnn_studio.gui.pages.left_out_dialog import LeftOutDialog
from cnn_studio.gui.pages.navigation import Navigation
from cnn_studio.gui.session import Session
from cnn_studio.gui.widgets.class_chart import ClassChart
from cnn_studio.gui.widgets.empty_state import EmptyState
from cnn_studio.gui.widgets.fields import IntegerBox, PercentBox
from cnn_studio.gui.widgets.thumbnail_grid import ThumbnailGrid
from cnn_studio.gui.widgets.wording import format_things

ALL_CLASSES = -1


class DataPage(QWidget):
    """Shows the session's data set, or how to get one."""

    def __init__(self, session: Session, navigation: Navigation) -> None:
        super().__init__()
        self._session = session
        self._navigation = navigation
        self._shown: Sequence[tuple[Path, str]] = ()
        self._empty = self._build_empty()
        self._filled = self._build_filled()
        self._either = QStackedLayout(self)
        self._either.addWidget(self._empty)
        self._either.addWidget(self._filled)
        session.dataset_changed.connect(self._show_dataset)
        session.experiment_changed.connect(self._show_split)
        session.weights_changed.connect(self._show_split)
        session.recent_changed.connect(self._show_recent)
        session.job_started.connect(self._on_jobs_changed)
        session.job_ended.connect(self._on_jobs_changed)
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

    def _build_filled(self) -> QWidget:
        self.title = QLabel()
        theme.set_text_size(self.title, theme.TextSize.TITLE)
        self.title.setTextFormat(Qt.TextFormat.PlainText)  # a folder may be called <b>
        self.title.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.summary = QLabel()
        self.open_button = QToolButton()
        self.open_button.setText("Open folder…")
        self.open_button.setPopupMode(QToolButton.ToolButtonPopupMode.MenuButtonPopup)
        self.open_button.clicked.connect(self.choose_folder)
        self._recent_menu = QMenu(self.open_button)
        self.open_button.setMenu(self._recent_menu)
        sample = QPushButton("Try the sample")
        sample.clicked.connect(self._session.open_sample)
        head = QHBoxLayout()
        head.setSpacing(theme.SPACE)
        names = QVBoxLayout()
        names.setSpacing(0)
        names.addWidget(self.title)
        names.addWidget(self.summary)
        head.addLayout(names, 1)
        head.addWidget(sample)
        head.addWidget(self.open_button)

        self.chart = ClassChart()
        self.chart.class_selected.connect(self._on_class_selected)
        self.shown_class = QComboBox()
        self.shown_class.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToContents)
        self.shown_class.setAccessibleName("Class whose images are shown")
        self.shown_class.currentIndexChanged.connect(self._show_images)
        self.grid = ThumbnailGrid()
        self.grid.image_activated.connect(self._show_picture)
        images = QWidget()
        images_layout = QVBoxLayout(images)
        images_layout.setContentsMargins(0, 0, 0, 0)
        images_layout.addWidget(self.shown_class, 0, Qt.AlignmentFlag.AlignLeft)
        images_layout.addWidget(self.grid, 1)
        splitter = QSplitter()
        splitter.addWidget(self.chart)
        splitter.addWidget(images)
        splitter.setSizes([320, 640])
        splitter.setStretchFactor(1, 1)
        splitter.setChildrenCollapsible(False)

        filled = QWidget()
        layout = QVBoxLayout(filled)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(theme.SPACE)
        layout.addLayout(head)
        layout.addWidget(splitter, 1)
        layout.addLayout(self._build_split())
        layout.addLayout(self._build_foot())
        return filled

    def _build_split(self) -> QHBoxLayout:
        self.validation = _percent_box("Share of the images used to check the network while it trains.")
        self.test = _percent_box("Share of the images kept for one final test, never used in training.")
        self.split_seed = IntegerBox(0, 2**31 - 1)
        self.split_seed.setToolTip("The same number always gives the same split; another number shuffles anew.")
        self.validation.valueChanged.connect(self._on_split_edited)
        self.test.valueChanged.connect(self._on_split_edited)
        self.split_seed.valueChanged.connect(self._on_split_edited)
        self.split_text = QLabel()
        self.split_text.setWordWrap(True)
        row = QHBoxLayout()
        row.setSpacing(2 * theme.SPACE)
        for caption, box in (("&Validation", self.validation), ("T&est", self.test), ("See&d", self.split_seed)):
            label = QLabel(caption)
            label.setBuddy(box)
            pair = QHBoxLayout()
            pair.setSpacing(theme.SPACE)
            pair.addWidget(label)
            pair.addWidget(box)
            row.addLayout(pair)
        row.addWidget(self.split_text, 1)
        return row

    def _build_foot(self) -> QHBoxLayout:
        self.left_out = QLabel()
        self.left_out.setWordWrap(True)
        self.show_left_out = QPushButton("Show…")
        self.show_left_out.clicked.connect(self._open_left_out)
        self.model_button = QPushButton("Choose the model")
        self.model_button.clicked.connect(lambda: self._navigation.show_page("model"))
        self.train_button = QPushButton("Train")
        theme.accent_button(self.train_button)
        self.train_button.clicked.connect(self._train)
        foot = QHBoxLayout()
        foot.setSpacing(theme.SPACE)
        foot.addWidget(self.left_out, 1)
        foot.addWidget(self.show_left_out)
        foot.addSpacing(2 * theme.SPACE)
        foot.addWidget(self.model_button)
        foot.addWidget(self.train_button)
        return foot

    # -- showing ------------------------------------------------------------------------------------------------

    @Slot()
    def _show_recent(self) -> None:
        recent = self._session.recent_folders()
        self._recent_menu.clear()
        for folder in recent:
            action = self._recent_menu.addAction(str(folder))
            action.triggered.connect(lambda _=False, path=folder: self._session.open_folder(path))
        if not recent:
            self._recent_menu.addAction("No folders opened yet").setEnabled(False)
        accent = theme.colours().accent
        # By number: what a path may hold (#, %, ") means something in a link.
        links = " · ".join(
            f'<a style="color: {accent}" href="{place}">{escape(folder.name)}</a>'
            for place, folder in enumerate(recent[:5])
        )
        self._recent_links.setText(f"Opened before: {links}" if recent else "")

    @Slot()
    def _show_dataset(self) -> None:
        dataset = self._session.dataset
        self._either.setCurrentWidget(self._filled if dataset else self._empty)
        if dataset is None:
            return
        counts = list(dataset.counts().items())
        self.title.setText(dataset.name)
        self.title.setToolTip(str(dataset.root))
        self.summary.setText(f"{len(dataset.files):,} images · {len(counts)} classes")
        self.chart.set_counts(counts)
        self.shown_class.blockSignals(True)
        self.shown_class.clear()
        self.shown_class.addItem(f"All classes ({len(dataset.files):,})", ALL_CLASSES)
        for label, (name, count) in enumerate(counts):
            self.shown_class.addItem(f"{name} ({count:,})", label)
        self.shown_class.blockSignals(False)
        self._show_images()
        self._show_left_out(dataset)
        self._show_split()

    def _show_left_out(self, dataset: Dataset) -> None:
        kinds = Counter(issue.kind for issue in dataset.issues)
        if kinds:
            listed = ", ".join(f"{ISSUE_TEXT[kind]} ({count:,})" for kind, count in kinds.most_common())
            self.left_out.setText(f"{format_things(kinds.total(), 'item')} left out: {listed}")
        else:
            self.left_out.setText("Every file is used.")
        self.show_left_out.setVisible(bool(kinds))

    @Slot(int)
    def _on_class_selected(self, label: int) -> None:
        self.shown_class.setCurrentIndex(self.shown_class.findData(label))

    @Slot()
    def _show_images(self) -> None:
        dataset = self._session.dataset
        if dataset is None:
            return
        label = self.shown_class.currentData()
        self._shown = ClassPictures(dataset, None if label in {ALL_CLASSES, None} else label)
        self.grid.set_images(self._shown)

    @Slot(object)
    def _show_picture(self, path: Path) -> None:
        from cnn_studio.gui.picture_dialog import PictureDialog

        PictureDialog(self._shown, path, self).open()

    @Slot()
    def _show_split(self) -> None:
        dataset, split = self._session.dataset, self._session.experiment.split
        if dataset is None:
            return
        for box, value in (
            (self.validation, round(100 * split.validation)),
            (self.test, round(100 * split.test)),
            (self.split_seed, split.seed),
        ):
            box.blockSignals(True)
            box.setValue(value)
            box.blockSignals(False)
        given = dataset.given_splits
        validation_open = Split.VALIDATION not in given
        test_open = not given - {Split.TRAIN}
        self.validation.setEnabled(validation_open)
        self.test.setEnabled(test_open)
        self.split_seed.setEnabled(validation_open or test_open)
        totals = {part: sum(counts) for part, counts in datasets.count_splits(dataset, split).items()}
        text = " · ".join(f"{part} <b>{totals[part]:,}</b>" for part in Split)
        if given:
            folders = " and ".join(part.value for part in Split if part in given)
            text += f" — the folder comes divided: its {folders} images are used as they are"
        if reason := self._session.why_not_train():
            text += f'<br><span style="color: {theme.colours().error}">{escape(str(reason))}</span>'
        self.split_text.setText(text)
        self._on_jobs_changed()

    @Slot()
    def _on_jobs_changed(self) -> None:
        reason = self._session.why_not_train()
        training = self._session.is_busy_with(JobKind.TRAIN)
        self.train_button.setEnabled(reason is None and not training)
        self.train_button.setToolTip("Training is under way." if training else str(reason) if reason else "")

    # -- doing --------------------------------------------------------------------------------------------------

    @Slot(str)
    def _open_recent(self, place: str) -> None:
        self._session.open_folder(self._session.recent_folders()[int(place)])

    @Slot(str)
    def _on_welcome(self, key: str) -> None:
        if key == "open":
            self.choose_folder()
        else:
            self._session.open_sample()

    @Slot()
    def choose_folder(self) -> None:
        """Ask for a folder and open it."""
        dataset = self._session.dataset
        start = str(dataset.root.parent) if dataset else ""
        folder = QFileDialog.getExistingDirectory(self, "Open a folder that holds one sub-folder per class", start)
        if folder:
            self._session.open_folder(Path(folder))

    @Slot()
    def _on_split_edited(self) -> None:
        error = self._session.change(
            {
                "split.validation": self.validation.fraction(),
                "split.test": self.test.fraction(),
                "split.seed": self.split_seed.value(),
            }
        )
        if error:
            self.split_text.setText(f'<span style="color: {theme.colours().error}">{escape(str(error))}</span>')

    @Slot()
    def _open_left_out(self) -> None:
        if dataset := self._session.dataset:
            dialog = LeftOutDialog(dataset, self)
            dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
            dialog.open()

    @Slot()
    def _train(self) -> None:
        self._navigation.show_page("train")
        self._session.train()


class ClassPictures(Sequence[tuple[Path, str]]):
    """The images of one class, or of all, as (file, caption), made when asked for: there may be 100,000."""

    def __init__(self, dataset: Dataset, label: int | None) -> None:
        self._dataset = dataset
        files = dataset.files
        # Files are in label order, so a class is a slice.
        first = bisect_left(files, label, key=_label_of) if label is not None else 0
        end = bisect_right(files, label, key=_label_of) if label is not None else len(files)
        self._rows = range(first, end)

    def __len__(self) -> int:
        return len(self._rows)

    @overload
    def __getitem__(self, place: int) -> tuple[Path, str]: ...
    @overload
    def __getitem__(self, place: slice) -> list[tuple[Path, str]]: ...
    def __getitem__(self, place: int | slice) -> tuple[Path, str] | list[tuple[Path, str]]:
        if isinstance(place, slice):
            return [self[number] for number in range(*place.indices(len(self)))]
        file = self._dataset.files[self._rows[place]]
        return self._dataset.path_of(file), self._dataset.class_names[file.label]


def _label_of(file: ImageFile) -> int:
    return file.label


def _percent_box(tip: str) -> PercentBox:
    box = PercentBox(most=0.8)
    box.setToolTip(tip)
    return box
