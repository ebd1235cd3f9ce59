"""Rows divided among ranks and into blocks: each once, in order."""

import pytest

from hpc_remetrics.row_ranges import block_ranges, rank_range


@pytest.mark.parametrize("items", [0, 1, 2, 7, 100])
@pytest.mark.parametrize("size", [1, 2, 3, 8])
def test_each_item_belongs_to_one_rank(size, items):
    ranges = [rank_range(rank, size, items) for rank in range(size)]
    assert [item for one in ranges for item in one] == list(range(items))
    assert max(map(len, ranges)) - min(map(len, ranges)) <= 1


@pytest.mark.parametrize("rows", [0, 1, 4, 5, 8, 23])
@pytest.mark.parametrize("size", [1, 2, 3])
def test_blocks_are_whole_but_for_the_last(rows, size):
    found = [list(block_ranges(rows, 4, rank, size)) for rank in range(size)]
    blocks = [block for one in found for block in one]
    assert [row for start, stop in blocks for row in range(start, stop)] == list(range(rows))
    assert all(stop - start == 4 for start, stop in blocks[:-1])
    assert max(map(len, found)) - min(map(len, found)) <= 1


def test_without_ranks_all_blocks_are_one_s():
    assert list(block_ranges(10, 4)) == [(0, 4), (4, 8), (8, 10)]
