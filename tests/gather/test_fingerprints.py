"""Distinct chunks by fingerprint, with one rank and small buckets."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpc_remetrics.dataset.schema import TABLES
from hpc_remetrics.gather import fingerprints
from hpc_remetrics.gather.fingerprints import Fingerprints, distinct
from hpc_remetrics.mpi.comm import SerialComm
from hpc_remetrics.parts.part_format import EXTRA_RECORDS

CHUNK = EXTRA_RECORDS["chunks"]
KEYS = st.tuples(
    st.sampled_from([0, 1]), st.binary(min_size=16, max_size=16).map(lambda raw: raw[:2] * 8)
)


def chunks(keys: list[tuple[int, bytes]]) -> np.ndarray:
    """Chunks of (method, fingerprint), whose size is a function of the fingerprint."""
    rows = np.zeros(len(keys), CHUNK)
    for row, (method, fingerprint) in zip(rows, keys, strict=True):
        row["method"], row["fingerprint"], row["size"] = (
            method,
            np.void(fingerprint),
            fingerprint[0],
        )
    return rows


def key(rows: np.ndarray) -> list[tuple[int, bytes]]:
    return list(zip(rows["method"].tolist(), rows["fingerprint"].tolist(), strict=True))


@given(st.lists(KEYS, max_size=30))
def test_each_chunk_once_in_order_of_method_and_fingerprint(keys):
    assert key(distinct(chunks(keys))) == sorted(set(keys))


def test_fingerprints_that_differ_in_one_byte_only():
    keys = [(0, bytes(15) + b"\1"), (0, bytes(16)), (0, b"\1" + bytes(15)), (1, bytes(16))]
    assert key(distinct(chunks(keys))) == sorted(keys)


class Made:
    """A reader of made chunks, and a writer that keeps what it is given."""

    def __init__(self, keys: list[tuple[int, bytes]]) -> None:
        self.keys = keys
        self.written: dict[str, tuple[int, list[object], int]] = {}

    def extras_count(self, kind: str) -> int:
        return len(self.keys)

    def extras(self, kind: str, rank: int, ranks: int):
        for start in range(0, len(self.keys), 3):
            yield chunks(self.keys[start : start + 3])

    def write_rows(self, table, start, stop, size) -> None:
        self.write(f"{table}/row", None, start, np.arange(start, stop), size)

    def write(self, path, column, start, values, size) -> None:
        assert values.flags.c_contiguous
        self.written[path] = start, values.tolist(), size


@pytest.mark.parametrize("bucket_rows", [1, 2, 1 << 20])
def test_chunks_are_numbered_over_all_buckets(tmp_path: Path, monkeypatch, bucket_rows):
    monkeypatch.setattr(fingerprints, "_BUCKET_ROWS", bucket_rows)
    monkeypatch.setattr(fingerprints, "_PIECE_ROWS", 2)
    keys = [(n % 2, bytes([n * 37 % 256]) * 16) for n in range(20)] * 2
    made = Made(keys)
    numbered = Fingerprints(SerialComm(), made, tmp_path)
    wanted = sorted(set(keys))
    assert numbered.total == len(wanted)
    for block, rows in numbered.blocks():
        numbered.write(made, block, rows[::-1])
    assert made.written["chunks/fingerprint"] == (0, [one for _, one in wanted], len(wanted))
    assert made.written["chunks/method"] == (0, [method for method, _ in wanted], len(wanted))
    assert made.written["chunks/size"][1] == [one[0] for _, one in wanted]
    assert made.written.keys() == {
        "chunks/row",
        *(f"chunks/{name}" for name in TABLES["chunks"].columns),
    }
    assert list(tmp_path.iterdir()) == []


def test_buckets_are_equal_ranges_of_methods_and_fingerprints(tmp_path: Path, monkeypatch):
    """Each of 32 chunks, spread evenly over both methods, has one of 32 buckets."""
    monkeypatch.setattr(fingerprints, "_BUCKET_ROWS", 1)
    keys = [(method, bytes([head]) * 16) for method in (0, 1) for head in range(0, 256, 16)]
    numbered = Fingerprints(SerialComm(), Made(keys), tmp_path)
    assert numbered._bucket_of(chunks(keys)).tolist() == list(range(32))


@pytest.mark.parametrize(("count", "most", "buckets"), [(0, 9, 1), (7, 9, 3), (6, 9, 2), (7, 2, 2)])
def test_a_bucket_holds_so_many_chunks_on_average(tmp_path, monkeypatch, count, most, buckets):
    monkeypatch.setattr(fingerprints, "_BUCKET_ROWS", 3)
    monkeypatch.setattr(fingerprints, "_MAX_BUCKETS", most)
    numbered = Fingerprints(SerialComm(), Made([(0, bytes(16))] * count), tmp_path)
    assert numbered._buckets == buckets
