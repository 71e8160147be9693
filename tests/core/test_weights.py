"""Weights: found where Keras looks, refused when they are others or damaged, brought there from a user's file."""

from __future__ import annotations

import errno
import shutil
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest

from cnn_studio.core.errors import ExperimentError, StorageError, WeightsError
from cnn_studio.core.experiment.backbones import BACKBONES
from cnn_studio.core.job.events import Progress, Stage, StageStarted
from cnn_studio.core.job.jobs import CancelToken, JobCancelled, JobContext
from cnn_studio.core.weights.check import check_weights, layout_digest, recognise_weights
from cnn_studio.core.weights.weights import (
    ImportRequest,
    WeightsState,
    all_statuses,
    find_weights,
    import_weights,
    part_path,
    weights_folder,
    weights_path,
    weights_status,
)


def put(source, backbone):
    path = weights_path(backbone)
    path.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(source, path)
    return path


def files_in(folder):
    return sorted(path.name for path in folder.glob("*"))


def test_they_lie_where_keras_looks(monkeypatch, tmp_path):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "own"))
    assert weights_folder() == tmp_path / "own" / "models"
    monkeypatch.delenv("KERAS_HOME")
    assert weights_folder() == Path.home() / ".keras" / "models"


def test_missing_weights_say_which_file_goes_where_and_what_else_there_is(tiny_backbone):
    tiny, _ = tiny_backbone
    assert weights_status("tiny").state is WeightsState.MISSING
    with pytest.raises(WeightsError) as caught:
        find_weights("tiny")
    told = str(caught.value)
    for part in ("Tiny", "tiny_notop.h5", "1 MB", "weights get tiny", "weights import", tiny.weights_url, "scratch"):
        assert part in told
    assert str(weights_folder()) in told
    assert not weights_folder().exists()


def test_keras_own_file(tiny_backbone):
    tiny, file = tiny_backbone
    path = put(file, tiny)
    found = find_weights("tiny")
    assert (found.path, found.published, found.note) == (path, True, "")
    assert weights_status("tiny").state is WeightsState.PUBLISHED
    assert {status.backbone.name: status.usable for status in all_statuses()} == {
        name: name == "tiny" for name in BACKBONES
    }


def test_a_file_that_changes_is_checked_anew(tiny_backbone, write_weights):
    tiny, file = tiny_backbone
    path = put(file, tiny)
    before = find_weights("tiny")
    write_weights(path, seed=1)
    after = find_weights("tiny")
    assert not after.published
    assert after.digest != before.digest
    path.write_bytes(path.read_bytes()[:1000])
    assert weights_status("tiny").state is WeightsState.DAMAGED
    with pytest.raises(WeightsError, match=r"tiny_notop\.h5 is damaged.*weights get tiny"):
        find_weights("tiny")


def test_another_file_that_fits_is_taken_with_a_note(tiny_backbone, write_weights):
    tiny, _ = tiny_backbone
    path = put(write_weights(weights_folder().parent.parent / "half.h5", kind="float16"), tiny)
    found = find_weights("tiny")
    assert found.path == path
    assert not found.published
    assert "checksum differs" in found.note
    assert "float16" in found.note
    status = weights_status("tiny")
    assert (status.state, status.detail) == (WeightsState.OTHER, found.note)
    assert status.usable


def test_a_row_without_a_checksum_needs_no_note(tiny_backbone, monkeypatch):
    tiny, file = tiny_backbone
    monkeypatch.setitem(BACKBONES, "tiny", replace(tiny, weights_hash=""))
    put(file, tiny)
    assert find_weights("tiny").note == ""


def test_keras_own_file_of_another_network_is_named(tiny_backbone, monkeypatch, write_weights, tmp_path):
    tiny, file = tiny_backbone
    other = replace(
        tiny, name="other", title="Other", weights_hash="0" * 32, weights_layout=layout_digest([(2, 4, 50_000), (4,)])
    )
    monkeypatch.setitem(BACKBONES, "other", other)
    with pytest.raises(WeightsError, match=r"published\.h5 holds the weights of Tiny, not of Other"):
        check_weights(file, other)
    with pytest.raises(WeightsError, match=r"four\.h5 holds the weights of Other, not of Tiny"):
        check_weights(write_weights(tmp_path / "four.h5", units=4), tiny)


def _not_finite(path):
    with h5py.File(path, "a") as file:
        file["conv/conv/kernel:0"][0, 0, 0] = np.nan


def _with_classifier(path):
    with h5py.File(path, "a") as file:
        file.create_group("predictions")["predictions/kernel:0"] = np.zeros((512, 1000), np.float32)


def _fewer(path):
    with h5py.File(path, "a") as file:
        del file["conv/conv/bias:0"]


def _of_keras_3(path):
    with h5py.File(path, "a") as file:
        del file.attrs["layer_names"]


def _link(path):
    with h5py.File(path, "a") as file:
        del file["conv/conv/bias:0"]
        file["conv/conv/bias:0"] = h5py.ExternalLink(str(path.with_name("published.h5")), "conv/conv/bias:0")


def _text(path):
    with h5py.File(path, "a") as file:
        del file["conv/conv/bias:0"]
        file["conv/conv/bias:0"] = [b"a", b"b", b"c"]


def _huge(path):
    with h5py.File(path, "a") as file:
        file.create_group("more").create_dataset("kernel:0", shape=(10**7, 10**5), dtype="f4", chunks=(1000, 1000))


def _cut(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def _page(path):
    path.write_text("<html>Please log in</html>")


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (_not_finite, "no numbers"),
        (_with_classifier, "classifier"),
        (_fewer, "does not hold the weights of Tiny"),
        (_of_keras_3, "damaged, or is no weights file"),
        (_link, "damaged, or is no weights file"),
        (_text, "no numbers"),
        (_huge, "does not hold the weights of Tiny"),
        (_cut, "damaged"),
        (_page, "damaged"),
    ],
)
def test_a_wrong_or_damaged_file_is_refused_before_it_is_used(spoil, words, tiny_backbone, write_weights, tmp_path):
    tiny, _ = tiny_backbone
    path = write_weights(tmp_path / "given.h5", seed=3)
    spoil(path)
    with pytest.raises(WeightsError, match=words) as caught:
        check_weights(path, tiny)
    assert "given.h5" in caught.value.message
    with pytest.raises(WeightsError):
        import_weights(ImportRequest(path, "tiny"), JobContext())
    assert not weights_path(tiny).exists()


def test_importing_a_file(tiny_backbone):
    tiny, file = tiny_backbone
    part = part_path(tiny)
    part.parent.mkdir(parents=True)
    part.write_bytes(b"of an earlier download")
    told = []
    found = import_weights(ImportRequest(file), JobContext(told.append))
    assert found.path == weights_path(tiny)
    assert found.published
    assert found.path.read_bytes() == file.read_bytes()
    assert files_in(weights_folder()) == ["tiny_notop.h5"]
    assert isinstance(told[0], StageStarted)
    assert told[-1] == Progress(Stage.DOWNLOAD, 1, 2, "MB")
    # Once more, from its own place: nothing to do.
    assert import_weights(ImportRequest(found.path), JobContext()) == found


def test_importing_recognises_a_network_by_its_arrays(tiny_backbone, write_weights, tmp_path):
    tiny, _ = tiny_backbone
    given = write_weights(tmp_path / "mine.h5", seed=5)
    assert recognise_weights(given) is tiny
    assert not import_weights(ImportRequest(given), JobContext()).published
    with pytest.raises(WeightsError, match="none of the backbones"):
        import_weights(ImportRequest(write_weights(tmp_path / "x.h5", units=7)), JobContext())


def test_keras_own_file_is_not_replaced_by_another(tiny_backbone, write_weights, tmp_path):
    tiny, file = tiny_backbone
    path = put(file, tiny)
    with pytest.raises(WeightsError, match="are here already") as caught:
        import_weights(ImportRequest(write_weights(tmp_path / "mine.h5", seed=5)), JobContext())
    assert str(path) in caught.value.hint
    assert path.read_bytes() == file.read_bytes()


def test_importing_what_is_not_there(tiny_backbone, tmp_path):
    with pytest.raises(WeightsError, match="There is no file"):
        import_weights(ImportRequest(tmp_path / "gone.h5", "tiny"), JobContext())
    with pytest.raises(ExperimentError, match="no pre-trained backbone called 'alexnet'"):
        import_weights(ImportRequest(tmp_path / "gone.h5", "alexnet"), JobContext())


def test_a_cancelled_import_leaves_nothing(tiny_backbone):
    _, file = tiny_backbone
    token = CancelToken()

    def cancel_on_progress(event):
        if isinstance(event, Progress):
            token.cancel()

    with pytest.raises(JobCancelled):
        import_weights(ImportRequest(file), JobContext(cancel_on_progress, token))
    assert files_in(weights_folder()) == []


def test_a_full_disk_leaves_nothing(tiny_backbone):
    _, file = tiny_backbone

    def fill(event):
        if isinstance(event, Progress):
            raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(StorageError, match=r"disk is full: tiny_notop\.h5"):
        import_weights(ImportRequest(file), JobContext(fill))
    assert files_in(weights_folder()) == []


@pytest.mark.parametrize("name", ["resnet50", "vgg16"])
def test_real_files_in_half_precision_are_recognised(name, shared_weights):
    path = shared_weights / BACKBONES[name].weights_file
    assert recognise_weights(path).name == name
    assert not check_weights(path, BACKBONES[name]).published
