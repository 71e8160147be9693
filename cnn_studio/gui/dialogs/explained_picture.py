"""One picture, large, with what the model says of it and where it looks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PySide6.QtCore import Qt, Signal, Slot
from PySide6.QtGui import QImage, QPixmap
from PySide6.QtWidgets import QCheckBox, QHBoxLayout, QLabel, QMenu, QSlider, QToolButton, QVBoxLayout, QWidget

from cnn_studio.core.percent import format_percent
from cnn_studio.core.text import printable
from cnn_studio.gui.dialogs.picture import PictureDialog
from cnn_studio.gui.look import theme
from cnn_studio.gui.state.evaluation import EvaluationState, ImageAction
from cnn_studio.gui.widgets.lazy_list import LazyList
from cnn_studio.gui.widgets.ranked_bars import Ranked, RankedBars
from cnn_studio.gui.widgets.tile_view import one_line

if TYPE_CHECKING:
    from cnn_studio.core.evaluation.heat import Explanation

_LINE = "No place speaks for a class with a name."
"""About as long as a line of the panel is to be; longer ones break."""

_USUAL_OPACITY = 60


@dataclass(frozen=True, slots=True)
class AnsweredPicture:
    """A picture with what is to be written below it and what the model said of it.

    Attributes:
        path: the file.
        caption: one line.
        ranked: (class name, probability 0–1), most likely first; empty for a file that could not be read.
        model: the file of the model that said so.
    """

    path: Path
    caption: str
    ranked: Ranked
    model: Path | None


def open_explained(
    pictures: Sequence[AnsweredPicture], path: Path, evaluation: EvaluationState, parent: QWidget
) -> PictureDialog:
    """Show pictures one at a time, beginning with ``path``, with what the model says of each beside it.

    Args:
        pictures: what the arrow keys go through. It may make its items when they are asked for.
        path: which of them to begin with.
        evaluation: answers where the model looks.
        parent: the window.
    """
    captions = LazyList(len(pictures), lambda place: (pictures[place].path, pictures[place].caption))
    dialog = PictureDialog(captions, path, parent)
    panel = ExplanationPanel(pictures, evaluation, dialog)
    dialog.body.addWidget(panel)
    dialog.shown.connect(panel.show_place)
    panel.overlay_changed.connect(dialog.canvas.lay_over)
    panel.show_place(dialog.place())
    if evaluation.image_actions is not None:
        decide = DecideButton(evaluation.image_actions, dialog)
        dialog.buttons.insertWidget(0, decide)
        dialog.shown.connect(decide.refresh)
    dialog.resize(1000, 660)
    dialog.open()
    return dialog


class DecideButton(QToolButton):
    """What can be decided about the picture shown, where it is one of the open data set; says what was decided."""

    def __init__(self, actions: Callable[[Sequence[Path]], Sequence[ImageAction]], dialog: PictureDialog) -> None:
        super().__init__(dialog)
        self._actions = actions
        self._dialog = dialog
        self.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        self.setMenu(QMenu(self))
        self.menu().aboutToShow.connect(self._fill)
        self.refresh()

    @Slot()
    def refresh(self) -> None:
        """Be about another picture."""
        self.setText("Leave out, or belongs to")
        possible = bool(self._actions([self._dialog.path()]))
        self.setEnabled(possible)
        self.setToolTip("The file stays where it is." if possible else "It is no picture of the folder that is open.")

    @Slot()
    def _fill(self) -> None:
        self.menu().clear()
        for text, act in self._actions([self._dialog.path()]):
            action = self.menu().addAction(printable(text).replace("&", "&&"))
            action.triggered.connect(partial(self._decide, printable(text), act))

    def _decide(self, text: str, act: Callable[[], object], _checked: bool = False) -> None:
        act()
        self.setText(f"Done: {text}".replace("&", "&&"))


class ExplanationPanel(QWidget):
    """Lists the classes of the picture shown, and gives a picture of where the model looks to lay over it."""

    overlay_changed = Signal(object, float)
    """A QPixmap, transparent where the model does not look, or None; and how opaque it is to be, 0–1."""

    def __init__(
        self, pictures: Sequence[AnsweredPicture], evaluation: EvaluationState, parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        self._pictures = pictures
        self._place = 0
        self._evaluation = evaluation
        self._explanation: Explanation | None = None
        self._build()
        evaluation.changed.connect(self._look)
        evaluation.explained.connect(self._on_explained)
        evaluation.not_explained.connect(self._on_not_explained)
        self.destroyed.connect(evaluation.stop_explaining)

    def _build(self) -> None:
        title = QLabel("What the model says")
        theme.set_text_size(title, theme.TextSize.BODY, bold=True)
        self.bars = RankedBars()
        self.bars.class_chosen.connect(self._look)
        self.looking = QCheckBox("Show &where it looks")
        self.looking.setToolTip(
            "Colours the places that speak for the chosen class, yellow most, violet least (Grad-CAM).\n"
            "Choose another class above to see what speaks for that one."
        )
        self.looking.toggled.connect(self._look)
        self.opacity = QSlider(Qt.Orientation.Horizontal)
        self.opacity.setRange(0, 100)
        self.opacity.setPageStep(10)
        self.opacity.setValue(_USUAL_OPACITY)
        self.opacity.setAccessibleName("Opacity")
        self.opacity.setToolTip("How strongly the colours cover the picture")
        self.opacity.valueChanged.connect(self._draw)
        caption = QLabel("&Opacity")
        caption.setBuddy(self.opacity)
        row = QHBoxLayout()
        row.setSpacing(theme.SPACE)
        row.addWidget(caption)
        row.addWidget(self.opacity, 1)
        self.said = QLabel()
        self.said.setWordWrap(True)
        self.said.setTextFormat(Qt.TextFormat.PlainText)
        self.said.setAlignment(Qt.AlignmentFlag.AlignTop)
        self.said.setMinimumHeight(4 * self.said.fontMetrics().lineSpacing())
        theme.set_muted(self.said)
        self.setFixedWidth(self.fontMetrics().horizontalAdvance(_LINE))
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(theme.SPACE)
        column.addWidget(title)
        column.addWidget(self.bars, 1)
        column.addWidget(self.looking)
        column.addLayout(row)
        column.addWidget(self.said)

    @Slot(int)
    def show_place(self, place: int) -> None:
        """Be about another picture."""
        self._place = place
        ranked = self._pictures[place].ranked
        self.bars.blockSignals(True)
        self.bars.set_ranked(ranked)
        self.bars.blockSignals(False)
        self._look()

    def _path(self) -> Path:
        return self._pictures[self._place].path

    @Slot()
    def _look(self) -> None:
        self._explanation = None
        # What one model answers is never shown beside where another one looks.
        same_model = self._pictures[self._place].model == self._evaluation.model_path
        self.looking.setEnabled(same_model and bool(self._pictures[self._place].ranked))
        if not same_model:
            self._evaluation.stop_explaining()
            self.said.setText("These are answers of a model that is not open any more, so where it looks is not shown.")
        elif self.looking.isChecked() and self.bars.chosen():
            most_likely = self.bars.currentIndex().row() == 0
            name = "" if most_likely else self.bars.chosen()
            self._explanation = self._evaluation.explain(self._path(), name)
            self.said.setText(self._waiting_text())
        else:
            self._evaluation.stop_explaining()
            self.said.setText("")
        self._draw()

    def _waiting_text(self) -> str:
        if self._explanation is not None:
            return ""
        training = self._evaluation.is_training()
        return "This is shown when the training has ended." if training else "Looking…"

    @Slot()
    def _draw(self) -> None:
        self.opacity.setEnabled(self._explanation is not None)
        if (found := self._explanation) is None:
            self.overlay_changed.emit(None, 0.0)
            return
        self.overlay_changed.emit(QPixmap.fromImage(heat_image(found)), self.opacity.value() / 100)
        name, share = one_line(found.class_name), format_percent(found.probability)
        rows, columns = found.map_size
        if found.heat.any():
            self.said.setText(
                f"Yellow places speak most for {name} ({share}). Seen by the layer {found.layer}, "
                f"which divides the picture into {columns} × {rows} fields."
            )
        else:
            self.said.setText(f"No place speaks for {name} ({share}).")

    @Slot(object)
    def _on_explained(self, explanation: Explanation) -> None:
        meant = self.bars.currentIndex().row() == 0 or explanation.class_name == self.bars.chosen()
        if self.looking.isChecked() and explanation.path == self._path() and meant:
            self._explanation = explanation
            self._draw()

    @Slot(object, str)
    def _on_not_explained(self, path: Path, reason: str) -> None:
        if self.looking.isChecked() and path == self._path():
            self.said.setText(reason)


def heat_image(explanation: Explanation) -> QImage:
    """The heat map in its colours, the colder the more transparent; as ``core.heat.overlay`` mixes them."""
    from cnn_studio.core.evaluation.heat import heat_colours

    heat = np.clip(explanation.heat, 0.0, 1.0)
    cover = np.rint(255 * np.sqrt(heat)).astype(np.uint8)
    pixels = np.dstack([heat_colours(heat), cover])
    height, width, _ = pixels.shape
    return QImage(pixels.tobytes(), width, height, 4 * width, QImage.Format.Format_RGBA8888).copy()
