"""Hold as much of a content as its type needs, while its bytes pass by.

libmagic reads the first bytes of a file, as many of the last ones, and two kinds of files anywhere:
executables (ELF) and compound documents. A small content is held whole. Of a large one both ends
are held; only where libmagic would read in the hole between them, all of it is written to scratch.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections import deque
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import BinaryIO

from .libmagic import ContentBytes, ContentEnds, Libmagic

HEAD_BYTES = 7 << 20
"""Bytes of a content's beginning that are held: what `file` 5.44 reads. Of a large content as many
bytes of its end are held too."""

WHOLE_BYTES = 1 << 30
"""Bytes of the largest content that is written to scratch for libmagic."""


class ContentKeeper:
    """Holds what libmagic needs of one content whose bytes come in pieces.

    :param size: bytes of the whole content.
    :param directory: scratch, for a content of which libmagic may read any part; None: both ends
        have to do.
    """

    def __init__(self, size: int, directory: Path | None) -> None:
        self._size = size
        self._directory = directory
        self._head_left = HEAD_BYTES  # bytes of the head that are still to come
        self._head_pieces: list[bytes] = []
        self._head = b""  # set once the head is full and more bytes come
        self._tail: deque[bytes] = deque()
        self._tail_bytes = 0
        self._whole: BinaryIO | None = None

    def add(self, piece: bytes) -> None:
        """Take the next bytes."""
        if self._head_left > 0:
            self._head_pieces.append(piece[: self._head_left])
            self._head_left -= len(piece)
            if self._head_left >= 0:
                return
            # The head is full, and the piece reaches beyond it.
            piece = piece[self._head_left :]
        if not self._head:
            self._begin_tail()
        self._spool(piece)
        self._tail.append(piece)
        self._tail_bytes += len(piece)
        # Drop the oldest pieces that the last HEAD_BYTES don't need.
        while self._tail_bytes - len(self._tail[0]) >= HEAD_BYTES:
            self._tail_bytes -= len(self._tail.popleft())

    def content(self) -> ContentBytes:
        """Return what is held, once all bytes have come."""
        if not self._head:
            return b"".join(self._head_pieces)
        if self._whole is not None:
            try:
                self._whole.flush()
            except OSError:
                self._leave_out_whole()
        return ContentEnds(self._head, tuple(self._tail), self._size, self._whole)

    def _begin_tail(self) -> None:
        """Join the head, and open a file for the whole content if libmagic may read in the hole."""
        self._head = b"".join(self._head_pieces)
        self._head_pieces.clear()
        if self._directory is None or self._size > WHOLE_BYTES:
            return
        if not Libmagic.reads_in_hole(self._head, self._size):
            return
        try:
            # Other ranks need scratch too: at most half of what is free is taken.
            free = os.statvfs(self._directory)
            if self._size <= free.f_bavail * free.f_frsize // 2:
                self._whole = tempfile.TemporaryFile(dir=self._directory)  # noqa: SIM115
                self._whole.write(self._head)
        except OSError:
            self._leave_out_whole()

    def _spool(self, piece: bytes) -> None:
        """Write the next bytes to scratch; where there is no room, both ends have to do."""
        try:
            if self._whole is not None:
                self._whole.write(piece)
        except OSError:
            self._leave_out_whole()

    def _leave_out_whole(self) -> None:
        """Close the file on a scratch that is full, and lose what its buffer still has."""
        if self._whole is not None:
            with contextlib.suppress(OSError):
                self._whole.close()
        self._whole = None


def keep(
    pieces: Iterable[bytes], size: int, directory: Path | None, see: Callable[[bytes], object]
) -> ContentBytes:
    """Return what is held of a content, and pass each of its pieces to `see`.

    :param size: bytes of the whole content.
    :param directory: scratch, as for :class:`ContentKeeper`.
    """
    keeper = ContentKeeper(size, directory)
    for piece in pieces:
        see(piece)
        keeper.add(piece)
    return keeper.content()
