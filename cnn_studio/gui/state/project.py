"""What the user works on: a folder of images, and the settings of the experiment on it."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from PySide6.QtCore import QObject, QSettings, Signal, Slot

from cnn_studio import tasks
from cnn_studio.core import paths
from cnn_studio.core.advice.choices import Chosen
from cnn_studio.core.atomic_file import write_text
from cnn_studio.core.data.dataset import Dataset, without_files
from cnn_studio.core.data.events import FolderListed
from cnn_studio.core.data.image_file import ImageFile
from cnn_studio.core.errors import ExperimentError
from cnn_studio.core.experiment import experiment as config
from cnn_studio.core.experiment.experiment import Experiment
from cnn_studio.core.experiment.settings import Decisions
from cnn_studio.core.image.issues import Issue
from cnn_studio.core.job.events import Event
from cnn_studio.gui.jobs.job_queue import JobQueue
from cnn_studio.gui.jobs.job_thread import Job, JobKind
from cnn_studio.gui.look.wording import format_things
from cnn_studio.gui.state.kept_decisions import kept_decisions
from cnn_studio.gui.state.notices import DATA, NoticeKind, Notices

RECENT_FOLDERS = 8


class Project(QObject):
    """Holds the data set and the experiment.

    Attributes:
        dataset: the images as the folder holds them; None until one is open.
        listed: the files of a folder that is still being checked; None when none is.
        decided_in: the folder that these decisions were made in; None where they came with settings from elsewhere.
        runs_dir: where trainings are kept.
        wrong: what is wrong in fields that hold what cannot be used, by the dotted names of their settings.
    """

    dataset_opened = Signal()
    """A folder was opened: another one, or the same one anew."""

    dataset_altered = Signal()
    """It is the same folder, but some of its files are gone, or its images are shared out in another way."""

    listed_changed = Signal()
    """A folder that is being opened has been listed, or that is over."""

    experiment_changed = Signal()
    wrong_changed = Signal()
    recent_changed = Signal()

    def __init__(self, queue: JobQueue, notices: Notices, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._queue = queue
        self._notices = notices
        self.dataset: Dataset | None = None
        self.listed: Dataset | None = None
        self.decided_in: Path | None = None
        self.runs_dir = paths.data_dir() / "runs"
        self.wrong: dict[str, str] = {}
        self._chosen = Chosen()

    # -- the data set -------------------------------------------------------------------------------------------

    def open_folder(self, folder: Path) -> None:
        """Scan a folder and make it the data set."""
        for job in self._queue.of_kind(JobKind.SCAN):  # the user has changed their mind: only the latest matters
            self._queue.give_up(job)
        before = self._queue.current
        job = Job(JobKind.SCAN, f"Opening {folder.name}", tasks.scan, folder)
        self._queue.submit(
            job,
            on_success=self.take_dataset,
            on_report=self._on_scanning,
            on_cancel=partial(self._notices.withdraw, JobKind.SCAN),
            on_end=self._on_scanned,
        )
        if before is not None and before.kind not in {JobKind.START, JobKind.SCAN}:
            text = f"“{folder.name}” opens when this has ended: {before.title}."
            give_up = ("Don’t open it", partial(self._queue.give_up, job))
            self._notices.tell(NoticeKind.INFO, text, topic=JobKind.SCAN, actions=(give_up,))

    @Slot()
    def open_sample(self) -> None:
        """Open the data set that comes with the program."""
        self.open_folder(paths.sample_dataset_dir())

    def _on_scanning(self, event: Event) -> None:
        if isinstance(event, FolderListed):
            self.listed = event.dataset
            self.listed_changed.emit()

    def _on_scanned(self) -> None:
        if self.listed is not None:
            self.listed = None
            self.listed_changed.emit()

    def take_dataset(self, found: Dataset) -> None:
        """Work on the images of a folder that was scanned.

        Settings that the user has opened or set stay; the others are those that suit the images.
        """
        again = self.dataset is not None and self.dataset.root == found.root
        for topic in () if again else (DATA, JobKind.TRAIN, JobKind.LABEL_ERRORS):
            self._notices.withdraw(topic)
        chosen = self._chosen if again else self._chosen.on_data(found)
        self._chosen = chosen.with_decisions(self._decisions_for(found.root))
        self.wrong.clear()
        self.dataset = found
        if found.root != paths.sample_dataset_dir():
            self._remember(found.root)
        self.dataset_opened.emit()
        self.experiment_changed.emit()

    def divide(self, divided: Dataset) -> None:
        """Take the same data set with its images shared out in another way."""
        self.dataset = divided
        self.dataset_altered.emit()

    def lose_files(self, dataset: Dataset, issues: Sequence[Issue]) -> None:
        """Go on without files that have turned out unreadable, unless another data set is open by now."""
        if self.dataset is dataset:
            self.dataset = without_files(dataset, issues)
            self.dataset_altered.emit()

    def folder_class(self, file: ImageFile) -> str:
        """The class of the folder an image lies in, as it was scanned."""
        return self.dataset.class_names[file.label] if self.dataset else ""

    def recent_folders(self) -> list[Path]:
        """Folders opened before that still exist, the latest first."""
        kept: object = QSettings().value("recent_folders", [], list)
        texts = [text for text in kept if isinstance(text, str)] if isinstance(kept, list) else []
        return [Path(text) for text in texts if Path(text).is_dir()]

    def _remember(self, folder: Path) -> None:
        recent = [folder, *(other for other in self.recent_folders() if other != folder)][:RECENT_FOLDERS]
        QSettings().setValue("recent_folders", [str(path) for path in recent])
        self.recent_changed.emit()

    # -- the experiment -----------------------------------------------------------------------------------------

    @property
    def experiment(self) -> Experiment:
        """Every setting, the decisions about single pictures among them."""
        return self._chosen.experiment

    @property
    def chosen(self) -> Chosen:
        """The experiment, and which of its settings follow from nothing but the user's wish."""
        return self._chosen

    def take_chosen(self, chosen: Chosen, decided_in: Path | None) -> None:
        """Go on with the settings of an earlier start of the program, with decisions made in a folder."""
        self.decided_in = decided_in
        self._choose(chosen)

    def change(self, changes: dict[str, Any]) -> ExperimentError | None:
        """Change settings by dotted name; returns what is wrong with them, and then nothing has changed."""
        try:
            self._choose(self._chosen.with_changes(changes))
        except ExperimentError as error:
            return error
        return None

    def mark_wrong(self, name: str, problem: str) -> None:
        """Remember what is wrong in the field of a setting; "" for nothing any more."""
        if problem == self.wrong.get(name, ""):
            return
        if problem:
            self.wrong[name] = problem
        else:
            del self.wrong[name]
        self.wrong_changed.emit()

    def choose_architecture(self, name: str) -> None:
        """Take a preset of an architecture, and the image settings that suit it and the data unless they were set."""
        self._choose(self._chosen.with_architecture(name, self.dataset))

    def choose_preset(self, name: str, *, on_gpu: bool = False) -> str:
        """Take a whole experiment by name, or the one recommended for the data; returns what is to be said of it."""
        chosen, said = self._chosen.with_preset(name, self.dataset, lambda: on_gpu)
        self._choose(chosen)
        return said

    def take_experiment(self, experiment: Experiment) -> None:
        """Take all settings from elsewhere."""
        if experiment.decisions != self.experiment.decisions:
            self.decided_in = None
        self._choose(Chosen.opened(experiment))

    def _choose(self, chosen: Chosen) -> None:
        # What fields hold that could not be used gives way to what is chosen.
        changed = chosen.experiment != self.experiment or bool(self.wrong)
        self._chosen = chosen
        self.wrong.clear()
        if changed:
            self.experiment_changed.emit()

    def open_experiment(self, path: Path) -> None:
        """Take the settings of an experiment file."""
        try:
            self.take_experiment(config.read_experiment(path))
        except ExperimentError as error:
            self._notices.tell_error(error)
        else:
            self._notices.tell_info(f"Settings taken from {path.name}.")

    def save_experiment(self, path: Path) -> None:
        """Write the settings to a file that ``open_experiment`` and ``cnn-studio train --experiment`` take.

        Raises:
            StorageError: it could not be written.
        """
        write_text(path, config.experiment_to_toml(self.experiment))

    def decide(self, decisions: Decisions) -> None:
        """Take what the user has decided about single pictures of the open folder."""
        self.decided_in = self.dataset.root if self.dataset else None
        self.change({"decisions": decisions.model_dump()})

    def _decisions_for(self, folder: Path) -> Decisions:
        """The decisions to begin with in a folder: those made in it before, unless opened settings bring their own."""
        known = self.experiment.decisions
        if self.decided_in == folder or (self.decided_in is None and known != Decisions()):
            return known
        self.decided_in = folder
        decisions = kept_decisions(folder)
        if count := len({*decisions.left_out, *decisions.belongs_to}):
            pictures = format_things(count, "picture")
            self._notices.tell_info(f"What you decided about {pictures} of this folder before is in force again.", DATA)
        return decisions
