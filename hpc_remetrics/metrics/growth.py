"""Growth of deduplication: what the first n layers of several random orders hold, from one pass.

A content comes with the first of its layers, so its place in an order is the least place of its
layers.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .inputs import Inputs, summed_by
from .sorting import distinct

ORDERS = 16
_POINTS = 60
"""Numbers of layers that are looked at, evenly spaced, and as many with even ratios."""


def order_of(prefixes: np.ndarray, order: int) -> np.ndarray:
    """Return the layers in a random order, the same for ever: by the finaliser of splitmix64 of
    their digests.

    :param prefixes: the first eight bytes of the digests, as big-endian numbers.
    """
    mixed = prefixes + np.uint64((order + 1) * 0x9E3779B97F4A7C15 & 0xFFFFFFFFFFFFFFFF)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.argsort(mixed ^ (mixed >> np.uint64(31)), kind="stable")


def checkpoints(layers: int) -> np.ndarray:
    """Return the numbers of layers that are looked at, rising, the last all of them.

    >>> checkpoints(3).tolist()
    [1, 2, 3]
    """
    if not layers:
        return np.empty(0, np.int64)
    even = np.linspace(1, layers, _POINTS)
    return distinct(
        np.concatenate([even, np.geomspace(1, layers, _POINTS)]).round().astype(np.int64)
    )


class Growth:
    """Counts the contents that come before each checkpoint of each order."""

    def __init__(self, inputs: Inputs) -> None:
        read = np.flatnonzero(inputs.read)
        digests = inputs.dataset.layers["digest"][read]
        prefixes = np.frombuffer(digests.tobytes(), ">u8")[::4].astype(np.uint64)
        self.points = checkpoints(len(read))
        self.step = np.zeros((ORDERS, len(inputs.read)), np.uint16)
        """Of each order and layer the first checkpoint that has the layer."""
        steps = np.searchsorted(self.points, np.arange(1, len(read) + 1)).astype(np.uint16)
        for order in range(ORDERS):
            self.step[order, read[order_of(prefixes, order)]] = steps
        self.contents = np.zeros((ORDERS, len(self.points)), np.int64)
        self.bytes = np.zeros((ORDERS, len(self.points)), np.int64)
        self._inputs, self._read = inputs, read

    def add(self, layer: np.ndarray, starts: np.ndarray, sizes: np.ndarray) -> None:
        """Take contents: the layers of each, one content after the other, where each begins, and
        their sizes."""
        for order in range(ORDERS if len(starts) else 0):
            first = np.minimum.reduceat(self.step[order][layer], starts)
            self.contents[order] += np.bincount(first, minlength=len(self.points))
            np.add.at(self.bytes[order], first, sizes)

    def table(self, contents: np.ndarray, sizes: np.ndarray) -> dict[str, np.ndarray]:
        """Return `growth`, from what all ranks counted."""
        files = [self._summed(order, "files") for order in range(ORDERS)]
        size = [self._summed(order, "FLS") for order in range(ORDERS)]
        table = {
            "order": np.repeat(np.arange(ORDERS), len(self.points)),
            "layers": np.tile(self.points, ORDERS),
            "files": np.concatenate(files),
            "contents": np.cumsum(contents, axis=1).reshape(-1),
            "bytes": np.concatenate(size),
            "content_bytes": np.cumsum(sizes, axis=1).reshape(-1),
        }
        table["dedup_ratio_by_count"] = ratio(table["files"], table["contents"])
        table["dedup_ratio_by_capacity"] = ratio(table["bytes"], table["content_bytes"])
        return table

    def _summed(self, order: int, name: str) -> np.ndarray:
        values = self._inputs.layer(name)[self._read]
        return np.cumsum(summed_by(self.step[order, self._read], values, len(self.points)))


def growth_summary(table: dict[str, np.ndarray]) -> dict[str, Any]:
    """Return `growth_summary`: at each number of layers what the orders say together."""
    found: dict[str, Any] = {"layers": table["layers"].reshape(ORDERS, -1)[0]}
    for name in ("dedup_ratio_by_count", "dedup_ratio_by_capacity"):
        values = table[name].reshape(ORDERS, -1)
        found[f"{name}_mean"] = values.mean(axis=0)
        found[f"{name}_min"] = values.min(axis=0)
        found[f"{name}_max"] = values.max(axis=0)
        found[f"{name}_std"] = values.std(axis=0, ddof=1)
    return found


def ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """Return quotients, NaN where the denominator is 0.

    >>> ratio(np.array([1, 2]), np.array([2, 0])).tolist()
    [0.5, nan]
    """
    part, whole = np.asarray(part, float), np.asarray(whole, float)
    return np.divide(part, whole, out=np.full(part.shape, np.nan), where=whole != 0)
