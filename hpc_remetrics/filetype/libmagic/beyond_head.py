"""ELF files and compound documents: what libmagic reads beyond the head of a file.

libmagic follows the tables of an ELF file (readelf.c) and the directory of a compound document
(cdf.c, the format of .doc and .msi files) wherever they are, but only if it has a file: of a buffer
in memory it reads nothing more. For an ELF file it adds what it finds behind a comma, or it gives
up with an error::

    buffer:  ELF 64-bit LSB shared object, x86-64, version 1 (SYSV)
    file:    ELF 64-bit LSB shared object, x86-64, version 1 (SYSV), dynamically linked, BuildID…
             |------------- head of the type ---|

The head of a type (`heads.head_of`) ends before that comma. So a buffer is enough for an ELF file
wherever an error is ruled out, and this module reads the tables to rule it out.
"""

from __future__ import annotations

from struct import Struct
from typing import NamedTuple

from .content import ContentBytes, read_content, size_of_content

_COMPOUND_MAGIC = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"

# Values of the ELF specification: file types, segment types, section types.
_ET_REL, _ET_EXEC, _ET_DYN, _ET_CORE = 1, 2, 3, 4
_PT_DYNAMIC, _PT_INTERP, _PT_NOTE = 2, 3, 4
_SHT_NOTE = 7
_SHT_SUNW_CAP = 0x6FFFFFF5

_READ_SEGMENTS = frozenset((_PT_DYNAMIC, _PT_INTERP, _PT_NOTE))
_READ_SECTIONS = frozenset((_SHT_NOTE, _SHT_SUNW_CAP))

_MAX_NOTE_BYTES = 1 << 20
"""Bytes of a section of notes that no version of libmagic finds too large."""

_MAX_INTERPRETER_BYTES = 200
"""Bytes of an interpreter's name that libmagic prints in any case: 1,024 with escapes."""


class _ElfHeader(NamedTuple):
    """The fields of an ELF header that libmagic uses, in the order in which they are stored."""

    type: int
    segment_offset: int
    section_offset: int
    segment_size: int
    segments: int
    section_size: int
    sections: int
    name_section: int


class _ElfFormat(NamedTuple):
    """How the tables of one class and byte order are stored.

    :ivar header: gives an :class:`_ElfHeader`.
    :ivar segment: gives type, offset and size of a segment; `section`: of a section.
    """

    header: Struct
    segment: Struct
    section: Struct


_FORMATS_32 = ("16xH6x4xII6xHHHHH", "II8xI12x", "4xI8xII16x")
# A segment's flags stand before its offset, and two addresses between offset and size.
_FORMATS_64 = ("16xH6x8xQQ6xHHHHH", "I4xQ16xQ16x", "4xI16xQQ24x")

ELF_FORMATS = {
    (class_, order): _ElfFormat(*(Struct(mark + fields) for fields in formats))
    for class_, formats in ((1, _FORMATS_32), (2, _FORMATS_64))
    for order, mark in ((1, "<"), (2, ">"))
}
"""By class (1: 32 bits, 2: 64 bits) and byte order (1: little, 2: big): bytes 4 and 5 of a file."""


def is_elf(head: bytes) -> bool:
    """Tell whether libmagic takes a file for ELF (file_tryelf)."""
    return head[:1] == b"\x7f" and head[1:2] in (b"E", b"O") and head[2:4] == b"LF"


def is_compound_document(head: bytes) -> bool:
    """Tell whether libmagic takes a file for a compound document (CDF_MAGIC)."""
    return head.startswith(_COMPOUND_MAGIC)


def is_head_enough(content: ContentBytes, head: bytes) -> bool:
    """Tell whether libmagic says the same of a file and of its head, but for what ends an ELF type.

    Rules that look at the end of a file are not regarded here.

    :param head: first bytes of the content, as many as libmagic reads.
    """
    if is_elf(head):
        return _is_sound_elf(content, head)
    return not is_compound_document(head)


def is_read_in_hole(head: bytes, size: int) -> bool:
    """Tell whether libmagic may read a file between its first and its last `len(head)` bytes.

    :param size: bytes of the whole file.
    """
    if size <= 2 * len(head):
        return False
    return is_compound_document(head) or _has_elf_places_in_hole(head, size)


def _elf_header(head: bytes) -> tuple[_ElfFormat, _ElfHeader] | None:
    """Read an ELF header; None if its class or byte order is unknown, or it is cut."""
    format_ = ELF_FORMATS.get((head[4], head[5])) if len(head) > 5 else None
    if format_ is None or len(head) <= format_.header.size:
        return None
    return format_, _ElfHeader._make(format_.header.unpack_from(head))


def _is_sound_elf(content: ContentBytes, head: bytes) -> bool:
    """Tell whether what libmagic reads of an ELF file is surely no error, and begins with a comma."""
    parsed = _elf_header(head)
    if parsed is None:
        return False
    format_, header = parsed
    if header.type == _ET_CORE:
        return False
    if header.type not in (_ET_REL, _ET_EXEC, _ET_DYN):
        return True  # libmagic reads no more of it
    return _are_segments_sound(format_, header, content) and _are_sections_sound(
        format_, header, content
    )


def _are_segments_sound(format_: _ElfFormat, header: _ElfHeader, content: ContentBytes) -> bool:
    """Tell whether libmagic surely meets no error in the segments."""
    if header.type == _ET_REL or not header.segments:
        return True
    if header.segment_size != format_.segment.size:
        return False

    # Read the table of segments; those that libmagic reads must lie within the file.
    table = read_content(content, header.segment_offset, header.segments * header.segment_size)
    if table is None:
        return False
    size = size_of_content(content)
    for type_, offset, length in format_.segment.iter_unpack(table):
        if type_ not in _READ_SEGMENTS:
            continue
        if offset + length > size:
            return False
        if type_ == _PT_INTERP and length > _MAX_INTERPRETER_BYTES:
            return False
    return True


def _are_sections_sound(format_: _ElfFormat, header: _ElfHeader, content: ContentBytes) -> bool:
    """Tell whether libmagic surely meets no error in the sections."""
    if not header.sections:
        return True
    if header.section_size != format_.section.size or header.name_section >= header.sections:
        return False
    table = read_content(content, header.section_offset, header.sections * header.section_size)
    if table is None:
        return False
    size = size_of_content(content)
    sections = list(format_.section.iter_unpack(table))
    _, offset_of_names, _ = sections[header.name_section]
    if offset_of_names > size:
        return False  # before 5.40 an error, if it is a negative number
    for type_, offset, length in sections:
        if type_ not in _READ_SECTIONS:
            continue
        if type_ != _SHT_NOTE or offset + length > size or length > _MAX_NOTE_BYTES:
            return False
    return True


def _has_elf_places_in_hole(head: bytes, size: int) -> bool:
    """Tell whether an ELF file has a table, or an interpreter's name, between its ends."""
    if not is_elf(head) or (parsed := _elf_header(head)) is None:
        return False
    format_, header = parsed
    segment_bytes = header.segments * header.segment_size
    segment_end = header.segment_offset + segment_bytes
    # List the places that libmagic reads: both tables, and the interpreter's name.
    places = [
        (header.segment_offset, segment_bytes),
        (header.section_offset, header.sections * header.section_size),
    ]
    if segment_end <= len(head) and header.segment_size == format_.segment.size:
        table = head[header.segment_offset : segment_end]
        places += [
            (offset, length)
            for type_, offset, length in format_.segment.iter_unpack(table)
            if type_ == _PT_INTERP
        ]
    hole_end = size - len(head)
    return any(
        offset + length > len(head) and offset < hole_end for offset, length in places if length
    )
