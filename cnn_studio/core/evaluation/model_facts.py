"""What a model file says of itself."""

from __future__ import annotations

from dataclasses import dataclass

from cnn_studio.core.evaluation.input_range import InputRange
from cnn_studio.core.experiment.settings import Fit


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """What a model file says of itself.

    Attributes:
        class_names: in the order of its outputs; empty when the file carries none.
        height, width: of the images it takes, in pixels.
        architecture: the preset's or backbone's name; "" for a file made elsewhere.
        made_here: whether cnn_studio wrote it, so that it takes raw RGB 0–255 and ends in probabilities.
        metrics: figures such as ``val_accuracy`` (0–1) at the end of training.
        data_name: name of the data set it was trained on.
        created: ISO 8601 time, UTC.
        versions: of cnn_studio, keras and the backend that made it.
        outputs: how many classes it tells apart, also where they have no names; 0 while that is not known.
        temperature: by which its logits are divided since it was calibrated; 1 where it was not. It is part of the
            network already: nobody has to apply it.
        threshold: the probability (0–1) below which its answer counts as "not sure"; 0 for none.
        fit: how pictures of other proportions are brought to its size.
        input_range: which values the network in the file takes; None where nothing says it.
    """

    class_names: tuple[str, ...]
    height: int
    width: int
    architecture: str = ""
    made_here: bool = True
    metrics: dict[str, float] | None = None
    data_name: str = ""
    created: str = ""
    versions: dict[str, str] | None = None
    outputs: int = 0
    temperature: float = 1.0
    threshold: float = 0.0
    fit: Fit = Fit.SQUASH
    input_range: InputRange | None = InputRange.BYTES

    @property
    def class_count(self) -> int:
        """How many classes it tells apart."""
        return len(self.class_names) or self.outputs
