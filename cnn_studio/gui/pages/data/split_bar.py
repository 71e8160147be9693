"""How the images are shared out for training, validation and test, in one line."""

from __future__ import annotations

from html import escape

from PySide6.QtCore import QSignalBlocker, Qt, Slot
from PySide6.QtWidgets import QHBoxLayout, QLabel, QPushButton, QWidget

from cnn_studio.core.data.image_file import Split
from cnn_studio.core.text import printable
from cnn_studio.gui.look import theme
from cnn_studio.gui.pages.data.split_dialog import SplitDialog
from cnn_studio.gui.state.session import Session
from cnn_studio.gui.widgets.fields import PercentBox
from cnn_studio.gui.widgets.paragraph import breakable, paragraph


class SplitBar(QWidget):
    """The two shares, what comes of them, and a dialog for the rest."""

    def __init__(self, session: Session) -> None:
        super().__init__()
        self._session = session
        self._project = session.project
        self._data = session.data
        self.validation = _percent_box("Share of the images used to check the network while it trains.")
        self.test = _percent_box("Share of the images kept for one final test, never used in training.")
        for box in (self.validation, self.test):
            box.valueChanged.connect(self._on_edited)
        self.text = QLabel()
        self.text.setTextFormat(Qt.TextFormat.RichText)
        self.more_button = QPushButton("Split options…")
        self.more_button.setToolTip("What stays together, another shuffle, a split from a file or into one.")
        self.more_button.clicked.connect(self._open_dialog)
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(theme.SPACE_2)
        for caption, box in (("&Validation", self.validation), ("T&est", self.test)):
            label = QLabel(caption)
            label.setBuddy(box)
            pair = QHBoxLayout()
            pair.setSpacing(theme.SPACE)
            pair.addWidget(label)
            pair.addWidget(box)
            layout.addLayout(pair)
        layout.addLayout(paragraph(self.text), 1)
        layout.addWidget(self.more_button, 0, Qt.AlignmentFlag.AlignVCenter)
        for signal in (
            session.project.experiment_changed,
            session.project.dataset_opened,
            session.project.dataset_altered,
            session.project.listed_changed,
            session.weights.changed,
            session.data.view_changed,
        ):
            signal.connect(self.refresh)
        self.refresh()

    @Slot()
    def refresh(self) -> None:
        """Show the split that will be used."""
        dataset, split, view = self._project.dataset, self._project.experiment.split, self._data.view
        for box, value in ((self.validation, split.validation), (self.test, split.test)):
            with QSignalBlocker(box):
                box.set_fraction(value)
        checking = self._project.listed is not None
        given = dataset.given_splits if dataset else frozenset()
        why = "The images come divided." if given else ""
        for box, is_open in (
            (self.validation, Split.VALIDATION not in given),
            (self.test, not given - {Split.TRAIN}),
        ):
            box.setEnabled(is_open and not checking and dataset is not None)
            box.setToolTip(box.property("tip") if is_open else why)
        self.more_button.setEnabled(dataset is not None and not checking)
        if checking or dataset is None:
            self.text.setText("The images are shared out when they have been checked.")
            return
        if view is None or view.scanned is not dataset:
            self.text.setText("The images are being shared out…")
            return
        # While a change is worked out the figures before it stay: nothing blinks.
        text = " · ".join(f"{part} <b>{count:,}</b>" for part, count in view.totals.items())
        text += self._remark(given)
        if reason := self._session.training.why_not_train():
            text += f'<br><span style="color: {theme.colours().error}">{escape(breakable(str(reason)))}</span>'
        self.text.setText(text)

    def _remark(self, given: frozenset[Split]) -> str:
        """Why the shares are not all there is to it."""
        if (source := self._session.split_file.path) is not None:
            return f" — as {escape(breakable(printable(source.name)))} says"
        if given:
            folders = " and ".join(part.value for part in Split if part in given)
            return f" — the folder comes divided: its {folders} images are used as they are"
        if self._project.experiment.split.group_pattern:
            return " — what the file-name rule groups stays together"
        return ""

    @Slot()
    def _on_edited(self) -> None:
        error = self._project.change(
            {"split.validation": self.validation.fraction(), "split.test": self.test.fraction()}
        )
        self._project.mark_wrong("split", str(error).removeprefix("split: ") if error else "")
        if error:
            self.text.setText(f'<span style="color: {theme.colours().error}">{escape(breakable(str(error)))}</span>')

    @Slot()
    def _open_dialog(self) -> None:
        SplitDialog(self._session, self).open()


def _percent_box(tip: str) -> PercentBox:
    box = PercentBox(most=0.8)
    box.setProperty("tip", tip)
    box.setToolTip(tip)
    return box
