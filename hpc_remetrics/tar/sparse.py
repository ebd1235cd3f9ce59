"""The maps of sparse files: the old GNU one in headers, PAX 0.0 and 0.1 in records, PAX 1.0 in the
data."""

from __future__ import annotations

from ..limits import Limits
from .fault import LayerFault
from .fields import bad_header, decimal, numeric
from .stream import TarStream

Fragments = list[tuple[int, int]]

_INT64 = 1 << 63

_OLD_GNU_TABLE = 97
"""Bytes of the sparse map that an old GNU header itself holds, with the flag that says whether it
goes on."""


def old_gnu_map(block: bytes, stream: TarStream, limits: Limits) -> tuple[int, Fragments]:
    """Return the real size and the map of an old GNU sparse header and the extension blocks behind
    it."""
    if block[257:265] != b"ustar  \0":
        raise bad_header("a sparse header that is not GNU's")
    size = numeric(block[483:495])
    fragments: Fragments = []
    read = _OLD_GNU_TABLE
    table, more = block[386:482], block[482]
    while True:
        for start in range(0, len(table) - 23, 24):
            if not table[start]:
                break
            fragments.append(
                (numeric(table[start : start + 12]), numeric(table[start + 12 : start + 24]))
            )
        if not more:
            return size, fragments
        # As Go does, refuse a map that reaches the limit; one in records or in the data may fill
        # it.
        read += 512
        if read >= limits.header_bytes:
            raise LayerFault(
                "tar", "limit_header", f"a sparse map of more than {limits.header_bytes} bytes"
            )
        block = stream.take(512)
        if len(block) < 512:
            raise LayerFault("tar", "truncated", "the archive ends within a sparse map")
        table, more = block[:504], block[504]


def pax_map(records: dict[bytes, bytes]) -> Fragments:
    """Return the map of PAX sparse formats 0.0 and 0.1, which stands in the records."""
    count = decimal(records.get(b"GNU.sparse.numblocks", b""))
    text = records.get(b"GNU.sparse.map", b"")
    numbers = text.split(b",") if text else []
    if count < 0 or len(numbers) != 2 * count:
        raise bad_header(f"a sparse map of {count} fragments has {len(numbers)} numbers")
    values = [decimal(number) for number in numbers]
    return list(zip(values[::2], values[1::2], strict=True))


def pax_map_1_0(stream: TarStream, stored: int, limits: Limits) -> Fragments:
    """Return the map of PAX sparse format 1.0, which stands in the first blocks of the data."""
    text, lines, read = bytearray(), 0, 0

    def feed(wanted: int) -> None:
        nonlocal lines, read
        while lines < wanted:
            read += 512
            if read > limits.header_bytes:
                raise LayerFault(
                    "tar", "limit_header", f"a sparse map of more than {limits.header_bytes} bytes"
                )
            block = stream.take(512) if read <= stored else b""
            if len(block) < 512:
                raise LayerFault("tar", "truncated", "the data ends within a sparse map")
            text.extend(block)
            lines += block.count(b"\n")

    feed(1)
    count = decimal(bytes(text[: text.index(b"\n")]))
    if count < 0:
        raise bad_header("a sparse map of a negative number of fragments")
    feed(1 + 2 * count)
    values = [
        decimal(number) for number in bytes(text).split(b"\n", 1 + 2 * count)[1 : 1 + 2 * count]
    ]
    return list(zip(values[::2], values[1::2], strict=True))


def validated(fragments: Fragments, size: int) -> Fragments:
    """Return the map if its fragments are in order, apart from each other, and within `size`."""
    if size < 0:
        raise bad_header("a sparse file of negative size")
    end = 0
    for offset, length in fragments:
        if (
            offset < 0
            or length < 0
            or offset + length >= _INT64
            or offset + length > size
            or end > offset
        ):
            raise bad_header(f"a sparse fragment of {length} bytes at {offset} in a file of {size}")
        end = offset + length
    return fragments
