"""Training a network with a pre-trained backbone: the head first, then, when it is fine-tuned, the last blocks too.

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
from cnn_studio.core.experiment.settings import BackboneArchitecture, Schedule, TrainingSettings, TransferMode
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
from cnn_studio.ml.learning_rate import LearningRate
from cnn_studio.ml.pipeline import Batches
from cnn_studio.ml.train import EpochRecord, TrainingHistory, check_fits, compile_model, run_fit
from cnn_studio.ml.training_network import training_network
from cnn_studio.ml.training_watch import TrainingWatch

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
        settings: optimizer, learning rate, epochs, early stopping.
        schedule: how the learning rate goes on.
        warm_up_epochs: over which it rises from zero.
        rate_field: dotted name of its learning rate's setting.
    """

    name: TrainingStage
    text: str
    depth: str | None
    settings: TrainingSettings
    schedule: Schedule = Schedule.CONSTANT
    warm_up_epochs: int = 0
    rate_field: str = "training.learning_rate"


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
    """The stages of a training, in order: the head; when fine-tuned, the backbone from the chosen block on."""
    head = StagePlan(TrainingStage.HEAD, "Training the new head; the pre-trained part stays as it is", None, training)
    if architecture.transfer is TransferMode.FROZEN:
        return (head,)
    tuning = architecture.fine_tuning
    depth = architecture.unfreeze_from
    part = "the whole network" if depth == "everything" else f"the pre-trained part from {depth} on, with the head"
    settings = training.model_copy(
        update={"optimizer": tuning.optimizer, "learning_rate": tuning.learning_rate, "epochs": tuning.epochs}
    )
    fine_tuning = StagePlan(
        TrainingStage.FINE_TUNING,
        f"Fine-tuning {part}",
        depth,
        settings,
        tuning.schedule,
        tuning.warm_up_epochs,
        "architecture.fine_tuning.learning_rate",
    )
    return (head, fine_tuning)


def fit_in_stages(
    model: keras.Model,
    architecture: BackboneArchitecture,
    training: TrainingSettings,
    images: RowSource,
    files: Sequence[ImageFile],
    feed: Feed,
    checkpoint: Path,
    context: JobContext,
    cache: Path | None = None,
    views: Views | None = None,
    live: AugmentationSettings = NO_AUGMENTATION,
) -> tuple[TrainingHistory, StageNetwork]:
    """Train ``model`` stage by stage; when this returns it holds the best weights that were seen in any of them.

    A later stage starts from the best weights of the one before, and what it makes counts only when it is better.

    Args:
        model: from ``build_transfer_model``.
        architecture: the same it was built from.
        training: of the head; fine-tuning has its own optimizer, learning rate and epochs.
        images: the prepared images.
        files: the data set's files, aligned with ``images.rows``.
        feed: called for the rows of each stage.
        checkpoint: a ``.weights.h5`` file of the whole network's best weights; at most ten seconds behind.
        context: ``report`` is told what ``fit_model`` tells, and ``TrainingStageStarted``. ``StageStarted`` and
            ``Progress`` are those of the stage that runs; epochs number on. *stop* ends the stage that runs and leaves
            out the next; *cancel* leaves at once. While features are computed there is nothing to keep yet, unless the
            caller has said so.
        cache: where features are kept; the user's cache folder when None.
        views: augmented views of the training images, to compute features of; None for none.
        live: what is done to training images in every epoch. Then nothing stays the same for an image, so no features
            are kept.

    Returns:
        The history over all stages, and the last stage's network with its rows, which answers as ``model`` does for
        their images and costs less.

    Raises:
        JobCancelled: the user cancelled; what is at ``checkpoint`` is for the caller to discard.
        StorageError: the disk became full while features were written.
        TrainingError: a batch does not fit into memory, or the loss stopped being a number in the first epoch.
    """
    plans = plan_stages(architecture, training)
    if live.is_on:
        networks = [StageNetwork(_with_fixed_part(model, architecture, plan), images, live) for plan in plans]
    else:
        networks = _stage_networks(model, architecture, plans, images, files, context, cache, views)
    best = BestWeights(model, checkpoint, context.report, seconds_between_writes=_SECONDS_BETWEEN_WRITES)
    context.cancel.mark_something_to_keep()
    height, width = model.inputs[0].shape[1:3]
    records: list[EpochRecord] = []
    ended, network = Ended.COMPLETED, networks[0]
    for plan, network in zip(plans, networks, strict=True):
        set_trainable_from(model, architecture, plan.depth)
        train_batches, validation_batches = feed(network.source)
        settings, first_epoch = plan.settings, len(records) + 1
        check_fits(network.model, train_batches.batch_size, (height, width))
        trained = training_network(network.model, network.live, settings.seed)
        compile_model(trained, settings)
        steps = settings.epochs * (train_batches.steps + validation_batches.steps)
        context.report(StageStarted(Stage.TRAIN, steps))
        if plan is plans[0]:
            epochs = sum(each.settings.epochs for each in plans)
            sizes = train_batches.steps, train_batches.images, validation_batches.images
            context.report(TrainingStarted(epochs, *sizes, int(model.count_params())))
        changing = sum(prod(weight.shape) for weight in network.model.trainable_variables)
        context.report(TrainingStageStarted(plan.name, plan.text, first_epoch, settings.epochs, changing))
        best.trains(network.model)
        watch = TrainingWatch(settings, train_batches, validation_batches, best, context, first_epoch)
        try:
            ended = run_fit(
                trained,
                settings,
                train_batches,
                validation_batches,
                watch,
                best,
                context.report,
                first_epoch=first_epoch,
                image_size=(height, width),
                callbacks=_rate_callbacks(plan, train_batches.steps),
                rate_field=plan.rate_field,
                mixes_labels=network.live.mixes_labels,
            )
        except JobCancelled:
            raise
        except Exception:
            best.settle()
            raise
        best.settle()
        records += watch.records
        context.report(Progress(Stage.TRAIN, steps, steps, unit="batches"))
        if ended is Ended.STOPPED:
            break
    return TrainingHistory(tuple(records), best.epoch, ended), network


def _stage_networks(
    model: keras.Model,
    architecture: BackboneArchitecture,
    plans: Sequence[StagePlan],
    images: RowSource,
    files: Sequence[ImageFile],
    context: JobContext,
    cache: Path | None,
    views: Views | None,
) -> list[StageNetwork]:
    """The network of each stage with the output of what is fixed in it.

    The last stage comes first, since it has the lowest cut: what is fixed in the stages before starts from its
    features, so that the backbone runs once over the images, and both stages see the very same numbers.
    """
    networks: list[StageNetwork] = []
    above, source = model, images
    for plan in reversed(plans):
        set_trainable_from(model, architecture, plan.depth)
        split = split_fixed_part(above)
        # Where no views can be kept, images are augmented in every epoch.
        live = views.augmentation if views else NO_AUGMENTATION
        if split is None:
            networks.append(StageNetwork(above, source, live))
        elif (features := cache_features(split.lower, source, files, context, cache, views)) is None:
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


def _rate_callbacks(plan: StagePlan, steps_per_epoch: int) -> list[keras.callbacks.Callback]:
    if plan.schedule is Schedule.CONSTANT and not plan.warm_up_epochs:
        return []
    settings = plan.settings
    return [LearningRate(settings.learning_rate, plan.schedule, plan.warm_up_epochs, settings.epochs, steps_per_epoch)]
