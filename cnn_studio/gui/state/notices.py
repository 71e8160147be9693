"""What the session tells the user in the window."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

NO_MODEL = "no model"
"""Topic of what is told while there is no model; withdrawn as soon as there is one."""


class NoticeKind(StrEnum):
    """How serious a notice is."""

    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class Notice:
    """Something to tell the user in the window: what happened, what to do, and details to copy for a bug.

    ``topic`` names a state that can end, such as ``NO_MODEL``: the notice goes when the session withdraws it.
    """

    kind: NoticeKind
    text: str
    details: str = ""
    topic: str = ""
