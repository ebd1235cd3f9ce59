"""Numbering contents: the functions between two shuffles, against their definitions."""

from __future__ import annotations

from hashlib import sha256

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.examples import share_of

from hpc_remetrics.gather import numbering
from hpc_remetrics.gather.numbering import CARRIED, CONTENT, attach, collapse, number
from hpc_remetrics.gather.placement import Placement


def digest(value: int) -> bytes:
    """A digest whose order is that of its number; those of one ten share their first 64 bits."""
    return (value // 10).to_bytes(8, "big") + bytes(16) + (value % 10).to_bytes(8, "big")


def carried(*rows: tuple[int, int, int, int, int]) -> np.ndarray:
    """Rows of (content, size, type, layer, files), numbered from 0."""
    result = np.zeros(len(rows), CARRIED)
    for place, (content, size, kind, layer, files) in enumerate(rows):
        result[place] = (np.void(digest(content)), size, kind, layer, place, files)
    return result


def placement(images: list[set[int]], layers: int = 6) -> Placement:
    """A placement of which only the images of each layer matter."""
    of_layer = [[n for n, used in enumerate(images) if layer in used] for layer in range(layers)]
    found = Placement(*[None] * 10)  # type: ignore[arg-type]
    found.layers = np.zeros(layers, [("digest", "V32")])
    # Real digests: sets of layers are told apart by sums over them
    for layer in range(layers):
        found.layers["digest"][layer] = np.void(sha256(bytes([layer])).digest())
    found.image_start = np.cumsum([0, *map(len, of_layer)])
    found.images_of = np.array([n for row in of_layer for n in row], np.int64)
    return found


def no_contradiction(layers: np.ndarray) -> None:
    raise AssertionError(layers)


def test_a_block_collapses_to_one_row_a_content_and_layer():
    rows = carried((7, 3, 5, 0, 1), (2, 9, 4, 0, 1), (7, 3, 2, 0, 0), (7, 3, 6, 1, 1))
    result, place_of = collapse(rows, 1000, no_contradiction)
    assert result["digest"].tolist() == [digest(2), digest(7), digest(7)]
    assert result["layer"].tolist() == [0, 0, 1]
    assert result["files"].tolist() == [1, 1, 1]
    assert result["type"].tolist() == [4, 2, 6]
    assert result["size"].tolist() == [9, 3, 3]
    assert result["row"].tolist() == [1000, 1001, 1002]
    assert place_of.tolist() == [1, 0, 1, 2]


def test_a_block_without_content():
    result, place_of = collapse(np.empty(0, CARRIED), 5, no_contradiction)
    assert len(result) == len(place_of) == 0
    contents, place_of = number(np.empty(0, CARRIED), placement([]), no_contradiction)
    assert len(contents) == len(place_of) == 0


def test_contents_are_numbered_by_digest_and_counted():
    rows = carried((31, 8, 4, 2, 1), (12, 5, 9, 0, 2), (11, 6, 3, 0, 1), (12, 5, 7, 2, 3))
    rows = np.concatenate([rows, carried((12, 5, 8, 2, 0))])
    contents, place_of = number(rows, placement([{0}, {0, 2}, {2}, {5}]), no_contradiction)
    assert contents["digest"].tolist() == [digest(11), digest(12), digest(31)]
    assert place_of.tolist() == [2, 1, 0, 1, 1]
    assert contents["size"].tolist() == [6, 5, 8]
    assert contents["type"].tolist() == [3, 7, 4]
    assert contents["copies"].tolist() == [1, 5, 1]
    assert contents["layers"].tolist() == [1, 2, 1]
    assert contents["images"].tolist() == [2, 3, 2]
    assert contents["gzip"].tolist() == contents["zstd"].tolist() == [-1] * 3
    assert contents["cdc_chunks"].tolist() == [-1] * 3


@pytest.mark.parametrize("function", ["collapse", "number"])
def test_one_digest_with_two_sizes_is_reported_with_its_layers(function):
    rows = carried((1, 4, 0, 3, 1), (2, 5, 0, 3, 1), (2, 6, 0, 3, 1), (3, 1, 0, 4, 1))
    reported: list[np.ndarray] = []
    if function == "collapse":
        collapse(rows, 0, reported.append)
    else:
        number(rows, placement([]), reported.append)
    assert [layers.tolist() for layers in reported] == [[3]]


@settings(max_examples=share_of(40))
@given(
    st.lists(st.tuples(st.integers(0, 25), st.integers(0, 5)), max_size=40),
    st.lists(st.sets(st.integers(0, 5)), max_size=6),
    st.sampled_from([1, 3, 1 << 22]),
)
def test_layers_and_images_of_each_content(pairs, images, expanded):
    """Against sets; with few pairs in memory the images are united in several rounds."""
    rows = carried(*((content, content, 0, layer, 1) for content, layer in pairs))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(numbering, "_EXPANDED", expanded)
        contents, place_of = number(rows, placement(images), no_contradiction)
    wanted = sorted({content for content, _ in pairs})
    assert contents["digest"].tolist() == [digest(content) for content in wanted]
    assert [wanted[place] for place in place_of.tolist()] == [content for content, _ in pairs]
    for row, content in zip(contents, wanted, strict=True):
        layers = {layer for one, layer in pairs if one == content}
        assert row["layers"] == len(layers)
        assert row["images"] == sum(bool(layers & used) for used in images)
        assert row["copies"] == sum(one == content for one, _ in pairs)


@given(st.lists(st.binary(min_size=32, max_size=32) | st.integers(0, 30).map(digest), max_size=30))
def test_digests_are_grouped_in_a_stable_order(digests):
    order, starts = numbering._grouped(np.array(digests, "V32"))
    assert order.tolist() == sorted(range(len(digests)), key=lambda place: digests[place])
    ordered = [digests[place] for place in order.tolist()]
    assert starts.tolist() == [n for n, one in enumerate(ordered) if one not in ordered[:n]]


def test_records_of_probes_join_their_contents():
    contents = np.zeros(3, CONTENT)
    contents["digest"] = np.array([digest(1), digest(12), digest(15)], "V32")
    contents["size"] = [100, 50, 7]
    contents["gzip"] = contents["zstd"] = -1
    records = np.array(
        [
            (digest(12), 40, 45),
            (digest(12), 30, 60),
            (digest(15), 9, 1),
            (digest(2), 1, 1),
            (digest(99), 1, 1),
        ],
        [("digest", "V32"), ("gzip", "<i8"), ("zstd", "<i8")],
    )
    attach(contents, records[:0])
    attach(contents[:0], records)
    assert contents["gzip"].tolist() == [-1, -1, -1]
    attach(contents, records)
    assert contents["gzip"].tolist() == [-1, 30, 7]  # the smallest, and at most the size
    assert contents["zstd"].tolist() == [-1, 45, 1]
