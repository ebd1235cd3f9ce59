"""The contents of a dataset in a flat file, so that any of them are at hand by number in little
memory."""

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
    """`flat[numbers]` is an array of :data:`FLAT` of the contents with these row numbers.

    HDF5 decompresses a whole chunk for any value in it, and the contents of one layer lie all over
    the table, since that is sorted by digest. The file takes 44 bytes a content; the system keeps
    in memory what there is room for.
    """

    def __init__(self, path: Path) -> None:
        self._rows = np.memmap(path, FLAT, "r") if path.stat().st_size else np.empty(0, FLAT)

    def __getitem__(self, numbers: np.ndarray) -> np.ndarray:
        return np.asarray(self._rows[numbers])

    @classmethod
    def write(cls, contents: Table, path: Path) -> FlatContents:
        """Write the file, which must not be there, and open it."""
        with private_file(path, "xb") as file:
            for start, stop in block_ranges(len(contents), CHUNK_ROWS):
                rows = np.empty(stop - start, FLAT)
                for name in FLAT.names or ():
                    rows[name] = contents.column(name, start, stop)
                file.write(rows.data)
        return cls(path)
