"""Small pictures of files, made off the GUI thread when something on screen asks for them."""

from __future__ import annotations

import logging
import threading
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any

import shiboken6
from PySide6.QtCore import QCoreApplication, QObject, QRunnable, QThreadPool, Signal, Slot
from PySide6.QtGui import QImage, QPixmap

from cnn_studio.core.errors import CnnStudioError

log = logging.getLogger(__name__)

Decode = Callable[[Path, int], Any]
"""(file, longest side in pixels) -> uint8 array (height, width, 3), upright RGB; raises ``CnnStudioError``."""

THREADS = 2
CACHE_BYTES = 96 * 2**20
CACHE_COUNT = 4000
_UNREADABLE_BYTES = 256  # about what an entry without a picture takes, so that these are bounded too


def decode_picture(path: Path, edge: int) -> Any:
    """The project's one decoder, imported on the thread that needs it first: the window's first paint does not wait."""
    from cnn_studio.core.image.decoder import read_picture

    return read_picture(path, edge)


class ThumbnailLoader(QObject):
    """Makes and keeps thumbnails.

    Only the latest ``want`` counts: what has been scrolled out of view is never begun.

    Args:
        edge: longest side in device pixels.
        decode: how a file becomes pixels; runs on a thread of the pool.
        parent: owner; when it is destroyed the loader ends its threads.
    """

    ready = Signal(object)
    """A path whose ``pixmap`` is now known."""

    def __init__(self, edge: int, *, decode: Decode = decode_picture, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._edge = edge
        self._decode = decode
        self._known: OrderedDict[Path, QPixmap] = OrderedDict()
        self._known_bytes = 0
        self._waiting: deque[Path] = deque()
        self._running: set[Path] = set()
        self._generation = 0
        self._closing = threading.Event()
        self._relay = _Relay()
        self._relay.decoded.connect(self._on_decoded)
        self._pool = QThreadPool()
        self._pool.setMaxThreadCount(THREADS)
        self._pool.setObjectName("thumbnails")
        # Neither partial refers to the loader, which may be half destroyed when they are called. The pool must not be
        # its child: Qt would wait for the threads inside a destructor while Python's lock is held, and they need it.
        end = partial(_end_threads, self._pool, self._closing)
        self.destroyed.connect(end)
        if app := QCoreApplication.instance():
            app.aboutToQuit.connect(self.close)

    @property
    def edge(self) -> int:
        """Longest side of the pictures, in device pixels."""
        return self._edge

    def set_edge(self, edge: int) -> None:
        """Make pictures of another size from now on; those of the old size are forgotten."""
        if edge != self._edge:
            self._edge = edge
            self.clear()

    def pixmap(self, path: Path) -> QPixmap | None:
        """The file's picture, null when it cannot be read; None when it is not known."""
        return self._known.get(path)

    def want(self, paths: Iterable[Path]) -> None:
        """Make the pictures of these files, in this order; earlier wishes that were not begun are forgotten."""
        self._waiting.clear()
        for path in paths:
            if path in self._known:
                self._known.move_to_end(path)
            elif path not in self._running:
                self._waiting.append(path)
        self._begin()

    def waiting(self) -> int:
        """Requests not yet begun."""
        return len(self._waiting)

    def clear(self) -> None:
        """Forget every picture and request; a picture being made is thrown away when it is done."""
        self._generation += 1
        self._waiting.clear()
        self._running.clear()
        self._known.clear()
        self._known_bytes = 0

    @Slot()
    def close(self) -> None:
        """Forget everything and wait for the threads; nothing is loaded afterwards."""
        self.clear()
        _end_threads(self._pool, self._closing)

    def is_idle(self) -> bool:
        """Whether no thread is at work."""
        return self._pool.activeThreadCount() == 0

    def _begin(self) -> None:
        while self._waiting and len(self._running) < THREADS and not self._closing.is_set():
            path = self._waiting.popleft()
            self._running.add(path)
            self._pool.start(_Work(path, self._edge, self._generation, self._decode, self._relay, self._closing))

    @Slot(object, int, object)
    def _on_decoded(self, path: Path, generation: int, image: QImage | None) -> None:
        if generation != self._generation:
            return
        self._running.discard(path)
        pixmap = QPixmap() if image is None else QPixmap.fromImage(image)
        self._known[path] = pixmap
        self._known_bytes += _bytes_of(pixmap)
        while len(self._known) > 1 and (self._known_bytes > CACHE_BYTES or len(self._known) > CACHE_COUNT):
            _, dropped = self._known.popitem(last=False)
            self._known_bytes -= _bytes_of(dropped)
        self._begin()
        self.ready.emit(path)


class _Relay(QObject):
    """Carries results to the GUI thread; owned by Python, so it outlives a loader that is being destroyed."""

    decoded = Signal(object, int, object)


class _Work(QRunnable):
    def __init__(
        self, path: Path, edge: int, generation: int, decode: Decode, relay: _Relay, closing: threading.Event
    ) -> None:
        super().__init__()
        self._path = path
        self._edge = edge
        self._generation = generation
        self._decode = decode
        self._relay = relay
        self._closing = closing

    def run(self) -> None:
        """Decode one file on the pool's thread."""
        if self._closing.is_set():
            return
        image: QImage | None = None
        try:
            image = image_from_array(self._decode(self._path, self._edge))
        except (CnnStudioError, OSError):
            pass  # told by the tile
        except Exception:
            # Whatever a damaged file provokes in a decoder must not end the thread without an answer.
            log.exception("No thumbnail of %s", self._path)
        if not self._closing.is_set():
            self._relay.decoded.emit(self._path, self._generation, image)


def image_from_array(pixels: Any) -> QImage:
    """A QImage of its own from a uint8 array (height, width, 3) of RGB."""
    height, width, _ = pixels.shape
    return QImage(pixels.tobytes(), width, height, 3 * width, QImage.Format.Format_RGB888).convertToFormat(
        QImage.Format.Format_RGB32
    )


def _bytes_of(pixmap: QPixmap) -> int:
    return 4 * pixmap.width() * pixmap.height() or _UNREADABLE_BYTES


def _end_threads(pool: QThreadPool, closing: threading.Event, *_: object) -> None:
    closing.set()
    if shiboken6.isValid(pool):
        pool.clear()
        pool.waitForDone()
