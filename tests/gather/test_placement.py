"""Placement: which row of which part each layer has, and where its entries go."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from support.synthetic import digest_of

from hpc_remetrics.dataset.schema import CHUNK_BYTES, CHUNK_ROWS
from hpc_remetrics.gather.placement import Placement, in_order, place, sorted_images
from hpc_remetrics.parts.part_format import LAYER, PartIndex
from hpc_remetrics.records import STATUSES, Catalog, Digest, Failure, Image, Layer

A, B, C, D = (Digest(bytes([value]) * 32) for value in (1, 2, 3, 4))


def part(
    name: str,
    rows: list[tuple[Digest, str, int]],
    types: list[str] | None = None,
    failures: list[Failure] | None = None,
    extras: dict[str, list[int]] | None = None,
) -> PartIndex:
    """The index of a part with layers of (digest, status, entries)."""
    layers = np.zeros(len(rows), LAYER)
    for row, (digest, status, entries) in zip(layers, rows, strict=True):
        row["digest"], row["status"] = np.void(digest.raw), STATUSES[status]
        row["entries"], row["path_bytes"], row["link_bytes"] = entries, 10 * entries, 3 * entries
    counts = {kind: np.array(values) for kind, values in (extras or {}).items()}
    return PartIndex(Path(name), layers, types or [], failures or [], {}, {"kind": 7}, counts)


def image(name: str, *digests: Digest, platform: str = "") -> Image:
    layers = tuple(Layer(digest, 1, "oci_tar") for digest in digests)
    return Image(name, digest_of(name), platform, "oci", layers)


def test_layers_are_sorted_and_their_entries_follow_one_another():
    placed = place(
        [part("0", [(C, "ok", 2), (A, "ok", 3)]), part("1", [(D, "ok", 4)])], [image("x", D, A, C)]
    )
    assert placed.layers["digest"].tolist() == [A.raw, C.raw, D.raw]
    assert placed.part.tolist() == [0, 0, 1]
    assert placed.first["entries"].tolist() == [0, 3, 5, 9]
    assert placed.first["path"].tolist() == [0, 30, 50, 90]
    assert placed.first["link"].tolist() == [0, 9, 15, 27]
    assert (placed.entries, placed.missing) == (9, 0)
    assert placed.paths == [Path("0"), Path("1")]
    assert placed.offsets == [{"kind": 7}, {"kind": 7}]


def test_the_best_row_of_a_layer_counts_and_of_equal_ones_the_first():
    parts = [
        part("0", [(A, "failed", 0), (B, "partial", 1)]),
        part("1", [(A, "ok", 5), (B, "ok", 6)]),
        part("2", [(B, "ok", 7), (A, "partial", 1)]),
    ]
    placed = place(parts, [image("x", A, B)])
    assert placed.part.tolist() == [1, 1]
    assert placed.layers["entries"].tolist() == [5, 6]


def test_layers_of_no_image_are_left_out_and_missing_ones_counted():
    placed = place([part("0", [(A, "ok", 1), (B, "ok", 1)])], [image("x", B, C, D)])
    assert placed.layers["digest"].tolist() == [B.raw]
    assert placed.missing == 2


def test_types_of_all_parts_are_numbered_together_with_weak_ones_last():
    parts = [part("0", [], ["untyped", "ELF", "text"]), part("1", [], ["text", "timed out"])]
    placed = place(parts, [])
    assert placed.types == ["ELF", "text", "timed out", "untyped"]
    assert [one.tolist() for one in placed.type_of] == [[3, 0, 1], [1, 2]]


def test_images_of_each_layer_are_their_rows():
    placed = place(
        [part("0", [(A, "ok", 0), (B, "ok", 0), (C, "ok", 0)])],
        [image("x", A, B, A), image("y", C), image("z", A, C)],
    )
    assert placed.image_start.tolist() == [0, 2, 3, 5]
    assert placed.images_of.tolist() == [0, 2, 0, 1, 2]


def test_extra_records_of_a_layer_come_after_those_of_the_layers_before_it_in_the_part():
    parts = [
        part("0", [(C, "ok", 0), (A, "ok", 0)], extras={"samples": [4, 5], "chunks": [0, 2]}),
        part("1", [(B, "ok", 0)]),
    ]
    placed = place(parts, [image("x", A, B, C)])
    assert placed.extras["samples"].tolist() == [[4, 5], [0, 0], [0, 4]]
    assert placed.extras["chunks"].tolist() == [[0, 2], [0, 0], [0, 0]]
    assert placed.extras["cuts"].shape == (3, 2)


def test_failures_are_those_of_the_chosen_rows_and_the_claims_of_images():
    failed = Failure(A, "fetch", "missing", "gone")
    worse = Failure(B, "fetch", "missing", "gone")
    claim = Failure(B, "manifest", "size_mismatch", "z states 5")
    other = Failure(D, "manifest", "size_mismatch", "of no image")
    parts = [
        part("0", [(A, "failed", 0), (B, "failed", 0)], failures=[worse, claim, failed, other]),
        part("1", [(B, "ok", 1)], failures=[claim]),
    ]
    assert place(parts, [image("x", A, B)]).failures == [failed, claim]


def test_claims_come_before_failures_and_sorted():
    one, two = (Failure(A, "manifest", "size_mismatch", text) for text in ("b", "a"))
    last = Failure(A, "fetch", "missing", "0")
    assert in_order([last, one, two, one, Failure(B, "open", "missing", "")])[:3] == [
        two,
        one,
        last,
    ]


def test_images_are_sorted_and_each_once():
    catalog = Catalog([image("b", A), image("a", B), image("b", A), image("a", B, platform="x")])
    names = [(one.name, one.platform) for one in sorted_images(catalog)]
    assert names == [("a", ""), ("a", "x"), ("b", "")]


@pytest.mark.parametrize(("entries", "blocks"), [(0, 0), (1, 1), (CHUNK_ROWS, 1)])
def test_blocks_and_chunks(entries, blocks):
    placed: Placement = place([part("0", [(A, "ok", entries)])], [image("x", A)])
    assert placed.blocks == blocks
    assert placed.blob_chunks("path") == -(-10 * entries // CHUNK_BYTES)
