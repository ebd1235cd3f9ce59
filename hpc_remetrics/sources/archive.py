"""A tar archive on disk as a read-only tree of files, which are read in place."""

from __future__ import annotations

import os
import posixpath
from pathlib import Path

from ..errors import SourceError
from ..limits import Limits
from .base import Extent
from .local import FileTree
from .sparse_members import Expanded, Fragments, SparseMember, checked, old_gnu_pairs, pairs

Members = dict[str, Extent | SparseMember | str]

_BLOCK = 512
_MAX_MEMBERS = 250_000
_MAX_PATH = 4096
_MAX_HOPS = 40
_SPARSE = "GNU.sparse."
_COMPRESSED = {
    b"\x1f\x8b": ("gzip", "gunzip --keep"),
    b"\x28\xb5\x2f\xfd": ("zstd", "unzstd"),
    b"BZh": ("bzip2", "bunzip2 --keep"),
    b"\xfd7zXZ\x00": ("xz", "unxz --keep"),
}


class Archive(FileTree):
    """The files of a tar archive (v7, ustar, GNU, PAX) by path; links are followed inside it only.

    The first access scans the headers, seeks over the contents, and keeps only paths and positions.
    A sparse file is copied whole when it is read (`sparse_members.Expanded`). A compressed archive
    is refused, since nothing in it can be read in place.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._members: Members | None = None
        self._expanded: Expanded | None = None

    @property
    def name(self) -> str:
        return self.path.name.removesuffix(".tar")

    @property
    def members(self) -> Members:
        """Path -> where the file lies, or the target of a link.

        :raises SourceError: this is not a complete tar archive.
        """
        if self._members is None:
            self._members = _scan(self.path)
        return self._members

    def find(self, path: str) -> Extent | None:
        target = self.follow(path)
        found = self.members.get(target) if target else None
        if isinstance(found, SparseMember):
            if self._expanded is None:
                self._expanded = Expanded(self.path)
            return self._expanded.extent(found)
        return found if isinstance(found, Extent) else None

    def follow(self, path: str) -> str | None:
        """Return the path where a chain of links ends, None if it leaves the archive or loops."""
        target = _inside(path)
        for _ in range(_MAX_HOPS):
            if target is None:
                return None
            found = self.members.get(target)
            if not isinstance(found, str):
                return target
            target = _inside(found)
        return None


def _inside(path: str) -> str | None:
    """Return a path without `.` and `..`, None if it leaves the archive.

    >>> _inside("a/../b/./layer.tar"), _inside("../b")
    ('b/layer.tar', None)
    """
    path = posixpath.normpath(path)
    return None if path.startswith(("/", "../")) or path in ("..", ".") else path


def _scan(place: Path) -> Members:
    try:
        with open(place, "rb", buffering=0) as stream:
            return _HeaderScan(place, stream.fileno()).run()
    except OSError as error:
        raise SourceError(f"can't read {place}: {error.strerror or error}") from None


class _HeaderScan:
    """One pass over all headers of an archive; an extended header applies to the next member."""

    def __init__(self, place: Path, descriptor: int) -> None:
        self._place = place
        self._descriptor = descriptor
        self._length = os.fstat(descriptor).st_size
        self._offset = 0
        self._count = 0
        self._extended: dict[str, str] = {}
        self._map_bytes = 0
        self._members: Members = {}

    def run(self) -> Members:
        """Scan the archive and return its members."""
        while header := self._next_header():
            self._count += 1
            if self._count > _MAX_MEMBERS:
                raise SourceError(f"{self._place} has more than {_MAX_MEMBERS} members")
            self._member(header)
        return self._members

    def _fail(self, what: str) -> SourceError:
        return SourceError(
            f"{self._place} is not a whole tar archive: {what} at byte {self._offset}"
        )

    def _read(self, size: int) -> bytes:
        data = os.pread(self._descriptor, size, self._offset)
        if len(data) < size:
            raise self._fail("it is cut off")
        return data

    def _next_header(self) -> bytes | None:
        """Return the header block at the offset, None at the end of the archive."""
        if self._offset == self._length and self._count:
            return None
        header = self._read(_BLOCK) if self._length >= _BLOCK else b""
        if not self._offset:
            self._refuse_compressed(header)
        if not header.strip(b"\0"):
            if not self._count:
                raise self._fail("it is empty")
            return None
        unsigned = sum(header) - sum(header[148:156]) + 8 * 32
        # Old tars summed signed characters.
        signed = unsigned - 256 * sum(byte > 127 for byte in header[:148] + header[156:])
        if self._number(header[148:156]) not in (unsigned, signed):
            raise self._fail("no header")
        return header

    def _refuse_compressed(self, header: bytes) -> None:
        for magic, (name, command) in _COMPRESSED.items():
            if header.startswith(magic):
                hint = f"unpack it first: {command} {self._place}"
                raise SourceError(f"{self._place} is compressed with {name}", hint)

    def _number(self, field: bytes) -> int:
        """Parse an octal or base-256 number, which must not be negative."""
        if field[0] == 0x80:
            return int.from_bytes(field[1:], "big")
        try:
            number = int(field.strip(b" \0").partition(b"\0")[0].strip() or b"0", 8)
        except ValueError:
            number = -1
        if number < 0:
            raise self._fail("a bad number")
        return number

    def _member(self, header: bytes) -> None:
        kind = header[156:157]
        if kind in b"LKxgX":
            return self._extend(kind, self._number(header[124:136]))
        extended, self._extended = self._extended, {}
        size = self._size(header, extended)
        self._offset += _BLOCK
        # Links, directories and devices have no bytes, whatever size they state.
        if kind == b"S":
            self._add(header, extended, self._old_gnu_sparse(header, size))
        elif kind in (b"\0", b"0", b"7") and (version := _sparse_version(extended)):
            name = extended.get(f"{_SPARSE}name") or extended.get("path")
            named = {**extended, "path": name} if name else extended
            self._add(header, named, self._pax_sparse(extended, version, size))
            size -= self._map_bytes
        elif kind in (b"\0", b"0", b"7"):
            self._add(header, extended, Extent(self._place, self._offset, size))
        elif kind in b"12":
            self._add_link(header, extended, kind)
        self._skip(0 if kind in b"123456" else size)

    def _old_gnu_sparse(self, header: bytes, stored: int) -> SparseMember:
        """Read the map of an old GNU header and its extensions; move the offset to the data."""
        if header[257:265] != b"ustar  \0":
            raise self._fail("a sparse member that is not GNU's")
        fragments = old_gnu_pairs(header[386:482], self._number)
        more = header[482]
        blocks = 0
        while more:
            blocks += 1
            self._bound(97 + blocks * _BLOCK + 1)
            block = self._read(_BLOCK)
            self._offset += _BLOCK
            fragments += old_gnu_pairs(block[:504], self._number)
            more = block[504]
        return self._checked(self._number(header[483:495]), stored, fragments)

    def _pax_sparse(self, extended: dict[str, str], version: str, stored: int) -> SparseMember:
        """Read the map of a PAX sparse member: in the records or, in format 1.0, in the data."""
        size = self._decimal(
            extended.get(f"{_SPARSE}size") or extended.get(f"{_SPARSE}realsize") or str(stored)
        )
        self._map_bytes = 0
        if version != "1.0":
            count = self._decimal(extended.get(f"{_SPARSE}numblocks", ""))
            words = extended.get(f"{_SPARSE}map", "")
            numbers = [self._decimal(word) for word in words.split(",")] if words else []
        else:
            count, numbers = self._map_in_data(stored)
        if len(numbers) != 2 * count:
            raise self._fail("a bad sparse map")
        return self._checked(size, stored - self._map_bytes, pairs(numbers))

    def _map_in_data(self, stored: int) -> tuple[int, list[int]]:
        """Return the numbers of the map, their count first; move the offset to the data."""
        blocks = []
        ended = 0
        wanted = 1

        # Read whole blocks until they hold all numbers; the first says how many there are.
        while ended < wanted:
            self._map_bytes += _BLOCK
            self._bound(self._map_bytes)
            if self._map_bytes > stored:
                raise self._fail("a sparse map that does not end")
            blocks.append(self._read(_BLOCK))
            self._offset += _BLOCK
            ended += blocks[-1].count(b"\n")
            if wanted == 1 and ended:
                first_line = b"".join(blocks).partition(b"\n")[0]
                wanted += 2 * self._decimal(_text(first_line))

        # Take the numbers apart; what fills the last block is no part of them.
        lines = b"".join(blocks).split(b"\n", wanted)[:wanted]
        count, *numbers = [self._decimal(_text(line)) for line in lines]
        return count, numbers

    def _checked(self, size: int, stored: int, fragments: Fragments) -> SparseMember:
        try:
            return checked(self._offset, size, stored, fragments)
        except ValueError as error:
            raise self._fail(str(error)) from None

    def _bound(self, size: int) -> None:
        limit = Limits().header_bytes
        if size > limit:
            raise self._fail(f"a sparse map of more than {limit} bytes")

    def _decimal(self, text: str) -> int:
        digits = text.removeprefix("+").lstrip("0")
        if not text.removeprefix("+").isdecimal() or not text.isascii() or len(digits) > 18:
            raise self._fail("a bad number")
        return int(digits or "0")

    def _size(self, header: bytes, extended: dict[str, str]) -> int:
        if "size" not in extended:
            return self._number(header[124:136])
        return self._decimal(extended["size"])

    def _skip(self, size: int) -> None:
        end = self._offset + size
        if end > self._length:
            raise self._fail("it is cut off in the member")
        # The padding of the last member may be missing.
        self._offset = min(end + -size % _BLOCK, self._length)

    def _extend(self, kind: bytes, size: int) -> None:
        """Remember a GNU long name or link, or a PAX header, for the next member."""
        limit = Limits().header_bytes
        if size > limit:
            raise self._fail(f"an extended header of more than {limit} bytes")
        self._offset += _BLOCK
        data = self._read(size)
        if kind in b"LK":
            self._extended["path" if kind == b"L" else "linkpath"] = _text(data.rstrip(b"\0"))
        elif kind in b"xX":
            self._extended.update(self._records(data))
        self._skip(size)

    def _records(self, data: bytes) -> dict[str, str]:
        """Parse PAX records `LENGTH KEY=VALUE\\n`, where LENGTH counts the whole record."""
        records = {}
        numbers = []
        start = 0
        end = len(data.rstrip(b"\0"))
        while start < end:
            space = data.find(b" ", start)
            length = self._decimal(_text(data[start : max(space, start)]))
            if not space + 2 <= start + length <= len(data):
                raise self._fail("a bad PAX record")
            key, _, value = data[space + 1 : start + length - 1].partition(b"=")
            # Sparse files of format 0.0 have one record for each number, those of 0.1 one for all.
            if key in (b"GNU.sparse.offset", b"GNU.sparse.numbytes"):
                numbers.append(_text(value))
            else:
                records[_text(key)] = _text(value)
            start += length
        if numbers:
            records[f"{_SPARSE}map"] = ",".join(numbers)
        return records

    def _path(self, header: bytes, extended: dict[str, str]) -> str | None:
        if "path" in extended:
            return _inside(extended["path"].lstrip("/"))
        prefix = _field(header[345:500]) if header[257:263] == b"ustar\0" else ""
        return _inside(posixpath.join(prefix, _field(header[:100])).lstrip("/"))

    def _add(
        self, header: bytes, extended: dict[str, str], member: Extent | SparseMember | str
    ) -> None:
        path = self._path(header, extended)
        if path is not None and len(path) <= _MAX_PATH:
            self._members[path] = member

    def _add_link(self, header: bytes, extended: dict[str, str], kind: bytes) -> None:
        """Keep a link with its target as a path from the top of the archive."""
        path = self._path(header, extended)
        target = extended.get("linkpath", _field(header[157:257]))
        if path is not None and len(target) <= _MAX_PATH:
            folder = posixpath.dirname(path) if kind == b"2" else ""
            self._add(header, extended, posixpath.join(folder, target))


def _sparse_version(extended: dict[str, str]) -> str:
    """Return the format of a PAX sparse member, "" if it is not sparse, as Go's reader does."""
    major = extended.get(f"{_SPARSE}major", "")
    minor = extended.get(f"{_SPARSE}minor", "")
    if (major, minor) in (("0", "0"), ("0", "1"), ("1", "0")):
        return f"{major}.{minor}"
    return "0.1" if not major + minor and extended.get(f"{_SPARSE}map") else ""


def _field(data: bytes) -> str:
    return _text(data.partition(b"\0")[0])


def _text(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")
