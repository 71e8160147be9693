import threading
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from cnn_studio.core.experiment.settings import Fit
from cnn_studio.core.image.decoder import read_image
from cnn_studio.core.job.events import Progress, Stage, StageStarted
from cnn_studio.core.job.jobs import JobCancelled, JobContext
from cnn_studio.ml import predict
from cnn_studio.ml.predict import predict_files


@pytest.fixture
def pictures(tmp_path):
    """pictures(n) -> paths of n different image files, of many sizes."""

    def write(count):
        rng = np.random.default_rng(count)
        paths = []
        for number in range(count):
            path = tmp_path / f"{number}.png"
            side = 5 + number
            Image.fromarray(rng.integers(0, 256, (side, 30, 3)).astype(np.uint8)).save(path)
            paths.append(path)
        return paths

    return write


def test_answers_come_in_order_with_an_error_per_bad_file(make_model, facts, pictures, cancel, tmp_path):
    good = pictures(7)
    broken, missing = tmp_path / "broken.jpg", tmp_path / "missing.png"
    broken.write_text("<html>")
    paths = [broken, *good[:3], missing, *good[3:], good[0]]
    events = []
    model = make_model()
    found = list(predict_files(model, facts, paths, JobContext(events.append, cancel), batch_size=4))
    assert [one.path for one in found] == paths
    for one in found:
        if one.path in (broken, missing):
            assert one.error
            assert (one.ranked, one.label, one.probability) == ((), "", 0.0)
            continue
        direct = model.predict(read_image(one.path, 16, 16)[None], verbose=0)[0]
        assert one.label == facts.class_names[direct.argmax()]
        assert dict(one.ranked) == pytest.approx(dict(zip(facts.class_names, direct.tolist(), strict=True)), abs=1e-6)
        probabilities = [p for _, p in one.ranked]
        assert probabilities == sorted(probabilities, reverse=True)
        assert sum(probabilities) == pytest.approx(1, abs=1e-5)
    assert events[0] == StageStarted(Stage.PREDICT, 10)
    assert [event.done for event in events if isinstance(event, Progress)] == [4, 8, 10]


@pytest.mark.parametrize("fit", Fit)
def test_pictures_are_fitted_as_in_training(make_model, facts, pictures, cancel, fit):
    path = pictures(3)[0]  # 5 × 30
    model = make_model()
    (found,) = predict_files(model, replace(facts, fit=fit), [path], JobContext(cancel=cancel))
    direct = model.predict(read_image(path, 16, 16, fit)[None], verbose=0)[0]
    assert dict(found.ranked) == pytest.approx(dict(zip(facts.class_names, direct.tolist(), strict=True)), abs=1e-6)


def test_nothing_to_classify(make_model, facts, cancel):
    assert list(predict_files(make_model(), facts, [], JobContext(cancel=cancel))) == []


def test_only_bad_files(make_model, facts, cancel, tmp_path):
    (found,) = predict_files(make_model(), facts, [tmp_path / "missing.png"], JobContext(cancel=cancel))
    assert found.error


def test_few_shapes_are_traced(make_model, facts, pictures, cancel, monkeypatch):
    model = make_model()
    sizes = []
    original = model.predict_on_batch
    monkeypatch.setattr(model, "predict_on_batch", lambda batch: sizes.append(len(batch)) or original(batch))
    assert len(list(predict_files(model, facts, pictures(11), JobContext(cancel=cancel), batch_size=8))) == 11
    assert sizes == [8, 4]


def test_cancel_ends_between_two_batches_and_the_decoding_threads_end_too(
    make_model, facts, pictures, cancel, monkeypatch
):
    decoded = []
    monkeypatch.setattr(predict, "read_image", lambda path, *size: decoded.append(path) or read_image(path, *size))
    paths = pictures(40)
    answers = predict_files(make_model(), facts, paths, JobContext(cancel=cancel), batch_size=4)
    first = [next(answers) for _ in range(4)]
    assert [one.path for one in first] == paths[:4]
    cancel.cancel()
    with pytest.raises(JobCancelled):
        next(answers)
    assert len(decoded) <= 12
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("decode")]


def test_stop_keeps_the_answers_so_far(make_model, facts, pictures, cancel):
    answers = predict_files(make_model(), facts, pictures(12), JobContext(cancel=cancel), batch_size=4)
    next(answers)
    cancel.stop()
    assert len(list(answers)) == 3


def test_class_names_are_needed(make_model, facts, cancel):
    from dataclasses import replace

    with pytest.raises(ValueError, match="class names"):
        predict_files(make_model(), replace(facts, class_names=()), [], JobContext(cancel=cancel))


def test_an_answer_that_is_no_number_is_an_error_of_that_picture(make_model, facts, pictures, cancel, monkeypatch):
    model = make_model()
    right = model.predict_on_batch

    def third_is_nan(batch):
        answers = np.array(right(batch))
        answers[2, 1] = np.nan
        return answers

    monkeypatch.setattr(model, "predict_on_batch", third_is_nan)
    found = list(predict_files(model, facts, pictures(4), JobContext(cancel=cancel)))
    assert [bool(one.error) for one in found] == [False, False, True, False]
    assert "no number (NaN)" in found[2].error
    assert (found[2].ranked, found[2].label, found[2].probability) == ((), "", 0.0)
