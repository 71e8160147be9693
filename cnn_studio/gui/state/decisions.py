"""What the user decides about single pictures, with undo and redo."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from PySide6.QtCore import QObject, Signal, Slot

from cnn_studio.core.data.dataset import Dataset
from cnn_studio.core.data.findings import Finding
from cnn_studio.core.data.image_file import ImageFile
from cnn_studio.core.experiment.settings import Decisions
from cnn_studio.core.text import printable
from cnn_studio.gui.jobs.latest_answer import LatestAnswer
from cnn_studio.gui.look.wording import format_things
from cnn_studio.gui.state.data_view import copies_in
from cnn_studio.gui.state.kept_decisions import keep_decisions
from cnn_studio.gui.state.project import Project

MOST_UNDONE = 200


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


class PictureDecisions(QObject):
    """Makes the experiment's decisions and takes them back.

    The project holds them; they are kept for each folder too, for the next start of the program.
    """

    decided = Signal()
    """A decision was made or taken back."""

    def __init__(self, project: Project, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._project = project
        self._known = project.experiment.decisions
        self._left_out: frozenset[str] = frozenset()
        self._right: frozenset[str] = frozenset()
        self._folder: Path | None = None
        self._to_keep: tuple[Path, Decisions] | None = None
        self._undo: list[_Step] = []
        self._redo: list[_Step] = []
        self._keeping = LatestAnswer(self)
        project.dataset_opened.connect(self._on_opened)
        project.experiment_changed.connect(self._on_experiment)

    def close(self) -> None:
        """End the thread; what was decided is kept."""
        waiting = self._keeping.is_waiting()
        self._keeping.close()
        if waiting and self._to_keep is not None:
            keep_decisions(*self._to_keep)

    # -- what is decided ----------------------------------------------------------------------------------------

    def on(self, path: str) -> PictureDecision:
        """What was decided about the image of that path relative to the folder."""
        name = printable(path)
        belongs_to = self._known.belongs_to.get(name, "")
        left_out, right = name in self._left_out, name in self._right
        if not (belongs_to or left_out or right):
            return UNDECIDED
        return PictureDecision(left_out, belongs_to, right)

    def is_decided(self, path: str) -> bool:
        """Whether something was decided about the image of that path."""
        return self.on(path) is not UNDECIDED

    def paths(self) -> list[str]:
        """Printable paths of all images about which something is decided, sorted."""
        return sorted(self._left_out | self._known.belongs_to.keys())

    def paths_put_into(self, class_name: str) -> list[str]:
        """Printable paths of the images that were put into a class."""
        return [path for path, name in self._known.belongs_to.items() if name == class_name]

    @property
    def count(self) -> int:
        """How many images something was decided about."""
        return len(self._left_out | self._known.belongs_to.keys())

    def has_copies(self, dataset: Dataset, finding: Finding) -> bool:
        """Whether a group of the finding still has more than one image that is used."""
        return any(len(group) > 1 for group in self._still_used(dataset, finding))

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
        home = [file.path for file in files if self._project.folder_class(file) == class_name]
        away = [file.path for file in files if self._project.folder_class(file) != class_name]
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
        self._right = right
        self._remember(decisions)
        self._project.decide(decisions)
        if self._folder is not None:
            self._to_keep = (self._folder, decisions)
            self._keeping.ask(partial(keep_decisions, *self._to_keep))
        self.decided.emit()

    def _remember(self, decisions: Decisions) -> None:
        self._known = decisions
        self._left_out = frozenset(decisions.left_out)

    # -- what the project tells ---------------------------------------------------------------------------------

    @Slot()
    def _on_opened(self) -> None:
        folder = self._project.dataset.root if self._project.dataset else None
        if folder != self._folder:
            self._folder = folder
            self._undo.clear()
            self._redo.clear()
            self._right = frozenset()
            self._remember(self._project.experiment.decisions)

    @Slot()
    def _on_experiment(self) -> None:
        decisions = self._project.experiment.decisions
        if decisions != self._known:  # settings were taken from a file or a run
            self._undo.append(_Step(self._known, self._right, "taking the decisions of other settings"))
            self._redo.clear()
            self._remember(decisions)
            self.decided.emit()


def _pictures(what: Sequence[object]) -> str:
    return format_things(len(what), "picture")
