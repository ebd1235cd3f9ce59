"""ELF files made of tables alone."""

import struct

from hpc_remetrics.filetype.libmagic.beyond_head import ELF_FORMATS

INTERPRETER = 3
NOTE = 7
CAPABILITIES = 0x6FFFFFF5


def executable(
    sections: list[tuple[int, int, int]] = (),
    segments: list[tuple[int, int, int]] = (),
    *,
    kind: int = 3,
    wide: bool = True,
    order: str = "<",
    section_at: int | None = None,
    segment_at: int | None = None,
    size: int = 4096,
) -> bytes:
    """Return an ELF file of these sections and segments: type, offset and size of each."""
    mark = b"\x7fELF" + bytes([2 if wide else 1, 1 if order == "<" else 2, 1]) + bytes(9)
    layout = ELF_FORMATS[mark[4], mark[5]]
    head = layout.header.size
    segment_at = head if segment_at is None else segment_at
    section_at = (
        segment_at + len(segments) * layout.segment.size if section_at is None else section_at
    )
    word = "Q" if wide else "I"
    header = mark + struct.pack(
        f"{order}HHI{word}{word}{word}IHHHHHH",
        *(kind, 62 if wide else 3, 1, 0, segment_at, section_at, 0),
        *(head, layout.segment.size, len(segments), layout.section.size, len(sections), 0),
    )
    data = bytearray(header.ljust(size, b"\0"))
    for number, (type_, at, length) in enumerate(segments):
        layout.segment.pack_into(data, segment_at + number * layout.segment.size, type_, at, length)
    for number, (type_, at, length) in enumerate(sections):
        where = section_at + number * layout.section.size
        if where + layout.section.size <= size:
            layout.section.pack_into(data, where, type_, at, length)
    return bytes(data)
