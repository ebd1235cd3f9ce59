"""The format of a dataset: one commented text that writer, reader and tests parse.

A name with a colon opens a table (an HDF5 group), the lines below it are its columns: name, type,
unit, missing value, description. Columns of one table have one value a row and are joined to other
tables by row numbers, from 0. Types:

- `u1` … `u4`, `i4`, `i8`: little-endian integers, `f8` doubles;
- `row TABLE`: a row of the table, i4, or i8 where it has 2**31 rows or more;
- `first TABLE`: i8, the first of several rows of the table, of which another column has the number;
- `digest`: 32 raw bytes, in HDF5 a row of a dataset of two dimensions; `fingerprint`: 16 of them;
- `enum NAME`: u1, an HDF5 enum with the words of `records.py`;
- `flags NAME`: u4, a set of bits with the words of `records.py`;
- `time`: i8, seconds since 1970-01-01 00:00 UTC, of the years 0 to 9999;
- `text N`: UTF-8 of fixed length, that of the longest value, at most N bytes; padded with NUL;
- `bytes`: a blob, the values of all rows one after the other, with no separator; value r of column
  `path` is `path[path_offset[r]:path_offset[r + 1]]`;
- `utf8`: the same, of UTF-8;
- `offset`: i8, one more than there are rows.

The missing value is what stands where nothing is known or nothing applies: `-1`, `NaN`, `NaT` (of
times, -2**63 as in numpy), `""` (no byte), `0` (a digest of zero bytes); `none`: every row has a
value. Frames, Arrow tables and exported files have nulls in its place.

Within a schema version columns may be added. Anything else is a new version, and a line in
`HISTORY`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from ..records import (
    BASE_CLAIMS,
    CAUSES,
    CHUNK_METHODS,
    COMPRESSIONS,
    CONFIG_NOTES,
    KINDS,
    MANIFEST_TYPES,
    MEDIA_TYPES,
    NOTES,
    SKIP_CAUSES,
    STAGES,
    STATUSES,
    STEP_KINDS,
)

SCHEMA_VERSION = 1

HISTORY = {1: "the first"}
"""Schema version -> what changed."""

FORMAT = "hpc_remetrics dataset"
"""Attribute `format` of the file, by which it is known."""

TITLE = "Every layer and every file of a set of container images"

SCHEMA = """
repositories: the repositories that the images are of, sorted by name
    name            text 1024          1       none    name without tag or digest
    stars           i8                 1       -1      stars when it was crawled
    pulls           i8                 1       -1      pulls when it was crawled
    stratum         text 255           1       ""      stratum of the sample that it was drawn for
    weight          f8                 1       NaN     repositories that it stands for
    drawn           i4                 1       -1      repositories drawn in its stratum, with and without images

images: manifests under a name, for one platform each, sorted by name and digest
    name            text 1024          1       none    name as the source has it
    repository      row repositories   1       none    repository that it is of
    digest          digest             1       none    SHA-256 of the manifest
    platform        text 255           1       ""      os/architecture[/variant], where something says it
    manifest_type   enum manifest_type 1       none    what kind of manifest it is
    first_layer     first image_layers 1       none    first of its rows in /image_layers
    layers          i4                 1       none    rows in /image_layers, base first
    created         time               s       NaT     when it was made, as its config says
    config          row configs        1       -1      its config, where it could be read
    pushed          time               s       NaT     when its tag was pushed last, where a crawl of its registry was told

image_layers: the layers of the images, in order
    layer           row layers         1       none    the layer
    step            row history        1       -1      step of the image's config that made it, where as many steps make layers as there are

configs: the configs of the images, each once, sorted by digest
    digest          digest             1       none    SHA-256 of the config
    size            i8                 byte    none    number of bytes
    created         time               s       NaT     when the image was made
    created_ns      u4                 ns      none    the rest of that time
    os              utf8               byte    ""      operating system
    os_offset       offset             byte    none    where it begins in os
    architecture    utf8               byte    ""      architecture of the CPU
    architecture_offset offset             byte    none    where it begins in architecture
    variant         utf8               byte    ""      variant of that
    variant_offset  offset             byte    none    where it begins in variant
    os_version      utf8               byte    ""      version of the operating system, for Windows
    os_version_offset offset             byte    none    where it begins in os_version
    author          utf8               byte    ""      who made the image
    author_offset   offset             byte    none    where it begins in author
    user            utf8               byte    ""      user that the process runs as
    user_offset     offset             byte    none    where it begins in user
    working_dir     utf8               byte    ""      its working directory
    working_dir_offset offset             byte    none    where it begins in working_dir
    stop_signal     utf8               byte    ""      signal that stops it
    stop_signal_offset offset             byte    none    where it begins in stop_signal
    entrypoint      utf8               byte    ""      what it runs, as JSON
    entrypoint_offset offset             byte    none    where it begins in entrypoint
    cmd             utf8               byte    ""      its arguments, or what runs without an entrypoint, as JSON
    cmd_offset      offset             byte    none    where it begins in cmd
    exposed_ports   utf8               byte    ""      ports that it listens on, as JSON
    exposed_ports_offset offset             byte    none    where it begins in exposed_ports
    volumes         utf8               byte    ""      directories that are volumes, as JSON
    volumes_offset  offset             byte    none    where it begins in volumes
    healthcheck     utf8               byte    ""      how its health is checked, as JSON
    healthcheck_offset offset             byte    none    where it begins in healthcheck
    shell           utf8               byte    ""      shell of the steps that are no lists of words, as JSON
    shell_offset    offset             byte    none    where it begins in shell
    on_build        utf8               byte    ""      steps for images that are built on it, as JSON
    on_build_offset offset             byte    none    where it begins in on_build
    first_label     first labels       1       none    first of its rows in /labels
    labels          i4                 1       none    rows in /labels
    first_variable  first environment  1       none    first of its rows in /environment
    variables       i4                 1       none    rows in /environment
    first_step      first history      1       none    first of its rows in /history
    steps           i4                 1       none    rows in /history
    images          i4                 1       none    rows of /images that have it
    notes           flags config_note  bits    none    what was odd about it, see the attribute flag_meanings
    secrets         i4                 1       none    values that look like secrets, of which kind and length alone are kept

labels: the labels of the configs, by config and in the order of the document
    config          row configs        1       none    config that has it
    key             utf8               byte    none    name of the label
    key_offset      offset             byte    none    where it begins in key
    value           utf8               byte    none    its value
    value_offset    offset             byte    none    where it begins in value

environment: the variables of the configs, by config and in the order of the document
    config          row configs        1       none    config that sets it
    key             utf8               byte    none    name of the variable
    key_offset      offset             byte    none    where it begins in key
    value           utf8               byte    none    its value
    value_offset    offset             byte    none    where it begins in value

annotations: the annotations of the images' manifests, by image and in the order of the document
    image           row images         1       none    image that has it
    key             utf8               byte    none    name of the annotation
    key_offset      offset             byte    none    where it begins in key
    value           utf8               byte    none    its value
    value_offset    offset             byte    none    where it begins in value

history: the steps that made the images, by config, base first
    config          row configs        1       none    config that lists it
    created         time               s       NaT     when it was done
    created_ns      u4                 ns      none    the rest of that time
    created_by      utf8               byte    ""      command that did it
    created_by_offset offset             byte    none    where it begins in created_by
    comment         utf8               byte    ""      comment on it
    comment_offset  offset             byte    none    where it begins in comment
    author          utf8               byte    ""      who did it
    author_offset   offset             byte    none    where it begins in author
    is_empty_layer  u1                 1       none    1 if it made no layer, else 0
    image_layer     row image_layers   1       -1      layer that it made, in the first image with the config
    secrets         i4                 1       none    values that look like secrets, of which kind and length alone are kept

layers: every layer once, sorted by digest
    digest          digest             1       none    SHA-256 of the blob (the compressed bytes)
    diff_id         digest             1       0       SHA-256 of the uncompressed tar, where it was read whole
    media_type      enum media_type    1       none    media type in the manifests, the first in order where they differ
    compression     enum compression   1       none    compression by the blob's first bytes
    CLS             i8                 byte    none    compressed layer size, bytes of the blob as read
    TLS             i8                 byte    none    tar layer size, bytes of the uncompressed tar
    FLS             i8                 byte    none    files layer size, sum of the sizes of the regular files
    entries         i8                 1       none    rows in /entries
    files           i8                 1       none    entries that are regular files
    directories     i8                 1       none    distinct directories, as an entry or as a parent of one
    symlinks        i8                 1       none    entries that are symbolic links
    hardlinks       i8                 1       none    entries that are hard links
    devices         i8                 1       none    entries that are devices or FIFOs
    whiteouts       i8                 1       none    entries that are whiteouts or opaque markers
    others          i8                 1       none    entries of a type that no tool extracts
    depth           i4                 1       none    greatest number of parts of a path
    status          enum status        1       none    how the layer ended; partial: the entries before the fault are there
    notes           flags note         bits    none    what was odd about it, see the attribute flag_meanings
    images          i4                 1       none    rows of /images that use it
    first_entry     first entries      1       none    first of its rows in /entries

entries: the members of the layers' tar files, by layer and in the order of the tar
    content         row contents       1       -1      content of the file; for a hard link that of the file which it names
    kind            enum kind          1       none    what the entry is
    path            bytes              byte    none    path as in the tar
    path_offset     offset             byte    none    where the path begins in path
    link            bytes              byte    ""      target of symbolic and hard links as in the tar
    link_offset     offset             byte    none    where the target begins in link
    mode            u2                 bits    none    permission, set-id and sticky bits
    uid             i8                 1       none    user number
    gid             i8                 1       none    group number
    mtime           i8                 s       none    modification time since 1970-01-01 00:00 UTC, whole seconds
    mtime_ns        u4                 ns      none    the rest of the modification time

contents: distinct contents of files, sorted by digest
    digest          digest             1       none    SHA-256 of the bytes
    size            i8                 byte    none    number of bytes
    type            row types          1       none    type of its content
    copies          i8                 1       none    file entries that carry it, hard links not counted
    layers          i4                 1       none    distinct layers that carry it
    images          i4                 1       none    rows of /images with a layer that carries it
    gzip            i8                 byte    -1      bytes as gzip stores it, size if that is less; for contents of the sample
    zstd            i8                 byte    -1      bytes as zstd stores it, size if that is less; for contents of the sample
    cdc_chunks      i8                 1       -1      chunks that FastCDC cuts it into, where it was cut

types: the types that contents have, sorted by description
    description     text 1024          1       none    what libmagic says of the content, reduced to its stable head
    mime            text 255           1       none    media type
    group           text 64            1       none    group of the taxonomy
    class           text 64            1       none    class of the taxonomy

chunks: distinct chunks of the contents, or a sample of them by fingerprint, sorted by method and fingerprint
    method          enum chunk_method  1       none    how the contents were cut
    fingerprint     fingerprint        1       none    first half of the SHA-256 of the bytes
    size            u4                 byte    none    number of bytes

failures: why layers are partial or failed, and what images state falsely of them (stage `manifest`), sorted by digest
    digest          digest             1       none    digest of the layer
    stage           enum stage         1       none    what was being done
    cause           enum cause         1       none    what went wrong
    message         text 500           1       none    a sentence for people
    offset          i8                 byte    -1      position in the uncompressed tar, where that makes sense

skipped: what images hold that is not profiled as a layer, sorted
    image           text 1024          1       none    name of the image
    digest          text 255           1       ""      digest as the descriptor writes it
    size            i8                 byte    -1      bytes as the descriptor says, where it does
    media_type      text 255           1       ""      media type in full
    cause           enum skip_cause    1       none    why it was counted apart
    message         text 500           1       none    a sentence for people
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
    "base_claim": BASE_CLAIMS,
    "step_kind": STEP_KINDS,
}
"""Name of an enum -> word -> number."""

FLAGS = {"note": NOTES, "config_note": CONFIG_NOTES}
"""Name of a set of bits -> word -> bit."""

MODE_BITS = {
    "set_user_id": 0o4000,
    "set_group_id": 0o2000,
    "sticky": 0o1000,
    "owner_read": 0o400,
    "owner_write": 0o200,
    "owner_execute": 0o100,
    "group_read": 0o40,
    "group_write": 0o20,
    "group_execute": 0o10,
    "others_read": 0o4,
    "others_write": 0o2,
    "others_execute": 0o1,
}
"""Bits of `/entries/mode`."""

WEAK_TYPES = frozenset({"untyped", "timed out", "unreadable by libmagic"})
"""Types that stand for no answer of libmagic: where nodes disagree, any other type wins."""

ADDED = frozenset({"chunks", "configs", "labels", "environment", "annotations", "history"})
"""Tables that were added within this version; a file without one has no rows of it."""

ABSENT = frozenset(
    {
        *("repositories/stratum", "repositories/weight", "repositories/drawn"),
        *("contents/gzip", "contents/zstd", "contents/cdc_chunks"),
        *("images/created", "images/config", "images/pushed", "image_layers/step"),
    }
)
"""Columns that were added within this version; in a file without one every value is missing."""

MISSING: dict[str, int | float | bytes | None] = {
    "none": None,
    "-1": -1,
    "NaN": math.nan,
    "NaT": -(1 << 63),
    '""': b"",
    "0": bytes(32),
}
"""Word of the schema for a missing value -> the value as columns have it."""

CHUNK_ROWS = 1 << 17
CHUNK_BYTES = 1 << 20


@dataclass(frozen=True)
class Column:
    """One column of a table, a dataset in the file.

    :ivar type: word of the schema; `argument`: the word after it, of `text`, `enum`, `flags`, `row`
        and `first`.
    :ivar missing: word of the schema, a key of `MISSING`.
    """

    name: str
    type: str
    argument: str
    unit: str
    missing: str
    description: str

    @property
    def is_nullable(self) -> bool:
        """Return whether some rows may have no value."""
        return self.missing != "none"

    @property
    def missing_value(self) -> int | float | bytes | None:
        """Return what stands for a missing value, None where every row has one.

        >>> TABLES["contents"].columns["gzip"].missing_value
        -1
        """
        return MISSING[self.missing]

    @property
    def is_blob(self) -> bool:
        """Return whether all values stand one after the other, and another column has offsets."""
        return self.type in ("bytes", "utf8")

    @property
    def target(self) -> str:
        """Return the table that the column's row numbers are of, "" for other columns.

        >>> TABLES["entries"].columns["content"].target
        'contents'
        """
        return self.argument if self.type in ("row", "first") else ""

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
            "flags": "<u4",
            "time": "<i8",
            "bytes": "<u1",
            "utf8": "<u1",
            "offset": "<i8",
            "row": "<i8",
            "first": "<i8",
            "text": "",
        }
        return special.get(self.type, f"<{self.type}")

    @property
    def dimensions(self) -> tuple[str, ...]:
        """Return the names of the column's dimensions; offsets and blobs have their own.

        >>> TABLES["layers"].columns["digest"].dimensions
        ('row', 'digest_byte')
        """
        if self.type in ("digest", "fingerprint"):
            return "row", f"{self.type}_byte"
        if self.is_blob:
            return (f"{self.name}_byte",)
        return ("row_bound" if self.type == "offset" else "row",)

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


ROW = Column("row", "i8", "", "1", "none", "number of the row, by which other tables refer to it")
"""The column of row numbers that each table has besides those of the schema."""


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
    rows = CHUNK_BYTES if column.is_blob else chunk_rows(itemsize)
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
            if kind in ("text", "enum", "flags", "row", "first"):
                argument, *rest = rest[0].split(maxsplit=1)
            unit, missing, about = rest[0].split(maxsplit=2)
            columns[column] = Column(column, kind, argument, unit, missing, about)
        yield TableFormat(name, description, columns)


TABLES = {table.name: table for table in parse(SCHEMA)}
