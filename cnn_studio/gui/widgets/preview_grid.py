"""A picture beside what augmentation makes of it, nine times."""

from __future__ import annotations

from typing import Any

from PySide6.QtCore import QRectF, QSize, Qt
from PySide6.QtGui import QColor, QImage, QPainter, QPaintEvent
from PySide6.QtWidgets import QSizePolicy, QWidget

from cnn_studio.gui.look import theme
from cnn_studio.gui.widgets.thumbnail_loader import image_from_array

COLUMNS = 3
_GAP = theme.SPACE
_LEAST_TILE = 72


class PreviewGrid(QWidget):
    """Paints the original on the left and the results in a grid of three columns beside it, as large as fits."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._original: QImage | None = None
        self._results: list[QImage] = []
        self._captions: list[str] = []
        self._said = ""
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        self.setAccessibleName("Preview of the augmentation")
        theme.theme().theme_changed.connect(self.update)

    def sizeHint(self) -> QSize:
        """Room for tiles one can see something on."""
        return QSize((1 + COLUMNS) * 140, COLUMNS * 140)

    def minimumSizeHint(self) -> QSize:
        """Small, but not nothing."""
        return QSize((1 + COLUMNS) * _LEAST_TILE, COLUMNS * _LEAST_TILE)

    def show_images(self, original: Any, changed: Any, captions: list[str]) -> None:
        """Show uint8 arrays (height, width, 3) and (count, height, width, 3); a caption for each of these, or ""."""
        self._original = image_from_array(original)
        self._results = [image_from_array(each) for each in changed]
        self._captions = captions
        self._said = ""
        self.update()

    def say(self, text: str) -> None:
        """Show a sentence in place of pictures."""
        self._original, self._results, self._said = None, [], text
        self.update()

    def results(self) -> list[QImage]:
        """The pictures shown beside the original."""
        return self._results

    def paintEvent(self, event: QPaintEvent) -> None:  # noqa: ARG002 -- everything is painted
        """Paint tiles, or the sentence."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
        if self._original is None:
            painter.setPen(QColor(theme.colours().muted))
            flags = Qt.AlignmentFlag.AlignCenter | Qt.TextFlag.TextWordWrap
            painter.drawText(QRectF(self.rect()), int(flags), self._said)
            return
        rows = -(-len(self._results) // COLUMNS)
        aspect = self._original.width() / max(1, self._original.height())
        across = (self.width() - (COLUMNS + 1) * _GAP) / (COLUMNS + 1)
        width = min(across, aspect * (self.height() - (rows - 1) * _GAP) / max(1, rows))
        height = width / aspect
        painter.setFont(theme.text_font(theme.TextSize.SMALL))
        first = QRectF(0, 0, width, height)
        painter.drawImage(first, self._original)
        painter.setPen(QColor(theme.colours().muted))
        below = QRectF(0, first.bottom() + 2, width, painter.fontMetrics().height() + 2)
        painter.drawText(below, Qt.AlignmentFlag.AlignLeft, "As it is")
        left = first.right() + 2 * _GAP
        for number, image in enumerate(self._results):
            row, column = divmod(number, COLUMNS)
            tile = QRectF(left + column * (width + _GAP), row * (height + _GAP), width, height)
            painter.drawImage(tile, image)
            if self._captions[number]:
                self._caption(painter, tile, self._captions[number])

    def _caption(self, painter: QPainter, tile: QRectF, text: str) -> None:
        colours, metrics = theme.colours(), painter.fontMetrics()
        line = metrics.height()
        band = QRectF(tile.left(), tile.bottom() - line - 2, tile.width(), line + 2)
        background = QColor(colours.background)
        background.setAlpha(215)
        painter.fillRect(band, background)
        painter.setPen(QColor(colours.text))
        shown = metrics.elidedText(text, Qt.TextElideMode.ElideRight, int(tile.width()))
        painter.drawText(band, Qt.AlignmentFlag.AlignCenter, shown)
