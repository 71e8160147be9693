"""A split kept in a file, and one taken from a file instead of the settings."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path

from PySide6.QtCore import QObject, Slot

from cnn_studio.core.atomic_file import write_text
from cnn_studio.core.data.dataset import Dataset
from cnn_studio.core.data.split import count_ahead
from cnn_studio.core.data.split_file import read_split, split_csv, with_split
from cnn_studio.gui.jobs.latest_answer import LatestAnswer
from cnn_studio.gui.look.wording import format_things
from cnn_studio.gui.state.data_view import DataView
from cnn_studio.gui.state.notices import DATA, Notices
from cnn_studio.gui.state.project import Project


class SplitFile(QObject):
    """Reads and writes off the GUI thread; the project's data set is divided as the file says.

    Attributes:
        path: the file that the split comes from; None while it follows from the settings.
    """

    def __init__(self, project: Project, notices: Notices, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._project = project
        self._notices = notices
        self.path: Path | None = None
        self._undivided: Dataset | None = None
        self._answer = LatestAnswer(self)
        self._answer.answered.connect(self._take)
        self._answer.failed.connect(notices.tell_error)
        project.dataset_opened.connect(self._on_opened)

    @property
    def is_busy(self) -> bool:
        """Whether a file is being read or written."""
        return self._answer.is_waiting()

    def close(self) -> None:
        """End the thread."""
        self._answer.close()

    def save(self, view: DataView, target: Path) -> None:
        """Write which split each image is in to a CSV file."""

        def write() -> str:
            write_text(target, split_csv(view.used, view.splits))
            return f"The split of {format_things(len(view.used.files), 'image')} is saved to {target}."

        self._answer.ask(write)

    def use(self, source: Path) -> None:
        """Share the images out as a CSV file says."""
        if (dataset := self._undivided) is None:
            return

        def divide() -> tuple[Path, Dataset, tuple[str, ...]]:
            divided, notes = with_split(dataset, read_split(source))
            count_ahead(divided)
            return source, divided, notes

        self._answer.ask(divide)

    @Slot()
    def forget(self) -> None:
        """Share the images out as the settings say, and no more as a file does."""
        if self._undivided is not None and self._project.dataset is not None:
            self._answer.ask(partial(_still_there, self._undivided, self._project.dataset))

    @Slot()
    def _on_opened(self) -> None:
        """A folder was scanned: its split follows from the settings again."""
        self._answer.forget()
        self.path, self._undivided = None, self._project.dataset

    @Slot(object)
    def _take(self, answer: object) -> None:
        match answer:
            case str(text):
                self._notices.tell_info(text)
            case (Path() as source, Dataset() as divided, tuple(notes)):
                self.path = source
                self._project.divide(divided)
                text = f"The images are shared out as {source.name} says."
                self._notices.tell_info(" ".join((text, *notes)), DATA)
            case Dataset():
                self.path = None
                self._project.divide(answer)


def _still_there(whole: Dataset, now: Dataset) -> Dataset:
    """The undivided data set without the files that were left out since."""
    paths = {file.path for file in now.files}
    found = replace(whole, files=tuple(file for file in whole.files if file.path in paths), issues=now.issues)
    count_ahead(found)
    return found
