"""How sure: whether the probabilities are honest, and when the model should rather say that it does not know."""

from __future__ import annotations

import math

from PySide6.QtCore import Qt, Slot
from PySide6.QtWidgets import QFrame, QHBoxLayout, QLabel, QMenu, QPushButton, QSlider, QVBoxLayout, QWidget

from cnn_studio.core.evaluation.calibration import Coverage, at_threshold, choose_threshold, reliability
from cnn_studio.core.evaluation.measured import Measured
from cnn_studio.core.percent import format_percent, format_percent_range
from cnn_studio.gui.look import theme
from cnn_studio.gui.state.evaluation import EvaluationState
from cnn_studio.gui.widgets.coverage_plot import CoveragePlot
from cnn_studio.gui.widgets.paragraph import paragraph
from cnn_studio.gui.widgets.reliability_plot import ReliabilityPlot
from cnn_studio.tasks import Temperature

_STEPS = 1000
"""Of the slider: a tenth of a percent each."""

_GOALS = (0.9, 0.95, 0.99)
_WORTH_TELLING = 0.01
_HELP = (
    "Divides what the network computes before the last softmax by one number, the temperature, fitted on the "
    "validation images.\nWhich class comes first stays the same, and so does the accuracy. The exported model has it "
    "inside."
)


class SurenessTab(QWidget):
    """Reliability on the left, the threshold on the right."""

    def __init__(self, evaluation: EvaluationState, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._evaluation = evaluation
        self._measured: Measured | None = None
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(theme.SPACE_2)
        layout.addWidget(self._build_honesty(), 1)
        layout.addWidget(self._build_threshold(), 1)
        theme.theme().theme_changed.connect(self._on_theme)
        self._on_theme()

    def _build_honesty(self) -> QWidget:
        self.reliability_plot = ReliabilityPlot()
        self.error_text = _paragraph()
        self.temperature_text = _paragraph()
        self.honest_button = QPushButton("Make probabilities honest")
        self.honest_button.clicked.connect(lambda: self._evaluation.calibrate(Temperature.FIT))
        self.trained_button = QPushButton("Back to as trained")
        self.trained_button.setToolTip("Take the temperature out of the model again.")
        self.trained_button.hide()
        self.trained_button.clicked.connect(lambda: self._evaluation.calibrate(Temperature.REMOVE))
        self.bars_legend = QLabel()
        self.bars_legend.setWordWrap(True)
        self.bars_legend.setTextFormat(Qt.TextFormat.RichText)
        box = QWidget()
        column = QVBoxLayout(box)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(theme.SPACE_HALF)
        column.addWidget(self.bars_legend)
        column.addWidget(self.reliability_plot, 1)
        return _card(
            "Are its probabilities honest?",
            self.error_text,
            box,
            self.temperature_text,
            [self.trained_button, self.honest_button],
        )

    def _build_threshold(self) -> QWidget:
        self.coverage_plot = CoveragePlot()
        self.coverage_plot.threshold_dragged.connect(self._on_dragged)
        self.legend = QLabel()
        self.legend.setWordWrap(True)
        self.legend.setTextFormat(Qt.TextFormat.RichText)
        self.slider = QSlider(Qt.Orientation.Horizontal)
        self.slider.setRange(0, _STEPS - 1)  # no answer has more than 100 %
        self.slider.setSingleStep(10)
        self.slider.setPageStep(50)
        self.slider.setAccessibleName("Probability an answer needs")
        self.slider.valueChanged.connect(self._on_slid)
        self.amount = QLabel()
        self.amount.setMinimumWidth(self.amount.fontMetrics().horizontalAdvance("100.0 %"))
        self.coverage_text = _paragraph()
        theme.set_text_size(self.coverage_text, theme.TextSize.BODY, bold=True)
        self.kept_text = _paragraph()
        theme.set_muted(self.kept_text)
        self.keep_button = QPushButton("Keep in the model")
        self.keep_button.clicked.connect(lambda: self._evaluation.set_threshold(self.threshold()))
        self.goal_button = QPushButton("Choose by accuracy ▾")
        self.goal_button.setToolTip(
            "Put the line where at least so many of the answers are right, of new pictures too: these images show it "
            "with 95 % confidence."
        )
        self.goals = QMenu(self.goal_button)
        self.goals.aboutToShow.connect(self._fill_goals)
        self.goal_button.setMenu(self.goals)
        self.always_button = QPushButton("Always answer")
        self.always_button.setToolTip("Take the threshold out of the model again.")
        self.always_button.clicked.connect(lambda: self._evaluation.set_threshold(0.0))
        about = _paragraph()
        about.setText(
            "Below a probability that you choose, it says “not sure” rather than name a class: so a picture that is "
            "none of the classes need not be forced into one. Drag the line."
        )
        row = QHBoxLayout()
        row.setSpacing(theme.SPACE)
        row.addWidget(self.slider, 1)
        row.addWidget(self.amount)
        row.addWidget(self.goal_button)
        box = QWidget()
        column = QVBoxLayout(box)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(theme.SPACE_HALF)
        column.addWidget(self.legend)
        column.addWidget(self.coverage_plot, 1)
        column.addLayout(row)
        column.addLayout(paragraph(self.coverage_text))
        return _card(
            "When should it say “I don't know”?",
            about,
            box,
            self.kept_text,
            [self.always_button, self.keep_button],
        )

    # -- showing ------------------------------------------------------------------------------------------------

    def show_measured(self, measured: Measured) -> None:
        """Show what was measured, with the line at the model's threshold."""
        self._measured = measured
        found = reliability(measured.confidence, measured.right)
        self.reliability_plot.show_reliability(found)
        self.error_text.setText(_honesty_text(measured, found.error))
        self.coverage_plot.show_answers(measured.confidence, measured.right)
        self.temperature_text.setText(_temperature_text(measured))
        self.set_threshold(measured.threshold)
        self.show_state()

    def show_state(self) -> None:
        """Show what the model holds now, and what can be done."""
        measured = self._measured
        if measured is None:
            return
        busy = self._evaluation.is_calibrating()
        self.honest_button.setVisible(measured.temperature == 1.0)
        self.honest_button.setEnabled(not busy)
        self.honest_button.setToolTip("The model is being changed." if busy else _HELP)
        self.trained_button.setVisible(measured.temperature != 1.0)
        self.trained_button.setEnabled(not busy)
        self.always_button.setVisible(measured.threshold > 0)
        self.always_button.setEnabled(not busy)
        kept = abs(measured.threshold - self.threshold()) < 0.5 / _STEPS
        self.keep_button.setEnabled(not busy and not kept)
        self.keep_button.setToolTip(
            "The model holds this threshold."
            if kept
            else "It is used wherever this model predicts, and exported with it."
        )
        self.kept_text.setText(
            f"The model asks for {_percent(measured.threshold)}."
            if measured.threshold
            else "The model has no threshold: it always answers."
        )

    def threshold(self) -> float:
        """The threshold the line is at, 0–1."""
        return self.slider.value() / _STEPS

    def set_threshold(self, threshold: float) -> None:
        """Put the line somewhere, 0–1."""
        self.slider.setValue(round(threshold * _STEPS))
        self._show_coverage()

    def coverage(self) -> Coverage | None:
        """What the threshold does to the images measured."""
        measured = self._measured
        return None if measured is None else at_threshold(measured.confidence, measured.right, self.threshold())

    @Slot()
    def _fill_goals(self) -> None:
        self.goals.clear()
        for goal in _GOALS:
            value = self._first_step(goal)
            action = self.goals.addAction(f"At least {format_percent(goal)} of the answers right")
            if value is None:
                action.setText(f"{action.text()}: not shown by these images")
                action.setEnabled(False)
            else:
                action.triggered.connect(lambda _=False, value=value: self.slider.setValue(value))

    def _first_step(self, goal: float) -> int | None:
        """The lowest place of the slider at which at least so many of the answers (0–1) are shown to be right."""
        measured = self._measured
        chosen = None if measured is None else choose_threshold(measured.confidence, measured.right, goal)
        return None if chosen is None else min(math.ceil(chosen * _STEPS), _STEPS - 1)

    @Slot(float)
    def _on_dragged(self, threshold: float) -> None:
        self.slider.setValue(round(threshold * _STEPS))

    @Slot(int)
    def _on_slid(self, value: int) -> None:
        self.coverage_plot.set_threshold(value / _STEPS)
        self._show_coverage()
        self.show_state()

    def _show_coverage(self) -> None:
        self.amount.setText(_percent(self.threshold()))
        if (found := self.coverage()) is not None:
            self.coverage_text.setText(coverage_text(found).replace(" %", "\N{NO-BREAK SPACE}%"))

    @Slot()
    def _on_theme(self) -> None:
        self.reliability_plot.restyle()
        self.coverage_plot.restyle()
        colour = theme.colours()
        self.bars_legend.setText(
            f'<span style="color:{colour.accent}">■</span> how often it is right&nbsp;&nbsp;&nbsp;'
            f'<span style="color:{colour.validation}">▨</span> gap to what it claims'
        )
        self.legend.setText(
            f'<span style="color:{colour.validation}">━</span> images answered (coverage)&nbsp;&nbsp;&nbsp;'
            f'<span style="color:{colour.accent}">━</span> answers right (accuracy)'
        )


def coverage_text(found: Coverage) -> str:
    """What a threshold does, in a sentence: ``Answers 87 % of the images, 96 % of these right (94–98 %).``."""
    if not found.answered:
        return "Answers none of the images."
    return (
        f"Answers {format_percent(found.coverage)} of the images, {format_percent(found.accuracy)} of these right "
        f"({format_percent_range(found.low, found.high)})."
    )


def _honesty_text(measured: Measured, error: float) -> str:
    if not math.isfinite(error):
        return "The model's answers are no numbers (NaN), so it cannot be said how honest they are."
    text = (
        "When it says 80 %, it should be right 80 times out of 100: bars up to the dashed line. On these images it is "
        f"off by {100 * error:.1f} percentage points on average (expected calibration error, ECE)"
    )
    gap = float(measured.confidence.mean()) - float(measured.right.mean()) if len(measured.right) else 0.0
    if abs(gap) < _WORTH_TELLING:
        return text + "."
    return text + (", mostly too sure." if gap > 0 else ", mostly not sure enough.")


def _temperature_text(measured: Measured) -> str:
    if measured.temperature == 1.0:
        return "The model is as it was trained."
    trained = measured.at_temperature(1.0)
    before = reliability(trained.confidence, trained.right).error
    after = reliability(measured.confidence, measured.right).error
    return (
        f"Temperature {measured.temperature:.2f} is part of the model. On these images the error (ECE) went from "
        f"{100 * before:.1f} to {100 * after:.1f} percentage points; the accuracy stayed."
    )


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def _paragraph() -> QLabel:
    label = QLabel()
    label.setTextFormat(Qt.TextFormat.PlainText)
    return label


def _card(title: str, about: QLabel, body: QWidget, below: QLabel, buttons: list[QPushButton]) -> QFrame:
    card = QFrame()
    theme.set_card(card)
    heading = QLabel(title)
    theme.set_text_size(heading, theme.TextSize.BODY, bold=True)
    foot = QHBoxLayout()
    foot.setSpacing(theme.SPACE)
    foot.addStretch(1)
    for button in buttons:
        foot.addWidget(button)
    column = QVBoxLayout(card)
    column.setContentsMargins(theme.SPACE_2, theme.SPACE_2, theme.SPACE_2, theme.SPACE_2)
    column.setSpacing(theme.SPACE)
    column.addWidget(heading)
    column.addLayout(paragraph(about))
    column.addWidget(body, 1)
    column.addLayout(paragraph(below))
    column.addLayout(foot)
    return card
