"""A sequence whose items are made when they are asked for: there may be 100,000."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar, overload

Item = TypeVar("Item")


class LazyList(Sequence[Item]):
    """``count`` items, each made anew by ``make(place)``."""

    def __init__(self, count: int, make: Callable[[int], Item]) -> None:
        self._places = range(count)
        self._make = make

    def __len__(self) -> int:
        return len(self._places)

    @overload
    def __getitem__(self, place: int) -> Item: ...
    @overload
    def __getitem__(self, place: slice) -> list[Item]: ...
    def __getitem__(self, place: int | slice) -> Item | list[Item]:
        if isinstance(place, slice):
            return [self._make(number) for number in self._places[place]]
        return self._make(self._places[place])
