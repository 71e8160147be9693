"""The report: scores of each class, and what they say in words."""

from __future__ import annotations

import math
from html import escape

from PySide6.QtCore import QSize, Qt, Signal, Slot
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import QBoxLayout, QFrame, QLabel, QScrollArea, QVBoxLayout, QWidget

from cnn_studio.core.evaluation.confusion import most_confused
from cnn_studio.core.evaluation.figures import Evaluation
from cnn_studio.core.evaluation.measured import Measured
from cnn_studio.core.percent import format_percent, format_percent_range
from cnn_studio.gui.look import theme
from cnn_studio.gui.look.wording import format_things
from cnn_studio.gui.widgets.paragraph import breakable, paragraph, reading_width
from cnn_studio.gui.widgets.score_table import ScoreTable, classes_by
from cnn_studio.gui.widgets.tile_view import one_line

_LEAST_CHARACTERS = 36
_LEAST_LINES = 6


class ReportTab(QWidget):
    """The table, and beside it the main points in sentences."""

    class_wanted = Signal(int)
    """A class whose images are to be seen."""

    cell_wanted = Signal(int, int)
    """A cell of the confusion matrix that is to be seen."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.table = ScoreTable()
        self.table.setToolTip("A double-click shows the images of a class.")
        self.table.class_activated.connect(self.class_wanted)
        self.words = QLabel()
        self.words.setTextFormat(Qt.TextFormat.RichText)
        self.words.setAlignment(Qt.AlignmentFlag.AlignTop)
        self.words.linkActivated.connect(self._on_link)
        card = QFrame()
        theme.set_card(card)
        inner = QVBoxLayout(card)
        inner.setContentsMargins(theme.SPACE_2, theme.SPACE_2, theme.SPACE_2, theme.SPACE_2)
        body = QWidget()
        text = paragraph(self.words)
        text.setContentsMargins(0, 0, 0, 0)
        body.setLayout(text)
        area = QScrollArea()  # sentences, class names and letters may be many, long and large
        area.setWidgetResizable(True)
        area.setFrameShape(QFrame.Shape.NoFrame)
        area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        area.setAccessibleName("What the scores say")
        area.setWidget(body)
        self.words.ensurePolished()
        letters = self.words.fontMetrics()
        area.setMinimumSize(_LEAST_CHARACTERS * letters.averageCharWidth(), _LEAST_LINES * letters.height())
        inner.addWidget(area)
        self._card = card
        layout = self._parts = QBoxLayout(QBoxLayout.Direction.LeftToRight, self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(theme.SPACE_2)
        layout.addWidget(self.table, 3)
        layout.addWidget(card, 2)
        self._measured: Measured | None = None
        theme.theme().theme_changed.connect(self._show_words)

    def minimumSizeHint(self) -> QSize:
        """Room for the table, with the sentences below it."""
        table, card = self.table.minimumSize(), self._card.minimumSizeHint()
        height = self.table.minimumSizeHint().height() + theme.SPACE_2 + card.height()
        return QSize(max(table.width(), card.width()), height)

    def resizeEvent(self, event: QResizeEvent) -> None:
        """The sentences stand beside the table, or below it where that leaves both too little room."""
        super().resizeEvent(event)
        beside = self.table.minimumWidth() + theme.SPACE_2 + self._card.minimumSizeHint().width() <= self.width()
        direction = QBoxLayout.Direction
        self._parts.setDirection(direction.LeftToRight if beside else direction.TopToBottom)
        self._card.setMaximumWidth(reading_width(self.words) + 2 * theme.SPACE_2 if beside else self.width())

    def show_measured(self, measured: Measured) -> None:
        """Show what was measured."""
        self._measured = measured
        self.table.scores.set_evaluation(measured.evaluation)
        self._show_words()

    @Slot()
    def _show_words(self) -> None:
        if self._measured is not None:
            self.words.setText("".join(f"<p>{part}</p>" for part in _words(self._measured)))

    @Slot(str)
    def _on_link(self, target: str) -> None:
        kind, *labels = target.split()
        if kind == "class":
            self.class_wanted.emit(int(labels[0]))
        else:
            self.cell_wanted.emit(int(labels[0]), int(labels[1]))


def _words(measured: Measured) -> list[str]:
    """The main points, as HTML sentences."""
    found = measured.evaluation
    if not math.isfinite(found.loss):
        return [
            "The model's answers are no numbers (NaN), so the figures mean nothing. Its training has gone astray: "
            "train again with a smaller learning rate."
        ]
    right = round(found.accuracy * found.images)
    parts = [
        f"<b>{right:,} of {format_things(found.images, 'image')}</b> are classified rightly. On other images of the "
        f"same kind, expect between {format_percent_range(found.accuracy_low, found.accuracy_high, ' and ')} "
        f"(95 % interval). Guessing the largest class would be right for {format_percent(found.guessing)}."
    ]
    if found.chose_epoch:
        parts.append(
            "These images chose the model: of all epochs the one with the lowest loss on them was kept, so their "
            "figures flatter it. Test images, which chose nothing, tell what to expect."
        )
    if found.top_k:
        k, among = found.top_k[0]
        parts.append(f"The true class is among the {k} most likely for {format_percent(among)} of them (top-{k}).")
    names = measured.class_names
    scored = classes_by(found, "f1")
    if len(scored) > 2:
        label_of = {name: label for label, name in enumerate(names)}
        best, worst = scored[-1], scored[0]
        parts.append(
            f"Easiest: {_link(f'class {label_of[best.name]}', best.name)} (F1 {format_percent(best.f1)}). "
            f"Hardest: {_link(f'class {label_of[worst.name]}', worst.name)} (F1 {format_percent(worst.f1)})."
        )
    if pairs := most_confused(found.confusion, 3):
        said = "<br>".join(
            _link(f"cell {pair.true} {pair.predicted}", one_line(pair.sentence(names))) for pair in pairs
        )
        parts.append(f"Most often confused:<br>{said}")
    else:
        parts.append("Not one image is classified wrongly.")
    if not measured.root.is_dir():
        gone = escape(breakable(one_line(str(measured.root))))
        parts.append(f"The images are no longer in {gone}, so they cannot be shown. The figures are kept.")
    if absent := [score.name for score in found.classes if not score.support]:
        parts.append(_absent_text(absent))
    if few := _few_images(found):
        parts.append(few)
    return parts


def _absent_text(absent: list[str]) -> str:
    named = ", ".join(escape(breakable(one_line(name))) for name in absent[:5])
    more = f" and {len(absent) - 5} more" if len(absent) > 5 else ""
    return f"There are no images of {named}{more} here, so nothing can be said of them."


def _few_images(found: Evaluation) -> str:
    width = found.accuracy_high - found.accuracy_low
    if width < 0.1:
        return ""
    return f"{format_things(found.images, 'image')} make a wide interval: with more of them it would be narrower."


def _link(target: str, text: str) -> str:
    return f'<a style="color: {theme.colours().accent}" href="{target}">{escape(breakable(one_line(text)))}</a>'
