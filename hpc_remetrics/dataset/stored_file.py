"""What lies where in an HDF5 file that nobody vouches for: the library reads its structure, never
its values.

A file of this program holds groups of one-dimensional datasets, stored in one piece or in chunks
with the filters `shuffle` and `deflate`. HDF5 can do much more: take values from other files
(links, external storage, virtual datasets), load code for filters, and inflate a few bytes to
gigabytes. None of that is in our files, so it is refused before anything is read. Values are then
read here, by place and size, with every bound known:

- the file is opened once (`files/untrusted.py`), and the library reads through that descriptor, so it
  never opens a name;
- a chunk lies within the file, is as long as its filters can make it, and inflates to exactly what
  it must;
- a dataset has all of its chunks and each once, and all of them together are no larger than the
  file. So what it declares is at most 1,032 times the file, the best that deflate can do;
- what is read at once is bounded by the file's size, far above what files of this program ever
  need.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from isal import isal_zlib

from ..errors import DatasetError
from ..files.untrusted import open_regular
from .file_object import BoundedReader
from .schema import CHUNK_BYTES

_METADATA_BYTES = 64 << 20
"""The most that HDF5 may read at once: an index node, or strings that lie together."""

_ATTRIBUTE_BYTES = 256 << 20
"""The most that the value of one attribute may take."""

_ATTRIBUTES = 1000
_LINKS = 10_000
"""The most attributes and names of a group that are looked at."""

_AT_ONCE, _AT_ONCE_RATIO = 128 << 20, 64
"""Bytes of values that may be read at once, and how many more for each byte of the file."""

_LARGEST_CHUNK = 4 * CHUNK_BYTES
"""Bytes of a chunk as values; this program's have `CHUNK_BYTES` at most."""

_DEFLATE, _SHUFFLE = h5py.h5z.FILTER_DEFLATE, h5py.h5z.FILTER_SHUFFLE
_INFLATE_ERRORS: Any = (isal_zlib.error, ValueError, OverflowError)
_FILTERS = ((), (_DEFLATE,), (_SHUFFLE,), (_SHUFFLE, _DEFLATE))

_HINT = "it is damaged, or this program did not write it"

Check = Callable[[np.ndarray], str]
"""Says what is wrong with values of a column, "" if nothing is."""


def damaged(path: Path, what: str) -> DatasetError:
    """Return the error for a file that holds what this program never writes."""
    return DatasetError(f"{path}: {what}", _HINT)


@contextmanager
def library_errors(path: Path) -> Iterator[None]:
    """Turn what the HDF5 library says while it changes a file, but no error of the disk, into a
    `DatasetError`.

    A reader needs less of a file's structure than one who changes it, so a damaged file may get as
    far as that.
    """
    try:
        yield
    except (RuntimeError, ValueError, LookupError, TypeError, SystemError) as error:
        raise damaged(path, f"it can't be changed ({_brief(error)})") from error
    except OSError as error:
        # The library gives no number of an error; the system, whose errors the sink keeps, does.
        if error.errno is not None:
            raise
        raise damaged(path, f"it can't be changed ({_brief(error)})") from error


class StoredFile:
    """An HDF5 file whose groups and datasets can be looked at and read.

    :param follow: whether the name may be a symbolic link.
    :raises DatasetError: it is no regular file, or no HDF5 file.
    """

    def __init__(self, path: Path, follow: bool = True) -> None:
        self.path = path
        try:
            self.descriptor = open_regular(path, follow=follow)
        except OSError as error:
            raise DatasetError(f"{path} can't be read: {error.strerror}") from None
        about = os.fstat(self.descriptor)
        self.size = about.st_size
        # A file of holes is as large as anybody likes.
        on_disk = 4 * max(512 * about.st_blocks, 1 << 20)
        self.at_once = _AT_ONCE + _AT_ONCE_RATIO * min(self.size, on_disk)
        self.stored = 0  # bytes of the datasets that were looked at
        self._reader = BoundedReader(self.descriptor, _METADATA_BYTES)
        try:
            with self.reading("it is not an HDF5 file, or it is damaged"):
                self._file = h5py.File(self._reader, "r")
            self.root = StoredGroup(self, self._file.id, "")
            if self._file.userblock_size:
                raise damaged(path, "it begins with a user block")
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Close the file; columns can't be read any more."""
        if (file := self.__dict__.pop("_file", None)) is not None:
            file.close()
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1

    @contextmanager
    def reading(self, what: str, largest: int = _METADATA_BYTES) -> Iterator[None]:
        """Turn whatever the HDF5 library says in the body into a `DatasetError`.

        :param largest: the most bytes that the library may read at once meanwhile.
        """
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

    def read(self, place: int, size: int) -> bytes:
        """Return bytes of the file; `DatasetError` if it ends before them."""
        try:
            data = os.pread(self.descriptor, size, place)
        except OSError as error:
            raise DatasetError(f"{self.path} can't be read: {error.strerror}") from None
        if len(data) != size:
            raise DatasetError(f"{self.path} became shorter while it was read")
        return data

    def count(self, stored: int) -> None:
        """Count the bytes of a dataset; all together can't be more than the file has."""
        self.stored += stored
        if self.stored > self.size:
            raise damaged(self.path, "its datasets lie on top of each other")


class StoredGroup:
    """A group: `"size" in group`, `group.column("size")`, `group.group("run")`,
    `group.attributes`."""

    def __init__(self, file: StoredFile, identity: Any, name: str) -> None:
        self.file, self._id, self.name = file, identity, name
        self._columns: dict[str, StoredColumn] = {}
        self._groups: dict[str, StoredGroup] = {}

    def __contains__(self, name: str) -> bool:
        return name in self.names

    @cached_property
    def names(self) -> dict[str, None]:
        """Names of what is in the group, in order; `DatasetError` if one is a link to somewhere
        else."""
        found: dict[str, None] = {}
        links: list[str] = []

        # h5py bears no exception in what it calls back.
        def take(name: bytes, about: Any) -> bool | None:
            text = name.decode("utf-8", "replace")
            if about.type != h5py.h5l.TYPE_HARD:
                links.append(text)
            found[text] = None
            return True if links or len(found) > _LINKS else None

        with self.file.reading(f"the names in {self.name or '/'} can't be read"):
            self._id.links.iterate(take, info=True)
        if links:
            raise damaged(self.file.path, f"{self.name}/{links[0]} is a link to somewhere else")
        if len(found) > _LINKS:
            raise damaged(self.file.path, f"{self.name or '/'} holds more than {_LINKS:,} names")
        return found

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
        found: dict[str, Any] = {}
        names = self._attribute_names()
        holder = h5py.Group(self._id)
        for name in names:
            # The bound comes before the value: an array of strings may name one long string many
            # times.
            with self.file.reading(
                f"the attribute {name!r:.80} of {self.name or '/'} can't be read"
            ):
                attribute = holder.attrs.get_id(name)
                count = int(np.prod(attribute.shape, dtype=np.float64))
                if max(count, 1) * attribute.dtype.itemsize > _METADATA_BYTES:
                    raise damaged(self.file.path, f"the attribute {name!r:.80} is too large")
                is_text = (
                    attribute.dtype.kind in "SUiuf"
                    or h5py.check_string_dtype(attribute.dtype) is not None
                )
            if not is_text:
                continue  # references and the like, which nobody asks for
            with self.file.reading(
                f"the attribute {name!r:.80} of {self.name or '/'} can't be read",
                min(_METADATA_BYTES, _ATTRIBUTE_BYTES // max(count, 1)),
            ):
                found[name] = holder.attrs[name]
        return found

    def _attribute_names(self) -> list[str]:
        names: list[str] = []
        with self.file.reading(f"the attributes of {self.name or '/'} can't be read"):

            def take(name: bytes) -> bool | None:
                names.append(name.decode("utf-8", "surrogateescape"))
                return True if len(names) > _ATTRIBUTES else None

            h5py.h5a.iterate(self._id, take)
        if len(names) > _ATTRIBUTES:
            raise damaged(
                self.file.path, f"{self.name or '/'} has more than {_ATTRIBUTES} attributes"
            )
        return names


class StoredColumn:
    """A one-dimensional dataset: `column[start:stop]` are values, read when they are asked for.

    :ivar rows: number of values, of `dtype`; `words`: of an enum, word -> number.
    :ivar chunk_rows: values of a chunk; those of a dataset in one piece are all one.
    :ivar filters: numbers of the filters, in the order in which they were applied.
    """

    def __init__(self, file: StoredFile, identity: Any, name: str) -> None:
        self.file, self.name = file, name
        self.check: Check | None = None
        if len(identity.shape) != 1:
            raise damaged(file.path, f"{name} has {len(identity.shape)} dimensions, not one")
        self.rows, self.dtype = int(identity.shape[0]), np.dtype(identity.dtype)
        self.words = h5py.check_enum_dtype(identity.dtype)
        if self.dtype.hasobject or not self.dtype.itemsize:
            raise damaged(file.path, f"{name} holds values of no fixed size")
        properties = identity.get_create_plist()
        self.filters = _filters(properties)
        self._kept: tuple[int, np.ndarray] | None = None
        self._whole: bytes | None = None
        self._places = self._sizes = self._masks = np.empty(0, np.int64)
        self._locate(identity, properties)

    def __len__(self) -> int:
        return self.rows

    def _locate(self, identity: Any, properties: Any) -> None:
        """Find where the values lie; refuse whatever lies elsewhere, or nowhere."""
        layout = properties.get_layout()
        if properties.get_external_count():
            raise damaged(self.file.path, f"{self.name} lies in other files (external storage)")
        self.chunk_rows = self.rows
        if layout == h5py.h5d.CHUNKED:
            self.chunk_rows = int(properties.get_chunk()[0])
            self._locate_chunks(identity)
        elif layout == h5py.h5d.CONTIGUOUS:
            place = identity.get_offset()
            # A dataset without a value has no place, and neither has the scale of a netCDF
            # dimension.
            if place is not None:
                self._add_piece(int(place), self.rows * self.dtype.itemsize, 0)
        elif layout == h5py.h5d.COMPACT:
            values = np.empty(self.rows, self.dtype)
            identity.read(h5py.h5s.ALL, h5py.h5s.ALL, values)
            self._whole = values.tobytes()
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
        found: dict[int, tuple[int, int, int]] = {}
        strange = False

        # An index with loops would never end, so this stops at the first chunk that can't be.
        def take(chunk: Any) -> bool | None:
            nonlocal strange
            number, rest = divmod(int(chunk.chunk_offset[0]), self.chunk_rows)
            strange = bool(rest or number >= wanted or number in found)
            found[number] = _signed(chunk.byte_offset), int(chunk.size), int(chunk.filter_mask)
            return strange or None

        if wanted:
            identity.chunk_iter(take)
        if strange:
            raise damaged(self.file.path, f"{self.name} has a chunk that does not belong to it")
        if len(found) != wanted:
            raise damaged(
                self.file.path,
                f"{self.name} has {len(found):,} of the {wanted:,} chunks that it should have",
            )
        pieces = np.array([found[number] for number in range(wanted)], np.int64).reshape(-1, 3)
        self._places, self._sizes, self._masks = np.ascontiguousarray(pieces.T)
        self._check_pieces()

    def _add_piece(self, place: int, size: int, mask: int) -> None:
        if place < 0 or place + size > self.file.size:
            raise damaged(self.file.path, f"{self.name} lies beyond the end of the file")
        self._places, self._sizes, self._masks = (
            np.array([value], np.int64) for value in (place, size, mask)
        )
        self.file.count(size)

    def _check_pieces(self) -> None:
        """Refuse chunks that lie outside of the file, or are longer than their filters can make
        them."""
        plain = self.chunk_rows * self.dtype.itemsize
        least, most = (
            (1, plain + plain // 512 + 1024) if _DEFLATE in self.filters else (plain, plain)
        )
        if np.any((self._sizes < least) | (self._sizes > most)):
            raise damaged(self.file.path, f"{self.name} has a chunk of a size that can't be")
        if np.any((self._places < 0) | (self._places > self.file.size - self._sizes)):
            raise damaged(self.file.path, f"{self.name} lies beyond the end of the file")
        self.file.count(int(self._sizes.sum()))

    @property
    def is_there(self) -> bool:
        """Whether the file holds the values, rather than nothing that stands for them."""
        return not self.rows or self._whole is not None or len(self._places) > 0

    def __getitem__(self, rows: slice) -> np.ndarray:
        start, stop, _ = rows.indices(self.rows)
        if start >= stop:
            return np.empty(0, self.dtype)
        self.check_amount(stop - start)
        first, last = start // self.chunk_rows, (stop - 1) // self.chunk_rows
        pieces = [
            self.chunk(number)[
                max(start - number * self.chunk_rows, 0) : stop - number * self.chunk_rows
            ]
            for number in range(first, last + 1)
        ]
        # What is given away may be written to, so it is never the chunk that is kept.
        return pieces[0].copy() if len(pieces) == 1 else np.concatenate(pieces)

    def check_amount(self, rows: int) -> None:
        """Refuse to read more values at once than a file of this size can have a reason for."""
        # Strings and digests become objects, which take more than the values.
        width = self.dtype.itemsize + (64 if self.dtype.kind in "SV" else 0)
        if rows * width > self.file.at_once:
            raise damaged(
                self.file.path,
                f"{rows:,} values of {self.name} are more than a file of its size can need",
            )

    def chunk(self, number: int) -> np.ndarray:
        """Return the values of a chunk, checked, and not to be written to; the one read last is
        kept."""
        if self._kept is None or self._kept[0] != number:
            values = np.frombuffer(self._bytes(number), self.dtype)
            values = values[: self.rows - number * self.chunk_rows]
            if self.check is not None and (wrong := self.check(values)):
                raise damaged(self.file.path, f"{self.name}: {wrong}")
            self._kept = number, values
        return self._kept[1]

    def _bytes(self, number: int) -> bytes:
        if self._whole is not None:
            return self._whole
        if not self.is_there:
            raise damaged(self.file.path, f"{self.name} has no values")
        place, size, mask = (
            int(self._places[number]),
            int(self._sizes[number]),
            int(self._masks[number]),
        )
        data, plain = self.file.read(place, size), self.chunk_rows * self.dtype.itemsize
        for at, one in reversed(list(enumerate(self.filters))):
            if mask >> at & 1:
                continue  # this chunk was stored without it
            data = (
                self._inflated(data, plain)
                if one == _DEFLATE
                else _unshuffled(data, self.dtype.itemsize)
            )
        if len(data) != plain:
            raise damaged(
                self.file.path, f"a chunk of {self.name} has {len(data):,} bytes, not {plain:,}"
            )
        return data

    def _inflated(self, data: bytes, size: int) -> bytes:
        """Return what a chunk inflates to, at most one byte more than it should."""
        stream = isal_zlib.decompressobj()
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
    """Return a place in a file as a number of 64 bits with a sign: one beyond these is as wrong as
    -1."""
    return int(place) if place < 1 << 63 else -1


def _filters(properties: Any) -> tuple[int, ...]:
    return tuple(
        properties.get_filter(number)[0] for number in range(min(properties.get_nfilters(), 9))
    )


def _unshuffled(data: bytes, width: int) -> bytes:
    if width == 1 or len(data) % width:
        return data
    return np.frombuffer(data, np.uint8).reshape(width, -1).T.tobytes()


def _brief(error: BaseException) -> str:
    """Return the part of an error of HDF5 that says what it was, in one line."""
    text = " ".join(str(error).split())
    return (text.rpartition("(")[2].rstrip(")") or text or type(error).__name__)[:200]
