"""Batches of each split of a data set, whether they hold prepared images or features made of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cnn_studio.core.data.dataset import Dataset
from cnn_studio.core.data.image_file import Split
from cnn_studio.core.data.split import SplitAssignment
from cnn_studio.core.experiment.settings import ClassWeights, TrainingSettings
from cnn_studio.ml.features import RowSource
from cnn_studio.ml.pipeline import Batches, balanced_class_weights, evaluation_batches, training_batches


@dataclass(frozen=True, slots=True)
class SplitBatches:
    """Makes batches of a data set's splits.

    Attributes:
        dataset: its files have the labels.
        assignment: which split each file is in.
        settings: batch size, seed of the order, class weights.
    """

    dataset: Dataset
    assignment: SplitAssignment
    settings: TrainingSettings

    def labels(self, split: Split) -> NDArray[np.int32]:
        """Labels of one split in the data set's order, shape (n,)."""
        return np.asarray([self.dataset.files[i].label for i in self.assignment.indices(split)], dtype=np.int32)

    def to_train_on(self, source: RowSource, multiple: int = 1) -> Batches:
        """Training images' rows of a source aligned with the data set, shuffled, with class weights if asked for."""
        labels, settings = self.labels(Split.TRAIN), self.settings
        weights = None
        if settings.class_weights is ClassWeights.BALANCED:
            weights = balanced_class_weights(labels, len(self.dataset.class_names))
        rows = (source.rows if source.views is None else source.views)[self.assignment.indices(Split.TRAIN)]
        return training_batches(source.values, rows, labels, settings.batch_size, settings.seed, weights, multiple)

    def to_measure(self, source: RowSource, split: Split, multiple: int = 1) -> Batches:
        """One split's rows of a source aligned with the data set, in its order."""
        rows = source.rows[self.assignment.indices(split)]
        return evaluation_batches(source.values, rows, self.labels(split), self.settings.batch_size, multiple)

    def to_fit(self, source: RowSource, multiple: int = 1) -> tuple[Batches, Batches]:
        """What ``fit_model`` takes: batches to train on and to validate on.

        With ``multiple`` devices each batch can be shared out evenly, see ``ml.pipeline``.
        """
        return self.to_train_on(source, multiple), self.to_measure(source, Split.VALIDATION, multiple)
