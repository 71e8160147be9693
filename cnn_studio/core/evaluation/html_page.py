"""What was measured as one HTML page that needs nothing else: drawings inside as SVG, pictures as small JPEGs."""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from html import escape
from itertools import pairwise
from pathlib import Path
from string import Template

import numpy as np

from cnn_studio import __version__
from cnn_studio.core.data.image_file import SPLIT_TEXT, Split
from cnn_studio.core.evaluation.calibration import at_threshold, coverage_curve, reliability
from cnn_studio.core.evaluation.confusion import most_confused
from cnn_studio.core.evaluation.figures import ClassScore
from cnn_studio.core.evaluation.galleries import least_sure, most_typical, most_wrong
from cnn_studio.core.evaluation.html_drawings import (
    Line,
    coverage_chart,
    line_chart,
    matrix_drawing,
    reliability_diagram,
)
from cnn_studio.core.evaluation.measured import Measured
from cnn_studio.core.evaluation.model_facts import ModelFacts
from cnn_studio.core.experiment.architectures import architecture_title
from cnn_studio.core.image.decoder import ImageError, read_picture
from cnn_studio.core.paths import resource_dir
from cnn_studio.core.percent import format_percent, format_percent_range
from cnn_studio.core.text import printable

PICTURES = 12
"""In each gallery."""

_EDGE = 220  # pixels of a picture's longer side
_QUALITY = 80
_RANKED = 3  # classes told of each picture

_GALLERIES: tuple[tuple[str, str, Callable[[Measured, int], Iterable[np.intp]]], ...] = (
    ("Wrong, and sure of it", "The model was surest of these and wrong. A label may be wrong as well.", most_wrong),
    ("Least sure", "Nothing stood out for the model here.", least_sure),
    ("Most typical", "Right and surest, the best of each class first.", most_typical),
)


@dataclass(frozen=True, slots=True)
class RunRecord:
    """What a run adds to the page.

    Attributes:
        history: the rows of ``history.csv``, by column name.
        settings: the text of ``experiment.toml``.
    """

    history: tuple[dict[str, str], ...]
    settings: str


def report_page(
    measured: Measured,
    facts: ModelFacts,
    record: RunRecord | None = None,
    on_picture: Callable[[int, int], None] | None = None,
) -> str:
    """The page as text.

    Args:
        measured: what the model said.
        facts: of its file.
        record: of its run, if it is of one.
        on_picture: told how many pictures of how many are done.
    """
    template = Template((resource_dir() / "report" / "report.html").read_text(encoding="utf-8"))
    evaluation = measured.evaluation
    headline = (
        f"{format_percent(evaluation.accuracy)} of {_images(evaluation.images)} recognised; with this many images, "
        f"{format_percent_range(evaluation.accuracy_low, evaluation.accuracy_high, ' to ')} is plausible"
    )
    return template.substitute(
        version=escape(__version__),
        title=_text(f"{facts.data_name or measured.model.stem}: {evaluation.images_text}"),
        subtitle=_subtitle(measured, facts),
        headline=headline,
        figures=_figures(measured),
        notes=_notes(measured),
        curves=_curves(record) if record else "",
        scores=_scores(measured),
        confused=_confused(measured),
        matrix=f"<div>{matrix_drawing(np.asarray(evaluation.confusion, np.int64), measured.class_names)}</div>",
        sureness=_sureness(measured),
        galleries=_galleries(measured, on_picture),
        settings=_settings(record.settings) if record and record.settings else "",
    )


def _text(words: str) -> str:
    return escape(printable(words))


def _images(count: int) -> str:
    return f"{count:,} image{'' if count == 1 else 's'}"


def _subtitle(measured: Measured, facts: ModelFacts) -> str:
    parts = [
        f"Model {measured.model.name}" + (f" ({architecture_title(facts.architecture)})" if facts.architecture else ""),
        f"{facts.height} × {facts.width} pixels",
        f"{len(measured.class_names)} classes",
        f"images in {measured.root}",
    ]
    if facts.created:
        parts.append(f"trained {facts.created[:10]}")
    return " · ".join(map(_text, [*parts, f"cnn_studio {__version__}"]))


def _figures(measured: Measured) -> str:
    evaluation = measured.evaluation
    figures = [
        (format_percent(evaluation.accuracy), evaluation.accuracy_text),
        (format_percent_range(evaluation.accuracy_low, evaluation.accuracy_high), "its 95 % interval (Wilson)"),
        (format_percent(evaluation.guessing), "what guessing the largest class would score"),
        *(
            (format_percent(accuracy), f"true class among the {k} likeliest (top-{k})")
            for k, accuracy in evaluation.top_k
        ),
        *((f"{average.f1:.3f}", "F1, mean of all classes (macro)") for average in [evaluation.macro] if average),
        (f"{evaluation.loss:.3f}", "log loss (0 is perfect)"),
    ]
    if not measured.without_numbers:
        error = reliability(measured.confidence, measured.right).error
        figures.append((f"{100 * error:.1f} points", "calibration error (ECE)"))
    return "".join(f"<div><b>{_text(value)}</b><small>{_text(name)}</small></div>" for value, name in figures)


def _notes(measured: Measured) -> str:
    notes = []
    if measured.without_numbers:
        notes.append(
            f"The model answered {_images(measured.without_numbers)} with what is no number (NaN), so these figures "
            "mean nothing: its training has gone astray."
        )
    if measured.evaluation.chose_epoch:
        notes.append(
            "These images chose the model: of all epochs the one with the lowest loss on them was kept, so their "
            "figures flatter it. Test images, which chose nothing, tell what to expect."
        )
    if missing := [score.name for score in measured.evaluation.classes if not score.support]:
        named = ", ".join(missing[:10]) + (f" and {len(missing) - 10} more" if len(missing) > 10 else "")
        notes.append(f"No images of {named} were measured, so nothing is known of them.")
    if measured.temperature != 1.0:
        notes.append(
            f"The model was calibrated: its logits are divided by a temperature of {measured.temperature:.3f}, which "
            "changes how sure it is and no answer."
        )
    if measured.threshold:
        found = at_threshold(measured.confidence, measured.right, measured.threshold)
        notes.append(
            f"Below a probability of {format_percent(measured.threshold)} it says that it is not sure. That leaves "
            f"answers for {format_percent(found.coverage)} of these images, {format_percent(found.accuracy)} of them "
            "right."
        )
    return "".join(f"<p>{_text(note)}</p>" for note in notes)


def _curves(record: RunRecord) -> str:
    """Loss and accuracy over the epochs, or nothing where no epoch was completed."""
    drawings = []
    for column, title in (("loss", "loss"), ("accuracy", "accuracy")):
        lines = [
            Line(name, kind, points)
            for name, kind, key in (
                (SPLIT_TEXT[Split.TRAIN], "first", column),
                (SPLIT_TEXT[Split.VALIDATION], "second", f"val_{column}"),
            )
            if (points := _points(record.history, key))
        ]
        if lines:
            drawings.append(f"<figure>{line_chart(lines, 'epoch', title, _stages(record.history))}</figure>")
    if not drawings:
        return ""
    return f'<section><h2>How it learnt</h2><div class="pair">{"".join(drawings)}</div></section>'


def _points(history: Sequence[dict[str, str]], column: str) -> list[tuple[float, float]]:
    points = []
    for row in history:
        try:
            point = (float(row["epoch"]), float(row[column]))
        except (KeyError, TypeError, ValueError):
            continue
        if all(map(math.isfinite, point)):
            points.append(point)
    return points


def _stages(history: Sequence[dict[str, str]]) -> list[tuple[float, str]]:
    """(epoch, text) of where fine-tuning begins, if it does."""
    for earlier, later in pairwise(history):
        if earlier.get("stage") != later.get("stage"):
            return [(float(later["epoch"]) - 0.5, "fine-tuning begins")]
    return []


def _scores(measured: Measured) -> str:
    evaluation = measured.evaluation
    heads = "".join(f"<th><button>{name}</button></th>" for name in ("class", "precision", "recall", "F1", "images"))
    rows = "".join(map(_score_row, evaluation.classes))
    averages = [("mean of the classes (macro)", evaluation.macro), ("weighted by images", evaluation.weighted)]
    foot = "".join(
        f"<tr><td>{name}</td><td>{one.precision:.3f}</td><td>{one.recall:.3f}</td><td>{one.f1:.3f}</td>"
        f"<td>{one.support:,}</td></tr>"
        for name, one in averages
        if one
    )
    return f'<table class="scores"><thead><tr>{heads}</tr></thead><tbody>{rows}</tbody><tfoot>{foot}</tfoot></table>'


def _score_row(score: ClassScore) -> str:
    name = f"<td>{_text(score.name)}</td>"
    if not score.support:
        empty = '<td data-value="-1" class="muted">–</td>'
        return f'<tr>{name}{empty * 3}<td data-value="0" class="muted">no images</td></tr>'
    cells = "".join(f"<td>{value:.3f}</td>" for value in (score.precision, score.recall, score.f1))
    return f'<tr>{name}{cells}<td data-value="{score.support}">{score.support:,}</td></tr>'


def _confused(measured: Measured) -> str:
    pairs = most_confused(measured.evaluation.confusion)
    if not pairs:
        return "<p>No image was taken for another class.</p>"
    return "<ul>" + "".join(f"<li>{_text(pair.sentence(measured.class_names))}</li>" for pair in pairs) + "</ul>"


def _sureness(measured: Measured) -> str:
    if measured.without_numbers:
        return "<p>Answers that are no numbers cannot be more or less sure.</p>"
    found = reliability(measured.confidence, measured.right)
    mean = float(measured.confidence.mean()) if len(measured.confidence) else 0.0
    difference = mean - measured.evaluation.accuracy
    lean = "surer than it is right" if difference > 0 else "more often right than it is sure"
    words = (
        f"When it says 80 %, is it right 80 times out of 100? On average it is {100 * found.error:.1f} points off "
        f"(expected calibration error, {len(found.bins)} bins of equal width). All in all it is {lean}: "
        f"{format_percent(mean)} sure, {format_percent(measured.evaluation.accuracy)} right. The line on each bar is "
        "what it got right, red the gap to what it said; the darker a bar, the more images it stands for."
    )
    coverage = (
        "How good the answers get when the model may say “I don’t know” to the pictures it is least sure of: left, it "
        "answers few, right, all."
    )
    chart = coverage_chart(coverage_curve(measured.confidence, measured.right), measured.threshold)
    return (
        f"<figure>{reliability_diagram(found)}<figcaption>{_text(words)}</figcaption></figure>"
        f"<figure>{chart}<figcaption>{_text(coverage)}</figcaption></figure>"
    )


def _galleries(measured: Measured, on_picture: Callable[[int, int], None] | None) -> str:
    chosen = [(title, words, list(pick(measured, PICTURES))) for title, words, pick in _GALLERIES]
    total = sum(len(indices) for _, _, indices in chosen)
    done = 0
    sections = []
    for title, words, indices in chosen:
        cards = []
        for index in indices:
            cards.append(_card(measured, int(index)))
            done += 1
            if on_picture:
                on_picture(done, total)
        if cards:
            sections.append(
                f'<section><h2>{title}</h2><p class="muted">{words}</p><div class="gallery">{"".join(cards)}</div>'
                "</section>"
            )
    return "".join(sections)


def _card(measured: Measured, index: int) -> str:
    path = measured.path_of(index)
    truth = measured.class_names[measured.labels[index]]
    right = bool(measured.right[index])
    (said, probability), *others = measured.ranked(index)[:_RANKED]
    verdict = (
        f'<b class="{"ok" if right else "no"}">{_text(said)}</b>: {format_percent(probability)}'
        + ("" if right else f"<br>it is <b>{_text(truth)}</b>")
        + "".join(f"<br>{_text(name)}: {format_percent(value)}" for name, value in others)
    )
    return f"<figure>{_picture(path)}<figcaption>{verdict}</figcaption></figure>"


def _picture(path: Path) -> str:
    from PIL import Image

    name = _text(path.name)
    try:
        pixels = read_picture(path, _EDGE)
    except ImageError as error:
        return f'<div class="gone" title="{name}">{name}: {_text(error.message)}</div>'
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "JPEG", quality=_QUALITY)
    data = base64.b64encode(stream.getvalue()).decode("ascii")
    return f'<img src="data:image/jpeg;base64,{data}" alt="{name}" title="{name}">'


def _settings(text: str) -> str:
    return (
        "<section><h2>Settings of the run</h2><details><summary>Show them all (experiment.toml)</summary>"
        f"<pre>{_text(text)}</pre></details></section>"
    )
