"""Results in sentences."""

from __future__ import annotations

from cnn_studio.core.data.events import Caution, FilesLeftOut
from cnn_studio.core.evaluation.class_name_file import ClassNamesFound
from cnn_studio.core.evaluation.figures import Evaluation
from cnn_studio.core.evaluation.input_range import InputRange, InputRangeUnknown
from cnn_studio.core.job.events import Event, Message
from cnn_studio.core.runs.comparison import TrialStarted
from cnn_studio.core.runs.trained import CrossValidation


def accuracy_sentence(evaluation: Evaluation) -> str:
    """Accuracy with its interval and the number of images it rests on."""
    return (
        f"{evaluation.accuracy_text} {evaluation.accuracy:.3f} "
        f"({evaluation.accuracy_low:.3f}–{evaluation.accuracy_high:.3f}, 95 % interval, {evaluation.images:,} images), "
        f"loss {evaluation.loss:.4f}"
    )


def cross_validation_sentences(validated: CrossValidation) -> list[str]:
    """Each fold's test accuracy, and their mean with its interval."""
    sentences = [
        f"fold {number}: {accuracy_sentence(trained.test)}"
        for number, trained in enumerate(validated.folds, start=1)
        if trained.test
    ]
    if len(validated.folds) < validated.asked:
        sentences.append(f"Stopped after {len(validated.folds)} of {validated.asked} folds.")
    if len(validated.folds) > 1:
        sentences.append(
            f"mean test accuracy {validated.accuracy:.3f} "
            f"({validated.accuracy_low:.3f}–{validated.accuracy_high:.3f}, 95 % interval over "
            f"{len(validated.folds)} folds, standard deviation {validated.deviation:.3f}), loss {validated.loss:.4f}"
        )
    return sentences


def unknown_sentence(doubt: InputRangeUnknown | ClassNamesFound) -> str:
    """What a model's file does not say, what was found out of it, and the option that says it."""
    if isinstance(doubt, ClassNamesFound):
        use = f"--class-names {doubt.path}"
        return f"{doubt.model} names no classes. {doubt.path} lists as many as it has: use them with {use}."
    said = f"{doubt.model} does not say which values its network takes, so it is given 0-255."
    if doubt.fits_best is None:
        return f"{said} If it takes others its answers mean nothing: say --input-range {', '.join(InputRange)}."
    tried = ", ".join(f"{trial.right} given {trial.input_range}" for trial in doubt.tried)
    images = doubt.tried[0].images
    return f"{said} Of {images} pictures it names right: {tried}. Say --input-range {doubt.fits_best}, which fits best."


def event_lines(event: Event) -> list[str]:
    """What of a job's events is only said, a line each; none for those that are shown otherwise."""
    match event:
        case Message(text):
            return [text]
        case TrialStarted(number, total, title):
            return [f"Training {number} of {total}: {title}"]
        case ClassNamesFound() | InputRangeUnknown():
            return [unknown_sentence(event)]
        case Caution(text=text, advice=advice):
            return [f"! {text} {advice}"]
        case FilesLeftOut(issues):
            return [f"left out: {issue.path}: {issue.detail}" for issue in issues]
        case _:
            return []
