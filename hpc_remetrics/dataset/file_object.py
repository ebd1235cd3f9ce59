"""The file objects through which the HDF5 library reads and writes what this program has opened."""

from __future__ import annotations

import errno
import os
from typing import Any, Protocol


class Readable(Protocol):
    """Bytes that can be read at any place; `byte_source.py` has some."""

    @property
    def size(self) -> int:
        """Number of bytes."""

    def read(self, place: int, size: int) -> bytes:
        """Return at most `size` bytes from `place` on, fewer at the end."""


class Descriptor:
    """The bytes of a file by its descriptor, which stays open."""

    def __init__(self, number: int) -> None:
        self._number = number

    @property
    def size(self) -> int:
        """Number of bytes."""
        return os.fstat(self._number).st_size

    def read(self, place: int, size: int) -> bytes:
        """Return at most `size` bytes from `place` on, fewer at the end."""
        return read_at(self._number, size, place)


class FileObject:
    """What h5py needs of a file object to read: position, reads into a buffer.

    A read past the end gives zeros, as a sparse file would.
    """

    def __init__(self, source: Readable) -> None:
        self._source = source
        self._position = 0

    def seek(self, offset: int, whence: int = 0) -> int:
        """Move the position; `whence` as for `io.IOBase`."""
        if whence == os.SEEK_CUR:
            offset += self._position
        elif whence == os.SEEK_END:
            offset += self._source.size
        self._position = offset
        return self._position

    def tell(self) -> int:
        """Return the position."""
        return self._position

    def readinto(self, buffer: Any) -> int:
        """Fill a buffer from the position on."""
        data = self._source.read(self._position, len(buffer))
        buffer[: len(data)] = data
        buffer[len(data) :] = bytes(len(buffer) - len(data))
        self._position += len(buffer)
        return len(buffer)

    def read(self, size: int = -1) -> bytes:
        """Fail: h5py only looks whether there is such a method."""
        raise OSError(errno.EOPNOTSUPP, "read into a buffer")

    def flush(self) -> None:
        """Do nothing: every write goes to the system at once."""


class BoundedReader(FileObject):
    """A file object for reading that refuses pieces of more than `largest` bytes."""

    def __init__(self, source: Readable, largest: int) -> None:
        super().__init__(source)
        self.largest = largest

    def readinto(self, buffer: Any) -> int:
        """Fill a buffer from the position on; `OSError` if it is larger than allowed."""
        if len(buffer) > self.largest:
            raise OSError(errno.EFBIG, f"a piece of {len(buffer):,} bytes")
        return super().readinto(buffer)

    def write(self, data: Any) -> int:
        """Fail: the file is open for reading."""
        raise OSError(errno.EBADF, "the file is open for reading")

    def truncate(self, size: int | None = None) -> int:
        """Fail: the file is open for reading."""
        raise OSError(errno.EBADF, "the file is open for reading")


class Sink(FileObject):
    """A file object for writing through which the HDF5 library never meets an error.

    HDF5 keeps dirty metadata when a write fails, tries again whenever it can, and crashes at exit.
    So the error of a failed write is kept in `error` and the data is dropped; the owner of the sink
    calls `check` and throws the file away.
    """

    def __init__(self, descriptor: int) -> None:
        super().__init__(Descriptor(descriptor))
        self.descriptor = descriptor
        self.error: OSError | None = None

    def write(self, data: Any) -> int:
        """Write data at the position; an error is kept."""
        size = len(data)
        try:
            write_all(self.descriptor, data, self._position)
        except OSError as error:
            self.error = self.error or error
        self._position += size
        return size

    def truncate(self, size: int | None = None) -> int:
        """Set the length of the file; an error is kept."""
        size = self._position if size is None else size
        try:
            os.ftruncate(self.descriptor, size)
        except OSError as error:
            self.error = self.error or error
        return size

    def check(self) -> None:
        """Raise the first error that a write met."""
        if self.error is not None:
            raise self.error


def read_at(descriptor: int, size: int, offset: int) -> bytes:
    """Return at most `size` bytes at an offset, fewer at the end of the file."""
    if hasattr(os, "pread"):
        return os.pread(descriptor, size, offset)
    # Windows has a position only
    os.lseek(descriptor, offset, os.SEEK_SET)
    return os.read(descriptor, size)


def write_all(descriptor: int, data: Any, offset: int) -> None:
    """Write all bytes of a buffer at an offset."""
    view = memoryview(data).cast("B")
    while view:
        written = _write_at(descriptor, view, offset)
        view = view[written:]
        offset += written


def _write_at(descriptor: int, data: memoryview, offset: int) -> int:
    if hasattr(os, "pwrite"):
        return os.pwrite(descriptor, data, offset)
    # Windows has a position only
    os.lseek(descriptor, offset, os.SEEK_SET)
    return os.write(descriptor, data)
