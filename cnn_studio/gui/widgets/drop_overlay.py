"""A veil over the window that says what dropping the dragged files would do."""

from __future__ import annotations

from PySide6.QtCore import QEvent, QObject, QRect, Qt
from PySide6.QtGui import QColor, QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QWidget

from cnn_studio.gui.look import theme

_ICON_EDGE = 48


class DropOverlay(QWidget):
    """Covers its parent while shown and lets every event through to it, the drag's as well."""

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self._covered = parent
        self._text = ""
        self.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
        self.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        parent.installEventFilter(self)
        self.hide()

    def show_text(self, text: str) -> None:
        """Appear with a sentence such as "Drop to classify 3 images"."""
        self._text = text
        self.setAccessibleName(text)
        self.setGeometry(self._covered.rect())
        self.raise_()
        self.show()
        self.update()

    def text(self) -> str:
        """What it says."""
        return self._text

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Keep covering the parent when that is resized."""
        if event.type() is QEvent.Type.Resize and watched is self._covered:
            self.setGeometry(self._covered.rect())
        return False

    def paintEvent(self, event: QPaintEvent) -> None:  # noqa: ARG002 -- Qt's signature
        """Paint the veil, a dashed frame, the icon and the sentence."""
        colour = theme.colours()
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        veil = QColor(colour.background)
        veil.setAlphaF(0.8)
        painter.fillRect(self.rect(), veil)
        frame = self.rect().adjusted(theme.SPACE_2, theme.SPACE_2, -theme.SPACE_2, -theme.SPACE_2)
        painter.setPen(QPen(QColor(colour.accent), 2, Qt.PenStyle.DashLine))
        painter.drawRoundedRect(frame, theme.RADIUS, theme.RADIUS)
        centre = self.rect().center()
        icon = theme.icon_pixmap("drop", _ICON_EDGE, self.devicePixelRatioF(), colour.accent)
        painter.drawPixmap(centre.x() - _ICON_EDGE // 2, centre.y() - _ICON_EDGE - theme.SPACE, icon)
        painter.setFont(theme.text_font(theme.TextSize.TITLE, bold=True))
        painter.setPen(QColor(colour.text))
        room = QRect(frame.left() + theme.SPACE_2, centre.y(), frame.width() - 2 * theme.SPACE_2, frame.height() // 2)
        painter.drawText(room, int(Qt.AlignmentFlag.AlignHCenter | Qt.TextFlag.TextWordWrap), self._text)
