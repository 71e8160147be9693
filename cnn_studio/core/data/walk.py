"""The one way through folders of pictures, for whoever lists files: what is passed over, and where links end."""

from __future__ import annotations

import errno
import os
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from cnn_studio.core.image.decoder import IMAGE_SUFFIXES, holds_image_data
from cnn_studio.core.image.issues import Issue, IssueKind
from cnn_studio.core.job.jobs import CancelToken
from cnn_studio.core.text import listed, printable

Entry = os.DirEntry[str]

# What systems and programs leave in folders of pictures, beside everything that begins with a dot.
_SYSTEM_NAMES = frozenset(
    (
        *("thumbs.db", "ehthumbs.db", "ehthumbs_vista.db", "desktop.ini", "__macosx", "__pycache__"),
        *("$recycle.bin", "recycler", "system volume information", "lost+found"),
        *("@eadir", "#recycle", "#snapshot", "@recycle", "@recently-snapshot"),
    )
)
RUN_FILES = frozenset(("run.json", "experiment.toml"))
"""What every run of this program has in its folder."""

_SIDE_NOTES = "._"  # macOS keeps one beside each file on a foreign disk


def natural_key(name: str) -> tuple[list[str | int], str]:
    """Sorts names as people do: "2" before "10", upper and lower case together."""
    parts = re.split(r"(\d+)", name.casefold())
    return [int(part) if index % 2 else part for index, part in enumerate(parts)], name


def entries_of(folder: Path | str, passed_over: Counter[str] | None = None) -> tuple[list[Entry], list[Entry]]:
    """Visible sub-folders and everything else in a folder, each sorted as people sort.

    Args:
        folder: where to look.
        passed_over: counts the names that are hidden, or of the system.

    Raises:
        OSError: it cannot be listed.
    """
    folders: list[Entry] = []
    others: list[Entry] = []
    with os.scandir(folder) as entries:
        for entry in entries:
            if not is_hidden(entry.name):
                (folders if _is_folder(entry) else others).append(entry)
            elif passed_over is not None:
                passed_over[f"{_SIDE_NOTES}*" if entry.name.startswith(_SIDE_NOTES) else entry.name] += 1
    return sorted(folders, key=_entry_key), sorted(others, key=_entry_key)


def is_hidden(name: str) -> bool:
    """Whether a file or folder of that name is passed over wherever it lies."""
    return name.startswith(".") or name.lower() in _SYSTEM_NAMES


def is_run_folder(files: Sequence[Entry]) -> bool:
    """Whether the files of a folder are those of a training run of this program; what lies there is no data."""
    return {entry.name for entry in files} >= RUN_FILES


def looks_like_image(entry: Entry) -> bool:
    """Whether a file is an image by its name's ending or, failing that, by its first bytes."""
    path = Path(entry.path)
    return path.suffix.lower() in IMAGE_SUFFIXES or (_is_file(entry) and holds_image_data(path))


def holds_picture(folder: Path | str, cancel: CancelToken) -> bool:
    """Whether there is an image, broken or not, anywhere in a folder, outside of runs of this program."""
    to_visit = [str(folder)]
    seen = set()
    while to_visit:
        cancel.raise_if_cancelled()
        place = to_visit.pop()
        identity = _identity(place)
        if identity in seen or all(Path(place, name).exists() for name in RUN_FILES):
            continue
        seen.add(identity)
        unsure: list[Entry] = []
        try:
            with os.scandir(place) as entries:
                for entry in entries:
                    if is_hidden(entry.name):
                        continue
                    if _is_folder(entry):
                        to_visit.append(entry.path)
                    elif Path(entry.name).suffix.lower() in IMAGE_SUFFIXES:
                        return True
                    else:
                        unsure.append(entry)
        except OSError:
            continue
        if any(looks_like_image(entry) for entry in unsure):
            return True
    return False


def passed_over_text(passed_over: Mapping[str, int]) -> str:
    """What was passed over, in a sentence; "" for nothing."""
    if not passed_over:
        return ""
    names = [
        f"{printable(name)} ({count:,})" if count > 1 else printable(name)
        for name, count in sorted(passed_over.items(), key=lambda pair: (-pair[1], pair[0]))
    ]
    return f"Passed over, since hidden or of the system: {listed(names)}."


class FolderWalk:
    """Goes through a folder and counts what it passes over.

    Attributes:
        passed_over: how often each name of a hidden file or folder, or one of the system, was met.
        issues: folders that could not be read, links not followed, runs of this program.
    """

    def __init__(self, root: Path, cancel: CancelToken) -> None:
        self.passed_over: Counter[str] = Counter()
        self.issues: list[Issue] = []
        self._cancel = cancel
        # With the root's own parents: a link to one of those would lead through half the disk and back.
        self._parents = frozenset(filter(None, (_identity(folder) for folder in (root, *root.parents))))

    def entries(self, folder: Path | str, path: str) -> tuple[list[Entry], list[Entry]]:
        """Visible sub-folders and everything else; a folder that cannot be read is noted and counts as empty."""
        try:
            return entries_of(folder, self.passed_over)
        except OSError as error:
            self.issues.append(Issue(path, *why_unusable(error, "folder")))
            return [], []

    def files_below(self, folder: Path | str, path: str, *, inside: bool = True) -> Iterator[tuple[str, Entry]]:
        """(path relative to the root, entry) of every file in a folder and the folders in it.

        Links are followed once, after the folders that really lie there, and not back into a folder they lie in.

        Args:
            folder: where to begin.
            path: of that folder, relative to the root; "" for the root.
            inside: whether the folder lies in the root, and is not the root itself.
        """
        # Lists of folders to visit and no recursion: folders can be nested deeper than Python's stack.
        to_visit = [(str(folder), path, self._parents if inside else self._parents - {_identity(folder)}, False)]
        links: list[tuple[str, str, frozenset[tuple[int, int]], bool]] = []
        read: set[tuple[int, int]] = set()
        while to_visit or links:
            self._cancel.raise_if_cancelled()
            folder, path, parents, is_link = to_visit.pop() if to_visit else links.pop(0)
            identity = _identity(folder)
            if identity in parents or (is_link and identity in read):
                self.issues.append(Issue(path, IssueKind.LINK_LOOP, _LINK_NOT_FOLLOWED))
                continue
            folders, files = self.entries(folder, path)
            if path and is_run_folder(files):
                self.issues.append(Issue(path, IssueKind.RUN_FOLDER, RUN_FOLDER_TEXT))
                continue
            for entry in files:
                yield joined(path, entry.name), entry
            within = parents
            if identity:
                within = parents | {identity}
                read.add(identity)
            inner = [(entry.path, joined(path, entry.name), within, entry.is_symlink()) for entry in folders]
            to_visit += [one for one in reversed(inner) if not one[3]]
            links += [one for one in inner if one[3]]


RUN_FOLDER_TEXT = "This is the folder of a training run of this program: no data."
_LINK_NOT_FOLLOWED = "The link leads back to a folder that it lies in, or to one that is read already; not followed."


def why_unusable(error: OSError, what: str = "file") -> tuple[IssueKind, str]:
    """The kind and the sentence for what the system refused."""
    if isinstance(error, PermissionError):
        return IssueKind.NO_PERMISSION, f"You may not read this {what}."
    if isinstance(error, FileNotFoundError):
        return IssueKind.MISSING, f"The {what} is no longer there, or a link leads to nothing."
    if error.errno == errno.ELOOP:
        return IssueKind.LINK_LOOP, "The link leads to itself."
    return IssueKind.UNREADABLE, f"The {what} could not be read: {error.strerror or error}."


def joined(path: str, name: str) -> str:
    """A path relative to some root, with forward slashes, and "" for the root itself."""
    return f"{path}/{name}" if path else name


def _entry_key(entry: Entry) -> tuple[list[str | int], str]:
    return natural_key(entry.name)


def _is_folder(entry: Entry) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link that leads to itself, or into a folder that may not be read
        return False


def _is_file(entry: Entry) -> bool:
    try:
        return entry.is_file()
    except OSError:
        return False


def _identity(folder: Path | str) -> tuple[int, int] | None:
    """What tells one folder from every other, whatever link leads to it."""
    try:
        status = Path(folder).stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino
