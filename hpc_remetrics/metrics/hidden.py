"""Bytes that images ship and hide: what a later layer overwrites, removes or puts something else in place of.

Images are taken in the order of their layers, so that what two of them begin with is worked out once: layers are
pushed on a stack and popped from it.
"""

from __future__ import annotations

from collections import OrderedDict
from itertools import pairwise

import numpy as np

from ..store.metrics_schema import HOW
from .inputs import Inputs
from .layer_index import LayerIndex

_NOT = len(HOW)
_OVERWRITTEN, _WHITEOUT, _OPAQUE, _NO_DIRECTORY = range(_NOT)


class Level:
    """One layer of the image on the stack, and which of its names are hidden.

    :ivar hidden: its hidden bytes.
    """

    def __init__(self, index: LayerIndex) -> None:
        self.index = index
        self.visible = np.ones(len(index.names), bool)
        self.linked = bool((index.links > 1).any())
        self.left = index.links.copy() if self.linked else index.links
        self.hidden = 0

    def hide(self, upper: LayerIndex) -> tuple[np.ndarray, np.ndarray]:
        """Hide what a layer above hides; return the names, and files and bytes by how they went (4 × 2)."""
        causes = self._causes(upper)
        names = np.flatnonzero((causes < _NOT) & self.visible)
        sums = np.zeros((_NOT, 2), np.int64)
        if len(names):
            self.visible[names] = False
            files, how = self._gone(names, causes[names])
            np.add.at(sums[:, 0], how, 1)
            np.add.at(sums[:, 1], how, self.index.sizes[files])
            self.hidden += int(sums[:, 1].sum())
        return names, sums

    def show(self, names: np.ndarray, sums: np.ndarray) -> None:
        """Undo what `hide` did."""
        self.visible[names] = True
        if self.linked:
            np.add.at(self.left, self.index.file[names], 1)
        self.hidden -= int(sums[:, 1].sum())

    def _causes(self, upper: LayerIndex) -> np.ndarray:
        """Return how a layer above hides each name, `_NOT` if it does not; the first match of `HOW`."""
        index = self.index
        causes = self._by_directory(upper)
        causes[matches(index.names, upper.whiteouts)] = _WHITEOUT
        causes[matches(index.names, upper.entries)] = _OVERWRITTEN
        return causes

    def _by_directory(self, upper: LayerIndex) -> np.ndarray:
        """Return how names are hidden because of a directory above them."""
        tree = self.index.tree
        hashes = tree.hashes[tree.order]
        events = ((_NO_DIRECTORY, upper.others), (_OPAQUE, upper.opaque), (_WHITEOUT, upper.whiteouts))
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
    """Return the places of the values that are among the wanted ones; both rise, the wanted ones each once.

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
        self._undo: list[list[tuple[np.ndarray, np.ndarray]]] = []
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
        """Return this rank's chains of layers, each with its images: neighbours that take like time in all."""
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
        undo = [level.hide(index) for level in self._levels]
        hides = int(sum(sums[:, 1].sum() for _, sums in undo))
        self.hides[layer] = max(int(self.hides[layer]), hides)
        self._chain.append(layer)
        self._levels.append(Level(index))
        self._undo.append(undo)

    def _pop(self) -> None:
        self._chain.pop()
        self._levels.pop()
        for level, (names, sums) in zip(self._levels, self._undo.pop(), strict=True):
            level.show(names, sums)

    def _note(self, chain: tuple[int, ...], images: list[int]) -> None:
        """Note what the image on the stack hides."""
        how = sum((sums for undo in self._undo for _, sums in undo), np.zeros((_NOT, 2), np.int64))
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
