"""What jobs return: files and facts, never a live Keras object, so that they can cross to the window and to JSON."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cnn_studio.core.atomic_file import csv_text
from cnn_studio.core.experiment.experiment import Fit


@dataclass(frozen=True, slots=True)
class Prediction:
    """What a model says of one image, or why it could say nothing.

    Attributes:
        path: the image file.
        ranked: (class name, probability 0–1), most likely first; empty when ``error`` is set.
        error: why the image could not be read, a sentence; empty when it could.
        unsure: whether the most likely class is less likely than the model's threshold, so that the answer is rather
            "I don't know".
    """

    path: Path
    ranked: tuple[tuple[str, float], ...] = ()
    error: str = ""
    unsure: bool = False

    @property
    def label(self) -> str:
        """Name of the most likely class; "" when there is an error."""
        return self.ranked[0][0] if self.ranked else ""

    @property
    def probability(self) -> float:
        """Its probability, 0–1; 0.0 when there is an error."""
        return self.ranked[0][1] if self.ranked else 0.0

    @property
    def answer(self) -> str:
        """What to show: the most likely class, or "not sure (daisy 0.41)"; "" when there is an error."""
        return f"not sure ({self.label} {self.probability:.2f})" if self.unsure else self.label


@dataclass(frozen=True, slots=True)
class ClassScore:
    """Precision, recall and F1 (0–1) of one class, with the number of its images (support).

    Without images of it (support 0) recall and F1 are 0 and mean nothing.
    """

    name: str
    precision: float
    recall: float
    f1: float
    support: int


@dataclass(frozen=True, slots=True)
class Evaluation:
    """How good a model is on a set of images it was not trained on.

    Attributes:
        split: which images: "validation", "test" or the name of a folder.
        images: how many.
        accuracy: fraction right, 0–1.
        accuracy_low, accuracy_high: its 95 % Wilson interval.
        loss: mean cross-entropy in nats.
        classes: scores per class, in label order.
        confusion: ``confusion[true][predicted]`` = number of images.
        macro: the mean of the classes' scores, each counting the same; classes that neither occur nor were answered
            are left out. None without images.
        weighted: the mean of the classes' scores, each counting as often as it has images. None without images.
        top_k: (k, accuracy 0–1 when the true class need only be among the k most likely), for k = 3 and 5 where there
            are more classes.
    """

    split: str
    images: int
    accuracy: float
    accuracy_low: float
    accuracy_high: float
    loss: float
    classes: tuple[ClassScore, ...] = ()
    confusion: tuple[tuple[int, ...], ...] = ()
    macro: ClassScore | None = None
    weighted: ClassScore | None = None
    top_k: tuple[tuple[int, float], ...] = ()


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

    @property
    def class_count(self) -> int:
        """How many classes it tells apart."""
        return len(self.class_names) or self.outputs


@dataclass(frozen=True, slots=True)
class TrainedModel:
    """The end of a training job.

    Attributes:
        run: the run's folder.
        model: the best model's file inside it.
        facts: what the file says of itself.
        metrics: ``accuracy``, ``loss``, ``val_accuracy``, ``val_loss`` of the best epoch.
        validation: evaluation of the best model on the validation images.
        test: the same on the test images; None when there are none.
        epochs: how many were completed.
        best_epoch: which one the model is from, counted from 1; 0 when stopped before the first was complete.
        ended: "completed", "early_stopping" or "stopped" (by the user).
        seconds: the whole job, wall clock.
        device: what computed, in a few words.
    """

    run: Path
    model: Path
    facts: ModelFacts
    metrics: dict[str, float]
    validation: Evaluation
    test: Evaluation | None
    epochs: int
    best_epoch: int
    ended: str
    seconds: float
    device: str


def predictions_csv(predictions: Sequence[Prediction]) -> str:
    """Predictions as CSV text: path, class, probability, whether that is unsure, error, then every class's probability.

    Probabilities are 0–1; "unsure" is empty or "not sure".
    """
    names = sorted({name for prediction in predictions for name, _ in prediction.ranked})
    rows = []
    for prediction in predictions:
        by_name = dict(prediction.ranked)
        rows.append(
            (
                str(prediction.path),
                prediction.label,
                "" if prediction.error else f"{prediction.probability:.6f}",
                "not sure" if prediction.unsure else "",
                prediction.error,
                *(f"{by_name[name]:.6f}" if name in by_name else "" for name in names),
            )
        )
    return csv_text(("path", "class", "probability", "unsure", "error", *names), rows)


@dataclass(frozen=True, slots=True)
class AugmentationTrial:
    """One training of a comparison: with one kind of augmentation, with none, or with all that were chosen.

    Attributes:
        name: the kind's name, "none" or "all".
        title: the same for a person.
        run: the run's folder.
        validation: how good the network became.
        training_accuracy: of the epoch that was kept, as it was trained, 0–1.
        difference, low, high: validation accuracy less that without augmentation, and its 95 % interval, from the
            same images, -1 to 1; all 0 for the trial without.
    """

    name: str
    title: str
    run: Path
    validation: Evaluation
    training_accuracy: float
    difference: float = 0.0
    low: float = 0.0
    high: float = 0.0

    @property
    def verdict(self) -> str:
        """What the difference says: "better", "worse", "no clear difference", or "" for the trial without."""
        if self.name == "none":
            return ""
        return "better" if self.low > 0 else "worse" if self.high < 0 else "no clear difference"


@dataclass(frozen=True, slots=True)
class AugmentationComparison:
    """Every trial that was completed, the one without augmentation first; ``ended`` is "completed" or "stopped"."""

    trials: tuple[AugmentationTrial, ...]
    ended: str


@dataclass(frozen=True, slots=True)
class CrossValidation:
    """How good a recipe is, measured on every image by a network that was not trained on it.

    Attributes:
        folds: one training each; its ``test`` is the evaluation on the images that were held out.
        asked: how many folds were asked for; there are fewer when the user stopped.
        accuracy: mean of the folds' test accuracies, 0–1.
        accuracy_low, accuracy_high: its 95 % interval by Student's t over the folds. The folds share training images,
            so that it is a guide and no guarantee (Bengio and Grandvalet 2004).
        deviation: standard deviation of the folds' test accuracies.
        loss: mean of the folds' test losses, in nats.
    """

    folds: tuple[TrainedModel, ...]
    asked: int
    accuracy: float
    accuracy_low: float
    accuracy_high: float
    deviation: float
    loss: float


@dataclass(frozen=True, slots=True)
class LabelDoubt:
    """An image that a network which never saw it would put into another class than the one it is in.

    Attributes:
        path: relative to the data set's folder, with forward slashes.
        given: name of the class it is in.
        suggested: name of the class that the network thinks it is of.
        given_probability: what the network gives the class it is in, 0–1.
        suggested_probability: what it gives the other class, 0–1.
    """

    path: str
    given: str
    suggested: str
    given_probability: float
    suggested_probability: float


@dataclass(frozen=True, slots=True)
class LabelReview:
    """Likely label errors, to be looked at: the network may be wrong too.

    Attributes:
        doubts: the images most confidently contradicted first.
        images: how many were judged.
        method: how, a sentence.
    """

    doubts: tuple[LabelDoubt, ...]
    images: int
    method: str


def label_review_csv(review: LabelReview) -> str:
    """Likely label errors as CSV text: path, class, suggested class, and the probability (0–1) of each."""
    rows = (
        (
            doubt.path,
            doubt.given,
            doubt.suggested,
            f"{doubt.given_probability:.6f}",
            f"{doubt.suggested_probability:.6f}",
        )
        for doubt in review.doubts
    )
    return csv_text(("path", "class", "suggested", "class_probability", "suggested_probability"), rows)
