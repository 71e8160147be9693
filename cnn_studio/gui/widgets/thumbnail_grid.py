"""A grid of pictures that stays smooth with 100,000 of them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from PySide6.QtCore import QAbstractListModel, QModelIndex, QObject, QRect, QSize, Qt, Signal, Slot
from PySide6.QtGui import QColor, QFontMetrics, QPainter, QPaintEvent, QPixmap
from PySide6.QtWidgets import QStyledItemDelegate, QStyleOptionViewItem, QWidget

from cnn_studio.gui import theme
from cnn_studio.gui.widgets.thumbnail_loader import Decode, ThumbnailLoader, decode_picture
from cnn_studio.gui.widgets.tile_view import Index, TileView, draw_text, one_line, paint_tile

PATH_ROLE = Qt.ItemDataRole.UserRole
PICTURE_EDGE = 112
"""Longest side of a tile's picture, in device-independent pixels."""

_NO_IMAGES: Sequence[tuple[Path, str]] = ()
_ROOT = QModelIndex()


class ThumbnailModel(QAbstractListModel):
    """Files with captions. It keeps the sequence it is given and makes nothing per item: a lazy one will do."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._images = _NO_IMAGES

    def set_images(self, images: Sequence[tuple[Path, str]]) -> None:
        """Show these (file, caption) pairs; the sequence must not change afterwards."""
        self.beginResetModel()
        self._images = images
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
            case Qt.ItemDataRole.DisplayRole | Qt.ItemDataRole.AccessibleTextRole:
                return one_line(caption)
            case Qt.ItemDataRole.ToolTipRole:
                return f"{one_line(caption)}\n{one_line(str(path))}"
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

    image_selected = Signal(object)
    """The path of the image that became current, or None."""

    def __init__(
        self, parent: QWidget | None = None, *, edge: int = PICTURE_EDGE, decode: Decode = decode_picture
    ) -> None:
        caption = QFontMetrics(theme.text_font(theme.TextSize.SMALL)).height()
        tile = QSize(edge + theme.SPACE_2, edge + theme.SPACE_2 + theme.SPACE_HALF + caption)
        super().__init__(tile, stretch=False, parent=parent)
        self._edge = edge
        self._images = ThumbnailModel(self)
        self.loader = ThumbnailLoader(self._device_edge(), decode=decode, parent=self)
        self.loader.ready.connect(self._on_ready)
        self.setItemDelegate(_ThumbnailDelegate(self.loader, edge, self))
        self.setModel(self._images)
        self.setAccessibleName("Images")
        self.activated.connect(self._on_activated)
        self.selectionModel().currentChanged.connect(self._on_current)

    def set_images(self, images: Sequence[tuple[Path, str]]) -> None:
        """Show these (file, caption) pairs, from the top; pictures already made are kept."""
        self.loader.want(())
        self._images.set_images(images)
        self.verticalScrollBar().setValue(0)

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
        self.image_activated.emit(self._images.path_at(index.row()))

    @Slot(QModelIndex, QModelIndex)
    def _on_current(self, current: QModelIndex) -> None:
        self.image_selected.emit(self._images.path_at(current.row()) if current.isValid() else None)


class _ThumbnailDelegate(QStyledItemDelegate):
    def __init__(self, loader: ThumbnailLoader, edge: int, parent: QObject) -> None:
        super().__init__(parent)
        self._loader = loader
        self._edge = edge

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: Index) -> None:
        """Paint one tile: background, picture, caption."""
        rect: QRect = option.rect.adjusted(2, 2, -2, -2)
        paint_tile(painter, option, rect)
        room = QRect(rect.center().x() - self._edge // 2, rect.top() + theme.SPACE_HALF + 2, self._edge, self._edge)
        paint_picture(painter, room, self._loader.pixmap(index.data(PATH_ROLE)))
        painter.setFont(theme.text_font(theme.TextSize.SMALL))
        below = QRect(room.left(), room.bottom() + 1, room.width(), rect.bottom() - room.bottom() - 2)
        draw_text(
            painter,
            below,
            index.data(),
            theme.colours().text,
            Qt.AlignmentFlag.AlignCenter,
            Qt.TextElideMode.ElideMiddle,
        )


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
