"""What is running, how far it is, and how to end it: one strip at the foot of the window."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from PySide6.QtCore import Qt, QTimer, Signal
from PySide6.QtWidgets import (
    QHBoxLayout,
    QLabel,
    QMenu,
    QProgressBar,
    QPushButton,
    QSizePolicy,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from cnn_studio.gui.look import theme
from cnn_studio.gui.look.wording import format_rate, format_time_left
from cnn_studio.gui.widgets.elided_label import ElidedLabel

_BAR_STEPS = 1000
_STOP_TIP = "End early and keep what has been made so far, such as the best model"
_CANCEL_TIP = "End now and discard what has been made"
_USUAL_NEXT = "Next: Opening holidays in Spain"
"""As much room as what waits is given; longer titles are shortened."""


class TimeLeft:
    """Time left that a person can read: it follows estimates slowly and counts down by itself.

    Args:
        clock: seconds, monotonic.
    """

    _SLOWNESS = 5.0  # seconds in which a new estimate gains most of its weight
    _JUMP = 1.25  # a shown time grows only when the estimate is a quarter longer
    _FIRST = 2.0  # seconds in which a shorter estimate counts at once: the first include that everything was started
    _SAID_FROM = 3  # estimates that are heard before one is said: one image tells nothing of the next
    _OVERDUE = 10.0  # seconds after the end that was expected: then it is better to say nothing

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._end: float | None = None
        self._heard = 0.0
        self._began = 0.0
        self._shown: float | None = None
        self._count = 0

    def reset(self) -> None:
        """Forget what was told: another stage begins."""
        self._end = self._shown = None
        self._count = 0

    def hear(self, seconds: float) -> None:
        """Take an estimate in seconds."""
        now = self._clock()
        self._count += 1
        if self._end is None:
            self._began = now
        if self._end is None or (now - self._began < self._FIRST and now + seconds < self._end):
            self._end = now + seconds
        else:
            weight = min(1.0, (now - self._heard) / self._SLOWNESS)
            self._end += weight * (now + seconds - self._end)
        self._heard = now

    def text(self) -> str:
        """The time left in words, "" while none is known, or where what was expected is long over."""
        if self._end is None or self._count < self._SAID_FROM or self._clock() > self._end + self._OVERDUE:
            return ""
        left = max(0.0, self._end - self._clock())
        if self._shown is None or left < self._shown or left > self._shown * self._JUMP + 1:
            self._shown = left
        return format_time_left(self._shown)


class ProgressStrip(QWidget):
    """Stage, bar, detail, time left, speed, Stop and Cancel. Its height is the same whether something runs or not."""

    stop_requested = Signal()
    cancel_requested = Signal()

    def __init__(self, parent: QWidget | None = None, *, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__(parent)
        self._time_left = TimeLeft(clock)
        self._countdown = QTimer(self)  # also while nothing is told: a step or a file may take long
        self._countdown.setInterval(1000)
        self._countdown.timeout.connect(self._show_figures)
        self._rate = ""
        self.stage = QLabel()
        theme.set_text_size(self.stage, theme.TextSize.BODY, bold=True)
        self.detail = ElidedLabel()
        theme.set_muted(self.detail)
        self.bar = QProgressBar()
        self.bar.setTextVisible(False)
        self.bar.setAccessibleName("Progress")
        self.figures = QLabel()
        theme.set_muted(self.figures)
        self.stop_button = QPushButton("&Stop")
        self.stop_button.clicked.connect(self._on_stop)
        self.cancel_button = QPushButton("&Cancel")
        self.cancel_button.clicked.connect(self._on_cancel)
        self.next_button = QToolButton()
        self.next_button.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        self.next_button.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextOnly)
        self.next_button.setMenu(QMenu(self.next_button))
        self.next_button.setAccessibleName("What waits")
        theme.flat_button(self.next_button)
        self.next_button.hide()
        for part in (self.bar, self.figures, self.stop_button, self.cancel_button):
            policy = part.sizePolicy()
            policy.setRetainSizeWhenHidden(True)
            part.setSizePolicy(policy)
        words = QHBoxLayout()
        words.setSpacing(theme.SPACE)
        words.addWidget(self.stage)
        words.addWidget(self.detail, 1)
        words.addWidget(self.figures)
        left = QVBoxLayout()
        left.setSpacing(theme.SPACE_HALF)
        left.addLayout(words)
        left.addWidget(self.bar)
        layout = QHBoxLayout(self)
        layout.setContentsMargins(theme.SPACE_2, theme.SPACE, theme.SPACE_2, theme.SPACE)
        layout.setSpacing(theme.SPACE)
        layout.addLayout(left, 1)
        layout.addSpacing(theme.SPACE)
        layout.addWidget(self.next_button)
        layout.addWidget(self.stop_button)
        layout.addWidget(self.cancel_button)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setAccessibleName("What is running")
        self.idle()

    def idle(self, text: str = "Ready") -> None:
        """Nothing runs."""
        self._time_left.reset()
        self._countdown.stop()
        self._rate = ""
        self.stage.setText(text)
        self.detail.setText("")
        self.figures.setText("")
        for part in (self.bar, self.stop_button, self.cancel_button):
            part.hide()
        self.bar.setRange(0, _BAR_STEPS)
        self.bar.setValue(0)

    def set_stage(self, text: str, *, can_stop: bool = True, can_cancel: bool = True) -> None:
        """A stage begins: its name, and which ways of ending it make sense; how far it is is not known yet."""
        self._time_left.reset()
        self._countdown.start()
        self._rate = ""
        self.stage.setText(text)
        self.detail.setText("")
        self.bar.show()
        self._offer(self.stop_button, _STOP_TIP, offered=can_stop)
        self._offer(self.cancel_button, _CANCEL_TIP, offered=can_cancel)
        self.set_busy()
        self._show_figures()

    def set_busy(self) -> None:
        """How far it is cannot be told: an empty bar, not one that wanders."""
        self.bar.setRange(0, _BAR_STEPS)
        self.bar.setValue(0)

    def set_progress(self, done: int, total: int) -> None:
        """``done`` of ``total`` are finished; a ``total`` of 0 is the same as ``set_busy``."""
        if total <= 0:
            self.set_busy()
        else:
            self.bar.setValue(min(_BAR_STEPS, _BAR_STEPS * done // total))

    def set_detail(self, text: str) -> None:
        """Where it is, such as ``epoch 4 of 10 · step 31 of 81``."""
        self.detail.setText(text)

    def set_time_left(self, seconds: float | None) -> None:
        """An estimate in seconds; None or not finite while there is none."""
        if seconds is not None and 0 <= seconds < float("inf"):
            self._time_left.hear(seconds)
        self._show_figures()

    def set_rate(self, per_second: float, unit: str = "images") -> None:
        """The speed; 0 while it is not known."""
        self._rate = format_rate(per_second, unit)
        self._show_figures()

    def set_waiting(self, waiting: Sequence[tuple[str, Callable[[], object]]]) -> None:
        """What comes after what runs: (title, what takes it out of the row) each."""
        menu = self.next_button.menu()
        menu.clear()
        for title, give_up in waiting:
            menu.addAction(f"Don’t do this: {title}").triggered.connect(lambda _=False, give_up=give_up: give_up())
        self.next_button.setVisible(bool(waiting))
        if waiting:
            others = f" + {len(waiting) - 1:,}" if waiting[1:] else ""
            metrics = self.next_button.fontMetrics()
            room = metrics.horizontalAdvance(_USUAL_NEXT)
            text = metrics.elidedText(f"Next: {waiting[0][0]}", Qt.TextElideMode.ElideMiddle, room)
            self.next_button.setText((text + others).replace("&", "&&") + " ▾")
            self.next_button.setToolTip("\n".join(["When this has ended:", *(title for title, _ in waiting)]))
            self.next_button.setAccessibleName("Next: " + ", ".join(title for title, _ in waiting))

    def set_ending(self, text: str) -> None:
        """The user has asked for the end: say so, and take no second request of the same kind."""
        self.detail.setText(text)
        self.stop_button.setEnabled(False)

    def _offer(self, button: QPushButton, tip: str, *, offered: bool) -> None:
        button.setVisible(offered)
        button.setEnabled(True)
        button.setToolTip(tip)

    def _show_figures(self) -> None:
        self.figures.setText(" · ".join(part for part in (self._time_left.text(), self._rate) if part))

    def _on_stop(self) -> None:
        self.set_ending("Stopping; what has been learnt is kept …")
        self.stop_requested.emit()

    def _on_cancel(self) -> None:
        self.set_ending("Cancelling …")
        self.cancel_button.setEnabled(False)
        self.cancel_requested.emit()
