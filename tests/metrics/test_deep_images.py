"""Images of thousands of layers: what they hide is right, and takes time that grows with their
number alone."""

from __future__ import annotations

import random

import numpy as np
import pytest
from support.made import Entry, Made

import hpc_remetrics
from hpc_remetrics.metrics import hidden
from hpc_remetrics.metrics.hidden import Level

from . import brute_force as brute


def written(made: Made, directory):
    return hpc_remetrics.open(made.write(directory))


def file(path: str, content: int) -> Entry:
    return Entry("file", path.encode(), content)


@pytest.mark.slow
def test_deep_images_hide_what_plain_python_says(tmp_path, monkeypatch):
    """Repeated layers, whiteouts over many blocks, and images that part within a block."""
    monkeypatch.setattr(hidden, "_BLOCK", 3)
    rng = random.Random(13)
    layers = [
        [file(f"d{rng.randrange(4)}/{rng.randrange(6)}", rng.randrange(9)) for _ in range(5)]
        for _ in range(8)
    ]
    layers.append(
        [Entry("whiteout", b"d1/.wh.2"), Entry("opaque", b"d2/.wh..wh..opq"), file("d3", 7)]
    )
    layers.append([Entry("hardlink", b"x", link=b"d1/1"), file("d1/1", 4)])
    layers.append([])
    images = [[rng.randrange(len(layers)) for _ in range(30)] for _ in range(6)]
    images += [
        images[0][:11] + images[1],
        images[0][:12] * 2,
        [0] * 20 + [8] + [0] * 20,
        list(range(len(layers))),
    ]
    made = Made(layers, images)
    with written(made, tmp_path) as dataset:
        table = dataset.metrics["images"]
        found = list(
            zip(table["hidden_files"].tolist(), table["hidden_bytes"].tolist(), strict=True)
        )
        want = [brute.hidden_in([layers[n] for n in image]) for image in images]
        assert found == [(len(one), sum(size for _, size, _, _ in one)) for one in want]


@pytest.fixture
def counted(monkeypatch):
    """Count how often a layer is compared with one below it."""
    calls = []
    hide = Level.hide

    def count(self, upper):
        calls.append(1)
        return hide(self, upper)

    monkeypatch.setattr(Level, "hide", count)
    return calls


@pytest.mark.parametrize(
    ("pattern", "count", "levels_of_a_block"),
    [
        ("distinct layers", 20, 2),
        pytest.param("one layer", 2000, 64, marks=pytest.mark.slow),
        pytest.param("in turns", 2000, 64, marks=pytest.mark.slow),
        pytest.param("distinct layers", 2000, 64, marks=pytest.mark.slow),
    ],
)
def test_the_work_grows_with_the_number_of_layers(
    tmp_path, monkeypatch, counted, pattern, count, levels_of_a_block
):
    """Of two thousand layers, each pair would be two million comparisons."""
    monkeypatch.setattr(hidden, "_BLOCK", levels_of_a_block)
    if pattern == "distinct layers":
        layers = [[file(f"{n}/x", n % 9 + 1)] for n in range(count)]
        image = list(range(count))
    else:
        layers = [[file(f"{n}/{m}", m + 1) for m in range(40)] for n in range(2)]
        image = [n % 2 if pattern == "in turns" else 0 for n in range(count - 1)] + [1]
    with written(Made(layers, [image]), tmp_path) as dataset:
        want = 0 if pattern == "distinct layers" else (count - 2) * 40
        assert dataset.metrics["images"]["hidden_files"].tolist() == [want]
    assert len(counted) < (levels_of_a_block + 2) * count


def test_what_is_wholly_hidden_takes_no_memory():
    """A layer of a million files that stands in an image thousands of times."""

    class Index:
        names = np.arange(3)
        file = np.arange(3)
        sizes = np.array([1, 2, 3])
        links = np.ones(3, np.int64)

    level = Level(Index)
    names, sums = level.hide(Index)
    assert names is None and len(level.visible) == level.count == 0
    assert sums.sum(axis=0).tolist() == [3, 6]
    level.show(names, sums)
    assert level.count == 3 and level.visible.all() and level.hidden == 0
