"""What is odd about a data set, in plain words, with the images it concerns and what to do.

Nothing here opens a file: everything follows from what a scan found out about each image, so it can be asked again
after every decision of the user. What cannot be read at all is not here but among the data set's issues.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum

from cnn_studio.core.data.dataset import Dataset
from cnn_studio.core.data.image_file import ImageFile, Split
from cnn_studio.core.data.split_names import split_of
from cnn_studio.core.experiment.settings import ImageSettings
from cnn_studio.core.image.issues import IssueKind
from cnn_studio.core.text import composed, listed, printable

FEW_IMAGES = 20
"""A class with fewer is called small: of 20 images, 15 % make three to validate on."""

IMBALANCE = 5.0
"""The largest class has this many times the images of the smallest before it is worth a word."""

SMALL = 0.5
"""A picture whose shorter side is below this share of the network's is mostly made up by enlarging."""

EXTREME_ASPECT = 3.0
"""Longer side to shorter side from which squashing a picture to a square makes its contents hard to recognise."""


class FindingKind(StrEnum):
    """What was noticed; the value is what the command line prints."""

    UNCLEAR_SPLITS = "unclear_splits"
    BESIDE_SPLITS = "beside_splits"
    CAPITALS_DIFFER = "capitals_differ"
    SAME_PICTURE_TWO_CLASSES = "same_picture_two_classes"
    ALIKE_IN_TWO_CLASSES = "alike_in_two_classes"
    DUPLICATE_ACROSS_SPLITS = "duplicate_across_splits"
    ALIKE_ACROSS_SPLITS = "alike_across_splits"
    FEW_IMAGES = "few_images"
    IMBALANCE = "imbalance"
    EXACT_DUPLICATE = "exact_duplicate"
    NEAR_DUPLICATE = "near_duplicate"
    MOSTLY_BLANK = "mostly_blank"
    SMALL_IMAGES = "small_images"
    EXTREME_ASPECT = "extreme_aspect"
    MIXED_COLOUR = "mixed_colour"


FINDING_TEXT = {
    FindingKind.UNCLEAR_SPLITS: "classes that look like splits",
    FindingKind.BESIDE_SPLITS: "folders used for nothing",
    FindingKind.CAPITALS_DIFFER: "classes that differ in capitals",
    FindingKind.SAME_PICTURE_TWO_CLASSES: "same picture in two classes",
    FindingKind.ALIKE_IN_TWO_CLASSES: "look alike, in different classes",
    FindingKind.DUPLICATE_ACROSS_SPLITS: "same picture in two splits",
    FindingKind.ALIKE_ACROSS_SPLITS: "look alike, in different splits",
    FindingKind.FEW_IMAGES: "few images",
    FindingKind.IMBALANCE: "uneven classes",
    FindingKind.EXACT_DUPLICATE: "identical files",
    FindingKind.NEAR_DUPLICATE: "pictures that look alike",
    FindingKind.MOSTLY_BLANK: "mostly blank",
    FindingKind.SMALL_IMAGES: "small images",
    FindingKind.EXTREME_ASPECT: "very long or tall",
    FindingKind.MIXED_COLOUR: "grey among colour",
}
"""Each kind in a person's words."""

ABOUT_LAYOUT = frozenset((FindingKind.UNCLEAR_SPLITS, FindingKind.BESIDE_SPLITS, FindingKind.CAPITALS_DIFFER))
"""The kinds that ask whether the folders mean what they were taken for."""


@dataclass(frozen=True, slots=True)
class Finding:
    """Something worth knowing before training.

    Attributes:
        kind: for grouping and filtering.
        title: what was found, a sentence.
        advice: why it matters and what to do, one or two sentences.
        groups: indices into ``Dataset.files`` of the images it concerns. Images that belong together (versions of one
            picture, the images of one small class) are in one group; where nothing belongs together there is one.
            Empty where it is about what was left out.
        serious: whether training without looking at it is likely to mislead.
    """

    kind: FindingKind
    title: str
    advice: str
    groups: tuple[tuple[int, ...], ...]
    serious: bool = False

    @property
    def files(self) -> tuple[int, ...]:
        """Indices of all images it concerns, group by group."""
        return tuple(index for group in self.groups for index in group)


def examine(dataset: Dataset, image: ImageSettings | None = None) -> tuple[Finding, ...]:
    """Everything that is odd about a data set, the most serious first.

    Args:
        dataset: as scanned, or with the user's decisions applied.
        image: the network's image size, for pictures that are much smaller; None leaves that question out.
    """
    found = [
        *_layout(dataset),
        *_duplicates(dataset),
        *_class_sizes(dataset),
        *_blank(dataset),
        *(small_images(dataset, image) if image else ()),
        *_aspect(dataset),
        *_mixed_colour(dataset),
    ]
    return tuple(sorted(found, key=lambda finding: not finding.serious))


def _layout(dataset: Dataset) -> Iterable[Finding]:
    """Where the folders may mean something else than they were taken for."""
    if beside := [issue for issue in dataset.issues if issue.kind is IssueKind.BESIDE_SPLITS]:
        names = listed([printable(issue.path) for issue in beside])
        lies, is_one, it = ("lies", "is", "it is a class") if len(beside) == 1 else ("lie", "are", "they are classes")
        yield Finding(
            FindingKind.BESIDE_SPLITS,
            f"{names} {lies} beside the folders for training and testing, and {is_one} used for nothing.",
            f"If {it} or a part of the split, move the images into those folders; else this is as it should be.",
            (),
            serious=True,
        )
    if not dataset.given_splits and (odd := _like_splits(dataset)):
        names = listed([dataset.class_names[label] for label in odd])
        yield Finding(
            FindingKind.UNCLEAR_SPLITS,
            f"The folders were taken for classes, but {names} {'look' if len(odd) > 1 else 'looks'} like "
            "parts of a split.",
            "The network would learn to tell training from test images. If it is a split, arrange it as train/, val/ "
            "and test/, each with one sub-folder per class; if the names mean something else, all is well.",
            tuple(_of_class(dataset, label) for label in odd),
            serious=True,
        )
    same: dict[str, list[int]] = {}
    for label, name in enumerate(dataset.class_names):
        same.setdefault(composed(name).casefold(), []).append(label)
    if pairs := [labels for labels in same.values() if len(labels) > 1]:
        names = listed([" / ".join(dataset.class_names[label] for label in labels) for labels in pairs])
        yield Finding(
            FindingKind.CAPITALS_DIFFER,
            f"Some classes differ in nothing but capitals: {names}.",
            "If they are one, put their images into one folder.",
            tuple(tuple(i for label in labels for i in _of_class(dataset, label)) for labels in pairs),
            serious=True,
        )


def _like_splits(dataset: Dataset) -> list[int]:
    """Labels of classes that may really be parts of a split, or be divided into such parts inside."""
    inside: dict[int, set[str]] = {}
    for file in dataset.files:
        parts = file.path.split("/", 2)
        if len(parts) > 2:
            inside.setdefault(file.label, set()).add(parts[1])
    spoken = {label: known for label, name in enumerate(dataset.class_names) if (known := split_of(name))}
    if len({split for split, _ in spoken.values()}) > 1:
        return list(spoken)
    if nested := [label for label, (_, rest) in spoken.items() if not rest and len(inside.get(label, ())) > 1]:
        return nested
    divided = [label for label, names in inside.items() if _names_splits(names)]
    return sorted(divided) if len(divided) == len(dataset.counts()) else []


def _names_splits(names: Iterable[str]) -> bool:
    splits = {known[0] for name in names if (known := split_of(name))}
    return Split.TRAIN in splits and len(splits) > 1


def small_images(dataset: Dataset, image: ImageSettings) -> tuple[Finding, ...]:
    """The finding about pictures much smaller than the network's images, if there are any."""
    smallest = SMALL * min(image.height, image.width)
    small = _indices(dataset, lambda file: min(file.height, file.width) < smallest)
    if not small:
        return ()
    return (
        Finding(
            FindingKind.SMALL_IMAGES,
            f"{_pictures(small, 'is', 'are')} less than half as large as what the network is given, "
            f"{image.width} × {image.height} pixels.",
            "Enlarging adds no detail. Choose a smaller image size, or leave them out.",
            (small,),
            serious=len(small) > len(dataset.files) / 2,
        ),
    )


def _duplicates(dataset: Dataset) -> Iterable[Finding]:
    """Copies and look-alikes: only what was verified by its pixels is called the same picture."""
    files = dataset.files
    same = [group for group in _groups(file.same for file in files) if _tells(dataset, group)]
    alike = similar_groups(dataset)

    def divided(part: Callable[[ImageFile], object]) -> tuple[list[tuple[int, ...]], list[tuple[int, ...]]]:
        """The same pictures of which there are copies in two parts, and other pictures that are alike in two."""
        verified, others = (
            [group for group in groups if len({part(files[index]) for index in group}) > 1] for groups in (same, alike)
        )
        told: dict[int, list[set[int]]] = {}
        for group in verified:
            members = set(group)
            for index in group:
                told.setdefault(index, []).append(members)
        return verified, [g for g in others if not any(members.issuperset(g) for members in told.get(g[0], ()))]

    in_classes, alike_in_classes = divided(lambda file: file.label)
    in_splits, alike_in_splits = divided(lambda file: file.given_split or Split.TRAIN)
    within = [group for group in alike if not _in_two_classes(dataset, group)]
    identical = [group for group in within if _are_identical(dataset, group)]
    similar = [group for group in within if not _are_identical(dataset, group)]
    if in_classes:
        yield Finding(
            FindingKind.SAME_PICTURE_TWO_CLASSES,
            f"{_pictures(in_classes, 'lies', 'lie')} in more than one class.",
            "One of the class names is wrong: leave the wrong copy out, or say which class it belongs to.",
            tuple(in_classes),
            serious=True,
        )
    if alike_in_classes:
        yield Finding(
            FindingKind.ALIKE_IN_TWO_CLASSES,
            f"{_alike(alike_in_classes)}, in different classes.",
            "They need not show the same thing. Look at them, and change something only where a class is wrong.",
            tuple(alike_in_classes),
        )
    if in_splits:
        yield Finding(
            FindingKind.DUPLICATE_ACROSS_SPLITS,
            f"{_pictures(in_splits, 'is', 'are')} in more than one of the folders for training, validation and test.",
            "The network is then tested on pictures it has been trained on, and looks better than it is: leave the "
            "copies for training out.",
            tuple(in_splits),
            serious=True,
        )
    if alike_in_splits:
        yield Finding(
            FindingKind.ALIKE_ACROSS_SPLITS,
            f"{_alike(alike_in_splits)}, in different folders for training, validation and test.",
            "Where they are edited copies or shots of one moment, the network is tested on what it has been trained "
            "on, and looks better than it is. Where they only resemble each other, all is well.",
            tuple(alike_in_splits),
        )
    if identical:
        yield Finding(
            FindingKind.EXACT_DUPLICATE,
            f"{_pictures(identical, 'is', 'are')} in the folder more than once, "
            f"as {sum(map(len, identical)):,} identical files.",
            "A copy teaches nothing new and counts its picture twice: leave all but one of each out.",
            tuple(identical),
        )
    if similar:
        yield Finding(
            FindingKind.NEAR_DUPLICATE,
            f"{_alike(similar)} (near-duplicates), {len({index for group in similar for index in group}):,} files.",
            "Resized, cropped, turned, mirrored or edited copies, shots of one moment, or things that resemble each "
            "other. Kept in one split they do no harm; leave out only what you have looked at and do not want.",
            tuple(similar),
        )


def _tells(dataset: Dataset, group: tuple[int, ...]) -> bool:
    """Whether to be the same means something: of blank pictures all are, unless the files are compared."""
    return not all(dataset.files[index].blank for index in group) or _are_identical(dataset, group)


def _are_identical(dataset: Dataset, group: tuple[int, ...]) -> bool:
    numbers = {dataset.files[index].identical for index in group}
    return len(numbers) == 1 and 0 not in numbers


def _alike(groups: list[tuple[int, ...]]) -> str:
    return "1 group of pictures looks alike" if len(groups) == 1 else f"{len(groups):,} groups of pictures look alike"


def similar_groups(dataset: Dataset) -> list[tuple[int, ...]]:
    """Indices of images that all look alike, group by group; a group has at least two, and an image may be in two."""
    return _groups(file.alike for file in dataset.files)


def _groups(numbers: Iterable[tuple[int, ...]]) -> list[tuple[int, ...]]:
    """Indices of the images that have a number in common, none of them twice."""
    groups: dict[int, list[int]] = {}
    for index, of_file in enumerate(numbers):
        for number in of_file:
            groups.setdefault(number, []).append(index)
    return [*dict.fromkeys(tuple(group) for group in groups.values() if len(group) > 1)]


def _in_two_classes(dataset: Dataset, group: tuple[int, ...]) -> bool:
    return len({dataset.files[index].label for index in group}) > 1


def _class_sizes(dataset: Dataset) -> Iterable[Finding]:
    counts = dataset.counts()
    few = [label for label, count in enumerate(counts.values()) if count < FEW_IMAGES]
    if few:
        named = [f"{dataset.class_names[label]} ({counts[dataset.class_names[label]]:,})" for label in few]
        yield Finding(
            FindingKind.FEW_IMAGES,
            f"{'This class has' if len(few) == 1 else 'These classes have'} fewer than {FEW_IMAGES} images: "
            f"{', '.join(named[:8])}{f' and {len(named) - 8} more' if len(named) > 8 else ''}.",
            "So few show little of what the class looks like, and its accuracy cannot be told. Add images; a "
            "pre-trained network needs the fewest.",
            tuple(_of_class(dataset, label) for label in few),
            serious=True,
        )
    filled = {name: count for name, count in counts.items() if count}
    if len(filled) > 1:
        smallest, largest = min(filled, key=filled.__getitem__), max(filled, key=filled.__getitem__)
        if filled[largest] > IMBALANCE * filled[smallest]:
            label = dataset.class_names.index(smallest)
            yield Finding(
                FindingKind.IMBALANCE,
                f"{largest} has {filled[largest] / filled[smallest]:.0f} times as many images as {smallest} "
                f"({filled[largest]:,} and {filled[smallest]:,}).",
                "A network then tends to answer with the large class. Add images of the small ones, or switch on "
                "balanced class weights; judge it by the scores of each class.",
                (_of_class(dataset, label),),
            )


def _blank(dataset: Dataset) -> Iterable[Finding]:
    if blank := _indices(dataset, lambda file: file.blank):
        yield Finding(
            FindingKind.MOSTLY_BLANK,
            f"{_pictures(blank, 'is', 'are')} mostly blank.",
            "There is hardly anything on it to learn from: look at them, and leave out what was a mistake."
            if len(blank) > 1
            else "There is hardly anything on it to learn from: leave it out if it was a mistake.",
            (blank,),
        )


def _aspect(dataset: Dataset) -> Iterable[Finding]:
    if odd := _indices(
        dataset, lambda file: max(file.height, file.width) > EXTREME_ASPECT * min(file.height, file.width) > 0
    ):
        yield Finding(
            FindingKind.EXTREME_ASPECT,
            f"{_pictures(odd, 'is', 'are')} more than {EXTREME_ASPECT:.0f} times as long in one direction as in the "
            "other.",
            "Squashed to the network's size they change beyond recognition: fit pictures by padding or by cropping "
            "to their middle, or leave these out.",
            (odd,),
        )


def _mixed_colour(dataset: Dataset) -> Iterable[Finding]:
    grey = _indices(dataset, lambda file: file.grey)
    colour = len(dataset.files) - len(grey)
    if not grey or not colour:
        return
    shares = _grey_shares(dataset)
    uneven = max(shares.values()) - min(shares.values()) > 0.5
    odd = grey if len(grey) <= colour else _indices(dataset, lambda file: not file.grey)
    what, others = ("without colour", "coloured") if len(grey) <= colour else ("coloured", "grey")
    yield Finding(
        FindingKind.MIXED_COLOUR,
        f"{_pictures(odd, 'is', 'are')} {what}; the other {len(dataset.files) - len(odd):,} are {others}.",
        "Grey is found in some classes far more than in others, so a network may learn that instead of what is on the "
        "pictures: train in grey."
        if uneven
        else "Usually harmless. Train in grey if colour says nothing about the class.",
        (odd,),
        serious=uneven,
    )


def _grey_shares(dataset: Dataset) -> dict[int, float]:
    """Of each class with images, the share without colour, 0–1."""
    total: dict[int, int] = {}
    grey: dict[int, int] = {}
    for file in dataset.files:
        total[file.label] = total.get(file.label, 0) + 1
        grey[file.label] = grey.get(file.label, 0) + file.grey
    return {label: grey[label] / count for label, count in total.items()}


def _indices(dataset: Dataset, wanted: Callable[[ImageFile], bool]) -> tuple[int, ...]:
    return tuple(index for index, file in enumerate(dataset.files) if wanted(file))


def _of_class(dataset: Dataset, label: int) -> tuple[int, ...]:
    return _indices(dataset, lambda file: file.label == label)


def _pictures(found: list[tuple[int, ...]] | tuple[int, ...], one: str, many: str) -> str:
    return f"1 picture {one}" if len(found) == 1 else f"{len(found):,} pictures {many}"
