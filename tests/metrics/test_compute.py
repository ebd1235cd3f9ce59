"""The passes over a small dataset: any number of ranks, any memory, numbers worked out by hand."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from support.made import Entry, Made
from support.thread_ranks import on_ranks

import hpc_remetrics
from hpc_remetrics.metrics import (
    amounts,
    common_names,
    content_join,
    contents,
    file_rows,
    hidden,
    path_join,
    small_tables,
)
from hpc_remetrics.metrics.compute import compute_metrics
from hpc_remetrics.metrics.contents import TOP, top_contents
from hpc_remetrics.metrics.file_rows import FileBlock, _bucket
from hpc_remetrics.metrics.hidden import HiddenPass, common_length, matches
from hpc_remetrics.metrics.inputs import MetricsInputs
from hpc_remetrics.metrics.path_join import TOP_PATH, content_bounds, top_paths
from hpc_remetrics.mpi.comm import SerialComm
from hpc_remetrics.records import NOTES, Popularity, Skipped


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
    made = Made(LAYERS, IMAGES, status={3: "partial"}, compressed=frozenset(range(7)))
    made.skipped = [Skipped("made0000:1", "", size, "x", "artifact") for size in (-1, 7)]
    pulls = [100, -1, 7, 0]
    made.repositories = {
        f"made{n:04}": Popularity(n, one, "", 0.0, 0) for n, one in enumerate(pulls)
    }
    return made.write(tmp_path_factory.mktemp("made"))


@pytest.fixture(scope="module")
def dataset(path):
    with hpc_remetrics.open(path) as opened:
        yield opened


def tables_on(ranks: int, path: Path, directory: Path, memory: int):
    def run(comm):
        scratch = directory / f"{ranks}-{comm.rank}"
        scratch.mkdir()
        with hpc_remetrics.open(path) as dataset:
            return compute_metrics(comm, dataset, scratch, memory)

    return on_ranks(ranks, run)


@pytest.mark.parametrize(
    ("ranks", "memory"),
    [
        pytest.param(1, 256, marks=pytest.mark.slow),
        pytest.param(2, 1 << 20, marks=pytest.mark.slow),
        (3, 1000),
    ],
)
def test_ranks_and_memory_make_no_difference(path, tmp_path, ranks, memory):
    (tmp_path / "serial").mkdir()
    with hpc_remetrics.open(path) as dataset:
        want = compute_metrics(SerialComm(), dataset, tmp_path / "serial")
    got, *others = tables_on(ranks, path, tmp_path, memory)
    assert others == [{}] * (ranks - 1) and got.keys() == want.keys()
    for name, table in want.items():
        for column, values in table.items():
            np.testing.assert_array_equal(got[name][column], values, f"{name}/{column}")
    # Nothing but the sizes and the sample of the contents stays on scratch.
    left = {one.name for one in tmp_path.glob("*/*")}
    assert left == {"sizes", "compression-sample"}


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


def rows(table, key: str, *columns: str) -> dict:
    """Return the values of a column, or of several, by those of another one."""
    values = [table.readable(column).tolist() for column in columns]
    found = zip(*values, strict=True) if len(columns) > 1 else values[0]
    return dict(zip(table.readable(key).tolist(), found, strict=True))


def test_amounts_of_names_and_types(dataset):
    table = dataset.metrics["extensions"]
    files = rows(table, "extension", "files")
    assert files == {"so": 1, "gz": 1, "out": 1, "": 7}
    assert table["is_other"].sum() == 0
    directories = dataset.metrics["directories"]
    third = [
        (name, count)
        for name, depth, count in zip(
            directories.readable("directory"),
            directories["depth"].tolist(),
            directories["files"].tolist(),
            strict=True,
        )
        if depth == 3
    ]
    assert third[0] == ("etc", 4) and ("opt/x/y", 1) in third
    assert third == sorted(third, key=lambda pair: -pair[1])
    types = dataset.metrics["types"]
    assert types["files"].sum() == 10 and types["share_of_files"].sum() == pytest.approx(1)


def test_lists_and_pulls(dataset):
    metrics = dataset.metrics
    assert metrics["top_layers"]["images"].tolist() == [3, 2, 2, 1]
    assert metrics["top_repositories"]["pulls"].tolist() == [100, 7, 0]
    pulls = rows(metrics["pulls"], "quantity", "share", "pulled_bytes", "pulled_share")
    images = metrics["images"]
    weight = np.array([100, 0, 7, 0])
    for name, (share, pulled_bytes, pulled_share) in pulls.items():
        assert pulled_bytes == (weight * images[name]).sum()
        whole = name if name == "CLS" else "FLS"
        assert share == images[name].sum() / images[whole].sum()
        assert pulled_share == pulled_bytes / (weight * images[whole]).sum()
    contents = metrics["top_contents"]
    by_copies = contents.readable("ranked_by") == "copies"
    assert contents["copies"][by_copies].tolist() == [3, 2]
    assert contents["redundant_bytes"][by_copies].tolist() == [2 * size(3), size(1)]
    assert contents.readable("path")[by_copies][1] == "etc/motd"
    # A content of one copy is in neither list.
    redundant = sorted([2 * size(3), size(1)], reverse=True)
    assert contents["redundant_bytes"][~by_copies].tolist() == redundant
    assert sorted(contents["copies"][~by_copies].tolist()) == [2, 3]
    paths = rows(metrics["top_paths"], "path", "contents", "files")
    assert next(iter(paths.items())) == ("etc/motd", (2, 3))
    counts = metrics["value_counts"]
    of_kinds = counts.readable("variable") == "kind"
    kinds = dict(
        zip(counts.readable("value")[of_kinds], counts["count"][of_kinds].tolist(), strict=True)
    )
    assert kinds == {"file": 10, "hardlink": 1, "whiteout": 1, "opaque": 1}
    sizes = counts["bytes"][of_kinds].tolist()
    assert sorted(sizes) == [0, 0, 0, metrics.totals["FLS"]]


def test_values_of_enums_are_counted(dataset):
    table = dataset.metrics["value_counts"]
    columns = (table.readable(name).tolist() for name in table.columns)
    counts = {(variable, value): pair for variable, value, *pair in zip(*columns, strict=True)}
    assert counts["status", "ok"] == [3, 10 * (4 + 3 + 3)]
    assert counts["status", "partial"] == [1, 10 * 3]
    assert counts["stage", "tar"] == counts["cause", "bad_header"] == [1, -1]
    assert counts["skip_cause", "artifact"] == [2, 7]  # an unknown size counts as none
    assert counts["manifest_type", "oci"] == [4, dataset.metrics.totals["image_CLS"]]
    assert counts["kind", "file"] == [10, dataset.metrics.totals["FLS"]]


def test_layers_are_counted_by_each_of_their_notes():
    words = list(NOTES)[:3]
    bits = [NOTES[word] for word in words]
    notes = np.array([bits[0], bits[0] | bits[2], 0])
    found = small_tables._count_notes(notes, np.array([10, 200, 3000]))
    assert found == [("notes", words[0], 2, 210), ("notes", words[2], 1, 200)]


def test_shares_of_paths_and_levels(dataset):
    same_path = rows(dataset.metrics["same_path"], "category", "count", "share", "share_of_files")
    assert same_path == {
        "paths_one_content": (7, 7 / 8, 7 / 10),
        "paths_several_contents": (1, 1 / 8, 3 / 10),
        "contents_one_path": (6, 6 / 7, 7 / 10),
        "contents_several_paths": (1, 1 / 7, 3 / 10),
    }
    levels = dataset.metrics["dedup_levels"]
    assert levels["share_of_files"].tolist() == [0.1, 0.2, 0.3]
    fls = dataset.metrics.totals["FLS"]
    assert levels["share_of_bytes"].tolist() == [one / fls for one in levels["bytes"].tolist()]


def test_scenarios_compare_like_with_like(dataset):
    """All contents were compressed, so nothing is estimated."""
    totals = dataset.metrics.totals
    table = dataset.metrics["what_if"]
    found = rows(table, "scenario", "bytes", "ratio", "is_compressed")
    sizes = list(map(size, range(7)))
    halves = sum(-(-one // 2) for one in sizes)
    thirds = sum(-(-one // 3) for one in sizes)
    assert found == {
        "no_sharing": (totals["image_CLS"], 1, 1),
        "layer_sharing": (totals["CLS"], totals["image_CLS"] / totals["CLS"], 1),
        "no_sharing_uncompressed": (totals["image_FLS"], 1, 0),
        "layer_sharing_uncompressed": (totals["FLS"], totals["image_FLS"] / totals["FLS"], 0),
        "file_dedup": (sum(sizes), totals["image_FLS"] / sum(sizes), 0),
        "file_dedup_gzip": (halves, totals["image_CLS"] / halves, 1),
        "file_dedup_zstd": (thirds, totals["image_CLS"] / thirds, 1),
    }
    assert not table["is_estimated"].any() and set(table.readable("estimated_from")) == {""}
    assert (table["ci_low"] == table["bytes"]).all() and (table["ci_high"] == table["bytes"]).all()
    samples = rows(dataset.metrics["samples"], "codec", "level", "contents", "bytes")
    assert samples == {"gzip": (6, 7, sum(sizes)), "zstd": (3, 7, sum(sizes))}
    assert dataset.metrics["samples"]["compressed_bytes"].tolist() == [halves, thirds]


def values_of(dataset) -> dict[str, list[float]]:
    """Return the values of every distribution, from the tables of the dataset."""

    def quotients(part, whole):
        return [one / other for one, other in zip(part, whole, strict=True) if other]

    layers = {name: dataset.layers[name].tolist() for name in dataset.layers.columns}
    of_layers = {
        name: dataset.metrics["layers"][name].tolist() for name in dataset.metrics["layers"].columns
    }
    images = {
        name: dataset.metrics["images"][name].tolist() for name in dataset.metrics["images"].columns
    }
    contents = {name: dataset.contents[name].tolist() for name in dataset.contents.columns}
    pairs = list(zip(contents["size"], contents["copies"], strict=True))
    files = [entry for layer in LAYERS for entry in layer if entry.kind == "file"]
    at_path = defaultdict(list)
    of_content = defaultdict(set)
    for entry in files:
        at_path[entry.path].append(entry.content)
        of_content[entry.content].add(entry.path)
    known = ("CLS", "TLS", "FLS", "files", "directories")
    # Image 1 has two layers of image 0 and one more; none has a date
    stack = dataset.image_layers["layer"][2:5].tolist()
    of_base = {name: [layers[name][row] for row in stack] for name in ("files", "FLS", "CLS")}
    of_base["layers"] = [1, 1, 1]
    return {
        **{f"images/inherited_{n}_share": [sum(of_base[n][:2]) / sum(of_base[n])] for n in of_base},
        "images/base_age": [],
        "images/base_behind": [],
        **{f"layers/{name}": layers[name] for name in (*known, "depth", "images")},
        "layers/FLS_CLS": quotients(layers["FLS"], layers["CLS"]),
        "layers/TLS_CLS": quotients(layers["TLS"], layers["CLS"]),
        "layers/dedup_ratio_by_count": quotients(layers["files"], of_layers["contents"]),
        "layers/hidden_bytes_max": of_layers["hidden_bytes_max"],
        **{f"images/{name}": images[name] for name in (*known, "hidden_bytes")},
        "images/FLS_CLS": quotients(images["FLS"], images["CLS"]),
        "images/TLS_CLS": quotients(images["TLS"], images["CLS"]),
        "images/layers": [len(image) for image in IMAGES],
        "images/shared_file_share": quotients(images["shared_files"], images["files"]),
        "images/shared_byte_share": quotients(images["shared_bytes"], images["FLS"]),
        "images/hidden_byte_share": quotients(images["hidden_bytes"], images["FLS"]),
        "repositories/pulls": [100, 7, 0],
        "repositories/stars": [0, 1, 2, 3],
        "repositories/images": [1, 1, 1, 1],
        "files/size": [one for one, copies in pairs for _ in range(copies)],
        "contents/size": contents["size"],
        "contents/size_once": [one for one, copies in pairs if copies == 1],
        "contents/size_repeated": [one for one, copies in pairs if copies > 1],
        **{f"contents/{name}": contents[name] for name in ("copies", "layers", "images")},
        "contents/paths": [len(paths) for paths in of_content.values()],
        "paths/contents": [len(set(of_path)) for of_path in at_path.values()],
        "paths/files": [len(of_path) for of_path in at_path.values()],
    }


def test_every_distribution(dataset):
    metrics = dataset.metrics
    values = values_of(dataset)
    assert set(metrics.distributions) == set(values)
    for name in metrics.distributions:
        found = metrics.distribution(name)
        want = sorted(values[name])
        if not want:
            assert found.count == 0
            continue
        assert (found.count, found.min, found.max) == (len(want), want[0], want[-1]), name
        assert (found.sum, found.mean) == pytest.approx((sum(want), sum(want) / len(want)))
        assert found.median == want[-(-len(want) // 2) - 1]
        assert found.p99 == want[-1]
        assert found.bin_count.sum() == len(want)


def test_a_crawl_that_is_no_sample_has_no_estimates(dataset):
    assert len(dataset.metrics["estimates"]) == 0


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


@pytest.mark.parametrize(
    ("rows", "ranks", "buckets"),
    [(0, 1, 1), (1000, 3, 3), (1000, 1, 2), (1001, 1, 3), (10**9, 1, 1 << 16)],
)
def test_rows_of_one_bucket_fit_into_memory(rows, ranks, buckets):
    inputs = SimpleNamespace(memory=500 * 192, comm=SimpleNamespace(size=ranks))
    assert file_rows.buckets_for(inputs, rows) == buckets


def test_names_that_are_not_common_are_one_row_at_the_end():
    files = np.zeros(2 * common_names.CODES, np.int64)
    codes = files[common_names.CODES :]
    codes[[0, 1, common_names.MOST]] = 1, 5, 7
    texts = {(1, 0): b"a", (1, 1): b"b", (0, 2): b"of another kind"}
    found = amounts._names_of_kind(texts, {"files": files}, 1)
    assert found["text"] == ["b", "a", ""]
    assert found["is_other"].tolist() == [0, 0, 1]
    assert found["files"].tolist() == [5, 1, 7]


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


class WatchingComm(SerialComm):
    """Calls a function when all ranks wait for one another."""

    def __init__(self, watch):
        super().__init__()
        self.barrier = watch


def test_ranks_read_the_sizes_of_contents_when_they_are_written(dataset, tmp_path):
    seen = []
    comm = WatchingComm(lambda: seen.append((tmp_path / "sizes").stat().st_size))
    inputs = MetricsInputs(comm, dataset, tmp_path, 1 << 20)
    inputs.map_sizes()
    assert seen == [8 * 7]
    assert inputs.sizes.tolist() == dataset.contents["size"].tolist()


def test_indexes_of_layers_are_kept_while_there_is_room_for_them(dataset, tmp_path, monkeypatch):
    """There is room for two; the one that was not used for longest goes first."""
    made = []

    def index(inputs, layer):
        made.append(layer)
        return SimpleNamespace(nbytes=10)

    monkeypatch.setattr(hidden, "LayerIndex", index)
    one = HiddenPass(MetricsInputs(SerialComm(), dataset, tmp_path, 40))
    for layer in (0, 1, 0, 2, 0, 1):
        assert one._indexes[layer].nbytes == 10
    assert made == [0, 1, 2, 1]


@pytest.mark.parametrize(
    ("rows", "memory", "ranks", "buckets"),
    [
        (0, 1000, 1, 1),
        (0, 1000, 3, 3),
        (5, 192, 1, 5),
        (5, 191, 1, 6),
        (5, 192, 8, 8),
        (1 << 40, 1, 1, 1 << 16),
    ],
)
def test_rows_are_divided_so_that_a_bucket_fits_into_memory(rows, memory, ranks, buckets):
    inputs = SimpleNamespace(memory=memory, comm=SimpleNamespace(size=ranks))
    assert file_rows.buckets_for(inputs, rows) == buckets


@pytest.mark.parametrize(("memory", "rows"), [(256 * 5000 + 255, 5000), (1000, 4096)])
def test_a_bucket_is_read_in_pieces_that_fit_into_memory(dataset, tmp_path, memory, rows):
    inputs = MetricsInputs(SerialComm(), dataset, tmp_path, memory)
    assert content_join.ContentJoin(inputs)._piece_rows == rows


def test_ranks_share_the_chains_of_layers_by_their_costs(dataset, tmp_path, monkeypatch):
    """A chain costs 1, and the entries of the layers that the one before it hasn't."""
    monkeypatch.setattr(hidden, "_CHAIN_COST", 1)
    shares = []
    for rank in range(3):
        comm = SerialComm()
        comm.rank, comm.size = rank, 3
        hidden_pass = HiddenPass(MetricsInputs(comm, dataset, tmp_path, 40))
        shares.append(list(hidden_pass._share()))
    # 1 + 4 + 3 of 24; 1 + 3; 1 + 3 + 4 and 1 + 3. The layers in order of their digests: 3, 1, 0, 2.
    assert shares == [
        [((2, 1), [0])],
        [((2, 1, 0), [1])],
        [((2, 3, 2), [3]), ((3,), [2])],
    ]


def test_matches_and_common_beginnings():
    values, wanted = np.array([1, 1, 2, 5, 5, 8]), np.array([0, 1, 5, 9])
    assert matches(values, wanted).tolist() == [0, 1, 3, 4]
    assert matches(values[:2], wanted).tolist() == [0, 1]
    assert matches(values, wanted[3:]).tolist() == [] == matches(values, wanted[:0]).tolist()
    assert common_length([], (1,)) == 0 and common_length((1, 2), (1, 2)) == 2
