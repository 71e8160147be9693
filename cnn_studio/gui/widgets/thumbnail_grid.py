"""A grid of pictures that stays smooth with 100,000 of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PySide6.QtCore import QAbstractListModel, QModelIndex, QObject, QRect, QSize, Qt, Signal, Slot
from PySide6.QtGui import QColor, QFontMetrics, QPainter, QPaintEvent, QPixmap
from PySide6.QtWidgets import QAbstractItemView, QStyle, QStyledItemDelegate, QStyleOptionViewItem, QWidget

from cnn_studio.core.text import printable_lines
from cnn_studio.gui.look import theme
from cnn_studio.gui.widgets.thumbnail_loader import Decode, ThumbnailLoader, decode_picture
from cnn_studio.gui.widgets.tile_view import Index, TileView, draw_text, one_line, paint_tile

PATH_ROLE = Qt.ItemDataRole.UserRole
PICTURE_EDGE = 112
"""Longest side of a tile's picture, in device-independent pixels."""

_FAINT = 0.3
_BADGE_EDGE = 22

_NO_IMAGES: Sequence[tuple[Path, str]] = ()
_ROOT = QModelIndex()


@dataclass(frozen=True, slots=True)
class TileMark:
    """What sets one tile apart from the others.

    Attributes:
        badge: name of an icon over the picture's corner; "" for none.
        faint: whether the picture is shown as if it were not there.
        banded: whether the tile lies on another ground, so that neighbouring groups are told apart.
        note: a second line below the caption.
    """

    badge: str = ""
    faint: bool = False
    banded: bool = False
    note: str = ""


PLAIN = TileMark()
Marks = Callable[[int], TileMark]
"""Row -> its mark. Asked for each tile while it is painted, so it must answer at once."""


def no_marks(row: int) -> TileMark:  # noqa: ARG001 -- the shape of Marks
    """Every tile is like the others."""
    return PLAIN


class ThumbnailModel(QAbstractListModel):
    """Files with captions. It keeps the sequence it is given and makes nothing per item: a lazy one will do."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._images = _NO_IMAGES
        self.mark_at: Marks = no_marks

    def set_images(self, images: Sequence[tuple[Path, str]], marks: Marks = no_marks) -> None:
        """Show these (file, caption) pairs; the sequence must not get longer or shorter afterwards."""
        self.beginResetModel()
        self._images, self.mark_at = images, marks
        self.endResetModel()

    def rowCount(self, parent: Index = _ROOT) -> int:
        """How many images."""
        return 0 if parent.isValid() else len(self._images)

    def path_at(self, row: int) -> Path:
        """The file in a row."""
        return self._images[row][0]

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """Caption, tool tip or path of one image."""
        if not index.isValid():
            return None
        path, caption = self._images[index.row()]
        match role:
            case Qt.ItemDataRole.DisplayRole:
                return one_line(caption)
            case Qt.ItemDataRole.AccessibleTextRole:
                return one_line(", ".join(filter(None, (caption, self.mark_at(index.row()).note))))
            case Qt.ItemDataRole.ToolTipRole:
                lines = (caption, self.mark_at(index.row()).note, str(path))
                return printable_lines("\n".join(one_line(line) for line in lines if line))
            case Qt.ItemDataRole.UserRole:
                return path
        return None


class ThumbnailGrid(TileView):
    """Pictures with captions; each is decoded when it comes into view, off the GUI thread.

    Args:
        edge: longest side of a picture in device-independent pixels.
        decode: how a file becomes pixels.
        parent: the widget it lies in.
    """

    image_activated = Signal(object)
    """The path of an image that was double-clicked or chosen with Enter."""

    row_activated = Signal(int)
    """The same as its row."""

    image_selected = Signal(object)
    """The path of the image that became current, or None."""

    def __init__(
        self, parent: QWidget | None = None, *, edge: int = PICTURE_EDGE, decode: Decode = decode_picture
    ) -> None:
        super().__init__(_tile(edge, 1), stretch=False, parent=parent)
        self._edge = edge
        self._images = ThumbnailModel(self)
        self.loader = ThumbnailLoader(self._device_edge(), decode=decode, parent=self)
        self.loader.ready.connect(self._on_ready)
        self.setItemDelegate(_ThumbnailDelegate(self._images, self.loader, edge))
        self.setModel(self._images)
        self.setAccessibleName("Images")
        self.setSelectionMode(QAbstractItemView.SelectionMode.ExtendedSelection)
        self.activated.connect(self._on_activated)
        self.selectionModel().currentChanged.connect(self._on_current)

    def set_images(
        self, images: Sequence[tuple[Path, str]], marks: Marks = no_marks, *, caption_lines: int = 1
    ) -> None:
        """Show these (file, caption) pairs, from the top; pictures already made are kept.

        Args:
            images: may be made as they are asked for, and say another caption later (then call ``repaint_marks``).
            marks: what sets single tiles apart.
            caption_lines: 2 where marks have notes.
        """
        self.loader.want(())
        self._images.set_images(images, marks)
        self.set_tile_size(_tile(self._edge, caption_lines))
        self.verticalScrollBar().setValue(0)

    def repaint_marks(self) -> None:
        """Show marks and captions as they are now."""
        self.viewport().update()

    def selected_rows(self) -> list[int]:
        """Rows selected, ascending."""
        spread = self.selectionModel().selection()
        ranges = [spread.at(place) for place in range(spread.size())]
        return sorted(row for part in ranges for row in range(part.top(), part.bottom() + 1))

    def clear(self) -> None:
        """Show nothing, and forget the pictures."""
        self.set_images(_NO_IMAGES)
        self.loader.clear()

    def close_loader(self) -> None:
        """End the threads; also happens by itself when the widget is destroyed or the application ends."""
        self.loader.close()

    def visible_paths(self) -> list[Path]:
        """Files on screen."""
        return [self._images.path_at(row) for row in self.visible_rows()]

    def keyboardSearch(self, search: str) -> None:
        """Letters are for what a page does with pictures; looking for a caption would read 100,000 of them."""

    def paintEvent(self, event: QPaintEvent) -> None:
        """Ask for what is on screen, then paint."""
        self.loader.set_edge(self._device_edge())
        self.loader.want(self.visible_paths())
        super().paintEvent(event)

    def _device_edge(self) -> int:
        return round(self._edge * self.devicePixelRatioF())

    @Slot(object)
    def _on_ready(self, path: Path) -> None:
        for row in self.visible_rows():
            if self._images.path_at(row) == path:
                self.viewport().update(self._rect(row))

    @Slot(QModelIndex)
    def _on_activated(self, index: QModelIndex) -> None:
        self.row_activated.emit(index.row())
        self.image_activated.emit(self._images.path_at(index.row()))

    @Slot(QModelIndex, QModelIndex)
    def _on_current(self, current: QModelIndex) -> None:
        self.image_selected.emit(self._images.path_at(current.row()) if current.isValid() else None)


class _ThumbnailDelegate(QStyledItemDelegate):
    def __init__(self, images: ThumbnailModel, loader: ThumbnailLoader, edge: int) -> None:
        super().__init__(images)
        self._images = images
        self._loader = loader
        self._edge = edge

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: Index) -> None:
        """Paint one tile: background, picture, caption."""
        rect: QRect = option.rect.adjusted(2, 2, -2, -2)
        mark = self._images.mark_at(index.row())
        if mark.banded and not option.state & QStyle.StateFlag.State_Selected:
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(QColor(theme.colours().hover))
            painter.drawRoundedRect(rect, 6, 6)
        paint_tile(painter, option, rect)
        room = QRect(rect.center().x() - self._edge // 2, rect.top() + theme.SPACE_HALF + 2, self._edge, self._edge)
        painter.setOpacity(_FAINT if mark.faint else 1.0)
        paint_picture(painter, room, self._loader.pixmap(index.data(PATH_ROLE)))
        painter.setOpacity(1.0)
        if mark.badge:
            _paint_badge(painter, room, mark.badge)
        painter.setFont(theme.text_font(theme.TextSize.SMALL))
        line = QFontMetrics(painter.font()).height()
        below = QRect(rect.left() + 2, room.bottom() + 2, rect.width() - 4, line)
        colour = theme.colours()
        centre, middle = Qt.AlignmentFlag.AlignCenter, Qt.TextElideMode.ElideMiddle
        draw_text(painter, below, index.data(), colour.muted if mark.faint else colour.text, centre, middle)
        if mark.note:
            draw_text(painter, below.translated(0, line), mark.note, colour.muted, centre, middle)


def _tile(edge: int, caption_lines: int) -> QSize:
    line = QFontMetrics(theme.text_font(theme.TextSize.SMALL)).height()
    return QSize(edge + theme.SPACE_2, edge + theme.SPACE_2 + theme.SPACE_HALF + caption_lines * line)


def _paint_badge(painter: QPainter, room: QRect, name: str) -> None:
    """An icon on a disc over the upper right corner of a picture's room."""
    colour = theme.colours()
    disc = QRect(room.right() - _BADGE_EDGE + 5, room.top() - 3, _BADGE_EDGE, _BADGE_EDGE)
    painter.setPen(QColor(colour.outline))
    painter.setBrush(QColor(colour.surface))
    painter.drawEllipse(disc)
    icon = theme.icon_pixmap(name, _BADGE_EDGE - 6, painter.device().devicePixelRatioF())
    painter.drawPixmap(disc.left() + 3, disc.top() + 3, icon)


def paint_picture(painter: QPainter, room: QRect, pixmap: QPixmap | None) -> None:
    """Paint a thumbnail in the middle of ``room``; a plain tile while it is being made, a mark when it cannot be."""
    if pixmap is not None and not pixmap.isNull():
        ratio = min(room.width() / pixmap.width(), room.height() / pixmap.height())
        scale = painter.device().devicePixelRatioF()
        # Small pictures (28 pixels of Fashion-MNIST) are enlarged, with their pixels visible as they are.
        enlarged = ratio * scale > 1.5
        size = QSize(round(pixmap.width() * ratio), round(pixmap.height() * ratio)).expandedTo(QSize(1, 1))
        target = QRect(room.topLeft(), size)
        target.moveCenter(room.center())
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform, not enlarged)
        painter.drawPixmap(target, pixmap)
        return
    colour = theme.colours()
    painter.setPen(Qt.PenStyle.NoPen)
    painter.setBrush(QColor(colour.error_soft if pixmap is not None else colour.hover))
    painter.drawRoundedRect(room, 6, 6)
    if pixmap is not None:
        edge = min(32, room.width() // 2)
        mark = theme.icon_pixmap("broken", edge, painter.device().devicePixelRatioF(), colour.error)
        painter.drawPixmap(room.center().x() - edge // 2, room.center().y() - edge // 2, mark)
