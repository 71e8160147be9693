"""A grid of measured images: what each shows, and what the model took it for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from PySide6.QtCore import QObject, QPoint, QRect, QSize, Qt, Signal, Slot
from PySide6.QtGui import QFontMetrics, QPainter
from PySide6.QtWidgets import QStyledItemDelegate, QStyleOptionViewItem, QWidget

from cnn_studio.core.percent import format_percent
from cnn_studio.gui.look import theme
from cnn_studio.gui.widgets.lazy_list import LazyList
from cnn_studio.gui.widgets.thumbnail_grid import PATH_ROLE, ThumbnailGrid, paint_picture
from cnn_studio.gui.widgets.thumbnail_loader import Decode, decode_picture
from cnn_studio.gui.widgets.tile_view import Index, draw_text, one_line, paint_tile

EDGE = 120


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a model said of one image whose class is known.

    Attributes:
        path: the image.
        true: name of its class.
        predicted: name of the class the model took it for.
        probability: which it gave that class, 0–1.
    """

    path: Path
    true: str
    predicted: str
    probability: float

    @property
    def right(self) -> bool:
        """Whether the model was right."""
        return self.true == self.predicted

    @property
    def sentence(self) -> str:
        """In words: ``rose · 97 %, but it is tulip``."""
        said = f"{one_line(self.predicted)} · {format_percent(self.probability)}"
        return f"{said}, rightly" if self.right else f"{said}, but it is {one_line(self.true)}"


class VerdictGrid(ThumbnailGrid):
    """Pictures with two lines below: the prediction with its probability, and the true class."""

    menu_wanted = Signal(list, QPoint)
    """Paths of the images selected, and where on the screen a menu for them belongs."""

    def __init__(self, parent: QWidget | None = None, *, decode: Decode = decode_picture) -> None:
        super().__init__(parent, edge=EDGE, decode=decode)
        self._verdicts: Sequence[Verdict] = ()
        self.setItemDelegate(_VerdictDelegate(self))
        self.setAccessibleName("Measured images")
        self.setContextMenuPolicy(Qt.ContextMenuPolicy.CustomContextMenu)
        self.customContextMenuRequested.connect(self._on_menu)
        self._fit()

    def set_verdicts(self, verdicts: Sequence[Verdict]) -> None:
        """Show these images, from the top."""
        self._verdicts = verdicts
        self.set_images(LazyList(len(verdicts), lambda row: (verdicts[row].path, verdicts[row].sentence)))
        self._fit()

    def verdicts(self) -> Sequence[Verdict]:
        """What is shown."""
        return self._verdicts

    def verdict_at(self, row: int) -> Verdict:
        """One of them."""
        return self._verdicts[row]

    def _fit(self) -> None:
        line = QFontMetrics(theme.text_font(theme.TextSize.SMALL)).height()
        self.set_tile_size(QSize(EDGE + theme.SPACE_3, EDGE + theme.SPACE_2 + theme.SPACE_HALF + 2 * line))

    @Slot(QPoint)
    def _on_menu(self, where: QPoint) -> None:
        rows = sorted(index.row() for index in self.selectionModel().selectedIndexes())
        if rows:
            self.menu_wanted.emit([self._verdicts[row].path for row in rows], self.viewport().mapToGlobal(where))


class _VerdictDelegate(QStyledItemDelegate):
    def __init__(self, grid: VerdictGrid) -> None:
        parent: QObject = grid
        super().__init__(parent)
        self._grid = grid

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: Index) -> None:
        """Paint one tile: picture, prediction, true class."""
        colour = theme.colours()
        verdict = self._grid.verdict_at(index.row())
        rect: QRect = option.rect.adjusted(2, 2, -2, -2)
        paint_tile(painter, option, rect)
        room = QRect(rect.center().x() - EDGE // 2, rect.top() + theme.SPACE_HALF + 2, EDGE, EDGE)
        paint_picture(painter, room, self._grid.loader.pixmap(index.data(PATH_ROLE)))
        painter.setFont(theme.text_font(theme.TextSize.SMALL, bold=True))
        line = painter.fontMetrics().height()
        centre = Qt.AlignmentFlag.AlignCenter
        below = QRect(rect.left() + 2, room.bottom() + 3, rect.width() - 4, line)
        share = format_percent(verdict.probability)
        width = painter.fontMetrics().horizontalAdvance(f" · {share}")
        name = painter.fontMetrics().elidedText(
            one_line(verdict.predicted), Qt.TextElideMode.ElideRight, below.width() - width
        )
        tone = colour.good if verdict.right else colour.error
        draw_text(painter, below, f"{name} · {share}", tone, centre)
        painter.setFont(theme.text_font(theme.TextSize.SMALL))
        truth = "rightly" if verdict.right else f"is {verdict.true}"
        draw_text(painter, below.translated(0, line), truth, colour.muted, centre, Qt.TextElideMode.ElideRight)
