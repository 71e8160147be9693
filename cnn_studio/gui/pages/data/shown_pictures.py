"""The pictures a page shows, with captions and marks that follow the user's decisions, made as they are asked for."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Sequence
from enum import StrEnum
from itertools import accumulate
from pathlib import Path
from typing import overload

from cnn_studio.core.data.dataset import Dataset
from cnn_studio.core.data.findings import Finding, FindingKind
from cnn_studio.core.data.image_file import ImageFile, Split
from cnn_studio.core.evaluation.label_review import LabelDoubt
from cnn_studio.core.percent import format_percent
from cnn_studio.core.text import printable
from cnn_studio.gui.state.data import DataState
from cnn_studio.gui.state.decisions import UNDECIDED
from cnn_studio.gui.widgets.thumbnail_grid import PLAIN, TileMark

_GROUPED = frozenset(
    {
        FindingKind.EXACT_DUPLICATE,
        FindingKind.NEAR_DUPLICATE,
        FindingKind.SAME_PICTURE_TWO_CLASSES,
        FindingKind.ALIKE_IN_TWO_CLASSES,
        FindingKind.DUPLICATE_ACROSS_SPLITS,
        FindingKind.ALIKE_ACROSS_SPLITS,
    }
)
_BY_SIZE = frozenset({FindingKind.SMALL_IMAGES, FindingKind.EXTREME_ASPECT})


class Which(StrEnum):
    """Which images are shown, besides those of a split or a finding."""

    ALL = "all"
    DECIDED = "decided"
    DOUBTED = "doubted"


Note = Callable[[int, ImageFile], str]


class ShownPictures(Sequence[tuple[Path, str]]):
    """Some images of a data set as (file, caption) pairs; there may be 100,000.

    Args:
        data: knows them as they were scanned, and what was decided about them.
        dataset: whose images they are.
        rows: which of ``dataset.files``.
        name_files: whether the caption is the file's name; else it is the class.
        note: a second line for a row.
        starts: rows where a group of images that belong together begins, ascending.
    """

    def __init__(
        self,
        data: DataState,
        dataset: Dataset,
        rows: Sequence[int],
        *,
        name_files: bool = False,
        note: Note | None = None,
        starts: Sequence[int] = (),
    ) -> None:
        self._data = data
        self._decisions = data.decisions
        self._dataset = dataset
        self._rows = rows
        self._name_files = name_files
        self._note = note
        self._starts = starts

    def __len__(self) -> int:
        return len(self._rows)

    @overload
    def __getitem__(self, place: int) -> tuple[Path, str]: ...
    @overload
    def __getitem__(self, place: slice) -> list[tuple[Path, str]]: ...
    def __getitem__(self, place: int | slice) -> tuple[Path, str] | list[tuple[Path, str]]:
        if isinstance(place, slice):
            return [self[number] for number in range(*place.indices(len(self)))]
        file = self.file(place)
        return self._dataset.path_of(file), self._caption(file)

    @property
    def has_notes(self) -> bool:
        """Whether captions have a second line."""
        return self._note is not None

    def file(self, row: int) -> ImageFile:
        """The image in a row, as it was scanned."""
        return self._data.as_scanned(self._dataset.files[self._rows[row]])

    def group_number(self, row: int) -> int:
        """Which group a row is in, counting from 0; -1 where there are no groups."""
        return bisect_right(self._starts, row) - 1

    def note(self, row: int) -> str:
        """The second line of a row's caption."""
        return self._note(row, self.file(row)) if self._note else ""

    def mark(self, row: int) -> TileMark:
        """What sets a row's tile apart."""
        decision = self._decisions.on(self.file(row).path)
        banded = bool(self._starts) and self.group_number(row) % 2 == 1
        note = self.note(row)
        if decision is UNDECIDED:
            return TileMark(banded=banded, note=note) if banded or note else PLAIN
        badge = "left_out" if decision.left_out else "moved" if decision.belongs_to else "right"
        return TileMark(badge, decision.left_out, banded, note)

    def _caption(self, file: ImageFile) -> str:
        decision = self._decisions.on(file.path)
        if decision.left_out:
            return "left out"
        if decision.belongs_to:
            return f"→ {decision.belongs_to}"
        return file_name(file) if self._name_files else self._dataset.class_names[file.label]


def file_name(file: ImageFile) -> str:
    """The name of an image's file, to be shown."""
    return printable(file.path).rpartition("/")[2]


# -- which images -----------------------------------------------------------------------------------------------------


def of_class(data: DataState, dataset: Dataset, label: int | None) -> ShownPictures:
    """All images of one class's folder and those put into the class, or of every class with None.

    ``dataset`` is as it was scanned, so that images which were left out or moved are still there to be seen.
    """
    files = dataset.files
    # Files are in label order, so a class is a slice.
    first = bisect_left(files, label, key=_label_of) if label is not None else 0
    end = bisect_right(files, label, key=_label_of) if label is not None else len(files)
    rows: Sequence[int] = range(first, end)
    if label is not None and (moved_in := data.places_of(data.decisions.paths_put_into(dataset.class_names[label]))):
        rows = [*rows, *(place for place in moved_in if not first <= place < end)]
    return ShownPictures(data, dataset, rows, name_files=label is not None)


def of_split(
    data: DataState, dataset: Dataset, splits: Sequence[Split], wanted: Split, label: int | None
) -> ShownPictures:
    """The images of one split, of one class or of all; ``dataset`` is with the decisions applied, as it is split."""
    rows = [
        row
        for row, (file, split) in enumerate(zip(dataset.files, splits, strict=True))
        if split is wanted and label in {None, file.label}
    ]
    return ShownPictures(data, dataset, rows, name_files=label is not None)


def of_finding(data: DataState, dataset: Dataset, finding: Finding, label: int | None) -> ShownPictures:
    """The images a finding concerns, those that belong together side by side.

    With a label, only groups that hold an image of that class, and of other findings only the images of it.
    """
    grouped = finding.kind in _GROUPED
    files = dataset.files
    groups: Sequence[tuple[int, ...]] = finding.groups
    if label is not None and grouped:
        groups = [group for group in groups if any(files[index].label == label for index in group)]
    elif label is not None:
        groups = [tuple(index for index in group if files[index].label == label) for group in groups]
    rows = [index for group in groups for index in group]
    if not grouped:
        note = _pixels if finding.kind in _BY_SIZE else None
        return ShownPictures(data, dataset, rows, note=note)
    starts = [0, *accumulate(map(len, groups))][:-1]

    def note_of_group(row: int, file: ImageFile) -> str:
        return f"picture {bisect_right(starts, row):,} · {_pixels(row, file)}"

    return ShownPictures(data, dataset, rows, note=note_of_group, starts=starts)


def of_decisions(data: DataState, dataset: Dataset) -> ShownPictures:
    """The images about which something is decided, in the order of the folder."""
    rows = data.places_of(data.decisions.paths())
    return ShownPictures(data, dataset, rows, note=lambda _, file: dataset.class_names[file.label])


def of_doubts(data: DataState, dataset: Dataset, doubts: Sequence[LabelDoubt], label: int | None) -> ShownPictures:
    """Likely label errors, the most doubtful first; with a label, those that are or should be of that class."""
    name = None if label is None else dataset.class_names[label]
    wanted = [doubt for doubt in doubts if name in {None, doubt.given, doubt.suggested}]
    placed = [(place, doubt) for doubt in wanted if (place := data.place_of(doubt.path)) is not None]

    def note(row: int, file: ImageFile) -> str:  # noqa: ARG001 -- the shape of Note
        return doubt_text(placed[row][1])

    return ShownPictures(data, dataset, [place for place, _ in placed], note=note)


def doubt_text(doubt: LabelDoubt) -> str:
    """What a network thinks of an image, short enough for a tile: ``tulips? 97 %``."""
    return f"{doubt.suggested}? {format_percent(doubt.suggested_probability)}"


def _label_of(file: ImageFile) -> int:
    return file.label


def _pixels(row: int, file: ImageFile) -> str:  # noqa: ARG001 -- the shape of Note
    return f"{file.width} × {file.height}" if file.height else ""
