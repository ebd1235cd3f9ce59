"""Keep what was made of layers while there is room for it."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Generic, Protocol, TypeVar


class Sized(Protocol):
    """Something that says how many bytes it takes."""

    @property
    def nbytes(self) -> int:
        """Bytes that it takes, about."""


Item = TypeVar("Item", bound=Sized)


class LayerCache(Generic[Item]):
    """`cache[layer]` is what `make` gives for a row of /layers; the least recently used go first.

    :param memory: bytes that all items may take; the last one is kept even if it takes more.
    """

    def __init__(self, make: Callable[[int], Item], memory: int) -> None:
        self._make = make
        self._memory = memory
        self._items: OrderedDict[int, Item] = OrderedDict()
        self._bytes = 0

    def __getitem__(self, layer: int) -> Item:
        if layer not in self._items:
            self._items[layer] = item = self._make(layer)
            self._bytes += item.nbytes
            while len(self._items) > 1 and self._bytes > self._memory:
                self._bytes -= self._items.popitem(last=False)[1].nbytes
        self._items.move_to_end(layer)
        return self._items[layer]
