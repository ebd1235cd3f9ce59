"""Checks of spills: each value that can't be, and each sum that is not the row's."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from support.synthetic import TYPES, make_layer

from hpc_remetrics.parts.spill_check import check_profile, checked_blocks
from hpc_remetrics.parts.spill_format import (
    NO_CONTENT,
    NO_TYPE,
    LayerProfile,
    SpillBlock,
    read_blocks,
)
from hpc_remetrics.parts.spill_writer import NOTHING, Spill
from hpc_remetrics.records import KINDS

GOOD = LayerProfile(status="partial", compression="gzip", stage="tar", cause="bad_header")


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"depth": (1 << 31) - 1},
        {"notes": (1 << 32) - 1},
        {"CLS": (1 << 62) - 1},
        {"stage": "", "cause": ""},
        {"diff_id": "sha256:" + "a" * 64},
        {"diff_id": "a" * 64},
        {"status": "failed"},
        {"entries": 5},
    ],
)
def test_rows_that_are_sound(change):
    check_profile(replace(GOOD, **change))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"status": "fine"}, "'fine' is none of ok, partial, failed"),
        ({"compression": "lz4"}, "is none of none, gzip"),
        ({"stage": "x"}, "no stage or cause"),
        ({"cause": "x"}, "no stage or cause"),
        ({"depth": 1 << 31}, "depth is 2147483648"),
        ({"notes": 1 << 32}, "notes is"),
        ({"CLS": 1 << 62}, "CLS is"),
        ({"TLS": -1}, "TLS is -1"),
        ({"files": 1.0}, "files is 1.0"),
        ({"status": "failed", "entries": 1}, "a failed layer with 1 entry"),
        ({"diff_id": "a" * 63}, "diff_id is"),
        ({"diff_id": None}, "diff_id is"),
        ({"message": 1}, "message or offset"),
        ({"offset": "1"}, "message or offset"),
    ],
)
def test_rows_that_are_refused(change: dict[str, Any], words: str):
    with pytest.raises(ValueError, match=words):
        check_profile(replace(GOOD, **change))


def with_block(tmp_path, monkeypatch, change: Callable[[SpillBlock], None]) -> None:
    """Read a sound spill of which one block is changed."""
    layer = make_layer(random.Random(7), 1, 60)
    block = next(read_blocks(layer.spill(tmp_path)))
    block.columns = {name: values.copy() for name, values in block.columns.items()}
    block.extras["samples"] = np.zeros(1, block.extras["samples"].dtype)
    block.extras["chunks"] = np.zeros(1, block.extras["chunks"].dtype)
    change(block)
    monkeypatch.setattr("hpc_remetrics.parts.spill_check.read_blocks", lambda path: iter([block]))
    list(checked_blocks(layer.profile, tmp_path, TYPES))


def first(block: SpillBlock, *kinds: str) -> int:
    numbers = [KINDS[kind] for kind in kinds]
    return int(np.flatnonzero(np.isin(block.columns["kind"], numbers))[0])


def set_column(name: str, kind: str, value: int) -> Callable[[SpillBlock], None]:
    def change(block: SpillBlock) -> None:
        block.columns[name][first(block, kind)] = value

    return change


def set_extra(kind: str, name: str, value: int) -> Callable[[SpillBlock], None]:
    def change(block: SpillBlock) -> None:
        block.extras[kind][name][0] = value

    return change


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (set_column("kind", "symlink", len(KINDS)), f"kind is {len(KINDS)}"),
        (set_column("size", "directory", 5), "a content where there can't be one"),
        (set_column("size", "file", NO_CONTENT), "or a file without"),
        (set_column("size", "file", 1 << 62), "beyond 2"),
        (set_column("type", "file", 7), "unknown type number"),
        (set_column("mode", "file", 0o10000), "a mode or a time"),
        (set_column("mtime_ns", "file", 10**9), "a mode or a time"),
        (set_extra("samples", "gzip", -1), "samples have values out of range"),
        (set_extra("samples", "zstd", 1 << 62), "samples have values out of range"),
        (set_extra("chunks", "method", 9), "chunks have values out of range"),
        (set_column("size", "file", (1 << 62) - 1), "have FLS"),
        (set_column("kind", "symlink", KINDS["fifo"]), "have (symlinks|devices)"),
    ],
)
def test_values_that_are_refused(tmp_path, monkeypatch, change, words):
    with pytest.raises(ValueError, match=words):
        with_block(tmp_path, monkeypatch, change)


@pytest.mark.parametrize(
    "change",
    [
        set_column("type", "file", NO_TYPE),
        set_column("type", "directory", 7),
        set_column("mode", "file", 0o7777),
        set_column("mtime_ns", "file", 999_999_999),
        set_extra("samples", "gzip", (1 << 62) - 1),
        set_extra("chunks", "method", 1),
    ],
)
def test_values_that_are_sound(tmp_path, monkeypatch, change):
    with_block(tmp_path, monkeypatch, change)


@pytest.mark.parametrize(
    "name",
    [
        *("entries", "path_bytes", "link_bytes", "FLS", "files", "symlinks"),
        *("hardlinks", "devices", "whiteouts", "others"),
    ],
)
@pytest.mark.parametrize("by", [-1, 1])
def test_sums_are_those_of_the_row(tmp_path, name, by):
    layer = make_layer(random.Random(8), 2, 200)
    profile = replace(layer.profile, **{name: getattr(layer.profile, name) + by})
    with pytest.raises(ValueError, match=f"the entries have {name} "):
        list(checked_blocks(profile, layer.spill(tmp_path), TYPES))


def test_no_spill_is_no_entries():
    assert list(checked_blocks(GOOD, None, TYPES)) == []
    with pytest.raises(ValueError, match="have entries 0, the layer's row says 1"):
        list(checked_blocks(replace(GOOD, entries=1), None, TYPES))


def test_the_sum_of_huge_sizes_does_not_wrap_around(tmp_path):
    spill = Spill(tmp_path / "a")
    size = (1 << 62) - 1
    for number in range(5):
        spill.add(KINDS["file"], 0, 0, 0, 0, 0, [size, NO_TYPE, bytes(32)], b"%d" % number, b"")
    spill.flush()
    spill.close()
    profile = replace(GOOD, entries=5, files=5, path_bytes=5, FLS=5 * size)
    assert [block.rows for block in checked_blocks(profile, tmp_path / "a", {})] == [5]


def test_a_spill_longer_than_its_row_is_not_read_to_its_end(tmp_path):
    spill = Spill(tmp_path / "a")
    for _ in range(3):
        spill.add(KINDS["directory"], 0, 0, 0, 0, 0, NOTHING, b"d", b"")
        spill.flush()
    spill.close()
    blocks = checked_blocks(replace(GOOD, entries=1, path_bytes=1), tmp_path / "a", {})
    assert next(blocks).rows == 1
    with pytest.raises(ValueError, match="have entries 2, the layer's row says 1"):
        next(blocks)
