"""Group-bys over arrays, each against plain Python."""

from __future__ import annotations

from collections import Counter

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings
from support.examples import share_of

from hpc_remetrics.arrays import (
    counted,
    distinct,
    distinct_pairs,
    grouped,
    is_among,
    merged,
    ratio,
    summed_by,
    unpacked,
)

NUMBERS = st.lists(st.integers(-3, 9), max_size=30)


@settings(max_examples=share_of(50))
@given(NUMBERS)
def test_distinct_values_and_counts(values):
    array = np.array(values, np.int64)
    assert distinct(array).tolist() == sorted(set(values))
    got = zip(*(part.tolist() for part in counted(array)), strict=True)
    assert list(got) == sorted(Counter(values).items())


@settings(max_examples=share_of(50))
@given(NUMBERS, NUMBERS)
def test_values_that_occur_among_others(values, wanted):
    found = is_among(np.array(values, np.int64), np.array(wanted, np.int64))
    assert found.tolist() == [value in wanted for value in values]


@settings(max_examples=share_of(50))
@given(st.lists(st.tuples(st.integers(0, 5), st.integers(1, 9)), max_size=20))
def test_merged_adds_the_counts_of_equal_values(pairs):
    want = Counter()
    for value, count in pairs:
        want[value] += count
    values, counts = (np.array([pair[n] for pair in pairs], np.int64) for n in (0, 1))
    got = zip(*(part.tolist() for part in merged(values, counts)), strict=True)
    assert list(got) == sorted(want.items())


def test_equal_first_halves_of_hashes():
    one, two = np.array([7, 7, 7, 3, 7], np.uint64), np.array([2, 1, 2, 2, 1], np.uint64)
    order, starts = grouped(one, two)
    runs = np.split(order, starts[1:])
    assert sorted(sorted(run.tolist()) for run in runs) == [[0, 2], [1, 4], [3]]


@settings(max_examples=share_of(50))
@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 9))))
def test_distinct_pairs(pairs):
    first, second = (np.array([pair[n] for pair in pairs], np.int64) for n in (0, 1))
    got = zip(*(part.tolist() for part in distinct_pairs(first, second, 10)), strict=True)
    assert list(got) == sorted(set(pairs))


@pytest.mark.parametrize("end", [1, 2, 255, 256, 257])
def test_pairs_with_the_largest_second_number(end):
    first, second = np.array([3, 3, 0]), np.array([end - 1, 0, end - 1])
    got = zip(*(part.tolist() for part in distinct_pairs(first, second, end)), strict=True)
    assert list(got) == sorted({(0, end - 1), (3, 0), (3, end - 1)})


def test_pairs_that_do_not_fit_64_bits_are_refused():
    second = np.array([0])
    assert distinct_pairs(np.array([2**31 - 1]), second, 2**33)[0].tolist() == [2**31 - 1]
    with pytest.raises(RuntimeError, match="take less memory"):
        distinct_pairs(np.array([2**31]), second, 2**33)


def test_unpacked_pairs():
    keys = np.array([5 << 16 | 65535, 7 << 16], np.uint64)
    first, second = unpacked(keys, np.uint64(16))
    assert (first.tolist(), second.tolist()) == ([5, 7], [65535, 0])
    assert first.dtype == second.dtype == np.int64


def test_sums_and_ratios():
    assert summed_by(np.array([1, 1, 3]), np.array([2, 5, 7]), 5).tolist() == [0, 7, 0, 7, 0]
    got = ratio(np.array([1, 0, 6]), np.array([4, 0, -3]))
    assert got[[0, 2]].tolist() == [0.25, -2.0] and np.isnan(got[1])
    assert ratio(np.array([5, 0]), np.array([1, 2])).tolist() == [5.0, 0.0]
    assert float(ratio(3, 2)) == 1.5
