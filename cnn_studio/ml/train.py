"""The training loop: Keras's ``fit`` with our own eyes and ears on it.

Keras's ``stop_training`` set during a batch still runs the whole validation pass, and its EarlyStopping restores the
best weights only when it is what ends the training. So stopping is an exception raised between two batches, and the
best weights are a file of our own.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras

from cnn_studio.core.errors import TrainingError
from cnn_studio.core.experiment.augmentation import NO_AUGMENTATION, AugmentationSettings
from cnn_studio.core.experiment.settings import Optimizer, TrainingSettings
from cnn_studio.core.job.events import Message, Progress, Stage, StageStarted, TrainingStarted
from cnn_studio.core.job.jobs import JobCancelled, JobContext
from cnn_studio.core.runs.trained import Ended
from cnn_studio.ml import runtime
from cnn_studio.ml.best_weights import BestWeights
from cnn_studio.ml.learning_rate import rate_callbacks
from cnn_studio.ml.memory import check_batch, out_of_memory
from cnn_studio.ml.pipeline import Batches, with_labels
from cnn_studio.ml.training_network import training_network
from cnn_studio.ml.training_watch import DivergedError, EpochRecord, Fitting, StoppedError, TrainingWatch

__all__ = ["EpochRecord", "Fitting", "TrainingHistory", "compile_model", "fit_model", "run_fit"]


@dataclass(frozen=True, slots=True)
class TrainingHistory:
    """How a training went.

    Attributes:
        epochs: figures of every epoch that was completed, its validation included.
        best_epoch: the epoch the model's weights are from, counted from 1: the one with the lowest validation loss;
            0 when none was completed and the weights are those of the last batch.
        ended: how it came to its end.
    """

    epochs: tuple[EpochRecord, ...]
    best_epoch: int
    ended: Ended

    @property
    def best(self) -> EpochRecord | None:
        """The figures of the best epoch, or None when none was completed."""
        return self.epochs[self.best_epoch - 1] if self.best_epoch else None


def fit_model(
    model: keras.Model,
    settings: TrainingSettings,
    training: Batches,
    validation: Batches,
    checkpoint: Path,
    context: JobContext,
    augmentation: AugmentationSettings = NO_AUGMENTATION,
) -> TrainingHistory:
    """Train ``model``; when this returns it holds the best weights that were seen.

    Args:
        model: from ``build_model``; is compiled here.
        settings: optimizer, learning rate, epochs, early stopping. The batch size and class weights are those of
            ``training``.
        training: from ``training_batches``.
        validation: from ``evaluation_batches``; must hold at least one image.
        checkpoint: a ``.weights.h5`` file that always holds the best weights so far, whatever happens to the process.
        context: ``report`` is told ``StageStarted``, ``TrainingStarted``, ``BatchEnded`` per batch, ``EpochEnded``,
            ``Progress``. ``cancel`` is looked at after every batch, of validation too. *Stop* keeps the best weights so
            far (before the first epoch is complete: those of the last batch).
        augmentation: what is done to training images, and to those only.

    Raises:
        JobCancelled: the user cancelled; what is at ``checkpoint`` is for the caller to discard.
        TrainingError: a batch does not fit into memory, or the loss stopped being a number in the first epoch.
    """
    context.cancel.raise_if_cancelled()
    height, width = model.inputs[0].shape[1:3]
    best = BestWeights(model, checkpoint, context.report)
    mixes = augmentation.mixes_labels
    fitting = Fitting(settings, training, validation, best, (height, width), mixes_labels=mixes)
    check_fits(model, training.batch_size, fitting.image_size)
    network = training_network(model, augmentation, settings.seed)
    compile_model(network, settings)
    context.report(StageStarted(Stage.TRAIN, fitting.steps))
    context.report(
        TrainingStarted(settings.epochs, training.steps, training.images, validation.images, int(model.count_params()))
    )
    try:
        ended, records = run_fit(network, fitting, context)
    except JobCancelled:
        raise
    except Exception:
        best.settle()  # what could not be written before may be written now
        raise
    best.restore()
    context.report(Progress(Stage.TRAIN, fitting.steps, fitting.steps, unit="batches"))
    return TrainingHistory(records, best.epoch, ended)


def check_fits(model: keras.Model, batch_size: int, image_size: tuple[int, int]) -> None:
    """Refuse a batch that does not fit into memory.

    Args:
        model: what is trained; in a stage, the part of the network above its fixed part.
        batch_size: images per update.
        image_size: height and width in pixels, for the sentence.

    Raises:
        TrainingError: a batch does not fit.
    """
    if runtime.computes_on_gpu():  # a GPU's allocator refuses politely, Linux kills
        return
    shapes = [tensor.shape[1:] for layer in model.layers for tensor in _tensors(layer.output)]
    check_batch(shapes, model.count_params(), batch_size, image_size)


def compile_model(model: keras.Model, settings: TrainingSettings) -> None:
    """Compile ``model`` for classification by integer labels, with the optimizer and learning rate of ``settings``."""
    model.compile(
        _optimizer(settings),
        keras.losses.SparseCategoricalCrossentropy(),
        metrics=[keras.metrics.SparseCategoricalAccuracy(name="accuracy")],
        jit_compile=runtime.acceleration().jit_compile,
    )
    _leave_nothing_behind(model.optimizer, model.trainable_variables)


def _leave_nothing_behind(optimizer: keras.optimizers.Optimizer, variables: list[keras.Variable]) -> None:
    """Keep TensorFlow from holding on to the graph of every training (11 MB each with a tiny network, measured)."""
    # Made inside the graph, as Keras would, each variable leaves two more graphs behind that never go.
    optimizer.build(variables)
    # Between devices of one process that TensorFlow shares a batch out to, which never happens here, gradients are
    # summed; TensorFlow keeps the gradient of that sum, and with it the graph, in a register of the whole process.
    optimizer = getattr(optimizer, "inner_optimizer", optimizer)
    optimizer._all_reduce_sum_gradients = list


def run_fit(model: keras.Model, fitting: Fitting, context: JobContext) -> tuple[Ended, tuple[EpochRecord, ...]]:
    """Run ``fit`` until it is over, stopped, or has diverged after an epoch worth keeping.

    Args:
        model: compiled.
        fitting: what it is trained on, and how.
        context: ``report`` is told what ``TrainingWatch`` tells, and when training diverged.

    Returns:
        How it came to its end, and the figures of every epoch that was completed.

    Raises:
        JobCancelled: the user cancelled.
        TrainingError: out of memory, or it diverged with nothing to keep.
    """
    settings, best = fitting.settings, fitting.best
    watch = TrainingWatch(fitting, context)
    fed, checked = (
        with_labels(each) if fitting.mixes_labels else each for each in (fitting.training, fitting.validation)
    )
    ended = None
    try:
        model.fit(
            fed.dataset,
            initial_epoch=fitting.first_epoch - 1,
            epochs=fitting.first_epoch - 1 + settings.epochs,
            validation_data=checked.dataset,
            callbacks=[*rate_callbacks(settings, fitting.training.steps), watch],
            shuffle=False,  # the pipeline shuffles; Keras would only warn that it cannot
            verbose=0,  # anything else writes to sys.stdout, which a windowed bundle does not have
        )
    except StoppedError:
        ended = Ended.STOPPED
    except DivergedError as error:
        if not best.epoch:
            raise _diverged(error, settings, fitting.rate_field) from None
        context.report(Message(f"{error} Training ended there; the model is that of epoch {best.epoch}."))
        ended = Ended.EARLY_STOPPING
    except Exception as error:
        if not _is_out_of_memory(error):
            raise
        raise out_of_memory(fitting.training.batch_size, *fitting.image_size) from error
    return ended or watch.ended, tuple(watch.records)


def _optimizer(settings: TrainingSettings) -> keras.optimizers.Optimizer:
    match settings.optimizer:
        case Optimizer.ADAM:
            return keras.optimizers.Adam(settings.learning_rate)
        case Optimizer.SGD:
            return keras.optimizers.SGD(settings.learning_rate, momentum=settings.momentum)
        case Optimizer.RMSPROP:
            return keras.optimizers.RMSprop(settings.learning_rate)


def _diverged(error: DivergedError, settings: TrainingSettings, field: str) -> TrainingError:
    smaller = 10 ** math.floor(math.log10(settings.learning_rate) - 0.5)
    return TrainingError(
        f"{error} The training diverged.",
        hint=f"Use a smaller learning rate than {settings.learning_rate:g}, such as {smaller:g}.",
        field=field,
    )


def _tensors(output: Any) -> list[Any]:
    return list(output) if isinstance(output, list | tuple) else [output]


def _is_out_of_memory(error: Exception) -> bool:
    """Whether the backend ran out of memory: TensorFlow, XLA and PyTorch each say it in another way."""
    if isinstance(error, MemoryError) or type(error).__name__ in {"ResourceExhaustedError", "OutOfMemoryError"}:
        return True
    text = str(error).lower()
    return "resource_exhausted" in text or "out of memory" in text or "oom when allocating" in text
