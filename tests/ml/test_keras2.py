"""Files as Keras 2 wrote them; ``tests/e2e/test_keras2.py`` makes real ones."""

import json
import zipfile

import h5py
import keras
import numpy as np
import pytest

from cnn_studio.core.errors import ModelFileError
from cnn_studio.core.evaluation.input_range import InputRange
from cnn_studio.ml.model_file import load_model, read_facts

layers = keras.layers
SIDE = 12


def shaken(model):
    """The network with other weights than it begins with, so that none can be missed or mistaken."""
    draw = np.random.default_rng(0)
    model.set_weights(
        [np.abs(draw.normal(0.1, 0.1, weight.shape)).astype(np.float32) for weight in model.get_weights()]
    )
    for layer in model.layers:
        if isinstance(layer, layers.Normalization):
            layer.finalize_state()  # it computes with what it made of its weights, and Keras does so only on loading
    return model


def teachable_machine():
    """Networks in networks, as Teachable Machine puts them together."""
    image = keras.Input((SIDE, SIDE, 3), name="input_1")
    tensor = layers.BatchNormalization(name="bn_Conv1")(layers.Conv2D(4, 3, use_bias=False, name="Conv1")(image))
    tensor = layers.ReLU(6.0, name="Conv1_relu")(tensor)
    tensor = layers.DepthwiseConv2D(3, name="expanded_conv_depthwise")(tensor)
    body = keras.Model(image, tensor, name="model1")
    features = keras.Sequential(
        [keras.Input((SIDE, SIDE, 3)), body, layers.GlobalAveragePooling2D()], name="sequential_1"
    )
    head = keras.Sequential(
        [keras.Input((4,)), layers.Dense(5, "relu"), layers.Dense(2, "softmax", use_bias=False)], name="sequential_3"
    )
    return keras.Sequential([keras.Input((SIDE, SIDE, 3)), features, head], name="sequential_4")


def branches():
    """A graph with an augmentation of its own within, a layer that is used twice, and two ways that meet again."""
    image = keras.Input((SIDE, SIDE, 3))
    augmentation = keras.Sequential(
        [keras.Input((SIDE, SIDE, 3)), layers.RandomFlip("horizontal")], name="augmentation"
    )
    tensor = layers.Rescaling(1 / 127.5, offset=-1)(augmentation(image))
    left, right = layers.Conv2D(4, 3, padding="same")(tensor), layers.SeparableConv2D(4, 3, padding="same")(tensor)
    shared = layers.Conv2D(4, 1, activation="relu")
    tensor = layers.Concatenate()([shared(left), shared(right)])
    normalization = layers.Normalization()
    normalization.build(tensor.shape)
    tensor = layers.BatchNormalization()(normalization(tensor))
    return keras.Model(image, layers.Dense(3, "softmax")(layers.GlobalAveragePooling2D()(tensor)))


NETWORKS = {"teachable machine": (teachable_machine, None), "branches": (branches, InputRange.BYTES)}


def as_keras_2(described, names=None):
    """A description by Keras 3 in Keras 2's words."""
    if isinstance(described, list):
        return [as_keras_2(part, names) for part in described]
    if not isinstance(described, dict):
        return described
    kind = described.get("class_name")
    if kind == "DTypePolicy":
        return described["config"]["name"]
    new = {key: as_keras_2(value, names) for key, value in described.items()}
    for key in ("module", "registered_name", "build_config"):
        new.pop(key, None)
    config = new.get("config")
    if kind == "InputLayer":
        config["batch_input_shape"] = config.pop("batch_shape")
        del config["optional"]
    if kind in {"DepthwiseConv2D", "SeparableConv2D"}:
        config["groups"] = 1
    if kind == "BatchNormalization":
        config["axis"] = [3]
        for later in ("renorm", "renorm_clipping", "renorm_momentum"):
            config.pop(later, None)
    if kind in {"GlorotUniform", "RandomNormal"}:
        config["dtype"] = "float32"
    if kind == "Functional":
        graphs = {layer["name"] for layer in config["layers"] if layer["class_name"] in {"Sequential", "Functional"}}
        for layer, before in zip(config["layers"], described["config"]["layers"], strict=True):
            layer["inbound_nodes"] = [
                [[*history(tensor, graphs), {}] for tensor in tensors_of(node)] for node in before["inbound_nodes"]
            ]
        for end in ("input_layers", "output_layers"):
            ends = described["config"][end]
            config[end] = [list(ends)] if isinstance(ends[0], str) else [list(each) for each in ends]
    return new


def tensors_of(node):
    (given,) = node["args"]
    return given if isinstance(given, list) else [given]


def history(tensor, graphs):
    """Keras 2 counts the use in which a network within was made."""
    name, use, output = tensor["config"]["keras_history"]
    return [name, use + (name in graphs and use == 0), output]


def described(model):
    return {"class_name": type(model).__name__, **keras.saving.serialize_keras_object(model)}


@pytest.fixture
def write(tmp_path):
    """write(model, kind) -> a file as Keras 2 wrote it."""

    def make(model, kind):
        config = as_keras_2(json.loads(json.dumps(described(model))))
        if kind == "keras":
            model.save(tmp_path / "new.keras")
            if config["class_name"] == "Functional":
                config["module"] = "keras.src.engine.functional"
            path = tmp_path / "old.keras"
            with zipfile.ZipFile(tmp_path / "new.keras") as source, zipfile.ZipFile(path, "w") as target:
                target.writestr("model.weights.h5", source.read("model.weights.h5"))
                target.writestr("config.json", json.dumps(config))
                target.writestr("metadata.json", '{"keras_version": "2.15.0"}')
            return path
        path = tmp_path / "keras_model.h5"
        with h5py.File(path, "w") as file:
            file.attrs.update(keras_version="2.4.0", backend="tensorflow", model_config=json.dumps(config))
            group = file.create_group("model_weights")
            group.attrs["layer_names"] = [layer.name.encode() for layer in model.layers]
            for layer in model.layers:
                write_weights(group.create_group(layer.name), layer)
        return path

    return make


def write_weights(group, layer):
    names = []
    for variable in [*layer.trainable_weights, *layer.non_trainable_weights]:
        owner, _, own = variable.path.rpartition("/")
        names.append(f"{owner.rpartition('/')[2]}/{own}:0")
        group[names[-1]] = np.asarray(variable)
    count = f"{layer.name}/count:0"
    if isinstance(layer, layers.Normalization) and count not in names:  # some versions of Keras 3 have it too
        names.append(count)
        group[count] = np.zeros((), np.int64)
    group.attrs["weight_names"] = [name.encode() for name in names]


def pictures():
    """Noise, from dark to bright, (5, SIDE, SIDE, 3) 0–255."""
    noise = np.random.default_rng(3).uniform(0, 255, (5, SIDE, SIDE, 3))
    return (noise * np.linspace(0.2, 1, 5)[:, None, None, None]).astype(np.float32)


def assert_the_same(found, expected):
    assert expected.std(axis=0).max() > 1e-4  # a network that says the same of everything would prove nothing
    np.testing.assert_allclose(found, expected, atol=1e-6)


@pytest.mark.parametrize("kind", ["h5", "keras"])
@pytest.mark.parametrize("name", NETWORKS)
def test_a_network_of_keras_2_answers_as_it_did(write, name, kind):
    build, takes = NETWORKS[name]
    model = shaken(build())
    path = write(model, kind)
    facts = read_facts(path)
    assert (facts.height, facts.width, facts.class_names, facts.made_here) == (SIDE, SIDE, (), False)
    loaded, facts = load_model(path)
    assert facts.input_range is takes
    if takes is None:  # as Teachable Machine trains
        loaded, _ = load_model(path, input_range=InputRange.SIGNED)
        assert_the_same(loaded.predict_on_batch(pictures()), model.predict_on_batch(pictures() / 127.5 - 1))
    else:
        assert_the_same(loaded.predict_on_batch(pictures()), model.predict_on_batch(pictures()))


def test_hdf5_by_keras_3_opens_too(tmp_path):
    model = shaken(branches())
    model.save(tmp_path / "new.h5")
    loaded, _ = load_model(tmp_path / "new.h5")
    assert_the_same(loaded.predict_on_batch(pictures()), model.predict_on_batch(pictures()))


def changed(path, change):
    """The description in an HDF5 file, changed."""
    with h5py.File(path, "a") as file:
        config = json.loads(file.attrs["model_config"])
        change(config["config"]["layers"])
        file.attrs["model_config"] = json.dumps(config)


@pytest.mark.parametrize(
    ("layer", "words"),
    [
        ({"class_name": "Lambda", "config": {"name": "l", "function": ["4wEAAAA=", None, None]}}, "code of its own"),
        ({"class_name": "MyPackage>Mine", "config": {"name": "mine"}}, "code of its own"),
        (
            {"class_name": "TFOpLambda", "config": {"name": "t", "function": "math.truediv"}},
            "TensorFlow's own operations",
        ),
        ({"class_name": "TFSMLayer", "config": {"name": "t", "filepath": "/tmp"}}, "code of its own"),
    ],
)
def test_what_may_or_can_not_be_opened_is_told(write, layer, words):
    path = write(shaken(teachable_machine()), "h5")
    changed(path, lambda layers: layers.insert(1, layer))
    for read in (read_facts, load_model):
        with pytest.raises(ModelFileError, match=words):
            read(path)


def test_weights_alone_lead_nowhere_or_elsewhere(write, tmp_path):
    path = write(shaken(teachable_machine()), "h5")
    with h5py.File(path, "a") as file:
        file["model_weights"]["sequential_3"].attrs["weight_names"] = [b"dense/kernel:0"]
    with pytest.raises(ModelFileError, match="cannot open"):
        load_model(path)
    with h5py.File(path, "a") as file:
        file["model_weights"]["away"] = h5py.ExternalLink("/etc/hostname", "/")
    with pytest.raises(ModelFileError, match="point elsewhere"):
        load_model(path)
    with h5py.File(path, "a") as file:
        del file.attrs["model_config"]
    with pytest.raises(ModelFileError, match="weights only"):
        load_model(path)
    path.write_bytes(b"\x89HDF\r\n\x1a\n and nothing more")
    with pytest.raises(ModelFileError, match="damaged"):
        load_model(path)
