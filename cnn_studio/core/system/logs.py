"""What is written down for later: a log file, and what the interpreter said when it last crashed.

Nothing here may keep the program from starting: on a full disk, or where the log folder cannot be written, it runs
without a log.
"""

from __future__ import annotations

import faulthandler
import logging
import logging.handlers
import sys
import threading
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import IO

from cnn_studio.core import paths

_LOG_BYTES = 1_000_000
_LOG_COPIES = 3
_FORMAT = "%(asctime)s %(levelname)s [%(process)d %(threadName)s] %(name)s: %(message)s"

_log = logging.getLogger(__name__)
_handler: logging.handlers.RotatingFileHandler | None = None
_crash_stream: IO[str] | None = None  # faulthandler keeps only its number: it must stay open as long as the process
_hooked = False


def log_file() -> Path:
    """The log; it need not exist."""
    return paths.log_dir() / "cnn_studio.log"


def set_up_logging() -> None:
    """Log to a file from here on, exceptions nobody caught included; a second call changes nothing.

    An exception that escapes, on any thread, is logged and then told as before. A crash of the interpreter itself
    (a fault in a C library) leaves its traceback in a file, which ``previous_crash`` reads at the next start.
    """
    target = log_file()
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        _log_to(target)
        _catch_crashes(_crash_file())
    except OSError as error:
        _log.warning("There will be no log in %s: %s", target.parent, error)
    _hook_exceptions()


def previous_crash() -> str | None:
    """What the last crash left, or None when there was none; the next call is told only of a later one.

    The text is kept beside the log as ``crash-previous.txt``.
    """
    current = _crash_file()
    try:
        text = current.read_text(encoding="utf-8", errors="replace").strip()
        if not text:
            return None
        when = datetime.fromtimestamp(current.stat().st_mtime).astimezone()
        text = f"{when:%Y-%m-%d %H:%M:%S}\n{text}"
        current.with_name("crash-previous.txt").write_text(text + "\n", encoding="utf-8")
        # Emptied, not renamed: another instance that is running has it open to append to.
        with current.open("r+b") as stream:
            stream.truncate(0)
    except FileNotFoundError:
        return None
    except OSError as error:
        _log.warning("The report of the last crash, %s, could not be read: %s", current, error)
        return None
    return text


def _crash_file() -> Path:
    return paths.log_dir() / "crash.txt"


def _log_to(target: Path) -> None:
    global _handler  # noqa: PLW0603 -- logging is the process's own
    if _handler is not None and _handler.baseFilename == str(target.absolute()):
        return
    handler = logging.handlers.RotatingFileHandler(
        target, maxBytes=_LOG_BYTES, backupCount=_LOG_COPIES, encoding="utf-8", errors="backslashreplace"
    )
    handler.setFormatter(logging.Formatter(_FORMAT))
    root = logging.getLogger()
    if _handler is not None:
        root.removeHandler(_handler)
        _handler.close()
    root.addHandler(handler)
    logging.getLogger("cnn_studio").setLevel(logging.INFO)
    _handler = handler


def _catch_crashes(target: Path) -> None:
    global _crash_stream  # noqa: PLW0603 -- as above
    # Somebody who started Python with -X faulthandler, or runs tests, wants to see the crash where they look.
    if faulthandler.is_enabled():
        return
    _crash_stream = target.open("a", encoding="utf-8")
    faulthandler.enable(_crash_stream, all_threads=True)


def _hook_exceptions() -> None:
    global _hooked  # noqa: PLW0603 -- as above
    if _hooked:
        return
    _hooked = True
    tell = sys.excepthook
    tell_of_thread = threading.excepthook

    def log_exception(kind: type[BaseException], error: BaseException, traceback: TracebackType | None) -> None:
        if issubclass(kind, Exception):
            _log.critical("Nobody caught this", exc_info=(kind, error, traceback))
        tell(kind, error, traceback)

    def log_thread_exception(raised: threading.ExceptHookArgs) -> None:
        if raised.exc_value is not None and issubclass(raised.exc_type, Exception):
            name = raised.thread.name if raised.thread else "a thread that has gone"
            _log.critical(
                "Nobody caught this in %s", name, exc_info=(raised.exc_type, raised.exc_value, raised.exc_traceback)
            )
        tell_of_thread(raised)

    sys.excepthook = log_exception
    threading.excepthook = log_thread_exception
