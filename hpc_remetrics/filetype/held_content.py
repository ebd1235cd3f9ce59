"""What is held of a content while it passes, so that libmagic can be asked about it as of a whole
file.

`file` reads a file's first bytes, as many of its last ones, and two kinds of files anywhere:
executables (ELF) and compound documents. A small content is held whole. Of a large one, both ends
are held and the middle is a hole; only where libmagic would read in that hole, the content is
written to scratch.
"""

from __future__ import annotations

import os
import tempfile
from collections import deque
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import BinaryIO, NamedTuple

from .libmagic import compound, elf

HEAD_BYTES = 7 << 20
"""Bytes of a content's beginning that are held: what `file` 5.44 reads. Of a large one as many of
its end are, too."""

WHOLE_BYTES = 1 << 30
"""Bytes of the largest content that is written to scratch for libmagic."""

_WRITES = 512
"""Pieces that are written at once (IOV_MAX is 1,024)."""


class Held(NamedTuple):
    """Both ends of a content of more than :data:`HEAD_BYTES`.

    :ivar head: its first bytes.
    :ivar tail: its last bytes in pieces, at least :data:`HEAD_BYTES` or all behind `head`.
    :ivar size: bytes of the whole content.
    :ivar whole: an open file with all of it, where libmagic may read in the middle; None elsewhere.
    """

    head: bytes
    tail: tuple[bytes, ...]
    size: int
    whole: BinaryIO | None = None

    def last(self, size: int) -> bytes:
        """Return the last `size` bytes, at most :data:`HEAD_BYTES` of them."""
        pieces: list[bytes] = []
        for piece in (*reversed(self.tail), self.head):
            if size <= 0:
                break
            pieces.append(piece[-size:])
            size -= len(piece)
        return b"".join(reversed(pieces))

    def read(self, offset: int, size: int) -> bytes | None:
        """Return bytes of the ends; None if one of them is in the hole between, or behind the
        content."""
        if offset + size <= len(self.head):
            return self.head[offset : offset + size]
        behind, of_tail = self.size - offset, sum(map(len, self.tail))
        reach = self.size if len(self.head) + of_tail == self.size else of_tail
        if not size <= behind <= reach:
            return None
        return self.last(behind)[:size]

    def write(self, file: int) -> None:
        """Write both ends into an empty file, each at its place, and leave a hole between them."""
        os.pwrite(file, self.head, 0)
        at = self.size - sum(map(len, self.tail))
        for first in range(0, len(self.tail), _WRITES):
            at += os.pwritev(file, self.tail[first : first + _WRITES], at)
        os.ftruncate(file, self.size)


Data = bytes | Held
"""A content: all of its bytes, or both ends of it."""


class Keeper:
    """Holds what types need of one content whose bytes come in pieces.

    :param size: bytes of the whole content.
    :param directory: scratch, for a content of which libmagic may read any part; None: both ends
        have to do.
    """

    def __init__(self, size: int, directory: Path | None) -> None:
        self._size, self._directory = size, directory
        self._wanted = HEAD_BYTES
        self._pieces: list[bytes] = []
        self._head = b""
        self._tail: deque[bytes] = deque()
        self._tail_bytes = 0
        self._whole: BinaryIO | None = None

    def add(self, piece: bytes) -> None:
        """Take the next bytes."""
        if self._wanted > 0:
            self._pieces.append(piece[: self._wanted])
            self._wanted -= len(piece)
            if self._wanted >= 0:
                return
            # The head is full, and the piece reaches beyond it.
            piece = piece[self._wanted :]
        if not self._head:
            self._begin_tail()
        self._spool(piece)
        self._tail.append(piece)
        self._tail_bytes += len(piece)
        while self._tail_bytes - len(self._tail[0]) >= HEAD_BYTES:
            self._tail_bytes -= len(self._tail.popleft())

    def data(self) -> Data:
        """Return what is held, once all bytes have come."""
        if not self._head:
            return b"".join(self._pieces)
        if self._whole is not None:
            try:
                self._whole.flush()
            except OSError:
                self._whole = None
        return Held(self._head, tuple(self._tail), self._size, self._whole)

    def _begin_tail(self) -> None:
        self._head = b"".join(self._pieces)
        self._pieces.clear()
        if (
            self._directory is None
            or self._size > WHOLE_BYTES
            or not is_read_anywhere(self._head, self._size)
        ):
            return
        try:
            # Other ranks need scratch too: at most half of what is free is taken.
            free = os.statvfs(self._directory)
            if self._size <= free.f_bavail * free.f_frsize // 2:
                self._whole = tempfile.TemporaryFile(dir=self._directory)  # noqa: SIM115
                self._whole.write(self._head)
        except OSError:
            self._whole = None

    def _spool(self, piece: bytes) -> None:
        """Write the next bytes to scratch; where there is no room, both ends have to do."""
        try:
            if self._whole is not None:
                self._whole.write(piece)
        except OSError:
            self._whole = None


def is_read_anywhere(head: bytes, size: int) -> bool:
    """Tell whether libmagic may read between the ends of a content."""
    return size > 2 * HEAD_BYTES and (
        compound.begins(head) or elf.names_other_places(head, size, HEAD_BYTES)
    )


def keep(
    pieces: Iterable[bytes], size: int, directory: Path | None, see: Callable[[bytes], object]
) -> Data:
    """Return what is held of a content, and show each piece of it to `see`."""
    keeper = Keeper(size, directory)
    for piece in pieces:
        see(piece)
        keeper.add(piece)
    return keeper.data()
