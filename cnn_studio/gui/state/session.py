"""The state behind the window: data set, experiment, model, and the one thread that works on them."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, cast

from PySide6.QtCore import QObject, QSettings, Signal, Slot

from cnn_studio import tasks
from cnn_studio.core import paths
from cnn_studio.core.advice.augmentation import why_not_augmentable
from cnn_studio.core.advice.presets import RECOMMENDED, experiment_preset
from cnn_studio.core.advice.suggestions import recommend_experiment, suggest_image_settings
from cnn_studio.core.atomic_file import write_text
from cnn_studio.core.data import dataset
from cnn_studio.core.data.dataset import Dataset
from cnn_studio.core.data.events import FilesLeftOut
from cnn_studio.core.errors import CnnStudioError, ExperimentError
from cnn_studio.core.evaluation.model_facts import ModelFacts
from cnn_studio.core.evaluation.predictions import ImagesPredicted, Prediction
from cnn_studio.core.experiment import experiment as config
from cnn_studio.core.experiment.architectures import architecture_preset
from cnn_studio.core.experiment.backbones import Backbone, find_backbone
from cnn_studio.core.experiment.experiment import Experiment
from cnn_studio.core.experiment.layer_plan import plan_layers
from cnn_studio.core.experiment.settings import BackboneArchitecture
from cnn_studio.core.job import events
from cnn_studio.core.runs import run as runs
from cnn_studio.core.runs.trained import TrainedModel
from cnn_studio.core.weights.weights import ImportRequest, import_weights, megabytes, weights_path
from cnn_studio.gui.jobs.job_thread import QUIET, Failure, Job, JobKind, JobThread
from cnn_studio.gui.state.augmentation import AugmentationSession
from cnn_studio.gui.state.data import DataSession
from cnn_studio.gui.state.evaluation import EvaluationSession
from cnn_studio.gui.state.image_actions import image_actions
from cnn_studio.gui.state.notices import NO_MODEL, Notice, NoticeKind
from cnn_studio.gui.state.opened_model import OpenedModel

log = logging.getLogger(__name__)

RECENT_FOLDERS = 8


class Session(QObject):
    """Owns the data set, the experiment, the model and the job thread; pages show it and ask it for things."""

    dataset_changed = Signal()
    experiment_changed = Signal()
    model_changed = Signal()
    runs_changed = Signal()
    recent_changed = Signal()
    device_changed = Signal()
    weights_changed = Signal()
    class_names_wanted = Signal()
    job_started = Signal(object)
    job_reported = Signal(object, object)
    job_ended = Signal(object)
    trained = Signal(object)
    predictions_added = Signal(object)
    exported = Signal(object, object)
    told = Signal(object)
    withdrawn = Signal(str)

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.dataset: Dataset | None = None
        self.experiment = Experiment()
        self.model: OpenedModel | None = None
        self.last_training: TrainedModel | None = None
        self.device: events.DeviceChosen | None = None
        self.predictions: list[Prediction] = []
        self.runs_dir = paths.data_dir() / "runs"
        self._image_size_chosen = False
        self._images_waiting: list[tuple[Path, ...]] = []
        self._jobs: list[Job] = []
        self._thread = JobThread(self)
        self._thread.job_started.connect(self._on_started)
        self._thread.reported.connect(self._on_reported)
        self._thread.succeeded.connect(self._on_succeeded)
        self._thread.failed.connect(self._on_failed)
        self._thread.cancelled.connect(self._on_cancelled)
        self.augmentation = AugmentationSession(self, self._submit)
        self.data = DataSession(self, self._submit)
        self._thread.start()
        self.evaluation = EvaluationSession(self, self._submit)
        self.evaluation.image_actions = partial(image_actions, self)

    # -- jobs ---------------------------------------------------------------------------------------------------

    @property
    def current(self) -> Job | None:
        """The job that runs or is next to run."""
        return next((job for job in self._jobs if job.kind not in QUIET), None)

    @property
    def waiting(self) -> int:
        """Jobs behind the current one."""
        return max(0, sum(job.kind not in QUIET for job in self._jobs) - 1)

    def is_busy_with(self, kind: JobKind) -> bool:
        """Whether a job of that kind runs or waits."""
        return any(job.kind is kind for job in self._jobs)

    def _submit(self, kind: JobKind, title: str, function: tasks.Job, request: Any) -> Job:
        job = Job(kind, title, function, request)
        self._jobs.append(job)
        self._thread.submit(job)
        return job

    def stop(self) -> None:
        """End the current job early and keep what it has made."""
        if job := self.current:
            job.token.stop()

    def cancel(self) -> None:
        """End the current job and discard what it has made."""
        if job := self.current:
            job.token.cancel()

    def stop_training(self) -> None:
        """End the training that runs or waits early, and keep what it has learnt."""
        for job in self._jobs:
            if job.kind is JobKind.TRAIN:
                job.token.stop()

    def cancel_training(self) -> None:
        """End the training that runs or waits and discard it."""
        for job in self._jobs:
            if job.kind is JobKind.TRAIN:
                job.token.cancel()

    def close(self) -> None:
        """End every job and the thread; returns when the thread has ended."""
        for job in self._jobs:
            job.token.cancel()
        self.data.close()
        self._thread.shut_down()
        self._thread.wait()

    def start_runtime(self) -> None:
        """Load TensorFlow in the background."""
        self._submit(JobKind.START, "Starting TensorFlow", tasks.start_runtime, None)

    # -- data ---------------------------------------------------------------------------------------------------

    def open_folder(self, folder: Path) -> None:
        """Scan a folder and make it the data set."""
        for job in self._jobs:
            if job.kind is JobKind.SCAN:  # the user has changed their mind: only the latest folder matters
                job.token.cancel()
        self._submit(JobKind.SCAN, f"Opening {folder.name}", tasks.scan, folder)

    def open_sample(self) -> None:
        """Open the data set that comes with the program."""
        self.open_folder(paths.sample_dataset_dir())

    def divide(self, divided: Dataset) -> None:
        """Take the same data set with its images shared out in another way."""
        self.dataset = divided
        self.dataset_changed.emit()

    def recent_folders(self) -> list[Path]:
        """Folders opened before that still exist, the latest first."""
        kept = cast("list[str]", QSettings().value("recent_folders", [], list))
        return [Path(text) for text in kept if Path(text).is_dir()]

    def _remember(self, folder: Path) -> None:
        recent = [folder, *(other for other in self.recent_folders() if other != folder)][:RECENT_FOLDERS]
        QSettings().setValue("recent_folders", [str(path) for path in recent])
        self.recent_changed.emit()

    # -- experiment ---------------------------------------------------------------------------------------------

    def change(self, changes: dict[str, Any]) -> ExperimentError | None:
        """Change settings by dotted name; returns what is wrong with them, and then nothing has changed."""
        try:
            experiment = config.with_values(self.experiment, changes)
        except ExperimentError as error:
            return error
        if "image.height" in changes:
            self._image_size_chosen = True
        if experiment != self.experiment:
            self.experiment = experiment
            self.experiment_changed.emit()
        return None

    def choose_architecture(self, name: str) -> None:
        """Take a preset, and the image size that suits it and the data unless the user has set one."""
        preset = architecture_preset(name).architecture
        changes: dict[str, Any] = {"architecture": preset.model_dump()}
        if self.dataset and not self._image_size_chosen:
            suggested = suggest_image_settings(self.dataset, name)
            changes |= {f"image.{name}": value for name, value in suggested.model_dump(exclude={"fit"}).items()}
        self.experiment = config.with_values(self.experiment, changes)
        self.experiment_changed.emit()

    def open_experiment(self, path: Path) -> None:
        """Take the settings of an experiment file."""
        try:
            self.experiment = config.read_experiment(path)
        except ExperimentError as error:
            self.tell_error(error)
            return
        self._image_size_chosen = True
        self.experiment_changed.emit()
        self.tell(NoticeKind.INFO, f"Settings taken from {path.name}.")

    def save_experiment(self, path: Path) -> None:
        """Write the settings to a file that ``open_experiment`` and ``cnn-studio train --experiment`` take."""
        try:
            write_text(path, config.experiment_to_toml(self.experiment))
        except CnnStudioError as error:
            self.tell_error(error)
            return
        self.tell(NoticeKind.INFO, f"Settings saved to {path}.")

    def why_not_train(self) -> CnnStudioError | None:
        """The reason why training cannot start, or None when it can."""
        if self.dataset is None:
            return CnnStudioError("Open a folder of images first.")
        if reason := self.data.why_not_trainable():
            return reason
        try:
            plan_layers(self.experiment.architecture, self.experiment.image, len(self.dataset.class_names))
        except ExperimentError as error:
            return error
        if problem := why_not_augmentable(self.experiment):
            return problem
        if backbone := self.backbone_without_weights():
            return CnnStudioError(
                f"{backbone.title} needs its pre-trained weights ({megabytes(backbone)}), which are not on this "
                "machine yet.",
                hint="Get them on the Model page.",
            )
        return None

    # -- pre-trained weights ------------------------------------------------------------------------------------

    def backbone_without_weights(self) -> Backbone | None:
        """The experiment's backbone when its weights are not on this machine; whether they are whole a job checks."""
        architecture = self.experiment.architecture
        if not isinstance(architecture, BackboneArchitecture):
            return None
        backbone = find_backbone(architecture.name)
        return None if weights_path(backbone).is_file() else backbone

    def get_weights(self, name: str) -> None:
        """Download a backbone's weights."""
        from cnn_studio.core.weights.download import download_weights

        title = f"Fetching the weights of {find_backbone(name).title}"
        self._submit(JobKind.WEIGHTS, title, download_weights, name)

    def import_weights(self, name: str, file: Path) -> None:
        """Take a file of the user's as a backbone's weights."""
        self._submit(JobKind.WEIGHTS, f"Checking {file.name}", import_weights, ImportRequest(file, name))

    def clear_cache(self) -> None:
        """Delete prepared images and cached features; they are made again when needed."""
        self._submit(JobKind.CLEAR_CACHE, "Clearing the cache", tasks.clear_cache, None)

    def choose_preset(self, name: str) -> str:
        """Take a whole experiment by name, or the one recommended for the data; returns what is to be said of it."""
        decisions = self.experiment.decisions
        if name == RECOMMENDED:
            assert self.dataset is not None
            on_gpu = self.device is not None and self.device.kind is events.DeviceKind.GPU
            recommended = recommend_experiment(self.dataset, on_gpu=on_gpu)
            self.experiment, said = recommended.experiment, recommended.reason
        else:
            preset = experiment_preset(name)
            self.experiment, said = preset.experiment, preset.summary
        self.experiment = self.experiment.model_copy(update={"decisions": decisions})
        self._image_size_chosen = True
        self.experiment_changed.emit()
        return said

    # -- training, predicting, exporting ------------------------------------------------------------------------

    def train(self, run: Path | None = None) -> None:
        """Train the experiment on the data set, into ``run`` or a new folder among the runs."""
        if reason := self.why_not_train():
            self.tell_error(reason)
            return
        assert self.dataset is not None
        name = self.experiment.architecture.name
        folder = run or runs.new_run_folder(self.runs_dir, self.dataset.name, name)
        request = tasks.TrainRequest(self.dataset, self.experiment, folder)
        self._submit(JobKind.TRAIN, f"Training on {self.dataset.name}", tasks.train, request)

    @property
    def model_is_coming(self) -> bool:
        """Whether a job runs or waits that ends with another model: training, or opening one."""
        return any(job.kind in {JobKind.TRAIN, JobKind.OPEN_MODEL, JobKind.RECOVER} for job in self._jobs)

    def predict(self, files: Sequence[Path]) -> None:
        """Classify images with the opened model; while another one is on its way, with that one when it is there."""
        if self.model_is_coming:
            self._images_waiting.append(tuple(files))
        elif self.model is None:
            self.tell(
                NoticeKind.WARNING,
                "There is no model yet to classify images with. Train one, or open a .keras file on the Predict page.",
                topic=NO_MODEL,
            )
        else:
            title = f"Classifying {files[0].name}" if len(files) == 1 else f"Classifying {len(files):,} items"
            names = self.model.facts.class_names or None
            request = tasks.PredictRequest(self.model.path, tuple(files), names)
            self._submit(JobKind.PREDICT, title, tasks.predict, request)

    def open_model(self, path: Path) -> None:
        """Open a ``.keras`` file to classify images with."""
        self._submit(JobKind.OPEN_MODEL, f"Opening {path.name}", tasks.open_model, path)

    def open_run(self, run: runs.Run) -> None:
        """Open a run's model; one that was interrupted gets its model made from the best weights first."""
        if run.model.exists():
            self.open_model(run.model)
        else:
            self._submit(JobKind.RECOVER, f"Recovering {run.folder.name}", tasks.recover, run.folder)

    def training_folder(self) -> Path | None:
        """Folder of the run that is being trained or waits for it."""
        return next((job.request.run for job in self._jobs if job.kind is JobKind.TRAIN), None)

    def forget_model_in(self, folder: Path) -> None:
        """Let go of the opened model if it lies in ``folder``, which is being deleted."""
        if self.model and self.model.path.is_relative_to(folder):
            self.model = None
            self.model_changed.emit()

    def name_classes(self, names: Sequence[str]) -> CnnStudioError | None:
        """Give the opened model's classes names; returns what is wrong with them."""
        assert self.model is not None
        if len(set(names)) != len(names) or not all(names):
            return CnnStudioError("Each class needs a name of its own.")
        self.model = replace(self.model, facts=replace(self.model.facts, class_names=tuple(names)))
        self.model_changed.emit()
        return None

    def export(self, target: Path, *, replace_existing: bool) -> None:
        """Write the opened model to ``target``, checked by reloading it."""
        assert self.model is not None
        names = self.model.facts.class_names
        request = tasks.ExportRequest(self.model.path, target, replace=replace_existing, class_names=names)
        self._submit(JobKind.EXPORT, f"Exporting {target.name}", tasks.export, request)

    # -- telling ------------------------------------------------------------------------------------------------

    def tell(self, kind: NoticeKind, text: str, details: str = "", topic: str = "") -> None:
        """Show a notice in the window."""
        self.told.emit(Notice(kind, text, details, topic))

    def tell_info(self, text: str) -> None:
        """Show news that ask for nothing."""
        self.tell(NoticeKind.INFO, text)

    def tell_error(self, error: CnnStudioError) -> None:
        """Show what went wrong and what to do."""
        self.tell(NoticeKind.ERROR, str(error))

    # -- what the thread tells ----------------------------------------------------------------------------------

    @Slot(object)
    def _on_started(self, job: Job) -> None:
        if job.kind not in QUIET:
            self.job_started.emit(job)

    @Slot(object, object)
    def _on_reported(self, job: Job, event: events.Event) -> None:
        match event:
            case events.DeviceChosen():
                if event != self.device:  # every job says so
                    self.device = event
                    self.device_changed.emit()
            case events.Message(text):
                self.tell(NoticeKind.INFO, text)
            case FilesLeftOut(issues):
                if job.kind is JobKind.TRAIN and self.dataset and job.request.dataset is self.dataset:
                    self.dataset = dataset.without_files(self.dataset, issues)
                    self.dataset_changed.emit()
                self.tell(
                    NoticeKind.WARNING,
                    f"{len(issues)} files could not be read any more and were left out; the first is {issues[0].path}.",
                )
            case ImagesPredicted(predictions):
                self.predictions += predictions
                self.predictions_added.emit(predictions)
        if job.kind not in QUIET:
            self.job_reported.emit(job, event)

    @Slot(object, object)
    def _on_succeeded(self, job: Job, result: Any) -> None:
        match job.kind:
            case JobKind.SCAN:
                self._take_dataset(result)
            case JobKind.TRAIN:
                self.last_training = result
                self._take_model(result.model, result.facts)
                self.trained.emit(result)
                self.runs_changed.emit()
            case JobKind.OPEN_MODEL:
                self._take_model(job.request, result)
            case JobKind.RECOVER:
                self._take_model(runs.read_run(job.request).model, result)
                self.runs_changed.emit()
            case JobKind.WEIGHTS:
                self.weights_changed.emit()
                self.tell(NoticeKind.INFO, f"The weights are in place: {result.path}. {result.note}".strip())
            case JobKind.EXPORT:
                self.exported.emit(job.request.target, result)
            case JobKind.PREVIEW | JobKind.MEASURE:
                self.augmentation.take(job, result)
            case JobKind.EVALUATE | JobKind.CALIBRATE | JobKind.EXPLAIN | JobKind.REPORT:
                self.evaluation.take(job, result)
            case JobKind.LABEL_ERRORS:
                self.data.take_review(job.request.dataset, result)
        self._end(job)

    @Slot(object, object)
    def _on_failed(self, job: Job, failure: Failure) -> None:
        if job.kind is JobKind.PREVIEW:
            self.augmentation.take_failed_preview(failure)
            if not failure.details:  # foreseen: said where the preview would be
                self._end(job)
                return
        if not self.evaluation.take_failure(job, failure):
            self.tell(NoticeKind.ERROR, f"{failure.message} {failure.hint}".strip(), failure.details)
        if job.kind is JobKind.TRAIN:
            self.runs_changed.emit()
        if job.kind is JobKind.WEIGHTS:
            self.weights_changed.emit()
        self._end(job)

    @Slot(object)
    def _on_cancelled(self, job: Job) -> None:
        if job.kind is JobKind.TRAIN:
            stopped = job.token.stop_requested
            self.tell(
                NoticeKind.INFO,
                "Stopped before training had begun, so there was nothing to keep."
                if stopped
                else "Cancelled: the run was discarded. Your images and earlier runs are untouched.",
            )
        if job.kind is JobKind.PREVIEW:
            self.augmentation.take_failed_preview(None)
        self._end(job)

    def _end(self, job: Job) -> None:
        self._jobs.remove(job)
        if self._images_waiting and not self.model_is_coming:
            waiting, self._images_waiting = self._images_waiting, []
            self.predict([path for files in waiting for path in files])
        if job.kind not in QUIET:
            self.job_ended.emit(job)

    def _take_dataset(self, found: Dataset) -> None:
        self.dataset = found
        self._image_size_chosen = False
        suggested = suggest_image_settings(found, self.experiment.architecture.name)
        decisions = self.data.begin(found)
        image = suggested.model_copy(update={"fit": self.experiment.image.fit})
        self.experiment = self.experiment.model_copy(update={"image": image, "decisions": decisions})
        if found.root != paths.sample_dataset_dir():
            self._remember(found.root)
        self.dataset_changed.emit()
        self.experiment_changed.emit()

    def _take_model(self, path: Path, facts: ModelFacts) -> None:
        self.model = OpenedModel(path, facts, facts.data_name or path.stem)
        self.withdrawn.emit(NO_MODEL)
        self.model_changed.emit()
        if not facts.class_names:
            self.class_names_wanted.emit()
