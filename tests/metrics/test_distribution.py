"""Distributions over several ranks against sorted lists, bins against their definition."""

from __future__ import annotations

import math
import random
from itertools import chain

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings
from support.examples import share_of
from support.thread_ranks import on_ranks

from hpc_remetrics.metrics import distribution
from hpc_remetrics.metrics.distribution import PROBABILITIES, ValueCounts, edges, summarize
from hpc_remetrics.metrics.inputs import combined
from hpc_remetrics.mpi.comm import SerialComm


def counts_of(values) -> ValueCounts:
    counts = ValueCounts()
    for start in range(0, len(values), 7):
        counts.add(np.array(values[start : start + 7], np.int64))
    return counts


@pytest.mark.parametrize("ranks", [1, 2, 3, 5])
def test_ranks_divide_the_values_in_order(ranks):
    rng = random.Random(ranks)
    values = [[rng.randrange(300) for _ in range(200)] for _ in range(ranks)]
    pairs = on_ranks(ranks, lambda comm: counts_of(values[comm.rank]).merged(comm))
    got = [pair for part in pairs for pair in zip(*(one.tolist() for one in part), strict=True)]
    every = list(chain.from_iterable(values))
    assert got == sorted((value, every.count(value)) for value in set(every))
    if ranks > 1:  # no rank has nearly all
        assert max(len(part[0]) for part in pairs) < 2 * len(got) / ranks


def test_a_rank_without_values_takes_its_range_all_the_same():
    values = [list(range(100)), [], [5]]
    pairs = on_ranks(3, lambda comm: counts_of(values[comm.rank]).merged(comm))
    assert [one for part in pairs for one in part[0].tolist()] == list(range(100))
    assert sum(int(part[1].sum()) for part in pairs) == 101
    assert on_ranks(3, lambda comm: len(ValueCounts().merged(comm)[0])) == [0, 0, 0]


@pytest.mark.parametrize("ranks", [1, 3])
def test_a_summary_is_that_of_the_sorted_values(ranks):
    rng = random.Random(7)
    values = [[rng.randrange(1, 5000) ** 2 for _ in range(123)] for _ in range(ranks)]
    found, *others = on_ranks(
        ranks, lambda comm: summarize(comm, counts_of(values[comm.rank]), "log")
    )
    assert others == [None] * (ranks - 1)
    every = sorted(chain.from_iterable(values))
    places = [max(-(-int(p) * len(every) // 10000), 1) for p in PROBABILITIES]
    assert found.quantiles.tolist() == [every[place - 1] for place in places]
    assert (found.count, found.sum) == (len(every), sum(every))
    assert (found.at(0), found.at(10000)) == (every[0], every[-1])
    assert found.at(5000) == every[-(-len(every) // 2) - 1]
    for low, high, count, total in zip(
        found.low, found.high, found.counts, found.sums, strict=True
    ):
        inside = [value for value in every if low <= value < high]
        assert (count, total) == (len(inside), sum(inside))
    assert found.counts.sum() == len(every) and found.counts[0] and found.counts[-1]


def test_many_values_are_merged_on_the_way(monkeypatch):
    monkeypatch.setattr(distribution, "_MERGE_PAIRS", 10)
    counts = ValueCounts()
    for n in range(50):
        counts.add(np.array([n % 13, n]), np.array([2, 3]))
        assert len(counts._values) <= 11
    want = dict.fromkeys(range(50), 0)
    for n in range(50):
        want[n % 13] += 2
        want[n] += 3
    assert dict(zip(*(part.tolist() for part in counts.pairs()), strict=True)) == want


def test_the_last_bin_of_a_share_holds_one():
    counts = ValueCounts(np.float64)
    counts.add(np.array([0.0, 0.019, 0.02, 0.5, 1.0, 1.0]))
    found = summarize(SerialComm(), counts, "share")
    assert found.counts[[0, 1, 25, 49]].tolist() == [2, 1, 1, 2] and len(found.counts) == 50
    assert math.isclose(found.sums[0], 0.019) and found.sums[-1] == 2.0


def test_nothing_is_a_summary_without_arrays():
    found = summarize(SerialComm(), ValueCounts(), "linear")
    assert (found.count, found.sum, len(found.quantiles), len(found.counts)) == (0, 0.0, 0, 0)
    assert len(found.low) == len(found.high) == 0 and math.isnan(found.at(5000))


def test_bounds_of_bins():
    assert edges("linear", 2, 4, True).tolist() == [2, 3, 4, 5]
    assert edges("log", 0, 9, True).tolist() == [0, 1, 2, 3, 4, 5, 6, 7, 8, 10]
    assert edges("log", 0.0, 0.0, False).tolist() == [0, 2**-10]
    assert edges("log", 1.0, 1.3, False).tolist() == [1, 1.25, 1.5]
    assert len(edges("share", 0, 0, False)) == 51


@pytest.mark.parametrize(("span", "scale"), [(1000, "linear"), (1001, "log")])
def test_a_wide_linear_scale_becomes_logarithmic(span, scale):
    counts = ValueCounts()
    counts.add(np.array([1, 1 + span]))
    assert summarize(SerialComm(), counts, "linear").scale == scale


@pytest.mark.parametrize("ranks", [1, 2, 4])
def test_arrays_of_ranks_are_combined_element_by_element(ranks):
    arrays = [np.arange(6).reshape(2, 3) * (rank + 1) - rank for rank in range(ranks)]
    for operation in (np.add, np.minimum, np.maximum):
        want = operation.reduce(arrays)
        got = on_ranks(ranks, lambda comm, op=operation: combined(comm, arrays[comm.rank], op))
        for one in got:
            assert one.tolist() == want.tolist() and one.shape == (2, 3)


@settings(max_examples=share_of(40))
@given(
    st.lists(
        st.tuples(st.one_of(st.integers(0, 40), st.integers(0, 2**50)), st.integers(1, 5)),
        max_size=40,
    )
)
def test_a_tally_in_pieces_is_that_of_the_whole(pairs):
    tally = ValueCounts()
    for value, count in pairs:
        tally.add(np.array([value]), np.array([count]))
    values = sorted(value for value, count in pairs for _ in range(count))
    found = summarize(SerialComm(), tally, "log")
    assert found.count == len(values) and found.sum == float(sum(values))
    want = (
        [values[max(-(-int(p) * len(values) // 10000), 1) - 1] for p in PROBABILITIES]
        if values
        else []
    )
    assert found.quantiles.tolist() == want
    assert found.counts.sum() == len(values)
    assert all(low < high for low, high in zip(found.low, found.high, strict=True))


@pytest.mark.parametrize(
    ("values", "low", "high"),
    [(np.array([3, 3]), [3.0], [4.0]), (np.array([0.5]), [0.5], [0.625])],
)
def test_bins_of_whole_numbers_and_of_ratios(values, low, high):
    counts = ValueCounts(values.dtype)
    counts.add(values)
    found = summarize(SerialComm(), counts, "log")
    assert (found.low.tolist(), found.high.tolist()) == (low, high)
