"""What every job is given: somewhere to report to, and a way to be told to stop.

A job is a plain function ``job(request, context) -> result``. It touches no widget, raises only
``CnnStudioError`` children or ``JobCancelled``, and is called the same way by the window, the command line and tests.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeVar

from cnn_studio.core.errors import StorageError
from cnn_studio.core.job.events import Event

Report = Callable[[Event], None]

Elsewhere = Callable[[StorageError], Path | None]
"""Names a folder to keep in what could not be kept where it was meant to go; None when there is no other.

Asked on the job's thread, again after each folder that would not do either, with what was wrong with the last.
"""


class JobCancelled(Exception):  # noqa: N818 -- not an error: the user asked for it
    """The user discarded the job; nothing half-made is left behind."""


class CancelToken:
    """Two wishes a user can have of a running job, readable from the job's thread.

    *stop* keeps what was learnt so far; *cancel* discards it. Cancel outranks stop. Until the job says that there is
    something to keep, stop ends it just as cancel does.
    """

    def __init__(self) -> None:
        self._stop = threading.Event()
        self._cancel = threading.Event()
        self._something_to_keep = threading.Event()

    def stop(self) -> None:
        """Ask the job to end early and keep its result."""
        self._stop.set()

    def cancel(self) -> None:
        """Ask the job to end and discard what it made."""
        self._cancel.set()

    def mark_something_to_keep(self) -> None:
        """Said by the job: from now on *stop* has a result to keep."""
        self.raise_if_cancelled()
        self._something_to_keep.set()

    @property
    def stop_requested(self) -> bool:
        """Whether the job should end early and keep its result."""
        return self._stop.is_set()

    @property
    def cancel_requested(self) -> bool:
        """Whether the job should end and discard what it made."""
        return self._cancel.is_set() or (self._stop.is_set() and not self._something_to_keep.is_set())

    def raise_if_cancelled(self) -> None:
        """Raise ``JobCancelled`` if the job should end and discard what it made; call it often."""
        if self.cancel_requested:
            raise JobCancelled


def ignore_reports(event: Event) -> None:
    """A ``Report`` for callers that do not listen."""


def nowhere(error: StorageError) -> Path | None:  # noqa: ARG001 -- the shape of ``Elsewhere``
    """An ``Elsewhere`` of callers that know no other folder."""
    return None


@dataclass(frozen=True, slots=True)
class JobContext:
    """What a job is called with beside its request.

    Attributes:
        report: takes what the job has to tell, on the job's thread.
        cancel: what the user wishes of it.
        elsewhere: where a trained network may go that its own folder cannot take.
    """

    report: Report = ignore_reports
    cancel: CancelToken = field(default_factory=CancelToken)
    elsewhere: Elsewhere = nowhere

    def reporting_to(self, report: Report) -> JobContext:
        """The same wishes, told to somebody else: who filters or keeps what passes."""
        return replace(self, report=report)

    def telling_once(self, *kinds: type[Event]) -> JobContext:
        """The same, without repeating any event of these kinds: for a job that runs another one several times."""
        told: set[Event] = set()

        def report(event: Event) -> None:
            if isinstance(event, kinds):
                if event in told:
                    return
                told.add(event)
            self.report(event)

        return self.reporting_to(report)


Request = TypeVar("Request")
Result = TypeVar("Result")

Job = Callable[[Request, JobContext], Result]
"""A job: what is asked, and the context it works in; gives what came of it."""
