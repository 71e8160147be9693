"""What prevents training is listed once: a code to act on, a sentence to show, the setting at fault."""

from __future__ import annotations

import pytest

from cnn_studio.core.advice.choices import Chosen
from cnn_studio.core.advice.preflight import ObstacleKind, obstacles, refuse, remarks
from cnn_studio.core.errors import CnnStudioError, DatasetError, ExperimentError, WeightsError
from cnn_studio.core.experiment.backbones import find_backbone
from cnn_studio.core.experiment.experiment import Experiment, with_values
from cnn_studio.core.experiment.settings import BackboneArchitecture
from cnn_studio.core.weights.weights import weights_path


@pytest.fixture(autouse=True)
def keras_home(tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    return tmp_path / "keras"


@pytest.fixture
def dataset(made_up_dataset):
    return made_up_dataset({"cat": 20, "owl": 20})


def kinds(experiment, dataset, **more):
    return [obstacle.kind for obstacle in obstacles(experiment, dataset, **more)]


def test_nothing_prevents_the_usual_experiment_on_usual_images(dataset):
    assert kinds(Experiment(), dataset, thorough=True) == []
    refuse(Experiment(), dataset)


def test_every_obstacle_is_told_in_the_order_to_take_them_in(made_up_dataset):
    hopeless = Experiment(
        image={"height": 16, "width": 16},
        architecture=BackboneArchitecture(name="vgg16"),
        augmentation={"mix_up": 0.2},
    )
    found = list(obstacles(hopeless, made_up_dataset({"cat": 20})))
    assert [obstacle.kind for obstacle in found] == [
        ObstacleKind.UNTRAINABLE_DATASET,
        ObstacleKind.IMPOSSIBLE_ARCHITECTURE,
        ObstacleKind.IMPOSSIBLE_AUGMENTATION,
        ObstacleKind.MISSING_WEIGHTS,
    ]
    assert all(obstacle.error.message and obstacle.error.hint for obstacle in found)
    fields = [obstacle.error.field for obstacle in found]
    assert fields == ["", "image", "augmentation.views", ""]
    assert kinds(hopeless, None)[0] is ObstacleKind.NO_DATASET


def test_a_command_is_told_what_no_data_set_would_mend_before_it_reads_one():
    refuse(Experiment())
    with pytest.raises(ExperimentError, match="at least 32 × 32"):
        refuse(with_values(Chosen().with_architecture("vgg16", None).experiment, {"image.height": 16}))
    with pytest.raises(WeightsError, match="not on this machine") as caught:
        refuse(Chosen().with_architecture("vgg16", None).experiment)
    assert "cnn-studio weights get vgg16" in caught.value.hint


def test_a_job_refuses_images_that_cannot_be_trained_on(made_up_dataset):
    with pytest.raises(DatasetError, match="one class only"):
        refuse(Experiment(), made_up_dataset({"cat": 20}))
    with pytest.raises(DatasetError) as caught:
        refuse(with_values(Experiment(), {"split.validation": 0.0}), made_up_dataset({"cat": 9, "owl": 9}))
    assert caught.value.field == "split.validation"


def test_the_window_may_answer_for_the_images_itself(dataset):
    waiting = CnnStudioError("The images are still being shared out.")
    (found,) = obstacles(Experiment(), dataset, on_images=lambda *_: waiting)
    assert (found.kind, found.error) == (ObstacleKind.UNTRAINABLE_DATASET, waiting)


def test_weights_are_looked_for_at_once_and_looked_into_only_when_asked(dataset, keras_home):
    experiment = Chosen().with_architecture("vgg16", dataset).experiment
    assert kinds(experiment, dataset) == [ObstacleKind.MISSING_WEIGHTS]
    file = keras_home / "models" / "vgg16_weights_tf_dim_ordering_tf_kernels_notop.h5"
    file.parent.mkdir(parents=True)
    file.write_bytes(b"no weights")
    assert kinds(experiment, dataset) == []
    (damaged,) = obstacles(experiment, dataset, thorough=True)
    assert damaged.kind is ObstacleKind.DAMAGED_WEIGHTS
    assert "Get it anew" in damaged.error.hint


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({}, ()),
        ({"training.warm_up_epochs": 3, "training.epochs": 3}, ()),
        (
            {"training.warm_up_epochs": 4, "training.epochs": 3},
            ("Training: the warm-up of 4 epochs is longer than the 3 there are", "never reaches 0.001"),
        ),
    ],
)
def test_a_warm_up_longer_than_the_training_is_said(changes, words):
    found = " ".join(remarks(with_values(Experiment(), changes)))
    assert bool(found) == bool(words)
    assert all(word in found for word in words)


def test_of_fine_tuning_it_is_said_where_there_is_a_second_stage():
    tuned = Experiment(architecture=BackboneArchitecture(transfer="fine_tuned", fine_tuning={"warm_up_epochs": 8}))
    (said,) = remarks(tuned)
    assert said.startswith("Fine-tuning: the warm-up of 8 epochs is longer than the 5")
    assert remarks(with_values(tuned, {"architecture.transfer": "one_stage"})) == ()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"architecture.pooling": "none", "architecture.pool_size": [3]}, True),
        ({"architecture.pooling": "none"}, False),
        ({"architecture.pool_size": [3]}, False),
    ],
)
def test_a_pool_size_without_pooling_is_said(changes, said):
    assert any("no pooling" in each for each in remarks(with_values(Experiment(), changes))) is said


@pytest.mark.parametrize(
    ("name", "side", "said"),
    [
        *(("resnet50", 32, True), ("resnet50", 64, True), ("resnet50", 96, False), ("resnet50", 224, False)),
        *(("vgg16", 32, True), ("vgg16", 150, False), ("xception", 71, False)),
    ],
)
def test_little_left_for_a_backbone_to_see_is_said(name, side, said):
    experiment = Experiment(image={"height": side, "width": side}, architecture=BackboneArchitecture(name=name))
    assert bool(remarks(experiment)) is said


def test_an_image_too_small_for_a_backbone_is_refused_and_needs_no_remark():
    assert remarks(Experiment(image={"height": 8, "width": 8}, architecture=BackboneArchitecture(name="vgg16"))) == ()


def test_files_of_weights_are_opened_only_by_who_does_not_go_on_to_do_it(dataset, keras_home):
    experiment = Chosen().with_architecture("vgg16", dataset).experiment
    file = weights_path(find_backbone("vgg16"))
    file.parent.mkdir(parents=True)
    file.write_bytes(b"no weights")
    refuse(experiment, dataset, thorough=False)
    with pytest.raises(WeightsError):
        refuse(experiment, dataset)
