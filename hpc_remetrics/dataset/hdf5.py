"""Write HDF5 files so that a full disk is an exception here and not a crash in the library."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from ..errors import RemetricsError
from ..files.writing import create, open_in_place
from .file_object import Sink
from .schema import storable


@contextmanager
def new_file(path: Path) -> Iterator[tuple[Any, Sink]]:
    """Create an HDF5 file and yield it with its sink; then close both, and raise what went wrong.

    The file must not exist yet. It stays on disk whatever happens: the caller removes it.
    """
    with _through_sink(create(path), "w") as opened:
        yield opened


@contextmanager
def file_through(descriptor: int) -> Iterator[Any]:
    """Write a new HDF5 file through the descriptor of an empty one; closed as in `new_file`."""
    with _through_sink(descriptor, "w") as (file, _):
        yield file


@contextmanager
def file_to_change(path: Path) -> Iterator[Any]:
    """Open an HDF5 file to add to it, one that no reader knows yet; closed as in `new_file`."""
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
            # HDF5 may have failed because a write was dropped: that error is the reason
            sink.check()
            raise
        sink.check()
    finally:
        os.close(descriptor)


def contiguous(group: Any, name: str, shape: tuple[int, ...], dtype: Any) -> Any:
    """Create a contiguous dataset whose place in the file is fixed at once and never filled.

    Its bytes can be written at `dataset.id.get_offset()` without the library.
    """
    properties = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    properties.set_layout(h5py.h5d.CONTIGUOUS)
    properties.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
    properties.set_fill_time(h5py.h5d.FILL_TIME_NEVER)
    properties.set_obj_track_times(False)  # equal rows, equal bytes
    kind = h5py.h5t.py_create(np.dtype(dtype), logical=True)
    space = h5py.h5s.create_simple(shape)
    return h5py.Dataset(h5py.h5d.create(group.id, name.encode(), kind, space, dcpl=properties))


def new_column(
    group: Any, name: str, dtype: np.dtype, size: int, *, chunk_rows: int = 0, deflate: bool = False
) -> Any:
    """Create a dataset of (size,) values, and return its low-level identifier.

    Raw bytes of a fixed number (`V32`) become a dataset of (size, 32) `uint8`, since few programs
    can read opaque values.

    It becomes what `create_dataset` of h5py makes, in a third of the time: a dataset of an image
    has hundreds of columns, and most have few values.

    :param group: an h5py group.
    :param chunk_rows: values of a chunk, 0 to store all values in one piece.
    :param deflate: compress the chunks, and shuffle the bytes of what is wider than one.
    """
    properties = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    properties.set_obj_track_times(False)  # equal rows, equal bytes
    width: tuple[int, ...] = ()
    if dtype.kind == "V":
        width = (dtype.itemsize,)
        dtype = np.dtype(np.uint8)
    if chunk_rows:
        properties.set_chunk((chunk_rows, *width))
        if deflate and dtype.itemsize > 1:
            properties.set_shuffle()
        if deflate:
            properties.set_deflate(1)
    kind = h5py.h5t.py_create(dtype, logical=True)
    space = h5py.h5s.create_simple((size, *width))
    return h5py.h5d.create(group.id, name.encode(), kind, space, dcpl=properties)


_STRING = h5py.string_dtype()


@cache
def _string_and_scalar() -> tuple[Any, Any]:
    """Return the HDF5 type of a string of any length, and the dataspace of one value."""
    return h5py.h5t.py_create(_STRING, logical=True), h5py.h5s.create_simple(())


def describe(identifier: Any, **texts: str) -> None:
    """Write strings as attributes of an object that has none of their names yet.

    :param identifier: of the object, at h5py's low level.
    """
    kind, scalar = _string_and_scalar()
    for name, text in texts.items():
        created = h5py.h5a.create(identifier, name.encode(), kind, scalar)
        created.write(np.array(text, _STRING))


def add_array(identifier: Any, name: str, values: np.ndarray) -> None:
    """Write (n,) numbers as an attribute of an object that has none of this name yet.

    :param identifier: of the object, at h5py's low level.
    """
    kind = h5py.h5t.py_create(values.dtype, logical=True)
    space = h5py.h5s.create_simple(values.shape)
    h5py.h5a.create(identifier, name.encode(), kind, space).write(values)


def text_array(values: list[str], limit: int) -> np.ndarray:
    """Return (n,) strings of fixed length: UTF-8, as long as the longest, at most `limit` bytes.

    A string is cut between two characters; NUL, which would end it early, is written `\\0`.

    >>> text_array(["é" * 3, "a\\0"], 5).tolist()
    [b'\\xc3\\xa9\\xc3\\xa9', b'a\\\\0']
    """
    encoded = [storable(value.replace("\0", "\\0")).encode() for value in values]
    cut = [_cut(data, limit) for data in encoded]
    longest = max(map(len, cut), default=0)
    return np.array(cut, h5py.string_dtype("utf-8", max(longest, 1)))


def attribute(text: str, limit: int = 32_000) -> str:
    """Return a string cut to what an attribute can hold: 64 KB with its name and type."""
    return _cut(storable(text).encode(), limit).decode()


def _cut(data: bytes, limit: int) -> bytes:
    """Return at most `limit` bytes of UTF-8, cut between two characters."""
    if len(data) <= limit:
        return data
    return data[:limit].decode("utf-8", "ignore").encode()
