"""What the grid is given: which images, their captions and marks; lazily, for there may be 100,000."""

from dataclasses import replace
from pathlib import Path

import pytest

from cnn_studio.core.data.dataset import Dataset
from cnn_studio.core.data.findings import Finding, FindingKind
from cnn_studio.core.data.image_file import ImageFile, Split
from cnn_studio.core.data.split import count_ahead
from cnn_studio.core.evaluation.label_review import LabelDoubt
from cnn_studio.core.experiment.experiment import with_values
from cnn_studio.core.experiment.settings import Decisions
from cnn_studio.gui.pages.data.shown_pictures import of_class, of_decisions, of_doubts, of_finding, of_split
from cnn_studio.gui.state.data_view import place_of, work_out

NAMES = ("cat", "dog", "owl")


def image(path, label, **known):
    return ImageFile(path, label, height=90, width=120, grey=False, bytes=1000, modified_ns=1, **known)


@pytest.fixture
def dataset():
    files = tuple(image(f"{name}/{number}.png", label) for label, name in enumerate(NAMES) for number in range(4))
    found = Dataset(Path("/pictures"), NAMES, files)
    count_ahead(found)
    return found


@pytest.fixture
def session(qtbot, session, dataset):
    session.project.take_dataset(dataset)
    settle(qtbot, session)
    return session


def settle(qtbot, session):
    qtbot.waitUntil(lambda: session.data.is_settled and session.data.view is not None)


def paths(shown):
    return [shown.file(row).path for row in range(len(shown))]


def test_a_class_is_its_folder_and_what_was_put_into_it(qtbot, session, dataset):
    data = session.data
    assert paths(of_class(data, dataset, 1)) == [f"dog/{number}.png" for number in range(4)]
    data.decisions.put_into("dog", [dataset.files[0]])
    data.decisions.leave_out([dataset.files[4]])
    settle(qtbot, session)
    shown = of_class(data, dataset, 1)
    assert paths(shown) == [*(f"dog/{number}.png" for number in range(4)), "cat/0.png"]
    assert [caption for _, caption in shown] == ["left out", "1.png", "2.png", "3.png", "→ dog"]
    assert [shown.mark(row).badge for row in range(5)] == ["left_out", "", "", "", "moved"]
    assert shown.mark(0).faint
    assert not shown.mark(4).faint
    everything = of_class(data, dataset, None)
    assert len(everything) == 12
    assert everything[0] == (Path("/pictures/cat/0.png"), "→ dog")
    assert everything[1] == (Path("/pictures/cat/1.png"), "cat")
    assert everything[1:3] == [everything[1], everything[2]]
    assert paths(of_decisions(data, dataset)) == ["cat/0.png", "dog/0.png"]


def test_captions_follow_what_is_decided_after_they_were_shown(qtbot, session, dataset):
    shown = of_class(session.data, dataset, 0)
    session.decisions.put_into("owl", [dataset.files[2]])
    assert shown[2][1] == "→ owl"
    session.decisions.undo()
    assert shown[2][1] == "2.png"
    session.decisions.redo()
    assert shown[2][1] == "→ owl"
    settle(qtbot, session)


def test_groups_lie_side_by_side_on_grounds_that_take_turns(session, dataset):
    finding = Finding(FindingKind.NEAR_DUPLICATE, "", "", ((0, 5), (1, 2, 3), (8, 9)))
    shown = of_finding(session.data, dataset, finding, None)
    assert [shown.mark(row).banded for row in range(7)] == [False, False, True, True, True, False, False]
    assert [shown.note(row) for row in (0, 1, 2, 6)] == [
        "picture 1 · 120 × 90",
        "picture 1 · 120 × 90",
        "picture 2 · 120 × 90",
        "picture 3 · 120 × 90",
    ]
    assert [shown.group_number(row) for row in range(7)] == [0, 0, 1, 1, 1, 2, 2]
    of_dogs = of_finding(session.data, dataset, finding, 1)
    assert paths(of_dogs) == ["cat/0.png", "dog/1.png"]  # the whole group, or there would be nothing to compare


def test_a_finding_without_groups_is_narrowed_to_the_class(session, dataset):
    finding = Finding(FindingKind.SMALL_IMAGES, "", "", ((0, 4, 5, 8),))
    assert paths(of_finding(session.data, dataset, finding, 1)) == ["dog/0.png", "dog/1.png"]
    assert of_finding(session.data, dataset, finding, None).note(0) == "120 × 90"


def test_a_split_is_of_the_images_that_are_used(qtbot, session, dataset):
    session.decisions.leave_out([dataset.files[0]])
    settle(qtbot, session)
    view = session.data.view
    shown = {split: paths(of_split(session.data, view.used, view.splits.splits, split, None)) for split in Split}
    assert sorted(path for part in shown.values() for path in part) == sorted(file.path for file in dataset.files[1:])
    cats = of_split(session.data, view.used, view.splits.splits, Split.TRAIN, 0)
    assert all(path.startswith("cat/") for path in paths(cats))


def test_doubts_come_as_they_are_ranked_and_say_what_the_network_thinks(session, dataset):
    doubts = [
        LabelDoubt("owl/3.png", "owl", "cat", 0.01, 0.98),
        LabelDoubt("gone/1.png", "owl", "cat", 0.01, 0.97),
        LabelDoubt("dog/2.png", "dog", "owl", 0.2, 0.7),
    ]
    shown = of_doubts(session.data, dataset, doubts, None)
    assert paths(shown) == ["owl/3.png", "dog/2.png"]
    assert [shown.note(row) for row in range(2)] == ["cat? 98 %", "owl? 70 %"]
    assert paths(of_doubts(session.data, dataset, doubts, 0)) == ["owl/3.png"]


def test_one_of_each_is_kept_even_where_some_are_left_out_already(qtbot, session):
    files = (
        image("cat/a.png", 0),
        image("cat/b.png", 0, given_split=Split.TEST),
        image("cat/c.png", 0, given_split=Split.TRAIN),
        image("dog/d.png", 1),
    )
    dataset = Dataset(Path("/pictures"), NAMES, files)
    session.project.take_dataset(dataset)
    settle(qtbot, session)
    finding = Finding(FindingKind.EXACT_DUPLICATE, "", "", ((0, 1, 2),))
    session.decisions.keep_one_of_each(dataset, finding)
    assert session.project.experiment.decisions.left_out == ("cat/a.png", "cat/c.png")  # the copy for testing stays
    session.decisions.undo()
    session.decisions.leave_out([files[1]])
    session.decisions.keep_one_of_each(dataset, finding)
    assert len(session.project.experiment.decisions.left_out) == 2
    assert not session.decisions.has_copies(dataset, finding)
    settle(qtbot, session)


def test_an_image_that_was_like_nothing_but_a_left_out_one_is_kept(qtbot, session):
    files = tuple(replace(image(f"cat/{name}.png", 0), height=size) for name, size in (("a", 90), ("b", 80), ("c", 70)))
    dataset = Dataset(Path("/pictures"), NAMES, files)
    session.project.take_dataset(dataset)
    settle(qtbot, session)
    session.decisions.keep_one_of_each(dataset, Finding(FindingKind.NEAR_DUPLICATE, "", "", ((0, 1), (1, 2))))
    assert session.project.experiment.decisions.left_out == ("cat/b.png",)
    settle(qtbot, session)


def test_to_call_a_class_right_is_undone_like_the_rest(qtbot, session, dataset):
    decisions = session.decisions
    decisions.call_right(dataset.files[:1])
    assert decisions.on("cat/0.png").right
    assert decisions.count == 0  # it changes nothing about what is trained on
    decisions.put_into("cat", dataset.files[:1])  # where it is already
    assert decisions.undo_text.startswith("calling")
    decisions.undo()
    assert not decisions.is_decided("cat/0.png")
    settle(qtbot, session)


def test_a_view_takes_over_what_has_not_changed(session, dataset):
    first = work_out(dataset, session.project.experiment, None)
    again = work_out(
        dataset, session.project.experiment.model_copy(update={"decisions": Decisions(left_out=("cat/0.png",))}), first
    )
    assert again.places is first.places
    assert again.used is not first.used
    seeded = with_values(session.project.experiment, {"split.seed": 5})
    third = work_out(dataset, seeded, first)
    assert third.used is first.used
    assert third.findings is first.findings
    assert place_of(again.used, "cat/0.png", 0) is None
    assert place_of(again.used, "dog/1.png", 1) == 4
    assert again.split_of("cat/0.png", 0) is None
    assert again.split_of("dog/1.png", 1) in set(Split)
    wide, tall, _ = (file.width / file.height for file in first.samples * 3)
    assert wide == tall == 120 / 90
