"""Results in sentences."""

from __future__ import annotations

from cnn_studio.core.data.events import Caution, FilesLeftOut
from cnn_studio.core.evaluation.class_name_file import ClassNamesFound
from cnn_studio.core.evaluation.figures import Evaluation
from cnn_studio.core.evaluation.input_range import InputRange, InputRangeUnknown
from cnn_studio.core.job.events import Event, Message
from cnn_studio.core.percent import format_percent, format_percent_range
from cnn_studio.core.runs.comparison import TrialStarted
from cnn_studio.core.runs.trained import CrossValidation

CHOSE_EPOCH = "these images chose the epoch that was kept, so it flatters"
NO_TEST = (
    "No images were kept apart for a test, so there is no accuracy that chose nothing: --test 0.15 keeps some of them."
)


def accuracy_sentence(evaluation: Evaluation) -> str:
    """Accuracy with its interval, the number of images it rests on, what guessing would score, and what chose it."""
    interval = format_percent_range(evaluation.accuracy_low, evaluation.accuracy_high)
    text = (
        f"{evaluation.accuracy_text} {format_percent(evaluation.accuracy)} "
        f"({interval}, 95 % interval, {evaluation.images:,} images; guessing the largest class: "
        f"{format_percent(evaluation.guessing)}), loss {evaluation.loss:.4f}"
    )
    return f"{text}; {CHOSE_EPOCH}" if evaluation.chose_epoch else text


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
            f"mean test accuracy {format_percent(validated.accuracy)} "
            f"({format_percent_range(validated.accuracy_low, validated.accuracy_high)}, 95 % interval over "
            f"{len(validated.folds)} folds, standard deviation {100 * validated.deviation:.1f} points), "
            f"loss {validated.loss:.4f}"
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
