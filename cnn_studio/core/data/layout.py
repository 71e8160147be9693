"""How a folder of pictures is laid out: which of its folders are splits, classes, mere wrappings, or none of these."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

from cnn_studio.core.data.image_file import SPLIT_TEXT, Split
from cnn_studio.core.data.split_names import is_neutral, split_of
from cnn_studio.core.data.walk import (
    RUN_FILES,
    Entry,
    entries_of,
    holds_picture,
    is_hidden,
    joined,
    looks_like_image,
)
from cnn_studio.core.errors import DatasetError
from cnn_studio.core.job.jobs import CancelToken
from cnn_studio.core.text import composed, listed, printable

HOW_TO_LAY_OUT = "Put the images of each class into a sub-folder of its own and open the folder that holds them all."
_DEEPEST_WRAPPING = 8
_FOLDERS_SEARCHED, _NAMES_SEARCHED = 60, 1000  # for a file that says the classes


@dataclass(frozen=True, slots=True)
class SplitFolder:
    """The class folders of a split.

    Attributes:
        split: which.
        folder: holds the class folders; it may lie within the folder that has the split's name.
        path: of ``folder`` relative to the data set's root, with forward slashes.
    """

    split: Split
    folder: Path
    path: str


@dataclass(slots=True)
class Layout:
    """What the folders of a data set are.

    Attributes:
        root: the data set's folder: the picked one, or one that it only wraps.
        splits: the folders that name a split; empty where the root holds class folders.
        classes: the class folders, where there are no splits.
        strangers: folders beside the splits that hold images, and are used for nothing.
        without_images: folders beside the splits that hold none.
        runs: folders in the root that a training run of this program has made.
    """

    root: Path
    splits: list[SplitFolder] = field(default_factory=list)
    classes: list[Entry] = field(default_factory=list)
    strangers: list[Entry] = field(default_factory=list)
    without_images: list[Entry] = field(default_factory=list)
    runs: list[Entry] = field(default_factory=list)


class LayoutFinder:
    """Finds out what the folders are by their names and by where the images lie; nothing is decoded."""

    def __init__(self, cancel: CancelToken) -> None:
        self._cancel = cancel

    def find(self, root: Path) -> Layout:
        """The layout of the folder that was picked.

        Raises:
            OSError: it cannot be listed.
            DatasetError: the classes of its images are not said by folders, or none are for training.
            JobCancelled: the user discarded the job.
        """
        layout = self._look(root)
        if not layout.splits:
            self._refuse_without_classes(root, layout)
        return layout

    def _look(self, root: Path, depth: int = 0) -> Layout:
        folders, files = entries_of(root)
        runs = [folder for folder in folders if _is_run(folder)]
        layout = Layout(root, classes=[folder for folder in folders if folder not in runs], runs=runs)
        self._take_splits(layout)
        if not layout.splits and depth < _DEEPEST_WRAPPING and not any(map(looks_like_image, files)):
            return self._wrapped(layout, depth) or layout
        return layout

    def _wrapped(self, layout: Layout, depth: int) -> Layout | None:
        """The data set that the only folder with images holds: what unpacking an archive often leaves."""
        filled = self._filled(layout.classes, 2)
        if len(filled) != 1:
            return None
        try:
            inner = self._look(Path(filled[0].path), depth + 1)
            if inner.splits:
                return inner
            # An empty folder beside it is a class still to be filled, and then this is one too.
            waiting = any(not any(entries_of(folder.path)) for folder in layout.classes if folder is not filled[0])
            loose = any(map(looks_like_image, entries_of(inner.root)[1]))
        except OSError:
            return None
        return inner if not waiting and not loose and len(self._filled(inner.classes, 2)) == 2 else None

    def _take_splits(self, layout: Layout) -> None:
        """Where folders name splits, tell them from what lies beside them."""
        named = [(folder, *spoken) for folder in layout.classes if (spoken := split_of(folder.name))]
        held: dict[str, tuple[Split, Layout]] = {}
        rests = {""}  # “seg_test” goes with “seg_train”, and “test” with any
        for folder, split, rest in named:
            if split is Split.TRAIN and self._filled((found := self._holder(folder, split)).classes, 1):
                held[folder.name] = split, found
                rests.add(rest)
        if not held:
            return
        known = {_key(entry.name) for _, found in held.values() for entry in found.classes}
        taught = sum(len(self._filled(found.classes, 2)) for _, found in held.values())
        for folder, split, rest in named:
            if split is not Split.TRAIN and rest in rests:
                held[folder.name] = split, self._holder(folder, split, known)
        others = [folder for folder in layout.classes if folder.name not in held]
        strangers = self._filled(others)
        alone = {split for split, _ in held.values()} == {Split.TRAIN}
        if alone and strangers and (taught < 2 or len(strangers) > 1):
            return  # “train” among other pictures: rather a class of that name
        layout.splits = [
            SplitFolder(split, found.root, found.root.relative_to(layout.root).as_posix())
            for split, found in held.values()
        ]
        layout.strangers = strangers
        layout.without_images = [folder for folder in others if folder not in strangers]
        layout.classes = []

    def _holder(self, folder: Entry, split: Split, known: Collection[str] = ()) -> Layout:
        """The folder in a split's folder that holds its class folders: mostly itself, or one that it wraps.

        Args:
            folder: names the split.
            split: which.
            known: the classes' names in training, as ``_key`` gives them; empty while they are not known.
        """
        place = Path(folder.path)
        for _ in range(_DEEPEST_WRAPPING):
            try:
                folders, files = entries_of(place)
            except OSError:
                return Layout(place)
            filled = self._filled(folders, 2)
            here = Layout(place, classes=folders)
            if len(filled) != 1 or any(map(looks_like_image, files)) or _key(filled[0].name) in known:
                return here
            inner = filled[0]
            named = split_of(inner.name)
            if not (is_neutral(inner.name) or (named and named[0] is split) or self._holds_classes(inner, known)):
                return here
            place = Path(inner.path)
        return Layout(place)

    def _holds_classes(self, folder: Entry, known: Collection[str]) -> bool:
        """Whether a folder holds the known classes or, where none are known, several folders with images alone."""
        try:
            folders, files = entries_of(folder.path)
        except OSError:
            return False
        if known:
            return any(_key(inner.name) in known for inner in folders)
        return len(self._filled(folders, 2)) == 2 and not any(map(looks_like_image, files))

    def _filled(self, folders: Iterable[Entry], most: int | None = None) -> list[Entry]:
        """The first folders that hold images."""
        return list(islice((folder for folder in folders if holds_picture(folder.path, self._cancel)), most))

    def _refuse_without_classes(self, root: Path, layout: Layout) -> None:
        files = entries_of(layout.root)[1]
        names = [folder.name for folder in layout.classes]
        filled = self._filled(layout.classes, 2)
        if not filled:
            if any(map(looks_like_image, files)):
                raise _no_class_folders(
                    root, f"The images lie directly in {_name(layout.root)}; nothing says which class each one is of."
                )
            if not names:
                what = "holds no image" if files else "is empty"
                raise DatasetError(f"The folder {_name(root)} {what}.", hint=HOW_TO_LAY_OUT, path=root)
            return  # of each folder it is told why there is nothing in it
        splits = {name: known[0] for name in names if (known := split_of(name)) and not known[1]}
        if not splits and not all(is_neutral(folder.name) for folder in filled):
            return
        filled = self._filled(layout.classes)
        names = [folder.name for folder in filled]
        of_splits = {splits[name] for name in names if name in splits}
        if all(name in splits for name in names):
            if Split.TRAIN in of_splits and (len(splits) > 1 or find_labels(root)):
                first = next(name for name in names if splits[name] is Split.TRAIN)
                raise _no_class_folders(
                    root,
                    f"There are no class folders in {printable(first)} of {_name(root)}.",
                    hint="Put the images of each class into a sub-folder of its own, inside each of "
                    f"{listed(list(map(printable, splits)))}.",
                )
            if len(names) > 1 and Split.TRAIN not in of_splits and all(_has_folders(folder) for folder in filled):
                what = listed([SPLIT_TEXT[split] for split in Split if split in of_splits])
                raise DatasetError(
                    f"{_name(root)} has folders for {what} ({listed(list(map(printable, names)))}) and none for "
                    "training.",
                    hint="Open the folder that holds the training images too, or one of these alone.",
                    path=root,
                )
        if all(map(is_neutral, names)) and find_labels(root):
            raise _no_class_folders(root, f"No folder of {_name(root)} says which class its images are of.")


def _is_run(folder: Entry) -> bool:
    return all(Path(folder.path, name).is_file() for name in RUN_FILES)


def _has_folders(folder: Entry) -> bool:
    try:
        return bool(entries_of(folder.path)[0])
    except OSError:
        return False


def _key(name: str) -> str:
    return composed(name).casefold()


def _name(folder: Path) -> str:
    return printable(folder.name or str(folder))


def _no_class_folders(root: Path, message: str, hint: str = HOW_TO_LAY_OUT) -> DatasetError:
    labels = find_labels(root)
    if labels is None:
        return DatasetError(message, hint=hint, path=root)
    form, path = labels
    said = (
        f"The classes seem to be written in {path}"
        if form == _TABLE
        else f"It seems to be laid out for finding objects on pictures ({form}: {path})"
    )
    return DatasetError(f"{message} {said}; what is read here are class folders.", hint=hint, path=root)


_TABLE = "table"


def find_labels(root: Path) -> tuple[str, str] | None:
    """A file below a folder that seems to say the classes of the images there: its form, and its path from the root.

    Only the first few folders and names are looked at.
    """
    found: dict[str, str] = {}
    to_visit = deque([(str(root), "")])
    for _ in range(_FOLDERS_SEARCHED):
        if not to_visit:
            break
        folder, path = to_visit.popleft()
        try:
            with os.scandir(folder) as entries:
                for entry in islice(entries, _NAMES_SEARCHED):
                    if is_hidden(entry.name):
                        continue
                    if entry.is_dir(follow_symlinks=False):
                        to_visit.append((entry.path, joined(path, entry.name)))
                    elif form := _form_of(entry.name.lower(), Path(folder).name.lower()):
                        found.setdefault(form, printable(joined(path, entry.name)))
        except OSError:
            continue
    return next(((form, found[form]) for form in ("COCO", "YOLO", "Pascal VOC", _TABLE) if form in found), None)


def _form_of(name: str, folder: str) -> str:
    stem, _, ending = name.rpartition(".")
    if ending == "json" and (folder == "annotations" or stem.endswith(".coco") or stem.startswith("instances_")):
        return "COCO"
    if (ending in {"yaml", "yml"} and is_neutral(stem)) or (ending == "txt" and folder == "labels"):
        return "YOLO"
    if ending == "xml" and folder == "annotations":
        return "Pascal VOC"
    return _TABLE if ending in {"csv", "tsv", "xlsx"} else ""
