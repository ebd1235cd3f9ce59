"""Write chunks of HDF5 datasets: all ranks compress them, rank 0 stores them in the file.

h5py without MPI has one writer, so other ranks send it whole compressed chunks, each rank a bounded
number at a time:

    rank 1    write: shuffle, deflate ──(path, row, data)──▶ rank 0    drain: write_direct_chunk
              at most 16 unconfirmed   ◀──────taken────────
              finish                   ───────done────────▶            finish: when all are done
"""

from __future__ import annotations

import zlib
from typing import Any

import numpy as np

from ..mpi.comm import Backoff, Comm
from .schema import ROW, Column, row_dtype, rows_of_chunk

_CHUNK = 30
_DONE = 31
_TAKEN = 32
"""Message tags: a chunk for rank 0; a rank has no more chunks; rank 0 stored a chunk."""

_MAX_UNCONFIRMED = 16
_LONGEST_SLEEP = 0.0005
"""Seconds between two polls at most; large messages only move while a rank polls."""


class ChunkWriter:
    """Writes to the datasets of a file that rank 0 has open; all ranks use it alike.

    :param file: the open file on rank 0, None elsewhere.
    """

    def __init__(self, comm: Comm, file: Any) -> None:
        self._comm = comm
        self._file = file
        self._unconfirmed = 0
        self._finished = 0
        """Calls of `finish` so far."""
        self._done = [0] * comm.size
        """By rank: calls of `finish` of which rank 0 knows; a fast rank may be ahead of it."""
        self._datasets: dict[str, Any] = {}

    def write(self, path: str, column: Column, start: int, values: np.ndarray, size: int) -> None:
        """Compress values and write them from row `start` on, where a chunk begins.

        :param path: of the dataset in the file, which has `size` rows.
        :param values: (n,) whole chunks; only the last chunk of the dataset may be short.
        """
        rows = rows_of_chunk(column, values.dtype.itemsize, size)
        for at in range(0, len(values), rows):
            data = deflated(values[at : at + rows], rows, column.compressible)
            self._put(path, start + at, data)

    def write_rows(self, table: str, start: int, stop: int, size: int) -> None:
        """Write the row numbers from `start` to `stop` of a table that has `size` rows."""
        numbers = np.arange(start, stop, dtype=row_dtype(size))
        self.write(f"{table}/{ROW.name}", ROW, start, numbers, size)

    def _put(self, path: str, row: int, data: bytes) -> None:
        """Store a chunk on rank 0, or send it there; wait while too many are unconfirmed."""
        if self._file is not None:
            self._store(path, row, data)
            return
        self._comm.send((path, row, data), self._comm.root, _CHUNK)
        self._unconfirmed += 1
        backoff = Backoff(_LONGEST_SLEEP)
        while self._unconfirmed >= _MAX_UNCONFIRMED:
            if not self._is_confirmed():
                backoff.sleep()

    def _is_confirmed(self) -> bool:
        received = self._comm.poll()
        if received is None:
            return False
        self._unconfirmed -= 1
        return True

    def _store(self, path: str, row: int, data: bytes) -> None:
        dataset = self._datasets.get(path)
        if dataset is None:
            dataset = self._datasets[path] = self._file[path]
        dataset.id.write_direct_chunk((row, *[0] * (dataset.ndim - 1)), data)

    def drain(self) -> bool:
        """Store the chunks that arrived at rank 0; return whether there were any."""
        moved = False
        while self._file is not None and (received := self._comm.poll()) is not None:
            source, tag, message = received
            moved = True
            if tag == _DONE:
                self._done[source] += 1
            else:
                self._store(*message)
                self._comm.send(None, source, _TAKEN)
        return moved

    def finish(self) -> None:
        """Wait until rank 0 stored all chunks: on rank 0 those of all ranks, elsewhere one's own.

        Collective. The writer stays usable, and ranks may go on before rank 0 does.
        """
        self._finished += 1
        self._done[self._comm.root] += 1
        backoff = Backoff(_LONGEST_SLEEP)

        # On other ranks, wait until rank 0 confirmed the chunks of this one.
        if self._file is None:
            while self._unconfirmed:
                if not self._is_confirmed():
                    backoff.sleep()
            self._comm.send(None, self._comm.root, _DONE)
            self._comm.flush()
            return

        # On rank 0, store chunks until all ranks are done.
        while min(self._done) < self._finished:
            if self.drain():
                backoff.reset()
            else:
                backoff.sleep()
        self._comm.flush()


def deflated(values: np.ndarray, rows: int, compressible: bool) -> bytes:
    """Return a chunk as HDF5 stores it after its filters `shuffle` and `deflate`.

    :param values: (n,), padded with zeros to `rows` values.
    :param compressible: whether the dataset has these filters.
    """
    if len(values) < rows:
        values = np.concatenate([values, np.zeros(rows - len(values), values.dtype)])
    if not compressible:
        return values.tobytes()
    # Put the first bytes of all values before the second ones, and so on.
    bytes_of_values = np.frombuffer(values.tobytes(), np.uint8).reshape(-1, values.dtype.itemsize)
    raw = np.ascontiguousarray(bytes_of_values.T)
    # An export where ISA-L is not installed writes the same values in other bytes
    try:
        from isal import isal_zlib
    except ImportError:
        return zlib.compress(raw.tobytes(), 1)
    return bytes(isal_zlib.compress(raw, 1, 15))
