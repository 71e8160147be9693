"""Files that would run or read something: each is refused, and a marker file proves that nothing ran."""

import io
import json
import time
import zipfile
import zlib
from pathlib import Path

import h5py
import keras
import numpy as np
import pytest

from cnn_studio.core.errors import ModelFileError
from cnn_studio.core.job.jobs import CancelToken, JobCancelled, JobContext
from cnn_studio.ml import declared, model_inspection
from cnn_studio.ml.model_file import load_model, read_facts
from cnn_studio.tasks.loaded import load


@pytest.fixture
def harmless(tmp_path):
    """Parts of a good file: {member: bytes}."""
    model = keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Flatten(), keras.layers.Dense(2)])
    path = tmp_path / "good.keras"
    model.save(path)
    load_model(path)
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


@pytest.fixture
def write(tmp_path):
    """write({member: bytes}) -> path of a .keras file."""

    def write_parts(parts, compression=zipfile.ZIP_STORED):
        path = tmp_path / "evil.keras"
        with zipfile.ZipFile(path, "w", compression) as archive:
            for name, content in parts.items():
                archive.writestr(name, content)
        return path

    return write_parts


def with_layer(parts, layer):
    """The parts with ``layer`` (a description) put before the last layer."""
    config = json.loads(parts["config.json"])
    config["config"]["layers"].insert(-1, layer)
    return {**parts, "config.json": json.dumps(config).encode()}


def refused(path, match):
    for read in (read_facts, load_model):
        with pytest.raises(ModelFileError, match=match) as caught:
            read(path)
        assert "not opened" in str(caught.value)


def test_a_lambda_is_refused_and_never_run(tmp_path):
    marker = tmp_path / "ran"
    touch = f"__import__('pathlib').Path({str(marker)!r}).touch()"
    function = eval(f"lambda x: ({touch}, x)[1]")  # what an attacker would write
    image = keras.Input((8, 8, 3))
    model = keras.Model(image, keras.layers.Dense(2)(keras.layers.Flatten()(keras.layers.Lambda(function)(image))))
    path = tmp_path / "evil.keras"
    model.save(path)
    marker.unlink()  # building it ran it
    refused(path, r"contains code of its own \(layer lambda.*: Lambda\)")
    assert not marker.exists()
    keras.saving.load_model(path, safe_mode=False)
    assert marker.exists(), "the file is harmless, so this test proves nothing"


def test_a_registered_class_of_someones_own_is_refused(tmp_path):
    marker = tmp_path / "ran"

    @keras.saving.register_keras_serializable(package="Custom")
    class Runs(keras.layers.Layer):
        def __init__(self, **kwargs):
            super().__init__(**kwargs)
            marker.touch()

        def call(self, x):
            return x

    image = keras.Input((8, 8, 3))
    path = tmp_path / "evil.keras"
    keras.Model(image, keras.layers.Dense(2)(keras.layers.Flatten()(Runs(name="mine")(image)))).save(path)
    marker.unlink()
    # Even in this process, where the class is known to Keras and would be made.
    refused(path, r"layer mine: Runs")
    assert not marker.exists()
    keras.saving.get_custom_objects().clear()


@pytest.mark.parametrize(
    "layer",
    [
        {"module": "os", "class_name": "system", "config": {"name": "x", "command": "true"}, "registered_name": None},
        {"module": "subprocess", "class_name": "Popen", "config": {"args": "true"}, "registered_name": None},
        {"module": "keras.layers", "class_name": "TFSMLayer", "config": {"filepath": "/tmp/x"}},
        {"module": "keras.src.layers.core.lambda_layer", "class_name": "Lambda", "config": {"name": "x"}},
        {"module": "keras.layers", "class_name": "StringLookup", "config": {"vocabulary": "/etc/passwd"}},
        {"module": "keras.utils", "class_name": "get_file", "config": {"origin": "http://localhost"}},
        {"module": "keras", "class_name": "enable_unsafe_deserialization", "config": {}},
        {"module": "keras.config", "class_name": "function", "config": "enable_unsafe_deserialization"},
        {"module": "os", "class_name": "function", "config": "system", "registered_name": "function"},
        {"module": "keras.layers", "class_name": "Dense", "config": {"units": 1}, "registered_name": "Custom>Dense"},
        {"class_name": "Lambda", "config": {"name": "old"}},
        {"class_name": "Dense", "config": {"name": "no_module"}},
        {"module": "keras.layers", "class_name": "__lambda__", "config": {"value": "4wEAAAA="}},
        {"module": "keras.models", "class_name": "load_model", "config": {"filepath": "x"}},
        {"module": "keras.layers", "class_name": "function", "config": "deserialize"},
        {"module": "keras.activations", "class_name": "function", "config": "deserialize"},
        {"module": "keras.src.saving", "class_name": "X", "config": {}},
        {"module": "keras.layers", "class_name": ["Dense"], "config": {}},
        {"module": "tensorflow", "class_name": "__typespec__", "spec_name": "X", "config": []},
    ],
    ids=lambda layer: f"{layer.get('module')}.{layer['class_name']}",
)
@pytest.mark.parametrize("where", ["layer", "nested", "string"])
def test_objects_that_are_not_kerass_own_are_refused(harmless, write, layer, where):
    if where == "nested":
        layer = {
            "module": "keras.layers",
            "class_name": "TimeDistributed",
            "config": {"name": "outer", "layer": layer},
            "registered_name": None,
        }
    if where == "string":
        layer = {
            "module": "keras.layers",
            "class_name": "Dense",
            "config": {"name": "outer", "units": 1, "activation": json.dumps(layer)},
            "registered_name": None,
        }
    refused(write(with_layer(harmless, layer)), "contains code of its own")


@pytest.mark.parametrize(
    "name", ["../outside.txt", "/tmp/outside.txt", "assets\\..\\..\\outside.txt", "C:/outside.txt"]
)
def test_parts_that_would_land_outside_are_refused(harmless, write, name):
    refused(write({**harmless, name: b"x"}), "outside its folder")


def test_two_parts_of_one_name_are_refused(harmless, write):
    path = write(harmless)
    with zipfile.ZipFile(path, "a") as archive, pytest.warns(UserWarning, match="Duplicate name"):
        archive.writestr("config.json", harmless["config.json"])
    refused(path, "two parts of the same name")


def test_a_zip_bomb_is_refused(harmless, write):
    refused(write({**harmless, "assets/zeros": bytes(80 * 2**20)}, zipfile.ZIP_DEFLATED), "from next to none")


def test_nesting_without_end_is_refused(harmless, write):
    deep = "[" * 500 + "]" * 500
    config = harmless["config.json"].decode()
    config = config[:-1] + f', "build_config": {deep}}}'
    refused(write({**harmless, "config.json": config.encode()}), "nested too deeply")
    bottomless = "[" * 100_000 + "]" * 100_000
    with pytest.raises(ModelFileError, match="damaged"):
        read_facts(write({**harmless, "config.json": bottomless.encode()}))


def weights_with(change):
    """An HDF5 file as bytes, after ``change(file)``."""
    content = io.BytesIO()
    with h5py.File(content, "w") as file:
        change(file)
    return content.getvalue()


def external_link(file):
    file["layers"] = h5py.ExternalLink("secret.h5", "/data")


def external_storage(file):
    file.create_dataset("x", (4,), "f4", external=[("secret.bin", 0, 16)])


def virtual(file):
    layout = h5py.VirtualLayout((4,), "f4")
    layout[:] = h5py.VirtualSource("secret.h5", "data", (4,))
    file.create_virtual_dataset("x", layout)


def soft_link(file):
    file["x"] = h5py.SoftLink("/elsewhere")


def shape_bomb(file):
    file.create_dataset("a/x", (2**30,), "f4", chunks=(2**20,), compression="gzip", fillvalue=0)


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (external_link, "point elsewhere"),
        (external_storage, "read from another file"),
        (virtual, "read from another file"),
        (soft_link, "point elsewhere"),
        (shape_bomb, "from next to none"),
    ],
)
def test_weights_that_lead_elsewhere_are_refused(harmless, write, change, match):
    path = write({**harmless, "model.weights.h5": weights_with(change)})
    with pytest.raises(ModelFileError, match=f"{match}.*not opened"):
        load_model(path)


def test_weights_in_another_format_are_refused(harmless, write):
    arrays = io.BytesIO()
    np.savez(arrays, x=np.array([object()], dtype=object))  # a pickle
    parts = {name: content for name, content in harmless.items() if name != "model.weights.h5"}
    with pytest.raises(ModelFileError, match=r"no model\.weights\.h5"):
        load_model(write({**parts, "model.weights.npz": arrays.getvalue()}))


def hard_links(file):
    """61 groups, and 2**60 ways to the last of them."""
    below = file.create_group("g0")
    for depth in range(1, 61):
        above = file.create_group(f"g{depth}")
        above["left"] = above["right"] = below
        below = above


def a_link_back(file):
    file.create_group("a/b")["home"] = file["/"]


@pytest.mark.parametrize("change", [hard_links, a_link_back])
def test_weights_without_end_are_refused_at_once(harmless, write, change):
    path = write({**harmless, "model.weights.h5": weights_with(change)})
    began = time.process_time()
    with pytest.raises(ModelFileError, match=r"one place in two ways.*not opened"):
        load_model(path)
    assert time.process_time() - began < 1


def many_pieces(file):
    for number in range(60):
        file.create_group(str(number))


def test_more_pieces_than_any_network_has_are_refused(harmless, write, monkeypatch):
    monkeypatch.setattr(model_inspection, "_MOST_OBJECTS", 50)
    with pytest.raises(ModelFileError, match="more pieces than any network's"):
        load_model(write({**harmless, "model.weights.h5": weights_with(many_pieces)}))


def text_for_weights(file):
    file.create_dataset("x", data=["a" * 10, "b"], dtype=h5py.string_dtype())


def many_small_bombs(file):
    for number in range(4):
        file.create_dataset(f"{number}", (15 * 2**20,), "f4", chunks=(2**20,), compression="gzip", fillvalue=0)


@pytest.mark.parametrize(
    ("change", "match"), [(text_for_weights, "are no numbers"), (many_small_bombs, r"252 MB from next to none")]
)
def test_weights_that_are_none_are_refused(harmless, write, change, match):
    with pytest.raises(ModelFileError, match=match):
        load_model(write({**harmless, "model.weights.h5": weights_with(change)}))


@pytest.mark.parametrize("weights", [hard_links, many_pieces])
def test_cancel_is_heard_while_a_file_is_inspected(harmless, write, weights):
    token = CancelToken()
    token.cancel()
    path = write({**harmless, "model.weights.h5": weights_with(weights)})
    for opened in (lambda: load_model(path, token), lambda: load(path, JobContext(cancel=token))):
        with pytest.raises(JobCancelled):
            opened()


def test_a_damaged_stream_gets_a_sentence(harmless, write):
    path = write(harmless, zipfile.ZIP_DEFLATED)
    raw = bytearray(path.read_bytes())
    start = raw.find(b"config.json") + len("config.json") + 20
    raw[start : start + 40] = bytes(40)
    path.write_bytes(raw)
    for read in (read_facts, load_model):
        with pytest.raises(ModelFileError, match=r"evil\.keras is damaged"):
            read(path)


class OddError(Exception):
    """What nobody thought of."""


@pytest.mark.parametrize("error", [OddError, zlib.error, UnicodeError, RecursionError, OverflowError, AttributeError])
def test_whatever_goes_wrong_is_told_in_a_sentence(harmless, write, monkeypatch, error):
    def fails(*_):
        raise error

    path = write(harmless)
    monkeypatch.setattr(model_inspection, "_check_config", fails)
    for read in (read_facts, load_model):
        with pytest.raises(ModelFileError, match=r"evil\.keras is damaged"):
            read(path)


def test_no_memory_is_told(harmless, write, monkeypatch):
    def fails(*_):
        raise MemoryError

    path = write(harmless)
    monkeypatch.setattr(model_inspection, "_check_config", fails)
    with pytest.raises(ModelFileError, match=r"not enough memory to open evil\.keras"):
        load_model(path)


def test_a_git_lfs_pointer_and_a_web_address_get_their_own_sentence(tmp_path):
    pointer = tmp_path / "flowers.keras"
    pointer.write_text(f"version https://git-lfs.github.com/spec/v1\noid sha256:{'0' * 64}\nsize 4096\n")
    with pytest.raises(ModelFileError, match=r"Git LFS pointer.*git lfs pull"):
        load(pointer, JobContext())
    with pytest.raises(ModelFileError, match=r"https://example\.org/a\.keras is a web address"):
        load(Path("https://example.org/a.keras"), JobContext())
    with pytest.raises(ModelFileError, match=r"There is no model file gone\.keras"):
        load(Path("gone.keras"), JobContext())


def test_many_parts_that_unpack_to_much_are_refused(harmless, write):
    """Each by itself is small enough."""
    parts = {f"assets/{number}": bytes(40 * 2**20) for number in range(2)}
    refused(write({**harmless, **parts}, zipfile.ZIP_DEFLATED), r"would unpack 84 MB of parts that are no weights")


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ('{"class_name": 1, "config": {}, "x": [' + "[]," * 600_000 + "0]}", "more in it than any network"),
        ('{"x": "' + "a" * 9 * 2**20 + '"}', "longer than any network"),
        ('{"class_name": "Sequential", "config": {"a": ' + "9" * 5000 + "}}", "damaged"),
        ("\ufeff\udcff".encode("utf-8", "surrogatepass").decode("latin-1"), "damaged"),
    ],
)
@pytest.mark.parametrize("member", ["config.json", "cnn_studio.json"])
def test_descriptions_that_would_fill_the_memory_are_refused(harmless, write, member, text, match):
    path = write({**harmless, member: text.encode()}, zipfile.ZIP_DEFLATED)
    with pytest.raises(ModelFileError, match=match):
        read_facts(path)


def test_more_layers_than_can_be_built_in_time_are_refused(harmless, write):
    layer = {"module": "keras.layers", "class_name": "ReLU", "config": {"name": "x"}, "registered_name": None}
    config = json.loads(harmless["config.json"])
    config["config"]["layers"][1:1] = [layer] * 5000
    refused(write({**harmless, "config.json": json.dumps(config).encode()}), "has more than 5,000 layers")
    config["config"]["layers"][1:5001] = [{**layer, "inbound_nodes": [[]] * 5000}]
    refused(write({**harmless, "config.json": json.dumps(config).encode()}), "has more than 5,000 layers")


@pytest.fixture
def small_only(monkeypatch):
    """Nothing large may be made."""

    def filled(self, shape, dtype=None, **_):
        assert np.prod(shape) < 1e6, "memory was taken"
        return keras.ops.zeros(shape, dtype)

    for kind in (keras.initializers.GlorotUniform, keras.initializers.Zeros):
        monkeypatch.setattr(kind, "__call__", filled)


def saved_with(tmp_path, layers, changes, side=8):
    """A file of a network whose description was changed afterwards: {layer name: {setting: value}}."""
    path = tmp_path / "large.keras"
    keras.Sequential([keras.Input((side, side, 3), name="image"), *layers, keras.layers.Dense(2, name="last")]).save(
        path
    )
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    config = json.loads(parts["config.json"])
    for layer in config["config"]["layers"]:
        layer["config"].update(changes.get(layer["config"]["name"], {}))
        layer.pop("build_config", None)
    config["config"].pop("build_input_shape", None)
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in {**parts, "config.json": json.dumps(config)}.items():
            archive.writestr(name, content)
    return path


@pytest.mark.parametrize(
    ("changes", "side", "match"),
    [
        ({"last": {"units": 20_000_000}}, 8, r"describes a network of \d+ MB and holds weights of 0 MB"),
        ({"last": {"units": 10**15}}, 8, "describes a network of"),
        ({"conv": {"filters": 10**7}}, 8, "describes a network of"),
        ({"up": {"size": [30_000, 30_000]}}, 8, r"takes [\d,.]+ GB of memory for one picture"),
        ({"up": {"size": [30_000, 30_000]}}, None, r"takes [\d,.]+ GB of memory for one picture"),
        ({"pad": {"padding": [[10**6, 10**6], [10**6, 10**6]]}}, 8, r"takes [\d,.]+ GB of memory for one picture"),
        ({"image": {"batch_shape": [None, 10**6, 10**6, 3]}}, 8, "does not take one image"),
    ],
)
def test_what_is_declared_and_not_there_is_refused_before_it_is_made(tmp_path, small_only, changes, side, match):
    layers = keras.layers
    path = saved_with(
        tmp_path,
        [
            layers.Conv2D(2, 1, name="conv"),
            layers.UpSampling2D(2, name="up"),
            layers.ZeroPadding2D(1, name="pad"),
            layers.GlobalAveragePooling2D(),
        ],
        changes,
        side,
    )
    with pytest.raises(ModelFileError, match=match):
        load_model(path)
    # What was refused is not made later either, when something else is opened.
    keras.Sequential([keras.Input((4, 4, 3)), layers.Flatten(), layers.Dense(2)]).save(tmp_path / "small.keras")
    assert load_model(tmp_path / "small.keras")[1].class_count == 2


def test_the_budget_follows_the_memory_there_is(tmp_path, monkeypatch):
    layers = keras.layers
    path = tmp_path / "m.keras"
    keras.Sequential([keras.Input((64, 64, 3)), layers.Conv2D(64, 1), layers.GlobalAveragePooling2D()]).save(path)
    monkeypatch.setattr(declared, "available_memory", lambda: 2**20)
    with pytest.raises(ModelFileError, match="1 MB are free, so it was not opened"):
        load_model(path)
    monkeypatch.setattr(declared, "available_memory", lambda: 2**21)
    assert load_model(path)[1].class_count == 64


def test_names_in_a_file_are_text(harmless, write):
    facts = {
        "class_names": ["<img src=x>\x1b[31m", "b\u202e"],
        "height": 8,
        "width": 8,
        "architecture": "<b>bold\x9b</b>",
        "data_name": "a\nb",
        "versions": {"k\x07": "1\x1b"},
    }
    found = read_facts(write({**harmless, "cnn_studio.json": json.dumps(facts).encode()}))
    assert found.class_names == ("<img src=x>\\x1b[31m", "b\\u202e")
    assert (found.architecture, found.data_name) == ("<b>bold\\x9b</b>", "a\\nb")
    assert found.versions == {"k\\x07": "1\\x1b"}


def test_a_loss_of_someones_own_is_no_reason_to_refuse(tmp_path):
    """It is not used, and many honest files have one."""

    @keras.saving.register_keras_serializable(package="theirs")
    def focal(y_true, y_pred):
        return keras.ops.mean(y_pred - y_true)

    model = keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Flatten(), keras.layers.Dense(2)])
    model.compile("adam", focal)
    path = tmp_path / "honest.keras"
    model.save(path)
    keras.saving.get_custom_objects().clear()
    loaded, _ = load_model(path)
    assert loaded.predict_on_batch(np.zeros((1, 8, 8, 3), np.uint8)).shape == (1, 2)


@pytest.mark.parametrize(
    "build",
    [
        lambda: keras.applications.MobileNetV3Small(weights=None, classes=3, input_shape=(32, 32, 3)),
        lambda: keras.applications.EfficientNetB0(weights=None, classes=3, input_shape=(32, 32, 3)),
        lambda: keras.Sequential(
            [
                keras.Input((16, 16, 3)),
                keras.layers.RandomFlip(),
                keras.layers.Normalization(mean=[0.5] * 3, variance=[0.1] * 3),
                keras.layers.Conv2D(2, 3, activation=keras.activations.swish, kernel_regularizer="l2"),
                keras.layers.LeakyReLU(),
                keras.layers.Activation("gelu"),
                keras.layers.Flatten(),
                keras.layers.Dense(3, kernel_initializer="he_normal", kernel_constraint=keras.constraints.MaxNorm()),
            ]
        ),
    ],
    ids=["MobileNetV3", "EfficientNet", "many kinds"],
)
def test_honest_networks_are_opened(build, tmp_path):
    path = tmp_path / "honest.keras"
    build().save(path)
    assert load_model(path)[1].class_count == 3
