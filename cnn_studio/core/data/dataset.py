"""A data set: class names, image files, what was left out, and how the images are shared out for training."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import cached_property
from pathlib import Path

from cnn_studio.core.data.groups import Unit, units_in_order
from cnn_studio.core.errors import DatasetError
from cnn_studio.core.experiment.architectures import architecture_preset
from cnn_studio.core.experiment.experiment import Colour, Experiment, ImageSettings, SplitSettings
from cnn_studio.core.image.issues import Issue


class Split(StrEnum):
    """What an image is used for."""

    TRAIN = "train"
    VALIDATION = "validation"
    TEST = "test"


@dataclass(frozen=True, slots=True)
class ImageFile:
    """One usable image.

    Attributes:
        path: relative to the data set's root, with forward slashes.
        label: index into the data set's class names.
        height, width: of the upright picture, in pixels.
        grey: whether the file holds no colour.
        bytes: file size.
        modified_ns: time of last change, nanoseconds since 1970; with path and size it tells whether a file changed.
        given_split: the split its folder names, where the data set comes divided.
        identical: number of the group of files with the very same bytes; 0 when there is no other.
        similar: number of the group of pictures that look alike, the identical ones among them; 0 when there is none.
        blank: whether nearly all of the picture has one brightness.
    """

    path: str
    label: int
    height: int
    width: int
    grey: bool
    bytes: int
    modified_ns: int
    given_split: Split | None = None
    identical: int = 0
    similar: int = 0
    blank: bool = False


@dataclass(frozen=True)  # no slots: it keeps its counts once they are made
class Dataset:
    """A scanned folder.

    Attributes:
        root: the folder, absolute.
        class_names: in label order: sorted as people sort (2 before 10), fixed from here on and kept with the model.
        files: every usable image, ordered by label, then path.
        issues: every file and folder left out.
        given_splits: the splits that the folder itself names (train/, val/, test/), empty for a plain folder.
    """

    root: Path
    class_names: tuple[str, ...]
    files: tuple[ImageFile, ...]
    issues: tuple[Issue, ...] = ()
    given_splits: frozenset[Split] = frozenset()

    @property
    def name(self) -> str:
        """What to call it: the folder's name."""
        return self.root.name or str(self.root)

    def counts(self) -> dict[str, int]:
        """Images per class, in label order; a class without any counts 0."""
        return {
            name: sum(self.given_counts[split, label] for split in Split) for label, name in enumerate(self.class_names)
        }

    @cached_property
    def given_counts(self) -> Counter[tuple[Split, int]]:
        """Images per split that their folder names (training where it names none) and label.

        Counted once: the window asks at every move of a slider, and there may be 100,000 files.
        """
        return Counter((file.given_split or Split.TRAIN, file.label) for file in self.files)

    @cached_property
    def known_units(self) -> dict[tuple[int, bool, str], tuple[Unit, ...]]:
        """What ``training_units`` worked out last; ordering 100,000 files takes a third of a second."""
        return {}

    @cached_property
    def median_side(self) -> int:
        """The median of the images' shorter sides in pixels; 0 without images."""
        sides = sorted(min(file.height, file.width) for file in self.files)
        return sides[len(sides) // 2] if sides else 0

    @cached_property
    def is_grey(self) -> bool:
        """Whether there are images and none holds colour."""
        return bool(self.files) and all(file.grey for file in self.files)

    def count(self) -> None:
        """Work out now what is asked often, so that the window need not: on 100,000 files it takes half a second."""
        _ = self.given_counts, self.median_side, self.is_grey
        training_units(self, SplitSettings())

    def path_of(self, file: ImageFile) -> Path:
        """Where the file is."""
        return self.root / file.path


@dataclass(frozen=True, slots=True)
class SplitAssignment:
    """Which split each image of a data set is in.

    Attributes:
        splits: aligned with ``Dataset.files``.
    """

    splits: tuple[Split, ...]

    @property
    def totals(self) -> dict[Split, int]:
        """Images in each split."""
        found = Counter(self.splits)
        return {split: found[split] for split in Split}

    def indices(self, split: Split) -> list[int]:
        """Positions in ``Dataset.files`` of the images in ``split``, ascending."""
        return [index for index, given in enumerate(self.splits) if given is split]


def split_dataset(dataset: Dataset, settings: SplitSettings) -> SplitAssignment:
    """Share the images out: stratified per class, decided by the seed and each file's own path.

    Images are ranked by a hash of seed and path; within a class the first are for testing, the next for validation.
    So the same seed gives the same split on every machine, whatever the order of the listing, and adding files moves
    only images at the borders (shuffling a list, as scikit-learn does, would move nearly all of them). Each class
    gets its share to the nearest whole image, and keeps at least one image for training; a class with two images has
    one for validation, one with three also one for testing.

    Pictures that look alike, and those that ``settings.group_pattern`` puts together, stay in one split, ranked by the
    lowest hash among them. Then a class gets its share as nearly as whole groups allow.

    Splits that the folder names are used as they are. Where it names a training folder but no validation folder,
    validation images are taken from training; where it names neither validation nor test, both are.
    """
    splits = [file.given_split or Split.TRAIN for file in dataset.files]
    for unit, split in _taken_from_training(dataset, settings):
        for index in unit.files:
            splits[index] = split
    return SplitAssignment(tuple(splits))


def count_splits(dataset: Dataset, settings: SplitSettings) -> dict[Split, tuple[int, ...]]:
    """How many images of each class ``split_dataset`` puts into each split, in label order.

    Quick enough for a page that shows them while a slider moves: only the images that go to validation and testing are
    gone through, and their order is worked out once for each seed and rule.
    """
    counts = {
        split: [dataset.given_counts[split, label] for label in range(len(dataset.class_names))] for split in Split
    }
    for unit, split in _taken_from_training(dataset, settings):
        for label, size in unit.sizes:
            counts[Split.TRAIN][label] -= size
            counts[split][label] += size
    return {split: tuple(of_label) for split, of_label in counts.items()}


def training_units(dataset: Dataset, settings: SplitSettings) -> tuple[Unit, ...]:
    """The files that no folder gives to validation or testing, in units that stay together, in the seed's order."""
    key = (settings.seed, settings.keep_similar_together, settings.group_pattern)
    known = dataset.known_units
    units = known.get(key)
    if units is None:
        free = [index for index, file in enumerate(dataset.files) if file.given_split in {None, Split.TRAIN}]
        units = units_in_order(dataset.files, free, settings)
        known.clear()  # another thread may ask with other settings at the same time
        known[key] = units
    return units


def _taken_from_training(dataset: Dataset, settings: SplitSettings) -> list[tuple[Unit, Split]]:
    """The units that go to testing and validation; all others stay for training."""
    left = [dataset.given_counts[Split.TRAIN, label] for label in range(len(dataset.class_names))]
    shares = [_shares(count, dataset.given_splits, settings) for count in left]
    wanted = {Split.TEST: [test for _, test in shares], Split.VALIDATION: [validation for validation, _ in shares]}
    missing = sum(map(sum, wanted.values()))
    if not missing:
        return []
    units = training_units(dataset, settings)
    taken: dict[int, Split] = {}

    def take(place: int, split: Split) -> int:
        """Take a unit out of training; gives by how much less is missing."""
        taken[place] = split
        filled = 0
        for label, size in units[place].sizes:
            left[label] -= size
            filled += min(size, max(0, wanted[split][label]))
            wanted[split][label] -= size
        return filled

    for place, unit in enumerate(units):
        for split, want in wanted.items():
            # Nearer to what is wanted with it than without; always so for a single image that is wanted.
            gain = sum(abs(want[label]) - abs(want[label] - size) for label, size in unit.sizes)
            if gain > 0 and all(left[label] > size for label, size in unit.sizes):
                missing -= take(place, split)
                break
        if not missing:
            break
    for split in (Split.VALIDATION, Split.TEST):
        for label, (validation, test) in enumerate(shares):
            # Every unit was too large: take the smallest rather than nothing.
            share = validation if split is Split.VALIDATION else test
            if share and wanted[split][label] == share:
                fitting = [
                    (sum(size for _, size in unit.sizes), place)
                    for place, unit in enumerate(units)
                    if place not in taken
                    and any(found == label for found, _ in unit.sizes)
                    and all(left[found] > size for found, size in unit.sizes)
                ]
                if fitting:
                    take(min(fitting)[1], split)
    return [(units[place], split) for place, split in taken.items()]


def _shares(count: int, given: frozenset[Split], settings: SplitSettings) -> tuple[int, int]:
    """Of a class with ``count`` training images, how many go to validation and to testing."""
    validation = settings.validation if Split.VALIDATION not in given else 0.0
    test = settings.test if not given - {Split.TRAIN} else 0.0
    for_validation = max(1, round(count * validation)) if validation and count >= 2 else 0
    for_test = max(1, round(count * test)) if test and count >= 2 + bool(validation) else 0
    while for_validation + for_test >= count > 0:
        if for_test >= for_validation:
            for_test -= 1
        else:
            for_validation -= 1
    return for_validation, for_test


def why_not_trainable(dataset: Dataset, settings: SplitSettings) -> DatasetError | None:
    """The reason why a classifier cannot be trained on this data set with this split, or None when it can."""
    counts = count_splits(dataset, settings)
    filled = [name for name, count in dataset.counts().items() if count]
    if not filled:
        return DatasetError(
            f"There is no usable image in {dataset.name}.",
            hint="Put the images of each class into a sub-folder of its own and open the folder again.",
            path=dataset.root,
        )
    if len(filled) == 1:
        return DatasetError(
            f"{dataset.name} holds images of one class only ({filled[0]}); a classifier tells at least two apart.",
            hint="Add a sub-folder with images of something else.",
            path=dataset.root,
        )
    if untrained := [name for name, n in zip(dataset.class_names, counts[Split.TRAIN], strict=True) if not n]:
        return DatasetError(
            f"There is no training image of {_and(untrained)}.",
            hint="Add images to that folder, or take the empty folder away.",
            path=dataset.root,
        )
    if not sum(counts[Split.VALIDATION]):
        return DatasetError(
            "No image is left for validation, so there would be no telling how good the network is.",
            hint="Give each class at least two images and a validation share above zero, and do not keep all images "
            "of a class together (split.group_pattern).",
            path=dataset.root,
            field="split.validation",
        )
    return None


def without_files(dataset: Dataset, issues: Sequence[Issue]) -> Dataset:
    """The data set with files left out that turned out to be unusable after it was scanned."""
    gone = {issue.path for issue in issues}
    return replace(
        dataset,
        files=tuple(file for file in dataset.files if file.path not in gone),
        issues=dataset.issues + tuple(issues),
    )


def _and(names: Sequence[str]) -> str:
    shown = list(names[:5]) + ([f"{len(names) - 5} more"] if len(names) > 5 else [])
    return shown[0] if len(shown) == 1 else f"{', '.join(shown[:-1])} and {shown[-1]}"


def suggest_image_settings(dataset: Dataset, architecture_name: str) -> ImageSettings:
    """The image size and colour to begin with on this data set.

    The architecture's usual size, but no larger than the median picture's shorter side: enlarging small pictures
    costs time and adds nothing, unless the architecture cannot do with less. Grey when every file is.
    """
    preset = architecture_preset(architecture_name)
    side = max(preset.smallest_size, min(preset.usual_size, dataset.median_side or preset.usual_size))
    return ImageSettings(height=side, width=side, colour=Colour.GREY if dataset.is_grey else Colour.RGB)


def suggest_experiment(dataset: Dataset, architecture_name: str = "small_cnn") -> Experiment:
    """The experiment to begin with on this data set: good enough that *open folder → Train* works."""
    return Experiment(
        image=suggest_image_settings(dataset, architecture_name),
        architecture=architecture_preset(architecture_name).architecture,
    )
