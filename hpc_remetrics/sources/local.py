"""The base class of sources on a file system, whose blobs are read in place."""

from __future__ import annotations

import io
import os
import stat
from abc import ABC, abstractmethod
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from ..errors import BlobError, SourceError
from ..records import Digest
from .base import Extent
from .path_source import PathSource

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer


LISTING_BYTES = 256 << 20
"""Longest file that may list the images of a place, bytes."""


class _ExtentReader(io.RawIOBase):
    """The bytes of one extent as a raw stream.

    :param descriptor: of the extent's file; the stream closes it.
    """

    def __init__(self, descriptor: int, extent: Extent, offset: int) -> None:
        self._descriptor = descriptor
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
    """Return a stream of an extent's bytes from `offset` on.

    :raises OSError: the file can't be opened.
    """
    if offset < 0:
        raise ValueError(f"the offset must not be negative, got {offset}")
    # Open the file first: a stream that was never set up can't be closed
    descriptor = os.open(extent.path, os.O_RDONLY | os.O_CLOEXEC)
    return io.BufferedReader(_ExtentReader(descriptor, extent, offset))


class FileTree(ABC):
    """A read-only tree of files: a directory, or an archive that is read in place."""

    path: Path
    """The directory or archive."""

    @property
    def name(self) -> str:
        """The name that is given to images without one."""
        return self.path.name

    @abstractmethod
    def find(self, path: str) -> Extent | None:
        """Return where the file of a relative path lies, None if there is no regular file.

        :raises OSError: its directory can't be read.
        """

    def head(self, path: str, count: int) -> bytes:
        """Return at most `count` bytes from the beginning of a file.

        :raises SourceError: it is missing or can't be read.
        """
        try:
            extent = self.find(path)
            if extent is None:
                raise SourceError(f"{self.path} has no {path}")
            with open_extent(extent) as stream:
                return stream.read(count)
        except OSError as error:
            reason = error.strerror or error
            raise SourceError(f"{self.path}: can't read {path}: {reason}") from None

    def read(self, path: str, limit: int) -> bytes:
        """Return a file whole.

        :raises SourceError: it is missing, can't be read, or is longer than `limit` bytes.
        """
        data = self.head(path, limit + 1)
        if len(data) > limit:
            raise SourceError(f"{self.path}: {path} is longer than {limit} bytes")
        return data


class DirectoryTree(FileTree):
    """A directory on disk; links in it are followed anywhere, since they are the user's own."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def find(self, path: str) -> Extent | None:
        full = self.path / path
        try:
            status = full.stat()
        except (FileNotFoundError, NotADirectoryError):
            return None
        # A FIFO or a device would block or never end.
        return Extent(full, 0, status.st_size) if stat.S_ISREG(status.st_mode) else None


class LocalSource(PathSource):
    """A source whose blobs lie on a file system: `find` says where, the rest is derived."""

    @abstractmethod
    def find(self, digest: Digest, size: int = -1) -> Extent | None:
        """Return where a blob lies, None if it is not there.

        :param size: bytes that the manifest states, as in :meth:`Source.locate`.
        :raises OSError: its directory can't be read.
        """

    def locate(self, digest: Digest, size: int = -1) -> Extent:
        try:
            extent = self.find(digest, size)
        except OSError as error:
            reason = error.strerror or error
            raise BlobError("io_error", f"can't find {digest}: {reason}") from None
        except SourceError as error:
            raise BlobError("io_error", f"can't find {digest}: {error}") from None
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
