"""Starts the application: one QApplication, one session, one window."""

from __future__ import annotations

import signal
import sys
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from PySide6.QtCore import QObject, QSettings, QTimer, Signal, Slot
from PySide6.QtWidgets import QApplication

import cnn_studio
from cnn_studio.core.errors import StorageError
from cnn_studio.core.runs.run import RunState, list_runs
from cnn_studio.core.runs.training_lock import held
from cnn_studio.core.system import logs
from cnn_studio.core.text import listed
from cnn_studio.gui.look import theme
from cnn_studio.gui.main_window import MainWindow
from cnn_studio.gui.state.notices import NoticeKind
from cnn_studio.gui.state.session import Session

SWITCH_SECONDS = 0.0005
"""How long a thread of Python may keep the others waiting. The usual 5 ms add up: each call into Qt gives the turn
away, so a page that makes twenty while a job counts 100,000 images would be shown a tenth of a second late."""


def make_application(arguments: list[str]) -> QApplication:
    """The QApplication with this program's name and looks."""
    sys.setswitchinterval(SWITCH_SECONDS)
    app = QApplication.instance()
    if not isinstance(app, QApplication):
        app = QApplication(arguments)
    app.setApplicationName("cnn_studio")
    app.setApplicationDisplayName("cnn_studio")
    app.setApplicationVersion(cnn_studio.__version__)
    app.setOrganizationName("cnn_studio")
    app.setDesktopFileName("cnn_studio")
    theme.apply_theme(app)
    app.setWindowIcon(theme.icon("app"))
    return app


def run_application(folder: Path | None = None, demo: Path | None = None) -> int:
    """Show the window until it is closed.

    Args:
        folder: a data set to open at once.
        demo: run the demonstration and write its run and export into this folder.

    Returns:
        The process's exit status.
    """
    app = make_application(sys.argv[:1])
    session = Session()
    window = MainWindow(session)
    # TensorFlow takes seconds to import, pyqtgraph a fifth of one: only once there is a window to look at meanwhile.
    window.first_painted.connect(session.runtime.start)
    window.first_painted.connect(lambda: window.page("train"))
    tell_how_it_ended_last_time(session)
    uncaught = Uncaught(session)
    if demo:
        from cnn_studio.gui.demonstration import Demonstration

        window.demonstration = Demonstration(session, demo, window)
        window.demonstration.start()
    elif folder:
        session.project.open_folder(folder)
    else:
        window.restore()
    window.show()
    with _ending_on_signals(app, window):
        status = app.exec()
    uncaught.close()
    session.close()
    return status


def tell_how_it_ended_last_time(session: Session) -> None:
    """Tell of a crash, and of trainings that were cut off since the last start, once."""
    crash = logs.previous_crash()
    settings, key = QSettings(), "last_start"
    last = str(settings.value(key, ""))
    settings.setValue(key, datetime.now(UTC).isoformat(timespec="seconds"))
    cut_off = [run for run in list_runs(session.project.runs_dir) if run.state() is RunState.INTERRUPTED]
    for run in cut_off:
        with suppress(StorageError), held(run.folder):  # which clears what was half written
            pass
    names = [run.folder.name for run in cut_off if run.created >= last]
    if names:
        text = (
            f"The training {listed(names)} was cut off: the program crashed, or it was ended from outside, as the "
            "system does when memory runs out. What was learnt is on the Runs page, if an epoch was complete."
        )
        session.notices.tell(NoticeKind.WARNING, text, logs.without_home(crash or ""))
    elif crash:
        session.notices.tell(NoticeKind.WARNING, "The program ended unexpectedly last time.", logs.without_home(crash))


class Uncaught(QObject):
    """Shows in the window what nobody caught: an exception in a slot, or on a thread."""

    _raised = Signal(str)

    def __init__(self, session: Session) -> None:
        super().__init__(session)
        self._notices = session.notices
        self._raised.connect(self._show)  # on the GUI thread, wherever it was raised
        self._tell = self._raised.emit
        logs.uncaught.append(self._tell)

    def close(self) -> None:
        """Listen no more."""
        logs.uncaught.remove(self._tell)

    @Slot(str)
    def _show(self, details: str) -> None:
        kind = details.rstrip().splitlines()[-1].partition(":")[0]
        self._notices.tell(
            NoticeKind.ERROR,
            f"An error that should not happen ({kind}): what you did last may not have been done. What you had is "
            "unharmed. Please report it with the details.",
            details,
        )


class _ending_on_signals:  # noqa: N801 -- reads as what it does
    """Ctrl-C in the terminal closes the window, as its button does; being told to end does so without a question.

    Python sees signals only when its interpreter gets to run.
    """

    def __init__(self, app: QApplication, window: MainWindow) -> None:
        self._app = app
        self._window = window
        self._previous: dict[int, Any] = {}
        self._timer = QTimer()
        self._timer.timeout.connect(lambda: None)

    def __enter__(self) -> None:
        self._previous[signal.SIGINT] = signal.signal(signal.SIGINT, lambda *_: self._app.closeAllWindows())
        for number in (signal.SIGTERM, getattr(signal, "SIGHUP", None)):
            if number is not None and signal.getsignal(number) is not signal.SIG_IGN:
                self._previous[number] = signal.signal(number, lambda *_: self._window.close_keeping())
        self._timer.start(200)

    def __exit__(self, *_: object) -> None:
        self._timer.stop()
        for number, handler in self._previous.items():
            signal.signal(number, handler)
