"""Asks which values a network made elsewhere takes, and shows what comes of each answer."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from PySide6.QtCore import Qt, Slot
from PySide6.QtWidgets import (
    QButtonGroup,
    QDialog,
    QDialogButtonBox,
    QFileDialog,
    QGridLayout,
    QLabel,
    QRadioButton,
    QVBoxLayout,
    QWidget,
)

from cnn_studio.core.data.dataset import Dataset, some_of_each_class
from cnn_studio.core.evaluation.input_range import INPUT_RANGE_TEXT, InputRange, RangeTrial, best_fit
from cnn_studio.core.percent import format_percent
from cnn_studio.gui.jobs.job_thread import AnyJob
from cnn_studio.gui.look import theme
from cnn_studio.gui.look.wording import format_things
from cnn_studio.gui.state.models import Models
from cnn_studio.gui.widgets.tile_view import one_line

_TRIED_ON = 24  # pictures
_SHOWN = 2  # answers beside each range

_EXPLANATION = (
    "{name} does not say which values it was trained on. Given others than those, its answers mean nothing. Whoever "
    "made it knows: look for “rescale” or “preprocess_input” where it was trained. Kept in the file, and in an export, "
    "which takes 0 to 255 itself."
)


class InputRangeDialog(QDialog):
    """A choice for each range, with what the model says of some pictures then.

    Pictures are those of the data set, whose classes are known, else those that the model was shown; another can be
    chosen. Where classes are known, the range that fits best is offered.
    """

    def __init__(self, models: Models, dataset: Dataset | None, shown: Sequence[Path], parent: QWidget) -> None:
        super().__init__(parent)
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        assert models.opened is not None
        self._models = models
        self._trial: AnyJob | None = None
        self.setWindowTitle("Which values does it take?")
        explanation = QLabel(_EXPLANATION.format(name=models.opened.path.name))
        explanation.setTextFormat(Qt.TextFormat.PlainText)
        explanation.setWordWrap(True)
        rows = self._build_choices()
        known = models.opened.facts.input_range
        self._is_chosen = known is not None
        self.choices[known or InputRange.BYTES].setChecked(True)
        self.state = QLabel()
        self.state.setTextFormat(Qt.TextFormat.PlainText)
        self.state.setWordWrap(True)
        theme.set_text_size(self.state, theme.TextSize.SMALL)
        self.buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Ok | QDialogButtonBox.StandardButton.Cancel)
        self.buttons.button(QDialogButtonBox.StandardButton.Ok).setText("Give it these values")
        self.buttons.button(QDialogButtonBox.StandardButton.Cancel).setText("Cancel" if known else "I do not know")
        self.try_button = self.buttons.addButton("Try on a picture…", QDialogButtonBox.ButtonRole.ActionRole)
        self.try_button.clicked.connect(self._choose_picture)
        self.buttons.accepted.connect(self._accept)
        self.buttons.rejected.connect(self.reject)
        self.finished.connect(self._stop_trying)
        layout = QVBoxLayout(self)
        layout.setSpacing(theme.SPACE)
        layout.addWidget(explanation)
        layout.addLayout(rows)
        layout.addWidget(self.state)
        layout.addWidget(self.buttons)
        self.resize(620, self.sizeHint().height())
        self._try_first(dataset, shown)

    def _build_choices(self) -> QGridLayout:
        self.choices: dict[InputRange, QRadioButton] = {}
        self.previews: dict[InputRange, QLabel] = {}
        group = QButtonGroup(self)
        group.buttonClicked.connect(self._on_chosen)
        rows = QGridLayout()
        rows.setColumnStretch(1, 1)
        rows.setHorizontalSpacing(2 * theme.SPACE)
        for row, input_range in enumerate(InputRange):
            choice, preview = QRadioButton(INPUT_RANGE_TEXT[input_range]), QLabel()
            preview.setTextFormat(Qt.TextFormat.PlainText)
            theme.set_muted(preview)
            group.addButton(choice)
            self.choices[input_range], self.previews[input_range] = choice, preview
            rows.addWidget(choice, row, 0)
            rows.addWidget(preview, row, 1)
        return rows

    def _try_first(self, dataset: Dataset | None, shown: Sequence[Path]) -> None:
        if dataset is not None:
            files = some_of_each_class(dataset, _TRIED_ON)
            self.try_on([(dataset.path_of(file), dataset.class_names[file.label]) for file in files])
        elif shown:
            self.try_on([(path, "") for path in shown[:_SHOWN]])
        else:
            self.state.setText("Try it on a picture that you know the answer to.")

    def try_on(self, pictures: Sequence[tuple[Path, str]]) -> None:
        """Show what the model says of these pictures, each with the name of its class or "", given each range."""
        self._stop_trying()
        self.state.setText(f"Trying each on {format_things(len(pictures), 'picture')}…")
        self._trial = self._models.try_input_ranges(pictures, self._show_trials)

    def _show_trials(self, trials: Sequence[RangeTrial]) -> None:
        if self._trial is None:
            return
        self._trial = None
        self.state.setText("" if any(trial.answers for trial in trials) else "None of the pictures could be read.")
        best = best_fit(trials)
        for trial in trials:
            said = [f"{one_line(name)} {format_percent(probability)}" for name, probability in trial.answers[:_SHOWN]]
            if trial.images:
                said = [f"{trial.right} of {trial.images} right", *said[:1]]
            self.previews[trial.input_range].setText(
                " · ".join([*said, *(["fits best"] if trial.input_range is best else [])])
            )
        if best is not None and not self._is_chosen:
            self.choices[best].setChecked(True)

    @Slot()
    def _on_chosen(self) -> None:
        self._is_chosen = True

    @Slot()
    def _choose_picture(self) -> None:
        name, _ = QFileDialog.getOpenFileName(self, "Choose a picture")
        if name:
            self.try_on([(Path(name), "")])

    @Slot()
    def _stop_trying(self) -> None:
        if self._trial is not None:
            self._trial.token.cancel()
            self._trial = None

    @Slot()
    def _accept(self) -> None:
        chosen = next(input_range for input_range, choice in self.choices.items() if choice.isChecked())
        self._models.give_input_range(chosen)
        self.accept()
