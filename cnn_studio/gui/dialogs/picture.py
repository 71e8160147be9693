"""One picture, large, with the file's facts; the arrow keys go to its neighbours."""

from __future__ import annotations

from collections.abc import Container, Sequence
from functools import partial
from pathlib import Path

from PySide6.QtCore import QRect, QSize, Qt, Signal, Slot
from PySide6.QtGui import QImage, QKeySequence, QPainter, QPaintEvent, QPixmap, QResizeEvent, QShortcut
from PySide6.QtWidgets import QDialog, QHBoxLayout, QPushButton, QVBoxLayout, QWidget

from cnn_studio.core.text import printable
from cnn_studio.gui.jobs.latest_answer import LatestAnswer
from cnn_studio.gui.look import theme
from cnn_studio.gui.look.wording import format_size
from cnn_studio.gui.widgets.elided_label import ElidedLabel
from cnn_studio.gui.widgets.thumbnail_loader import ThumbnailLoader
from cnn_studio.gui.widgets.tile_view import one_line

LARGEST = 1600
_FAINT = 0.3
_PAGE = 10


class PictureDialog(QDialog):
    """Shows ``pictures`` (file, caption) one at a time, beginning with ``current``: a file, or a place among them."""

    shown = Signal(int)
    """The place of the picture that is shown now."""

    def __init__(self, pictures: Sequence[tuple[Path, str]], current: Path | int, parent: QWidget) -> None:
        super().__init__(parent)
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self._pictures = pictures
        self._place = (
            current
            if isinstance(current, int)
            else next(place for place, (path, _) in enumerate(pictures) if path == current)
        )
        self._loader = ThumbnailLoader(LARGEST, parent=self)
        self._loader.ready.connect(self._on_ready)
        self._file_facts = LatestAnswer(self)
        self._file_facts.answered.connect(self._show_facts)
        self.canvas = _Canvas()
        self.caption = ElidedLabel()
        theme.set_text_size(self.caption, theme.TextSize.BODY, bold=True)
        self.facts = ElidedLabel(mode=Qt.TextElideMode.ElideMiddle)
        theme.set_muted(self.facts)
        self.previous = QPushButton("Previous")
        self.previous.setShortcut(Qt.Key.Key_Left)
        self.previous.setToolTip("The picture before (←). Page Up goes ten back, Home to the first.")
        self.previous.clicked.connect(lambda: self.go(-1))
        self.next = QPushButton("Next")
        self.next.setShortcut(Qt.Key.Key_Right)
        self.next.setToolTip("The next picture (→). Page Down goes ten on, End to the last.")
        self.next.clicked.connect(lambda: self.go(1))
        close = QPushButton("Close")
        close.clicked.connect(self.accept)
        self.words = QVBoxLayout()
        self.words.setSpacing(0)
        self.words.addWidget(self.caption)
        self.words.addWidget(self.facts)
        self.buttons = QHBoxLayout()
        self.buttons.setSpacing(theme.SPACE)
        self.buttons.addStretch(1)
        for button in (self.previous, self.next, close):
            button.setAutoDefault(False)
            self.buttons.addWidget(button)
        for key, steps in (
            (Qt.Key.Key_PageUp, -_PAGE),
            (Qt.Key.Key_PageDown, _PAGE),
            (Qt.Key.Key_Home, -len(pictures)),
            (Qt.Key.Key_End, len(pictures)),
        ):
            QShortcut(QKeySequence(key), self).activated.connect(lambda steps=steps: self.go(steps))
        self.body = QHBoxLayout()
        self.body.setSpacing(theme.SPACE_2)
        self.body.addWidget(self.canvas, 1)
        layout = QVBoxLayout(self)
        layout.addLayout(self.body, 1)
        layout.addLayout(self.words)
        layout.addLayout(self.buttons)
        self.resize(900, 680)
        self.go(0)

    def place(self) -> int:
        """Which of the pictures is shown."""
        return self._place

    def path(self) -> Path:
        """The file shown."""
        return self._pictures[self._place][0]

    def name(self) -> str:
        """What to call the file shown."""
        return printable(self.path().name)

    def go(self, steps: int) -> None:
        """Show the picture so many places on; stays at the ends."""
        self._place = min(max(self._place + steps, 0), len(self._pictures) - 1)
        path, caption = self._pictures[self._place]
        self.setWindowTitle(f"{printable(path.name)} — {self._place + 1:,} of {len(self._pictures):,}")
        self.caption.setText(one_line(caption))
        self.facts.setText(self.name())
        self.facts.setToolTip(printable(str(path)))
        self._file_facts.ask(partial(_facts, path))
        self.previous.setEnabled(self._place > 0)
        self.next.setEnabled(self._place < len(self._pictures) - 1)
        self._loader.want([path])
        self.canvas.show_picture(self._loader.pixmap(path))
        self.shown.emit(self._place)

    @Slot(object)
    def renew(self, places: Container[int]) -> None:
        """Look again at the picture shown if it is among these, of which something else is known now."""
        if self._place in places:
            self.go(0)

    @Slot(object)
    def _show_facts(self, facts: str) -> None:
        self.facts.setText(f"{self.name()} · {facts}")

    @Slot(object)
    def _on_ready(self, path: Path) -> None:
        if path == self.path():
            self.canvas.show_picture(self._loader.pixmap(path))


def _facts(path: Path) -> str:
    """Size in pixels, format, and size on disk, from the file's header."""
    from cnn_studio.core.image.decoder import ImageError, probe_image

    try:
        found = probe_image(path)
        return f"{found.width} × {found.height} pixels · {found.format} · {format_size(path.stat().st_size)}"
    except ImageError as error:
        return error.message
    except OSError:
        return "no longer there"


class _Canvas(QWidget):
    """A picture as large as fits, never enlarged more than four times, where pixels begin to show."""

    def __init__(self) -> None:
        super().__init__()
        self._picture: QPixmap | None = None
        self._shown: QPixmap | None = None
        self._grey: QPixmap | None = None
        self._over: QPixmap | None = None
        self._opacity = 0.0
        self._faint = False
        self.setMinimumSize(320, 240)

    def set_faint(self, faint: bool) -> None:
        """Show the picture as if it were not there, or as it is."""
        self._faint = faint
        self.update()

    def show_picture(self, picture: QPixmap | None) -> None:
        """Show a picture; None while it is being loaded, a null one when it cannot be read."""
        if picture is not None or self._picture is None:
            self._picture = picture
            self._scale()
            self.update()

    def lay_over(self, over: QPixmap | None, opacity: float) -> None:
        """Draw another picture, transparent where it says nothing, stretched over this one; None for nothing.

        Below it this one is grey: the yellow of a daisy is not to be taken for what the other one says.
        """
        self._over, self._opacity = over, opacity
        self.update()

    def _scale(self) -> None:
        self._shown = self._grey = None
        if self._picture is not None and not self._picture.isNull():
            ratio = self.devicePixelRatioF()
            room = self.size() * ratio
            size = self._picture.size().scaled(
                room.boundedTo(self._picture.size() * 4), Qt.AspectRatioMode.KeepAspectRatio
            )
            self._shown = self._picture.scaled(
                size, Qt.AspectRatioMode.KeepAspectRatio, Qt.TransformationMode.SmoothTransformation
            )
            self._shown.setDevicePixelRatio(ratio)

    def _in_grey(self, shown: QPixmap) -> QPixmap:
        if self._grey is None:
            self._grey = QPixmap.fromImage(shown.toImage().convertToFormat(QImage.Format.Format_Grayscale8))
            self._grey.setDevicePixelRatio(shown.devicePixelRatio())
        return self._grey

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Fit the picture anew."""
        super().resizeEvent(event)
        self._scale()

    def paintEvent(self, event: QPaintEvent) -> None:  # noqa: ARG002 -- Qt's signature
        """Paint the picture in the middle, or why there is none."""
        painter = QPainter(self)
        if self._shown is not None:
            size = QSize(
                round(self._shown.deviceIndependentSize().width()), round(self._shown.deviceIndependentSize().height())
            )
            place = QRect((self.width() - size.width()) // 2, (self.height() - size.height()) // 2, *size.toTuple())
            covered = self._over is not None and self._opacity > 0
            painter.setOpacity(_FAINT if self._faint else 1.0)
            painter.drawPixmap(place.topLeft(), self._in_grey(self._shown) if covered else self._shown)
            if self._over is not None:
                painter.setOpacity(self._opacity)
                painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
                painter.drawPixmap(place, self._over)
        elif self._picture is not None:
            painter.setPen(theme.colours().muted)
            painter.drawText(self.rect(), Qt.AlignmentFlag.AlignCenter, "This picture cannot be read.")
