"""Chunks of contents: cut as pyfastcdc cuts the whole content, whatever the pieces are."""

from __future__ import annotations

import hashlib
import io
import random
import sys
from fractions import Fraction
from types import SimpleNamespace

import numpy as np
import pyfastcdc
import pytest
from support import tars
from support.added import Added

from hpc_remetrics.errors import MissingComponentError
from hpc_remetrics.filetype.held_content import HEAD_BYTES
from hpc_remetrics.limits import Limits
from hpc_remetrics.parts.spill_check import checked_blocks
from hpc_remetrics.parts.spill_writer import Spill
from hpc_remetrics.profile import chunking
from hpc_remetrics.profile.chunking import CDC_BYTES, LEAST, MOST, ChunkProbe, chunker
from hpc_remetrics.profile.layer import profile_layer

FIXED, CDC = 0, 1


def noise(seed: int, size: int) -> bytes:
    return np.random.default_rng(seed).bytes(size)


def sha256(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


def fixed_chunks(data: bytes) -> list[tuple[bytes, int, int]]:
    """Return the records of a content's pages."""
    pages = [data[at : at + 4096] for at in range(0, len(data), 4096)]
    return [(sha256(page)[:16], len(page), FIXED) for page in pages]


def cdc_chunks(data: bytes) -> list[tuple[bytes, int, int]]:
    """Return the records of a content's chunks by content, as the library itself cuts them."""
    library = pyfastcdc.FastCDC(CDC_BYTES, min_size=LEAST, max_size=MOST)
    chunks = [bytes(chunk.data) for chunk in library.cut_buf(data)]
    return [(sha256(chunk)[:16], len(chunk), CDC) for chunk in chunks]


def shown(probe: ChunkProbe, *contents: bytes) -> Added:
    """Return what a probe adds about contents."""
    added = Added()
    for data in contents:
        probe.content(sha256(data), data, added.add)
    return added


def shown_in_pieces(probe: ChunkProbe, data: bytes, sizes: list[int]) -> list[tuple[str, bytes]]:
    """Return what a probe adds about a content in pieces, one call after the other."""
    calls: list[tuple[str, bytes]] = []
    add = lambda kind, records: calls.append((kind, records))  # noqa: E731
    watcher = probe.long_content(len(data))
    at = 0
    for size in sizes:
        watcher.piece(data[at : at + size], add)
        at += size
    assert at == len(data)
    watcher.end(sha256(data), add)
    return calls


def unpacked(calls: list[tuple[str, bytes]], kind: str) -> list[tuple]:
    added = Added()
    for name, records in calls:
        added.add(name, records)
    return added.records(kind)


@pytest.mark.parametrize("size", [LEAST + 1, 4096, 4097, 9000, 100_000])
def test_a_content_is_cut_as_the_library_cuts_it(size):
    data = noise(size, size)
    added = shown(ChunkProbe("1"), data)
    assert added.records("chunks") == fixed_chunks(data) + cdc_chunks(data)
    assert added.records("cuts") == [(sha256(data), len(cdc_chunks(data)))]


@pytest.mark.parametrize("size", [1, LEAST])
def test_a_short_content_is_one_chunk_of_both_methods(size):
    data = noise(size, size)
    added = shown(ChunkProbe("1"), data)
    fingerprint = sha256(data)[:16]
    assert added.records("chunks") == [(fingerprint, size, FIXED), (fingerprint, size, CDC)]
    assert added.records("cuts") == [(sha256(data), 1)]


def test_a_content_is_cut_once_a_layer():
    probe = ChunkProbe("1")
    data = noise(1, 5000)
    first = shown(probe, data, b"short", data, b"short", b"")
    assert [count for _, count in first.records("cuts")] == [len(cdc_chunks(data)), 1]
    assert shown(probe, data).packed == {}
    probe.begin_layer()
    assert shown(probe, data, b"short").packed == first.packed


def test_no_more_contents_are_remembered_than_there_is_room_for(monkeypatch):
    monkeypatch.setattr(chunking, "_MOST_SEEN", 2)
    probe = ChunkProbe("1")
    assert len(shown(probe, b"a", b"b", b"a", b"c", b"c", b"a").records("cuts")) == 4


def test_a_share_keeps_the_chunks_of_the_least_fingerprints():
    contents = [noise(1, 100_000), *(b"%d" % number for number in range(50))]
    whole = shown(ChunkProbe("1"), *contents)
    part = shown(ChunkProbe("1/4"), *contents)
    kept = [record for record in whole.records("chunks") if record[0][0] < 64]
    assert {method for _, _, method in kept} == {FIXED, CDC}
    assert part.records("chunks") == kept
    assert part.records("cuts") == whole.records("cuts")


def test_of_a_run_of_equal_chunks_one_record_is_kept():
    zeros = bytes(10 * MOST)
    added = shown(ChunkProbe("1"), zeros)
    assert added.records("chunks") == [fixed_chunks(zeros)[0], cdc_chunks(zeros)[0]]
    assert added.records("cuts") == [(sha256(zeros), 10)]

    # The next layer has records of its own
    probe = ChunkProbe("1")
    shown(probe, zeros)
    probe.begin_layer()
    assert shown(probe, zeros).packed == added.packed


def test_a_long_content_is_cut_in_steps_and_each_chunk_once():
    data = noise(1, 3 * (1 << 20) + 5)
    sizes = [1 << 19] * 6 + [5]
    calls = shown_in_pieces(ChunkProbe("1"), data, sizes)
    assert [kind for kind, _ in calls] == ["chunks", "cuts"]
    records = unpacked(calls, "chunks")
    assert [record for record in records if record[2] == FIXED] == fixed_chunks(data)
    assert [record for record in records if record[2] == CDC] == cdc_chunks(data)
    assert unpacked(calls, "cuts") == [(sha256(data), len(cdc_chunks(data)))]


@pytest.mark.parametrize("size", [(1 << 20) - 1, 1 << 20])
def test_pieces_wait_until_there_is_a_step_of_them(monkeypatch, size):
    """Records that are due at once show whether bytes were cut."""
    monkeypatch.setattr(chunking, "_HELD", 0)
    data = noise(2, size)
    calls = shown_in_pieces(ChunkProbe("1"), data, [size])
    assert len(unpacked(calls, "chunks")) == len(fixed_chunks(data)) + len(cdc_chunks(data))
    assert len(calls) == (3 if size == 1 << 20 else 2)


def test_many_records_of_a_long_content_are_added_before_its_end(monkeypatch):
    data = noise(3, (2 << 20) - 2)
    pages = fixed_chunks(data[: 1 << 20])
    early = cdc_chunks(data[: 1 << 20])
    record_bytes = chunking.RECORD.size
    # Chunks that begin within the last `MOST` bytes of a step wait for the next one
    at = 0
    for number, (_, size, _) in enumerate(early):
        if (1 << 20) - at < MOST:
            early = early[:number]
            break
        at += size
    held = record_bytes * (len(pages) + len(early))

    for bytes_held, parts in ((held, 2), (held + 1, 1)):
        monkeypatch.setattr(chunking, "_HELD", bytes_held)
        calls = shown_in_pieces(ChunkProbe("1"), data, [1 << 20, (1 << 20) - 2])
        packed = [records for kind, records in calls if kind == "chunks"]
        assert len(packed) == parts
        if parts == 2:
            assert len(packed[0]) == held
        records = unpacked(calls, "chunks")
        assert sorted(records) == sorted(fixed_chunks(data) + cdc_chunks(data))


@pytest.mark.parametrize("seed", range(4))
def test_pieces_are_cut_where_the_whole_is(seed):
    rng = random.Random(seed)
    data = noise(seed, 2_000_000) + bytes(300_000) + noise(seed, 700_000 + rng.randrange(4096))
    sizes = []
    while (left := len(data) - sum(sizes)) > 0:
        sizes.append(min(rng.randrange(1, 400_000), left))
    probe = ChunkProbe(Fraction(1))
    whole = shown(probe, data)
    calls = shown_in_pieces(probe, data, sizes)
    assert unpacked(calls, "cuts") == whole.records("cuts")
    assert set(unpacked(calls, "chunks")) == set(whole.records("chunks"))
    # Of the zeros there is only one page
    ((_, count),) = whole.records("cuts")
    assert len(whole.records("chunks")) < 3_000_000 // 4096 + count + 2


def test_what_is_not_whole_leaves_no_chunk(tmp_path, monkeypatch):
    """A layer that ends within a long file, some of whose chunks are on scratch already."""
    monkeypatch.setattr(chunking, "_HELD", 1 << 10)
    long = noise(3, HEAD_BYTES + (1 << 20))
    data = tars.file(b"a", b"first" * 1000) + tars.file(b"long", long) + tars.END
    found = []
    for size in (len(data), HEAD_BYTES + (1 << 19)):
        spill = Spill(tmp_path / str(size))
        profile = profile_layer(
            io.BytesIO(data), spill, Limits(), size=size, probes=[ChunkProbe(Fraction(1))]
        )
        spill.close()
        blocks = list(checked_blocks(profile, tmp_path / str(size), {}))
        found.append(
            [sum(len(block.extras[name]) for block in blocks) for name in ("cuts", "chunks")]
        )
        assert profile.status == ("ok" if size == len(data) else "partial")
    assert found[1][0] == 1 and found[1][1] < 10
    assert found[0][0] == 2 and found[0][1] > 1500


def test_a_missing_or_uncompiled_library_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "pyfastcdc", None)
    with pytest.raises(MissingComponentError, match="--chunks needs pyfastcdc"):
        chunker()

    # Without its compiled part the library has the class from a module of another name
    slow = type("FastCDC", (), {"__module__": "pyfastcdc.py.fastcdc_py"})
    monkeypatch.setitem(sys.modules, "pyfastcdc", SimpleNamespace(FastCDC=slow))
    with pytest.raises(MissingComponentError, match="needs the compiled part of pyfastcdc"):
        chunker()
