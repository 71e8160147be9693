"""Finding out whether a window can be shown, with the real loader, Qt's real files and a real X server."""

import importlib.util
import json
import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import cnn_studio
from cnn_studio.core.system import display
from cnn_studio.core.system.shared_libraries import missing_libraries, needed_libraries, why_not_loadable

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="elsewhere Qt brings all it needs")

QT = Path(importlib.util.find_spec("PySide6").submodule_search_locations[0], "Qt")
DISPLAY_VARIABLES = ("DISPLAY", "WAYLAND_DISPLAY", "XDG_SESSION_TYPE", "QT_QPA_PLATFORM", "XAUTHORITY")
LIBC = ("libc.so", "libm.so", "libdl.so", "libpthread.so", "librt.so", "ld-linux")


def problem_in_child(python_path=(), **variables):
    """What a fresh process with these display variables finds: (kind, sentence, libraries), or None."""
    environment = {name: value for name, value in os.environ.items() if name not in DISPLAY_VARIABLES}
    environment |= variables
    environment["PYTHONPATH"] = os.pathsep.join([*map(str, python_path), str(Path(cnn_studio.__file__).parents[1])])
    code = (
        "import dataclasses, json; from cnn_studio.core.system.display import find_display_problem as find\n"
        "problem = find(); print(json.dumps(dataclasses.asdict(problem) if problem else None))"
    )
    child = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True, timeout=60
    )
    return json.loads(child.stdout)


def needs(plugin):
    path = QT / "plugins" / "platforms" / f"libq{plugin}.so"
    return pytest.mark.skipif(bool(why_not_loadable(path)), reason=f"system libraries of Qt's {plugin} are missing")


def test_no_display_is_told():
    problem = problem_in_child()
    assert problem["kind"] == "no_display"
    assert "DISPLAY" in problem["sentence"]


@needs("offscreen")
def test_offscreen_needs_no_display():
    assert problem_in_child(QT_QPA_PLATFORM="offscreen:enable_fonts") is None


@needs("xcb")
def test_a_display_that_does_not_answer_is_told():
    problem = problem_in_child(DISPLAY=":4711")
    assert problem["kind"] == "no_display"
    assert "':4711'" in problem["sentence"]


@needs("wayland")
def test_a_wayland_display_that_does_not_answer_is_told(tmp_path):
    problem = problem_in_child(WAYLAND_DISPLAY="wayland-7", XDG_RUNTIME_DIR=str(tmp_path))
    assert problem["kind"] == "no_display"
    assert "'wayland-7'" in problem["sentence"]


@needs("xcb")
@pytest.mark.skipif(not shutil.which("Xvfb"), reason="Xvfb is not installed")
def test_a_display_that_answers_is_fine():
    reader, writer = os.pipe()
    command = ["Xvfb", "-displayfd", str(writer), "-screen", "0", "320x240x24", "-nolisten", "tcp"]
    with subprocess.Popen(command, pass_fds=[writer], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
        os.close(writer)
        try:
            with os.fdopen(reader) as stream:
                number = stream.readline().strip()  # written once it listens
            assert problem_in_child(DISPLAY=f":{number}") is None
        finally:
            server.terminate()


@needs("xcb")
def test_libraries_are_looked_at_without_a_display_too(monkeypatch):
    for variable in DISPLAY_VARIABLES:
        monkeypatch.delenv(variable, raising=False)
    assert display.find_library_problem() is None


def test_a_platform_that_qt_does_not_have_is_told():
    problem = problem_in_child(QT_QPA_PLATFORM="hologram")
    assert problem["kind"] == "no_display"
    assert "'hologram'" in problem["sentence"]


@needs("offscreen")
def test_the_next_platform_of_a_list_will_do():
    assert problem_in_child(QT_QPA_PLATFORM="hologram;offscreen") is None


def test_missing_libraries_are_all_named(tmp_path):
    """Qt's own plugin without Qt's own libraries beside it: the real loader fails, the file says what it needs."""
    platforms = tmp_path / "PySide6" / "Qt" / "plugins" / "platforms"
    platforms.mkdir(parents=True)
    (tmp_path / "PySide6" / "__init__.py").touch()
    shutil.copy(QT / "plugins" / "platforms" / "libqoffscreen.so", platforms)
    problem = problem_in_child([tmp_path], QT_QPA_PLATFORM="offscreen")
    assert problem["kind"] == "missing_libraries"
    # Where Qt's libraries from the system are missing too, these are named beside them.
    assert {"libQt6Gui.so.6", "libQt6Core.so.6"} <= set(problem["libraries"])
    assert "libQt6Gui.so.6" in problem["sentence"]


def test_a_qt_that_is_not_installed_is_told(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    problem = display.find_display_problem()
    assert problem.kind is display.DisplayProblemKind.NO_QT
    assert "pip install PySide6_Essentials" in problem.hint
    assert display.find_library_problem() == problem


@pytest.mark.parametrize("system", ["win32", "darwin"])
def test_elsewhere_there_is_nothing_to_find(monkeypatch, system):
    monkeypatch.setattr(sys, "platform", system)
    monkeypatch.delenv("QT_QPA_PLATFORM", raising=False)
    assert display.find_display_problem() is None
    assert display.find_library_problem() is None


def test_every_library_that_this_qt_needs_has_its_package_named():
    """Fails when a new Qt starts to need a library: add its package to the table."""
    plugins = [QT / "plugins" / "platforms" / f"libq{name}.so" for name in ("xcb", "wayland", "offscreen")]
    waiting = [*plugins, QT / "plugins/wayland-shell-integration/libxdg-shell.so"]
    waiting += [QT / "lib" / name for name in ("libQt6Widgets.so.6", "libQt6Svg.so.6")]
    outside, seen = set(), set()
    while waiting:
        for soname in needed_libraries(waiting.pop()):
            own = QT / "lib" / soname
            if own.exists() and own not in seen:
                seen.add(own)
                waiting.append(own)
            elif not own.exists() and not soname.startswith(LIBC):
                outside.add(soname)
    assert "libxcb-cursor.so.0" in outside
    assert outside == set(display.DEBIAN_PACKAGES)


def test_a_file_that_is_no_elf_needs_nothing(tmp_path):
    (tmp_path / "libfake.so").write_bytes(b"not a library")
    assert needed_libraries(tmp_path / "libfake.so") == ()
    assert "libfake.so" in why_not_loadable(tmp_path / "libfake.so")
    assert missing_libraries([tmp_path / "libfake.so"], tmp_path) == ()


@pytest.mark.parametrize(
    ("system", "expected"),
    [
        ({"ID": "debian"}, "apt install libegl1 libgl1`"),
        ({"ID": "linuxmint", "ID_LIKE": "ubuntu debian"}, "apt install libegl1 libgl1`"),
        ({"ID": "fedora"}, "dnf install 'libGL.so.1()(64bit)' 'libEGL.so.1()(64bit)'`"),
        ({"ID": "opensuse-tumbleweed", "ID_LIKE": "opensuse suse"}, "zypper install 'libGL.so.1()(64bit)'"),
        ({"ID": "arch"}, "`pacman -F libGL.so.1 libEGL.so.1`"),
        ({}, "Debian calls these libegl1 libgl1."),
    ],
)
def test_the_hint_fits_the_distribution(monkeypatch, tmp_path, system, expected):
    monkeypatch.setattr(platform, "freedesktop_os_release", lambda: system)
    (tmp_path / "main_Packages").touch()
    monkeypatch.setattr(display, "_APT_LISTS", tmp_path)
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    problem = display._library_problem(("libGL.so.1", "libEGL.so.1"), "libGL.so.1: cannot open shared object file")
    assert expected in problem.hint
    assert "apt update" not in problem.hint
    assert ("`sudo " in problem.hint) == ("install '" in expected or "apt install" in expected)


def test_without_package_lists_apt_is_updated_first(monkeypatch, tmp_path):
    monkeypatch.setattr(platform, "freedesktop_os_release", lambda: {"ID": "debian"})
    monkeypatch.setattr(display, "_APT_LISTS", tmp_path)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    problem = display._library_problem(("libGL.so.1",), "")
    assert "`apt update && apt install libgl1`" in problem.hint


def test_a_loader_failure_that_no_package_mends_is_told_in_its_words():
    problem = display._library_problem((), "version `GLIBC_2.99' not found")
    assert "GLIBC_2.99" in problem.sentence
    assert problem.packages == ()
