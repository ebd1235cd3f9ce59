"""From the bytes of a blob to the bytes of a tar: hash what is read, decide by the first bytes,
inflate.

One loop serves all decoders (`decoders.py`): many gzip members, many zstd frames, skippable frames,
padding, and what follows the last one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Generator, Iterator
from typing import Any, BinaryIO

from ..limits import Limits
from ..records import NOTES
from . import decoders
from .fault import LayerFault
from .members import is_header

HEADER = 512
"""Bytes of a blob that tell what it is: the header of a tar is the longest."""

READ = 64 << 10
CHUNK = 256 << 10
"""Bytes read of a blob, and produced of a tar, at a time."""


class Blob:
    """The compressed bytes of a layer: counted and hashed as they are read.

    :param size: bytes that belong to the blob (it may stand inside an archive), or -1 for all of
        the stream.
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
            raise LayerFault(
                "open", "io_error", f"reading the blob failed at byte {self.size}: {error}"
            ) from None
        self.size += len(data)
        if self._left >= 0:
            self._left -= len(data)
        self._hash.update(data)
        return data

    def again(self, start: int) -> Generator[bytes, None, None]:
        """Yield once more the bytes that were read from offset `start` on; nothing where the stream
        can't go back."""
        if not self._stream.seekable():
            return
        here = self._stream.tell()
        try:
            at = here - (self.size - start)
            while at < here:
                self._stream.seek(at)
                data = self._stream.read(min(READ, here - at))
                if not data:
                    return
                at += len(data)
                yield data
        except OSError:
            return
        finally:
            self._stream.seek(here)

    def drain(self) -> None:
        """Read to the end, so that digest and size are those of the whole blob."""
        while self.read(CHUNK):
            pass

    def digest(self) -> bytes:
        return self._hash.digest()


class Decompressed:
    """The uncompressed bytes of a blob as an iterator of chunks; `compression` and `notes` tell
    what was met.

    :ivar tar_ended: set by who walks the tar once its end marker has come: only then may bytes
    follow the last member that begin no other.
    """

    def __init__(self, blob: Blob, limits: Limits) -> None:
        self.blob, self.limits = blob, limits
        self.size = 0
        self.notes = 0
        self.tar_ended = False
        self._head = blob.read()
        while len(self._head) < HEADER and (more := blob.read()):
            self._head += more
        self.compression = decoders.compression_of(self._head)
        self._foreign = ""
        if self.compression == "none" and not is_header(self._head[:HEADER]):
            self._foreign = decoders.foreign_format(self._head)
            if self._foreign:
                self.compression = "unknown"

    def __iter__(self) -> Iterator[bytes]:
        if self._foreign:
            raise _unsupported(self._foreign)
        chunks = self._plain() if self.compression == "none" else self._members()
        for chunk in chunks:
            self.size += len(chunk)
            self._check_limits()
            yield chunk

    def _check_limits(self) -> None:
        limits = self.limits
        if self.size > limits.layer_bytes:
            raise LayerFault(
                "decompress", "limit_size", f"more than {limits.layer_bytes} bytes uncompressed"
            )
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

    def _members(self) -> Iterator[bytes]:
        new_decoder = decoders.decoder_for(self.compression, self.limits.child_bytes)
        data = self._head
        is_first = True
        while data:
            if not is_first:
                self.notes |= NOTES["many_members"]
            if self.compression == "zstd" and decoders.is_skippable(data):
                self.notes |= NOTES["skippable_frames"]
            rest, produced = yield from self._member(new_decoder(), data)
            is_first = is_first and not produced
            data = self._next_member(rest, is_first)

    def _member(self, decoder: Any, first: bytes) -> Generator[bytes, None, tuple[bytes, int]]:
        """Yield the bytes of the member that begins with `first`; return what follows it, and their
        number."""
        start = self.blob.size - len(first)
        produced = 0
        data = self._after_gzip_header(first) if self.compression == "gzip" else first
        while True:
            try:
                chunk = bytes(decoder.decompress(data, CHUNK))
            except MemoryError:
                raise
            except Exception as error:  # each library raises its own class
                del decoder
                fault = self._fault_of(error)
                yield from self._rescued(start, produced)
                raise fault from None
            if chunk:
                produced += len(chunk)
                yield chunk
            if decoder.eof:
                return decoder.unused_data, produced
            data = self.blob.read() if decoder.needs_input else b""
            # A decoder without more input may still hold what it has decoded.
            if decoder.needs_input and not data and not chunk:
                raise self._cut()

    def _rescued(self, start: int, skipped: int) -> Iterator[bytes]:
        """Decode a member once more, and yield what stands between its first `skipped` bytes and
        its fault.

        A decoder that meets a fault keeps to itself what it decoded in the same call, so the bytes
        there are asked for one at a time.
        """
        decoder = decoders.patient_decoder_for(self.compression, self.limits.child_bytes)()
        rescued: list[bytes] = []
        pieces = self.blob.again(start)
        try:
            first = next(pieces, b"")
            is_gzip = self.compression == "gzip"
            data = (
                decoders.after_gzip_header(first, lambda: next(pieces, b"")) if is_gzip else first
            )
            while not decoder.eof and len(rescued) <= CHUNK:
                chunk = decoder.decompress(data, min(skipped, CHUNK) or 1)
                if skipped:
                    skipped -= len(chunk)
                else:
                    rescued.append(chunk)
                data = b""
                if decoder.needs_input and not chunk and not (data := next(pieces, b"")):
                    break
        except Exception:  # the fault, or no memory for a second decoder
            pass
        finally:
            pieces.close()
        if rescued:
            yield b"".join(rescued)

    def _after_gzip_header(self, data: bytes) -> bytes | memoryview:
        try:
            return decoders.after_gzip_header(data, self.blob.read)
        except EOFError:
            raise self._cut() from None
        except ValueError as error:
            raise self._fault_of(error) from None

    def _fault_of(self, error: Exception) -> LayerFault:
        is_memory = "memory" in str(error).lower()
        return LayerFault(
            "decompress",
            "limit_memory" if is_memory else "bad_compression",
            f"{self.compression}: {error}",
        )

    def _cut(self) -> LayerFault:
        return LayerFault(
            "decompress", "truncated", f"the {self.compression} stream ends in the middle"
        )

    def _next_member(self, rest: bytes, is_first: bool) -> bytes:
        """Return the bytes that begin the next member, or b"" where the blob ends.

        :param is_first: whether no member has given any bytes yet.
        :raises LayerFault: something else follows, and it is no trailing data.
        """
        if self.compression == "xz":
            rest = self._skip_padding(rest)
        while len(rest) < decoders.HEAD and (more := self.blob.read()):
            rest += more
        if not rest or decoders.compression_of(rest) == self.compression:
            return rest
        if self.tar_ended and self.compression not in decoders.STRICT:
            self.notes |= NOTES["trailing_data"]
            self.blob.drain()
            return b""
        if is_first and (name := decoders.foreign_format(rest)):
            raise _unsupported(name)
        if decoders.may_begin(self.compression, rest):
            raise self._cut()
        raise LayerFault(
            "decompress",
            "bad_compression",
            f"{self.compression}: what follows the member that ends at {self.blob.size - len(rest)} begins no other",
        )

    def _skip_padding(self, rest: bytes) -> bytes:
        """Pass over the zeros between two streams of xz, whose number must be a multiple of
        four."""
        padding = 0
        while rest or (rest := self.blob.read()):
            stripped = rest.lstrip(b"\0")
            padding += len(rest) - len(stripped)
            rest = stripped
            if rest:
                break
        if padding % 4:
            raise LayerFault(
                "decompress", "bad_compression", f"xz: padding of {padding} bytes, no multiple of 4"
            )
        return rest


def _unsupported(name: str) -> LayerFault:
    return LayerFault(
        "decompress",
        "unsupported",
        f"{name} is no format of layers: they are tars, plain or in gzip, zstd, bzip2 or xz",
    )
