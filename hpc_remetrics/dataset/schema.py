"""The format of a dataset: one commented text that writer, reader and tests parse.

A line that ends in a colon opens a table (an HDF5 group), the lines below it are its columns
(one-dimensional datasets): name, type, unit, description. Columns of one table have one value a row
and are joined to other tables by row numbers, from 0. Types:

- `u1` … `u4`, `i4`, `i8`: little-endian integers, `f8` doubles; `row`: i4, or i8 where the table
  pointed at has 2**31 rows or more; -1 points nowhere;
- `digest`: 32 raw bytes, HDF5 opaque; all zero where there is none; `fingerprint`: 16 of them;
- `enum NAME`: u1, an HDF5 enum with the words of `records.py`;
- `text N`: UTF-8 of fixed length, that of the longest value, at most N bytes; padded with NUL;
- `bytes`: a blob, the values of all rows one after the other, with no separator; value r of column
  `path` is `path[path_offset[r]:path_offset[r + 1]]`;
- `offset`: i8, one more than there are rows.

Within a schema version columns may be added. Anything else is a new version, and a line in
`HISTORY`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ..records import (
    CAUSES,
    CHUNK_METHODS,
    COMPRESSIONS,
    KINDS,
    MANIFEST_TYPES,
    MEDIA_TYPES,
    SKIP_CAUSES,
    STAGES,
    STATUSES,
)

SCHEMA_VERSION = 1

HISTORY = {1: "the first"}
"""Schema version -> what changed."""

FORMAT = "hpc_remetrics dataset"
"""Attribute `format` of the file, by which it is known."""

TITLE = "Every layer and every file of a set of container images"

SCHEMA = """
repositories: the repositories that the images are of, sorted by name
    name            text 1024           1       name without tag or digest
    stars           i8                  1       stars when it was crawled, -1 unknown
    pulls           i8                  1       pulls when it was crawled, -1 unknown
    stratum         text 255            1       stratum of the sample that it was drawn for, empty where it was not
    weight          f8                  1       repositories that it stands for, 0 unknown
    drawn           i4                  1       repositories drawn in its stratum, with and without images, 0 unknown

images: manifests under a name, for one platform each, sorted by name and digest
    name            text 1024           1       name as the source has it
    repository      row                 row     row in /repositories
    digest          digest              1       SHA-256 of the manifest
    platform        text 255            1       os/architecture[/variant], empty where nothing says it
    manifest_type   enum manifest_type  1       what kind of manifest it is
    first_layer     i8                  row     first of its rows in /image_layers
    layers          i4                  1       rows in /image_layers, base first

image_layers: the layers of the images, in order
    layer           row                 row     row in /layers

layers: every layer once, sorted by digest
    digest          digest              1       SHA-256 of the blob (the compressed bytes)
    diff_id         digest              1       SHA-256 of the uncompressed tar, zero where it was not read whole
    media_type      enum media_type     1       media type in the manifests, the first in order where they differ
    compression     enum compression    1       compression by the blob's first bytes
    CLS             i8                  byte    compressed layer size, bytes of the blob as read
    TLS             i8                  byte    tar layer size, bytes of the uncompressed tar
    FLS             i8                  byte    files layer size, sum of the sizes of the regular files
    entries         i8                  1       rows in /entries
    files           i8                  1       entries that are regular files
    directories     i8                  1       distinct directories, as an entry or as a parent of one
    symlinks        i8                  1       entries that are symbolic links
    hardlinks       i8                  1       entries that are hard links
    devices         i8                  1       entries that are devices or FIFOs
    whiteouts       i8                  1       entries that are whiteouts or opaque markers
    others          i8                  1       entries of a type that no tool extracts
    depth           i4                  1       greatest number of parts of a path
    status          enum status         1       how the layer ended; partial: the entries before the fault are there
    notes           u4                  bits    what was odd about it, see the attribute flag_meanings
    images          i4                  1       rows of /images that use it
    first_entry     i8                  row     first of its rows in /entries

entries: the members of the layers' tar files, by layer and in the order of the tar
    content         row                 row     row in /contents, -1 none; that of the file for a hard link
    kind            enum kind           1       what the entry is
    path            bytes               byte    path as in the tar
    path_offset     offset              byte    where the path begins in path
    link            bytes               byte    target of symbolic and hard links as in the tar, empty for others
    link_offset     offset              byte    where the target begins in link
    mode            u2                  bits    permission, set-id and sticky bits
    uid             i8                  1       user number
    gid             i8                  1       group number
    mtime           i8                  s       modification time since 1970-01-01 00:00 UTC, whole seconds
    mtime_ns        u4                  ns      the rest of the modification time

contents: distinct contents of files, sorted by digest
    digest          digest              1       SHA-256 of the bytes
    size            i8                  byte    number of bytes
    type            row                 row     row in /types
    copies          i8                  1       file entries that carry it, hard links not counted
    layers          i4                  1       distinct layers that carry it
    images          i4                  1       rows of /images with a layer that carries it
    gzip            i8                  byte    bytes as gzip stores it, size if that is less; -1 not in the sample
    zstd            i8                  byte    bytes as zstd stores it, size if that is less; -1 not in the sample
    cdc_chunks      u4                  1       chunks that FastCDC cuts it into, 0 where it was not cut

types: the types that contents have, sorted by description
    description     text 1024           1       what libmagic says of the content, reduced to its stable head
    mime            text 255            1       media type
    group           text 64             1       group of the taxonomy
    class           text 64             1       class of the taxonomy

chunks: distinct chunks of the contents, or a sample of them by fingerprint, sorted by method and fingerprint
    method          enum chunk_method   1       how the contents were cut
    fingerprint     fingerprint         1       first half of the SHA-256 of the bytes
    size            u4                  byte    number of bytes

failures: why layers are partial or failed, and what images state falsely of them (stage `manifest`), sorted by digest
    digest          digest              1       digest of the layer
    stage           enum stage          1       what was being done
    cause           enum cause          1       what went wrong
    message         text 500            1       a sentence for people
    offset          i8                  byte    position in the uncompressed tar, -1 where that makes no sense

skipped: what images hold that is not profiled as a layer, sorted
    image           text 1024           1       name of the image
    digest          text 255            1       digest as the descriptor writes it
    size            i8                  byte    bytes as the descriptor says, -1 where it does not say
    media_type      text 255            1       media type in full
    cause           enum skip_cause     1       why it was counted apart
    message         text 500            1       a sentence for people
"""

ENUMS = {
    "kind": KINDS,
    "status": STATUSES,
    "compression": COMPRESSIONS,
    "media_type": MEDIA_TYPES,
    "manifest_type": MANIFEST_TYPES,
    "skip_cause": SKIP_CAUSES,
    "stage": STAGES,
    "cause": CAUSES,
    "chunk_method": CHUNK_METHODS,
}
"""Name of an enum -> word -> number."""

WEAK_TYPES = frozenset({"untyped", "timed out", "unreadable by libmagic"})
"""Types that stand for no answer of libmagic: where nodes disagree, any other type wins."""

ADDED = frozenset({"chunks"})
"""Tables that were added within this version; a file without one has no rows of it."""

ABSENT: dict[str, int | float | bytes] = {
    "gzip": -1,
    "zstd": -1,
    "cdc_chunks": 0,
    "stratum": b"",
    "weight": 0.0,
    "drawn": 0,
}
"""Column that was added within this version -> its value in every row of a file without it."""

CHUNK_ROWS = 1 << 17
CHUNK_BYTES = 1 << 20


@dataclass(frozen=True)
class Column:
    """One column of a table, a dataset in the file.

    :ivar type: word of the schema; `argument`: the word after it, of `text` and `enum`.
    """

    name: str
    type: str
    argument: str
    unit: str
    description: str

    @property
    def dtype(self) -> str:
        """Return numpy's type: "" for strings, the wide one for row numbers.

        >>> TABLES["layers"].columns["status"].dtype, TABLES["layers"].columns["digest"].dtype
        ('<u1', 'V32')
        """
        special = {
            "digest": "V32",
            "fingerprint": "V16",
            "enum": "<u1",
            "bytes": "<u1",
            "offset": "<i8",
            "row": "<i8",
            "text": "",
        }
        return special.get(self.type, f"<{self.type}")

    @property
    def dimension(self) -> str:
        """Return the name of the column's dimension; offsets and blobs have their own."""
        return {"bytes": f"{self.name}_byte", "offset": "row_bound"}.get(self.type, "row")

    @property
    def compressible(self) -> bool:
        """Return whether the column is deflated; digests are noise."""
        return self.type not in ("digest", "fingerprint")


@dataclass(frozen=True)
class TableFormat:
    """The format of one table: a group, with its columns by name."""

    name: str
    description: str
    columns: dict[str, Column]


def chunk_rows(itemsize: int) -> int:
    """Return the rows of a whole chunk: a power of two, at most `CHUNK_ROWS` and 1 MiB.

    Every chunk of every column is within one block of `CHUNK_ROWS` rows, so different ranks can
    write different blocks. A blob has `CHUNK_BYTES` a chunk.

    >>> chunk_rows(8), chunk_rows(1), chunk_rows(32)
    (131072, 131072, 32768)
    """
    return min(CHUNK_ROWS, CHUNK_BYTES // itemsize)


def rows_of_chunk(column: Column, itemsize: int, size: int) -> int:
    """Return the rows of a whole chunk of a column that has `size` values of `itemsize` bytes."""
    rows = CHUNK_BYTES if column.type == "bytes" else chunk_rows(itemsize)
    return min(rows, size)


def row_dtype(rows: int) -> str:
    """Return the numpy type of row numbers of a table that has `rows` rows."""
    return "<i4" if rows < 1 << 31 else "<i8"


def storable(text: str) -> str:
    r"""Return a string as HDF5 can store it: bytes of a path that are not UTF-8 become `\udcNN`.

    >>> print(storable("/data/caf\udce9"))
    /data/caf\udce9
    """
    return text.encode("utf-8", "backslashreplace").decode()


def parse(text: str) -> Iterator[TableFormat]:
    """Yield the tables of a schema text, in the form that the head of this module describes."""
    for block in text.strip().split("\n\n"):
        head, *lines = block.splitlines()
        name, _, description = head.partition(": ")
        columns = {}
        for line in lines:
            column, kind, *rest = line.split(maxsplit=2)
            argument = ""
            if kind in ("text", "enum"):
                argument, *rest = rest[0].split(maxsplit=1)
            unit, about = rest[0].split(maxsplit=1)
            columns[column] = Column(column, kind, argument, unit, about)
        yield TableFormat(name, description, columns)


TABLES = {table.name: table for table in parse(SCHEMA)}
