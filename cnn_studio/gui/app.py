"""Starts the application: one QApplication, one session, one window."""

from __future__ import annotations

import signal
import sys
from pathlib import Path

from PySide6.QtCore import QTimer
from PySide6.QtWidgets import QApplication

import cnn_studio
from cnn_studio.core.system import logs
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
    if crash := logs.previous_crash():
        session.notices.tell(
            NoticeKind.WARNING,
            "The program ended unexpectedly last time. Runs that were interrupted are on the Runs page.",
            crash,
        )
    if demo:
        from cnn_studio.gui.demonstration import Demonstration

        window.demonstration = Demonstration(session, demo, window)
        window.demonstration.start()
    elif folder:
        session.project.open_folder(folder)
    else:
        window.restore()
    window.show()
    with _ending_on_ctrl_c(app):
        status = app.exec()
    session.close()
    return status


class _ending_on_ctrl_c:  # noqa: N801 -- reads as what it does
    """Ctrl-C in the terminal closes the window; Python sees signals only when its interpreter gets to run."""

    def __init__(self, app: QApplication) -> None:
        self._app = app
        self._timer = QTimer()
        self._timer.timeout.connect(lambda: None)

    def __enter__(self) -> None:
        self._previous = signal.signal(signal.SIGINT, lambda *_: self._app.closeAllWindows())
        self._timer.start(200)

    def __exit__(self, *_: object) -> None:
        self._timer.stop()
        signal.signal(signal.SIGINT, self._previous)
