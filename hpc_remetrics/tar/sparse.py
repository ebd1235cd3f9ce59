"""Read the maps of sparse files, which say where data lies between holes.

A file of 100 bytes with data at 10 and at 60, of which the archive stores 25 bytes:

    content     |.....#####....................########............|    . hole  # data
    fragments         (10, 10)                (60, 15)                  offset and length
    archive     |#############|

The map is in the header and blocks behind it (old GNU), in PAX records (0.0 and 0.1), or in the
first blocks of the data (PAX 1.0).
"""

from __future__ import annotations

from ..limits import Limits
from .fault import LayerFault
from .fields import bad_header, decimal, numeric
from .stream import TarStream

Fragments = list[tuple[int, int]]
"""Offset and length of each fragment of data, in bytes."""

_BLOCK = 512
_INT64 = 1 << 63

_OLD_GNU_TABLE = 97
"""Bytes of the map in an old GNU header, with the flag that says whether the map goes on."""

_OLD_GNU_FRAGMENT = 24
"""Bytes of a fragment in an old GNU map: two number fields of 12."""


def old_gnu_map(block: bytes, stream: TarStream, limits: Limits) -> tuple[int, Fragments]:
    """Return the size and the map of an old GNU sparse file.

    :param block: its header; the blocks with the rest of the map are taken from the stream.
    :raises LayerFault: it is broken, or longer than the limit.
    """
    if block[257:265] != b"ustar  \0":
        raise bad_header("a sparse header that is not GNU's")
    size = numeric(block[483:495])
    fragments: Fragments = []
    read = _OLD_GNU_TABLE
    table = block[386:482]
    goes_on = block[482]
    while True:
        # Read the fragments of this block, up to an empty one
        for start in range(0, len(table) - _OLD_GNU_FRAGMENT + 1, _OLD_GNU_FRAGMENT):
            if not table[start]:
                break
            offset = numeric(table[start : start + 12])
            length = numeric(table[start + 12 : start + 24])
            fragments.append((offset, length))
        if not goes_on:
            return size, fragments

        # Take the next block; as Go does, refuse a map that reaches the limit
        read += _BLOCK
        if read >= limits.header_bytes:
            raise _too_long(limits)
        block = stream.take(_BLOCK)
        if len(block) < _BLOCK:
            raise LayerFault("tar", "truncated", "the archive ends within a sparse map")
        table = block[:504]
        goes_on = block[504]


def pax_map(records: dict[bytes, bytes]) -> Fragments:
    """Return the map of PAX sparse formats 0.0 and 0.1, which stands in the records.

    >>> pax_map({b"GNU.sparse.numblocks": b"2", b"GNU.sparse.map": b"10,10,60,15"})
    [(10, 10), (60, 15)]
    """
    count = decimal(records.get(b"GNU.sparse.numblocks", b""))
    text = records.get(b"GNU.sparse.map", b"")
    numbers = text.split(b",") if text else []
    if count < 0 or len(numbers) != 2 * count:
        raise bad_header(f"a sparse map of {count} fragments has {len(numbers)} numbers")
    return _paired(numbers)


def pax_map_1_0(stream: TarStream, stored: int, limits: Limits) -> Fragments:
    """Return the map of PAX sparse format 1.0, which stands in the first blocks of the data.

    The map is lines of decimals: the number of fragments, then offset and length of each.

    :param stored: bytes of the data with the map.
    :raises LayerFault: it is broken, or longer than the limit.
    """
    text = bytearray()
    lines = 0
    read = 0

    def read_lines(wanted: int) -> None:
        """Read whole blocks until they hold this many lines."""
        nonlocal lines, read
        while lines < wanted:
            read += _BLOCK
            if read > limits.header_bytes:
                raise _too_long(limits)
            block = stream.take(_BLOCK) if read <= stored else b""
            if len(block) < _BLOCK:
                raise LayerFault("tar", "truncated", "the data ends within a sparse map")
            text.extend(block)
            lines += block.count(b"\n")

    # The first line says how many numbers follow.
    read_lines(1)
    count = decimal(bytes(text[: text.index(b"\n")]))
    if count < 0:
        raise bad_header("a sparse map of a negative number of fragments")
    last = 1 + 2 * count
    read_lines(last)
    return _paired(bytes(text).split(b"\n", last)[1:last])


def _paired(numbers: list[bytes]) -> Fragments:
    """Return pairs of decimals as fragments."""
    values = [decimal(number) for number in numbers]
    return list(zip(values[::2], values[1::2], strict=True))


def _too_long(limits: Limits) -> LayerFault:
    message = f"a sparse map of more than {limits.header_bytes} bytes"
    return LayerFault("tar", "limit_header", message)


def validated(fragments: Fragments, size: int) -> Fragments:
    """Return the map if its fragments are in order, apart from each other, and within the file.

    :param size: bytes of the file with its holes.
    :raises LayerFault: they are not.
    """
    if size < 0:
        raise bad_header("a sparse file of negative size")
    end = 0
    for offset, length in fragments:
        is_within = offset >= end and length >= 0 and offset + length <= size
        if not is_within or offset + length >= _INT64:
            raise bad_header(f"a sparse fragment of {length} bytes at {offset} in a file of {size}")
        end = offset + length
    return fragments
