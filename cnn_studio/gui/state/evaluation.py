"""What the window knows of how good the opened model is: what was measured, on which images, where it looks."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QObject, Signal, Slot

from cnn_studio import tasks
from cnn_studio.core.data.image_file import Split
from cnn_studio.core.runs import run as runs
from cnn_studio.gui.jobs.job_queue import JobQueue
from cnn_studio.gui.jobs.job_thread import Failure, Job, JobKind
from cnn_studio.gui.state.models import Models, OpenedModel
from cnn_studio.gui.state.notices import Notices

if TYPE_CHECKING:
    from cnn_studio.core.evaluation.calibration import Calibrated
    from cnn_studio.core.evaluation.heat import Explanation
    from cnn_studio.core.evaluation.measured import Measured

Source = Split | Path
"""The images to measure on: a split of the model's run, or a folder."""

ImageAction = tuple[str, Callable[[], object]]
"""What can be done about images, and how it is called in a menu."""

_KEPT_EXPLANATIONS = 64
_NO_ANSWER = "This was ended before there was an answer."


class EvaluationState(QObject):
    """Measures the opened model, and holds what was found.

    Attributes:
        image_actions: gives what can be done about images beside looking at them, such as leaving them out of the data
            set; None where there is nothing of the kind.
    """

    changed = Signal()
    """The model, the images to measure it on, or what was measured."""

    explained = Signal(object)
    """An ``Explanation`` that was asked for."""

    not_explained = Signal(object, str)
    """The picture that there is no explanation for, and why."""

    def __init__(self, queue: JobQueue, notices: Notices, models: Models, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._queue = queue
        self._notices = notices
        self._models = models
        self.image_actions: Callable[[Sequence[Path]], Sequence[ImageAction]] | None = None
        self._splits: dict[Split, int] = {}
        self._source: Source | None = None
        self._measured: Measured | None = None
        self._model: OpenedModel | None = None
        self._stale = True
        self._explaining: Job[tasks.ExplainRequest, Explanation] | None = None
        self._explanations: OrderedDict[tuple[Path, str], Explanation] = OrderedDict()
        models.input_range_given.connect(self._forget_measured)
        models.changed.connect(self._on_model_changed)

    @property
    def model_path(self) -> Path | None:
        """The file of the model that is asked; None while none is open."""
        return self._models.opened.path if self._models.opened else None

    # -- which images -------------------------------------------------------------------------------------------

    @Slot()
    def _on_model_changed(self) -> None:
        self._stale = True
        self._explanations.clear()
        self.changed.emit()

    @Slot()
    def _forget_measured(self) -> None:
        """The model is given other values from now on: figures and heat maps until now are of no use."""
        self._measured = None

    def _renew(self) -> None:
        """Look at the model's run, when somebody wants to know: opening a model for predictions need not wait."""
        if not self._stale:
            return
        self._stale = False
        before, model = self._model, self._models.opened
        same_file = (
            before is not None
            and model is not None
            and (before.path, before.changed_ns) == (model.path, model.changed_ns)
        )
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
        return self._queue.is_busy_with(JobKind.EVALUATE)

    def evaluate(self) -> None:
        """Measure the model on the chosen images."""
        model, source = self._models.opened, self.source
        if model is None or source is None:
            return
        names, takes = model.facts.class_names or None, model.facts.input_range
        if isinstance(source, Split):
            request = tasks.EvaluateRequest(model.path, split=source, class_names=names, input_range=takes)
            what = f"the {source} images"
        else:
            request = tasks.EvaluateRequest(model.path, folder=source, class_names=names, input_range=takes)
            what = source.name
        job = Job(JobKind.EVALUATE, f"Evaluating on {what}", tasks.evaluate, request)
        self._queue.submit(job, on_success=partial(self._take_measured, request), on_end=self.changed.emit)
        self.changed.emit()

    # -- how sure -----------------------------------------------------------------------------------------------

    def calibrate(self, temperature: tasks.Temperature) -> None:
        """Make the model's probabilities honest, or as they were."""
        self._calibrate("Fitting the temperature", temperature=temperature)

    def set_threshold(self, threshold: float) -> None:
        """Keep in the model which probability (0–1) an answer needs; 0 takes the threshold away."""
        self._calibrate("Keeping the threshold", threshold=threshold)

    def _calibrate(self, title: str, **settings: Any) -> None:
        model, source = self._models.opened, self.source
        assert model is not None
        # Where the model lies in no run, there are no validation images but those it has been measured on.
        folder = source if isinstance(source, Path) and not self.splits else None
        names, takes = model.facts.class_names or None, model.facts.input_range
        request = tasks.CalibrateRequest(model.path, folder=folder, class_names=names, input_range=takes, **settings)
        job = Job(JobKind.CALIBRATE, title, tasks.calibrate, request)
        self._queue.submit(job, on_success=partial(self._take_calibrated, request), on_end=self.changed.emit)
        self.changed.emit()

    def is_calibrating(self) -> bool:
        """Whether the model's file is being changed, or waits for it."""
        return self._queue.is_busy_with(JobKind.CALIBRATE)

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
        if model := self._models.opened:
            facts = model.facts
            names = facts.class_names or None
            request = tasks.ExplainRequest(model.path, image, class_name or None, names, facts.input_range)
            job = Job(JobKind.EXPLAIN, f"Looking at {image.name}", tasks.explain, request)
            self._explaining = job
            self._queue.submit(
                job,
                on_success=partial(self._take_explanation, job),
                on_failure=partial(self._take_no_explanation, job),
                on_cancel=partial(self._take_no_explanation, job, _NO_ANSWER),
            )
        return None

    def is_training(self) -> bool:
        """Whether a training runs or waits, which every other job then waits for."""
        return self._queue.is_busy_with(JobKind.TRAIN)

    @Slot()
    def stop_explaining(self) -> None:
        """Nobody looks at the picture any more."""
        if self._explaining is not None:
            explaining, self._explaining = self._explaining, None
            self._queue.give_up(explaining)

    # -- reports ------------------------------------------------------------------------------------------------

    def write_report(self, target: Path, *, replace_existing: bool) -> None:
        """Write one HTML page that holds everything."""
        if measured := self.measured:
            request = tasks.ReportRequest(measured, target, replace=replace_existing)
            job = Job(JobKind.REPORT, f"Writing {target.name}", tasks.write_report, request)
            self._queue.submit(job, on_success=self._tell_report)

    # -- what jobs end with -------------------------------------------------------------------------------------

    def _tell_report(self, target: Path) -> None:
        self._notices.tell_info(f"Report saved to {target}.", JobKind.REPORT)

    def _take_measured(self, request: tasks.EvaluateRequest, measured: Measured) -> None:
        model = self._models.opened
        if model is None or model.path != request.model:
            return
        self._renew()
        self._source = request.split if request.folder is None else request.folder
        self._measured = measured

    def _take_calibrated(self, request: tasks.CalibrateRequest, calibrated: Calibrated) -> None:
        self._models.renew(request.model, calibrated.facts)
        if text := _calibrated_text(request, calibrated):
            self._notices.tell_info(text, JobKind.CALIBRATE)

    def _take_explanation(self, job: Job[tasks.ExplainRequest, Explanation], explanation: Explanation) -> None:
        model = self._models.opened
        if model is None or model.path != job.request.model:
            self._take_no_explanation(job, _NO_ANSWER)
            return
        self._explanations[job.request.image, job.request.class_name or ""] = explanation
        while len(self._explanations) > _KEPT_EXPLANATIONS:
            self._explanations.popitem(last=False)
        if job is self._explaining:
            self._explaining = None
            self.explained.emit(explanation)

    def _take_no_explanation(self, job: Job[tasks.ExplainRequest, Explanation], reason: Failure | str) -> None:
        if job is self._explaining:
            self._explaining = None
            self.not_explained.emit(job.request.image, str(reason))


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
