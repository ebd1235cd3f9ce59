"""Rows that travel: to the owner of their bucket, in order, whatever the number of ranks."""

from itertools import zip_longest

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.examples import share_of

from hpc_remetrics.mpi import shuffle
from hpc_remetrics.mpi.comm import SerialComm
from hpc_remetrics.mpi.shuffle import Shuffle, collective_rounds, owners, write_rows
from hpc_remetrics.row_ranges import rank_range

ROW = np.dtype([("name", "S1"), ("value", "<u2")])


class Rank(SerialComm):
    """One of several ranks in one process, whose `alltoall` only keeps what is to be sent."""

    def __init__(self, rank, size):
        super().__init__()
        self.rank, self.size = rank, size

    def alltoall(self, buffers):
        self.sent = buffers
        return []


def exchange(ranks, blocks):
    """Exchange one block of each rank: what each sends is stored by the others."""
    for one, (rows, buckets) in zip(ranks, blocks, strict=True):
        one.exchange(rows, buckets)
    for receiver in ranks:
        for sender in ranks:
            receiver._store(memoryview(sender._comm.sent[receiver._comm.rank]))


def shuffles(directory, size, buckets):
    for rank in range(size):
        (directory / str(rank)).mkdir()
    return [
        Shuffle(Rank(rank, size), directory / str(rank), "NAME", ROW, buckets)
        for rank in range(size)
    ]


def rows_of(names):
    return np.array([(name, ord(name)) for name in names], ROW)


def names_of(rows):
    assert rows.dtype == ROW
    assert rows["value"].tolist() == [ord(name) for name in rows["name"].tolist()]
    return b"".join(rows["name"].tolist()).decode()


@pytest.mark.parametrize(("size", "items"), [(1, 0), (1, 5), (3, 7), (4, 3), (5, 5), (2, 0)])
def test_ranges_of_ranks_cover_the_items_in_order_and_differ_by_one(size, items):
    ranges = [rank_range(rank, size, items) for rank in range(size)]
    assert [item for one in ranges for item in one] == list(range(items))
    assert max(map(len, ranges)) - min(map(len, ranges)) <= 1
    assert owners(items, size).tolist() == [r for r, one in enumerate(ranges) for _ in one]
    assert owners(items, size).dtype == np.int64


class Told(SerialComm):
    """A communicator whose other ranks have numbers of their own."""

    others = (2, 4)

    def allgather(self, value):
        return [self.others[0], value, self.others[1]]


@pytest.mark.parametrize(
    ("mine", "rounds"), [(0, [None] * 4), (3, [0, 1, 2, None]), (6, list(range(6)))]
)
def test_rounds_are_as_many_on_all_ranks(mine, rounds):
    assert list(collective_rounds(Told(), mine)) == rounds


def test_rows_are_written_in_c_order_with_private_permissions(tmp_path):
    array = np.arange(12, dtype="<u4").reshape(3, 4)
    write_rows(array, tmp_path / "rows")
    write_rows(array[:, ::2], tmp_path / "rows")
    assert np.fromfile(tmp_path / "rows", "<u4").tolist() == [0, 2, 4, 6, 8, 10]
    assert (tmp_path / "rows").stat().st_mode & 0o777 == 0o600


def test_the_example_of_the_module(tmp_path):
    """The drawing in the module's docstring."""
    ranks = shuffles(tmp_path, 2, 4)
    assert [list(one.my_buckets) for one in ranks] == [[0, 1], [2, 3]]
    exchange(
        ranks,
        [(rows_of("abcd"), np.array([3, 0, 1, 0])), (rows_of("efg"), np.array([0, 2, 2]))],
    )
    sent = [[bytes(buffer) for buffer in one._comm.sent] for one in ranks]
    assert sent[0][0] == np.array([0, 0, 1], "<i4").tobytes() + rows_of("bdc").tobytes()
    assert sent[1][1] == np.array([2, 2], "<i4").tobytes() + rows_of("fg").tobytes()
    files = {path.name: names_of(np.fromfile(path, ROW)) for path in tmp_path.glob("*/*")}
    assert files == {"NAME-0": "bde", "NAME-1": "c", "NAME-2": "fg", "NAME-3": "a"}
    assert (tmp_path / "0" / "NAME-0").stat().st_mode & 0o777 == 0o600
    assert {number: names_of(rows) for number, rows in ranks[0].buckets()} == {0: "bde", 1: "c"}
    assert [names_of(rows) for rows in ranks[1].read_pieces(2, 1)] == ["f", "g"]
    assert names_of(ranks[1].take(3)) == "a"
    assert list(tmp_path.glob("*/*")) == []


def test_a_bucket_without_rows_is_empty(tmp_path):
    (one,) = shuffles(tmp_path, 1, 3)
    exchange([one], [(rows_of(""), np.empty(0, np.int64))])
    assert one.take(1).dtype == ROW and len(one.take(1)) == 0
    assert list(one.read_pieces(1, 10)) == []
    assert [(bucket, len(rows)) for bucket, rows in one.buckets()] == [(0, 0), (1, 0), (2, 0)]


blocks = st.lists(st.tuples(st.sampled_from("abcdefgh"), st.integers(0, 9)), max_size=8)


@settings(max_examples=share_of(30))
@given(st.lists(st.lists(blocks, min_size=3, max_size=3), max_size=3), st.booleans())
def test_no_row_is_lost_and_their_order_is_kept(tmp_path_factory, exchanges, is_wide):
    """Rows of a bucket stand in order of exchange, rank and position, with either way to sort."""
    ranks = shuffles(tmp_path_factory.mktemp("shuffle"), 3, 10)
    expected = dict.fromkeys(range(10), "")
    before = shuffle._RADIX_BUCKETS
    shuffle._RADIX_BUCKETS = 9 if is_wide else before
    try:
        for turn in exchanges:
            arrays = []
            for block in turn:
                buckets = np.array([bucket for _, bucket in block], np.int64)
                arrays.append((rows_of([name for name, _ in block]), buckets))
                for name, bucket in block:
                    expected[bucket] += name
            exchange(ranks, arrays)
    finally:
        shuffle._RADIX_BUCKETS = before
    assert {n: names_of(rows) for one in ranks for n, rows in one.buckets()} == expected


class Paired(SerialComm):
    """Two ranks, of which the other one has `blocks` blocks more, all empty."""

    def __init__(self, blocks):
        super().__init__()
        self.left = blocks
        self.asked = 0

    def allgather(self, value):
        self.asked += 1
        self.left -= 1
        return [value, self.left >= 0]


@pytest.mark.parametrize("others", [0, 2, 5])
def test_blocks_are_exchanged_until_no_rank_has_any(tmp_path, others):
    comm = Paired(others)
    one = Shuffle(comm, tmp_path, "NAME", ROW, 2)
    given_buckets = []

    def bucket_of(rows):
        given_buckets.append(names_of(rows))
        return np.zeros(len(rows), np.int64)

    one.exchange_all(iter([rows_of("ab"), rows_of(""), rows_of("c")]), bucket_of)
    assert names_of(one.take(0)) == "abc"
    expected = [text for text, _ in zip_longest(["ab", "", "c"], range(others), fillvalue="")]
    assert given_buckets == expected
    assert comm.asked == max(3, others) + 1
