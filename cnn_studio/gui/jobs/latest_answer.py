"""Questions that take a moment, answered off the GUI thread beside the jobs; only the latest one counts.

For what follows from the settings while they are being edited, such as the split of 100,000 images. It does not go
through the job thread, where it would wait for a training to end.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial

import shiboken6
from PySide6.QtCore import QCoreApplication, QObject, QRunnable, QThreadPool, Signal, Slot

from cnn_studio.core.errors import CnnStudioError

log = logging.getLogger(__name__)


class LatestAnswer(QObject):
    """Asks functions on one thread; an answer that a newer question has overtaken is never told."""

    answered = Signal(object)
    """What the latest function returned."""

    failed = Signal(object)
    """The ``CnnStudioError`` that the latest function raised."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._latest = _Number()
        self._told = 0
        self._relay = _Relay()
        self._relay.answered.connect(self._on_answered)
        self._pool = QThreadPool()  # no child: see ThumbnailLoader
        self._pool.setMaxThreadCount(1)
        self._pool.setObjectName("latest answer")
        self.destroyed.connect(partial(_end, self._pool, self._latest))
        if app := QCoreApplication.instance():
            app.aboutToQuit.connect(self.close)

    def ask(self, function: Callable[[], object]) -> None:
        """Call a function on the other thread; earlier questions are forgotten. It must touch no widget."""
        self._latest.number += 1
        self._pool.start(_Question(function, self._latest.number, self._latest, self._relay))

    def forget(self) -> None:
        """Want no answer any more."""
        self._latest.number += 1
        self._told = self._latest.number

    def is_waiting(self) -> bool:
        """Whether the latest question is not answered yet."""
        return self._told < self._latest.number

    @Slot()
    def close(self) -> None:
        """Forget every question and wait for the thread."""
        self.forget()
        _end(self._pool, self._latest)

    @Slot(int, object, object)
    def _on_answered(self, number: int, answer: object, error: CnnStudioError | None) -> None:
        if number != self._latest.number:
            return
        self._told = number
        if error is None:
            self.answered.emit(answer)
        else:
            self.failed.emit(error)


class _Number:
    """The latest question's number, read on both threads."""

    def __init__(self) -> None:
        self.number = 0


class _Relay(QObject):
    answered = Signal(int, object, object)


class _Question(QRunnable):
    def __init__(self, function: Callable[[], object], number: int, latest: _Number, relay: _Relay) -> None:
        super().__init__()
        self._function = function
        self._number = number
        self._latest = latest
        self._relay = relay

    def run(self) -> None:
        """Answer on the pool's thread."""
        if self._number != self._latest.number:
            return
        answer: object = None
        error: CnnStudioError | None = None
        try:
            answer = self._function()
        except CnnStudioError as problem:
            error = problem
        except Exception as problem:
            log.exception("A question could not be answered")
            error = CnnStudioError(f"This could not be worked out ({type(problem).__name__}); the log says more.")
        self._relay.answered.emit(self._number, answer, error)


def _end(pool: QThreadPool, latest: _Number, *_: object) -> None:
    latest.number += 1
    if shiboken6.isValid(pool):
        pool.clear()
        pool.waitForDone()
