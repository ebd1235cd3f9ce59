"""Files that images ship and hide: a later layer overwrites or removes them, or their directory.

Layers are stacked as in an image; each layer pushed hides names of the *levels* below it. Images
are taken in the order of their layers, so that what two of them begin with is worked out once:

    images          push      the stack                            hidden
    A, B, C         A, B, C   A  etc/motd   ← C overwrites         in A: etc/motd
                              B  tmp/x      ← C: whiteout of tmp   in B: tmp/x
                              C  etc/motd, .wh.tmp
    A, B, D         pop C     A and B are as before C: what C hid is shown again
                    push D    …

A layer's cost does not grow with the number of levels below it: levels without a visible name are
passed over, and so is a whole block of levels that has no path in common with what the layer hides.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from itertools import pairwise
from typing import TypeAlias

import numpy as np

from ..arrays import distinct
from ..dataset.metrics_schema import HIDDEN_BY
from .inputs import MetricsInputs
from .layer_cache import LayerCache
from .layer_index import LayerIndex

HIDDEN = np.dtype([("row", "<i8"), ("bytes", "<i8")])
"""A row of /image_layers, and the bytes that its image hides of this layer; some are hidden."""

_VISIBLE = len(HIDDEN_BY)
"""In place of a cause, of a name that is not hidden."""

_NO_ROW = np.iinfo(np.int64).max
_NOTHING = np.empty(0, bool)

_BLOCK = 64
"""Levels of a block on the stack."""

_CHAIN_COST = 100
"""Cost of an image beside the entries of its layers, in entries."""

_OVERWRITTEN, _WHITEOUT, _OPAQUE, _NO_DIRECTORY = range(_VISIBLE)


class Level:
    """One layer on the stack, and which of its names are hidden.

    :ivar hidden: bytes of its files that are hidden.
    :ivar count: number of its visible names.
    :ivar visible: (names,) bool; empty where no name is visible.
    :ivar left: (files,) int64, visible names of each file; empty likewise.
    """

    visible: np.ndarray
    left: np.ndarray
    count: int

    def __init__(self, index: LayerIndex) -> None:
        self.index = index
        self.has_links = bool((index.links > 1).any())
        self.hidden = 0
        self._show_all()

    def hide(self, upper: LayerIndex) -> tuple[np.ndarray | None, np.ndarray]:
        """Hide the names that a layer above hides.

        :returns: the places of the names, (n,) int64, or None where all were visible and none is
            any more; and files and bytes by cause, (4, 2) int64.
        """
        sums = np.zeros((_VISIBLE, 2), np.int64)
        is_whole = self.count == len(self.index.names)
        if is_whole and upper is self.index:
            # A layer upon itself overwrites all of its names.
            sums[_OVERWRITTEN] = len(self.index.sizes), self.index.sizes.sum()
            self.hidden += int(sums[_OVERWRITTEN, 1])
            self._show_none()
            return None, sums
        causes = self._causes(upper)
        names = np.flatnonzero((causes < _VISIBLE) & self.visible)
        if len(names):
            # Hide the names, and count the files that have no other.
            self.visible[names] = False
            files, of_files = self._gone(names, causes[names])
            np.add.at(sums[:, 0], of_files, 1)
            np.add.at(sums[:, 1], of_files, self.index.sizes[files])
            self.hidden += int(sums[:, 1].sum())
            self.count -= len(names)
        if self.count:
            return names, sums
        # A layer without visible names holds no arrays: there may be thousands of them.
        self._show_none()
        return None if is_whole else names, sums

    def show(self, names: np.ndarray | None, sums: np.ndarray) -> None:
        """Undo a `hide`, given what it returned."""
        self.hidden -= int(sums[:, 1].sum())
        if names is None:
            return self._show_all()
        if not self.count:
            self.visible = np.zeros(len(self.index.names), bool)
            self.left = np.zeros_like(self.index.links) if self.has_links else self.index.links
        self.visible[names] = True
        self.count += len(names)
        if self.has_links:
            np.add.at(self.left, self.index.file[names], 1)

    def _show_all(self) -> None:
        index = self.index
        self.visible = np.ones(len(index.names), bool)
        self.left = index.links.copy() if self.has_links else index.links
        self.count = len(index.names)

    def _show_none(self) -> None:
        self.visible = _NOTHING
        self.left = self.index.links
        self.count = 0

    def _causes(self, upper: LayerIndex) -> np.ndarray:
        """Return the cause by which a layer above hides each name, the first of `HIDDEN_BY`.

        :returns: (names,) uint8, `_VISIBLE` where it hides a name by none.
        """
        names = self.index.names
        causes = self._by_directory(upper)
        causes[matches(names, upper.whiteouts)] = _WHITEOUT
        causes[matches(names, upper.entries)] = _OVERWRITTEN
        return causes

    def _by_directory(self, upper: LayerIndex) -> np.ndarray:
        """Return the cause by which a directory above each name hides it, (names,) uint8."""
        directories = self.index.directories
        hashes = directories.hashes[directories.order]
        # Find the directories that the layer removes, empties or replaces; first causes last.
        targets = (
            (_NO_DIRECTORY, upper.others),
            (_OPAQUE, upper.opaque),
            (_WHITEOUT, upper.whiteouts),
        )
        hits = [(cause, directories.order[matches(hashes, some)]) for cause, some in targets]
        if not any(len(places) for _, places in hits):
            return np.full(len(self.index.names), _VISIBLE, np.uint8)
        causes = np.full(len(hashes), _VISIBLE, np.uint8)
        for cause, places in hits:
            causes[places] = cause
        # Hand causes down to the directories below, one depth after another.
        levels = directories.levels.tolist()
        for low, high in pairwise(levels[1:]):
            above = causes[directories.above[low:high]]
            np.minimum(causes[low:high], above, out=causes[low:high])
        return causes[directories.parent]

    def _gone(self, names: np.ndarray, causes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the files of which no name is left, and the cause of each.

        :param names: (n,) places of names that have just been hidden, and `causes` theirs.
        """
        files = self.index.file[names]
        if not self.has_links:
            return files, causes
        np.subtract.at(self.left, files, 1)
        touched, place = np.unique(files, return_inverse=True)
        of_file = np.full(len(touched), _VISIBLE, np.uint8)
        np.minimum.at(of_file, place.ravel(), causes)
        is_gone = self.left[touched] == 0
        return touched[is_gone], of_file[is_gone]


def matches(sorted_values: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Return the places of the values that are among the wanted ones, (n,) int64, ascending.

    :param sorted_values: ascending; equal ones may be there.
    :param wanted: ascending and distinct.

    >>> matches(np.array([2, 2, 3, 5]), np.array([2, 4, 5])).tolist()
    [0, 1, 3]
    """
    if not len(sorted_values) or not len(wanted):
        return np.empty(0, np.int64)
    # Look up the fewer in the more.
    if len(sorted_values) <= len(wanted):
        place = np.minimum(np.searchsorted(wanted, sorted_values), len(wanted) - 1)
        return np.flatnonzero(wanted[place] == sorted_values)
    low = np.searchsorted(sorted_values, wanted)
    is_there = sorted_values[np.minimum(low, len(sorted_values) - 1)] == wanted
    low = low[is_there]
    high = np.searchsorted(sorted_values, wanted[is_there], "right")
    # Spell out the ranges from low to high.
    counts = high - low
    return np.repeat(low - (np.cumsum(counts) - counts), counts) + np.arange(counts.sum())


_Undo: TypeAlias = tuple[Level, "np.ndarray | None", np.ndarray]
"""A level, and what its `hide` returned."""


class LevelBlock:
    """Neighbouring levels of the stack, and all paths by which something in them may be hidden."""

    def __init__(self, levels: list[Level]) -> None:
        self.levels = levels
        self._names = distinct(np.concatenate([level.index.names for level in levels]))
        hashes = [level.index.directories.hashes for level in levels]
        self._directories = distinct(np.concatenate(hashes))

    def is_touched_by(self, upper: LayerIndex) -> bool:
        """Return whether a layer above may hide something here."""
        if not any(level.count for level in self.levels):
            return False
        of_names = (upper.entries, upper.whiteouts)
        if any(len(matches(self._names, wanted)) for wanted in of_names):
            return True
        of_directories = (upper.whiteouts, upper.opaque, upper.others)
        return any(len(matches(self._directories, wanted)) for wanted in of_directories)


class HiddenPass:
    """Stacks the layers of this rank's share of the images.

    :ivar images: (images, 2) int64, files and bytes that each image hides.
    :ivar causes: (4, 2) int64, the same for all images by cause.
    :ivar fewest: (layers,) int64, hidden bytes of each layer in the image where the fewest are;
        `most` where the most are.
    :ivar hides: (layers,) int64, the most bytes that each layer is the first to hide in an image.
    """

    def __init__(self, inputs: MetricsInputs) -> None:
        layers = len(inputs.was_read)
        self.inputs = inputs
        self.images = np.zeros((len(inputs.dataset.images), 2), np.int64)
        self.causes = np.zeros((_VISIBLE, 2), np.int64)
        self.fewest = np.full(layers, _NO_ROW)
        self.most = np.zeros(layers, np.int64)
        self.hides = np.zeros(layers, np.int64)
        self._first = inputs.dataset.images["first_layer"].tolist()
        self._hidden = array("q")
        # The stack: layers, their levels, what each hid, and the sums up to each.
        self._chain: list[int] = []
        self._levels: list[Level] = []
        self._blocks: list[LevelBlock] = []
        self._undo: list[list[_Undo]] = []
        self._sums: list[np.ndarray] = [np.zeros((_VISIBLE, 2), np.int64)]
        self._indexes = LayerCache(self._index_of, inputs.memory // 2)
        self._empty: LayerIndex | None = None

    def _index_of(self, layer: int) -> LayerIndex:
        """Return the index of a layer; those without entries, which are many, have the same."""
        if self.inputs.layer("entries")[layer]:
            return LayerIndex(self.inputs, layer)
        self._empty = self._empty or LayerIndex(self.inputs, layer)
        return self._empty

    @property
    def image_layers(self) -> np.ndarray:
        """The hidden bytes of each layer of this rank's images, (n,) `HIDDEN`."""
        return np.frombuffer(self._hidden, np.int64).view(HIDDEN)

    def run(self) -> None:
        """Work out this rank's share of the images."""
        for chain, images in self._share():
            kept = common_length(self._chain, chain)
            while len(self._chain) > kept:
                self._pop()
            for layer in chain[kept:]:
                self._push(layer)
            self._note(chain, images)

    def _share(self) -> Iterator[tuple[tuple[int, ...], list[int]]]:
        """Yield this rank's chains of layers, each with its images.

        Chains are sorted, and a rank gets neighbours, of about the same cost as other ranks.
        """
        inputs = self.inputs
        layer = inputs.image_layers
        first = inputs.dataset.images["first_layer"].astype(np.int64)
        count = inputs.dataset.images["layers"].astype(np.int64)
        # Images with the same layers are one chain.
        images, starts = sorted_chains(layer, first, count)
        heads = images[starts]
        # A chain costs the entries of the layers that are pushed for it.
        sums = np.append(0, np.cumsum(inputs.layer("entries")[layer]))
        pushed = first[heads] + common_lengths(layer, first[heads], count[heads])
        costs = _CHAIN_COST + sums[first[heads] + count[heads]] - sums[pushed]
        del sums
        rank_of = (np.cumsum(costs) - 1) * inputs.comm.size // max(int(costs.sum()), 1)
        stops = np.append(starts[1:], len(images))
        for place in np.flatnonzero(rank_of == inputs.comm.rank).tolist():
            low = int(first[heads[place]])
            chain = layer[low : low + int(count[heads[place]])]
            yield tuple(chain.tolist()), images[starts[place] : stops[place]].tolist()

    def _push(self, layer: int) -> None:
        """Put a layer on the stack, and hide what it hides."""
        index = self._indexes[layer]
        undo: list[_Undo] = []
        total = np.zeros((_VISIBLE, 2), np.int64)

        # Hide what the layer removes or replaces in each level below.
        for level in self._below(index):
            if not level.count:
                continue
            names, sums = level.hide(index)
            if names is None or len(names):
                undo.append((level, names, sums))
                total += sums
        self.hides[layer] = max(int(self.hides[layer]), int(total[:, 1].sum()))

        # Put it on the stack, with what undoes this.
        self._chain.append(layer)
        self._levels.append(Level(index))
        self._undo.append(undo)
        self._sums.append(self._sums[-1] + total)
        if len(self._levels) % _BLOCK == 0:
            self._blocks.append(LevelBlock(self._levels[-_BLOCK:]))

    def _below(self, index: LayerIndex) -> Iterator[Level]:
        """Yield the levels in which a layer may hide something, and some more."""
        levels = self._levels
        if levels and levels[-1].index is index:
            # The same layer is right below: it has hidden everything further below.
            yield levels[-1]
            return
        for block in self._blocks:
            if block.is_touched_by(index):
                yield from block.levels
        yield from levels[_BLOCK * len(self._blocks) :]

    def _pop(self) -> None:
        """Take the uppermost layer off the stack, and show what it hid."""
        self._chain.pop()
        self._levels.pop()
        self._sums.pop()
        del self._blocks[len(self._levels) // _BLOCK :]
        for level, names, sums in self._undo.pop():
            level.show(names, sums)

    def _note(self, chain: tuple[int, ...], images: list[int]) -> None:
        """Note what the images whose layers are on the stack hide."""
        sums = self._sums[-1]
        self.images[images] = sums.sum(axis=0)
        self.causes += len(images) * sums
        hidden = [level.hidden for level in self._levels]
        np.minimum.at(self.fewest, list(chain), hidden)
        np.maximum.at(self.most, list(chain), hidden)
        some = [(place, size) for place, size in enumerate(hidden) if size]
        for image in images:
            for place, size in some:
                self._hidden.extend((self._first[image] + place, size))


def sorted_chains(
    layer: np.ndarray, first: np.ndarray, count: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Sort images by their layers, base first, without a Python object for each.

    :param layer: (n,) int64, the layers of all images.
    :param first: (images,) int64, place of each image's first layer; `count` its layers.
    :returns: (images,) int64, the images in order, equal ones ascending; and (chains,) int64, where
        images with other layers begin.

    >>> layer = np.array([5, 6, 5, 5, 6])
    >>> [part.tolist() for part in sorted_chains(layer, np.array([0, 2, 3]), np.array([2, 1, 2]))]
    [[1, 0, 2], [0, 1]]
    """
    # A group are the images that are equal so far; its number is the place where it will begin.
    group = np.zeros(len(first), np.int64)
    images = np.arange(len(first))
    depth = 0
    while len(images):
        # Cut the groups by the next layer; an image that has none comes first.
        has_next = count[images] > depth
        following = np.zeros(len(images), np.int64)
        following[has_next] = layer[first[images[has_next]] + depth] + 1
        order = np.lexsort((following, group[images]))
        images = images[order]
        following = following[order]
        before = group[images]
        is_new_group = np.append(True, before[1:] != before[:-1])
        is_new = is_new_group | np.append(True, following[1:] != following[:-1])
        begins = np.flatnonzero(is_new)
        lengths = np.diff(np.append(begins, len(images)))
        group_begin = np.maximum.accumulate(np.where(is_new_group, np.arange(len(images)), 0))
        group[images] = before + np.repeat(begins, lengths) - group_begin
        # Go on with the images that are not alone, and have not ended.
        images = images[(following > 0) & (np.repeat(lengths, lengths) > 1)]
        depth += 1
    order = np.argsort(group, kind="stable")
    ordered = group[order]
    return order, np.flatnonzero(np.append(True, ordered[1:] != ordered[:-1])[: len(order)])


def common_lengths(layer: np.ndarray, first: np.ndarray, count: np.ndarray) -> np.ndarray:
    """Return how many layers each of some images has in common with the one before.

    :param layer: (n,) int64, the layers of all images.
    :param first: (images,) int64, place of each image's first layer; `count` its layers.
    :returns: (images,) int64; the first one is 0.

    >>> common_lengths(np.array([5, 6, 5, 5, 7]), np.array([0, 2, 3]), np.array([2, 1, 2])).tolist()
    [0, 1, 1]
    """
    lengths = np.zeros(len(first), np.int64)
    images = np.arange(1, len(first))
    depth = 0
    while len(images):
        images = images[np.minimum(count[images], count[images - 1]) > depth]
        is_equal = layer[first[images] + depth] == layer[first[images - 1] + depth]
        images = images[is_equal]
        lengths[images] += 1
        depth += 1
    return lengths


def common_length(one: list[int] | tuple[int, ...], other: tuple[int, ...]) -> int:
    """Return the number of layers that two images have in common from the base up.

    >>> common_length([1, 2, 3], (1, 2, 4))
    2
    """
    length = 0
    for first, second in zip(one, other, strict=False):
        if first != second:
            break
        length += 1
    return length
