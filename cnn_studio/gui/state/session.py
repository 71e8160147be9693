"""The state behind the window, put together."""

from __future__ import annotations

from functools import partial

from PySide6.QtCore import QObject

from cnn_studio.gui.jobs.job_queue import JobQueue
from cnn_studio.gui.state.augmentation import AugmentationState
from cnn_studio.gui.state.data import DataState
from cnn_studio.gui.state.decisions import PictureDecisions
from cnn_studio.gui.state.evaluation import EvaluationState
from cnn_studio.gui.state.image_actions import image_actions
from cnn_studio.gui.state.label_errors import LabelErrors
from cnn_studio.gui.state.models import Models
from cnn_studio.gui.state.notices import Notices
from cnn_studio.gui.state.predictions import Predictions
from cnn_studio.gui.state.project import Project
from cnn_studio.gui.state.runtime import Runtime
from cnn_studio.gui.state.split_file import SplitFile
from cnn_studio.gui.state.training import Training
from cnn_studio.gui.state.weights import Weights


class Session(QObject):
    """Makes the parts and gives each those it needs; pages show them and ask them for things.

    A part's signals reach the parts made after it in this order, and then the pages.
    """

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.queue = JobQueue(self)
        self.notices = Notices(self.queue, self)
        self.runtime = Runtime(self.queue, self)
        self.project = Project(self.queue, self.notices, self)
        self.decisions = PictureDecisions(self.project, self)
        self.split_file = SplitFile(self.project, self.notices, self)
        self.data = DataState(self.project, self.decisions, self.notices, self)
        self.weights = Weights(self.queue, self.notices, self.project, self)
        self.models = Models(self.queue, self.notices, self)
        self.training = Training(self.queue, self.notices, self.project, self.data, self.models, self)
        self.label_errors = LabelErrors(self.queue, self.notices, self.project, self.training, self)
        self.predictions = Predictions(self.queue, self.notices, self.models, self)
        self.augmentation = AugmentationState(self.queue, self.project, self)
        self.evaluation = EvaluationState(self.queue, self.notices, self.models, self)
        self.evaluation.image_actions = partial(image_actions, self.project, self.data)

    def close(self) -> None:
        """End every job and thread, and return when they have ended; what was decided is kept."""
        self.data.close()
        self.split_file.close()
        self.decisions.close()
        self.queue.close()
