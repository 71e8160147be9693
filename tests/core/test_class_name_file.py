import pytest

from cnn_studio.core.errors import ModelFileError
from cnn_studio.core.evaluation.class_name_file import class_names_beside, read_class_names


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("0 Apple\n1 Ripe banana\n", ("Apple", "Ripe banana")),  # Teachable Machine
        ("\ufeffcat\r\n\r\n dog \r\n", ("cat", "dog")),
        ("0: cat\n1: dog", ("cat", "dog")),
        ("3 of hearts\n4 of hearts", ("3 of hearts", "4 of hearts")),
        ("0\n1\n2", ("0", "1", "2")),
        ("red\x1b[31m\nb", ("red\\x1b[31m", "b")),
    ],
)
def test_one_name_a_line(tmp_path, text, names):
    (tmp_path / "labels.txt").write_bytes(text.encode())
    assert read_class_names(tmp_path / "labels.txt") == names


@pytest.mark.parametrize("content", [b"", b"\n \n", b"\xff\xfe\x00a", b"a\n" * 2**20])
def test_what_is_no_list_gets_a_sentence(tmp_path, content):
    (tmp_path / "labels.txt").write_bytes(content)
    with pytest.raises(ModelFileError, match=r"labels\.txt"):
        read_class_names(tmp_path / "labels.txt")
    assert class_names_beside(tmp_path / "m.keras", 2) is None


def test_a_list_beside_a_model_is_found_where_it_fits(tmp_path):
    model = tmp_path / "keras_model.h5"
    assert class_names_beside(model, 2) is None
    (tmp_path / "labels.txt").write_text("0 Apple\n1 Banana\n")
    assert class_names_beside(model, 2) == (tmp_path / "labels.txt", ("Apple", "Banana"))
    assert class_names_beside(model, 3) is None
    (tmp_path / "keras_model.txt").write_text("a\nb")
    assert class_names_beside(model, 2) == (tmp_path / "keras_model.txt", ("a", "b"))
