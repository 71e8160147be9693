"""The window as a whole, filled with everything there is to show: nothing is cut off, nothing scrolls sideways, names
from files stay text, and every control has a name.

Nothing here depends on the fonts installed: what a widget has is compared with what it asks for in the font it has.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import chain
from pathlib import Path

import numpy as np
import pytest
from PySide6.QtCore import QAbstractTableModel, QEvent, QPoint, QRect, QSize, Qt
from PySide6.QtGui import QAccessible, QFont, QTextDocumentFragment
from PySide6.QtWidgets import (
    QAbstractButton,
    QAbstractItemView,
    QAbstractScrollArea,
    QAbstractSlider,
    QAbstractSpinBox,
    QApplication,
    QComboBox,
    QDialog,
    QHeaderView,
    QLabel,
    QLineEdit,
    QMessageBox,
    QPlainTextEdit,
    QScrollBar,
    QTabBar,
    QTextEdit,
    QToolTip,
    QWidget,
)

from cnn_studio import tasks
from cnn_studio.core.data.dataset import Dataset
from cnn_studio.core.data.events import Caution
from cnn_studio.core.data.image_file import ImageFile, Split
from cnn_studio.core.data.split import split_dataset
from cnn_studio.core.errors import CnnStudioError
from cnn_studio.core.evaluation.figures import Evaluation
from cnn_studio.core.evaluation.measured import Measured
from cnn_studio.core.evaluation.model_facts import ModelFacts
from cnn_studio.core.evaluation.predictions import Prediction
from cnn_studio.core.evaluation.scores import score_probabilities
from cnn_studio.core.image.issues import Issue, IssueKind
from cnn_studio.core.runs import run as runs
from cnn_studio.core.runs.trained import Ended, TrainedModel
from cnn_studio.gui.dialogs.class_names import ClassNamesDialog
from cnn_studio.gui.dialogs.compare import CompareDialog
from cnn_studio.gui.dialogs.export import ExportDialog
from cnn_studio.gui.look.theme import apply_theme
from cnn_studio.gui.main_window import MainWindow
from cnn_studio.gui.pages.data.decisions_dialog import DecisionsDialog
from cnn_studio.gui.pages.data.label_errors_dialog import LabelErrorsDialog
from cnn_studio.gui.pages.data.left_out_dialog import LeftOutDialog
from cnn_studio.gui.pages.data.picture_dialog import DataPictureDialog
from cnn_studio.gui.pages.data.split_dialog import SplitDialog
from cnn_studio.gui.pages.navigation import Page
from cnn_studio.gui.widgets.elided_label import ElidedLabel

LONG = "Helicotrema_with_a_very_long_scientific_name"
PLAIN_NAMES = ("cat", "dog", f"{LONG}_and_an_addition", "x")
HOSTILE_NAMES = ("<b>x</b>", "<img src=//host/share>", "line\nbreak\x1b[31m", "a & b &amp; <i>")


def no_preview(request, context):
    raise CnnStudioError(f"{request.picture} is not there.")


class Opened:
    """A window with a data set, a model, what was measured of it, answers, a run and a training's result.

    Args:
        session: the state behind it.
        folder: for files that have to be there.
        names: of the classes, and of everything else that a file or folder names.
    """

    def __init__(self, session, folder: Path, names: tuple[str, ...], monkeypatch) -> None:
        self.session, self.names = session, names
        self.root = folder / (names[0].replace("/", "\u2215") if names is HOSTILE_NAMES else LONG) / names[-1]
        files = tuple(
            ImageFile(f"{name}/{number}.png", label, 100, 80, grey=False, bytes=1000, modified_ns=1)
            for label, name in enumerate(names)
            for number in range(6)
        )
        issues = tuple(Issue(f"{name}.jpg", kind, name) for name, kind in zip(names, IssueKind, strict=False))
        self.dataset = Dataset(self.root, names, files, issues)
        random = np.random.default_rng(1)
        labels = random.integers(0, len(names), 60).astype(np.int32)
        logits = random.normal(0, 1, (60, len(names)))
        logits[np.arange(60), labels] += 1.5
        answers = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
        paths = tuple(f"{names[label]}/{number}.png" for number, label in enumerate(labels))
        self.model = folder / "run" / f"{names[0].replace('/', '')}.keras"
        found = score_probabilities(answers, labels, names, Split.TEST)
        measured = Measured(found, names, self.model, self.root, paths, labels, answers.astype(np.float32))
        self.measured = replace(measured, threshold=0.4, temperature=1.5)  # so that every button is there
        metrics = {"val_accuracy": 0.47, "val_accuracy_low": 0.4, "val_accuracy_high": 0.54}
        self.facts = ModelFacts(names, 96, 96, names[0], metrics=metrics, data_name=names[1], threshold=0.4)
        monkeypatch.setattr(runs, "measurable_splits", lambda model: {Split.VALIDATION: 120, Split.TEST: 60})
        monkeypatch.setattr(tasks, "saved_evaluation", lambda model, split: self.measured)
        monkeypatch.setattr(tasks, "preview_augmentation", no_preview)
        session.project.take_dataset(self.dataset)
        split = split_dataset(self.dataset, session.project.experiment.split)
        made = runs.create_run(session.project.runs_dir / "2026", self.dataset, split, session.project.experiment)
        runs.finish_run(made, metrics, Ended.COMPLETED)
        made.model.write_bytes(b"a network")
        self.window = MainWindow(session)
        for page in Page:
            self.window.page(page)
        session.models.take(self.model, self.facts)
        self._answer(paths, answers, folder)
        self._train(folder)
        session.decisions.leave_out([files[0]])
        session.decisions.put_into(names[1], [files[1]])

    def _answer(self, paths, answers, folder: Path) -> None:
        session = self.session
        given = [
            Prediction(
                self.root / path,
                tuple(sorted(zip(self.names, map(float, row), strict=True), key=lambda pair: -pair[1])),
                unsure=number % 3 == 0,
            )
            for number, (path, row) in enumerate(zip(paths, answers, strict=True))
        ]
        given.append(Prediction(folder / self.names[1].replace("/", ""), (), f"{self.names[0]} cannot be read."))
        session.predictions.found += given
        session.predictions.added.emit(tuple(given))

    def _train(self, folder: Path) -> None:
        plot = self.page(Page.TRAIN).curves.plot
        plot.clear(8, 4)
        for epoch in range(1, 9):
            for step in range(1, 5):
                plot.add_batch(epoch, step, 2 / epoch, 0.9 - 0.5 / epoch)
            plot.add_epoch(epoch, 2 / epoch, 0.9 - 0.5 / epoch, 2.1 / epoch, 0.88 - 0.5 / epoch)
        plot.set_best_epoch(7)
        figures = Evaluation("validation", 200, 0.47, 0.40, 0.54, 0.3)
        device, wrong = self.names[0], (Caution("left_out", f"1 item is left out: {self.names[1]}.", self.names[0]),)
        self.session.training.trained.emit(
            TrainedModel(folder, self.model, self.facts, {}, figures, figures, 7, 8, "completed", 65.0, device, wrong)
        )

    def page(self, key: Page) -> QWidget:
        return self.window.page(key)

    def close(self) -> None:
        data, evaluate = self.page(Page.DATA), self.page(Page.EVALUATE)
        galleries = (evaluate.matrix.gallery, evaluate.galleries.gallery)
        for view in (data.grid, self.page(Page.PREDICT).results, *galleries):
            view.close_loader()
        self.page(Page.MODEL).preview.loader.close()

    def views(self):
        """Every page in each of its states, one after the other, as (name, widget)."""
        for page in Page:
            self.window.show_page(page)
            shown = self.page(page)
            yield page.value, self.window
            if page in {Page.MODEL, Page.TRAIN}:
                shown.advanced_button.setChecked(True)
                if page is Page.MODEL:
                    yield "model, changed", self.window
                    self.session.project.choose_architecture("resnet50")
                    shown.backbone.head_button.setChecked(True)
                    self.session.project.change({"architecture.transfer": "fine_tuned"})
                yield f"{page.value}, everything open", self.window
            if page is Page.AUGMENT:
                for row in shown.rows.values():
                    row.strength_changed.emit(row.kind.most)
                yield "augment, all on", self.window
            if page is Page.EVALUATE:
                for number in range(shown.tabs.count()):
                    shown.tabs.setCurrentIndex(number)
                    yield f"evaluate, {shown.tabs.tabText(number)}", self.window
                shown.show_cell(0, 1)
                yield "evaluate, a cell", self.window
            if page is Page.DATA:
                shown.grid.setCurrentIndex(shown.grid.model().index(0, 0))
                yield "data, a picture chosen", self.window

    def dialogs(self):
        """Every dialog, one after the other, as (name, dialog); each is closed when the next is asked for."""
        session, data = self.session, self.page(Page.DATA)
        makers = {
            "left out": lambda: LeftOutDialog(self.dataset, session.notices, self.window),
            "split": lambda: SplitDialog(session, self.window),
            "decisions": lambda: DecisionsDialog(session.decisions, self.window),
            "label errors": lambda: LabelErrorsDialog(session.label_errors, session.training, self.window),
            "picture": lambda: DataPictureDialog(session, data.browse.shown, 1, self.window),
            "compare": lambda: CompareDialog(session, self.window),
            "class names": lambda: ClassNamesDialog(session.models, self.names, self.window),
            "export": lambda: ExportDialog(self.model, self.facts, self.window),
            "explained": self._explained,
            "delete run": lambda: self._box(self.page(Page.RUNS)._ask_delete),
            "dropped": lambda: self._box(lambda: self.window._ask_what_to_do_with([self.root / self.names[0]])),
        }
        for name, make in makers.items():
            dialog = make()
            dialog.show()
            yield name, dialog
            dialog.close()
            QApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete.value)

    def _explained(self) -> QDialog:
        gallery = self.page(Page.EVALUATE).galleries.gallery
        gallery.open_large(gallery.verdicts()[0].path)
        return self.window.findChildren(QDialog)[-1]

    def _box(self, ask) -> QDialog:
        before = set(self.window.findChildren(QDialog))
        ask()
        return next(box for box in self.window.findChildren(QDialog) if box not in before)


@pytest.fixture
def open_window(qtbot, session, tmp_path, monkeypatch, settle):
    """open_window(names): the window filled with what is called so."""
    made = []

    def make(names):
        opened = Opened(session, tmp_path, names, monkeypatch)
        made.append(opened)
        qtbot.addWidget(opened.window)
        opened.window.show()
        settle()
        return opened

    yield make
    for opened in made:
        settle()
        opened.close()


@pytest.fixture
def in_font(qapp):
    """in_font(points): every text in another size of the application's font, for one test."""
    usual = QFont(qapp.font())

    def use(points):
        font = QFont(usual)
        font.setPointSizeF(points)
        qapp.setFont(font)
        apply_theme(qapp, "light")

    yield use
    qapp.setFont(usual)
    apply_theme(qapp, "light")


def settle_layout():
    for _ in range(3):
        QApplication.sendPostedEvents(None, QEvent.Type.LayoutRequest.value)
        QApplication.processEvents()


def faults_in(window: QWidget) -> list[str]:
    """What is cut off in a window or dialog, or scrolls sideways; a line each."""
    settle_layout()
    faults = []
    for widget in [window, *window.findChildren(QWidget)]:
        if widget.isVisible() and widget.window() is window and not isinstance(widget, QScrollBar):
            faults += [f"{_path(widget)}: {fault}" for fault in _faults_of(widget)]
    return faults


def _path(widget: QWidget) -> str:
    names = []
    while widget is not None:
        names.append(widget.objectName() or type(widget).__name__)
        widget = widget.parentWidget()
    text = getattr(widget, "text", None)
    return " < ".join(names[:5]) + (f" {text()!r}" if text else "")


def _said(widget) -> str:
    text = widget.text() if hasattr(widget, "text") else widget.currentText() if hasattr(widget, "currentText") else ""
    return f"{text[:50]!r}"


def _faults_of(widget: QWidget) -> Iterator[str]:
    match widget:
        case QLabel() if widget.text() and not isinstance(widget, ElidedLabel):
            yield from _faults_of_text(widget)
        case QAbstractButton() | QComboBox() | QAbstractSpinBox():
            need = widget.minimumSizeHint()
            if isinstance(widget, QAbstractButton) and widget.text():
                need = need.expandedTo(widget.sizeHint())
            if widget.minimumHeight():  # the style sheet's, which suits the font; the hint of tool buttons is 3 px off
                need.setHeight(max(widget.minimumHeight(), widget.fontMetrics().height()))
            if not _fits(need, widget.size()):
                yield f"control {_said(widget)} needs {need.toTuple()}, has {widget.size().toTuple()}"
        case QHeaderView() if widget.orientation() is Qt.Orientation.Horizontal:
            for place in range(widget.count()):
                if widget.sectionSizeHint(place) > widget.sectionSize(place) + 1:
                    title = widget.model().headerData(place, Qt.Orientation.Horizontal)
                    yield f"column {title!r} has {widget.sectionSize(place)}"
        case QTabBar() if widget.sizeHint().width() > widget.width():
            yield "tabs do not fit"
    if isinstance(widget, QAbstractScrollArea) and widget.horizontalScrollBar().maximum() > 0:
        yield f"scrolls sideways by {widget.horizontalScrollBar().maximum()}"
    parent = widget.parentWidget()
    if parent is None or widget.isWindow() or _scrolls(parent):
        return
    if not QRect(QPoint(), parent.size()).adjusted(-1, -1, 1, 1).contains(widget.geometry()):
        yield f"{_said(widget)} {widget.geometry().getRect()} leaves its parent {parent.size().toTuple()}"


def _faults_of_text(label: QLabel) -> Iterator[str]:
    need = label.sizeHint()
    if label.wordWrap():
        need = QSize(label.minimumSizeHint().width(), label.heightForWidth(label.width()))
        widest = 80 * label.fontMetrics().averageCharWidth()
        text = QTextDocumentFragment.fromHtml(label.text()).toPlainText()
        if label.width() > widest and label.fontMetrics().horizontalAdvance(text) > widest:
            yield f"lines of {_said(label)} are too long to read"
    if not _fits(need, label.size()):
        yield f"text {_said(label)} needs {need.toTuple()}, has {label.size().toTuple()}"


def _fits(need: QSize, have: QSize) -> bool:
    return need.width() <= have.width() + 1 and need.height() <= have.height() + 1


def _scrolls(parent: QWidget) -> bool:
    area = parent.parentWidget()
    return isinstance(area, QAbstractScrollArea) and parent is area.viewport()


SMALLEST, LARGEST = (1024, 700), (2560, 1440)
SIZES = [SMALLEST, (1280, 690), (1366, 700), (1920, 1080), LARGEST]
"""Of the window: 1280 × 690 is what a doubled 2560 × 1440 leaves, 1366 × 700 what the usual laptop does."""


def walk(opened, sizes=SIZES):
    """Every fault of every page at these sizes, and of every dialog; a line each."""
    opened.window.setUpdatesEnabled(False)  # layouts count here, and painting takes ten times as long
    faults = []
    for name, shown in opened.views():
        for size in sizes:
            opened.window.resize(*size)
            if opened.window.size().toTuple() != size:
                faults.append(f"{name} at {size}: grows to {opened.window.size().toTuple()}")
            faults += [f"{name} at {size}: {fault}" for fault in faults_in(shown)]
    for name, dialog in opened.dialogs():
        if not _fits(dialog.size(), QSize(*SMALLEST)):
            faults.append(f"{name} is larger than a small screen: {dialog.size().toTuple()}")
        faults += [f"{name}: {fault}" for fault in faults_in(dialog)]
    return "\n".join(faults)


def test_nothing_is_cut_off_at_any_size(open_window):
    assert walk(open_window(PLAIN_NAMES)) == ""


@pytest.mark.parametrize(("points", "size"), [(12, (1280, 690)), (12, LARGEST)])
def test_nothing_is_cut_off_in_larger_letters(open_window, in_font, points, size):
    """Which stand in for longer texts, too: German and Spanish take a third more room."""
    in_font(points)
    assert walk(open_window(PLAIN_NAMES), [size]) == ""


def test_a_notice_lies_over_no_control(open_window):
    opened = open_window(PLAIN_NAMES)
    opened.window.resize(*SMALLEST)
    settle_layout()
    opened.session.notices.tell_info("13 % of the images are kept for a test when you train again.")
    bar = opened.window.notices
    for page in Page:
        opened.window.show_page(page)
        settle_layout()
        place = QRect(bar.mapTo(opened.window, QPoint()), bar.size())
        below = [
            _path(each)
            for each in controls(opened.page(page))
            if isinstance(each, (QAbstractButton, QComboBox, QAbstractSpinBox, QTabBar))
            and each.isVisible()
            and place.intersects(QRect(each.mapTo(opened.window, QPoint()), each.size()))
        ]
        assert bar.isVisible()
        assert not below, page


def test_the_first_window_fits_the_screen(open_window, qapp):
    """Offscreen that is 800 × 800, on which the usual size would not fit."""
    window = open_window(PLAIN_NAMES).window
    room = qapp.primaryScreen().availableSize()
    assert window.height() < room.height()
    assert window.width() <= max(room.width(), window.minimumSizeHint().width())


def test_lists_that_open_show_every_text(open_window):
    opened = open_window(PLAIN_NAMES)
    for page in Page:
        opened.window.show_page(page)
        for box in opened.page(page).findChildren(QComboBox):
            if box.isVisible() and box.count() <= 10:
                box.showPopup()
                QApplication.processEvents()
                view = box.view()
                assert view.verticalScrollBar().maximum() == 0, box.accessibleName()
                assert view.viewport().width() >= view.sizeHintForColumn(0), box.accessibleName()
                box.hidePopup()


# -- names from files are text -------------------------------------------------------------------------------------


def shown_texts(window: QWidget):
    """Every text that a window shows, in labels, controls, items, titles and tool tips, as (where, text)."""
    for widget in [window, *window.findChildren(QWidget)]:
        for what in ("text", "title", "windowTitle", "toolTip", "placeholderText", "currentText", "accessibleName"):
            if isinstance(text := widget.property(what), str) and text:
                yield f"{what} of {_path(widget)}", text
        for action in widget.actions():
            yield f"action of {_path(widget)}", action.text()
        if isinstance(widget, QAbstractItemView) and (model := widget.model()) is not None:
            for row in range(min(model.rowCount(), 8)):
                for column in range(model.columnCount() if isinstance(model, QAbstractTableModel) else 1):
                    for role in (Qt.ItemDataRole.DisplayRole, Qt.ItemDataRole.ToolTipRole):
                        if isinstance(text := model.index(row, column).data(role), str):
                            yield f"item of {_path(widget)}", text


def rich_labels(window: QWidget) -> list[QLabel]:
    """The labels of a window that show markup as such."""
    for label in window.findChildren(QLabel):
        label.ensurePolished()
    return [label for label in window.findChildren(QLabel) if label.textFormat() is not Qt.TextFormat.PlainText]


def test_names_from_files_are_text_everywhere(open_window):
    opened = open_window(HOSTILE_NAMES)
    for name, shown in chain(opened.views(), opened.dialogs()):
        for where, text in shown_texts(shown):
            assert "\x1b" not in text, (where, text)
            assert "line\nbreak" not in text, (where, text)
        for label in rich_labels(shown):
            assert label.textFormat() is Qt.TextFormat.RichText, (name, label.text())
            assert "<img" not in label.text(), (name, label.text())
            assert "<b>x</b>" not in label.text(), (name, label.text())
            assert "<i>" not in label.text(), (name, label.text())


@pytest.mark.qt_log_ignore("This plugin does not support raise", extend=True)
@pytest.mark.parametrize("name", HOSTILE_NAMES[:2])
def test_tool_tips_and_messages_are_text(qapp, qtbot, name):
    window = QWidget()
    qtbot.addWidget(window)
    window.show()
    QToolTip.showText(QPoint(5, 5), name, window)
    tips = [label for label in qapp.topLevelWidgets() if isinstance(label, QLabel) and label.text() == name]
    box = QMessageBox(QMessageBox.Icon.Question, "Title", name, parent=window)
    box.show()
    said = [label for label in box.findChildren(QLabel) if label.text() == name]
    QToolTip.hideText()
    assert [label.textFormat() for label in (*tips, *said)] == [Qt.TextFormat.PlainText] * 2


# -- every control is reached by its name and by the keyboard --------------------------------------------------------

_CONTROLS = (QAbstractButton, QComboBox, QAbstractSpinBox, QAbstractSlider, QLineEdit, QTextEdit, QPlainTextEdit)
_PARTS = (QScrollBar, QHeaderView)


def controls(window: QWidget) -> list[QWidget]:
    """What a user can act on."""
    found = window.findChildren(QWidget)
    own = [w for w in found if isinstance(w, (*_CONTROLS, QAbstractItemView)) and not isinstance(w, _PARTS)]
    own = [w for w in own if not w.objectName().startswith("qt_") and w.focusPolicy() is not Qt.FocusPolicy.NoFocus]
    return [w for w in own if not w.parent().inherits("QComboBoxPrivateContainer")]


def test_every_control_has_a_name(open_window):
    opened = open_window(PLAIN_NAMES)
    for name, shown in chain(opened.views(), opened.dialogs()):
        nameless = [_path(each) for each in controls(shown) if not _spoken(each)]
        assert not nameless, (name, nameless)


def _spoken(control: QWidget) -> str:
    """What a screen reader calls it: Qt falls back to a button's text, and a field inside another goes by that."""
    interface = QAccessible.queryAccessibleInterface(control)
    name = interface.text(QAccessible.Text.Name) if interface else control.accessibleName()
    parent = control.parentWidget()
    return name or (_spoken(parent) if isinstance(parent, QAbstractSpinBox | QComboBox) else "")


def test_tab_leaves_every_field_and_table(open_window):
    opened = open_window(PLAIN_NAMES)
    for name, shown in chain(opened.views(), opened.dialogs()):
        for control in controls(shown):
            if isinstance(control, QPlainTextEdit | QTextEdit):
                assert control.tabChangesFocus() or control.isReadOnly(), (name, _path(control))
            if isinstance(control, QAbstractItemView):
                assert not control.tabKeyNavigation(), (name, _path(control))
