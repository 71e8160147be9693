"""A container's limit of memory, made as containers make it: a refusal in words in place of a kill."""

import os
import subprocess
import sys
import uuid
from pathlib import Path

import pytest

_GROUPS = Path("/sys/fs/cgroup/memory")


@pytest.fixture
def limited():
    """limited(bytes): what a process calls before anything else to be in a group with that limit."""
    group = _GROUPS / f"cnn_studio_{uuid.uuid4().hex[:8]}"
    try:
        group.mkdir()
        (group / "memory.limit_in_bytes").read_text(encoding="ascii")
    except OSError as error:
        pytest.skip(f"no group with a limit of memory can be made here: {error}")

    def make(limit):
        (group / "memory.limit_in_bytes").write_text(str(limit), encoding="ascii")
        return lambda: (group / "cgroup.procs").write_text(str(os.getpid()), encoding="ascii")

    yield make
    group.rmdir()


@pytest.mark.slow
def test_a_container_too_small_for_tensorflow_is_told(blobs, tmp_path, limited):
    command = [sys.executable, "-m", "cnn_studio", "train", str(blobs), "--out", str(tmp_path / "run")]
    enter = limited(150_000_000)
    done = subprocess.run(command, preexec_fn=enter, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 1, "killed" if done.returncode == -9 else done.stderr
    assert "TensorFlow alone takes 220 MB of memory" in done.stderr
    assert "limit of the container" in done.stderr
    assert not (tmp_path / "run").exists()
