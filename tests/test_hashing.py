"""Hashes of many strings at once are those of a loop in plain Python, and spread well."""

from __future__ import annotations

import random

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings
from support.examples import share_of

from hpc_remetrics.hashing import PADDING, hash_slices

MASK = (1 << 64) - 1
SEEDS = (0x9E3779B97F4A7C15, 0xD1B54A32D192ED03)
FACTORS = (0xBF58476D1CE4E5B9, 0x94D049BB133111EB)


def hashes_of(string: bytes) -> tuple[int, int]:
    """Return both lanes of a string's hash, eight bytes after another.

    The hashes decide which of equally frequent names are listed, so they never change.
    """
    lanes = [
        (len(string) + seed) * factor & MASK for seed, factor in zip(SEEDS, FACTORS, strict=True)
    ]
    for at in range(0, len(string), 8):
        word = int.from_bytes(string[at : at + 8], "little")
        for place, factor in enumerate(FACTORS):
            lanes[place] = (lanes[place] ^ word) * factor & MASK
            lanes[place] ^= lanes[place] >> 31
            word = (word << 32 | word >> 32) & MASK
    for place in range(2):
        for shift, factor in ((30, FACTORS[0]), (27, FACTORS[1])):
            lanes[place] = (lanes[place] ^ lanes[place] >> shift) * factor & MASK
        lanes[place] ^= lanes[place] >> 31
    return lanes[0], lanes[1]


def hashed(strings: list[bytes], shift: int = 0, lanes: int = 2) -> list[tuple[int, ...]]:
    data = np.frombuffer(bytes(shift) + b"".join(strings) + bytes(PADDING), np.uint8)
    lengths = np.array([len(one) for one in strings], np.int64)
    starts = shift + np.cumsum(lengths) - lengths
    results = hash_slices(data, starts, lengths, lanes)
    return list(zip(*(lane.tolist() for lane in results), strict=True))


@settings(max_examples=share_of(60))
@given(st.lists(st.binary(max_size=40), min_size=1, max_size=20), st.integers(0, 9))
def test_hashes_are_those_of_each_string_alone(strings, shift):
    assert hashed(strings, shift) == [hashes_of(one) for one in strings]


def test_one_lane_and_no_strings():
    assert hashed([b"a", b"bc"], lanes=1) == [hashes_of(one)[:1] for one in (b"a", b"bc")]
    assert hashed([]) == []
    nothing = np.empty(0, np.int64)
    assert len(hash_slices(np.empty(0, np.uint8), nothing, nothing)[0]) == 0


@pytest.mark.parametrize("count", [20_000, pytest.param(1_000_000, marks=pytest.mark.slow)])
def test_hashes_of_strings_that_differ_in_one_bit_have_nothing_in_common(count):
    """Of many strings that differ little, no two have the same 64 bits, and each bit is set in half
    of them."""
    numbers = np.arange(count, dtype=">u8")
    data = np.frombuffer(numbers.tobytes() + bytes(PADDING), np.uint8)
    for lane in hash_slices(data, np.arange(0, 8 * count, 8), np.full(count, 8)):
        assert len(np.unique(lane)) == len(lane)
        for bit in range(64):
            ones = int((lane >> np.uint64(bit) & np.uint64(1)).sum())
            assert abs(ones - count / 2) < 3 * count**0.5


@pytest.mark.slow
def test_a_string_of_a_megabyte():
    """Its steps do not fit the 16 bits by which strings are sorted."""
    data = random.Random(1).randbytes(2 << 20)
    array = np.frombuffer(data + bytes(PADDING), np.uint8)
    one, two = hash_slices(array, np.array([0, 5, 0]), np.array([1 << 20, 3, 1 << 20]))
    assert (one[0], two[0]) == (one[2], two[2]) == hashes_of(data[: 1 << 20])
    assert (one[1], two[1]) == hashes_of(data[5:8])
