"""Read the bytes of a dataset from a file of this machine or from a file object.

File objects are those of Python, and of fsspec, which reads URLs such as `s3://`.
"""

from __future__ import annotations

import os
import threading
from abc import ABC, abstractmethod
from importlib import import_module
from pathlib import Path
from typing import Any, BinaryIO, TypeAlias

from ..errors import DatasetError, MissingComponentError
from ..files.untrusted import open_regular
from .file_object import read_at

Place: TypeAlias = "Path | str"
"""What messages call a dataset: its path, or its URL."""

_BLOCK = 1 << 20
"""Bytes that are fetched of a URL at once; what HDF5 looks up in a file is spread over it."""


class ByteSource(ABC):
    """Bytes that can be read at any place.

    :ivar place: what messages call them.
    :ivar size: number of bytes; `stored`: bytes that take room, since a file may be sparse.
    """

    place: Place
    size: int
    stored: int
    is_closed = False

    @abstractmethod
    def read(self, place: int, size: int) -> bytes:
        """Return at most `size` bytes from `place` on, fewer at the end."""

    @property
    def version(self) -> tuple[int, int]:
        """Bytes and last change of the file, as they are now; 0 where nothing tells.

        The inode number is none of it: nodes that see one file may give it different ones.
        """
        return self.size, 0

    @abstractmethod
    def close(self) -> None:
        """Give back what was opened for it; nothing can be read any more."""


class LocalBytes(ByteSource):
    """The bytes of a regular file; its name may be a symbolic link.

    :raises DatasetError: it can't be read.
    """

    def __init__(self, path: Path) -> None:
        self.place = path
        try:
            self._descriptor = open_regular(path, follow=True)
        except OSError as error:
            raise DatasetError(f"{path} can't be read: {error.strerror}") from None
        about = os.fstat(self._descriptor)
        self.size = about.st_size
        # Not all systems count blocks
        self.stored = 512 * getattr(about, "st_blocks", self.size // 512)

    def read(self, place: int, size: int) -> bytes:
        """Return at most `size` bytes from `place` on, fewer at the end."""
        return read_at(self._descriptor, size, place)

    @property
    def version(self) -> tuple[int, int]:
        """Bytes and last change of the file, as they are now."""
        about = os.fstat(self._descriptor)
        return about.st_size, about.st_mtime_ns

    def close(self) -> None:
        """Close the file."""
        if not self.is_closed:
            os.close(self._descriptor)
        self.is_closed = True


class ObjectBytes(ByteSource):
    """The bytes behind a file object that can seek.

    :param is_owned: whether it is closed with the dataset; an object of the caller's is not.
    :raises DatasetError: it can't seek.
    """

    def __init__(self, file: Any, place: Place, is_owned: bool) -> None:
        self.place = place
        self._file = file
        self._is_owned = is_owned
        self._lock = threading.Lock()
        try:
            file.seek(0, os.SEEK_END)
            self.size = file.tell()
        except Exception as error:
            self.close()
            message = f"{place} can't be read at any place ({_said(error)})"
            raise DatasetError(message, "a dataset needs a file that can seek") from error
        self.stored = self.size

    def read(self, place: int, size: int) -> bytes:
        """Return at most `size` bytes from `place` on, fewer at the end.

        :raises OSError: with any error of the library that the object is of.
        """
        pieces = []
        with self._lock:
            try:
                self._file.seek(place)
                while size > 0 and (piece := self._file.read(size)):
                    pieces.append(piece)
                    size -= len(piece)
            except Exception as error:
                raise OSError(0, _said(error)) from error
        return b"".join(pieces)

    def close(self) -> None:
        """Close the object if it is owned."""
        if self._is_owned and not self.is_closed:
            self._file.close()
        self.is_closed = True


def open_bytes(where: str | Path | BinaryIO) -> ByteSource:
    """Open what a caller names: a path, a URL as fsspec knows them, or a file object.

    :raises DatasetError: there is no such file, or it can't be read.
    :raises MissingComponentError: what reads such a URL is not installed.
    """
    if hasattr(where, "read") and hasattr(where, "seek"):
        name = getattr(where, "name", None)
        place = str(name) if name is not None else f"<{type(where).__name__}>"
        return ObjectBytes(where, place, is_owned=False)
    if isinstance(where, str) and "://" in where:
        return ObjectBytes(_open_url(where), where, is_owned=True)
    path = Path(where)
    if not path.exists():
        raise DatasetError(f"{path} is not there", "`hpc-remetrics analyze -o FILE` makes one")
    return LocalBytes(path)


def _open_url(url: str) -> Any:
    """Open a URL by fsspec, and return its file object."""
    try:
        fsspec = import_module("fsspec")
        system, path = fsspec.url_to_fs(url)
    except ImportError as error:
        hint = "pip install 'hpc-remetrics[remote]', and what the message names"
        raise MissingComponentError(f"{url} can't be read without fsspec ({error})", hint) from None
    except Exception as error:
        raise DatasetError(f"{url} can't be read: {_said(error)}") from error
    try:
        return system.open(path, "rb", block_size=_BLOCK, cache_type="blockcache")
    except Exception as error:
        raise DatasetError(f"{url} can't be read: {_said(error)}") from error


def _said(error: Exception) -> str:
    """Return what an error of any library says, in one line."""
    text = " ".join(str(error).split())[:200]
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
