"""The one list of what prevents training: the window shows it, the command line and the training job refuse by it.

Beside it, what prevents nothing and is likely not meant.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum

from cnn_studio.core.advice.augmentation import why_not_augmentable
from cnn_studio.core.data.dataset import Dataset
from cnn_studio.core.data.split import why_not_trainable
from cnn_studio.core.errors import CnnStudioError, DatasetError, ExperimentError, WeightsError
from cnn_studio.core.experiment.backbones import find_backbone
from cnn_studio.core.experiment.experiment import Experiment
from cnn_studio.core.experiment.layer_plan import plan_layers
from cnn_studio.core.experiment.settings import (
    BackboneArchitecture,
    Pooling,
    ScratchArchitecture,
    SplitSettings,
    StageSettings,
    TransferMode,
)
from cnn_studio.core.weights.weights import find_weights, weights_path


class ObstacleKind(StrEnum):
    """What is missing or wrong, for a face that can offer the step that helps."""

    NO_DATASET = "no_dataset"
    UNTRAINABLE_DATASET = "untrainable_dataset"
    IMPOSSIBLE_ARCHITECTURE = "impossible_architecture"
    IMPOSSIBLE_AUGMENTATION = "impossible_augmentation"
    MISSING_WEIGHTS = "missing_weights"
    DAMAGED_WEIGHTS = "damaged_weights"


@dataclass(frozen=True, slots=True)
class Obstacle:
    """One thing that prevents training, and the same as an error to be shown or raised."""

    kind: ObstacleKind
    error: CnnStudioError


ImageCheck = Callable[[Dataset, SplitSettings], CnnStudioError | None]


def obstacles(
    experiment: Experiment,
    dataset: Dataset | None,
    *,
    on_images: ImageCheck = why_not_trainable,
    thorough: bool = False,
) -> Iterator[Obstacle]:
    """What prevents training, what to do first coming first; worked out as far as it is asked for.

    Args:
        experiment: what is to be trained.
        dataset: what on, with the decisions applied; None while there is none.
        on_images: why the images cannot be trained on. The window has its own, which remembers: with 100,000 files
            sharing them out takes a while.
        thorough: whether files of weights are opened too, which may take a second.
    """
    if dataset is None:
        yield Obstacle(ObstacleKind.NO_DATASET, DatasetError("Open a folder of images first."))
    elif (images := on_images(dataset, experiment.split)) is not None:
        yield Obstacle(ObstacleKind.UNTRAINABLE_DATASET, images)
    try:
        plan_layers(experiment.architecture, experiment.image, max(2, len(dataset.class_names) if dataset else 0))
    except ExperimentError as error:
        yield Obstacle(ObstacleKind.IMPOSSIBLE_ARCHITECTURE, error)
    if augmentation := why_not_augmentable(experiment):
        yield Obstacle(ObstacleKind.IMPOSSIBLE_AUGMENTATION, augmentation)
    if isinstance(experiment.architecture, BackboneArchitecture):
        yield from _weights(experiment.architecture.name, thorough=thorough)


def _weights(name: str, *, thorough: bool) -> Iterator[Obstacle]:
    there = weights_path(find_backbone(name)).is_file()
    if there and not thorough:
        return
    try:
        find_weights(name)
    except WeightsError as error:
        yield Obstacle(ObstacleKind.DAMAGED_WEIGHTS if there else ObstacleKind.MISSING_WEIGHTS, error)


def refuse(experiment: Experiment, dataset: Dataset | None = None, *, thorough: bool = True) -> None:
    """Raise the first that prevents training; without a data set, the first that no data set would mend.

    Args:
        experiment: what is to be trained.
        dataset: what on, with the decisions applied.
        thorough: whether files of weights are opened too; not for who goes on to do that anyway.

    Raises:
        DatasetError: the images cannot be trained on.
        ExperimentError: the settings cannot work.
        WeightsError: a backbone's weights are not on this machine, or are damaged.
    """
    for obstacle in obstacles(experiment, dataset, thorough=thorough):
        if obstacle.kind is not ObstacleKind.NO_DATASET:
            raise obstacle.error


_FEW_PLACES = 2


def remarks(experiment: Experiment) -> tuple[str, ...]:
    """What works and is likely not meant, a sentence or two each."""
    architecture = experiment.architecture
    stages: dict[str, StageSettings] = {"Training": experiment.training}
    if isinstance(architecture, BackboneArchitecture) and architecture.transfer is TransferMode.FINE_TUNED:
        stages["Fine-tuning"] = architecture.fine_tuning
    warm_ups = (
        f"{name}: the warm-up of {stage.warm_up_epochs} epochs is longer than the {stage.epochs} there are at most, so "
        f"the learning rate never reaches {stage.learning_rate:g}."
        for name, stage in stages.items()
        if stage.warm_up_epochs > stage.epochs
    )
    return tuple(filter(None, (too_small(experiment), _pool_without_pooling(experiment), *warm_ups)))


def _pool_without_pooling(experiment: Experiment) -> str:
    architecture = experiment.architecture
    if isinstance(architecture, BackboneArchitecture) or architecture.pooling is not Pooling.NONE:
        return ""
    if architecture.pool_size == ScratchArchitecture.model_fields["pool_size"].default:
        return ""
    return "There is no pooling after the blocks, so its pool size changes nothing."


def too_small(experiment: Experiment) -> str:
    """What is to be said of images so small that a pre-trained network sees next to nothing of them; "" for nothing."""
    image = experiment.image
    if not isinstance(experiment.architecture, BackboneArchitecture):
        return ""
    backbone = find_backbone(experiment.architecture.name)
    rows, columns, _ = backbone.output_shape(image.height, image.width)
    if not 0 < min(rows, columns) <= _FEW_PLACES:
        return ""
    return (
        f"{backbone.title} learnt at {backbone.usual_size} pixels; at {image.height} × {image.width} its feature maps "
        f"shrink to {rows} × {columns}, so that it hardly sees what is where. A larger image size usually does better, "
        "even where the pictures themselves are small; so may a network trained from scratch."
    )
