"""What sources on a file system share: files found by name, and blobs read in place."""

from __future__ import annotations

import io
import os
import stat
from abc import ABC, abstractmethod
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from ..errors import BlobError, SourceError
from ..records import Digest
from .base import Extent, Source

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer


LISTING_BYTES = 256 << 20
"""Limit of the file in which a place lists its images."""


class _Slice(io.RawIOBase):
    """The bytes of one extent, read by position."""

    def __init__(self, extent: Extent, offset: int) -> None:
        self._descriptor = os.open(extent.path, os.O_RDONLY | os.O_CLOEXEC)
        self._position = extent.offset + offset
        self._end = extent.offset + extent.size

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        view = memoryview(buffer).cast("B")[: max(self._end - self._position, 0)]
        count = os.preadv(self._descriptor, [view], self._position)
        self._position += count
        return count

    def close(self) -> None:
        if not self.closed:
            os.close(self._descriptor)
        super().close()


def open_extent(extent: Extent, offset: int = 0) -> BinaryIO:
    """Return a stream of the extent's bytes from `offset` on; `OSError` if the file can't be
    opened."""
    if offset < 0:
        raise ValueError(f"an offset is not negative, got {offset}")
    return io.BufferedReader(_Slice(extent, offset))


class Files(ABC):
    """A read-only tree of files: a folder, or an archive read in place.

    `place` is its path; `name` what unnamed images in it are called after.
    """

    place: Path

    @property
    def name(self) -> str:
        return self.place.name

    @abstractmethod
    def find(self, path: str) -> Extent | None:
        """Return where the file of that relative path lies, None if there is none; `OSError` if it
        can't be seen."""

    def head(self, path: str, count: int) -> bytes:
        """Return at most `count` bytes from the start of a file; `SourceError` if it is missing or
        can't be read."""
        try:
            extent = self.find(path)
            if extent is None:
                raise SourceError(f"{self.place} has no {path}")
            with open_extent(extent) as stream:
                return stream.read(count)
        except OSError as error:
            raise SourceError(
                f"{self.place}: can't read {path}: {error.strerror or error}"
            ) from None

    def read(self, path: str, limit: int) -> bytes:
        """Return a file whole; `SourceError` also if it is longer than `limit` bytes."""
        data = self.head(path, limit + 1)
        if len(data) > limit:
            raise SourceError(f"{self.place}: {path} is longer than {limit} bytes")
        return data


class Folder(Files):
    """A folder on disk; links in it are followed wherever they lead, for they are the user's
    own."""

    def __init__(self, place: Path) -> None:
        self.place = place

    def find(self, path: str) -> Extent | None:
        full = self.place / path
        try:
            status = full.stat()
        except (FileNotFoundError, NotADirectoryError):
            return None
        # A FIFO or a device would block or never end.
        return Extent(full, 0, status.st_size) if stat.S_ISREG(status.st_mode) else None


class LocalSource(Source):
    """A source whose blobs lie on a file system: it says where, the rest is derived."""

    @abstractmethod
    def find(self, digest: Digest, size: int = -1) -> Extent | None:
        """Return where a blob lies, None if it is not there; `OSError` if it can't be seen.

        :param size: as in :meth:`Source.locate`.
        """

    def locate(self, digest: Digest, size: int = -1) -> Extent:
        try:
            extent = self.find(digest, size)
        except OSError as error:
            raise BlobError("io_error", f"can't see {digest}: {error.strerror or error}") from None
        except SourceError as error:
            raise BlobError("io_error", f"can't look for {digest}: {error}") from None
        if extent is None:
            raise BlobError("missing", f"{digest} is not in {self.reference}")
        return extent

    def open(self, digest: Digest, offset: int = 0) -> BinaryIO:
        extent = self.locate(digest)
        try:
            return open_extent(extent, offset)
        except OSError as error:
            raise BlobError("io_error", f"can't open {digest}: {error.strerror or error}") from None

    def read(self, digest: Digest, limit: int) -> bytes:
        try:
            return super().read(digest, limit)
        except OSError as error:
            raise BlobError("io_error", f"can't read {digest}: {error.strerror or error}") from None
