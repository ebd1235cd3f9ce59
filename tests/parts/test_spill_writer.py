"""Spills: what is added is read back, whatever the blocks, and contents can be set later."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from support.open_files import open_files

from hpc_remetrics.parts import spill_writer
from hpc_remetrics.parts.spill_format import EXTRA_STRUCTS, HEADER, NO_CONTENT, NO_TYPE, read_blocks
from hpc_remetrics.parts.spill_writer import NOTHING, Spill


def add(spill: Spill, number: int, content: list | None = None) -> None:
    path, link = b"p" * (number % 3) + b"%d" % number, b"l" * (number % 4)
    spill.add(number % 9, 0o644, -number, number, -5, 7, content or NOTHING, path, link)


@pytest.fixture
def spill(tmp_path: Path, monkeypatch) -> Spill:
    """A spill with blocks of three rows."""
    monkeypatch.setattr(spill_writer, "BLOCK_ROWS", 3)
    made = Spill(tmp_path / "a.spill")
    yield made
    made.close()


def test_blocks_hold_what_was_added(spill):
    for number in range(7):
        add(spill, number, [number, number + 1, bytes([number]) * 32] if number % 2 else None)
    spill.flush()
    blocks = list(read_blocks(spill.path))
    assert [block.rows for block in blocks] == [3, 3, 1]
    columns = {
        name: np.concatenate([block.columns[name] for block in blocks]).tolist()
        for name in blocks[0].columns
    }
    assert columns["kind"] == list(range(7))
    assert columns["uid"] == [-number for number in range(7)]
    assert columns["gid"] == list(range(7))
    assert columns["mode"] == [0o644] * 7
    assert columns["mtime"] == [-5] * 7
    assert columns["mtime_ns"] == [7] * 7
    assert columns["size"] == [n if n % 2 else NO_CONTENT for n in range(7)]
    assert columns["type"] == [n + 1 if n % 2 else NO_TYPE for n in range(7)]
    assert columns["digest"] == [bytes([n if n % 2 else 0]) * 32 for n in range(7)]
    assert b"".join(block.paths.tobytes() for block in blocks) == b"0p1pp23p4pp56"
    assert columns["path_length"] == [1, 2, 3, 1, 2, 3, 1]
    assert columns["link_length"] == [0, 1, 2, 3, 0, 1, 2]
    assert (spill.rows, spill.path_bytes, spill.link_bytes) == (7, 13, 9)


def test_many_bytes_end_a_block(tmp_path, monkeypatch):
    monkeypatch.setattr(spill_writer, "BLOCK_BYTES", 10)
    spill = Spill(tmp_path / "a")
    for _ in range(3):
        spill.add(0, 0, 0, 0, 0, 0, NOTHING, b"12345", b"67")
    spill.flush()
    spill.close()
    assert [block.rows for block in read_blocks(tmp_path / "a")] == [2, 1]


def test_flushed_entries_are_read_back_and_their_contents_set(spill):
    for number in range(8):
        add(spill, number)
    spill.flush()
    rows = list(spill.entries())
    assert [row for row, _, _, _ in rows] == list(range(8))
    assert [kind for _, kind, _, _ in rows] == list(range(8))
    assert rows[5][2:] == (b"pp5", b"l")
    assert rows[7][2:] == (b"p7", b"lll")
    for number in range(8):
        assert spill.content(number) == NOTHING
        spill.set_content(number, [number, number + 10, bytes([number]) * 32])
    for number in range(8):
        assert spill.content(number) == [number, number + 10, bytes([number]) * 32]
    sizes = np.concatenate([block.columns["size"] for block in read_blocks(spill.path)])
    assert sizes.tolist() == list(range(8))


def test_contents_are_settled_before_a_block_is_written(spill):
    late = [1, NO_TYPE, bytes(32)]
    spill.settle = lambda: late.__setitem__(1, 42)
    add(spill, 0, late)
    spill.flush()
    assert spill.content(0)[1] == 42


def test_an_emptied_spill_begins_anew(spill):
    for number in range(4):
        add(spill, number)
    spill.empty()
    assert spill.path.stat().st_size == spill.rows == spill.path_bytes == spill.link_bytes == 0
    add(spill, 5)
    spill.flush()
    assert list(spill.entries()) == [(0, 5, b"pp5", b"l")]
    assert [block.rows for block in read_blocks(spill.path)] == [1]


def chunk(number: int) -> bytes:
    return EXTRA_STRUCTS["chunks"].pack(bytes([number]) * 16, number, 0)


def records(spill: Spill) -> list[int]:
    spill.flush()
    return [size for block in read_blocks(spill.path) for size in block.extras["chunks"]["size"]]


def test_loose_records_are_kept_or_dropped(spill):
    add(spill, 1)
    spill.add_records("chunks", chunk(1) + chunk(2))
    spill.add_loose_records("chunks", chunk(3))
    spill.add_loose_records("chunks", chunk(4))
    spill.drop_loose()
    assert records(spill) == [1, 2]
    spill.add_loose_records("chunks", chunk(5))
    spill.keep_loose()
    spill.drop_loose()
    spill.add_loose_records("chunks", chunk(6))
    spill.drop_loose()
    spill.drop_loose()
    assert records(spill) == [1, 2, 5]
    assert [row for row, _, _, _ in spill.entries()] == [0]


def test_loose_records_at_the_beginning_are_dropped(spill):
    spill.add_loose_records("chunks", chunk(1))
    spill.drop_loose()
    assert spill.path.stat().st_size == 0
    spill.add_records("chunks", chunk(2))
    assert records(spill) == [2]


def test_a_spill_is_closed(tmp_path):
    spill = Spill(tmp_path / "closed")
    assert len(open_files(tmp_path)) == 1
    spill.close()
    assert open_files(tmp_path) == []


def test_nothing_is_written_of_nothing(spill):
    spill.flush()
    assert spill.path.stat().st_size == 0
    assert list(spill.entries()) == []


@pytest.mark.parametrize(("end", "words"), [(HEADER.size - 1, "in the header"), (-1, "in a block")])
def test_a_cut_spill_is_refused(spill, end, words):
    add(spill, 1)
    spill.flush()
    data = spill.path.read_bytes()
    spill.path.write_bytes(data[:end])
    with pytest.raises(ValueError, match=words):
        list(read_blocks(spill.path))


def test_lengths_are_those_of_paths_and_links(spill):
    add(spill, 1)
    spill.flush()
    data = bytearray(spill.path.read_bytes())
    header = list(HEADER.unpack(data[: HEADER.size]))
    header[2] += 1
    spill.path.write_bytes(HEADER.pack(*header) + data[HEADER.size :] + b"x")
    with pytest.raises(ValueError, match="lengths and bytes of paths or links differ"):
        list(read_blocks(spill.path))
    spill.path.write_bytes(b"XXXX" + data[4:])
    with pytest.raises(ValueError, match="not a block"):
        list(read_blocks(spill.path))
