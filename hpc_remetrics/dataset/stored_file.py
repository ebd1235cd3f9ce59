"""Read an untrusted HDF5 file: the library reads its structure, this module its values.

A file of this program holds groups of one-dimensional datasets, and of rows of bytes, stored in one
piece or in chunks with the filters `shuffle` and `deflate`. HDF5 can do much more: take values from
other files (links, external storage, virtual datasets), load code for filters, and inflate a few
bytes to gigabytes. None of that is in our files, so it is refused before anything is read. Values
are then read here, by place and size, with every bound known:

- the file is opened once (`byte_source.py`); the library reads through that, so it never opens a
  name;
- a chunk lies within the file, is as long as its filters can make it, and inflates to exactly what
  it must;
- a dataset has all of its chunks and each once, and all of them together are no larger than the
  file. So what it declares is at most 1,032 times the file, the best that deflate can do;
- what is read at once is bounded by the file's size, far above what files of this program ever
  need.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cached_property
from typing import Any

import h5py
import numpy as np

from ..errors import DatasetError
from .byte_source import ByteSource, Place
from .file_object import BoundedReader
from .schema import CHUNK_BYTES

try:
    from isal import isal_zlib as fast_zlib
except ImportError:
    # People read datasets on machines for which there is no ISA-L, too
    import zlib as fast_zlib  # type: ignore[no-redef]

_METADATA_BYTES = 64 << 20
"""The most that HDF5 may read at once: an index node, or strings that lie together."""

_ATTRIBUTE_BYTES = 256 << 20
"""The most that the value of one attribute may take."""

_ATTRIBUTES = 1000
_LINKS = 10_000
"""The most attributes and names of a group that are looked at."""

_AT_ONCE = 128 << 20
_AT_ONCE_RATIO = 64
"""Bytes of values that may be read at once, and how many more for each byte of the file."""

_LARGEST_CHUNK = 4 * CHUNK_BYTES
"""Bytes of a chunk as values; this program's have `CHUNK_BYTES` at most."""

_DEFLATE = h5py.h5z.FILTER_DEFLATE
_SHUFFLE = h5py.h5z.FILTER_SHUFFLE
_INFLATE_ERRORS: Any = (fast_zlib.error, ValueError, OverflowError)
_FILTERS = ((), (_DEFLATE,), (_SHUFFLE,), (_SHUFFLE, _DEFLATE))

_HINT = "it is damaged, or this program did not write it"

Check = Callable[[np.ndarray], str]
"""Returns what is wrong with (n,) values of a column, "" if nothing is."""


def damaged(path: Place, what: str) -> DatasetError:
    """Return the error for a file that holds what this program never writes."""
    return DatasetError(f"{path}: {what}", _HINT)


@contextmanager
def library_errors(path: Place) -> Iterator[None]:
    """Turn errors of the HDF5 library while it changes a file into a `DatasetError`.

    Changing a file needs more of its structure than reading, so a damaged file may get as far as
    that. Errors of the disk are raised as they are.
    """
    try:
        yield
    except DatasetError:
        raise
    except (RuntimeError, ValueError, LookupError, TypeError, SystemError) as error:
        raise damaged(path, f"it can't be changed ({_brief(error)})") from error
    except OSError as error:
        # Errors of the library have no error number; those of the system, kept by the sink, have
        if error.errno is not None:
            raise
        raise damaged(path, f"it can't be changed ({_brief(error)})") from error


class StoredFile:
    """An HDF5 file whose groups and datasets can be listed and read.

    :param source: its bytes, which are closed with it.
    :raises DatasetError: it is no HDF5 file.
    """

    def __init__(self, source: ByteSource) -> None:
        self.source = source
        self.path = source.place
        self.size = source.size
        # A sparse file may have any size, so what it takes on disk counts
        on_disk = 4 * max(source.stored, 1 << 20)
        self.at_once = _AT_ONCE + _AT_ONCE_RATIO * min(self.size, on_disk)
        self.stored = 0  # bytes of the datasets that were looked at
        self._reader = BoundedReader(source, _METADATA_BYTES)
        try:
            with self.reading("it is not an HDF5 file, or it is damaged"):
                self._file = h5py.File(self._reader, "r")
            self.root = StoredGroup(self, self._file.id, "")
            if self._file.userblock_size:
                raise damaged(self.path, "it begins with a user block")
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Close the file; columns can't be read any more."""
        if (file := self.__dict__.pop("_file", None)) is not None:
            file.close()
        self.source.close()

    @contextmanager
    def reading(self, what: str, largest: int = _METADATA_BYTES) -> Iterator[None]:
        """Turn errors of the HDF5 library in the body into a `DatasetError`.

        :param largest: the most bytes that the library may read at once meanwhile.
        """
        if self.source.is_closed:
            raise self._closed()
        self._reader.largest = largest
        try:
            yield
        except DatasetError:
            raise
        except (
            OSError,
            RuntimeError,
            ValueError,
            LookupError,
            TypeError,
            ArithmeticError,
            MemoryError,
            SystemError,
        ) as error:
            raise DatasetError(f"{self.path}: {what} ({_brief(error)})") from None

    def copy_group(self, name: str, target: Any) -> None:
        """Copy a group into an open file of h5py; chunks are copied without their filters' work."""
        with self.reading(f"/{name} can't be copied"):
            h5py.h5o.copy(self._file.id, name.encode(), target.id, name.encode())

    def read(self, place: int, size: int) -> bytes:
        """Return `size` bytes of the file from `place` on; a `DatasetError` if it ends before."""
        if self.source.is_closed:
            raise self._closed()
        try:
            data = self.source.read(place, size)
        except OSError as error:
            raise DatasetError(f"{self.path} can't be read: {error.strerror}") from None
        if len(data) != size:
            raise DatasetError(f"{self.path} became shorter while it was read")
        return data

    def _closed(self) -> DatasetError:
        return DatasetError(f"{self.path} is closed", "open it again to read more of it")

    def count(self, stored: int) -> None:
        """Add the bytes of a dataset to the sum, which can't exceed the size of the file."""
        self.stored += stored
        if self.stored > self.size:
            raise damaged(self.path, "its datasets lie on top of each other")


class StoredGroup:
    """A group: `"size" in group`, `group.column("size")`, `group.group("run")`,
    `group.attributes`."""

    def __init__(self, file: StoredFile, identity: Any, name: str) -> None:
        self.file = file
        self.name = name
        self._id = identity
        self._columns: dict[str, StoredColumn] = {}
        self._groups: dict[str, StoredGroup] = {}

    def __contains__(self, name: str) -> bool:
        return name in self.names

    @cached_property
    def names(self) -> dict[str, None]:
        """Names in the group, in order; `DatasetError` if one is a link to somewhere else."""
        names: dict[str, None] = {}
        links: list[str] = []

        # h5py can't take an exception from a callback, so problems are noted and raised after it
        def add(name: bytes, about: Any) -> bool | None:
            text = name.decode("utf-8", "replace")
            if about.type != h5py.h5l.TYPE_HARD:
                links.append(text)
            names[text] = None
            return True if links or len(names) > _LINKS else None

        with self.file.reading(f"the names in {self.name or '/'} can't be read"):
            self._id.links.iterate(add, info=True)
        if links:
            raise damaged(self.file.path, f"{self.name}/{links[0]} is a link to somewhere else")
        if len(names) > _LINKS:
            raise damaged(self.file.path, f"{self.name or '/'} holds more than {_LINKS:,} names")
        return names

    def group(self, name: str) -> StoredGroup:
        """Return a group that is in this one."""
        path = f"{self.name}/{name}"
        if name not in self._groups:
            self._groups[name] = StoredGroup(
                self.file, self._open(name, path, h5py.h5g.GroupID, "group"), path
            )
        return self._groups[name]

    def column(self, name: str) -> StoredColumn:
        """Return a dataset that is in this group."""
        if name not in self._columns:
            path = f"{self.name}/{name}"
            identity = self._open(name, path, h5py.h5d.DatasetID, "dataset")
            with self.file.reading(f"{path} can't be read"):
                self._columns[name] = StoredColumn(self.file, identity, path)
        return self._columns[name]

    def _open(self, name: str, path: str, kind: type, what: str) -> Any:
        if name not in self.names:
            raise damaged(self.file.path, f"it lacks {path}")
        with self.file.reading(f"{path} can't be read"):
            identity = h5py.h5o.open(self._id, name.encode())
        if not isinstance(identity, kind):
            raise damaged(self.file.path, f"{path} is not a {what}")
        return identity

    @cached_property
    def attributes(self) -> dict[str, Any]:
        """Attributes by name: numbers, strings, and short lists of them."""
        attributes: dict[str, Any] = {}
        holder = h5py.Group(self._id)
        for name in self._attribute_names():
            failure = f"the attribute {name!r:.80} of {self.name or '/'} can't be read"

            # Look at type and size first: an array may refer to one long string many times
            with self.file.reading(failure):
                attribute = holder.attrs.get_id(name)
                count = int(np.prod(attribute.shape, dtype=np.float64))
                if max(count, 1) * attribute.dtype.itemsize > _METADATA_BYTES:
                    raise damaged(self.file.path, f"the attribute {name!r:.80} is too large")
                is_text = (
                    attribute.dtype.kind in "SUiuf"
                    or h5py.check_string_dtype(attribute.dtype) is not None
                )
            if not is_text:
                continue  # references and other types that this program never writes

            # Read the value, with a bound on each string
            bound = min(_METADATA_BYTES, _ATTRIBUTE_BYTES // max(count, 1))
            with self.file.reading(failure, bound):
                attributes[name] = holder.attrs[name]
        return attributes

    def _attribute_names(self) -> list[str]:
        names: list[str] = []
        with self.file.reading(f"the attributes of {self.name or '/'} can't be read"):

            def add(name: bytes) -> bool | None:
                names.append(name.decode("utf-8", "surrogateescape"))
                return True if len(names) > _ATTRIBUTES else None

            h5py.h5a.iterate(self._id, add)
        if len(names) > _ATTRIBUTES:
            raise damaged(
                self.file.path, f"{self.name or '/'} has more than {_ATTRIBUTES} attributes"
            )
        return names


class StoredColumn:
    """A one-dimensional dataset: `column[start:stop]` reads (stop - start,) values of `dtype`.

    So is one of (n, 32) bytes, whose values are of the type `V32`.

    :ivar rows: number of values; `words`: of an enum, word -> number.
    :ivar chunk_rows: values of a chunk; a contiguous dataset is one chunk.
    :ivar filters: numbers of the filters, in the order in which they were applied.
    :ivar check: called with the values of each chunk that is read.
    """

    def __init__(self, file: StoredFile, identity: Any, name: str) -> None:
        self.file = file
        self.name = name
        self.check: Check | None = None
        self.dtype = np.dtype(identity.dtype)
        is_raw = len(identity.shape) == 2 and self.dtype == np.uint8
        if len(identity.shape) != 1 and not is_raw:
            raise damaged(file.path, f"{name} has {len(identity.shape)} dimensions, not one")
        self.rows = int(identity.shape[0])
        if is_raw:
            self.dtype = np.dtype((np.void, int(identity.shape[1])))
        self._shape = identity.shape
        self.words = h5py.check_enum_dtype(identity.dtype)
        if self.dtype.hasobject or not self.dtype.itemsize:
            raise damaged(file.path, f"{name} holds values of no fixed size")
        properties = identity.get_create_plist()
        self.filters = _filters(properties)
        self._last: tuple[int, np.ndarray] | None = None  # the chunk that was read last
        self._compact: bytes | None = None  # the values, where the library stored them in metadata
        self._places = np.empty(0, np.int64)  # by chunk: offset in the file, bytes, filter mask
        self._sizes = np.empty(0, np.int64)
        self._masks = np.empty(0, np.int64)
        self._locate(identity, properties)

    def __len__(self) -> int:
        return self.rows

    def _locate(self, identity: Any, properties: Any) -> None:
        """Find where the values are stored in this file; refuse values that are elsewhere."""
        layout = properties.get_layout()
        if properties.get_external_count():
            raise damaged(self.file.path, f"{self.name} lies in other files (external storage)")
        self.chunk_rows = self.rows
        if layout == h5py.h5d.CHUNKED:
            chunk = properties.get_chunk()
            if tuple(chunk[1:]) != tuple(self._shape[1:]):
                raise damaged(self.file.path, f"{self.name} has chunks with parts of rows")
            self.chunk_rows = int(chunk[0])
            self._locate_chunks(identity)
        elif layout == h5py.h5d.CONTIGUOUS:
            place = identity.get_offset()
            # An empty dataset has no offset, and neither has the scale of a netCDF dimension
            if place is not None:
                self._add_piece(int(place), self.rows * self.dtype.itemsize, 0)
        elif layout == h5py.h5d.COMPACT:
            values = np.empty(self._shape, np.dtype(identity.dtype))
            identity.read(h5py.h5s.ALL, h5py.h5s.ALL, values)
            self._compact = values.tobytes()
        else:
            raise damaged(
                self.file.path, f"{self.name} is a virtual dataset, whose values lie in other files"
            )

    def _locate_chunks(self, identity: Any) -> None:
        if self.filters not in _FILTERS:
            raise damaged(self.file.path, f"{self.name} has filters other than shuffle and deflate")
        if self.chunk_rows * self.dtype.itemsize > _LARGEST_CHUNK:
            raise damaged(
                self.file.path, f"{self.name} has chunks of more than {_LARGEST_CHUNK:,} bytes"
            )
        wanted = -(-self.rows // self.chunk_rows)
        pieces: dict[int, tuple[int, int, int]] = {}
        is_foreign = False

        # List the chunks; an index with loops never ends, so stop at the first impossible chunk
        def add(chunk: Any) -> bool | None:
            nonlocal is_foreign
            number, rest = divmod(int(chunk.chunk_offset[0]), self.chunk_rows)
            is_foreign = bool(rest or number >= wanted or number in pieces)
            pieces[number] = _signed(chunk.byte_offset), int(chunk.size), int(chunk.filter_mask)
            return is_foreign or None

        if wanted:
            identity.chunk_iter(add)
        if is_foreign:
            raise damaged(self.file.path, f"{self.name} has a chunk that does not belong to it")
        if len(pieces) != wanted:
            chunks = f"{len(pieces):,} of the {wanted:,} chunks that it should have"
            raise damaged(self.file.path, f"{self.name} has {chunks}")
        table = np.array([pieces[number] for number in range(wanted)], np.int64).reshape(-1, 3)
        self._places, self._sizes, self._masks = np.ascontiguousarray(table.T)
        self._check_pieces()

    def _add_piece(self, place: int, size: int, mask: int) -> None:
        if place < 0 or place + size > self.file.size:
            raise damaged(self.file.path, f"{self.name} lies beyond the end of the file")
        self._places = np.array([place], np.int64)
        self._sizes = np.array([size], np.int64)
        self._masks = np.array([mask], np.int64)
        self.file.count(size)

    def _check_pieces(self) -> None:
        """Refuse chunks outside of the file, or longer than their filters can make them."""
        shortest = longest = self.chunk_rows * self.dtype.itemsize
        if _DEFLATE in self.filters:
            shortest = 1
            longest += longest // 512 + 1024
        if np.any((self._sizes < shortest) | (self._sizes > longest)):
            raise damaged(self.file.path, f"{self.name} has a chunk of a size that can't be")
        if np.any((self._places < 0) | (self._places > self.file.size - self._sizes)):
            raise damaged(self.file.path, f"{self.name} lies beyond the end of the file")
        self.file.count(int(self._sizes.sum()))

    @property
    def is_there(self) -> bool:
        """Whether the file holds the values, or there are none."""
        return not self.rows or self._compact is not None or len(self._places) > 0

    def __getitem__(self, rows: slice) -> np.ndarray:
        start, stop, _ = rows.indices(self.rows)
        if start >= stop:
            return np.empty(0, self.dtype)
        self.check_amount(stop - start)
        # Copy chunk by chunk: new memory for all of them at once would cost more than reading them
        values = np.empty(stop - start, self.dtype)
        for number in range(start // self.chunk_rows, (stop - 1) // self.chunk_rows + 1):
            first = number * self.chunk_rows
            piece = self.chunk(number)[max(start - first, 0) : stop - first]
            place = max(first - start, 0)
            values[place : place + len(piece)] = piece
        return values

    def check_amount(self, rows: int) -> None:
        """Refuse to read more values at once than readers of a file of this size need."""
        # Strings and digests become objects, which take more memory than the values
        width = self.dtype.itemsize + (64 if self.dtype.kind in "SV" else 0)
        if rows * width > self.file.at_once:
            raise damaged(
                self.file.path,
                f"{rows:,} values of {self.name} are more than a file of its size can need",
            )

    def chunk(self, number: int) -> np.ndarray:
        """Return the values of a chunk, checked; not writable, since the last one is kept."""
        if self._last is None or self._last[0] != number:
            values = np.frombuffer(self._bytes(number), self.dtype)
            values = values[: self.rows - number * self.chunk_rows]
            if self.check is not None and (wrong := self.check(values)):
                raise damaged(self.file.path, f"{self.name}: {wrong}")
            self._last = number, values
        return self._last[1]

    def _bytes(self, number: int) -> bytes | memoryview:
        if self._compact is not None:
            return self._compact
        if not self.is_there:
            raise damaged(self.file.path, f"{self.name} has no values")
        data: Any = self.file.read(int(self._places[number]), int(self._sizes[number]))
        plain = self.chunk_rows * self.dtype.itemsize
        mask = int(self._masks[number])

        # Undo the filters, the last one first; a bit of the mask means that one was left out
        for position, code in reversed(list(enumerate(self.filters))):
            is_left_out = mask >> position & 1
            if code == _DEFLATE and not is_left_out:
                data = self._inflated(data, plain)
            elif not is_left_out:
                data = _unshuffled(data, self.dtype.itemsize)
        if len(data) != plain:
            raise damaged(
                self.file.path, f"a chunk of {self.name} has {len(data):,} bytes, not {plain:,}"
            )
        return data

    def _inflated(self, data: bytes, size: int) -> bytes:
        """Return what a chunk inflates to, at most one byte more than it should."""
        stream = fast_zlib.decompressobj()
        try:
            plain = stream.decompress(data, size + 1)
        except _INFLATE_ERRORS as error:
            raise damaged(
                self.file.path, f"a chunk of {self.name} can't be inflated: {error}"
            ) from None
        if not stream.eof:
            raise damaged(self.file.path, f"a chunk of {self.name} does not end where it should")
        return bytes(plain)


def _signed(place: int) -> int:
    """Return an unsigned offset as int64; one that does not fit is as wrong as -1."""
    return int(place) if place < 1 << 63 else -1


def _filters(properties: Any) -> tuple[int, ...]:
    return tuple(
        properties.get_filter(number)[0] for number in range(min(properties.get_nfilters(), 9))
    )


def _unshuffled(data: bytes, width: int) -> bytes | memoryview:
    """Undo the filter `shuffle`: all first bytes, all second bytes, … become values again.

    High bytes of numbers are often zero, and need no copying then.
    """
    if width == 1 or len(data) % width:
        return data
    planes = np.frombuffer(data, np.uint8).reshape(width, -1)
    values = np.zeros((planes.shape[1], width), np.uint8)
    for place, plane in enumerate(planes):
        if plane.any():
            values[:, place] = plane
    flat: Any = values.reshape(-1)
    return memoryview(flat).toreadonly()


def _brief(error: BaseException) -> str:
    """Return the part of an HDF5 error message that names the cause, in one line."""
    text = " ".join(str(error).split())
    return (text.rpartition("(")[2].rstrip(")") or text or type(error).__name__)[:200]
