"""Write spills: entries come one by one, blocks of columns leave (see `parts/spill_format.py`)."""

from __future__ import annotations

import os
import struct
from array import array
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from ..dataset.file_object import write_all
from ..files.writing import private_descriptor
from .spill_format import (
    BLOCK_BYTES,
    BLOCK_ROWS,
    COLUMNS,
    EXTRA_STRUCTS,
    EXTRAS,
    HEADER,
    MAGIC,
    NO_CONTENT,
    NO_TYPE,
    block_size,
    column_offset,
)

_NO_DIGEST = bytes(32)
_ARRAY_CODES = {"u1": "B", "u2": "H", "u4": "I", "u8": "Q", "i8": "q"}
"""numpy type -> type code of `array`; digests have none and are joined."""

_ROW_VALUES = 9
"""Values of a row before its block is written: the arguments of `Spill.add`."""

_PATH = 7
_LINK = 8
"""Places of path and link among the values of a row."""

_SIZE = struct.Struct("<Q")
_TYPE = struct.Struct("<I")

Content = list[Any]
"""Size, type number and SHA-256 of a file's bytes; the number may come as late as the block is
written."""

NOTHING: Content = [NO_CONTENT, NO_TYPE, _NO_DIGEST]


class Spill:
    """The entries of one layer on their way to a file; memory is bounded by one block.

    :ivar settle: called before a block is written, to fill in what contents still lack.
    :ivar rows: entries that were written, with `path_bytes` and `link_bytes`.
    """

    settle: Callable[[], None] = staticmethod(lambda: None)

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = private_descriptor(path, os.O_TRUNC)
        self._end = 0
        self._blocks: list[tuple[int, int, int]] = []  # (offset in the file, first row, rows)
        self._loose_from = -1
        self.rows = 0
        self.path_bytes = 0
        self.link_bytes = 0
        self._clear()

    def _clear(self) -> None:
        """Begin a new block."""
        # The values of all rows one after the other: a column is every ninth of them
        self._values: list[Any] = []
        self._bytes = 0
        self._extras: dict[str, list[bytes]] = {kind: [] for kind in EXTRAS}

    def add(
        self,
        kind: int,
        mode: int,
        uid: int,
        gid: int,
        mtime: int,
        mtime_ns: int,
        content: Content,
        path: bytes,
        link: bytes,
    ) -> None:
        """Append one entry."""
        self._values.extend((kind, mode, uid, gid, mtime, mtime_ns, content, path, link))
        self._bytes += len(path) + len(link)
        if self._bytes >= BLOCK_BYTES or len(self._values) >= BLOCK_ROWS * _ROW_VALUES:
            self.flush()

    def add_records(self, kind: str, records: bytes) -> None:
        """Append extra records.

        :param kind: one of `EXTRAS`.
        :param records: any number of them, packed by `EXTRA_STRUCTS`, one after the other.
        """
        self._extras[kind].append(records)
        self._bytes += len(records)

    def add_loose_records(self, kind: str, records: bytes) -> None:
        """Write extra records of a content that is not whole yet.

        Then `keep_loose` keeps them, or `drop_loose` takes them back.
        """
        if self._loose_from < 0:
            self.flush()
            self._loose_from = self._end
        self._extras[kind].append(records)
        self.flush()

    def keep_loose(self) -> None:
        """Keep the loose records: their content became whole."""
        self._loose_from = -1

    def drop_loose(self) -> None:
        """Take back the loose records: their content never became whole."""
        if self._loose_from >= 0:
            os.ftruncate(self._file, self._loose_from)
            self._end = self._loose_from
            self._loose_from = -1

    def flush(self) -> None:
        """Write the block that is being gathered."""
        self.settle()
        rows = len(self._values) // _ROW_VALUES
        extras = {kind: b"".join(records) for kind, records in self._extras.items()}
        if not rows and not any(extras.values()):
            return

        # Write the block in one piece
        paths = b"".join(self._values[_PATH::_ROW_VALUES])
        links = b"".join(self._values[_LINK::_ROW_VALUES])
        counts = [len(records) // EXTRA_STRUCTS[kind].size for kind, records in extras.items()]
        header = HEADER.pack(MAGIC, rows, len(paths), len(links), *counts)
        data = b"".join([header, *self._columns(), paths, links, *extras.values()])
        write_all(self._file, data, self._end)

        # Remember where its rows are
        if rows:
            self._blocks.append((self._end, self.rows, rows))
        self._end += len(data)
        self.rows += rows
        self.path_bytes += len(paths)
        self.link_bytes += len(links)
        self._clear()

    def _columns(self) -> list[bytes]:
        """Return the bytes of each column of the block, in the order of `COLUMNS`."""
        if not self._values:
            return []

        # Take the values of the rows apart; they lie one row behind the other.
        kinds, modes, uids, gids, mtimes, ns, contents, paths, links = (
            self._values[place::_ROW_VALUES] for place in range(_ROW_VALUES)
        )
        values: dict[str, Iterable[Any]] = {
            "kind": kinds,
            "mode": modes,
            "uid": uids,
            "gid": gids,
            "mtime": mtimes,
            "mtime_ns": ns,
            "size": [size for size, _, _ in contents],
            "type": [number for _, number, _ in contents],
            "digest": [digest for _, _, digest in contents],
            "path_length": map(len, paths),
            "link_length": map(len, links),
        }

        # Numbers become arrays of their type, digests and the like are joined.
        columns = []
        for name, (code, _) in COLUMNS.items():
            if code in _ARRAY_CODES:
                columns.append(array(_ARRAY_CODES[code], values[name]).tobytes())
            else:
                columns.append(b"".join(values[name]))
        return columns

    def empty(self) -> None:
        """Forget everything that was written."""
        os.ftruncate(self._file, 0)
        self._blocks.clear()
        self._loose_from = -1
        self._end = 0
        self.rows = 0
        self.path_bytes = 0
        self.link_bytes = 0
        self._clear()

    def close(self) -> None:
        """Close the file; entries that were not flushed are lost."""
        os.close(self._file)

    def entries(self) -> Iterator[tuple[int, int, bytes, bytes]]:
        """Yield (row, kind, path, link) of the flushed entries, in order."""
        for start, first, rows in self._blocks:
            # Read the block without its extra records
            header = os.pread(self._file, HEADER.size, start)
            _, _, path_bytes, link_bytes, *_ = HEADER.unpack(header)
            data = os.pread(self._file, block_size(rows, path_bytes, link_bytes), start)
            path_lengths = _lengths(data, "path_length", rows)
            link_lengths = _lengths(data, "link_length", rows)

            # Cut paths and links one after the other
            path_at = block_size(rows, 0, 0)
            link_at = path_at + path_bytes
            for row in range(rows):
                path_end = path_at + path_lengths[row]
                link_end = link_at + link_lengths[row]
                kind = data[HEADER.size + row]
                yield first + row, kind, data[path_at:path_end], data[link_at:link_end]
                path_at = path_end
                link_at = link_end

    def content(self, row: int) -> Content:
        """Read back the content of a flushed row."""
        size, number, digest = (os.pread(self._file, width, at) for at, width in self._places(row))
        return [_SIZE.unpack(size)[0], _TYPE.unpack(number)[0], digest]

    def set_content(self, row: int, content: Content) -> None:
        """Overwrite the content of a flushed row."""
        values = _SIZE.pack(content[0]), _TYPE.pack(content[1]), content[2]
        for (at, _), value in zip(self._places(row), values, strict=True):
            write_all(self._file, value, at)

    def _places(self, row: int) -> list[tuple[int, int]]:
        """Return (offset in the file, bytes) of a row's size, type and digest."""
        # The last block whose first row is not behind the row
        low = 0
        high = len(self._blocks)
        while high - low > 1:
            middle = (low + high) // 2
            if self._blocks[middle][1] <= row:
                low = middle
            else:
                high = middle
        start, first, rows = self._blocks[low]
        places = []
        for name in ("size", "type", "digest"):
            width = COLUMNS[name][1]
            places.append((start + column_offset(name, rows) + (row - first) * width, width))
        return places


def _lengths(block: bytes, name: str, rows: int) -> array[int]:
    """Return a column of lengths from the bytes of a block."""
    offset = column_offset(name, rows)
    return array("I", block[offset : offset + 4 * rows])
