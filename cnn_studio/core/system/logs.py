"""What is written down for later: a log file, and what the interpreter said when it last crashed.

Nothing here may keep the program from starting: on a full disk, or where the log folder cannot be written, it runs
without a log.
"""

from __future__ import annotations

import faulthandler
import logging
import logging.handlers
import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from traceback import format_exception
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

uncaught: list[Callable[[str], object]] = []
"""Who is told the traceback of an exception that nobody caught, on the thread where it was raised: the window."""


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
        logging.getLogger().addHandler(logging.NullHandler())  # without any, Python writes to the terminal
    _hook_exceptions()


def without_home(text: str) -> str:
    """Text to be shown and passed on, such as a traceback, without the name of the user's home folder."""
    try:
        home = str(Path.home())
    except RuntimeError:  # nobody knows it
        return text
    return text.replace(home, "~") if len(home) > 1 else text


@contextmanager
def apart_from_third_parties() -> Iterator[None]:
    """Keep what libraries write to standard error out of the terminal: it goes to the log.

    libtiff, TensorFlow and others write to file descriptor 2, and Python's warnings go to ``sys.stderr``. Meanwhile
    ``sys.stderr`` is the terminal still, by another number, and what this program has to say arrives.
    """
    stream = sys.stderr
    try:
        ours = os.dup(stream.fileno()) if stream is not None and stream.fileno() == 2 else None
    except (OSError, ValueError):  # a stream that is no file, as in a test
        ours = None
    if ours is None:
        yield
        return
    stream.flush()
    theirs = _open_private(log_file()) if _handler else os.open(os.devnull, os.O_WRONLY)
    sys.stderr = open(ours, "w", encoding=stream.encoding, errors=stream.errors, buffering=1, closefd=False)  # noqa: SIM115
    os.dup2(theirs, 2)
    os.close(theirs)
    logging.captureWarnings(True)
    try:
        yield
    finally:
        logging.captureWarnings(False)
        with suppress(OSError):  # nobody may be left to read it
            sys.stderr.flush()
        os.dup2(ours, 2)
        os.close(ours)
        sys.stderr = stream


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
        descriptor = _open_private(current.with_name("crash-previous.txt"), os.O_TRUNC)
        with os.fdopen(descriptor, "w", encoding="utf-8") as kept:
            kept.write(text + "\n")
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


def _open_private(path: Path, *flags: int) -> int:
    """Open a file to append to which nobody else may read, whatever it was before."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | (flags[0] if flags else os.O_APPEND), 0o600)
    if hasattr(os, "fchmod"):
        os.fchmod(descriptor, 0o600)
    return descriptor


class _PrivateLog(logging.handlers.RotatingFileHandler):
    """A log that only its owner may read, and that is quiet where it cannot be written."""

    def _open(self) -> IO[str]:  # type: ignore[override]
        return os.fdopen(_open_private(Path(self.baseFilename)), "a", encoding=self.encoding, errors=self.errors)

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 -- logging's name
        """Say nothing: a full disk is told by whoever has something to keep on it."""


def _log_to(target: Path) -> None:
    global _handler  # noqa: PLW0603 -- logging is the process's own
    if _handler is not None and _handler.baseFilename == str(target.absolute()):
        return
    handler = _PrivateLog(
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
    _crash_stream = os.fdopen(_open_private(target), "a", encoding="utf-8")
    if target.stat().st_size > _LOG_BYTES:
        _crash_stream.truncate(0)
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
            text = without_home("".join(format_exception(kind, error, traceback)))
            for told in uncaught:
                told(text)
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
