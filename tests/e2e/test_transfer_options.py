"""The command line's part of transfer learning: weights, presets and the options of train, told before work begins."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cnn_studio.cli import run
from cnn_studio.core.advice.augmentation import recommend_augmentation
from cnn_studio.core.advice.choices import Choices
from cnn_studio.core.data.dataset import Dataset
from cnn_studio.core.data.image_file import ImageFile
from cnn_studio.core.errors import ExperimentError
from cnn_studio.core.experiment.augmentation import AUGMENTATION_KINDS
from cnn_studio.core.experiment.experiment import Experiment, experiment_to_toml
from cnn_studio.core.experiment.settings import BackboneArchitecture, ScratchArchitecture
from cnn_studio.core.weights.download import MIRROR_VARIABLE


@pytest.fixture(autouse=True)
def keras_home(tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    return tmp_path / "keras"


@pytest.fixture
def command(capsys):
    """command(*arguments) -> (exit status, standard output, standard error)."""

    def call(*arguments):
        status = run([str(argument) for argument in arguments], lambda *_: 0)
        printed = capsys.readouterr()
        return status, printed.out, printed.err

    return call


@pytest.fixture
def photographs(tmp_path):
    files = tuple(ImageFile(f"{label}/{n}.jpg", label, 400, 500, False, 1000, 1) for label in (0, 1) for n in range(60))
    return Dataset(tmp_path, ("cat", "dog"), files)


# -- weights -------------------------------------------------------------------------------------------------------


def test_weights_list(command, keras_home):
    status, out, _ = command("weights", "list")
    assert status == 0
    assert str(keras_home / "models") in out
    assert "resnet50" in out
    assert "95 MB  not here" in out
    status, out, _ = command("weights", "list", "--json")
    told = json.loads(out)
    assert told["folder"] == str(keras_home / "models")
    assert {row["state"] for row in told["weights"]} == {"missing"}
    assert {"resnet50", "vgg16"} <= {row["name"] for row in told["weights"]}
    assert not keras_home.exists()


def test_weights_of_ones_own(command, keras_home, shared_weights):
    file = shared_weights / "vgg16_weights_tf_dim_ordering_tf_kernels_notop.h5"
    status, out, _ = command("weights", "import", file)
    assert status == 0
    assert "checksum differs" in out
    assert f"VGG16 is ready: {keras_home / 'models' / file.name}" in out
    _, out, _ = command("weights", "list")
    assert "here (not Keras's own file)" in out
    status, _, err = command("weights", "import", file, "--as", "resnet50")
    assert status == 1
    assert "holds the weights of VGG16, not of ResNet50" in err


def test_weights_without_a_network(command, keras_home, monkeypatch):
    monkeypatch.setenv(MIRROR_VARIABLE, "http://127.0.0.1:9/none")  # the port of the discard service: nobody listens
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    status, _, err = command("weights", "get", "resnet50")
    assert status == 1
    assert "could not be downloaded from 127.0.0.1:9" in err
    assert f"puts it into {keras_home / 'models'}" in err


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (("get", "alexnet"), 2, "no pre-trained backbone called 'alexnet'"),
        (("import", "gone.h5"), 1, "There is no file gone.h5"),
        (("import", __file__), 1, "no weights file as Keras publishes them"),
        (("import", "gone.h5", "--as", "alexnet"), 2, "no pre-trained backbone called 'alexnet'"),
        (("fetch",), 2, "cnn-studio weights --help"),
    ],
)
def test_wrong_use_of_weights(arguments, status, words, command):
    found, _, err = command("weights", *arguments)
    assert found == status
    assert words in err


# -- train ---------------------------------------------------------------------------------------------------------


def test_train_never_downloads_and_says_what_is_missing(command, tmp_path, monkeypatch):
    monkeypatch.setattr("socket.socket.connect", lambda *_: pytest.fail("it went to the network"))
    status, _, err = command("train", tmp_path, "--out", tmp_path / "run", "--architecture", "resnet50")
    assert status == 1
    for words in ("resnet50_weights_tf_dim_ordering_tf_kernels_notop.h5", "95 MB", "cnn-studio weights get resnet50"):
        assert words in err
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ("--architecture vgg16 --unfreeze conv5", "block5, block4, block3, block2, everything"),
        ("--architecture vgg16 --transfer frozen --unfreeze block5", "--transfer frozen keeps the whole backbone"),
        ("--architecture vgg16 --transfer frozen --fine-tuning-epochs 3", "none of with transfer frozen. Leave it out"),
        ("--architecture vgg16 --transfer one_stage --fine-tuning-rate 1e-5", "learning_rate is of the second stage"),
        ("--preset vgg16_from_block3 --set architecture.fine_tuning.schedule=cosine", "with transfer one_stage"),
        ("--architecture vgg16 --transfer thawed", "architecture.transfer"),
        ("--architecture vgg16 --image-size 20", "at least 32 × 32"),
        ("--transfer frozen", "Small CNN is trained from scratch"),
        ("--architecture lenet5 --fine-tuning-epochs 3", "LeNet-5 is trained from scratch"),
        ("--architecture alexnet", "resnet50, "),
        ("--preset flower_tutorial", "flowers_tutorial"),
        ("--preset flowers_tutorial --architecture vgg16", "Leave out --preset or --architecture"),
        ("--preset recommended --experiment x.toml", "Leave out --experiment or --preset"),
        ("--augment rotate=10", "no augmentation called 'rotate'"),
        ("--augment gentle,rotation=500", "augmentation.rotation"),
        ("--architecture resnet50 --augment mix_up", "or augment live (views=0"),
    ],
)
def test_options_that_cannot_work_are_told_before_anything_is_read(options, words, command):
    status, _, err = command("train", "no such folder", "--out", "no such run", *options.split())
    assert status == 2
    assert words in err


def test_presets_are_listed(command):
    _, out, _ = command("presets")
    assert out.startswith("recommended\n")
    assert "cats_dogs_fine_tuned\n  Dogs versus cats, block 5 fine-tuned. " in out
    _, out, _ = command("presets", "--json")
    assert {"name", "title", "summary"} == set(json.loads(out)["presets"][0])


def test_augmentations_are_listed(command):
    _, out, _ = command("augmentations")
    for words in ("flowers_tutorial", "= flip_horizontal,rotation=36,zoom=0.1", "rotation=10", "views=4"):
        assert words in out
    _, out, _ = command("augmentations", "--json")
    assert {kind["name"] for kind in json.loads(out)["kinds"]} == set(AUGMENTATION_KINDS)


# -- from options to an experiment ---------------------------------------------------------------------------------


def not_asked():
    pytest.fail("the device does not matter here")


def test_a_backbone_by_name(photographs):
    experiment, notes = Choices(architecture="resnet50").on_data(photographs, not_asked)
    assert notes == ()
    assert experiment.architecture == BackboneArchitecture()
    assert experiment.image.height == 224


def test_asking_for_a_depth_asks_for_fine_tuning(photographs):
    choices = Choices(architecture="vgg16", unfreeze="block4", fine_tuning_epochs=2, fine_tuning_rate=3e-6)
    architecture = choices.on_data(photographs, not_asked)[0].architecture
    assert architecture.trained_depth == "block4"
    assert (architecture.fine_tuning.epochs, architecture.fine_tuning.learning_rate) == (2, 3e-6)
    last = Choices(architecture="vgg16", transfer="fine_tuned").on_data(photographs, not_asked)[0].architecture
    assert last.trained_depth == "block5"


@pytest.mark.parametrize(
    "second_stage",
    [
        {"fine_tuning_epochs": 3},
        {"fine_tuning_rate": 3e-6},
        {"changes": {"architecture.fine_tuning.schedule": "cosine"}},
    ],
)
def test_asking_for_a_second_stage_asks_for_fine_tuning(second_stage, photographs):
    architecture = Choices(architecture="vgg16", **second_stage).on_data(photographs, not_asked)[0].architecture
    assert architecture.transfer == "fine_tuned"


def test_a_depth_for_what_is_trained_at_once_stays_at_once(photographs):
    choices = Choices(preset="vgg16_from_block3", unfreeze="block4")
    architecture = choices.on_data(photographs, not_asked)[0].architecture
    assert (architecture.transfer, architecture.trained_depth) == ("one_stage", "block4")
    asked = Choices(architecture="vgg16", transfer="one_stage").on_data(photographs, not_asked)[0].architecture
    assert (asked.transfer, asked.trained_depth) == ("one_stage", "block5")


def test_a_preset_keeps_its_size_and_gives_way_to_single_settings(photographs):
    choices = Choices(preset="cats_dogs_features", changes={"training.epochs": 3})
    experiment, _ = choices.on_data(photographs, not_asked)
    assert (experiment.image.height, experiment.training.epochs, experiment.training.batch_size) == (150, 3, 20)
    assert Choices(preset="cats_dogs_features", transfer="fine_tuned").check().architecture.trained_depth == "block5"


def test_augmentation_by_kinds_by_preset_and_by_the_data(photographs):
    kinds = Choices(augment="rotation=10,flip_horizontal").on_data(photographs, not_asked)[0].augmentation
    assert (kinds.rotation, kinds.flip_horizontal, kinds.zoom) == (10, True, 0)
    over = Choices(preset="flowers_tutorial", augment="none").on_data(photographs, not_asked)[0]
    assert not over.augmentation.is_on
    chosen, (reason,) = Choices(augment="recommended,views=0").on_data(photographs, not_asked)
    chosen = chosen.augmentation
    assert reason.startswith("Only 60 images a class")
    assert chosen == recommend_augmentation(photographs).augmentation.model_copy(update={"views": 0})
    assert chosen.is_on


def test_recommended_asks_for_the_device(photographs):
    choices = Choices(preset="recommended", transfer="fine_tuned", changes={"training.seed": 3})
    assert choices.check().architecture.name == "resnet50"
    experiment, (reason,) = choices.on_data(photographs, lambda: True)
    assert experiment.image.height == 224
    assert experiment.architecture.trained_depth == "conv5"
    assert experiment.training.seed == 3
    assert "120 colour images" in reason


def test_a_settings_file_gives_way_too(photographs, tmp_path):
    file = tmp_path / "mine.toml"
    file.write_text(experiment_to_toml(Experiment(architecture=ScratchArchitecture(name="mine"))), encoding="utf-8")
    experiment, _ = Choices(experiment=Path(file)).on_data(photographs, not_asked)
    assert experiment.architecture.name == "mine"
    other = Choices(experiment=file, architecture="vgg16", transfer="frozen")
    assert other.on_data(photographs, not_asked)[0].architecture == BackboneArchitecture(name="vgg16")
    with pytest.raises(ExperimentError, match="mine is trained from scratch"):
        Choices(experiment=file, transfer="frozen").check()


def test_whether_pictures_that_look_alike_stay_together(photographs, command, monkeypatch, tmp_path):
    seen = []
    monkeypatch.setattr("cnn_studio.tasks.scan", lambda *_: photographs)

    def train(request, *_):
        seen.append(request.experiment.split.keep_similar_together)
        raise ExperimentError("that is all")

    monkeypatch.setattr("cnn_studio.tasks.train", train)
    for number, options in enumerate(([], ["--similar-apart"], ["--similar-together"])):
        command("train", tmp_path, "--out", tmp_path / f"run {number}", *options)
    assert seen == [True, False, True]
