"""The distinct chunks of all contents: their fingerprints travel home, and from there to the owners
of their rows.

As with the digests of contents (`gather.py`): through files on scratch, in memory that does not
grow with their number, and the same for any number of ranks.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from ..dataset.chunk_writer import ChunkWriter
from ..dataset.schema import CHUNK_ROWS, TABLES
from ..mpi.comm import Comm
from ..mpi.shuffle import Shuffle, write_rows
from ..parts.part_format import EXTRA_RECORDS
from ..records import CHUNK_METHODS
from ..row_ranges import rank_range
from .placement import PlacedReader

_CHUNK = EXTRA_RECORDS["chunks"]
_PLACED = np.dtype([("row", "<i8"), *_CHUNK.descr])
_BUCKET_ROWS = 1 << 20
"""Chunks that a bucket of fingerprints holds on average."""

_PIECE_ROWS = 1 << 22
"""Chunks of a bucket in memory at a time, besides the distinct ones: a page of zeros comes a
million times."""

_METHOD_BITS = (len(CHUNK_METHODS) - 1).bit_length()


class Fingerprints:
    """The chunks that a reader gives, each once.

    :ivar total: how many there are, on every rank.
    """

    def __init__(self, comm: Comm, reader: PlacedReader, scratch: Path) -> None:
        self._comm, self._scratch = comm, scratch
        self._buckets = min(
            max(comm.size, -(-reader.extras_count("chunks") // _BUCKET_ROWS)), 1 << 16
        )
        outward = Shuffle(comm, scratch, "fingerprints", _CHUNK, self._buckets)
        outward.exchange_all(
            map(distinct, reader.extras("chunks", comm.rank, comm.size)), self._home
        )
        counts = [
            self._keep(bucket, outward.read_pieces(bucket, _PIECE_ROWS))
            for bucket in outward.my_buckets
        ]
        everyone = comm.allgather(sum(counts))
        self.total = sum(everyone)
        self._rows = Shuffle(comm, scratch, "chunks-of", _PLACED, -(-self.total // CHUNK_ROWS))
        self._rows.exchange_all(
            self._numbered(sum(everyone[: comm.rank])), lambda rows: rows["row"] // CHUNK_ROWS
        )

    def _home(self, rows: np.ndarray) -> np.ndarray:
        """Return the bucket of each chunk; buckets are in order of method and fingerprint."""
        head = np.frombuffer(rows["fingerprint"].tobytes(), ">u2")[::8].astype(np.int64)
        return (rows["method"].astype(np.int64) << 16 | head) * self._buckets >> 16 + _METHOD_BITS

    def _keep(self, bucket: int, pieces: Iterator[np.ndarray]) -> int:
        """Put a bucket's distinct chunks aside, and return how many there are."""
        found = np.empty(0, _CHUNK)
        for rows in pieces:
            found = distinct(np.concatenate([found, rows]))
        write_rows(found, self._file(bucket))
        return len(found)

    def _file(self, bucket: int) -> Path:
        return self._scratch / f"chunks-{bucket}"

    def _numbered(self, first: int) -> Iterator[np.ndarray]:
        for bucket in rank_range(self._comm.rank, self._comm.size, self._buckets):
            found = np.fromfile(self._file(bucket), _CHUNK)
            self._file(bucket).unlink()
            placed = np.empty(len(found), _PLACED)
            placed["row"] = np.arange(first, first + len(found))
            for name in _CHUNK.names or ():
                placed[name] = found[name]
            first += len(found)
            yield placed

    def blocks(self) -> Iterator[tuple[int, np.ndarray]]:
        """Yield number and chunks of this rank's blocks of `/chunks`."""
        return self._rows.buckets()

    def write(self, writer: ChunkWriter, block: int, rows: np.ndarray) -> None:
        """Write one block of `/chunks`."""
        start = block * CHUNK_ROWS
        ordered = np.empty(len(rows), _PLACED)
        ordered[rows["row"] - start] = rows
        for name, column in TABLES["chunks"].columns.items():
            writer.write(
                f"chunks/{name}", column, start, np.ascontiguousarray(ordered[name]), self.total
            )


def distinct(rows: np.ndarray) -> np.ndarray:
    """Return each chunk once, in order of method and fingerprint."""
    words = np.frombuffer(rows["fingerprint"].tobytes(), ">u8").reshape(-1, 2).astype(np.uint64)
    order = np.lexsort((words[:, 1], words[:, 0], rows["method"]))
    ordered, words = rows[order], words[order]
    new = np.ones(len(rows), bool)
    new[1:] = (words[1:] != words[:-1]).any(axis=1) | (
        ordered["method"][1:] != ordered["method"][:-1]
    )
    return ordered[new]
