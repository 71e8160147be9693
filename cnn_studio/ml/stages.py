"""Training a network with a pre-trained backbone: its head; its head, then its last blocks too; or both at once.

In each stage the network is cut behind the part that cannot change. That part runs once over all images (see
``ml.features``), and only what lies above it is trained and validated, on its output. The layers are shared, so the
whole network is trained; the best weights kept are always those of the whole.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path

import keras

from cnn_studio.core.data.image_file import ImageFile
from cnn_studio.core.experiment.augmentation import NO_AUGMENTATION, AugmentationSettings
from cnn_studio.core.experiment.backbones import EVERYTHING
from cnn_studio.core.experiment.settings import BackboneArchitecture, TrainingSettings, TransferMode
from cnn_studio.core.job.events import (
    Progress,
    Stage,
    StageStarted,
    TrainingStage,
    TrainingStageStarted,
    TrainingStarted,
)
from cnn_studio.core.job.jobs import JobCancelled, JobContext
from cnn_studio.core.runs.trained import Ended
from cnn_studio.ml.backbones import set_trainable_from
from cnn_studio.ml.best_weights import BestWeights
from cnn_studio.ml.features import RowSource, Views, cache_features
from cnn_studio.ml.fixed_part import joined, split_fixed_part
from cnn_studio.ml.pipeline import Batches
from cnn_studio.ml.train import EpochRecord, Fitting, TrainingHistory, check_fits, compile_model, run_fit
from cnn_studio.ml.training_network import training_network

_SECONDS_BETWEEN_WRITES = 10.0  # an epoch of a head takes less than writing 94 MB

Feed = Callable[[RowSource], tuple[Batches, Batches]]
"""Gives training and validation batches of a source's rows."""


@dataclass(frozen=True, slots=True)
class StagePlan:
    """One stage of a training.

    Attributes:
        name: which one.
        text: the same for a person.
        depth: the backbone is trained from this block on, or "everything"; None trains the head alone.
        settings: optimizer, learning rate and how it goes on, epochs, early stopping.
        rate_field: dotted name of its learning rate's setting.
    """

    name: TrainingStage
    text: str
    depth: str | None
    settings: TrainingSettings
    rate_field: str = "training.learning_rate"


@dataclass(frozen=True, slots=True)
class StageImages:
    """The images of all stages, and how they reach a network.

    Attributes:
        source: the prepared images.
        files: the data set's files, aligned with ``source.rows``.
        feed: called for the rows of each stage.
        views: augmented views of the training images, to compute features of; None for none.
        live: what is done to training images in every epoch. Then nothing stays the same for an image, so no features
            are kept.
        cache: where features are kept; the user's cache folder when None.
    """

    source: RowSource
    files: Sequence[ImageFile]
    feed: Feed
    views: Views | None = None
    live: AugmentationSettings = NO_AUGMENTATION
    cache: Path | None = None


@dataclass(frozen=True, slots=True)
class StageNetwork:
    """What is trained in a stage, and the rows it is fed.

    Attributes:
        model: from ``source.values`` to probabilities; over layers of the whole network.
        source: prepared images or cached features.
        live: what is done to training images in every epoch; nothing where ``source`` holds features.
    """

    model: keras.Model
    source: RowSource
    live: AugmentationSettings = NO_AUGMENTATION


def plan_stages(architecture: BackboneArchitecture, training: TrainingSettings) -> tuple[StagePlan, ...]:
    """The stages of a training, in order: the head; when fine-tuned, the backbone from the chosen block on.

    In one stage, head and backbone together.
    """
    head = StagePlan(TrainingStage.HEAD, "Training the new head; the pre-trained part stays as it is", None, training)
    if architecture.transfer is TransferMode.FROZEN:
        return (head,)
    depth = architecture.unfreeze_from
    part = "the whole network" if depth == EVERYTHING else f"the pre-trained part from {depth} on, with the head"
    if architecture.transfer is TransferMode.ONE_STAGE:
        return (StagePlan(TrainingStage.FINE_TUNING, f"Training {part}", depth, training),)
    fine_tuning = StagePlan(
        TrainingStage.FINE_TUNING,
        f"Fine-tuning {part}",
        depth,
        training.model_copy(update=dict(architecture.fine_tuning)),
        "architecture.fine_tuning.learning_rate",
    )
    return (head, fine_tuning)


def fit_in_stages(
    model: keras.Model,
    architecture: BackboneArchitecture,
    training: TrainingSettings,
    images: StageImages,
    checkpoint: Path,
    context: JobContext,
) -> tuple[TrainingHistory, StageNetwork]:
    """Train ``model`` stage by stage; when this returns it holds the best weights that were seen in any of them.

    A later stage starts from the best weights of the one before, and what it makes counts only when it is better.

    Args:
        model: from ``build_transfer_model``.
        architecture: the same it was built from.
        training: of the head; fine-tuning has its own ``StageSettings``.
        images: what it is trained on.
        checkpoint: a ``.weights.h5`` file of the whole network's best weights; at most ten seconds behind.
        context: ``report`` is told what ``fit_model`` tells, and ``TrainingStageStarted``. ``StageStarted`` and
            ``Progress`` are those of the stage that runs; epochs number on. *stop* ends the stage that runs and leaves
            out the next; *cancel* leaves at once. While features are computed there is nothing to keep yet, unless the
            caller has said so.

    Returns:
        The history over all stages, and the last stage's network with its rows, which answers as ``model`` does for
        their images and costs less.

    Raises:
        JobCancelled: the user cancelled; what is at ``checkpoint`` is for the caller to discard.
        StorageError: the disk became full while features were written.
        TrainingError: a batch does not fit into memory, or the loss stopped being a number in the first epoch.
    """
    plans = plan_stages(architecture, training)
    networks = _stage_networks(model, architecture, plans, images, context)
    best = BestWeights(model, checkpoint, context.report, seconds_between_writes=_SECONDS_BETWEEN_WRITES)
    context.cancel.mark_something_to_keep()
    height, width = model.inputs[0].shape[1:3]
    records: tuple[EpochRecord, ...] = ()
    ended, network = Ended.COMPLETED, networks[0]
    for plan, network in zip(plans, networks, strict=True):
        set_trainable_from(model, architecture, plan.depth)
        settings, (to_train, to_validate) = plan.settings, images.feed(network.source)
        fitting = Fitting(
            settings,
            to_train,
            to_validate,
            best,
            (height, width),
            len(records) + 1,
            plan.rate_field,
            network.live.mixes_labels,
        )
        check_fits(network.model, to_train.batch_size, fitting.image_size)
        trained = training_network(network.model, network.live, settings.seed)
        compile_model(trained, settings)
        context.report(StageStarted(Stage.TRAIN, fitting.steps))
        if plan is plans[0]:
            epochs = sum(each.settings.epochs for each in plans)
            sizes = to_train.steps, to_train.images, to_validate.images
            context.report(TrainingStarted(epochs, *sizes, int(model.count_params())))
        changing = sum(prod(weight.shape) for weight in network.model.trainable_variables)
        context.report(TrainingStageStarted(plan.name, plan.text, fitting.first_epoch, settings.epochs, changing))
        best.trains(network.model)
        try:
            ended, completed = run_fit(trained, fitting, context)
        except JobCancelled:
            raise
        except Exception:
            best.settle()
            raise
        best.settle()
        records += completed
        context.report(Progress(Stage.TRAIN, fitting.steps, fitting.steps, unit="batches"))
        if ended is Ended.STOPPED:
            break
    return TrainingHistory(records, best.epoch, ended), network


def _stage_networks(
    model: keras.Model,
    architecture: BackboneArchitecture,
    plans: Sequence[StagePlan],
    images: StageImages,
    context: JobContext,
) -> list[StageNetwork]:
    """The network of each stage with the output of what is fixed in it, where that stays the same for an image.

    The last stage comes first, since it has the lowest cut: what is fixed in the stages before starts from its
    features, so that the backbone runs once over the images, and both stages see the very same numbers.
    """
    if images.live.is_on:
        return [StageNetwork(_with_fixed_part(model, architecture, plan), images.source, images.live) for plan in plans]
    networks: list[StageNetwork] = []
    above, source, views = model, images.source, images.views
    for plan in reversed(plans):
        set_trainable_from(model, architecture, plan.depth)
        split = split_fixed_part(above)
        # Where no views can be kept, images are augmented in every epoch.
        live = views.augmentation if views else NO_AUGMENTATION
        if split is None:
            networks.append(StageNetwork(above, source, live))
        elif (features := cache_features(split.lower, source, images.files, context, images.cache, views)) is None:
            networks.append(StageNetwork(joined(split), source, live))
        else:
            above, source, views = split.upper, features, None
            networks.append(StageNetwork(above, source))
    return networks[::-1]


def _with_fixed_part(model: keras.Model, architecture: BackboneArchitecture, plan: StagePlan) -> keras.Model:
    """The whole network for one stage, what is fixed in it in inference mode."""
    set_trainable_from(model, architecture, plan.depth)
    split = split_fixed_part(model)
    return model if split is None else joined(split)
