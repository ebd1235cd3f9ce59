"""Estimates and their intervals against closed forms."""

from __future__ import annotations

import math
import statistics
from fractions import Fraction

import numpy as np
import pytest

from hpc_remetrics.metrics.chunk_dedup import ChunkTotals, CutTally
from hpc_remetrics.metrics.compression import (
    MIN_SAMPLED,
    CompressionTally,
    Estimate,
    SizeStratum,
    _student_quantile,
    estimate,
    joined,
    samples,
    strata,
    what_if_rows,
)
from hpc_remetrics.metrics.estimates import NORMAL, RepositorySample, _ratio_row, _total_row

UNIT = 1 << 30


def stratum(sizes: list[int], packed: list[int], other_sizes: list[int]) -> SizeStratum:
    """Return the stratum of sampled contents and others."""
    every = sizes + other_sizes
    ratios = [one * UNIT // max(size, 1) for one, size in zip(packed, sizes, strict=True)]
    return SizeStratum(
        contents=len(every),
        size=sum(every),
        squares=sum(one**2 for one in every),
        sampled=len(sizes),
        sampled_size=sum(sizes),
        sampled_squares=sum(one**2 for one in sizes),
        packed=sum(packed),
        ratios=sum(ratios),
        ratio_squares=sum(one**2 for one in ratios),
    )


SIZES, PACKED, OTHERS = [100, 200, 400], [50, 80, 300], [1000, 3000]


def test_a_stratum_is_estimated_by_its_ratio():
    one = stratum(SIZES, PACKED, OTHERS)
    assert one.unsampled_size == 4000
    assert math.isclose(one.estimate, 430 + 4000 * 430 / 700)
    # s² · (Q - q + (T - t)² / t² · q), with s² about the stratum's ratio, as the page defines it.
    ratio = 430 / 700
    spread = sum((p / s - ratio) ** 2 for s, p in zip(SIZES, PACKED, strict=True)) / 2
    known, other = sum(s**2 for s in SIZES), sum(s**2 for s in OTHERS)
    want = spread * (other + (4000 / 700) ** 2 * known)
    assert math.isclose(one.variance, want, rel_tol=1e-6)


def test_what_is_known_whole_has_no_variance_and_one_content_an_infinite_one():
    whole = stratum(SIZES, PACKED, [])
    assert (whole.estimate, whole.variance) == (430, 0.0)
    assert stratum([10], [5], [10]).variance == math.inf
    assert stratum([10, 10], [5, 5], [10]).variance == 0.0
    assert math.isclose(stratum([8, 8], [2, 6], [8]).variance, 2 * 0.0625 * (64 + 0.25 * 128))


def test_strata_with_few_sampled_contents_are_joined_with_smaller_sizes():
    few, many = stratum([10] * 3, [5] * 3, [10]), stratum([40] * MIN_SAMPLED, [9] * 20, [40])
    whole = stratum([160], [20], [])
    assert joined([few, many, whole]) == [many + few, whole]
    assert joined([many, few]) == [few + many]
    assert joined([many, many, few]) == [few + many, many]
    assert joined([few]) == [few] and joined([]) == []


def test_the_interval_of_a_sum_of_strata():
    one = stratum([100] * 10 + [200] * 10, [40] * 10 + [90] * 10, [150] * 40)
    two = stratum([4000] * 15 + [5000] * 10, [1000] * 15 + [2000] * 10, [4500] * 30)
    found = estimate([one, two])
    variances = [one.variance, two.variance]
    half = _student_quantile(variances, [19, 24]) * math.sqrt(sum(variances))
    assert math.isclose(found.bytes, one.estimate + two.estimate)
    assert math.isclose(found.low, found.bytes - half)
    assert math.isclose(found.high, found.bytes + half)
    # Cut to what is certain.
    wild = stratum([10] * 10 + [10**6] * 10, [10] * 10 + [1] * 10, [10**6])
    found = estimate([wild])
    assert found.low == wild.packed or found.high == wild.packed + 10**6


# From tables of Student's distribution.
@pytest.mark.parametrize(("freedom", "quantile"), [(20, 2.086), (30, 2.042), (60, 2.000)])
def test_student_quantiles(freedom, quantile):
    assert math.isclose(_student_quantile([5.0], [freedom]), quantile, abs_tol=2e-3)
    # Two equal variances of ν degrees of freedom each have 2 ν in all.
    assert math.isclose(
        _student_quantile([5.0, 5.0], [freedom] * 2), _student_quantile([1.0], [2 * freedom])
    )
    assert _student_quantile([0.0], [freedom]) == NORMAL == _student_quantile([math.inf], [5])


def test_contents_are_added_up_by_powers_of_four():
    tally = CompressionTally()
    sizes = np.array([0, 1, 3, 4, 15, 16, 63, 64])
    known = np.full(8, -1)
    tally.add(sizes, {"gzip": known, "zstd": known})
    got = strata(tally.sums, "zstd")
    assert [one.contents for one in got[:5]] == [1, 2, 2, 2, 1]
    assert [one.size for one in got[:5]] == [0, 4, 19, 79, 64]
    assert [one.squares for one in got[:5]] == [0, 10, 241, 256 + 63**2, 4096]
    assert not any(one.sampled for one in got) and samples(tally.sums)["codec"] == []
    assert what_if_rows(tally.sums) == []


def test_rows_of_a_whole_sample():
    tally = CompressionTally()
    size = np.array([10, 20])
    tally.add(size, {"gzip": np.array([7, 9]), "zstd": np.array([8, 8])})
    gzip, zstd = what_if_rows(tally.sums)
    assert (gzip["scenario"], gzip["bytes"], gzip["ci_low"], gzip["ci_high"]) == (
        *("file_dedup_gzip", 16, 16, 16),
    )
    assert (zstd["bytes"], zstd["is_estimated"], zstd["estimated_from"]) == (16, False, "")
    assert zstd["is_compressed"] is True
    table = samples(tally.sums)
    assert (table["level"], table["contents"], table["bytes"]) == ([6, 3], [2, 2], [30, 30])
    assert table["compressed_bytes"] == [16, 16]


def test_chunks_of_the_contents_that_were_cut():
    tally = CutTally()
    tally.add(np.array([0, 1, 4096, 4097, 9000]), np.array([0, 1, 1, 2, 0]))
    tally.add(np.array([8192]), np.array([3]))
    assert tally.sums.tolist() == [1 + 4096 + 4097 + 8192, 1 + 1 + 2 + 2, 1 + 1 + 2 + 3]


def test_chunks_kept_by_a_share():
    kept = np.array([[4, 3], [400, 330], [40_400, 36_900]])
    chunks = ChunkTotals.of(np.array([10_000, 60, 50]), kept, Fraction(1, 4))
    assert chunks.table() == {
        "method": ["fixed", "cdc"],
        "target_size": [4096, 8192],
        "chunks": [60, 50],
        "distinct_chunks": [16, 12],
        "bytes": [10_000] * 2,
        "distinct_bytes": [1600, 1320],
    }
    half = NORMAL * math.sqrt(0.75 * 36_900) / 0.25
    found = chunks.stored("cdc")
    assert (found.bytes, found.low) == (1320, max(1320 - half, 330))
    assert math.isclose(found.high, 1320 + half)
    assert ChunkTotals.of(np.array([1400, 6, 5]), kept, Fraction(1, 4)).stored("cdc").high == 1400
    exact = ChunkTotals.of(np.array([10_000, 60, 50]), kept, Fraction(1)).stored("fixed")
    assert exact == Estimate(400, 400, 400)
    assert [row["bytes"] for row in chunks.what_if_rows(10_000)] == [1600, 1320]
    row = chunks.what_if_rows(10_000)[0]
    assert row["estimated_from"] == "4 distinct chunks, 1/4 of all by their fingerprints"
    assert (row["is_estimated"], row["is_compressed"]) == (True, False)
    assert chunks.what_if_rows(10_001) == []
    nothing = ChunkTotals.of(np.zeros(3, int), np.zeros((3, 2), int), Fraction(0))
    assert nothing.table()["method"] == [] and nothing.what_if_rows(0) == []


def test_a_total_and_its_interval():
    sample = RepositorySample(np.array([0, 0, 0]), np.array([5.0]), np.array([4]))
    values = np.array([3, 6, 9])
    variance = 20**2 * (1 - 4 / 20) * statistics.variance([3, 6, 9, 0]) / 4
    assert math.isclose(sample.std_error(values), math.sqrt(variance))
    name, known, total, low, high, _ = _total_row(sample, "files", values)
    assert (name, known, total) == ("files", 18.0, 90.0)
    assert math.isclose(high, 90 + NORMAL * math.sqrt(variance))
    assert low == max(90 - NORMAL * math.sqrt(variance), 18)
    # All of a stratum drawn: no error.
    whole = RepositorySample(np.array([0, 0]), np.array([1.0]), np.array([2]))
    assert whole.std_error(np.array([1, 9])) == 0.0


def test_a_ratio_and_its_interval_by_residuals():
    sample = RepositorySample(np.array([0, 0, 0]), np.array([4.0]), np.array([3]))
    part, whole = np.array([1, 4, 2]), np.array([10, 20, 10])
    _, known, found, low, high, _ = _ratio_row(sample, "share", part, whole)
    assert known == found == 7 / 40
    residuals = [p - 7 / 40 * w for p, w in zip(part, whole, strict=True)]
    error = math.sqrt(12**2 * (1 - 3 / 12) * statistics.variance(residuals) / 3) / 160
    assert math.isclose(high, found + NORMAL * error)
    assert math.isclose(low, max(found - NORMAL * error, 0.0))
    assert all(math.isnan(one) for one in _ratio_row(sample, "x", 0 * part, 0 * whole)[1:5])
