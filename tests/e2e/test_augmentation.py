"""Augmented training as a job and on the command line; its preview and its cost."""

import json
from functools import partial

import keras
import numpy as np
import pytest

from cnn_studio import tasks
from cnn_studio.core.errors import ExperimentError
from cnn_studio.core.experiment.augmentation import AUGMENTATION_KINDS, AugmentationSettings, parse_augmentation
from cnn_studio.core.experiment.experiment import Experiment, build_experiment
from cnn_studio.core.experiment.settings import BackboneArchitecture, ImageSettings, TrainingSettings
from cnn_studio.core.image.decoder import read_image
from cnn_studio.core.job.events import BatchEnded
from cnn_studio.core.job.jobs import CancelToken, JobCancelled, JobContext, ignore_reports
from cnn_studio.core.runs import run as runs
from cnn_studio.core.runs.comparison import TrialEnded, TrialStarted


def experiment(augment="", **values):
    return Experiment(image=ImageSettings(height=32, width=32), augmentation=parse_augmentation(augment), **values)


@pytest.mark.parametrize("augment", ["flip_horizontal,rotation,zoom,hue", "cut_mix,noise"])
def test_a_training_on_augmented_images(blobs, tmp_path, augment):
    dataset = tasks.scan(blobs, JobContext())
    settings = experiment(augment, training=TrainingSettings(epochs=2, batch_size=8))
    trained = tasks.train(tasks.TrainRequest(dataset, settings, tmp_path / "run"), JobContext())
    assert trained.epochs == 2
    model = keras.saving.load_model(trained.model, safe_mode=True)
    names = {type(layer).__name__ for layer in model._flatten_layers()}
    assert not {name for name in names if name.startswith(("Random", "Augment")) or "Mix" in name}
    image = read_image(blobs / "red" / "red 0.png", 32, 32)[None]
    np.testing.assert_array_equal(model.predict_on_batch(image), model.predict_on_batch(image))
    assert "rotation" in (trained.run / "experiment.toml").read_text(encoding="utf-8")
    repeated = tasks.train(tasks.TrainRequest(dataset, settings, tmp_path / "again"), JobContext())
    assert repeated.metrics == pytest.approx(trained.metrics)


def previewed(blobs, augment, seed=1):
    request = tasks.PreviewRequest(
        blobs / "red" / "red 0.png", (blobs / "blue" / "blue 0.png",), experiment(augment), seed
    )
    return tasks.preview_augmentation(request, JobContext())


def test_a_preview_shows_the_picture_nine_times_changed(blobs):
    preview = previewed(blobs, "rotation=45,brightness=0.3")
    np.testing.assert_array_equal(preview.original, read_image(blobs / "red" / "red 0.png", 32, 32))
    assert preview.changed.shape == (9, 32, 32, 3)
    assert preview.changed.dtype == np.uint8
    assert preview.shares == (1.0,) * 9
    assert len({each.tobytes() for each in preview.changed}) == 9
    again = previewed(blobs, "rotation=45,brightness=0.3")
    np.testing.assert_array_equal(again.changed, preview.changed)
    assert not np.array_equal(previewed(blobs, "rotation=45,brightness=0.3", seed=2).changed, preview.changed)


def test_without_augmentation_a_preview_is_the_picture(blobs):
    preview = previewed(blobs, "")
    assert (preview.changed == preview.original).all()


def test_a_preview_of_mixed_images_tells_the_shares(blobs):
    preview = previewed(blobs, "mix_up=1")
    red, blue = preview.original, read_image(blobs / "blue" / "blue 0.png", 32, 32)
    assert any(share < 0.9 for share in preview.shares)
    for share, mixed in zip(preview.shares, preview.changed, strict=True):
        np.testing.assert_allclose(mixed, share * red + (1 - share) * blue, atol=1)


def test_a_large_picture_is_previewed_smaller_with_its_blur(blobs):
    request = tasks.PreviewRequest(
        blobs / "red" / "red 0.png",
        (),
        Experiment(image=ImageSettings(height=384, width=768), augmentation=AugmentationSettings(blur=4)),
        1,
    )
    preview = tasks.preview_augmentation(request, JobContext())
    assert preview.original.shape == (96, 192, 3)


def test_a_preview_nobody_waits_for_any_more_ends(blobs):
    token = CancelToken()
    token.cancel()
    with pytest.raises(JobCancelled):
        tasks.preview_augmentation(
            tasks.PreviewRequest(blobs / "red" / "red 0.png", (), experiment("rotation"), 1), JobContext(cancel=token)
        )


@pytest.mark.parametrize("augment", ["rotation,zoom", "mix_up"])
def test_the_cost_is_measured_on_this_device(augment):
    cost = tasks.measure_augmentation(tasks.CostRequest(experiment(augment), 3), JobContext())
    assert cost.augmentation == parse_augmentation(augment)
    assert cost.plain > 0
    assert cost.live > 0
    assert cost.once == 0.0
    assert cost.device


@pytest.mark.slow
def test_the_cost_with_a_pre_trained_network():
    settings = experiment("rotation", architecture=BackboneArchitecture(name="mobilenet_v2"))
    settings = build_experiment(settings.model_dump() | {"training": {"batch_size": 2}})
    cost = tasks.measure_augmentation(tasks.CostRequest(settings, 3), JobContext())
    assert min(cost.plain, cost.live, cost.once) > 0


def test_the_command_line_trains_on_augmented_images(blobs, tmp_path, capsys):
    from cnn_studio.cli.commands import run

    out = tmp_path / "run"
    arguments = [
        str(blobs),
        "--out",
        str(out),
        "--epochs",
        "1",
        "--image-size",
        "16",
        "--augment",
        "gentle,hue=5",
        "--json",
    ]
    assert run(["train", *arguments], lambda *_: 1) == 0
    finished = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert finished["event"] == "finished"
    text = (out / "experiment.toml").read_text(encoding="utf-8")
    assert "hue = 5.0" in text
    assert "flip_horizontal = true" in text


def test_every_kind_has_a_preview(blobs):
    """Each, at the strength it begins with, changes the picture and stays uint8."""
    for kind in AUGMENTATION_KINDS.values():
        preview = previewed(blobs, kind.name)
        assert (preview.changed != preview.original).any(), kind.name


# -- which of it helps -----------------------------------------------------------------------------------------------


def compared(blobs, folder, augment="rotation,hue=180", report=ignore_reports, token=None):
    dataset = tasks.scan(blobs, JobContext())
    settings = experiment(augment, training=TrainingSettings(batch_size=8))
    request = tasks.CompareRequest(dataset, settings, 2, folder, "try ")
    return tasks.compare_augmentations(request, JobContext(report, token or CancelToken()))


@pytest.mark.slow
def test_each_kind_is_tried_alone_on_the_same_images(blobs, tmp_path):
    reported = []
    comparison = compared(blobs, tmp_path, report=reported.append)
    assert [trial.name for trial in comparison.trials] == ["none", "rotation", "hue", "all"]
    assert comparison.ended == "completed"
    assert [event.title for event in reported if isinstance(event, TrialStarted)] == [
        "Without augmentation",
        "Only rotate 10°",
        "Only hue 180°",
        "All of them",
    ]
    assert tuple(event.trial for event in reported if isinstance(event, TrialEnded)) == comparison.trials
    none = comparison.trials[0]
    splits = set()
    for trial in comparison.trials:
        run = runs.read_run(trial.run)
        assert run.status is runs.RunStatus.FINISHED
        assert run.folder.name == f"try {trial.name}"
        assert run.experiment().training.epochs == 2
        splits.add((run.folder / "manifest.csv").read_text(encoding="utf-8"))
        assert trial.difference == pytest.approx(trial.validation.accuracy - none.validation.accuracy)
        assert trial.low <= trial.difference <= trial.high
    assert len(splits) == 1
    assert none.verdict is None
    assert [kind.name for kind in runs.read_run(comparison.trials[1].run).experiment().augmentation.kinds] == [
        "rotation"
    ]


def test_stop_ends_a_comparison_with_what_is_complete_and_cancel_keeps_the_runs(blobs, tmp_path):
    for wish in ("stop", "cancel"):
        folder, token = tmp_path / wish, CancelToken()

        def in_the_second(event, act=None, begun=None):
            if isinstance(event, TrialStarted):
                begun.append(event)
            if isinstance(event, BatchEnded) and len(begun) == 2:
                act()

        report = partial(in_the_second, act=getattr(token, wish), begun=[])
        if wish == "stop":
            comparison = compared(blobs, folder, report=report, token=token)
            assert comparison.ended == "stopped"
            assert [trial.name for trial in comparison.trials] == ["none"]
            assert sorted(path.name for path in folder.iterdir()) == ["try none", "try rotation"]
        else:
            with pytest.raises(JobCancelled):
                compared(blobs, folder, report=report, token=token)
            assert [path.name for path in folder.iterdir()] == ["try none"]


def test_nothing_to_compare_is_told(blobs, tmp_path):
    with pytest.raises(ExperimentError, match="nothing to compare"):
        compared(blobs, tmp_path, augment="")


def test_the_command_line_compares(blobs, tmp_path, capsys):
    from cnn_studio.cli.commands import run

    out = tmp_path / "trials"
    arguments = [str(blobs), "--out", str(out), "--epochs", "1", "--image-size", "16", "--augment", "flip_horizontal"]
    assert run(["compare-augmentations", *arguments], lambda *_: 1) == 0
    told = capsys.readouterr()
    assert "Training 2 of 2: Only mirror" in told.err
    last = told.out.splitlines()[-1]
    assert last.split()[:2] == ["Only", "mirror"]
    assert " to " in last
    assert sorted(path.name for path in out.iterdir()) == ["flip_horizontal", "none"]
