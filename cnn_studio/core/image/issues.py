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
    BESIDE_SPLITS = "beside_splits"
    WITHOUT_IMAGES = "without_images"
    RUN_FOLDER = "run_folder"
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
    IssueKind.LINK_LOOP: "link that is not followed",
    IssueKind.UNKNOWN_CLASS: "class missing from train",
    IssueKind.BESIDE_SPLITS: "images beside the split folders",
    IssueKind.WITHOUT_IMAGES: "folder without images",
    IssueKind.RUN_FOLDER: "training run of this program",
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
