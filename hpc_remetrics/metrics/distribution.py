"""Exact distributions: counted values of all ranks become quantiles, bins, and a row that says the
rest.

Values are kept as (value, count) pairs, each value once. What is counted in billions takes few
values: those of distinct sizes whose sum is a petabyte are fewer than 45 million, and in practice
some hundred thousand.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from ..dataset.metrics_schema import DISTRIBUTIONS
from ..mpi.comm import Comm
from .sorting import counted, merged

_TAILS = [0, 1, 2, 5, *range(10, 100, 10), *range(9900, 10000, 10), 9995, 9998, 9999, 10000]
PROBABILITIES = np.array(sorted([*_TAILS, *range(100, 9900, 50)]))
"""Where quantiles are taken, in units of 1 / 10,000."""

_PILE = 1 << 20
"""Pairs that are collected before they are merged."""

_MOST_LINEAR = 1000
"""Bins of a linear scale; beyond it logarithmic ones are taken."""


class Tally:
    """Counts of values; what ranks counted is brought together by `merged`."""

    def __init__(self, dtype: Any = np.int64) -> None:
        self._dtype = np.dtype(dtype)
        self._values: list[np.ndarray] = []
        self._counts: list[np.ndarray] = []
        self._held = 0

    def add(self, values: np.ndarray, counts: np.ndarray | None = None) -> None:
        """Count values, each once or `counts` times."""
        if counts is None:
            self._append(*counted(values))
        else:
            self._append(*merged(values, counts))

    def _append(self, values: np.ndarray, counts: np.ndarray) -> None:
        self._values.append(values.astype(self._dtype))
        self._counts.append(counts.astype(np.int64))
        self._held += len(values)
        if self._held > _PILE and len(self._values) > 1:
            values, counts = self.pairs()
            self._values, self._counts, self._held = [values], [counts], len(values) // 2

    def pairs(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the values, rising, each once, and their counts."""
        if not self._values:
            return np.empty(0, self._dtype), np.empty(0, np.int64)
        return merged(np.concatenate(self._values), np.concatenate(self._counts))

    def merged(self, comm: Comm) -> tuple[np.ndarray, np.ndarray]:
        """Return this rank's range of the values that any rank counted; ranges of higher ranks are
        higher."""
        values, counts = self.pairs()
        some = np.concatenate(comm.allgather(values[:: max(len(values) // 64, 1)]))
        some.sort()
        bounds = (
            some[[len(some) * rank // comm.size for rank in range(1, comm.size)]]
            if len(some)
            else some
        )
        cuts = [0, *np.searchsorted(values, bounds).tolist(), len(values)]
        cuts += [len(values)] * (comm.size + 1 - len(cuts))
        pieces = [
            values[low:high].tobytes() + counts[low:high].tobytes() for low, high in pairwise(cuts)
        ]
        taken = Tally(self._dtype)
        for received in comm.alltoall(pieces):
            half = received.nbytes // 2
            taken._append(
                np.frombuffer(received[:half], self._dtype),
                np.frombuffer(received[half:], np.int64),
            )
        return taken.pairs()


@dataclass
class Summary:
    """A distribution, whole; arrays are empty and numbers NaN where there is no value.

    :ivar quantiles: the values at `PROBABILITIES`.
    :ivar low, high, counts, sums: the bins, those without values between the others too.
    """

    scale: str
    count: int
    sum: float
    quantiles: np.ndarray
    low: np.ndarray
    high: np.ndarray
    counts: np.ndarray
    sums: np.ndarray

    def at(self, share: int) -> float:
        """Return the quantile at `share` / 10,000."""
        return (
            float(self.quantiles[np.searchsorted(PROBABILITIES, share)]) if self.count else math.nan
        )


def summary(comm: Comm, tally: Tally, scale: str) -> Summary | None:
    """Return the distribution on the root, None elsewhere; all ranks call it."""
    values, counts = tally.merged(comm)
    totals = comm.allgather(int(counts.sum()))
    total, before = sum(totals), sum(totals[: comm.rank])
    places = (
        np.array([max(-(-share * total // 10000), 1) for share in PROBABILITIES.tolist()]) - before
    )
    mine = (places >= 1) & (places <= totals[comm.rank])
    found = values[np.searchsorted(np.cumsum(counts), places[mine])]
    ends = comm.allgather((values[0], values[-1]) if len(values) else None)
    least, greatest = (
        min((end[0] for end in ends if end), default=0),
        max((end[1] for end in ends if end), default=0),
    )
    if scale == "linear" and greatest - least > _MOST_LINEAR:
        scale = "log"
    bounds = edges(scale, least, greatest, values.dtype.kind != "f")
    pieces = comm.gather((mine, found, _binned(values, counts, bounds)))
    if comm.rank != comm.root:
        return None
    quantiles = np.full(len(PROBABILITIES), math.nan)
    for chosen, some, _ in pieces:
        quantiles[chosen] = some
    if not total:
        bounds = bounds[:1]
    bins = [sum(piece[2][n] for piece in pieces)[: len(bounds) - 1] for n in (0, 1)]
    whole = float(sum(bins[1].tolist()))
    return Summary(
        scale,
        total,
        whole,
        quantiles[: len(quantiles) if total else 0],
        bounds[:-1],
        bounds[1:],
        *bins,
    )


def edges(scale: str, least: float, greatest: float, whole: bool) -> np.ndarray:
    """Return the bounds of the bins in which the values from `least` to `greatest` lie.

    Logarithmic bins are quarters of powers of two; those of whole numbers below 8 are one wide, and
    those of ratios begin with one from 0 to 2**-10.

    >>> edges("log", 5, 15, True).tolist()
    [5.0, 6.0, 7.0, 8.0, 10.0, 12.0, 14.0, 16.0]
    """
    if scale == "share":
        return np.arange(51) / 50
    if scale == "linear":
        return np.arange(math.floor(least), math.floor(greatest) + 2, dtype=float)
    quarters = [
        2.0**power * (1 + quarter / 4)
        for power in range(2 if whole else -10, 64)
        for quarter in range(4)
    ]
    every = np.array([*range(4 if whole else 1), *quarters], float)
    low, high = np.searchsorted(every, [least, greatest], "right")
    return every[low - 1 : high + 1]


def _binned(
    values: np.ndarray, counts: np.ndarray, bounds: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return how many values each bin holds, and their sums."""
    place = np.minimum(np.searchsorted(bounds, values, "right"), len(bounds) - 1) - 1
    found, sums = np.zeros(len(bounds) - 1, np.int64), np.zeros(len(bounds) - 1, values.dtype)
    np.add.at(found, place, counts)
    np.add.at(sums, place, values * counts)
    return found, sums


class Distributions:
    """Collects summaries and gives the three tables that hold them."""

    def __init__(self) -> None:
        self.summaries: dict[str, Summary] = {}

    def take(self, comm: Comm, name: str, tally: Tally) -> None:
        """Summarise what all ranks counted; all of them call it."""
        found = summary(comm, tally, DISTRIBUTIONS[name].scale)
        if found is not None:
            self.summaries[name] = found

    def tables(self) -> dict[str, dict[str, Any]]:
        """Return `distributions`, `quantiles` and `histograms`, in the order of the schema's
        list."""
        kinds = list(DISTRIBUTIONS.values())
        found = [self.summaries[kind.name] for kind in kinds]
        points, bins = [len(one.quantiles) for one in found], [len(one.low) for one in found]
        table: dict[str, Any] = {
            "name": [kind.name for kind in kinds],
            "population": [kind.population for kind in kinds],
            "unit": [kind.unit for kind in kinds],
            "scale": [one.scale for one in found],
            "description": [kind.description for kind in kinds],
            "count": [one.count for one in found],
            "sum": [one.sum for one in found],
            "mean": [one.sum / one.count if one.count else math.nan for one in found],
            "first_quantile": np.cumsum(points) - points,
            "quantiles": points,
            "first_bin": np.cumsum(bins) - bins,
            "bins": bins,
        }
        for name, share in {
            "min": 0,
            "median": 5000,
            "p90": 9000,
            "p99": 9900,
            "max": 10000,
        }.items():
            table[name] = [one.at(share) for one in found]
        quantiles = {
            "probability": np.concatenate(
                [PROBABILITIES[: len(one.quantiles)] / 10000 for one in found]
            ),
            "value": np.concatenate([one.quantiles for one in found]),
        }
        parts = {"low": "low", "high": "high", "count": "counts", "sum": "sums"}
        histograms = {
            name: np.concatenate(
                [
                    getattr(one, part).astype(float) if name != "count" else one.counts
                    for one in found
                ]
            )
            for name, part in parts.items()
        }
        return {"distributions": table, "quantiles": quantiles, "histograms": histograms}
