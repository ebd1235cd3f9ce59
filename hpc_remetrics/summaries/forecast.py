"""Forecast time, scratch and memory of a run from the times of an earlier run.

>>> rates = Rates(
...     layer_seconds=0.5, byte_seconds=1e-7, entries_a_byte=1e-4, wall_a_cpu=1.0,
...     rank_bytes=300_000_000,
... )
>>> result = forecast(rates, [10**7] * 1000, [0] * 1000, ranks=11, nodes=1)
>>> result.profile_seconds, result.gather_seconds
(150.0, 0.9)
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..dataset.reader import Dataset, reading
from ..errors import UsageError
from ..filetype.shared_table import slots_for
from ..limits import AHEAD_BYTES, AHEAD_LAYERS, UNPACKED

_GATHER_ROWS = 100_000
"""Entries that a rank gathers a second."""

_SPILL_BYTES = 128 << 20
"""Bytes that a rank's unpublished layers, and the part made of them, take on scratch."""

_ROW_BYTES = 160
"""Bytes on scratch of an entry on its way through a gather."""

_ANY_SIZE = 1 << 60
"""Bytes that a table of types may take: how much memory the nodes have isn't known here."""

_MIN_RANK_BYTES = 1_000_000_000


@dataclass(frozen=True)
class Rates:
    """What an earlier run took.

    :ivar layer_seconds: CPU seconds of a layer whatever its size; `byte_seconds`: CPU seconds of
        each compressed byte.
    :ivar entries_a_byte: entries for each compressed byte.
    :ivar wall_a_cpu: wall-clock seconds for each CPU second; more than 1 where ranks share cores or
        wait for disks.
    :ivar rank_bytes: peak memory of a rank and its child together.
    """

    layer_seconds: float
    byte_seconds: float
    entries_a_byte: float
    wall_a_cpu: float
    rank_bytes: int


@dataclass(frozen=True)
class Forecast:
    """What a run will take.

    :ivar profile_seconds: wall-clock seconds of the profiling; `longest_seconds`: of the longest
        layer; `gather_seconds`: of the gather.
    :ivar scratch_bytes: on the node that needs most; `memory_bytes` likewise.
    :ivar rank_memory_bytes: memory to request for each rank: one and a half times what a rank of
        the earlier run took, at least 1 GB.
    :ivar limit_seconds: time limit to request: one and a half times the forecast and a minute, in
        whole quarters of an hour.
    """

    ranks: int
    nodes: int
    profile_seconds: float
    longest_seconds: float
    gather_seconds: float
    entries: int
    scratch_bytes: int
    memory_bytes: int
    rank_memory_bytes: int
    limit_seconds: int


def rates_of(path: Path) -> Rates:
    """Return the rates of the run that made a dataset.

    :raises UsageError: the dataset does not tell how long its layers took.
    """
    with Dataset(path) as dataset, reading(dataset):
        return _rates(dataset)


def _rates(dataset: Dataset) -> Rates:
    # Take the layers whose time is known
    seconds = dataset.run_table("layers").get("cpu_seconds", np.empty(0))
    profiled = seconds > 0
    if not profiled.any():
        message = f"{dataset.path} does not tell how long its layers took"
        raise UsageError(message, "take a dataset that this version made")
    seconds = seconds[profiled].astype(float)
    size = dataset.layers["CLS"][profiled].astype(float)
    all_seconds = float(seconds.sum())
    all_bytes = max(float(size.sum()), 1.0)
    layer_seconds = _layer_seconds(seconds, size)

    # The ranks' children were busy for longer than the CPU seconds of their layers
    jobs = dataset.run_table("job_ranks")
    busy = float(jobs["busy_seconds"].sum()) if jobs else all_seconds
    ranks = dataset.ranks
    return Rates(
        layer_seconds=layer_seconds,
        byte_seconds=max(all_seconds - layer_seconds * len(seconds), 0.0) / all_bytes,
        entries_a_byte=int(dataset.layers["entries"].sum()) / all_bytes,
        wall_a_cpu=max(busy / all_seconds, 1.0),
        rank_bytes=int((ranks["peak_memory"] + ranks["child_peak_memory"]).max()),
    )


def _layer_seconds(seconds: np.ndarray, size: np.ndarray) -> float:
    """Return the CPU seconds of a layer of no size.

    It is the median over the smallest tenth of the layers, less what their bytes take at the mean
    rate of all layers.

    :param seconds: (n,) CPU seconds of each layer, and `size`: (n,) compressed bytes.
    """
    small = np.argsort(size)[: max(len(size) // 10, 1)]
    rate = seconds.sum() / max(size.sum(), 1.0)
    return float(max(np.median(seconds[small] - rate * size[small]), 0.0))


def forecast(
    rates: Rates,
    sizes: Sequence[int],
    fetched: Sequence[int],
    *,
    ranks: int,
    nodes: int,
    unpack: bool = False,
    reused: Sequence[int] = (),
) -> Forecast:
    """Predict a run.

    :param sizes: compressed bytes of each layer, below 0 where that is unknown.
    :param fetched: bytes of each layer that are copied to scratch, 0 if it is read in place.
    :param ranks: number of ranks with rank 0; `nodes`: number of nodes that they run on.
    :param unpack: whether layers are unpacked on scratch.
    :param reused: compressed bytes of layers that are taken from earlier datasets: they are
        gathered, and not profiled.
    """
    workers = max(ranks - 1, 1)
    ranks_per_node = math.ceil(ranks / nodes)
    sizes = [max(size, 0) for size in sizes]

    # Profile: all ranks share the work, but no layer is divided
    cpu_seconds = [rates.layer_seconds + rates.byte_seconds * size for size in sizes]
    times = [rates.wall_a_cpu * seconds for seconds in cpu_seconds]
    longest = max(times, default=0.0)
    profile = max(sum(times) / workers, longest)

    # Gather: all ranks share the entries
    profiled = int(rates.entries_a_byte * sum(sizes))
    entries = profiled + int(rates.entries_a_byte * sum(max(size, 0) for size in reused))
    gather = entries / (_GATHER_ROWS * ranks)

    # The table of types that the ranks of a node share, on scratch and in memory
    table_bytes = 8 * slots_for(profiled / nodes, _ANY_SIZE)

    # Scratch: layers that are prefetched and unpacked, and spills; later the rows of the gather
    unpacked = [UNPACKED * size if unpack else 0 for size in sizes]
    taken = [max(blob, 0) + tree for blob, tree in zip(fetched, unpacked, strict=True)]
    profile_bytes = _ahead_bytes(taken, ranks_per_node) + ranks_per_node * _SPILL_BYTES
    gather_bytes = _ROW_BYTES * entries // nodes

    rank_memory = 3 * rates.rank_bytes // 2 + table_bytes // ranks_per_node
    return Forecast(
        ranks=ranks,
        nodes=nodes,
        profile_seconds=round(profile, 1),
        longest_seconds=round(longest, 1),
        gather_seconds=round(gather, 1),
        entries=entries,
        scratch_bytes=table_bytes + max(profile_bytes, gather_bytes),
        memory_bytes=ranks_per_node * rates.rank_bytes + table_bytes,
        rank_memory_bytes=max(rank_memory, _MIN_RANK_BYTES),
        limit_seconds=900 * math.ceil((1.5 * (profile + gather) + 60) / 900),
    )


def _ahead_bytes(taken: Sequence[int], ranks: int) -> int:
    """Return the most bytes that the prefetched layers of a node take on scratch at a time.

    :param taken: bytes that each layer of the run takes there.
    :param ranks: number of ranks of the node.
    """
    largest = sum(heapq.nlargest(AHEAD_LAYERS * ranks, taken))
    allowed = ranks * max(AHEAD_BYTES, max(taken, default=0))
    return min(largest, allowed)
