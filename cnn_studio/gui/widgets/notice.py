"""Messages inside the window, where a message box would stop the user."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from PySide6.QtCore import QEvent, QObject, QPoint, QRect, QSize, Qt, Signal, Slot
from PySide6.QtWidgets import (
    QAbstractButton,
    QAbstractSpinBox,
    QApplication,
    QComboBox,
    QFrame,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QPlainTextEdit,
    QPushButton,
    QSizePolicy,
    QSlider,
    QStackedWidget,
    QTabBar,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from cnn_studio.gui.look import theme

_MOST_KEPT = 20
_KINDS = ("info", "warning", "error")
_CONTROLS = (QAbstractButton, QAbstractSpinBox, QComboBox, QLineEdit, QSlider, QTabBar)
"""What a message is not to lie over: who reads it may want to press just that."""

_LINE = 72
"""Letters of a line that is pleasant to read, about."""

Offer = tuple[str, Callable[[], object]]
"""A button's text, and what pressing it does."""


@dataclass(frozen=True, slots=True)
class _Shown:
    kind: str
    text: str
    details: str
    actions: tuple[Offer, ...] = field(compare=False)
    topic: str


class NoticeBar(QFrame):
    """One message with its actions. A warning or error that is not closed waits behind the newer one.

    It lies over the widget given to ``cover``, which is not moved by it, or in a layout like any other widget.
    """

    closed = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._notices: list[_Shown] = []
        self._covered: QWidget | None = None
        self._icon = QLabel()
        self._text = QLabel()
        self._text.setTextFormat(Qt.TextFormat.PlainText)
        self._text.setWordWrap(True)
        self._text.setTextInteractionFlags(
            Qt.TextInteractionFlag.TextSelectableByMouse | Qt.TextInteractionFlag.TextSelectableByKeyboard
        )
        self._text.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Preferred)
        self._more = QLabel()
        theme.set_text_size(self._more, theme.TextSize.SMALL)
        self._actions = QHBoxLayout()
        self._actions.setSpacing(theme.SPACE)
        self._buttons: list[QPushButton] = []
        self._details_button = QPushButton("&Details")
        self._details_button.setCheckable(True)
        self._details_button.toggled.connect(self._show_details)
        self._copy_button = QPushButton("Co&py")
        self._copy_button.setToolTip("Copy the message and its details, to paste them into a report")
        self._copy_button.clicked.connect(self._copy)
        self._close_button = QToolButton()
        self._close_button.setToolTip("Close this message")
        self._close_button.setAccessibleName("Close this message")
        self._close_button.clicked.connect(self.close_notice)
        theme.set_icon(self._close_button, "close")
        for button in (self._details_button, self._copy_button, self._close_button):
            theme.flat_button(button)
        self._details = QPlainTextEdit()
        self._details.setReadOnly(True)
        self._details.setAccessibleName("Details")
        self._details.setMaximumHeight(128)
        self._details.hide()
        line = QHBoxLayout()
        line.setSpacing(theme.SPACE)
        line.addWidget(self._icon, 0, Qt.AlignmentFlag.AlignVCenter)
        line.addWidget(self._text, 1)
        line.addWidget(self._more)
        line.addLayout(self._actions)
        for button in (self._copy_button, self._details_button, self._close_button):
            line.addWidget(button, 0, Qt.AlignmentFlag.AlignVCenter)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(theme.SPACE_2, theme.SPACE_HALF, theme.SPACE, theme.SPACE_HALF)
        layout.addLayout(line)
        layout.addWidget(self._details)
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Maximum)
        theme.theme().theme_changed.connect(self._style)
        self.hide()

    def cover(self, covered: QWidget) -> None:
        """Lie over a widget, as large as the message needs, and as high up as leaves its controls free."""
        self._covered = covered
        self.setParent(covered.parentWidget())
        covered.installEventFilter(self)
        if isinstance(covered, QStackedWidget):
            covered.currentChanged.connect(self._place)
        self.hide()

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Follow the covered widget."""
        if watched is self._covered and event.type() in {QEvent.Type.Resize, QEvent.Type.Move}:
            self._place()
        return False

    @Slot()
    def _place(self) -> None:
        if (covered := self._covered) is None or not self._notices:
            return
        letter = self._text.fontMetrics().averageCharWidth()
        text = min(self._text.fontMetrics().horizontalAdvance(self._notices[-1].text) + letter, _LINE * letter)
        layout = self.layout()
        assert layout is not None
        width = min(covered.width(), layout.totalMinimumSize().width() + text)
        room = covered.geometry()
        height = min(max(layout.totalHeightForWidth(width), layout.totalMinimumSize().height()), room.height())
        self.setGeometry(_free_place(covered, QSize(width, height)))
        self.raise_()

    def show_notice(
        self, kind: str, text: str, *, details: str = "", actions: Sequence[Offer] = (), topic: str = ""
    ) -> None:
        """Show a message.

        Args:
            kind: "info", "warning" or "error".
            text: what happened and what to do, a sentence or two.
            details: more, to copy for a report.
            actions: what can be done about it; doing it closes the message.
            topic: the state that it is about, for ``withdraw``.

        Raises:
            ValueError: ``kind`` is none of these.
        """
        if kind not in _KINDS:
            raise ValueError(f"kind must be one of {_KINDS}; it is {kind!r}.")
        notice = _Shown(str(kind), text, details, tuple(actions), topic)
        # Saying something again brings it to the front; news that asks for nothing gives way to newer news.
        kept = [earlier for earlier in self._notices if earlier != notice and earlier.kind != "info"]
        self._notices = [*kept[-_MOST_KEPT + 1 :], notice]
        self._show_latest()

    @Slot()
    def close_notice(self) -> None:
        """Close the message; an earlier warning or error that was not closed shows again."""
        if self._notices:
            self._notices.pop()
        self._show_rest()

    @Slot(str)
    def withdraw(self, topic: str) -> None:
        """Close every message about a state that has ended, wherever it stands in the row."""
        kept = [notice for notice in self._notices if notice.topic != topic]
        if len(kept) != len(self._notices):
            self._notices = kept
            self._show_rest()

    def _show_rest(self) -> None:
        if self._notices:
            self._show_latest()
        else:
            self.hide()
            self.closed.emit()

    def clear(self) -> None:
        """Close every message."""
        self._notices.clear()
        self.hide()

    def current_text(self) -> str:
        """The message shown, "" when there is none."""
        return self._notices[-1].text if self._notices else ""

    def current_kind(self) -> str:
        """Its kind, "" when there is none."""
        return self._notices[-1].kind if self._notices else ""

    def action_buttons(self) -> list[QPushButton]:
        """The buttons of its actions."""
        return list(self._buttons)

    def _show_latest(self) -> None:
        notice = self._notices[-1]
        self._text.setText(notice.text)
        waiting = len(self._notices) - 1
        self._more.setText(f"+{waiting} earlier")
        self._more.setVisible(waiting > 0)
        for button in self._buttons:
            self._actions.removeWidget(button)
            button.hide()
            button.deleteLater()
        self._buttons = []
        for text, do in notice.actions:
            button = QPushButton(text)
            button.clicked.connect(lambda _=False, do=do: self._act(do))
            self._actions.addWidget(button)
            self._buttons.append(button)
        self._details.setPlainText(notice.details)
        self._details_button.setVisible(bool(notice.details))
        self._copy_button.setVisible(bool(notice.details))
        self._details_button.setChecked(False)
        self.setAccessibleName(f"{notice.kind}: {notice.text}")
        self._style()
        self._place()
        self.show()

    @Slot()
    def _style(self) -> None:
        if not self._notices:
            return
        kind = self._notices[-1].kind
        colour = theme.colours()
        marks = {"info": colour.accent, "warning": colour.warning, "error": colour.error}
        self._icon.setPixmap(theme.icon_pixmap(kind, 20, self.devicePixelRatioF(), marks[kind]))
        if self.property("notice") != kind:
            self.setProperty("notice", kind)
            theme.repolish(self)

    @Slot(bool)
    def _show_details(self, shown: bool) -> None:
        self._details.setVisible(shown)
        self._place()

    @Slot()
    def _copy(self) -> None:
        if self._notices:
            notice = self._notices[-1]
            QApplication.clipboard().setText(f"{notice.text}\n\n{notice.details}".rstrip())

    def _act(self, do: Callable[[], object]) -> None:
        self.close_notice()
        do()

    def sizeHint(self) -> QSize:
        """As high as the wrapped text needs at the present width."""
        hint = super().sizeHint()
        return QSize(hint.width(), max(hint.height(), self.heightForWidth(self.width())))


def _free_place(covered: QWidget, size: QSize) -> QRect:
    """The highest place over a widget that no control has, rather in the middle; its upper edge if there is none."""
    room = covered.geometry()
    taken = [
        QRect(control.mapTo(covered, QPoint()) + room.topLeft(), control.size())
        for control in covered.findChildren(QWidget)
        if isinstance(control, _CONTROLS) and control.isVisibleTo(covered)
    ]
    spare = room.width() - size.width()
    places = (
        QRect(QPoint(room.left() + left, top), size)
        for top in sorted({room.top(), *(each.bottom() + 1 for each in taken)})
        for left in (spare // 2, 0, spare)
    )
    free = (place for place in places if room.contains(place) and not any(map(place.intersects, taken)))
    return next(free, QRect(QPoint(room.left() + spare // 2, room.top()), size))
