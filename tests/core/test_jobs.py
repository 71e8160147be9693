import inspect

import pytest

from cnn_studio import tasks
from cnn_studio.core.job.events import BatchEnded, Progress, Stage, event_as_dict
from cnn_studio.core.job.jobs import CancelToken, JobCancelled


def test_stop_ends_a_job_that_has_nothing_to_keep_like_cancel():
    token = CancelToken()
    token.raise_if_cancelled()
    token.stop()
    with pytest.raises(JobCancelled):
        token.raise_if_cancelled()


def test_stop_keeps_what_there_is_to_keep_and_cancel_outranks_it():
    token = CancelToken()
    token.mark_something_to_keep()
    token.stop()
    token.raise_if_cancelled()
    assert token.stop_requested
    token.cancel()
    with pytest.raises(JobCancelled):
        token.raise_if_cancelled()


def test_a_stop_just_before_there_is_something_to_keep_ends_the_job():
    token = CancelToken()
    token.stop()
    with pytest.raises(JobCancelled):
        token.mark_something_to_keep()


def test_events_are_plain_objects():
    assert event_as_dict(BatchEnded(1, 2, 0.5, 0.25, 10.0, 3.0))["event"] == "batch_ended"
    assert event_as_dict(Progress(Stage.PREPARE, 1, 4, rate=2.0)) == {
        "event": "progress",
        "stage": "prepare",
        "done": 1,
        "total": 4,
        "unit": "images",
        "rate": 2.0,
    }
    assert Progress(Stage.PREPARE, 1, 4, rate=2.0).seconds_left == 1.5
    assert Progress(Stage.PREPARE, 1, 4).seconds_left is None


NO_JOBS = {"demo_experiment", "held_out_images", "planned_trials", "saved_evaluation", "usage_snippet", "write_overlay"}


def test_every_job_takes_one_request_and_one_context():
    functions = {name: value for name in tasks.__all__ if inspect.isfunction(value := getattr(tasks, name))}
    assert set(functions) > NO_JOBS
    for name in set(functions) - NO_JOBS:
        request, context = inspect.signature(functions[name]).parameters.values()
        assert (context.name, context.annotation) == ("context", "JobContext"), name
        assert request.default is inspect.Parameter.empty, name
