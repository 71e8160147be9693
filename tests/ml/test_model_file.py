import errno
import json
import zipfile
from dataclasses import asdict, replace

import keras
import numpy as np
import pytest

from cnn_studio.core.errors import ModelFileError, StorageError
from cnn_studio.core.evaluation.model_facts import ModelFacts
from cnn_studio.core.experiment.settings import Fit
from cnn_studio.ml.model_file import (
    class_count,
    load_model,
    read_facts,
    rewrite_facts,
    save_model,
    with_class_names,
)


@pytest.fixture
def raw():
    return np.random.default_rng(0).integers(0, 256, (4, 16, 16, 3)).astype(np.uint8)


def saved(model, path):
    model.save(path)
    return path


def test_facts_and_weights_come_back(make_model, facts, raw, tmp_path):
    model = make_model()
    path = tmp_path / "modèle.keras"
    save_model(model, path, facts)
    assert read_facts(path) == facts
    loaded, found = load_model(path)
    assert found == replace(facts, outputs=3)
    np.testing.assert_allclose(loaded.predict_on_batch(raw), model.predict_on_batch(raw), atol=1e-6)
    assert [item.name for item in tmp_path.iterdir()] == [path.name]


def test_an_older_keras_finds_nothing_that_it_does_not_know(facts, tmp_path):
    """What Keras writes of itself and 3.8 refuses (tests/e2e/test_older_keras.py tries it); and what was not tried."""
    image = keras.Input((16, 16, 3))
    tensor = keras.layers.BatchNormalization()(keras.ops.flip(image, axis=-1))
    tensor = keras.layers.Dense(3, activation="softmax")(keras.layers.Flatten()(tensor))
    save_model(keras.Model(image, tensor), tmp_path / "m.keras", replace(facts, versions=None))
    with zipfile.ZipFile(tmp_path / "m.keras") as archive:
        config = archive.read("config.json").decode()
    for name in ("input_axes", "output_axes", "quantization_config", "renorm"):
        assert name not in config
    (flip,) = [layer for layer in json.loads(config)["config"]["layers"] if layer["class_name"] == "Flip"]
    assert flip["config"] == {"axis": -1}
    assert read_facts(tmp_path / "m.keras").versions == {"keras_at_least": "3.8"}

    untried = keras.Model(image, keras.layers.GroupNormalization(1)(tensor))
    save_model(untried, tmp_path / "u.keras", replace(facts, versions=None))
    assert read_facts(tmp_path / "u.keras").versions == {"keras_at_least": keras.__version__}


def test_fit_comes_back_and_older_files_are_squashed_to(make_model, facts, tmp_path):
    path = tmp_path / "model.keras"
    save_model(make_model(), path, replace(facts, fit=Fit.CROP))
    assert read_facts(path).fit is Fit.CROP
    for values, fits in (({}, True), ({"fit": "stretch"}, False)):
        keras.saving.load_model(path).save(path)
        older = {**asdict(facts), **values}
        if not values:
            del older["fit"]
        with zipfile.ZipFile(path, "a") as archive:
            archive.writestr("cnn_studio.json", json.dumps(older))
        if fits:
            assert read_facts(path) == facts
        else:
            with pytest.raises(ModelFileError, match="damaged"):
                read_facts(path)


def test_optimizer_state_is_not_saved(make_model, facts, tmp_path, raw):
    model = make_model()
    save_model(model, tmp_path / "fresh.keras", facts)
    model.compile("adam", "sparse_categorical_crossentropy")
    model.train_on_batch(raw, np.array([0, 1, 2, 0]))
    save_model(model, tmp_path / "trained.keras", facts)
    sizes = [(tmp_path / name).stat().st_size for name in ("fresh.keras", "trained.keras")]
    assert abs(sizes[0] - sizes[1]) < 100
    with zipfile.ZipFile(tmp_path / "trained.keras") as archive:
        assert not json.loads(archive.read("config.json")).get("compile_config")


def test_a_name_that_keras_would_not_open_is_refused(make_model, facts, tmp_path):
    with pytest.raises(ModelFileError, match=r"model\.h5 does not end in \.keras.*model\.keras"):
        save_model(make_model(), tmp_path / "model.h5", facts)


@pytest.mark.parametrize("name", ["save", "writestr"])
def test_a_full_disk_leaves_what_was_there(make_model, facts, tmp_path, monkeypatch, name):
    path = tmp_path / "model.keras"
    path.write_text("the old one")

    def full(self, *args, **kwargs):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(keras.Model if name == "save" else zipfile.ZipFile, name, full)
    with pytest.raises(StorageError, match="disk is full"):
        save_model(make_model(), path, facts)
    assert path.read_text() == "the old one"
    assert [item.name for item in tmp_path.iterdir()] == ["model.keras"]


def test_a_disk_that_is_really_full(make_model, facts, tmp_path):
    resource = pytest.importorskip("resource", reason="only Unix limits a file's size")
    path = tmp_path / "model.keras"
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2000, limits[1]))
    try:
        with pytest.raises(StorageError, match=r"model\.keras could not be written"):
            save_model(make_model(), path, facts)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert list(tmp_path.iterdir()) == []


def test_no_room_to_unpack_is_not_called_damage(make_model, facts, tmp_path):
    resource = pytest.importorskip("resource", reason="only Unix limits a file's size")
    path = tmp_path / "model.keras"
    save_model(make_model(), path, facts)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2000, limits[1]))
    try:
        with pytest.raises(StorageError, match=r"no room in .* to unpack model\.keras"):
            load_model(path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert load_model(path)[1].class_names == facts.class_names


@pytest.mark.parametrize(
    ("content", "name"),
    [(b"", "a.keras"), (b"rest", "a.h5"), (b"PK, but no zip", "a.keras"), (b"<html>", "b.keras")],
)
def test_what_is_no_keras_file_is_refused(tmp_path, content, name):
    path = tmp_path / name
    path.write_bytes(content)
    for read in (read_facts, load_model):
        with pytest.raises(ModelFileError, match=f"{name} is not a .keras file"):
            read(path)


@pytest.mark.parametrize("kept", [0.1, 0.5, 0.95])
def test_a_file_that_was_cut_off_is_called_incomplete(make_model, facts, tmp_path, kept):
    path = tmp_path / "model.keras"
    save_model(make_model(), path, facts)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(kept * len(whole))])
    for read in (read_facts, load_model):
        with pytest.raises(ModelFileError, match=r"model\.keras is incomplete.*again"):
            read(path)


def test_other_zips_folders_and_nothing_are_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("x.txt", "x")
    with pytest.raises(ModelFileError, match=r"not a \.keras file"):
        read_facts(tmp_path / "a.zip")
    (tmp_path / "saved_model").mkdir()
    with pytest.raises(ModelFileError, match=r"save it as a \.keras file"):
        read_facts(tmp_path / "saved_model")
    with pytest.raises(ModelFileError, match="There is no model file"):
        read_facts(tmp_path / "none.keras")


def test_a_damaged_file_gets_a_sentence(make_model, facts, tmp_path):
    path = tmp_path / "model.keras"
    save_model(make_model(), path, facts)
    whole = path.read_bytes()
    at = whole.index(b"\x89HDF")
    path.write_bytes(whole[: at + 400] + bytes(600) + whole[at + 1000 :])
    with pytest.raises(ModelFileError, match="damaged"):
        load_model(path)


def test_weights_that_do_not_fit_the_description_get_a_sentence(make_model, facts, tmp_path):
    path, other = tmp_path / "model.keras", tmp_path / "other.keras"
    save_model(make_model(3), path, facts)
    save_model(make_model(5), other, facts)
    with zipfile.ZipFile(path) as one, zipfile.ZipFile(other) as two, zipfile.ZipFile(tmp_path / "x.keras", "w") as mix:
        mix.writestr("config.json", one.read("config.json"))
        mix.writestr("metadata.json", one.read("metadata.json"))
        mix.writestr("model.weights.h5", two.read("model.weights.h5"))
    with pytest.raises(ModelFileError, match=r"cannot open x\.keras"):
        load_model(tmp_path / "x.keras")


@pytest.mark.parametrize(
    "member", ['{"class_names": "abc"}', '{"class_names": ["a"], "height": "x", "width": 1}', "{}", "[1]", "{"]
)
def test_damaged_facts_get_a_sentence(make_model, tmp_path, member):
    path = saved(make_model(), tmp_path / "m.keras")
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("cnn_studio.json", member)
    with pytest.raises(ModelFileError, match="damaged"):
        read_facts(path)


def rewritten_member(path, target, change):
    """A copy of a model file with its facts, as a dictionary, changed in place by ``change``."""
    with zipfile.ZipFile(path) as source, zipfile.ZipFile(target, "w") as copy:
        for member in source.namelist():
            data = source.read(member)
            if member == "cnn_studio.json":
                values = json.loads(data)
                change(values)
                data = json.dumps(values)
            copy.writestr(member, data)
    return target


def test_a_file_from_before_there_was_calibration_opens(make_model, facts, tmp_path):
    save_model(make_model(), tmp_path / "new.keras", facts)

    def as_it_was(values):
        del values["temperature"], values["threshold"]

    old = rewritten_member(tmp_path / "new.keras", tmp_path / "old.keras", as_it_was)
    assert read_facts(old) == facts
    assert load_model(old)[1] == replace(facts, outputs=3, temperature=1.0, threshold=0.0)


@pytest.mark.parametrize(
    "wrong", [{"temperature": 0}, {"temperature": "hot"}, {"threshold": -0.1}, {"threshold": 1.5}, {"threshold": None}]
)
def test_a_temperature_or_threshold_that_is_none_gets_a_sentence(make_model, facts, tmp_path, wrong):
    save_model(make_model(), tmp_path / "m.keras", facts)
    path = rewritten_member(tmp_path / "m.keras", tmp_path / "w.keras", lambda values: values.update(wrong))
    with pytest.raises(ModelFileError, match="damaged"):
        read_facts(path)


def test_facts_are_rewritten_and_the_network_stays_byte_for_byte(make_model, facts, tmp_path):
    path = tmp_path / "m.keras"
    save_model(make_model(), path, facts)
    with zipfile.ZipFile(path) as archive:
        before = {name: archive.read(name) for name in archive.namelist()}
    changed = replace(facts, threshold=0.25, class_names=("x", "y", "z"))
    rewrite_facts(path, changed)
    assert read_facts(path) == changed
    with zipfile.ZipFile(path) as archive:
        assert len(archive.namelist()) == len(set(archive.namelist()))
        after = {name: archive.read(name) for name in archive.namelist()}
    assert after.keys() == before.keys()
    assert [name for name in before if before[name] != after[name]] == ["cnn_studio.json"]
    (tmp_path / "page.keras").write_text("<html>")
    with pytest.raises(ModelFileError, match=r"not a \.keras file"):
        rewrite_facts(tmp_path / "page.keras", facts)
    assert (tmp_path / "page.keras").read_text() == "<html>"


def test_names_that_do_not_fit_the_outputs_get_a_sentence(make_model, facts, tmp_path):
    path = tmp_path / "m.keras"
    save_model(make_model(5), path, facts)
    with pytest.raises(ModelFileError, match="names 3 classes but tells 5 apart"):
        load_model(path)


def foreign(kind, height=None, width=None):
    layers = keras.layers
    if kind == "rgb softmax":
        return keras.Sequential([keras.Input((20, 24, 3)), layers.Flatten(), layers.Dense(4, activation="softmax")])
    if kind == "grey logits":
        return keras.Sequential(
            [keras.Input((28, 28, 1)), layers.Rescaling(1 / 255), layers.Flatten(), layers.Dense(4)]
        )
    if kind == "flat grey":
        return keras.Sequential(
            [keras.Input((28, 28)), layers.Rescaling(1 / 255), layers.Flatten(), layers.Dense(4), layers.Softmax()]
        )
    if kind == "one sigmoid":
        return keras.Sequential(
            [keras.Input((9, 9, 3)), layers.Rescaling(1 / 255), layers.Flatten(), layers.Dense(1, activation="sigmoid")]
        )
    if kind == "one logit":
        return keras.Sequential([keras.Input((9, 9, 3)), layers.Rescaling(1 / 255), layers.Flatten(), layers.Dense(1)])
    inputs = keras.Input((height, width, 3))  # any size
    return keras.Model(inputs, layers.Dense(4, activation="softmax")(layers.GlobalAveragePooling2D()(inputs)))


@pytest.mark.parametrize(
    ("kind", "size", "classes"),
    [
        ("rgb softmax", (20, 24), 4),
        ("grey logits", (28, 28), 4),
        ("flat grey", (28, 28), 4),
        ("one sigmoid", (9, 9), 2),
        ("one logit", (9, 9), 2),
        ("any size", (224, 224), 4),
    ],
)
def test_files_made_elsewhere_take_rgb_and_give_probabilities(tmp_path, kind, size, classes):
    model = foreign(kind)
    path = saved(model, tmp_path / "theirs.keras")
    assert read_facts(path) == ModelFacts((), *size, made_here=False, input_range=None)
    loaded, facts = load_model(path)
    assert facts.class_names == ()
    assert facts.class_count == class_count(loaded) == classes
    images = np.random.default_rng(2).integers(0, 256, (3, *size, 3)).astype(np.uint8)
    probabilities = loaded.predict_on_batch(images)
    assert probabilities.shape == (3, classes)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-5)
    grey = (images @ np.array([0.2989, 0.587, 0.114])).astype(np.float32)
    given = {"grey logits": grey[..., None], "flat grey": grey}.get(kind, images)
    own = model.predict_on_batch(given)
    if kind == "grey logits":
        own = np.exp(own) / np.exp(own).sum(axis=1, keepdims=True)
    if kind == "one logit":
        own = 1 / (1 + np.exp(-own))
    if classes == 2:
        own = np.concatenate([1 - own, own], axis=1)
    np.testing.assert_allclose(probabilities, own, atol=1e-3)


def test_a_functional_network_that_ends_in_an_operation(tmp_path):
    inputs = keras.Input((8, 8, 3))
    outputs = keras.ops.softmax(keras.layers.Dense(3)(keras.layers.Flatten()(keras.ops.divide(inputs, 255.0))))
    path = saved(keras.Model(inputs, outputs), tmp_path / "ops.keras")
    loaded, _ = load_model(path)
    assert loaded.name != "ops_adapted"
    np.testing.assert_allclose(loaded.predict_on_batch(np.zeros((1, 8, 8, 3), np.uint8)).sum(), 1, atol=1e-6)


@pytest.mark.parametrize("kind", ["vector in", "two inputs", "two outputs", "picture out"])
def test_what_is_no_image_classifier_gets_a_sentence(tmp_path, kind):
    image, other = keras.Input((8, 8, 3), name="a"), keras.Input((8, 8, 3), name="b")
    dense = keras.layers.Dense(2)
    flat = keras.layers.Flatten()
    model = {
        "vector in": lambda: keras.Sequential([keras.Input((7,)), dense]),
        "two inputs": lambda: keras.Model([image, other], dense(flat(keras.layers.Add()([image, other])))),
        "two outputs": lambda: keras.Model(image, [dense(flat(image)), flat(image)]),
        "picture out": lambda: keras.Model(image, dense(image)),
    }[kind]()
    path = saved(model, tmp_path / "no.keras")
    with pytest.raises(ModelFileError, match="image"):
        load_model(path)


def test_class_names_can_be_given(facts):
    nameless = replace(facts, class_names=())
    assert with_class_names(nameless, [" cat", "dog "], 2).class_names == ("cat", "dog")
    for names, reason in ((["a"], "2 classes apart, but 1"), (["a", " "], "empty"), (["a", "a"], "twice")):
        with pytest.raises(ModelFileError, match=reason):
            with_class_names(nameless, names, 2)


def dense(units, activation, seed, **more):
    # Far from even, so that a second softmax could not be overlooked.
    start = keras.initializers.RandomNormal(stddev=3, seed=seed)
    return keras.layers.Dense(units, activation=activation, kernel_initializer=start, **more)


def body(image):
    return keras.layers.Flatten()(keras.layers.Rescaling(1 / 255)(image))


def probabilities_behind(kind):
    """Functional networks whose figures are the classes' shares of one, though the last operation does not say so."""
    layers = keras.layers
    image = keras.Input((6, 6, 3))
    softmax = dense(4, "softmax", 1)(body(image))
    other = dense(4, "softmax", 2)(body(image))
    one = dense(1, "sigmoid", 3)(body(image))
    inner = keras.Model(image, softmax)
    again = keras.Input((6, 6, 3))
    outputs = {
        "cast": lambda: layers.Activation("linear", dtype="float32")(softmax),
        "reshape": lambda: layers.Reshape((4,))(layers.Reshape((2, 2))(softmax)),
        "flatten": lambda: layers.Flatten()(layers.Reshape((1, 1, 4))(softmax)),
        "average": lambda: layers.Average()([softmax, other]),
        "concatenate": lambda: layers.Concatenate()([keras.ops.subtract(1.0, one), one]),
        "dropout": lambda: layers.Dropout(0.5)(softmax),
        "half": lambda: dense(4, "softmax", 4, dtype="float16")(body(image)),
    }
    if kind == "nested":
        return keras.Model(again, layers.Activation("linear")(inner(again)))
    return keras.Model(image, outputs[kind]())


def noise(count=5, side=6):
    return np.random.default_rng(7).integers(0, 256, (count, side, side, 3)).astype(np.uint8)


@pytest.mark.parametrize("kind", ["cast", "reshape", "flatten", "average", "concatenate", "dropout", "half", "nested"])
def test_probabilities_that_are_there_already_are_left_as_they_are(tmp_path, kind):
    model = probabilities_behind(kind)
    loaded, _ = load_model(saved(model, tmp_path / "theirs.keras"))
    given = noise()
    own = model.predict_on_batch(given)
    assert own.max() > 0.5  # a second softmax of four makes at most 0.48 of anything
    np.testing.assert_allclose(loaded.predict_on_batch(given), own, atol=1e-6)


@pytest.mark.parametrize("last", ["log_softmax", "linear", "tanh"])
def test_other_figures_go_through_a_softmax(tmp_path, last):
    image = keras.Input((6, 6, 3))
    model = keras.Model(image, keras.layers.Reshape((4,))(dense(4, last, 1)(body(image))))
    loaded, _ = load_model(saved(model, tmp_path / "theirs.keras"))
    scores = model.predict_on_batch(noise())
    own = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(loaded.predict_on_batch(noise()), own, atol=1e-5)


@pytest.mark.parametrize(("classes", "behind"), [(2, False), (2, True), (5, False), (5, True)])
def test_a_sigmoid_for_each_class_is_no_certainty_for_each(tmp_path, classes, behind):
    image = keras.Input((6, 6, 3))
    output = dense(classes, "sigmoid", 1, bias_initializer="ones")(body(image))
    model = keras.Model(image, keras.layers.Reshape((classes,))(output) if behind else output)
    loaded, _ = load_model(saved(model, tmp_path / "theirs.keras"))
    own = model.predict_on_batch(noise()).astype(np.float64).clip(1e-6, 1 - 1e-6)
    odds = own / (1 - own)  # of one class and no other
    np.testing.assert_allclose(loaded.predict_on_batch(noise()), odds / odds.sum(axis=1, keepdims=True), atol=1e-3)


def test_two_that_are_both_certain_share_the_certainty(tmp_path):
    image = keras.Input((6, 6, 3))
    both = keras.layers.Dense(2, activation="sigmoid", kernel_initializer="zeros", bias_initializer="ones")
    model = keras.Model(image, both(body(image)))
    model.set_weights([model.get_weights()[0], np.array([60.0, 60.0])])
    loaded, _ = load_model(saved(model, tmp_path / "theirs.keras"))
    np.testing.assert_allclose(loaded.predict_on_batch(noise()), 0.5, atol=1e-6)


@pytest.mark.parametrize(
    ("last", "classes"), [("softmax", 3), ("sigmoid", 1), ("sigmoid", 3), ("linear", 1), ("linear", 3)]
)
def test_a_network_that_answers_nan_opens_and_says_so(tmp_path, last, classes):
    image = keras.Input((6, 6, 3))
    model = keras.Model(image, dense(classes, last, 1)(body(image)))
    model.set_weights([weight * np.nan for weight in model.get_weights()])
    loaded, found = load_model(saved(model, tmp_path / "theirs.keras"))
    assert found.class_count == max(2, classes)
    assert np.isnan(loaded.predict_on_batch(noise())).all()


def test_a_layer_that_is_used_twice_keeps_its_weights(tmp_path):
    image = keras.Input((6, 6, 3))
    shared = keras.layers.Dense(4, activation="softmax")
    left, right = body(image), keras.layers.Dropout(0.5)(body(image))
    model = keras.Model(image, keras.layers.Average()([shared(left), shared(right)]))
    loaded, _ = load_model(saved(model, tmp_path / "theirs.keras"))
    np.testing.assert_allclose(loaded.predict_on_batch(noise()), model.predict_on_batch(noise()), atol=1e-6)
