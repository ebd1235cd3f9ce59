"""The writer of spills: entries come one by one, blocks of columns leave (see
`parts/spill_format.py`)."""

from __future__ import annotations

import os
import struct
from array import array
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

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
_CODES = {"u1": "B", "u2": "H", "u4": "I", "u8": "Q", "i8": "q"}
_SIZE, _TYPE = struct.Struct("<Q"), struct.Struct("<I")
_SAMPLE, _CUT = EXTRA_STRUCTS["samples"], EXTRA_STRUCTS["cuts"]

Content = list[Any]
"""Size, type number and SHA-256 of a file's bytes; the number may come as late as the block is
written."""

NOTHING: Content = [NO_CONTENT, NO_TYPE, _NO_DIGEST]


class Spill:
    """One layer's entries on their way to a file; memory is bounded by one block.

    :ivar settle: called before a block is written: what is still missing in contents is put there.
    """

    settle: Callable[[], None] = staticmethod(lambda: None)

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = private_descriptor(path, os.O_TRUNC)
        self._end = 0
        self._blocks: list[tuple[int, int, int]] = []
        self._kept = -1
        self.rows = 0
        self.path_bytes = 0
        self.link_bytes = 0
        self._clear()

    def _clear(self) -> None:
        self._entries: list[tuple[int, int, int, int, int, int, Content, int, int]] = []
        self._paths: list[bytes] = []
        self._links: list[bytes] = []
        self._bytes = 0
        self._extras: dict[str, list[bytes]] = {name: [] for name in EXTRAS}

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
        self._entries.append((kind, mode, uid, gid, mtime, mtime_ns, content, len(path), len(link)))
        self._paths.append(path)
        self._links.append(link)
        self._bytes += len(path) + len(link)
        if len(self._paths) >= BLOCK_ROWS or self._bytes >= BLOCK_BYTES:
            self.flush()

    def add_sample(self, digest: bytes, gzip: int, zstd: int) -> None:
        """Append what came of compressing a content; of each that an entry has, once is enough."""
        self._extras["samples"].append(_SAMPLE.pack(digest, gzip, zstd))

    def add_chunks(self, records: bytes, digest: bytes, cdc_chunks: int) -> None:
        """Append the last records of the chunks of a content, and that it was cut."""
        self._extras["chunks"].append(records)
        self._bytes += len(records)
        self._extras["cuts"].append(_CUT.pack(digest, cdc_chunks))
        self._kept = -1

    def add_loose_chunks(self, records: bytes) -> None:
        """Append records of a content that is not whole yet, which `drop_loose` takes back."""
        if self._kept < 0:
            self.flush()
            self._kept = self._end
        self._extras["chunks"].append(records)
        self.flush()

    def drop_loose(self) -> None:
        """Take back what was appended of a content that never became whole."""
        if self._kept >= 0:
            os.ftruncate(self._file, self._kept)
            self._end, self._kept = self._kept, -1

    def flush(self) -> None:
        """Write the block that is being collected."""
        self.settle()
        rows, extras = (
            len(self._paths),
            {name: b"".join(records) for name, records in self._extras.items()},
        )
        if not rows and not any(extras.values()):
            return
        paths, links = b"".join(self._paths), b"".join(self._links)
        counts = [len(records) // EXTRA_STRUCTS[name].size for name, records in extras.items()]
        header = HEADER.pack(MAGIC, rows, len(paths), len(links), *counts)
        data = b"".join([header, *self._columns(), paths, links, *extras.values()])
        _write(self._file, data, self._end)
        if rows:
            self._blocks.append((self._end, self.rows, rows))
        self._end += len(data)
        self.rows += rows
        self.path_bytes += len(paths)
        self.link_bytes += len(links)
        self._clear()

    def _columns(self) -> list[bytes]:
        if not self._entries:
            return []
        kinds, modes, uids, gids, mtimes, ns, contents, path_lengths, link_lengths = zip(
            *self._entries, strict=True
        )
        sizes, types, digests = zip(*contents, strict=True)
        values = (
            kinds,
            modes,
            uids,
            gids,
            mtimes,
            ns,
            sizes,
            types,
            digests,
            path_lengths,
            link_lengths,
        )
        return [
            array(_CODES[code], column).tobytes() if code in _CODES else b"".join(column)
            for (code, _), column in zip(COLUMNS.values(), values, strict=True)
        ]

    def empty(self) -> None:
        """Forget everything that was written."""
        os.ftruncate(self._file, 0)
        self._blocks.clear()
        self._kept = -1
        self._end = self.rows = self.path_bytes = self.link_bytes = 0
        self._clear()

    def close(self) -> None:
        os.close(self._file)

    def entries(self) -> Iterator[tuple[int, int, bytes, bytes]]:
        """Yield (row, kind, path, link) of what was flushed, in order."""
        for start, first, rows in self._blocks:
            _, _, path_bytes, link_bytes, *_ = HEADER.unpack(
                os.pread(self._file, HEADER.size, start)
            )
            data = os.pread(self._file, block_size(rows, path_bytes, link_bytes), start)
            path_lengths = array(
                "I", data[(at := column_offset("path_length", rows)) : at + 4 * rows]
            )
            link_lengths = array(
                "I", data[(at := column_offset("link_length", rows)) : at + 4 * rows]
            )
            path_at = block_size(rows, 0, 0)
            link_at = path_at + path_bytes
            for row in range(rows):
                path_end, link_end = path_at + path_lengths[row], link_at + link_lengths[row]
                yield (
                    first + row,
                    data[HEADER.size + row],
                    data[path_at:path_end],
                    data[link_at:link_end],
                )
                path_at, link_at = path_end, link_end

    def content(self, row: int) -> Content:
        """Read back the content of a flushed row."""
        size, number, digest = (os.pread(self._file, width, at) for at, width in self._places(row))
        return [_SIZE.unpack(size)[0], _TYPE.unpack(number)[0], digest]

    def set_content(self, row: int, content: Content) -> None:
        """Overwrite the content of a flushed row."""
        data = _SIZE.pack(content[0]), _TYPE.pack(content[1]), content[2]
        for (at, _), value in zip(self._places(row), data, strict=True):
            _write(self._file, value, at)

    def _places(self, row: int) -> list[tuple[int, int]]:
        """Return (offset in the file, width) of a row's size, type and digest."""
        low, high = 0, len(self._blocks)
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if self._blocks[middle][1] <= row else (low, middle)
        start, first, rows = self._blocks[low]
        return [
            (start + column_offset(name, rows) + (row - first) * COLUMNS[name][1], COLUMNS[name][1])
            for name in ("size", "type", "digest")
        ]


def _write(file: int, data: bytes, offset: int) -> None:
    view = memoryview(data)
    while view:
        written = os.pwrite(file, view, offset)
        view, offset = view[written:], offset + written
