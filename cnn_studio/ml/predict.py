"""Classify image files: decoded ahead on a few threads, answered in order, an error per bad file."""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from pathlib import Path

import keras
import numpy as np
from numpy.typing import NDArray

from cnn_studio.core.evaluation.model_facts import ModelFacts
from cnn_studio.core.evaluation.predictions import Prediction
from cnn_studio.core.image.decoder import ImageError, read_image
from cnn_studio.core.job.events import Progress, Stage, StageStarted
from cnn_studio.core.job.jobs import CancelToken, JobContext

_Decoded = NDArray[np.uint8] | str  # an image, or why it could not be read


def predict_files(
    model: keras.Model,
    facts: ModelFacts,
    paths: Sequence[Path],
    context: JobContext,
    batch_size: int = 32,
) -> Iterator[Prediction]:
    """Classify images, in the order of ``paths``.

    Args:
        model: as ``load_model`` gives it: raw RGB 0–255 in, probabilities out.
        facts: its image size and class names; the names must be there.
        paths: image files.
        context: ``report`` is told ``StageStarted(PREDICT)`` and ``Progress`` in images. *cancel* raises between two
            batches, *stop* ends there.
        batch_size: images the model is given at once, at most.

    Yields:
        A prediction for each path; one with ``error`` where the file could not be read or the answer is no number.

    Raises:
        JobCancelled: the user cancelled.
        ValueError: ``facts`` has no class names.
    """
    if not facts.class_names:
        raise ValueError("a prediction needs class names; see with_class_names")
    return _predictions(model, facts, paths, context, batch_size)


def _predictions(
    model: keras.Model,
    facts: ModelFacts,
    paths: Sequence[Path],
    context: JobContext,
    batch_size: int,
) -> Iterator[Prediction]:
    context.report(StageStarted(Stage.PREDICT, len(paths)))
    began = time.perf_counter()
    done = 0
    for chosen, decoded in _decoded_batches(paths, facts, batch_size, context.cancel):
        answers = iter(_probabilities(model, [image for image in decoded if not isinstance(image, str)]))
        for path, image in zip(chosen, decoded, strict=True):
            if isinstance(image, str):
                yield Prediction(path, error=image)
            else:
                yield _answer(path, next(answers), facts)
        done += len(chosen)
        context.report(Progress(Stage.PREDICT, done, len(paths), rate=done / max(time.perf_counter() - began, 1e-6)))


def _decoded_batches(
    paths: Sequence[Path], facts: ModelFacts, batch_size: int, cancel: CancelToken
) -> Iterator[tuple[list[Path], list[_Decoded]]]:
    """Batches of decoded images; while the model works on one, the next is being decoded."""
    workers = min(8, os.cpu_count() or 1)
    remaining = iter(paths)
    waiting: deque[tuple[Path, Future[_Decoded]]] = deque()
    pool = ThreadPoolExecutor(workers, thread_name_prefix="decode")
    try:
        while True:
            for path in islice(remaining, 2 * batch_size - len(waiting)):
                waiting.append((path, pool.submit(_decode, path, facts)))
            if not waiting:
                return
            batch = [waiting.popleft() for _ in range(min(batch_size, len(waiting)))]
            decoded = []
            for _, future in batch:
                cancel.raise_if_cancelled()
                decoded.append(future.result())
            cancel.raise_if_cancelled()
            yield [path for path, _ in batch], decoded
            if cancel.stop_requested:
                return
    finally:
        pool.shutdown(cancel_futures=True)


def _decode(path: Path, facts: ModelFacts) -> _Decoded:
    try:
        return read_image(path, facts.height, facts.width, facts.fit)
    except ImageError as error:
        return error.message


def _probabilities(model: keras.Model, images: list[NDArray[np.uint8]]) -> NDArray[np.float32]:
    """Probabilities (n, classes). The batch is filled up to a power of two, so that few shapes are ever traced."""
    if not images:
        return np.zeros((0, 0), np.float32)
    size = 1 << (len(images) - 1).bit_length()
    batch = np.zeros((size, *images[0].shape), np.uint8)
    batch[: len(images)] = images
    return np.asarray(model.predict_on_batch(batch))[: len(images)]


def _answer(path: Path, probabilities: NDArray[np.float32], facts: ModelFacts) -> Prediction:
    if not np.isfinite(probabilities).all():
        return Prediction(path, error="The model's answer to this picture is no number (NaN).")
    ranked = _rank(probabilities, facts.class_names)
    return Prediction(path, ranked=ranked, unsure=ranked[0][1] < facts.threshold)


def _rank(probabilities: NDArray[np.float32], class_names: Sequence[str]) -> tuple[tuple[str, float], ...]:
    order = np.argsort(-probabilities, kind="stable")
    return tuple((class_names[label], float(probabilities[label])) for label in order)
