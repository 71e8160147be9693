"""The queue of jobs: who is told how each ended, in which order, and what stop and cancel reach."""

import threading

import pytest

from cnn_studio.core.errors import CnnStudioError
from cnn_studio.core.job.events import Message
from cnn_studio.core.job.jobs import JobCancelled, JobContext
from cnn_studio.gui.jobs.job_queue import JobQueue
from cnn_studio.gui.jobs.job_thread import Job, JobKind


@pytest.fixture
def queue(qapp):
    queue = JobQueue()
    yield queue
    queue.close()


@pytest.fixture
def heard(queue):
    """Signals and calls as they come: (which, what it carries)."""
    heard = []
    queue.started.connect(lambda job: heard.append(("started", job.title)))
    queue.reported.connect(lambda job, event: heard.append(("reported", job.title, event.text)))
    queue.failed.connect(lambda failure: heard.append(("failed", str(failure))))
    queue.ended.connect(lambda job: heard.append(("ended", job.title)))
    return heard


class Gate:
    """A job that waits until it is let through."""

    def __init__(self):
        self.begun, self.open = threading.Event(), threading.Event()

    def __call__(self, request, context: JobContext):
        self.begun.set()
        while not self.open.wait(0.001):
            context.cancel.raise_if_cancelled()
        return request


@pytest.fixture
def gate():
    gate = Gate()
    yield gate
    gate.open.set()


def idle(qtbot, queue):
    qtbot.waitUntil(lambda: not queue.is_busy_with(*JobKind))


def listening(heard):
    """Functions to give with a job that note their being called, and on which thread."""
    return {
        name: lambda *given, name=name: heard.append((name, *given, threading.current_thread()))
        for name in ("on_success", "on_failure", "on_cancel", "on_report", "on_end")
    }


def test_what_a_job_leads_to_happens_on_the_gui_thread_before_its_end_is_told(qtbot, queue, heard):
    def double(request, context: JobContext):
        context.report(Message("working"))
        return 2 * request

    queue.submit(Job(JobKind.PREDICT, "Doubling", double, 21), **listening(heard))
    idle(qtbot, queue)
    here = threading.current_thread()
    assert heard == [
        ("started", "Doubling"),
        ("on_report", Message("working"), here),
        ("reported", "Doubling", "working"),
        ("on_success", 42, here),
        ("on_end", here),
        ("ended", "Doubling"),
    ]


def test_a_job_is_over_when_its_result_is_taken(qtbot, queue):
    seen = []
    queue.submit(
        Job(JobKind.TRAIN, "A job", lambda request, context: None, None),
        on_success=lambda _: seen.append((queue.is_busy_with(JobKind.TRAIN), queue.current)),
    )
    assert queue.is_busy_with(JobKind.TRAIN)
    idle(qtbot, queue)
    assert seen == [(False, None)]


def foreseen(request, context: JobContext):
    raise CnnStudioError("The disk is full.", hint="Free some space.")


def test_a_failure_is_told_to_whoever_asked_or_else_to_the_user(qtbot, queue, heard):
    told = []
    queue.submit(Job(JobKind.EXPLAIN, "First", foreseen, None), on_failure=told.append)
    queue.submit(Job(JobKind.EXPORT, "Second", foreseen, None))
    idle(qtbot, queue)
    assert [str(failure) for failure in told] == ["The disk is full. Free some space."]
    assert heard[1:] == [
        ("ended", "First"),
        ("started", "Second"),
        ("failed", "The disk is full. Free some space."),
        ("ended", "Second"),
    ]


def test_a_bug_is_always_told_to_the_user(qtbot, queue, heard, caplog):
    told = []
    queue.submit(Job(JobKind.EXPLAIN, "Looking", lambda request, context: 1 / 0, None), on_failure=told.append)
    idle(qtbot, queue)
    assert "ZeroDivisionError" in told[0].details
    assert [name for name, *_ in heard] == ["started", "failed", "ended"]


def test_the_end_is_told_however_a_job_ends(qtbot, queue, gate):
    ends = []
    failing = Job(JobKind.SCAN, "Failing", foreseen, None)
    held = Job(JobKind.SCAN, "Held", gate, None)
    for job in (failing, held):
        queue.submit(job, on_end=lambda job=job: ends.append(job.title), on_cancel=lambda: ends.append("cancelled"))
    qtbot.waitUntil(gate.begun.is_set)
    held.token.cancel()
    idle(qtbot, queue)
    assert ends == ["Failing", "cancelled", "Held"]


def test_quiet_jobs_are_neither_announced_nor_counted(qtbot, queue, heard, gate):
    queue.submit(Job(JobKind.PREVIEW, "A preview", gate, "seen"), on_success=heard.append)
    qtbot.waitUntil(gate.begun.is_set)
    loud = queue.submit(Job(JobKind.EXPORT, "Exporting", lambda request, context: None, None))
    assert queue.current is loud
    assert queue.waiting == []
    assert [job.title for job in queue.of_kind(JobKind.PREVIEW, JobKind.EXPORT)] == ["A preview", "Exporting"]
    gate.open.set()
    idle(qtbot, queue)
    assert heard == ["seen", ("started", "Exporting"), ("ended", "Exporting")]


@pytest.mark.parametrize("wish", ["stop", "cancel"])
def test_stop_and_cancel_are_for_the_current_job(qtbot, queue, gate, wish):
    first = queue.submit(Job(JobKind.TRAIN, "First", gate, None))
    second = queue.submit(Job(JobKind.EXPORT, "Second", lambda request, context: None, None))
    assert queue.waiting == [second]
    getattr(queue, wish)()
    asked = [(job.token.stop_requested, job.token.cancel_requested) for job in (first, second)]
    assert asked == [(wish == "stop", True), (False, False)]
    idle(qtbot, queue)
    getattr(queue, wish)()  # nothing runs: nothing to end


def test_closing_ends_what_runs_and_waits(qtbot, qapp, gate):
    queue = JobQueue()
    ran = []
    queue.submit(Job(JobKind.TRAIN, "First", gate, None))
    queue.submit(Job(JobKind.EXPORT, "Second", lambda request, context: ran.append(request), None))
    qtbot.waitUntil(gate.begun.is_set)
    queue.close()
    assert ran == []


def test_cancelled_by_the_job_itself_is_cancelled(qtbot, queue):
    def gives_up(request, context: JobContext):
        raise JobCancelled

    cancelled = []
    queue.submit(Job(JobKind.TRAIN, "A job", gives_up, None), on_cancel=lambda: cancelled.append(True))
    idle(qtbot, queue)
    assert cancelled == [True]


def test_a_job_given_up_while_it_waits_is_over_at_once(qtbot, queue, heard, gate):
    ran = []
    first = queue.submit(Job(JobKind.TRAIN, "First", gate, None))
    second = Job(JobKind.SCAN, "Second", lambda request, context: ran.append(request), None)
    third = Job(JobKind.EXPORT, "Third", lambda request, context: ran.append(request), "third")
    queue.submit(second, on_cancel=lambda: heard.append("cancelled"), on_success=heard.append)
    queue.submit(third)
    qtbot.waitUntil(lambda: ("started", "First") in heard)
    assert queue.waiting == [second, third]
    with qtbot.waitSignal(queue.waiting_changed):
        queue.give_up(second)
    assert queue.waiting == [third]
    assert heard[1:] == ["cancelled", ("ended", "Second")]
    gate.open.set()
    idle(qtbot, queue)
    assert ran == ["third"]
    assert ("started", "Second") not in heard
    assert first.token.cancel_requested is False
