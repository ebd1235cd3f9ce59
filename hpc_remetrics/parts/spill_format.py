"""The format of a spill: the entries of one layer, as a child process hands them to its rank.

A *spill* is a plain file of blocks on node-local scratch, one spill a layer. A block holds up to
:data:`BLOCK_ROWS` entries:

    | header | kind × rows | mode × rows | … | link_length × rows | paths | links | extra records |

Every column has a fixed width, so the place of a row in a block is arithmetic, and its reader needs
numpy alone. Paths and links are the bytes of all rows without separators, as long as their length
columns say. Extra records are those of each kind of :data:`EXTRAS`, in that order.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..records import CHUNK_METHODS

if TYPE_CHECKING:
    import numpy as np

BLOCK_ROWS = 1 << 15
BLOCK_BYTES = 8 << 20
"""A block ends with the entry that brings its paths and links to this many bytes."""

MAX_BYTES = 1 << 62
"""Every number of bytes in a spill or part is below this."""

PIECE_BYTES = 4058
"""Bytes of a piece of a kept content, so that a record has 4,096."""

EXTRAS: dict[str, list[tuple[str, str]]] = {
    "samples": [("digest", "V32"), ("gzip", "<i8"), ("zstd", "<i8")],
    "cuts": [("digest", "V32"), ("cdc_chunks", "<i8")],
    "chunks": [("fingerprint", "V16"), ("size", "<u4"), ("method", "u1")],
    "pieces": [
        ("content", "V32"),
        ("place", "<u4"),
        ("length", "<u2"),
        ("data", f"V{PIECE_BYTES}"),
    ],
}
"""Extra records, which probes add (`profile/probe.py`): kind -> fields and numpy types.

`samples`: contents that were compressed, and the bytes that came out. `cuts`: contents that were
cut, and how many content-defined chunks came out. `chunks`: those chunks, or a share of them.
`pieces`: contents that are kept whole, piece by piece; no dataset has them.
"""

EXTRA_RANGES: dict[str, dict[str, tuple[int, int]]] = {
    "samples": {"gzip": (0, MAX_BYTES), "zstd": (0, MAX_BYTES)},
    "cuts": {"cdc_chunks": (0, MAX_BYTES)},
    "chunks": {"method": (0, len(CHUNK_METHODS))},
    "pieces": {"length": (1, PIECE_BYTES + 1)},
}
"""Kind of extra records -> field -> the range of its values, without the end."""

CONTENT_RECORDS = tuple(kind for kind, fields in EXTRAS.items() if fields[0][0] == "digest")
"""Kinds of records about one content: its SHA-256, and then columns of `/contents`."""

PROBED_COLUMNS = {
    field: code for kind in CONTENT_RECORDS for field, code in EXTRAS[kind] if field != "digest"
}
"""Columns of `/contents` that come from such records -> numpy type."""

_STRUCT_CODES = {
    "V32": "32s",
    "V16": "16s",
    f"V{PIECE_BYTES}": f"{PIECE_BYTES}s",
    "<i8": "q",
    "<u4": "I",
    "<u2": "H",
    "u1": "B",
}

EXTRA_STRUCTS = {
    kind: struct.Struct("<" + "".join(_STRUCT_CODES[code] for _, code in fields))
    for kind, fields in EXTRAS.items()
}
"""Kind of extra records -> what packs one of them."""

HEADER = struct.Struct(f"<4sIQQ{len(EXTRAS)}I")
"""Magic, rows, bytes of paths, bytes of links, records of each kind of `EXTRAS`."""

MAGIC = b"RMB3"

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

ROW_BYTES = sum(width for _, width in COLUMNS.values())

NO_CONTENT = (1 << 64) - 1
"""`size` of an entry without content: all but files, and hard links to a file of the layer."""

NO_TYPE = (1 << 32) - 1

MAX_MODE = 0o7777
MAX_NANOSECONDS = 999_999_999


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
        """Return the fields as JSON values."""
        return asdict(self)


@dataclass
class SpillBlock:
    """Some consecutive entries of one layer.

    :param columns: name of `COLUMNS` -> (rows,) array.
    :param paths: (path bytes,) uint8, and `links`: (link bytes,) uint8.
    :param extras: kind of `EXTRAS` -> (n,) array of its records.
    """

    rows: int
    columns: dict[str, np.ndarray]
    paths: np.ndarray
    links: np.ndarray
    extras: dict[str, np.ndarray]


def block_size(rows: int, path_bytes: int, link_bytes: int) -> int:
    """Return the bytes of a block on disk, without its extra records."""
    return HEADER.size + rows * ROW_BYTES + path_bytes + link_bytes


def column_offset(name: str, rows: int) -> int:
    """Return where a column begins, in bytes from the beginning of its block."""
    offset = HEADER.size
    for other, (_, width) in COLUMNS.items():
        if other == name:
            return offset
        offset += rows * width
    raise KeyError(name)


def in_range(kind: str, records: np.ndarray) -> bool:
    """Say whether extra records have only values that they may have.

    :param kind: one of `EXTRAS`.
    :param records: (n,) of its fields.
    """
    return all(
        bool(((records[field] >= first) & (records[field] < end)).all())
        for field, (first, end) in EXTRA_RANGES[kind].items()
    )


def read_blocks(path: Path) -> Iterator[SpillBlock]:
    """Yield the blocks of a spill in order.

    :raises ValueError: the file is cut, or is no spill.
    """
    import numpy as np

    with open(path, "rb") as file:
        while header := file.read(HEADER.size):
            if len(header) != HEADER.size:
                raise ValueError(f"{path}: cut in the header of a block")
            magic, rows, path_bytes, link_bytes, *records = HEADER.unpack(header)
            if magic != MAGIC:
                raise ValueError(f"{path}: not a block: {magic!r}")

            # Read the columns, then paths and links
            columns = {}
            for name, (code, width) in COLUMNS.items():
                data = _read_exactly(file, rows * width, path)
                columns[name] = np.frombuffer(data, np.dtype(code).newbyteorder("<"))
            paths = np.frombuffer(_read_exactly(file, path_bytes, path), np.uint8)
            links = np.frombuffer(_read_exactly(file, link_bytes, path), np.uint8)
            lengths = int(columns["path_length"].sum()), int(columns["link_length"].sum())
            if lengths != (path_bytes, link_bytes):
                raise ValueError(f"{path}: lengths and bytes of paths or links differ")

            # Read the extra records of each kind
            extras = {}
            for (kind, fields), count in zip(EXTRAS.items(), records, strict=True):
                dtype = np.dtype(fields)
                data = _read_exactly(file, count * dtype.itemsize, path)
                extras[kind] = np.frombuffer(data, dtype)
            yield SpillBlock(rows, columns, paths, links, extras)


def _read_exactly(file: Any, size: int, path: Path) -> bytes:
    data: bytes = file.read(size)
    if len(data) != size:
        raise ValueError(f"{path}: cut in a block, got {len(data)} of {size} bytes")
    return data
