"""What the window knows of how good the opened model is: what was measured, on which images, where it looks."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QObject, Signal, Slot

from cnn_studio import tasks
from cnn_studio.core.data.image_file import Split
from cnn_studio.core.runs import run as runs
from cnn_studio.gui.jobs.job_thread import Failure, Job, JobKind
from cnn_studio.gui.state.notices import NoticeKind

if TYPE_CHECKING:
    from cnn_studio.core.evaluation.calibration import Calibrated
    from cnn_studio.core.evaluation.heat import Explanation
    from cnn_studio.core.evaluation.measured import Measured
    from cnn_studio.gui.state.opened_model import OpenedModel
    from cnn_studio.gui.state.session import Session

Source = Split | Path
"""The images to measure on: a split of the model's run, or a folder."""

ImageAction = tuple[str, Callable[[], object]]
"""What can be done about images, and how it is called in a menu."""

Submit = Callable[[JobKind, str, tasks.Job[Any, Any], Any], Job]

_KEPT_EXPLANATIONS = 64


class EvaluationSession(QObject):
    """Measures the session's model, and holds what was found; lives as long as the session.

    Attributes:
        image_actions: gives what can be done about images beside looking at them, such as leaving them out of the data
            set; None where the session offers nothing of the kind.
    """

    changed = Signal()
    """The model, the images to measure it on, or what was measured."""

    explained = Signal(object)
    """An ``Explanation`` that was asked for."""

    not_explained = Signal(object, str)
    """The picture that there is no explanation for, and why."""

    calibrated = Signal(object)
    """A ``Calibrated``, after the model's file was changed."""

    report_written = Signal(object)
    """The path of a report."""

    def __init__(self, session: Session, submit: Submit) -> None:
        super().__init__(session)
        self._session = session
        self._submit = submit
        self.image_actions: Callable[[Sequence[Path]], Sequence[ImageAction]] | None = None
        self._splits: dict[Split, int] = {}
        self._source: Source | None = None
        self._measured: Measured | None = None
        self._model: OpenedModel | None = None
        self._stale = True
        self._explaining: Job | None = None
        self._explanations: OrderedDict[tuple[Path, str], Explanation] = OrderedDict()
        session.model_changed.connect(self._on_model_changed)
        session.job_ended.connect(self._on_job_ended)

    # -- which images -------------------------------------------------------------------------------------------

    @Slot()
    def _on_model_changed(self) -> None:
        self._stale = True
        self._explanations.clear()
        self.changed.emit()

    def _renew(self) -> None:
        """Look at the model's run, when somebody wants to know: opening a model for predictions need not wait."""
        if not self._stale:
            return
        self._stale = False
        before, model = self._model, self._session.model
        same_file = before is not None and model is not None and before.path == model.path
        self._model = model
        self._splits = runs.measurable_splits(model.path) if model else {}
        if not same_file:
            self._measured = None
            self._source = next((split for split in (Split.TEST, Split.VALIDATION) if split in self._splits), None)
        self._load()

    def _load(self) -> None:
        """Take what was measured before, or bring what is there to the model's temperature and threshold."""
        if self._model is None:
            self._measured = None
        elif isinstance(self._source, Split):
            self._measured = tasks.saved_evaluation(self._model.path, self._source)
        elif self._measured is not None:
            facts = self._model.facts
            self._measured = replace(self._measured.at_temperature(facts.temperature), threshold=facts.threshold)

    @property
    def splits(self) -> dict[Split, int]:
        """Splits of the model's run that it can be measured on, with their numbers of images."""
        self._renew()
        return self._splits

    @property
    def source(self) -> Source | None:
        """The images chosen; None when there is no model, or nothing to measure it on yet."""
        self._renew()
        return self._source

    @property
    def measured(self) -> Measured | None:
        """What the model said of the chosen images; None while that is not known."""
        self._renew()
        return self._measured

    def choose(self, source: Source) -> None:
        """Choose images: what was measured on them before shows at once."""
        self._renew()
        if source == self._source and self._measured is not None:
            return
        self._source, self._measured = source, None
        self._load()
        self.changed.emit()

    # -- measuring ----------------------------------------------------------------------------------------------

    def is_measuring(self) -> bool:
        """Whether a measurement runs or waits."""
        return self._session.is_busy_with(JobKind.EVALUATE)

    def evaluate(self) -> None:
        """Measure the model on the chosen images."""
        model, source = self._session.model, self.source
        if model is None or source is None:
            return
        names = model.facts.class_names or None
        if isinstance(source, Split):
            request = tasks.EvaluateRequest(model.path, split=source, class_names=names)
            what = f"the {source} images"
        else:
            request = tasks.EvaluateRequest(model.path, folder=source, class_names=names)
            what = source.name
        self._submit(JobKind.EVALUATE, f"Evaluating on {what}", tasks.evaluate, request)
        self.changed.emit()

    # -- how sure -----------------------------------------------------------------------------------------------

    def calibrate(self, temperature: tasks.Temperature) -> None:
        """Make the model's probabilities honest, or as they were."""
        self._calibrate("Fitting the temperature", temperature=temperature)

    def set_threshold(self, threshold: float) -> None:
        """Keep in the model which probability (0–1) an answer needs; 0 takes the threshold away."""
        self._calibrate("Keeping the threshold", threshold=threshold)

    def _calibrate(self, title: str, **settings: Any) -> None:
        model, source = self._session.model, self.source
        assert model is not None
        # Where the model lies in no run, there are no validation images but those it has been measured on.
        folder = source if isinstance(source, Path) and not self.splits else None
        names = model.facts.class_names or None
        request = tasks.CalibrateRequest(model.path, folder=folder, class_names=names, **settings)
        self._submit(JobKind.CALIBRATE, title, tasks.calibrate, request)
        self.changed.emit()

    def is_calibrating(self) -> bool:
        """Whether the model's file is being changed, or waits for it."""
        return self._session.is_busy_with(JobKind.CALIBRATE)

    # -- where it looks -----------------------------------------------------------------------------------------

    def explain(self, image: Path, class_name: str = "") -> Explanation | None:
        """Where the model looks when it sees a picture; the answer comes with ``explained`` unless it is known.

        Only the latest question is answered: earlier ones that wait are given up.

        Args:
            image: the picture.
            class_name: for which class; "" for the most likely one.
        """
        if (known := self._explanations.get((image, class_name))) is not None:
            return known
        self.stop_explaining()
        if model := self._session.model:
            request = tasks.ExplainRequest(model.path, image, class_name or None, model.facts.class_names or None)
            self._explaining = self._submit(JobKind.EXPLAIN, f"Looking at {image.name}", tasks.explain, request)
        return None

    def is_training(self) -> bool:
        """Whether a training runs or waits, which every other job then waits for."""
        return self._session.is_busy_with(JobKind.TRAIN)

    @Slot()
    def stop_explaining(self) -> None:
        """Nobody looks at the picture any more."""
        if self._explaining is not None:
            self._explaining.token.cancel()
            self._explaining = None

    # -- reports ------------------------------------------------------------------------------------------------

    def write_report(self, target: Path, *, replace_existing: bool) -> None:
        """Write one HTML page that holds everything."""
        if measured := self.measured:
            request = tasks.ReportRequest(measured, target, replace=replace_existing)
            self._submit(JobKind.REPORT, f"Writing {target.name}", tasks.write_report, request)

    # -- what the session's thread tells ------------------------------------------------------------------------

    def take(self, job: Job, result: Any) -> None:
        """The result of one of the jobs submitted here."""
        match job.kind:
            case JobKind.EVALUATE:
                self._take_measured(job.request, result)
            case JobKind.CALIBRATE:
                self._take_calibrated(job.request, result)
            case JobKind.EXPLAIN:
                self._take_explanation(job, result)
            case JobKind.REPORT:
                self.report_written.emit(result)

    def take_failure(self, job: Job, failure: Failure) -> bool:
        """Whether a failure is told elsewhere than in a notice."""
        if job.kind is not JobKind.EXPLAIN or failure.details:
            return False
        if job is self._explaining:
            self._explaining = None
            self.not_explained.emit(job.request.image, f"{failure.message} {failure.hint}".strip())
        return True

    @Slot(object)
    def _on_job_ended(self, job: Job) -> None:
        if job.kind in {JobKind.EVALUATE, JobKind.CALIBRATE}:
            self.changed.emit()
        elif job is self._explaining:  # neither answered nor refused
            self._explaining = None
            self.not_explained.emit(job.request.image, "This was ended before there was an answer.")

    def _take_measured(self, request: tasks.EvaluateRequest, measured: Measured) -> None:
        model = self._session.model
        if model is None or model.path != request.model:
            return
        self._renew()
        self._source = request.split if request.folder is None else request.folder
        self._measured = measured

    def _take_calibrated(self, request: tasks.CalibrateRequest, calibrated: Calibrated) -> None:
        model = self._session.model
        if model is not None and model.path == request.model:
            names = model.facts.class_names or calibrated.facts.class_names
            self._session.model = replace(model, facts=replace(calibrated.facts, class_names=names))
            self._session.model_changed.emit()
        self.calibrated.emit(calibrated)
        if text := _calibrated_text(request, calibrated):
            self._session.tell(NoticeKind.INFO, text)

    def _take_explanation(self, job: Job, explanation: Explanation) -> None:
        model = self._session.model
        if model is None or model.path != job.request.model:
            return
        self._explanations[job.request.image, job.request.class_name or ""] = explanation
        while len(self._explanations) > _KEPT_EXPLANATIONS:
            self._explanations.popitem(last=False)
        if job is self._explaining:
            self._explaining = None
            self.explained.emit(explanation)


def _calibrated_text(request: tasks.CalibrateRequest, calibrated: Calibrated) -> str:
    """What has become of the model, for a notice; "" where the job has told why nothing has."""
    before, after = calibrated.before, calibrated.after
    if request.temperature is tasks.Temperature.REMOVE:
        return "The model's probabilities are as it was trained again."
    if request.temperature is tasks.Temperature.FIT and calibrated.facts.temperature == 1.0:
        return ""
    if request.temperature is tasks.Temperature.FIT:
        return (
            f"The model now has the temperature {calibrated.facts.temperature:.2f}. On the {calibrated.images:,} "
            f"{calibrated.images_text} it was fitted on, the expected calibration error went from "
            f"{100 * before.error:.1f} to {100 * after.error:.1f} percentage points."
        )
    if calibrated.facts.threshold:
        least = f"{100 * calibrated.facts.threshold:.1f} %"
        return f"From now on the model says “not sure” where its answer has less than {least}."
    return "From now on the model always answers."
