"""The model that the window works with: opened, named, let go of, exported."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from PySide6.QtCore import QObject, QSettings, Signal

from cnn_studio import tasks
from cnn_studio.core.errors import CnnStudioError
from cnn_studio.core.evaluation.input_range import InputRange, RangeTrial
from cnn_studio.core.evaluation.model_facts import ModelFacts
from cnn_studio.core.runs.run import Run, run_of_model
from cnn_studio.gui.jobs.job_queue import JobQueue
from cnn_studio.gui.jobs.job_thread import AnyJob, Job, JobKind
from cnn_studio.gui.state.notices import NO_MODEL, Notices

RECENT_MODELS = 8
_ABOUT_IT = (NO_MODEL, JobKind.EVALUATE, JobKind.CALIBRATE, JobKind.EXPLAIN, JobKind.PREDICT)
"""Topics of what is told about the opened model."""


@dataclass(frozen=True, slots=True)
class OpenedModel:
    """The model that dropped images are shown to: a file and what it says of itself.

    Attributes:
        path: the ``.keras`` file.
        facts: class names, image size; the class names are the user's where the file had none.
        title: what to call it: the data set it was trained on, or the file's name.
        changed_ns: when the file was changed last before it was opened, as the system counts; 0 where unknown.
    """

    path: Path
    facts: ModelFacts
    title: str
    changed_ns: int = 0

    @property
    def class_count(self) -> int:
        """How many classes it tells apart."""
        return self.facts.class_count


class Models(QObject):
    """Holds the opened model; None while there is none."""

    changed = Signal()
    """Another model is open, none any more, or what the present one says of itself is different."""

    class_names_wanted = Signal()
    """The model just opened does not know its classes' names."""

    input_range_wanted = Signal()
    """Nothing says which values the model just opened takes."""

    input_range_given = Signal()
    """It is known now, or another one than before: what the model answered until now means nothing."""

    exported = Signal(object, object)
    """A file's path, and the ``ModelFacts`` of what is in it."""

    def __init__(self, queue: JobQueue, notices: Notices, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._queue = queue
        self._notices = notices
        self.opened: OpenedModel | None = None

    @property
    def is_coming(self) -> bool:
        """Whether a job runs or waits that ends with another model: training, or opening one."""
        return self._queue.is_busy_with(JobKind.TRAIN, JobKind.OPEN_MODEL, JobKind.RECOVER)

    def open(self, path: Path, class_names: Sequence[str] = ()) -> None:
        """Open a ``.keras`` file to classify images with.

        Args:
            path: the file.
            class_names: what the user has called its classes before, for a file that has no names of its own.
        """
        job = Job(JobKind.OPEN_MODEL, f"Opening {path.name}", tasks.open_model, path)
        self._queue.submit(job, on_success=partial(self._take_file, path, tuple(class_names)))

    def use(self, path: Path) -> None:
        """Work with the model of that file: open it, unless it is the opened one."""
        coming = self._queue.is_busy_with(JobKind.OPEN_MODEL, JobKind.RECOVER)
        if coming or self.opened is None or self.opened.path != path:
            self.open(path)

    def recent_files(self) -> list[Path]:
        """Model files opened before that still exist and belong to no run, the latest first."""
        kept: object = QSettings().value("recent_models", [], list)
        texts = [text for text in kept if isinstance(text, str)] if isinstance(kept, list) else []
        return [Path(text) for text in texts if Path(text).is_file()]

    def _take_file(self, path: Path, class_names: tuple[str, ...], facts: ModelFacts) -> None:
        if run_of_model(path) is None:
            recent = [path, *(other for other in self.recent_files() if other != path)][:RECENT_MODELS]
            QSettings().setValue("recent_models", [str(each) for each in recent])
        named = not facts.class_names and len(class_names) == facts.class_count
        self.take(path, replace(facts, class_names=class_names) if named else facts)

    def open_run(self, run: Run) -> None:
        """Open a run's model; one that was interrupted gets its model made from the best weights first."""
        if run.model.exists():
            self.open(run.model)
        else:
            job = Job(JobKind.RECOVER, f"Recovering {run.folder.name}", tasks.recover, run.folder)
            self._queue.submit(job, on_success=partial(self.take, run.model))

    def take(self, path: Path, facts: ModelFacts) -> None:
        """Work with this model from now on."""
        try:
            changed_ns = path.stat().st_mtime_ns
        except OSError:
            changed_ns = 0
        self.opened = OpenedModel(path, facts, facts.data_name or path.stem, changed_ns)
        for topic in _ABOUT_IT:
            self._notices.withdraw(topic)
        self.changed.emit()
        if not facts.class_names:
            self.class_names_wanted.emit()
        else:
            self.ask_what_is_unknown()

    def ask_what_is_unknown(self) -> None:
        """Want the range of values, if nothing says it."""
        if self.opened is not None and self.opened.facts.input_range is None:
            self.input_range_wanted.emit()

    def renew(self, path: Path, facts: ModelFacts) -> None:
        """Take what the file at ``path`` says of itself now, if it is the opened model's."""
        if (model := self.opened) is not None and model.path == path:
            names = model.facts.class_names or facts.class_names
            self.opened = replace(model, facts=replace(facts, class_names=names))
            self.changed.emit()

    def forget_in(self, folder: Path) -> None:
        """Let go of the opened model if it lies in ``folder``, which is being deleted."""
        if self.opened and self.opened.path.is_relative_to(folder):
            self.opened = None
            self.changed.emit()

    def name_classes(self, names: Sequence[str]) -> CnnStudioError | None:
        """Give the opened model's classes names; returns what is wrong with them."""
        assert self.opened is not None
        if len(set(names)) != len(names) or not all(names):
            return CnnStudioError("Each class needs a name of its own.")
        self.opened = replace(self.opened, facts=replace(self.opened.facts, class_names=tuple(names)))
        self.changed.emit()
        return None

    def try_input_ranges(
        self, pictures: Sequence[tuple[Path, str]], answered: Callable[[tuple[RangeTrial, ...]], object]
    ) -> AnyJob:
        """Find out what the opened model says of pictures, each with its class or "", given each range of values."""
        assert self.opened is not None
        names = self.opened.facts.class_names or None
        request = tasks.RangesRequest(self.opened.path, tuple(pictures), names)
        job = Job(JobKind.INPUT_RANGE, "Trying ranges of values", tasks.try_input_ranges, request)
        return self._queue.submit(job, on_success=answered)

    def give_input_range(self, input_range: InputRange) -> None:
        """Say which values the opened model takes, and keep it in its file where that can carry it."""
        model = self.opened
        if model is None or model.facts.input_range is input_range:
            return
        self.opened = replace(model, facts=replace(model.facts, input_range=input_range))
        if model.path.suffix == ".keras":
            request = tasks.KeepRangeRequest(model.path, input_range)
            self._queue.submit(Job(JobKind.INPUT_RANGE, f"Writing {model.path.name}", tasks.keep_input_range, request))
        self.input_range_given.emit()
        self.changed.emit()

    def export(self, target: Path, *, replace_existing: bool) -> None:
        """Write the opened model to ``target``, checked by reloading it."""
        assert self.opened is not None
        facts = self.opened.facts
        request = tasks.ExportRequest(
            self.opened.path, target, replace_existing, facts.class_names or None, facts.input_range
        )
        job = Job(JobKind.EXPORT, f"Exporting {target.name}", tasks.export, request)
        self._queue.submit(job, on_success=partial(self.exported.emit, target))
