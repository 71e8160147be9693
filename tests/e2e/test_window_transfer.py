"""Transfer learning through the real window, with real weights that the user has as a file."""

import pytest
from PySide6.QtWidgets import QFileDialog

from cnn_studio.core.experiment.settings import TransferMode
from cnn_studio.core.job import events
from cnn_studio.gui.jobs.job_thread import JobKind
from cnn_studio.gui.state.notices import NoticeKind

VGG16 = "vgg16_weights_tf_dim_ordering_tf_kernels_notop.h5"


@pytest.fixture(autouse=True)
def no_weights_yet(tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))


@pytest.fixture
def window(qtbot, window, session, blobs):
    """On the model page, with a folder open."""
    session.project.open_folder(blobs)
    qtbot.waitUntil(lambda: session.project.dataset is not None, timeout=30_000)
    window.show_page("model")
    return window


def test_a_pre_trained_network_is_trained_in_two_stages(qtbot, window, session, told, shared_weights, monkeypatch):
    page = window.page("model")
    session.project.choose_architecture("vgg16")
    assert session.project.experiment.image.height == 32
    assert "weights" in str(session.training.why_not_train())
    assert not window.page("train").train_button.isEnabled()
    assert page.backbone.get_button.isVisible()
    assert "59 MB" in page.backbone.get_button.text()

    monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *args, **kwargs: (str(shared_weights / VGG16), ""))
    page.backbone.file_button.click()
    qtbot.waitUntil(lambda: not session.queue.is_busy_with(JobKind.WEIGHTS), timeout=60_000)
    assert session.training.why_not_train() is None
    assert not page.backbone.get_button.isVisible()

    trainable = page.layers.row_texts()
    page.form.row("architecture.transfer").field.set_value(TransferMode.FINE_TUNED)
    page.form.row("architecture.transfer").field.chosen.emit(TransferMode.FINE_TUNED)
    assert session.project.experiment.architecture.unfreeze_from == "block5"
    assert page.backbone.depth_choice.isVisible()
    assert page.layers.row_texts() == trainable
    before = page.layers.total.text()
    page.backbone.depth_choice.set_value("block4")
    page.backbone.depth_choice.chosen.emit("block4")
    assert page.layers.total.text() != before

    changes = {"training.epochs": 2, "architecture.fine_tuning.epochs": 1}
    assert session.project.change(changes) is None
    stages = []
    session.queue.reported.connect(
        lambda job, event: stages.append(event) if isinstance(event, events.TrainingStageStarted) else None
    )
    session.training.train()
    qtbot.waitUntil(lambda: not session.queue.is_busy_with(JobKind.TRAIN), timeout=240_000)
    assert session.training.last is not None, [notice.text for notice in told]
    assert [(stage.name, stage.first_epoch) for stage in stages] == [("head", 1), ("fine_tuning", 3)]
    points = window.page("train").curves.plot.history_points()
    assert [x for x, _ in points["epoch_validation_loss"]] == [1, 2, 3]


def test_a_file_that_is_no_weights_is_refused(qtbot, window, session, told, tmp_path, monkeypatch):
    session.project.choose_architecture("resnet50")
    wrong = tmp_path / "holiday.h5"
    wrong.write_bytes(b"not weights at all")
    monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *args, **kwargs: (str(wrong), ""))
    window.page("model").backbone.file_button.click()
    qtbot.waitUntil(lambda: not session.queue.is_busy_with(JobKind.WEIGHTS), timeout=60_000)
    assert told[-1].kind is NoticeKind.ERROR
    assert "holiday.h5" in told[-1].text
    assert session.weights.missing() is not None


def test_presets_are_one_choice(qtbot, window, session):
    said = session.project.choose_preset("recommended")
    assert "36" in said
    session.project.choose_preset("resnet50_average_150")
    assert session.project.experiment.architecture.name == "resnet50"
    assert session.project.experiment.image.height == 150
