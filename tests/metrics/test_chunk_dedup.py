"""Totals of chunks from small numbers: every chunk counted, or a sample of them."""

from __future__ import annotations

import math
from fractions import Fraction
from types import SimpleNamespace

import numpy as np
import pytest

from hpc_remetrics.metrics.chunk_dedup import ChunkTotals, CutTally, count_chunks
from hpc_remetrics.metrics.estimates import NORMAL
from hpc_remetrics.profile.chunking import CDC_BYTES, FIXED_BYTES


def test_chunks_are_counted_by_method():
    columns = {"method": np.array([1, 0, 1, 1]), "size": np.array([2, 30, 4, 5])}
    inputs = SimpleNamespace(
        dataset=SimpleNamespace(chunks=range(4)),
        my_blocks=lambda rows: [(0, 1), (1, rows)],
        chunk=SimpleNamespace(column=lambda name, start, stop: columns[name][start:stop]),
    )
    assert count_chunks(inputs).tolist() == [[1, 3], [30, 11], [900, 4 + 16 + 25]]


@pytest.mark.parametrize(
    ("size", "cdc_chunks", "sums"),
    [
        ([0, 5, 9], [-1, -1, -1], [0, 0, 0]),
        ([1, FIXED_BYTES, FIXED_BYTES + 1], [1, 2, 3], [2 * FIXED_BYTES + 2, 1 + 1 + 2, 6]),
        ([0, 7, 100], [0, 1, -1], [7, 1, 1]),
    ],
)
def test_contents_that_were_cut_are_added_up(size, cdc_chunks, sums):
    tally = CutTally()
    tally.add(np.array(size), np.array(cdc_chunks))
    tally.add(np.array([3]), np.array([2]))
    assert tally.sums.tolist() == [sums[0] + 3, sums[1] + 1, sums[2] + 2]


CUT = np.array([1000, 30, 40])
KEPT = np.array([[3, 5], [60, 90], [1400, 2000]])
"""Number, bytes and squares of the chunks kept, by method: fixed, cdc."""


def test_the_table_of_all_chunks():
    assert ChunkTotals.of(CUT, KEPT, Fraction(1)).table() == {
        "method": ["fixed", "cdc"],
        "target_size": [FIXED_BYTES, CDC_BYTES],
        "chunks": [30, 40],
        "distinct_chunks": [3, 5],
        "bytes": [1000, 1000],
        "distinct_bytes": [60, 90],
    }


def test_the_table_of_a_share():
    table = ChunkTotals.of(CUT, KEPT, Fraction(1, 4)).table()
    assert table["distinct_chunks"] == [12, 20]
    assert table["distinct_bytes"] == [240, 360]


@pytest.mark.parametrize(("cut", "share"), [([0, 0, 0], Fraction(1)), (CUT, Fraction(0))])
def test_nothing_was_cut(cut, share):
    found = ChunkTotals.of(np.array(cut), KEPT, share)
    assert all(column == [] for column in found.table().values())


@pytest.mark.parametrize(
    ("share", "size", "half"),
    [
        (Fraction(1), 90, 0),
        (Fraction(1, 4), 360, NORMAL * math.sqrt(3 / 4 * 2000) * 4),
        (Fraction(1, 2), 180, NORMAL * math.sqrt(1 / 2 * 2000) * 2),  # fewer than those kept
        (Fraction(1, 12), 1080, NORMAL * math.sqrt(11 / 12 * 2000) * 12),  # more than was cut
    ],
)
def test_the_interval_of_a_share(share, size, half):
    found = ChunkTotals.of(CUT, KEPT, share).stored("cdc")
    assert found.bytes == size
    assert math.isclose(found.low, max(size - half, 90))
    assert math.isclose(found.high, min(size + half, max(1000, size)))


def test_the_scenarios():
    fixed, cdc = ChunkTotals.of(CUT, KEPT, Fraction(1)).what_if_rows(1000)
    assert (fixed["scenario"], fixed["bytes"], fixed["is_estimated"]) == ("chunks_fixed", 60, False)
    assert (cdc["scenario"], cdc["ci_low"], cdc["ci_high"]) == ("chunks_cdc", 90, 90)
    assert cdc["estimated_from"] == ""
    estimated = ChunkTotals.of(CUT, KEPT, Fraction(1, 4)).what_if_rows(1000)[1]
    assert estimated["is_estimated"]
    assert estimated["estimated_from"] == "5 distinct chunks, 1/4 of all by their fingerprints"


def test_there_are_scenarios_only_if_all_contents_were_cut():
    found = ChunkTotals.of(CUT, KEPT, Fraction(1))
    assert found.what_if_rows(1001) == []
    assert ChunkTotals.of(CUT, KEPT, Fraction(0)).what_if_rows(1000) == []
    of_one = ChunkTotals.of(CUT, np.array([[0, 5], [0, 90], [0, 2000]]), Fraction(1))
    assert [row["scenario"] for row in of_one.what_if_rows(1000)] == ["chunks_cdc"]
