"""Whether a window can be shown, found out before Qt is asked.

Qt answers a missing display with ``abort()`` and a missing system library with an ImportError or, for the library of
a platform plugin, with ``abort()`` again. So what Qt is about to do is tried here first, with Qt's own files and the
display's own client library, and a failure is put in words. What loads here stays loaded: the look costs next to
nothing where all is well.
"""

from __future__ import annotations

import ctypes
import importlib.util
import os
import platform
import sys
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from cnn_studio.core.system.shared_libraries import missing_libraries, why_not_loadable


class DisplayProblemKind(StrEnum):
    """Why no window can be shown."""

    NO_DISPLAY = "no_display"
    MISSING_LIBRARIES = "missing_libraries"
    NO_QT = "no_qt"


@dataclass(frozen=True, slots=True)
class DisplayProblem:
    """Why no window can be shown, and what to do.

    Attributes:
        kind: the reason, for grouping.
        sentence: what is the matter.
        hint: what to do about it, with the command to type where there is one.
        libraries: sonames of the system libraries that are missing.
        packages: Debian's and Ubuntu's names of the packages that hold them.
    """

    kind: DisplayProblemKind
    sentence: str
    hint: str
    libraries: tuple[str, ...] = ()
    packages: tuple[str, ...] = ()


# Read off Debian 12. Where later releases renamed a package (libglib2.0-0t64), the new one provides the old name.
DEBIAN_PACKAGES = {
    "libEGL.so.1": "libegl1",
    "libGL.so.1": "libgl1",
    "libX11-xcb.so.1": "libx11-xcb1",
    "libX11.so.6": "libx11-6",
    "libdbus-1.so.3": "libdbus-1-3",
    "libfontconfig.so.1": "libfontconfig1",
    "libfreetype.so.6": "libfreetype6",
    "libgcc_s.so.1": "libgcc-s1",
    "libglib-2.0.so.0": "libglib2.0-0",
    "libgthread-2.0.so.0": "libglib2.0-0",
    "libstdc++.so.6": "libstdc++6",
    "libwayland-client.so.0": "libwayland-client0",
    "libwayland-cursor.so.0": "libwayland-cursor0",
    "libxcb-cursor.so.0": "libxcb-cursor0",
    "libxcb-icccm.so.4": "libxcb-icccm4",
    "libxcb-image.so.0": "libxcb-image0",
    "libxcb-keysyms.so.1": "libxcb-keysyms1",
    "libxcb-randr.so.0": "libxcb-randr0",
    "libxcb-render-util.so.0": "libxcb-render-util0",
    "libxcb-render.so.0": "libxcb-render0",
    "libxcb-shape.so.0": "libxcb-shape0",
    "libxcb-shm.so.0": "libxcb-shm0",
    "libxcb-sync.so.1": "libxcb-sync1",
    "libxcb-util.so.1": "libxcb-util1",
    "libxcb-xfixes.so.0": "libxcb-xfixes0",
    "libxcb-xkb.so.1": "libxcb-xkb1",
    "libxcb.so.1": "libxcb1",
    "libxkbcommon-x11.so.0": "libxkbcommon-x11-0",
    "libxkbcommon.so.0": "libxkbcommon0",
    "libz.so.1": "zlib1g",
    "libzstd.so.1": "libzstd1",
}

# Besides the platform's plugin: the libraries behind the Qt modules that the window and pyqtgraph import.
_QT_LIBRARIES = ("libQt6Widgets.so.6", "libQt6Svg.so.6")
_APT_LISTS = Path("/var/lib/apt/lists")
_WAYLAND_SHELL = Path("wayland-shell-integration", "libxdg-shell.so")
_NO_DISPLAY_HINT = (
    "Log in to a desktop (over ssh: `ssh -X`), or use the commands, which need no display: `cnn-studio --help`."
)

_NO_QT = DisplayProblem(
    DisplayProblemKind.NO_QT,
    "The window needs Qt, and PySide6 is not installed.",
    f"Run `{Path(sys.executable).name} -m pip install PySide6_Essentials`.",
)


def find_display_problem() -> DisplayProblem | None:
    """The reason why Qt could not show a window here, or None when it can.

    On Windows and macOS Qt brings all it needs, and the answer is None.
    """
    if sys.platform != "linux":
        return None
    qt = _qt_folder()
    if qt is None:
        return _NO_QT
    platforms = _platforms_to_try()
    if not platforms:
        return DisplayProblem(
            DisplayProblemKind.NO_DISPLAY,
            "There is no display: neither DISPLAY nor WAYLAND_DISPLAY is set.",
            _NO_DISPLAY_HINT,
        )
    problems = []
    for name in platforms:
        problem = _problem_with(name, qt)
        if problem is None:
            return None
        problems.append(problem)
    return problems[0]


def find_library_problem(platform_name: str = "xcb") -> DisplayProblem | None:
    """The system libraries that a window would lack, whether or not there is a display; None when all are there.

    Args:
        platform_name: Qt's platform plugin to look at: "xcb" (X11), "wayland", "offscreen".
    """
    if sys.platform != "linux":
        return None
    qt = _qt_folder()
    return _NO_QT if qt is None else _library_problem_of(_parts(platform_name, qt), qt)


def _qt_folder() -> Path | None:
    spec = importlib.util.find_spec("PySide6")
    return Path(spec.submodule_search_locations[0], "Qt") if spec and spec.submodule_search_locations else None


def _platforms_to_try() -> list[str]:
    """Names of Qt's platform plugins in the order in which Qt itself would try them (``qguiapplication.cpp``)."""
    if asked := os.environ.get("QT_QPA_PLATFORM"):
        return [name.partition(":")[0] for name in asked.split(";") if name]
    wayland_session = os.environ.get("XDG_SESSION_TYPE") == "wayland"
    names = ["xcb"] if os.environ.get("DISPLAY") else []
    if wayland_session or os.environ.get("WAYLAND_DISPLAY"):
        names.insert(0 if wayland_session else len(names), "wayland")
    return names


def _problem_with(name: str, qt: Path) -> DisplayProblem | None:
    if not _plugin(name, qt).exists():
        if not qt.is_dir() or os.environ.get("QT_QPA_PLATFORM_PLUGIN_PATH") or os.environ.get("QT_PLUGIN_PATH"):
            return None  # a Qt of the user's own making: nothing is known about it
        return DisplayProblem(
            DisplayProblemKind.NO_DISPLAY,
            f"QT_QPA_PLATFORM names {name!r}, which this Qt does not have.",
            "Unset QT_QPA_PLATFORM to let Qt choose.",
        )
    if problem := _library_problem_of(_parts(name, qt), qt):
        return problem
    if name == "xcb" and not _x_server_answers():
        return DisplayProblem(
            DisplayProblemKind.NO_DISPLAY,
            f"The display {os.environ.get('DISPLAY', '')!r} that DISPLAY names does not answer.",
            _NO_DISPLAY_HINT,
        )
    if name.startswith("wayland") and not _wayland_answers():
        named = os.environ.get("WAYLAND_DISPLAY", "wayland-0")
        return DisplayProblem(
            DisplayProblemKind.NO_DISPLAY, f"The Wayland display {named!r} does not answer.", _NO_DISPLAY_HINT
        )
    return None


def _plugin(name: str, qt: Path) -> Path:
    return qt / "plugins" / "platforms" / f"libq{name}.so"


def _parts(name: str, qt: Path) -> list[Path]:
    """Qt's own files that a window on this platform makes use of."""
    parts = [*(qt / "lib" / library for library in _QT_LIBRARIES), _plugin(name, qt)]
    if name.startswith("wayland"):
        parts.append(qt / "plugins" / _WAYLAND_SHELL)
    return [part for part in parts if part.exists()]


def _library_problem_of(parts: list[Path], qt: Path) -> DisplayProblem | None:
    for part in parts:
        if failure := why_not_loadable(part):
            return _library_problem(missing_libraries(parts, qt / "lib"), failure)
    return None


def _x_server_answers() -> bool:
    """Whether the X server takes a connection, with the same library and the same credentials as Qt's plugin."""
    xcb = ctypes.CDLL("libxcb.so.1")
    xcb.xcb_connect.restype = ctypes.c_void_p
    connection = ctypes.c_void_p(xcb.xcb_connect(None, None))
    refused = bool(xcb.xcb_connection_has_error(connection))
    xcb.xcb_disconnect(connection)
    return not refused


def _wayland_answers() -> bool:
    named = os.environ.get("WAYLAND_DISPLAY", "")
    if not named.startswith("/") and "XDG_RUNTIME_DIR" not in os.environ:
        return False
    wayland = ctypes.CDLL("libwayland-client.so.0")
    wayland.wl_display_connect.restype = ctypes.c_void_p
    display = wayland.wl_display_connect(None)
    if not display:
        return False
    wayland.wl_display_disconnect(ctypes.c_void_p(display))
    return True


def _library_problem(missing: tuple[str, ...], failure: str) -> DisplayProblem:
    if not missing:
        return DisplayProblem(
            DisplayProblemKind.MISSING_LIBRARIES,
            f"The window's libraries cannot be loaded: {failure}.",
            "The commands without a window still work: `cnn-studio --help`.",
        )
    packages = tuple(sorted({DEBIAN_PACKAGES[soname] for soname in missing if soname in DEBIAN_PACKAGES}))
    count = "a system library" if len(missing) == 1 else f"{len(missing)} system libraries"
    return DisplayProblem(
        DisplayProblemKind.MISSING_LIBRARIES,
        f"The window needs {count} that this machine lacks: {', '.join(missing)}.",
        f"{_how_to_install(missing, packages)} The commands without a window need none of them.",
        missing,
        packages,
    )


def _how_to_install(missing: tuple[str, ...], packages: tuple[str, ...]) -> str:
    """A sentence with what to type on this distribution."""
    root = "" if os.geteuid() == 0 else "sudo "
    try:
        system = platform.freedesktop_os_release()
    except OSError:
        system = {}
    family = {system.get("ID", ""), *system.get("ID_LIKE", "").split()}
    if family & {"debian", "ubuntu"}:
        # A container's image comes without package lists, and apt then knows no package at all.
        unlisted = not any(_APT_LISTS.glob("*_Packages*"))
        return f"Run `{f'{root}apt update && ' if unlisted else ''}{root}apt install {' '.join(packages)}`."
    provided = " ".join(f"'{soname}()(64bit)'" for soname in missing)
    if family & {"fedora", "rhel", "centos"}:
        return f"Run `{root}dnf install {provided}`."
    if family & {"suse", "opensuse"}:
        return f"Run `{root}zypper install {provided}`."
    if "arch" in family:
        return f"Run `pacman -F {' '.join(missing)}`, which names the packages, and install those."
    return f"Install the packages that hold them; Debian calls these {' '.join(packages)}."
