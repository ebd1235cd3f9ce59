"""Read the members of a tar by the rules of Go's archive/tar.

docker, containerd and podman read layers with that package, so its rules say what a layer holds:
which dialect a header is, which field wins, where an archive is broken. Names stay bytes, nothing
is allocated by a declared size, and chains of headers are loops. One member may have several
headers:

    | x header | its records | L header | long name | header | data of 700 bytes | padding |
     512 bytes   path=, size=  512 bytes                512       stored = 700      324
    `-------------- extend the next header ---------' `---------- the member ----------'
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
"""Bytes of a header, and what data is padded to."""

ZEROS = bytes(BLOCK)

_HEADER = struct.Struct("100s24s12s12s8sc100s255s")
"""name, mode + uid + gid, size, mtime, checksum, type flag, link name, rest."""

_REST = struct.Struct("8s64x16s155s12s")
"""The rest of a header: magic + version, (user and group names), device numbers, prefix, end."""

_HEADER_ONLY = frozenset((b"1", b"2", b"3", b"4", b"5", b"6"))
"""Type flags whose entries have no data, whatever their size field says."""

_ENTRIES = frozenset((*_HEADER_ONLY, b"0", b"7"))
"""Type flags whose headers say all of a member unless others extend them."""

_EXTENSIONS = frozenset((b"x", b"g", b"L", b"K"))
"""Type flags of headers that extend the next one."""


class Member:
    """One entry of a tar: what its headers say.

    :ivar type: the type flag, one byte; b"\\0" is resolved to file or directory.
    :ivar path: as the archive has it; so is `link`.
    :ivar size: bytes of the content, with the holes of a sparse file.
    :ivar stored: bytes that the archive has of it.
    :ivar fragments: (offset, length) of the data of a sparse file, in order; None for other files.
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
    """Parse mode, uid and gid, which most headers of a layer share.

    :param fields: 24 bytes.
    """
    return numeric(fields[:8]), numeric(fields[8:16]), numeric(fields[16:])


def _check_devices(fields: bytes) -> None:
    """Check that both device numbers are numbers.

    :param fields: 16 bytes.
    """
    numeric(fields[:8])
    numeric(fields[8:])


@lru_cache(1 << 12)
def _shared_number(field: bytes) -> int:
    """Parse a number field that many headers share, such as a time."""
    return numeric(field)


@lru_cache(1 << 13)
def _sum_by_checksum(field: bytes) -> int:
    """Return the sum of a header's bytes for which its checksum field is right, -1 if it is none.

    The field itself counts as eight spaces in the checksum.
    """
    try:
        return octal(field) - 8 * 32 + sum(field)
    except LayerFault:
        return -1


def _checksum_fits(block: bytes, field: bytes) -> bool:
    """Compare the sum of a header's bytes with its checksum field.

    The low half of adler32 is one more than the sum of the bytes modulo 65521. ASCII characters of
    a header sum to 65,024 at most, so one call gives their sum exactly, far faster than a loop.
    """
    if block.isascii():
        return (adler32(block) & 0xFFFF) - 1 == _sum_by_checksum(field)
    return _signed_checksum_fits(block, field)


def _signed_checksum_fits(block: bytes, field: bytes) -> bool:
    """Compare the sums of a header with other characters than ASCII, of which one may be signed.

    Half a header sums to 65,280 at most.
    """
    halves = (adler32(block[:256]) & 0xFFFF) + (adler32(block[256:]) & 0xFFFF)
    total = halves - 2 - sum(field) + 8 * 32
    try:
        wanted = octal(field)
    except LayerFault:
        return False
    return wanted == total or wanted == total - 256 * _negatives(block, field)


def _negatives(block: bytes, field: bytes) -> int:
    """Count the bytes that are negative in the signed sums of some old programs."""
    return sum(byte > 127 for byte in block) - sum(byte > 127 for byte in field)


class MemberReader:
    """Yields the members of a tar.

    The data of a member is the next `stored` bytes of the stream; what is not taken is skipped.

    :ivar notes: bits of `records.NOTES` for what the tar has.
    :ivar offset: where the headers of the current member begin.
    """

    def __init__(self, stream: TarStream, limits: Limits) -> None:
        self.stream = stream
        self.limits = limits
        self.notes = 0
        self.offset = 0

    def __iter__(self) -> Iterator[Member]:
        stream = self.stream
        longest = self.limits.path_bytes
        self.offset = stream.tell()
        while True:
            # Most members have one header, which is in the buffer
            position = stream.position
            block = stream.buffer[position : position + BLOCK]
            if block[156:157] in _ENTRIES and len(block) == BLOCK and longest >= BLOCK:
                stream.position = position + BLOCK
                member = _parse(block)
                if member.stored < 0:
                    raise bad_header("a negative size")
            else:
                extended = self._member()
                if extended is None:
                    return
                member = extended
            end = stream.start + stream.position + member.stored
            padding = -end & 511
            yield member

            # Skip the rest of the data and the padding; mostly both are in the buffer
            position = end + padding - stream.start
            if position <= len(stream.buffer):
                stream.position = position
            else:
                stream.skip(end - stream.tell())
                stream.take(padding)
            self.offset = end + padding

    def _member(self) -> Member | None:
        """Read all headers of the next member; return None at the end of the archive."""
        records: dict[bytes, bytes] = {}
        long_name = b""
        long_link = b""
        while True:
            block = self._header_block()
            if block is None:
                return None
            flag = block[156:157]
            if flag not in _EXTENSIONS:
                return self._finish(block, records, long_name, long_link)
            # The header extends the next one
            if flag == b"x":
                records = _pax_records(self._extension(block))
            elif flag == b"g":
                # Go returns a global header as an entry of its own, which docker and containerd
                # skip; so what came before it extends nothing
                _pax_records(self._extension(block))
                self.notes |= NOTES["pax_global_header"]
                records = {}
                long_name = b""
                long_link = b""
            elif flag == b"L":
                long_name = self._extension(block).partition(b"\0")[0]
            else:
                long_link = self._extension(block).partition(b"\0")[0]

    def _header_block(self) -> bytes | None:
        """Take the next header, None at the end marker or at the end of the stream."""
        stream = self.stream
        block = stream.take(BLOCK)
        if not block:
            self.notes |= NOTES["missing_end_marker"]
            return None
        if len(block) < BLOCK:
            raise LayerFault("tar", "truncated", "the archive ends within a header")
        if block != ZEROS:
            return block
        # Two blocks of zeros are the end marker
        second = stream.take(BLOCK)
        if not second:
            self.notes |= NOTES["missing_end_marker"]
        elif len(second) < BLOCK:
            raise LayerFault("tar", "truncated", "the archive ends within its end marker")
        elif second != ZEROS:
            raise bad_header("a single block of zeros is followed by something else")
        return None

    def _extension(self, block: bytes) -> bytes:
        """Take the data of a header that extends the next one."""
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
        """Return the member of a header and of the headers that extend it.

        :param records: of the PAX header before it.
        :param long_name: of the GNU header `L`, as `long_link` of `K`; b"" where there is none.
        """
        # The size must be valid before records replace it, and again afterwards
        member = _parse(block)
        if member.stored < 0:
            raise bad_header("a negative size")
        if records:
            _merge(member, records)
            _set_stored(member)

        # A GNU long name wins over a PAX record
        if long_name:
            member.path = long_name
        if long_link:
            member.link = long_link

        # The oldest dialect marks a directory by the slash at its end
        if member.type == b"\0":
            member.type = b"5" if member.path.endswith(b"/") else b"0"
            member.stored = 0 if member.type == b"5" else member.size

        if member.type == b"S" or records:
            self._expand_sparse(member, block, records)
        limit = self.limits.path_bytes
        if len(member.path) > limit or len(member.link) > limit:
            longest = max(len(member.path), len(member.link))
            raise LayerFault("tar", "limit_path", f"a path or link of {longest} bytes")
        return member

    def _expand_sparse(self, member: Member, block: bytes, records: dict[bytes, bytes]) -> None:
        """Read the map of a sparse file, if the member is one, and check it."""
        fragments: list[tuple[int, int]] | None
        if member.type == b"S":
            member.size, fragments = old_gnu_map(block, self.stream, self.limits)
        else:
            fragments = self._pax_sparse(member, records)
        if fragments is None:
            return
        if member.type in _HEADER_ONLY:
            raise bad_header("a sparse map on an entry without data")
        member.fragments = validated(fragments, member.size)
        data = sum(length for _, length in fragments)
        if data != member.stored:
            raise bad_header(f"a sparse map of {data} bytes over {member.stored} bytes of data")

    def _pax_sparse(
        self, member: Member, records: dict[bytes, bytes]
    ) -> list[tuple[int, int]] | None:
        """Return the map that PAX records announce, None if they don't; set path and size."""
        major = records.get(b"GNU.sparse.major", b"")
        minor = records.get(b"GNU.sparse.minor", b"")
        in_data = (major, minor) == (b"1", b"0")
        in_records = major == b"0" and minor in (b"0", b"1")
        has_no_version = not major and not minor
        if not (in_data or in_records or (has_no_version and records.get(b"GNU.sparse.map"))):
            return None
        if name := records.get(b"GNU.sparse.name"):
            member.path = name
        if size := records.get(b"GNU.sparse.size") or records.get(b"GNU.sparse.realsize"):
            member.size = decimal(size)
        return self._map_in_data(member) if in_data else pax_map(records)

    def _map_in_data(self, member: Member) -> list[tuple[int, int]]:
        """Take the map before the data; the member has less data by that."""
        start = self.stream.tell()
        fragments = pax_map_1_0(self.stream, member.stored, self.limits)
        member.stored -= self.stream.tell() - start
        return fragments


def is_header(block: bytes) -> bool:
    """Say whether these bytes are a header, or the zeros of an end marker."""
    return len(block) == BLOCK and (block == ZEROS or _checksum_fits(block, block[148:156]))


def _parse(block: bytes) -> Member:
    """Parse one header, without those that extend it."""
    name, owner, size, mtime, checksum, flag, link, rest = _HEADER.unpack(block)
    if not _checksum_fits(block, checksum):
        raise bad_header("not a tar header: its checksum does not fit")

    # Take the fields apart; a field of text ends at its first zero byte.
    member = Member()
    member.type = flag
    member.path = _directory(rest) + name.partition(b"\0")[0]
    member.link = link.partition(b"\0")[0] if link[0] else b""
    member.size = numeric(size)
    member.stored = 0 if flag in _HEADER_ONLY else member.size
    member.mode, member.uid, member.gid = _three_numbers(owner)
    member.mtime = _shared_number(mtime)
    member.mtime_ns = 0
    member.fragments = None
    return member


@lru_cache(1 << 10)
def _directory(rest: bytes) -> bytes:
    """Return what stands before the name by the rules of the header's dialect, with a slash.

    Most headers of a layer share all of these bytes.

    :param rest: of the header, behind the link name.
    """
    magic, devices, prefix, end = _REST.unpack(rest)
    if magic[:6] == b"ustar\0":
        _check_devices(devices)
        if end[8:] == b"tar\0":
            prefix = _star_prefix(prefix, end)
        if prefix[0]:
            return prefix.partition(b"\0")[0] + b"/"
    elif magic == b"ustar  \0":
        _check_devices(devices)
        if (prefix[0] or prefix[12]) and (wrong := _wrong_gnu_prefix(prefix)):
            return wrong + b"/"
    return b""


def _set_stored(member: Member) -> None:
    """Set the bytes that the archive has of a member by its size; a fault if it is negative."""
    member.stored = 0 if member.type in _HEADER_ONLY else member.size
    if member.stored < 0:
        raise bad_header("a negative size")


def _star_prefix(prefix: bytes, end: bytes) -> bytes:
    """Return the prefix of a header of star, where atime and ctime follow; they must be numbers."""
    tail = prefix[131:] + end
    numeric(tail[:12])
    numeric(tail[12:24])
    return prefix[:131]


def _wrong_gnu_prefix(prefix: bytes) -> bytes:
    """Return the prefix that Go before 1.8 wrote in place of GNU's atime and ctime, b"" if none."""
    try:
        for field in (prefix[:12], prefix[12:24]):
            if field[0]:
                numeric(field)
    except LayerFault:
        name = prefix.partition(b"\0")[0]
        return name if name.isascii() else b""
    return b""


def _pax_records(data: bytes) -> dict[bytes, bytes]:
    """Parse the records of a PAX header; the pairs of a sparse map 0.0 become one map as in 0.1.

    >>> _pax_records(b"12 path=abc\\n11 uid=100\\n")
    {b'path': b'abc', b'uid': b'100'}
    """
    records: dict[bytes, bytes] = {}
    sparse: list[bytes] = []
    position = 0
    while position < len(data):
        key, value, position = _pax_record(data, position)
        if key in (b"GNU.sparse.offset", b"GNU.sparse.numbytes"):
            # Offset and length take turns; a comma would make more numbers of one.
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
    """Return key and value of the record at a position, and the position behind it.

    A record is `length key=value` and a line feed; its length counts all of it.
    """
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
    """Replace fields of a member by PAX records; an empty value replaces nothing."""
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
