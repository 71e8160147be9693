"""Walking a data set's folder: which sub-folders are classes or splits, and which files are in them."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from cnn_studio.core.data.image_file import Split
from cnn_studio.core.errors import DatasetError
from cnn_studio.core.image.decoder import IMAGE_SUFFIXES, holds_image_data
from cnn_studio.core.image.issues import Issue, IssueKind
from cnn_studio.core.job.events import Message, Stage
from cnn_studio.core.job.jobs import JobContext
from cnn_studio.core.job.threads import ProgressMeter
from cnn_studio.core.text import printable

_SPLIT_FOLDERS = {
    "train": Split.TRAIN,
    "training": Split.TRAIN,
    "val": Split.VALIDATION,
    "valid": Split.VALIDATION,
    "validation": Split.VALIDATION,
    "test": Split.TEST,
    "testing": Split.TEST,
}
# What systems and programs leave in folders of pictures, beside everything that begins with a dot.
_SYSTEM_NAMES = frozenset(
    ("thumbs.db", "ehthumbs.db", "desktop.ini", "__macosx", "$recycle.bin", "system volume information", "@eadir")
)
_HOW_TO_LAY_OUT = "Put the images of each class into a sub-folder of its own and open the folder that holds them all."


@dataclass(frozen=True, slots=True)
class FoundFile:
    """A file in a class folder, not looked into yet.

    Attributes:
        path: relative to the root, with forward slashes.
        class_folder: name of its class's folder.
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
        class_folders: name of each class folder (of train/, where there is one) to its path relative to the root.
        issues: what was left out so far.
    """

    root: Path
    files: list[FoundFile] = field(default_factory=list)
    class_folders: dict[str, str] = field(default_factory=dict)
    issues: list[Issue] = field(default_factory=list)

    def leave_out(self, path: str, kind: IssueKind, detail: str) -> None:
        """Note a file or folder that is not used; ``path`` is relative to the root."""
        self.issues.append(Issue(path, kind, detail))


def natural_key(name: str) -> tuple[list[str | int], str]:
    """Sorts names as people do: "2" before "10", upper and lower case together."""
    parts = re.split(r"(\d+)", name.casefold())
    return [int(part) if index % 2 else part for index, part in enumerate(parts)], name


def list_folder(root: Path, context: JobContext) -> Listing:
    """Find the class folders below ``root`` and every file in them; nothing is decoded.

    Raises:
        DatasetError: the folder cannot be listed, or is not laid out as class folders.
        JobCancelled: the user discarded the job.
    """
    root = Path(os.path.abspath(root))  # noqa: PTH100 -- resolve() would replace the user's own links
    listing = Listing(root)
    folders, files = _entries_of_root(root)
    while inner := _wrapped_folder(folders, files):
        context.report(Message(f"{root.name} holds nothing but the folder {inner.name}, so that one is used."))
        root = listing.root = root / inner.name
        folders, files = _entries_of_root(root)
    if not folders:
        raise _no_class_folders(root, files)
    walk = _Walk(listing, context)
    walk.note_loose_images(files, "")
    if splits := _split_folders(root, folders):
        for folder, split in splits:
            walk.add_split(folder, split)
        walk.leave_out_untaught_classes()
    else:
        for folder in folders:
            walk.add_class(folder, folder.name, folder.name, None)
    return listing


def _entries_of_root(root: Path) -> tuple[list[os.DirEntry[str]], list[os.DirEntry[str]]]:
    """Visible sub-folders and files of the picked folder."""
    try:
        return _entries(root)
    except FileNotFoundError:
        raise DatasetError(f"There is no folder {root}.", hint="Was it moved or renamed?", path=root) from None
    except NotADirectoryError:
        raise DatasetError(f"{root} is a file, not a folder.", hint=_HOW_TO_LAY_OUT, path=root) from None
    except PermissionError:
        raise DatasetError(
            f"You may not read the folder {root}.", hint="Ask its owner, or copy it to a place of yours.", path=root
        ) from None
    except OSError as error:
        raise DatasetError(f"The folder {root} could not be read: {error.strerror or error}.", path=root) from error


def _entries(folder: Path | str) -> tuple[list[os.DirEntry[str]], list[os.DirEntry[str]]]:
    """Visible sub-folders and everything else, each sorted as people sort."""
    folders: list[os.DirEntry[str]] = []
    others: list[os.DirEntry[str]] = []
    with os.scandir(folder) as entries:
        for entry in entries:
            if not entry.name.startswith(".") and entry.name.lower() not in _SYSTEM_NAMES:
                (folders if _is_folder(entry) else others).append(entry)
    return sorted(folders, key=_entry_key), sorted(others, key=_entry_key)


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link that leads to itself, or into a folder that may not be read
        return False


def _entry_key(entry: os.DirEntry[str]) -> tuple[list[str | int], str]:
    return natural_key(entry.name)


def _wrapped_folder(folders: Sequence[os.DirEntry[str]], files: Sequence[os.DirEntry[str]]) -> os.DirEntry[str] | None:
    """The only sub-folder, where it is the real data set: what unpacking an archive often leaves."""
    if len(folders) != 1 or any(_looks_like_image(file) for file in files):
        return None
    try:
        inner_folders, inner_files = _entries(folders[0].path)
    except OSError:
        return None
    if len(inner_folders) < 2 or any(_looks_like_image(file) for file in inner_files):
        return None
    # train/ alone, with its classes inside, is a split and not a wrapping.
    return None if _SPLIT_FOLDERS.get(folders[0].name.lower()) is Split.TRAIN else folders[0]


def _looks_like_image(entry: os.DirEntry[str]) -> bool:
    path = Path(entry.path)
    return path.suffix.lower() in IMAGE_SUFFIXES or (_is_file(entry) and holds_image_data(path))


def _is_file(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_file()
    except OSError:
        return False


def _no_class_folders(root: Path, files: Sequence[os.DirEntry[str]]) -> DatasetError:
    if any(_looks_like_image(file) for file in files):
        return DatasetError(
            f"The images lie directly in {root.name or root}; nothing says which class each one is of.",
            hint=_HOW_TO_LAY_OUT,
            path=root,
        )
    what = "holds no image" if files else "is empty"
    return DatasetError(f"The folder {root.name or root} {what}.", hint=_HOW_TO_LAY_OUT, path=root)


def _split_folders(root: Path, folders: Sequence[os.DirEntry[str]]) -> list[tuple[os.DirEntry[str], Split]]:
    """The folders with the splits they name, or nothing when they are class folders.

    Raises:
        DatasetError: they are splits, and there are no class folders in them.
    """
    splits = [(folder, _SPLIT_FOLDERS.get(folder.name.lower())) for folder in folders]
    named = [(folder, split) for folder, split in splits if split is not None]
    training = [folder for folder, split in named if split is Split.TRAIN]
    if len(named) < len(folders) or not training:
        return []
    if any(_holds_folders(folder) for folder in training):
        return named
    if len(named) == 1:
        return []
    raise DatasetError(
        f"There are no class folders in {training[0].name} of {root.name or root}.",
        hint="Put the images of each class into a sub-folder of its own, inside each of "
        f"{', '.join(folder.name for folder, _ in named)}.",
        path=root,
    )


def _holds_folders(folder: os.DirEntry[str]) -> bool:
    try:
        return bool(_entries(folder.path)[0])
    except OSError:
        return False


class _Walk:
    """Fills a listing, class folder by class folder."""

    def __init__(self, listing: Listing, context: JobContext) -> None:
        self._listing = listing
        self._cancel = context.cancel
        self._meter = ProgressMeter(Stage.SCAN, 0, context.report)
        # With the root's own parents: a link to one of those would lead through half the disk and back.
        root = listing.root
        self._parents = frozenset(filter(None, (_identity(folder) for folder in (root, *root.parents))))

    def note_loose_images(self, files: Sequence[os.DirEntry[str]], prefix: str) -> None:
        """Name the images and dead links beside the class folders; a README beside them is nobody's concern."""
        for file in files:
            self._cancel.raise_if_cancelled()
            if file.is_symlink() and not Path(file.path).exists():
                self._listing.leave_out(prefix + file.name, IssueKind.MISSING, "The link leads to nothing.")
            elif _looks_like_image(file):
                self._listing.leave_out(
                    prefix + file.name,
                    IssueKind.OUTSIDE_CLASSES,
                    "The image lies beside the class folders and not in one.",
                )

    def add_split(self, folder: os.DirEntry[str], split: Split) -> None:
        """Add every class folder of a split's folder."""
        entries = self._listed(folder.path, folder.name)
        if entries is None:
            return
        classes, loose = entries
        self.note_loose_images(loose, f"{folder.name}/")
        for entry in classes:
            self.add_class(entry, f"{folder.name}/{entry.name}", entry.name, split)

    def add_class(self, folder: os.DirEntry[str], path: str, class_folder: str, split: Split | None) -> None:
        """Add every file below a class folder."""
        if split in {None, Split.TRAIN}:
            self._listing.class_folders.setdefault(class_folder, path)
        for file_path, entry in self._files_below(folder.path, path):
            self._cancel.raise_if_cancelled()
            self._add_file(entry, file_path, class_folder, split)

    def leave_out_untaught_classes(self) -> None:
        """Leave out files of classes that have no folder in train/."""
        kept = []
        for file in self._listing.files:
            if file.class_folder in self._listing.class_folders:
                kept.append(file)
            elif holds_image_data(self._listing.root / file.path):
                detail = f"There is no class folder {printable(file.class_folder)} among the training images."
                self._listing.leave_out(file.path, IssueKind.UNKNOWN_CLASS, detail)
        self._listing.files = kept

    def _add_file(self, entry: os.DirEntry[str], path: str, class_folder: str, split: Split | None) -> None:
        try:
            if not entry.is_file() and not entry.is_symlink():
                self._listing.leave_out(path, IssueKind.NOT_AN_IMAGE, "This is no ordinary file.")
                return
            status = entry.stat()
        except OSError as error:
            self._listing.leave_out(path, *_why_unusable(error))
            return
        self._listing.files.append(FoundFile(path, class_folder, split, status.st_size, status.st_mtime_ns))
        self._meter.add()

    def _files_below(self, folder: str, path: str) -> Iterator[tuple[str, os.DirEntry[str]]]:
        """(path relative to the root, entry) of every file in a folder and the folders in it, links followed."""
        # A list of folders to visit and no recursion: folders can be nested deeper than Python's stack.
        to_visit = [(folder, path, self._parents)]
        while to_visit:
            self._cancel.raise_if_cancelled()
            folder, path, parents = to_visit.pop()
            identity = _identity(folder)
            if identity in parents:
                self._listing.leave_out(
                    path, IssueKind.LINK_LOOP, "The link leads back to a folder that it lies in, so it is not followed."
                )
                continue
            entries = self._listed(folder, path)
            if entries is None:
                continue
            inner, files = entries
            for entry in files:
                yield f"{path}/{entry.name}", entry
            inside = parents | {identity} if identity else parents
            to_visit += [(entry.path, f"{path}/{entry.name}", inside) for entry in reversed(inner)]

    def _listed(self, folder: str, path: str) -> tuple[list[os.DirEntry[str]], list[os.DirEntry[str]]] | None:
        try:
            return _entries(folder)
        except OSError as error:
            self._listing.leave_out(path, *_why_unusable(error, "folder"))
            return None


def _identity(folder: Path | str) -> tuple[int, int] | None:
    """What tells one folder from every other, whatever link leads to it."""
    try:
        status = Path(folder).stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _why_unusable(error: OSError, what: str = "file") -> tuple[IssueKind, str]:
    if isinstance(error, PermissionError):
        return IssueKind.NO_PERMISSION, f"You may not read this {what}."
    if isinstance(error, FileNotFoundError):
        return IssueKind.MISSING, f"The {what} is no longer there, or a link leads to nothing."
    if error.errno == errno.ELOOP:
        return IssueKind.LINK_LOOP, "The link leads to itself."
    return IssueKind.UNREADABLE, f"The {what} could not be read: {error.strerror or error}."
