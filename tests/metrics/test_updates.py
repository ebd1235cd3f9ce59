"""Updates by layer and by file, against sets, for random and for real images."""

from __future__ import annotations

import functools
import math
import subprocess
import tarfile
import tempfile
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from support.examples import share_of
from support.layouts import Layout
from support.made import Entry, Made
from support.runs import Runs
from support.small_images import PARTS, tar_of
from support.thread_ranks import on_ranks
from support.tools import need

import hpc_remetrics
from hpc_remetrics.metrics.image_pairs import ImagePairs
from hpc_remetrics.metrics.inputs import MetricsInputs
from hpc_remetrics.metrics.layer_cache import LayerCache
from hpc_remetrics.metrics.update_tables import update_growth, update_table, update_totals
from hpc_remetrics.metrics.updates import PairLayers, UpdatePass, UpdateResults, _is_in
from hpc_remetrics.mpi.comm import SerialComm

from .test_brute_force import datasets


def all_pairs(images: int) -> ImagePairs:
    """Return each image with each, numbered by the newer one's row."""
    old = np.repeat(np.arange(images), images)
    new = np.tile(np.arange(images), images)
    return ImagePairs(old, new, old + 1)


def compared(path: Path, scratch: Path, pairs: ImagePairs | None = None, comm=None, memory=1 << 20):
    """Return what a pass over a dataset says of pairs, and the table of it."""
    scratch.mkdir(exist_ok=True)
    with hpc_remetrics.open(path) as dataset:
        inputs = MetricsInputs(comm or SerialComm(), dataset, scratch, memory)
        inputs.map_sizes()
        results = UpdatePass(inputs, pairs or all_pairs(len(dataset.images))).run()
        return results, update_table(inputs, results)


def made_images(path: Path) -> list[int]:
    """Return the number of each image of a `Made` dataset, in order of /images."""
    with hpc_remetrics.open(path) as dataset:
        names = dataset.images.readable("name").tolist()
    return [int(name.partition(":")[0].removeprefix("made") or name[5:]) for name in names]


def check(made: Made, path: Path, results: UpdateResults) -> None:
    """Compare with sets of layers and contents."""
    numbers = made_images(path)
    counts = results.counts
    contents = [
        {entry.content: entry.size for entry in layer if entry.kind == "file"}
        for layer in made.layers
    ]
    pulled: dict[int, int] = {}
    for pair, (old_row, new_row) in enumerate(
        zip(results.pairs.old.tolist(), results.pairs.new.tolist(), strict=True)
    ):
        old = set(made.images[numbers[old_row]])
        new = set(made.images[numbers[new_row]])
        held = {content for layer in old for content in contents[layer]}
        wanted = {}
        for layer in new:
            wanted |= {one: size for one, size in contents[layer].items() if one not in held}
        for content in wanted:
            pulled[content] = pulled.get(content, 0) + 1
        assert counts["layers"][pair] == len(new - old)
        assert counts["layer_bytes"][pair] == sum(10 * len(made.layers[n]) for n in new - old)
        assert counts["image_layers"][pair] == len(new)
        assert counts["image_bytes"][pair] == sum(10 * len(made.layers[n]) for n in new)
        files = [one for n in new for one in made.layers[n] if one.kind == "file"]
        assert counts["image_FLS"][pair] == sum(one.size for one in files)
        assert counts["contents"][pair] == len(wanted)
        assert counts["content_bytes"][pair] == sum(wanted.values())
        assert counts["unread_layers"][pair] == len((old | new) & made.status.keys())
        sampled = wanted.keys() & made.compressed
        assert counts["sampled_contents"][pair] == len(sampled)
        packed = results.estimates["gzip"][pair]
        if len(sampled) == len(wanted):
            assert packed == sum(-(-size // 2) for size in wanted.values())
        else:
            assert math.isnan(packed)
    sizes = {one: size for layer in contents for one, size in layer.items()}
    # The sums over all pairs count a content once for each pair.
    whole = results.compression[:, 0].sum(axis=1).tolist()
    assert whole[0] == len(pulled)
    assert whole[1] == sum(sizes[one] * times for one, times in pulled.items())


@settings(max_examples=share_of(12), deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(made=datasets())
def test_random_images_against_sets(made):
    made.compressed = frozenset(range(0, 13, 2))
    with tempfile.TemporaryDirectory() as directory:
        path = made.write(Path(directory) / "made", metrics=False)
        results, _ = compared(path, Path(directory) / "scratch")
        check(made, path, results)
        check_needed(made, path, Path(directory) / "needed")


def check_needed(made: Made, path: Path, scratch: Path) -> None:
    """The layers that are read again have all contents of both images, if any is pulled."""
    scratch.mkdir()
    numbers = made_images(path)
    contents = [
        {entry.content for entry in layer if entry.kind == "file" and entry.size}
        for layer in made.layers
    ]
    with hpc_remetrics.open(path) as dataset:
        place_of = {made.digest(place).raw: place for place in range(len(made.layers))}
        places = [place_of[digest] for digest in dataset.layers["digest"].tolist()]
        inputs = MetricsInputs(SerialComm(), dataset, scratch, 1 << 20)
        inputs.map_sizes()
        pairs = all_pairs(len(numbers))
        updates = UpdatePass(inputs, pairs)
        for pair, (old, new) in enumerate(zip(pairs.old.tolist(), pairs.new.tolist(), strict=True)):
            needed = updates.needed(pair)
            held = [contents[layer] for layer in set(made.images[numbers[old]])]
            all_held = set().union(*held)
            pulled = set().union(*(contents[n] for n in made.images[numbers[new]])) - all_held
            read = [[contents[places[row]] for row in rows] for rows in (needed.old, needed.new)]
            assert set().union(*read[0]) == (all_held if pulled else set())
            assert set().union(*read[1]) - all_held == pulled
            assert not set(needed.old.tolist()) & set(needed.new.tolist())


def file(path: str, content: int) -> Entry:
    return Entry("file", path.encode(), content)


LAYERS = [
    [file("a", 1), file("b", 2), file("c", 2), Entry("hardlink", b"l", link=b"a")],
    [file("b", 3), file("d", 4), Entry("whiteout", b".wh.c")],
    [file("b", 5), file("e", 1), file("empty", 0)],
    [file(f"many/{n}", n) for n in range(100, 150)],
]
IMAGES = [[0, 1], [0, 2], [0, 1, 2, 1], [3], [], [0, 3]]


def test_layers_without_a_content_of_their_own_are_not_read_again(tmp_path):
    """As after `chown`, or with empty files; nor is anything of a pair that pulls nothing."""
    layers = [
        [file("a", 1), file("b", 2), file("c", 3)],
        [file("a", 1), file("b", 2)],
        [file("new", 4), file("other", 5)],
        [file("new", 4)],
        [Entry("directory", b"d"), file("empty", 0)],
        [],
    ]
    images = [[0, 1, 4, 5], [0, 1, 2, 3, 4], [0, 1]]
    made = Made(layers, images)
    path = made.write(tmp_path / "made", metrics=False)
    numbers = made_images(path)
    (tmp_path / "scratch").mkdir()
    with hpc_remetrics.open(path) as dataset:
        inputs = MetricsInputs(SerialComm(), dataset, tmp_path / "scratch", 1 << 20)
        inputs.map_sizes()
        rows = [numbers.index(image) for image in range(3)]
        old = np.array([rows[0], rows[1], rows[0]])
        new = np.array([rows[1], rows[0], rows[2]])
        updates = UpdatePass(inputs, ImagePairs(old, new, old + 1))
        digests = dataset.layers["digest"].tolist()
        row_of = {place: digests.index(made.digest(place).raw) for place in (0, 2)}
        needed = [updates.needed(pair) for pair in range(3)]
    assert [one.old.tolist() for one in needed] == [[row_of[0]], [], []]
    assert [one.new.tolist() for one in needed] == [[row_of[2]], [], []]


@pytest.fixture(scope="module")
def path(tmp_path_factory) -> Path:
    made = Made(LAYERS, IMAGES, status={2: "partial"}, compressed=frozenset(range(100, 130)))
    return made.write(tmp_path_factory.mktemp("updates"), metrics=False)


def test_a_small_dataset_by_hand(path, tmp_path):
    results, _ = compared(path, tmp_path / "scratch")
    counts = results.counts
    # From the first image to the third: layer 2, of which 5 and the empty content are new.
    pair = 2
    assert (counts["layers"][pair], counts["contents"][pair]) == (1, 2)
    assert counts["content_bytes"][pair] == file("", 5).size
    assert counts["unread_layers"][pair] == 1


def test_a_pair_with_enough_of_the_sample_has_an_estimate_with_its_interval(path, tmp_path):
    images = made_images(path)
    old = np.array([images.index(0)])
    new = np.array([images.index(5)])
    results, _ = compared(path, tmp_path / "scratch", ImagePairs(old, new, np.array([1])))
    counts = results.counts
    assert (counts["contents"][0], counts["sampled_contents"][0]) == (50, 30)
    values = {name: one[0] for name, one in results.estimates.items()}
    # The sample takes a half by gzip and a third by zstd, rounded up.
    size = counts["content_bytes"][0]
    assert values["gzip"] == pytest.approx(size / 2, rel=0.01)
    assert values["zstd"] == pytest.approx(size / 3, rel=0.01)
    for codec in ("gzip", "zstd"):
        assert values[f"{codec}_ci_low"] < values[codec] < values[f"{codec}_ci_high"]
    # Of one pair the total is the pair's.
    totals = update_totals(results)
    assert totals["method"][4:] == ["files_gzip", "files_zstd"]
    assert totals["bytes"][4:] == [values["gzip"], values["zstd"]]
    assert totals["ci_low"][4:] == [values["gzip_ci_low"], values["zstd_ci_low"]]
    assert totals["is_estimated"] == [False, False, False, False, True, True]
    assert totals["is_compressed"] == [True, True, False, False, True, True]


@pytest.mark.parametrize(("ranks", "memory"), [(2, 1 << 20), (3, 256)])
def test_ranks_and_memory_make_no_difference(path, tmp_path, ranks, memory):
    want, table = compared(path, tmp_path / "serial")

    def run(comm):
        return compared(path, tmp_path / f"{comm.rank}", comm=comm, memory=memory)

    for results, got in on_ranks(ranks, run):
        for name, values in table.items():
            np.testing.assert_array_equal(got[name], values, name)
        np.testing.assert_array_equal(results.compression, want.compression)


def test_pairs_are_divided_by_their_cost(path, tmp_path):
    """Each rank has neighbours; all together have every pair once."""

    def share(comm):
        (tmp_path / f"{comm.rank}").mkdir()
        with hpc_remetrics.open(path) as dataset:
            inputs = MetricsInputs(comm, dataset, tmp_path / f"{comm.rank}", 1 << 20)
            inputs.map_sizes()
            return UpdatePass(inputs, all_pairs(len(dataset.images))).share()

    shares = on_ranks(3, share)
    assert [pair for mine in shares for pair in mine] == list(range(36))
    assert all(len(mine) > 8 for mine in shares)


def results_of(update: list[int], **counts: list[int]) -> UpdateResults:
    numbers = np.zeros(len(update), np.int64)
    pairs = ImagePairs(numbers, numbers, np.array(update, np.int64))
    columns = {name: np.array(values, np.int64) for name, values in counts.items()}
    return UpdateResults(pairs, columns, {}, np.zeros((12, 2, 33), np.int64))


def test_the_cost_of_a_pair():
    """That of a pair, of the entries that are pulled, and an eighth of those of the older image."""
    pairs = [
        PairLayers(np.array([0]), np.array([0, 1])),  # 100 + 200 + 800 // 8
        PairLayers(np.array([1]), np.array([1])),  # 100 + 0 + 200 // 8
        PairLayers(np.array([1]), np.array([2])),  # 100 + 75 + 200 // 8
    ]
    entries = np.array([800, 200, 75])
    # With as many ranks as there is cost, each pair belongs to the rank of its last unit of it.
    ranks = 400 + 125 + 200
    costs = [np.array([400]), np.array([125, 200])]
    found = {}
    for rank in range(ranks):
        one = object.__new__(UpdatePass)
        one.pairs = pairs
        one.layers = pairs.__getitem__
        comm = SimpleNamespace(rank=rank, size=ranks, allgather=lambda mine: costs)
        one.inputs = SimpleNamespace(comm=comm, layer=lambda name: entries)
        found |= dict.fromkeys(one._my_pairs(), rank)
    assert found == {0: 400 - 1, 1: 525 - 1, 2: 725 - 1}
    assert [one._cost(pair) for pair in range(3)] == [400, 125, 200]


def test_growth_adds_up_the_first_updates_of_all_repositories():
    sizes = {"image_bytes": [8, 9, 10], "layer_bytes": [4, 5, 6], "content_bytes": [1, 2, 3]}
    table = update_growth(results_of([1, 2, 1], **sizes))
    assert {name: values.tolist() for name, values in table.items()} == {
        "updates": [1, 2],
        "pairs": [2, 3],
        "image_bytes": [18, 27],
        "layer_bytes": [10, 15],
        "content_bytes": [4, 6],
    }


def test_without_pairs_there_are_totals_of_nothing():
    results = results_of([], image_bytes=[], layer_bytes=[], image_FLS=[], content_bytes=[])
    assert len(update_growth(results)["updates"]) == 0
    totals = update_totals(results)
    assert totals["bytes"] == [0, 0, 0, 0]
    assert np.isnan(totals["share"]).all()


def test_totals_are_sums_and_shares_of_whole_images():
    sizes = {"image_bytes": [8, 12], "layer_bytes": [4, 1]}
    sizes |= {"image_FLS": [50, 50], "content_bytes": [20, 10]}
    totals = update_totals(results_of([1, 2], **sizes))
    assert totals["method"] == ["images", "layers", "images_uncompressed", "files"]
    assert totals["bytes"] == [20, 5, 100, 30]
    assert totals["share"].tolist() == [1, 0.25, 1, 0.3]
    assert totals["ci_low"] == totals["ci_high"] == totals["bytes"]


@pytest.mark.parametrize(
    ("values", "others", "want"),
    [
        ([], [1], []),
        ([1], [], [False]),
        ([1, 3, 5], [3], [False, True, False]),
        ([3], [1, 3, 5], [True]),
        ([9], [1, 3, 5], [False]),
        ([1, 3, 5], [0, 9], [False, False, False]),
        ([1, 2], [2, 3], [False, True]),
    ],
)
def test_the_fewer_are_looked_up_in_the_more(values, others, want):
    found = _is_in(np.array(values, np.int64), np.array(others, np.int64))
    assert found.tolist() == want


def test_a_cache_of_layers_drops_the_least_recently_used():
    made: list[int] = []

    def make(layer: int) -> np.ndarray:
        made.append(layer)
        return np.zeros(layer, np.uint8)

    cache = LayerCache(make, 10)
    assert [len(cache[layer]) for layer in (4, 6, 4, 5, 4, 6)] == [4, 6, 4, 5, 4, 6]
    assert made == [4, 6, 5, 6]
    # The last one stays, however large it is.
    assert [len(cache[layer]) for layer in (40, 40)] == [40, 40]
    assert made == [4, 6, 5, 6, 40]


@pytest.mark.slow
@pytest.mark.xdist_group("small images")
def test_layers_are_what_skopeo_copies_on_top_of_the_older_image(tmp_path):
    layout = Layout(tmp_path / "layout")
    layers = [layout.layer(tar_of(parts), "gzip") for parts in PARTS.values()]
    stacks = {"one": layers[:6], "two": [*layers[:5], layers[7]], "three": layers[3:12]}
    for name, stack in stacks.items():
        layout.image(f"{name}:1", stack)
    source = layout.finish()
    runs = Runs(tmp_path)
    path = tmp_path / "small.h5"
    runs.run(runs.analyze(f"oci:{source}", path, "--types", "none"))
    _, table = compared(path, tmp_path / "scratch")
    with hpc_remetrics.open(path) as dataset:
        names = dataset.images.readable("name").tolist()
    blobs = tmp_path / "copy" / "blobs" / "sha256"
    for pair, (old, new) in enumerate(zip(table["old"], table["new"], strict=True)):
        target = f"oci:{tmp_path}/copy"
        before: set[Path] = set()
        for image in (old, new):
            command = [need("skopeo"), "copy", "-q", "--insecure-policy"]
            tag = names[image].rpartition("/")[2]
            before = set(blobs.glob("*"))
            subprocess.run([*command, f"oci:{source}:{tag}", f"{target}:{image}"], check=True)
        # Layers begin as gzip does; manifests and configs do not.
        added = [one for one in blobs.glob("*") if one not in before]
        sizes = [one.stat().st_size for one in added if one.read_bytes()[:2] == b"\x1f\x8b"]
        assert table["layer_bytes"][pair] == sum(sizes)
        assert table["layers"][pair] == len(sizes)
        subprocess.run(["rm", "-r", str(tmp_path / "copy")], check=True)
    assert sorted(set(table["layers"].tolist())) == [0, 1, 3, 6]


@pytest.mark.slow
@pytest.mark.xdist_group("metrics of real files")
def test_contents_are_those_of_the_tars(dataset, real, tmp_path):
    """Python's tarfile reads the layers; files are compared by their bytes."""
    layout = Path(dataset.sources[0].removeprefix("oci:"))
    rows = np.arange(7)
    _, table = compared(real, tmp_path / "scratch", ImagePairs(rows[:-1], rows[1:], rows[1:]))
    digests = dataset.layers.readable("digest").tolist()

    @functools.cache
    def contents(layer: int) -> set[bytes]:
        blob = layout / "blobs" / "sha256" / digests[layer].removeprefix("sha256:")
        with tarfile.open(blob) as tar:
            files = [one for one in tar if one.isreg() and "/.wh." not in f"/{one.name}"]
            return {tar.extractfile(one).read() for one in files}

    def all_of(image: int) -> set[bytes]:
        first = int(dataset.images["first_layer"][image])
        stack = dataset.image_layers["layer"][first : first + dataset.images["layers"][image]]
        return set().union(*map(contents, set(stack.tolist())))

    for pair, (old, new) in enumerate(zip(table["old"], table["new"], strict=True)):
        pulled = all_of(int(new)) - all_of(int(old))
        assert table["contents"][pair] == len(pulled)
        assert table["content_bytes"][pair] == sum(map(len, pulled))
