"""What every test gets: a home of its own, no screen, quiet TensorFlow; and the real images where they are."""

import os
from pathlib import Path

import pytest

# Before anything imports TensorFlow or Qt.
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

from cnn_studio.core.system.display import find_display_problem

_SHARED = Path(__file__).resolve().parents[2] / "shared"
_SIGNS_OF_QT = ("import PySide6", "from PySide6", "cnn_studio.gui", "qtbot", "qapp")
_DISPLAY_PROBLEM = find_display_problem()


# -- where Qt's system libraries are missing, the tests that need none of them still run ---------------------------


def pytest_addoption(parser, pluginmanager):
    """Take pytest-qt out before it imports Qt and so ends the whole run."""
    if _DISPLAY_PROBLEM is None:
        return
    if os.environ.get("CI"):
        pytest.exit(_why_left_out("the window's tests"), returncode=1)
    pluginmanager.unregister(name="pytest-qt")


def pytest_collect_directory(path, parent):
    return _FolderLeftOut.from_parent(parent, path=path) if _needs_qt(path / "conftest.py") else None


def pytest_pycollect_makemodule(module_path, parent):
    return _FileLeftOut.from_parent(parent, path=module_path) if _needs_qt(module_path) else None


class _FolderLeftOut(pytest.File):  # for a pytest.Dir its conftest.py would be imported
    def collect(self):
        pytest.skip(_why_left_out(self.path.name), allow_module_level=True)


class _FileLeftOut(pytest.Module):
    def collect(self):
        pytest.skip(_why_left_out(self.path.name), allow_module_level=True)


def _needs_qt(file):
    if _DISPLAY_PROBLEM is None or file == Path(__file__) or not file.is_file():
        return False
    text = file.read_text(encoding="utf-8")
    return any(sign in text for sign in _SIGNS_OF_QT)


def _why_left_out(name):
    return f"{name}: {_DISPLAY_PROBLEM.sentence} {_DISPLAY_PROBLEM.hint}"


# -- nothing of a test reaches the user's own folders --------------------------------------------------------------


@pytest.fixture(scope="session", autouse=True)
def _nothing_in_the_users_folders(tmp_path_factory):
    """For fixtures that live longer than one test."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CNN_STUDIO_HOME", str(tmp_path_factory.mktemp("session_home")))
        yield


@pytest.fixture(autouse=True)
def own_home(tmp_path_factory, monkeypatch):
    """Caches, runs, logs and window settings of a test go to a folder of its own, which is given."""
    home = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("CNN_STUDIO_HOME", str(home))
    if _DISPLAY_PROBLEM is None:
        from PySide6.QtCore import QSettings

        QSettings.setDefaultFormat(QSettings.Format.IniFormat)
        QSettings.setPath(QSettings.Format.IniFormat, QSettings.Scope.UserScope, str(home / "settings"))
    return home


# -- the window --------------------------------------------------------------------------------------------------------


@pytest.fixture
def session(qapp):
    """The state behind a window; its thread is ended afterwards."""
    from cnn_studio.gui.state.session import Session

    session = Session()
    yield session
    session.close()


@pytest.fixture
def told(session):
    """Every notice that the session has told the user, the latest last."""
    notices = []
    session.notices.told.connect(notices.append)
    return notices


@pytest.fixture
def window(qtbot, session, told):
    """The whole window, on the data page."""
    from cnn_studio.gui.main_window import MainWindow

    window = MainWindow(session)
    qtbot.addWidget(window)
    window.show()
    qtbot.waitExposed(window)
    return window


# -- real files beside the checkout --------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def shared_data():
    """The folder of real images beside the checkout; its README says what is in it."""
    return _shared("data")


@pytest.fixture(scope="session")
def shared_weights():
    """The folder of pre-trained weights beside the checkout."""
    return _shared("weights")


def _shared(name):
    folder = _SHARED / name
    if not folder.is_dir():
        pytest.skip(f"the real files of ../shared/{name} are not on this machine")
    return folder
