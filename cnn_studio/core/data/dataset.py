"""A data set: class names, image files, what was left out, and how the images are shared out for training."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import zip_longest
from pathlib import Path

from cnn_studio.core.data.groups import Group
from cnn_studio.core.data.image_file import ImageFile, Split
from cnn_studio.core.image.issues import Issue


@dataclass(frozen=True)  # no slots: it keeps its counts once they are made
class Dataset:
    """A scanned folder.

    Attributes:
        root: the folder, absolute.
        class_names: in label order: sorted as people sort (2 before 10), fixed from here on and kept with the model.
        files: every usable image, ordered by label, then path.
        issues: every file and folder left out.
        given_splits: the splits that the folder itself names (train/, val/, test/), empty for a plain folder.
        passed_over: names of hidden files and folders, and of those of systems, with how many of each there were.
    """

    root: Path
    class_names: tuple[str, ...]
    files: tuple[ImageFile, ...]
    issues: tuple[Issue, ...] = ()
    given_splits: frozenset[Split] = frozenset()
    passed_over: tuple[tuple[str, int], ...] = ()

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
    def known_groups(self) -> dict[tuple[int, bool, str], tuple[Group, ...]]:
        """What ``training_groups`` worked out last; ordering 100,000 files takes a third of a second."""
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

    def path_of(self, file: ImageFile) -> Path:
        """Where the file is."""
        return self.root / file.path


def without_files(dataset: Dataset, issues: Sequence[Issue]) -> Dataset:
    """The data set with files left out that turned out to be unusable after it was scanned."""
    gone = {issue.path for issue in issues}
    return replace(
        dataset,
        files=tuple(file for file in dataset.files if file.path not in gone),
        issues=dataset.issues + tuple(issues),
    )


def some_of_each_class(dataset: Dataset, count: int) -> tuple[ImageFile, ...]:
    """Images to try something on: one of each class first, of each in even steps from its first to its last.

    Args:
        dataset: any.
        count: how many at most.
    """
    of_class: dict[int, list[ImageFile]] = {}
    for file in dataset.files:
        of_class.setdefault(file.label, []).append(file)
    spread = (files[:: max(1, len(files) // count)] for files in of_class.values())
    return tuple([file for row in zip_longest(*spread) for file in row if file][:count])
