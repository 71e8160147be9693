"""Files that must stay in one split: pictures that look alike, and those that a rule about names puts together."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cnn_studio.core.name_pattern import NamePattern
from cnn_studio.core.text import composed, printable

if TYPE_CHECKING:
    from cnn_studio.core.data.image_file import ImageFile
    from cnn_studio.core.experiment.settings import SplitSettings


@dataclass(frozen=True, slots=True)
class Group:
    """Files that are never divided; mostly a single one.

    Attributes:
        files: their positions in the data set, ascending.
        sizes: (label, number of files) of each class among them.
    """

    files: tuple[int, ...]
    sizes: tuple[tuple[int, int], ...]


def groups_in_order(files: Sequence[ImageFile], members: Sequence[int], settings: SplitSettings) -> tuple[Group, ...]:
    """The groups that some files make, in the order in which a seed draws them.

    A group's place is decided by the lowest hash of seed and path among its files: the same on every machine and in
    whatever order the folder is listed, and a file that is added moves no other.

    Args:
        files: of the data set.
        members: positions of those that are to be shared out.
        settings: the seed, and what is kept together.
    """
    ranks = {index: _rank(settings.seed, files[index].path) for index in members}
    ranked = []
    for group in _groups(files, members, settings):
        rank = min(map(ranks.__getitem__, group)) if len(group) > 1 else ranks[group[0]]
        sizes = tuple(Counter(files[index].label for index in group).items()) if len(group) > 1 else None
        ranked.append((rank, Group(group, sizes or ((files[group[0]].label, 1),))))
    return tuple(group for _, group in sorted(ranked, key=lambda pair: pair[0]))


def useless_rule(files: Sequence[ImageFile], settings: SplitSettings) -> str:
    """What is to be said of a rule about file names that finds nothing in any of them; "" where it does, or is none."""
    if not settings.group_pattern or not files:
        return ""
    pattern = NamePattern(settings.group_pattern)
    if any(pattern.find(printable(composed(file.path))) for file in files):
        return ""
    return f"The rule {settings.group_pattern} finds nothing in any file's name, so it keeps no pictures together."


def _groups(files: Sequence[ImageFile], members: Sequence[int], settings: SplitSettings) -> list[tuple[int, ...]]:
    pattern = NamePattern(settings.group_pattern) if settings.group_pattern else None
    leader: dict[int, int] = {}

    def leader_of(index: int) -> int:
        while (above := leader.get(index, index)) != index:
            leader[index] = leader.get(above, above)  # halves the way for the next who asks
            index = above
        return index

    first_with: dict[Hashable, int] = {}
    for index in members:
        for key in _keys(files[index], pattern, together=settings.keep_similar_together):
            first = leader_of(first_with.setdefault(key, index))
            leader[leader_of(index)] = first
    if not first_with:
        return [(index,) for index in members]
    groups: dict[int, list[int]] = {}
    for index in members:
        groups.setdefault(leader_of(index), []).append(index)
    return [tuple(group) for group in groups.values()]


def _keys(file: ImageFile, pattern: NamePattern | None, *, together: bool) -> Iterator[Hashable]:
    """What a file has in common with those it must stay with."""
    if together and file.similar:
        yield file.similar
    if pattern and (found := pattern.find(printable(composed(file.path)))):
        yield found


def _rank(seed: int, path: str) -> bytes:
    return hashlib.blake2b(f"{seed}/{composed(path)}".encode("utf-8", "surrogateescape"), digest_size=8).digest()
