"""Sparse members of an archive that is read in place: their maps, and a whole copy of each that is
asked for."""

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
    """A file of which an archive holds only fragments, one behind the other.

    :param offset: of the first fragment in the archive.
    :param size: bytes of the file.
    :param fragments: (offset in the file, length) of each, in order.
    """

    offset: int
    size: int
    fragments: tuple[tuple[int, int], ...]


def checked(offset: int, size: int, stored: int, fragments: Fragments) -> SparseMember:
    """Return the member; `ValueError` if its fragments overlap, pass its end, or are not what is
    stored."""
    end = 0
    for start, length in fragments:
        if length < 0 or start < end or start + length > size:
            raise ValueError(f"a sparse fragment of {length} bytes at {start} in a file of {size}")
        end = start + length
    if sum(length for _, length in fragments) != stored:
        raise ValueError(f"a sparse map that does not fit its {stored} bytes")
    return SparseMember(offset, size, tuple(fragments))


def pairs(numbers: Iterable[int]) -> Fragments:
    """Return (offset, length) of numbers that alternate; `ValueError` if one is left over."""
    each = iter(numbers)
    return list(zip(each, each, strict=True))


def old_gnu_pairs(table: bytes, number: Callable[[bytes], int]) -> Fragments:
    """Return the fragments that a table of an old GNU header, or of a block that extends it,
    names."""
    found = []
    for offset, length in _PAIR.iter_unpack(table[: len(table) // 24 * 24]):
        if not offset[0]:
            break
        found.append((number(offset), number(length)))
    return found


class Expanded:
    """Whole copies of sparse members, in one file without a name in the directory for temporary
    files.

    They live as long as this object. The holes take no room.
    """

    def __init__(self, archive: Path) -> None:
        self._archive = archive
        self._file = tempfile.TemporaryFile()  # noqa: SIM115 (it lives as long as this object)
        self._end = 0
        self._known: dict[SparseMember, Extent] = {}

    def extent(self, member: SparseMember) -> Extent:
        """Return where the whole member lies; `SourceError` if there is no room for it."""
        if member not in self._known:
            try:
                self._copy(member)
            except OSError as error:
                raise SourceError(
                    f"can't unpack a sparse file of {self._archive} into {tempfile.gettempdir()}: {error.strerror}",
                    "set TMPDIR to a directory with more room",
                ) from None
            # Other processes of this user on this node can open it by this name.
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
                        raise OSError(0, "the archive has become shorter")
                    length -= len(data)
                    self._file.write(data)
                self._file.flush()
