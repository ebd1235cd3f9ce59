"""The content of a file as libmagic is shown it: all of its bytes, or the first and the last ones.

`file` reads the first 7 MiB of a file and the last 7 MiB. Of a larger file, both ends are held, and
the middle is left out::

    |------ head ------|........ hole ........|------ tail ------|
    0              7 MiB                 size - 7 MiB          size
"""

from __future__ import annotations

import os
from typing import BinaryIO, NamedTuple

_PIECES_PER_WRITE = 512
"""Pieces that one call of `pwritev` writes (IOV_MAX is 1,024)."""


class ContentEnds(NamedTuple):
    """The first and the last bytes of a content.

    :ivar head: first bytes of the content.
    :ivar tail: last bytes of the content in pieces; together with `head` they may be all of it, and
        they never overlap.
    :ivar size: bytes of the whole content.
    :ivar whole: an open file with all bytes, where libmagic may read in the hole; None elsewhere.
    """

    head: bytes
    tail: tuple[bytes, ...]
    size: int
    whole: BinaryIO | None = None

    def last(self, size: int) -> bytes:
        """Return the last `size` bytes, or fewer where the ends don't reach that far."""
        pieces: list[bytes] = []
        for piece in (*reversed(self.tail), self.head):
            if size <= 0:
                break
            pieces.append(piece[-size:])
            size -= len(piece)
        return b"".join(reversed(pieces))

    def read(self, offset: int, size: int) -> bytes | None:
        """Return `size` bytes from `offset` on; None if some are in the hole or past the end."""
        if offset + size <= len(self.head):
            return self.head[offset : offset + size]
        tail_bytes = sum(map(len, self.tail))
        has_hole = len(self.head) + tail_bytes < self.size
        reachable = tail_bytes if has_hole else self.size
        from_end = self.size - offset
        if not size <= from_end <= reachable:
            return None
        return self.last(from_end)[:size]

    def write(self, file: int) -> None:
        """Write both ends to their places in an empty file, with a hole between them."""
        os.pwrite(file, self.head, 0)
        at = self.size - sum(map(len, self.tail))
        for first in range(0, len(self.tail), _PIECES_PER_WRITE):
            at += os.pwritev(file, self.tail[first : first + _PIECES_PER_WRITE], at)
        os.ftruncate(file, self.size)


ContentBytes = bytes | ContentEnds
"""A content: all of its bytes, or both ends of it."""


def head_of_content(content: ContentBytes, size: int) -> bytes:
    """Return the first `size` bytes of a content."""
    head = content if isinstance(content, bytes) else content.head
    return head if len(head) <= size else head[:size]


def size_of_content(content: ContentBytes) -> int:
    """Return the bytes of the whole content."""
    return len(content) if isinstance(content, bytes) else content.size


def read_content(content: ContentBytes, offset: int, size: int) -> bytes | None:
    """Return `size` bytes from `offset` on; None if some are not held or past the end."""
    if isinstance(content, bytes):
        return content[offset : offset + size] if offset + size <= len(content) else None
    return content.read(offset, size)
