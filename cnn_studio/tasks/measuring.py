"""Asking a model about images whose classes are known, which evaluation, calibration, training and reviews all do."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cnn_studio.core.data.dataset import Dataset
from cnn_studio.core.data.events import FilesLeftOut
from cnn_studio.core.data.image_file import Split
from cnn_studio.core.evaluation.model_facts import ModelFacts
from cnn_studio.core.job.jobs import JobContext

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from cnn_studio.core.evaluation.measured import Measured
    from cnn_studio.ml.evaluate import Said

_BATCH = 32


@dataclass(frozen=True, slots=True)
class Answers:
    """What a model says of n images: ``paths``, ``labels`` int32 (n,), and ``said``, in the same order."""

    paths: tuple[str, ...]
    labels: NDArray[np.int32]
    said: Said

    def scored(self, facts: ModelFacts, model: Path, root: Path, split: Split | None, folder: str = "") -> Measured:
        """How good they are.

        Args:
            facts: of the model: class names, temperature, threshold.
            model: its file.
            root: what the paths are relative to.
            split: which images these are, see ``Evaluation``.
            folder: likewise.
        """
        from cnn_studio.core.evaluation.measured import Measured
        from cnn_studio.core.evaluation.scores import score_probabilities

        return Measured(
            evaluation=score_probabilities(
                self.said.probabilities, self.labels, facts.class_names, split, folder, self.said.losses
            ),
            class_names=facts.class_names,
            model=model,
            root=root,
            paths=self.paths,
            labels=self.labels,
            probabilities=self.said.probabilities,
            temperature=facts.temperature,
            threshold=facts.threshold,
            logits=self.said.logits,
        )


def ask_about(model: Any, facts: ModelFacts, dataset: Dataset, context: JobContext) -> Answers:
    """Prepare a data set's images at the model's size and let it classify them.

    Files that cannot be read any more are told and passed over. The runtime must have been started.

    Raises:
        StorageError: the disk is full.
        JobCancelled: the user cancelled.
    """
    import numpy as np

    from cnn_studio.core.store.prepared import prepare_images
    from cnn_studio.ml.evaluate import measure_model
    from cnn_studio.ml.pipeline import evaluation_batches

    prepared = prepare_images(dataset, facts.height, facts.width, context, fit=facts.fit)
    if prepared.issues:
        context.report(FilesLeftOut(prepared.issues))
    readable = np.flatnonzero(prepared.rows >= 0)
    labels = np.asarray([dataset.files[index].label for index in readable], np.int32)
    batches = evaluation_batches(prepared.pixels, prepared.rows[readable], labels, _BATCH)
    paths = tuple(dataset.files[index].path for index in readable)
    return Answers(paths, labels, measure_model(model, batches, context))
