"""Read columns of a large table chunk by chunk, and keep the last chunks."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator

import numpy as np

from .stored_file import StoredColumn
from .table import Table
from .value_checks import check_order

_KEPT = 32
"""Chunks that are kept, of 1 MiB at most each."""


class ChunkReader:
    """Slices of the columns of one table, for passes over all of it."""

    def __init__(self, table: Table) -> None:
        self._table = table
        self._kept: OrderedDict[tuple[str, int], np.ndarray] = OrderedDict()

    def column(self, name: str, start: int, stop: int) -> np.ndarray:
        """Return (stop - start,) values of a column as stored, fewer at its end; not writable."""
        stored = self._table.stored_column(name)
        if not isinstance(stored, StoredColumn) or start >= stop:
            return np.asarray(stored[start:stop])
        stored.check_amount(stop - start)

        # Cut the rows out of the chunks that hold them
        rows = stored.chunk_rows
        pieces = []
        for number in range(start // rows, -(-min(stop, stored.rows) // rows)):
            first = number * rows
            chunk = self._chunk(name, stored, number)
            pieces.append(chunk[max(start - first, 0) : stop - first])
        values = pieces[0] if len(pieces) == 1 else np.concatenate(pieces)
        check_order(self._table.path, self._table.form.name, self._table.form.columns[name], values)
        return values

    def text(self, name: str, row: int, most: int | None = None) -> bytes:
        """Return a text of a row, of which `most` limits the bytes."""
        low, high = self.column(f"{name}_offset", row, row + 2).tolist()
        return self.column(name, low, high if most is None else min(high, low + most)).tobytes()

    def text_batches(
        self, name: str, start: int, stop: int, size: int
    ) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
        """Yield the texts of the rows from `start` to `stop`, a batch of rows at a time.

        A batch has `size` bytes at most; of a row with more only the beginning is read.

        :returns: the first row, (bytes,) uint8, and (n + 1,) int64, where each text lies in them
            or would lie if it were read whole.
        """
        bounds = self.column(f"{name}_offset", start, stop + 1)
        first = 0
        while first < stop - start:
            # Take as many rows as have so many bytes, or one, of which the beginning has to do
            after = int(np.searchsorted(bounds, bounds[first] + size, "right")) - 1
            last = max(after, first + 1)
            low = int(bounds[first])
            data = self.column(name, low, min(int(bounds[last]), low + size))
            yield start + first, data, bounds[first : last + 1] - low
            first = last

    def _chunk(self, name: str, stored: StoredColumn, number: int) -> np.ndarray:
        """Return the values of a chunk, from the cache if they are there."""
        key = name, number
        if key not in self._kept:
            self._kept[key] = stored.chunk(number)
            if len(self._kept) > _KEPT:
                self._kept.popitem(last=False)
        self._kept.move_to_end(key)
        return self._kept[key]
