"""The session's part about the images: what was found, what the user has decided, how they are shared out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QObject, Signal, Slot

from cnn_studio import tasks
from cnn_studio.core.data.dataset import Dataset
from cnn_studio.core.data.events import FolderListed
from cnn_studio.core.data.findings import Finding
from cnn_studio.core.data.image_file import ImageFile
from cnn_studio.core.data.split import why_not_trainable
from cnn_studio.core.errors import CnnStudioError
from cnn_studio.core.evaluation.label_review import LabelReview
from cnn_studio.core.experiment.settings import Decisions
from cnn_studio.core.job import events
from cnn_studio.core.text import printable
from cnn_studio.gui.jobs.job_thread import Job, JobKind
from cnn_studio.gui.jobs.latest_answer import LatestAnswer
from cnn_studio.gui.look.wording import format_things
from cnn_studio.gui.state.data_view import DataView, copies_in, work_out
from cnn_studio.gui.state.kept_decisions import keep_decisions, kept_decisions
from cnn_studio.gui.state.split_file import SplitFile

if TYPE_CHECKING:
    from cnn_studio.gui.state.session import Session

MOST_UNDONE = 200
FEW_FILES = 5000
"""Up to so many, a question about all of them is answered at once."""


@dataclass(frozen=True, slots=True)
class PictureDecision:
    """What the user has decided about one image.

    Attributes:
        left_out: it is not used.
        belongs_to: the class it was put into; "" when it stays in that of its folder.
        right: a doubt about its class was looked at and found wrong.
    """

    left_out: bool = False
    belongs_to: str = ""
    right: bool = False


UNDECIDED = PictureDecision()


@dataclass(frozen=True, slots=True)
class _Step:
    """What can be gone back to, and what would be undone by it."""

    decisions: Decisions
    right: frozenset[str]
    text: str


class DataSession(QObject):
    """Owned by the session; the data page shows it and asks it for things.

    Decisions are part of the experiment. Here is how they are made and taken back, and what follows from them.
    """

    listed_changed = Signal()
    """A folder that is being scanned has been listed, or that is over."""

    view_changed = Signal()
    """What follows from data set, decisions and settings has been worked out anew."""

    decided = Signal()
    """A decision was made or taken back."""

    review_changed = Signal()
    """There is a new list of likely label errors, or none any more."""

    def __init__(self, session: Session, submit: Callable[[JobKind, str, tasks.Job[Any, Any], Any], object]) -> None:
        super().__init__(session)
        self._session = session
        self._submit = submit
        self.listed: Dataset | None = None
        self.view: DataView | None = None
        self.review: LabelReview | None = None
        self.split_file = SplitFile(session)
        self._known = session.experiment.decisions
        self._left_out: frozenset[str] = frozenset()
        self._right: frozenset[str] = frozenset()
        self._decided_in: Path | None = None
        self._undo: list[_Step] = []
        self._redo: list[_Step] = []
        self._asked: tuple[Dataset | None, tuple[object, ...]] = (None, ())
        self._told_notes: tuple[str, ...] = ()
        self._view_answer = LatestAnswer(self)
        self._view_answer.answered.connect(self._take_view)
        self._view_answer.failed.connect(session.tell_error)
        self._keeping = LatestAnswer(self)
        session.dataset_changed.connect(self._on_dataset)
        session.experiment_changed.connect(self._on_experiment)
        session.job_reported.connect(self._on_reported)
        session.job_ended.connect(self._on_ended)

    def close(self) -> None:
        """End the threads; what was decided is kept."""
        self._view_answer.close()
        if self._keeping.is_waiting() and self._decided_in is not None:
            self._keeping.close()
            keep_decisions(self._decided_in, self._known)
        self._keeping.close()
        self.split_file.close()

    # -- what there is ------------------------------------------------------------------------------------------

    @property
    def is_settled(self) -> bool:
        """Whether ``view`` follows from what is set now; otherwise it is being worked out."""
        return not self._view_answer.is_waiting() and not self.split_file.is_busy

    @property
    def used(self) -> Dataset | None:
        """The data set with the decisions applied, as far as that is worked out."""
        dataset = self._session.dataset
        if self.view is not None and self.view.scanned is dataset:
            return self.view.used
        return dataset

    def why_not_trainable(self) -> CnnStudioError | None:
        """The reason why a classifier cannot be trained on the images as they are shared out now; None when it can.

        With many images it is the answer of a moment ago until the new one is worked out.
        """
        dataset, split = self._session.dataset, self._session.experiment.split
        if dataset is None:
            return None
        view = self.view if self.view is not None and self.view.scanned is dataset else None
        if view is not None and view.split == split and view.decisions == self._known:
            return view.why_not_trainable
        if len(dataset.files) <= FEW_FILES:
            return why_not_trainable(view.used if view else dataset, split)
        return view.why_not_trainable if view else CnnStudioError("The images are still being shared out.")

    def decision_on(self, path: str) -> PictureDecision:
        """What was decided about the image of that path relative to the folder."""
        name = printable(path)
        belongs_to = self._known.belongs_to.get(name, "")
        left_out, right = name in self._left_out, name in self._right
        if not (belongs_to or left_out or right):
            return UNDECIDED
        return PictureDecision(left_out, belongs_to, right)

    def is_decided(self, path: str) -> bool:
        """Whether something was decided about the image of that path."""
        return self.decision_on(path) is not UNDECIDED

    def as_scanned(self, file: ImageFile) -> ImageFile:
        """An image with the label of the folder it lies in, whatever was decided about it."""
        return self.view.as_scanned(file) if self.view else file

    def place_of(self, path: str) -> int | None:
        """Where in the scanned data set's files the image of that path is, as far as that is worked out."""
        return self.view.places.get(printable(path)) if self.view else None

    def moved_into(self, class_name: str) -> list[int]:
        """Places of the images that were put into a class."""
        moved = (self.place_of(path) for path, name in self._known.belongs_to.items() if name == class_name)
        return sorted(place for place in moved if place is not None)

    def decided_paths(self) -> list[str]:
        """Printable paths of all images about which something is decided, sorted."""
        return sorted(self._left_out | self._known.belongs_to.keys())

    def decided_places(self) -> list[int]:
        """Places of all images about which something is decided."""
        found = (self.place_of(path) for path in self.decided_paths())
        return sorted(place for place in found if place is not None)

    @property
    def decision_count(self) -> int:
        """How many images something was decided about."""
        return len(self._left_out | self._known.belongs_to.keys())

    def folder_class(self, file: ImageFile) -> str:
        """The class of the folder an image lies in."""
        dataset = self._session.dataset
        return dataset.class_names[file.label] if dataset else ""

    # -- deciding -----------------------------------------------------------------------------------------------

    def leave_out(self, files: Sequence[ImageFile]) -> None:
        """Use these images no more."""
        new = self._known.leaving_out(file.path for file in files)
        self._decide(new, self._right, f"leaving {_pictures(files)} out")

    def use_again(self, files: Sequence[ImageFile]) -> None:
        """Use these images again."""
        new = self._known.using_again(file.path for file in files)
        self._decide(new, self._right, f"using {_pictures(files)} again")

    def put_into(self, class_name: str, files: Sequence[ImageFile]) -> None:
        """Say that these images, of the scanned data set, belong to a class; they are used from now on."""
        home = [file.path for file in files if self.folder_class(file) == class_name]
        away = [file.path for file in files if self.folder_class(file) != class_name]
        new = self._known.putting_back(home).putting_into(class_name, away)
        new = new.using_again(file.path for file in files)
        self._decide(new, self._right, f"putting {_pictures(files)} into {class_name}")

    def call_right(self, files: Sequence[ImageFile]) -> None:
        """Say that these images are in the right class, whatever a network thinks of it."""
        right = self._right | {printable(file.path) for file in files}
        self._decide(self._known, right, f"calling {_pictures(files)} right")

    def keep_one_of_each(self, dataset: Dataset, finding: Finding) -> None:
        """Leave out all but one of each of a finding's groups; ``dataset`` is the one that was examined."""
        copies = copies_in(dataset, self._still_used(dataset, finding))
        self._decide(self._known.leaving_out(copies), self._right, f"leaving {_pictures(copies)} out")

    def has_copies(self, dataset: Dataset, finding: Finding) -> bool:
        """Whether a group of the finding still has more than one image that is used."""
        return any(len(group) > 1 for group in self._still_used(dataset, finding))

    def _still_used(self, dataset: Dataset, finding: Finding) -> Iterator[list[int]]:
        for group in finding.groups:
            yield [index for index in group if printable(dataset.files[index].path) not in self._left_out]

    def take_back(self, paths: Iterable[str]) -> None:
        """Forget what was decided about the images of these paths."""
        gone = list(paths)
        new = self._known.using_again(gone).putting_back(gone)
        right = self._right - {printable(path) for path in gone}
        self._decide(new, right, f"taking back what was decided about {_pictures(gone)}")

    @property
    def undo_text(self) -> str:
        """What ``undo`` would undo; "" for nothing."""
        return self._undo[-1].text if self._undo else ""

    @property
    def redo_text(self) -> str:
        """What ``redo`` would do again; "" for nothing."""
        return self._redo[-1].text if self._redo else ""

    @Slot()
    def undo(self) -> None:
        """Go back to before the latest decision."""
        self._go(self._undo, self._redo)

    @Slot()
    def redo(self) -> None:
        """Make the decision again that was undone last."""
        self._go(self._redo, self._undo)

    def _go(self, source: list[_Step], target: list[_Step]) -> None:
        if source:
            step = source.pop()
            target.append(_Step(self._known, self._right, step.text))
            self._set(step.decisions, step.right)

    def _decide(self, decisions: Decisions, right: frozenset[str], text: str) -> None:
        if decisions == self._known and right == self._right:
            return
        self._undo = [*self._undo[1 - MOST_UNDONE :], _Step(self._known, self._right, text)]
        self._redo.clear()
        self._set(decisions, right)

    def _set(self, decisions: Decisions, right: frozenset[str]) -> None:
        self._decided_in = self._session.dataset.root if self._session.dataset else None
        self._right = right
        self._remember(decisions)
        self._session.change({"decisions": decisions.model_dump()})
        self._keep()
        self.decided.emit()

    def _keep(self) -> None:
        if self._decided_in is not None:
            self._keeping.ask(partial(keep_decisions, self._decided_in, self._known))

    def _remember(self, decisions: Decisions) -> None:
        self._known = decisions
        self._left_out = frozenset(decisions.left_out)

    # -- likely label errors ------------------------------------------------------------------------------------

    def why_not_find_label_errors(self) -> str:
        """The reason why label errors cannot be looked for now; "" when they can."""
        session = self._session
        if session.dataset is None or self.listed is not None:
            return "The folder has to be checked first."
        if session.is_busy_with(JobKind.LABEL_ERRORS):
            return "They are being looked for."
        if session.is_busy_with(JobKind.TRAIN):
            return "A network is being trained; wait until it has ended."
        reason = session.why_not_train()
        return str(reason) if reason else ""

    def find_label_errors(self, run: Path | None) -> None:
        """Look for images in the wrong class.

        Args:
            run: a finished run, to ask its network about the images it has not learnt from; None trains networks of
                the experiment for this, so that every image is judged by one that never saw it.
        """
        dataset = self._session.dataset
        assert dataset is not None
        request = tasks.LabelErrorRequest(dataset, self._session.experiment, run)
        self._submit(JobKind.LABEL_ERRORS, "Looking for label errors", tasks.find_label_errors, request)

    def take_review(self, dataset: Dataset, review: LabelReview) -> None:
        """Show likely label errors, unless another folder is open by now."""
        if self._session.dataset is not None and self._session.dataset.root == dataset.root:
            self.review = review
            self.review_changed.emit()
            found = f"{len(review.doubts):,}" if review.doubts else "None"
            judged = f"{format_things(review.images, 'picture')} that were judged"
            self._session.tell_info(f"{found} of the {judged} may be in the wrong class. {review.method}")

    # -- what the session tells ---------------------------------------------------------------------------------

    @Slot(object, object)
    def _on_reported(self, job: Job, event: events.Event) -> None:
        if job.kind is JobKind.SCAN and isinstance(event, FolderListed):
            self.listed = event.dataset
            self.listed_changed.emit()

    @Slot(object)
    def _on_ended(self, job: Job) -> None:
        if job.kind is JobKind.SCAN and self.listed is not None:
            self.listed = None
            self.listed_changed.emit()

    @Slot()
    def _on_dataset(self) -> None:
        dataset = self._session.dataset
        before = self.view.scanned if self.view else None
        if dataset is None or before is None or before.root != dataset.root:
            self._undo.clear()
            self._redo.clear()
            self._right = frozenset()
            self._remember(self._session.experiment.decisions)
            self.view = None
            if self.review is not None:
                self.review = None
                self.review_changed.emit()
        self._ask_for_view()

    def begin(self, scanned: Dataset) -> Decisions:
        """A folder was scanned; gives the decisions to begin with in it.

        Those made in it before, unless settings were opened that bring their own.
        """
        self.split_file.begin(scanned)
        if self._decided_in == scanned.root or (self._decided_in is None and self._known != Decisions()):
            return self._known
        self._decided_in = scanned.root
        decisions = kept_decisions(scanned.root)
        count = len({*decisions.left_out, *decisions.belongs_to})
        if count:
            said = f"What you decided about {format_things(count, 'picture')} of this folder before is in force again."
            self._session.tell_info(said)
        return decisions

    @Slot()
    def _on_experiment(self) -> None:
        decisions = self._session.experiment.decisions
        if decisions != self._known:  # settings were taken from a file or a run
            self._undo.append(_Step(self._known, self._right, "taking the decisions of other settings"))
            self._redo.clear()
            self._decided_in = None
            self._remember(decisions)
            self.decided.emit()
        self._ask_for_view()

    def _ask_for_view(self) -> None:
        dataset, experiment = self._session.dataset, self._session.experiment
        if dataset is None:
            self._asked = (None, ())
            self._view_answer.forget()
            return
        settings = (experiment.decisions, experiment.split, experiment.image)
        if self._asked[0] is not dataset or self._asked[1] != settings:  # comparing data sets would look at every file
            self._asked = (dataset, settings)
            self._view_answer.ask(partial(work_out, dataset, experiment, self.view))
            self.view_changed.emit()

    @Slot(object)
    def _take_view(self, view: DataView) -> None:
        self.view = view
        if view.notes and view.notes != self._told_notes:
            self._session.tell_info(" ".join(view.notes))
        self._told_notes = view.notes
        self.view_changed.emit()


def _pictures(what: Sequence[object]) -> str:
    return format_things(len(what), "picture")
