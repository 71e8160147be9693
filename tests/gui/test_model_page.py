"""The Model page: an architecture chosen and changed, presets, settings in files, weights fetched by a job."""

import threading
from dataclasses import replace

import pytest
from PySide6.QtWidgets import QFileDialog

from cnn_studio.core.advice.presets import EXPERIMENT_PRESETS
from cnn_studio.core.errors import CnnStudioError
from cnn_studio.core.experiment.backbones import find_backbone
from cnn_studio.core.experiment.experiment import read_experiment
from cnn_studio.core.experiment.settings import Colour, TransferMode
from cnn_studio.core.experiment.table import ALL_SETTINGS
from cnn_studio.core.job.jobs import JobContext
from cnn_studio.core.weights import download
from cnn_studio.core.weights.check import CheckedWeights
from cnn_studio.gui.pages.model.model_page import ModelPage


@pytest.fixture(autouse=True)
def no_weights_yet(tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))


@pytest.fixture
def page(qtbot, session, pages):
    made = ModelPage(session, pages)
    qtbot.addWidget(made)
    made.resize(1000, 700)
    made.show()
    yield made
    made.preview.loader.close()


def choose(page, name):
    page.preset.setCurrentIndex(page.preset.findData(name))
    page.preset.activated.emit(page.preset.currentIndex())


def test_without_data_the_layers_are_for_ten_classes(page, session, make_dataset, settle):
    assert page.note.text() == "With 10 classes, until a folder of images is opened."
    assert not page.preview_box.isVisible()
    before = page.layers.total.text()
    session.project.take_dataset(make_dataset())
    settle()
    assert page.note.text() == ""
    assert page.layers.total.text() != before
    assert page.preview_box.isVisible()


def test_an_architecture_is_chosen_and_changed(page, session):
    choose(page, "lenet5")
    assert session.project.experiment.architecture.name == "lenet5"
    assert not page.summary.text().endswith("Some settings are changed.")
    page.advanced_button.click()
    row = page.form.row("architecture.dense")
    assert row.isVisible()
    row.field.setText("50, 20")
    row.field.textEdited.emit("50, 20")
    assert session.project.experiment.architecture.dense == (50, 20)
    assert page.summary.text().endswith("Some settings are changed.")


def test_a_wrong_setting_is_marked_where_it_is_and_changes_nothing(page, session):
    before = session.project.experiment
    page.advanced_button.click()
    row = page.form.row("architecture.blocks")
    row.field.setText("16, thirty")
    row.field.textEdited.emit("16, thirty")
    assert row.error()
    assert session.project.experiment == before
    session.project.choose_architecture("lenet5")
    assert row.error() == ""


def test_size_and_colour_are_settings(page, session):
    page.form.row("image.height").field.setValue(48)
    colour = page.form.row("image.colour").field
    colour.set_value(Colour.GREY)
    colour.chosen.emit(Colour.GREY)
    image = session.project.experiment.image
    assert (image.height, image.width, image.colour) == (48, 48, Colour.GREY)


def test_presets_are_a_menu_and_are_told(page, session, make_dataset, told):
    page._fill_preset_menu()
    recommended, _, first, *_ = page._preset_menu.actions()
    assert not recommended.isEnabled()
    first.trigger()
    assert session.project.experiment.image.height == 180
    assert "TensorFlow" in told[-1].text
    session.project.take_dataset(make_dataset(side=28, grey=True))
    page._fill_preset_menu()
    page._preset_menu.actions()[0].trigger()
    assert session.project.experiment.architecture.name == "lenet5"
    assert "8 grey images" in told[-1].text


def test_settings_are_saved_and_opened(page, session, told, monkeypatch, tmp_path):
    session.project.change({"training.epochs": 3})
    target = tmp_path / "mine.toml"
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *args, **kwargs: (str(tmp_path / "mine"), ""))
    page.save_button.click()
    assert read_experiment(target) == session.project.experiment
    assert told[-1].text == f"Saved to {target}."
    page.save_button.click()  # the dialog has asked about "mine", not about what it becomes
    assert "exists already" in told[-1].text
    session.project.change({"training.epochs": 9})
    monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *args, **kwargs: (str(target), ""))
    page.open_button.click()
    assert session.project.experiment.training.epochs == 3


def test_weights_are_fetched_by_a_job(qtbot, page, session, settle, told, monkeypatch, tmp_path):
    asked, go_on = [], threading.Event()

    def fetch(name, context: JobContext):
        asked.append(name)
        assert go_on.wait(10)
        return CheckedWeights(tmp_path / "vgg16.h5", find_backbone(name), "", True, "")

    monkeypatch.setattr(download, "download_weights", fetch)
    choose(page, "vgg16")
    backbone = page.backbone
    assert not page.advanced_button.isVisible()
    assert backbone.get_button.text() == "Download 59 MB"
    backbone.get_button.click()
    qtbot.waitUntil(lambda: not backbone.get_button.isEnabled())
    go_on.set()
    settle()
    assert asked == ["vgg16"]
    assert backbone.get_button.isEnabled()
    assert "The weights are in place" in told[-1].text


def test_a_failed_download_is_told_and_can_be_tried_again(qtbot, page, session, settle, told, monkeypatch):
    def fetch(name, context: JobContext):
        raise CnnStudioError("There is no network.")

    monkeypatch.setattr(download, "download_weights", fetch)
    choose(page, "resnet50")
    page.backbone.get_button.click()
    settle()
    assert told[-1].text == "There is no network."
    assert page.backbone.get_button.isEnabled()


def test_fine_tuning_asks_from_which_block_on(page, session):
    choose(page, "vgg16")
    assert not page.backbone.depth_choice.isVisible()
    page.form.row("architecture.transfer").field.set_value(TransferMode.FINE_TUNED)
    page.form.row("architecture.transfer").field.chosen.emit(TransferMode.FINE_TUNED)
    assert session.project.experiment.architecture.transfer is TransferMode.FINE_TUNED
    assert page.backbone.depth_choice.isVisible()
    page.form.row("architecture.transfer").field.chosen.emit(TransferMode.FROZEN)
    session.project.change({"architecture.transfer": "one_stage"})
    assert page.backbone.depth_choice.isVisible()


def test_one_value_for_all_or_one_for_each_is_typed(page, session):
    choose(page, "lenet5")
    page.advanced_button.click()
    assert page.form.row("architecture.padding").field.text() == "same, valid"
    for name, text, values in (
        ("architecture.padding", "Valid", ("valid",)),
        ("architecture.kernel", "5, 3", (5, 3)),
        ("architecture.pool_size", "2 3", (2, 3)),
    ):
        field = page.form.row(name).field
        field.setText(text)
        field.textEdited.emit(text)
        assert getattr(session.project.experiment.architecture, name.partition(".")[2]) == values
    sides = [row[1].partition("  ")[2][:5] for row in page.layers.row_texts() if " × " in row[1]]
    assert sides == ["5 × 5", "2 × 2", "3 × 3", "3 × 3"]


def test_a_size_that_leaves_a_backbone_little_to_see_is_told(page, session):
    choose(page, "resnet50")
    assert "ResNet50 learnt" not in page.note.text()
    page.form.row("image.height").field.setValue(32)
    assert "ResNet50 learnt at 224 pixels; at 32 × 32 its feature maps shrink to 1 × 1" in page.note.text()


def test_every_preset_of_the_menu_is_shown_without_a_field_marked_wrong(page, session):
    for name in EXPERIMENT_PRESETS:
        session.project.choose_preset(name)
        assert session.project.wrong == {}
        assert session.project.experiment == EXPERIMENT_PRESETS[name].experiment
        assert page.layers.row_texts()[-1][0] == "probabilities", name


def test_the_way_on(page, pages):
    page.next_button.click()
    assert pages.shown == ["train"]


@pytest.mark.parametrize(("name", "kind"), [("lenet5", "scratch"), ("vgg16", "backbone")])
def test_every_setting_of_an_architecture_has_a_field(page, name, kind):
    choose(page, name)
    known = [each.name for each in ALL_SETTINGS if (each.section, each.kind) == ("architecture", kind)]
    for each in known[1:]:  # the name is chosen above them
        assert page.isAncestorOf(page.form.row(each, kind))


def test_settings_that_each_kind_of_architecture_has_for_itself_do_not_meet(page, session):
    """Both have dropout, dense layers and more by the same names, in fields of their own."""
    choose(page, "vgg16")
    fields = {kind: page.form.row("architecture.dropout", kind).field for kind in ("backbone", "scratch")}
    fields["backbone"].setValue(40)
    assert session.project.experiment.architecture.dropout == 0.4
    session.project.change({"architecture.dropout": 0.3})
    assert fields["backbone"].value() == 30
    choose(page, "small_cnn")
    assert fields["scratch"].value() == 20
    fields["scratch"].setValue(50)
    assert session.project.experiment.architecture.dropout == 0.5


@pytest.mark.parametrize(("count", "said"), [(1, "One of your pictures"), (2, "Your widest and your tallest")])
def test_the_preview_says_as_many_pictures_as_there_are(page, session, make_dataset, settle, count, said):
    dataset = make_dataset(each=4)
    files = [replace(file, width=100 + 50 * (place % count)) for place, file in enumerate(dataset.files)]
    session.project.take_dataset(replace(dataset, files=tuple(files)))
    settle()
    samples = session.data.view.samples[:count]
    session.data.view = replace(session.data.view, samples=samples)
    session.data.view_changed.emit()
    assert page.preview_text.text().startswith(said)
