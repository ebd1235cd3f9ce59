"""From the bytes of a blob to the bytes of a tar: hash what is read, decide by the first bytes, inflate.

Every decoder has the interface of `bz2.BZ2Decompressor` (`decompress(data, max_length)`, `eof`,
`needs_input`, `unused_data`), so one loop serves them all: many gzip members, many zstd frames,
skippable frames, and what stands behind the last one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from typing import Any, BinaryIO

from ..limits import Limits
from ..records import NOTES
from .fault import LayerFault

READ = 64 << 10
CHUNK = 256 << 10
"""Bytes read of a blob, and produced of a tar, at a time."""


class Blob:
    """The compressed bytes of a layer: counted and hashed as they are read.

    :param size: bytes that belong to the blob (it may stand inside an archive), or -1 for all of the stream.
    """

    def __init__(self, stream: BinaryIO, size: int = -1) -> None:
        self._stream, self._left = stream, size
        self._hash = hashlib.sha256()
        self.size = 0

    def read(self, size: int = READ) -> bytes:
        """Return the next bytes, b"" at the end; a fault of the device is a `LayerFault`."""
        if self._left >= 0:
            size = min(size, self._left)
        try:
            data = self._stream.read(size) if size else b""
        except OSError as error:
            raise LayerFault("open", "io_error", f"reading the blob failed at byte {self.size}: {error}") from None
        self.size += len(data)
        if self._left >= 0:
            self._left -= len(data)
        self._hash.update(data)
        return data

    def drain(self) -> None:
        """Read to the end, so that digest and size are those of the whole blob."""
        while self.read(CHUNK):
            pass

    def digest(self) -> bytes:
        return self._hash.digest()


def _gzip() -> Any:
    from isal import igzip_lib

    return igzip_lib.IgzipDecompressor(flag=igzip_lib.DECOMP_GZIP)


def zstd_module() -> Any:
    """Return the standard library's module, or what carries it to earlier versions of Python."""
    try:
        from compression import zstd  # type: ignore[import-not-found,unused-ignore]  # Python 3.14
    except ImportError:
        from backports import zstd
    return zstd


def _zstd() -> Any:
    return zstd_module().ZstdDecompressor()


def _bzip2() -> Any:
    import bz2

    return bz2.BZ2Decompressor()


def _xz() -> Any:
    import lzma

    return lzma.LZMADecompressor(format=lzma.FORMAT_XZ, memlimit=512 << 20)


def compression_of(head: bytes) -> str:
    """Say how a blob that begins with these bytes (10 suffice) is compressed, a word of `records.COMPRESSIONS`.

    >>> compression_of(b"\\x1f\\x8b\\x08"), compression_of(b"usr/bin/env")
    ('gzip', 'none')
    """
    if head[:3] == b"\x1f\x8b\x08":
        return "gzip"
    if head[:4] == b"\x28\xb5\x2f\xfd" or _is_skippable(head):
        return "zstd"
    if head[:3] == b"BZh" and head[4:10] in (b"\x31\x41\x59\x26\x53\x59", b"\x17\x72\x45\x38\x50\x90"):
        return "bzip2"
    if head[:6] == b"\xfd7zXZ\x00":
        return "xz"
    return "none"


def _is_skippable(head: bytes) -> bool:
    return head[1:4] == b"\x2a\x4d\x18" and 0x50 <= head[0] <= 0x5F


_DECODERS: dict[str, Callable[[], Any]] = {"gzip": _gzip, "zstd": _zstd, "bzip2": _bzip2, "xz": _xz}


class Decompressed:
    """The uncompressed bytes of a blob as an iterator of chunks; `compression` and `notes` tell what was met."""

    def __init__(self, blob: Blob, limits: Limits) -> None:
        self.blob, self.limits = blob, limits
        self.size = 0
        self.notes = 0
        self._head = blob.read()
        while len(self._head) < 10 and (more := blob.read()):
            self._head += more
        self.compression = compression_of(self._head)

    def __iter__(self) -> Iterator[bytes]:
        chunks = self._plain() if self.compression == "none" else self._members(_DECODERS[self.compression])
        for chunk in chunks:
            self.size += len(chunk)
            self._check_limits()
            yield chunk

    def _check_limits(self) -> None:
        limits = self.limits
        if self.size > limits.layer_bytes:
            raise LayerFault("decompress", "limit_size", f"more than {limits.layer_bytes} bytes uncompressed")
        if self.size > limits.ratio_grace and self.size > limits.ratio * self.blob.size:
            raise LayerFault(
                "decompress",
                "limit_ratio",
                f"{self.blob.size} bytes became {self.size}, more than {limits.ratio} times as many",
            )

    def _plain(self) -> Iterator[bytes]:
        if self._head:
            yield self._head
        while chunk := self.blob.read(CHUNK):
            yield chunk

    def _members(self, new_decoder: Callable[[], Any]) -> Iterator[bytes]:
        decoder, data, produced = new_decoder(), self._head, 0
        self._note_skippable(data)
        while True:
            chunk = self._decode(decoder, data)
            if chunk:
                produced += len(chunk)
                yield chunk
            if decoder.eof:
                data = self._next_member(decoder.unused_data)
                if not data:
                    return
                if produced:
                    self.notes |= NOTES["many_members"]
                decoder = new_decoder()
            elif decoder.needs_input:
                data = self.blob.read()
                if not data:
                    raise LayerFault("decompress", "truncated", f"the {self.compression} stream ends in the middle")
            else:
                data = b""

    def _decode(self, decoder: Any, data: bytes) -> bytes:
        try:
            return bytes(decoder.decompress(data, CHUNK))
        except MemoryError:
            raise
        except Exception as error:  # each library raises its own class
            cause = "limit_memory" if "memory" in str(error).lower() else "bad_compression"
            raise LayerFault("decompress", cause, f"{self.compression}: {error}") from None

    def _next_member(self, rest: bytes) -> bytes:
        """Return the bytes that begin the next member, or b"" at the end; anything else is read, hashed and noted."""
        while len(rest) < 10 and (more := self.blob.read()):
            rest += more
        if rest and compression_of(rest) != self.compression:
            self.notes |= NOTES["trailing_data"]
            self.blob.drain()
            return b""
        self._note_skippable(rest)
        return rest

    def _note_skippable(self, head: bytes) -> None:
        if self.compression == "zstd" and _is_skippable(head):
            self.notes |= NOTES["skippable_frames"]
