"""Images that came, went and moved, against what plain Python finds in the images themselves."""

import random
from collections import Counter
from dataclasses import asdict

import numpy as np
import pytest
from support.made import Made

import hpc_remetrics
from hpc_remetrics.summaries import image_changes as module
from hpc_remetrics.summaries.compare import compare
from hpc_remetrics.summaries.image_changes import Images

from .made_datasets import LAYERS, compressed


class Rows:
    """What `image_changes` reads of a dataset, from lists of (name, platform, digest)."""

    def __init__(self, images: list[tuple[str, str, int]], layers: list[list[int]]) -> None:
        order = sorted(range(len(images)), key=lambda place: images[place])
        self.images = self
        self._columns = {
            "name": np.array([images[place][0] for place in order], object),
            "platform": np.array([images[place][1] for place in order], object),
            "digest": np.array([bytes([images[place][2]]) * 32 for place in order], "V32"),
            "config": np.full(len(order), -1),
            "layers": np.array([len(layers[place]) for place in order], np.int64),
        }
        self._columns["first_layer"] = np.cumsum(self["layers"]) - self["layers"]
        flat = [layer for place in order for layer in layers[place]]
        self.image_layers = {"layer": np.array(flat, np.int64)}
        self.layers = {"CLS": np.arange(10) * 100, "FLS": np.arange(10) * 1000}

    def __len__(self) -> int:
        return len(self._columns["name"])

    def __getitem__(self, name: str) -> np.ndarray:
        return self._columns[name]

    def column(self, name: str, start: int = 0, stop: int | None = None) -> np.ndarray:
        return self._columns[name][start:stop]

    readable = column


NO_LAYERS = np.zeros(10, bool)


def changes(before: list[tuple[str, str, int]], after: list[tuple[str, str, int]]):
    """Return the counts, and change, name, platform, and first bytes of both digests."""
    one = Rows(before, [[]] * len(before))
    other = Rows(after, [[]] * len(after))
    counts, found = module.image_changes(one, other, NO_LAYERS, NO_LAYERS)
    short = [
        (one.change, one.name, one.platform, _first(one.before), _first(one.after)) for one in found
    ]
    return counts, short


def _first(digest: str) -> int:
    assert not digest or len(digest) == 71
    return int(digest[7:9] or "0", 16)


@pytest.mark.parametrize("rows", [1, 2, 100])
def test_names_and_platforms(monkeypatch, rows):
    monkeypatch.setattr(module, "CHUNK_ROWS", rows)
    before = [("a:1", "x", 1), ("a:1", "y", 2), ("b:1", "x", 3), ("d:1", "", 4), ("e:1", "", 9)]
    after = [("a:1", "x", 1), ("a:1", "y", 5), ("c:1", "x", 3), ("d:1", "z", 4), ("e:1", "", 9)]
    counts, found = changes(before, after)
    assert counts == Images(added=2, removed=2, moved=1, unchanged=2)
    assert found == [
        ("moved", "a:1", "y", 2, 5),
        ("removed", "b:1", "x", 3, 0),
        ("added", "c:1", "x", 0, 3),
        ("removed", "d:1", "", 4, 0),
        ("added", "d:1", "z", 0, 4),
    ]


def test_a_name_with_several_manifests():
    """A merged dataset has a name once for each manifest that it had."""
    counts, found = changes(
        [("a:1", "", 1), ("a:1", "", 2), ("b:1", "", 7)],
        [("a:1", "", 2), ("a:1", "", 3), ("a:1", "", 4), ("b:1", "", 7), ("b:1", "", 8)],
    )
    assert counts == Images(added=2, moved=1, unchanged=2)
    assert found == [
        ("moved", "a:1", "", 1, 3),
        ("added", "a:1", "", 0, 4),
        ("added", "b:1", "", 0, 8),
    ]


def test_layers_that_come_and_go_with_images():
    names = [("gone:1", "", 1), ("moved:1", "", 2)]
    before = Rows(names, [[1, 2, 2, 3], [4, 5]])
    after = Rows([("moved:1", "", 3), ("new:1", "", 4)], [[4, 6, 6], [7, 8, 5]])
    is_gone = np.isin(np.arange(10), [2, 3, 5])
    is_new = np.isin(np.arange(10), [6, 7])
    _, found = module.image_changes(before, after, is_gone, is_new)
    assert [(one.name, one.layers, one.CLS, one.FLS) for one in found] == [
        ("gone:1", 2, 500, 5000),
        ("moved:1", 1, 600, 6000),
        ("new:1", 1, 700, 7000),
    ]


@pytest.mark.parametrize("seed", range(3))
def test_against_sets(tmp_path, seed):
    """Random images of random layers, as real datasets have them."""
    rng = random.Random(seed)
    made = []
    for _ in range(2):
        layers = [rng.sample(range(6), rng.randrange(4)) for _ in range(6)]
        made.append(Made(LAYERS, layers, status={4: "failed"}))
    paths = [one.write(tmp_path / str(number), False) for number, one in enumerate(made)]
    with hpc_remetrics.open(paths[0]) as one, hpc_remetrics.open(paths[1]) as other:
        found = compare(one, other)
        names = [image.readable("name").tolist() for image in (one.images, other.images)]
    used = [{layer for image in one.images for layer in image} for one in made]
    kinds = Counter(one.change for one in found.image_changes)
    counts = asdict(found.images)
    assert {word: counts[word] for word in kinds} == kinds
    assert sum(counts.values()) - counts["added"] == len(made[0].images)
    assert sum(counts.values()) - counts["removed"] == len(made[1].images)
    for change in found.image_changes:
        side = int(change.change != "removed")
        layers = set(made[side].images[names[side].index(change.name)]) - used[1 - side]
        assert change.layers == len(layers)
        assert sum(compressed(made[side], layer) for layer in layers) == change.CLS
