"""The data page through the real window: what is found in a folder, what is decided about it, how it is shared out."""

import csv
import io
import shutil

import numpy as np
import pytest
from PIL import Image, ImageOps
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QFileDialog

from cnn_studio import tasks
from cnn_studio.core.data.findings import FindingKind
from cnn_studio.core.data.image_file import Split
from cnn_studio.core.evaluation.label_review import LabelDoubt, LabelReview
from cnn_studio.core.experiment.experiment import read_experiment
from cnn_studio.core.experiment.settings import Fit
from cnn_studio.core.job.jobs import JobContext
from cnn_studio.core.runs import run as runs
from cnn_studio.gui.jobs.job_thread import JobKind
from cnn_studio.gui.pages.data.decisions_dialog import DecisionsDialog
from cnn_studio.gui.pages.data.label_errors_dialog import LabelErrorsDialog
from cnn_studio.gui.pages.data.left_out_dialog import LeftOutDialog
from cnn_studio.gui.pages.data.picture_dialog import DataPictureDialog
from cnn_studio.gui.pages.data.shown_pictures import Which
from cnn_studio.gui.pages.data.split_dialog import SplitDialog
from cnn_studio.gui.state.notices import NoticeKind
from cnn_studio.gui.state.session import Session

SCAN_TIME = 30_000


def picture(seed, height=96, width=120):
    """A smooth picture that is unlike those of other seeds."""
    random = np.random.default_rng(seed)
    coarse = random.integers(0, 255, (6, 8, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)


@pytest.fixture
def fruit(tmp_path):
    """Two classes of 24 pictures each, a copy, a resized one, one in both classes, a blank one, a web page."""
    root = tmp_path / "fruit"
    for label, name in enumerate(("apple", "pear")):
        (root / name).mkdir(parents=True)
        for number in range(24):
            picture(100 * label + number).save(root / name / f"patient{number // 4}_{number:02}.png")
    shutil.copy(root / "apple" / "patient0_00.png", root / "apple" / "copy of 00.png")
    picture(1).resize((60, 48)).save(root / "apple" / "small 01.jpg", quality=90)
    shutil.copy(root / "pear" / "patient0_02.png", root / "apple" / "stray pear.png")
    Image.new("RGB", (120, 96), (250, 250, 250)).save(root / "pear" / "blank.png")
    (root / "pear" / "page.jpg").write_bytes(b"<html>not found</html>")
    return root


def open_folder(qtbot, session, folder):
    session.project.open_folder(folder)
    qtbot.waitUntil(
        lambda: session.project.dataset is not None and session.project.dataset.root == folder, timeout=SCAN_TIME
    )
    settle(qtbot, session)


def settle(qtbot, session):
    """Until what follows from the settings has been worked out."""
    qtbot.waitUntil(
        lambda: session.queue.current is None and session.data.is_settled and not session.split_file.is_busy,
        timeout=SCAN_TIME,
    )


@pytest.fixture
def page(qtbot, window, session, fruit):
    open_folder(qtbot, session, fruit)
    return window.page("data")


def captions(page):
    model = page.grid.model()
    return [model.index(row, 0).data() for row in range(model.rowCount())]


def names(page):
    return [page.browse.shown.file(row).path for row in range(len(page.browse.shown))]


def choose(page, *paths):
    """Select the pictures of these paths in the grid."""
    page.grid.clearSelection()
    shown = names(page)
    select = page.grid.selectionModel().SelectionFlag.Select
    for path in paths:
        page.grid.selectionModel().select(page.grid.model().index(shown.index(path), 0), select)


def focus(qtbot, widget):
    """Keys are for the widget that has the focus."""
    widget.window().activateWindow()
    widget.setFocus()
    qtbot.waitUntil(widget.hasFocus)


def finding(session, kind):
    return next((found for found in session.data.view.findings if found.kind is kind), None)


def snapshot(folder):
    return {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in folder.rglob("*") if path.is_file()}


def test_findings_are_told_and_their_images_are_one_click_away(qtbot, session, page):
    kinds = {found.kind for found in session.data.view.findings}
    expected = {
        FindingKind.EXACT_DUPLICATE,
        FindingKind.NEAR_DUPLICATE,
        FindingKind.SAME_PICTURE_TWO_CLASSES,
        FindingKind.MOSTLY_BLANK,
    }
    assert expected <= kinds
    panel = page.findings
    assert panel.list.count() == len(session.data.view.findings)
    texts = [panel.list.item(row).text() for row in range(panel.list.count())]
    assert texts[0] == "1 picture lies in more than one class."
    assert "cannot be used" in panel.left_out.text()

    row = next(row for row, text in enumerate(texts) if "identical files" in text)
    panel.list.itemClicked.emit(panel.list.item(row))
    assert sorted(names(page)) == ["apple/copy of 00.png", "apple/patient0_00.png"]
    notes = [page.browse.shown.mark(row).note for row in range(2)]
    assert notes == ["picture 1 · 120 × 96"] * 2
    assert page.browse.advice.isVisible()
    assert "identical" in page.browse.which.currentText().lower()
    assert panel.list.currentRow() == row

    page.shown_class.setCurrentIndex(2)  # pear
    assert names(page) == []
    page.browse.show_only(Which.ALL)
    assert len(names(page)) == len(session.project.dataset.files)
    assert not page.browse.advice.isVisible()
    assert panel.list.currentRow() == -1


def test_what_only_looks_alike_in_two_classes_is_shown_and_nothing_is_to_be_removed(qtbot, window, session, fruit):
    marked = picture(5)
    marked.paste((250, 250, 250), (0, 0, 40, 32))
    marked.transpose(Image.Transpose.ROTATE_90).save(fruit / "pear" / "marked.png")
    open_folder(qtbot, session, fruit)
    page = window.page("data")
    same, alike = (
        finding(session, kind) for kind in (FindingKind.SAME_PICTURE_TWO_CLASSES, FindingKind.ALIKE_IN_TWO_CLASSES)
    )
    assert len(same.groups) == len(alike.groups) == 1
    page.browse.show_only(FindingKind.ALIKE_IN_TWO_CLASSES)
    assert sorted(names(page)) == ["apple/patient1_05.png", "pear/marked.png"]
    assert "leave" not in page.browse.advice.text().lower()
    assert not page.browse.keep_button.isVisible()
    assert page.browse.shown.group_number(1) == 0
    page.browse.show_only(FindingKind.SAME_PICTURE_TWO_CLASSES)
    assert sorted(names(page)) == ["apple/stray pear.png", "pear/patient0_02.png"]


def test_one_of_each_is_kept_and_that_is_undone(qtbot, session, page, fruit):
    before = snapshot(fruit)
    total = len(session.project.dataset.files)
    page.browse.show_only(FindingKind.EXACT_DUPLICATE)
    assert page.browse.keep_button.isVisible()
    page.browse.keep_button.click()
    settle(qtbot, session)
    assert session.project.experiment.decisions.left_out == ("apple/patient0_00.png",)
    assert finding(session, FindingKind.EXACT_DUPLICATE) is None
    assert sorted(captions(page)) == ["apple", "left out"]  # what was looked at stays, and is marked
    assert not page.browse.keep_button.isEnabled()
    assert f"{total - 1} images" in page.summary.text()
    assert dict(page.chart.counts())["apple"] == 26
    assert sum(session.data.view.totals.values()) == total - 1

    focus(qtbot, page.findings.label_errors_button)
    qtbot.keyClick(page.findings.label_errors_button, Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    settle(qtbot, session)
    assert session.project.experiment.decisions.left_out == ()
    assert finding(session, FindingKind.EXACT_DUPLICATE) is not None
    assert f"{total} images" in page.summary.text()
    assert page.browse.keep_button.isEnabled()
    assert snapshot(fruit) == before


def test_several_pictures_are_left_out_with_a_key_and_used_again_with_it(qtbot, session, page):
    page.browse.show_class(1)
    choose(page, "pear/blank.png", "pear/patient0_02.png")
    assert page.browse.chosen.text() == "2 pictures chosen"
    focus(qtbot, page.grid)
    qtbot.keyClick(page.grid, Qt.Key.Key_L)
    settle(qtbot, session)
    assert set(session.project.experiment.decisions.left_out) == {"pear/blank.png", "pear/patient0_02.png"}
    assert finding(session, FindingKind.MOSTLY_BLANK) is None
    assert page.browse.decisions_button.text() == "Decisions (2)…"
    assert page.browse.bar.leave_out_button.text() == "Use again"
    qtbot.keyClick(page.grid, Qt.Key.Key_Delete)
    settle(qtbot, session)
    assert session.project.experiment.decisions.left_out == ()
    assert not page.browse.decisions_button.isVisible()


def test_a_picture_is_put_into_its_class_by_the_context_menu(qtbot, session, page):
    page.browse.show_only(FindingKind.SAME_PICTURE_TWO_CLASSES)
    choose(page, "apple/stray pear.png")
    counts = dict(page.chart.counts())
    menu = page.browse.bar.context_menu(page.grid)
    classes = next(action.menu() for action in menu.actions() if action.text() == "Belongs to")
    next(action for action in classes.actions() if action.text() == "pear").trigger()
    menu.close()
    settle(qtbot, session)
    assert session.project.experiment.decisions.belongs_to == {"apple/stray pear.png": "pear"}
    assert dict(page.chart.counts()) == {"apple": counts["apple"] - 1, "pear": counts["pear"] + 1}
    assert finding(session, FindingKind.SAME_PICTURE_TWO_CLASSES) is None
    assert "→ pear" in captions(page)

    page.browse.show_only(Which.ALL)
    page.browse.show_class(1)
    assert "apple/stray pear.png" in names(page)  # among the pears now
    page.browse.show_only(Which.DECIDED)
    assert names(page) == ["apple/stray pear.png"]

    page.browse.decisions_button.click()
    dialog = page.browse.findChild(DecisionsDialog)
    assert dialog.table.item(0, 0).text() == "apple/stray pear.png"
    assert dialog.table.item(0, 1).text() == "belongs to pear"
    assert not dialog.take_back_button.isEnabled()
    dialog.table.selectRow(0)
    dialog.take_back_button.click()
    settle(qtbot, session)
    assert session.project.experiment.decisions.belongs_to == {}
    assert dialog.table.rowCount() == 0
    dialog.close()


def test_the_large_view_tells_all_and_decides(qtbot, session, page):
    page.browse.show_only(FindingKind.SAME_PICTURE_TWO_CLASSES)
    page.grid.row_activated.emit(names(page).index("apple/stray pear.png"))
    dialog = page.browse.findChild(DataPictureDialog)
    qtbot.waitUntil(lambda: "120 × 96 pixels · PNG" in dialog.facts.text())
    assert "apple/stray pear.png" in dialog.facts.text()
    assert dialog.caption.text() == "apple"
    assert "same picture in two classes" in dialog.known.text()
    assert "colour" in dialog.known.text()
    assert any(f"{word} image" in dialog.known.text() for word in ("training", "validation", "test"))
    qtbot.keyClick(dialog, Qt.Key.Key_L)
    assert dialog.caption.text() == "apple, left out"
    qtbot.keyClick(dialog, Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    assert dialog.caption.text() == "apple"
    dialog.bar.put_into("pear")
    settle(qtbot, session)
    assert dialog.caption.text() == "apple, belongs to pear"
    place = dialog.place()
    qtbot.keyClick(dialog, Qt.Key.Key_Home)
    assert dialog.place() == 0
    qtbot.keyClick(dialog, Qt.Key.Key_End)
    assert dialog.place() == len(names(page)) - 1
    assert place in {0, 1}
    dialog.close()


def test_decisions_reach_the_training_and_the_saved_settings(qtbot, window, session, page, tmp_path, monkeypatch, told):
    session.decisions.leave_out([file for file in session.project.dataset.files if file.path == "pear/blank.png"])
    session.decisions.put_into(
        "pear", [file for file in session.project.dataset.files if file.path == "apple/stray pear.png"]
    )
    settle(qtbot, session)
    shown = session.data.view.totals
    assert session.project.change({"training.epochs": 1, "image.height": 32, "image.width": 32}) is None
    page.train_button.click()
    qtbot.waitUntil(lambda: not session.queue.is_busy_with(JobKind.TRAIN), timeout=120_000)
    assert session.training.last is not None, [notice.text for notice in told]
    rows = runs.read_manifest(runs.read_run(session.training.last.run))
    used = {path: (name, split) for path, name, split in rows}
    assert "pear/blank.png" not in used
    assert used["apple/stray pear.png"][0] == "pear"
    assert {split: sum(part is split for _, part in used.values()) for split in Split} == shown
    copies = {used[path][1] for path in ("apple/copy of 00.png", "apple/patient0_00.png")}
    assert len(copies) == 1

    target = tmp_path / "settings.toml"
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *args, **kwargs: (str(target), ""))
    window.page("model").save_button.click()
    assert read_experiment(target).decisions == session.project.experiment.decisions


def test_what_was_decided_is_there_again_after_another_start(qtbot, session, page, fruit, blobs):
    session.decisions.leave_out([file for file in session.project.dataset.files if file.path == "pear/blank.png"])
    session.close()
    again = Session()
    try:
        open_folder(qtbot, again, fruit)
        assert again.project.experiment.decisions.left_out == ("pear/blank.png",)
        assert again.decisions.undo_text == ""
        open_folder(qtbot, again, blobs)
        assert again.project.experiment.decisions.left_out == ()
    finally:
        again.close()


def test_the_rule_by_file_name_keeps_patients_together(qtbot, session, page):
    page.split.more_button.click()
    dialog = page.split.findChild(SplitDialog)
    row = dialog.form.row("split.group_pattern")
    type_into(dialog.rule, "patient(")
    assert "regular expression" in row.error()
    assert "split.group_pattern" not in row.error()
    assert session.project.experiment.split.group_pattern == ""
    type_into(dialog.rule, r"patient\d")
    assert row.error() == ""
    qtbot.waitUntil(lambda: "6 groups" in dialog.groups.text())
    assert "patient0" in dialog.groups.text()
    settle(qtbot, session)
    view = session.data.view
    for number in range(6):
        sides = {
            split
            for file, split in zip(view.used.files, view.splits.splits, strict=True)
            if f"patient{number}" in file.path
        }
        assert len(sides) == 1
    assert "stays together" in page.split_text.text()
    for split, count in view.totals.items():
        assert f"{split} <b>{count}</b>" in page.split_text.text()
    dialog.close()


def type_into(line, text):
    line.setText(text)
    line.textEdited.emit(text)


def test_a_split_is_saved_and_used_again(qtbot, window, session, page, tmp_path, monkeypatch, told):
    target = tmp_path / "split.csv"
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *args, **kwargs: (str(target), ""))
    monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *args, **kwargs: (str(target), ""))
    page.split.more_button.click()
    dialog = page.split.findChild(SplitDialog)
    dialog.save_button.click()
    settle(qtbot, session)
    saved = {row["path"]: row["split"] for row in csv.DictReader(io.StringIO(target.read_text(encoding="utf-8")))}
    assert saved == assigned(session)

    session.project.change({"split.seed": 7})
    settle(qtbot, session)
    assert assigned(session) != saved
    dialog.use_button.click()
    settle(qtbot, session)
    assert assigned(session) == saved
    assert "split.csv" in page.split_text.text()
    assert not page.validation.isEnabled()
    assert not dialog.rule.isEnabled()
    dialog.forget_button.click()
    settle(qtbot, session)
    assert assigned(session) != saved
    assert page.validation.isEnabled()

    target.write_text("path,split\napple/patient0_00.png,somewhere\n", encoding="utf-8")
    dialog.use_button.click()
    qtbot.waitUntil(lambda: told[-1].kind is NoticeKind.ERROR)
    assert "Line 2 of split.csv" in told[-1].text
    dialog.close()


def assigned(session):
    view = session.data.view
    return {file.path: split.value for file, split in zip(view.used.files, view.splits.splits, strict=True)}


def test_the_files_left_out_are_listed(qtbot, session, page):
    page.findings.show_left_out.click()
    dialog = page.findings.findChild(LeftOutDialog)
    assert [dialog.table.item(row, 0).text() for row in range(dialog.table.rowCount())] == ["pear/page.jpg"]
    dialog.close()


def test_pictures_are_shown_by_split(qtbot, session, page):
    totals = session.data.view.totals
    for split in Split:
        page.browse.show_only(split)
        assert len(names(page)) == totals[split]
    splits = assigned(session)
    assert {splits[path] for path in names(page)} == {"test"}


def test_the_preview_shows_what_the_network_sees(qtbot, window, session, fruit):
    Image.new("RGB", (300, 60), (200, 30, 40)).save(fruit / "apple" / "wide.png")
    open_folder(qtbot, session, fruit)
    window.show_page("model")
    page = window.page("model")
    session.project.change({"image.height": 40, "image.width": 40, "image.fit": Fit.PAD})
    qtbot.waitUntil(page.preview.is_complete)
    wide = fruit / "apple" / "wide.png"
    shown = page.preview.loader.pixmap(wide).toImage()
    with Image.open(wide) as opened:
        expected = np.asarray(ImageOps.pad(opened.convert("RGB"), (40, 40)))
    assert (shown.width(), shown.height()) == (40, 40)
    for x, y in ((20, 2), (20, 20), (20, 37)):
        assert shown.pixelColor(x, y).getRgb()[:3] == tuple(int(value) for value in expected[y, x])
    session.project.change({"image.fit": Fit.CROP})
    qtbot.waitUntil(page.preview.is_complete)
    cropped = page.preview.loader.pixmap(wide).toImage()
    assert cropped.pixelColor(20, 2).getRgb()[:3] == (200, 30, 40)


def test_a_folder_shows_before_it_is_checked(qtbot, window, session, fruit):
    seen = []

    def look():
        if session.project.listed is not None:
            page = window.page("data")
            seen.append(
                (page.summary.text(), page.train_button.isEnabled(), page.train_button.toolTip(), len(names(page)))
            )
            choose(page, names(page)[0])
            page.browse.bar.leave_out_or_use()

    session.project.listed_changed.connect(look)
    open_folder(qtbot, session, fruit)
    assert len(seen) == 1
    summary, enabled, tip, count = seen[0]
    assert "still being checked" in summary
    assert not enabled
    assert "checked" in tip
    assert count >= 52
    assert session.project.experiment.decisions.left_out == ()  # nothing can be decided yet
    assert window.page("data").train_button.isEnabled()


def test_a_scan_that_is_cancelled_leaves_what_was_there(qtbot, window, session, page, blobs):
    before = session.project.dataset
    cancelled = []

    def cancel():
        if session.project.listed is not None:
            cancelled.append(session.project.listed)
            session.queue.cancel()

    session.project.listed_changed.connect(cancel)
    session.project.open_folder(blobs)
    qtbot.waitUntil(lambda: session.queue.current is None, timeout=SCAN_TIME)
    assert len(cancelled) == 1
    assert session.project.dataset is before
    assert page.title.text() == "fruit"
    assert len(names(page)) == len(before.files)


def test_likely_label_errors_are_looked_for_shown_and_decided(
    qtbot, window, session, page, tmp_path, monkeypatch, told
):
    asked = []

    def fake(request, context: JobContext):
        asked.append(request)
        doubts = (
            LabelDoubt("apple/stray pear.png", "apple", "pear", 0.02, 0.97, 0.9),
            LabelDoubt("pear/patient3_15.png", "pear", "apple", 0.3, 0.6, 0.3),
        )
        return LabelReview(doubts, 54, "Each was judged by a network that never saw it.")

    monkeypatch.setattr(tasks, "find_label_errors", fake)
    assert page.findings.label_errors_button.isEnabled()
    page.findings.label_errors_button.click()
    dialog = page.findings.findChild(LabelErrorsDialog)
    assert not dialog.with_run.isEnabled()  # nothing has been trained on this folder
    assert dialog.with_training.isChecked()
    dialog.start_button.click()
    qtbot.waitUntil(lambda: session.label_errors.review is not None)
    assert asked[0].run is None
    assert asked[0].dataset is session.project.dataset
    assert (
        "2 of the 54 pictures that were judged may be in the wrong class; about 1 of them is expected to be"
        in told[-1].text
    )

    assert names(page) == ["apple/stray pear.png", "pear/patient3_15.png"]
    assert [page.browse.shown.mark(row).note for row in range(2)] == ["pear? 97 %", "apple? 60 %"]
    assert page.findings.list.item(0).text() == "2 pictures may be in the wrong class; about 1 is."
    choose(page, "apple/stray pear.png")
    menu = page.browse.bar.context_menu(page.grid)
    classes = next(action.menu() for action in menu.actions() if action.text() == "Belongs to")
    assert classes.actions()[0].text() == "pear, as the network thinks"
    classes.actions()[0].trigger()
    menu.close()
    choose(page, "pear/patient3_15.png")
    assert page.browse.bar.right_button.isVisible()
    page.browse.bar.right_button.click()
    settle(qtbot, session)
    assert session.project.experiment.decisions.belongs_to == {"apple/stray pear.png": "pear"}
    assert [page.browse.shown.mark(row).badge for row in range(2)] == ["moved", "right"]

    target = tmp_path / "doubts.csv"
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *args, **kwargs: (str(target), ""))
    page.browse.save_list_button.click()
    assert "apple/stray pear.png,apple,pear" in target.read_text(encoding="utf-8")


def test_why_label_errors_cannot_be_looked_for_is_told(qtbot, window, session, page):
    session.decisions.leave_out(
        [file for file in session.project.dataset.files if session.project.dataset.class_names[file.label] == "pear"]
    )
    settle(qtbot, session)
    button = page.findings.label_errors_button
    assert not button.isEnabled()
    assert "one class only (apple)" in button.toolTip()
    assert not page.train_button.isEnabled()
    assert not window.page("train").train_button.isEnabled()
    session.decisions.undo()
    settle(qtbot, session)
    assert button.isEnabled()
    assert page.train_button.isEnabled()
    assert window.page("train").train_button.isEnabled()


@pytest.mark.slow
def test_a_picture_in_the_wrong_class_is_found_and_put_right(qtbot, window, session, blobs, told):
    Image.fromarray(np.full((32, 32, 3), (60, 70, 210), np.uint8)).save(blobs / "red" / "really blue.png")
    open_folder(qtbot, session, blobs)
    page = window.page("data")
    changes = {"training.epochs": 12, "training.batch_size": 4, "training.early_stopping": False}
    assert session.project.change(changes) is None
    settle(qtbot, session)
    page.findings.label_errors_button.click()
    page.findings.findChild(LabelErrorsDialog).start_button.click()
    qtbot.waitUntil(lambda: not session.queue.is_busy_with(JobKind.LABEL_ERRORS), timeout=300_000)
    assert session.label_errors.review is not None, [notice.text for notice in told]
    assert names(page)[0] == "red/really blue.png"
    assert page.browse.shown.note(0).startswith("blue? ")
    choose(page, names(page)[0])
    page.browse.bar.put_into("blue")
    settle(qtbot, session)
    assert dict(page.chart.counts()) == {"blue": 13, "green": 12, "red": 12}
