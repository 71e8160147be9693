"""The Qt binding itself: a version that miscounts references ends the process after some minutes of use."""

import sys

import PySide6
from PySide6.QtCore import QAbstractListModel, Signal, Slot
from PySide6.QtWidgets import QWidget

CALLS = 500


class Painted(QWidget):
    told = Signal(object)

    def paintEvent(self, event):
        pass

    @Slot(object)
    def hear(self, what):
        pass


class Empty(QAbstractListModel):
    def rowCount(self, parent=None):
        return 1

    def data(self, index, role=0):
        return None


def test_calls_return_as_many_references_to_none_as_they_take(qtbot):
    widget, model = Painted(), Empty()
    qtbot.addWidget(widget)
    widget.told.connect(widget.hear)
    widget.show()
    index = model.index(0, 0)
    before = sys.getrefcount(None)
    for _ in range(CALLS):
        widget.repaint()
        index.data()
        widget.told.emit(None)
        widget.setObjectName("any")
    assert abs(sys.getrefcount(None) - before) < CALLS / 2, f"PySide6 {PySide6.__version__} loses references to None"
