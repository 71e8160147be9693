"""What a model says of many images, and the loss that Keras's ``evaluate`` would give for them.

Keras takes the cross-entropy from the logits where the output it is given comes straight from a softmax or sigmoid, and
from probabilities clipped at 1e-7 elsewhere; with another backend than TensorFlow always the latter. So its own
operation is asked, on the network's own output: a loss worked out from the probabilities afterwards is another one
where a model is very sure and wrong.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from cnn_studio.core.job.events import Progress, Stage, StageStarted
from cnn_studio.core.job.jobs import JobContext
from cnn_studio.ml.pipeline import Batches

_PROGRESS_EVERY = 0.1  # seconds
_SMALLEST = float(np.finfo(np.float32).tiny)


@dataclass(frozen=True, slots=True)
class Said:
    """What a model says of n images.

    Attributes:
        probabilities: float32 (n, classes) 0–1.
        logits: float32 (n, classes) what the softmax made them of; their logarithm where that is not known.
        losses: float32 (n,) cross-entropy in nats, as Keras works it out.
    """

    probabilities: NDArray[np.float32]
    logits: NDArray[np.float32]
    losses: NDArray[np.float32]


def measure_model(model: keras.Model, batches: Batches, context: JobContext) -> Said:
    """Let the model classify every image.

    Args:
        model: takes uint8 images (batch, height, width, 3), gives probabilities (batch, classes).
        batches: from ``evaluation_batches``.
        context: ``report`` is told ``StageStarted(EVALUATE)`` and ``Progress`` in images. *cancel* leaves within a
            batch; *stop* has no meaning here.

    Returns:
        Its answers in the order of ``batches``.

    Raises:
        JobCancelled: the user cancelled.
    """
    context.report(StageStarted(Stage.EVALUATE, batches.images))
    measuring = measuring_network(model)
    began = last = time.perf_counter()
    parts = []
    done = 0
    for images, labels in batches:
        context.cancel.raise_if_cancelled()
        part = [
            np.asarray(of, np.float32) for of in measuring.predict_on_batch([np.asarray(images), np.asarray(labels)])
        ]
        parts.append(part)
        done += len(part[0])
        now = time.perf_counter()
        if now - last >= _PROGRESS_EVERY or done == batches.images:
            last = now
            context.report(Progress(Stage.EVALUATE, done, batches.images, rate=done / max(now - began, 1e-6)))
    context.cancel.raise_if_cancelled()
    classes = int(model.outputs[0].shape[-1])
    nothing = [np.zeros((0, classes), np.float32), np.zeros((0, classes), np.float32), np.zeros(0, np.float32)]
    return Said(*(np.concatenate(of) for of in zip(nothing, *parts, strict=True)))


def measuring_network(model: keras.Model) -> keras.Model:
    """The model with labels (batch,) as a second input, and what ``Said`` holds as outputs."""
    label = keras.Input((), dtype="int32", name="label")
    probabilities = model.outputs[0]
    single = getattr(model, "single_output", None)  # see ``ml.adapt``
    if single is None:
        logits = _LogitsOf()(probabilities)
        losses = keras.ops.sparse_categorical_crossentropy(label, probabilities)
    else:
        logits = _LogitsOf()(single)
        logits = keras.ops.concatenate([keras.ops.zeros_like(logits), logits], axis=-1)
        truth = keras.ops.cast(keras.ops.expand_dims(label, -1), "float32")
        losses = keras.ops.squeeze(keras.ops.binary_crossentropy(truth, single), -1)
    made = keras.Model([*model.inputs, label], [probabilities, logits, losses], name=f"{model.name}_measured")
    made.jit_compile = model.jit_compile
    return made


class _LogitsOf(keras.Operation):  # type: ignore[misc]
    """What a softmax was given (batch, classes), or a sigmoid (batch, 1)."""

    def call(self, output: Any) -> Any:
        # Where Keras itself keeps them for its loss; there is no public way, nor any with JAX.
        logits = getattr(output, "_keras_logits", None)
        if logits is None:
            logits = keras.ops.log(keras.ops.maximum(output, _SMALLEST))
            if output.shape[-1] == 1:
                logits = logits - keras.ops.log(keras.ops.maximum(1.0 - output, _SMALLEST))
        return logits

    def compute_output_spec(self, output: Any) -> Any:
        return keras.KerasTensor(output.shape, output.dtype)
