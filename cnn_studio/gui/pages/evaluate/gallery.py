"""Measured images side by side, and what can be done with each."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QPoint, Slot
from PySide6.QtWidgets import QMenu, QWidget

from cnn_studio.gui.dialogs.explained_picture import AnsweredPicture, open_explained
from cnn_studio.gui.state.evaluation import EvaluationState
from cnn_studio.gui.widgets.lazy_list import LazyList
from cnn_studio.gui.widgets.verdict_grid import Verdict, VerdictGrid

if TYPE_CHECKING:
    from cnn_studio.core.evaluation.measured import Measured

Places = NDArray[np.intp]


class EvaluatedGallery(VerdictGrid):
    """Images of a measurement; a double-click shows one large, with its probabilities and where the model looks."""

    def __init__(self, evaluation: EvaluationState, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._evaluation = evaluation
        self._measured: Measured | None = None
        self._places: Places = np.zeros(0, np.intp)
        self.image_activated.connect(self.open_large)
        self.menu_wanted.connect(self._open_menu)

    def show_places(self, measured: Measured, places: Places) -> None:
        """Show these of the measured images."""
        self._measured, self._places = measured, places
        self.set_verdicts(verdicts(measured, places))

    def clear_places(self) -> None:
        """Show none."""
        self._measured, self._places = None, np.zeros(0, np.intp)
        self.set_verdicts(())

    @Slot(object)
    def open_large(self, path: Path) -> None:
        """Show one of them large; the arrow keys go through the others."""
        measured, places = self._measured, self._places
        if measured is None:
            return
        shown = self.verdicts()
        pictures = LazyList(
            len(places),
            lambda row: AnsweredPicture(
                shown[row].path, shown[row].sentence, measured.ranked(int(places[row])), measured.model
            ),
        )
        open_explained(pictures, path, self._evaluation, self)

    @Slot(list, QPoint)
    def _open_menu(self, paths: Sequence[Path], where: QPoint) -> None:
        menu = self.menu_for(paths)
        menu.popup(where)

    def menu_for(self, paths: Sequence[Path]) -> QMenu:
        """What can be done with images: look closer, and what the data set's page offers for them."""
        menu = QMenu(self)
        menu.aboutToHide.connect(menu.deleteLater)
        menu.addAction("Show large, and where it looks").triggered.connect(lambda: self.open_large(paths[0]))
        offer = self._evaluation.image_actions
        if offer and (actions := offer(paths)):
            menu.addSeparator()
            for text, act in actions:
                menu.addAction(text).triggered.connect(lambda _=False, act=act: act())
        return menu


def verdicts(measured: Measured, places: Places) -> Sequence[Verdict]:
    """What the model said of these of the measured images, made when asked for."""
    names = measured.class_names

    def make(row: int) -> Verdict:
        place = int(places[row])
        true, predicted = names[int(measured.labels[place])], names[int(measured.predicted[place])]
        return Verdict(measured.path_of(place), true, predicted, float(measured.confidence[place]))

    return LazyList(len(places), make)
