"""Collect the rows of a table on scratch until their number is known, then write it chunk by chunk.

A dataset of HDF5 has its size from the beginning. So the columns go to one file on scratch, a piece
of each at a time, and from there to their chunks; memory holds one piece and one chunk:

    append  config 0 0, key "ab" "c"          append  config 1, key "def"
    file on scratch       │ 0 0 │ abc │ 2 3 │ 1 │ def │ 6 │
    pieces of /labels/config  ─┘─────────────┘            0 0 1
    pieces of /labels/key            ─┘─────────────┘     a b c d e f
    pieces of key_offset               0  ─┘────────────┘  0 2 3 6
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from ..row_ranges import block_ranges
from .chunk_writer import deflated
from .schema import CHUNK_ROWS, ROW, TABLES, Column, row_dtype
from .table_writer import SMALL_BYTES, create_table, plain


class GrowingTable:
    """Collects rows of a table of the schema; a context, which closes its file.

    :param directory: on scratch; the file there has no name, so a kill leaves nothing.
    :ivar rows: how many there are.
    """

    def __init__(self, name: str, directory: Path) -> None:
        self.rows = 0
        self._name = name
        self._columns = TABLES[name].columns
        self._file = tempfile.TemporaryFile(dir=directory)  # noqa: SIM115
        self._end = 0
        self._pieces: dict[str, list[tuple[int, int]]] = {name: [] for name in self._columns}
        self._bytes = {name: 0 for name, column in self._columns.items() if column.is_blob}
        for blob in self._bytes:
            self._add(f"{blob}_offset", np.zeros(1, np.int64))

    def __enter__(self) -> GrowingTable:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._file.close()

    def append(self, columns: Mapping[str, Any]) -> None:
        """Append rows.

        :param columns: column -> n numbers or raw digests; n str of a column of UTF-8, n bytes of
            one of bytes. All columns of the table but the offsets.
        """
        for name, column in self._columns.items():
            if column.is_blob:
                self._add_blob(name, columns[name])
            elif column.type != "offset":
                self._add(name, np.asarray(columns[name], column.dtype))
        self.rows += len(next(iter(columns.values())))

    def _add_blob(self, name: str, values: Sequence[str] | Sequence[bytes]) -> None:
        """Write the bytes of values, and where each of them ends."""
        data, lengths = _joined(values)
        ends = self._bytes[name] + np.cumsum(np.fromiter(lengths, np.int64))
        self._bytes[name] += len(data)
        self._add(name, np.frombuffer(data, np.uint8))
        self._add(f"{name}_offset", ends)

    def _add(self, name: str, values: np.ndarray) -> None:
        """Write a piece of a column behind all others."""
        if len(values):
            self._file.write(values.tobytes())
            self._pieces[name].append((self._end, self._end + values.nbytes))
            self._end += values.nbytes

    def write(self, file: Any, rows: Mapping[str, int]) -> None:
        """Create the table in an HDF5 file that is open for writing, and fill it.

        :param rows: table -> its rows, for the width of row numbers.
        """
        self._file.flush()
        sizes = {"row": self.rows, **{f"{name}_byte": size for name, size in self._bytes.items()}}
        create_table(file, self._name, sizes, rows, SMALL_BYTES)
        group = file[self._name]
        for name, column in self._columns.items():
            self._write_column(group[name], column)
        for start, stop in block_ranges(self.rows, CHUNK_ROWS):
            numbers = np.arange(start, stop, dtype=row_dtype(self.rows))
            _put(group[ROW.name], ROW, start, numbers)

    def _write_column(self, dataset: Any, column: Column) -> None:
        """Copy a column from scratch to its dataset, a chunk at a time."""
        at = 0
        rows = dataset.chunks[0] if dataset.chunks else len(dataset)
        for values in self._read(column, rows):
            if column.type == "row":
                values = values.astype(dataset.dtype)
            _put(dataset, column, at, values)
            at += len(values)

    def _read(self, column: Column, rows: int) -> Iterator[np.ndarray]:
        """Yield all values of a column, each time as many as a chunk has rows."""
        dtype = np.dtype(column.dtype)
        held = bytearray()
        for start, stop in self._pieces[column.name]:
            self._file.seek(start)
            held += self._file.read(stop - start)
            while len(held) >= rows * dtype.itemsize:
                yield np.frombuffer(bytes(held[: rows * dtype.itemsize]), dtype)
                del held[: rows * dtype.itemsize]
        if held:
            yield np.frombuffer(bytes(held), dtype)


def _joined(values: Sequence[str] | Sequence[bytes]) -> tuple[bytes, Iterator[int]]:
    """Return the bytes of all values, and the length of each."""
    if values and isinstance(values[0], str):
        text = "".join(values)  # type: ignore[arg-type]
        if text.isascii():
            return text.encode(), map(len, values)
        values = [one.encode() for one in values]  # type: ignore[union-attr]
    return b"".join(values), map(len, values)  # type: ignore[arg-type]


def _put(dataset: Any, column: Column, start: int, values: np.ndarray) -> None:
    """Write a chunk of a dataset, or all values of one that is stored in one piece."""
    if dataset.chunks is None:
        dataset[start : start + len(values)] = plain(values)
        return
    data = deflated(values, dataset.chunks[0], column.compressible)
    dataset.id.write_direct_chunk((start, *[0] * (dataset.ndim - 1)), data)
