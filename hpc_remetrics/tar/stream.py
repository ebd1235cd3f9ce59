"""The uncompressed tar as a stream of bytes: hashed as it comes, read by small pieces or
skipped."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator

from .fault import LayerFault


class TarStream:
    """Bytes from an iterable of chunks; `buffer[position:]` is what has come and is not yet taken.

    `position` and `buffer` are open to the hot loop of `layer.py`, which reads small files straight
    from them.
    """

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._chunks = iter(chunks)
        self._hash = hashlib.sha256()
        self.buffer = b""
        self.position = 0
        self.size = 0
        """Bytes that have come so far."""

    def tell(self) -> int:
        """Return the offset of the next byte."""
        return self.size - len(self.buffer) + self.position

    def digest(self) -> bytes:
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
        # One chunk alone, as for most of a large file, is not copied.
        self.buffer, self.position = parts[0] if len(parts) == 1 else b"".join(parts), 0
        return have

    def take(self, size: int) -> bytes:
        """Return the next bytes, fewer than `size` only at the end."""
        position = self.position
        if position + size > len(self.buffer):
            size = min(size, self.fill(size))
            position = self.position
        self.position = position + size
        return self.buffer[position : position + size]

    def pieces(self, size: int) -> Iterator[bytes]:
        """Yield exactly the next `size` bytes in pieces; a `LayerFault` where the stream ends
        before."""
        while size:
            if self.position == len(self.buffer) and not self.fill(1):
                raise LayerFault(
                    "tar", "truncated", f"the archive ends {size} bytes before the end of an entry"
                )
            piece = self.buffer[self.position : self.position + size]
            self.position += len(piece)
            size -= len(piece)
            yield piece

    def skip(self, size: int) -> None:
        """Pass over exactly `size` bytes."""
        position = self.position + size
        if position <= len(self.buffer):
            self.position = position
            return
        for _ in self.pieces(size):
            pass

    def drain(self) -> bool:
        """Read to the end, so that the digest is that of the whole; return whether any byte was not
        zero."""
        odd = False
        while self.fill(1):
            odd = odd or self.buffer.count(0, self.position) != len(self.buffer) - self.position
            self.position = len(self.buffer)
        return odd
