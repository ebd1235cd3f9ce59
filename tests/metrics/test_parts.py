"""The parts that metrics are made of, each against plain Python."""

from __future__ import annotations

import random

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import example, given, settings

from hpc_remetrics.metrics.distribution import PROBABILITIES, ValueCounts, summarize
from hpc_remetrics.metrics.growth import checkpoints
from hpc_remetrics.metrics.hashing import PADDING, hash_slices
from hpc_remetrics.metrics.path_names import Paths
from hpc_remetrics.mpi.comm import SerialComm
from hpc_remetrics.tar.paths import clean

PATHS = st.lists(
    st.lists(
        st.sampled_from([b"a", b"/", b".", b"..", b"usr/lib", b"\xff", b"x.tar.gz"]), max_size=7
    ).map(b"".join),
    max_size=12,
)


def paths_of(texts: list[bytes]) -> Paths:
    bounds = np.concatenate([[0], np.cumsum([len(text) for text in texts])]).astype(np.int64)
    return Paths(np.frombuffer(b"".join(texts), np.uint8), bounds[:-1], bounds[1:])


@pytest.mark.slow
@settings(max_examples=300, deadline=None)
@given(PATHS)
@example([b"/", b"./", b".", b"..", b"", b"a/./b", b"a//", b"./.hidden", b".hidden/.x"])
def test_paths_are_cut_as_texts_are(texts):
    paths = paths_of(texts)
    cleaned = [clean(text) for text in texts]
    assert [paths[row] for row in range(len(paths))] == cleaned
    begin, length = paths.extensions()
    for row, path in enumerate(cleaned):
        folder, _, name = path.rpartition(b"/")
        start = int(paths.start[row])
        assert paths.data[start : start + paths.directory()[row]].tobytes() == folder
        for parts in range(1, 5):
            cut = paths.data[start : start + paths.directory(parts)[row]].tobytes()
            assert cut == b"/".join(folder.split(b"/")[:parts])
        extension = paths.data[begin[row] : begin[row] + length[row]].tobytes()
        assert extension == (name.rpartition(b".")[2] if b"." in name[1:] else b"")


@pytest.mark.slow
@settings(max_examples=200, deadline=None)
@given(st.lists(st.binary(max_size=40), max_size=30), st.integers(0, 9))
def test_hashes_are_equal_where_strings_are(strings, shift):
    data = np.frombuffer(bytes(shift) + b"".join(strings) + bytes(PADDING), np.uint8)
    lengths = np.array([len(one) for one in strings], np.int64)
    starts = shift + np.cumsum(lengths) - lengths
    hashes = list(zip(*(lane.tolist() for lane in hash_slices(data, starts, lengths)), strict=True))
    assert len(set(hashes)) == len(set(strings))
    assert len(set(zip(hashes, strings, strict=True))) == len(set(strings))


@pytest.mark.slow
def test_hashes_of_strings_that_differ_in_one_bit_have_nothing_in_common():
    """Of a million strings that differ little, no two have the same 64 bits, and each bit is set in
    half of them."""
    numbers = np.arange(1_000_000, dtype=">u8")
    data = np.frombuffer(numbers.tobytes() + bytes(PADDING), np.uint8)
    for lane in hash_slices(data, np.arange(0, 8_000_000, 8), np.full(1_000_000, 8)):
        assert len(np.unique(lane)) == len(lane)
        for bit in range(64):
            assert abs(int((lane >> np.uint64(bit) & np.uint64(1)).sum()) - 500_000) < 3000


@pytest.mark.slow
def test_a_string_of_a_megabyte():
    data = np.frombuffer(random.Random(1).randbytes(2 << 20) + bytes(PADDING), np.uint8)
    one, two = hash_slices(data, np.array([0, 5, 0]), np.array([1 << 20, 3, 1 << 20]))
    assert one[0] == one[2] != one[1] and two[0] == two[2] != two[1]


@pytest.mark.slow
@settings(max_examples=200, deadline=None)
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


def test_checkpoints_end_with_all():
    for layers in (1, 2, 59, 61, 1000, 1_792_609):
        points = checkpoints(layers)
        assert (
            points[0] == 1
            and points[-1] == layers
            and (np.diff(points) > 0).all()
            and len(points) <= 120
        )
    assert len(checkpoints(0)) == 0
