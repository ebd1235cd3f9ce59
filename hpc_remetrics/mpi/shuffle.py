"""Send rows to the ranks that own their keys, through files on scratch in bounded buckets.

A bucket is a range of keys whose rows fit into memory, and belongs to one rank. All ranks call
`exchange` equally often, each time with a block of rows and the bucket of each row. What arrives is
appended to one file a bucket on scratch, and read back bucket by bucket. With 2 ranks, 4 buckets
and the rows a…g, where rank 0 owns the buckets 0 and 1:

    rank 0: rows a b c d, buckets 3 0 1 0      rank 1: rows e f g, buckets 0 2 2

      sorted by bucket    b d c | a            sorted by bucket    e | f g
                          0 0 1 | 3                                0 | 2 2
      one buffer a rank:                       one buffer a rank:
        to rank 0: 0 0 1 b d c                   to rank 0: 0 e
        to rank 1: 3 a                           to rank 1: 2 2 f g
                              ╲              ╱
                                 alltoall
                              ╱              ╲
      received by rank 0:                      received by rank 1:
        from rank 0: 0 0 1 b d c                 from rank 0: 3 a
        from rank 1: 0 e                         from rank 1: 2 2 f g
      files:                                   files:
        NAME-0: b d e    NAME-1: c               NAME-2: f g    NAME-3: a

Within a bucket rows stand in order of exchange, then of the rank they came from, then of their
position in its block.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np

from ..files.writing import private_file
from ..row_ranges import rank_range
from .comm import Comm

_RADIX_BUCKETS = 1 << 16
"""Numbers of buckets up to this are sorted as 16-bit numbers, for which numpy has a radix sort."""


def owners(items: int, size: int) -> np.ndarray:
    """Return the rank whose `rank_range` holds each item: (items,) int64, ascending.

    >>> owners(7, 3).tolist()
    [0, 0, 1, 1, 2, 2, 2]
    """
    counts = [len(rank_range(rank, size, items)) for rank in range(size)]
    return np.repeat(np.arange(size), counts)


def collective_rounds(comm: Comm, mine: int) -> Iterator[int | None]:
    """Count rounds from 0 to the most of any rank; yield None when this rank has no more.

    For loops whose body is collective, while ranks have different amounts of work. Collective.

    :param mine: rounds of this rank.
    """
    for turn in range(max(comm.allgather(mine))):
        yield turn if turn < mine else None


def write_rows(rows: np.ndarray, path: Path) -> None:
    """Write an array to a file on scratch, in C order.

    :raises OSError: the disk is full, of which `ndarray.tofile` says nothing.
    """
    with private_file(path, "wb") as file:
        file.write(np.ascontiguousarray(rows).data)


class Shuffle:
    """Sends rows of one dtype to the ranks that own their buckets; see the drawing above.

    :param directory: on scratch; files are made and removed there.
    :param name: how the names of the files begin.
    :param buckets: number of buckets, the same on all ranks, below 2^31.
    :ivar my_buckets: the buckets that this rank owns.
    """

    def __init__(
        self, comm: Comm, directory: Path, name: str, dtype: np.dtype, buckets: int
    ) -> None:
        self._comm = comm
        self._directory = directory
        self._name = name
        self._dtype = dtype
        self._owner = owners(buckets, comm.size)
        self.my_buckets = rank_range(comm.rank, comm.size, buckets)

    def exchange(self, rows: np.ndarray, buckets: np.ndarray) -> None:
        """Send rows to the ranks that own their buckets, and store what arrives here. Collective.

        :param rows: (n,) of the dtype; n may be 0, and differ from rank to rank.
        :param buckets: (n,) integers, the bucket of each row.
        """
        # Sort the rows by bucket, which sorts them by owner as well.
        is_narrow = len(self._owner) <= _RADIX_BUCKETS
        order = np.argsort(buckets.astype(np.uint16) if is_narrow else buckets, kind="stable")
        rows = rows[order]
        buckets = buckets[order].astype(np.int32)

        # Cut them by owner: bounds[r] is the first row of rank r or a higher one.
        bounds = np.searchsorted(self._owner[buckets], np.arange(self._comm.size + 1)).tolist()

        # Send each rank its buckets and rows in one buffer: first (k,) int32, then (k,) rows.
        sent = [
            buckets[low:high].tobytes() + rows[low:high].tobytes() for low, high in pairwise(bounds)
        ]
        for received in self._comm.alltoall(sent):
            self._store(received)

    def exchange_all(
        self, blocks: Iterator[np.ndarray], bucket_of: Callable[[np.ndarray], np.ndarray]
    ) -> None:
        """Exchange blocks of rows, however many each rank has. Collective.

        :param blocks: arrays of the dtype, (n,) each.
        :param bucket_of: returns the buckets of such an array, (n,) integers.
        """
        while True:
            rows = next(blocks, None)
            if not any(self._comm.allgather(rows is not None)):
                return
            if rows is None:
                rows = np.empty(0, self._dtype)
            self.exchange(rows, bucket_of(rows))

    def _store(self, received: memoryview) -> None:
        """Append the rows that one rank sent to the files of their buckets."""
        row_bytes = self._dtype.itemsize
        count = received.nbytes // (4 + row_bytes)
        if not count:
            return
        buckets = np.frombuffer(received[: 4 * count], np.int32)
        rows = received[4 * count :]
        # Buckets ascend, so each has one run of rows.
        starts = np.flatnonzero(np.diff(buckets, prepend=-1)).tolist()
        for start, stop in pairwise([*starts, count]):
            # Buffered: a bare write on a disk that gets full writes some, and says nothing.
            with private_file(self._file(int(buckets[start])), "ab") as file:
                file.write(rows[start * row_bytes : stop * row_bytes])

    def buckets(self) -> Iterator[tuple[int, np.ndarray]]:
        """Yield (bucket, rows) of the buckets of this rank in order, and remove their files."""
        for bucket in self.my_buckets:
            yield bucket, self.take(bucket)

    def take(self, bucket: int) -> np.ndarray:
        """Return the rows of one of this rank's buckets, (n,), and remove its file."""
        path = self._file(bucket)
        if not path.exists():
            return np.empty(0, self._dtype)
        rows = np.fromfile(path, self._dtype)
        path.unlink()
        return rows

    def read_pieces(self, bucket: int, rows: int) -> Iterator[np.ndarray]:
        """Yield the rows of one of this rank's buckets in pieces, and remove its file at the end.

        :param rows: the most rows of a piece.
        """
        path = self._file(bucket)
        if not path.exists():
            return
        with open(path, "rb") as file:
            while len(piece := np.fromfile(file, self._dtype, rows)):
                yield piece
        path.unlink()

    def _file(self, bucket: int) -> Path:
        return self._directory / f"{self._name}-{bucket}"
