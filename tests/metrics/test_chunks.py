"""Distinct chunks, fixed and by content: counted the other way, by the library itself on whole
files."""

from __future__ import annotations

import hashlib
import json
import math
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import h5py
import numpy as np
import pyfastcdc
import pytest
from support.layouts import Layout
from support.runs import Runs
from support.same import assert_same
from support.small_images import PARTS, tar_of, tar_of_odd_things
from support.tools import need

import hpc_remetrics
from hpc_remetrics.filetype.held_content import HEAD_BYTES
from hpc_remetrics.gather import fingerprints
from hpc_remetrics.gather.datasets_as_parts import merge
from hpc_remetrics.gather.fingerprints import distinct
from hpc_remetrics.metrics.chunk_dedup import ChunkTotals
from hpc_remetrics.mpi.comm import SerialComm
from hpc_remetrics.profile.chunking import CDC_BYTES, LEAST, MOST

from .test_compression import NO_TYPES, scenario, tar_of_files

pytestmark = pytest.mark.xdist_group("chunks")


def noise(seed: int, size: int) -> bytes:
    return np.random.default_rng(seed).bytes(size)


def tars(directory: Path) -> list[bytes]:
    """Layers that share files whole, and others in part: shifted, changed in the middle, with
    holes."""
    names = list(PARTS)
    found = [tar_of(PARTS[name]) for name in names[:5]] + [tar_of_odd_things(directory / "odd")]
    long = noise(1, HEAD_BYTES + 70_001)
    middle = long[: 3 << 20] + b"changed" + long[3 << 20 :]
    found.append(
        tar_of_files(
            {"long": long, "short": long[:5000], "same": long[:5000], "zeros": bytes(200_000)}
        )
    )
    found.append(
        tar_of_files({"long": middle, "shifted": b"x" + long[: 1 << 20], "page": long[:4096]})
    )
    tree = directory / "sparse"
    tree.mkdir()
    with open(tree / "sparse", "wb") as file:
        file.write(long[: 1 << 20])
        file.seek(9 << 20)
        file.write(long[1 << 20 : 2 << 20])
    found.append(
        subprocess.run(
            [need("tar"), "-C", tree, "-Scf", "-", "."], check=True, capture_output=True
        ).stdout
    )
    return found


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Runs, a layout, and the distinct contents of its files as GNU tar unpacks them."""
    runs = Runs(tmp_path_factory.mktemp("chunks"))
    layout, contents = Layout(runs.directory / "layout"), {}
    layers = []
    for number, data in enumerate(tars(runs.directory)):
        layers.append(layout.layer(data, ("gzip", "zstd", "plain")[number % 3]))
        tree = runs.directory / "tree" / str(number)
        tree.mkdir(parents=True)
        subprocess.run([need("tar"), "-C", tree, "-xf", "-"], input=data, check=True)
        files = [path for path in tree.rglob("*") if path.is_file() and not path.is_symlink()]
        contents |= {hashlib.sha256(data := path.read_bytes()).digest(): data for path in files}
    layout.image("one:1", layers[:7])
    layout.image("two:1", layers[5:])
    return runs, layout.finish(), contents


@pytest.fixture(scope="module")
def cut(made):
    runs, layout, _ = made
    runs.run(runs.analyze(f"oci:{layout}", "cut.h5", "--chunks", *NO_TYPES))
    return runs.directory / "cut.h5"


def by_hand(contents: dict[bytes, bytes]) -> dict[str, list[tuple[str, int]]]:
    """Return the fingerprint and size of every chunk, those of each content one after the other."""
    chunker = pyfastcdc.FastCDC(CDC_BYTES, min_size=LEAST, max_size=MOST)
    pieces: dict[str, list[bytes]] = {"fixed": [], "cdc": []}
    for data in contents.values():
        pieces["fixed"] += [data[at : at + 4096] for at in range(0, len(data), 4096)]
        pieces["cdc"] += [bytes(chunk.data) for chunk in chunker.cut_buf(data)] if data else []
    return {
        method: [(hashlib.sha256(one).hexdigest()[:32], len(one)) for one in found]
        for method, found in pieces.items()
    }


@pytest.mark.slow
def test_every_distinct_chunk_once(made, cut):
    import pandas as pd

    _, _, contents = made
    with hpc_remetrics.open(cut) as dataset:
        table = dataset.metrics["chunks"].frame().set_index("method")
        stored = dataset.chunks.frame()
        for method, want in by_hand(contents).items():
            mine = stored[stored["method"] == method]
            assert list(zip(mine["fingerprint"], mine["size"], strict=True)) == sorted(set(want))
            size = sum(size for _, size in set(want))
            row, what = table.loc[method], scenario(dataset, f"chunks_{method}")
            assert (row["chunks"], row["distinct_chunks"], row["distinct_bytes"]) == (
                len(want),
                len(set(want)),
                size,
            )
            assert (
                row["bytes"]
                == sum(map(len, contents.values()))
                == dataset.metrics.totals["content_bytes"]
            )
            assert what["bytes"] == what["ci_low"] == what["ci_high"] == size < row["bytes"]
            assert what["is_estimated"] == what["is_compressed"] == 0 and pd.isna(
                what["estimated_from"]
            )
            assert what["ratio"] == dataset.metrics.totals["image_FLS"] / size
        assert table["target_size"].tolist() == [4096, 8192]
        # A byte in front moves all pages, and only the first cut.
        assert table.loc["cdc", "distinct_bytes"] < table.loc["fixed", "distinct_bytes"] - (1 << 20)


@pytest.mark.slow
@pytest.mark.parametrize(("ranks", "how"), [(1, []), (2, ["--extract"]), (3, [])])
def test_any_number_of_ranks_gives_the_same(made, cut, ranks, how):
    runs, layout, _ = made
    output = runs.directory / f"ranks{ranks}.h5"
    runs.run(runs.analyze(f"oci:{layout}", output, "--chunks", *how, *NO_TYPES, ranks=ranks))
    assert_same(cut, output)


@pytest.mark.slow
def test_reduce_gives_what_analyze_gave(made, cut):
    runs, _, _ = made
    copy = runs.directory / "copy.h5"
    copy.write_bytes(cut.read_bytes())
    with h5py.File(copy, "r+") as file:
        del file["metrics"]
    runs.run(runs.command("reduce", copy, "--memory", 1, ranks=2))
    assert_same(cut, copy)


@pytest.fixture(scope="module")
def each(made):
    """A dataset of each image by itself."""
    runs, layout, _ = made
    for name in ("one", "two"):
        runs.run(runs.analyze(f"oci:{layout}:{name}:1", f"{name}.h5", "--chunks", *NO_TYPES))
    return runs.directory / "one.h5", runs.directory / "two.h5"


@pytest.mark.slow
def test_a_merge_of_datasets_that_overlap_counts_every_chunk_once(made, cut, each):
    runs, _, _ = made
    runs.run(runs.command("merge", *each, "-o", "merged.h5", ranks=2))
    assert_same(cut, runs.directory / "merged.h5")


@pytest.mark.slow
def test_many_buckets_of_fingerprints_give_the_same(made, cut, tmp_path, monkeypatch):
    """As with billions of chunks."""
    monkeypatch.setattr(fingerprints, "_BUCKET_ROWS", 50)
    monkeypatch.setattr(fingerprints, "_PIECE_ROWS", 7)
    (tmp_path / "node/rank").mkdir(parents=True)
    run = {"compress_sample": "1/128", "chunk_sample": "1"}
    with hpc_remetrics.open(cut) as dataset:
        merge(SerialComm(), [dataset, dataset], tmp_path / "again.h5", tmp_path / "node/rank", run)
    assert_same(cut, tmp_path / "again.h5", "/metrics")


@pytest.mark.slow
def test_a_run_that_goes_on_from_some_of_its_parts_makes_the_same(made, cut):
    runs, layout, _ = made
    output, options = (
        runs.directory / "resumed.h5",
        ("--chunks", "--publish-seconds", "0.01", *NO_TYPES),
    )
    runs.run(runs.analyze(f"oci:{layout}", output, *options, ranks=2))
    output.unlink()
    found = sorted((runs.directory / "resumed.h5.parts").glob("part-*.h5"))
    assert len(found) > 2
    for part in found[::2]:
        part.unlink()
    runs.run(runs.analyze(f"oci:{layout}", output, *options, "--extract", ranks=3))
    assert_same(cut, output)


@pytest.mark.slow
def test_a_share_of_the_chunks_is_those_with_the_least_fingerprints(made, cut):
    """Merged with a dataset that has all of them it has that share still."""
    runs, layout, _ = made
    runs.run(
        runs.analyze(f"oci:{layout}", "share.h5", "--chunks", "--chunk-sample", "1/4", *NO_TYPES)
    )
    runs.run(runs.command("merge", "share.h5", cut, "-o", "thinned.h5"))
    assert_same(runs.directory / "share.h5", runs.directory / "thinned.h5")
    with hpc_remetrics.open(runs.directory / "share.h5") as part, hpc_remetrics.open(cut) as whole:
        every = whole.chunks.frame()
        want = every[every["fingerprint"].str[0] < "4"]
        assert part.chunks.frame().reset_index(drop=True).equals(want.reset_index(drop=True))
        exact, table = whole.metrics["chunks"].frame(), part.metrics["chunks"].frame()
        assert (table[["chunks", "bytes"]] == exact[["chunks", "bytes"]]).all(axis=None)
        for method, kept in want.groupby("method", observed=True):
            row = scenario(part, f"chunks_{method}")
            assert row["bytes"] == 4 * kept["size"].sum() and row["is_estimated"] == 1
            half = 1.959963984540054 * math.sqrt(12 * (kept["size"].astype(int) ** 2).sum())
            assert (
                math.isclose(row["ci_high"] - row["bytes"], half) and row["ci_low"] < row["bytes"]
            )
            assert f"{len(kept):,} distinct chunks, 1/4 of all" in row["estimated_from"]


@pytest.mark.slow
def test_without_the_option_nothing_is_cut_and_parts_are_not_mixed(made, each):
    runs, layout, _ = made
    runs.run(runs.analyze(f"oci:{layout}", "plain.h5", *NO_TYPES))
    with hpc_remetrics.open(runs.directory / "plain.h5") as dataset:
        assert len(dataset.chunks) == len(dataset.metrics["chunks"]) == 0 and not scenario(
            dataset, "chunks_cdc"
        )
        assert dataset.contents["cdc_chunks"].mask.all()
    result = runs.run(runs.analyze(f"oci:{layout}", "plain.h5", "--chunks", *NO_TYPES), code=2)
    assert "chunk_sample=0, this run has chunk_sample=1" in result.stderr
    result = runs.run(
        runs.analyze(f"oci:{layout}", "x.h5", "--chunks", "--chunk-sample", 0), code=2
    )
    assert result.stderr.count("\n") == 1 and "keeps no chunk" in result.stderr
    runs.run(runs.command("merge", "plain.h5", each[0], "-o", "partly.h5"))
    with hpc_remetrics.open(runs.directory / "partly.h5") as dataset:
        assert dataset.metrics["chunks"]["bytes"][0] < dataset.metrics.totals["content_bytes"]
        assert not scenario(dataset, "chunks_cdc")  # of all contents it isn't known


@pytest.mark.slow
def test_duckdb_finds_the_same_in_what_is_exported(made, cut):
    duckdb = pytest.importorskip("duckdb")
    runs, _, _ = made
    runs.run(runs.command("export", cut, "--format", "parquet", "-o", "parquet"))
    runs.run(runs.command("export", cut, "--format", "json", "-o", "json"))
    directory = runs.directory / "parquet"
    found = duckdb.sql(f"""
        select method::text, count(distinct fingerprint), sum(size)
        from '{directory}/chunks.parquet' group by 1 order by 1
    """).fetchall()
    (cuts,) = duckdb.sql(f"""
        select sum(cdc_chunks), sum((size + 4095) // 4096), sum(size)
        from '{directory}/contents.parquet'
    """).fetchall()
    rows = [
        json.loads(line)
        for line in (runs.directory / "json/metrics/chunks.jsonl").read_text().splitlines()
    ]
    assert (
        sorted((row["method"], row["distinct_chunks"], row["distinct_bytes"]) for row in rows)
        == found
    )
    assert [row["chunks"] for row in rows] == [int(cuts[1]), int(cuts[0])] and rows[0][
        "bytes"
    ] == int(cuts[2])


def test_distinct_tells_methods_and_last_bytes_apart():
    rows = np.zeros(5, [("fingerprint", "V16"), ("size", "<u4"), ("method", "u1")])
    for row, (text, method) in enumerate(
        [(b"b" * 15 + b"\0", 1), (b"b" * 16, 0), (b"b" * 15, 1), (b"a", 1), (b"b" * 16, 0)]
    ):
        rows[row] = np.void(text.ljust(16, b"\0")), row, method
    found = distinct(rows)
    assert found["method"].tolist() == [0, 1, 1] and found["size"].tolist() == [1, 3, 0]


def test_intervals_of_a_share_have_the_truth():
    rng = np.random.default_rng(4)
    size, hits = rng.integers(2048, 32768, 20_000), 0
    for _ in range(400):
        kept = size[rng.random(len(size)) < 0.02]
        sums = np.array([[len(kept)] * 2, [kept.sum()] * 2, [(kept**2).sum()] * 2])
        found = ChunkTotals.of(np.array([2 * size.sum(), 1, 1]), sums, Fraction(1, 50)).stored(
            "cdc"
        )
        hits += found.low <= size.sum() <= found.high
    assert 368 <= hits <= 396


def test_a_share_that_keeps_no_chunk_tells_nothing():
    found = ChunkTotals.of(np.array([100, 1, 1]), np.zeros((3, 2), int), Fraction(1, 10**9))
    assert found.what_if_rows(100) == [] and found.table()["distinct_chunks"] == [0, 0]


@pytest.mark.slow
def test_a_missing_package_is_said_before_anything_starts(tmp_path):
    (tmp_path / "pyfastcdc.py").write_text("raise ImportError('none here')\n")
    command = [sys.executable, "-m", "hpc_remetrics", "analyze", "demo:", "-o", "x.h5", "--chunks"]
    result = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert (
        result.returncode == 2 and result.stderr.count("\n") == 1 and "pip install" in result.stderr
    ), result.stderr
    assert not (tmp_path / "x.h5.parts").exists()
