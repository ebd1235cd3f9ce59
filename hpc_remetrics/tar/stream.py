"""The bytes of an uncompressed tar: hashed as they come, taken in any pieces or skipped."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator

from .fault import LayerFault


class TarStream:
    """The bytes of an iterable of chunks, with a buffer of those that have come.

        chunks that have come, and were hashed        chunks to come
        ......|######################|                ..............
              0        position      len(buffer)
              buffer:  taken | next

    `start`, `position` and `buffer` are public for the hot loops of `profile/layer.py` and
    `members.py`, which read small files straight from them.

    :ivar size: bytes that have come so far.
    :ivar start: offset of the first byte of the buffer.
    """

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._chunks = iter(chunks)
        self._hash = hashlib.sha256()
        self.buffer = b""
        self.position = 0
        self.start = 0
        self.size = 0

    def tell(self) -> int:
        """Return the offset of the next byte."""
        return self.start + self.position

    def digest(self) -> bytes:
        """Return the SHA-256 of the bytes that have come so far."""
        return self._hash.digest()

    def fill(self, size: int) -> int:
        """Try to have `size` bytes in the buffer; return how many there are."""
        have = len(self.buffer) - self.position
        if have >= size:
            return have
        parts = [self.buffer[self.position :]] if have else []
        while have < size:
            chunk = next(self._chunks, b"")
            if not chunk:
                break
            self._hash.update(chunk)
            self.size += len(chunk)
            have += len(chunk)
            parts.append(chunk)
        # A single chunk, as for most of a large file, is not copied
        self.buffer = parts[0] if len(parts) == 1 else b"".join(parts)
        self.start = self.size - len(self.buffer)
        self.position = 0
        return have

    def take(self, size: int) -> bytes:
        """Return the next `size` bytes, or fewer at the end of the stream."""
        position = self.position
        if position + size > len(self.buffer):
            size = min(size, self.fill(size))
            position = self.position
        self.position = position + size
        return self.buffer[position : position + size]

    def pieces(self, size: int) -> Iterator[bytes]:
        """Yield exactly the next `size` bytes in pieces.

        :raises LayerFault: the stream ends before.
        """
        while size:
            if self.position == len(self.buffer) and not self.fill(1):
                message = f"the archive ends {size} bytes before the end of an entry"
                raise LayerFault("tar", "truncated", message)
            piece = self.buffer[self.position : self.position + size]
            self.position += len(piece)
            size -= len(piece)
            yield piece

    def skip(self, size: int) -> None:
        """Pass over exactly `size` bytes.

        :raises LayerFault: the stream ends before.
        """
        position = self.position + size
        if position <= len(self.buffer):
            self.position = position
            return
        for _ in self.pieces(size):
            pass

    def drain(self) -> bool:
        """Read to the end, for the digest of the whole; return whether any byte was not zero."""
        is_trailing = False
        while self.fill(1):
            rest = len(self.buffer) - self.position
            if self.buffer.count(0, self.position) != rest:
                is_trailing = True
            self.position = len(self.buffer)
        return is_trailing
