"""Augmentation before it is trained with: what it makes of a picture, and what it costs."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cnn_studio.core.experiment.augmentation import NO_AUGMENTATION, AugmentationSettings
from cnn_studio.core.experiment.experiment import Experiment
from cnn_studio.core.experiment.settings import BackboneArchitecture, Fit
from cnn_studio.core.job.jobs import CancelToken, JobContext

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

LARGEST_PREVIEW = 192
"""Pixels; larger images are shown at this size, so that a preview follows a slider."""


@dataclass(frozen=True, slots=True)
class PreviewRequest:
    """Show what augmentation makes of a picture.

    Attributes:
        picture: the image file.
        partners: files of other images, for the kinds that mix two.
        experiment: its augmentation and image size count.
        seed: the same seed draws the same; strengths then only scale what was drawn.
        count: how many results.
    """

    picture: Path
    partners: tuple[Path, ...]
    experiment: Experiment
    seed: int
    count: int = 9


@dataclass(frozen=True, slots=True)
class Preview:
    """A picture and what augmentation made of it.

    Attributes:
        original: uint8 (height, width, 3), RGB, as the network would get it without augmentation.
        changed: uint8 (count, height, width, 3).
        shares: of each result, how much of it is the picture's own label, 0–1; 1 where nothing is mixed.
    """

    original: NDArray[np.uint8]
    changed: NDArray[np.uint8]
    shares: tuple[float, ...]


def preview_augmentation(request: PreviewRequest, context: JobContext) -> Preview:
    """Augment one picture several times, with the very layers that training uses.

    Raises:
        ImageError: the picture cannot be read.
        JobCancelled: a later request has made this one needless.
    """
    from cnn_studio.ml import runtime

    runtime.start(context.report)
    context.cancel.raise_if_cancelled()
    import numpy as np

    from cnn_studio.ml.augment import Augmentation
    from cnn_studio.ml.training_network import LabelMixing

    image = request.experiment.image
    scale = min(1.0, LARGEST_PREVIEW / max(image.height, image.width))
    height, width = max(1, round(scale * image.height)), max(1, round(scale * image.width))
    settings = request.experiment.augmentation
    settings = settings.model_copy(update={"blur": scale * settings.blur})  # the one strength that counts pixels
    original = _read_once(request.picture, height, width, image.fit)
    copies = np.broadcast_to(original, (request.count, *original.shape))
    changed = np.asarray(Augmentation(settings, request.seed)(copies, training=True))
    shares = np.ones(request.count)
    if settings.mixes_labels and request.partners:
        context.cancel.raise_if_cancelled()
        partners = [_read_once(path, height, width, image.fit) for path in request.partners]
        # Three other images for each result, so that most results are mixed with one of those.
        others = np.stack([partners[number % len(partners)] for number in range(3 * request.count)])
        images = np.concatenate([changed, others.astype(np.float32)])
        labels = np.repeat(np.array([0, 1], np.int32), [request.count, len(others)])
        mixing = LabelMixing(settings, 2, request.seed)
        mixed, of_label, _ = mixing([images, labels, np.ones(len(images), np.float32)], training=True)
        changed, shares = np.asarray(mixed)[: request.count], np.asarray(of_label)[: request.count, 0]
    as_bytes = np.rint(changed.clip(0, 255)).astype(np.uint8)
    return Preview(original, as_bytes, tuple(float(share) for share in shares))


@lru_cache(maxsize=32)
def _read_once(path: Path, height: int, width: int, fit: Fit) -> NDArray[np.uint8]:
    from cnn_studio.core.image.decoder import read_image

    return read_image(path, height, width, fit)


@dataclass(frozen=True, slots=True)
class CostRequest:
    """Measure what ``experiment``'s augmentation costs on this device, with that many classes."""

    experiment: Experiment
    class_count: int


@dataclass(frozen=True, slots=True)
class AugmentationCost:
    """Images per second on this device, for the experiment's network, size and batch.

    Attributes:
        augmentation: what was measured.
        plain: trained on as they are. A pre-trained network's fixed part runs each time in both this and the next.
        live: trained on augmented images.
        once: augmented and run through the fixed part of a pre-trained network, to be kept; 0.0 without one.
        device: what computed.
    """

    augmentation: AugmentationSettings
    plain: float
    live: float
    once: float
    device: str


_TIMED_STEPS = 5


def measure_augmentation(request: CostRequest, context: JobContext) -> AugmentationCost:
    """Time training steps with and without augmentation, in turns, on images of noise.

    Raises:
        ExperimentError: the architecture cannot work at this size.
        TrainingError: a batch does not fit into memory.
        JobCancelled: the user cancelled.
    """
    from cnn_studio.core.job.events import Stage, StageStarted
    from cnn_studio.ml import runtime

    device = runtime.start(context.report)
    import numpy as np

    from cnn_studio.ml.augment import Augmentation
    from cnn_studio.ml.build import build_model
    from cnn_studio.ml.fixed_part import joined, split_fixed_part
    from cnn_studio.ml.train import check_fits, compile_model
    from cnn_studio.ml.training_network import training_network

    experiment = request.experiment
    image, settings, augmentation = experiment.image, experiment.training, experiment.augmentation
    context.report(StageStarted(Stage.MEASURE, 2 * _TIMED_STEPS))
    model = build_model(experiment.architecture, image, request.class_count, settings.seed)
    lower = None
    if isinstance(experiment.architecture, BackboneArchitecture):
        split = _head_only(model, experiment.architecture, split_fixed_part)
        if split is not None:
            lower, model = split.lower, joined(split)
    check_fits(model, settings.batch_size, (image.height, image.width))
    draw = np.random.default_rng(0)
    images = draw.integers(0, 256, (settings.batch_size, image.height, image.width, 3), dtype=np.uint8)
    labels = draw.integers(0, request.class_count, settings.batch_size).astype(np.int32)
    weights = np.ones(settings.batch_size, np.float32)
    steps: list[Callable[[], Any]] = []
    for each in (NO_AUGMENTATION, augmentation):
        network = training_network(model, each, settings.seed)
        compile_model(network, settings)
        inputs = [images, labels, weights] if each.mixes_labels else images
        steps.append(lambda network=network, inputs=inputs: network.train_on_batch(inputs, labels))  # type: ignore[misc]
    plain, live = _seconds(steps, context.cancel)
    once = 0.0
    if lower is not None:
        changes, fixed = Augmentation(augmentation, settings.seed), lower
        (taken,) = _seconds([lambda: fixed.predict_on_batch(changes(images, training=True))], context.cancel)
        once = len(images) / taken
    return AugmentationCost(augmentation, len(images) / plain, len(images) / live, once, device.name)


def _head_only(model: Any, architecture: BackboneArchitecture, split: Callable[[Any], Any]) -> Any:
    from cnn_studio.ml.backbones import set_trainable_from

    set_trainable_from(model, architecture, None)
    return split(model)


def _seconds(steps: list[Callable[[], Any]], cancel: CancelToken) -> list[float]:
    """Median seconds of each step, timed in turns so that whatever else the machine does burdens them alike."""
    times: list[list[float]] = [[] for _ in steps]
    for turn in range(_TIMED_STEPS + 2):
        for step, taken in zip(steps, times, strict=True):
            cancel.raise_if_cancelled()
            began = time.perf_counter()
            step()
            if turn >= 2:  # the first trace the graph
                taken.append(time.perf_counter() - began)
    return [statistics.median(taken) for taken in times]
