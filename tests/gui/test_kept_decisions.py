import pytest

from cnn_studio.core.experiment.settings import Decisions
from cnn_studio.core.paths import data_dir
from cnn_studio.gui.state.kept_decisions import keep_decisions, kept_decisions

DECIDED = Decisions(left_out=("a/1.png", "ä/\udce9.png"), belongs_to={"a/2.png": "b"})


def test_what_is_kept_of_one_folder_is_nothing_to_another(tmp_path):
    keep_decisions(tmp_path / "one", DECIDED)
    assert kept_decisions(tmp_path / "one") == DECIDED
    assert kept_decisions(tmp_path / "two") == Decisions()


def test_nothing_decided_leaves_no_file(tmp_path):
    keep_decisions(tmp_path, DECIDED)
    keep_decisions(tmp_path, Decisions())
    assert kept_decisions(tmp_path) == Decisions()
    assert list((data_dir() / "decisions").iterdir()) == []


@pytest.mark.parametrize("damage", [b"", b"[]", b'{"decisions": 7}', b'{"decisions": {"left_out": "a"}}', b"\xff"])
def test_damage_is_as_good_as_nothing(tmp_path, damage):
    keep_decisions(tmp_path, DECIDED)
    (file,) = (data_dir() / "decisions").iterdir()
    file.write_bytes(damage)
    assert kept_decisions(tmp_path) == Decisions()


def test_a_full_disk_is_only_logged(tmp_path, own_home, caplog):
    data_dir().mkdir(parents=True, exist_ok=True)
    (data_dir() / "decisions").write_text("in the way")
    keep_decisions(tmp_path, DECIDED)
    assert "could not be kept" in caplog.text
