import json
from dataclasses import replace

import numpy as np
import pytest

from cnn_studio.core.data.image_file import Split
from cnn_studio.core.errors import CnnStudioError
from cnn_studio.core.evaluation.measured import scaled
from cnn_studio.core.evaluation.measured_file import measured_folder_path, measured_path, read_measured, write_measured


@pytest.fixture
def random_measured(make_measured):
    rng = np.random.default_rng(1)
    return make_measured(rng.dirichlet(np.full(7, 0.3), 60), rng.integers(0, 7, 60))


def softmax(logits):
    raised = np.exp(logits - logits.max(axis=1, keepdims=True))
    return raised / raised.sum(axis=1, keepdims=True)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 1.7, 4.0])
def test_probabilities_are_scaled_as_their_logits_would_be(temperature):
    logits = np.random.default_rng(2).normal(0, 6, (50, 10))
    np.testing.assert_allclose(scaled(softmax(logits), temperature), softmax(logits / temperature), atol=1e-6)


def test_another_temperature_changes_the_loss_and_no_answer(random_measured):
    cooler = random_measured.at_temperature(2.0)
    np.testing.assert_array_equal(cooler.predicted, random_measured.predicted)
    assert cooler.evaluation.accuracy == random_measured.evaluation.accuracy
    truth = cooler.probabilities[np.arange(60), cooler.labels].astype(float)
    assert cooler.evaluation.loss == pytest.approx(-np.log(np.clip(truth, np.finfo(np.float32).eps, 1)).mean())
    back = cooler.at_temperature(1.0)
    np.testing.assert_allclose(back.probabilities, random_measured.probabilities, atol=1e-6)
    assert random_measured.at_temperature(1.0) is random_measured


def test_certainty_and_impossibility_stay_numbers():
    given = np.array([[1.0, 0.0, 0.0], [0.5, 0.5, 0.0]], np.float32)
    for temperature in (0.1, 10.0):
        found = scaled(given, temperature)
        assert np.isfinite(found).all()
        np.testing.assert_allclose(found.sum(axis=1), 1, atol=1e-6)


def test_ranked_and_paths(make_measured):
    measured = make_measured([[0.2, 0.5, 0.3]], [2])
    assert [name for name, _ in measured.ranked(0)] == ["b", "c", "a"]
    assert measured.path_of(0) == measured.root / measured.paths[0]
    with pytest.raises(ValueError, match="do not go together"):
        make_measured([[0.2, 0.5, 0.3]], [2, 1])


def test_what_was_measured_reads_back(random_measured, tmp_path):
    path = measured_path(tmp_path / "model.keras", Split.TEST)
    write_measured(random_measured, path)
    found = read_measured(path, tmp_path / "model.keras")
    assert found.evaluation == random_measured.evaluation
    assert (found.class_names, found.paths, found.root) == (
        random_measured.class_names,
        random_measured.paths,
        random_measured.root,
    )
    np.testing.assert_array_equal(found.labels, random_measured.labels)
    np.testing.assert_array_equal(found.probabilities, random_measured.probabilities)
    assert [item.name for item in tmp_path.iterdir()] == ["evaluation-test.npz"]


def write_as_before(measured, path, word):
    """As earlier versions wrote it, with one word for split and folder."""
    write_measured(measured, path)
    with np.load(path) as archive:
        arrays = dict(archive)
    facts = json.loads(arrays["facts"].tobytes())
    del facts["evaluation"]["folder"]
    facts["evaluation"]["split"] = word
    np.savez_compressed(path, **{**arrays, "facts": np.frombuffer(json.dumps(facts).encode(), np.uint8)})


@pytest.mark.parametrize(
    ("folder", "word", "split", "name"),
    [
        ("", "test", Split.TEST, ""),
        ("", "validation", Split.VALIDATION, ""),
        ("flowers", "flowers", None, "flowers"),
        ("test", "test", None, "test"),
        ("flowers", "validation", Split.VALIDATION, "flowers"),
    ],
)
def test_files_of_earlier_versions_are_read(random_measured, tmp_path, folder, word, split, name):
    model, root = tmp_path / "model.keras", tmp_path / (folder or "pictures")
    path = measured_folder_path(model, root) if folder else measured_path(model, Split(word))
    write_as_before(replace(random_measured, root=root), path, word)
    found = read_measured(path, model).evaluation
    assert (found.split, found.folder) == (split, name)


def test_a_file_name_that_is_not_utf_8_survives(make_measured, tmp_path):
    name = b"cat/\xff \xc3\xb1.png".decode("utf-8", "surrogateescape")
    measured = make_measured([[0.2, 0.5, 0.3]], [2], paths=(name,))
    write_measured(measured, tmp_path / "m.npz")
    assert read_measured(tmp_path / "m.npz", measured.model).paths == (name,)


@pytest.mark.parametrize("spoil", ["missing", "empty", "cut", "pickle", "another archive"])
def test_a_damaged_file_gets_a_sentence(random_measured, tmp_path, spoil):
    path = tmp_path / "m.npz"
    write_measured(random_measured, path)
    if spoil == "missing":
        path.unlink()
    elif spoil == "empty":
        path.write_bytes(b"")
    elif spoil == "cut":
        path.write_bytes(path.read_bytes()[:-200])
    elif spoil == "pickle":
        with path.open("wb") as stream:
            np.savez(stream, facts=np.array([{}], object), labels=np.zeros(1), probabilities=np.zeros((1, 2)))
    else:
        with path.open("wb") as stream:
            np.savez(stream, labels=np.zeros(1))
    with pytest.raises(CnnStudioError, match="cannot be read"):
        read_measured(path, random_measured.model)
