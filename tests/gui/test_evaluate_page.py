"""The Evaluate page with jobs that answer at once; tests/e2e/test_window_evaluate.py does it with real ones."""

import os
import threading
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image
from PySide6.QtCore import Qt
from scipy.stats import binomtest

from cnn_studio import tasks
from cnn_studio.core.data.image_file import Split
from cnn_studio.core.data.split import split_dataset
from cnn_studio.core.errors import CnnStudioError, ModelFileError
from cnn_studio.core.evaluation.calibration import Calibrated, CalibrationFigures
from cnn_studio.core.evaluation.confusion import confusion_counts
from cnn_studio.core.evaluation.heat import Explanation, overlay
from cnn_studio.core.evaluation.measured import Measured
from cnn_studio.core.evaluation.model_facts import ModelFacts
from cnn_studio.core.evaluation.scores import score_probabilities
from cnn_studio.core.experiment.experiment import Experiment
from cnn_studio.core.job.jobs import JobContext
from cnn_studio.core.runs import run as runs
from cnn_studio.gui.dialogs.explained_picture import DecideButton, ExplanationPanel, heat_image
from cnn_studio.gui.dialogs.picture import PictureDialog
from cnn_studio.gui.pages.evaluate.evaluate_page import EvaluatePage

NAMES = ("daisy", "rose", "<i>tulip</i>")
REPORT, MATRIX, GALLERIES, HOW_SURE = range(4)


@pytest.fixture
def measured(tmp_path):
    """Ninety answers about three classes, of which the last never occurs, with a picture for each."""
    random = np.random.default_rng(1)
    labels = random.integers(0, 2, 90).astype(np.int32)
    logits = random.normal(0, 1, (90, 3))
    logits[np.arange(90), labels] += 2
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    paths = tuple(f"{NAMES[label]}/{number}.png" for number, label in enumerate(labels))
    for path in paths:
        (tmp_path / path).parent.mkdir(exist_ok=True, parents=True)
        Image.new("RGB", (16, 12), (200, 30, 40)).save(tmp_path / path)
    evaluation = score_probabilities(probabilities, labels, NAMES, Split.TEST)
    model = tmp_path / "run" / "model.keras"
    return Measured(evaluation, NAMES, model, tmp_path, paths, labels, probabilities.astype(np.float32))


@pytest.fixture
def session(session, monkeypatch, measured):
    saved = {Split.TEST: measured}
    monkeypatch.setattr(runs, "measurable_splits", lambda model: {Split.VALIDATION: 120, Split.TEST: 90})
    monkeypatch.setattr(tasks, "saved_evaluation", lambda model, split: saved.get(split))
    session.saved = saved
    return session


def open_model(session, measured):
    session.models.take(measured.model, ModelFacts(NAMES, 32, 32, "small_cnn", data_name="flowers"))


@pytest.fixture
def page(qtbot, session, pages):
    made = EvaluatePage(session, pages)
    qtbot.addWidget(made)
    made.resize(1000, 640)
    made.show()
    yield made
    for gallery in (made.matrix.gallery, made.galleries.gallery):
        gallery.close_loader()


def test_without_a_model_the_page_says_what_to_do(page, pages):
    assert page.missing.isVisible()
    assert "No model to evaluate" in page.missing.accessibleName()
    assert not page.source.isVisible()
    page.missing.buttons["train"].click()
    page.missing.buttons["runs"].click()
    assert pages.shown == ["train", "runs"]


def test_what_was_measured_before_shows_at_once(page, session, measured):
    open_model(session, measured)
    found = measured.evaluation
    assert page.title.text() == (
        f"Test accuracy {100 * found.accuracy:.0f} % "
        f"({100 * found.accuracy_low:.0f}–{100 * found.accuracy_high:.0f} %), 90 images"
    )
    share = np.bincount(measured.labels).max() / 90
    assert f"guessing {100 * share:.0f} %" in page.facts.text()
    assert "chose" not in page.facts.text() + page.report.words.text().replace("chose nothing", "")
    assert f"log loss {found.loss:.3f}" in page.facts.text()
    assert [page.source.itemText(row) for row in range(page.source.count())] == [
        "Test images (90)",
        "Validation images (120)",
        "Another folder…",
    ]
    assert page.report_button.isVisible()
    assert not page.missing.isVisible()


def test_images_that_chose_the_model_are_said_to_have(page, session, measured):
    session.saved[Split.TEST] = replace(measured, evaluation=replace(measured.evaluation, split=Split.VALIDATION))
    open_model(session, measured)
    assert " · these images chose the epoch · guessing 53 % · " in page.facts.text()
    assert "These images chose the model" in page.report.words.text()


def test_images_not_measured_yet_are_measured_on_request(qtbot, page, session, measured, monkeypatch):
    open_model(session, measured)
    asked = []

    def evaluate(request, context: JobContext):
        asked.append(request)
        return replace(measured, evaluation=replace(measured.evaluation, split="validation"))

    monkeypatch.setattr(tasks, "evaluate", evaluate)
    page.source.activated.emit(1)
    assert page.missing.isVisible()
    assert "validation images" in page.missing.accessibleName()
    assert not page.report_button.isVisible()
    page.missing.buttons["evaluate"].click()
    assert "Evaluating" in page.missing.accessibleName()
    assert not page.source.isEnabled()
    qtbot.waitUntil(lambda: session.queue.current is None)
    assert [(request.model, request.split, request.folder) for request in asked] == [
        (measured.model, Split.VALIDATION, None)
    ]
    assert page.title.text().startswith("Validation accuracy ")
    assert page.source.isEnabled()


def test_a_model_of_no_run_asks_for_a_folder(qtbot, page, session, measured, monkeypatch, tmp_path):
    monkeypatch.setattr(runs, "measurable_splits", lambda model: {})
    monkeypatch.setattr(tasks, "evaluate", lambda request, context: measured)
    open_model(session, measured)
    assert "Which images?" in page.missing.accessibleName()
    from PySide6.QtWidgets import QFileDialog

    monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *args, **kwargs: str(tmp_path))
    page.missing.buttons["folder"].click()
    qtbot.waitUntil(lambda: session.queue.current is None)
    assert page.title.text().startswith(f"Accuracy on {tmp_path.name} ")
    assert page.source.currentText() == tmp_path.name


def test_a_failed_measurement_leaves_the_page_usable(qtbot, page, session, measured, monkeypatch):
    def evaluate(request, context: JobContext):
        raise CnnStudioError("The images are gone.")

    monkeypatch.setattr(tasks, "evaluate", evaluate)
    notices = []
    session.notices.told.connect(notices.append)
    session.saved.clear()
    open_model(session, measured)
    page.missing.buttons["evaluate"].click()
    qtbot.waitUntil(lambda: session.queue.current is None)
    assert notices[-1].text == "The images are gone."
    qtbot.waitUntil(page.missing.buttons["evaluate"].isVisible)


def test_a_view_is_filled_when_it_is_looked_at(page, session, measured):
    open_model(session, measured)
    assert page.report.table.scores.rowCount() == 2 + 3
    assert page.matrix.pairs.count() == 0
    page.tabs.setCurrentIndex(MATRIX)
    assert page.matrix.pairs.count() > 0


def test_every_view_is_painted_in_both_themes(qtbot, qapp, page, session, measured):
    from cnn_studio.gui.look import theme

    open_model(session, measured)
    for scheme in ("dark", "light"):
        theme.apply_theme(qapp, scheme)
        for number in range(page.tabs.count()):
            page.tabs.setCurrentIndex(number)
            page.grab()


def test_the_words_of_the_report_lead_on_and_names_are_no_markup(page, session, measured):
    open_model(session, measured)
    words = page.report.words.text()
    assert "&lt;i&gt;tulip" in words
    assert "<i>" not in words
    page.report.words.linkActivated.emit("cell 0 1")
    assert page.tabs.currentIndex() == MATRIX
    assert page.matrix.matrix.chosen() == (0, 1)
    page.report.words.linkActivated.emit("class 1")
    assert page.tabs.currentIndex() == GALLERIES
    assert {verdict.true for verdict in page.galleries.gallery.verdicts()} == {"rose"}


def test_a_cell_shows_its_images_and_a_pair_is_a_cell(page, session, measured):
    open_model(session, measured)
    page.tabs.setCurrentIndex(MATRIX)
    tab = page.matrix
    counts = confusion_counts(measured.labels, measured.predicted, 3)
    tab.matrix.choose(0, 1)
    assert len(tab.gallery.verdicts()) == counts[0, 1]
    assert all((v.true, v.predicted) == ("daisy", "rose") for v in tab.gallery.verdicts())
    assert f"{counts[0, 1]} of {counts[0].sum()}" in tab.cell_text.text()
    tab.pairs.itemActivated.emit(tab.pairs.item(0))
    assert tab.matrix.chosen() == np.unravel_index(np.argmax(counts - np.diag(np.diag(counts))), (3, 3))


@pytest.mark.parametrize(("key", "right"), [("wrong", {False}), ("typical", {True})])
def test_galleries_hold_what_they_say(page, session, measured, key, right):
    open_model(session, measured)
    page.tabs.setCurrentIndex(GALLERIES)
    page.galleries.show_gallery(key)
    shown = page.galleries.gallery.verdicts()
    assert {verdict.right for verdict in shown} == right
    page.galleries.show_gallery("unsure")
    chances = [verdict.probability for verdict in page.galleries.gallery.verdicts()]
    assert chances == sorted(chances)


def test_an_empty_gallery_says_so(page, session, measured):
    right = measured.predicted.astype(np.int32)
    everything = replace(
        measured, labels=right, evaluation=score_probabilities(measured.probabilities, right, NAMES, Split.TEST)
    )
    session.saved[Split.TEST] = everything
    open_model(session, everything)
    assert "Not one image" in page.report.words.text()
    page.tabs.setCurrentIndex(MATRIX)
    assert not page.matrix.pairs.isVisible()
    page.tabs.setCurrentIndex(GALLERIES)
    assert page.galleries.nothing.isVisible()


def test_what_the_session_offers_for_images_is_in_the_menu(page, session, measured):
    open_model(session, measured)
    page.tabs.setCurrentIndex(GALLERIES)
    gallery = page.galleries.gallery
    paths = [gallery.verdicts()[0].path]
    assert [action.text() for action in gallery.menu_for(paths).actions()] == ["Show large, and where it looks"]
    done = []
    session.evaluation.image_actions = lambda given: [("Leave out", lambda: done.append(list(given)))]
    menu = gallery.menu_for(paths)
    menu.actions()[-1].trigger()
    assert done == [paths]


# -- where it looks --------------------------------------------------------------------------------------------


@pytest.fixture
def heat():
    spot = np.zeros((8, 8), np.float32)
    spot[2:4, 3:5] = 1.0
    return spot


def large_picture(page, session, measured):
    open_model(session, measured)
    page.tabs.setCurrentIndex(GALLERIES)
    gallery = page.galleries.gallery
    gallery.open_large(gallery.verdicts()[0].path)
    dialog = page.findChild(PictureDialog)
    return dialog, dialog.findChild(ExplanationPanel)


def test_where_it_looks_is_drawn_for_the_class_chosen(qtbot, page, session, measured, heat, monkeypatch):
    asked = []

    def explain(request, context: JobContext):
        asked.append((request.image, request.class_name))
        name = request.class_name or gallery.verdicts()[0].predicted
        return Explanation(request.image, name, 0.4, (), heat, "conv3", (4, 4))

    monkeypatch.setattr(tasks, "explain", explain)
    gallery = page.galleries.gallery
    dialog, panel = large_picture(page, session, measured)
    first = gallery.verdicts()[0]
    assert panel.bars.chosen() == first.predicted
    assert asked == []
    overlays = []
    panel.overlay_changed.connect(lambda picture, opacity: overlays.append((picture is not None, opacity)))
    panel.looking.click()
    assert panel.said.text() == "Looking…"
    qtbot.waitUntil(lambda: overlays[-1] == (True, 0.6))
    assert "conv3" in panel.said.text()
    other = next(name for name in NAMES if name != first.predicted)
    panel.bars.choose(other)
    assert overlays[-1][0] is False
    qtbot.waitUntil(lambda: overlays[-1][0])
    assert asked == [(first.path, None), (first.path, other)]
    panel.bars.choose(first.predicted)  # known already: at once, and nobody is asked again
    assert overlays[-1][0]
    assert len(asked) == 2
    panel.opacity.setValue(25)
    assert overlays[-1] == (True, 0.25)
    panel.looking.click()
    assert overlays[-1][0] is False
    dialog.close()


def test_only_the_picture_looked_at_is_explained(qtbot, page, session, measured, heat, monkeypatch):
    asked, go_on = [], threading.Event()

    def explain(request, context: JobContext):
        asked.append(request.image)
        assert go_on.wait(10)
        return Explanation(request.image, "rose", 0.4, (), heat, "conv3", (4, 4))

    monkeypatch.setattr(tasks, "explain", explain)
    dialog, panel = large_picture(page, session, measured)
    panel.looking.click()
    qtbot.waitUntil(lambda: len(asked) == 1)
    for _ in range(4):
        dialog.next.click()
    go_on.set()
    qtbot.waitUntil(lambda: session.queue.current is None)
    assert asked == [page.galleries.gallery.verdicts()[0].path, dialog.path()]
    dialog.close()


def test_a_network_without_feature_maps_says_so_in_the_window(qtbot, page, session, measured, monkeypatch):
    def explain(request, context: JobContext):
        raise ModelFileError("This network has no feature maps.")

    monkeypatch.setattr(tasks, "explain", explain)
    notices = []
    session.notices.told.connect(notices.append)
    dialog, panel = large_picture(page, session, measured)
    panel.looking.click()
    qtbot.waitUntil(lambda: panel.said.text() == "This network has no feature maps.")
    assert notices == []
    dialog.close()


def test_below_the_overlay_the_picture_is_grey(qtbot, page, session, measured, heat, monkeypatch, tmp_path):
    answer = Explanation(tmp_path, "rose", 0.4, (), heat, "conv3", (4, 4))
    monkeypatch.setattr(tasks, "explain", lambda request, context: replace(answer, path=request.image))
    dialog, panel = large_picture(page, session, measured)
    middle = dialog.canvas.rect().center()

    def colour(down):
        return dialog.canvas.grab().toImage().pixelColor(middle.x(), middle.y() + down)

    # The picture of 16 × 12 pixels is shown four times as large; the third and fourth of eight rows are hot.
    cold, hot = 12, -6
    qtbot.waitUntil(lambda: colour(cold).getRgb()[:3] == (200, 30, 40))
    panel.looking.click()
    qtbot.waitUntil(lambda: colour(cold).saturation() == 0)
    assert colour(hot).saturation() > 50
    panel.opacity.setValue(0)
    assert colour(cold).getRgb()[:3] == colour(hot).getRgb()[:3] == (200, 30, 40)
    dialog.close()


def test_looking_can_be_cancelled(qtbot, page, session, measured, monkeypatch):
    begun = threading.Event()

    def explain(request, context: JobContext):
        begun.set()
        while True:
            context.cancel.raise_if_cancelled()

    monkeypatch.setattr(tasks, "explain", explain)
    dialog, panel = large_picture(page, session, measured)
    panel.looking.click()
    qtbot.waitUntil(begun.is_set)
    session.queue.cancel()
    qtbot.waitUntil(lambda: "ended before" in panel.said.text())
    dialog.close()


def test_the_overlay_is_the_one_of_the_command_line(heat, tmp_path):
    picture = np.full((8, 8, 3), 100, np.uint8)
    explanation = Explanation(tmp_path / "a.png", "rose", 0.4, (), heat, "conv3", (4, 4))
    drawn = heat_image(explanation)
    colours = np.array([[drawn.pixelColor(x, y).getRgb() for x in range(8)] for y in range(8)], dtype=np.float64)
    cover = 0.5 * colours[..., 3:] / 255
    mixed = picture * (1 - cover) + colours[..., :3] * cover
    np.testing.assert_allclose(mixed, overlay(picture, heat, 0.5), atol=1.5)


# -- how sure --------------------------------------------------------------------------------------------------


def said(tab):
    return tab.coverage_text.text().replace("\N{NO-BREAK SPACE}", " ")


def test_the_threshold_says_what_it_does_and_is_kept_in_the_model(qtbot, page, session, measured, monkeypatch):
    asked = []

    def calibrate(request, context: JobContext):
        asked.append(request)
        facts = ModelFacts(NAMES, 32, 32, "small_cnn", threshold=request.threshold)
        session.saved[Split.TEST] = replace(measured, threshold=request.threshold)
        figures = CalibrationFigures(1.0, 0.1, 0.5, 0.8)
        return Calibrated(facts, "validation", 120, figures, figures, None)

    monkeypatch.setattr(tasks, "calibrate", calibrate)
    open_model(session, measured)
    page.tabs.setCurrentIndex(HOW_SURE)
    tab = page.sureness
    assert said(tab).startswith("Answers 100 % of the images")
    assert not tab.keep_button.isEnabled()
    assert not tab.always_button.isVisible()
    tab.coverage_plot.threshold_dragged.emit(0.7)
    answered = measured.confidence >= 0.7
    share = round(100 * answered.mean())
    assert said(tab).startswith(f"Answers {share} % of the images, ")
    assert f"{100 * measured.right[answered].mean():.0f} % of these right" in said(tab)
    assert tab.coverage_plot.threshold() == pytest.approx(0.7)
    tab.keep_button.click()
    assert not tab.keep_button.isEnabled()
    qtbot.waitUntil(lambda: session.queue.current is None)
    assert [request.threshold for request in asked] == [0.7]
    assert session.models.opened.facts.threshold == 0.7
    assert tab.threshold() == pytest.approx(0.7)
    assert not tab.keep_button.isEnabled()
    assert tab.always_button.isVisible()
    assert "70.0 %" in tab.kept_text.text()


def test_a_threshold_can_be_chosen_by_the_accuracy_it_brings(page, session, measured):
    open_model(session, measured)
    page.tabs.setCurrentIndex(HOW_SURE)
    tab = page.sureness
    surest = measured.confidence >= np.median(measured.confidence)
    measured = replace(measured, labels=np.where(surest, measured.predicted, measured.labels).astype(np.int32))
    tab.show_measured(measured)
    tab.goals.aboutToShow.emit()
    actions = tab.goals.actions()
    assert actions[0].text() == "At least 90 % of the answers right"
    assert actions[2].text() == "At least 99 % of the answers right: not shown by these images"
    actions[0].trigger()
    kept = measured.right[measured.confidence >= tab.threshold()]
    assert binomtest(int(kept.sum()), len(kept)).proportion_ci(0.9, method="exact").low >= 0.9
    wrong = replace(measured, labels=((measured.predicted + 1) % 3).astype(np.int32))
    tab.show_measured(wrong)
    tab.goals.aboutToShow.emit()
    assert not any(action.isEnabled() for action in tab.goals.actions())
    assert all("not shown by these images" in action.text() for action in tab.goals.actions())


def test_no_threshold_can_be_asked_for_that_no_answer_meets(page, session, measured):
    open_model(session, measured)
    page.tabs.setCurrentIndex(HOW_SURE)
    page.sureness.coverage_plot.threshold_dragged.emit(1.0)
    assert page.sureness.threshold() == pytest.approx(0.999)


def test_the_slider_is_a_way_for_the_keyboard(qtbot, page, session, measured):
    open_model(session, measured)
    page.tabs.setCurrentIndex(HOW_SURE)
    slider = page.sureness.slider
    slider.setFocus()
    qtbot.keyClick(slider, Qt.Key.Key_Right)
    assert page.sureness.threshold() == pytest.approx(0.01)
    assert page.sureness.coverage_plot.threshold() == pytest.approx(0.01)


def test_a_temperature_is_told_with_its_effect_and_can_be_taken_out(qtbot, page, session, measured, monkeypatch):
    asked = []

    def calibrate(request, context: JobContext):
        asked.append(request.temperature)
        temperature = 1.5 if request.temperature is tasks.Temperature.FIT else 1.0
        session.saved[Split.TEST] = measured.at_temperature(temperature)
        before, after = CalibrationFigures(1.0, 0.081, 0.5, 0.8), CalibrationFigures(temperature, 0.022, 0.4, 0.8)
        return Calibrated(ModelFacts(NAMES, 32, 32, temperature=temperature), "validation", 120, before, after, None)

    monkeypatch.setattr(tasks, "calibrate", calibrate)
    notices = []
    session.notices.told.connect(notices.append)
    open_model(session, measured)
    page.tabs.setCurrentIndex(HOW_SURE)
    tab = page.sureness
    title = page.title.text()
    tab.honest_button.click()
    assert not tab.honest_button.isEnabled()
    qtbot.waitUntil(lambda: session.queue.current is None)
    assert "from 8.1 to 2.2 percentage points" in notices[-1].text
    assert "Temperature 1.50" in tab.temperature_text.text()
    assert page.title.text() == title
    assert not tab.honest_button.isVisible()
    tab.trained_button.click()
    qtbot.waitUntil(lambda: session.queue.current is None)
    assert asked == [tasks.Temperature.FIT, tasks.Temperature.REMOVE]
    assert tab.honest_button.isVisible()


def test_a_model_that_answers_with_no_numbers_is_shown_too(qtbot, page, session, measured):
    nothing = np.full_like(measured.probabilities, np.nan)
    broken = replace(
        measured, probabilities=nothing, evaluation=score_probabilities(nothing, measured.labels, NAMES, Split.TEST)
    )
    session.saved[Split.TEST] = broken
    open_model(session, broken)
    for number in range(page.tabs.count()):
        page.tabs.setCurrentIndex(number)
        page.grab()
    assert "no numbers" in page.report.words.text()
    assert "no numbers" in page.sureness.error_text.text()
    page.galleries.gallery.open_large(page.galleries.gallery.verdicts()[0].path)
    dialog = page.findChild(PictureDialog)
    dialog.grab()
    dialog.close()


# -- whose result it is ------------------------------------------------------------------------------------------------


def test_the_result_names_its_model_run_and_data_and_says_when_other_data_is_open(
    page, session, measured, make_dataset, settle
):
    dataset = make_dataset("/flowers", each=10)
    experiment = Experiment()
    runs.create_run(measured.model.parent, dataset, split_dataset(dataset, experiment.split), experiment)
    session.project.take_dataset(dataset)
    open_model(session, measured)
    settle()
    assert page.facts.text().startswith("Model of flowers · Small CNN · guessing")
    assert page.facts.text().endswith(" · run “run”"), "the longest comes last, since what does not fit is cut off"
    session.project.take_dataset(make_dataset("/waste", each=10))
    settle()
    assert page.facts.text().startswith("Not of waste, which is open now · Model of flowers")


def test_the_result_goes_with_its_model(page, session, measured, tmp_path):
    open_model(session, measured)
    session.saved.clear()
    session.models.take(tmp_path / "other" / "model.keras", ModelFacts(NAMES, 32, 32, data_name="other"))
    assert page.missing.isVisible()
    assert session.evaluation.measured is None


def test_a_file_that_was_written_anew_is_another_model(page, session, measured, tmp_path, monkeypatch, settle):
    facts = ModelFacts(NAMES, 32, 32, data_name="flowers")
    monkeypatch.setattr(runs, "measurable_splits", lambda model: {})
    monkeypatch.setattr(tasks, "evaluate", lambda request, context: measured)
    file = tmp_path / "pets.keras"
    file.write_bytes(b"one")
    session.models.take(file, facts)
    session.evaluation.choose(tmp_path)
    session.evaluation.evaluate()
    settle()
    session.models.take(file, facts)
    assert session.evaluation.measured is not None, "the same file"
    os.utime(file, ns=(1, 1))
    session.models.take(file, facts)
    assert session.evaluation.measured is None


def test_a_large_picture_does_not_show_where_another_model_looks(page, session, measured, monkeypatch, tmp_path):
    asked = []
    monkeypatch.setattr(tasks, "explain", lambda request, context: asked.append(request))
    dialog, panel = large_picture(page, session, measured)
    session.models.take(tmp_path / "other" / "model.keras", ModelFacts(NAMES, 32, 32, data_name="other"))
    panel.looking.setChecked(True)
    assert not panel.looking.isEnabled()
    assert "a model that is not open any more" in panel.said.text()
    assert session.evaluation._explaining is None
    dialog.close()


def test_the_large_view_decides_about_the_picture_it_shows(page, session, measured):
    open_model(session, measured)
    page.tabs.setCurrentIndex(GALLERIES)
    done = []
    session.evaluation.image_actions = lambda paths: [("Belongs to rose", lambda: done.append(paths))]
    gallery = page.galleries.gallery
    gallery.open_large(gallery.verdicts()[0].path)
    dialog = gallery.findChild(PictureDialog)
    button = dialog.findChild(DecideButton)
    assert button.isEnabled()
    button.menu().aboutToShow.emit()
    (action,) = button.menu().actions()
    action.trigger()
    assert done == [[dialog.path()]]
    assert button.text() == "Done: Belongs to rose"
    dialog.go(1)
    assert button.text() == "Leave out, or belongs to"
    session.evaluation.image_actions = lambda paths: []
    dialog.close()
