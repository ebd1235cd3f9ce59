"""Updates by chunk and by delta: exact of all, estimated from a sample, or missing."""

from __future__ import annotations

import hashlib
import math
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from support.made import Entry, Made
from support.thread_ranks import on_ranks

import hpc_remetrics
from hpc_remetrics.arrays import distinct
from hpc_remetrics.metrics import update_deltas
from hpc_remetrics.metrics.compression import MIN_SAMPLED, Estimate
from hpc_remetrics.metrics.estimates import NORMAL
from hpc_remetrics.metrics.image_pairs import ImagePairs
from hpc_remetrics.metrics.inputs import MetricsInputs
from hpc_remetrics.metrics.update_chunks import ChunkPass
from hpc_remetrics.metrics.update_deltas import CONTENTS, DeltaPass, delta_size, digests_of
from hpc_remetrics.metrics.update_tables import update_table, update_totals
from hpc_remetrics.metrics.updates import UpdatePass
from hpc_remetrics.mpi.comm import SerialComm
from hpc_remetrics.parts.extra_places import Place
from hpc_remetrics.parts.part_format import EXTRA_RECORDS
from hpc_remetrics.parts.spill_format import PIECE_BYTES


def file(path: str, content: int) -> Entry:
    return Entry("file", path.encode(), content)


LAYERS = [
    [file("a", 1), file("b", 2), file("gone", 9)],
    [file("b", 3), file("new", 4), Entry("hardlink", b"l", link=b"b")],
    [file("b", 5), file("a", 3), file("x/y", 6)],
    [file(f"many/{n}", n) for n in range(100, 150)],
    [file(f"./many//{n}", n + 500) for n in range(100, 150)],
]
IMAGES = [[0], [0, 1], [0, 2], [0, 3], [0, 4]]
PAIRS = [(0, 1), (1, 2), (2, 2), (3, 4), (0, 4)]


class Places:
    """Records of layers in memory, in place of parts."""

    def __init__(self, kind: str, layers: dict[bytes, np.ndarray]) -> None:
        self.layers = list(layers.values())
        self.places = {
            digest: Place(part, 0, len(rows)) for part, (digest, rows) in enumerate(layers.items())
        }
        self._empty = np.empty(0, EXTRA_RECORDS[kind])

    def read(self, digest: bytes) -> np.ndarray:
        place = self.places.get(digest)
        return self._empty if place is None else self.layers[place.part]

    def records(self, part: int, offset: int, count: int) -> np.ndarray:
        first = offset // self._empty.itemsize
        return self.layers[part][first : first + count]

    def __iter__(self):
        return iter(self.places.values())


@pytest.fixture(scope="module")
def path(tmp_path_factory) -> Path:
    return Made(LAYERS, IMAGES).write(tmp_path_factory.mktemp("made"), metrics=False)


def pairs(dataset) -> ImagePairs:
    numbers = [int(name[5:]) for name in dataset.images.readable("name")]
    rows = np.array([[numbers.index(image) for image in pair] for pair in PAIRS])
    return ImagePairs(rows[:, 0], rows[:, 1], np.arange(1, len(rows) + 1))


def on(path: Path, directory: Path, work, ranks: int = 1, memory: int = 1 << 20):
    """Do work on the passes over a dataset on some ranks; return what rank 0 gets."""

    def run(comm):
        scratch = directory / f"{ranks}-{comm.rank}"
        scratch.mkdir()
        with hpc_remetrics.open(path) as dataset:
            inputs = MetricsInputs(comm, dataset, scratch, memory)
            inputs.map_sizes()
            updates = UpdatePass(inputs, pairs(dataset))
            return work(updates)

    return run(SerialComm()) if ranks == 1 else on_ranks(ranks, run)[0]


def fingerprint(number: int) -> bytes:
    return hashlib.sha256(b"chunk %d" % number).digest()[:16]


def chunk_rows(layers: dict[int, list[tuple[int, int]]]) -> dict[bytes, np.ndarray]:
    """Return the records of layers: place of a layer -> (number, size) of its chunks."""
    made = Made(LAYERS, IMAGES)
    found = {}
    for layer, chunks in layers.items():
        # Chunks of fixed size are among them, and must not count.
        rows = [(fingerprint(number), size, 1) for number, size in chunks]
        rows += [(fingerprint(number + 1), 4096, 0) for number, _ in chunks]
        found[made.digest(layer).raw] = np.array(rows, EXTRA_RECORDS["chunks"])
    return found


CHUNKS = {
    0: [(1, 100), (2, 200), (1, 100)],
    1: [(3, 32768), (1, 100), (4, 1)],
    2: [(5, 500), (3, 32768)],
    3: [(number, number) for number in range(100, 150)],
    4: [(number, number + 1) for number in range(130, 180)],
}


def chunk_pass(updates, share=Fraction(1), layers=CHUNKS):
    results = updates.run()
    return ChunkPass(updates, results, Places("chunks", chunk_rows(layers)), share).run()


def test_chunks_are_those_that_no_layer_of_the_older_image_has(path, tmp_path):
    found = on(path, tmp_path, chunk_pass)
    many = sum(range(131, 181))
    assert found.columns["sampled_chunks"].tolist() == [2, 1, 0, 50, 50]
    for name in ("chunks", "chunks_ci_low", "chunks_ci_high"):
        assert found.columns[name].tolist() == [32769, 500, 0, many, many]
    total = 32769 + 500 + 2 * many
    assert found.total == Estimate(total, total, total)
    assert not found.is_estimated


@pytest.mark.parametrize(("ranks", "memory"), [(2, 1 << 20), (3, 256)])
def test_ranks_and_memory_make_no_difference(path, tmp_path, ranks, memory):
    def work(updates):
        return chunk_pass(updates, Fraction(1, 2))

    want = on(path, tmp_path, work)
    got = on(path, tmp_path, work, ranks, memory)
    for name, values in want.columns.items():
        np.testing.assert_array_equal(got.columns[name], values, name)
    assert got.total == want.total


def test_a_sample_stands_for_all_chunks(path, tmp_path):
    """The sizes of the made contents bound what can be pulled, so these are small."""
    few = {4: [(number, 2) for number in range(MIN_SAMPLED)], 0: [], 1: [(1, 9)], 2: [], 3: []}
    found = on(path, tmp_path, lambda updates: chunk_pass(updates, Fraction(1, 4), few))
    half = NORMAL * math.sqrt(0.75 * 4 * MIN_SAMPLED) * 4
    columns = {name: values[3] for name, values in found.columns.items()}
    assert columns["sampled_chunks"] == MIN_SAMPLED
    assert columns["chunks"] == 8 * MIN_SAMPLED
    assert columns["chunks_ci_low"] == pytest.approx(8 * MIN_SAMPLED - half)
    assert columns["chunks_ci_high"] == pytest.approx(8 * MIN_SAMPLED + half)
    # One chunk is too few, and none of no content is exact.
    assert math.isnan(found.columns["chunks"][0])
    assert found.columns["chunks"][2] == 0
    # In the total a chunk of two pairs counts twice, and is one draw.
    sizes = [4] * MIN_SAMPLED + [9]
    half = NORMAL * math.sqrt(0.75 * sum(size * size for size in sizes)) * 4
    total = 4 * sum(sizes)
    assert found.is_estimated
    assert found.total.bytes == total
    assert found.total.low == pytest.approx(total - half)
    assert found.total.high == pytest.approx(total + half)


def test_pairs_of_layers_that_are_gone_have_no_numbers(path, tmp_path):
    layers = {layer: chunks for layer, chunks in CHUNKS.items() if layer != 1}
    found = on(path, tmp_path, lambda updates: chunk_pass(updates, layers=layers))
    assert np.isnan(found.columns["chunks"]).tolist() == [True, True, False, False, False]
    assert found.total is None


def test_a_layer_that_no_pair_needs_may_be_missing(path, tmp_path):
    """The same image pulls nothing, so none of its layers was read again for it."""
    layers = {layer: chunks for layer, chunks in CHUNKS.items() if layer != 2}
    found = on(path, tmp_path, lambda updates: chunk_pass(updates, layers=layers))
    assert np.isnan(found.columns["chunks"]).tolist() == [False, True, False, False, False]
    assert found.columns["chunks"][2] == 0


def content(number: int) -> bytes:
    """Return bytes of the size that a made entry has; the digests do not matter here."""
    return bytes([number % 251]) * file("", number).size


def piece_rows(numbers: list[int], layer: int = 0) -> Places:
    """Return pieces of contents by their words; the made digests stand for their bytes."""
    rows = []
    for number in numbers:
        data = content(number)
        assert len(data) <= PIECE_BYTES
        rows.append((file("", number).digest, 0, len(data), data))
    array = np.array(rows, EXTRA_RECORDS["pieces"])
    made = Made(LAYERS, IMAGES)
    layers = {made.digest(place).raw: array[:0] for place in range(len(LAYERS))}
    return Places("pieces", layers | {made.digest(layer).raw: array})


@pytest.fixture
def trusting(monkeypatch):
    """Take the word of made records for the digests of their contents."""

    class Trusting:
        def __init__(self, data: bytes) -> None:
            self.data = data

        def digest(self) -> bytes:
            every = (number for layer in LAYERS for number in [one.content for one in layer])
            return next(file("", n).digest for n in every if content(n) == self.data)

    monkeypatch.setattr(update_deltas, "hashlib", SimpleNamespace(sha256=Trusting))


def make_deltas(updates, places, listed="list"):
    """Compress the sample of the pairs, with a list of contents and journals on disk."""
    deltas = DeltaPass(updates, Fraction(1))
    directory = updates.inputs.scratch.parent
    comm = updates.inputs.comm
    every = distinct(np.concatenate(comm.allgather(deltas.wanted())))
    if comm.rank == 0:
        (directory / CONTENTS).write_bytes(digests_of(updates.inputs, every).tobytes())
    comm.barrier()
    return deltas.run(places, directory, listed)


def words(updates, rows: np.ndarray) -> list[int]:
    """Return the words of contents, -1 of none."""
    digests = updates.inputs.dataset.contents["digest"].tolist()
    by_digest = {one.digest: one.content for layer in LAYERS for one in layer}
    return [by_digest[digests[row]] if row >= 0 else -1 for row in rows.tolist()]


def test_the_reference_is_what_the_older_image_has_at_the_path(path, tmp_path):
    def work(updates):
        deltas = DeltaPass(updates, Fraction(1))
        found = {
            pair: dict(
                zip(words(updates, one.contents), words(updates, one.references), strict=True)
            )
            for pair, one in deltas.samples.items()
        }
        return found, sorted(words(updates, deltas.wanted()))

    found, wanted = on(path, tmp_path, work)
    # `b` and its hard link `l`: the former has something in the older image.
    assert found[0] == {3: 2, 4: -1}
    # `b` of the upper layer of the older image counts; `a` has what the older image has anyway.
    assert found[1] == {5: 3, 6: -1}
    assert found[2] == {}
    # Paths are compared as they are cleaned.
    assert found[3] == {n + 500: n for n in range(100, 150)}
    assert found[4] == {n + 500: -1 for n in range(100, 150)}
    assert wanted == sorted({2, 3, 4, 5, 6, *range(100, 150), *range(600, 650)})


def test_the_sample_is_drawn_by_digest(path, tmp_path):
    def work(updates):
        samples = DeltaPass(updates, Fraction(1, 4)).samples
        return words(updates, samples[3].contents)

    want = [n for n in range(600, 650) if file("", n).digest < b"\x40"]
    assert sorted(on(path, tmp_path, work)) == want


def test_deltas_of_all_contents_are_exact(path, tmp_path, trusting):
    every = [2, 3, 4, 5, 6, *range(100, 150), *range(600, 650)]

    def work(updates):
        results = updates.run()
        found = make_deltas(updates, piece_rows(every))
        return (
            found,
            update_table(updates.inputs, results, {"delta": found}),
            update_totals(results, {"delta": found}),
        )

    found, table, totals = on(path, tmp_path, work)
    many = [delta_size(content(n), content(n + 500)) for n in range(100, 150)]
    alone = [delta_size(b"", content(n + 500)) for n in range(100, 150)]
    want = [
        delta_size(content(2), content(3)) + delta_size(b"", content(4)),
        delta_size(content(3), content(5)) + delta_size(b"", content(6)),
        0,
        sum(many),
        sum(alone),
    ]
    assert table["delta"].tolist() == want
    assert table["sampled_deltas"].tolist() == [2, 2, 0, 50, 50]
    assert found.total == Estimate(sum(want), sum(want), sum(want))
    assert not found.is_estimated
    assert totals["method"][-1] == "delta"
    assert totals["bytes"][-1] == sum(want)
    assert totals["is_compressed"][-1]
    # What was not measured is missing.
    assert np.isnan(table["chunks"]).all()


def test_contents_that_were_not_kept_are_not_in_the_sample(path, tmp_path, trusting):
    """Of 50 contents 30 are there: enough for an estimate."""
    kept = [2, 3, 4, 5, 6, *range(100, 130), *range(600, 650)]

    def work(updates):
        return make_deltas(updates, piece_rows(kept))

    found = on(path, tmp_path, work)
    assert found.columns["sampled_deltas"].tolist() == [2, 2, 0, 30, 50]
    low, delta, high = (
        found.columns[name][3] for name in ("delta_ci_low", "delta", "delta_ci_high")
    )
    assert low < delta < high
    assert found.columns["delta_ci_low"][4] == found.columns["delta"][4]
    # A content that only one of its pairs could compress is in the sample of neither for the total.
    assert found.is_estimated


EVERY = [2, 3, 4, 5, 6, *range(100, 150), *range(600, 650)]


class Killed(Exception):
    """Ends the work as a kill does: nothing but what is on disk is left."""


@pytest.fixture
def made(monkeypatch):
    """The patches that are made, as sizes of reference and data; `made.left` until a kill."""

    class Patches(list):
        left = 10**6

    patches = Patches()

    def count(reference: bytes, data: bytes) -> int:
        if len(patches) >= patches.left:
            raise Killed
        patches.append((reference, data))
        return delta_size(reference, data)

    monkeypatch.setattr(update_deltas, "delta_size", count)
    return patches


@pytest.mark.parametrize("ranks", [1, 3])
def test_patches_are_made_once_whatever_kills_the_run(path, tmp_path, trusting, made, ranks):
    """Killed after 30 of 104 patches, torn in the last line, and continued on other ranks."""
    (tmp_path / "whole").mkdir()
    (tmp_path / "killed").mkdir()
    pieces = piece_rows(EVERY)
    want = on(path, tmp_path / "whole", lambda updates: make_deltas(updates, pieces))
    every = set(made)
    assert len(made) == len(every) == 104
    made.clear()
    made.left = 30
    with pytest.raises(Killed):
        on(path, tmp_path / "killed", lambda updates: make_deltas(updates, pieces))
    (journal,) = (tmp_path / "killed").glob("deltas-*-0.journal")
    lines = journal.read_bytes()
    assert lines.count(b"\n") == 31
    # The last line is torn: its patch is made again.
    journal.write_bytes(lines[:-3])
    before = made[:29]
    made.clear()
    made.left = 10**6
    directory = tmp_path / "killed" / "again"
    directory.mkdir()
    journal.rename(directory / journal.name)
    got = on(path, directory, lambda updates: make_deltas(updates, pieces), ranks)
    assert set(made) == every - set(before)
    for name, values in want.columns.items():
        np.testing.assert_array_equal(got.columns[name], values, name)
    assert got.total == want.total
    # A third run makes none.
    made.clear()
    again = on(path, directory, lambda updates: make_deltas(updates, pieces), ranks + 1)
    assert made == []
    assert again.total == want.total


def test_patches_of_another_list_are_made_again(path, tmp_path, trusting, made):
    pieces = piece_rows(EVERY)
    for number, listed in enumerate(("one", "other")):
        made.clear()
        on(
            path,
            tmp_path,
            lambda updates, name=listed: make_deltas(updates, pieces, name),
            number + 1,
        )
        assert len(set(made)) == 104


def test_patches_of_little():
    assert delta_size(b"abc", b"") == 0
    assert delta_size(b"abc", b"x") == 1
    data = bytes(range(256)) * 300
    assert delta_size(data, data) < 40
    assert delta_size(b"", data) < len(data) / 50
    assert delta_size(data[:7], data) == delta_size(b"", data)
