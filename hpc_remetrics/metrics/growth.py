"""The growth of deduplication: contents of the first n layers of random orders.

A content comes with the first of its layers, so its place in an order is the minimum of the places
of its layers:

    order 0    layers  2 0 1      n     content 7 (layers 0, 1)    content 9 (layer 2)
    places     layer 2 → 1        1                                here
               layer 0 → 2        2     here: min(2, 3)
               layer 1 → 3        3

The curve of an order is the cumulative sum over its places. Of many layers only some n, the
checkpoints, are looked at.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..arrays import distinct, ratio, summed_by
from ..mpi.comm import Comm
from .inputs import MetricsInputs, combined

ORDERS = 16

_POINTS = 60
"""Checkpoints that are evenly spaced, and as many with even ratios."""


def order_of(prefixes: np.ndarray, order: int) -> np.ndarray:
    """Return the layers in one of the random orders, which depend on the digests alone.

    They are sorted by splitmix64's finaliser of their digests.

    :param prefixes: (layers,) uint64, the first eight bytes of the digests as big-endian numbers.
    """
    mixed = prefixes + np.uint64((order + 1) * 0x9E3779B97F4A7C15 & 0xFFFFFFFFFFFFFFFF)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.argsort(mixed ^ (mixed >> np.uint64(31)), kind="stable")


def checkpoints(layers: int) -> np.ndarray:
    """Return the numbers of layers that are looked at, (n,) int64, ascending, the last is all.

    >>> checkpoints(3).tolist()
    [1, 2, 3]
    """
    if not layers:
        return np.empty(0, np.int64)
    spaced = [np.linspace(1, layers, _POINTS), np.geomspace(1, layers, _POINTS)]
    return distinct(np.concatenate(spaced).round().astype(np.int64))


class Growth:
    """Counts, on this rank, the contents that first appear at each checkpoint of each order.

    :ivar points: (points,) int64, the checkpoints.
    :ivar step: (orders, layers) uint16, the first checkpoint that includes the layer.
    :ivar contents: (orders, points) int64, contents that come with it; `bytes` their bytes.
    """

    def __init__(self, inputs: MetricsInputs) -> None:
        # Find for each layer, in each order, the first checkpoint that includes it.
        read = np.flatnonzero(inputs.was_read)
        digests = inputs.dataset.layers["digest"][read]
        prefixes = np.frombuffer(digests.tobytes(), ">u8")[::4].astype(np.uint64)
        self.points = checkpoints(len(read))
        steps = np.searchsorted(self.points, np.arange(1, len(read) + 1)).astype(np.uint16)
        self.step = np.zeros((ORDERS, len(inputs.was_read)), np.uint16)
        for order in range(ORDERS):
            self.step[order, read[order_of(prefixes, order)]] = steps
        self.contents = np.zeros((ORDERS, len(self.points)), np.int64)
        self.bytes = np.zeros((ORDERS, len(self.points)), np.int64)
        self._inputs = inputs
        self._read = read

    def add(self, layer: np.ndarray, starts: np.ndarray, sizes: np.ndarray) -> None:
        """Add contents.

        :param layer: (pairs,) int64, the layers of each content, content after content.
        :param starts: (contents,) int64, where each content's layers begin.
        :param sizes: (contents,) int64, bytes.
        """
        if not len(starts):
            return
        for order in range(ORDERS):
            # A content comes with the first of its layers.
            first = np.minimum.reduceat(self.step[order][layer], starts)
            self.contents[order] += np.bincount(first, minlength=len(self.points))
            np.add.at(self.bytes[order], first, sizes)

    def table(self, comm: Comm) -> dict[str, np.ndarray]:
        """Combine the counts of all ranks; return the table `growth` on rank 0. Collective."""
        contents = combined(comm, self.contents)
        sizes = combined(comm, self.bytes)
        if comm.rank != comm.root:
            return {}
        # Add up, order by order, files over the layers, and contents over the checkpoints.
        files = [self._cumulated(order, "files") for order in range(ORDERS)]
        file_bytes = [self._cumulated(order, "FLS") for order in range(ORDERS)]
        table = {
            "order": np.repeat(np.arange(ORDERS), len(self.points)),
            "layers": np.tile(self.points, ORDERS),
            "files": np.concatenate(files),
            "contents": np.cumsum(contents, axis=1).ravel(),
            "bytes": np.concatenate(file_bytes),
            "content_bytes": np.cumsum(sizes, axis=1).ravel(),
        }
        table["dedup_ratio_by_count"] = ratio(table["files"], table["contents"])
        table["dedup_ratio_by_capacity"] = ratio(table["bytes"], table["content_bytes"])
        return table

    def _cumulated(self, order: int, name: str) -> np.ndarray:
        """Return the sums of a column of /layers up to each checkpoint of an order."""
        values = self._inputs.layer(name)[self._read]
        return np.cumsum(summed_by(self.step[order, self._read], values, len(self.points)))


def growth_summary(table: dict[str, np.ndarray]) -> dict[str, Any]:
    """Return the table `growth_summary`: mean, min, max and std over the orders of `growth`."""
    result: dict[str, Any] = {"layers": table["layers"].reshape(ORDERS, -1)[0]}
    for name in ("dedup_ratio_by_count", "dedup_ratio_by_capacity"):
        values = table[name].reshape(ORDERS, -1)
        result[f"{name}_mean"] = values.mean(axis=0)
        result[f"{name}_min"] = values.min(axis=0)
        result[f"{name}_max"] = values.max(axis=0)
        result[f"{name}_std"] = values.std(axis=0, ddof=1)
    return result
