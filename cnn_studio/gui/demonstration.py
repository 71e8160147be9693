"""The whole way on the sample data set, in the window: scan, train, classify held-out images, export."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import QObject, Slot

from cnn_studio import tasks
from cnn_studio.core import paths
from cnn_studio.core.runs.trained import TrainedModel
from cnn_studio.gui.jobs.job_thread import Job, JobKind
from cnn_studio.gui.main_window import MainWindow
from cnn_studio.gui.state.notices import NoticeKind
from cnn_studio.gui.state.session import Session

HELD_OUT_IMAGES = 12


class Demonstration(QObject):
    """Does with the session what a person would do with the mouse, page after page, then lets go."""

    def __init__(self, session: Session, out: Path, window: MainWindow) -> None:
        super().__init__(window)
        self._session = session
        self._window = window
        self._out = out
        session.job_ended.connect(self._on_ended)
        session.trained.connect(self._on_trained)
        session.exported.connect(self._on_exported)

    def start(self) -> None:
        """Open the sample data set; the rest follows."""
        self._session.open_sample()

    @Slot(object)
    def _on_ended(self, job: Job) -> None:
        session = self._session
        if job.kind is JobKind.SCAN and session.dataset and session.dataset.root == paths.sample_dataset_dir():
            session.experiment = tasks.demo_experiment(session.dataset)
            session.experiment_changed.emit()
            self._window.show_page("train")
            session.train(self._out / "run")
        elif job.kind is JobKind.TRAIN and session.last_training is None:
            self.deleteLater()  # cancelled or failed: the window has said so

    @Slot(object)
    def _on_trained(self, trained: TrainedModel) -> None:
        self._window.show_page("predict")
        held_out = tasks.held_out_images(trained.run, HELD_OUT_IMAGES)
        self._session.predict([path for path, _ in held_out])
        self._session.export(self._out / "model.keras", replace_existing=False)

    @Slot(object, object)
    def _on_exported(self, target: Path, facts: object) -> None:  # noqa: ARG002 -- the signal's shape
        self._session.tell(
            NoticeKind.INFO,
            f"That was the whole way: trained, tried on {HELD_OUT_IMAGES} pictures it had never seen, "
            f"and exported to {target}.",
        )
        self.deleteLater()
