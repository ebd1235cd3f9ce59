"""Hidden files of real images, judged by applying their layers as an unpacker does."""

from __future__ import annotations

import random
from collections import defaultdict
from itertools import pairwise

import numpy as np
import pytest
from support.made import Entry

from hpc_remetrics.metrics.hidden import common_length, common_lengths, sorted_chains

from . import brute_force as brute

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("metrics of real files")]

File = tuple[int, int]
"""Position of the layer in the image, and row in /entries."""


MARKS = ("whiteout", "opaque")
"""Kinds of entries that only remove what lies below."""


class Tree:
    """What an image shows: names of files, and everything else by path, as nested dictionaries."""

    def __init__(self) -> None:
        self.root: dict = {}

    def apply(self, position: int, layer: list[tuple[int, Entry]], files: dict[int, int]) -> None:
        """Apply a layer; `files` is row of a name -> row of its file."""
        for _, entry in layer:
            directory, _, name = brute.clean(entry.path).rpartition(b"/")
            if entry.kind == "whiteout" and name[4:] not in (b"", b".", b".."):
                self.remove(directory, name[4:])
            elif entry.kind == "opaque" and isinstance(found := self.find(directory), dict):
                found.clear()
        for row, entry in layer:
            if entry.kind not in MARKS:
                self.put(
                    brute.clean(entry.path),
                    entry.kind,
                    (position, files[row]) if row in files else None,
                )

    def find(self, path: bytes):
        found = self.root
        for part in path.split(b"/") if path else ():
            found = found.get(part) if isinstance(found, dict) else None
        return found

    def remove(self, directory: bytes, name: bytes) -> None:
        if isinstance(found := self.find(directory), dict):
            found.pop(name, None)

    def put(self, path: bytes, kind: str, file: File | None) -> None:
        *directories, name = path.split(b"/")
        at = self.root
        for part in directories:
            if not isinstance(at.get(part), dict):
                at[part] = {}
            at = at[part]
        if kind == "directory":
            if path and not isinstance(at.get(name), dict):
                at[name] = {}
        else:
            at[name] = file

    def files(self) -> set[File]:
        """Return the files that at least one name shows."""
        found, directories = set(), [self.root]
        while directories:
            for value in directories.pop().values():
                if isinstance(value, dict):
                    directories.append(value)
                elif value is not None:
                    found.add(value)
        return found


def test_images_hide_what_an_unpacker_removes(dataset):
    kinds, paths, links = dataset.entries.readable("kind"), dataset.paths(), dataset.links()
    content, sizes = dataset.entries.column("content"), dataset.contents["size"]
    layers, files = [], []
    for layer in range(len(dataset.layers)):
        rows = range(*dataset.entries_of(layer).indices(len(paths)))
        entries = [Entry(kinds[row], paths[row], link=links[row]) for row in rows]
        named = {
            link: place for link, place in brute.links(entries).items() if content[rows[link]] >= 0
        }
        layers.append(list(zip(rows, entries, strict=True)))
        own = {row: row for row, entry in layers[-1] if entry.kind == "file"}
        files.append(own | {rows[link]: rows[place] for link, place in named.items()})
    of_image = defaultdict(list)
    for image, (first, count) in enumerate(
        zip(dataset.images["first_layer"], dataset.images["layers"], strict=True)
    ):
        of_image[image] = dataset.image_layers.column("layer", first, first + count).tolist()
    want = []
    for stack in of_image.values():
        tree, shipped = Tree(), set()
        for position, layer in enumerate(stack):
            tree.apply(position, layers[layer], files[layer])
            shipped |= {(position, row) for row, file in files[layer].items() if row == file}
        gone = shipped - tree.files()
        want.append((len(gone), sum(int(sizes[content[row]]) for _, row in gone)))
    table = dataset.metrics["images"]
    assert (
        list(zip(table["hidden_files"].tolist(), table["hidden_bytes"].tolist(), strict=True))
        == want
    )
    assert sum(files for files, _ in want) > 10_000
    assert all(dataset.metrics["hidden"]["files"] > 0)


def test_what_is_hidden_adds_up(dataset):
    metrics = dataset.metrics
    for name in ("files", "bytes"):
        assert metrics["hidden"][name].sum() == metrics.totals[f"hidden_{name}"]
    layers = metrics["layers"]
    assert (layers["hidden_bytes_min"] <= layers["hidden_bytes_max"]).all()
    assert (layers["hidden_bytes_max"] <= dataset.layers["FLS"]).all()
    top = metrics["top_hidden"]
    images = metrics["images"]
    assert (
        top["hidden_bytes"].tolist()
        == sorted(images["hidden_bytes"].tolist(), reverse=True)[: len(top)]
    )
    assert images["hidden_bytes"][top["image"]].tolist() == top["hidden_bytes"].tolist()


@pytest.mark.parametrize("seed", range(6))
def test_chains_are_sorted_as_tuples_are(seed):
    """Deep ones, equal ones, empty ones, and those that begin another."""
    rng = random.Random(seed)
    lengths = [rng.choice([0, 1, 2, 3, 9]) for _ in range(60)]
    chains = [tuple(rng.choice([0, 1, 1, 7]) for _ in range(length)) for length in lengths]
    layer = np.array([one for chain in chains for one in chain], np.int64)
    count = np.array(lengths)
    first = np.cumsum(count) - count
    images, starts = sorted_chains(layer, first, count)
    want = sorted(range(60), key=lambda image: (chains[image], image))
    assert images.tolist() == want
    ordered = [chains[image] for image in want]
    assert [ordered[start] for start in starts.tolist()] == sorted(set(chains))
    heads = images[starts]
    lengths = common_lengths(layer, first[heads], count[heads]).tolist()
    distinct_chains = sorted(set(chains))
    pairs = pairwise(distinct_chains)
    assert lengths == [0, *(common_length(one, other) for one, other in pairs)]


def test_no_images_have_no_chains():
    nothing = np.empty(0, np.int64)
    assert [len(part) for part in sorted_chains(nothing, nothing, nothing)] == [0, 0]
    assert len(common_lengths(nothing, nothing, nothing)) == 0
