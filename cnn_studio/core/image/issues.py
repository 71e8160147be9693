"""A file or folder that was left out of a data set, and why."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from cnn_studio.core.atomic_file import csv_text


class IssueKind(StrEnum):
    """Why something was left out; the value is what the command line prints."""

    EMPTY_FILE = "empty_file"
    NOT_AN_IMAGE = "not_an_image"
    UNREADABLE = "unreadable"
    TRUNCATED = "truncated"
    TOO_LARGE = "too_large"
    NO_PERMISSION = "no_permission"
    MISSING = "missing"
    EMPTY_CLASS = "empty_class"
    OUTSIDE_CLASSES = "outside_classes"
    LINK_LOOP = "link_loop"
    UNKNOWN_CLASS = "unknown_class"
    LEFT_OUT_BY_YOU = "left_out_by_you"


ISSUE_TEXT = {
    IssueKind.EMPTY_FILE: "empty file",
    IssueKind.NOT_AN_IMAGE: "not an image",
    IssueKind.UNREADABLE: "unreadable image",
    IssueKind.TRUNCATED: "incomplete image",
    IssueKind.TOO_LARGE: "too large",
    IssueKind.NO_PERMISSION: "no permission to read",
    IssueKind.MISSING: "no longer there",
    IssueKind.EMPTY_CLASS: "class without images",
    IssueKind.OUTSIDE_CLASSES: "outside the class folders",
    IssueKind.LINK_LOOP: "link that leads back",
    IssueKind.UNKNOWN_CLASS: "class missing from train",
    IssueKind.LEFT_OUT_BY_YOU: "left out by you",
}
"""Each kind in a person's words."""


@dataclass(frozen=True, slots=True)
class Issue:
    """One file or folder left out.

    Attributes:
        path: relative to the data set's root, with forward slashes; "." for the root itself.
        kind: the reason, for grouping.
        detail: the reason in a sentence about this very file.
    """

    path: str
    kind: IssueKind
    detail: str


def issues_csv(issues: Iterable[Issue]) -> str:
    """Everything left out as CSV text: path, kind and detail."""
    return csv_text(("path", "kind", "detail"), ((issue.path, issue.kind.value, issue.detail) for issue in issues))
