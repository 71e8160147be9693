"""What a model says of the images it was shown."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from enum import Enum
from pathlib import Path
from typing import Any

from PySide6.QtCore import QAbstractListModel, QModelIndex, QObject, QRect, QSize, Qt, Signal, Slot
from PySide6.QtGui import QColor, QFontMetrics, QKeyEvent, QKeySequence, QPainter, QPaintEvent, QPixmap
from PySide6.QtWidgets import QAbstractItemView, QApplication, QStyledItemDelegate, QStyleOptionViewItem, QWidget

from cnn_studio.core.evaluation.predictions import Prediction
from cnn_studio.core.percent import format_percent
from cnn_studio.core.text import printable_lines
from cnn_studio.gui.look import theme
from cnn_studio.gui.widgets.class_chart import paint_bar
from cnn_studio.gui.widgets.thumbnail_grid import paint_picture
from cnn_studio.gui.widgets.thumbnail_loader import Decode, ThumbnailLoader, decode_picture
from cnn_studio.gui.widgets.tile_view import Index, TileView, draw_text, one_line, paint_tile

_PREDICTION_ROLE = Qt.ItemDataRole.UserRole
_ROOT = QModelIndex()
BARS = 3
"""Classes shown with a bar, at most."""

_LEAST_WIDTH = 380


class Which(Enum):
    """Answers that are shown together, where it is not those of one class."""

    ALL = "All pictures"
    UNSURE = "Not sure"
    UNREADABLE = "Without an answer"


class Order(Enum):
    """What stands first."""

    GIVEN = "As they came"
    LEAST_SURE = "Least sure first"
    SUREST = "Surest first"


def prediction_text(prediction: Prediction) -> str:
    """One line: ``cat · 97 %``, ``Not sure · perhaps cat, 41 %``, or why there is no answer."""
    if not prediction.is_answered:
        return "Not classified yet"
    if prediction.error:
        return prediction.error
    if prediction.unsure:
        return f"Not sure · perhaps {one_line(prediction.label)}, {format_percent(prediction.probability)}"
    return f"{one_line(prediction.label)} · {format_percent(prediction.probability)}"


class _PredictionModel(QAbstractListModel):
    def __init__(self, parent: QObject) -> None:
        super().__init__(parent)
        self.items: list[Prediction] = []
        self._shown: list[int] = []
        self._which: Which | str = Which.ALL
        self._order = Order.GIVEN

    def add(self, predictions: Sequence[Prediction]) -> None:
        first = len(self.items)
        self.items.extend(predictions)
        if self._order is not Order.GIVEN:
            self.arrange(self._which, self._order)
        elif added := [place for place in range(first, len(self.items)) if self._is_wanted(self.items[place])]:
            self.beginInsertRows(QModelIndex(), len(self._shown), len(self._shown) + len(added) - 1)
            self._shown += added
            self.endInsertRows()

    def renew(self, predictions: Mapping[int, Prediction]) -> None:
        for place, prediction in predictions.items():
            self.items[place] = prediction
        if self._which is Which.ALL and self._order is Order.GIVEN:  # each is in the row of its number
            self.dataChanged.emit(self.index(min(predictions)), self.index(max(predictions)))
        else:
            self.arrange(self._which, self._order)

    def arrange(self, which: Which | str, order: Order) -> None:
        self._which, self._order = which, order
        self.beginResetModel()
        self._shown = [place for place, item in enumerate(self.items) if self._is_wanted(item)]
        if order is not Order.GIVEN:
            direction = 1 if order is Order.LEAST_SURE else -1
            self._shown.sort(key=lambda place: direction * self.items[place].probability)
        self.endResetModel()

    def _is_wanted(self, item: Prediction) -> bool:
        match self._which:
            case Which.ALL:
                return True
            case Which.UNSURE:
                return item.unsure
            case Which.UNREADABLE:
                return bool(item.error)
        return item.label == self._which

    def at(self, row: int) -> Prediction:
        return self.items[self._shown[row]]

    def clear(self) -> None:
        self.items = []
        self.arrange(self._which, self._order)

    def rowCount(self, parent: Index = _ROOT) -> int:
        return 0 if parent.isValid() else len(self._shown)

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        if not index.isValid():
            return None
        item = self.at(index.row())
        match role:
            case Qt.ItemDataRole.DisplayRole | Qt.ItemDataRole.AccessibleTextRole:
                return f"{one_line(item.path.name)}: {prediction_text(item)}"
            case Qt.ItemDataRole.ToolTipRole:
                ranked = [f"{one_line(name)}  {format_percent(value)}" for name, value in item.ranked[:10]]
                if item.unsure:
                    ranked.insert(0, "Not sure: the most likely class is less likely than the model's threshold.")
                return printable_lines(
                    "\n".join((one_line(str(item.path)), *(ranked if not item.error else (item.error,))))
                )
            case Qt.ItemDataRole.UserRole:
                return item
        return None


class PredictionList(TileView):
    """Pictures with their most likely class in words and bars for the first few; unreadable files among them.

    Copy takes the selected lines as text: path, class, probability.
    """

    image_activated = Signal(object)
    """The path of an image that was double-clicked or chosen with Enter."""

    def __init__(self, parent: QWidget | None = None, *, decode: Decode = decode_picture) -> None:
        self._line = QFontMetrics(theme.text_font(theme.TextSize.BODY)).height()
        small = QFontMetrics(theme.text_font(theme.TextSize.SMALL)).height()
        title = QFontMetrics(theme.text_font(theme.TextSize.TITLE, bold=True)).height()
        inner = max(96, title + small + BARS * (self._line + 2) + theme.SPACE)
        super().__init__(
            QSize(_LEAST_WIDTH, inner + theme.SPACE_2 + theme.SPACE), stretch=True, columns=3, parent=parent
        )
        self._edge = inner
        self._items = _PredictionModel(self)
        self.loader = ThumbnailLoader(round(inner * self.devicePixelRatioF()), decode=decode, parent=self)
        self.loader.ready.connect(self._on_ready)
        self.setItemDelegate(_PredictionDelegate(self.loader, inner, self))
        self.setModel(self._items)
        self.setSelectionMode(QAbstractItemView.SelectionMode.ExtendedSelection)
        self.setAccessibleName("Predictions")
        self.activated.connect(self._on_activated)

    def add_predictions(self, predictions: Iterable[Prediction]) -> None:
        """Add results at the end; the view follows when its end is in sight."""
        bar = self.verticalScrollBar()
        at_end = bar.value() >= bar.maximum() - theme.SPACE
        self._items.add(list(predictions))
        if at_end:
            bar.setValue(bar.maximum())

    def renew_predictions(self, predictions: Mapping[int, Prediction]) -> None:
        """Show other results in the rows of these numbers; the view stays where it is."""
        self._items.renew(predictions)

    def arrange(self, which: Which | str, order: Order) -> None:
        """Show the results of a kind, or of the class of that name, in an order."""
        self._items.arrange(which, order)

    def clear(self) -> None:
        """Forget every result."""
        self._items.clear()
        self.loader.clear()

    def predictions(self) -> list[Prediction]:
        """Every result, in the order they came, shown or not."""
        return list(self._items.items)

    def close_loader(self) -> None:
        """End the threads; also happens by itself when the widget is destroyed or the application ends."""
        self.loader.close()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Copy the selected results."""
        if event.matches(QKeySequence.StandardKey.Copy):
            self.copy_selected()
            return
        super().keyPressEvent(event)

    def copy_selected(self) -> None:
        """Put the selected results on the clipboard: path, class and probability (0–1) with tabs between."""
        rows = sorted(index.row() for index in self.selectionModel().selectedIndexes())
        lines = []
        for row in rows:
            item = self._items.at(row)
            answer = item.error or f"{item.answer}\t{item.probability:.4f}"
            lines.append(f"{item.path}\t{answer}")
        if lines:
            QApplication.clipboard().setText("\n".join(lines))

    def paintEvent(self, event: QPaintEvent) -> None:
        """Ask for the pictures on screen, then paint."""
        self.loader.set_edge(round(self._edge * self.devicePixelRatioF()))
        shown = [self._items.at(row) for row in self.visible_rows()]
        self.loader.want([item.path for item in shown if not item.error])
        super().paintEvent(event)

    @Slot(object)
    def _on_ready(self, path: Path) -> None:
        for row in self.visible_rows():
            if self._items.at(row).path == path:
                self.viewport().update(self._rect(row))

    @Slot(QModelIndex)
    def _on_activated(self, index: QModelIndex) -> None:
        self.image_activated.emit(self._items.at(index.row()).path)


class _PredictionDelegate(QStyledItemDelegate):
    def __init__(self, loader: ThumbnailLoader, edge: int, parent: QObject) -> None:
        super().__init__(parent)
        self._loader = loader
        self._edge = edge

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: Index) -> None:
        """Paint one card: the picture, then file name, answer and bars beside it."""
        item: Prediction = index.data(_PREDICTION_ROLE)
        right_to_left = option.direction == Qt.LayoutDirection.RightToLeft
        rect: QRect = option.rect.adjusted(2, 2, -2, -2)
        paint_tile(painter, option, rect)
        inner = rect.adjusted(theme.SPACE, theme.SPACE, -theme.SPACE, -theme.SPACE)
        picture = QRect(inner.topLeft(), QSize(self._edge, self._edge))
        text = inner.adjusted(self._edge + theme.SPACE_2, 0, 0, 0)
        if right_to_left:
            picture.moveRight(inner.right())
            text = inner.adjusted(0, 0, -self._edge - theme.SPACE_2, 0)
        paint_picture(painter, picture, QPixmap() if item.error else self._loader.pixmap(item.path))
        if item.error:
            self._paint_error(painter, text, item)
        else:
            self._paint_answer(painter, text, item, right_to_left=right_to_left)

    def _paint_name(self, painter: QPainter, text: QRect, item: Prediction) -> int:
        painter.setFont(theme.text_font(theme.TextSize.SMALL))
        height = painter.fontMetrics().height()
        line = QRect(text.left(), text.top(), text.width(), height)
        draw_text(painter, line, item.path.name, theme.colours().muted, mode=Qt.TextElideMode.ElideMiddle)
        return text.top() + height

    def _paint_error(self, painter: QPainter, text: QRect, item: Prediction) -> None:
        top = self._paint_name(painter, text, item) + theme.SPACE_HALF
        painter.setFont(theme.text_font(theme.TextSize.BODY))
        painter.setPen(QColor(theme.colours().error))
        room = QRect(text.left(), top, text.width(), text.bottom() - top)
        painter.drawText(room, int(Qt.TextFlag.TextWordWrap | Qt.AlignmentFlag.AlignLeading), item.error)

    def _paint_answer(self, painter: QPainter, text: QRect, item: Prediction, *, right_to_left: bool) -> None:
        colour = theme.colours()
        top = self._paint_name(painter, text, item)
        painter.setFont(theme.text_font(theme.TextSize.TITLE, bold=True))
        height = painter.fontMetrics().height()
        answer = "Not sure" if item.unsure else prediction_text(item)
        tone = colour.warning if item.unsure else colour.text if item.is_answered else colour.muted
        draw_text(painter, QRect(text.left(), top, text.width(), height), answer, tone)
        top += height + theme.SPACE_HALF
        painter.setFont(theme.text_font(theme.TextSize.BODY))
        metrics = painter.fontMetrics()
        number_width = metrics.horizontalAdvance(">99 %") + 4
        name_width = text.width() * 38 // 100
        for place, (name, probability) in enumerate(item.ranked[:BARS]):
            line = QRect(text.left(), top + place * (metrics.height() + 2), text.width(), metrics.height())
            parts = [
                QRect(line.left(), line.top(), name_width, line.height()),
                QRect(line.right() - number_width, line.top(), number_width + 1, line.height()),
                line.adjusted(name_width + theme.SPACE, 0, -number_width - theme.SPACE, 0),
            ]
            if right_to_left:
                parts = [QRect(line.left() + line.right() - p.right(), p.top(), p.width(), p.height()) for p in parts]
            first = place == 0 and not item.unsure
            draw_text(painter, parts[0], name, colour.text if first else colour.muted)
            draw_text(
                painter,
                parts[1],
                format_percent(probability),
                colour.text if first else colour.muted,
                Qt.AlignmentFlag.AlignTrailing | Qt.AlignmentFlag.AlignVCenter,
            )
            bar_colour = colour.accent if first else colour.outline
            paint_bar(painter, parts[2], probability, colour=bar_colour, right_to_left=right_to_left)
