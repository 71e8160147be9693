"""Features of augmented views: of training images only, and the same after any interruption."""

import keras
import numpy as np
import pytest

from cnn_studio.core.data.image_file import ImageFile
from cnn_studio.core.experiment.augmentation import parse_augmentation
from cnn_studio.core.job.events import Progress
from cnn_studio.core.job.jobs import CancelToken, JobCancelled, JobContext, ignore_reports
from cnn_studio.ml import features
from cnn_studio.ml.augment import Augmentation
from cnn_studio.ml.features import RowSource, Views, cache_features

COUNT, VIEWS = 40, 3
TRAINING = tuple(range(0, COUNT, 2))


@pytest.fixture
def files():
    return [ImageFile(f"a/{number}.png", 0, 16, 16, False, 100 + number, 1000) for number in range(COUNT)]


@pytest.fixture
def source(make_store):
    images, _ = make_store(COUNT)
    return RowSource(images, np.arange(COUNT, dtype=np.int64)[::-1].copy(), "prepared")


@pytest.fixture
def computed(monkeypatch):
    """How many rows went through a network, by call."""
    calls = []
    original = keras.Model.predict_on_batch

    def predict(self, batch):
        calls.append(len(batch))
        return original(self, batch)

    monkeypatch.setattr(keras.Model, "predict_on_batch", predict)
    return calls


def network():
    image = keras.Input((16, 16, 3))
    tensor = keras.layers.Rescaling(1 / 255)(image)
    tensor = keras.layers.Conv2D(2, 3, kernel_initializer=keras.initializers.GlorotUniform(seed=0))(tensor)
    model = keras.Model(image, keras.layers.AveragePooling2D(2)(tensor))
    model.jit_compile = False
    return model


def views(text="rotation=90,brightness=0.3", count=VIEWS, seed=0, training=TRAINING):
    return Views(parse_augmentation(f"{text},views={count}"), seed, training)


def cached(source, files, wanted, report=ignore_reports, token=None, model=None):
    return cache_features(model or network(), source, files, JobContext(report, token or CancelToken()), views=wanted)


def rows_of_views(found):
    return np.asarray(found.values[found.views[list(TRAINING)]])


def test_training_images_have_views_and_the_others_are_as_they_are(source, files):
    found = cached(source, files, views())
    rest = [i for i in range(COUNT) if i not in TRAINING]
    assert found.views.shape == (COUNT, VIEWS)
    assert (found.views[rest] == -1).all()
    assert (found.rows[list(TRAINING)] == -1).all()
    plain = network().predict_on_batch(source.values[source.rows])
    np.testing.assert_allclose(found.values[found.rows[rest]], plain[rest], rtol=1e-5)
    of_views = rows_of_views(found)
    assert len(np.unique(found.views[list(TRAINING)])) == len(TRAINING) * VIEWS
    for view in range(VIEWS):
        assert np.abs(of_views[:, view] - plain[list(TRAINING)]).mean() > 0.01
        assert np.abs(of_views[:, view] - of_views[:, view - 1]).mean() > 0.01


def test_a_view_is_what_the_augmentation_layer_makes(source, files):
    """The first view of the first batch, by the layer itself with that batch's seed."""
    wanted = views()
    found = cached(source, files, wanted)
    layer = Augmentation(wanted.augmentation, features._seed_of(wanted, 0))
    images = source.values[source.rows[list(TRAINING[:16])]]
    expected = network().predict_on_batch(np.asarray(layer(images, training=True)))
    np.testing.assert_allclose(rows_of_views(found)[:16, 0], expected, rtol=1e-4, atol=1e-5)


def test_they_are_computed_once(source, files, computed):
    first = cached(source, files, views())
    assert sum(computed) == 32 + 64  # 20 plain images and 60 views in batches of 16, filled up
    computed.clear()
    again = cached(source, files, views())
    assert computed == []
    np.testing.assert_array_equal(rows_of_views(again), rows_of_views(first))


def test_plain_features_are_shared_with_a_run_without_augmentation(source, files, computed):
    cached(source, files, None)
    computed.clear()
    cached(source, files, views())
    assert sum(computed) == 64
    computed.clear()
    cached(source, files, None)
    assert computed == []


@pytest.mark.parametrize("other", [{"text": "rotation=45"}, {"seed": 1}], ids=str)
def test_other_changes_and_seeds_have_views_of_their_own(source, files, other):
    first, second = cached(source, files, views()), cached(source, files, views(**other))
    assert first.folder == second.folder
    assert not set(first.views[list(TRAINING)].ravel()) & set(second.views[list(TRAINING)].ravel())
    assert np.abs(rows_of_views(first) - rows_of_views(second)).mean() > 0.005
    np.testing.assert_array_equal(first.rows, second.rows)


def test_more_views_add_to_those_that_are_there(source, files, computed):
    two = cached(source, files, views(count=2))
    computed.clear()
    three = cached(source, files, views(count=3))
    assert sum(computed) <= 32
    np.testing.assert_array_equal(rows_of_views(three)[:, :2], rows_of_views(two))


def test_what_an_interruption_left_undone_comes_out_the_same(source, files, monkeypatch):
    expected = rows_of_views(cached(source, files, views()))
    features.remove_folder(cached(source, files, views()).folder)
    monkeypatch.setattr("cnn_studio.core.job.threads._SECONDS_BETWEEN_REPORTS", 0)
    monkeypatch.setattr(features, "_BYTES_BETWEEN_FLUSHES", 1)
    token = CancelToken()

    def cancel(event):
        if isinstance(event, Progress) and event.done >= 40:
            token.cancel()

    with pytest.raises(JobCancelled):
        cached(source, files, views(), cancel, token)
    np.testing.assert_array_equal(rows_of_views(cached(source, files, views())), expected)


def test_features_of_views_are_carried_on_to_the_next_part(source, files):
    middle = cached(source, files, views())
    feature = keras.Input((7, 7, 2))
    upper = keras.Model(feature, keras.layers.GlobalAveragePooling2D()(feature))
    upper.jit_compile = False
    found = cached(middle, files, None, model=upper)
    np.testing.assert_allclose(rows_of_views(found), rows_of_views(middle).mean(axis=(2, 3)), rtol=1e-5)
    rest = [i for i in range(COUNT) if i not in TRAINING]
    np.testing.assert_allclose(
        found.values[found.rows[rest]], middle.values[middle.rows[rest]].mean(axis=(1, 2)), rtol=1e-5
    )


def test_views_are_kept_in_memory_where_the_disk_has_no_room(source, files, monkeypatch):
    on_disk = rows_of_views(cached(source, files, views()))
    monkeypatch.setattr(features, "make_room", lambda *_: 1)
    monkeypatch.setattr(features, "available_memory", lambda: 10**9)
    found = cached(source, files, views(seed=0), model=network())
    assert found.folder is None
    np.testing.assert_allclose(rows_of_views(found), on_disk, rtol=1e-6)
