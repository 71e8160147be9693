"""How the images of a data set are shared out for training, validation and testing."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from cnn_studio.core.data.dataset import Dataset
from cnn_studio.core.data.groups import Group, groups_in_order
from cnn_studio.core.data.image_file import Split
from cnn_studio.core.errors import DatasetError
from cnn_studio.core.experiment.settings import SplitSettings
from cnn_studio.core.text import listed


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
    for group, split in _taken_from_training(dataset, settings):
        for index in group.files:
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
    for group, split in _taken_from_training(dataset, settings):
        for label, size in group.sizes:
            counts[Split.TRAIN][label] -= size
            counts[split][label] += size
    return {split: tuple(of_label) for split, of_label in counts.items()}


def training_groups(dataset: Dataset, settings: SplitSettings) -> tuple[Group, ...]:
    """The files that no folder gives to validation or testing, in groups that stay together, in the seed's order."""
    key = (settings.seed, settings.keep_similar_together, settings.group_pattern)
    known = dataset.known_groups
    groups = known.get(key)
    if groups is None:
        free = [index for index, file in enumerate(dataset.files) if file.given_split in {None, Split.TRAIN}]
        groups = groups_in_order(dataset.files, free, settings)
        known.clear()  # another thread may ask with other settings at the same time
        known[key] = groups
    return groups


def _taken_from_training(dataset: Dataset, settings: SplitSettings) -> list[tuple[Group, Split]]:
    """The groups that go to testing and validation; all others stay for training."""
    left = [dataset.given_counts[Split.TRAIN, label] for label in range(len(dataset.class_names))]
    shares = [_shares(count, dataset.given_splits, settings) for count in left]
    wanted = {Split.TEST: [test for _, test in shares], Split.VALIDATION: [validation for validation, _ in shares]}
    missing = sum(map(sum, wanted.values()))
    if not missing:
        return []
    groups = training_groups(dataset, settings)
    taken: dict[int, Split] = {}

    def take(place: int, split: Split) -> int:
        """Take a group out of training; gives by how much less is missing."""
        taken[place] = split
        filled = 0
        for label, size in groups[place].sizes:
            left[label] -= size
            filled += min(size, max(0, wanted[split][label]))
            wanted[split][label] -= size
        return filled

    for place, group in enumerate(groups):
        for split, want in wanted.items():
            # Nearer to what is wanted with it than without; always so for a single image that is wanted.
            gain = sum(abs(want[label]) - abs(want[label] - size) for label, size in group.sizes)
            if gain > 0 and all(left[label] > size for label, size in group.sizes):
                missing -= take(place, split)
                break
        if not missing:
            break
    for split in (Split.VALIDATION, Split.TEST):
        for label, (validation, test) in enumerate(shares):
            # Every group was too large: take the smallest rather than nothing.
            share = validation if split is Split.VALIDATION else test
            if share and wanted[split][label] == share:
                fitting = [
                    (sum(size for _, size in group.sizes), place)
                    for place, group in enumerate(groups)
                    if place not in taken
                    and any(found == label for found, _ in group.sizes)
                    and all(left[found] > size for found, size in group.sizes)
                ]
                if fitting:
                    take(min(fitting)[1], split)
    return [(groups[place], split) for place, split in taken.items()]


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
            f"There is no training image of {listed(untrained)}.",
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


def count_ahead(dataset: Dataset) -> None:
    """Work out now what is asked often, so that the window need not: on 100,000 files it takes half a second."""
    _ = dataset.given_counts, dataset.median_side, dataset.is_grey
    training_groups(dataset, SplitSettings())
