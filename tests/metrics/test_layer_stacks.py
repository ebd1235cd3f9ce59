"""Bases of random stacks of layers are those that a comparison of all pairs finds."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.examples import share_of
from support.thread_ranks import on_ranks

from hpc_remetrics.metrics.layer_stacks import LayerStacks, _my_images, nearest_bases
from hpc_remetrics.mpi.comm import SerialComm


def stacked(images: list[list[int]]) -> LayerStacks:
    count = np.array([len(layers) for layers in images], np.int64)
    every = np.array([layer for layers in images for layer in layers], np.int64)
    return LayerStacks(every, np.cumsum(count) - count, count)


def brute_force(images: list[list[int]], platform: list[int], priority: list[int]) -> list[int]:
    bases = []
    for row, layers in enumerate(images):
        found = [
            (-len(other), priority[place], place)
            for place, other in enumerate(images)
            if 0 < len(other) < len(layers) and layers[: len(other)] == other
            if platform[place] == platform[row]
        ]
        bases.append(min(found)[2] if found else -1)
    return bases


def bases_of(images, platform=None, priority=None, comm=None) -> list[int]:
    rows = len(images)
    platform = np.array(platform or [0] * rows, np.int64)
    priority = np.array(priority or range(rows), np.int64)
    return nearest_bases(comm or SerialComm(), stacked(images), platform, priority).tolist()


@st.composite
def datasets(draw):
    """Draw images of few layers, most of which go on where another one ends."""
    images: list[list[int]] = []
    for _ in range(draw(st.integers(0, 12))):
        below = draw(st.sampled_from(images)) if images and draw(st.booleans()) else []
        images.append([*below, *draw(st.lists(st.integers(0, 2), max_size=3))])
    rows = len(images)
    platform = draw(st.lists(st.integers(0, 1), min_size=rows, max_size=rows))
    return images, platform, draw(st.permutations(range(rows)))


@settings(max_examples=share_of(40))
@given(datasets())
def test_bases_are_those_of_all_pairs(made):
    images, platform, priority = made
    assert bases_of(images, platform, priority) == brute_force(images, platform, priority)


def many() -> tuple[list[list[int]], list[int], list[int]]:
    """Return 300 images that begin with 40 different layers."""
    random = np.random.default_rng(3)
    images: list[list[int]] = []
    for _ in range(300):
        below = images[random.integers(len(images))] if images and random.random() < 0.8 else []
        images.append([*below, *random.integers(0, 40, random.integers(0, 4)).tolist()])
    return images, random.integers(0, 3, 300).tolist(), random.permutation(300).tolist()


@pytest.mark.parametrize("size", [1, 2, 3, 8])
def test_any_number_of_ranks_finds_the_same(size):
    images, platform, priority = many()
    want = brute_force(images, platform, priority)
    assert sum(base >= 0 for base in want) > 100
    found = on_ranks(size, lambda comm: bases_of(images, platform, priority, comm))
    assert found == [want] * size


def test_each_rank_follows_some_of_the_images():
    images, _, _ = many()
    shares = on_ranks(3, lambda comm: _my_images(comm, stacked(images)).tolist())
    assert sorted(row for share in shares for row in share) == [
        row for row, layers in enumerate(images) if layers
    ]
    layers = [sum(len(images[row]) for row in share) for share in shares]
    assert min(layers) > sum(layers) / 10


def test_the_drawing():
    assert bases_of([[1], [1, 2], [1, 2, 3], [1, 4], [5, 6]]) == [-1, 0, 1, 0, -1]


@pytest.mark.parametrize(
    ("images", "want"),
    [
        pytest.param([], [], id="no image"),
        pytest.param([[], []], [-1, -1], id="no layer"),
        pytest.param([[], [1]], [-1, -1], id="an image without layers is no base"),
        pytest.param([[1, 2], [1, 2]], [-1, -1], id="equal layers are no base"),
        pytest.param([[1], [1, 2], [1, 2]], [-1, 0, 0], id="equal layers have one base"),
        pytest.param([[1, 1], [1], [1, 1, 1]], [1, -1, 0], id="one layer over and over"),
        pytest.param([[1, 2, 3], [1]], [1, -1], id="two layers more"),
        pytest.param([[2], [1, 2]], [-1, -1], id="the end is no beginning"),
    ],
)
def test_small_stacks(images, want):
    assert bases_of(images) == want


def test_of_equal_bases_the_first_in_order_is_taken():
    assert bases_of([[1], [1], [1, 2]], priority=[2, 0, 1]) == [-1, -1, 1]
    assert bases_of([[1], [1], [1, 2]], priority=[0, 2, 1]) == [-1, -1, 0]
    # The number of layers decides before the order
    assert bases_of([[1], [1, 2], [1, 2, 3]], priority=[0, 2, 1]) == [-1, 0, 1]


def test_a_base_has_the_platform_of_its_image():
    assert bases_of([[1], [1], [1, 2]], platform=[0, 1, 1]) == [-1, -1, 1]
    assert bases_of([[1], [1, 2], [1, 2, 3]], platform=[1, 0, 1]) == [-1, -1, 0]


def test_large_numbers_of_layers_do_not_meet():
    high = 1 << 31
    images = [[high], [high, 0], [0], [0, high - 1], [high, 0, 7]]
    assert bases_of(images) == [-1, 0, -1, 2, 1]


def test_images_of_hundreds_of_layers():
    deep = list(range(500))
    assert bases_of([deep, [*deep, 1], [*deep[:-1], 9]]) == [-1, 0, -1]


def test_layers_begin_with_those_of_another():
    stacks = stacked([[1], [1, 2], [1, 3], [], [1, 2]])
    assert [stacks.begins_with(1, other) for other in range(5)] == [True, True, False, True, True]
    assert not stacks.begins_with(0, 1)


def test_values_of_the_lowest_layers_are_added_up():
    stacks = stacked([[1], [1, 2], [], [1, 2, 3]])
    values = np.array([5, 5, 7, 5, 7, 9])
    assert stacks.sums(values, np.array([1, 1, 0, 2])).tolist() == [5, 5, 0, 12]
    assert stacks.sums(values, stacks.count).tolist() == [5, 12, 0, 21]
