"""Divide rows among ranks and into blocks."""

from __future__ import annotations

from collections.abc import Iterator


def rank_range(rank: int, size: int, items: int) -> range:
    """Return the contiguous range of `items` that belongs to a rank.

    >>> [list(rank_range(rank, 3, 7)) for rank in range(3)]
    [[0, 1], [2, 3], [4, 5, 6]]
    """
    return range(rank * items // size, (rank + 1) * items // size)


def block_ranges(rows: int, block: int, rank: int = 0, size: int = 1) -> Iterator[tuple[int, int]]:
    """Yield (start, stop) of the blocks of `block` rows that belong to a rank; the last is short.

    >>> list(block_ranges(10, 4)), list(block_ranges(10, 4, rank=1, size=2))
    ([(0, 4), (4, 8), (8, 10)], [(4, 8), (8, 10)])
    """
    for number in rank_range(rank, size, -(-rows // block)):
        yield number * block, min((number + 1) * block, rows)
