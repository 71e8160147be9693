"""Looking for images in the wrong class."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from PySide6.QtCore import QObject, Signal, Slot

from cnn_studio import tasks
from cnn_studio.core.data.dataset import Dataset
from cnn_studio.core.evaluation.label_review import LabelReview
from cnn_studio.core.runs import run as runs
from cnn_studio.core.runs.run import Run
from cnn_studio.gui.jobs.job_queue import JobQueue
from cnn_studio.gui.jobs.job_thread import Job, JobKind
from cnn_studio.gui.look.wording import format_things
from cnn_studio.gui.state.notices import Notices
from cnn_studio.gui.state.project import Project
from cnn_studio.gui.state.training import Training


class LabelErrors(QObject):
    """Lets a network judge images that it has not learnt from.

    Attributes:
        review: what was found in the open folder; None while nothing was looked for.
    """

    changed = Signal()
    """There is a new review, or none any more."""

    def __init__(
        self,
        queue: JobQueue,
        notices: Notices,
        project: Project,
        training: Training,
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self._queue = queue
        self._notices = notices
        self._project = project
        self._training = training
        self._folder: Path | None = None
        self.review: LabelReview | None = None
        project.dataset_opened.connect(self._on_opened)

    def suggested_for(self, path: str) -> str:
        """The class that a network would put the image of that path into; "" where it has no doubt."""
        doubts = self.review.doubts if self.review else ()
        return next((doubt.suggested for doubt in doubts if doubt.path == path), "")

    def latest_run(self) -> Run | None:
        """The latest run on the open folder that has a model."""
        if (dataset := self._project.dataset) is None:
            return None
        found = runs.list_runs(self._project.runs_dir)
        return next((run for run in found if run.data_root == str(dataset.root) and run.model.exists()), None)

    def why_not_look(self) -> str:
        """The reason why label errors cannot be looked for now; "" when they can."""
        if self._project.dataset is None or self._project.listed is not None:
            return "The folder has to be checked first."
        if self._queue.is_busy_with(JobKind.LABEL_ERRORS):
            return "They are being looked for."
        if self._training.is_running():
            return "A network is being trained; wait until it has ended."
        reason = self._training.why_not_train()
        return str(reason) if reason else ""

    def look(self, run: Path | None) -> None:
        """Look for images in the wrong class.

        Args:
            run: a finished run, to ask its network about the images it has not learnt from; None trains networks of
                the experiment for this, so that every image is judged by one that never saw it.
        """
        dataset = self._project.dataset
        assert dataset is not None
        request = tasks.LabelErrorRequest(dataset, self._project.experiment, run)
        job = Job(JobKind.LABEL_ERRORS, "Looking for label errors", tasks.find_label_errors, request)
        self._queue.submit(job, on_success=partial(self._take, dataset))

    def _take(self, dataset: Dataset, review: LabelReview) -> None:
        if self._project.dataset is None or self._project.dataset.root != dataset.root:
            return  # another folder is open by now
        self.review = review
        self.changed.emit()
        found = f"{len(review.doubts):,}" if review.doubts else "None"
        judged = f"{format_things(review.images, 'picture')} that were judged"
        expected = f"; {review.expected_text}" if review.doubts else ""
        text = f"{found} of the {judged} may be in the wrong class{expected}. {review.method}"
        self._notices.tell_info(text, JobKind.LABEL_ERRORS)

    @Slot()
    def _on_opened(self) -> None:
        folder = self._project.dataset.root if self._project.dataset else None
        if folder != self._folder:
            self._folder = folder
            if self.review is not None:
                self.review = None
                self.changed.emit()
