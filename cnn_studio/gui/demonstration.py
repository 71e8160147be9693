"""The whole way on the sample data set, in the window: scan, train, classify held-out images, export."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import QObject, Slot

from cnn_studio import tasks
from cnn_studio.core import paths
from cnn_studio.core.runs.trained import TrainedModel
from cnn_studio.gui.jobs.job_thread import AnyJob, JobKind
from cnn_studio.gui.main_window import MainWindow
from cnn_studio.gui.state.session import Session

HELD_OUT_IMAGES = 12


class Demonstration(QObject):
    """Does with the session what a person would do with the mouse, page after page, then lets go."""

    def __init__(self, session: Session, out: Path, window: MainWindow) -> None:
        super().__init__(window)
        self._session = session
        self._window = window
        self._out = out
        session.queue.ended.connect(self._on_ended)
        session.training.trained.connect(self._on_trained)
        session.models.exported.connect(self._on_exported)

    def start(self) -> None:
        """Open the sample data set; the rest follows."""
        self._session.project.open_sample()

    @Slot(object)
    def _on_ended(self, job: AnyJob) -> None:
        project, training = self._session.project, self._session.training
        if job.kind is JobKind.SCAN and project.dataset and project.dataset.root == paths.sample_dataset_dir():
            project.take_experiment(tasks.demo_experiment(project.dataset))
            self._window.show_page("train")
            training.train(self._out / "run")
        elif job.kind is JobKind.TRAIN and training.last is None:
            self.deleteLater()  # cancelled or failed: the window has said so

    @Slot(object)
    def _on_trained(self, trained: TrainedModel) -> None:
        self._window.show_page("predict")
        held_out = tasks.held_out_images(trained.run, HELD_OUT_IMAGES)
        self._session.predictions.predict([path for path, _ in held_out])
        self._session.models.export(self._out / "model.keras", replace_existing=False)

    @Slot(object, object)
    def _on_exported(self, target: Path, facts: object) -> None:  # noqa: ARG002 -- the signal's shape
        self._session.notices.tell_info(
            f"That was the whole way: trained, tried on {HELD_OUT_IMAGES} pictures it had never seen, "
            f"and exported to {target}.",
        )
        self.deleteLater()
