import csv
import errno
import os
import stat

import pytest

from cnn_studio.core.atomic_file import csv_rows, csv_text, replacing, write_text
from cnn_studio.core.errors import StorageError


def test_the_target_is_whole_or_as_it_was(tmp_path):
    target = tmp_path / "kept.txt"
    write_text(target, "before")
    with pytest.raises(RuntimeError), replacing(target) as part:
        part.write_text("half of it", encoding="utf-8")
        raise RuntimeError
    assert target.read_text(encoding="utf-8") == "before"
    assert list(tmp_path.iterdir()) == [target]


def test_a_full_disk_is_told_and_leaves_nothing(tmp_path):
    target = tmp_path / "model.keras"
    with pytest.raises(StorageError, match="disk is full"), replacing(target):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    assert list(tmp_path.iterdir()) == []


def test_a_folder_without_permission_is_told(tmp_path, monkeypatch):
    def refuse(*args, **kwargs):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr("tempfile.mkstemp", refuse)
    with pytest.raises(StorageError, match="may not write"):
        write_text(tmp_path / "x.txt", "")


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such permissions")
def test_others_may_read_what_an_ordinary_file_would_let_them(tmp_path):
    write_text(tmp_path / "ours", "")
    (tmp_path / "plain").touch()
    assert stat.S_IMODE((tmp_path / "ours").stat().st_mode) == stat.S_IMODE((tmp_path / "plain").stat().st_mode)


NAMES = [
    "=1+1",
    "+cmd",
    "-a",
    "@x",
    "\tx",
    "\rx",
    "'=1",
    "''@",
    "'quoted'",
    "plain",
    "a,b",
    'say "x"',
    "two\nlines",
    "mid\rreturn",
    "-0.5",
    "+3e5",
    "",
]


def test_no_cell_is_a_formula_and_names_come_back_as_they_were(tmp_path):
    text = csv_text(("name", "=head", "number"), [(name, name, -0.25) for name in NAMES])
    path = tmp_path / "names.csv"
    write_text(path, text)
    with path.open(encoding="utf-8", newline="") as file:
        seen = list(csv.reader(file))
    cells = [cell for row in seen for cell in row]
    assert {cell for cell in cells if cell[:1] in {"=", "+", "-", "@", "\t", "\r"}} == {"-0.5", "+3e5", "-0.25"}
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv_rows(file))
    assert [row["name"] for row in rows] == NAMES
    assert {row["number"] for row in rows} == {"-0.25"}


def test_a_table_made_elsewhere_is_read_as_it_stands():
    rows = list(csv_rows(["name,kind\r\n", "=1+1,'x\r\n", "b\r\n", "c,d,too many\r\n"]))
    assert [(row["name"], row["kind"]) for row in rows] == [("=1+1", "'x"), ("b", ""), ("c", "d")]
