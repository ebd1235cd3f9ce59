"""Compressed bytes of all contents: exact, or an interval that holds the truth."""

from __future__ import annotations

import gzip
import io
import json
import math
import tarfile
import zlib
from pathlib import Path

import h5py
import numpy as np
import pytest
from support.layouts import Layout
from support.runs import Runs
from support.same import assert_same
from support.small_images import PARTS, tar_of, tar_of_files, tar_of_odd_things

import hpc_remetrics
from hpc_remetrics.filetype.held_content import HEAD_BYTES
from hpc_remetrics.metrics.compression import (
    MIN_SAMPLED,
    CompressionTally,
    SizeStratum,
    estimate,
    strata,
)
from hpc_remetrics.parts.part_format import FOOTER, MAGIC
from hpc_remetrics.parts.part_reader import read_part
from hpc_remetrics.tar.decoders import zstd_module

zstd = zstd_module()

pytestmark = pytest.mark.xdist_group("compression")

NO_TYPES = ("--types", "none")


def long_file(seed: int, size: int) -> bytes:
    """Bytes that compress to about two thirds."""
    rng = np.random.default_rng(seed)
    return rng.integers(0, 40, size, np.uint8).tobytes()


def streamed(data: bytes) -> int:
    """Bytes that zstd makes of a stream of known length, as containerd and BuildKit write
    layers."""
    compressor = zstd.ZstdCompressor(level=3)
    compressor.set_pledged_input_size(len(data))
    return len(compressor.compress(data)) + len(compressor.flush())


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Runs, a layout of real files and of some that are too long to be kept, and its distinct
    contents."""
    runs = Runs(tmp_path_factory.mktemp("compression"))
    layout, names = Layout(runs.directory / "layout"), list(PARTS)
    tars = [tar_of(PARTS[name]) for name in names[:6]]
    tars.append(tar_of_odd_things(runs.directory / "odd"))
    tars += [
        tar_of_files(
            {f"{n}": long_file(n, HEAD_BYTES + 1 + n) for n in numbers}
            | {"less": long_file(9, HEAD_BYTES)}
        )
        for numbers in ([0, 1], [1, 2])
    ]
    tars[-1] += b"\0" * 1024
    layers = [layout.layer(tar, ("gzip", "zstd", "plain")[n % 3]) for n, tar in enumerate(tars)]
    layout.image("one:1", layers[:4])
    layout.image("two:1", layers[2:])
    contents = {}
    for data in tars:
        with tarfile.open(fileobj=io.BytesIO(data)) as tar:
            files = [tar.extractfile(member).read() for member in tar if member.isreg()]
        contents |= dict.fromkeys(files)
    return runs, layout.finish(), list(contents)


@pytest.fixture(scope="module")
def whole(made):
    """A dataset all of whose contents were compressed."""
    runs, layout, _ = made
    runs.run(runs.analyze(f"oci:{layout}", "whole.h5", "--compress-sample", 1, *NO_TYPES))
    return runs.directory / "whole.h5"


def scenario(dataset, name: str) -> dict:
    table = dataset.metrics["what_if"].frame().set_index("scenario")
    return table.loc[name].to_dict() if name in table.index else {}


@pytest.mark.slow
def test_all_contents_in_the_sample_give_the_exact_sum(made, whole):
    """The other way: each content compressed at once, by the standard library's own functions."""
    import pandas as pd

    _, _, contents = made
    want = {
        "gzip": sum(min(len(gzip.compress(data, 6)), len(data)) for data in contents),
        "zstd": sum(min(streamed(data), len(data)) for data in contents),
    }
    assert math.isclose(
        want["zstd"],
        sum(min(len(zstd.compress(data, 3)), len(data)) for data in contents),
        rel_tol=1e-4,
    )
    with hpc_remetrics.open(whole) as dataset:
        totals, samples = (
            dataset.metrics.totals,
            dataset.metrics["samples"].frame().set_index("codec"),
        )
        assert totals["contents"] == len(contents) and totals["content_bytes"] == sum(
            map(len, contents)
        )
        for codec, size in want.items():
            row = scenario(dataset, f"file_dedup_{codec}")
            assert dataset.contents[codec].sum() == size
            assert row["bytes"] == row["ci_low"] == row["ci_high"] == size
            assert (
                row["is_estimated"] == 0
                and pd.isna(row["estimated_from"])
                and row["is_compressed"] == 1
            )
            assert row["ratio"] == totals["image_CLS"] / size
            assert samples.loc[codec, ["contents", "bytes", "compressed_bytes"]].tolist() == [
                len(contents),
                totals["content_bytes"],
                size,
            ]
        assert samples["level"].tolist() == [6, 3]


def half_of(made, name: str, *how: str, ranks: int) -> Path:
    runs, layout, _ = made
    output = runs.directory / name
    runs.run(
        runs.analyze(
            f"oci:{layout}", output, "--compress-sample", "1/2", *NO_TYPES, *how, ranks=ranks
        )
    )
    return output


@pytest.fixture(scope="module")
def half(made):
    return half_of(made, "half.h5", ranks=1)


@pytest.mark.slow
@pytest.mark.parametrize(("ranks", "how"), [(0, ["--extract"]), (2, []), (3, ["--extract"])])
def test_the_sample_is_the_same_for_any_number_of_ranks(made, half, ranks, how):
    assert_same(half, half_of(made, f"half{ranks}.h5", *how, ranks=ranks))


@pytest.mark.slow
def test_a_sample_is_drawn_by_digest(half, whole):
    with hpc_remetrics.open(half) as half, hpc_remetrics.open(whole) as all_of_them:
        chosen = half.contents.column("gzip") >= 0
        digests, size = half.contents["digest"], half.contents["size"]
        short = size <= HEAD_BYTES
        assert (chosen == [value.tobytes()[0] < 128 for value in digests])[short].all()
        assert 0.3 < chosen.mean() < 0.7 and (~short).sum() == 3
        for codec in ("gzip", "zstd"):
            assert (half.contents[codec][chosen] == all_of_them.contents[codec][chosen]).all()
            row = scenario(half, f"file_dedup_{codec}")
            assert row["ci_low"] < row["bytes"] < row["ci_high"] and row["is_estimated"] == 1
            assert f"{chosen.sum():,} of {len(chosen):,} contents" in row["estimated_from"]


@pytest.mark.slow
def test_no_sample_is_no_row(made):
    runs, layout, _ = made
    runs.run(runs.analyze(f"oci:{layout}", "none.h5", "--compress-sample", 0, *NO_TYPES))
    with hpc_remetrics.open(runs.directory / "none.h5") as dataset:
        assert dataset.contents["gzip"].mask.all() and dataset.contents["zstd"].mask.all()
        assert len(dataset.metrics["samples"]) == 0 and not scenario(dataset, "file_dedup_gzip")


@pytest.mark.slow
def test_another_share_is_refused_and_so_is_nonsense(made, whole):
    runs, layout, _ = made
    result = runs.run(
        runs.analyze(f"oci:{layout}", whole, "--compress-sample", "0.5", *NO_TYPES), code=2
    )
    assert (
        "compress_sample=1, this run has compress_sample=1/2" in result.stderr
        and result.stderr.count("\n") <= 2
    )
    for text in ("2", "-0.1", "1/0", "much"):
        result = runs.run(
            runs.analyze(f"oci:{layout}", "x.h5", f"--compress-sample={text}"), code=2
        )
        assert f"--compress-sample is '{text}', not a number from 0 to 1" in result.stderr
        assert result.stderr.count("\n") == 1


@pytest.mark.slow
def test_a_merge_keeps_samples_of_one_share_and_drops_those_of_two(made, whole, half):
    runs, layout, _ = made
    for name in ("one", "two"):
        runs.run(
            runs.analyze(f"oci:{layout}:{name}:1", f"{name}.h5", "--compress-sample", 1, *NO_TYPES)
        )
    runs.run(runs.command("merge", "one.h5", "two.h5", "-o", "merged.h5", ranks=2))
    assert_same(whole, runs.directory / "merged.h5")
    result = runs.run(runs.command("merge", half, "two.h5", "-o", "mixed.h5"))
    assert "compressed different samples" in result.stderr
    with hpc_remetrics.open(runs.directory / "mixed.h5") as dataset:
        assert dataset.contents["gzip"].mask.all() and len(dataset.metrics["samples"]) == 0


@pytest.mark.slow
def test_a_dataset_of_before_is_read_as_one_without_a_sample(made, whole):
    runs, _, _ = made
    old = runs.directory / "old.h5"
    old.write_bytes(whole.read_bytes())
    with h5py.File(old, "r+") as file:
        for name in ("gzip", "zstd", "cdc_chunks"):
            del file["contents"][name]
        del file["run"].attrs["compress_sample"], file["run"].attrs["chunk_sample"], file["chunks"]
    runs.run(runs.command("reduce", "old.h5"))
    with hpc_remetrics.open(old) as dataset:
        assert dataset.contents["gzip"].mask.all() and len(dataset.metrics["samples"]) == 0
        assert dataset.contents.frame(start=3, stop=5)["zstd"].isna().all()
        assert (
            len(dataset.chunks)
            == len(dataset.chunks.frame())
            == len(dataset.metrics["chunks"])
            == 0
        )
    runs.run(runs.command("export", "old.h5", "--format", "parquet", "-o", "old"))
    runs.run(runs.command("compare", "old.h5", whole))
    runs.run(runs.command("merge", "old.h5", "old.h5", "-o", "older.h5"))


@pytest.mark.slow
def test_a_part_of_before_has_no_sample(whole, tmp_path):
    """A part as it was written before there were extra records: the index doesn't name them."""
    path = tmp_path / "part-0.h5"
    path.write_bytes(next(whole.with_name("whole.h5.parts").glob("part-*.h5")).read_bytes())
    data = path.read_bytes()
    _, _, _, length, _ = FOOTER.unpack(data[-FOOTER.size :])
    end = len(data) - FOOTER.size - length
    index = json.loads(data[end : end + length])
    assert sum(index.pop("extras")["samples"]) > 0
    text = json.dumps(index).encode()
    footer = FOOTER.pack(MAGIC, 1, zlib.crc32(text), len(text), end + len(text) + FOOTER.size)
    path.write_bytes(data[:end] + text + footer)
    assert read_part(path).extras == {}


@pytest.mark.slow
def test_the_estimate_is_told_drawn_and_exported(made, half):
    runs, _, _ = made
    text = runs.run(runs.command("report", half)).stdout
    assert "each compressed by gzip (estimate: " in text
    runs.run(runs.command("plot", half, "--figure", "20", "-o", "figures"))
    drawn = next((runs.directory / "figures").glob("*20*.svg")).read_text()
    assert "file dedup gzip" in drawn and "95 % confidence interval" in drawn
    runs.run(runs.command("export", half, "--format", "json", "-o", "json"))
    rows = [
        json.loads(line)
        for line in (runs.directory / "json/metrics/what_if.jsonl").read_text().splitlines()
    ]
    assert {row["scenario"] for row in rows if row["is_estimated"]} == {
        "file_dedup_gzip",
        "file_dedup_zstd",
    }
    assert all(row["ci_low"] < row["bytes"] < row["ci_high"] for row in rows if row["is_estimated"])


def tally_of(size: np.ndarray, packed: np.ndarray, chosen: np.ndarray) -> list[SizeStratum]:
    tally, known = CompressionTally(), np.where(chosen, packed, -1)
    tally.add(size, {"gzip": known, "zstd": known})
    return strata(tally.sums, "gzip")


def test_sums_of_squares_are_those_of_python_beyond_64_bits():
    size = np.array([2**32 - 1] * 5 + [3, 0, 7, 2**40])
    packed = np.array([2**31] * 5 + [2, 0, 7, 2**39])
    whole = sum(tally_of(size, packed, np.arange(9) < 7), SizeStratum())
    assert whole.contents == 9 and whole.sampled == 7 and whole.size == int(size.sum())
    assert whole.packed == 5 * 2**31 + 2 and whole.sampled_size == 5 * (2**32 - 1) + 3
    assert math.isclose(whole.squares, sum(int(one) ** 2 for one in size), rel_tol=1e-8)
    assert math.isclose(whole.sampled_squares, 5 * (2**32 - 1) ** 2 + 9, rel_tol=1e-8)
    assert math.isclose(whole.ratios / 2**30, 2.5 + 2 / 3, rel_tol=1e-8)
    assert math.isclose(whole.ratio_squares / 2**60, 5 / 4 + 4 / 9, rel_tol=1e-8)
    assert (
        sum(tally_of(size, packed, size == 2**40), SizeStratum()).sampled == 0
    )  # too long for a sample


@pytest.mark.slow
@pytest.mark.parametrize(
    ("contents", "share"), [(20_000, 1 / 32), (60_000, 1 / 128), (5_000, 1 / 8)]
)
def test_the_interval_has_the_truth_in_95_of_100_samples(contents, share):
    """Sizes over seven powers of ten, as files have them, and ratios that depend on them."""
    rng = np.random.default_rng(11)
    size = np.minimum(np.exp(rng.normal(7.5, 2.2, contents)), 1 << 28).astype(np.int64)
    kind = rng.random(contents)
    ratio = np.where(kind < 0.3, rng.uniform(0.9, 1, contents), rng.beta(3, 5, contents))
    packed = np.minimum((size * ratio).astype(np.int64) + 18, size)
    hits, values = 0, []
    for _ in range(400):
        found = estimate(tally_of(size, packed, rng.random(contents) < share))
        hits += found.low <= packed.sum() <= found.high
        values.append(found.bytes)
    assert 360 <= hits <= 400, hits
    assert (
        abs(np.mean(values) / packed.sum() - 1) < 0.05
    )  # the longest contents, seldom drawn, are as they happen to be


def test_what_nothing_tells_is_no_estimate():
    assert estimate(tally_of(np.array([5, 9]), np.array([4, 4]), np.array([False, False]))) is None
    assert estimate([]) is None


@pytest.mark.parametrize(
    ("sampled", "told"), [(MIN_SAMPLED - 1, False), (MIN_SAMPLED, True), (1_000, True)]
)
def test_a_few_of_many_tell_nothing_and_all_of_few_do(sampled, told):
    size = np.full(1_000, 100)
    found = estimate(tally_of(size, size // 2, np.arange(1_000) < sampled))
    assert (found is not None) is told
    few = estimate(tally_of(size[:3], size[:3] // 2, np.ones(3, bool)))
    assert (few.bytes, few.low, few.high) == (150, 150, 150)
