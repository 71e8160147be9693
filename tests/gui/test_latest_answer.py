import threading

import pytest

from cnn_studio.core.errors import CnnStudioError
from cnn_studio.gui.jobs.latest_answer import LatestAnswer


@pytest.fixture
def asked(qapp):
    made = LatestAnswer()
    yield made
    made.close()


def test_an_answer_comes_from_another_thread(qtbot, asked):
    with qtbot.waitSignal(asked.answered) as told:
        asked.ask(threading.get_ident)
        assert asked.is_waiting()
    assert told.args != [threading.get_ident()]
    assert not asked.is_waiting()


def test_only_the_latest_question_is_answered(qtbot, asked):
    gate, begun, called, told = threading.Event(), threading.Event(), [], []
    asked.answered.connect(told.append)

    def slow():
        begun.set()
        gate.wait(10)
        return "overtaken"

    asked.ask(slow)
    assert begun.wait(10)
    asked.ask(lambda: called.append("never begun"))
    asked.ask(lambda: "latest")
    gate.set()
    qtbot.waitUntil(lambda: not asked.is_waiting())
    assert told == ["latest"]
    assert called == []


def test_what_goes_wrong_is_told_as_a_sentence(qtbot, asked, caplog):
    def foreseen():
        raise CnnStudioError("There is no split file a.csv.")

    with qtbot.waitSignal(asked.failed) as told:
        asked.ask(foreseen)
    assert str(told.args[0]) == "There is no split file a.csv."
    with qtbot.waitSignal(asked.failed) as told:
        asked.ask(lambda: 1 / 0)
    assert "ZeroDivisionError" in str(told.args[0])
    assert "ZeroDivisionError" in caplog.text


def test_closing_waits_and_nothing_is_told_afterwards(qtbot, asked):
    gate, begun, told = threading.Event(), threading.Event(), []
    asked.answered.connect(told.append)
    asked.ask(lambda: (begun.set(), gate.wait(10)))
    assert begun.wait(10)
    threading.Timer(0.05, gate.set).start()
    asked.close()
    assert gate.is_set()
    qtbot.wait(1)
    assert told == []
