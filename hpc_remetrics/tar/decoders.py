"""The compressions of layers: how to recognise them, and a decoder for each.

Every decoder has the interface of `bz2.BZ2Decompressor` (`decompress(data, max_length)`, `eof`,
`needs_input`, `unused_data`), and decodes one member: a frame of zstd, a stream of xz or bzip2, or
what follows the header of a gzip member (`after_gzip_header`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from zlib import crc32

HEAD = 10
"""First bytes of a member that say how it is compressed."""

_GZIP = b"\x1f\x8b\x08"
_ZSTD = b"\x28\xb5\x2f\xfd"
_XZ = b"\xfd7zXZ\x00"
_BZIP2 = b"BZh"
_BZIP2_BLOCKS = (b"\x31\x41\x59\x26\x53\x59", b"\x17\x72\x45\x38\x50\x90")
_SKIPPABLE = b"\x2a\x4d\x18"

_MAGIC = {"gzip": _GZIP, "zstd": _ZSTD, "xz": _XZ, "bzip2": _BZIP2}

STRICT = frozenset(("zstd", "xz"))
"""Compressions whose own programs fail where something follows the last member."""

_FOREIGN = {
    b"\x04\x22\x4d\x18": "lz4",
    b"\x02\x21\x4c\x18": "lz4 (legacy)",
    b"\x89LZO\x00\r\n\x1a\n": "lzop",
    b"\x1f\x9d": "compress",
    b"\x1f\x1e": "pack",
    b"\x1f\xa0": "compress (LZH)",
    b"LZIP": "lzip",
    b"LRZI": "lrzip",
    b"7z\xbc\xaf\x27\x1c": "7z",
    b"PK\x03\x04": "zip",
    b"PK\x05\x06": "zip",
    b"Rar!\x1a\x07": "rar",
    b"MSCF\x00\x00\x00\x00": "cab",
    b"\xff\x06\x00\x00sNaPpY": "snappy",
    b"BZ0": "bzip",
    b"xar!": "xar",
    b"hsqs": "squashfs",
    b"!<arch>\n": "ar",
    b"070701": "cpio",
    b"070702": "cpio",
    b"070707": "cpio",
    b"\xc7\x71": "cpio",
    b"\x71\xc7": "cpio",
    **{bytes([version]) + b"\xb5\x2f\xfd": "zstd (before 0.8)" for version in range(0x22, 0x28)},
}
"""First bytes of formats that no layer may have -> name of the format."""

_ZSTD_WINDOW_LOG = 29
"""Binary logarithm of the largest window of a zstd frame, in bytes, as in containerd and podman."""


def compression_of(head: bytes) -> str:
    """Return how a blob is compressed, a member of `records.COMPRESSIONS`.

    :param head: its first bytes; `HEAD` are enough.

    >>> compression_of(b"\\x1f\\x8b\\x08"), compression_of(b"usr/bin/env")
    ('gzip', 'none')
    """
    if head[:3] == _GZIP:
        return "gzip"
    if head[:4] == _ZSTD or is_skippable(head):
        return "zstd"
    if head[:3] == _BZIP2 and head[4:10] in _BZIP2_BLOCKS:
        return "bzip2"
    if head[:6] == _XZ:
        return "xz"
    return "none"


def is_skippable(head: bytes) -> bool:
    """Say whether these bytes begin a skippable frame of zstd."""
    return head[1:4] == _SKIPPABLE and 0x50 <= head[0] <= 0x5F


def may_begin(compression: str, head: bytes) -> bool:
    """Say whether these few bytes may be the first ones of a member that was cut.

    >>> may_begin("gzip", b"\\x1f"), may_begin("gzip", b"\\x1f\\x8c")
    (True, False)
    """
    if compression == "zstd" and head[:1] and 0x50 <= head[0] <= 0x5F:
        return _SKIPPABLE.startswith(head[1:])
    return _MAGIC[compression].startswith(head)


def foreign_format(head: bytes) -> str:
    """Return the name of a known format that no layer may have, "" if the bytes begin none.

    :param head: first bytes; 18 are enough.

    >>> foreign_format(b"LZIP\\x01"), foreign_format(b"usr/bin/env")
    ('lzip', '')
    """
    for magic, name in _FOREIGN.items():
        if head.startswith(magic):
            return name
    return "lzma" if _is_lzma(head) else ""


def _is_lzma(head: bytes) -> bool:
    """Recognise a .lzma file as `xz --format=lzma` does: its fields have few sensible values."""
    if len(head) < 13 or head[0] >= 9 * 5 * 5:
        return False
    dictionary = int.from_bytes(head[1:5], "little")
    size = int.from_bytes(head[5:13], "little")
    # A dictionary of 2^n or 2^n + 2^(n-1) bytes, or the largest one
    bits = bin(dictionary).rstrip("0")[2:]
    is_usual = bits in ("1", "11") or dictionary == 0xFFFF_FFFF
    return is_usual and (size < 1 << 38 or size == (1 << 64) - 1)


def decoder_for(compression: str, memory: int) -> Callable[[], Any]:
    """Return a function that makes a decoder for one member.

    :param memory: bytes that a decoder may take; only xz has such a limit.
    """
    if compression == "gzip":
        from isal import igzip_lib

        flag = igzip_lib.DECOMP_GZIP_NO_HDR_VER
        return lambda: igzip_lib.IgzipDecompressor(flag=flag)
    if compression == "zstd":
        zstd = zstd_module()
        options = {zstd.DecompressionParameter.window_log_max: _ZSTD_WINDOW_LOG}
        return lambda: zstd.ZstdDecompressor(options=options)
    if compression == "bzip2":
        import bz2

        return bz2.BZ2Decompressor
    import lzma

    return lambda: lzma.LZMADecompressor(format=lzma.FORMAT_XZ, memlimit=memory)


def patient_decoder_for(compression: str, memory: int) -> Callable[[], Any]:
    """Return the same for decoders that, asked for single bytes, return all before a fault."""
    if compression == "gzip":
        # ISA-L decodes ahead of what it returns, and drops that when it meets a fault
        return _Inflate
    return decoder_for(compression, memory)


def zstd_module() -> Any:
    """Return the module `compression.zstd` of Python 3.14, or its backport."""
    try:
        from compression import zstd  # type: ignore[import-not-found,unused-ignore]  # Python 3.14
    except ImportError:
        from backports import zstd
    return zstd


def after_gzip_header(data: bytes, more: Callable[[], bytes]) -> bytes | memoryview:
    """Skip the header of a gzip member; return the rest of the piece in which the header ends.

        | magic, flags, time … | extra field | name \\0 | comment \\0 | checksum | deflated bytes …
         10 bytes                flags & 4     & 8       & 16         & 2

    ISA-L computes a wrong checksum where a header comes in several pieces, so it doesn't read it.

    :param data: the first bytes of the member, which begin with the magic number.
    :param more: returns the next piece of the blob, b"" at the end.
    :raises EOFError: the blob ends within the header.
    :raises ValueError: the checksum of the header (RFC 1952, FHCRC) is wrong.
    """
    data = _at_least(10, data, more)
    flags = data[3]
    if not flags:
        return memoryview(data)[10:]
    checksum = crc32(data[:10])
    data = data[10:]

    # Skip the extra field, which has its length in two bytes before it
    if flags & 4:
        data = _at_least(2, data, more)
        size = 2 + int.from_bytes(data[:2], "little")
        data = _at_least(size, data, more)
        checksum = crc32(data[:size], checksum)
        data = data[size:]

    # Skip the name and the comment, which end with a NUL and may be of any length
    for _ in range(bool(flags & 8) + bool(flags & 16)):
        while (end := data.find(b"\0")) < 0:
            checksum = crc32(data, checksum)
            data = _at_least(1, b"", more)
        checksum = crc32(data[: end + 1], checksum)
        data = data[end + 1 :]

    # Compare the checksum, of which the header has the lower half
    if flags & 2:
        data = _at_least(2, data, more)
        if int.from_bytes(data[:2], "little") != checksum & 0xFFFF:
            raise ValueError("the checksum of a gzip header is wrong")
        data = data[2:]
    return data


def _at_least(size: int, data: bytes, more: Callable[[], bytes]) -> bytes:
    """Return the data with as many more pieces as it takes to have `size` bytes."""
    while len(data) < size:
        piece = more()
        if not piece:
            raise EOFError
        data += piece
    return data


class _Inflate:
    """Decodes deflated bytes by zlib, without decoding ahead; verifies no trailer."""

    def __init__(self) -> None:
        import zlib

        self._zlib = zlib.decompressobj(-zlib.MAX_WBITS)
        self._held = b""
        """Input that zlib has not seen."""
        self._next = b""
        """Input that zlib has seen and left."""

    def decompress(self, data: bytes | memoryview, max_length: int) -> bytes:
        """Return at most `max_length` bytes; b"" if more input is needed."""
        self._held += data
        # A byte of output needs little input, and zlib copies what it leaves
        if not self._next:
            size = max(max_length, 256)
            self._next, self._held = self._held[:size], self._held[size:]
        output = self._zlib.decompress(self._next, max_length)
        self._next = self._zlib.unconsumed_tail
        return output

    @property
    def eof(self) -> bool:
        """Whether the deflated bytes have ended."""
        return self._zlib.eof

    @property
    def needs_input(self) -> bool:
        """Whether there is no input left."""
        return not self._held and not self._next

    @property
    def unused_data(self) -> bytes:
        """What follows the deflated bytes in the last input."""
        return self._zlib.unused_data
