"""What follows from the data set, the decisions and the settings: worked out beside the window, and looked up here."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from pathlib import Path

from PySide6.QtCore import QObject, Signal, Slot

from cnn_studio.core.data.dataset import Dataset
from cnn_studio.core.data.findings import ABOUT_LAYOUT
from cnn_studio.core.data.image_file import ImageFile
from cnn_studio.core.data.split import why_not_trainable
from cnn_studio.core.errors import CnnStudioError
from cnn_studio.core.text import printable
from cnn_studio.gui.jobs.latest_answer import LatestAnswer
from cnn_studio.gui.state.data_view import DataView, work_out
from cnn_studio.gui.state.decisions import PictureDecisions
from cnn_studio.gui.state.notices import DATA, UNCLEAR_LAYOUT, NoticeKind, Notices
from cnn_studio.gui.state.project import Project

FEW_FILES = 5000
"""Up to so many, a question about all of them is answered at once."""


class DataState(QObject):
    """Keeps the view of the project's data set up to date.

    Attributes:
        decisions: what the user has decided about single images.
        view: what was worked out last; None before that, and when another folder is opened.
    """

    view_changed = Signal()
    """The view has been worked out anew, or that has begun."""

    def __init__(
        self, project: Project, decisions: PictureDecisions, notices: Notices, parent: QObject | None = None
    ) -> None:
        super().__init__(parent)
        self._project = project
        self._notices = notices
        self.decisions = decisions
        self.view: DataView | None = None
        self._asked: tuple[Dataset | None, tuple[object, ...]] = (None, ())
        self._told_notes: tuple[str, ...] = ()
        self._told_layout: tuple[Path | None, list[str]] = (None, [])
        self._answer = LatestAnswer(self)
        self._answer.answered.connect(self._take_view)
        self._answer.failed.connect(notices.tell_error)
        project.dataset_opened.connect(self._on_opened)
        project.dataset_altered.connect(self._ask)
        project.experiment_changed.connect(self._ask)

    def close(self) -> None:
        """End the thread."""
        self._answer.close()

    @property
    def is_settled(self) -> bool:
        """Whether ``view`` follows from what is set now; otherwise it is being worked out."""
        return not self._answer.is_waiting()

    @property
    def used(self) -> Dataset | None:
        """The data set with the decisions applied, as far as that is worked out."""
        view = self._present_view()
        return view.used if view else self._project.dataset

    def why_not_trainable(self) -> CnnStudioError | None:
        """The reason why a classifier cannot be trained on the images as they are shared out now; None when it can.

        With many images it is the answer of a moment ago until the new one is worked out.
        """
        dataset, experiment, view = self._project.dataset, self._project.experiment, self._present_view()
        if dataset is None:
            return None
        if view is not None and view.split == experiment.split and view.decisions == experiment.decisions:
            return view.why_not_trainable
        if len(dataset.files) <= FEW_FILES:
            return why_not_trainable(view.used if view else dataset, experiment.split)
        return view.why_not_trainable if view else CnnStudioError("The images are still being shared out.")

    def as_scanned(self, file: ImageFile) -> ImageFile:
        """An image with the label of the folder it lies in, whatever was decided about it."""
        return self.view.as_scanned(file) if self.view else file

    def place_of(self, path: str) -> int | None:
        """Where in the scanned data set's files the image of that path is, as far as that is worked out."""
        return self.view.places.get(printable(path)) if self.view else None

    def places_of(self, paths: Iterable[str]) -> list[int]:
        """Where in the scanned data set's files the images of these paths are, ascending; without unknown ones."""
        found = (self.place_of(path) for path in paths)
        return sorted(place for place in found if place is not None)

    def _present_view(self) -> DataView | None:
        return self.view if self.view is not None and self.view.scanned is self._project.dataset else None

    @Slot()
    def _on_opened(self) -> None:
        dataset = self._project.dataset
        if self.view is not None and (dataset is None or self.view.scanned.root != dataset.root):
            self.view = None
        self._ask()

    @Slot()
    def _ask(self) -> None:
        dataset, experiment = self._project.dataset, self._project.experiment
        if dataset is None:
            self._asked = (None, ())
            self._answer.forget()
            return
        settings = (experiment.decisions, experiment.split, experiment.image)
        if self._asked[0] is not dataset or self._asked[1] != settings:  # comparing data sets would look at every file
            self._asked = (dataset, settings)
            self._answer.ask(partial(work_out, dataset, experiment, self.view))
            self.view_changed.emit()

    @Slot(object)
    def _take_view(self, view: DataView) -> None:
        self.view = view
        self._ask_about_layout(view)
        if view.notes and view.notes != self._told_notes:
            self._notices.tell_info(" ".join(view.notes), DATA)
        self._told_notes = view.notes
        self.view_changed.emit()

    def _ask_about_layout(self, view: DataView) -> None:
        """Say at once, and not only in the list of findings, where folders may mean something else: before training."""
        told = [f"{finding.title} {finding.advice}" for finding in view.findings if finding.kind in ABOUT_LAYOUT]
        if (view.scanned.root, told) != self._told_layout:
            self._told_layout = (view.scanned.root, told)
            self._notices.withdraw(UNCLEAR_LAYOUT)
            if told:
                self._notices.tell(NoticeKind.WARNING, " ".join(told), topic=UNCLEAR_LAYOUT)
