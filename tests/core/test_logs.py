"""The log and the crash report, each from a real child process: both belong to the whole process."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from cnn_studio.core.system import logs


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("CNN_STUDIO_HOME", str(tmp_path))
    return tmp_path


def run_child(code: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(Path(logs.__file__).parents[2])}
    environment.pop("PYTHONFAULTHANDLER", None)
    program = f"from cnn_studio.core.system import logs\nlogs.set_up_logging()\n{code}"
    return subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=False, timeout=60
    )


def test_an_exception_nobody_caught_is_logged_and_told(home):
    child = run_child("raise ValueError('lost in the woods')")
    assert child.returncode == 1
    assert "lost in the woods" in child.stderr
    text = logs.log_file().read_text(encoding="utf-8")
    assert "CRITICAL" in text
    assert "ValueError: lost in the woods" in text


def test_an_exception_in_a_thread_is_logged_with_the_threads_name(home):
    child = run_child(
        "import threading\n"
        "thread = threading.Thread(target=lambda: 1 / 0, name='feeder')\n"
        "thread.start(); thread.join()"
    )
    assert child.returncode == 0
    assert "ZeroDivisionError" in child.stderr
    text = logs.log_file().read_text(encoding="utf-8")
    assert "Nobody caught this in feeder" in text
    assert "ZeroDivisionError" in text


def test_ctrl_c_is_not_logged_as_a_failure(home):
    child = run_child("raise KeyboardInterrupt")
    assert child.returncode != 0
    assert "CRITICAL" not in logs.log_file().read_text(encoding="utf-8")


def test_messages_of_the_program_reach_the_file_and_not_the_screen(home):
    child = run_child("import logging; logging.getLogger('cnn_studio.ml').info('chose the CPU, ünïcode %s', '\\udc80')")
    assert (child.stdout, child.stderr) == ("", "")
    assert "INFO" in (text := logs.log_file().read_text(encoding="utf-8"))
    assert "chose the CPU, ünïcode" in text


def test_setting_up_twice_logs_once(home):
    run_child("logs.set_up_logging(); import logging; logging.getLogger('cnn_studio').info('only once')")
    assert logs.log_file().read_text(encoding="utf-8").count("only once") == 1


def test_a_crash_is_told_at_the_next_start_and_only_then(home):
    child = run_child("import faulthandler; faulthandler._sigsegv()")
    assert child.returncode != 0
    text = logs.previous_crash()
    assert text is not None
    assert "Fatal Python error: Segmentation fault" in text
    assert logs.previous_crash() is None
    assert "Segmentation fault" in (home / "logs" / "crash-previous.txt").read_text(encoding="utf-8")


def test_a_program_that_ended_well_leaves_no_crash(home):
    assert run_child("pass").returncode == 0
    assert logs.previous_crash() is None


def test_a_crash_after_the_report_was_emptied_is_told_too(home):
    """Another instance still has the file open while this one reads and empties it."""
    child = run_child(
        "import faulthandler, logging\n"
        "faulthandler.dump_traceback(logs._crash_stream)\n"
        "assert 'Current thread' in logs.previous_crash()\n"
        "faulthandler._sigsegv()"
    )
    assert child.returncode != 0
    text = logs.previous_crash()
    assert text is not None
    assert "Segmentation fault" in text
    assert "\0" not in text


def test_a_log_folder_that_cannot_be_made_stops_nothing(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("CNN_STUDIO_HOME", str(tmp_path / "file"))
    child = run_child("print('still here')")
    assert child.returncode == 0, child.stderr
    assert "still here" in child.stdout


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such permissions")
def test_what_is_logged_is_for_the_owner_alone(home):
    (home / "logs").mkdir()
    logs.log_file().write_text("of an earlier version\n", encoding="utf-8")
    logs.log_file().chmod(0o644)
    assert run_child("import faulthandler; faulthandler._sigsegv()").returncode
    assert logs.previous_crash()
    files = sorted((home / "logs").iterdir())
    assert [path.name for path in files] == ["cnn_studio.log", "crash-previous.txt", "crash.txt"]
    assert {path.stat().st_mode & 0o777 for path in files} == {0o600}


def test_a_report_of_crashes_that_nobody_reads_does_not_grow_for_ever(home):
    (home / "logs").mkdir()
    crashes = home / "logs" / "crash.txt"
    crashes.write_bytes(b"x" * 2_000_000)
    assert run_child("pass").returncode == 0
    assert crashes.stat().st_size == 0


def test_a_log_on_a_full_disk_is_silent(home):
    child = run_child(
        "import errno, io, logging\n"
        "def full(*rest): raise OSError(errno.ENOSPC, 'full')\n"
        "logs._handler.stream.write = full\n"
        "logging.getLogger('cnn_studio').warning('lost')"
    )
    assert (child.returncode, child.stdout, child.stderr) == (0, "", "")


def test_what_is_shown_does_not_name_the_home_folder(monkeypatch):
    monkeypatch.setenv("HOME", "/home/ana")
    monkeypatch.setenv("USERPROFILE", "/home/ana")
    assert logs.without_home('File "/home/ana/x.py"') == 'File "~/x.py"'
    monkeypatch.setenv("HOME", "/")
    monkeypatch.setenv("USERPROFILE", "/")
    assert logs.without_home("a/b") == "a/b"


def test_text_of_libraries_stays_out_of_the_terminal_and_ours_does_not(home):
    child = run_child(
        "import os, sys, warnings\n"
        "with logs.apart_from_third_parties():\n"
        "    os.write(2, b'TIFFReadDirectory: Warning\\n')\n"
        "    warnings.warn('a library thinks')\n"
        "    sys.stderr.write('ours\\n')\n"
        "os.write(2, b'after\\n')"
    )
    assert child.stderr == "ours\nafter\n"
    text = logs.log_file().read_text(encoding="utf-8")
    assert "TIFFReadDirectory" in text
    assert "a library thinks" in text
