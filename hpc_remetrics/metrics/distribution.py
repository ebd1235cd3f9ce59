"""Exact distributions: values that all ranks counted become quantiles, bins and a row of numbers.

Values are kept as (value, count) pairs, each value once. What is counted in billions takes few
values: distinct sizes whose sum is a petabyte are fewer than 45 million, in practice some hundred
thousand.

`ValueCounts.merged` gives each rank one range of the values, whatever rank counted them:

    rank 0   3×2 8×1 9×4        bounds      rank 0   3×3 5×1          values below 8
    rank 1   3×1 5×1 8×6         [8]   ->   rank 1   8×7 9×4          values from 8
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from ..arrays import counted, merged
from ..dataset.metrics_schema import DISTRIBUTIONS
from ..mpi.comm import Comm

_TAILS = [0, 1, 2, 5, *range(10, 100, 10), *range(9900, 10000, 10), 9995, 9998, 9999, 10000]
PROBABILITIES = np.array(sorted([*_TAILS, *range(100, 9900, 50)]))
"""Probabilities at which quantiles are taken, in units of 1 / 10,000."""

_UNITS = 10_000

_MERGE_PAIRS = 1 << 20
"""Pairs that are collected before they are merged."""

_SAMPLES = 64
"""Values of each rank by which the values are divided among the ranks."""

_MAX_LINEAR_BINS = 1000
"""Bins of a linear scale; a wider range takes logarithmic bins."""


class ValueCounts:
    """How often each value occurs, on one rank."""

    def __init__(self, dtype: Any = np.int64) -> None:
        self._dtype = np.dtype(dtype)
        self._values: list[np.ndarray] = []
        self._counts: list[np.ndarray] = []
        self._pairs = 0

    def add(self, values: np.ndarray, counts: np.ndarray | None = None) -> None:
        """Count values.

        :param values: (n,) whole numbers or floats, no NaN.
        :param counts: (n,) int64, how often each occurs; None: once.
        """
        if counts is None:
            self._append(*counted(values))
        else:
            self._append(*merged(values, counts))

    def _append(self, values: np.ndarray, counts: np.ndarray) -> None:
        self._values.append(values.astype(self._dtype))
        self._counts.append(counts.astype(np.int64))
        self._pairs += len(values)
        if self._pairs > _MERGE_PAIRS and len(self._values) > 1:
            values, counts = self.pairs()
            self._values = [values]
            self._counts = [counts]
            # Half of them, so that many distinct values are not merged again with each block.
            self._pairs = len(values) // 2

    def pairs(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the distinct values, ascending, and their counts, (n,) int64."""
        if not self._values:
            return np.empty(0, self._dtype), np.empty(0, np.int64)
        return merged(np.concatenate(self._values), np.concatenate(self._counts))

    def merged(self, comm: Comm) -> tuple[np.ndarray, np.ndarray]:
        """Merge the counts of all ranks; return `pairs` of this rank's range of the values.

        Collective. Ranges of higher ranks are higher.
        """
        values, counts = self.pairs()
        # Choose the bounds of the ranges from some values of every rank.
        samples = np.concatenate(comm.allgather(values[:: max(len(values) // _SAMPLES, 1)]))
        samples.sort()
        bounds = samples
        if len(samples):
            bounds = samples[[len(samples) * rank // comm.size for rank in range(1, comm.size)]]
        cuts = [0, *np.searchsorted(values, bounds).tolist(), len(values)]
        cuts += [len(values)] * (comm.size + 1 - len(cuts))
        # Send each rank its range: the values, then as many counts.
        pieces = [
            values[low:high].tobytes() + counts[low:high].tobytes() for low, high in pairwise(cuts)
        ]
        result = ValueCounts(self._dtype)
        for received in comm.alltoall(pieces):
            half = received.nbytes // 2
            their_values = np.frombuffer(received[:half], self._dtype)
            result._append(their_values, np.frombuffer(received[half:], np.int64))
        return result.pairs()


@dataclass(frozen=True)
class Summary:
    """A distribution over the values of all ranks; arrays are empty where there is no value.

    :ivar quantiles: (probabilities,) f8, the values at `PROBABILITIES`.
    :ivar low: (bins,) f8, lower bounds of the bins; `high` upper bounds.
    :ivar counts: (bins,) int64, values in each bin; `sums` their sums.
    """

    scale: str
    count: int
    sum: float
    quantiles: np.ndarray
    low: np.ndarray
    high: np.ndarray
    counts: np.ndarray
    sums: np.ndarray

    def at(self, probability: int) -> float:
        """Return the quantile at one of `PROBABILITIES`, NaN where there is no value."""
        if not self.count:
            return math.nan
        return float(self.quantiles[np.searchsorted(PROBABILITIES, probability)])


def summaries(comm: Comm, counts: Mapping[str, ValueCounts]) -> dict[str, Summary]:
    """Summarize distributions by name; rank 0 gets them, others nothing. Collective."""
    found = {
        name: summarize(comm, values, DISTRIBUTIONS[name].scale) for name, values in counts.items()
    }
    return {name: one for name, one in found.items() if one is not None}


def summarize(comm: Comm, value_counts: ValueCounts, scale: str) -> Summary | None:
    """Summarize the values that all ranks counted; rank 0 gets the result, others None. Collective.

    :param scale: log, linear or share.
    """
    values, counts = value_counts.merged(comm)
    totals = comm.allgather(int(counts.sum()))
    total = sum(totals)
    # Take the quantiles by nearest rank that lie in this rank's range of the values.
    before = sum(totals[: comm.rank])
    positions = [max(-(-share * total // _UNITS), 1) for share in PROBABILITIES.tolist()]
    places = np.array(positions) - before
    is_mine = (places >= 1) & (places <= totals[comm.rank])
    my_quantiles = values[np.searchsorted(np.cumsum(counts), places[is_mine])]
    # Agree on the bins.
    ends = comm.allgather((values[0], values[-1]) if len(values) else None)
    smallest = min((end[0] for end in ends if end), default=0)
    largest = max((end[1] for end in ends if end), default=0)
    if scale == "linear" and largest - smallest > _MAX_LINEAR_BINS:
        scale = "log"
    bounds = edges(scale, smallest, largest, values.dtype.kind != "f")
    # Put the pieces of all ranks together.
    pieces = comm.gather((is_mine, my_quantiles, *_binned(values, counts, bounds)))
    if comm.rank != comm.root:
        return None
    quantiles = np.full(len(PROBABILITIES) if total else 0, math.nan)
    if not total:
        bounds = bounds[:1]
    else:
        for chosen, some, _, _ in pieces:
            quantiles[chosen] = some
    bins = len(bounds) - 1
    sums = sum(piece[3] for piece in pieces)[:bins]
    return Summary(
        scale=scale,
        count=total,
        sum=float(sum(sums.tolist())),
        quantiles=quantiles,
        low=bounds[:-1],
        high=bounds[1:],
        counts=sum(piece[2] for piece in pieces)[:bins],
        sums=sums,
    )


def edges(scale: str, smallest: float, largest: float, is_whole: bool) -> np.ndarray:
    """Return the bounds of the bins from the smallest value to the largest, as (bins + 1,) f8.

    Logarithmic bins are quarters of powers of two; those of whole numbers below 8 are one wide, and
    those of ratios begin with one from 0 to 2**-10.

    :param is_whole: values are whole numbers.

    >>> edges("log", 5, 15, True).tolist()
    [5.0, 6.0, 7.0, 8.0, 10.0, 12.0, 14.0, 16.0]
    """
    if scale == "share":
        return np.arange(51) / 50
    if scale == "linear":
        return np.arange(math.floor(smallest), math.floor(largest) + 2, dtype=float)
    first_power = 2 if is_whole else -10
    quarters = [
        2.0**power * (1 + quarter / 4) for power in range(first_power, 64) for quarter in range(4)
    ]
    every = np.array([*range(4 if is_whole else 1), *quarters], float)
    low, high = np.searchsorted(every, [smallest, largest], "right")
    return every[low - 1 : high + 1]


def _binned(
    values: np.ndarray, counts: np.ndarray, bounds: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return the number of values in each bin and their sums, (bins,) each."""
    bins = len(bounds) - 1
    place = np.minimum(np.searchsorted(bounds, values, "right"), bins) - 1
    in_bin = np.zeros(bins, np.int64)
    np.add.at(in_bin, place, counts)
    sums = np.zeros(bins, values.dtype)
    np.add.at(sums, place, values * counts)
    return in_bin, sums


_COLUMNS = {"min": 0, "median": 5000, "p90": 9000, "p99": 9900, "max": 10000}
"""Column of `distributions` -> the probability of the quantile that it holds."""


def distribution_tables(found: Mapping[str, Summary]) -> dict[str, dict[str, Any]]:
    """Return the tables `distributions`, `quantiles` and `histograms`, in the schema's order."""
    # Each distribution points to its rows of the two other tables.
    forms = list(DISTRIBUTIONS.values())
    every = [found[form.name] for form in forms]
    points = [len(one.quantiles) for one in every]
    bins = [len(one.low) for one in every]
    table: dict[str, Any] = {
        "name": [form.name for form in forms],
        "population": [form.population for form in forms],
        "unit": [form.unit for form in forms],
        "scale": [one.scale for one in every],
        "description": [form.description for form in forms],
        "count": [one.count for one in every],
        "sum": [one.sum for one in every],
        "mean": [one.sum / one.count if one.count else math.nan for one in every],
        "first_quantile": np.cumsum(points) - points,
        "quantiles": points,
        "first_bin": np.cumsum(bins) - bins,
        "bins": bins,
    }
    table |= {name: [one.at(share) for one in every] for name, share in _COLUMNS.items()}

    # Lay their rows end to end.
    probabilities = [PROBABILITIES[:count] / _UNITS for count in points]
    quantiles = {
        "probability": np.concatenate(probabilities),
        "value": np.concatenate([one.quantiles for one in every]),
    }
    histograms = {
        "low": np.concatenate([one.low for one in every]),
        "high": np.concatenate([one.high for one in every]),
        "count": np.concatenate([one.counts for one in every]),
        "sum": np.concatenate([one.sums.astype(float) for one in every]),
    }
    return {"distributions": table, "quantiles": quantiles, "histograms": histograms}
