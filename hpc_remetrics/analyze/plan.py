"""The plan: which rank profiles which layers. Pure arithmetic, no input or output.

The layers are sorted by falling size. The biggest, 30 % of the estimated cost, are assigned before
the work begins, each to the rank with the least cost so far: a layer that is bigger than all others
together begins at once and is all that its rank has. The smaller ones are the tail: they are dealt
out on demand in shrinking chunks (`next_chunk`), so that no rank is idle at the end, however
unequal the ranks are.

    sizes   90  60 │ 50  40  30  20  20  10  10
             assigned   tail, dealt out from the front
    rank 1  90     │             30      10  10
    rank 2      60 │ 50  40          20  20

>>> from hpc_remetrics.records import Digest, Layer
>>> layers = [Layer(Digest(bytes([n]) * 32), n * 10**7, "oci_tar_gzip") for n in range(1, 9)]
>>> from hpc_remetrics.buckets import divide
>>> plan = make_plan(layers, ranks=2)
>>> [len(layers) for layers in plan.assigned], len(plan.tail)
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
"""Fraction of the whole cost that is dealt out on demand: a rank at a third of the mean speed is
done with the layers assigned to it when the others are done with everything."""

_SECONDS_PER_LAYER = 0.02
_SECONDS_PER_BYTE = 1e-7

_BYTES_PER_FILE = 8900.0
_FILES_PER_LAYER = 2945.0
"""Compressed bytes of a file, and files of a layer, in the images of 2017.

They had 47 TB, 5.28 billion files and 1.79 million layers.
"""


@dataclass(frozen=True)
class Plan:
    """Which layers each rank begins with, and which are dealt out later.

    :ivar assigned: `assigned[i]` are the first layers of the i-th profiling rank, biggest first.
    :ivar tail: layers that are dealt out on demand, from the front.
    """

    assigned: tuple[tuple[Layer, ...], ...]
    tail: tuple[Layer, ...]

    @property
    def layers(self) -> list[Layer]:
        """All layers of the plan."""
        return [layer for layers in (*self.assigned, self.tail) for layer in layers]


def files_of(layers: Sequence[Layer]) -> float:
    """Return how many files the layers have, about: as many a compressed byte as in 2017."""
    return sum(
        layer.size / _BYTES_PER_FILE if layer.size >= 0 else _FILES_PER_LAYER for layer in layers
    )


def cost(layer: Layer) -> float:
    """Return the estimated seconds of a layer; only ratios between layers matter."""
    return _SECONDS_PER_LAYER + max(layer.size, 0) * _SECONDS_PER_BYTE


def make_plan(layers: Iterable[Layer], ranks: int, tail: float = TAIL) -> Plan:
    """Return the plan for a number of profiling ranks; the order of the layers does not matter.

    :param tail: fraction of the whole cost that is dealt out on demand.
    :raises ValueError: there is no rank.
    """
    if ranks < 1:
        raise ValueError(f"a plan needs at least 1 profiling rank, got {ranks}")
    ordered = by_size(layers)
    costs = list(map(cost, ordered))
    # Every rank begins with a layer, where there are enough of them.
    start = max(_tail_start(costs, tail), min(ranks, len(ordered)))
    # Assign each layer to the rank with the least cost so far: the top of the heap.
    heap = [(0.0, rank) for rank in range(ranks)]
    assigned: list[list[Layer]] = [[] for _ in range(ranks)]
    for layer, seconds in zip(ordered[:start], costs, strict=False):
        load, rank = heap[0]
        assigned[rank].append(layer)
        heapq.heapreplace(heap, (load + seconds, rank))
    return Plan(tuple(map(tuple, assigned)), tuple(ordered[start:]))


def share_of(layers: Iterable[Layer], number: int, count: int) -> list[Layer]:
    """Return the layers of share `number` of `count` for `--share`; shares have like cost.

    Shares are counted from 1 and depend on the layers alone, whatever was done before.

    >>> from hpc_remetrics.records import Digest, Layer
    >>> layers = [Layer(Digest(bytes([n]) * 32), n * 10**7, "oci_tar_gzip") for n in range(1, 9)]
    >>> [[layer.size // 10**7 for layer in share_of(layers, k, 3)] for k in (1, 2, 3)]
    [[8, 3, 2], [7, 4, 1], [6, 5]]
    """
    return list(make_plan(layers, count, tail=0.0).assigned[number - 1])


def _tail_start(costs: Sequence[float], tail: float) -> int:
    """Return where the tail begins: the longest run at the end that costs no more than `tail`.

    :param costs: estimated seconds of the layers, falling.
    """
    remaining = tail * sum(costs)
    start = len(costs)
    while start and remaining >= costs[start - 1]:
        start -= 1
        remaining -= costs[start]
    return start


def next_chunk(left: float, ranks: int) -> float:
    """Return how many of the `left` seconds of work to deal to a rank that requests some.

    Chunks shrink towards the end, so that a rank at a quarter of the mean speed still ends with
    the others.

    >>> [next_chunk(left, 4) for left in (1600.0, 160.0, 1.6)]
    [100.0, 10.0, 0.1]
    """
    return left / (4 * ranks)
