"""Write `/entries` block by block: columns of the parts, numbers of contents, offsets."""

from __future__ import annotations

import numpy as np

from ..dataset.chunk_writer import ChunkWriter
from ..dataset.schema import CHUNK_BYTES, CHUNK_ROWS, TABLES
from .placed_reader import PlacedReader

_COPIED = ("kind", "mode", "uid", "gid", "mtime", "mtime_ns")
"""Columns that are written as the parts have them."""


class EntryWriter:
    """Writes the blocks of `/entries` and the chunks of its blobs that belong to this rank."""

    def __init__(self, reader: PlacedReader, writer: ChunkWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._placement = reader.placement
        self._offsets = _BlobOffsets(reader)

    def write_block(self, block: int, contents: np.ndarray) -> None:
        """Write one block of rows.

        :param contents: (rows of the block,), the row of each entry in `/contents`, -1 for none.
        """
        rows = self._placement.entries
        start = block * CHUNK_ROWS
        stop = min(start + CHUNK_ROWS, rows)
        self._writer.write_rows("entries", start, stop, rows)
        self._write("content", start, contents, rows)
        for name in _COPIED:
            self._write(name, start, self._reader.column(name, start, stop), rows)
        for blob in ("path", "link"):
            offsets = self._offsets.block(blob, start, stop)
            if stop == rows:
                offsets = np.append(offsets, self._placement.first[blob][-1])
            self._write(f"{blob}_offset", start, offsets, rows + 1)

    def write_blob(self, blob: str, chunk: int) -> None:
        """Write one chunk of the bytes of all paths or links."""
        size = int(self._placement.first[blob][-1])
        start = chunk * CHUNK_BYTES
        data = self._reader.blob(blob, start, min(start + CHUNK_BYTES, size))
        self._write(blob, start, np.frombuffer(data, np.uint8), size)

    def _write(self, name: str, start: int, values: np.ndarray, size: int) -> None:
        column = TABLES["entries"].columns[name]
        self._writer.write(f"entries/{name}", column, start, values, size)


class _BlobOffsets:
    """Computes from their lengths where the paths and links of entries begin."""

    def __init__(self, reader: PlacedReader) -> None:
        self._reader = reader
        self._placement = reader.placement
        self._next: dict[str, tuple[int, int]] = {}  # blob -> row after the last block, its offset

    def block(self, blob: str, start: int, stop: int) -> np.ndarray:
        """Return (stop - start,) int64, the offsets of these entries' values in the blob."""
        row, offset = self._next.get(blob, (-1, 0))
        if row != start:
            offset = self._offset_of(blob, start)
        lengths = self._reader.column(f"{blob}_length", start, stop).astype(np.int64)
        ends = offset + np.cumsum(lengths)
        self._check(blob, start, stop, ends)
        self._next[blob] = stop, int(ends[-1])
        return ends - lengths

    def _check(self, blob: str, start: int, stop: int, ends: np.ndarray) -> None:
        """Compare the end of each layer that ends in a block with what the rows of the layers say.

        :param ends: (stop - start,) int64, where the value of each entry ends.
        """
        layer_ends = self._placement.first["entries"][1:]
        here = (layer_ends > start) & (layer_ends <= stop)
        for layer in np.flatnonzero(here).tolist():
            end = ends[layer_ends[layer] - start - 1]
            if end != self._placement.first[blob][layer + 1]:
                part = int(self._placement.part[layer])
                self._reader.fault([part], f"the lengths of its {blob}s don't add up")
                return

    def _offset_of(self, blob: str, row: int) -> int:
        """Return the offset of a row: that of its layer, plus the lengths before it in it."""
        entries = self._placement.first["entries"]
        layer = int(np.searchsorted(entries, row, "right")) - 1
        offset = int(self._placement.first[blob][layer])
        for start in range(int(entries[layer]), row, CHUNK_ROWS):
            stop = min(start + CHUNK_ROWS, row)
            lengths = self._reader.column(f"{blob}_length", start, stop)
            offset += int(lengths.sum(dtype=np.int64))
        return offset
