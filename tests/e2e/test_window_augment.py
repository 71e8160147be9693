"""The augmentation page in the real window, with the real thread and the real layers."""

import pytest
from PySide6.QtCore import Qt

from cnn_studio import tasks
from cnn_studio.core.advice.augmentation import recommend_augmentation
from cnn_studio.core.experiment.augmentation import AugmentationSettings, parse_augmentation
from cnn_studio.gui.dialogs.compare import CompareDialog
from cnn_studio.gui.jobs.job_thread import JobKind
from cnn_studio.gui.state.notices import NoticeKind
from cnn_studio.tasks import preview_augmentation


@pytest.fixture
def page(qtbot, window, session, blobs):
    session.project.open_folder(blobs)
    qtbot.waitUntil(lambda: session.project.dataset is not None, timeout=30_000)
    window.show_page("augment")
    page = window.page("augment")
    qtbot.waitUntil(lambda: len(page.preview.results()) == 9, timeout=60_000)
    return page


def pictures(page):
    return [image.copy() for image in page.preview.results()]


def test_a_switch_changes_the_preview_and_the_experiment(qtbot, session, page):
    before = pictures(page)
    assert all(image == before[0] for image in before), "without augmentation all are the picture itself"
    with qtbot.waitSignal(session.augmentation.previewed, timeout=30_000):
        qtbot.mouseClick(
            page.rows["rotation"].switch,
            Qt.MouseButton.LeftButton,
            pos=page.rows["rotation"].switch.rect().center() / 4,
        )
    assert session.project.experiment.augmentation == AugmentationSettings(rotation=10)
    after = pictures(page)
    assert any(image != before[0] for image in after)
    with qtbot.waitSignal(session.augmentation.previewed, timeout=30_000):
        page.draw.click()
    assert pictures(page) != after
    with qtbot.waitSignal(session.augmentation.previewed, timeout=30_000):
        page.on.click()
    assert page.picture_name.text() == "blue 1.png"


def test_a_slider_in_motion_fills_no_queue_and_ends_at_the_last_wish(qtbot, session, page, monkeypatch):
    with qtbot.waitSignal(session.augmentation.previewed, timeout=30_000):
        session.project.change({"augmentation.rotation": 5.0})
    asked = []

    def counted(request, context):
        asked.append(request)
        return preview_augmentation(request, context)

    monkeypatch.setattr(tasks, "preview_augmentation", counted)
    for place in range(100, 700, 20):
        page.rows["rotation"].slider.setValue(place)
    assert len(session.queue.of_kind(JobKind.PREVIEW)) <= 1
    qtbot.waitUntil(lambda: not session.queue.is_busy_with(JobKind.PREVIEW), timeout=30_000)
    assert len(asked) <= 2
    assert asked[-1].experiment == session.project.experiment


def test_previews_are_not_announced(qtbot, session, page):
    announced = []
    session.queue.started.connect(announced.append)
    session.queue.ended.connect(announced.append)
    with qtbot.waitSignal(session.augmentation.previewed, timeout=30_000):
        page.draw.click()
    qtbot.waitUntil(lambda: not session.queue.is_busy_with(JobKind.PREVIEW), timeout=30_000)
    assert announced == []


def test_presets_and_the_recommendation(qtbot, session, page):
    assert page.preset.value() == "none"
    page.preset.setCurrentIndex(page.preset.findText("Recommended for this data"))
    page.preset.activated.emit(page.preset.currentIndex())
    advice = recommend_augmentation(session.project.dataset)
    assert session.project.experiment.augmentation == advice.augmentation
    assert page.reason.text() == advice.reason
    page.rows["hue"].switch.setChecked(True)
    assert page.preset.currentText() == "Your own mix"
    assert "colours" in page.rows["hue"].warning.text(), "the classes are called red, green and blue"


def test_a_picture_that_is_gone_is_told_where_it_would_be(qtbot, session, page, told, blobs):
    for path in (blobs / "blue").iterdir():
        path.unlink()
    with qtbot.waitSignal(session.augmentation.preview_failed, timeout=30_000) as failed:
        page.on.click()
    assert "no longer there" in failed.args[0]
    assert page.preview.results() == []
    assert [notice for notice in told if notice.kind is NoticeKind.ERROR] == []


def test_the_cost_is_measured_and_forgotten_when_settings_change(qtbot, session, page):
    assert not page.cost.button.isVisible()
    session.project.change({"augmentation": parse_augmentation("rotation,zoom").model_dump()})
    assert "not been measured" in page.cost.text.text()
    with qtbot.waitSignal(session.augmentation.cost_changed, timeout=120_000):
        page.cost.button.click()
    assert "images/s as they are" in page.cost.text.text()
    assert "times as long" in page.cost.text.text()
    session.project.change({"augmentation.zoom": 0.2})
    assert "not been measured" in page.cost.text.text()


def test_with_a_pre_trained_network_views_can_be_chosen(qtbot, session, page):
    session.project.change({"augmentation.mix_up": 0.2})
    assert page.views.isHidden()
    session.project.choose_architecture("resnet50")
    assert page.views.isVisible()
    assert "MixUp mixes two images" in page.views.error()
    assert session.training.why_not_train().field == "augmentation.views"
    page._views_choice.setCurrentIndex(0)
    page._views_choice.activated.emit(0)
    assert session.project.experiment.augmentation.views == 0
    assert page.views.error() == ""


def test_while_a_network_is_trained_settings_wait(qtbot, session, page):
    session.project.change({"training.epochs": 1, "training.batch_size": 8, "augmentation.rotation": 10.0})
    session.training.train()
    qtbot.waitUntil(lambda: session.queue.is_busy_with(JobKind.TRAIN), timeout=30_000)
    qtbot.waitUntil(lambda: not page.settings.isEnabled(), timeout=30_000)
    qtbot.waitUntil(lambda: not session.queue.is_busy_with(JobKind.TRAIN), timeout=120_000)
    qtbot.waitUntil(page.settings.isEnabled, timeout=30_000)


def test_which_changes_help(qtbot, session, page):
    assert not page.compare_button.isEnabled()
    session.project.change(
        {"augmentation": parse_augmentation("flip_horizontal").model_dump(), "training.batch_size": 8}
    )
    page.compare_button.click()
    dialog = page.findChild(CompareDialog)
    assert "2 times" in dialog.explanation.text()
    dialog.epochs.setValue(1)
    dialog.start.click()
    assert not dialog.start.isEnabled()
    qtbot.waitUntil(lambda: len(session.augmentation.trials) == 2, timeout=120_000)
    qtbot.waitUntil(lambda: not session.queue.is_busy_with(JobKind.COMPARE), timeout=30_000)
    assert [dialog.table.item(row, 0).text() for row in range(2)] == ["Without augmentation", "Only mirror"]
    assert "points" in dialog.table.item(1, 2).text()
    assert len(list(session.project.runs_dir.iterdir())) == 2
    assert dialog.start.isEnabled()
    dialog.close()
