"""Sparse members of an archive: their maps, and whole copies of those that are read.

archive   … header | fragment 1 | fragment 2 | …
file      hole, fragment 1, hole, fragment 2, hole      (sizes by the map: offset, length)
"""

from __future__ import annotations

import os
import struct
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from ..errors import SourceError
from .base import Extent

Fragments = list[tuple[int, int]]

_PIECE = 1 << 20
_PAIR = struct.Struct("12s12s")


@dataclass(frozen=True)
class SparseMember:
    """A file of which an archive stores only the fragments that are not holes.

    :param offset: of the first fragment in the archive.
    :param size: bytes of the file.
    :param fragments: (offset in the file, length) of each, in order.
    """

    offset: int
    size: int
    fragments: tuple[tuple[int, int], ...]


def checked(offset: int, size: int, stored: int, fragments: Fragments) -> SparseMember:
    """Return a member after a check of its map.

    :param stored: bytes of all fragments in the archive.
    :raises ValueError: fragments overlap, exceed the file, or have another total.
    """
    end = 0
    for start, length in fragments:
        if length < 0 or start < end or start + length > size:
            raise ValueError(f"a sparse fragment of {length} bytes at {start} in a file of {size}")
        end = start + length
    if sum(length for _, length in fragments) != stored:
        raise ValueError(f"a sparse map that does not fit its {stored} bytes")
    return SparseMember(offset, size, tuple(fragments))


def pairs(numbers: Iterable[int]) -> Fragments:
    """Return (offset, length) pairs of alternating numbers.

    :raises ValueError: their count is odd.
    """
    each = iter(numbers)
    return list(zip(each, each, strict=True))


def old_gnu_pairs(table: bytes, number: Callable[[bytes], int]) -> Fragments:
    """Return the fragments in a table of an old GNU header or of an extension block."""
    found = []
    for offset, length in _PAIR.iter_unpack(table[: len(table) // 24 * 24]):
        if not offset[0]:
            break
        found.append((number(offset), number(length)))
    return found


class Expanded:
    """Whole copies of sparse members, in one unnamed file in the directory for temporary files.

    They exist as long as this object. Holes take no space.
    """

    def __init__(self, archive: Path) -> None:
        self._archive = archive
        self._file = tempfile.TemporaryFile()  # noqa: SIM115 (it lives as long as this object)
        self._end = 0
        self._known: dict[SparseMember, Extent] = {}

    def extent(self, member: SparseMember) -> Extent:
        """Return where the whole copy of a member lies.

        :raises SourceError: there is no space for it.
        """
        if member not in self._known:
            try:
                self._copy(member)
            except OSError as error:
                where = tempfile.gettempdir()
                message = f"can't unpack a sparse file of {self._archive} into {where}"
                hint = "set TMPDIR to a directory with more space"
                raise SourceError(f"{message}: {error.strerror}", hint) from None
            # Other processes of this user on this node can open the file by this name.
            path = Path(f"/proc/{os.getpid()}/fd/{self._file.fileno()}")
            self._known[member] = Extent(path, self._end, member.size)
            self._end += member.size
        return self._known[member]

    def _copy(self, member: SparseMember) -> None:
        target = self._file.fileno()
        os.ftruncate(target, self._end + member.size)
        with open(self._archive, "rb", buffering=0) as stream:
            stream.seek(member.offset)
            for start, length in member.fragments:
                os.lseek(target, self._end + start, os.SEEK_SET)
                while length:
                    data = stream.read(min(length, _PIECE))
                    if not data:
                        raise OSError(0, "the archive became shorter")
                    length -= len(data)
                    self._file.write(data)
                self._file.flush()
