"""The window: pages on the left, the page in the middle, progress at the bottom, images dropped anywhere."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

from PySide6.QtCore import QByteArray, QSettings, QSize, Qt, QTimer, Signal, Slot
from PySide6.QtGui import (
    QCloseEvent,
    QDragEnterEvent,
    QDragLeaveEvent,
    QDropEvent,
    QKeySequence,
    QPaintEvent,
    QShortcut,
)
from PySide6.QtWidgets import (
    QApplication,
    QHBoxLayout,
    QLabel,
    QListWidget,
    QListWidgetItem,
    QMainWindow,
    QMessageBox,
    QStackedWidget,
    QVBoxLayout,
    QWidget,
)

from cnn_studio.core.percent import format_percent_within
from cnn_studio.core.runs.trained import TrainedModel
from cnn_studio.core.text import printable
from cnn_studio.gui import dropped
from cnn_studio.gui.jobs.job_thread import JobKind, PlaceQuestion
from cnn_studio.gui.look import theme
from cnn_studio.gui.pages.data.data_page import DataPage
from cnn_studio.gui.pages.navigation import PAGE_TITLES, Page
from cnn_studio.gui.state.kept_window import KeptWindow, keep_window, kept_window
from cnn_studio.gui.state.notices import TRAINED, Notice, NoticeKind
from cnn_studio.gui.state.session import Session
from cnn_studio.gui.strip_presenter import StripPresenter
from cnn_studio.gui.widgets.drop_overlay import DropOverlay
from cnn_studio.gui.widgets.notice import NoticeBar
from cnn_studio.gui.widgets.progress_strip import ProgressStrip

_USUAL_DEVICE = "NVIDIA RTX 4090"
"""As long as a device's name is to fit into a line below the pages; longer ones break."""

_FRAME = QSize(2 * theme.SPACE, 5 * theme.SPACE)
"""About what the title and borders around a window take: that is not known before it is shown."""


class MainWindow(QMainWindow):
    """Shows a session."""

    first_painted = Signal()

    def __init__(self, session: Session) -> None:
        super().__init__()
        self.session = session
        self.demonstration: object | None = None
        self._painted = False
        self._closing = False
        self.setWindowTitle("cnn_studio")
        self.setAcceptDrops(True)
        self.resize(QSize(1180, 760).boundedTo(self.screen().availableSize() - _FRAME))
        self._pages: dict[Page, QWidget] = {}
        self._build()
        self._add_shortcuts()
        session.notices.told.connect(self._show_notice)
        session.notices.withdrawn.connect(self.notices.withdraw)
        session.project.dataset_opened.connect(self._on_dataset_opened)
        session.runtime.device_changed.connect(self._on_device_changed)
        session.models.class_names_wanted.connect(self._ask_class_names)
        session.models.input_range_wanted.connect(self._ask_input_range)
        session.predictions.added.connect(self._on_predictions)
        session.queue.ended.connect(self._on_job_ended)
        session.queue.place_wanted.connect(self._ask_place)
        session.training.trained.connect(self._on_trained)
        geometry = QSettings().value("window_geometry")
        if isinstance(geometry, QByteArray):  # a damaged store holds anything
            self.restoreGeometry(geometry)  # which brings it back onto a screen that there is
        self.show_page(Page.DATA)

    # -- building -----------------------------------------------------------------------------------------------

    def _make_page(self, key: Page) -> QWidget:  # noqa: PLR0911 -- one for each page
        # Pages are imported when first shown: pyqtgraph alone would take a quarter of the time to the first paint.
        match key:
            case Page.DATA:
                return DataPage(self.session, self)
            case Page.MODEL:
                from cnn_studio.gui.pages.model.model_page import ModelPage

                return ModelPage(self.session, self)
            case Page.AUGMENT:
                from cnn_studio.gui.pages.augment.augment_page import AugmentPage

                return AugmentPage(self.session, self)
            case Page.TRAIN:
                from cnn_studio.gui.pages.train.train_page import TrainPage

                return TrainPage(self.session, self)
            case Page.EVALUATE:
                from cnn_studio.gui.pages.evaluate.evaluate_page import EvaluatePage

                return EvaluatePage(self.session, self)
            case Page.PREDICT:
                from cnn_studio.gui.pages.predict.predict_page import PredictPage

                return PredictPage(self.session, self)
            case Page.RUNS:
                from cnn_studio.gui.pages.runs.runs_page import RunsPage

                return RunsPage(self.session, self)
            case Page.HELP:
                from cnn_studio.gui.pages.help.help_page import HelpPage

                return HelpPage()

    def _build(self) -> None:
        self.navigation = QListWidget()
        self.navigation.setObjectName("navigation")
        self.navigation.setAccessibleName("Pages")
        self.navigation.setIconSize(QSize(20, 20))
        self.navigation.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        for key in Page:
            item = QListWidgetItem(theme.icon(key), PAGE_TITLES[key])
            item.setSizeHint(QSize(0, 4 * theme.SPACE + theme.SPACE_HALF))
            self.navigation.addItem(item)
        self.navigation.currentRowChanged.connect(self._on_row_changed)
        theme.theme().theme_changed.connect(self._refresh_icons)
        self._device = QLabel("")
        self._device.setObjectName("device")
        self._device.setWordWrap(True)
        theme.set_text_size(self._device, theme.TextSize.SMALL)

        side = QWidget()
        side.setObjectName("side")
        side_layout = QVBoxLayout(side)
        side_layout.setContentsMargins(theme.SPACE, theme.SPACE, theme.SPACE, theme.SPACE)
        side_layout.addWidget(self.navigation, 1)
        side_layout.addWidget(self._device)
        texts = (*PAGE_TITLES.values(), _USUAL_DEVICE)
        icon = self.navigation.iconSize().width()
        side.setFixedWidth(max(map(self.fontMetrics().horizontalAdvance, texts)) + icon)

        self.stack = QStackedWidget()
        middle = QVBoxLayout()
        middle.setContentsMargins(2 * theme.SPACE, 2 * theme.SPACE, 2 * theme.SPACE, theme.SPACE)
        middle.setSpacing(theme.SPACE)
        middle.addWidget(self.stack, 1)

        upper = QHBoxLayout()
        upper.setSpacing(0)
        upper.addWidget(side)
        upper.addLayout(middle, 1)
        self.strip = ProgressStrip()
        self._presenter = StripPresenter(self.session.queue, self.strip)
        whole = QVBoxLayout()
        whole.setContentsMargins(0, 0, 0, 0)
        whole.setSpacing(0)
        whole.addLayout(upper, 1)
        whole.addWidget(self.strip)
        central = QWidget()
        central.setLayout(whole)
        self.setCentralWidget(central)
        self.notices = NoticeBar()
        self.notices.cover(self.stack)
        self.overlay = DropOverlay(central)

    def _add_shortcuts(self) -> None:
        for number, key in enumerate(Page, start=1):
            QShortcut(QKeySequence(f"Ctrl+{number}"), self).activated.connect(partial(self.show_page, key))
        QShortcut(QKeySequence.StandardKey.Paste, self).activated.connect(self.paste)
        QShortcut(QKeySequence.StandardKey.Quit, self).activated.connect(self.close)
        QShortcut(QKeySequence.StandardKey.Open, self).activated.connect(self._open_folder)

    # -- pages --------------------------------------------------------------------------------------------------

    def show_page(self, key: str) -> None:
        """Bring a page to the front: data, model, augment, train, evaluate, predict, runs or help."""
        self.navigation.setCurrentRow(list(Page).index(Page(key)))

    def page(self, key: str) -> QWidget:
        """A page, made now if it has not been shown yet."""
        page = Page(key)
        if page not in self._pages:
            self._pages[page] = self._make_page(page)
            self.stack.addWidget(self._pages[page])
        return self._pages[page]

    @Slot(int)
    def _on_row_changed(self, row: int) -> None:
        self.stack.setCurrentWidget(self.page(list(Page)[row]))

    @Slot()
    def _refresh_icons(self) -> None:
        for row, key in enumerate(Page):
            self.navigation.item(row).setIcon(theme.icon(key))

    # -- what the session tells ---------------------------------------------------------------------------------

    @Slot(object)
    def _show_notice(self, notice: Notice) -> None:
        self.notices.show_notice(
            notice.kind, notice.text, details=notice.details, actions=notice.actions, topic=notice.topic
        )

    @Slot()
    def _on_dataset_opened(self) -> None:
        if dataset := self.session.project.dataset:
            self.setWindowTitle(f"{printable(dataset.name)} — cnn_studio")

    @Slot(object)
    def _on_trained(self, trained: TrainedModel) -> None:
        """Tell of the result where a folder is about to open, with which it goes from the Train page."""
        if not self.session.queue.is_busy_with(JobKind.SCAN):
            return
        found = trained.test or trained.validation
        accuracy = format_percent_within(found.accuracy, found.accuracy_low, found.accuracy_high)
        self.session.notices.tell(
            NoticeKind.INFO,
            f"Training on {trained.facts.data_name} has ended: {found.accuracy_text} {accuracy}.",
            topic=TRAINED,
            actions=(("Show the run", partial(self.show_run, trained.run)),),
        )

    def show_run(self, folder: Path) -> None:
        """Bring the Runs page to the front with a run chosen."""
        from cnn_studio.gui.pages.runs.runs_page import RunsPage

        self.show_page(Page.RUNS)
        page = self.page(Page.RUNS)
        assert isinstance(page, RunsPage)
        page.choose(folder)

    @Slot()
    def _on_device_changed(self) -> None:
        if device := self.session.runtime.device:
            self._device.setText(device.name)
            self._device.setToolTip(device.detail)

    @Slot(object)
    def _on_predictions(self, predictions: object) -> None:  # noqa: ARG002 -- the page takes them from the session
        self.page(Page.PREDICT)

    @Slot()
    def _ask_class_names(self) -> None:
        from cnn_studio.gui.dialogs.class_names import ClassNamesDialog

        dataset = self.session.project.dataset
        dialog = ClassNamesDialog(self.session.models, dataset.class_names if dataset else (), self)
        dialog.finished.connect(self.session.models.ask_what_is_unknown)
        dialog.open()

    @Slot()
    def _ask_input_range(self) -> None:
        from cnn_studio.gui.dialogs.input_range import InputRangeDialog

        shown = [prediction.path for prediction in self.session.predictions.found]
        InputRangeDialog(self.session.models, self.session.project.dataset, shown, self).open()

    @Slot(object)
    def _ask_place(self, question: PlaceQuestion) -> None:
        from cnn_studio.gui.dialogs.place import PlaceDialog

        PlaceDialog(question, self).open()

    # -- opening and dropping -----------------------------------------------------------------------------------

    @Slot()
    def _open_folder(self) -> None:
        page = self.page(Page.DATA)
        assert isinstance(page, DataPage)
        page.choose_folder()
        if self.session.queue.is_busy_with(JobKind.SCAN):
            self._show_data()

    def _show_data(self) -> None:
        """Show the folder that is being opened, unless it waits for something long: there is nothing to see yet."""
        if not self.session.queue.is_busy_with(JobKind.TRAIN, JobKind.COMPARE, JobKind.LABEL_ERRORS):
            self.show_page(Page.DATA)

    @Slot()
    def paste(self) -> None:
        """Classify the image, or the files, on the clipboard."""
        try:
            paths = dropped.paths_from(QApplication.clipboard().mimeData())
        except OSError as error:
            self.session.notices.tell(NoticeKind.ERROR, f"The pasted picture could not be kept for reading: {error}.")
            return
        if paths:
            self.take(paths)
        else:
            self.session.notices.tell(NoticeKind.INFO, "There is no image on the clipboard. Copy a picture first.")

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:
        """Accept files and pictures, and say what dropping them will do."""
        if dropped.is_welcome(event.mimeData()):
            event.setDropAction(Qt.DropAction.CopyAction)
            event.accept()
            self.overlay.show_text(dropped.what_dropping_does(event.mimeData(), has_model=self._has_model()))

    def dragLeaveEvent(self, event: QDragLeaveEvent) -> None:
        """Take the overlay away."""
        self.overlay.hide()
        event.accept()

    def dropEvent(self, event: QDropEvent) -> None:
        """Take what was dropped, after the drag has ended: a dialog inside a drop would hold the file manager up."""
        self.overlay.hide()
        event.setDropAction(Qt.DropAction.CopyAction)
        event.accept()
        paths = dropped.paths_from(event.mimeData())
        QTimer.singleShot(0, self, lambda: self.take(paths))

    def take(self, paths: list[Path]) -> None:
        """Do what is meant by dropping these paths: open a data set, a model or settings, or classify images."""
        match dropped.meaning(paths, has_model=self._has_model()):
            case dropped.Meaning.DATASET:
                self._open_as_data(paths[0])
            case dropped.Meaning.MODEL:
                self.session.models.open(paths[0])
                self.show_page(Page.PREDICT)
            case dropped.Meaning.EXPERIMENT:
                self.session.project.open_experiment(paths[0])
                self.show_page(Page.MODEL)
            case dropped.Meaning.ASK:
                self._ask_what_to_do_with(paths)
            case dropped.Meaning.IMAGES:
                self._classify(paths)
            case dropped.Meaning.NOTHING:
                pass

    def _open_as_data(self, folder: Path) -> None:
        self.session.project.open_folder(folder)
        self._show_data()

    def _classify(self, paths: list[Path]) -> None:
        self.show_page(Page.PREDICT)
        self.session.predictions.predict(paths)

    def _has_model(self) -> bool:
        return self.session.models.opened is not None or self.session.models.is_coming

    def _ask_what_to_do_with(self, paths: list[Path]) -> None:
        box = QMessageBox(
            QMessageBox.Icon.Question,
            "Folder dropped",
            f"“{printable(paths[0].name)}” holds folders of images. Open it as a data set, or classify its images?",
            parent=self,
        )
        box.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        as_data = box.addButton("Open as data set", QMessageBox.ButtonRole.AcceptRole)
        classify = box.addButton("Classify these", QMessageBox.ButtonRole.AcceptRole)
        box.addButton(QMessageBox.StandardButton.Cancel)
        as_data.clicked.connect(lambda: self._open_as_data(paths[0]))
        classify.clicked.connect(lambda: self._classify(paths))
        box.open()

    # -- painting and closing -----------------------------------------------------------------------------------

    def paintEvent(self, event: QPaintEvent) -> None:
        """Paint; tell once when there is something to look at."""
        super().paintEvent(event)
        if not self._painted:
            self._painted = True
            QTimer.singleShot(0, self, self.first_painted.emit)

    def restore(self) -> None:
        """Go on with the folder, settings, page and model that the window was closed with."""
        kept, project = kept_window(), self.session.project
        if kept.chosen is not None:
            project.take_chosen(kept.chosen, kept.decided_in)
        if kept.folder is not None:
            project.open_folder(kept.folder)
        if (model := kept.model) is not None:
            # Keras is needed for it, and is imported once there is a window to look at meanwhile.
            self.first_painted.connect(lambda: self.session.models.open(model, kept.class_names))
        if kept.page in set(Page):
            self.show_page(kept.page)

    def _keep(self) -> None:
        project, model = self.session.project, self.session.models.opened
        opening, coming = (
            [job.request for job in self.session.queue.of_kind(kind)] for kind in (JobKind.SCAN, JobKind.OPEN_MODEL)
        )
        keep_window(
            KeptWindow(
                folder=opening[-1] if opening else project.dataset.root if project.dataset else None,
                chosen=project.chosen,
                decided_in=project.decided_in,
                model=coming[-1] if coming else model.path if model else None,
                class_names=model.facts.class_names if model else (),
                page=list(Page)[self.navigation.currentRow()],
            )
        )

    def closeEvent(self, event: QCloseEvent) -> None:
        """Ask before ending a training, and wait for it: a thread must not be destroyed while it runs."""
        QSettings().setValue("window_geometry", self.saveGeometry())
        if self.session.training.is_running():
            event.ignore()
            if not self._closing:
                self._ask_how_to_close()
            return
        if self.demonstration is None:
            self._keep()
        event.accept()

    def _ask_how_to_close(self) -> None:
        box = QMessageBox(
            QMessageBox.Icon.Question,
            "Training is running",
            "A network is being trained. What should become of it?",
            parent=self,
        )
        box.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        keep = box.addButton("Stop and keep the best model", QMessageBox.ButtonRole.AcceptRole)
        discard = box.addButton("Discard it", QMessageBox.ButtonRole.DestructiveRole)
        stay = box.addButton("Go on training", QMessageBox.ButtonRole.RejectRole)
        box.setDefaultButton(stay)
        box.setEscapeButton(stay)
        keep.clicked.connect(lambda: self._close_after(self.session.training.stop))
        discard.clicked.connect(lambda: self._close_after(self.session.training.cancel))
        box.open()

    def close_keeping(self) -> None:
        """Close without a question, since nobody may be there to answer: what is being trained is stopped and kept."""
        if self.session.training.is_running():
            self._close_after(self.session.training.stop)
        else:
            self.close()

    def _close_after(self, end: Callable[[], None]) -> None:
        self._closing = True
        end()

    @Slot(object)
    def _on_job_ended(self, job: object) -> None:  # noqa: ARG002 -- any job's end may be the one waited for
        if self._closing and not self.session.training.is_running():
            self.close()
