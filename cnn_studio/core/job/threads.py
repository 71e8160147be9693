"""Doing the same to many files in several threads, and telling progress at a readable pace."""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from cnn_studio.core.job.events import Progress, Stage
from cnn_studio.core.job.jobs import CancelToken, Report

Item = TypeVar("Item")
Result = TypeVar("Result")

_SECONDS_BETWEEN_REPORTS = 0.1


def map_in_threads(
    function: Callable[[Item], Result], items: Sequence[Item], cancel: CancelToken, *, batch: int = 16
) -> Iterator[Result]:
    """Apply ``function`` to every item, results in the order of the items.

    Pillow frees the interpreter lock while it decodes, so threads do run side by side.

    Args:
        function: called in one of as many threads as there are processors, and two more.
        items: what to call it with.
        cancel: looked at before every item.
        batch: items a thread takes at once: more saves overhead, fewer saves memory. At most eight batches per
            processor are in work or waiting to be taken from the iterator.

    Raises:
        JobCancelled: the user discarded the job; the threads have ended by then.
    """
    processors = os.cpu_count() or 1
    threads = processors + 2  # while one waits for its file or for Python's lock, another decodes

    def run(start: int) -> list[Result]:
        results: list[Result] = []
        for item in items[start : start + batch]:
            if cancel.cancel_requested:
                break  # the consumer raises
            results.append(function(item))
        return results

    pool = ThreadPoolExecutor(threads, thread_name_prefix="images")
    try:
        waiting: deque[Future[list[Result]]] = deque()
        for start in range(0, len(items), batch):
            waiting.append(pool.submit(run, start))
            if len(waiting) >= 8 * processors:
                yield from _taken(waiting.popleft(), cancel)
        while waiting:
            yield from _taken(waiting.popleft(), cancel)
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _taken(future: Future[list[Result]], cancel: CancelToken) -> Iterator[Result]:
    results = future.result()
    for result in results:
        cancel.raise_if_cancelled()
        yield result
    cancel.raise_if_cancelled()


class ProgressMeter:
    """Counts what is done and reports it about ten times a second, and once more at the end."""

    def __init__(self, stage: Stage, total: int, report: Report, *, already: int = 0) -> None:
        """Start counting.

        Args:
            stage: the stage it belongs to.
            total: images there are; 0 while it is not known.
            report: where to.
            already: images that need no work; they count as done and not for the rate.
        """
        self._stage = stage
        self._total = total
        self._report = report
        self._already = already
        self._done = already
        self._started = self._reported = time.monotonic()
        if already:
            self._tell(self._started)

    def add(self, count: int = 1) -> None:
        """``count`` more images are done."""
        self._done += count
        now = time.monotonic()
        if self._done == self._total or now - self._reported >= _SECONDS_BETWEEN_REPORTS:
            self._tell(now)

    def _tell(self, now: float) -> None:
        self._reported = now
        seconds = now - self._started
        rate = (self._done - self._already) / seconds if seconds > 0 and self._total else 0.0
        self._report(Progress(self._stage, self._done, self._total, rate=rate))
