"""From a folder to a data set: every class and usable image in it, and the reason for every file left out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from cnn_studio.core.dataset import Dataset, ImageFile, Split
from cnn_studio.core.errors import DatasetError
from cnn_studio.core.events import Stage, StageStarted
from cnn_studio.core.folders import FoundFile, Listing, list_folder, natural_key
from cnn_studio.core.images import ImageError, ImageFacts, check_image
from cnn_studio.core.issues import Issue, IssueKind
from cnn_studio.core.jobs import CancelToken, Report
from cnn_studio.core.names import printable
from cnn_studio.core.scan_cache import ScanCache
from cnn_studio.core.threads import ProgressMeter, map_in_threads


def scan_folder(root: Path, report: Report, cancel: CancelToken) -> Dataset:
    """Read a folder with one sub-folder of images per class.

    Folders inside a class folder belong to that class; links are followed. ``train/ val/ test/`` (also ``training``,
    ``valid``, ``validation``, ``testing``, in any case) are taken as splits when nothing else lies beside them. A
    folder that holds nothing but one folder of class folders stands for that one. Hidden and system files are passed
    over without a word; every other file that cannot be used is in the data set's issues. Each image is decoded to
    its end once; what was found is remembered on disk until the file changes.

    Args:
        root: the folder.
        report: gets a ``StageStarted`` and ``Progress`` about ten times a second.
        cancel: looked at before every file.

    Raises:
        DatasetError: there is no such folder, it may not be read, or no class folder in it holds a usable image.
        JobCancelled: the user discarded the job.
    """
    report(StageStarted(Stage.SCAN))
    listing = list_folder(root, report, cancel)
    cache = ScanCache(listing.root)
    try:
        outcomes = _checked(listing.files, listing.root, cache, report, cancel)
    except BaseException:
        cache.save(complete=False)
        raise
    cache.save(complete=True)
    return _dataset(listing, outcomes)


def _checked(
    files: Sequence[FoundFile], root: Path, cache: ScanCache, report: Report, cancel: CancelToken
) -> list[ImageFacts | ImageError]:
    """What each file is, in order; from memory where it has not changed."""
    outcomes = [cache.recall(file.path, file.size, file.modified_ns) for file in files]
    unknown = [index for index, outcome in enumerate(outcomes) if outcome is None]
    report(StageStarted(Stage.SCAN, len(files)))
    meter = ProgressMeter(Stage.SCAN, len(files), report, already=len(files) - len(unknown))

    def check(index: int) -> ImageFacts | ImageError:
        try:
            return check_image(root / files[index].path)
        except ImageError as error:
            return error.alone()

    for index, outcome in zip(unknown, map_in_threads(check, unknown, cancel), strict=True):
        file = files[index]
        outcomes[index] = outcome
        cache.remember(file.path, file.size, file.modified_ns, outcome)
        meter.add()
    return [outcome for outcome in outcomes if outcome is not None]


def _dataset(listing: Listing, outcomes: Sequence[ImageFacts | ImageError]) -> Dataset:
    issues = list(listing.issues)
    usable: list[tuple[FoundFile, ImageFacts]] = []
    for file, outcome in zip(listing.files, outcomes, strict=True):
        if isinstance(outcome, ImageFacts):
            usable.append((file, outcome))
        else:
            issues.append(Issue(file.path, outcome.kind, outcome.message))
    # A network can only learn the classes it is shown in training.
    taught = {file.class_folder for file, _ in usable if file.split in {None, Split.TRAIN}}
    issues += _empty_classes(listing, taught)
    folders = sorted(taught, key=natural_key)
    labels = {folder: label for label, folder in enumerate(folders)}
    files: list[ImageFile] = []
    for file, facts in usable:
        if file.class_folder not in labels:
            detail = f"No training image of {printable(file.class_folder)} can be used, so this one is left out too."
            issues.append(Issue(file.path, IssueKind.UNKNOWN_CLASS, detail))
            continue
        label = labels[file.class_folder]
        files.append(
            ImageFile(file.path, label, facts.height, facts.width, facts.grey, file.size, file.modified_ns, file.split)
        )
    if not files:
        raise _nothing_usable(listing, issues)
    files.sort(key=lambda file: (file.label, file.path))
    issues.sort(key=lambda issue: (natural_key(issue.path), issue.kind))
    return Dataset(
        root=listing.root,
        class_names=tuple(printable(folder) for folder in folders),
        files=tuple(files),
        issues=tuple(issues),
        given_splits=frozenset(file.given_split for file in files if file.given_split is not None),
    )


def _empty_classes(listing: Listing, taught: set[str]) -> list[Issue]:
    explained = {issue.path for issue in listing.issues}
    met = {file.class_folder for file in listing.files if file.split in {None, Split.TRAIN}}
    issues = []
    for folder, path in listing.class_folders.items():
        if folder in taught or path in explained:
            continue
        reason = "None of its files is a usable image." if folder in met else "There is no file in it."
        issues.append(Issue(path, IssueKind.EMPTY_CLASS, f"{reason} It is not counted as a class."))
    return issues


def _nothing_usable(listing: Listing, issues: Sequence[Issue]) -> DatasetError:
    broken = [issue for issue in issues if issue.kind not in {IssueKind.EMPTY_CLASS, IssueKind.NOT_AN_IMAGE}]
    example = (
        f" The first of {len(broken)} files left out: {printable(broken[0].path)}: {broken[0].detail}" if broken else ""
    )
    return DatasetError(
        f"There is no usable image in {listing.root.name or listing.root}.{example}",
        hint="Put the images of each class into a sub-folder of its own and open the folder that holds them all.",
        path=listing.root,
    )
