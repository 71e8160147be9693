"""The one background thread: order, endings, and that nothing a job does takes it down."""

import gc
import threading

import pytest

from cnn_studio.core.errors import CnnStudioError
from cnn_studio.core.job.events import Message
from cnn_studio.core.job.jobs import JobCancelled, JobContext
from cnn_studio.gui.jobs.job_thread import Job, JobKind, JobThread


@pytest.fixture
def thread(qapp):
    thread = JobThread()
    thread.start()
    yield thread
    thread.shut_down()
    assert thread.wait(5000)


@pytest.fixture
def told(thread):
    """Every signal as it arrives: (its name, the job, what it carries)."""
    seen = []
    thread.job_started.connect(lambda job: seen.append(("started", job, None)))
    thread.reported.connect(lambda job, event: seen.append(("reported", job, event)))
    thread.succeeded.connect(lambda job, result: seen.append(("succeeded", job, result)))
    thread.failed.connect(lambda job, failure: seen.append(("failed", job, failure)))
    thread.cancelled.connect(lambda job: seen.append(("cancelled", job, None)))
    return seen


def job(function, request=None):
    return Job(JobKind.SCAN, "A job", function, request)


def test_jobs_run_in_order_on_one_other_thread(qtbot, thread, told):
    where = []

    def work(request, context: JobContext):
        where.append(threading.get_ident())
        context.report(Message(f"working on {request}"))
        return request * 2

    jobs = [job(work, number) for number in range(3)]
    for each in jobs:
        thread.submit(each)
    qtbot.waitUntil(lambda: len(told) == 9)
    assert [(name, each) for name, each, _ in told] == [
        (name, each) for each in jobs for name in ("started", "reported", "succeeded")
    ]
    assert [what for name, _, what in told if name == "succeeded"] == [0, 2, 4]
    assert len(set(where)) == 1
    assert where[0] != threading.get_ident()


def test_what_was_foreseen_arrives_without_a_traceback(qtbot, thread, told, caplog):
    def work(request, context: JobContext):
        raise CnnStudioError("The disk is full.", hint="Free some space.")

    thread.submit(job(work))
    qtbot.waitUntil(lambda: len(told) == 2)
    failure = told[-1][2]
    assert (failure.message, failure.hint, failure.details) == ("The disk is full.", "Free some space.", "")


def test_a_bug_arrives_with_its_traceback_and_the_thread_goes_on(qtbot, thread, told, caplog):
    def broken(request, context: JobContext):
        raise ZeroDivisionError("one over nothing")

    thread.submit(job(broken))
    thread.submit(job(lambda request, context: "fine"))
    qtbot.waitUntil(lambda: len(told) == 4)
    assert "ZeroDivisionError: one over nothing" in told[1][2].details
    assert "one over nothing" not in told[1][2].message
    assert told[3][2] == "fine"


def test_a_job_cancelled_while_it_waits_never_starts_its_work(qtbot, thread, told):
    entered, go_on = threading.Event(), threading.Event()

    def hold(request, context: JobContext):
        entered.set()
        go_on.wait(5)

    def never(request, context: JobContext):
        raise AssertionError("was cancelled before")

    second = job(never)
    thread.submit(job(hold))
    thread.submit(second)
    assert entered.wait(5)
    second.token.cancel()
    go_on.set()
    qtbot.waitUntil(lambda: ("cancelled", second, None) in told)


def test_cancel_reaches_a_running_job(qtbot, thread, told):
    entered = threading.Event()

    def work(request, context: JobContext):
        entered.set()
        while not context.cancel.cancel_requested:
            threading.Event().wait(0.001)
        raise JobCancelled

    running = job(work)
    thread.submit(running)
    assert entered.wait(5)
    running.token.cancel()
    qtbot.waitUntil(lambda: bool(told) and told[-1][0] == "cancelled")


def test_the_collector_rests_while_much_is_made_for_good_and_passes_over_it(qtbot, thread, told, collector_freezes):
    made = []

    def work(request, context: JobContext):
        made.append([[number] for number in range(3)])
        return gc.isenabled()

    for kind in (JobKind.SCAN, JobKind.START, JobKind.PREDICT):
        thread.submit(Job(kind, "A job", work, None))
    try:
        qtbot.waitUntil(lambda: sum(name == "succeeded" for name, _, _ in told) == 3)
        assert [what for name, _, what in told if name == "succeeded"] == [False, False, True]
        assert gc.isenabled()
        watched = {id(found) for found in gc.get_objects()}
        assert id(made[0]) not in watched
    finally:
        gc.unfreeze()
