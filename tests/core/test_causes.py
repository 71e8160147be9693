import json

import pytest

from cnn_studio.core.image.causes import Cause, Reason, cause_from_fields
from cnn_studio.core.image.issues import IssueKind


@pytest.mark.parametrize("reason", Reason)
def test_every_reason_is_kept_as_a_code_and_told_as_a_sentence(reason):
    cause = Cause(IssueKind.UNREADABLE, reason, ("PNG", 3, 5000, 200))
    fields = json.loads(json.dumps(cause.as_fields()))
    assert fields[:2] == ["unreadable", reason.value]
    assert cause_from_fields(fields) == cause
    assert cause.sentence().endswith(".")


@pytest.mark.parametrize(
    "fields",
    [
        ["unreadable", "The image is damaged and cannot be decoded."],
        ["unreadable", "of_a_later_version", []],
        ["of_a_later_version", "cut", []],
        ["unreadable", "text", []],
        ["too_large", "too_many_pixels", [1, 2, "many", 4]],
        ["unreadable", "text", [None]],
        ["unreadable", "text", "hello"],
        [1, 2, []],
        None,
    ],
)
def test_what_another_version_kept_is_no_cause(fields):
    assert cause_from_fields(fields) is None
