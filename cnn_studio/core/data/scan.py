"""From a folder to a data set: every class and usable image in it, and the reason for every file left out."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cnn_studio.core.data.dataset import Dataset
from cnn_studio.core.data.events import FolderListed
from cnn_studio.core.data.image_file import ImageFile, Split
from cnn_studio.core.data.layout import HOW_TO_LAY_OUT
from cnn_studio.core.data.listing import FoundFile, Listing, list_folder
from cnn_studio.core.data.near_duplicates import NEAR_DUPLICATES_VERSION, Groups, are_pairs, find_pairs, group
from cnn_studio.core.data.scan_cache import ScanCache
from cnn_studio.core.data.split import count_ahead
from cnn_studio.core.data.walk import natural_key
from cnn_studio.core.errors import DatasetError
from cnn_studio.core.image.decoder import ImageError, ImageFacts, check_image, holds_image_data
from cnn_studio.core.image.fingerprints import are_blank
from cnn_studio.core.image.issues import Issue, IssueKind
from cnn_studio.core.job.events import Stage, StageStarted
from cnn_studio.core.job.jobs import JobContext
from cnn_studio.core.job.threads import ProgressMeter, map_in_threads
from cnn_studio.core.text import printable

_Outcome = ImageFacts | ImageError


def scan_folder(root: Path, context: JobContext) -> Dataset:
    """Read a folder with one sub-folder of images per class.

    Folders inside a class folder belong to that class; links are followed. Folders whose names say so (``train/``,
    ``val/``, ``test/`` and the other usual names, see ``split_names``) are taken as splits, with the class folders in
    them; of what lies beside them it is said that it is not used. A folder that holds images in one of its folders
    alone stands for that one. Hidden files and folders, and those of systems, are passed over and counted; every other
    file that cannot be used is in the data set's issues. Each image is decoded to its end once, and compared with all
    others; what was found is remembered on disk until the file changes.

    Args:
        root: the folder.
        context: ``report`` is told a ``FolderListed`` as soon as the files' first bytes have been seen, unless
            everything is known already; a ``StageStarted`` for each stage and ``Progress`` about ten times a second.
            ``cancel`` is looked at before every file.

    Raises:
        DatasetError: there is no such folder, it may not be read, or no class folder in it holds a usable image.
        JobCancelled: the user discarded the job.
    """
    context.report(StageStarted(Stage.SCAN))
    listing = list_folder(root, context)
    cache = ScanCache(listing.root)
    try:
        recalled = [cache.recall(file.path, file.size, file.modified_ns) for file in listing.files]
        if None in recalled:
            _report_listing(listing, recalled, context)
        outcomes = _checked(listing, recalled, cache, context)
        dataset = _dataset(listing, outcomes)
        dataset = _with_groups(dataset, _contents(listing, outcomes), cache, context)
    except BaseException:
        cache.save(complete=False)
        raise
    cache.save(complete=True)
    return dataset


def _report_listing(listing: Listing, recalled: Sequence[_Outcome | None], context: JobContext) -> None:
    """Tell what the folder seems to hold: of files not known yet, those that begin like an image."""

    def sniff(index: int) -> _Outcome | None:
        if recalled[index] is None and holds_image_data(listing.root / listing.files[index].path):
            return ImageFacts(0, 0, grey=False, format="")
        return recalled[index]

    seen = list(map_in_threads(sniff, range(len(recalled)), context.cancel, batch=256))
    with suppress(DatasetError):  # nothing that looks like an image; the check says what it is
        listed = _dataset(listing, seen)
        count_ahead(listed)  # here, so that the window need not
        context.report(FolderListed(listed))


def _checked(
    listing: Listing, recalled: Sequence[_Outcome | None], cache: ScanCache, context: JobContext
) -> list[_Outcome]:
    """What each file is, in order; from memory where it has not changed."""
    files = listing.files
    outcomes = list(recalled)
    unknown = [index for index, outcome in enumerate(outcomes) if outcome is None]
    context.report(StageStarted(Stage.SCAN, len(files)))
    meter = ProgressMeter(Stage.SCAN, len(files), context.report, already=len(files) - len(unknown))

    def check(index: int) -> _Outcome:
        try:
            return check_image(listing.root / files[index].path)
        except ImageError as error:
            return error.alone()

    for index, outcome in zip(unknown, map_in_threads(check, unknown, context.cancel), strict=True):
        file = files[index]
        cache.remember(file.path, file.size, file.modified_ns, outcome)
        # The cache has the fingerprint now; twice would be too much for 100,000 images.
        outcomes[index] = replace(outcome, fingerprint=b"") if isinstance(outcome, ImageFacts) else outcome
        meter.add()
    return [outcome for outcome in outcomes if outcome is not None]


def _contents(listing: Listing, outcomes: Sequence[_Outcome]) -> dict[str, str]:
    """The digest of every usable file, by its path."""
    return {
        file.path: outcome.content
        for file, outcome in zip(listing.files, outcomes, strict=True)
        if isinstance(outcome, ImageFacts)
    }


def _with_groups(dataset: Dataset, contents: Mapping[str, str], cache: ScanCache, context: JobContext) -> Dataset:
    """The data set with what comparing its images with each other tells."""
    paths = [file.path for file in dataset.files]
    fingerprints = cache.fingerprints(paths)
    groups = _groups(fingerprints, cache, context)
    identical = _numbered([contents[path] for path in paths])
    blank = are_blank(fingerprints).tolist()
    found = zip(dataset.files, identical, groups.connected, groups.alike, groups.same, blank, strict=True)
    files = tuple(
        file
        if not (equal or similar or empty)
        else replace(file, identical=equal, similar=similar, alike=alike, same=same, blank=empty)
        for file, equal, similar, alike, same, empty in found
    )
    return replace(dataset, files=files)


def _groups(fingerprints: NDArray[np.uint8], cache: ScanCache, context: JobContext) -> Groups:
    """The groups of pictures that look alike; from memory where the pictures are the same as the last time."""
    key = f"{NEAR_DUPLICATES_VERSION} {hashlib.blake2b(fingerprints.data, digest_size=16).hexdigest()}"
    numbers = cache.recall_groups(key)
    if numbers is None or not are_pairs(numbers, len(fingerprints)):
        numbers = find_pairs(fingerprints, context).reshape(-1).tolist()
        cache.remember_groups(key, numbers)
    return group(len(fingerprints), np.array(numbers, np.int64).reshape(-1, 3))


def _numbered(contents: Sequence[str]) -> list[int]:
    """For each content the number of its group, from 1 on; 0 for one that occurs once."""
    counts = Counter(contents)
    number = {content: place for place, content in enumerate((c for c, n in counts.items() if n > 1), start=1)}
    return [number.get(content, 0) for content in contents]


def _dataset(listing: Listing, outcomes: Sequence[_Outcome | None]) -> Dataset:
    """The data set that the files make; one whose outcome is None is passed over.

    Raises:
        DatasetError: no image can be used.
    """
    issues = list(listing.issues)
    usable: list[tuple[FoundFile, ImageFacts]] = []
    for file, outcome in zip(listing.files, outcomes, strict=True):
        if isinstance(outcome, ImageFacts):
            usable.append((file, outcome))
        elif outcome is not None:
            issues.append(Issue(file.path, outcome.cause.kind, outcome.message))
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
        passed_over=tuple(sorted(listing.passed_over.items())),
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
        hint=HOW_TO_LAY_OUT,
        path=listing.root,
    )
