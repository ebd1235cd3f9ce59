"""Rows travel from the ranks that have them to the ranks that need them, through files in bounded
buckets.

A bucket is a range of keys whose rows fit into memory; it has one home rank. All ranks call
`exchange` equally often; what arrives is appended to one file a bucket on scratch, and read back
bucket by bucket.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from ..files.writing import private_file
from ..row_ranges import rank_range
from .comm import Comm


def owners(items: int, size: int) -> np.ndarray:
    """Return the rank whose `share` holds each of `items`."""
    owner = np.zeros(items, np.int64)
    for rank in range(size):
        owner[rank_range(rank, size, items).start : rank_range(rank, size, items).stop] = rank
    return owner


def collective_rounds(comm: Comm, mine: int) -> Iterator[int | None]:
    """Count to the greatest number of rounds of any rank; None when this rank has no more of its
    own."""
    for turn in range(max(comm.allgather(mine))):
        yield turn if turn < mine else None


def write_rows(rows: np.ndarray, path: Path) -> None:
    """Write rows to a file on scratch; unlike `ndarray.tofile` it says so in an `OSError` if the
    disk is full."""
    with private_file(path, "wb") as file:
        file.write(np.ascontiguousarray(rows).data)


class Shuffle:
    """A journey of rows of one dtype to `buckets` buckets.

    :param folder: on scratch; the files are made and removed there.
    """

    def __init__(self, comm: Comm, folder: Path, name: str, dtype: np.dtype, buckets: int) -> None:
        self._comm, self._folder, self._name, self._dtype = comm, folder, name, dtype
        self._home = owners(buckets, comm.size)
        self.my_buckets = rank_range(comm.rank, comm.size, buckets)

    def exchange(self, rows: np.ndarray, buckets: np.ndarray) -> None:
        """Send each row to the home of its bucket, and take in what other ranks send here."""
        # Sixteen bits are sorted by radix.
        order = np.argsort(
            buckets.astype(np.uint16) if len(self._home) <= 1 << 16 else buckets, kind="stable"
        )
        rows, buckets = rows[order], buckets[order].astype(np.int32)
        bounds = (
            np.searchsorted(self._home[buckets], np.arange(self._comm.size + 1))
            if len(rows)
            else None
        )
        sent = []
        for rank in range(self._comm.size):
            low, high = (int(bounds[rank]), int(bounds[rank + 1])) if bounds is not None else (0, 0)
            sent.append(buckets[low:high].tobytes() + rows[low:high].tobytes())
        for received in self._comm.alltoall(sent):
            self._store(received)

    def exchange_all(
        self, pieces: Iterator[np.ndarray], bucket_of: Callable[[np.ndarray], np.ndarray]
    ) -> None:
        """Exchange rows piece by piece, however many pieces each rank has."""
        while any(self._comm.allgather((rows := next(pieces, None)) is not None)):
            rows = np.empty(0, self._dtype) if rows is None else rows
            self.exchange(rows, bucket_of(rows))

    def _store(self, received: memoryview) -> None:
        count = received.nbytes // (4 + self._dtype.itemsize)
        if not count:
            return
        buckets = np.frombuffer(received[: 4 * count], np.int32)
        rows = received[4 * count :]
        starts = np.flatnonzero(np.diff(buckets, prepend=-1))
        for start, stop in zip(starts.tolist(), [*starts[1:].tolist(), count], strict=True):
            # Buffered: a bare write on a disk that gets full writes some, and says nothing.
            with private_file(self._file(int(buckets[start])), "ab") as file:
                file.write(rows[start * self._dtype.itemsize : stop * self._dtype.itemsize])

    def buckets(self) -> Iterator[tuple[int, np.ndarray]]:
        """Yield (bucket, rows) of this rank's buckets in order, and remove their files."""
        for bucket in self.my_buckets:
            yield bucket, self.take(bucket)

    def take(self, bucket: int) -> np.ndarray:
        """Return the rows of one of this rank's buckets, and remove its file."""
        path = self._file(bucket)
        if not path.exists():
            return np.empty(0, self._dtype)
        rows = np.fromfile(path, self._dtype)
        path.unlink()
        return rows

    def read_pieces(self, bucket: int, rows: int) -> Iterator[np.ndarray]:
        """Yield the rows of one of this rank's buckets, at most `rows` at a time, and remove its
        file."""
        path = self._file(bucket)
        if not path.exists():
            return
        with open(path, "rb") as file:
            while len(piece := np.fromfile(file, self._dtype, rows)):
                yield piece
        path.unlink()

    def _file(self, bucket: int) -> Path:
        return self._folder / f"{self._name}-{bucket}"
