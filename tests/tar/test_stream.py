"""The bytes of a tar come out whole and hashed, however they come in."""

import hashlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.examples import share_of

from hpc_remetrics.tar.fault import LayerFault
from hpc_remetrics.tar.stream import TarStream

PIECES = st.lists(st.binary(min_size=1, max_size=9), max_size=9)
SIZES = st.lists(st.integers(0, 12), max_size=12)


@settings(max_examples=share_of(60))
@given(PIECES, SIZES)
def test_taken_in_any_pieces(chunks, sizes):
    data = b"".join(chunks)
    stream = TarStream(chunks)
    place = 0
    for size in sizes:
        assert stream.take(size) == data[place : place + size]
        place = min(place + size, len(data))
        assert stream.tell() == place
        assert stream.position <= len(stream.buffer)
    stream.drain()
    assert stream.size == stream.tell() == len(data)
    assert stream.digest() == hashlib.sha256(data).digest()


@settings(max_examples=share_of(60))
@given(PIECES, st.integers(0, 40), st.integers(0, 40))
def test_skipped_or_taken_exactly(chunks, first, second):
    data = b"".join(chunks)
    skipping = TarStream(chunks)
    taking = TarStream(chunks)
    if first + second <= len(data):
        skipping.skip(first)
        assert b"".join(taking.pieces(first)) == data[:first]
        assert skipping.tell() == taking.tell() == first
        assert skipping.take(second) == taking.take(second) == data[first : first + second]
        return
    for action in (skipping.skip, lambda size: list(taking.pieces(size))):
        with pytest.raises(LayerFault, match=f"ends {first + second + 1 - len(data)} bytes before"):
            action(first + second + 1)


def test_a_fill_says_how_many_bytes_there_are():
    stream = TarStream([b"abc", b"def", b"g"])
    assert stream.fill(1) == 3
    assert stream.take(2) == b"ab"
    assert stream.fill(1) == 1
    assert stream.size == 3
    assert stream.fill(4) == 4
    assert stream.fill(99) == 5
    assert stream.take(99) == b"cdefg"
    assert stream.fill(1) == 0


def test_a_chunk_of_a_large_file_is_not_copied():
    chunk = b"x" * 100
    stream = TarStream([b"head", chunk])
    stream.take(4)
    stream.fill(1)
    assert stream.buffer is chunk


@pytest.mark.parametrize(
    ("chunks", "taken", "is_trailing"),
    [
        ([], 0, False),
        ([b"\0\0", b"\0"], 0, False),
        ([b"a\0", b"\0"], 1, False),
        ([b"a\0", b"\0"], 0, True),
        ([b"\0\0", b"\0a"], 0, True),
        ([b"a\0", b"b\0", b"\0"], 1, True),
        ([b"a\1"], 1, True),
    ],
)
def test_drained_bytes_that_are_not_zero(chunks, taken, is_trailing):
    stream = TarStream(chunks)
    stream.take(taken)
    assert stream.drain() is is_trailing
    assert stream.digest() == hashlib.sha256(b"".join(chunks)).digest()
