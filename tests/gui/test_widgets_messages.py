from collections.abc import Iterator

import pytest
from PySide6.QtCore import QPoint, QPointF, Qt
from PySide6.QtGui import QWheelEvent
from PySide6.QtWidgets import QApplication, QLabel, QLineEdit, QVBoxLayout, QWidget

from cnn_studio.core.experiment.settings import Optimizer
from cnn_studio.gui.widgets.drop_overlay import DropOverlay
from cnn_studio.gui.widgets.elided_label import ElidedLabel
from cnn_studio.gui.widgets.empty_state import EmptyState
from cnn_studio.gui.widgets.fields import (
    BlocksEdit,
    ChoiceBox,
    FieldRow,
    IntegerBox,
    IntegerListEdit,
    NumberBox,
    PercentBox,
)
from cnn_studio.gui.widgets.notice import NoticeBar
from cnn_studio.gui.widgets.progress_strip import ProgressStrip


@pytest.fixture
def strip(qtbot) -> Iterator[ProgressStrip]:
    made = ProgressStrip(clock=lambda: 0.0)
    qtbot.addWidget(made)
    made.resize(900, made.sizeHint().height())
    made.show()
    yield made
    made.idle()


def test_the_strip_tells_stage_detail_time_and_rate(strip):
    strip.set_stage("Training")
    strip.set_progress(31, 81)
    strip.set_detail("epoch 4 of 10 · step 31 of 81")
    for _ in range(3):  # from one estimate nothing follows
        strip.set_time_left(125)
    strip.set_rate(71.3)
    assert strip.stage.text() == "Training"
    assert strip.detail.text() == "epoch 4 of 10 · step 31 of 81"
    assert strip.figures.text() == "2 min left · 71 images/s"
    assert strip.bar.value() / strip.bar.maximum() == pytest.approx(31 / 81, abs=0.01)
    strip.set_time_left(float("inf"))
    strip.set_time_left(None)
    assert strip.figures.text() == "2 min left · 71 images/s"
    strip.set_stage("Evaluating")
    assert strip.figures.text() == ""
    assert strip.bar.value() == 0


def test_the_strip_keeps_its_height_and_its_place_for_the_buttons(qtbot, strip):
    idle = (strip.sizeHint().height(), strip.minimumSizeHint().height())
    strip.set_stage("Training")
    strip.set_rate(3)
    where = strip.bar.geometry()
    assert (strip.sizeHint().height(), strip.minimumSizeHint().height()) == idle
    strip.set_stage("Scanning", can_stop=False)
    assert not strip.stop_button.isVisible()
    assert strip.cancel_button.isVisible()
    assert strip.bar.geometry() == where
    strip.idle()
    assert (strip.sizeHint().height(), strip.minimumSizeHint().height()) == idle
    assert not strip.cancel_button.isVisible()


def test_stop_and_cancel_say_what_they_do_and_ask_once(qtbot, strip):
    strip.set_stage("Training")
    assert "keep" in strip.stop_button.toolTip()
    assert "discard" in strip.cancel_button.toolTip()
    with qtbot.waitSignal(strip.stop_requested):
        strip.stop_button.click()
    assert not strip.stop_button.isEnabled()
    with qtbot.waitSignal(strip.cancel_requested):
        strip.cancel_button.click()
    assert not strip.cancel_button.isEnabled()
    assert strip.detail.text() == "Cancelling …"
    strip.set_stage("Training")
    assert strip.stop_button.isEnabled()


def test_long_text_is_shortened_and_whole_in_the_tool_tip(qtbot):
    label = ElidedLabel("a long sentence that does not fit")
    qtbot.addWidget(label)
    label.resize(80, 20)
    label.show()
    assert label.shown_text().endswith("…")
    assert label.toolTip() == "a long sentence that does not fit"
    label.resize(900, 20)
    assert label.toolTip() == ""


# -- notices ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def notice(qtbot) -> NoticeBar:
    window = QWidget()
    qtbot.addWidget(window)
    bar = NoticeBar()
    layout = QVBoxLayout(window)
    layout.addWidget(bar)
    layout.addStretch()
    window.resize(500, 400)
    window.show()
    bar.window_kept = window
    return bar


def test_a_notice_shows_its_text_and_its_actions(qtbot, notice):
    assert not notice.isVisible()
    done = []
    actions = [("Show them", lambda: done.append("show")), ("Other", lambda: done.append("other"))]
    notice.show_notice("warning", "3 files were left out.", actions=actions)
    assert notice.isVisible()
    assert notice.property("notice") == "warning"
    assert [button.text() for button in notice.action_buttons()] == ["Show them", "Other"]
    notice.action_buttons()[0].click()
    assert done == ["show"]
    assert not notice.isVisible()
    with pytest.raises(ValueError, match="kind must be one of"):
        notice.show_notice("question", "?")


def test_a_notice_lies_over_what_it_covers_and_follows_it(qtbot):
    window = QWidget()
    qtbot.addWidget(window)
    page = QWidget()
    layout = QVBoxLayout(window)
    layout.addWidget(page)
    bar = NoticeBar()
    bar.cover(page)
    window.resize(900, 400)
    window.show()
    before = page.geometry()
    bar.show_notice("error", "A sentence that goes on. " * 40, details="Traceback")
    assert bar.isVisible()
    assert page.geometry() == before
    assert before.contains(bar.geometry())
    assert bar._text.height() >= bar._text.heightForWidth(bar._text.width())
    low = bar.height()
    bar._details_button.click()
    assert bar.height() > low
    assert before.contains(bar.geometry())
    window.resize(500, 400)
    qtbot.waitUntil(lambda: page.width() < before.width())
    assert page.geometry().contains(bar.geometry())
    bar.show_notice("info", "Saved.")
    assert bar.width() < page.width(), "as wide as it needs"
    assert bar.height() < low


def test_what_waits_is_named_and_can_be_taken_out_of_the_row(strip):
    height, gone = strip.height(), []
    strip.set_waiting([("Opening “R&D” & more of them", lambda: gone.append(1)), ("Exporting", lambda: gone.append(2))])
    assert strip.next_button.isVisible()
    assert "Exporting" in strip.next_button.toolTip()
    assert strip.height() == height
    strip.next_button.menu().actions()[1].trigger()
    assert gone == [2]
    strip.set_waiting([])
    assert not strip.next_button.isVisible()


def test_news_does_not_bury_an_error(qtbot, notice):
    notice.show_notice("error", "The disk is full.")
    notice.show_notice("info", "Settings saved.")
    notice.show_notice("info", "Settings saved again.")
    assert notice.current_text() == "Settings saved again."
    assert notice._more.text() == "+1 earlier"
    notice._close_button.click()
    assert (notice.current_kind(), notice.current_text()) == ("error", "The disk is full.")
    with qtbot.waitSignal(notice.closed):
        notice._close_button.click()
    assert not notice.isVisible()


def test_the_same_notice_twice_is_one(notice):
    for _ in range(3):
        notice.show_notice("error", "The disk is full.")
    assert not notice._more.isVisible()
    notice.close_notice()
    assert not notice.isVisible()


def test_a_notice_goes_when_what_it_is_about_has_ended(notice):
    notice.show_notice("warning", "There is no model.", topic="no model")
    notice.show_notice("error", "The disk is full.")
    notice.withdraw("another topic")
    assert notice.current_text() == "The disk is full."
    notice.withdraw("no model")
    assert notice.current_text() == "The disk is full."
    notice.close_notice()
    assert not notice.isVisible()
    notice.show_notice("warning", "There is no model.", topic="no model")
    notice.withdraw("no model")
    assert notice.current_text() == ""
    assert not notice.isVisible()


def test_details_can_be_seen_and_copied(notice):
    notice.show_notice("error", "It failed.", details="Traceback\n  line 1")
    assert not notice._details.isVisible()
    notice._details_button.click()
    assert notice._details.isVisible()
    notice._copy_button.click()
    assert QApplication.clipboard().text() == "It failed.\n\nTraceback\n  line 1"
    notice.show_notice("info", "All is well.")
    assert not notice._details.isVisible()
    assert not notice._details_button.isVisible()


def test_a_long_notice_wraps_and_is_not_cut(notice):
    notice.show_notice("error", "A sentence that goes on. " * 12)
    QApplication.processEvents()
    label = notice._text
    assert label.height() >= label.heightForWidth(label.width())
    assert label.height() > 3 * label.fontMetrics().height()
    assert notice.width() <= notice.parentWidget().width()


def test_a_name_with_markup_is_shown_as_it_is(notice):
    notice.show_notice("error", "<b>bold</b>.jpg is not an image.")
    assert notice._text.textFormat() is Qt.TextFormat.PlainText


# -- empty pages and drops --------------------------------------------------------------------------------------------


def test_an_empty_page_offers_the_missing_step(qtbot):
    page = EmptyState("model", "No model yet", "Train one.", [("train", "Go to training"), ("open", "Open…")])
    qtbot.addWidget(page)
    page.show()
    assert page.buttons["train"].property("accent")
    assert not page.buttons["open"].property("accent")
    with qtbot.waitSignal(page.triggered) as chosen:
        page.buttons["open"].click()
    assert chosen.args == ["open"]
    page.set_buttons([("wait", "Wait")])
    page.set_texts("Training", "")
    assert list(page.buttons) == ["wait"]
    assert page.accessibleName().startswith("Training")


def test_an_empty_page_has_everything_in_the_middle(qtbot):
    page = EmptyState("model", "No model yet", "Train one on your images. " * 9, [("train", "Go to training")])
    qtbot.addWidget(page)
    page.resize(1500, 700)
    page.show()
    shown = [label for label in page.findChildren(QLabel) if label.isVisible()]
    middles = [label.geometry().center().x() for label in [*shown, page.buttons["train"]]]
    assert len(middles) == 4
    assert max(middles) - min(middles) <= 2


def test_the_drop_overlay_covers_its_parent_and_lets_the_drag_through(qtbot):
    window = QWidget()
    qtbot.addWidget(window)
    window.resize(300, 200)
    window.show()
    overlay = DropOverlay(window)
    assert not overlay.isVisible()
    overlay.show_text("Drop to classify 3 images")
    assert overlay.geometry() == window.rect()
    window.resize(500, 400)
    assert overlay.geometry() == window.rect()
    assert window.childAt(QPoint(100, 100)) is None


# -- fields -----------------------------------------------------------------------------------------------------------


def test_an_error_marks_the_field_and_replaces_the_help(qtbot):
    row = FieldRow("&Epochs", QLineEdit(), "Passes over the images")
    qtbot.addWidget(row)
    row.show()
    assert row._below.text() == "Passes over the images"
    assert row.field.accessibleName() == "Epochs"
    row.set_error("0 is not between 1 and 10,000.")
    assert row.field.property("invalid") is True
    assert row._below.text() == "0 is not between 1 and 10,000."
    assert row.field.accessibleDescription() == "0 is not between 1 and 10,000."
    row.set_error("")
    assert row.field.property("invalid") is False
    assert row._below.text() == "Passes over the images"


def test_lists_tell_values_while_right_and_the_problem_while_wrong(qtbot):
    field = IntegerListEdit()
    row = FieldRow("Dense units", field)
    qtbot.addWidget(row)
    told = []
    field.values_changed.connect(told.append)
    field.set_values((128,))
    assert field.text() == "128"
    assert told == []
    qtbot.keyClicks(field, ", 64")
    assert told[-1] == (128, 64)
    qtbot.keyClicks(field, "x")
    assert row.error() == "“64x” is not a whole number."
    assert field.values() == (128, 64)
    qtbot.keyClick(field, Qt.Key.Key_Backspace)
    assert row.error() == ""


def test_setting_the_same_values_leaves_the_text_being_typed_alone(qtbot):
    field = BlocksEdit()
    qtbot.addWidget(field)
    field.set_values(((32, 32), (64, 64)))
    assert field.text() == "32-32, 64-64"
    field.clear()
    qtbot.keyClicks(field, "16,")
    field.set_values(((16,),))
    assert field.text() == "16,"
    qtbot.keyClick(field, Qt.Key.Key_Return)
    assert field.text() == "16"


def test_a_learning_rate_takes_exponents_and_steps_to_round_numbers(qtbot):
    box = NumberBox(1e-8, 10)
    qtbot.addWidget(box)
    box.show()
    box.setValue(0.001)
    assert box.text() == "0.001"
    box.lineEdit().selectAll()
    qtbot.keyClicks(box.lineEdit(), "1e-5")
    qtbot.keyClick(box, Qt.Key.Key_Return)
    assert box.value() == pytest.approx(1e-5)
    assert box.text() == "1e-5"
    for expected in (2e-5, 5e-5, 1e-4):
        box.stepUp()
        assert box.value() == pytest.approx(expected)
    box.setValue(0.0015)
    box.stepDown()
    assert box.value() == pytest.approx(0.001)
    box.lineEdit().selectAll()
    qtbot.keyClicks(box.lineEdit(), "0,02")
    qtbot.keyClick(box, Qt.Key.Key_Return)
    assert box.value() == pytest.approx(0.02)
    box.lineEdit().selectAll()
    qtbot.keyClicks(box.lineEdit(), "e-")
    qtbot.keyClick(box, Qt.Key.Key_Return)
    assert box.value() == pytest.approx(0.02)
    for _ in range(60):
        box.stepDown()
    assert box.value() == pytest.approx(1e-8)


def test_a_number_that_may_be_0_steps_to_it_and_away_from_it(qtbot):
    box = NumberBox(0, 2)
    qtbot.addWidget(box)
    seen = []
    for step in (box.stepUp, box.stepUp, box.stepDown, box.stepDown, box.stepDown):
        step()
        seen.append(box.value())
    assert seen == pytest.approx([0.001, 0.002, 0.001, 0, 0])
    assert box.text() == "0"
    box.lineEdit().selectAll()
    qtbot.keyClicks(box.lineEdit(), "3")
    qtbot.keyClick(box, Qt.Key.Key_Return)
    assert box.value() == 2, "as much as there may be"


def test_percent_is_a_fraction(qtbot):
    box = PercentBox()
    qtbot.addWidget(box)
    with qtbot.waitSignal(box.fraction_changed) as told:
        box.set_fraction(0.15)
    assert told.args == [0.15]
    assert box.text() == "15 %"
    assert box.fraction() == 0.15
    box.set_fraction(2.0)
    assert box.fraction() == 0.9


def test_choices_keep_their_values_as_they_are(qtbot):
    box = ChoiceBox([("Adam", Optimizer.ADAM), ("SGD", Optimizer.SGD)])
    qtbot.addWidget(box)
    told = []
    box.chosen.connect(told.append)
    box.set_value(Optimizer.SGD)
    assert box.value() is Optimizer.SGD
    assert told == []
    box.setFocus()
    qtbot.keyClick(box, Qt.Key.Key_Up)
    assert told == [Optimizer.ADAM]
    box.set_choices([("RMSprop", Optimizer.RMSPROP), ("Adam", Optimizer.ADAM)])
    assert box.value() is Optimizer.ADAM
    box.set_value("none of these")
    assert box.value() is None


def test_scrolling_the_page_does_not_change_fields_under_the_pointer(qtbot):
    for box in (IntegerBox(0, 100), PercentBox(), NumberBox(0, 10), ChoiceBox([("a", 1), ("b", 2)])):
        qtbot.addWidget(box)
        box.show()
        box.clearFocus()
        before = box.value()
        event = QWheelEvent(
            QPointF(5, 5),
            QPointF(box.mapToGlobal(QPoint(5, 5))),
            QPoint(),
            QPoint(0, -120),
            Qt.MouseButton.NoButton,
            Qt.KeyboardModifier.NoModifier,
            Qt.ScrollPhase.NoScrollPhase,
            False,
        )
        QApplication.sendEvent(box, event)
        assert box.value() == before
        assert not event.isAccepted()
