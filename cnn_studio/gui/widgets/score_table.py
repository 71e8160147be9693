"""Precision, recall and F1 of each class as a table that sorts, with the averages always on top."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from PySide6.QtCore import QAbstractTableModel, QEvent, QModelIndex, QObject, QRect, Qt, Signal, Slot
from PySide6.QtGui import QColor, QFont, QPainter, QResizeEvent
from PySide6.QtWidgets import (
    QAbstractItemView,
    QHeaderView,
    QStyle,
    QStyledItemDelegate,
    QStyleOptionViewItem,
    QTableView,
    QWidget,
)

from cnn_studio.core.evaluation.figures import ClassScore, Evaluation
from cnn_studio.core.percent import format_percent
from cnn_studio.core.text import printable_lines
from cnn_studio.gui.look import theme
from cnn_studio.gui.look.wording import format_count
from cnn_studio.gui.widgets.class_chart import paint_bar
from cnn_studio.gui.widgets.tile_view import Index, draw_text, one_line

COLUMNS = ("Class", "Precision", "Recall", "F1", "Images")
_FRACTIONS = range(1, 4)
_IMAGES = 4
_LEAST_BAR, _LONGEST_BAR = 3 * theme.SPACE, 12 * theme.SPACE
_WIDEST_FRACTION = ">99 %"
_AROUND_NUMBER = 2 + 3 * theme.SPACE
"""Room beside a number: of the cell, and between it and its bar."""

_TIPS = (
    "The true class.",
    "Of the images the model takes for this class, the part that is.",
    "Of the images of this class, the part the model recognises.",
    "Precision and recall in one figure: their harmonic mean. It is high only when both are.",
    "How many images of this class were measured (support).",
)
_AVERAGES = {
    "macro": ("Average (macro)", "Each class counts the same, however rare it is."),
    "weighted": ("Average (weighted)", "Each class counts as often as it has images."),
}
_ROOT = QModelIndex()
VALUE_ROLE = Qt.ItemDataRole.UserRole


class ScoreModel(QAbstractTableModel):
    """The two averages, and below them the classes' scores in the order asked for."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._classes: tuple[ClassScore, ...] = ()
        self._averages: list[tuple[str, str, ClassScore]] = []
        self._order: list[int] = []
        self._sorting = (0, Qt.SortOrder.AscendingOrder)

    def set_evaluation(self, evaluation: Evaluation) -> None:
        """Show these scores, sorted as before."""
        self.beginResetModel()
        self._classes = evaluation.classes
        given = {"macro": evaluation.macro, "weighted": evaluation.weighted}
        self._averages = [(*_AVERAGES[key], score) for key, score in given.items() if score is not None]
        self._order = self._sorted()
        self.endResetModel()

    def average_count(self) -> int:
        """How many averages there are: the first rows."""
        return len(self._averages)

    def label_at(self, row: int) -> int | None:
        """The class's label in a row; None for an average."""
        place = row - len(self._averages)
        return self._order[place] if 0 <= place < len(self._order) else None

    def _sorted(self) -> list[int]:
        column, direction = self._sorting
        labels = list(range(len(self._classes)))
        if column:
            labels.sort(key=lambda label: _figure(self._classes[label], column))
        if direction is Qt.SortOrder.DescendingOrder:
            labels.reverse()
        if column in _FRACTIONS:  # what means nothing stands at the end, however it is sorted
            labels.sort(key=lambda label: _means_nothing(self._classes[label], column))
        return labels

    def sort(self, column: int, order: Qt.SortOrder = Qt.SortOrder.AscendingOrder) -> None:
        """Sort the classes; in the first column that is the order of the labels."""
        self._sorting = (column, order)
        self.layoutAboutToBeChanged.emit()
        self._order = self._sorted()
        self.layoutChanged.emit()

    def rowCount(self, parent: Index = _ROOT) -> int:
        """Averages and classes."""
        return 0 if parent.isValid() else len(self._order) + len(self._averages)

    def columnCount(self, parent: Index = _ROOT) -> int:
        """Class, three scores, images."""
        return 0 if parent.isValid() else len(COLUMNS)

    def headerData(self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """The columns' titles, and what they mean."""
        if orientation is not Qt.Orientation.Horizontal:
            return None
        match role:
            case Qt.ItemDataRole.DisplayRole:
                return COLUMNS[section]
            case Qt.ItemDataRole.ToolTipRole:
                return _TIPS[section]
            case Qt.ItemDataRole.TextAlignmentRole if section:
                return int(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        return None

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """A cell's text, its number, what it means."""
        row, column = index.row(), index.column()
        average = row < len(self._averages)
        if average:
            name, tip, score = self._averages[row]
        else:
            score = self._classes[self._order[row - len(self._averages)]]
            name, tip = score.name, ""
        match role:
            case Qt.ItemDataRole.DisplayRole:
                return _text(score, name, column)
            case Qt.ItemDataRole.ToolTipRole:
                return printable_lines(tip or _tip(score, column))
            case Qt.ItemDataRole.UserRole if column in _FRACTIONS and not _means_nothing(score, column):
                return _figure(score, column)
        return _look(role, score, column, average=average)


def _look(role: int, score: ClassScore, column: int, *, average: bool) -> Any:
    match role:
        case Qt.ItemDataRole.TextAlignmentRole if column:
            return int(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        case Qt.ItemDataRole.FontRole if average:
            font = QFont()
            font.setBold(True)
            return font
        case Qt.ItemDataRole.ForegroundRole if _means_nothing(score, column):
            return QColor(theme.colours().muted)
    return None


def _figure(score: ClassScore, column: int) -> float:
    return (0.0, score.precision, score.recall, score.f1, float(score.support))[column]


def _means_nothing(score: ClassScore, column: int) -> bool:
    return column in _FRACTIONS and score.support == 0


def _text(score: ClassScore, name: str, column: int) -> str:
    if column == 0:
        return one_line(name)
    if column == _IMAGES:
        return format_count(score.support) if score.support else "no images"
    return "–" if _means_nothing(score, column) else format_percent(_figure(score, column))


def _tip(score: ClassScore, column: int) -> str:
    if score.support == 0:
        return f"There were no images of {one_line(score.name)} to measure on, so nothing can be said of it."
    return one_line(score.name) if column == 0 else ""


class ScoreTable(QTableView):
    """The table; a double-click or Enter on a class asks for its images."""

    class_activated = Signal(int)
    """The label of a class."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.scores = ScoreModel(self)
        self.setModel(self.scores)
        self.setItemDelegate(_ScoreDelegate(self))
        self.setAccessibleName("Scores of each class")
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.setShowGrid(False)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)  # the columns are made to fit
        self.setSortingEnabled(True)
        self.sortByColumn(0, Qt.SortOrder.AscendingOrder)
        self.verticalHeader().hide()
        self.setTabKeyNavigation(False)
        header = self.horizontalHeader()
        header.setDefaultAlignment(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter)
        header.setHighlightSections(False)
        header.setSectionResizeMode(QHeaderView.ResizeMode.Fixed)
        header.setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)
        header.setSectionResizeMode(_IMAGES, QHeaderView.ResizeMode.ResizeToContents)
        self.activated.connect(self._on_activated)
        self.scores.modelReset.connect(self._fit_columns)
        self._fit_columns()

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Give the bars what the names and numbers leave."""
        super().resizeEvent(event)
        self._fit_columns()

    def changeEvent(self, event: QEvent) -> None:
        """Measure anew when the texts look otherwise."""
        super().changeEvent(event)
        if event.type() in {QEvent.Type.FontChange, QEvent.Type.StyleChange} and self.model() is not None:
            self._fit_columns()

    @Slot()
    def _fit_columns(self) -> None:
        """Titles, averages and numbers are whole; bars are as long as there is room, names take the rest."""
        self.verticalHeader().setDefaultSectionSize(self.fontMetrics().height() + theme.SPACE + theme.SPACE_HALF)
        header = self.horizontalHeader()
        averages = [self.scores.index(row, 0) for row in range(self.scores.average_count())]
        names = max([header.sectionSizeHint(0), *(self.sizeHintForIndex(index).width() for index in averages)])
        images = max(header.sectionSizeHint(_IMAGES), self.sizeHintForColumn(_IMAGES))
        number = self.fontMetrics().horizontalAdvance(_WIDEST_FRACTION) + _AROUND_NUMBER
        least = max([number + _LEAST_BAR, *map(header.sectionSizeHint, _FRACTIONS)])
        free = (self.viewport().width() - names - images) // len(_FRACTIONS)
        for column in _FRACTIONS:
            header.resizeSection(column, max(least, min(free, number + _LONGEST_BAR)))
        scroll_bar = self.style().pixelMetric(QStyle.PixelMetric.PM_ScrollBarExtent, None, self)
        self.setMinimumWidth(names + images + len(_FRACTIONS) * least + scroll_bar + 2 * self.frameWidth())

    @Slot(QModelIndex)
    def _on_activated(self, index: QModelIndex) -> None:
        label = self.scores.label_at(index.row())
        if label is not None:
            self.class_activated.emit(label)


class _ScoreDelegate(QStyledItemDelegate):
    """A bar before each fraction, so that the weak ones are seen before they are read."""

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: Index) -> None:
        """Paint a cell."""
        value = index.data(VALUE_ROLE)
        if value is None:
            super().paint(painter, option, index)
            return
        self.initStyleOption(option, index)
        text, option.text = option.text, ""
        style = option.widget.style()
        style.drawControl(style.ControlElement.CE_ItemViewItem, option, painter, option.widget)
        rect: QRect = option.rect.adjusted(theme.SPACE, 0, -theme.SPACE, 0)
        painter.save()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setFont(option.font)
        width = painter.fontMetrics().horizontalAdvance(_WIDEST_FRACTION) + 2
        number = QRect(rect.right() - width, rect.top(), width + 1, rect.height())
        draw_text(
            painter, number, text, theme.colours().text, Qt.AlignmentFlag.AlignTrailing | Qt.AlignmentFlag.AlignVCenter
        )
        paint_bar(painter, rect.adjusted(0, 0, -width - theme.SPACE, 0), float(value))
        painter.restore()


def classes_by(evaluation: Evaluation, figure: str) -> Sequence[ClassScore]:
    """Classes that have images, the lowest of a figure ("recall", "precision", "f1") first."""
    return sorted((score for score in evaluation.classes if score.support), key=lambda score: getattr(score, figure))
