"""Galleries: the images worth looking at, of all classes or of one."""

from __future__ import annotations

from PySide6.QtCore import Qt, Slot
from PySide6.QtWidgets import (
    QButtonGroup,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QStackedLayout,
    QVBoxLayout,
    QWidget,
)

from cnn_studio.core.evaluation.galleries import least_sure, most_typical, most_wrong
from cnn_studio.core.evaluation.measured import Measured
from cnn_studio.gui.look import theme
from cnn_studio.gui.pages.evaluate.gallery import EvaluatedGallery
from cnn_studio.gui.state.evaluation import EvaluationState
from cnn_studio.gui.widgets.fields import DropDown
from cnn_studio.gui.widgets.paragraph import paragraph
from cnn_studio.gui.widgets.tile_view import one_line

_ALL = -1
_MOST = 60
_GALLERIES = {
    "wrong": (
        "Surest and &wrong",
        most_wrong,
        "The model was sure of these and is wrong. Look for images in the wrong folder, for two things in one picture, "
        "and for what the images have in common.",
        "No image of this choice is classified wrongly.",
    ),
    "unsure": (
        "&Least sure",
        least_sure,
        "The model could hardly decide here. More images like these teach it the most.",
        "There are no images of this choice.",
    ),
    "typical": (
        "Most &typical",
        most_typical,
        "The model is surest of these, and right. They show what it has taken each class to be.",
        "No image of this choice is classified rightly.",
    ),
}


class GalleriesTab(QWidget):
    """One gallery at a time: surest and wrong, least sure, most typical."""

    def __init__(self, evaluation: EvaluationState, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._measured: Measured | None = None
        self.choices: dict[str, QPushButton] = {}
        self._group = QButtonGroup(self)
        head = QHBoxLayout()
        head.setSpacing(theme.SPACE)
        for key, (text, *_) in _GALLERIES.items():
            button = QPushButton(text)
            button.setCheckable(True)
            theme.flat_button(button)
            button.clicked.connect(self._show)
            self._group.addButton(button)
            self.choices[key] = button
            head.addWidget(button)
        self.choices["wrong"].setChecked(True)
        head.addStretch(1)
        self.of_class = DropDown(shrinks=True)
        self.of_class.setAccessibleName("True class of the images shown")
        self.of_class.currentIndexChanged.connect(self._show)
        head.addWidget(self.of_class)
        self.about = QLabel()
        theme.set_muted(self.about)
        self.gallery = EvaluatedGallery(evaluation)
        self.nothing = QLabel()
        self.nothing.setAlignment(Qt.AlignmentFlag.AlignCenter)
        theme.set_card(self.nothing)
        body = QWidget()
        self._either = QStackedLayout(body)
        self._either.addWidget(self.gallery)
        self._either.addWidget(self.nothing)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(theme.SPACE)
        layout.addLayout(head)
        layout.addLayout(paragraph(self.about))
        layout.addWidget(body, 1)

    def show_measured(self, measured: Measured) -> None:
        """Show what was measured, of the class chosen before where there still is one of that name."""
        before = self.of_class.currentText()
        self._measured = measured
        self.of_class.blockSignals(True)
        self.of_class.clear()
        self.of_class.addItem("All classes", _ALL)
        for label, score in enumerate(measured.evaluation.classes):
            if score.support:
                self.of_class.addItem(one_line(score.name), label)
        self.of_class.setCurrentIndex(max(0, self.of_class.findText(before)))
        self.of_class.blockSignals(False)
        self._show()

    def show_class(self, label: int) -> None:
        """Show the images of one true class."""
        self.of_class.setCurrentIndex(max(0, self.of_class.findData(label)))

    def show_gallery(self, key: str) -> None:
        """Show a gallery: "wrong", "unsure" or "typical"."""
        self.choices[key].click()

    @Slot()
    def _show(self) -> None:
        if self._measured is None:
            return
        key = next(key for key, button in self.choices.items() if button.isChecked())
        _, pick, about, nothing = _GALLERIES[key]
        label = self.of_class.currentData()
        places = pick(self._measured, _MOST, None if label == _ALL else label)
        self.about.setText(about)
        self.nothing.setText(nothing)
        self.gallery.show_places(self._measured, places)
        self._either.setCurrentIndex(0 if len(places) else 1)
