"""Which layers there are to profile, and who takes which: pure arithmetic, no input or output.

The plan for N ranks: the layers are divided by size into four buckets, as the 2017 tool's job
divider did; the biggest are dealt out first, each to the rank with the least to do so far, so that
one that is bigger than a share begins at once and is all that its rank has; the smaller ones are
kept back as the tail, dealt out on demand in shrinking chunks, so that no rank idles at the end,
however unequal the ranks are.

>>> from hpc_remetrics.records import Digest, Layer
>>> layers = [Layer(Digest(bytes([n]) * 32), n * 10**7, "oci_tar_gzip") for n in range(1, 9)]
>>> from hpc_remetrics.buckets import divide
>>> plan = make_plan(layers, ranks=2)
>>> [len(share) for share in plan.shares], len(plan.tail)
([1, 1], 6)
>>> sum(len(bucket.layers) for bucket in divide(layers)) == len(layers)
True
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ..buckets import by_size
from ..records import Layer

TAIL = 0.7
"""Share of the whole cost that is kept back to be dealt out on demand: a rank at a third of the
mean speed ends its share with the others."""

_SECONDS_A_LAYER, _SECONDS_A_BYTE = 0.02, 1e-7


@dataclass(frozen=True)
class Plan:
    """`shares[i]` goes to the i-th profiling rank at the start; `tail` is dealt out on demand, from
    its front."""

    shares: tuple[tuple[Layer, ...], ...]
    tail: tuple[Layer, ...]


def cost(layer: Layer) -> float:
    """Return the estimated seconds of a layer; only ratios matter."""
    return _SECONDS_A_LAYER + max(layer.size, 0) * _SECONDS_A_BYTE


def make_plan(layers: Iterable[Layer], ranks: int, tail: float = TAIL) -> Plan:
    """Plan for `ranks` profiling ranks; `ValueError` if there are none."""
    if ranks < 1:
        raise ValueError(f"a plan needs at least 1 profiling rank, got {ranks}")
    ordered = by_size(layers)
    costs = list(map(cost, ordered))
    kept = max(_tail_start(costs, tail), min(ranks, len(ordered)))
    heap = [(0.0, rank) for rank in range(ranks)]
    shares: list[list[Layer]] = [[] for _ in range(ranks)]
    for layer, seconds in zip(ordered[:kept], costs, strict=False):
        load, rank = heap[0]
        shares[rank].append(layer)
        heapq.heapreplace(heap, (load + seconds, rank))
    return Plan(tuple(map(tuple, shares)), tuple(ordered[kept:]))


def share_of(layers: Iterable[Layer], number: int, count: int) -> list[Layer]:
    """Return the `number`-th of `count` shares of like cost, from 1: the same whatever was done
    before.

    >>> from hpc_remetrics.records import Digest, Layer
    >>> layers = [Layer(Digest(bytes([n]) * 32), n * 10**7, "oci_tar_gzip") for n in range(1, 9)]
    >>> [[layer.size // 10**7 for layer in share_of(layers, k, 3)] for k in (1, 2, 3)]
    [[8, 3, 2], [7, 4, 1], [6, 5]]
    """
    return list(make_plan(layers, count, tail=0.0).shares[number - 1])


def _tail_start(costs: Sequence[float], tail: float) -> int:
    """Return where the tail begins in costs that fall."""
    rest = tail * sum(costs)
    start = len(costs)
    while start and rest >= costs[start - 1]:
        start -= 1
        rest -= costs[start]
    return start


def next_chunk(left: float, ranks: int) -> float:
    """Return how many of the `left` seconds of work to deal to a rank that asks: less and less
    towards the end.

    A rank at a quarter of the mean speed still ends with the others.

    >>> [next_chunk(left, 4) for left in (1600.0, 160.0, 1.6)]
    [100.0, 10.0, 0.1]
    """
    return left / (4 * ranks)
