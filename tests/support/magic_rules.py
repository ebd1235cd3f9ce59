"""Rules of libmagic, made as its compiler makes them, for tests without the installed database."""

from __future__ import annotations

import re
from struct import Struct

from hpc_remetrics.filetype.libmagic.binding import database_path, libmagic_version
from hpc_remetrics.filetype.libmagic.database import (
    BINTEST,
    TEXTTEST,
    Database,
    Record,
    find_database,
)
from hpc_remetrics.filetype.libmagic.versions import VERSIONS

RECORD_BYTES = 376
WIDE_RECORD_BYTES = 432
"""Bytes of a record since 5.46, whose flags stand before the level."""
_FIELDS = Struct("<H10BiiIII128s64s")
_EMPTY = dict.fromkeys(Record._fields, 0) | {"value": b"", "description": b""}


def record(
    type_: int,
    value: bytes | int = b"",
    words: bytes = b"",
    *,
    relation: str = "=",
    mask: int = 0,
    **fields: int,
) -> Record:
    """Return a test; a number as its value is stored in eight bytes, words are what it prints."""
    if isinstance(value, int):
        value = (value & ((1 << 64) - 1)).to_bytes(8, "little")
    fields = {"length": len(value), "range": mask & 0xFFFFFFFF, "modifiers": mask >> 32} | fields
    made = {"type": type_, "relation": ord(relation), "description": words, **fields}
    return Record(**(_EMPTY | made | {"value": value.ljust(128, b"\0")}))


def binary(*args, **fields) -> Record:
    """Return a first test of a rule for bytes."""
    return record(*args, **{**fields, "flag": fields.get("flag", 0) | BINTEST})


def textual(*args, **fields) -> Record:
    """Return a first test of a rule for text."""
    return record(*args, **{**fields, "flag": fields.get("flag", 0) | TEXTTEST})


def compiled(
    rules: list[list[Record]], blocks: list[list[Record]] = (), format_: int = 18
) -> bytes:
    """Return the bytes of a compiled database of these rules and named blocks."""
    counts = [sum(map(len, some)) for some in (rules, blocks)]
    size = RECORD_BYTES if format_ < 20 else WIDE_RECORD_BYTES
    records = [Struct("<4I").pack(0xF11E041C, format_, *counts)]
    for one in (one for rule in (*rules, *blocks) for one in rule):
        first_two = one[:2] if format_ < 20 else one[1::-1]
        records.append(_FIELDS.pack(*first_two, *one[2:]))
    return b"".join(one.ljust(size, b"\0") for one in records)


FORMATS = {539: 16, 542: 17, 543: 18, 546: 20, 548: 21}
"""First version of libmagic with a format -> the format."""


def installed_format() -> int:
    """Return the format that the installed libmagic loads: Debian's 5.47 has that of 5.48."""
    installed = find_database(database_path(), VERSIONS[libmagic_version()])
    return int.from_bytes(installed._data[4:8], "little")


def database(
    *rules: list[Record],
    blocks: list[list[Record]] = (),
    version: int = 544,
    format_: int | None = None,
) -> Database:
    """Return a database of these rules, strongest first, in this format or in the version's."""
    format_ = format_ or FORMATS[max(first for first in FORMATS if first <= version)]
    return Database(compiled(list(rules), list(blocks), format_), VERSIONS[version])


class Ends(dict):
    """Where patterns match first in a text, sought by `re` as a matcher does."""

    def __init__(self, text: bytes) -> None:
        super().__init__()
        self.text = text

    def __missing__(self, pattern):
        match = re.search(pattern.strict.replace(r"\z", r"\Z").encode(), self.text)
        return match.end() if match else -1
