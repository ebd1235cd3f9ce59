"""Reads of libmagic beyond a file's first bytes, and whether they can matter."""

import pytest
from support.elf import NOTE, executable

from hpc_remetrics.filetype.libmagic.beyond_head import (
    is_compound_document,
    is_elf,
    is_head_enough,
    is_read_in_hole,
)
from hpc_remetrics.filetype.libmagic.content import ContentEnds

DYNAMIC, INTERPRETER, LOAD = 2, 3, 1
CAPABILITIES = 0x6FFFFFF5
COMPOUND = bytes.fromhex("d0cf11e0a1b11ae1")
MANY = [(LOAD, 0, 10)] * 3


def test_formats():
    assert is_elf(b"\x7fELF")
    assert is_elf(b"\x7fOLF")
    assert not is_elf(b"\x7fXLF")
    assert not is_elf(b"xELF")
    assert not is_elf(b"\x7fELG")
    assert is_compound_document(COMPOUND + b"x")
    assert not is_compound_document(COMPOUND[:-1])


@pytest.mark.parametrize("wide", [True, False])
@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize(
    ("made", "sound"),
    [
        ({}, True),
        ({"sections": [(1, 0, 0), (NOTE, 1000, 64)]}, True),
        ({"sections": [(1, 4096, 0), (NOTE, 1000, 64)]}, True),
        ({"sections": [(1, 4097, 0), (NOTE, 1000, 64)]}, False),  # the names of sections
        ({"sections": [(1, 0, 0), (NOTE, 4096 - 64, 64)]}, True),
        ({"sections": [(1, 0, 0), (NOTE, 4096 - 63, 64)]}, False),
        ({"sections": [(1, 0, 0), (1, 9000, 64)]}, True),  # libmagic doesn't read it
        ({"sections": [(1, 0, 0), (NOTE, 1000, (1 << 20) + 1)], "size": 2 << 20}, False),
        ({"sections": [(1, 0, 0), (NOTE, 1000, 1 << 20)], "size": 2 << 20}, True),
        ({"sections": [(1, 0, 0), (CAPABILITIES, 1000, 64)]}, False),
        ({"sections": MANY, "section_at": 4000}, False),  # the table is cut
        ({"segments": [(DYNAMIC, 1000, 64)]}, True),
        ({"segments": [(DYNAMIC, 4096 - 64, 64)]}, True),
        ({"segments": [(DYNAMIC, 4096 - 63, 64)]}, False),
        ({"segments": [(4, 4096 - 63, 64)]}, False),
        ({"segments": [(LOAD, 9000, 64)]}, True),
        ({"segments": [(INTERPRETER, 1000, 200)]}, True),
        ({"segments": [(INTERPRETER, 1000, 201)]}, False),
        ({"segments": [(DYNAMIC, 1000, 201)]}, True),
        ({"segments": [(DYNAMIC, 9000, 64)], "kind": 1}, True),  # of relocatable files none is read
        ({"segments": [(DYNAMIC, 9000, 64)], "kind": 2}, False),
        ({"kind": 4}, False),  # a core file
        ({"kind": 5, "sections": [(1, 0, 0), (CAPABILITIES, 1000, 64)]}, True),
    ],
)
def test_errors_are_ruled_out(made, sound, wide, order):
    data = executable(**made, wide=wide, order=order)
    assert is_head_enough(data, data) is sound


def test_headers_that_are_not_understood():
    data = executable()
    assert not is_head_enough(data[:64], data[:64])
    assert is_head_enough(data[:65], data[:65])
    assert not is_head_enough(data[:5], data[:5])
    for at, value in ((4, 7), (5, 7)):
        odd = data[:at] + bytes([value]) + data[at + 1 :]
        assert not is_head_enough(odd, odd)


def patched(data: bytes, at: int, value: int) -> bytes:
    return data[:at] + value.to_bytes(2, "little") + data[at + 2 :]


def test_tables_of_odd_sizes():
    data = executable([(1, 0, 0)], [(LOAD, 0, 0)])
    assert is_head_enough(data, data)
    for at, value in ((54, 57), (58, 65), (62, 1), (62, 9)):  # sizes of entries; names' section
        odd = patched(data, at, value)
        assert not is_head_enough(odd, odd)


def test_other_files_and_held_ones():
    assert is_head_enough(b"text", b"text")
    assert not is_head_enough(COMPOUND, COMPOUND)
    data = executable([(1, 0, 0), (NOTE, 1000, 64)], section_at=3900)
    assert is_head_enough(ContentEnds(data[:100], (data[3800:],), len(data)), data[:100])
    assert not is_head_enough(ContentEnds(data[:100], (data[3950:],), len(data)), data[:100])


@pytest.mark.parametrize(
    ("made", "in_hole"),
    [
        ({"sections": MANY, "section_at": 100}, False),
        ({"sections": MANY, "section_at": 2000}, True),
        ({"sections": MANY, "section_at": 3096}, False),
        ({"sections": MANY, "section_at": 3095}, True),
        ({"sections": MANY, "section_at": 1000 - 3 * 64}, False),
        ({"sections": MANY, "section_at": 1001 - 3 * 64}, True),
        ({"segments": MANY, "segment_at": 2000}, True),
        ({"segments": [(INTERPRETER, 2000, 9)]}, True),
        ({"segments": [(INTERPRETER, 2000, 0)]}, False),
        ({"segments": [(DYNAMIC, 2000, 9)]}, False),
        ({}, False),
    ],
)
def test_places_between_the_ends(made, in_hole):
    data = executable(**made, size=4096)
    assert is_read_in_hole(data[:1000], 4096) is in_hole


def test_compound_documents_are_read_anywhere():
    assert is_read_in_hole(COMPOUND.ljust(1000), 2001)
    assert not is_read_in_hole(COMPOUND.ljust(1000), 2000)
    assert not is_read_in_hole(b"text".ljust(1000), 2001)
