import json
from dataclasses import replace

import numpy as np
import pytest
import scipy.special

from cnn_studio.core.data.image_file import Split
from cnn_studio.core.errors import CnnStudioError
from cnn_studio.core.evaluation.measured import logits_of, softmax
from cnn_studio.core.evaluation.measured_file import measured_folder_path, measured_path, read_measured, write_measured


@pytest.fixture
def random_measured(make_measured):
    rng = np.random.default_rng(1)
    return make_measured(rng.dirichlet(np.full(7, 0.3), 60), rng.integers(0, 7, 60))


def test_the_softmax_is_scipys_and_probabilities_serve_as_their_logits():
    logits = np.random.default_rng(2).normal(0, 6, (50, 10))
    np.testing.assert_allclose(softmax(logits), scipy.special.softmax(logits, axis=1), rtol=1e-6)
    for temperature in (0.5, 1.0, 4.0):
        expected = softmax(logits / temperature)
        np.testing.assert_allclose(softmax(logits_of(softmax(logits)) / temperature), expected, atol=1e-6)


def test_what_float32_rounds_away_comes_back_with_a_temperature(make_measured):
    logits = np.array([[0.0, 300.0, -900.0], [2000.0, 0.0, 1999.0]])
    measured = make_measured(softmax(logits), [0, 1], logits=logits.astype(np.float32))
    assert measured.probabilities[0, 0] == 0
    cooler = measured.at_temperature(100.0)
    np.testing.assert_allclose(cooler.probabilities, scipy.special.softmax(logits / 100, axis=1), rtol=1e-5)
    expected = -scipy.special.log_softmax(logits / 100, axis=1)[[0, 1], [0, 1]].mean()
    assert cooler.evaluation.loss == pytest.approx(expected, rel=1e-6)
    assert cooler.at_temperature(1.0).evaluation.loss == pytest.approx((300 + 2000.3133) / 2, rel=1e-6)


def test_another_temperature_changes_the_loss_and_no_answer(random_measured):
    cooler = random_measured.at_temperature(2.0)
    np.testing.assert_array_equal(cooler.predicted, random_measured.predicted)
    assert cooler.evaluation.accuracy == random_measured.evaluation.accuracy
    truth = cooler.probabilities[np.arange(60), cooler.labels].astype(float)
    assert cooler.evaluation.loss == pytest.approx(-np.log(truth).mean(), rel=1e-5)
    back = cooler.at_temperature(1.0)
    np.testing.assert_allclose(back.probabilities, random_measured.probabilities, atol=1e-6)
    assert random_measured.at_temperature(1.0) is random_measured


def test_certainty_and_impossibility_stay_numbers():
    given = np.array([[1.0, 0.0, 0.0], [0.5, 0.5, 0.0]], np.float32)
    for temperature in (0.1, 10.0):
        found = softmax(logits_of(given) / temperature)
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
    np.testing.assert_array_equal(found.logits, random_measured.logits)
    assert [item.name for item in tmp_path.iterdir()] == ["evaluation-test.npz"]


def write_as_before(measured, path, word):
    """As earlier versions wrote it, with one word for split and folder."""
    write_measured(measured, path)
    with np.load(path) as archive:
        arrays = dict(archive)
    del arrays["logits"]
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
    measured = read_measured(path, model)
    assert (measured.evaluation.split, measured.evaluation.folder) == (split, name)
    np.testing.assert_array_equal(measured.logits, random_measured.logits)  # which are those of its probabilities


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
