"""Bytes in common, against sets of contents in plain Python."""

import numpy as np
import pytest
from support.made import Entry, Made

import hpc_remetrics
from hpc_remetrics.dataset.queries import shared_bytes

from .conftest import IMAGES, LAYERS


def contents_of(image: int) -> dict[bytes, int]:
    """Return the sizes of the distinct contents of an image, by digest."""
    files = [e for layer in IMAGES[image] for e in LAYERS[layer] if e.kind == "file"]
    return {entry.digest: entry.size for entry in files}


def common(one: int, other: int) -> int:
    first, second = contents_of(one), contents_of(other)
    return sum(first[digest] for digest in first.keys() & second.keys())


def test_all_pairs_of_images(many_images):
    frame = many_images.shared_bytes()
    count = len(IMAGES)
    assert frame.index.tolist() == frame.columns.tolist()
    assert frame.index.tolist() == [f"made{image:04}:1" for image in range(count)]
    wanted = [[common(one, other) for other in range(count)] for one in range(count)]
    assert frame.to_numpy().tolist() == wanted
    assert frame.to_numpy().dtype == np.int64
    by_repository = many_images.shared_bytes("repository")
    assert by_repository.to_numpy().tolist() == wanted
    assert by_repository.index.tolist() == [f"made{image:04}" for image in range(count)]


def test_some_images_in_a_given_order_and_several_products(many_images, monkeypatch):
    monkeypatch.setattr(shared_bytes, "_PRODUCT_CELLS", 7)
    chosen = [5, 2, 9]
    frame = many_images.shared_bytes(images=[5, "made0002:1", 9])
    assert frame.to_numpy().tolist() == [[common(a, b) for b in chosen] for a in chosen]


def test_repositories_have_the_contents_of_all_their_images(tmp_path):
    layers = [[Entry("file", b"a", 1), Entry("file", b"b", 2)], [Entry("file", b"c", 1)], []]
    made = Made(layers, [[0], [1], [2], [1, 1]])
    one, two = (entry.size for entry in layers[0])
    with hpc_remetrics.open(made.write(tmp_path / "made", metrics=False)) as data:
        frame = data.shared_bytes("repository")
        assert frame.loc["made", "made"] == one + two
        frame = data.shared_bytes()
        assert frame.to_numpy().tolist() == [
            [one + two, one, 0, one],
            [one, one, 0, one],
            [0, 0, 0, 0],
            [one, one, 0, one],
        ]
        assert data.shared_bytes(images=[]).shape == (0, 0)
        assert data.shared_bytes("repository", images=[2]).to_numpy().tolist() == [[0]]


def test_sums_are_exact_beyond_what_a_float_holds():
    has_layer = np.ones((1, 1), bool)
    weights = np.array([2**55 + 1, 2**54 + 3])
    matrix = shared_bytes._product(has_layer, np.array([0, 0]), np.array([0, 1]), weights)
    assert matrix.tolist() == [[2**55 + 2**54 + 4]]


def test_what_can_not_be_asked(many_images, monkeypatch):
    with pytest.raises(KeyError, match="by image or repository, not by 'layer'"):
        many_images.shared_bytes("layer")
    monkeypatch.setattr(shared_bytes, "_MOST_GROUPS", 3)
    with pytest.raises(ValueError, match="too many pairs: choose images, at most 3"):
        many_images.shared_bytes()
