"""Group-bys over whole arrays: distinct values, counts, sums and ratios.

Values are sorted, which takes numpy some 6 ns each; its `unique` hashes them, at 950 ns, and
imports `numpy.ma`, which takes each rank 40 ms.
"""

from __future__ import annotations

import numpy as np


def distinct(values: np.ndarray) -> np.ndarray:
    """Return the distinct values, ascending.

    >>> distinct(np.array([3, 1, 3])).tolist()
    [1, 3]
    """
    values = np.sort(values)
    return values[_group_starts(values)]


def counted(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the distinct values, ascending, and how often each occurs.

    >>> [part.tolist() for part in counted(np.array([3, 1, 3]))]
    [[1, 3], [1, 2]]
    """
    values = np.sort(values)
    starts = _group_starts(values)
    return values[starts], np.diff(np.append(starts, len(values)))


def merged(values: np.ndarray, counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the distinct values, ascending, and the sum of the counts of each.

    >>> [part.tolist() for part in merged(np.array([3, 1, 3]), np.array([10, 20, 30]))]
    [[1, 3], [20, 40]]
    """
    order = np.argsort(values, kind="stable")
    values = values[order]
    counts = counts[order]
    starts = _group_starts(values)
    return values[starts], np.add.reduceat(counts, starts) if len(starts) else counts


def is_among(values: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Return, as (n,) bool, which of n values occur among others.

    >>> is_among(np.array([3, 1, 4]), np.array([4, 3, 4])).tolist()
    [True, False, True]
    """
    if not len(wanted):
        return np.zeros(len(values), bool)
    wanted = np.sort(wanted)
    place = np.minimum(np.searchsorted(wanted, values), len(wanted) - 1)
    return wanted[place] == values


def numbered(values: np.ndarray) -> tuple[np.ndarray, int]:
    """Return the place of each value among the distinct ones, (n,) int64, and their number.

    >>> places, distinct_values = numbered(np.array([30, 10, 30]))
    >>> places.tolist(), distinct_values
    ([1, 0, 1], 2)
    """
    order = np.argsort(values)
    starts = _group_starts(values[order])
    lengths = np.diff(np.append(starts, len(values)))
    places = np.empty(len(values), np.int64)
    places[order] = np.repeat(np.arange(len(starts)), lengths)
    return places, len(starts)


def _group_starts(values: np.ndarray) -> np.ndarray:
    """Return the place of the first of each run of equal values."""
    is_new = np.ones(len(values), bool)
    np.not_equal(values[1:], values[:-1], out=is_new[1:])
    return np.flatnonzero(is_new)


def grouped(one: np.ndarray, two: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return an order in which equal 128-bit hashes are neighbours, and where groups begin.

    :param one: (n,) uint64, first halves of the hashes; `two` second halves.
    """
    order = np.argsort(one)
    first, second = one[order], two[order]
    same = first[1:] == first[:-1]
    # Sort by both halves only where two different hashes have the same first half.
    if (second[1:] != second[:-1])[same].any():
        order = np.lexsort((two, one))
        first, second = one[order], two[order]
        same = first[1:] == first[:-1]
    same &= second[1:] == second[:-1]
    return order, np.flatnonzero(np.append(True, ~same))


def distinct_pairs(
    first: np.ndarray, second: np.ndarray, second_end: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return the distinct pairs of two arrays of whole numbers, ascending.

    Pairs are packed into 64-bit words and sorted.

    :param second_end: all numbers of `second` are below it.
    :raises RuntimeError: a pair does not fit into 64 bits.
    """
    bits = np.uint64(max(int(second_end - 1).bit_length(), 1))
    if len(first) and int(first.max()).bit_length() + int(bits) > 64:
        raise RuntimeError("a bucket is too large; take less memory")
    keys = distinct(first.astype(np.uint64) << bits | second.astype(np.uint64))
    return unpacked(keys, bits)


def unpacked(keys: np.ndarray, bits: np.uint64) -> tuple[np.ndarray, np.ndarray]:
    """Return the upper parts and the lower `bits` bits of packed pairs, as (n,) int64 each."""
    low = (np.uint64(1) << bits) - np.uint64(1)
    return (keys >> bits).astype(np.int64), (keys & low).astype(np.int64)


def summed_by(place: np.ndarray, values: np.ndarray, size: int) -> np.ndarray:
    """Return the sums of whole numbers at each of `size` places, as (size,) int64.

    >>> summed_by(np.array([2, 0, 2]), np.array([1, 5, 3]), 4).tolist()
    [5, 0, 4, 0]
    """
    sums = np.zeros(size, np.int64)
    np.add.at(sums, place, values)
    return sums


def ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """Return part / whole as f8, NaN where the denominator is 0.

    >>> ratio(np.array([1, 2]), np.array([2, 0])).tolist()
    [0.5, nan]
    """
    part, whole = np.asarray(part, float), np.asarray(whole, float)
    return np.divide(part, whole, out=np.full(part.shape, np.nan), where=whole != 0)
