"""Keep TensorFlow's start-up banners off the terminal.

TensorFlow 2.21 writes a few lines about oneDNN, CPU features and missing CUDA drivers straight to file descriptor 2
before it reads any logging setting (tried: TF_CPP_MIN_LOG_LEVEL, ABSL_MIN_LOG_LEVEL, GLOG_minloglevel). Users take
them for errors. Everything else that is written meanwhile passes through.
"""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_BANNER = re.compile(
    rb"^("
    rb"WARNING: All log messages before absl::InitializeLog"
    rb"|[IWE]\d{4} \d\d[:.]"  # I0000 00:00:1795382501.781966 5982 port.cc:153] …
    rb"|\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d+: [IWE] "  # older form
    rb"|To enable the following instructions:"
    rb")"
)
_MAY_BECOME_BANNER = (b"WARNING: All log", b"I0", b"W0", b"E0", b"I1", b"W1", b"E1", b"To enable", b"20")


@contextmanager
def without_banners() -> Iterator[None]:
    """Drop TensorFlow's banner lines from standard error while the block runs; pass everything else on.

    Where there is no standard error (a windowed bundle) it does nothing.
    """
    try:
        original = os.dup(2)
    except OSError:
        yield
        return
    reader, writer = os.pipe()
    os.dup2(writer, 2)
    os.close(writer)
    passing = threading.Thread(target=_pass_on, args=(reader, original), name="stderr-filter", daemon=True)
    passing.start()
    try:
        yield
    finally:
        os.dup2(original, 2)  # closes the pipe's last writer, which ends the thread
        passing.join(timeout=5)
        if not passing.is_alive():
            os.close(original)


def _pass_on(reader: int, original: int) -> None:
    pending = b""
    while chunk := os.read(reader, 65536):
        *lines, pending = (pending + chunk).split(b"\n")
        kept = b"".join(line + b"\n" for line in lines if not _BANNER.match(line))
        if not pending.startswith(_MAY_BECOME_BANNER):  # a progress bar's unfinished line
            kept, pending = kept + pending, b""
        if kept:
            os.write(original, kept)
    if pending and not _BANNER.match(pending):
        os.write(original, pending)
    os.close(reader)
