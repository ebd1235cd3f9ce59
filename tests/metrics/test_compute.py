"""The passes over a small dataset: any number of ranks, any memory, and numbers worked out by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from support.made import Entry, Made
from support.thread_ranks import on_ranks

import hpc_remetrics
from hpc_remetrics.metrics import common_names, content_join, contents, file_rows, path_join
from hpc_remetrics.metrics.compute import compute_metrics
from hpc_remetrics.metrics.contents import TOP, top_contents
from hpc_remetrics.metrics.file_rows import FileBlock, _bucket
from hpc_remetrics.metrics.growth import ORDERS, checkpoints, growth_summary, order_of
from hpc_remetrics.metrics.hidden import common_length, matches
from hpc_remetrics.metrics.path_join import TOP_PATH, content_bounds, top_paths
from hpc_remetrics.mpi.comm import SerialComm
from hpc_remetrics.records import Popularity

from . import brute_force as brute


def file(path: str, content: int) -> Entry:
    return Entry("file", path.encode(), content)


LAYERS = [
    [file("etc/motd", 1), file("etc/hosts", 2), file("usr/bin/a.out", 3), file("usr/bin/b", 3)],
    [file("etc/motd", 4), file("usr/lib/c.so", 3), Entry("whiteout", b"usr/.wh.bin")],
    [file("etc/motd", 1), file("opt/x/y/z/deep.tar.gz", 5), file("empty", 0)],
    [Entry("opaque", b"etc/.wh..wh..opq"), Entry("hardlink", b"l", link=b"f"), file("f", 6)],
]
IMAGES = [[0, 1], [0, 1, 3], [2], [0, 2, 0]]


@pytest.fixture(scope="module")
def path(tmp_path_factory) -> Path:
    made = Made(LAYERS, IMAGES)
    pulls = [100, -1, 7, 0]
    made.repositories = {
        f"made{n:04}": Popularity(n, one, "", 0.0, 0) for n, one in enumerate(pulls)
    }
    return made.write(tmp_path_factory.mktemp("made"))


@pytest.fixture(scope="module")
def dataset(path):
    with hpc_remetrics.open(path) as opened:
        yield opened


def tables_on(ranks: int, path: Path, folder: Path, memory: int):
    def run(comm):
        scratch = folder / f"{ranks}-{comm.rank}"
        scratch.mkdir()
        with hpc_remetrics.open(path) as dataset:
            return compute_metrics(comm, dataset, scratch, memory)

    return on_ranks(ranks, run)


@pytest.mark.slow
@pytest.mark.parametrize(("ranks", "memory"), [(1, 256), (2, 1 << 20), (3, 1000)])
def test_ranks_and_memory_make_no_difference(path, tmp_path, ranks, memory):
    (tmp_path / "serial").mkdir()
    with hpc_remetrics.open(path) as dataset:
        want = compute_metrics(SerialComm(), dataset, tmp_path / "serial")
    got, *others = tables_on(ranks, path, tmp_path, memory)
    assert others == [{}] * (ranks - 1) and got.keys() == want.keys()
    for name, table in want.items():
        for column, values in table.items():
            np.testing.assert_array_equal(got[name][column], values, f"{name}/{column}")
    # Nothing but the sizes of the contents stays on scratch.
    left = {one.name for one in tmp_path.glob("*/*")}
    assert left == {"sizes"}


@pytest.mark.slow
def test_what_brute_force_says_of_it(dataset):
    from .test_brute_force import check_files, check_growth, check_hidden, check_layers

    made = Made(LAYERS, IMAGES)
    check_hidden(made, dataset)
    check_growth(made, dataset)
    check_files(made, dataset)
    check_layers(made, dataset)


def size(content: int) -> int:
    return Entry("file", b"", content).size


def test_totals_and_shares(dataset):
    totals = dataset.metrics.totals
    files = [1, 2, 3, 3, 4, 3, 1, 5, 0, 6]
    fls, unique = sum(map(size, files)), sum(map(size, set(files)))
    assert (totals["files"], totals["contents"], totals["empty_files"]) == (10, 7, 1)
    assert (totals["FLS"], totals["content_bytes"]) == (fls, unique)
    assert totals["dedup_ratio_by_count"] == 10 / 7 and totals["unique_file_share"] == 7 / 10
    assert totals["dedup_ratio_by_capacity"] == fls / unique
    assert totals["redundant_byte_share"] == (fls - unique) / fls
    assert (totals["paths"], totals["path_contents"]) == (8, 9)
    assert totals["image_files"] == 6 + 7 + 3 + 11
    levels = dataset.metrics["dedup_levels"]
    assert levels["files"].tolist() == [1, 2, 3]
    assert levels["bytes"].tolist() == [size(3), size(1) + size(3), size(1) + 2 * size(3)]


def test_amounts_of_names_and_types(dataset):
    table = dataset.metrics["extensions"].frame().set_index("extension")
    assert table.loc["so", "files"] == table.loc["gz", "files"] == table.loc["out", "files"] == 1
    assert table.loc["", "files"] == 7 and table["is_other"].sum() == 0
    directories = dataset.metrics["directories"].frame()
    third = directories[directories.depth == 3].set_index("directory")
    assert third.index.tolist()[0] == "etc" and third.loc["opt/x/y", "files"] == 1
    assert third["files"].is_monotonic_decreasing
    types = dataset.metrics["types"].frame()
    assert types["files"].sum() == 10 and types["share_of_files"].sum() == pytest.approx(1)


def test_lists_and_pulls(dataset):
    metrics = dataset.metrics
    top = metrics["top_layers"].frame()
    assert top["images"].tolist() == [3, 2, 2, 1]
    repositories = metrics["top_repositories"].frame()
    assert repositories["pulls"].tolist() == [100, 7, 0]
    pulls, images = metrics["pulls"].frame().set_index("quantity"), metrics["images"]
    weight = np.array([100, 0, 7, 0])
    for name in pulls.index:
        assert pulls.loc[name, "pulled_bytes"] == (weight * images[name]).sum()
        whole = name if name == "CLS" else "FLS"
        assert pulls.loc[name, "share"] == images[name].sum() / images[whole].sum()
        weighted = (weight * images[name]).sum() / (weight * images[whole]).sum()
        assert pulls.loc[name, "pulled_share"] == weighted
    contents = metrics["top_contents"].frame()
    by_copies = contents[contents.ranked_by == "copies"]
    assert by_copies["copies"].tolist() == [3, 2]
    assert by_copies["redundant_bytes"].tolist() == [2 * size(3), size(1)]
    assert by_copies["path"].tolist()[1] == "etc/motd"
    paths = metrics["top_paths"].frame()
    assert paths.iloc[0].tolist() == ["etc/motd", 2, 3]
    counts = metrics["value_counts"].frame().set_index(["variable", "value"])
    assert counts.loc[("kind", "file"), "count"] == 10
    assert counts.loc[("kind", "hardlink"), "count"] == 1 and counts["bytes"].min() >= -1


def test_a_growth_curve():
    prefixes = np.array([5, 1, 9], np.uint64)
    orders = [order_of(prefixes, order).tolist() for order in range(ORDERS)]
    digests = [int(one).to_bytes(8, "big") for one in prefixes]
    assert orders == [brute.order_of(digests, order) for order in range(ORDERS)]
    assert checkpoints(130)[[0, 1, -1]].tolist() == [1, 2, 130]
    table = {
        "layers": np.tile([1, 2], ORDERS),
        "dedup_ratio_by_count": np.tile([1.0, 2.0], ORDERS) + np.repeat(np.arange(ORDERS), 2),
        "dedup_ratio_by_capacity": np.ones(2 * ORDERS),
    }
    found = growth_summary(table)
    assert found["layers"].tolist() == [1, 2]
    assert found["dedup_ratio_by_count_mean"].tolist() == [8.5, 9.5]
    assert found["dedup_ratio_by_count_min"].tolist() == [1, 2]
    assert found["dedup_ratio_by_count_max"].tolist() == [16, 17]
    np.testing.assert_allclose(
        found["dedup_ratio_by_count_std"], np.sqrt((16**2 - 1) / 12 * 16 / 15)
    )
    assert found["dedup_ratio_by_capacity_std"].tolist() == [0, 0]


def test_most_repeated_contents_and_paths():
    rng = np.random.default_rng(2)
    rows = np.empty(3000, TOP)
    rows["key"], rows["content"] = rng.integers(0, 500, 3000), rng.permutation(3000)
    want = sorted(rows.tolist(), key=lambda row: (-row[0], row[1]))[: contents.MOST]
    assert top_contents(rows).tolist() == want and top_contents(rows[:50]).size == 50
    paths = np.empty(3000, TOP_PATH)
    paths["contents"], paths["files"] = rng.integers(0, 300, 3000), rng.integers(0, 3, 3000)
    paths["row"] = rng.permutation(3000)
    want = sorted(paths.tolist(), key=lambda row: (-row[0], -row[1], row[2]))[: path_join.MOST]
    assert top_paths(paths).tolist() == want


def test_buckets():
    assert content_bounds(7, 2).tolist() == [0, 3, 7]
    hashes = np.array([0, 2**62, 2**63, 2**64 - 1], np.uint64)
    assert _bucket(hashes, 4).tolist() == [0, 1, 2, 3] and _bucket(hashes, 1).tolist() == [0] * 4
    assert content_join.CODES * file_rows.NAME_KINDS < 1 << 16


def test_common_names_are_the_most_frequent(monkeypatch):
    rows = np.zeros(6, file_rows.NAME)
    rows["hash"], rows["kind"] = [7, 3, 7, 3, 9, 1], [0, 0, 0, 4, 0, 0]
    rows["files"], rows["row"] = [1, 5, 2, 9, 3, 5], [8, 1, 4, 0, 6, 2]
    monkeypatch.setattr(common_names, "MOST", 3)
    found = common_names._most_of_bucket(rows)
    # (hash, files, row, kind); of equals the lowest hashes.
    assert found.tolist() == [(1, 5, 2, 0), (3, 5, 1, 0), (7, 3, 4, 0), (3, 9, 0, 4)]
    assert not len(common_names._most_of_bucket(rows[:0]))


def test_a_block_is_read_as_it_was_written(tmp_path):
    arrays = [np.arange(n, n + 3) for n in range(10)]
    block = FileBlock(
        *arrays[:4], arrays[4:8], [b"a/b", b"", b"c"], arrays[8], arrays[9], [b"so", b"gz", b""]
    )
    with open(tmp_path / "block", "wb") as target:
        block.write(target)
    with open(tmp_path / "block", "rb") as source:
        again = FileBlock.read(source)
        assert not source.read()
    assert (again.texts, again.extension_texts) == (block.texts, block.extension_texts)
    for name in ("content", "layer", "row", "run", "extension", "extensions"):
        assert getattr(again, name).tolist() == getattr(block, name).tolist()
    assert [one.tolist() for one in again.directories] == [one.tolist() for one in arrays[4:8]]


def test_matches_and_common_beginnings():
    values, wanted = np.array([1, 1, 2, 5, 5, 8]), np.array([0, 1, 5, 9])
    assert matches(values, wanted).tolist() == [0, 1, 3, 4]
    assert matches(values[:2], wanted).tolist() == [0, 1]
    assert matches(values, wanted[3:]).tolist() == [] == matches(values, wanted[:0]).tolist()
    assert common_length([], (1,)) == 0 and common_length((1, 2), (1, 2)) == 2
