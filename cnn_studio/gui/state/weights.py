"""Pre-trained weights: whether those the experiment needs are here, and getting them."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import QObject, Signal

from cnn_studio.core.experiment.backbones import Backbone, find_backbone
from cnn_studio.core.experiment.settings import BackboneArchitecture
from cnn_studio.core.weights.check import CheckedWeights
from cnn_studio.core.weights.weights import ImportRequest, import_weights, weights_path
from cnn_studio.gui.jobs.job_queue import JobQueue
from cnn_studio.gui.jobs.job_thread import Job, JobKind
from cnn_studio.gui.state.notices import Notices
from cnn_studio.gui.state.project import Project


class Weights(QObject):
    """Fetches the weights of backbones, or takes files of the user's as such."""

    changed = Signal()
    """Weights may have come: somebody tried to get some."""

    def __init__(self, queue: JobQueue, notices: Notices, project: Project, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._queue = queue
        self._notices = notices
        self._project = project

    def missing(self) -> Backbone | None:
        """The experiment's backbone when its weights are not on this machine; whether they are whole a job checks."""
        architecture = self._project.experiment.architecture
        if not isinstance(architecture, BackboneArchitecture):
            return None
        backbone = find_backbone(architecture.name)
        return None if weights_path(backbone).is_file() else backbone

    def download(self, name: str) -> None:
        """Download a backbone's weights."""
        from cnn_studio.core.weights.download import download_weights

        title = f"Fetching the weights of {find_backbone(name).title}"
        job = Job(JobKind.WEIGHTS, title, download_weights, name)
        self._queue.submit(job, on_success=self._take, on_end=self.changed.emit)

    def take_file(self, name: str, file: Path) -> None:
        """Take a file of the user's as a backbone's weights."""
        job = Job(JobKind.WEIGHTS, f"Checking {file.name}", import_weights, ImportRequest(file, name))
        self._queue.submit(job, on_success=self._take, on_end=self.changed.emit)

    def _take(self, found: CheckedWeights) -> None:
        self._notices.tell_info(f"The weights are in place: {found.path}. {found.note}".strip(), JobKind.WEIGHTS)
