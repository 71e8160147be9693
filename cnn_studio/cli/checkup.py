"""``cnn-studio doctor``: what this machine has, and whether it works."""

from __future__ import annotations

import platform
import shutil
from pathlib import Path
from typing import Any

from cnn_studio import tasks
from cnn_studio.core import paths
from cnn_studio.core.errors import CnnStudioError
from cnn_studio.core.job.jobs import CancelToken, JobContext
from cnn_studio.core.system.display import find_display_problem, find_library_problem
from cnn_studio.core.weights.weights import all_statuses


def checkup(cancel: CancelToken) -> dict[str, Any]:
    """Look at everything the program needs.

    Returns:
        A JSON-ready object: versions, window (ok, detail), device (kind, name, detail, computes), disk, weights.
    """
    from cnn_studio.ml.runtime import versions

    problem = find_library_problem() or find_display_problem()
    try:
        found = tasks.start_runtime(None, JobContext(cancel=cancel))
        device = {"kind": found.kind, "name": found.name, "detail": found.detail, "computes": True}
    except CnnStudioError as error:
        device = {"kind": "", "name": "", "detail": str(error), "computes": False}
    places = {"cache": paths.cache_dir(), "data": paths.data_dir()}
    return {
        "versions": versions(),
        "system": platform.platform(),
        "window": {"ok": problem is None, "detail": f"{problem.sentence} {problem.hint}" if problem else ""},
        "device": device,
        "disk": {
            name: {"path": str(place), "free_bytes": shutil.disk_usage(_existing(place)).free}
            for name, place in places.items()
        },
        "weights": {status.backbone.name: status.usable for status in all_statuses()},
    }


def _existing(place: Path) -> Path:
    return place if place.exists() else _existing(place.parent)


def checkup_text(found: dict[str, Any]) -> str:
    """The same for a person to read."""
    lines = [f"{name:<12} {version}" for name, version in found["versions"].items()]
    lines.append(f"{'system':<12} {found['system']}")
    window = found["window"]
    lines.append(f"{'window':<12} {'can be shown' if window['ok'] else window['detail']}")
    device = found["device"]
    lines.append(f"{'device':<12} {device['detail']}{' It computes.' if device['computes'] else ''}")
    for name, place in found["disk"].items():
        lines.append(f"{name + ' folder':<12} {place['path']} ({place['free_bytes'] / 1e9:.1f} GB free)")
    have = [name for name, there in found["weights"].items() if there]
    lines.append(f"{'weights':<12} {', '.join(have) or 'no pre-trained weights here; scratch networks need none'}")
    return "\n".join(lines)
