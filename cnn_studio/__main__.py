"""``python -m cnn_studio`` and ``cnn-studio``: a command, or the window.

Starting the window must not wait for what only the commands need, so each half is imported when it is asked for.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the program.

    Args:
        arguments: what follows the program's name; None takes them from ``sys.argv``.

    Returns:
        The exit status: 0, 1 for a failure that was told on stderr, 2 for wrong usage.
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    with _ended_by_ctrl_c():
        from cnn_studio.core.system import logs

        logs.set_up_logging()
    if not given or (len(given) == 1 and not given[0].startswith("-") and Path(given[0]).is_dir()):
        return open_window(Path(given[0]).absolute() if given else None)
    with _ended_by_ctrl_c():
        from cnn_studio import cli

    return cli.run(given, open_window)


def open_window(folder: Path | None = None, demo: Path | None = None) -> int:
    """Show the window and return its exit status.

    Args:
        folder: a data set to open.
        demo: run the demonstration and write its run and export into this folder.
    """
    from cnn_studio.core.system.display import find_display_problem

    if problem := find_display_problem():
        sys.stderr.write(f"{problem.sentence} {problem.hint}\n")
        return 1
    with _ended_by_ctrl_c():
        from cnn_studio.core.system.logs import apart_from_third_parties
        from cnn_studio.gui.app import run_application

    with apart_from_third_parties():
        return run_application(folder=folder, demo=demo)


@contextmanager
def _ended_by_ctrl_c() -> Iterator[None]:
    """Let Ctrl-C end the program at once while it is loading: there is nothing to keep yet."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    previous = signal.signal(signal.SIGINT, lambda *_: os._exit(130))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, previous)


if __name__ == "__main__":
    raise SystemExit(main())
