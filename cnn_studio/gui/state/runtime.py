"""What computes, and what it keeps: TensorFlow, the device it has chosen, the cache of prepared images."""

from __future__ import annotations

from PySide6.QtCore import QObject, Signal, Slot

from cnn_studio import tasks
from cnn_studio.core.job.events import DeviceChosen, Event
from cnn_studio.gui.jobs.job_queue import JobQueue
from cnn_studio.gui.jobs.job_thread import AnyJob, Job, JobKind


class Runtime(QObject):
    """Knows the device once a job has told it."""

    device_changed = Signal()

    def __init__(self, queue: JobQueue, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._queue = queue
        self.device: DeviceChosen | None = None
        queue.reported.connect(self._on_reported)

    @property
    def on_gpu(self) -> bool:
        """Whether a GPU computes, as far as that is known yet."""
        return self.device is not None and self.device.kind == "gpu"

    @Slot()
    def start(self) -> None:
        """Load TensorFlow in the background."""
        self._queue.submit(Job(JobKind.START, "Starting TensorFlow", tasks.start_runtime, None))

    @Slot()
    def clear_cache(self) -> None:
        """Delete prepared images and cached features; they are made again when needed."""
        self._queue.submit(Job(JobKind.CLEAR_CACHE, "Clearing the cache", tasks.clear_cache, None))

    @Slot(object, object)
    def _on_reported(self, job: AnyJob, event: Event) -> None:  # noqa: ARG002 -- the signal's shape
        if isinstance(event, DeviceChosen) and event != self.device:  # every job says so
            self.device = event
            self.device_changed.emit()
