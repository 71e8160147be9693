"""Decisions about single pictures: made, undone, done again, kept for the folder."""

import pytest

from cnn_studio.core.data.findings import Finding, FindingKind
from cnn_studio.core.experiment.experiment import Experiment
from cnn_studio.core.experiment.settings import Decisions
from cnn_studio.gui.state.decisions import MOST_UNDONE, UNDECIDED
from cnn_studio.gui.state.kept_decisions import keep_decisions, kept_decisions


@pytest.fixture
def dataset(make_dataset):
    return make_dataset()


@pytest.fixture
def decisions(session, dataset):
    session.project.take_dataset(dataset)
    return session.decisions


def decided(session):
    known = session.project.experiment.decisions
    return set(known.left_out), dict(known.belongs_to)


def test_each_step_is_undone_and_done_again_in_its_order(session, decisions, dataset):
    cat, other, dog = dataset.files[0], dataset.files[1], dataset.files[4]
    told = []
    decisions.decided.connect(lambda: told.append(decisions.undo_text))
    decisions.leave_out([cat, other])
    decisions.put_into("dog", [cat])
    decisions.leave_out([dog])
    states = [(set(), {}), ({"cat/0.png", "cat/1.png"}, {}), ({"cat/1.png"}, {"cat/0.png": "dog"})]
    assert decided(session) == ({"cat/1.png", "dog/0.png"}, {"cat/0.png": "dog"})
    for state in reversed(states):
        decisions.undo()
        assert decided(session) == state
    decisions.undo()  # nothing is left to undo
    assert decided(session) == states[0]
    assert decisions.undo_text == ""
    assert decisions.redo_text == "leaving 2 pictures out"
    for state in states[1:]:
        decisions.redo()
        assert decided(session) == state
    assert told == [
        "leaving 2 pictures out",
        "putting 1 picture into dog",
        "leaving 1 picture out",
        "putting 1 picture into dog",
        "leaving 2 pictures out",
        "",
        "leaving 2 pictures out",
        "putting 1 picture into dog",
    ]


def test_a_new_decision_forgets_what_could_be_done_again(session, decisions, dataset):
    decisions.leave_out(dataset.files[:1])
    decisions.undo()
    decisions.leave_out(dataset.files[1:2])
    assert decisions.redo_text == ""
    decisions.redo()
    assert decided(session) == ({"cat/1.png"}, {})


def test_what_changes_nothing_is_no_step(decisions, dataset):
    told = []
    decisions.decided.connect(lambda: told.append(True))
    decisions.use_again(dataset.files[:2])
    decisions.put_into("cat", dataset.files[:2])  # where they are
    assert (decisions.undo_text, told) == ("", [])


def test_only_so_many_steps_are_kept(session, decisions, dataset):
    for _ in range(MOST_UNDONE):
        decisions.leave_out(dataset.files[:1])
        decisions.use_again(dataset.files[:1])
    undone = 0
    while decisions.undo_text:
        decisions.undo()
        undone += 1
    assert undone == MOST_UNDONE


def test_what_is_decided_about_a_picture_is_known(decisions, dataset):
    decisions.leave_out(dataset.files[:1])
    decisions.put_into("dog", dataset.files[1:2])
    decisions.call_right(dataset.files[2:3])
    assert decisions.on("cat/0.png").left_out
    assert decisions.on("cat/1.png").belongs_to == "dog"
    assert decisions.on("cat/2.png").right
    assert decisions.on("cat/3.png") is UNDECIDED
    assert decisions.paths() == ["cat/0.png", "cat/1.png"]
    assert decisions.paths_put_into("dog") == ["cat/1.png"]
    assert decisions.count == 2
    decisions.take_back(["cat/0.png", "cat/2.png"])
    assert decisions.paths() == ["cat/1.png"]
    assert not decisions.is_decided("cat/2.png")


def test_one_of_each_group_is_kept(session, decisions, dataset):
    finding = Finding(FindingKind.EXACT_DUPLICATE, "", "", ((0, 1, 2), (4, 5)))
    assert decisions.has_copies(dataset, finding)
    decisions.keep_one_of_each(dataset, finding)
    assert len(decided(session)[0]) == 3
    assert not decisions.has_copies(dataset, finding)


def test_decisions_that_come_with_settings_are_one_step(session, decisions, dataset):
    decisions.leave_out(dataset.files[:1])
    session.project.take_experiment(Experiment(decisions=Decisions(left_out=("dog/1.png",))))
    assert decisions.on("dog/1.png").left_out
    assert decisions.undo_text == "taking the decisions of other settings"
    decisions.undo()
    assert decided(session) == ({"cat/0.png"}, {})


def test_another_folder_begins_with_its_own(session, decisions, dataset, make_dataset, told, settle, tmp_path):
    keep_decisions(tmp_path, Decisions(left_out=("dog/3.png",)))
    decisions.leave_out(dataset.files[:1])
    session.project.take_dataset(make_dataset(tmp_path))
    assert decided(session) == ({"dog/3.png"}, {})
    assert decisions.on("dog/3.png").left_out
    assert decisions.undo_text == ""
    assert "1 picture of this folder" in told[-1].text
    settle()
    session.project.take_dataset(make_dataset(tmp_path))  # the same one again
    assert len(told) == 1
    session.project.take_dataset(dataset)
    assert decided(session) == ({"cat/0.png"}, {})  # kept when they were made


def test_what_was_decided_last_is_kept_when_the_program_ends(session, decisions, dataset):
    decisions.leave_out(dataset.files[:3])
    session.close()
    assert kept_decisions(dataset.root).left_out == tuple(file.path for file in dataset.files[:3])


def test_decisions_of_opened_settings_stay_when_a_folder_is_opened(session, make_dataset):
    session.project.take_experiment(Experiment(decisions=Decisions(left_out=("cat/2.png",))))
    session.project.take_dataset(make_dataset())
    assert decided(session) == ({"cat/2.png"}, {})
    assert session.decisions.on("cat/2.png").left_out
