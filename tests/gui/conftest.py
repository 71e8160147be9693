"""What every test of the window gets: the light theme, and a check that nothing is left running."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import shiboken6
from PySide6.QtCore import QCoreApplication, QObject, QThread, QThreadPool, QTimer
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from cnn_studio.core.data.dataset import Dataset
from cnn_studio.core.data.image_file import ImageFile
from cnn_studio.core.data.split import count_ahead
from cnn_studio.core.errors import CnnStudioError
from cnn_studio.gui.jobs.job_thread import JobKind
from cnn_studio.gui.look.theme import apply_theme
from cnn_studio.gui.state.session import Session
from cnn_studio.gui.widgets.thumbnail_loader import ThumbnailLoader


@pytest.fixture(autouse=True)
def light_theme(qapp: QApplication) -> None:
    apply_theme(qapp, "light")


_freeze = gc.freeze


@pytest.fixture
def collector_freezes(nothing_left_running: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets ``gc.freeze`` do its work, for a test of that."""
    monkeypatch.setattr(gc, "freeze", _freeze)


@pytest.fixture(autouse=True)
def nothing_left_running(light_theme: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Fails a test after which a thread, a decoder or a timer of its own is still at work."""
    # Frozen objects are not listed. There may be millions from tests of Keras, and going through them takes a second.
    gc.freeze()
    monkeypatch.setattr(gc, "freeze", lambda: None)  # which a scan does, and what it made must be listed
    yield
    QCoreApplication.processEvents()
    QCoreApplication.sendPostedEvents(None, 0)
    kinds = (QThread, QThreadPool, QTimer, ThumbnailLoader)
    living = [found for found in gc.get_objects() if isinstance(found, kinds) and shiboken6.isValid(found)]
    gc.unfreeze()
    for pool in living:
        if isinstance(pool, QThreadPool):
            pool.waitForDone(2000)  # a picture that was begun is finished
    QCoreApplication.processEvents()
    left = [text for text in map(_at_work, living) if text]
    assert not left, f"left running: {', '.join(left)}"


def _at_work(found: QObject) -> str:
    """What an object is still doing, "" for nothing."""
    match found:
        case QThread() if found.isRunning() and found is not QThread.currentThread():
            return f"thread {found.objectName()}"
        case QThreadPool() if found.activeThreadCount():
            return f"pool {found.objectName()}"
        case QTimer() if found.isActive():
            return f"timer every {found.interval()} ms of {found.parent()}"
        case ThumbnailLoader() if not found.is_idle():
            return "thumbnail loader"
    return ""


class CountingDecoder:
    """A decoder that makes plain pictures, remembers what it was asked for, and can be made to wait or fail."""

    def __init__(self) -> None:
        self.asked: list[Path] = []
        self.broken: set[str] = set()
        self.before: Callable[[], object] = lambda: None

    def __call__(self, path: Path, edge: int) -> Any:
        self.asked.append(path)
        self.before()
        if path.name in self.broken:
            raise CnnStudioError(f"{path.name} is broken.")
        return np.full((edge // 2, edge, 3), (200, 30, 40), np.uint8)


@pytest.fixture
def decoder() -> CountingDecoder:
    return CountingDecoder()


@pytest.fixture
def make_dataset() -> Callable[..., Dataset]:
    """make_dataset(root, side, grey=, each=): what a scan gives of cats and dogs, without their files."""

    def make(root: Path | str = "/pictures", side: int = 100, *, grey: bool = False, each: int = 4) -> Dataset:
        names = ("cat", "dog")
        files = tuple(
            ImageFile(f"{name}/{number}.png", label, side, side, grey=grey, bytes=1000, modified_ns=1)
            for label, name in enumerate(names)
            for number in range(each)
        )
        dataset = Dataset(Path(root), names, files)
        count_ahead(dataset)
        return dataset

    return make


@pytest.fixture
def settle(qtbot: QtBot, session: Session) -> Callable[[], None]:
    """settle(): waits until no job is left, and what follows from the settings has been worked out."""

    def wait() -> None:
        qtbot.waitUntil(
            lambda: (
                not session.queue.is_busy_with(*JobKind) and session.data.is_settled and not session.split_file.is_busy
            )
        )

    return wait


class Pages:
    """Remembers which page was asked for."""

    def __init__(self) -> None:
        self.shown: list[str] = []

    def show_page(self, key: str) -> None:
        self.shown.append(key)


@pytest.fixture
def pages() -> Pages:
    """What a page takes for the window it is in."""
    return Pages()
