"""Decompress a blob: hash what is read, and decide by the first bytes how it is compressed.

One loop serves all decoders (`decoders.py`), and a blob may have several members:

    | gzip member | gzip member | trailing data         after the tar's end marker alone
    | zstd frame | skippable frame | zstd frame |
    | xz stream | padding | xz stream |

A member is whatever its compression calls it: a frame of zstd, a stream of xz or bzip2.
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
"""First bytes of a blob that say what it is: the longest are a header of a tar."""

READ = 64 << 10
"""Bytes that are read of a blob at a time."""

CHUNK = 256 << 10
"""Bytes of a tar that are produced at a time."""


class Blob:
    """The compressed bytes of a layer: counted and hashed as they are read.

    :param size: bytes of the stream that belong to the blob, which may be inside an archive; -1 for
        all.
    :ivar size: bytes that were read so far.
    """

    def __init__(self, stream: BinaryIO, size: int = -1) -> None:
        self._stream = stream
        self._left = size
        self._hash = hashlib.sha256()
        self.size = 0

    def read(self, size: int = READ) -> bytes:
        """Return the next bytes, b"" at the end.

        :raises LayerFault: the device has an error.
        """
        if self._left >= 0:
            size = min(size, self._left)
        try:
            data = self._stream.read(size) if size else b""
        except OSError as error:
            message = f"reading the blob failed at byte {self.size}: {error}"
            raise LayerFault("open", "io_error", message) from None
        self.size += len(data)
        if self._left >= 0:
            self._left -= len(data)
        self._hash.update(data)
        return data

    def again(self, start: int) -> Generator[bytes, None, None]:
        """Yield again the bytes that were read from offset `start` on, if the stream can seek."""
        if not self._stream.seekable():
            return

        # Go back, read up to here, and leave the stream where it was.
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
        """Read to the end, so that digest and size are those of the whole blob.

        :raises LayerFault: the device has an error.
        """
        while self.read(CHUNK):
            pass

    def digest(self) -> bytes:
        """Return the SHA-256 of the bytes that were read."""
        return self._hash.digest()


class Decompressed:
    """The uncompressed bytes of a blob, as an iterator of chunks.

    :ivar compression: a member of `records.COMPRESSIONS`.
    :ivar notes: bits of `records.NOTES` for what the blob has.
    :ivar tar_ended: set by the reader of the tar after the end marker; only then may bytes that
        begin no member follow the last one.
    :raises LayerFault: reading the first bytes fails.
    """

    def __init__(self, blob: Blob, limits: Limits) -> None:
        self.blob = blob
        self.limits = limits
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
        """Raise `LayerFault` if there is too much output, or too much for the input."""
        limits = self.limits
        size = self.size
        if size > limits.layer_bytes:
            message = f"more than {limits.layer_bytes} bytes uncompressed"
            raise LayerFault("decompress", "limit_size", message)
        read = self.blob.size
        if size > limits.ratio_grace and size > limits.ratio * read:
            message = f"{read} bytes became {size}, more than {limits.ratio} times as many"
            raise LayerFault("decompress", "limit_ratio", message)

    def _plain(self) -> Iterator[bytes]:
        """Yield the bytes of a blob that is not compressed."""
        if self._head:
            yield self._head
        while chunk := self.blob.read(CHUNK):
            yield chunk

    def _members(self) -> Iterator[bytes]:
        """Yield the bytes of all members."""
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
        """Yield the bytes of one member; return the input behind it, and how many they were.

        :param first: the first bytes of the member.
        :raises LayerFault: it is broken or cut.
        """
        start = self.blob.size - len(first)
        produced = 0
        data = self._after_gzip_header(first) if self.compression == "gzip" else first
        while True:
            try:
                chunk = bytes(decoder.decompress(data, CHUNK))
            except MemoryError:
                raise
            except Exception as error:  # each library raises its own class
                # Free the memory of this decoder for the one that looks for the fault
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
            # A decoder without more input may still have output
            if decoder.needs_input and not data and not chunk:
                raise self._cut()

    def _rescued(self, start: int, skipped: int) -> Iterator[bytes]:
        """Decode a member again, and yield the output between its first bytes and its fault.

        A decoder that meets a fault drops what it decoded in the same call, so these bytes are
        asked for one at a time. Of gzip, the last byte before the fault may still be lost.

        :param start: offset of the member in the blob.
        :param skipped: bytes of output that were yielded before.
        """
        decoder = decoders.patient_decoder_for(self.compression, self.limits.child_bytes)()
        rescued: list[bytes] = []
        pieces = self.blob.again(start)
        try:
            first = next(pieces, b"")
            data: bytes | memoryview = first
            if self.compression == "gzip":
                data = decoders.after_gzip_header(first, lambda: next(pieces, b""))
            while not decoder.eof and len(rescued) <= CHUNK:
                chunk = decoder.decompress(data, min(skipped, CHUNK) or 1)
                if skipped:
                    skipped -= len(chunk)
                else:
                    rescued.append(chunk)
                data = b""
                if decoder.needs_input and not chunk and not (data := next(pieces, b"")):
                    break
        except Exception:  # the fault itself, or no memory for a second decoder
            pass
        finally:
            pieces.close()
        if rescued:
            yield b"".join(rescued)

    def _after_gzip_header(self, data: bytes) -> bytes | memoryview:
        """Skip the header of a gzip member; return the rest of the piece in which it ends."""
        try:
            return decoders.after_gzip_header(data, self.blob.read)
        except EOFError:
            raise self._cut() from None
        except ValueError as error:
            raise self._fault_of(error) from None

    def _fault_of(self, error: Exception) -> LayerFault:
        """Return the fault that an error of a decoder is for the layer."""
        cause = "limit_memory" if "memory" in str(error).lower() else "bad_compression"
        return LayerFault("decompress", cause, f"{self.compression}: {error}")

    def _cut(self) -> LayerFault:
        """Return the fault of a blob that ends within a member."""
        message = f"the {self.compression} stream ends in the middle"
        return LayerFault("decompress", "truncated", message)

    def _next_member(self, rest: bytes, is_first: bool) -> bytes:
        """Return the first bytes of the next member, or b"" where the blob ends.

        :param rest: the input behind the last member.
        :param is_first: whether no member has had any output yet.
        :raises LayerFault: something else follows, and it is not trailing data.
        """
        if self.compression == "xz":
            rest = self._skip_padding(rest)

        # Read as much as tells the compression.
        while len(rest) < decoders.HEAD and (more := self.blob.read()):
            rest += more
        if not rest or decoders.compression_of(rest) == self.compression:
            return rest

        # Behind the end of the tar, anything may follow gzip members.
        if self.tar_ended and self.compression not in decoders.STRICT:
            self.notes |= NOTES["trailing_data"]
            self.blob.drain()
            return b""

        # Within the tar it is a fault: tell which.
        if is_first and (name := decoders.foreign_format(rest)):
            raise _unsupported(name)
        if decoders.may_begin(self.compression, rest):
            raise self._cut()
        end = self.blob.size - len(rest)
        message = f"{self.compression}: what follows the member that ends at {end} begins no other"
        raise LayerFault("decompress", "bad_compression", message)

    def _skip_padding(self, rest: bytes) -> bytes:
        """Skip the zeros between two streams of xz; their number must be a multiple of four."""
        padding = 0
        while rest or (rest := self.blob.read()):
            stripped = rest.lstrip(b"\0")
            padding += len(rest) - len(stripped)
            rest = stripped
            if rest:
                break
        if padding % 4:
            message = f"xz: padding of {padding} bytes, no multiple of 4"
            raise LayerFault("decompress", "bad_compression", message)
        return rest


def _unsupported(name: str) -> LayerFault:
    """Return the fault of a blob in a format that no layer may have."""
    message = f"{name} is no format of layers: they are tars, plain or in gzip, zstd, bzip2 or xz"
    return LayerFault("decompress", "unsupported", message)
