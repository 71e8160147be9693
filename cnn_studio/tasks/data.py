"""Getting ready: the runtime, the folder of images, the caches."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from cnn_studio.core.data.dataset import Dataset
from cnn_studio.core.data.split import count_ahead
from cnn_studio.core.job.jobs import JobContext

if TYPE_CHECKING:
    from cnn_studio.ml.runtime import Device


def start_runtime(request: None, context: JobContext) -> Device:  # noqa: ARG001 -- every job's shape
    """Load TensorFlow and find the device that computes, so that the first training does not wait for it."""
    from cnn_studio.ml import runtime

    return runtime.start(context.report)


def scan(folder: Path, context: JobContext) -> Dataset:
    """List a class-per-folder directory and check that every image can be read.

    Raises:
        DatasetError: the folder holds nothing that could be a data set.
    """
    from cnn_studio.core.data.scan import scan_folder

    found = scan_folder(folder, context)
    count_ahead(found)
    return found


def clear_cache(request: None, context: JobContext) -> int:  # noqa: ARG001 -- every job's shape
    """Delete prepared images and cached features, which are made again when needed; returns the bytes set free."""
    from cnn_studio.core.store.prepared import clear_store, store_size

    before = store_size()
    clear_store()
    return before - store_size()
