"""Both ends of a content are its bytes, wherever the pieces of its tail begin."""

import io
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpc_remetrics.filetype.libmagic.binding import _MemoryFile
from hpc_remetrics.filetype.libmagic.content import (
    ContentEnds,
    head_of_content,
    read_content,
    size_of_content,
)

DATA = bytes(range(100))
HELD = ContentEnds(DATA[:20], (DATA[70:75], DATA[75:90], DATA[90:]), 100)
JOINED = ContentEnds(DATA[:20], (DATA[20:60], DATA[60:]), 100)


@pytest.mark.parametrize("size", [0, 1, 10, 11, 25, 26, 30])
def test_last_bytes(size):
    assert HELD.last(size) == (DATA[-size:] if size else b"")
    assert JOINED.last(size) == HELD.last(size)


def test_last_bytes_reach_into_the_head():
    assert JOINED.last(95) == DATA[5:]
    assert JOINED.last(1000) == DATA
    assert HELD.last(1000) == DATA[:20] + DATA[70:]


@given(st.integers(0, 110), st.integers(0, 110))
def test_reading_gives_the_bytes_or_nothing(offset, size):
    end = offset + size
    in_ends = end <= 20 or (offset >= 70 and end <= 100)
    assert HELD.read(offset, size) == (DATA[offset:end] if in_ends else None)
    whole = DATA[offset:end] if end <= 100 else None
    assert JOINED.read(offset, size) == whole
    assert read_content(DATA, offset, size) == whole
    assert read_content(HELD, offset, size) == HELD.read(offset, size)


def test_heads_and_sizes():
    assert head_of_content(DATA, 100) is DATA
    assert head_of_content(DATA, 99) == DATA[:99]
    assert head_of_content(HELD, 7) == DATA[:7]
    assert head_of_content(HELD, 50) is HELD.head
    assert (size_of_content(DATA), size_of_content(HELD)) == (100, 100)


def stored(file: _MemoryFile, content) -> bytes:
    descriptor = file.hold(content)
    with open(descriptor, "rb", closefd=False) as opened:
        opened.seek(0)
        return opened.read()


def test_a_file_in_memory_holds_one_content_after_the_other(tmp_path):
    file = _MemoryFile()
    with_hole = DATA[:20] + bytes(50) + DATA[70:]
    with (tmp_path / "whole").open("w+b") as whole:
        whole.write(b"whole")
        whole.flush()
        for content, want in (
            (DATA, DATA),
            (b"short", b"short"),
            (b"longer than it", b"longer than it"),
            (HELD, with_hole),
            (b"x", b"x"),
            (HELD, with_hole),
            (HELD._replace(whole=whole), b"whole"),
            (DATA, DATA),
        ):
            assert stored(file, content) == want


def test_the_file_in_memory_has_the_permissions_of_a_file(monkeypatch):
    """libmagic looks at them; a file in memory has all."""
    for lacks_memory_files in (False, True):
        if lacks_memory_files:
            monkeypatch.delattr(os, "memfd_create")
        descriptor = _MemoryFile().hold(b"x")
        assert os.fstat(descriptor).st_mode & 0o777 == 0o644
        os.close(descriptor)


def test_many_pieces_are_written():
    pieces = tuple(bytes([number % 251]) for number in range(1500))
    held = ContentEnds(b"ab", pieces, 2000)
    assert stored(_MemoryFile(), held) == b"ab" + bytes(498) + b"".join(pieces)
    assert io.BytesIO(held.last(1500)).read() == b"".join(pieces)
