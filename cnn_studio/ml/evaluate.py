"""What a model says of many images."""

from __future__ import annotations

import time

import keras
import numpy as np
from numpy.typing import NDArray

from cnn_studio.core.job.events import Progress, Stage, StageStarted
from cnn_studio.core.job.jobs import JobContext
from cnn_studio.ml.pipeline import Batches

_PROGRESS_EVERY = 0.1  # seconds


def measure_model(model: keras.Model, batches: Batches, context: JobContext) -> NDArray[np.float32]:
    """Let the model classify every image.

    Args:
        model: takes uint8 images (batch, height, width, 3), gives probabilities (batch, classes).
        batches: from ``evaluation_batches``.
        context: ``report`` is told ``StageStarted(EVALUATE)`` and ``Progress`` in images. *cancel* leaves within a
            batch; *stop* has no meaning here.

    Returns:
        Probabilities, float32 (n, classes), in the order of ``batches``.

    Raises:
        JobCancelled: the user cancelled.
    """
    context.report(StageStarted(Stage.EVALUATE, batches.images))
    began = last = time.perf_counter()
    parts = []
    done = 0
    for batch in batches:
        context.cancel.raise_if_cancelled()
        part = np.asarray(model.predict_on_batch(np.asarray(batch[0])), dtype=np.float32)
        parts.append(part)
        done += len(part)
        now = time.perf_counter()
        if now - last >= _PROGRESS_EVERY or done == batches.images:
            last = now
            context.report(Progress(Stage.EVALUATE, done, batches.images, rate=done / max(now - began, 1e-6)))
    context.cancel.raise_if_cancelled()
    return np.concatenate(parts) if parts else np.zeros((0, int(model.outputs[0].shape[-1])), np.float32)
