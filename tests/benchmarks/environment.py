"""The line above each table: what it was measured with."""

import os
import platform
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

PACKAGES = {
    "PySide6": "PySide6_Essentials",
    "TensorFlow": "tensorflow",
    "Keras": "keras",
    "NumPy": "numpy",
    "Pillow": "pillow",
}


def heading(title):
    """A heading and a line with date, machine and versions, in Markdown."""
    versions = ", ".join(f"{name} {version(package)}" for name, package in PACKAGES.items())
    return (
        f"### {title}\n\n{datetime.now(UTC):%Y-%m-%d}, {os.cpu_count()} cores ({_processor()}), "
        f"Python {platform.python_version()}, {versions}.\n"
    )


def _processor():
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.machine()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())


def percentile(values, share):
    """The value that ``share`` (0–1) of ``values`` do not exceed (nearest rank)."""
    ranked = sorted(values)
    return ranked[min(len(ranked) - 1, int(share * len(ranked)))]
