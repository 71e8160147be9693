"""The Data page with a scan that answers at once; tests/e2e/test_window_data.py does it with real folders."""

import threading
from dataclasses import replace

import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QFileDialog

from cnn_studio import tasks
from cnn_studio.core import paths
from cnn_studio.core.data.events import FolderListed
from cnn_studio.core.data.findings import FindingKind
from cnn_studio.core.image.issues import Issue, IssueKind
from cnn_studio.core.job.jobs import JobCancelled, JobContext
from cnn_studio.gui.jobs.job_thread import JobKind
from cnn_studio.gui.pages.data.data_page import DataPage
from cnn_studio.gui.pages.data.left_out_dialog import LeftOutDialog
from cnn_studio.gui.pages.data.split_dialog import SplitDialog
from cnn_studio.gui.state.notices import UNCLEAR_LAYOUT, NoticeKind


@pytest.fixture
def page(qtbot, session, pages):
    made = DataPage(session, pages)
    qtbot.addWidget(made)
    made.resize(1000, 700)
    made.show()
    yield made
    made.grid.close_loader()


@pytest.fixture
def opened(page, session, make_dataset, settle):
    session.project.take_dataset(make_dataset(each=10))
    settle()
    return page


def test_without_a_folder_the_page_says_how_to_get_one(
    qtbot, page, session, make_dataset, monkeypatch, tmp_path, settle
):
    asked = []

    def scan(folder, context: JobContext):
        asked.append(folder)
        return make_dataset(folder)

    monkeypatch.setattr(tasks, "scan", scan)
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *args, **kwargs: str(tmp_path))
    assert page.welcome.isVisible()
    page.welcome.buttons["open"].click()
    settle()
    assert asked == [tmp_path]
    assert not page.welcome.isVisible()
    assert page.title.text() == tmp_path.name
    assert page.summary.text() == "8 images · 2 classes"
    page._open_recent("0")
    settle()
    assert asked == [tmp_path, tmp_path]


def test_the_sample_is_one_click_away(page, session, monkeypatch):
    monkeypatch.setattr(tasks, "scan", lambda folder, context: None)
    monkeypatch.setattr(session.project, "take_dataset", lambda found: None)
    page.welcome.buttons["sample"].click()
    assert [job.request for job in session.queue.of_kind(JobKind.SCAN)] == [paths.sample_dataset_dir()]


def test_while_a_folder_is_checked_nothing_can_be_trained(qtbot, page, session, make_dataset, monkeypatch, settle):
    found, go_on = make_dataset(), threading.Event()

    def scan(folder, context: JobContext):
        context.report(FolderListed(found))
        assert go_on.wait(10)
        return found

    monkeypatch.setattr(tasks, "scan", scan)
    session.project.open_folder(found.root)
    qtbot.waitUntil(lambda: "still being checked" in page.summary.text())
    assert not page.train_button.isEnabled()
    assert not page.split.more_button.isEnabled()
    go_on.set()
    settle()
    assert page.train_button.isEnabled()
    assert page.split.more_button.isEnabled()


def test_class_and_split_are_chosen_and_shown(opened, session):
    assert opened.grid.model().rowCount() == 20
    opened.chart.class_selected.emit(1)
    assert opened.shown_class.currentText() == "dog (10)"
    assert opened.grid.model().rowCount() == 10
    totals = session.data.view.totals
    assert all(f"{split} <b>{count}</b>" in opened.split_text.text() for split, count in totals.items())


def test_the_shares_are_settings(opened, session, settle):
    opened.test.setValue(30)
    assert session.project.experiment.split.test == pytest.approx(0.3)
    settle()
    assert "test <b>6</b>" in opened.split_text.text()
    opened.split.more_button.click()
    dialog = opened.split.findChild(SplitDialog)
    dialog.form.row("split.seed").field.setValue(5)
    assert session.project.experiment.split.seed == 5
    dialog.close()
    settle()


def test_pictures_are_left_out_and_that_is_undone(opened, session, settle):
    assert not opened.browse.bar.leave_out_button.isEnabled()
    opened.grid.setCurrentIndex(opened.grid.model().index(0, 0))
    opened.browse.bar.leave_out_button.click()
    settle()
    assert opened.summary.text() == "19 images · 2 classes"
    assert opened.browse.decisions_button.text() == "Decisions (1)…"
    opened.browse.bar.undo_button.click()
    settle()
    assert opened.summary.text() == "20 images · 2 classes"
    assert not opened.browse.bar.undo_button.isEnabled()


def test_files_left_out_are_listed_and_saved(opened, session, make_dataset, settle, told, monkeypatch, tmp_path):
    issues = (Issue("cat/bad.png", IssueKind.TRUNCATED, "It ends too early."),)
    session.project.take_dataset(replace(make_dataset(), issues=issues))
    settle()
    assert "1 item cannot be used: incomplete image (1)" in opened.findings.left_out.text()
    opened.findings.show_left_out.click()
    dialog = opened.findings.findChild(LeftOutDialog)
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *args, **kwargs: (str(tmp_path / "list"), ""))
    dialog.save_button.click()
    assert "cat/bad.png" in (tmp_path / "list.csv").read_text(encoding="utf-8")
    assert told[-1].text == f"Saved to {tmp_path / 'list.csv'}."
    dialog.close()


def test_a_name_like_markup_is_a_name_in_tool_tips_too(opened, session, make_dataset, settle):
    dataset = make_dataset("/<b>bold/pictures")
    names = ("<b>bold", "<img src=x>")
    files = tuple(replace(file, path=f"{names[file.label]}/{index}.png") for index, file in enumerate(dataset.files))
    issues = (Issue("<b>bold/bad.png", IssueKind.TRUNCATED, "It ends too early."),)
    session.project.take_dataset(replace(dataset, class_names=names, files=files, issues=issues))
    settle()
    opened.findings.show_left_out.click()
    dialog = opened.findings.findChild(LeftOutDialog)
    model = opened.chart.model()
    tips = [
        opened.title.toolTip(),
        dialog.table.item(0, 0).toolTip(),
        opened.grid.model().index(0, 0).data(Qt.ItemDataRole.ToolTipRole),
        model.index(1, 0).data(Qt.ItemDataRole.ToolTipRole),
    ]
    dialog.close()
    for tip in tips:
        assert "<b>bold" in tip or "<img src=x>" in tip, tip


def test_what_is_left_out_is_told_where_nothing_can_be_shown_of_it(opened, session, make_dataset, settle, told):
    issues = (Issue("surplus", IssueKind.BESIDE_SPLITS, "This folder holds 3 images, which are used for nothing."),)
    session.project.take_dataset(
        replace(make_dataset(each=30), issues=issues, passed_over=((".git", 1), ("@eaDir", 2)))
    )
    settle()
    (notice,) = [notice for notice in told if notice.topic == UNCLEAR_LAYOUT]
    assert notice.kind is NoticeKind.WARNING
    assert "surplus lies beside the folders for training and testing" in notice.text
    first = opened.findings.list.item(0)
    assert first.text().startswith("surplus lies beside")
    assert not [i for i in range(opened.browse.which.count()) if "used for nothing" in opened.browse.which.itemText(i)]
    opened.findings.list.itemClicked.emit(first)
    dialog = opened.findings.findChild(LeftOutDialog)
    assert dialog.table.item(0, 0).text() == "surplus"
    dialog.close()
    assert "3 hidden or system items passed over." in opened.findings.left_out.text()
    assert "@eaDir (2)" in opened.findings.left_out.toolTip()


def test_an_unclear_layout_is_asked_about_once_and_no_longer_in_another_folder(
    opened, session, make_dataset, settle, told
):
    withdrawn = []
    session.notices.withdrawn.connect(withdrawn.append)
    unclear = replace(make_dataset("/odd", each=30), class_names=("my train", "my test"))
    session.project.take_dataset(unclear)
    settle()
    opened.test.setValue(30)
    settle()
    assert len([notice for notice in told if notice.topic == UNCLEAR_LAYOUT]) == 1
    withdrawn.clear()
    session.project.take_dataset(make_dataset("/clear", each=30))
    settle()
    assert withdrawn == [UNCLEAR_LAYOUT]
    assert len([notice for notice in told if notice.topic == UNCLEAR_LAYOUT]) == 1


def test_what_is_said_of_a_finding_follows_the_decisions(opened, session, make_dataset, settle):
    dataset = make_dataset(each=10)
    files = tuple(replace(file, grey=file.path in {"cat/1.png", "dog/2.png"}) for file in dataset.files)
    session.project.take_dataset(replace(dataset, files=files))
    settle()
    browse = opened.browse
    browse.show_only(FindingKind.MIXED_COLOUR)
    assert browse.advice.text().startswith("2 pictures are without colour; the other 18 are coloured.")
    for left, said in ((1, "1 picture is without colour; the other 18 are coloured."), (0, "Settled:")):
        opened.grid.setCurrentIndex(opened.grid.model().index(1 - left, 0))
        browse.bar.leave_out_button.click()
        settle()
        assert browse.advice.text().startswith(said)
        shown = browse.which.currentText()
        assert shown == f"Grey among colour ({left or 'settled'})"
        assert opened.summary.text() == f"{18 + left} images · 2 classes"
        titles = [opened.findings.list.item(row).text() for row in range(opened.findings.list.count())]
        assert len([title for title in titles if "without colour" in title]) == left
        assert all(title.startswith("1 picture is without colour") for title in titles if "without colour" in title)


def test_one_class_alone_cannot_be_trained_and_the_button_says_why(opened, session, settle):
    files = session.project.dataset.files
    session.decisions.leave_out([file for file in files if file.label == 1])
    settle()
    assert not opened.train_button.isEnabled()
    assert "one class only (cat)" in opened.train_button.toolTip()
    assert "one class only (cat)" in opened.findings.label_errors_button.toolTip()


def test_the_ways_on(qtbot, opened, session, pages, monkeypatch, settle):
    begun, go_on = [], threading.Event()

    def train(request, context: JobContext):
        begun.append(request)
        assert go_on.wait(10)
        raise JobCancelled

    monkeypatch.setattr(tasks, "train", train)
    opened.model_button.click()
    opened.train_button.click()
    qtbot.waitUntil(lambda: not opened.train_button.isEnabled())
    assert opened.train_button.toolTip() == "Training is under way."
    go_on.set()
    settle()
    assert pages.shown == ["model", "train"]
    assert [request.dataset for request in begun] == [session.project.dataset]


def test_the_same_folder_altered_keeps_what_is_shown(opened, session, settle):
    opened.browse.show_class(1)
    session.project.lose_files(session.project.dataset, [Issue("dog/3.png", IssueKind.MISSING, "It is gone.")])
    settle()
    assert opened.shown_class.currentText() == "dog (9)"
    assert opened.grid.model().rowCount() == 9
