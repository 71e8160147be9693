"""How much memory this process may use: what the machine has, less where somebody has set it a limit.

Limits are those of the control groups the process is in (a container's is one; Linux ends who goes beyond), and that
of its address space (``ulimit -v``).
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import psutil

PROC = Path("/proc")


def total_memory(proc: Path = PROC) -> int:
    """Bytes this process may use at most, whoever uses them now.

    Args:
        proc: where Linux tells of the process and its control groups.
    """
    return min([int(psutil.virtual_memory().total), *(limit.most for limit in _limits(proc))])


def available_memory(proc: Path = PROC) -> int:
    """Bytes this process can still take without swapping; an estimate.

    Args:
        proc: where Linux tells of the process and its control groups.
    """
    free = (limit.most - limit.used for limit in _limits(proc))
    return max(0, min([int(psutil.virtual_memory().available), *free]))


@dataclass(frozen=True, slots=True)
class _Limit:
    """Bytes that may be used at most, and those that are."""

    most: int
    used: int


@dataclass(frozen=True, slots=True)
class _Files:
    """What the files of a version of control groups are called."""

    most: str
    used: str
    reclaimable: str


_VERSION_1 = _Files("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
_VERSION_2 = _Files("memory.max", "memory.current", "inactive_file")


def _limits(proc: Path) -> Iterator[_Limit]:
    if (most := _address_space()) is not None:
        yield _Limit(most, psutil.Process().memory_info().vms)
    for folder, files in _groups(proc):
        if (limit := _limit_of(folder, files)) is not None:
            yield limit


def _address_space() -> int | None:
    if sys.platform == "win32":
        return None
    import resource

    soft, _ = resource.getrlimit(resource.RLIMIT_AS)
    return None if soft == resource.RLIM_INFINITY else soft


def _groups(proc: Path) -> Iterator[tuple[Path, _Files]]:
    """The folders of the control groups that count this process's memory, from its own up to the outermost one seen."""
    try:
        memberships = (proc / "self" / "cgroup").read_text(encoding="utf-8").splitlines()
        mounts = (proc / "self" / "mountinfo").read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError):
        return  # not Linux
    for membership in memberships:
        number, controllers, group = membership.split(":", 2)
        if number == "0":
            kind, files = "cgroup2", _VERSION_2
        elif "memory" in controllers.split(","):
            kind, files = "cgroup", _VERSION_1
        else:
            continue
        for mount in mounts:
            before, _, after = mount.partition(" - ")
            file_system, _, options = after.split(" ", 2)
            if file_system != kind or (kind == "cgroup" and "memory" not in options.split(",")):
                continue
            root, point = (_unescaped(field) for field in before.split(" ")[3:5])
            # A container may see its own group as the root, by another name than the one it is told to be in.
            below = PurePosixPath(group).relative_to(root) if PurePosixPath(group).is_relative_to(root) else ""
            folder = Path(point) / below
            yield folder, files
            for parent in folder.parents:
                if not parent.is_relative_to(point):
                    break
                yield parent, files


def _limit_of(folder: Path, files: _Files) -> _Limit | None:
    try:
        most = int((folder / files.most).read_text(encoding="ascii"))
        used = int((folder / files.used).read_text(encoding="ascii"))
        stat = (folder / "memory.stat").read_text(encoding="ascii")
    except (OSError, ValueError):  # "max" is no number; the outermost group has no such files
        return None
    # Files that were read and are kept in case they are read again count as used, and go when somebody needs room.
    found = re.search(rf"^{files.reclaimable} (\d+)$", stat, re.MULTILINE)
    return _Limit(most, used - int(found[1]) if found else used)


def _unescaped(field: str) -> str:
    return re.sub(r"\\([0-7]{3})", lambda code: chr(int(code[1], 8)), field)
