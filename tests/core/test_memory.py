"""How much memory there is: by trees of files such as Linux shows them, and with real limits where they can be had."""

import subprocess
import sys
import uuid
from pathlib import Path

import psutil
import pytest

from cnn_studio.core.system import memory
from cnn_studio.core.system.memory import available_memory, total_memory

MB = 2**20
NO_LIMIT_1 = 9223372036854771712

needs_address_space = pytest.mark.skipif(sys.platform != "linux", reason="only Linux limits the address space for sure")


@pytest.fixture(autouse=True)
def machine(monkeypatch, request):
    """A machine with 8000 MB, 5000 of them available, and a process whose address space has no limit."""
    sizes = psutil.virtual_memory()._replace(total=8000 * MB, available=5000 * MB)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: sizes)
    monkeypatch.setattr(memory, "_address_space", lambda: None)


def group(folder, version, most, used, reclaimable=0):
    folder.mkdir(parents=True, exist_ok=True)
    names = [("memory.limit_in_bytes", "memory.usage_in_bytes"), ("memory.max", "memory.current")][version - 1]
    for name, value in zip(names, (most, used), strict=True):
        (folder / name).write_text(f"{value}\n", encoding="ascii")
    stat = f"anon 5\ninactive_file {7 if version == 1 else reclaimable}\ntotal_inactive_file {reclaimable}\n"
    (folder / "memory.stat").write_text(stat, encoding="ascii")


@pytest.fixture
def proc(tmp_path):
    """proc(memberships, mounts): a /proc that tells of these groups; a mount is (root, point, file system, options)."""

    def make(memberships, *mounts):
        own = tmp_path / "proc" / "self"
        own.mkdir(parents=True)
        (own / "cgroup").write_text("".join(f"{line}\n" for line in memberships), encoding="utf-8")
        lines = ["22 1 8:1 / / rw,relatime - ext4 /dev/sda1 rw"]
        for number, (root, point, kind, options) in enumerate(mounts, start=30):
            escaped = str(point).replace(" ", "\\040")
            lines.append(f"{number} 22 0:{number} {root} {escaped} rw,nosuid shared:9 - {kind} {kind} {options}")
        (own / "mountinfo").write_text("\n".join(lines) + "\n", encoding="utf-8")
        return tmp_path / "proc"

    return make


def figures(proc):
    return total_memory(proc) // MB, available_memory(proc) // MB


def test_the_figures_of_this_machine_are_plausible(monkeypatch):
    monkeypatch.undo()
    assert 10**8 < available_memory() <= total_memory()


def test_without_groups_it_is_the_machines(tmp_path, proc):
    assert figures(tmp_path / "nowhere") == (8000, 5000)
    assert figures(proc(["0::/user.slice"], ("/", tmp_path / "missing", "cgroup2", "rw"))) == (8000, 5000)


def test_the_smallest_of_nested_groups_counts(tmp_path, proc):
    top = tmp_path / "sys fs" / "cgroup"
    group(top / "slice" / "service" / "job", 2, "max", 100 * MB)
    group(top / "slice" / "service", 2, 2000 * MB, 500 * MB, reclaimable=200 * MB)
    group(top / "slice", 2, 3000 * MB, 2900 * MB)
    group(top / "slice" / "other", 2, 1 * MB, 1 * MB)
    found = proc(["0::/slice/service/job"], ("/", top, "cgroup2", "rw,nsdelegate"))
    assert figures(found) == (2000, 100)  # at most by the service, still to be had by the slice


def test_a_group_that_is_full_leaves_nothing(tmp_path, proc):
    group(tmp_path / "cgroup" / "job", 2, 300 * MB, 300 * MB + 4096)
    assert figures(proc(["0::/job"], ("/", tmp_path / "cgroup", "cgroup2", "rw"))) == (300, 0)


def test_version_1_beside_version_2(tmp_path, proc):
    top = tmp_path / "cgroup"
    group(top / "memory" / "docker" / "abc", 1, 1000 * MB, 900 * MB, reclaimable=300 * MB)
    group(top / "memory" / "docker", 1, NO_LIMIT_1, 4000 * MB)
    group(top / "cpu" / "docker" / "abc", 1, 1 * MB, 0)
    (top / "unified").mkdir()
    memberships = ["5:cpu,cpuacct:/docker/abc", "4:hugetlb,memory:/docker/abc", "1:name=systemd:/init", "0::/"]
    mounts = [
        ("/", top / "cpu", "cgroup", "rw,cpu,cpuacct"),
        ("/", top / "memory", "cgroup", "rw,memory"),
        ("/", top / "unified", "cgroup2", "rw"),
    ]
    assert figures(proc(memberships, *mounts)) == (1000, 400)


@pytest.mark.parametrize(("root", "told"), [("/docker/abc", "/docker/abc"), ("/", "/"), ("/docker/abc", "/elsewhere")])
def test_in_a_container_its_own_group_is_the_root(tmp_path, proc, root, told):
    group(tmp_path / "memory", 1, 700 * MB, 100 * MB)
    assert figures(proc([f"4:memory:{told}"], (root, tmp_path / "memory", "cgroup", "rw,memory"))) == (700, 600)


def test_a_limit_of_the_address_space_counts(tmp_path, monkeypatch):
    used = psutil.Process().memory_info().vms
    monkeypatch.setattr(memory, "_address_space", lambda: used + 50 * MB)
    total, available = total_memory(tmp_path), available_memory(tmp_path)
    assert total == used + 50 * MB
    assert 0 < available <= 60 * MB


# -- real limits ---------------------------------------------------------------------------------------------------

TELL = """
import sys
from pathlib import Path
if len(sys.argv) > 1:
    Path(sys.argv[1], "cgroup.procs").write_text("0")
from cnn_studio.core.system.memory import available_memory, total_memory
print(total_memory(), available_memory())
"""


def told_by_a_process(*arguments, **more):
    command = [sys.executable, "-c", TELL, *map(str, arguments)]
    text = subprocess.run(command, check=True, capture_output=True, text=True, **more).stdout
    return tuple(map(int, text.split()))


@needs_address_space
def test_a_process_sees_its_ulimit():
    import resource

    limit = 900 * MB
    total, available = told_by_a_process(preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (limit, limit)))
    assert total <= limit
    assert 0 < available < total


@pytest.fixture
def limited_group():
    """A real control group that may use 600 MB."""
    for folder, files in memory._groups(memory.PROC):
        made = folder / f"cnn_studio_test_{uuid.uuid4().hex}"
        try:
            made.mkdir()
        except OSError:
            continue
        try:
            if (made / files.most).exists():
                (made / files.most).write_text(str(600 * MB))
                yield made
                return
        except OSError:
            continue
        finally:
            made.rmdir()
    pytest.skip("no control group can be made here")


def test_a_process_sees_the_limit_of_its_control_group(limited_group):
    try:
        total, available = told_by_a_process(limited_group)
    except subprocess.CalledProcessError as error:
        pytest.skip(f"a process cannot be put into a group here: {error.stderr.splitlines()[-1]}")
    assert total <= 600 * MB
    assert 300 * MB < available < total
    assert Path(limited_group).is_dir()
