"""Where things are: shipped resources, and this user's cache, data and logs."""

from __future__ import annotations

import os
from pathlib import Path

import platformdirs

_APP = "cnn_studio"
_HOME_VARIABLE = "CNN_STUDIO_HOME"


def resource_dir() -> Path:
    """The folder with icons, help pages and samples.

    In a wheel or a bundle it lies inside the package; in a checkout, beside it.

    Raises:
        FileNotFoundError: the installation is incomplete.
    """
    package = Path(__file__).resolve().parent.parent
    for candidate in (package / "resources", package.parent / "resources"):
        if candidate.is_dir():
            return candidate
    raise FileNotFoundError(f"The resources folder is missing beside {package}; install cnn_studio again.")


def sample_dataset_dir() -> Path:
    """The sample data set: a folder with one sub-folder of photographs per class."""
    return resource_dir() / "samples" / "sign_digits"


def cache_dir() -> Path:
    """What can be made again and may be deleted at any time; not created here."""
    return _own("cache") or platformdirs.user_cache_path(_APP, appauthor=False)


def data_dir() -> Path:
    """What the user would miss, such as runs; not created here."""
    return _own("data") or platformdirs.user_data_path(_APP, appauthor=False)


def log_dir() -> Path:
    """Log files; not created here."""
    return _own("logs") or platformdirs.user_log_path(_APP, appauthor=False)


def _own(name: str) -> Path | None:
    """That folder under ``$CNN_STUDIO_HOME``, which tests and portable installations set."""
    home = os.environ.get(_HOME_VARIABLE)
    return Path(home).expanduser().absolute() / name if home else None
