"""``cnn-studio scan`` and ``cnn-studio label-errors``: what is in a folder, and what is odd about it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from cnn_studio import tasks
from cnn_studio.cli.console import Face
from cnn_studio.cli.options import Sets, asked_for, choices_of, option
from cnn_studio.core.advice.preflight import refuse
from cnn_studio.core.atomic_file import write_text
from cnn_studio.core.data import dataset
from cnn_studio.core.data.decisions import apply_decisions
from cnn_studio.core.data.findings import Finding, examine
from cnn_studio.core.data.groups import useless_rule
from cnn_studio.core.data.image_file import SPLIT_TEXT
from cnn_studio.core.data.split import count_splits, split_dataset, why_not_trainable
from cnn_studio.core.data.split_file import split_csv
from cnn_studio.core.data.walk import passed_over_text
from cnn_studio.core.errors import ExperimentError
from cnn_studio.core.evaluation.label_review import LabelReview, label_review_csv
from cnn_studio.core.experiment.architectures import DEFAULT_ARCHITECTURE
from cnn_studio.core.image.issues import issues_csv
from cnn_studio.core.job.events import Message
from cnn_studio.core.job.jobs import JobContext, ignore_reports
from cnn_studio.core.percent import format_percent
from cnn_studio.core.text import listed, printable

_SHOWN = 5
_FOLDS = 5
AsJson = Annotated[bool, typer.Option("--json", help="One JSON object on standard output, nothing else.")]


def scan(
    folder: Annotated[Path, typer.Argument(help="Holds one sub-folder of images per class.")],
    csv: Annotated[Path | None, typer.Option(help="Also write every file left out, and why, to this file.")] = None,
    save_split: Annotated[
        Path | None, typer.Option(help="Also write path, class and split of every image to this CSV file.")
    ] = None,
    experiment: Annotated[
        Path | None, typer.Option(help="A settings file: its split, image size and decisions count.")
    ] = None,
    group_by: Annotated[str | None, option("split.group_pattern", metavar="REGEX")] = None,
    as_json: AsJson = False,
) -> int:
    """List a folder's classes, its split, what is odd about it, and every file left out, with the reason."""
    face = Face(as_json=False)
    changes = {} if group_by is None else {"split.group_pattern": group_by}
    choices = choices_of(changes, experiment=experiment)
    choices.check()
    with face.working():
        found = tasks.scan(folder, JobContext(ignore_reports if as_json else face.report, face.token))
    settings, _ = choices.on_data(found, lambda: False)
    found, notes = apply_decisions(found, settings.decisions)
    notes = tuple(filter(None, (*notes, useless_rule(found.files, settings.split))))
    findings = examine(found, settings.image)
    totals = {split: sum(n) for split, n in count_splits(found, settings.split).items()}
    problem = why_not_trainable(found, settings.split)
    if csv:
        write_text(csv, issues_csv(found.issues))
    if save_split:
        write_text(save_split, split_csv(found, split_dataset(found, settings.split)))
    if as_json:
        face.print_json(
            {
                "root": str(found.root),
                "classes": found.counts(),
                "images": len(found.files),
                "split": totals,
                "given_splits": sorted(found.given_splits),
                "findings": [_finding_values(finding, found) for finding in findings],
                "issues": [asdict(issue) for issue in found.issues],
                "passed_over": dict(found.passed_over),
                "notes": list(notes),
                "problem": str(problem) if problem else None,
            }
        )
        return 0
    face.say(f"{found.root}: {len(found.files):,} images, {len(found.class_names)} classes")
    width = max((len(name) for name in found.class_names), default=0)
    for name, count in found.counts().items():
        face.say(f"  {name:<{width}}  {count:>7,}")
    face.say("split: " + ", ".join(f"{SPLIT_TEXT[split]} {count:,}" for split, count in totals.items()))
    for note in notes:
        face.say(note)
    for finding in findings:
        _say_finding(face, finding, found)
    if found.issues:
        face.say(f"{len(found.issues)} left out:")
        for issue in found.issues:
            face.say(f"  {issue.path}: {issue.detail}")
    if passed_over := passed_over_text(dict(found.passed_over)):
        face.say(passed_over)
    if problem:
        face.say(str(problem))
    return 0


def _finding_values(finding: Finding, found: dataset.Dataset) -> dict[str, Any]:
    return {
        "kind": finding.kind.value,
        "title": finding.title,
        "advice": finding.advice,
        "serious": finding.serious,
        "groups": [[printable(found.files[index].path) for index in group] for group in finding.groups],
    }


def _say_finding(face: Face, finding: Finding, found: dataset.Dataset) -> None:
    face.say(f"{'! ' if finding.serious else '- '}{finding.title} {finding.advice}")
    # Pictures of one group on a line where there are several groups of a few; else some of the one group.
    groups: Sequence[Sequence[int]] = finding.groups
    if len(groups) == 1 and len(groups[0]) > 3:
        groups = [[index] for index in groups[0]]
    for group in groups[:_SHOWN]:
        names = ", ".join(found.files[index].path for index in group[:_SHOWN])
        face.say(f"    {names}{f' and {len(group) - _SHOWN:,} more' if len(group) > _SHOWN else ''}")
    if len(groups) > _SHOWN:
        face.say(f"    … {len(groups) - _SHOWN:,} more (--json lists all)")


def label_errors(
    folder: Annotated[Path, typer.Argument(help="Holds one sub-folder of images per class.")],
    run: Annotated[
        Path | None, typer.Option(help="Ask this run's network, about its validation and test images only: quick.")
    ] = None,
    folds: Annotated[
        int | None, typer.Option(min=2, help=f"Without --run: how many networks are trained to judge all; {_FOLDS}.")
    ] = None,
    experiment: Annotated[
        Path | None, typer.Option(help="A settings file: what is trained, and the decisions that count.")
    ] = None,
    architecture: Annotated[
        str | None, typer.Option(help=f"What is trained; {DEFAULT_ARCHITECTURE} when not given.")
    ] = None,
    epochs: Annotated[int | None, option("training.epochs")] = None,
    sets: Sets = None,
    csv: Annotated[Path | None, typer.Option(help="Also write the list to this CSV file.")] = None,
    as_json: AsJson = False,
) -> int:
    """Find images that may lie in the wrong class, by asking networks that did not learn from them."""
    face = Face(as_json=False)
    report = ignore_reports if as_json else face.report
    asked = asked_for({"architecture.name": architecture, "training.epochs": epochs}, sets)
    idle = {"--set": sets, "--architecture": architecture, "--epochs": epochs, "--folds": folds}
    if run and (without_effect := [name for name, value in idle.items() if value]):
        raise ExperimentError(
            f"--run asks a network that is trained already, so {listed(without_effect)} would change nothing.",
            hint=f"Leave out --run or {listed(without_effect)}.",
        )
    if run and not experiment:
        experiment = run / "experiment.toml"
    choices = choices_of(asked, experiment=experiment, architecture=architecture)
    expected = choices.check()
    if run is None:
        refuse(expected)
    with face.working():
        found = tasks.scan(folder, JobContext(report, face.token))
        if passed_over := passed_over_text(dict(found.passed_over)):
            report(Message(passed_over))
        settings, _ = choices.on_data(found, lambda: False)
        request = tasks.LabelErrorRequest(found, settings, run, folds or _FOLDS)
        review = tasks.find_label_errors(request, JobContext(report, face.token))
    if csv:
        write_text(csv, label_review_csv(review))
    if as_json:
        face.print_json({**asdict(review), "expected": review.expected})
    else:
        _say_review(face, review)
    return 0


def _say_review(face: Face, review: LabelReview) -> None:
    count = len(review.doubts)
    face.say(
        f"{count:,} of {review.images:,} images may lie in the wrong class; {review.expected_text}. {review.method} "
        "Look at them before you move any: the network may be wrong."
        if count
        else f"None of {review.images:,} images looks as if it lay in the wrong class. {review.method}"
    )
    for doubt in review.doubts:
        face.say(
            f"  {doubt.path}: {doubt.suggested} {doubt.suggested_probability:.1%}, "
            f"{doubt.given} {doubt.given_probability:.1%}; chance of an error {format_percent(doubt.chance)}"
        )
