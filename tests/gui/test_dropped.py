from pathlib import Path

import pytest
from PySide6.QtCore import QMimeData, QUrl
from PySide6.QtGui import QImage

from cnn_studio.gui import dropped
from cnn_studio.gui.dropped import Meaning


@pytest.fixture
def folders(tmp_path):
    (tmp_path / "data" / "cat").mkdir(parents=True)
    (tmp_path / "flat").mkdir()
    (tmp_path / "flat" / "1.png").touch()
    return tmp_path


@pytest.mark.parametrize(
    ("names", "has_model", "expected"),
    [
        (["data"], False, Meaning.DATASET),
        (["flat"], False, Meaning.DATASET),
        (["data"], True, Meaning.ASK),
        (["flat"], True, Meaning.IMAGES),
        (["flat/1.png"], True, Meaning.IMAGES),
        (["flat/1.png"], False, Meaning.IMAGES),
        (["data", "flat"], True, Meaning.IMAGES),
        (["Model.KERAS"], False, Meaning.MODEL),
        (["experiment.toml"], True, Meaning.EXPERIMENT),
        ([], True, Meaning.NOTHING),
    ],
)
def test_what_a_drop_means(folders, names, has_model, expected):
    assert dropped.meaning([folders / name for name in names], has_model=has_model) is expected


def test_a_folder_whose_sub_folders_are_all_hidden_is_no_data_set(tmp_path):
    for name in ("@eaDir", "__MACOSX", ".thumbnails"):
        (tmp_path / name).mkdir()
    assert dropped.meaning([tmp_path], has_model=True) is Meaning.IMAGES


def test_a_pasted_picture_becomes_a_file_with_the_same_pixels(qapp):
    picture = QImage(3, 2, QImage.Format.Format_RGB32)
    picture.fill(0xFF204060)
    mime = QMimeData()
    mime.setImageData(picture)
    assert dropped.is_welcome(mime)
    (path,) = dropped.paths_from(mime)
    from cnn_studio.core.image.decoder import read_image

    assert (read_image(path, 2, 3) == (0x20, 0x40, 0x60)).all()
    assert path.name == "Pasted picture 1.png"
    assert dropped.paths_from(mime)[0].name == "Pasted picture 2.png"


def test_files_come_before_the_picture_a_browser_adds(qapp):
    mime = QMimeData()
    mime.setUrls([QUrl.fromLocalFile("/somewhere/cat.jpg")])
    mime.setImageData(QImage(2, 2, QImage.Format.Format_RGB32))
    assert dropped.paths_from(mime) == [Path("/somewhere/cat.jpg")]


def test_text_and_links_to_the_web_are_not_welcome(qapp):
    mime = QMimeData()
    mime.setText("hello")
    assert not dropped.is_welcome(mime)
    mime.setUrls([QUrl("https://example.org/cat.jpg")])
    assert not dropped.is_welcome(mime)
