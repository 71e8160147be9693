"""Every file of a data set's folder: its class, its split, and what is passed over."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from cnn_studio.core.data.image_file import Split
from cnn_studio.core.data.layout import HOW_TO_LAY_OUT, Layout, LayoutFinder
from cnn_studio.core.data.walk import RUN_FOLDER_TEXT, Entry, FolderWalk, looks_like_image, why_unusable
from cnn_studio.core.errors import DatasetError
from cnn_studio.core.image.decoder import holds_image_data
from cnn_studio.core.image.issues import Issue, IssueKind
from cnn_studio.core.job.events import Message, Stage
from cnn_studio.core.job.jobs import JobContext
from cnn_studio.core.job.threads import ProgressMeter
from cnn_studio.core.text import composed, name_matcher, printable


@dataclass(frozen=True, slots=True)
class FoundFile:
    """A file in a class folder, not looked into yet.

    Attributes:
        path: relative to the root, with forward slashes.
        class_folder: name of its class's folder, composed (NFC).
        split: the split whose folder it is in, if there are such folders.
        size: in bytes.
        modified_ns: time of last change, nanoseconds since 1970.
    """

    path: str
    class_folder: str
    split: Split | None
    size: int
    modified_ns: int


@dataclass(slots=True)
class Listing:
    """All that lies in a folder.

    Attributes:
        root: the folder, absolute; the inner one where the picked folder only wraps it.
        files: every file in a class folder.
        class_folders: name of each class (of the training images, where there are splits), whatever the form of its
            letters on disk, to its folder's path relative to the root.
        issues: what was left out so far.
        passed_over: how often each name of a hidden file or folder, or one of the system, was met.
    """

    root: Path
    files: list[FoundFile] = field(default_factory=list)
    class_folders: dict[str, str] = field(default_factory=dict)
    issues: list[Issue] = field(default_factory=list)
    passed_over: Counter[str] = field(default_factory=Counter)

    def leave_out(self, path: str, kind: IssueKind, detail: str) -> None:
        """Note a file or folder that is not used; ``path`` is relative to the root."""
        self.issues.append(Issue(path, kind, detail))


def list_folder(root: Path, context: JobContext) -> Listing:
    """Find the class folders below ``root`` and every file in them; nothing is decoded.

    Raises:
        DatasetError: the folder cannot be listed, or is not laid out as class folders.
        JobCancelled: the user discarded the job.
    """
    root = Path(os.path.abspath(root))  # noqa: PTH100 -- resolve() would replace the user's own links
    layout = _layout_of(root, context)
    if layout.root != root:
        inner = printable(layout.root.relative_to(root).as_posix())
        name = printable(root.name)
        context.report(Message(f"{name} holds no images but those in its folder {inner}, so that one is used."))
    return _Lister(layout, context).listing()


def _layout_of(root: Path, context: JobContext) -> Layout:
    try:
        return LayoutFinder(context.cancel).find(root)
    except FileNotFoundError:
        raise DatasetError(f"There is no folder {root}.", hint="Was it moved or renamed?", path=root) from None
    except NotADirectoryError:
        raise DatasetError(f"{root} is a file, not a folder.", hint=HOW_TO_LAY_OUT, path=root) from None
    except PermissionError:
        raise DatasetError(
            f"You may not read the folder {root}.", hint="Ask its owner, or copy it to a place of yours.", path=root
        ) from None
    except OSError as error:
        raise DatasetError(f"The folder {root} could not be read: {error.strerror or error}.", path=root) from error


class _Lister:
    """Fills a listing, class folder by class folder."""

    def __init__(self, layout: Layout, context: JobContext) -> None:
        self._layout = layout
        self._walk = FolderWalk(layout.root, context.cancel)
        self._listing = Listing(layout.root, issues=self._walk.issues, passed_over=self._walk.passed_over)
        self._cancel = context.cancel
        self._meter = ProgressMeter(Stage.SCAN, 0, context.report)

    def listing(self) -> Listing:
        """All files, and what is to be said of the rest."""
        layout, listing = self._layout, self._listing
        _, loose = self._walk.entries(layout.root, ".")
        self._note_loose_images(loose, "")
        for run in layout.runs:
            listing.leave_out(run.name, IssueKind.RUN_FOLDER, RUN_FOLDER_TEXT)
        for folder in layout.without_images:
            text = "There is no image in this folder beside those for training and testing."
            listing.leave_out(folder.name, IssueKind.WITHOUT_IMAGES, text)
        for folder in layout.strangers:
            images = self._images_in(folder)
            what = "1 image, which is" if images == 1 else f"{images:,} images, which are"
            text = f"This folder beside those for training and testing holds {what} used for nothing."
            listing.leave_out(folder.name, IssueKind.BESIDE_SPLITS, text)
        for split in layout.splits:
            classes, loose = self._walk.entries(split.folder, split.path)
            self._note_loose_images(loose, f"{split.path}/")
            for folder in classes:
                self._add_class(folder, f"{split.path}/{folder.name}", split.split)
        if layout.splits:
            self._match_classes()
        for folder in layout.classes:
            self._add_class(folder, folder.name, None)
        return listing

    def _images_in(self, folder: Entry) -> int:
        walk = FolderWalk(self._layout.root, self._cancel)
        return sum(looks_like_image(entry) for _, entry in walk.files_below(folder.path, folder.name))

    def _note_loose_images(self, files: Sequence[Entry], prefix: str) -> None:
        """Name the images and dead links beside the class folders; a README beside them is nobody's concern."""
        for file in files:
            self._cancel.raise_if_cancelled()
            if file.is_symlink() and not Path(file.path).exists():
                self._listing.leave_out(prefix + file.name, IssueKind.MISSING, "The link leads to nothing.")
            elif looks_like_image(file):
                self._listing.leave_out(
                    prefix + file.name,
                    IssueKind.OUTSIDE_CLASSES,
                    "The image lies beside the class folders and not in one.",
                )

    def _add_class(self, folder: Entry, path: str, split: Split | None) -> None:
        """Add every file below a class folder."""
        name = composed(folder.name)
        if split in {None, Split.TRAIN}:
            self._listing.class_folders.setdefault(name, path)
        for file_path, entry in self._walk.files_below(folder.path, path):
            self._cancel.raise_if_cancelled()
            self._add_file(entry, file_path, name, split)

    def _match_classes(self) -> None:
        """Give files the class names of training; leave out those whose class has no folder there."""
        listing = self._listing
        match = name_matcher(listing.class_folders)
        kept = []
        for file in listing.files:
            name = file.class_folder if file.class_folder in listing.class_folders else match(file.class_folder)
            if name is not None:
                kept.append(file if name == file.class_folder else replace(file, class_folder=name))
            elif holds_image_data(listing.root / file.path):
                detail = f"There is no class folder {printable(file.class_folder)} among the training images."
                listing.leave_out(file.path, IssueKind.UNKNOWN_CLASS, detail)
        listing.files = kept

    def _add_file(self, entry: Entry, path: str, class_folder: str, split: Split | None) -> None:
        try:
            if not entry.is_file() and not entry.is_symlink():
                self._listing.leave_out(path, IssueKind.NOT_AN_IMAGE, "This is no ordinary file.")
                return
            status = entry.stat()
        except OSError as error:
            self._listing.leave_out(path, *why_unusable(error))
            return
        self._listing.files.append(FoundFile(path, class_folder, split, status.st_size, status.st_mtime_ns))
        self._meter.add()
