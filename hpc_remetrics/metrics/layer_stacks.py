"""The layers of images as stacks, and the image whose whole stack another one's begins with.

All images are followed from the base up at once, one layer a step. Those whose layers have been
equal so far are one *node*, a number. An image is followed no further than others go with it:

    image  layers      step 1        step 2        step 3        nearest base
    P      A           node 0, ends                              none
    Q      A B         node 0        node 0, ends                P
    R      A B C       node 0        node 0        node 0, ends  Q, which has more layers than P
    S      A D         node 0        node 1, ends                P
    T      E F         node 1, the only one there                none

So the steps sort each layer of each image once at most, and no hash decides: layers have numbers,
and nodes are pairs of the node before and the next layer.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..arrays import numbered, summed_by
from ..mpi.comm import Comm
from .inputs import combined

_NO_RANK = np.iinfo(np.int64).max


@dataclass(frozen=True)
class LayerStacks:
    """The layers of all images, image after image, each from its base up.

    :ivar layer: (n,) int64, numbers of layers; equal layers have equal numbers.
    :ivar first: (images,) int64, place of each image's first layer.
    :ivar count: (images,) int64, layers of each image.
    """

    layer: np.ndarray
    first: np.ndarray
    count: np.ndarray

    def begins_with(self, image: int, other: int) -> bool:
        """Return whether the layers of an image begin with all layers of another one."""
        length = int(self.count[other])
        if length > self.count[image]:
            return False
        low = int(self.first[image])
        other_low = int(self.first[other])
        return np.array_equal(
            self.layer[low : low + length], self.layer[other_low : other_low + length]
        )

    def sums(self, values: np.ndarray, length: np.ndarray) -> np.ndarray:
        """Return the sums of values over the lowest layers of each image, (images,) int64.

        :param values: (n,) int64, a value for each place in `layer`.
        :param length: (images,) int64, how many of its layers are added up.
        """
        sums = np.append(0, np.cumsum(values))
        return sums[self.first + length] - sums[self.first]


def nearest_bases(
    comm: Comm, stacks: LayerStacks, platform: np.ndarray, priority: np.ndarray
) -> np.ndarray:
    """Return for each image the nearest other one whose layers its own begin with. Collective.

    Of several images with equal layers the first in order of priority is taken. An image without
    layers is no base.

    :param platform: (images,) int64; a base has the platform of its image.
    :param priority: (images,) int64, a permutation: the place of each image in the order.
    :returns: (images,) int64, row of the base, -1 where there is none; the same on every rank.
    """
    base = np.full(len(stacks.count), -1)
    _follow(stacks, _my_images(comm, stacks), platform, priority, base)
    return combined(comm, base, np.maximum)


def _my_images(comm: Comm, stacks: LayerStacks) -> np.ndarray:
    """Return the images of this rank, (n,) int64: those that begin alike belong to one rank."""
    images = np.flatnonzero(stacks.count)
    lowest, lowest_layers = numbered(stacks.layer[stacks.first[images]])
    # Cut the lowest layers into ranges that stand for about as many layers each: a lowest layer
    # belongs to the rank in whose range the middle of its own layers lies.
    costs = summed_by(lowest, stacks.count[images], lowest_layers)
    middles = 2 * np.cumsum(costs) - costs
    rank_of = middles * comm.size // max(2 * int(costs.sum()), 1)
    return images[rank_of[lowest] == comm.rank]


def _follow(
    stacks: LayerStacks,
    images: np.ndarray,
    platform: np.ndarray,
    priority: np.ndarray,
    base: np.ndarray,
) -> None:
    """Follow some images from the base up, and set the base of each, as the drawing shows."""
    by_priority = np.argsort(priority)
    node = np.zeros(len(images), np.int64)
    depth = 0
    while len(images):
        # Go one layer up: a node is the node before and the next layer.
        node = _pairs_numbered(node, stacks.layer[stacks.first[images] + depth])[0]
        depth += 1
        # Of the images that end here take the first in order, by node and platform.
        ends = stacks.count[images] == depth
        group, groups = _pairs_numbered(node, platform[images])
        ended = np.full(groups, _NO_RANK)
        np.minimum.at(ended, group[ends], priority[images[ends]])
        # It is the nearest base so far of those that go on.
        found = ended[group]
        is_higher = ~ends & (found != _NO_RANK)
        base[images[is_higher]] = by_priority[found[is_higher]]
        # Go on with the images that do not go on alone.
        users = np.bincount(node[~ends], minlength=len(images))
        goes_on = ~ends & (users[node] > 1)
        images = images[goes_on]
        node = node[goes_on]


def _pairs_numbered(first: np.ndarray, second: np.ndarray) -> tuple[np.ndarray, int]:
    """Return the place of each pair among the distinct pairs, (n,) int64, and their number.

    :param first: (n,) int64, at least 0 and below n, so that a pair fits into 64 bits; `second`
        likewise, below 2^32.
    """
    bits = np.uint64(int(second.max()).bit_length())
    return numbered(first.astype(np.uint64) << bits | second.astype(np.uint64))
