"""A few pictures as the network will see them: at its size, made to fit in the way chosen, in grey if it sees grey."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from PySide6.QtCore import QRect, QSize, Slot
from PySide6.QtGui import QPainter, QPaintEvent
from PySide6.QtWidgets import QSizePolicy, QWidget

from cnn_studio.core.experiment.settings import Colour, ImageSettings
from cnn_studio.gui.look import theme
from cnn_studio.gui.widgets.thumbnail_grid import paint_picture
from cnn_studio.gui.widgets.thumbnail_loader import ThumbnailLoader

_EDGE = 88
_LUMA = (0.299, 0.587, 0.114)
"""Weights of red, green and blue in brightness (ITU-R BT.601), as Keras's grey has them."""


class FitPreview(QWidget):
    """Pictures side by side, decoded off the GUI thread; small ones are enlarged with their pixels visible."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._paths: tuple[Path, ...] = ()
        self._settings = ImageSettings()
        self.loader = ThumbnailLoader(_EDGE, decode=self._decode, parent=self)
        self.loader.ready.connect(self._on_ready)
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Fixed)
        self.setAccessibleName("Preview of the pictures as the network sees them")
        theme.theme().theme_changed.connect(self.update)

    def show_pictures(self, paths: Sequence[Path], settings: ImageSettings) -> None:
        """Show these files as the settings say."""
        if settings != self._settings:
            self._settings = settings
            self.loader.clear()
        self._paths = tuple(paths)
        self.loader.want(self._paths)
        self.update()

    def sizeHint(self) -> QSize:
        """Room for three."""
        return QSize(3 * _EDGE + 2 * theme.SPACE, _EDGE)

    def is_complete(self) -> bool:
        """Whether every picture is there."""
        return all(self.loader.pixmap(path) is not None for path in self._paths)

    def _decode(self, path: Path, edge: int) -> Any:  # noqa: ARG002 -- the network's size counts, not the screen's
        """On the loader's thread; what was decoded with settings that have changed meanwhile is thrown away there."""
        import numpy as np

        from cnn_studio.core.image.decoder import read_image

        settings = self._settings
        pixels = read_image(path, settings.height, settings.width, settings.fit)
        if settings.colour is Colour.GREY:
            grey = np.rint(pixels @ np.array(_LUMA)).astype(np.uint8)
            pixels = np.repeat(grey[..., None], 3, axis=2)
        return pixels

    @Slot(object)
    def _on_ready(self, path: Path) -> None:  # noqa: ARG002 -- all of it is small
        self.update()

    def paintEvent(self, event: QPaintEvent) -> None:  # noqa: ARG002 -- Qt's signature
        """Paint the pictures in a row."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        for place, path in enumerate(self._paths):
            left = place * (_EDGE + theme.SPACE)
            x = self.width() - left - _EDGE if self.isRightToLeft() else left
            paint_picture(painter, QRect(x, 0, _EDGE, _EDGE), self.loader.pixmap(path))
