"""The columns of entries, and the blocks in which a child process hands them to its rank.

A *spill* is a plain file of blocks, one spill a layer, on node-local scratch. A block is a header
and then each column of up to :data:`BLOCK_ROWS` entries, one after the other, in the order of
:data:`COLUMNS`, then the bytes of all paths and of all links, then the records of each of
:data:`EXTRAS`. Every column has a fixed width, so a row's place in a block is arithmetic, and the
reader needs nothing but numpy.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

BLOCK_ROWS = 1 << 15
BLOCK_BYTES = 8 << 20
"""A block ends with the entry that brings its paths and links to this many bytes."""

EXTRAS: dict[str, list[tuple[str, str]]] = {
    "samples": [("digest", "V32"), ("gzip", "<i8"), ("zstd", "<i8")],
    "cuts": [("digest", "V32"), ("cdc_chunks", "<u4")],
    "chunks": [("fingerprint", "V16"), ("size", "<u4"), ("method", "u1")],
}
"""What is found of few entries or none: name -> fields and numpy types of its records. They stand
for themselves.

`samples`: contents that were compressed, and the bytes that came out. `cuts`: contents that were
cut, and how many chunks by content came of it; `chunks`: what they are, or a share of them.
"""

_CODES = {"V32": "32s", "V16": "16s", "<i8": "q", "<u4": "I", "u1": "B"}

EXTRA_STRUCTS = {
    name: struct.Struct("<" + "".join(_CODES[code] for _, code in fields))
    for name, fields in EXTRAS.items()
}
"""Name -> what packs one of its records."""

HEADER = struct.Struct(f"<4sIQQ{len(EXTRAS)}I")
"""Magic, rows, bytes of paths and of links, records of each of `EXTRAS`."""

MAGIC = b"RMB2"

COLUMNS: dict[str, tuple[str, int]] = {
    "kind": ("u1", 1),
    "mode": ("u2", 2),
    "uid": ("i8", 8),
    "gid": ("i8", 8),
    "mtime": ("i8", 8),
    "mtime_ns": ("u4", 4),
    "size": ("u8", 8),
    "type": ("u4", 4),
    "digest": ("V32", 32),
    "path_length": ("u4", 4),
    "link_length": ("u4", 4),
}
"""Name -> numpy type (little endian) and bytes a row."""

NO_CONTENT = (1 << 64) - 1
"""`size` of an entry that carries no content (all but files, and hard links whose file is in the
layer)."""

NO_TYPE = (1 << 32) - 1


@dataclass
class LayerProfile:
    """What the pass over one layer found, apart from its entries: one row of `/layers`.

    Bytes: `CLS` of the blob as read, `TLS` of the uncompressed tar, `FLS` sum of the regular files.
    `status`, `compression` are words of `records`; `notes` the bits of `records.NOTES`. `stage`,
    `cause`, `message`, `offset` say why a layer is partial or failed ("" and -1 otherwise).
    """

    status: str = "failed"
    diff_id: str = ""
    compression: str = "unknown"
    CLS: int = 0
    TLS: int = 0
    FLS: int = 0
    entries: int = 0
    files: int = 0
    directories: int = 0
    symlinks: int = 0
    hardlinks: int = 0
    devices: int = 0
    whiteouts: int = 0
    others: int = 0
    depth: int = 0
    notes: int = 0
    path_bytes: int = 0
    link_bytes: int = 0
    stage: str = ""
    cause: str = ""
    message: str = ""
    offset: int = -1
    cpu_seconds: float = 0.0

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass
class Block:
    """Some consecutive entries of one layer: `columns[name]` is an array of `rows` values,
    `extras[name]` of others."""

    rows: int
    columns: dict[str, np.ndarray]
    paths: np.ndarray
    links: np.ndarray
    extras: dict[str, np.ndarray]


def block_size(rows: int, path_bytes: int, link_bytes: int) -> int:
    """Return the bytes of a block on disk, without its extras."""
    return HEADER.size + rows * ROW_BYTES + path_bytes + link_bytes


def column_offset(name: str, rows: int) -> int:
    """Return where a column begins, in bytes from the beginning of its block."""
    offset = HEADER.size
    for other, (_, width) in COLUMNS.items():
        if other == name:
            return offset
        offset += rows * width
    raise KeyError(name)


ROW_BYTES = sum(width for _, width in COLUMNS.values())


def read_blocks(path: Path) -> Iterator[Block]:
    """Yield the blocks of a spill in order; `ValueError` if the file is not whole."""
    import numpy as np

    with open(path, "rb") as file:
        while header := file.read(HEADER.size):
            if len(header) != HEADER.size:
                raise ValueError(f"{path}: cut in a block's header")
            magic, rows, path_bytes, link_bytes, *records = HEADER.unpack(header)
            if magic != MAGIC:
                raise ValueError(f"{path}: not a block: {magic!r}")
            columns = {}
            for name, (code, width) in COLUMNS.items():
                columns[name] = np.frombuffer(
                    _exactly(file, rows * width, path), np.dtype(code).newbyteorder("<")
                )
            paths = np.frombuffer(_exactly(file, path_bytes, path), np.uint8)
            links = np.frombuffer(_exactly(file, link_bytes, path), np.uint8)
            if (
                int(columns["path_length"].sum()) != path_bytes
                or int(columns["link_length"].sum()) != link_bytes
            ):
                raise ValueError(f"{path}: lengths and bytes of paths or links differ")
            extras = {}
            for (name, fields), count in zip(EXTRAS.items(), records, strict=True):
                dtype = np.dtype(fields)
                extras[name] = np.frombuffer(_exactly(file, count * dtype.itemsize, path), dtype)
            yield Block(rows, columns, paths, links, extras)


def _exactly(file: Any, size: int, path: Path) -> bytes:
    data = file.read(size)
    if len(data) != size:
        raise ValueError(f"{path}: cut in a block, got {len(data)} of {size} bytes")
    return data
