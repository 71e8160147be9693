"""What every job is given: somewhere to report to, and a way to be told to stop.

A job is a plain function ``job(config, report, cancel) -> result``. It touches no widget, raises only
``CnnStudioError`` children or ``JobCancelled``, and is called the same way by the window, the command line and tests.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

from cnn_studio.core.events import Event

Report = Callable[[Event], None]


class JobCancelled(Exception):  # noqa: N818 -- not an error: the user asked for it
    """The user discarded the job; nothing half-made is left behind."""


class CancelToken:
    """Two wishes a user can have of a running job, readable from the job's thread.

    *stop* keeps what was learnt so far; *cancel* discards it. Cancel outranks stop.
    """

    def __init__(self) -> None:
        self._stop = threading.Event()
        self._cancel = threading.Event()

    def stop(self) -> None:
        """Ask the job to end early and keep its result."""
        self._stop.set()

    def cancel(self) -> None:
        """Ask the job to end and discard what it made."""
        self._cancel.set()

    @property
    def stop_requested(self) -> bool:
        """Whether the job should end early and keep its result."""
        return self._stop.is_set()

    @property
    def cancel_requested(self) -> bool:
        """Whether the job should end and discard what it made."""
        return self._cancel.is_set()

    def raise_if_cancelled(self) -> None:
        """Raise ``JobCancelled`` if the user asked to discard the job; call it often."""
        if self._cancel.is_set():
            raise JobCancelled


def ignore_reports(event: Event) -> None:
    """A ``Report`` for callers that do not listen."""
