"""HDF5 through a file of our own, so that a full disk is an exception here and not a crash in the
library."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from ..errors import RemetricsError
from ..files.writing import create, open_in_place


class Sink:
    """The file object that the HDF5 library writes through; the library never sees an error.

    HDF5 keeps dirty metadata when a write fails, tries again whenever it can, and crashes at exit.
    So writes that fail are kept in `error`, and dropped; whoever uses the sink looks there and
    throws the file away.
    """

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        self.error: OSError | None = None
        self._position = 0

    def seek(self, offset: int, whence: int = 0) -> int:
        base = (0, self._position, os.fstat(self.descriptor).st_size)[whence]
        self._position = base + offset
        return self._position

    def tell(self) -> int:
        return self._position

    def write(self, data: Any) -> int:
        size = len(data)
        try:
            write_all(self.descriptor, data, self._position)
        except OSError as error:
            self.error = self.error or error
        self._position += size
        return size

    def readinto(self, buffer: Any) -> int:
        data = os.pread(self.descriptor, len(buffer), self._position)
        buffer[: len(data)] = data
        buffer[len(data) :] = bytes(len(buffer) - len(data))
        self._position += len(buffer)
        return len(buffer)

    def read(self, size: int = -1) -> bytes:
        # Only so that h5py takes this for a file object.
        raise OSError(errno.EOPNOTSUPP, "read into a buffer")

    def truncate(self, size: int | None = None) -> int:
        size = self._position if size is None else size
        try:
            os.ftruncate(self.descriptor, size)
        except OSError as error:
            self.error = self.error or error
        return size

    def flush(self) -> None:
        pass

    def check(self) -> None:
        """Raise the first error that a write met."""
        if self.error is not None:
            raise self.error


def write_all(descriptor: int, data: Any, offset: int) -> None:
    """Write all bytes of a buffer at an offset."""
    view = memoryview(data).cast("B")
    while view:
        written = os.pwrite(descriptor, view, offset)
        view, offset = view[written:], offset + written


@contextmanager
def new_file(path: Path) -> Iterator[tuple[Any, Sink]]:
    """Give an empty HDF5 file that must not exist yet, and its sink; close both and raise what went
    wrong.

    The file stays on disk whatever happens: its maker removes it.
    """
    with _through_sink(create(path), "w") as opened:
        yield opened


@contextmanager
def file_to_change(path: Path) -> Iterator[Any]:
    """Give an HDF5 file that only its maker knows yet, to add to it; as `new_file`."""
    with _through_sink(open_in_place(path, missing_ok=False), "r+") as (file, _):
        yield file


@contextmanager
def _through_sink(descriptor: int, mode: str) -> Iterator[tuple[Any, Sink]]:
    try:
        sink = Sink(descriptor)
        try:
            with h5py.File(sink, mode, libver=("earliest", "v110")) as file:
                yield file, sink
        except RemetricsError:
            raise
        except Exception:
            # What HDF5 makes of a write that went nowhere is not the reason.
            sink.check()
            raise
        sink.check()
    finally:
        os.close(descriptor)


def contiguous(group: Any, name: str, shape: tuple[int, ...], dtype: Any) -> Any:
    """Create a dataset of one piece whose place in the file is fixed at once and never filled.

    Its bytes can be written at `dataset.id.get_offset()` with no help from the library.
    """
    properties = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    properties.set_layout(h5py.h5d.CONTIGUOUS)
    properties.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
    properties.set_fill_time(h5py.h5d.FILL_TIME_NEVER)
    properties.set_obj_track_times(False)  # equal rows, equal bytes
    kind = h5py.h5t.py_create(np.dtype(dtype), logical=True)
    space = h5py.h5s.create_simple(shape)
    return h5py.Dataset(h5py.h5d.create(group.id, name.encode(), kind, space, dcpl=properties))


def text_array(values: list[str], most: int) -> np.ndarray:
    """Return texts as fixed-length UTF-8, as long as the longest and at most `most` bytes.

    A text is cut between two characters; NUL, which would end it early, is written `\\0`.

    >>> text_array(["é" * 3, "a\\0"], 5).tolist()
    [b'\\xc3\\xa9\\xc3\\xa9', b'a\\\\0']
    """
    raw = [
        _cut(value.replace("\0", "\\0").encode("utf-8", "backslashreplace"), most)
        for value in values
    ]
    return np.array(raw, h5py.string_dtype("utf-8", max(map(len, raw), default=1) or 1))


def storable(text: str) -> str:
    r"""Return a string as HDF5 can hold it: bytes of a path that are not UTF-8 as `\udcNN`.

    >>> print(storable("/data/caf\udce9"))
    /data/caf\udce9
    """
    return text.encode("utf-8", "backslashreplace").decode()


def attribute(text: str, most: int = 32_000) -> str:
    """Return a string as an attribute can hold it, which has room for 64 KB with its name and
    type."""
    return _cut(storable(text).encode(), most).decode()


def _cut(data: bytes, most: int) -> bytes:
    return data if len(data) <= most else data[:most].decode("utf-8", "ignore").encode()
