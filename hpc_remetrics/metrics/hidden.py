"""Bytes that images ship and hide: what a later layer overwrites, removes or puts something else in
place of.

Images are taken in the order of their layers, so that what two of them begin with is worked out
once: layers are pushed on a stack and popped from it.

What a layer costs does not grow with the number of layers below it: those of which nothing is
visible any more are passed over, and so are whole blocks of layers that have no path in common with
what it hides.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from itertools import pairwise
from typing import TypeAlias

import numpy as np

from ..dataset.metrics_schema import HIDDEN_BY
from .inputs import Inputs
from .layer_index import LayerIndex
from .sorting import distinct

_NOT = len(HIDDEN_BY)
_NOTHING = np.empty(0, bool)
_BLOCK = 64
"""Layers of a block on the stack."""

_OVERWRITTEN, _WHITEOUT, _OPAQUE, _NO_DIRECTORY = range(_NOT)


class Level:
    """One layer of the image on the stack, and which of its names are hidden.

    :ivar hidden: its hidden bytes.
    :ivar count: its visible names.
    """

    visible: np.ndarray
    left: np.ndarray
    count: int

    def __init__(self, index: LayerIndex) -> None:
        self.index = index
        self.linked = bool((index.links > 1).any())
        self.hidden = 0
        self._show_all()

    def hide(self, upper: LayerIndex) -> tuple[np.ndarray | None, np.ndarray]:
        """Hide what a layer above hides; return the names, and files and bytes by how they went (4
        × 2).

        The names are None where all were visible and none is any more.
        """
        sums = np.zeros((_NOT, 2), np.int64)
        is_whole = self.count == len(self.index.names)
        if is_whole and upper is self.index:
            # A layer upon itself overwrites all of its names.
            sums[_OVERWRITTEN] = len(self.index.sizes), self.index.sizes.sum()
            self.hidden += int(sums[_OVERWRITTEN, 1])
            self._show_none()
            return None, sums
        causes = self._causes(upper)
        names = np.flatnonzero((causes < _NOT) & self.visible)
        if len(names):
            self.visible[names] = False
            files, how = self._gone(names, causes[names])
            np.add.at(sums[:, 0], how, 1)
            np.add.at(sums[:, 1], how, self.index.sizes[files])
            self.hidden += int(sums[:, 1].sum())
            self.count -= len(names)
        if self.count:
            return names, sums
        # A layer without visible names holds no arrays: there may be thousands of them.
        self._show_none()
        return None if is_whole else names, sums

    def show(self, names: np.ndarray | None, sums: np.ndarray) -> None:
        """Undo what `hide` did."""
        self.hidden -= int(sums[:, 1].sum())
        if names is None:
            return self._show_all()
        if not self.count:
            self.visible = np.zeros(len(self.index.names), bool)
            self.left = np.zeros_like(self.index.links) if self.linked else self.index.links
        self.visible[names] = True
        self.count += len(names)
        if self.linked:
            np.add.at(self.left, self.index.file[names], 1)

    def _show_all(self) -> None:
        index = self.index
        self.visible = np.ones(len(index.names), bool)
        self.left = index.links.copy() if self.linked else index.links
        self.count = len(index.names)

    def _show_none(self) -> None:
        self.visible, self.left, self.count = _NOTHING, self.index.links, 0

    def _causes(self, upper: LayerIndex) -> np.ndarray:
        """Return how a layer above hides each name, `_NOT` if it does not; the first match of
        `HIDDEN_BY`."""
        index = self.index
        causes = self._by_directory(upper)
        causes[matches(index.names, upper.whiteouts)] = _WHITEOUT
        causes[matches(index.names, upper.entries)] = _OVERWRITTEN
        return causes

    def _by_directory(self, upper: LayerIndex) -> np.ndarray:
        """Return how names are hidden because of a directory above them."""
        tree = self.index.tree
        hashes = tree.hashes[tree.order]
        events = (
            (_NO_DIRECTORY, upper.others),
            (_OPAQUE, upper.opaque),
            (_WHITEOUT, upper.whiteouts),
        )
        found = [(how, tree.order[matches(hashes, targets)]) for how, targets in events]
        if not any(len(places) for _, places in found):
            return np.full(len(self.index.names), _NOT, np.uint8)
        marks = np.full(len(hashes), _NOT, np.uint8)
        for how, places in found:
            marks[places] = how
        for low, high in zip(tree.levels[1:-1].tolist(), tree.levels[2:].tolist(), strict=True):
            np.minimum(marks[low:high], marks[tree.above[low:high]], out=marks[low:high])
        return marks[tree.parent]

    def _gone(self, names: np.ndarray, causes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the files of which no name is left, and how they went."""
        files = self.index.file[names]
        if not self.linked:
            return files, causes
        np.subtract.at(self.left, files, 1)
        gone, place = np.unique(files, return_inverse=True)
        how = np.full(len(gone), _NOT, np.uint8)
        np.minimum.at(how, place.reshape(-1), causes)
        whole = self.left[gone] == 0
        return gone[whole], how[whole]


def matches(sorted_values: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Return the places of the values that are among the wanted ones; both rise, the wanted ones
    each once.

    >>> matches(np.array([2, 2, 3, 5]), np.array([2, 4, 5])).tolist()
    [0, 1, 3]
    """
    if not len(sorted_values) or not len(wanted):
        return np.empty(0, np.int64)
    if len(sorted_values) <= len(wanted):
        place = np.minimum(np.searchsorted(wanted, sorted_values), len(wanted) - 1)
        return np.flatnonzero(wanted[place] == sorted_values)
    low = np.searchsorted(sorted_values, wanted)
    hit = sorted_values[np.minimum(low, len(sorted_values) - 1)] == wanted
    low, high = low[hit], np.searchsorted(sorted_values, wanted[hit], "right")
    counts = high - low
    return np.repeat(low - (np.cumsum(counts) - counts), counts) + np.arange(counts.sum())


_Undo: TypeAlias = tuple[Level, "np.ndarray | None", np.ndarray]
"""A level, and what `hide` returned of it."""


class Block:
    """Neighbouring levels of the stack, and all paths that may be hidden in them.

    :ivar levels: the levels.
    """

    def __init__(self, levels: list[Level]) -> None:
        self.levels = levels
        self._names = distinct(np.concatenate([level.index.names for level in levels]))
        self._directories = distinct(np.concatenate([level.index.tree.hashes for level in levels]))

    def is_touched_by(self, upper: LayerIndex) -> bool:
        """Tell whether a layer above may hide something here."""
        if not any(level.count for level in self.levels):
            return False
        of_names = (upper.entries, upper.whiteouts)
        of_directories = (upper.whiteouts, upper.opaque, upper.others)
        return any(len(matches(self._names, wanted)) for wanted in of_names) or any(
            len(matches(self._directories, wanted)) for wanted in of_directories
        )


class HiddenPass:
    """Works out this rank's share of the images.

    :ivar images: files and bytes that each image hides (images × 2).
    :ivar how: the same for all images by how (4 × 2).
    :ivar least: of each layer the bytes hidden where the fewest are, `most` where the most are.
    :ivar hides: of each layer the most bytes that it is the first to hide in one image.
    """

    def __init__(self, inputs: Inputs) -> None:
        self.inputs = inputs
        layers = len(inputs.read)
        self.images = np.zeros((len(inputs.dataset.images), 2), np.int64)
        self.how = np.zeros((_NOT, 2), np.int64)
        self.least = np.full(layers, np.iinfo(np.int64).max)
        self.most, self.hides = np.zeros(layers, np.int64), np.zeros(layers, np.int64)
        self._chain: list[int] = []
        self._levels: list[Level] = []
        self._blocks: list[Block] = []
        self._undo: list[list[_Undo]] = []
        self._how: list[np.ndarray] = [np.zeros((_NOT, 2), np.int64)]
        self._indexes: OrderedDict[int, LayerIndex] = OrderedDict()
        self._held = 0

    def run(self) -> None:
        for chain, images in self._share():
            kept = common_length(self._chain, chain)
            while len(self._chain) > kept:
                self._pop()
            for layer in chain[kept:]:
                self._push(layer)
            self._note(chain, images)

    def _share(self) -> list[tuple[tuple[int, ...], list[int]]]:
        """Return this rank's chains of layers, each with its images: neighbours that take like time
        in all."""
        inputs = self.inputs
        chains: dict[tuple[int, ...], list[int]] = {}
        bounds = np.append(0, np.cumsum(inputs.dataset.images["layers"])).tolist()
        rows = inputs.image_layers.tolist()
        for image, (low, high) in enumerate(pairwise(bounds)):
            chains.setdefault(tuple(rows[low:high]), []).append(image)
        ordered = sorted(chains)
        entries = inputs.layer("entries").tolist()
        cost: list[int] = []
        before: tuple[int, ...] = ()
        for chain in ordered:
            kept = common_length(before, chain)
            cost.append(100 + sum(entries[layer] for layer in chain[kept:]))
            before = chain
        rank_of = (np.cumsum(cost) - 1) * inputs.comm.size // max(sum(cost), 1)
        mine = np.flatnonzero(rank_of == inputs.comm.rank).tolist()
        return [(ordered[place], chains[ordered[place]]) for place in mine]

    def _push(self, layer: int) -> None:
        index = self._index(layer)
        undo: list[_Undo] = []
        total = np.zeros((_NOT, 2), np.int64)
        for level in self._below(index):
            if not level.count:
                continue
            names, sums = level.hide(index)
            if names is None or len(names):
                undo.append((level, names, sums))
                total += sums
        self.hides[layer] = max(int(self.hides[layer]), int(total[:, 1].sum()))
        self._chain.append(layer)
        self._levels.append(Level(index))
        self._undo.append(undo)
        self._how.append(self._how[-1] + total)
        if len(self._levels) % _BLOCK == 0:
            self._blocks.append(Block(self._levels[-_BLOCK:]))

    def _below(self, index: LayerIndex) -> Iterator[Level]:
        """Yield the levels in which a layer may hide something, and some more."""
        levels = self._levels
        if levels and levels[-1].index is index:
            # What it hides in the others is hidden: the same layer stands above them.
            yield levels[-1]
            return
        for block in self._blocks:
            if block.is_touched_by(index):
                yield from block.levels
        yield from levels[_BLOCK * len(self._blocks) :]

    def _pop(self) -> None:
        self._chain.pop()
        self._levels.pop()
        self._how.pop()
        del self._blocks[len(self._levels) // _BLOCK :]
        for level, names, sums in self._undo.pop():
            level.show(names, sums)

    def _note(self, chain: tuple[int, ...], images: list[int]) -> None:
        """Note what the image on the stack hides."""
        how = self._how[-1]
        self.images[images] = how.sum(axis=0)
        self.how += len(images) * how
        hidden = [level.hidden for level in self._levels]
        np.minimum.at(self.least, list(chain), hidden)
        np.maximum.at(self.most, list(chain), hidden)

    def _index(self, layer: int) -> LayerIndex:
        """Return a layer's index, kept while there is room for it."""
        if layer not in self._indexes:
            self._indexes[layer] = index = LayerIndex(self.inputs, layer)
            self._held += index.nbytes
            while len(self._indexes) > 1 and self._held > self.inputs.memory // 2:
                self._held -= self._indexes.popitem(last=False)[1].nbytes
        self._indexes.move_to_end(layer)
        return self._indexes[layer]


def common_length(one: list[int] | tuple[int, ...], other: tuple[int, ...]) -> int:
    """Return how many layers two images begin with in common.

    >>> common_length([1, 2, 3], (1, 2, 4))
    2
    """
    length = 0
    for first, second in zip(one, other, strict=False):
        if first != second:
            break
        length += 1
    return length
