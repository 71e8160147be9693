"""Files that would run or read something: each is refused, and a marker file proves that nothing ran."""

import io
import json
import zipfile

import h5py
import keras
import numpy as np
import pytest

from cnn_studio.core.errors import ModelFileError
from cnn_studio.ml.model_file import load_model, read_facts


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
