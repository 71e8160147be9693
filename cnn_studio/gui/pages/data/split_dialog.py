"""What is rarely changed about the split: what stays together, the seed, a split from a file or into one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from PySide6.QtCore import Qt, Slot
from PySide6.QtWidgets import (
    QDialogButtonBox,
    QFileDialog,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from cnn_studio.core.data.dataset import Dataset
from cnn_studio.core.name_pattern import NamePattern
from cnn_studio.core.text import printable
from cnn_studio.gui.dialogs.save_file import ask_target
from cnn_studio.gui.jobs.latest_answer import LatestAnswer
from cnn_studio.gui.look import theme
from cnn_studio.gui.look.wording import format_things
from cnn_studio.gui.pages.settings_form import SettingsForm
from cnn_studio.gui.state.session import Session
from cnn_studio.gui.widgets.growing_dialog import GrowingDialog
from cnn_studio.gui.widgets.paragraph import breakable, paragraph


class SplitDialog(GrowingDialog):
    """Every change works at once; there is nothing to confirm."""

    def __init__(self, session: Session, parent: QWidget) -> None:
        super().__init__(parent)
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self._project = session.project
        self._data = session.data
        self._split_file = session.split_file
        self.setWindowTitle("Split options")
        self.form = SettingsForm(session.project, self)
        self.rule = QLineEdit()
        self.rule.setPlaceholderText("none")
        self.rule.setClearButtonEnabled(True)
        rows = [
            self.form.setting("split.keep_similar_together"),
            self.form.setting("split.group_pattern", title="Keep together by &file name", field=self.rule),
        ]
        self.similar = rows[0].field
        self.groups = QLabel()
        theme.set_text_size(self.groups, theme.TextSize.SMALL)
        files = self._build_files()
        buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Close)
        buttons.rejected.connect(self.reject)
        layout = QVBoxLayout(self)
        layout.setSpacing(theme.SPACE_2)
        layout.addWidget(rows[0])
        together = QVBoxLayout()
        together.setSpacing(theme.SPACE_HALF)
        together.addWidget(rows[1])
        together.addLayout(paragraph(self.groups))
        layout.addLayout(together)
        layout.addWidget(self.form.setting("split.seed", title="See&d"))
        layout.addLayout(paragraph(self.file_text))
        layout.addLayout(files)
        layout.addStretch(1)
        layout.addWidget(buttons)
        self.resize(560, 0)
        self._counting = LatestAnswer(self)
        self._counting.answered.connect(lambda text: self.groups.setText(breakable(text)))
        self.rule.textEdited.connect(self.refresh)
        for signal in (
            session.project.experiment_changed,
            session.project.dataset_opened,
            session.project.dataset_altered,
            session.data.view_changed,
        ):
            signal.connect(self.refresh)
        self.finished.connect(self.form.refresh)  # closing it gives up what could not be used
        self.form.refresh()
        self.refresh()

    def _build_files(self) -> QHBoxLayout:
        self.file_text = QLabel()
        self.save_button = QPushButton("Save split…")
        self.save_button.setToolTip("A CSV table of path, class and split, to use again or elsewhere.")
        self.save_button.clicked.connect(self._save)
        self.use_button = QPushButton("Use a split file…")
        self.use_button.setToolTip("A CSV table with the columns path and split, as saved here or by a run.")
        self.use_button.clicked.connect(self._use)
        self.forget_button = QPushButton("Use the settings again")
        self.forget_button.clicked.connect(self._split_file.forget)
        files = QHBoxLayout()
        files.setSpacing(theme.SPACE)
        for button in (self.save_button, self.use_button, self.forget_button):
            button.setAutoDefault(False)
            files.addWidget(button)
        files.addStretch(1)
        return files

    @Slot()
    def refresh(self) -> None:
        """Show what the rule groups and where the split comes from."""
        pattern, used = self._project.experiment.split.group_pattern, self._data.used
        self.groups.setVisible(bool(pattern) and self.rule.text() == pattern)  # not what was right before
        if pattern and used is not None:
            self._counting.ask(partial(rule_text, used, pattern))
        source = self._split_file.path
        given = bool(self._project.dataset and self._project.dataset.given_splits)
        self.file_text.setText(
            f"The images are shared out as {breakable(printable(str(source)))} says, not by the settings above."
            if source
            else "The folder comes divided; that division is used as it is."
            if given
            else "The split follows from these settings. It can be kept in a file."
        )
        self.forget_button.setVisible(source is not None)
        for widget in (self.similar, self.rule, self.form.row("split.seed").field):
            widget.setEnabled(source is None)
            widget.setToolTip("" if source is None else f"The split comes from {printable(source.name)}.")

    @Slot()
    def _save(self) -> None:
        target = ask_target(self, "Save the split", "split.csv", "CSV (*.csv)")
        if target and (view := self._data.view) is not None:
            self._split_file.save(view, target.path)

    @Slot()
    def _use(self) -> None:
        name, _ = QFileDialog.getOpenFileName(self, "Use a split file", "", "CSV (*.csv);;All files (*)")
        if name:
            self._split_file.use(Path(name))


def rule_text(dataset: Dataset, pattern: str) -> str:
    """What a file-name rule does to the images, a sentence; it reads every file's path."""
    found = NamePattern(pattern)  # the engine that shares them out, which always comes to an end
    sizes: Counter[Sequence[str]] = Counter()
    for file in dataset.files:
        if match := found.find(printable(file.path)):
            sizes[tuple(part or "" for part in match)] += 1
    if not sizes:
        return f"The rule finds nothing in any file's path, for example not in {printable(dataset.files[0].path)}."
    named, most = sizes.most_common(1)[0]
    missed = len(dataset.files) - sizes.total()
    text = f"{format_things(len(sizes), 'group')}; the largest, “{printable(' '.join(named))}”, has "
    text += f"{format_things(most, 'image')}."
    return text + (f" In {format_things(missed, 'path')} the rule finds nothing." if missed else "")
