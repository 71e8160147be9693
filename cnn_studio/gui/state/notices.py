"""What the user is told in the window."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum

from PySide6.QtCore import QObject, Signal, Slot

from cnn_studio.core.data.events import FilesLeftOut
from cnn_studio.core.errors import CnnStudioError
from cnn_studio.core.job.events import Event, Message
from cnn_studio.gui.jobs.job_queue import JobQueue
from cnn_studio.gui.jobs.job_thread import AnyJob, Failure
from cnn_studio.gui.look.wording import format_things

DATA = "data"
"""Topic of what is told about the open data set; withdrawn when another one is opened."""

TRAINED = "trained"
"""Topic of what is told of a training that has ended; withdrawn when the next one begins, or the run is no more."""

NO_MODEL = "no model"
"""Topic of what is told while there is no model; withdrawn as soon as there is one."""

UNCLEAR_LAYOUT = "unclear layout"
"""Topic of what is asked about the folders of the open data set."""


class NoticeKind(StrEnum):
    """How serious a notice is."""

    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class Notice:
    """Something to tell the user in the window: what happened, what to do, and details to copy for a bug.

    ``topic`` names a state that can end, such as ``NO_MODEL``, or the kind of job that it is about: the notice goes
    when that is withdrawn. ``actions`` are (button text, what it does), offered beside it.
    """

    kind: NoticeKind
    text: str
    details: str = ""
    topic: str = ""
    actions: tuple[tuple[str, Callable[[], object]], ...] = field(default=(), compare=False)


class Notices(QObject):
    """Passes on what the parts of the session, and the jobs, have to tell the user.

    What is told of a job is about that kind of job, and goes when another one of its kind begins.
    """

    told = Signal(object)
    """A ``Notice``."""

    withdrawn = Signal(str)
    """A topic of which nothing holds any more."""

    def __init__(self, queue: JobQueue, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._topics: set[str] = set()
        queue.started.connect(self._on_started)
        queue.failed.connect(self._on_failed)
        queue.reported.connect(self._on_reported)

    def tell(
        self,
        kind: NoticeKind,
        text: str,
        details: str = "",
        topic: str = "",
        actions: tuple[tuple[str, Callable[[], object]], ...] = (),
    ) -> None:
        """Show a notice."""
        self._topics.add(topic)
        self.told.emit(Notice(kind, text, details, topic, actions))

    def tell_info(self, text: str, topic: str = "") -> None:
        """Show news that ask for nothing."""
        self.tell(NoticeKind.INFO, text, topic=topic)

    def tell_error(self, error: CnnStudioError, topic: str = "") -> None:
        """Show what went wrong and what to do."""
        self.tell(NoticeKind.ERROR, str(error), topic=topic)

    def withdraw(self, topic: str) -> None:
        """Take back what was told about a state that has ended."""
        if topic in self._topics:
            self._topics.remove(topic)
            self.withdrawn.emit(topic)

    @Slot(object)
    def _on_started(self, job: AnyJob) -> None:
        self.withdraw(job.kind)

    @Slot(object)
    def _on_failed(self, failure: Failure) -> None:
        self.tell(NoticeKind.ERROR, str(failure), failure.details, failure.kind or "")

    @Slot(object, object)
    def _on_reported(self, job: AnyJob, event: Event) -> None:
        match event:
            case Message(text):
                self.tell_info(text, job.kind)
            case FilesLeftOut(issues):
                files = format_things(len(issues), "file")
                text = f"{files} could not be read any more and were left out; the first is {issues[0].path}."
                self.tell(NoticeKind.WARNING, text, topic=job.kind)
