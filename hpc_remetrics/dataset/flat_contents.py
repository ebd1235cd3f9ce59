"""A flat copy of the contents of a dataset, for random access by row in little memory."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ..files.writing import private_file
from ..row_ranges import block_ranges
from .schema import CHUNK_ROWS
from .table import Table

FLAT = np.dtype([("digest", "V32"), ("size", "<i8"), ("type", "<i4")])
"""A content: one row of `/contents` as far as entries need it."""


class FlatContents:
    """`flat[rows]` is (n,) :data:`FLAT`, the contents with these (n,) row numbers.

    HDF5 decompresses a whole chunk for any value in it, and the contents of one layer are spread
    over the whole table, since that is sorted by digest. The file takes 44 bytes a content; the
    system caches as much of it as memory allows.
    """

    def __init__(self, path: Path) -> None:
        self._rows = np.memmap(path, FLAT, "r") if path.stat().st_size else np.empty(0, FLAT)

    def __getitem__(self, numbers: np.ndarray) -> np.ndarray:
        return np.asarray(self._rows[numbers])

    @classmethod
    def write(cls, contents: Table, path: Path) -> FlatContents:
        """Write the file, which must not exist, and open it."""
        with private_file(path, "xb") as file:
            for start, stop in block_ranges(len(contents), CHUNK_ROWS):
                rows = np.empty(stop - start, FLAT)
                for name in FLAT.names or ():
                    rows[name] = contents.column(name, start, stop)
                file.write(rows.data)
        return cls(path)
