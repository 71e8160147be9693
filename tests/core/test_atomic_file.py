import errno
import os
import stat

import pytest

from cnn_studio.core.atomic_file import replacing, write_text
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
