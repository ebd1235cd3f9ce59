"""Number the distinct chunks of all contents by their fingerprints, by all ranks.

The rows travel as those of contents do (`content_numbers.py`), in bounded memory and with the same
result for any number of ranks:

    rank that reads some layers      chunks of its extra records: (cdc, 7f…), (fixed, 03…), …
         │ by bucket of method and fingerprint
    rank that owns the bucket        each chunk once, in order: (fixed, 03…), (fixed, 0a…)
         │ by block of /chunks
    rank that writes the block       row 0 of /chunks, row 1, …
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
from .placed_reader import PlacedReader

_CHUNK = EXTRA_RECORDS["chunks"]
_PLACED = np.dtype([("row", "<i8"), *_CHUNK.descr])
"""A chunk on its way to the owner of its row in `/chunks`."""

_BUCKET_ROWS = 1 << 20
"""Chunks that a bucket of fingerprints holds on average."""

_MAX_BUCKETS = 1 << 16

_PIECE_ROWS = 1 << 22
"""Chunks of a bucket in memory at a time, besides the distinct ones: a page of zeros comes a
million times."""

_METHOD_BITS = (len(CHUNK_METHODS) - 1).bit_length()


class Fingerprints:
    """The distinct chunks that a reader gives; making it is collective.

    :ivar total: number of distinct chunks, on every rank.
    """

    def __init__(self, comm: Comm, reader: PlacedReader, scratch: Path) -> None:
        self._comm = comm
        self._scratch = scratch
        buckets = -(-reader.extras_count("chunks") // _BUCKET_ROWS)
        self._buckets = min(max(comm.size, buckets), _MAX_BUCKETS)

        # Send my chunks to the ranks that own their fingerprints, and keep each once there
        outward = Shuffle(comm, scratch, "fingerprints", _CHUNK, self._buckets)
        mine = map(distinct, reader.extras("chunks", comm.rank, comm.size))
        outward.exchange_all(mine, self._bucket_of)
        counts = [
            self._keep(bucket, outward.read_pieces(bucket, _PIECE_ROWS))
            for bucket in outward.my_buckets
        ]

        # Number them after those of lower ranks, and send them to the owners of their rows
        everyone = comm.allgather(sum(counts))
        self.total = sum(everyone)
        first = sum(everyone[: comm.rank])
        self._rows = Shuffle(comm, scratch, "chunks-of", _PLACED, -(-self.total // CHUNK_ROWS))
        self._rows.exchange_all(self._numbered(first), lambda rows: rows["row"] // CHUNK_ROWS)

    def _bucket_of(self, rows: np.ndarray) -> np.ndarray:
        """Return (n,) int64, the bucket of each chunk, in order of method and fingerprint."""
        head = np.frombuffer(rows["fingerprint"].tobytes(), ">u2")[::8].astype(np.int64)
        key = rows["method"].astype(np.int64) << 16 | head
        return key * self._buckets >> 16 + _METHOD_BITS

    def _keep(self, bucket: int, pieces: Iterator[np.ndarray]) -> int:
        """Write the distinct chunks of a bucket to scratch, and return how many there are."""
        chunks = np.empty(0, _CHUNK)
        for rows in pieces:
            chunks = distinct(np.concatenate([chunks, rows]))
        write_rows(chunks, self._file(bucket))
        return len(chunks)

    def _file(self, bucket: int) -> Path:
        return self._scratch / f"chunks-{bucket}"

    def _numbered(self, first: int) -> Iterator[np.ndarray]:
        """Yield (n,) `_PLACED` of each bucket of this rank, numbered from `first` on."""
        for bucket in rank_range(self._comm.rank, self._comm.size, self._buckets):
            chunks = np.fromfile(self._file(bucket), _CHUNK)
            self._file(bucket).unlink()
            placed = np.empty(len(chunks), _PLACED)
            placed["row"] = np.arange(first, first + len(chunks))
            for name in _CHUNK.names or ():
                placed[name] = chunks[name]
            first += len(chunks)
            yield placed

    def blocks(self) -> Iterator[tuple[int, np.ndarray]]:
        """Yield (block, (n,) chunks) of the blocks of `/chunks` that this rank writes."""
        return self._rows.buckets()

    def write(self, writer: ChunkWriter, block: int, rows: np.ndarray) -> None:
        """Write one block of `/chunks`, as `blocks` yields it."""
        start = block * CHUNK_ROWS
        writer.write_rows("chunks", start, start + len(rows), self.total)
        ordered = np.empty(len(rows), _PLACED)
        ordered[rows["row"] - start] = rows
        for name, column in TABLES["chunks"].columns.items():
            values = np.ascontiguousarray(ordered[name])
            writer.write(f"chunks/{name}", column, start, values, self.total)


def distinct(rows: np.ndarray) -> np.ndarray:
    """Return each chunk once, in order of method and fingerprint.

    :param rows: (n,) `EXTRA_RECORDS["chunks"]`.
    """
    words = np.frombuffer(rows["fingerprint"].tobytes(), ">u8").reshape(-1, 2).astype(np.uint64)
    order = np.lexsort((words[:, 1], words[:, 0], rows["method"]))
    ordered = rows[order]
    words = words[order]
    method = ordered["method"]
    is_new = np.ones(len(rows), bool)
    is_new[1:] = (words[1:] != words[:-1]).any(axis=1) | (method[1:] != method[:-1])
    return ordered[is_new]
