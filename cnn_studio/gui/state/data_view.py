"""What follows from a scanned folder, the user's decisions and the settings of the split: worked out at one go."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from cnn_studio.core.data.dataset import Dataset
from cnn_studio.core.data.decisions import apply_decisions
from cnn_studio.core.data.findings import Finding, examine
from cnn_studio.core.data.image_file import ImageFile, Split
from cnn_studio.core.data.split import SplitAssignment, count_ahead, split_dataset, why_not_trainable
from cnn_studio.core.errors import DatasetError
from cnn_studio.core.experiment.experiment import Experiment
from cnn_studio.core.experiment.settings import Decisions, ImageSettings, SplitSettings
from cnn_studio.core.text import printable

_MIDDLING = math.log(4 / 3)
"""Logarithm of the proportions that cameras have."""


@dataclass(frozen=True, slots=True)
class DataView:
    """Everything the pages show of a data set.

    Attributes:
        scanned: the data set as the folder holds it.
        places: where in ``scanned.files`` the image of a printable path is.
        decisions, split, image: the settings that the rest follows from.
        used: the data set with the decisions applied: what will be trained on.
        notes: sentences about decisions that could not be followed.
        findings: what is odd about ``used``.
        splits: which split each image of ``used`` is in.
        totals: images in each split.
        why_not_trainable: why no classifier can be trained on ``used`` with this split; None when one can.
        samples: a wide, a tall and a middling picture of ``used``, to show how pictures are made to fit.
    """

    scanned: Dataset
    places: Mapping[str, int]
    decisions: Decisions
    split: SplitSettings
    image: ImageSettings
    used: Dataset
    notes: tuple[str, ...]
    findings: tuple[Finding, ...]
    splits: SplitAssignment
    totals: Mapping[Split, int]
    why_not_trainable: DatasetError | None
    samples: tuple[ImageFile, ...]

    def as_scanned(self, file: ImageFile) -> ImageFile:
        """The same image with the label of the folder it lies in."""
        place = self.places.get(printable(file.path))
        return file if place is None else self.scanned.files[place]

    def split_of(self, path: str, label: int) -> Split | None:
        """The split of the image of that path and (decided) label; None for one that is not used."""
        place = place_of(self.used, path, label)
        return None if place is None else self.splits.splits[place]


def place_of(dataset: Dataset, path: str, label: int) -> int | None:
    """Where in ``dataset.files`` an image is; None when it is not there."""
    files = dataset.files
    place = bisect_left(files, (label, path), key=lambda file: (file.label, file.path))
    return place if place < len(files) and (files[place].label, files[place].path) == (label, path) else None


def work_out(scanned: Dataset, experiment: Experiment, before: DataView | None) -> DataView:
    """The view of a data set; what has not changed since ``before`` is taken from there.

    It takes half a second with 100,000 images, so it is not for the GUI thread.
    """
    decisions, split, image = experiment.decisions, experiment.split, experiment.image
    if before is not None and before.scanned is scanned:
        places = before.places
    else:
        places = {printable(file.path): place for place, file in enumerate(scanned.files)}
    if before is not None and before.scanned is scanned and before.decisions == decisions:
        used, notes, samples = before.used, before.notes, before.samples
    else:
        used, notes = apply_decisions(scanned, decisions)
        count_ahead(used)
        samples = _samples(used.files)
        before = None
    same_size = before is not None and (before.image.height, before.image.width) == (image.height, image.width)
    findings = before.findings if before is not None and same_size else examine(used, image)
    splits = before.splits if before is not None and before.split == split else split_dataset(used, split)
    return DataView(
        scanned=scanned,
        places=places,
        decisions=decisions,
        split=split,
        image=image,
        used=used,
        notes=notes,
        findings=findings,
        splits=splits,
        totals=splits.totals,
        why_not_trainable=why_not_trainable(used, split),
        samples=samples,
    )


def copies_in(dataset: Dataset, groups: Iterable[Sequence[int]]) -> list[str]:
    """Paths of all but one image of each group.

    Where the folder comes divided the copy for testing stays, then that for validation: only so many to train on are
    lost. Otherwise the one with the most pixels, then the largest file. Of an image that is in two groups, the other
    members of the second may be unlike those of the first: what has gone with the first is no copy in the second.
    """
    order = (None, Split.TRAIN, Split.VALIDATION, Split.TEST)

    def worth(index: int) -> tuple[int, int, int, int]:
        file = dataset.files[index]
        return order.index(file.given_split), file.height * file.width, file.bytes, -index

    gone: dict[int, None] = {}
    for group in groups:
        left = [index for index in group if index not in gone]
        gone |= dict.fromkeys(sorted(left, key=worth)[:-1])
    return [dataset.files[index].path for index in gone]


def _samples(files: Sequence[ImageFile]) -> tuple[ImageFile, ...]:
    """The widest, the tallest and the one in the middle, in this order; fewer where there are fewer images."""
    shaped = [file for file in files if file.height]
    if not shaped:
        return ()
    widest, tallest = max(shaped, key=_aspect), min(shaped, key=_aspect)
    middling = min(shaped, key=lambda file: abs(math.log(_aspect(file)) - _MIDDLING))
    return tuple(dict.fromkeys((widest, tallest, middling)))


def _aspect(file: ImageFile) -> float:
    return file.width / file.height
