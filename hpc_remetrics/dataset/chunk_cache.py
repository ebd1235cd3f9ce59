"""Reads columns of a large table chunk by chunk, inflated by ISA-L, the last ones kept: three times
as fast as HDF5."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Any

import numpy as np

from .schema import ABSENT, Table
from .stored_file import StoredColumn, StoredGroup
from .value_checks import check_order

if TYPE_CHECKING:
    from .reader import Table as Opened

_KEPT = 32
"""Chunks, of 1 MiB at most, that are kept."""


def columns_of(group: StoredGroup, form: Table) -> dict[str, Any]:
    """Return a table's columns by name, with what stands for those that the file's program did not
    know."""
    rows = group.column("row").rows
    return {
        name: _Absent(ABSENT[name], rows)
        if name in ABSENT and name not in group
        else group.column(name)
        for name in form.columns
    }


def no_rows(form: Table) -> dict[str, Any]:
    """Return what stands for the columns of a table that the file's program did not know."""
    return {name: np.empty(0, column.dtype or "S1") for name, column in form.columns.items()}


class _Absent:
    """A column that is the same in every row."""

    is_absent = True

    def __init__(self, value: int | float | bytes, rows: int) -> None:
        self._value, self._rows = value, rows

    def __getitem__(self, rows: slice) -> np.ndarray:
        return np.full(len(range(*rows.indices(self._rows))), self._value)


class ChunkReader:
    """Slices of the columns of one table of a dataset."""

    def __init__(self, table: Opened) -> None:
        self._table = table
        self._kept: OrderedDict[tuple[str, int], np.ndarray] = OrderedDict()

    def column(self, name: str, start: int, stop: int) -> np.ndarray:
        """Return the values of the rows `start` to `stop`, not to be written to."""
        stored = self._table.stored_column(name)
        if not isinstance(stored, StoredColumn) or start >= stop:
            return np.asarray(stored[start:stop])
        stored.check_amount(stop - start)
        rows = stored.chunk_rows
        pieces = [
            self._chunk(name, stored, chunk)[max(start - chunk * rows, 0) : stop - chunk * rows]
            for chunk in range(start // rows, -(-min(stop, stored.rows) // rows))
        ]
        values = pieces[0] if len(pieces) == 1 else np.concatenate(pieces)
        check_order(self._table.path, self._table.form.name, self._table.form.columns[name], values)
        return values

    def _chunk(self, name: str, stored: StoredColumn, chunk: int) -> np.ndarray:
        key = name, chunk
        if key not in self._kept:
            self._kept[key] = stored.chunk(chunk)
            if len(self._kept) > _KEPT:
                self._kept.popitem(last=False)
        self._kept.move_to_end(key)
        return self._kept[key]
