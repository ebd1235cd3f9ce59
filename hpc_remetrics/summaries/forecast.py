"""Forecast time, scratch and memory of a run from the times of an earlier run.

>>> rates = Rates(layer_seconds=0.5, byte_seconds=1e-7, entries_a_byte=1e-4, wall_a_cpu=1.0, rank_bytes=300_000_000)
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
from ..limits import AHEAD_BYTES, AHEAD_LAYERS, UNPACKED

_GATHER_ROWS = 100_000
"""Entries that a rank gathers a second."""

_SPILL = 128 << 20
"""Bytes that a rank's unpublished layers, and the part made of them, take on scratch."""

_ROW = 160
"""Bytes on scratch of an entry on its way through a gather."""

_TABLE = 64 << 20
_LEAST_MEMORY = 1_000_000_000


@dataclass(frozen=True)
class Rates:
    """What an earlier run took.

    :ivar layer_seconds: CPU seconds of a layer whatever its size, and `byte_seconds` of each
    compressed byte.
    :ivar entries_a_byte: entries for each compressed byte.
    :ivar wall_a_cpu: seconds for each CPU second, as ranks that share cores or wait for disks have
    it.
    :ivar rank_bytes: peak memory of a rank and its child together.
    """

    layer_seconds: float
    byte_seconds: float
    entries_a_byte: float
    wall_a_cpu: float
    rank_bytes: int


@dataclass(frozen=True)
class Forecast:
    """What a run will take; `scratch_bytes` and `memory_bytes` of the node that needs most.

    :ivar rank_memory_bytes: what to ask for each rank: half as much again as the earlier run took,
    1 GB at least.
    :ivar limit_seconds: a time limit with half as much again, in whole quarters of an hour.
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
    """Return the rates of the run that made a dataset; `UsageError` if it does not tell."""
    with Dataset(path) as dataset, reading(dataset):
        return _rates(dataset)


def _rates(dataset: Dataset) -> Rates:
    seconds = dataset.run_table("layers").get("cpu_seconds", np.empty(0))
    size, entries = dataset.layers["CLS"].astype(float), int(dataset.layers["entries"].sum())
    jobs, ranks = dataset.run_table("job_ranks"), dataset.ranks
    profiled = seconds > 0
    if not profiled.any():
        raise UsageError(
            f"{dataset.path} does not tell how long its layers took",
            "take a dataset that this version made",
        )
    seconds, size = seconds[profiled].astype(float), size[profiled]
    fixed = _fixed(seconds, size)
    busy = float(jobs["busy_seconds"].sum()) if jobs else float(seconds.sum())
    return Rates(
        layer_seconds=fixed,
        byte_seconds=max(seconds.sum() - fixed * len(seconds), 0.0) / max(size.sum(), 1.0),
        entries_a_byte=entries / max(size.sum(), 1.0),
        wall_a_cpu=max(busy / seconds.sum(), 1.0),
        rank_bytes=int((ranks["peak_memory"] + ranks["child_peak_memory"]).max()),
    )


def _fixed(seconds: np.ndarray, size: np.ndarray) -> float:
    """Return the seconds of a layer of no size: the median of the smallest tenth, less what their
    bytes take."""
    small = np.argsort(size)[: max(len(size) // 10, 1)]
    rate = seconds.sum() / max(size.sum(), 1.0)
    return float(max(np.median(seconds[small] - rate * size[small]), 0.0))


def forecast(
    rates: Rates,
    sizes: Sequence[int],
    fetched: Sequence[int],
    ranks: int,
    nodes: int,
    unpack: bool = False,
) -> Forecast:
    """Predict a run over layers of these compressed sizes.

    :param fetched: bytes of each that are brought to scratch, 0 for those that are read in place.
    :param ranks: rank 0 included, and `nodes` that they run on.
    :param unpack: the layers are unpacked on scratch.
    """
    workers, here = max(ranks - 1, 1), math.ceil(ranks / nodes)
    times = [
        rates.wall_a_cpu * (rates.layer_seconds + rates.byte_seconds * max(size, 0))
        for size in sizes
    ]
    longest = max(times, default=0.0)
    profile = max(sum(times) / workers, longest)
    entries = int(rates.entries_a_byte * sum(max(size, 0) for size in sizes))
    gather = entries / (_GATHER_ROWS * ranks)
    taken = [
        max(blob, 0) + UNPACKED * unpack * max(size, 0)
        for size, blob in zip(sizes, fetched, strict=True)
    ]
    blobs = min(
        sum(heapq.nlargest(AHEAD_LAYERS * here, taken)),
        here * max(AHEAD_BYTES, max(taken, default=0)),
    )
    scratch = _TABLE + max(blobs + here * _SPILL, _ROW * entries // nodes)
    return Forecast(
        ranks,
        nodes,
        round(profile, 1),
        round(longest, 1),
        round(gather, 1),
        entries,
        scratch,
        here * rates.rank_bytes + _TABLE,
        max(3 * rates.rank_bytes // 2 + _TABLE // here, _LEAST_MEMORY),
        900 * math.ceil((1.5 * (profile + gather) + 60) / 900),
    )
