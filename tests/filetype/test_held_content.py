"""Content that comes in pieces and is held in part, with ends of a few bytes."""

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpc_remetrics.filetype import held_content
from hpc_remetrics.filetype.held_content import ContentEnds, ContentKeeper, keep

ENDS = 10
COMPOUND = bytes.fromhex("d0cf11e0a1b11ae1")


@pytest.fixture(autouse=True, scope="module")
def short_ends():
    """Hold ten bytes of each end."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(held_content, "HEAD_BYTES", ENDS)
        yield


@given(st.lists(st.binary(min_size=1, max_size=2 * ENDS), max_size=8))
def test_all_of_a_small_content_and_the_ends_of_a_large_one(pieces):
    data = b"".join(pieces)
    seen = []
    held = keep(pieces, len(data), None, seen.append)
    assert seen == pieces
    if len(data) <= ENDS:
        assert held == data
        return
    assert held.head == data[:ENDS]
    assert held.size == len(data)
    assert held.whole is None
    tail = b"".join(held.tail)
    assert data.endswith(tail)
    # As few pieces as hold the last ten bytes, or all behind the head.
    behind = len(data) - ENDS
    assert len(tail) >= min(ENDS, behind)
    assert len(tail) - len(held.tail[0]) < ENDS
    assert len(tail) <= behind


def kept(data: bytes, directory, size: int | None = None):
    keeper = ContentKeeper(len(data) if size is None else size, directory)
    for at in range(0, len(data), 7):
        keeper.add(data[at : at + 7])
    return keeper.content()


def test_what_is_read_anywhere_is_written_to_scratch(tmp_path):
    data = COMPOUND + bytes(range(50))
    held = kept(data, tmp_path)
    assert isinstance(held, ContentEnds)
    held.whole.seek(0)
    assert held.whole.read() == data
    assert os.listdir(tmp_path) == []  # the file has no name


@pytest.mark.parametrize("data", [b"a text" * 9, COMPOUND + b"x" * (2 * ENDS - len(COMPOUND))])
def test_what_is_not_read_between_its_ends_is_not_written(tmp_path, data):
    assert kept(data, tmp_path).whole is None


def test_without_scratch_both_ends_have_to_do(tmp_path, monkeypatch):
    data = COMPOUND + bytes(50)
    assert kept(data, None).whole is None
    assert kept(data, tmp_path / "missing").whole is None
    monkeypatch.setattr(held_content, "WHOLE_BYTES", len(data) - 1)
    assert kept(data, tmp_path).whole is None
    monkeypatch.setattr(held_content, "WHOLE_BYTES", len(data))
    assert kept(data, tmp_path).whole is not None


def test_no_more_than_half_of_what_is_free_is_taken(tmp_path, monkeypatch):
    data = COMPOUND + bytes(56)

    class Free:
        f_frsize = 4

    monkeypatch.setattr(held_content.os, "statvfs", lambda directory: Free)
    for blocks, is_written in ((32, True), (31, False)):
        Free.f_bavail = blocks
        assert (kept(data, tmp_path).whole is not None) is is_written


@pytest.mark.parametrize("mode", ["r+b", "w+b"])
def test_where_scratch_is_full_both_ends_have_to_do(tmp_path, monkeypatch, mode):
    data = COMPOUND + bytes(100_000)
    buffering = 0 if mode == "r+b" else -1
    full = open("/dev/full", mode, buffering=buffering)  # noqa: SIM115
    monkeypatch.setattr(held_content.tempfile, "TemporaryFile", lambda dir: full)
    held = kept(data, tmp_path)
    assert held.whole is None
    assert full.closed  # a file that is left open warns of what it can't write
    assert held.head == data[:ENDS]
