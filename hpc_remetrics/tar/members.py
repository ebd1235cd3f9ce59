"""The walk over a tar: from its bytes to its members, as Go's archive/tar reads them.

docker, containerd and podman read layers with that package, so what it returns is what a layer
holds: which dialect a header is, which field wins, where an archive is broken. The rules here
follow its reader; names stay bytes, nothing is allocated by a declared size, and chains of headers
are loops.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from functools import lru_cache
from zlib import adler32

from ..limits import Limits
from ..records import NOTES
from .fault import LayerFault
from .fields import bad_header, decimal, numeric, octal, pax_time
from .sparse import old_gnu_map, pax_map, pax_map_1_0, validated
from .stream import TarStream

BLOCK = 512
ZEROS = bytes(BLOCK)

# name mode uid gid size mtime chksum typeflag linkname magic+version uname gname devmajor devminor
# prefix rest
_HEADER = struct.Struct("100s24s12s12s8sc100s8s64x16s155s12s")

_HEADER_ONLY = frozenset(b"123456")
"""Type flags whose entries have no data, whatever their size field says."""


class Member:
    """One entry of a tar: what its headers say.

    :ivar type: the type flag, one byte (b"\\0" is resolved to file or directory).
    :ivar path: bytes as they stand in the archive; `link` likewise.
    :ivar size: bytes of the content (expanded, if sparse).
    :ivar stored: bytes that stand in the archive for it.
    :ivar fragments: None, or for a sparse file its (offset, length) data fragments in order.
    """

    __slots__ = (
        "fragments",
        "gid",
        "link",
        "mode",
        "mtime",
        "mtime_ns",
        "path",
        "size",
        "stored",
        "type",
        "uid",
    )

    type: bytes
    path: bytes
    link: bytes
    mode: int
    uid: int
    gid: int
    size: int
    stored: int
    mtime: int
    mtime_ns: int
    fragments: list[tuple[int, int]] | None


@lru_cache(1 << 12)
def _three_numbers(fields: bytes) -> tuple[int, int, int]:
    """Return mode, uid and gid; most headers of a layer share their bytes."""
    return numeric(fields[:8]), numeric(fields[8:16]), numeric(fields[16:])


@lru_cache(1 << 12)
def _check_devices(fields: bytes) -> None:
    numeric(fields[:8])
    numeric(fields[8:])


@lru_cache(1 << 12)
def _number(field: bytes) -> int:
    return numeric(field)


def _checksum_fits(block: bytes, field: bytes) -> bool:
    """Compare the sum of a header's bytes, its own checksum field taken as spaces.

    adler32 holds that sum modulo 65521 in its low half, and half a header sums to 65,280 at most,
    so two calls give it exactly, far faster than a loop over bytes.
    """
    total = (
        (adler32(block[:256]) & 0xFFFF) + (adler32(block[256:]) & 0xFFFF) - 2 - sum(field) + 8 * 32
    )
    if field == b"%06o\0 " % total:
        return True  # as all tars write it
    try:
        wanted = octal(field)
    except LayerFault:
        return False
    return wanted == total or wanted == total - 256 * _negatives(block, field)


def _negatives(block: bytes, field: bytes) -> int:
    """Count the bytes that count as negative in the signed sums of some old tars."""
    return sum(byte > 127 for byte in block) - sum(byte > 127 for byte in field)


class MemberReader:
    """Yields the members of a tar; each member's data must be taken from the stream before the
    next.

    :ivar notes: bits of `records.NOTES` that were met.
    :ivar offset: where the headers of the current member begin.
    """

    def __init__(self, stream: TarStream, limits: Limits) -> None:
        self.stream, self.limits = stream, limits
        self.notes = 0
        self.offset = 0

    def __iter__(self) -> Iterator[Member]:
        stream = self.stream
        while True:
            self.offset = stream.tell()
            member = self._member()
            if member is None:
                return
            end = stream.tell() + member.stored
            yield member
            rest = end - stream.tell()
            if stream.position + rest + 511 < len(stream.buffer):
                stream.position += rest + (-end & 511)
            else:
                stream.skip(rest)
                stream.take(-end & 511)

    def _member(self) -> Member | None:
        """Read headers up to and with that of the next member, or None at the end of the
        archive."""
        records: dict[bytes, bytes] = {}
        long_name = long_link = b""
        while True:
            block = self._header_block()
            if block is None:
                return None
            flag = block[156:157]
            if flag not in b"xgLK":
                return self._finish(block, records, long_name, long_link)
            if flag == b"x":
                records = _pax_records(self._extension(block))
            elif flag == b"g":
                # Go hands a global header out as an entry of its own, which docker and containerd
                # skip.
                _pax_records(self._extension(block))
                self.notes |= NOTES["pax_global_header"]
                records, long_name, long_link = {}, b"", b""
            elif flag == b"L":
                long_name = self._extension(block).partition(b"\0")[0]
            else:
                long_link = self._extension(block).partition(b"\0")[0]

    def _header_block(self) -> bytes | None:
        stream = self.stream
        block = stream.take(BLOCK)
        if not block:
            self.notes |= NOTES["missing_end_marker"]
            return None
        if len(block) < BLOCK:
            raise LayerFault("tar", "truncated", "the archive ends within a header")
        if block == ZEROS:
            second = stream.take(BLOCK)
            if not second:
                self.notes |= NOTES["missing_end_marker"]
            elif len(second) < BLOCK:
                raise LayerFault("tar", "truncated", "the archive ends within its end marker")
            elif second != ZEROS:
                raise bad_header("a single block of zeros is followed by something else")
            return None
        return block

    def _extension(self, block: bytes) -> bytes:
        """Return the data of a header that only extends the next one."""
        size = _parse(block).size
        if size < 0:
            raise bad_header("an extended header has a negative size")
        if size > self.limits.header_bytes:
            raise LayerFault("tar", "limit_header", f"an extended header of {size} bytes")
        data = self.stream.take(size)
        if len(data) < size:
            raise LayerFault("tar", "truncated", "the archive ends within an extended header")
        self.stream.take(-size & 511)
        return data

    def _finish(
        self, block: bytes, records: dict[bytes, bytes], long_name: bytes, long_link: bytes
    ) -> Member:
        member = _parse(block)
        member.stored = 0 if member.type[0] in _HEADER_ONLY else member.size
        if member.stored < 0:
            raise bad_header("a negative size")
        if records:
            _merge(member, records)
            member.stored = 0 if member.type[0] in _HEADER_ONLY else member.size
            if member.stored < 0:
                raise bad_header("a negative size")
        if long_name:
            member.path = long_name
        if long_link:
            member.link = long_link
        if member.type == b"\0":
            member.type = b"5" if member.path.endswith(b"/") else b"0"
            member.stored = 0 if member.type == b"5" else member.size
        if member.type == b"S" or records:
            self._expand_sparse(member, block, records)
        if len(member.path) > self.limits.path_bytes or len(member.link) > self.limits.path_bytes:
            raise LayerFault(
                "tar",
                "limit_path",
                f"a path or link of {max(len(member.path), len(member.link))} bytes",
            )
        return member

    def _expand_sparse(self, member: Member, block: bytes, records: dict[bytes, bytes]) -> None:
        fragments: list[tuple[int, int]] | None
        if member.type == b"S":
            member.size, fragments = old_gnu_map(block, self.stream, self.limits)
        else:
            fragments = self._pax_sparse(member, records)
        if fragments is None:
            return
        if member.type[0] in _HEADER_ONLY:
            raise bad_header("a sparse map on an entry without data")
        member.fragments = validated(fragments, member.size)
        data = sum(length for _, length in fragments)
        if data != member.stored:
            raise bad_header(f"a sparse map of {data} bytes over {member.stored} bytes of data")

    def _pax_sparse(
        self, member: Member, records: dict[bytes, bytes]
    ) -> list[tuple[int, int]] | None:
        major, minor = records.get(b"GNU.sparse.major", b""), records.get(b"GNU.sparse.minor", b"")
        in_data = (major, minor) == (b"1", b"0")
        in_records = major == b"0" and minor in (b"0", b"1")
        if not (in_data or in_records or (not major + minor and records.get(b"GNU.sparse.map"))):
            return None
        if name := records.get(b"GNU.sparse.name"):
            member.path = name
        if size := records.get(b"GNU.sparse.size") or records.get(b"GNU.sparse.realsize"):
            member.size = decimal(size)
        return self._map_in_data(member) if in_data else pax_map(records)

    def _map_in_data(self, member: Member) -> list[tuple[int, int]]:
        start = self.stream.tell()
        fragments = pax_map_1_0(self.stream, member.stored, self.limits)
        member.stored -= self.stream.tell() - start
        return fragments


def is_header(block: bytes) -> bool:
    """Say whether these bytes are a header block, or the zeros of an end marker."""
    return len(block) == BLOCK and (block == ZEROS or _checksum_fits(block, block[148:156]))


def _parse(block: bytes) -> Member:
    """Read one header block, without what extends it."""
    name, owner, size, mtime, checksum, flag, link, magic, devices, prefix, rest = _HEADER.unpack(
        block
    )
    if not _checksum_fits(block, checksum):
        raise bad_header("not a tar header: its checksum does not fit")
    member = Member()
    member.type = flag
    member.path = name.partition(b"\0")[0]
    member.link = link.partition(b"\0")[0] if link[0] else b""
    member.size = _number(size)
    member.mode, member.uid, member.gid = _three_numbers(owner)
    member.mtime, member.mtime_ns = _number(mtime), 0
    member.fragments = None
    if magic[:6] == b"ustar\0":
        _check_devices(devices)
        if rest[8:] == b"tar\0":
            prefix = _star_prefix(prefix, rest)
        if prefix[0]:
            member.path = prefix.partition(b"\0")[0] + b"/" + member.path
    elif magic == b"ustar  \0":
        _check_devices(devices)
        if (prefix[0] or prefix[12]) and (wrong := _wrong_gnu_prefix(prefix)):
            member.path = wrong + b"/" + member.path
    return member


def _star_prefix(prefix: bytes, rest: bytes) -> bytes:
    """Return the shorter prefix of star's own header, whose times must be numbers."""
    tail = prefix[131:] + rest
    numeric(tail[:12])
    numeric(tail[12:24])
    return prefix[:131]


def _wrong_gnu_prefix(prefix: bytes) -> bytes:
    """Return the prefix that Go before 1.8 wrote where GNU tar has atime and ctime, if it is
    one."""
    try:
        for field in (prefix[:12], prefix[12:24]):
            if field[0]:
                numeric(field)
    except LayerFault:
        name = prefix.partition(b"\0")[0]
        return name if name.isascii() else b""
    return b""


def _pax_records(data: bytes) -> dict[bytes, bytes]:
    """Read `length key=value\\n` records; format 0.0's sparse offsets become one map as in 0.1."""
    records: dict[bytes, bytes] = {}
    sparse: list[bytes] = []
    position = 0
    while position < len(data):
        key, value, position = _pax_record(data, position)
        if key in (b"GNU.sparse.offset", b"GNU.sparse.numbytes"):
            wanted = b"GNU.sparse.numbytes" if len(sparse) % 2 else b"GNU.sparse.offset"
            if key != wanted or b"," in value:
                raise bad_header("a sparse map is out of order")
            sparse.append(value)
        else:
            records[key] = value
    if sparse:
        records[b"GNU.sparse.map"] = b",".join(sparse)
    return records


def _pax_record(data: bytes, position: int) -> tuple[bytes, bytes, int]:
    space = data.find(b" ", position)
    length = decimal(data[position:space]) if space >= 0 else 0
    end = position + length
    if length < 5 or end > len(data) or end <= space + 1 or data[end - 1] != 10:
        raise bad_header("a PAX record is broken")
    key, equals, value = data[space + 1 : end - 1].partition(b"=")
    text = value if key in (b"path", b"linkpath", b"uname", b"gname") else key
    if not equals or not key or b"\0" in text:
        raise bad_header("a PAX record is broken")
    return key, value, end


def _merge(member: Member, records: dict[bytes, bytes]) -> None:
    for key, value in records.items():
        if not value:
            continue
        if key == b"path":
            member.path = value
        elif key == b"linkpath":
            member.link = value
        elif key == b"uid":
            member.uid = decimal(value)
        elif key == b"gid":
            member.gid = decimal(value)
        elif key == b"size":
            member.size = decimal(value)
        elif key == b"mtime":
            member.mtime, member.mtime_ns = pax_time(value)
        elif key in (b"atime", b"ctime"):
            pax_time(value)
