"""What libmagic reads of an ELF file beyond its first bytes, and when that can't be an error
(readelf.c).

libmagic follows the tables of such a file wherever they are, but only where it has a file: it adds
what it finds behind a comma, or gives up with an error. Of a buffer it reads nothing. The head of a
type ends before that comma, so that both answers have one head wherever an error is ruled out.
"""

from __future__ import annotations

from collections.abc import Callable
from struct import Struct
from typing import NamedTuple

Read = Callable[[int, int], "bytes | None"]
"""Return so many bytes of a file from an offset on, None if they are not known or not all there."""

_REL, _EXEC, _DYN, _CORE = 1, 2, 3, 4
_DYNAMIC, _INTERP, _NOTE = 2, 3, 4
_SECTION_NOTE = 7
_SECTION_CAPABILITIES = 0x6FFFFFF5  # SHT_SUNW_cap

_READ_SEGMENTS = frozenset((_DYNAMIC, _INTERP, _NOTE))
_READ_SECTIONS = frozenset((_SECTION_NOTE, _SECTION_CAPABILITIES))

_LONGEST_NOTE = 1 << 20
"""Bytes of a section of notes that no version finds too large."""

_LONGEST_NAME = 200
"""Bytes of an interpreter's name that libmagic prints in any case: 1,024 with escapes."""


class _Header(NamedTuple):
    type: int
    program_offset: int
    section_offset: int
    program_size: int
    programs: int
    section_size: int
    sections: int
    names: int


class _Layout(NamedTuple):
    """The tables of one class and byte order.

    :ivar program: offset and size of a segment, with its type before them; `section`: of a section.
    """

    header: Struct
    program: Struct
    section: Struct


def _layout(wide: bool, order: str) -> _Layout:
    if wide:
        # A segment's flags stand before its offset, and two addresses between offset and size.
        formats = ("16xH6x8xQQ6xHHHHH", "I4xQ16xQ16x", "4xI16xQQ24x")
    else:
        formats = ("16xH6x4xII6xHHHHH", "II8xI12x", "4xI8xII16x")
    return _Layout(*(Struct(order + one) for one in formats))


_LAYOUTS = {
    (kind, order): _layout(kind == 2, mark)
    for kind in (1, 2)
    for order, mark in ((1, "<"), (2, ">"))
}
"""By class and byte order, as the fifth and sixth byte of a file name them."""


def begins(head: bytes) -> bool:
    """Tell whether libmagic takes a file for ELF (file_tryelf)."""
    return head[:1] == b"\x7f" and head[1:2] in (b"E", b"O") and head[2:4] == b"LF"


def cannot_fail(head: bytes, size: int, read: Read) -> bool:
    """Tell whether what libmagic reads of an ELF file is surely no error, and begins with a comma.

    :param head: the file's first bytes.
    :param size: bytes of the whole file.
    """
    found = _header(head)
    if found is None:
        return False
    layout, header = found
    if header.type == _CORE:
        return False
    if header.type not in (_REL, _EXEC, _DYN):
        return True  # libmagic reads no more of it
    return _segments_do(layout, header, size, read) and _sections_do(layout, header, size, read)


def names_other_places(head: bytes, size: int, ends: int) -> bool:
    """Tell whether an ELF file has a table, or a segment that is printed, between its first and
    last `ends` bytes."""
    if not begins(head) or (found := _header(head)) is None:
        return False
    layout, header = found
    programs = (header.program_offset, header.programs * header.program_size)
    places = [programs, (header.section_offset, header.sections * header.section_size)]
    if sum(programs) <= len(head) and header.program_size == layout.program.size:
        table = head[programs[0] : sum(programs)]
        places += [
            (at, length)
            for kind, at, length in layout.program.iter_unpack(table)
            if kind == _INTERP
        ]
    return any(at + length > ends and at < size - ends for at, length in places if length)


def _header(head: bytes) -> tuple[_Layout, _Header] | None:
    layout = _LAYOUTS.get((head[4], head[5])) if len(head) > 5 else None
    if layout is None or len(head) <= layout.header.size:
        return None
    return layout, _Header._make(layout.header.unpack_from(head))


def _segments_do(layout: _Layout, header: _Header, size: int, read: Read) -> bool:
    if header.type == _REL or not header.programs:
        return True
    if header.program_size != layout.program.size:
        return False
    table = read(header.program_offset, header.programs * header.program_size)
    if table is None:
        return False
    read_ones = [one for one in layout.program.iter_unpack(table) if one[0] in _READ_SEGMENTS]
    return all(
        at + length <= size and (kind != _INTERP or length <= _LONGEST_NAME)
        for kind, at, length in read_ones
    )


def _sections_do(layout: _Layout, header: _Header, size: int, read: Read) -> bool:
    if not header.sections:
        return True
    if header.section_size != layout.section.size or header.names >= header.sections:
        return False
    table = read(header.section_offset, header.sections * header.section_size)
    if table is None:
        return False
    read_ones = [one for one in layout.section.iter_unpack(table) if one[0] in _READ_SECTIONS]
    return all(
        kind == _SECTION_NOTE and at + length <= size and length <= _LONGEST_NOTE
        for kind, at, length in read_ones
    )
