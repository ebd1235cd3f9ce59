"""Hidden bytes, growth, names and paths of random small datasets are what plain Python works
out."""

from __future__ import annotations

import random
import tempfile
from collections import Counter, defaultdict
from pathlib import Path

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from support.examples import share_of
from support.made import Entry, Made

import hpc_remetrics
from hpc_remetrics.dataset.text_values import path_text
from hpc_remetrics.metrics import hidden
from hpc_remetrics.metrics.growth import ORDERS

from . import brute_force as brute

# Few names, so that layers meet: each other's files, directories above them, and themselves.
PARTS = st.sampled_from([b"a", b"b", b"c.txt", b".d", b"e.tar.gz", b"\xff"])
PATHS = st.lists(PARTS, min_size=1, max_size=4).map(b"/".join)
ODD_PATHS = st.builds(
    lambda before, path, after: before + path + after,
    st.sampled_from([b"", b"./", b"/", b"../", b"x/../", b".//"]),
    PATHS,
    st.sampled_from([b"", b"/", b"/.", b"//"]),
)
ENTRIES = st.one_of(
    st.builds(Entry, st.just("file"), st.one_of(PATHS, ODD_PATHS), st.integers(0, 12)),
    st.builds(Entry, st.just("file"), PATHS, st.integers(0, 12)),
    st.builds(
        Entry,
        st.sampled_from(["directory", "symlink", "fifo", "other"]),
        st.one_of(PATHS, st.just(b"./")),
    ),
    st.builds(lambda path, link: Entry("hardlink", path, link=link), PATHS, PATHS),
    st.builds(lambda path: Entry("whiteout", _mark(path)), PATHS),
    st.builds(
        lambda path: Entry("opaque", path + b".wh..wh..opq"),
        st.one_of(PATHS.map(lambda p: p + b"/"), st.just(b"")),
    ),
)
LAYERS = st.lists(st.lists(ENTRIES, max_size=14), min_size=1, max_size=5)


def _mark(path: bytes) -> bytes:
    directory, slash, name = path.rpartition(b"/")
    return directory + slash + b".wh." + name


@st.composite
def datasets(draw) -> Made:
    layers = draw(LAYERS)
    # A layer may stand in an image twice; every layer is in one.
    images = draw(st.lists(st.lists(st.integers(0, len(layers) - 1), max_size=6), max_size=4))
    return Made(layers, [*images, list(range(len(layers)))])


def some_dataset() -> Made:
    """Return layers of the same few names, drawn at random once and for all."""
    rng = random.Random(11)
    names = [b"a", b"b", b"c.txt", b".d", b"e.tar.gz", b"\xff"]

    def path() -> bytes:
        return b"/".join(rng.choices(names, k=rng.randrange(1, 5)))

    def entry() -> Entry:
        kind = rng.choice(["file"] * 6 + ["directory", "symlink", "hardlink", "whiteout", "opaque"])
        name = path()
        if kind == "file":
            before = rng.choice([b"", b"", b"./", b"/", b"../", b"x/../", b".//"])
            return Entry(
                kind, before + name + rng.choice([b"", b"", b"/", b"/."]), rng.randrange(13)
            )
        if kind == "hardlink":
            return Entry(kind, name, link=path())
        if kind == "whiteout":
            return Entry(kind, _mark(name))
        return Entry(kind, name + b"/.wh..wh..opq" if kind == "opaque" else name)

    layers = [[entry() for _ in range(25)] for _ in range(6)]
    linked = [Entry("file", b"a/b", 3), Entry("hardlink", b"b/l", link=b"a/b")]
    gone = [
        Entry("whiteout", b"a/.wh.b"),
        Entry("hardlink", b"k", link=b"b"),
        Entry("file", b"b", 5),
    ]
    # A hard link may stand before its file.
    ahead = linked[::-1]
    # Images that part above a file of two names: one hides one of them, the other both.
    one_name = [Entry("whiteout", b"b/.wh.l")]
    both_names = [Entry("file", b"a/b", 6), Entry("file", b"b/l", 7)]
    images = [[0, 1, 2, 3, 4, 5], [0, 1, 5, 4], [3, 3, 0], [], [6, 7], [6, 7, 7, 6], [5, 2, 6, 7]]
    images += [[8, 7], [6, 9], [6, 10], [6, 9, 10], [6, 10, 9], [0, 6, 9], [0, 6, 10]]
    return Made([*layers, linked, gone, ahead, one_name, both_names], images)


@pytest.mark.parametrize("levels_of_a_block", [64, 2])
def test_a_dataset_with_everything_in_it(monkeypatch, levels_of_a_block):
    monkeypatch.setattr(hidden, "_BLOCK", levels_of_a_block)
    check(some_dataset())


@pytest.mark.slow
@settings(max_examples=share_of(80), suppress_health_check=list(HealthCheck))
@given(datasets())
def test_random_datasets(made):
    check(made)


def check(made):
    """Write a dataset, and compare all that plain Python works out."""
    with (
        tempfile.TemporaryDirectory(dir="/dev/shm") as directory,
        hpc_remetrics.open(made.write(Path(directory))) as dataset,
    ):
        check_hidden(made, dataset)
        check_growth(made, dataset)
        check_files(made, dataset)
        check_layers(made, dataset)


def rows_of_layers(made, dataset) -> list[int]:
    """Return the row of each made layer in /layers."""
    digests = [value.tobytes() for value in dataset.layers["digest"]]
    return [digests.index(made.digest(layer).raw) for layer in range(len(made.layers))]


def check_hidden(made, dataset):
    row = rows_of_layers(made, dataset)
    how, least, most, hides = Counter(), {}, Counter(), Counter()
    want = []
    for image in made.images:
        found = brute.hidden_in([made.layers[layer] for layer in image])
        want.append((len(found), sum(size for _, size, _, _ in found)))
        for _, size, _, cause in found:
            how[cause] += size
            how[cause, "files"] += 1
        for position, layer in enumerate(image):
            hidden = sum(size for at, size, _, _ in found if at == position)
            least[row[layer]] = min(least.get(row[layer], hidden), hidden)
            most[row[layer]] = max(most[row[layer]], hidden)
            hides[row[layer]] = max(
                hides[row[layer]], sum(size for _, size, upper, _ in found if upper == position)
            )
    images, layers, table = (
        dataset.metrics["images"],
        dataset.metrics["layers"],
        dataset.metrics["hidden"],
    )
    assert (
        list(zip(images["hidden_files"].tolist(), images["hidden_bytes"].tolist(), strict=True))
        == want
    )
    assert table["bytes"].tolist() == [how[n] for n in range(4)]
    assert table["files"].tolist() == [how[n, "files"] for n in range(4)]
    for place in row:
        got = [
            int(layers[name][place])
            for name in ("hidden_bytes_min", "hidden_bytes_max", "hides_bytes_max")
        ]
        assert got == [least.get(place, 0), most[place], hides[place]]


def check_growth(made, dataset):
    row = rows_of_layers(made, dataset)
    by_row = [made.layers[row.index(place)] for place in range(len(row))]
    digests = [value.tobytes() for value in dataset.layers["digest"]]
    orders = [brute.order_of(digests, order) for order in range(ORDERS)]
    table = dataset.metrics["growth"]
    names = ("order", "layers", "files", "contents", "bytes", "content_bytes")
    got = list(zip(*(table[name].tolist() for name in names), strict=True))
    assert got == brute.growth(by_row, orders, list(range(1, len(row) + 1)))
    spread = dataset.metrics["growth_summary"]
    counts = defaultdict(list)
    for _, layers, files, contents, _, _ in got:
        counts[layers].append(files / contents if contents else np.nan)
    for at, layers in enumerate(spread["layers"].tolist()):
        np.testing.assert_allclose(
            spread["dedup_ratio_by_count_mean"][at], np.mean(counts[layers]), rtol=1e-12
        )
        np.testing.assert_allclose(
            spread["dedup_ratio_by_count_std"][at], np.std(counts[layers], ddof=1), atol=1e-12
        )
        np.testing.assert_array_equal(
            spread["dedup_ratio_by_count_min"][at], np.min(counts[layers])
        )


def check_files(made, dataset):
    files = [entry for layer in made.layers for entry in layer if entry.kind == "file"]
    metrics, columns = dataset.metrics, ("files", "contents", "bytes", "content_bytes")
    for name, want in (
        ("extensions", brute.by_extension(files)),
        *((d, brute.by_directory(files, d)) for d in (1, 2, 3, 4)),
    ):
        table = metrics["extensions" if name == "extensions" else "directories"]
        texts = table.readable("extension" if name == "extensions" else "directory").tolist()
        rows = [n for n in range(len(table)) if name == "extensions" or table["depth"][n] == name]
        got = {texts[n]: tuple(int(table[column][n]) for column in columns) for n in rows}
        assert got == {path_text(text): numbers for text, numbers in want.items()}
        assert len(rows) == len(want)
    table = metrics["same_path"]
    got = zip(
        table.readable("category").tolist(),
        table["count"].tolist(),
        table["files"].tolist(),
        strict=True,
    )
    assert {what: (count, n) for what, count, n in got} == brute.same_path(files)
    assert metrics.totals["paths"] == len({brute.clean(entry.path) for entry in files})
    assert metrics.totals["path_contents"] == len(
        {(brute.clean(entry.path), entry.digest) for entry in files}
    )
    top = metrics["top_contents"]
    for digest, path in zip(top.readable("digest"), top.readable("path"), strict=True):
        assert path in {
            path_text(brute.clean(e.path)) for e in files if e.digest.hex() == digest[-64:]
        }


def check_layers(made, dataset):
    users = defaultdict(set)
    for number, image in enumerate(made.images):
        for layer in image:
            users[layer].add(number)
    carriers, images_of = defaultdict(set), defaultdict(set)
    for number, layer in enumerate(made.layers):
        for entry in layer:
            if entry.kind == "file":
                carriers[entry.digest].add(number)
                images_of[entry.digest] |= users[number]
    table, row = dataset.metrics["layers"], rows_of_layers(made, dataset)
    for number, layer in enumerate(made.layers):
        files = [entry for entry in layer if entry.kind == "file"]
        shared = [entry for entry in files if len(images_of[entry.digest]) > 1]
        alone = {entry.digest: entry.size for entry in files if len(carriers[entry.digest]) == 1}
        distinct = {entry.digest: entry.size for entry in files}
        want = {
            "contents": len(distinct),
            "content_bytes": sum(distinct.values()),
            "shared_files": len(shared),
        }
        want |= {"shared_bytes": sum(entry.size for entry in shared)}
        want |= {"exclusive_contents": len(alone), "exclusive_bytes": sum(alone.values())}
        assert {name: int(table[name][row[number]]) for name in want} == want
