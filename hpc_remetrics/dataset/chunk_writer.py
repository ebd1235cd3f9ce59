"""Chunks of HDF5 datasets: all ranks shuffle and deflate them, the root puts them in place.

h5py without MPI has one writer, so the others send it whole compressed chunks; a sender has a
bounded number of them on the way.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from isal import isal_zlib

from ..mpi.comm import Backoff, Comm
from .schema import Column, rows_of_chunk

_CHUNK, _DONE, _TAKEN = 30, 31, 32
_ON_THE_WAY = 16
_LONGEST = 0.0005
"""Seconds between two looks for a message; large ones only move while somebody looks."""


class ChunkWriter:
    """Puts chunks into the datasets of an open file on the root; all ranks use it alike.

    :param file: the open file on the root, None elsewhere.
    """

    def __init__(self, comm: Comm, file: Any) -> None:
        self._comm, self._file = comm, file
        self._on_the_way = 0
        self._writing = comm.size - 1
        self._datasets: dict[str, Any] = {}

    def write(self, path: str, column: Column, start: int, values: np.ndarray, size: int) -> None:
        """Write values to a dataset of `size` from row `start` on, which must be the beginning of a
        chunk.

        Only the last chunk of a dataset may be short.
        """
        rows = rows_of_chunk(column, values.dtype.itemsize, size)
        for at in range(0, len(values), rows):
            data = deflated(values[at : at + rows], rows, column.compressible)
            self._put(path, start + at, data)

    def _put(self, path: str, row: int, data: bytes) -> None:
        if self._file is not None:
            self._place(path, row, data)
            return
        self._comm.send((path, row, data), self._comm.root, _CHUNK)
        self._on_the_way += 1
        backoff = Backoff(_LONGEST)
        while self._on_the_way >= _ON_THE_WAY:
            if not self._taken():
                backoff.sleep()

    def _taken(self) -> bool:
        received = self._comm.poll()
        if received is None:
            return False
        self._on_the_way -= 1
        return True

    def _place(self, path: str, row: int, data: bytes) -> None:
        dataset = self._datasets.get(path)
        if dataset is None:
            dataset = self._datasets[path] = self._file[path]
        dataset.id.write_direct_chunk((row,), data)

    def drain(self) -> bool:
        """On the root: put in place what has come; return whether anything had."""
        moved = False
        while self._file is not None and (received := self._comm.poll()) is not None:
            source, tag, message = received
            moved = True
            if tag == _DONE:
                self._writing -= 1
            else:
                self._place(*message)
                self._comm.send(None, source, _TAKEN)
        return moved

    def finish(self) -> None:
        """Wait until everything that any rank wrote is in place; the writer can be used again after
        it."""
        backoff = Backoff(_LONGEST)
        if self._file is None:
            while self._on_the_way:
                if not self._taken():
                    backoff.sleep()
            self._comm.send(None, self._comm.root, _DONE)
            self._comm.flush()
            return
        while self._writing:
            if self.drain():
                backoff.reset()
            else:
                backoff.sleep()
        self._writing = self._comm.size - 1
        self._comm.flush()


def deflated(values: np.ndarray, rows: int, compressible: bool) -> bytes:
    """Return a chunk as HDF5's filters `shuffle` and `deflate` store it, padded to `rows`
    values."""
    if len(values) < rows:
        values = np.concatenate([values, np.zeros(rows - len(values), values.dtype)])
    width = values.dtype.itemsize
    raw = np.frombuffer(values.tobytes(), np.uint8)
    if width > 1 and compressible:
        raw = np.ascontiguousarray(raw.reshape(-1, width).T)
    return bytes(isal_zlib.compress(raw, 1, 15)) if compressible else raw.tobytes()
