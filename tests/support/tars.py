"""Builds tar archives block by block, right and wrong ones: every field can be given as bytes."""

from __future__ import annotations

import struct
import zlib

MAGIC = {"v7": b"\0" * 8, "ustar": b"ustar\x0000", "gnu": b"ustar  \0", "star": b"ustar\x0000"}


def octal(value: int, width: int) -> bytes:
    return f"{value:o}".rjust(width - 1, "0").encode() + b"\0"


def base256(value: int, width: int) -> bytes:
    data = bytearray((value & ((1 << (8 * width)) - 1)).to_bytes(width, "big"))
    data[0] = 0xFF if value < 0 else data[0] | 0x80
    return bytes(data)


def number(value: int | bytes, width: int) -> bytes:
    """A number field: bytes as they are, what fits in octal, the rest in base 256."""
    if isinstance(value, bytes):
        return value.ljust(width, b"\0")[:width]
    return octal(value, width) if 0 <= value < 8 ** (width - 1) else base256(value, width)


def header(
    path: bytes = b"file",
    flag: bytes = b"0",
    size: int | bytes = 0,
    link: bytes = b"",
    mode: int | bytes = 0o644,
    uid: int | bytes = 0,
    gid: int | bytes = 0,
    mtime: int | bytes = 0,
    prefix: bytes = b"",
    dialect: str = "ustar",
    tail: bytes = b"",
    checksum: bytes | None = None,
) -> bytes:
    """One block; `tail` replaces what stands from byte 345 on (prefix and beyond)."""
    block = bytearray(512)
    block[0:100] = path.ljust(100, b"\0")[:100]
    block[100:108], block[108:116], block[116:124] = number(mode, 8), number(uid, 8), number(gid, 8)
    block[124:136], block[136:148] = number(size, 12), number(mtime, 12)
    block[148:156] = b" " * 8
    block[156:157] = flag
    block[157:257] = link.ljust(100, b"\0")[:100]
    block[257:265] = MAGIC[dialect]
    if dialect != "v7":
        block[329:345] = octal(0, 8) * 2
        block[345:500] = prefix.ljust(155, b"\0")[:155]
    if dialect == "star":
        block[476:488], block[488:500], block[508:512] = octal(0, 12), octal(0, 12), b"tar\0"
    if tail:
        block[345 : 345 + len(tail)] = tail
    return sealed(block, checksum)


def sealed(block: bytes | bytearray, checksum: bytes | None = None) -> bytes:
    """The block with the checksum that its bytes have."""
    block = bytearray(block)
    block[148:156] = b" " * 8
    block[148:156] = checksum or f"{sum(block):06o}\0 ".encode()
    return bytes(block)


def padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 512)


def file(path: bytes = b"file", data: bytes = b"", **fields: object) -> bytes:
    return header(path, size=len(data), **fields) + padded(data)  # type: ignore[arg-type]


def record(key: bytes, value: bytes) -> bytes:
    """A PAX record."""
    rest = b" " + key + b"=" + value + b"\n"
    length = len(rest) + 1
    while length != len(rest) + len(str(length)):
        length = len(rest) + len(str(length))
    return str(length).encode() + rest


def extension(flag: bytes, data: bytes, name: bytes = b"././@LongLink") -> bytes:
    """A header that extends the next one, and its data: `x`, `g`, `L` or `K`."""
    return header(name, flag, size=len(data), dialect="gnu" if flag in b"LK" else "ustar") + padded(
        data
    )


def pax(records: dict[bytes, bytes] | list[tuple[bytes, bytes]], flag: bytes = b"x") -> bytes:
    pairs = records.items() if isinstance(records, dict) else records
    return extension(flag, b"".join(record(key, value) for key, value in pairs), b"PaxHeaders/file")


def old_gnu_sparse(path: bytes, size: int, fragments: list[tuple[int, bytes]]) -> bytes:
    """A sparse file as GNU tar's own format has it, with extension blocks for what does not fit."""
    stored = sum(len(data) for _, data in fragments)
    pairs = [number(at, 12) + number(len(data), 12) for at, data in fragments]
    pairs.append(number(size, 12) + number(0, 12))
    first, more = pairs[:4], pairs[4:]
    # atime, ctime, offset, longnames, unused; four pairs; isextended; realsize
    tail = (
        bytes(41) + b"".join(first).ljust(96, b"\0") + (b"\1" if more else b"\0") + number(size, 12)
    )
    blocks = [header(path, b"S", size=stored, dialect="gnu", tail=tail)]
    while more:
        block, more = more[:21], more[21:]
        blocks.append(b"".join(block).ljust(504, b"\0") + (b"\1" if more else b"\0") + bytes(7))
    return b"".join(blocks) + padded(b"".join(data for _, data in fragments))


def pax_sparse(path: bytes, size: int, fragments: list[tuple[int, bytes]], version: str) -> bytes:
    """A sparse file in one of the three PAX formats: 0.0, 0.1 or 1.0."""
    pairs = [*((at, len(data)) for at, data in fragments), (size, 0)]
    data = b"".join(data for _, data in fragments)
    if version == "1.0":
        numbers = [len(pairs), *(value for pair in pairs for value in pair)]
        data = padded("".join(f"{value}\n" for value in numbers).encode()) + data
        records = [
            (b"GNU.sparse.major", b"1"),
            (b"GNU.sparse.minor", b"0"),
            (b"GNU.sparse.name", path),
        ]
        records.append((b"GNU.sparse.realsize", b"%d" % size))
    else:
        records = [
            (b"GNU.sparse.size", b"%d" % size),
            (b"GNU.sparse.numblocks", b"%d" % len(pairs)),
        ]
        if version == "0.0":
            for at, length in pairs:
                records += [
                    (b"GNU.sparse.offset", b"%d" % at),
                    (b"GNU.sparse.numbytes", b"%d" % length),
                ]
        else:
            text = ",".join(f"{at},{length}" for at, length in pairs)
            records += [(b"GNU.sparse.name", path), (b"GNU.sparse.map", text.encode())]
    # The length of the data, with the map, can stand in a record too; GNU tar keeps it in the
    # header.
    name = path if version == "0.0" else b"GNUSparseFile.0/x"
    return pax(records) + header(name, size=len(data)) + padded(data)


END = bytes(1024)


def gzip_header(
    flags: int, extra: bytes = b"XX\2\0ab", name: bytes = b"name", comment: bytes = b"comment"
) -> bytes:
    """The header of a gzip member with the fields that the flags ask for."""
    header = b"\x1f\x8b\x08" + bytes([flags]) + bytes(5) + b"\xff"
    if flags & 4:
        header += struct.pack("<H", len(extra)) + extra
    if flags & 8:
        header += name + b"\0"
    if flags & 16:
        header += comment + b"\0"
    if flags & 2:
        header += struct.pack("<H", zlib.crc32(header) & 0xFFFF)
    return header
